// SPDX-License-Identifier: MIT
#include <string.h>

#include "attention.h"

/* ---- What lies in scratch ------------------------------------------------ */

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void count_heads(struct att *t)
{
	for (size_t h = 0; h < t->a->nheads; h++) {
		const struct damf_k_head *head = &t->a->heads[h];

		if (head->mode == DAMF_K_FOLD) {
			t->nfold++;
			t->d_v_fold += head->d_v;
		} else {
			t->nmhsa++;
			t->d_qk += head->d_qk;
			t->d_v += head->d_v;
		}
	}
}

/* Tokens, and how many sequences are not empty. */
static void measure(struct att *t, size_t first, size_t end)
{
	const int32_t *offsets = t->a->offsets;

	t->tokens = (size_t)(offsets[end] - offsets[first]);
	t->nseq = 0;
	t->longest = 0;
	for (size_t i = first; i < end; i++) {
		size_t len = (size_t)(offsets[i + 1] - offsets[i]);

		t->nseq += len != 0;
		t->longest = max_size(t->longest, len);
	}
}

static void carve_mhsa(struct att *t, struct damf_carve *c, unsigned int threads)
{
	size_t nqk = t->a->nqk;

	t->ldv = t->a->nv + ATT_GAP;
	/* every sequence may have an unfinished panel and an unfinished group */
	t->q = damf_carve(c, (t->tokens + t->nseq * DAMF_PANEL_COLS) * nqk, sizeof(float));
	t->k = damf_carve(c, (t->tokens + t->nseq * DAMF_KEY_GROUP) * nqk, sizeof(float));
	t->v = damf_carve(c, t->tokens * t->ldv, sizeof(float));
	t->o = damf_carve(c, t->tokens * t->ldv, sizeof(float));
	t->p = damf_carve(c, threads * t->longest * DAMF_PANEL_COLS, sizeof(float));
}

static void carve_fold(struct att *t, struct damf_carve *c)
{
	t->ldpq = t->tokens;
	t->pq = damf_carve(c, t->a->npq * t->ldpq, sizeof(float));
	t->coef = damf_carve(c, t->tokens * (1 + t->nfold), sizeof(float));
	t->mix = damf_carve(c, t->tokens * 2 * t->nfold, sizeof(float));
	t->total = damf_carve(c, t->nseq * t->nfold * 2, sizeof(float));
	t->sums = damf_carve(c, t->nseq * (1 + t->nfold) * t->a->width, sizeof(float));
	t->sv = damf_carve(c, t->nseq * 2 * t->d_v_fold, sizeof(float));
	t->vec = damf_carve(c, t->nseq * att_panels(t->a->out) * 2 * t->nfold * DAMF_PANEL_COLS,
			    sizeof(float));
}

static void carve(struct att *t, struct damf_carve *c, unsigned int threads)
{
	size_t nheads = t->a->nheads;
	/* of the projections, of folded heads, of the last product */
	size_t gemms = max_size(max_size(3 + nheads, 2 * t->nfold), t->nseq);

	t->seq = damf_carve(c, t->nseq, sizeof(*t->seq));
	t->mhsa = damf_carve(c, nheads, sizeof(*t->mhsa));
	t->fold = damf_carve(c, nheads, sizeof(*t->fold));
	t->run = damf_carve(c, nheads, sizeof(*t->run));
	t->gemm = damf_carve(c, gemms, sizeof(*t->gemm));
	t->seg = damf_carve(c, max_size(gemms, t->nseq * (t->nmhsa + 1)), sizeof(*t->seg));
	if (t->nmhsa)
		carve_mhsa(t, c, threads);
	if (t->nfold)
		carve_fold(t, c);
}

size_t damf_attention_scratch(const struct damf_par *par, const struct damf_attention_args *a)
{
	struct att t = { .a = a };
	size_t most = 0, end;

	count_heads(&t);
	for (size_t first = 0; first < a->seqs; first = end) {
		struct damf_carve c = { 0 };

		end = damf_att_group_end(a, first);
		measure(&t, first, end);
		carve(&t, &c, damf_threads(par));
		most = max_size(most, c.used);
	}
	return most;
}

/* ---- A group ------------------------------------------------------------- */

static void list_seqs(struct att *t, size_t first, size_t end)
{
	const int32_t *offsets = t->a->offsets;
	size_t n = 0, q = 0, k = 0;

	for (size_t i = first; i < end; i++) {
		size_t len = (size_t)(offsets[i + 1] - offsets[i]);

		if (!len)
			continue;
		t->seq[n++] = (struct att_seq) { (size_t)(offsets[i] - offsets[first]), len, q, k };
		q += att_panels(len);
		k += (len + DAMF_KEY_GROUP - 1) / DAMF_KEY_GROUP;
	}
}

