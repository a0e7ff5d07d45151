// SPDX-License-Identifier: MIT
#include <string.h>

#include "attention.h"

/* ---- What lies in scratch ------------------------------------------------ */

static void count_heads(struct att *t)
{
	for (size_t h = 0; h < t->a->nheads; h++) {
		const struct damf_k_head *head = &t->a->heads[h];

		if (head->mode == DAMF_K_MHSA) {
			t->nmhsa++;
			t->d_qk += head->d_qk;
			t->d_v += head->d_v;
		}
		t->nsoft += head->mode == DAMF_K_SOFTFOLD;
		t->nshift += head->mode == DAMF_K_SHIFT;
		t->nfoldshift += head->mode == DAMF_K_FOLDSHIFT;
		t->nband += (head->flags & DAMF_K_BAND) != 0;
		t->pq |= head->mode != DAMF_K_MHSA;
		t->values |= att_has_values(head) || head->mode == DAMF_K_SOFTFOLD;
		t->terms |= head->mode == DAMF_K_FOLD || head->mode == DAMF_K_SOFTFOLD ||
			    (head->flags & DAMF_K_SINKS);
	}
}

/* Lists the sequences that are not empty. */
static void list_seqs(struct att *t, size_t first, size_t end)
{
	const int32_t *offsets = t->a->offsets;
	size_t q = 0, k = 0;

	t->tokens = (size_t)(offsets[end] - offsets[first]);
	t->nseq = 0;
	t->longest = 0;
	for (size_t i = first; i < end; i++) {
		size_t len = (size_t)(offsets[i + 1] - offsets[i]);

		if (!len)
			continue;
		t->seq[t->nseq++] = (struct att_seq) {
			.from = (size_t)(offsets[i] - offsets[first]), .len = len,
			.qfirst = q, .kfirst = k,
		};
		q += att_panels(len);
		k += (len + DAMF_KEY_GROUP - 1) / DAMF_KEY_GROUP;
		t->longest = att_max(t->longest, len);
	}
}

static void carve_tokens(struct att *t, struct damf_carve *c, unsigned int threads)
{
	size_t nqk = t->nmhsa ? t->a->nqk : 0, n = t->values ? t->tokens : 0;

	t->ldv = t->a->nv + ATT_GAP;
	/* every sequence may have an unfinished panel and an unfinished group */
	t->q = damf_carve(c, (t->tokens + t->nseq * DAMF_PANEL_COLS) * nqk, sizeof(float));
	t->k = damf_carve(c, (t->tokens + t->nseq * DAMF_KEY_GROUP) * nqk, sizeof(float));
	t->v = damf_carve(c, n * t->ldv, sizeof(float));
	t->o = damf_carve(c, n * t->ldv, sizeof(float));
	if (t->nmhsa || t->nsoft)
		t->p = damf_carve(c, threads * t->longest * DAMF_PANEL_COLS, sizeof(float));
	if (t->pq)
		t->pq_rows = damf_carve(c, t->a->npq * t->tokens, sizeof(float));
}

static void carve(struct att *t, struct damf_carve *c, unsigned int threads)
{
	size_t nheads = t->a->nheads;
	/* of the projections, of a round's terms, of V of direct heads, of the last product */
	size_t gemms = att_max(3 + nheads, t->nseq * att_max(t->nsoft, 1));

	t->order = damf_carve(c, nheads, sizeof(*t->order));
	t->run = damf_carve(c, nheads * (1 + (t->nsoft ? t->nseq : 0)), sizeof(*t->run));
	t->gemm = damf_carve(c, gemms, sizeof(*t->gemm));
	t->seg = damf_carve(c, att_max(gemms, t->nseq * (nheads + 1)), sizeof(*t->seg));
	carve_tokens(t, c, threads);
	if (t->nshift)
		damf_att_carve_shift(t, c, threads);
	if (t->nfoldshift)
		damf_att_carve_foldshift(t, c, threads);
	t->pool = damf_carve(c, damf_att_pool(t), 1);
	t->unit = damf_carve(c, t->nseq * nheads, sizeof(*t->unit));
}

size_t damf_attention_scratch(const struct damf_par *par, const struct damf_attention_args *a)
{
	struct att_seq seq[ATT_SEQS];
	struct att t = { .a = a, .seq = seq };
	size_t most = 0, end;

	count_heads(&t);
	for (size_t first = 0; first < a->seqs; first = end) {
		struct damf_carve c = { 0 };

		end = damf_att_group_end(a, first);
		list_seqs(&t, first, end);
		carve(&t, &c, damf_threads(par));
		most = att_max(most, c.used);
	}
	return most;
}

/* ---- A group ------------------------------------------------------------- */

size_t att_blocks(const struct att *t)
{
	const struct att_seq *last = &t->seq[t->nseq - 1];

	return last->qfirst + att_panels(last->len);
}

const struct att_seq *att_block(const struct att *t, size_t block, size_t *first)
{
	const struct att_seq *s = t->seq;

	while (block >= s->qfirst + att_panels(s->len))
		s++;
	*first = (block - s->qfirst) * DAMF_PANEL_COLS;
	return s;
}

static void sort_heads(struct att *t)
{
	for (size_t h = 0; h < t->a->nheads; h++) {
		size_t at = h;

		for (; at && t->a->heads[t->order[at - 1]].v_col > t->a->heads[h].v_col; at--)
			t->order[at] = t->order[at - 1];
		t->order[at] = h;
	}
}

