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
