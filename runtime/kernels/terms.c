// SPDX-License-Identifier: MIT
/*
 * Terms. Weights of these heads are affine in things that are summed over the
 * tokens, so that V itself is never computed: W_V is applied to the same sums
 * over X, W_O to what comes of it, and a token's output is a mix of these
 * vectors.
 */
#include <string.h>

#include "attention.h"

/* ---- Coefficients and sums over tokens ----------------------------------- */

/* One head of one sequence: coefficients of its sums, and of the mix. */
static void weights_item(void *arg, size_t item, unsigned int worker)
{
	const struct att_round *r = arg;
	const struct att *t = r->t;
	size_t i = item / r->nheads, h = r->head + item % r->nheads;
	const struct att_part *part = &r->part[i];
	const struct att_unit *u = att_unit(t, r->seq + i, h);
	const struct att_seq *s = &t->seq[r->seq + i];
	const struct damf_k_head *head = &t->a->heads[h];
	size_t own = damf_att_own(r, r->seq + i, h);
	const struct damf_terms f = {
		.head = head, .p = att_pq(t, s, head->p_col), .q = att_pq(t, s, head->q_col),
		.ldpq = t->tokens, .len = s->len, .ld = part->ld,
		.coef = part->coef + u->coef * part->ld, .mix = part->mix + u->mix * part->ld,
		.tau = r->tau + u->row, .nodes = u->nodes, .tokens = u->tokens,
		.p_low = u->p_low, .p_high = u->p_high, .q_low = u->q_low, .q_high = u->q_high,
	};

	(void)worker;
	if (own && head->mode == DAMF_K_FOLD)
		t->ex->isa->fold(&f);
	else if (own)
		t->ex->isa->softfold(&f);
	if (head->mode == DAMF_K_FOLD && u->row == part->ones)
		for (size_t m = 0; m < s->len; m++)
			part->coef[m] = 1.0f;
	if (!att_has_sink(r, h))
		return;
	for (size_t m = 0; m < s->len; m++)
		f.mix[own * f.ld + m] = 1.0f;
	f.tau[own] = head->sink[0] + head->sink[1];
}

/* Items that the panels of X of a sequence are shared among. */
static size_t sums_items(const struct att *t)
{
	size_t panels = att_panels(t->a->width), threads = damf_threads(t->ex->par);

	return panels < threads ? panels : threads;
}

/* Some panels of columns of X of one sequence, for all heads. */
static void sums_item(void *arg, size_t item, unsigned int worker)
{
	const struct att_round *r = arg;
	const struct att *t = r->t;
	size_t items = sums_items(t), panels = att_panels(t->a->width), i = item / items;
	size_t first = item % items * panels / items, end = (item % items + 1) * panels / items;
	const struct att_part *part = &r->part[i];
	const struct att_seq *s = &t->seq[r->seq + i];
	const struct damf_sums sums = {
		.x = t->x + s->from * t->a->ldx, .ldx = t->a->ldx, .len = s->len,
		.width = t->a->width, .coef = part->coef, .ldc = part->ld, .ncoef = part->ncoef,
		.out = part->sum,
	};

	(void)worker;
	if (part->ncoef)
		t->ex->isa->sums(&sums, first, end - first);
}

/* What is a sum of its own for no head, or of two tokens only. */
static void rest_item(void *arg, size_t item, unsigned int worker)
{
	const struct att_round *r = arg;
	const struct att *t = r->t;
	size_t i = item / r->nheads, h = r->head + item % r->nheads, width = t->a->width;
	const struct att_seq *s = &t->seq[r->seq + i];
	const struct damf_k_head *head = &t->a->heads[h];
	const struct att_unit *u = att_unit(t, r->seq + i, h);
	float *x = r->x + u->row * width;

	(void)worker;
	if (head->mode == DAMF_K_FOLD && u->row != r->part[i].ones)
		memcpy(x, r->x + r->part[i].ones * width, width * sizeof(*x));
	if (att_has_sink(r, h))
		t->ex->isa->sink(t->x + s->from * t->a->ldx,
				 t->x + (s->from + s->len - 1) * t->a->ldx, head->sink, width,
				 x + damf_att_own(r, r->seq + i, h) * width);
}

static int sum_tokens(struct att_round *r)
{
	const struct damf_exec *ex = r->t->ex;
	int rc = damf_run_items(ex, weights_item, r, r->nseq * r->nheads);

	if (!rc)
		rc = damf_run_items(ex, sums_item, r, r->nseq * sums_items(r->t));
	return rc ? rc : damf_run_items(ex, rest_item, r, r->nseq * r->nheads);
}

/* ---- Vectors ------------------------------------------------------------- */

/* The rows of each head by its columns of W_V. */
static int project_v(struct att_round *r)
{
	const struct att *t = r->t;
	const struct damf_attention_args *a = t->a;
	float *s = r->s;

	for (size_t h = 0; h < r->nheads; h++) {
		const struct damf_k_head *head = &a->heads[r->head + h];
		size_t first = r->first[h], rows = r->first[h + 1] - first;

		t->seg[h] = (struct damf_seg) {
			.x = r->x + first * a->width, .ldx = a->width, .w = a->wv, .in = a->width,
			.k = a->width,
		};
		t->gemm[h] = (struct damf_gemm) {
			.seg = &t->seg[h], .nseg = 1, .rows = rows,
			.col0 = head->v_col, .col1 = head->v_col + head->d_v, .bias = a->bv,
			.scale = r->tau + first, .scale_step = 1, .y = s, .ldy = head->d_v,
		};
		s += rows * head->d_v;
	}
	return damf_run_gemms(t->ex, t->gemm, r->nheads);
}

/* A row of the packed matrix of vectors of its sequence. */
static void put_vec(const struct damf_gemm *g, const struct damf_tile *tile)
{
	const struct att_place *place = (const struct att_place *)g->opaque + tile->row;

	for (size_t i = 0; i < tile->rows; i++)
		memcpy(place[i].to + tile->panel * place[i].panel, tile->v + i * DAMF_PANEL_COLS,
		       DAMF_PANEL_COLS * sizeof(float));
}

/* What came of that, by its rows of W_O. */
static int project_o(struct att_round *r)
{
	const struct att *t = r->t;
	const struct damf_attention_args *a = t->a;
	const float *s = r->s;

	for (size_t h = 0; h < r->nheads; h++) {
		const struct damf_k_head *head = &a->heads[r->head + h];
		size_t first = r->first[h], rows = r->first[h + 1] - first;

		t->seg[h] = (struct damf_seg) {
			.x = s, .ldx = head->d_v, .w = a->wo, .in = a->nv, .first = head->v_col,
			.k = head->d_v,
		};
		t->gemm[h] = (struct damf_gemm) {
			.seg = &t->seg[h], .nseg = 1, .rows = rows, .col1 = a->out,
			.sink = put_vec, .opaque = r->place + first,
		};
		s += rows * head->d_v;
	}
	return damf_run_gemms(t->ex, t->gemm, r->nheads);
}

int damf_att_vectors(struct att_round *r)
{
	int rc = project_v(r);

	return rc ? rc : project_o(r);
}

int damf_att_terms(struct att *t)
{
	struct att_round r = att_rounds(t, false);
	int rc = 0;

	while (!rc && damf_att_round(&r)) {
		rc = sum_tokens(&r);
		if (!rc)
			rc = damf_att_vectors(&r);
		if (!rc)
			rc = damf_att_output(t, &r);
	}
	return rc;
}
