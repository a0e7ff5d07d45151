// SPDX-License-Identifier: MIT
/*
 * Folded heads. Weights are affine in rank-1 scores, so that a head needs of
 * its sequence two sums over tokens, S_1 of V and S_q of q V, and V itself is
 * never computed: W_V is applied to the same sums over X. W_O goes onto the
 * sums too, and a token's output is a mix of these 2 vectors a head.
 */
#include <string.h>

#include "attention.h"

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

static int project(struct att *t)
{
	const struct damf_attention_args *a = t->a;
	const struct damf_seg seg = {
		.x = t->x, .ldx = a->ldx, .w = a->wpq, .in = a->width, .k = a->width,
	};
	const struct damf_gemm g = {
		.seg = &seg, .nseg = 1, .rows = t->tokens, .col1 = a->npq, .bias = a->bpq,
		.sink = put_pq, .y = t->pq, .ldy = t->ldpq,
	};
	int rc = damf_run_gemms(t->ex, &g, 1);

	if (rc)
		return rc;
	damf_count_weight(t->ex, t->tokens, a->width, a->npq, a->bpq);
	DAMF_COUNT_F32(t->ex, read_activations, t->tokens * a->width);
	DAMF_COUNT_F32(t->ex, write_intermediates, t->tokens * a->npq);
	return 0;
}

/* One head of one sequence: coefficients of its sums, and of the mix. */
static void weights_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;
	size_t h = item % t->nfold, i = item / t->nfold, n = 1 + t->nfold;
	const struct att_seq *s = &t->seq[i];
	const struct damf_k_head *head = t->fold[h];
	const struct damf_fold f = {
		.p = t->pq + head->p_col * t->ldpq + s->from,
		.q = t->pq + head->q_col * t->ldpq + s->from, .len = s->len,
		.qhat = t->coef + s->from * n + 1 + h, .ldq = n,
		.mix = t->mix + (s->from * t->nfold + h) * 2, .ldm = 2 * t->nfold,
		.total = t->total + item * 2,
	};

	(void)worker;
	t->ex->isa->fold(&f);
	for (size_t m = 0; h == 0 && m < s->len; m++)
		t->coef[(s->from + m) * n] = 1.0f;
}

/* One panel of columns of X of one sequence, for all heads. */
static void sums_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;
	size_t panels = att_panels(t->a->width), i = item / panels, n = 1 + t->nfold;
	const struct att_seq *s = &t->seq[i];
	const struct damf_sums sums = {
		.x = t->x + s->from * t->a->ldx, .ldx = t->a->ldx, .len = s->len,
		.width = t->a->width, .coef = t->coef + s->from * n, .ncoef = n,
		.out = t->sums + i * n * t->a->width, .ldo = t->a->width,
	};

	(void)worker;
	t->ex->isa->sums(&sums, item % panels);
}

static int sum_tokens(struct att *t)
{
	size_t width = t->a->width, n = t->tokens * t->nfold, heads = t->nseq * t->nfold;
	int rc = damf_run_items(t->ex, weights_item, t, heads);

	if (rc)
		return rc;
	/* q / max|q|, p / max|p| and the reciprocal of D_m */
	DAMF_COUNT(t->ex, divs, 3 * n);
	DAMF_COUNT_F32(t->ex, read_intermediates, 2 * n);
	DAMF_COUNT_F32(t->ex, write_intermediates, 3 * n + 2 * heads);
	rc = damf_run_items(t->ex, sums_item, t, t->nseq * att_panels(width));
	if (rc)
		return rc;
	DAMF_COUNT(t->ex, dynamic_macs, n * width);
	DAMF_COUNT_F32(t->ex, read_activations, t->tokens * width);
	DAMF_COUNT_F32(t->ex, read_intermediates, n);
	DAMF_COUNT_F32(t->ex, write_intermediates, (t->nseq + heads) * width);
	return 0;
}

/* S_1 and S_q of all heads: the sums over X by W_V, b_V times the sums of coefficients. */
static int project_v(struct att *t)
{
	const struct damf_attention_args *a = t->a;
	size_t n = 1 + t->nfold;
	float *sv = t->sv;

	for (size_t i = 0; i < 2 * t->nfold; i++) {
		const struct damf_k_head *head = t->fold[i / 2];
		size_t which = i % 2;

		t->seg[i] = (struct damf_seg) {
			.x = t->sums + (which ? 1 + i / 2 : 0) * a->width, .ldx = n * a->width,
			.w = a->wv, .in = a->width, .k = a->width,
		};
		t->gemm[i] = (struct damf_gemm) {
			.seg = &t->seg[i], .nseg = 1, .rows = t->nseq,
			.col0 = head->v_col, .col1 = head->v_col + head->d_v, .bias = a->bv,
			.scale = t->total + i, .scale_step = 2 * t->nfold,
			.y = sv + which * head->d_v, .ldy = 2 * head->d_v,
		};
		if (which)
			sv += t->nseq * 2 * head->d_v;
	}
	return damf_run_gemms(t->ex, t->gemm, 2 * t->nfold);
}

/* A row of the packed matrix of vectors of its sequence. */
static void put_vec(const struct damf_gemm *g, const struct damf_tile *tile)
{
	const struct att *t = g->opaque;
	size_t panel = 2 * t->nfold * DAMF_PANEL_COLS, seq = att_panels(t->a->out) * panel;

	for (size_t r = 0; r < tile->rows; r++) {
		size_t row = tile->row + r;

		memcpy(g->y + row / 2 * seq + tile->panel * panel + row % 2 * DAMF_PANEL_COLS,
		       tile->v + r * DAMF_PANEL_COLS, DAMF_PANEL_COLS * sizeof(float));
	}
}

/* S_1 and S_q of all heads by their rows of W_O. */
static int project_o(struct att *t)
{
	const struct damf_attention_args *a = t->a;
	const float *sv = t->sv;

	for (size_t h = 0; h < t->nfold; h++) {
		const struct damf_k_head *head = t->fold[h];

		t->seg[h] = (struct damf_seg) {
			.x = sv, .ldx = head->d_v, .w = a->wo, .in = a->nv,
			.first = head->v_col, .k = head->d_v,
		};
		t->gemm[h] = (struct damf_gemm) {
			.seg = &t->seg[h], .nseg = 1, .rows = 2 * t->nseq, .col1 = a->out,
			.sink = put_vec, .opaque = t, .y = t->vec + 2 * h * DAMF_PANEL_COLS,
		};
		sv += t->nseq * 2 * head->d_v;
	}
	return damf_run_gemms(t->ex, t->gemm, t->nfold);
}

int damf_att_fold(struct att *t)
{
	const struct damf_attention_args *a = t->a;
	size_t rows = 2 * t->nseq;
	int rc = project(t);

	if (!rc)
		rc = sum_tokens(t);
	if (!rc)
		rc = project_v(t);
	if (rc)
		return rc;
	damf_count_weight(t->ex, rows, a->width, t->d_v_fold, a->bv);
	DAMF_COUNT_F32(t->ex, read_intermediates, rows * t->nfold * (a->width + 1));
	DAMF_COUNT_F32(t->ex, write_intermediates, rows * t->d_v_fold);
	rc = project_o(t);
	if (rc)
		return rc;
	damf_count_weight(t->ex, rows, t->d_v_fold, a->out, NULL);
	DAMF_COUNT_F32(t->ex, read_intermediates, rows * t->d_v_fold);
	DAMF_COUNT_F32(t->ex, write_intermediates, rows * t->nfold * a->out);
	return 0;
}