static size_t add_run(struct att_run *run, size_t n, const struct damf_k_head *head)
{
	if (n && run[n - 1].col + run[n - 1].cols == head->v_col) {
		run[n - 1].cols += head->d_v;
		return n;
	}
	run[n] = (struct att_run) { head->v_col, head->d_v };
	return n + 1;
}

/* Columns that every sequence has; a sequence has its own list if a head may be direct. */
static void list_runs(struct att *t)
{
	sort_heads(t);
	t->nrun = 0;
	for (size_t i = 0; i < t->a->nheads; i++) {
		const struct damf_k_head *head = &t->a->heads[t->order[i]];

		if (att_has_values(head))
			t->nrun = add_run(t->run, t->nrun, head);
	}
	for (size_t s = 0; s < t->nseq; s++) {
		t->seq[s].run = t->nsoft ? t->run + (1 + s) * t->a->nheads : t->run;
		t->seq[s].nrun = t->nrun;
	}
}

static void list_direct(struct att *t)
{
	for (size_t s = 0; s < t->nseq; s++) {
		t->seq[s].nrun = 0;
		for (size_t i = 0; i < t->a->nheads; i++) {
			if (att_has_output(t, s, t->order[i]))
				t->seq[s].nrun = add_run(t->seq[s].run, t->seq[s].nrun,
							 &t->a->heads[t->order[i]]);
		}
	}
}

/* ---- The last product ---------------------------------------------------- */

/* Columns of O by W_O, if nothing is there yet, then the terms of a part. */
static size_t out_segs(const struct att *t, const struct att_seq *s, const struct att_part *part,
		       bool begin, struct damf_seg *seg)
{
	const struct damf_attention_args *a = t->a;
	size_t n = 0;

	for (size_t i = 0; begin && i < s->nrun; i++)
		seg[n++] = (struct damf_seg) {
			.x = t->o + s->from * t->ldv + s->run[i].col, .ldx = t->ldv,
			.w = a->wo, .in = a->nv, .first = s->run[i].col, .k = s->run[i].cols,
		};
	if (part && part->nmix)
		seg[n++] = (struct damf_seg) {
			.x = part->mix, .ldx = part->ld, .turned = true, .in = part->nmix,
			.k = part->nmix, .w = damf_mat_f32(part->vec),
		};
	return n;
}

/* Sequences of a round have vectors of their own; without one all are one product. */
int damf_att_output(struct att *t, const struct att_round *r)
{
	const struct damf_attention_args *a = t->a;
	const struct att_seq all = {
		.len = t->tokens, .run = t->run, .nrun = t->nrun,
	};
	size_t n = r ? r->nseq : 1;
	bool begin = !r || r->head == 0;

	for (size_t i = 0; i < n; i++) {
		const struct att_seq *s = r ? &t->seq[r->seq + i] : &all;
		struct damf_seg *seg = t->seg + i * (a->nheads + 1);
		float *y = t->y + s->from * a->ldy;

		t->gemm[i] = (struct damf_gemm) {
			.seg = seg, .nseg = out_segs(t, s, r ? &r->part[i] : NULL, begin, seg),
			.rows = s->len, .col1 = a->out, .bias = begin ? a->bo : NULL,
			.start = begin ? NULL : y, .lds = a->ldy, .y = y, .ldy = a->ldy,
		};
	}
	return damf_run_gemms(t->ex, t->gemm, n);
}

/* ---- All of it ----------------------------------------------------------- */

/* Outputs of tokens: O, and what it needs. */
static int run_values(struct att *t)
{
	int rc = damf_att_project(t);

	if (!rc && t->nmhsa)
		rc = damf_att_mhsa(t);
	if (!rc && t->nshift)
		rc = damf_att_shift(t);
	if (!rc && t->nsoft) {
		rc = damf_att_nodes(t);
		if (rc)
			return rc;
		list_direct(t);
		rc = damf_att_project_direct(t);
		if (!rc)
			rc = damf_att_direct(t);
	}
	return !rc && t->nband ? damf_att_band(t) : rc;
}

static int run_group(struct att *t)
{
	struct damf_counts before = { 0 };
	int rc;

	if (t->ex->counts)
		before = *t->ex->counts;
	t->scores = 0;
	rc = run_values(t);
	if (!rc)
		rc = t->terms ? damf_att_terms(t) : damf_att_output(t, NULL);
	if (rc)
		return rc;
	damf_att_count_weights(t);
	damf_att_count_vectors(t, false);
	damf_att_count_output(t);
	rc = t->nfoldshift ? damf_att_foldshift(t) : 0;
	if (!rc)
		damf_att_count_spills(t, &before);
	return rc;
}

int damf_attention_f32(struct damf_exec *ex, const struct damf_attention_args *a)
{
	struct att_seq seq[ATT_SEQS];
	struct att t = { .ex = ex, .a = a, .seq = seq };
	size_t end;

	count_heads(&t);
	for (size_t first = 0; first < a->seqs; first = end) {
		struct damf_carve c = { .base = ex->scratch };
		int rc;

		end = damf_att_group_end(a, first);
		list_seqs(&t, first, end);
		if (!t.nseq)
			continue;
		t.unit = NULL;
		carve(&t, &c, damf_threads(ex->par));
		memset(t.unit, 0, t.nseq * a->nheads * sizeof(*t.unit));
		list_runs(&t);
		t.x = a->x + (size_t)a->offsets[first] * a->ldx;
		t.y = a->y + (size_t)a->offsets[first] * a->ldy;
		rc = run_group(&t);
		if (rc)
			return rc;
	}
	DAMF_COUNT_F32(ex, read_activations, a->seqs + 1);
	return 0;
}
