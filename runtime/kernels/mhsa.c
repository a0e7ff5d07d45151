// SPDX-License-Identifier: MIT
/* Exact heads: projections in the layouts that the kernel wants, then the heads. */
#include <string.h>

#include "attention.h"

/* The sequence that a token of the group is in. */
static const struct att_seq *seq_of(const struct att *t, size_t token)
{
	size_t low = 0, high = t->nseq;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (t->seq[mid].from <= token)
			low = mid;
		else
			high = mid;
	}
	return &t->seq[low];
}

/* One token's columns of a panel become a lane of blocks [nqk][width]. */
static void put_lane(const struct damf_gemm *g, size_t panel, const float *v, float *block,
		     size_t width, size_t lane, size_t fill)
{
	size_t first = panel * DAMF_PANEL_COLS, cols = g->col1 - first;

	if (cols > DAMF_PANEL_COLS)
		cols = DAMF_PANEL_COLS;
	block += first * width + lane;
	for (size_t j = 0; j < cols; j++, block += width) {
		block[0] = v[j];
		for (size_t i = 1; i <= fill; i++)
			block[i] = 0.0f;
	}
}

/* Lanes behind the last query hold zeros. */
static void put_queries(const struct damf_gemm *g, const struct damf_tile *tile)
{
	const struct att *t = g->opaque;
	const struct att_seq *s = seq_of(t, tile->row);

	for (size_t r = 0; r < tile->rows; r++) {
		size_t n = tile->row + r - s->from, lane, block;

		if (n == s->len) {
			s++;
			n = 0;
		}
		lane = n % DAMF_PANEL_COLS;
		block = s->qfirst + n / DAMF_PANEL_COLS;
		put_lane(g, tile->panel, tile->v + r * DAMF_PANEL_COLS,
			 t->q + block * t->a->nqk * DAMF_PANEL_COLS, DAMF_PANEL_COLS, lane,
			 n + 1 == s->len ? DAMF_PANEL_COLS - 1 - lane : 0);
	}
}

static void put_keys(const struct damf_gemm *g, const struct damf_tile *tile)
{
	const struct att *t = g->opaque;
	const struct att_seq *s = seq_of(t, tile->row);

	for (size_t r = 0; r < tile->rows; r++) {
		size_t n = tile->row + r - s->from, block;

		if (n == s->len) {
			s++;
			n = 0;
		}
		block = s->kfirst + n / DAMF_KEY_GROUP;
		put_lane(g, tile->panel, tile->v + r * DAMF_PANEL_COLS,
			 t->k + block * t->a->nqk * DAMF_KEY_GROUP, DAMF_KEY_GROUP,
			 n % DAMF_KEY_GROUP, 0);
	}
}

static int project(struct att *t)
{
	const struct damf_attention_args *a = t->a;
	const struct damf_seg x = { .x = t->x, .ldx = a->ldx, .in = a->width, .k = a->width };
	struct damf_gemm *g = t->gemm;

	for (size_t i = 0; i < 3; i++) {
		t->seg[i] = x;
		t->seg[i].w = i == 0 ? a->wq : i == 1 ? a->wk : a->wv;
	}
	*g++ = (struct damf_gemm) { .seg = &t->seg[0], .nseg = 1, .rows = t->tokens,
		.col1 = a->nqk, .bias = a->bq, .sink = put_queries, .opaque = t };
	*g++ = (struct damf_gemm) { .seg = &t->seg[1], .nseg = 1, .rows = t->tokens,
		.col1 = a->nqk, .bias = a->bk, .sink = put_keys, .opaque = t };
	for (size_t i = 0; i < t->nrun; i++)
		*g++ = (struct damf_gemm) { .seg = &t->seg[2], .nseg = 1, .rows = t->tokens,
			.col0 = t->run[i].col, .col1 = t->run[i].col + t->run[i].cols,
			.bias = a->bv, .y = t->v + t->run[i].col, .ldy = t->ldv };
	return damf_run_gemms(t->ex, t->gemm, (size_t)(g - t->gemm));
}

static void count_project(const struct att *t)
{
	const struct damf_attention_args *a = t->a;

	damf_count_weight(t->ex, t->tokens, a->width, a->nqk, a->bq);
	damf_count_weight(t->ex, t->tokens, a->width, a->nqk, a->bk);
	damf_count_weight(t->ex, t->tokens, a->width, t->d_v, a->bv);
	DAMF_COUNT_F32(t->ex, read_activations, 3 * t->tokens * a->width);
	DAMF_COUNT_F32(t->ex, write_intermediates, t->tokens * (2 * a->nqk + t->d_v));
}

/* Up to 32 queries of one head of one sequence. */
static void mhsa_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;
	const struct att_seq *s = t->seq;
	const struct damf_k_head *head = t->mhsa[item % t->nmhsa];
	size_t block = item / t->nmhsa, first, nqk = t->a->nqk;
	struct damf_mhsa m;

	while (block >= att_panels(s->len))
		block -= att_panels(s++->len);
	first = block * DAMF_PANEL_COLS;
	m = (struct damf_mhsa) {
		.q = t->q + ((s->qfirst + block) * nqk + head->qk_col) * DAMF_PANEL_COLS,
		.k = t->k + (s->kfirst * nqk + head->qk_col) * DAMF_KEY_GROUP,
		.kgroup = nqk * DAMF_KEY_GROUP,
		.v = t->v + s->from * t->ldv + head->v_col, .ldv = t->ldv,
		.len = s->len, .d_qk = head->d_qk, .d_v = head->d_v, .scale = head->scale,
		.queries = s->len - first < DAMF_PANEL_COLS ? s->len - first : DAMF_PANEL_COLS,
		.p = t->p + worker * t->longest * DAMF_PANEL_COLS,
		.o = t->o + (s->from + first) * t->ldv + head->v_col, .ldo = t->ldv,
	};
	t->ex->isa->mhsa(&m);
}

/* Scores and weights lie in scratch, each written once and read once. */
static void count_heads(struct att *t)
{
	uint64_t pairs = 0;

	for (size_t i = 0; i < t->nseq; i++)
		pairs += (uint64_t)t->seq[i].len * t->seq[i].len;
	DAMF_COUNT(t->ex, dynamic_macs, pairs * (t->d_qk + t->d_v));
	DAMF_COUNT(t->ex, exps, pairs * t->nmhsa);
	DAMF_COUNT(t->ex, divs, t->tokens * t->nmhsa);
	t->scores += 4 * 2 * pairs * t->nmhsa;
	DAMF_COUNT_F32(t->ex, read_intermediates,
		       t->tokens * (2 * t->d_qk + t->d_v) + 2 * pairs * t->nmhsa);
	DAMF_COUNT_F32(t->ex, write_intermediates, t->tokens * t->d_v + 2 * pairs * t->nmhsa);
}

int damf_att_mhsa(struct att *t)
{
	const struct att_seq *last = &t->seq[t->nseq - 1];
	size_t blocks = last->qfirst + att_panels(last->len);
	int rc = project(t);

	if (rc)
		return rc;
	count_project(t);
	rc = damf_run_items(t->ex, mhsa_item, t, blocks * t->nmhsa);
	if (rc)
		return rc;
	count_heads(t);
	return 0;
}
