// SPDX-License-Identifier: MIT
/* Cases of heads with parameters of every kind, in tables that mix them. */
#include <stdio.h>
#include <string.h>

#include "conf.h"

/* A head but for where its columns are. */
struct spec {
	unsigned int mode, flags, width, rank, order;	/* width: d_qk */
	float scale, coef[5], sink[2], band[15];
};

#define FOLD(rank_, order_, ...) \
	.mode = DAMF_MODE_FOLD, .rank = rank_, .order = order_, .coef = { __VA_ARGS__ }
#define SHIFT		.mode = DAMF_MODE_SHIFT, .rank = 1, .order = 1, .coef = { 1, 1 }
#define FOLDSHIFT(order_, ...) \
	.mode = DAMF_MODE_FOLDSHIFT, .rank = 1, .order = order_, .coef = { __VA_ARGS__ }
#define SOFT(bound)	.mode = DAMF_MODE_SOFTFOLD, .rank = 1, .coef = { bound }
#define MHSA(width_)	.mode = DAMF_MODE_MHSA, .width = width_, .scale = 0.3f
#define SCALE(g)	.flags = DAMF_HEAD_SCALE, .scale = g

#define CENTRED		DAMF_HEAD_CENTRED
#define SCALED		DAMF_HEAD_SCALE
#define BAND		DAMF_HEAD_BAND
#define SINKS		DAMF_HEAD_SINKS

static const struct table {
	const char *name;
	struct spec heads[6];
	bool tame;	/* powers of large scores overflow */
} tables[] = {
	{ .name = "paper's form",
	  .heads = { { FOLD(1, 1, 1, 1) } } },
	{ .name = "centred",
	  .heads = { { FOLD(1, 1, 1, 1), .flags = CENTRED },
		     { FOLD(1, 1, 1, 1), .flags = CENTRED | SCALED, .scale = 0.7f } } },
	{ .name = "squared",
	  .heads = { { FOLD(1, 2, 1, 1, 0.25f), SCALE(0.5f) },
		     { FOLD(1, 2, 0.64f, 1.6f, 1), .flags = CENTRED } } },
	{ .name = "orders",
	  .heads = { { FOLD(1, 1, 2, -1) }, { FOLD(1, 2, 1, 1, 0.5f) },
		     { FOLD(1, 3, 1, 1, 0.5f, 0.1666667f) },
		     { FOLD(1, 4, 1, 1, 0.5f, 0.1666667f, 0.0416667f) } } },
	{ .name = "fourth powers", .tame = true,
	  .heads = { { FOLD(1, 4, 1, 0, 0, 0, 1), SCALE(-0.25f) } } },
	{ .name = "ranks",
	  .heads = { { FOLD(2, 1, 1, 1) }, { FOLD(7, 1, 1, 1) },
		     { FOLD(24, 1, 1, 1), .flags = CENTRED },
		     { FOLD(3, 1, 3, -1), SCALE(0.1f) } } },
	{ .name = "bands",
	  .heads = { { FOLD(1, 1, 1, 1), .flags = BAND, .band = { [6] = 1, [7] = -2, [8] = 0.5f } },
		     { MHSA(5), .flags = BAND, .band = { [0] = 1, [14] = 1 } },
		     { SOFT(1e-4f), .flags = BAND, .band = { [7] = 1 } } } },
	{ .name = "sinks",
	  .heads = { { FOLD(1, 1, 1, 1), .flags = SINKS, .sink = { 0.5f, -0.25f } },
		     { MHSA(4), .flags = SINKS, .sink = { 1, 1 } },
		     { SOFT(1e-3f), .flags = SINKS, .sink = { 0, 2 } } } },
	{ .name = "softfold",
	  .heads = { { SOFT(1e-4f), SCALE(0.05f) }, { SOFT(1e-5f), SCALE(0.2f) },
		     { SOFT(0x1p-20f), SCALE(0.01f) }, { SOFT(0.5f), SCALE(-1) },
		     { SOFT(1e-2f), SCALE(0.5f) } } },
	{ .name = "softfold direct",
	  .heads = { { SOFT(0x1p-20f), SCALE(20) }, { SOFT(1e-4f), SCALE(-5) } } },
	{ .name = "all kinds",
	  .heads = { { SOFT(1e-4f), SCALE(0.1f) }, { MHSA(7) }, { FOLD(4, 1, 1, 1) },
		     { SOFT(1e-4f), SCALE(10) },
		     { FOLD(1, 2, 1, 1, 0.5f), .flags = BAND | SINKS, .sink = { 0.1f, 0.2f } },
		     { MHSA(2), .flags = SINKS, .sink = { -1, 0 } } } },
	/* of these the reference knows every bit */
	{ .name = "shift",
	  .heads = { { SHIFT }, { SHIFT }, { SHIFT } } },
	{ .name = "foldshift",
	  .heads = { { FOLDSHIFT(1, 1, 1) }, { FOLDSHIFT(1, 1, 1), .flags = CENTRED },
		     { FOLDSHIFT(1, 1, 1), SCALE(0.4f) },
		     { FOLDSHIFT(1, 2, -1), .flags = CENTRED | SCALED, .scale = -0.7f } } },
	{ .name = "foldshift of every order",
	  .heads = { { FOLDSHIFT(2, 0.25f, 1, 1) },
		     { FOLDSHIFT(2, 0.64f, 1.6f, 1), .flags = CENTRED },
		     { FOLDSHIFT(3, 1, 1, 0.5f, 0.1666667f), SCALE(0.2f) },
		     { FOLDSHIFT(4, 1, 0, 0.5f, 0, -1) },
		     { FOLDSHIFT(4, 1, 1, 0.5f, 0.1666667f, 0.0416667f),
		       .flags = CENTRED | SCALED, .scale = 0.1f } } },
	{ .name = "powers of two",
	  .heads = { { SHIFT, .flags = BAND, .band = { [6] = 0.5f, [9] = -1 } },
		     { FOLDSHIFT(1, 1, 1), .flags = BAND, .band = { [7] = 1 } },
		     { FOLDSHIFT(2, 1, 1, 0.25f), .flags = CENTRED | SINKS, .sink = { 0.5f, -1 } },
		     { SHIFT, .flags = SINKS, .sink = { 0.25f, 0.25f } } } },
	{ .name = "powers of two among others",
	  .heads = { { MHSA(5) }, { FOLDSHIFT(1, 1, 1) }, { SHIFT }, { FOLD(1, 1, 1, 1) },
		     { SOFT(1e-4f), SCALE(0.1f) },
		     { FOLDSHIFT(2, 1, 1, 0.5f), .flags = BAND | SINKS, .sink = { 1, 0 },
		       .band = { [0] = 1, [14] = 2 } } } },
};
#define TABLES	(sizeof(tables) / sizeof(tables[0]))

