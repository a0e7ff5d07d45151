// SPDX-License-Identifier: MIT
/*
 * Many small layers of SHIFT and FOLDSHIFT heads, each to the bit. p and q are
 * columns of X as they are, in most of them, so that they can be what is hard:
 * at the edges of the windows, around the root of 2, with denominators of 0.
 */
#include <math.h>
#include <string.h>

#include "conf.h"

/* What p, q and the rest of X look like. */
enum look {
	LOOK_RANDOM,
	LOOK_POWERS,		/* of two, over more than a window */
	LOOK_HALVES,		/* small multiples of 1/2: ties */
	LOOK_FEW,		/* mostly zeros */
	LOOK_OPPOSED,		/* all scores the same and negative: D is 0 */
	LOOK_ROOT,		/* the floats around powers of two times the root of 2 */
	LOOK_LARGE,		/* up to the largest */
	LOOK_TINY,		/* about 2^-100, and subnormal */
	LOOK_POISON,		/* one number isn't finite */
	LOOK_END,
};

static float power(struct conf *c, int low, int high)
{
	float f = ldexpf(1.0f, low + (int)conf_below(c, (uint32_t)(high - low + 1)));

	return conf_below(c, 2) ? f : -f;
}

static float number(struct conf *c, enum look look, uint32_t col)
{
	float x = (float)(int32_t)(conf_random(c) >> 40) * 0x1p-23f - 1.0f;

	switch (look) {
	case LOOK_POWERS:
		return power(c, -14, 1);
	case LOOK_HALVES:
		return (float)((int)conf_below(c, 17) - 8) * 0.5f;
	case LOOK_FEW:
		return conf_below(c, 4) ? 0.0f : x;
	case LOOK_OPPOSED:
		return col == 0 ? -3.0f : col == 1 ? 2.0f : x;
	case LOOK_ROOT:
		return power(c, -8, 8) * (0x1.6a09e6p0f + (float)conf_below(c, 2) * 0x1p-23f);
	case LOOK_LARGE:
		return x * ldexpf(1.0f, 60 + (int)conf_below(c, 68));
	case LOOK_TINY:
		return conf_below(c, 2) ? x * ldexpf(1.0f, -98 - (int)conf_below(c, 50))
					: power(c, -104, -98);
	default:
		return x;
	}
}

static void fill(struct conf *c, const struct conf_layer *l)
{
	enum look look = (enum look)conf_below(c, LOOK_END);
	static const float poisons[] = { NAN, INFINITY, -INFINITY };

	for (uint32_t i = 0; i < l->x.rows; i++) {
		for (uint32_t j = 0; j < l->x.cols; j++)
			*conf_at(&l->x, i, j) = number(c, look, j);
	}
	if (look == LOOK_POISON)
		*conf_at(&l->x, conf_below(c, l->x.rows), conf_below(c, l->x.cols)) =
			poisons[conf_below(c, 3)];
}

/* Columns of X as they are, the first ones first, without bias. */
static void pick_columns(const struct conf_tensor *w, const struct conf_tensor *b)
{
	for (uint32_t i = 0; i < w->rows * w->cols; i++)
		w->plain[i] = i / w->cols == i % w->cols % w->rows ? 1.0f : 0.0f;
	for (uint32_t j = 0; j < b->cols; j++)
		*conf_at(b, 0, j) = 0.0f;
	conf_repack(w);
}

static void draw_polynomial(struct conf *c, struct damf_head *h)
{
	static const float coefs[] = { 1.0f, 1.0f, 0.5f, -0.25f, 0.0f, 2.0f, 0x1p-14f };

	h->order = (uint16_t)(1 + conf_below(c, 4));
	h->flags = (uint16_t)conf_below(c, 4);
	if (h->flags & DAMF_HEAD_SCALE)
		h->scale = conf_bits(power(c, -6, 2));
	for (unsigned int k = 0; k <= h->order; k++)
		h->coef[k] = conf_bits(coefs[conf_below(c, 7)]);
}

static void draw_heads(struct conf *c, struct conf_layer *l, struct damf_head *heads)
{
	for (uint32_t i = 0; i < l->nheads; i++) {
		struct damf_head *h = &heads[i];

		*h = (struct damf_head){
			.mode = conf_below(c, 2) ? DAMF_MODE_SHIFT : DAMF_MODE_FOLDSHIFT,
			.d_v = (uint16_t)(1 + conf_below(c, 5)), .v_col = l->nv, .rank = 1,
			.order = 1, .p_col = 2 * i, .q_col = 2 * i + 1,
			.coef = { conf_bits(1.0f), conf_bits(1.0f) },
		};
		l->nv += h->d_v;
		if (h->mode == DAMF_MODE_FOLDSHIFT && conf_below(c, 3))
			draw_polynomial(c, h);
		if (conf_below(c, 8) == 0) {
			h->flags |= DAMF_HEAD_BAND;
			h->band[conf_below(c, 15)] = conf_bits(power(c, -2, 2));
		}
		if (conf_below(c, 8) == 0) {
			h->flags |= DAMF_HEAD_SINKS;
			h->sink[conf_below(c, 2)] = conf_bits(power(c, -2, 2));
		}
	}
}

