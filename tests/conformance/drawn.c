// SPDX-License-Identifier: MIT
/* Heads of all modes, with all that they can have, drawn by chance. */
#include <math.h>
#include <string.h>

#include "conf.h"

/* Long enough for more than one chunk of tokens, and for interpolation with all nodes. */
static const struct conf_batch long_batch = { 3, 330, { 0, 300, 300, 330 } };

enum { MIXED = 5, LONG = CONF_BATCHES };
static const char *const mode_names[] = {
	"mhsa", "shift", "fold", "foldshift", "softfold", "mixed",
};

/* p: batch, width, heads, mode, data, number */

static float pick(struct conf *c, const float *values, uint32_t count)
{
	return values[conf_below(c, count)];
}

static void draw_static(struct conf *c, struct damf_head *h)
{
	static const float weights[] = { 0.0f, 0.5f, -0.25f, 1.0f, 0.1f };

	if (conf_below(c, 3) == 0) {
		h->flags |= DAMF_HEAD_BAND;
		for (int o = 0; o <= 2 * DAMF_BAND_RADIUS; o++)
			h->band[o] = conf_bits(pick(c, weights, 5));
	}
	if (conf_below(c, 3) == 0) {
		h->flags |= DAMF_HEAD_SINKS;
		h->sink[0] = conf_bits(pick(c, weights, 5));
		h->sink[1] = conf_bits(pick(c, weights, 5));
	}
}

/* The paper's, the exponential series, a square, anything. */
static void draw_coefficients(struct conf *c, struct damf_head *h)
{
	static const float series[] = { 1.0f, 1.0f, 0.5f, 1.0f / 6, 1.0f / 24 };
	static const float square[] = { 1.0f, 2.0f, 1.0f, 0.0f, 0.0f };
	static const float any[] = { 1.0f, -0.5f, 0.3f, 0.0f, 2.0f, 0.01f };
	uint32_t kind = conf_below(c, 4);

	for (unsigned int k = 0; k <= h->order; k++)
		h->coef[k] = conf_bits(kind == 3 ? pick(c, any, 6) :
				       kind == 2 && h->order > 1 ? square[k] : series[k]);
}

static void draw_polynomial(struct conf *c, struct damf_head *h, bool tame)
{
	static const float scales[] = { 0.25f, 0.1f, -0.5f, 1.0f };

	h->order = (uint16_t)(1 + conf_below(c, 4));
	if (h->mode == DAMF_MODE_FOLD && conf_below(c, 3) == 0) {
		h->rank = (uint16_t)(2 + conf_below(c, 4));
		h->order = 1;
	}
	if (conf_below(c, 2))
		h->flags |= DAMF_HEAD_CENTRED;
	if (tame && conf_below(c, 2)) {
		h->flags |= DAMF_HEAD_SCALE;
		h->scale = conf_bits(pick(c, scales, 4));
	}
	draw_coefficients(c, h);
}

static void draw_softfold(struct conf *c, struct damf_head *h)
{
	static const float bounds[] = { 1e-4f, 0.25f, 0x1p-20f, 1e-3f };
	static const float scales[] = { 0.02f, 0.1f, 0.4f, -0.2f, 1.5f };

	h->coef[0] = conf_bits(pick(c, bounds, 4));
	if (conf_below(c, 4)) {
		h->flags |= DAMF_HEAD_SCALE;
		h->scale = conf_bits(pick(c, scales, 5));
	}
}

static void draw_head(struct conf *c, const struct conf_case *k, struct damf_head *h)
{
	bool tame = k->p[4] == CONF_RANDOM || k->p[4] == CONF_TINY;

	h->mode = (uint16_t)(k->p[3] == MIXED ? conf_below(c, 5) : k->p[3]);
	h->d_v = (uint16_t)(1 + conf_below(c, k->p[1]));
	if (h->mode == DAMF_MODE_MHSA) {
		h->d_qk = (uint16_t)(1 + conf_below(c, k->p[1]));
		h->scale = conf_bits(1.0f / sqrtf((float)h->d_qk));
	} else {
		h->rank = 1;
	}
	if (h->mode == DAMF_MODE_SHIFT) {
		h->order = 1;
		h->coef[0] = h->coef[1] = conf_bits(1.0f);
	} else if (h->mode == DAMF_MODE_FOLD || h->mode == DAMF_MODE_FOLDSHIFT) {
		draw_polynomial(c, h, tame);
	} else if (h->mode == DAMF_MODE_SOFTFOLD) {
		draw_softfold(c, h);
	}
	draw_static(c, h);
}

/* Columns are given out from a head on that need not be the first; q come before p. */
static void place_heads(struct conf *c, struct conf_layer *l, struct damf_head *heads)
{
	uint32_t from = conf_below(c, l->nheads);

	for (uint32_t i = 0; i < l->nheads; i++) {
		struct damf_head *h = &heads[(from + i) % l->nheads];

		h->v_col = l->nv;
		l->nv += h->d_v;
		if (h->mode == DAMF_MODE_MHSA) {
			h->qk_col = l->nqk;
			l->nqk += h->d_qk;
		} else {
			h->q_col = l->npq;
			h->p_col = l->npq + h->rank + conf_below(c, 2);
			l->npq = h->p_col + h->rank;
		}
	}
}

static void run_drawn(struct conf *c, const struct conf_case *k)
{
	struct damf_head heads[CONF_HEADS] = { 0 };
	struct conf_layer l = {
		.batch = k->p[0] == LONG ? &long_batch : &conf_batches[k->p[0]],
		.width = k->p[1], .nheads = k->p[2], .data = (enum conf_data)k->p[4],
	};

	for (uint32_t i = 0; i < l.nheads; i++)
		draw_head(c, k, &heads[i]);
	place_heads(c, &l, heads);
	conf_layer_make(c, &l, heads);
	conf_layer_run(c, &l);
	conf_layer_check(c, &l);
}

static void add(struct conf_suite *s, const unsigned int *p)
{
	struct conf_case *k = conf_add(s, run_drawn, "drawn %s batch %u width %u heads %u %s %u",
				       mode_names[p[3]], p[0], p[1], p[2], conf_data_names[p[4]],
				       p[5]);

	memcpy(k->p, p, 6 * sizeof(*p));
}

static void add_mode(struct conf_suite *s, unsigned int mode)
{
	static const unsigned int shapes[][2] = { /* width, heads */
		{ 1, 1 }, { 24, 1 }, { 33, 3 }, { 48, 2 }, { 70, 5 },
	};
	unsigned int number = 0;

	for (unsigned int b = 0; b < CONF_BATCHES; b++) {
		for (unsigned int i = 0; i < 5; i++)
			add(s, (unsigned int[]){ b, shapes[i][0], shapes[i][1], mode, CONF_RANDOM,
						 number++ });
	}
	for (unsigned int i = 0; i < 3; i++)
		add(s, (unsigned int[]){ LONG, 24, 3, mode, CONF_RANDOM, number++ });
	for (unsigned int data = 1; data < CONF_DATA_END; data++)
		add(s, (unsigned int[]){ 2 + data % 4, 33, 4, mode, data, number++ });
}

void conf_add_drawn(struct conf_suite *s)
{
	for (unsigned int mode = 0; mode <= MIXED; mode++)
		add_mode(s, mode);
}
