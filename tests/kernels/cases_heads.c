// SPDX-License-Identifier: MIT
/* Heads with all kinds of parameters, on batches and data that are awkward. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"

#define HEADS	16

#define BAND_OF(...)	.flags = DAMF_K_BAND, .band = { __VA_ARGS__ }

/* Of columns there is only how many: where they lie is told below. */
static const struct damf_k_head plain[] = {
	{ .mode = DAMF_K_FOLD, .rank = 1, .order = 1, .coef = { 1, 1 } },
	{ .mode = DAMF_K_FOLD, .rank = 1, .order = 1, .coef = { 1, 1 }, .flags = DAMF_K_CENTRED },
	{ .mode = DAMF_K_FOLD, .rank = 1, .order = 2, .coef = { 0.64f, 1.6f, 1 },
	  .flags = DAMF_K_SCALE, .scale = 0.3f },
	{ .mode = DAMF_K_FOLD, .rank = 1, .order = 4, .coef = { 1, -0.7f, 0.5f, 0, -0.1f } },
	{ .mode = DAMF_K_FOLD, .rank = 3, .order = 1, .coef = { 1, 1 } },
	{ .mode = DAMF_K_FOLD, .rank = 2, .order = 1, .coef = { 0.5f, -2 },
	  .flags = DAMF_K_CENTRED | DAMF_K_SCALE, .scale = -0.2f },
	{ .mode = DAMF_K_FOLD, .rank = 1, .order = 1, .coef = { 0, 1 } },
	{ .mode = DAMF_K_FOLD, .rank = 5, .order = 1, .coef = { -1, 3 }, .flags = DAMF_K_CENTRED },
	{ .mode = DAMF_K_FOLD, .rank = 1, .order = 3, .coef = { 1, 1, 0.5f, 0.1666667f },
	  .flags = DAMF_K_CENTRED | DAMF_K_SCALE, .scale = 0.05f },
};

static const struct damf_k_head soft[] = {
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 1e-4f } },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 0.5f }, .flags = DAMF_K_SCALE,
	  .scale = 0.25f },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 0x1p-20f }, .flags = DAMF_K_SCALE,
	  .scale = -0.05f },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 1e-3f }, .flags = DAMF_K_SCALE,
	  .scale = 1000.0f },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 1e-2f }, .flags = DAMF_K_SCALE,
	  .scale = 1e-30f },
};

static const struct damf_k_head mixed[] = {
	{ .mode = DAMF_K_MHSA, .d_qk = 5, .scale = 0.4f, BAND_OF(0, 0, 0, 0, 0, 0, 0.5f, 0, -1) },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 1e-3f },
	  BAND_OF(1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, -0.0f) },
	{ .mode = DAMF_K_MHSA, .d_qk = 2, .scale = 1.0f, .flags = DAMF_K_SINKS,
	  .sink = { 0.25f, -0.75f } },
	{ .mode = DAMF_K_FOLD, .rank = 1, .order = 2, .coef = { 1, 1, 0.5f },
	  .flags = DAMF_K_BAND | DAMF_K_SINKS | DAMF_K_CENTRED, .sink = { 0, 1 },
	  .band = { 1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 1 } },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 1e-4f }, .scale = 1000.0f,
	  .flags = DAMF_K_SCALE | DAMF_K_BAND | DAMF_K_SINKS, .sink = { 0.5f, 0.5f },
	  .band = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } },
	{ .mode = DAMF_K_FOLD, .rank = 4, .order = 1, .coef = { 1, 1 }, .flags = DAMF_K_BAND },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 1e-4f } },
	{ .mode = DAMF_K_MHSA, .d_qk = 3, .scale = -0.5f },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 1e-5f }, .flags = DAMF_K_SCALE,
	  .scale = 500.0f },
};

static const struct damf_k_head sinks[] = {
	{ .mode = DAMF_K_MHSA, .d_qk = 2, .scale = 1.0f, .flags = DAMF_K_SINKS,
	  .sink = { -0.25f, 3 } },
	{ .mode = DAMF_K_MHSA, .d_qk = 1, .scale = 2.0f },
};

static const struct damf_k_head shifts[] = {
	{ .mode = DAMF_K_SHIFT, .rank = 1, .order = 1, .coef = { 1, 1 } },
	{ .mode = DAMF_K_SHIFT, .rank = 1, .order = 1, .coef = { 1, 1 },
	  .flags = DAMF_K_BAND | DAMF_K_SINKS, .sink = { 1, -0.5f },
	  .band = { 0, 0, 0, 0, 0, 0, 1, 0, 0.5f } },
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 1, .coef = { 1, 1 } },
	{ .mode = DAMF_K_MHSA, .d_qk = 3, .scale = -0.5f },
	{ .mode = DAMF_K_SHIFT, .rank = 1, .order = 1, .coef = { 1, 1 } },
};

