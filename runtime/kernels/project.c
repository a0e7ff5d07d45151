// SPDX-License-Identifier: MIT
/* Projections of the tokens, in the layouts that what comes after wants. */
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

/* Tokens become lanes of blocks [nqk][width], each of one sequence. */
struct lanes {
	float *blocks;
	size_t width;
	/*
	 * Lanes behind the last token become zeros. What comes of them is thrown
	 * away, but should not be made of what memory happens to hold.
	 */
	bool fill;
};

typedef float quad __attribute__((vector_size(16)));

/* Four tokens' columns of a panel; v: [4][32]. */
static void put_four(const float *v, size_t cols, float *to, size_t width)
{
	size_t j = 0;

	for (; j + 4 <= cols; j += 4, v += 4) {
		quad a[4], low[2], high[2];

		for (size_t i = 0; i < 4; i++)
			memcpy(&a[i], v + i * DAMF_PANEL_COLS, sizeof(a[i]));
		for (size_t i = 0; i < 2; i++) {
			low[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 4, 1, 5);
			high[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 2, 6, 3, 7);
		}
		a[0] = __builtin_shufflevector(low[0], low[1], 0, 1, 4, 5);
		a[1] = __builtin_shufflevector(low[0], low[1], 2, 3, 6, 7);
		a[2] = __builtin_shufflevector(high[0], high[1], 0, 1, 4, 5);
		a[3] = __builtin_shufflevector(high[0], high[1], 2, 3, 6, 7);
		for (size_t i = 0; i < 4; i++, to += width)
			memcpy(to, &a[i], sizeof(a[i]));
	}
	for (; j < cols; j++, v++, to += width) {
		for (size_t i = 0; i < 4; i++)
			to[i] = v[i * DAMF_PANEL_COLS];
	}
}

static void put_one(const float *v, size_t cols, float *to, size_t width)
{
	for (size_t j = 0; j < cols; j++)
		to[j * width] = v[j];
}

/* Rows of a tile, whose sequences have blocks from first(s) on. */
static void put_lanes(const struct damf_gemm *g, const struct damf_tile *tile,
		      const struct lanes *l, size_t (*first)(const struct att_seq *s))
{
	const struct att *t = g->opaque;
	const struct att_seq *s = seq_of(t, tile->row);
	size_t cols = damf_panel_cols(g->col1, tile->panel);
	const float *v = tile->v;

	for (size_t r = 0, n; r < tile->rows; r += n, v += n * DAMF_PANEL_COLS) {
		size_t at = tile->row + r - s->from, lane;
		float *to;

		if (at == s->len) {
			s++;
			at = 0;
		}
		lane = at % l->width;
		to = l->blocks + (first(s) + at / l->width) * t->a->nqk * l->width +
			tile->panel * DAMF_PANEL_COLS * l->width + lane;
		n = tile->rows - r >= 4 && lane + 4 <= l->width && at + 4 <= s->len ? 4 : 1;
		(n == 4 ? put_four : put_one)(v, cols, to, l->width);
		for (size_t j = 0; l->fill && at + n == s->len && j < cols; j++)
			memset(to + j * l->width + n, 0, (l->width - lane - n) * sizeof(*to));
	}
}

static size_t first_queries(const struct att_seq *s)
{
	return s->qfirst;
}

static size_t first_keys(const struct att_seq *s)
{
	return s->kfirst;
}

static void put_queries(const struct damf_gemm *g, const struct damf_tile *tile)
{
	const struct att *t = g->opaque;

	put_lanes(g, tile, &(struct lanes) { t->q, DAMF_PANEL_COLS, true }, first_queries);
}

static void put_keys(const struct damf_gemm *g, const struct damf_tile *tile)
{
	const struct att *t = g->opaque;

	put_lanes(g, tile, &(struct lanes) { t->k, DAMF_KEY_GROUP, false }, first_keys);
}

/* A panel of p and q: a row a column. */
static void put_pq(const struct damf_gemm *g, const struct damf_tile *tile)
{
	size_t first = tile->panel * DAMF_PANEL_COLS;

	for (size_t j = 0; j < DAMF_PANEL_COLS && first + j < g->col1; j++) {
		float *to = g->y + (first + j) * g->ldy + tile->row;

		for (size_t r = 0; r < tile->rows; r++)
			to[r] = tile->v[r * DAMF_PANEL_COLS + j];
	}
}