static const struct conf_batch batches[] = {
	{ 1, 1, { 0, 1 } },
	{ 4, 11, { 0, 3, 3, 10, 11 } },
	{ 5, 301, { 0, 2, 70, 70, 300, 301 } },
	{ 2, 4099, { 0, 3, 4099 } },
	{ 3, 32771, { 0, 32768, 32768, 32771 } },
};

enum { BATCHES = 3, BATCH_4096 = 3, BATCH_LONGEST = 4 };

/* Widths that differ, columns in the opposite order. */
static void lay_out(const struct table *t, uint32_t width, struct conf_layer *l,
		    struct damf_head *heads)
{
	while (l->nheads < 6 && (t->heads[l->nheads].rank || t->heads[l->nheads].width)) {
		const struct spec *s = &t->heads[l->nheads];
		struct damf_head *h = &heads[l->nheads];

		*h = (struct damf_head){
			.mode = (uint16_t)s->mode, .flags = (uint16_t)s->flags,
			.d_qk = (uint16_t)s->width, .d_v = (uint16_t)(width + 3 * l->nheads % 5),
			.qk_col = s->width ? l->nqk : 0, .rank = (uint16_t)s->rank,
			.order = (uint16_t)s->order,
			.scale = s->flags & SCALED || s->width ? conf_bits(s->scale) : 0,
			.p_col = s->rank ? l->npq : 0, .q_col = s->rank ? l->npq + s->rank : 0,
			.sink = { conf_bits(s->sink[0]), conf_bits(s->sink[1]) },
		};
		for (int k = 0; k < 5; k++)
			h->coef[k] = conf_bits(s->coef[k]);
		for (int o = 0; o < 15; o++)
			h->band[o] = conf_bits(s->band[o]);
		l->nqk += h->d_qk;
		l->npq += 2 * s->rank;
		l->nv += h->d_v;
		l->nheads++;
	}
	for (uint32_t h = l->nheads, col = 0; h--; col += heads[h].d_v)
		heads[h].v_col = col;
}

/* p: table, batch, width, d_v, data */
static void run_heads(struct conf *c, const struct conf_case *k)
{
	struct damf_head heads[CONF_HEADS];
	struct conf_layer l = {
		.batch = &batches[k->p[1]], .width = k->p[2], .data = (enum conf_data)k->p[4],
	};

	lay_out(&tables[k->p[0]], k->p[3], &l, heads);
	conf_layer_make(c, &l, heads);
	conf_layer_run(c, &l);
	conf_layer_check(c, &l);
}

static void add(struct conf_suite *s, const unsigned int *p)
{
	struct conf_case *k = conf_add(s, run_heads, "heads, %s batch %u width %u d_v %u %s",
				       tables[p[0]].name, p[1], p[2], p[3], conf_data_names[p[4]]);

	memcpy(k->p, p, sizeof(k->p));
}

void conf_add_heads(struct conf_suite *s)
{
	for (unsigned int t = 0; t < TABLES; t++) {
		for (unsigned int b = 0; b < BATCHES; b++) {
			add(s, (unsigned int[8]){ t, b, 24, 24, CONF_RANDOM });
			add(s, (unsigned int[8]){ t, b, 45, 11, CONF_RANDOM });
		}
		for (unsigned int data = 1; data < CONF_DATA_END; data++) {
			if (tables[t].tame && (data == CONF_HUGE || data == CONF_MIXED))
				continue;
			add(s, (unsigned int[8]){ t, 1 + data % 2, 33, 5, data });
		}
		add(s, (unsigned int[8]){ t, 2, 384, 32, CONF_RANDOM });
	}
}

static unsigned int find_table(const char *name)
{
	unsigned int t = 0;

	while (strcmp(tables[t].name, name))
		t++;
	return t;
}

void conf_add_long(struct conf_suite *s)
{
	add(s, (unsigned int[8]){ find_table("shift"), BATCH_4096, 24, 8, CONF_RANDOM });
	add(s, (unsigned int[8]){ find_table("foldshift"), BATCH_LONGEST, 24, 8, CONF_RANDOM });
	add(s, (unsigned int[8]){ find_table("foldshift of every order"), BATCH_LONGEST, 40, 8,
				  CONF_ONES });
}