static const struct damf_k_head foldshifts[] = {
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 1, .coef = { 1, 1 } },
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 1, .coef = { 1, 1 },
	  .flags = DAMF_K_CENTRED },
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 2, .coef = { 0.64f, 1.6f, 1 },
	  .flags = DAMF_K_SCALE | DAMF_K_CENTRED, .scale = 0.3f },
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 4, .coef = { 1, -0.7f, 0.5f, 0, -0.1f } },
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 3, .coef = { 0, 1, 1e-9f, 3 },
	  .flags = DAMF_K_SCALE | DAMF_K_BAND | DAMF_K_SINKS, .scale = -8.0f, .sink = { 0, 1 },
	  .band = { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2 } },
	{ .mode = DAMF_K_FOLD, .rank = 1, .order = 1, .coef = { 1, 1 } },
	{ .mode = DAMF_K_SOFTFOLD, .rank = 1, .coef = { 1e-3f } },
	{ .mode = DAMF_K_SHIFT, .rank = 1, .order = 1, .coef = { 1, 1 } },
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 1, .coef = { 0, 0 } },
};

static const struct damf_k_head only_foldshifts[] = {
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 1, .coef = { 1, 1 } },
	{ .mode = DAMF_K_FOLDSHIFT, .rank = 1, .order = 2, .coef = { 0.25f, 1, 1 },
	  .flags = DAMF_K_SCALE, .scale = 1e-3f },
};

#define TABLE(heads, name)	{ heads, sizeof(heads) / sizeof((heads)[0]), name }
static const struct {
	const struct damf_k_head *heads;
	size_t n;
	const char *name;
} tables[] = { TABLE(plain, "folds"), TABLE(soft, "softfolds"), TABLE(mixed, "of all kinds"),
	       TABLE(sinks, "with sinks"), TABLE(shifts, "with shift"),
	       TABLE(foldshifts, "with foldshift"), TABLE(only_foldshifts, "foldshift") };

#define TABLES	(sizeof(tables) / sizeof(tables[0]))

/* What scores are like. */
enum trick {
	NONE, P_CONSTANT, Q_CONSTANT, ALL_ZERO, ALL_NEGATIVE, NEAR_ZERO, TINY_RANGE, NAN_TOKEN,
	INF_TOKEN, HUGE, TRICKS,
};
static const char *const trick_names[] = {
	"", ", p constant", ", q constant", ", no scores", ", all scores negative",
	", D near 0", ", p nearly constant", ", a NaN", ", an infinity", ", huge numbers",
};

/* Widths that are odd and differ, columns in another order than heads. */
static void lay_out(struct damf_k_head *heads, const struct damf_k_head *from, size_t n,
		    struct attention_layout *l)
{
	size_t v = 0;

	for (size_t h = 0; h < n; h++) {
		heads[h] = from[h];
		heads[h].d_v = 3 + 5 * h % 11;
		heads[h].qk_col = l->nqk;
		l->nqk += heads[h].d_qk;
		heads[h].p_col = l->npq;
		heads[h].q_col = l->npq + heads[h].rank;
		l->npq += 2 * heads[h].rank;
		l->nv += heads[h].d_v;
	}
	for (size_t h = n; h--; v += heads[h].d_v)
		heads[h].v_col = v;
	l->heads = n;
}

/* Columns of scores' factors: [first, first + n) of p, if it is p. */
static void set_columns(struct problem *p, size_t first, size_t n, float weight, float bias)
{
	struct damf_attention_args *a = &p->a.attention;
	float *w = (float *)(uintptr_t)a->wpq.data, *b = (float *)(uintptr_t)a->bpq;
	uint16_t *half = (uint16_t *)(uintptr_t)a->wpq.data;
	float *scales = (float *)(uintptr_t)a->wpq.scales;

	for (size_t c = first; c < first + n; c++) {
		for (size_t k = 0; k < a->width && a->wpq.type != DAMF_K_I8; k++) {
			size_t at = (c / 32 * a->width + k) * 32 + c % 32;
			float was = a->wpq.type == DAMF_K_F32 ? w[at] : (float)(half[at] >> 15);

			if (a->wpq.type == DAMF_K_F32)
				w[at] = was * weight;
			else
				damf_row_bf16(&half[at], &(float) { (1 - 2 * was) * weight }, 1);
		}
		if (scales)
			scales[c] *= weight;
		b[c] = bias;
	}
}