static struct damf_gemm *put(struct att *t, struct damf_gemm *g, struct damf_mat w,
			     const struct damf_gemm *as)
{
	struct damf_seg *seg = t->seg + (g - t->gemm);

	*seg = (struct damf_seg) {
		.x = t->x, .ldx = t->a->ldx, .w = w, .in = t->a->width, .k = t->a->width,
	};
	*g = *as;
	g->seg = seg;
	g->nseg = 1;
	g->rows = t->tokens;
	g->opaque = t;
	return g + 1;
}

static void count(const struct att *t, size_t cols, struct damf_mat w, const float *bias)
{
	size_t width = t->a->width;

	damf_count_mat(t->ex, t->tokens, width, cols, w, bias);
	DAMF_COUNT_F32(t->ex, read_activations, t->tokens * width);
	DAMF_COUNT_F32(t->ex, write_intermediates, t->tokens * cols);
}

static void count_all(const struct att *t)
{
	const struct damf_attention_args *a = t->a;
	size_t v = 0;

	if (t->nmhsa) {
		count(t, a->nqk, a->wq, a->bq);
		count(t, a->nqk, a->wk, a->bk);
	}
	if (t->pq)
		count(t, a->npq, a->wpq, a->bpq);
	for (size_t i = 0; i < t->nrun; i++)
		v += t->run[i].cols;
	if (v)
		count(t, v, a->wv, a->bv);
}

int damf_att_project(struct att *t)
{
	const struct damf_attention_args *a = t->a;
	struct damf_gemm *g = t->gemm;
	int rc;

	if (t->nmhsa) {
		g = put(t, g, a->wq, &(struct damf_gemm) {
			.col1 = a->nqk, .bias = a->bq, .sink = put_queries });
		g = put(t, g, a->wk, &(struct damf_gemm) {
			.col1 = a->nqk, .bias = a->bk, .sink = put_keys });
	}
	if (t->pq)
		g = put(t, g, a->wpq, &(struct damf_gemm) {
			.col1 = a->npq, .bias = a->bpq, .sink = put_pq, .y = t->pq_rows,
			.ldy = t->tokens });
	for (size_t i = 0; i < t->nrun; i++)
		g = put(t, g, a->wv, &(struct damf_gemm) {
			.col0 = t->run[i].col, .col1 = t->run[i].col + t->run[i].cols,
			.bias = a->bv, .y = t->v + t->run[i].col, .ldy = t->ldv });
	rc = damf_run_gemms(t->ex, t->gemm, (size_t)(g - t->gemm));
	if (rc)
		return rc;
	count_all(t);
	return 0;
}

/* ---- V of direct heads --------------------------------------------------- */

/* Whether V of this head in this sequence is missing yet. */
static bool lacks_values(const struct att *t, size_t seq, size_t head)
{
	return att_is_direct(t, seq, head) && !att_has_values(&t->a->heads[head]);
}

/* X is read once for each sequence, a weight once for all. */
static void count_direct(const struct att *t)
{
	const struct damf_attention_args *a = t->a;

	for (size_t i = 0; i < t->nseq; i++) {
		size_t h = 0;

		while (h < a->nheads && !lacks_values(t, i, h))
			h++;
		DAMF_COUNT_F32(t->ex, read_activations, h < a->nheads ? t->seq[i].len * a->width : 0);
	}
	for (size_t h = 0; h < a->nheads; h++) {
		size_t tokens = 0;

		for (size_t i = 0; i < t->nseq; i++)
			tokens += lacks_values(t, i, h) ? t->seq[i].len : 0;
		if (!tokens)
			continue;
		damf_count_mat(t->ex, tokens, a->width, a->heads[h].d_v, a->wv, a->bv);
		DAMF_COUNT_F32(t->ex, write_intermediates, tokens * a->heads[h].d_v);
	}
}

int damf_att_project_direct(struct att *t)
{
	const struct damf_attention_args *a = t->a;
	struct damf_gemm *g = t->gemm;
	int rc;

	for (size_t i = 0; i < t->nseq * a->nheads; i++) {
		const struct damf_k_head *head = &a->heads[i % a->nheads];
		const struct att_seq *s = &t->seq[i / a->nheads];

		if (!lacks_values(t, i / a->nheads, i % a->nheads))
			continue;
		g = put(t, g, a->wv, &(struct damf_gemm) {
			.col0 = head->v_col, .col1 = head->v_col + head->d_v, .bias = a->bv,
			.y = t->v + s->from * t->ldv + head->v_col, .ldy = t->ldv });
		g[-1].rows = s->len;
		t->seg[g - 1 - t->gemm].x += s->from * a->ldx;
	}
	rc = damf_run_gemms(t->ex, t->gemm, (size_t)(g - t->gemm));
	if (rc)
		return rc;
	count_direct(t);
	return 0;
}