/* Up to five sequences, some of them empty, at least one token. */
static struct conf_batch draw_batch(struct conf *c)
{
	struct conf_batch b = { .seqs = 1 + conf_below(c, 5) };

	for (uint32_t i = 0; i < b.seqs; i++) {
		uint32_t len = conf_below(c, 3) ? 1 + conf_below(c, 9) : conf_below(c, 2);

		b.tokens += len;
		b.offsets[i + 1] = (int32_t)b.tokens;
	}
	if (!b.tokens)
		b.offsets[b.seqs] = (int32_t)++b.tokens;
	return b;
}

/* Equal bits, or both not a number. */
static void judge(struct conf *c, const struct conf_layer *l, uint32_t layer)
{
	struct ref_mat want = conf_layer_want(l);

	for (size_t i = 0; i < want.rows * want.cols; i++) {
		float got = *conf_at(&l->y, (uint32_t)(i / want.cols), (uint32_t)(i % want.cols));
		float expected = (float)want.v[i];

		if (want.e[i] != 0.0)
			conf_fail("%s: the reference has no bits for layer %u", c->name, layer);
		if (conf_bits(got) != conf_bits(expected) && !(isnan(got) && isnan(expected)))
			conf_fail("%s: layer %u [%zu] is %a, the reference %a", c->name, layer, i,
				  (double)got, (double)expected);
	}
	ref_free(&want);
}

/* Which not-a-number it is isn't promised. */
static void record(struct conf *c, const struct conf_tensor *y)
{
	uint32_t row[16];

	for (uint32_t i = 0; i < y->rows; i++) {
		for (uint32_t j = 0; j < y->cols; j++) {
			float x = *conf_at(y, i, j);

			row[j] = isnan(x) ? CONF_CANARY : conf_bits(x);
		}
		conf_record(c, "output", row, y->cols * sizeof(row[0]));
	}
}

/* Mostly f32: powers of two are the same with any. */
static void draw_type(struct conf *c)
{
	static const uint16_t types[][2] = {
		{ DAMF_TYPE_F32, 0 }, { DAMF_TYPE_BF16, 0 }, { DAMF_TYPE_I8, DAMF_TYPE_I8 },
		{ DAMF_TYPE_I8, DAMF_TYPE_I16 },
	};
	uint32_t i = conf_below(c, 2) ? conf_below(c, 4) : 0;

	c->type = types[i][0];
	c->xtype = types[i][1];
}

static void one_layer(struct conf *c, uint32_t layer)
{
	struct damf_head heads[CONF_HEADS];
	struct conf_batch batch = draw_batch(c);
	struct conf_layer l = {
		.batch = &batch, .width = 2 + conf_below(c, 8), .nheads = 1 + conf_below(c, 3),
	};

	l.npq = 2 * l.nheads;
	draw_type(c);
	draw_heads(c, &l, heads);
	conf_layer_make(c, &l, heads);
	fill(c, &l);
	if (conf_below(c, 8))
		pick_columns(&l.wpq, &l.bpq);
	if (conf_below(c, 2))
		pick_columns(&l.wv, &l.bv);
	if (conf_below(c, 2))
		pick_columns(&l.wo, &l.bo);
	conf_layer_run(c, &l);
	if (c->reference) {
		judge(c, &l, layer);
		conf_layer_counts(c, &l);
	}
	record(c, &l.y);
}

/* p: layers */
static void run_integers(struct conf *c, const struct conf_case *k)
{
	for (uint32_t i = 0; i < k->p[0]; i++) {
		uint64_t seed = c->seed;

		conf_begin(c, k->name, false);
		c->seed = seed;
		one_layer(c, i);
	}
}

void conf_add_integers(struct conf_suite *s, unsigned int layers)
{
	/* in parts, so that a failure names one that can be run alone */
	for (unsigned int part = 0; layers; part++) {
		struct conf_case *k = conf_add(s, run_integers, "integers, part %u", part);

		k->p[0] = layers < 1000 ? layers : 1000;
		layers -= k->p[0];
	}
}