static void play(struct problem *p, enum trick trick)
{
	const struct damf_attention_args *a = &p->a.attention;

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		bool p_fixed = trick == P_CONSTANT || trick == ALL_ZERO || trick == ALL_NEGATIVE;
		bool q_fixed = trick == Q_CONSTANT || trick == ALL_ZERO || trick == ALL_NEGATIVE ||
			       trick == NEAR_ZERO;

		if (p_fixed)
			set_columns(p, head->p_col, head->rank, 0, trick == ALL_ZERO ? 0 : -1.5f);
		if (q_fixed)
			set_columns(p, head->q_col, head->rank, 0, trick == ALL_ZERO ? 0 : 0.75f);
		if (trick == NEAR_ZERO)
			set_columns(p, head->p_col, head->rank, 1e-6f, -1);
		if (trick == TINY_RANGE)
			set_columns(p, head->p_col, head->rank, 0x1p-148f, 0);
		if (trick == HUGE)
			set_columns(p, head->p_col, head->rank, 1e37f, 3e38f);
	}
	if (trick == NAN_TOKEN || trick == INF_TOKEN)
		p->x[p->x_elems / 2] = trick == NAN_TOKEN ? NAN : -INFINITY;
}

/* Empty ones, short ones, and some with more tokens than nodes or than are summed at once. */
static const int32_t ragged[] = { 0, 1, 1, 3, 10, 27, 27, 60, 141, 300 };
static const int32_t lone[] = { 0, 1 }, none[] = { 0, 0 }, many_tokens[] = {
	0, 30, 330, 630, 930, 1230, 1530, 1830, 2130,
};

/* So many terms that they take several rounds: of heads of one sequence, or of sequences. */
static void make_rounds(struct problem *p, bool many_heads, enum damf_k_mode mode)
{
	static const int32_t one[] = { 0, 600 };
	struct attention_layout l = {
		.name = "in rounds", .width = 3, .heads = many_heads ? 256 : 16, .out = 2,
		.nv = many_heads ? 256 : 16, .npq = 120, .bias = true,
	};
	struct damf_k_head heads[256];
	int32_t many[21] = { 0 };

	for (size_t h = 0; h < l.heads; h++)
		heads[h] = (struct damf_k_head) {
			.mode = mode, .d_v = 1, .v_col = l.heads - 1 - h, .q_col = 60,
			.rank = mode == DAMF_K_FOLD ? 60 : 1, .order = mode == DAMF_K_FOLD ? 1 : 4,
			.coef = { 1, (float)h - 8 },
			.flags = h % 5 ? 0 : DAMF_K_SINKS, .sink = { h % 5 ? 0 : 1, 0 },
		};
	for (int32_t i = 0; i < 20; i++)
		many[i + 1] = many[i] + 30 - i % 2;
	problem_heads(p, heads, &l, many_heads ? one : many, many_heads ? 1 : 20);
	/* or a group would have fewer sequences than a round takes */
	p->a.attention.scratchpad = (size_t)1 << 30;
}

bool problem_table(struct problem *p, size_t table, const int32_t *offsets, size_t seqs)
{
	struct attention_layout l = { .width = 40, .out = 35, .bias = true };
	struct damf_k_head heads[HEADS];

	if (table >= TABLES)
		return false;
	l.name = tables[table].name;
	lay_out(heads, tables[table].heads, tables[table].n, &l);
	problem_heads(p, heads, &l, offsets, seqs);
	return true;
}

bool problem_make_heads(struct problem *p, size_t i)
{
	static const size_t widths[] = { 40, 33, 24, 7 };
	size_t table = i % TABLES, trick = i / TABLES;
	struct damf_k_head heads[HEADS];
	struct attention_layout l = { .out = 37 };
	char name[60];

	if (trick >= TRICKS + 3) {
		size_t which = i - TABLES * (TRICKS + 3);

		if (which > 3)
			return false;
		make_rounds(p, which & 1, which & 2 ? DAMF_K_FOLDSHIFT : DAMF_K_FOLD);
		return true;
	}
	l.width = widths[(table + trick) % 4];
	l.bias = true;
	snprintf(name, sizeof(name), "%s%s", tables[table].name,
		 trick < TRICKS ? trick_names[trick] : "");
	l.name = name;
	lay_out(heads, tables[table].heads, tables[table].n, &l);
	if (trick < TRICKS) {
		problem_heads(p, heads, &l, ragged, sizeof(ragged) / sizeof(ragged[0]) - 1);
		play(p, (enum trick)trick);
		problem_count_attention(p);
		return true;
	}
	l.bias = trick == TRICKS;
	if (trick == TRICKS + 2)
		l.width = 5;
	problem_heads(p, heads, &l, trick == TRICKS ? lone : trick == TRICKS + 1 ? none : many_tokens,
		      trick == TRICKS + 2 ? 8 : 1);
	return true;
}