/* The exact head whose columns of V come first of those from col on. */
static const struct damf_k_head *next_head(const struct att *t, size_t col)
{
	const struct damf_k_head *next = NULL;

	for (size_t h = 0; h < t->nmhsa; h++) {
		if (t->mhsa[h]->v_col >= col && (!next || t->mhsa[h]->v_col < next->v_col))
			next = t->mhsa[h];
	}
	return next;
}

static void list_heads(struct att *t)
{
	const struct damf_k_head *head;
	size_t m = 0, f = 0, end = 0;

	for (size_t h = 0; h < t->a->nheads; h++) {
		if (t->a->heads[h].mode == DAMF_K_FOLD)
			t->fold[f++] = &t->a->heads[h];
		else
			t->mhsa[m++] = &t->a->heads[h];
	}
	for (t->nrun = 0; (head = next_head(t, end)); end = head->v_col + head->d_v) {
		if (t->nrun && head->v_col == end)
			t->run[t->nrun - 1].cols += head->d_v;
		else
			t->run[t->nrun++] = (struct att_run) { head->v_col, head->d_v };
	}
}

/* The last product: outputs of exact heads by W_O, then what folded heads add. */
static void out_segs(const struct att *t, const struct att_seq *s, struct damf_seg *seg)
{
	const struct damf_attention_args *a = t->a;

	for (size_t i = 0; i < t->nrun; i++)
		*seg++ = (struct damf_seg) {
			.x = t->o + s->from * t->ldv + t->run[i].col, .ldx = t->ldv,
			.w = a->wo, .in = a->nv, .first = t->run[i].col, .k = t->run[i].cols,
		};
	if (t->nfold) {
		size_t n = 2 * t->nfold, panel = n * DAMF_PANEL_COLS;

		*seg = (struct damf_seg) {
			.x = t->mix + s->from * n, .ldx = n, .in = n, .k = n,
			.w = damf_mat_f32(t->vec + (size_t)(s - t->seq) * att_panels(a->out) * panel),
		};
	}
}

static int output(struct att *t)
{
	const struct damf_attention_args *a = t->a;
	const struct att_seq all = { .len = t->tokens };
	/* folded heads have other vectors in every sequence */
	size_t n = t->nfold ? t->nseq : 1, nseg = t->nrun + (t->nfold ? 1 : 0);
	int rc;

	for (size_t i = 0; i < n; i++) {
		const struct att_seq *s = t->nfold ? &t->seq[i] : &all;

		out_segs(t, s, t->seg + i * nseg);
		t->gemm[i] = (struct damf_gemm) {
			.seg = t->seg + i * nseg, .nseg = nseg, .rows = s->len, .col1 = a->out,
			.bias = a->bo, .y = t->y + s->from * a->ldy, .ldy = a->ldy,
		};
	}
	rc = damf_run_gemms(t->ex, t->gemm, n);
	if (rc)
		return rc;
	damf_count_weight(t->ex, t->tokens, t->d_v, a->out, a->bo);
	DAMF_COUNT(t->ex, dynamic_macs, t->tokens * 2 * t->nfold * a->out);
	DAMF_COUNT_F32(t->ex, read_intermediates, t->tokens * (t->d_v + 2 * t->nfold) +
		       t->nseq * 2 * t->nfold * a->out);
	DAMF_COUNT_F32(t->ex, write_activations, t->tokens * a->out);
	return 0;
}

static int run_group(struct att *t)
{
	struct damf_counts before = { 0 };
	int rc = 0;

	if (t->ex->counts)
		before = *t->ex->counts;
	t->scores = 0;
	if (t->nmhsa)
		rc = damf_att_mhsa(t);
	if (!rc && t->nfold)
		rc = damf_att_fold(t);
	if (!rc)
		rc = output(t);
	if (!rc)
		damf_att_count_spills(t, &before);
	return rc;
}

int damf_attention_f32(struct damf_exec *ex, const struct damf_attention_args *a)
{
	struct att t = { .ex = ex, .a = a };
	size_t end;

	count_heads(&t);
	for (size_t first = 0; first < a->seqs; first = end) {
		struct damf_carve c = { .base = ex->scratch };
		int rc;

		end = damf_att_group_end(a, first);
		measure(&t, first, end);
		if (!t.nseq)
			continue;
		carve(&t, &c, damf_threads(ex->par));
		list_seqs(&t, first, end);
		list_heads(&t);
		t.x = a->x + (size_t)a->offsets[first] * a->ldx;
		t.y = a->y + (size_t)a->offsets[first] * a->ldy;
		rc = run_group(&t);
		if (rc)
			return rc;
	}
	DAMF_COUNT_F32(ex, read_activations, a->seqs + 1);
	return 0;
}
