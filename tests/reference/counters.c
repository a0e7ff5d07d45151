// SPDX-License-Identifier: MIT
/* What an attention job counts of arithmetic, from the specification's table. */
#include <stdlib.h>

#include "internal.h"

/* Terms of a head in a sequence that are f32's; nodes: of SOFTFOLD. */
static uint64_t terms_of(const struct ref_head *h, uint64_t nodes)
{
	uint64_t sinks = h->flags & REF_SINKS ? 1 : 0;

	if (h->mode == REF_FOLD)
		return sinks + (h->rank > 1 ? h->rank : h->order) + 1;
	return sinks + (h->mode == REF_SOFTFOLD ? nodes : 0);
}

/* Multiply-adds with a weight, which count as int8 ones too if it is that. */
static void count_product(const struct ref_mat *w, uint64_t macs, struct ref_counts *c)
{
	c->static_macs += macs;
	c->int8_macs += w->factors ? macs : 0;
}

/* rows through d_v columns of W_V and rows of W_O */
static void count_vectors(const struct ref_layer *l, const struct ref_head *h, uint64_t rows,
			  struct ref_counts *c)
{
	count_product(l->a->wv, rows * h->d_v * l->x->cols, c);
	count_product(l->a->wo, rows * h->d_v * l->a->wo->cols, c);
}

static void count_exact(uint64_t len, uint64_t d_qk, uint64_t d_v, struct ref_counts *c)
{
	c->dynamic_macs += len * len * (d_qk + d_v);
	c->exps += len * len;
	c->divs += len;
}

static void count_shift(const struct ref_head *h, uint64_t len, struct ref_counts *c)
{
	c->dynamic_macs += len * len;
	c->shift_adds += len * len * (h->d_v + 1) + 2 * len * h->d_v;
}

static void count_fold(const struct ref_head *h, uint64_t len, uint64_t d, struct ref_counts *c)
{
	uint64_t rank = h->rank;

	c->dynamic_macs += (rank > 1 ? rank : h->order) * len * d;
	c->divs += len;
	if (!(h->flags & REF_SCALE))
		c->divs += 2 * rank * len + (rank > 1 ? rank : 0);
	if (h->flags & REF_CENTRED)
		c->divs += rank;
}

static void count_softfold(uint64_t len, uint64_t nodes, bool interpolated, uint64_t d,
			   struct ref_counts *c)
{
	c->dynamic_macs += nodes * len * d;
	c->exps += nodes * len;
	c->divs += nodes;
	if (interpolated && nodes > 1)
		c->divs += (nodes + 2) * len;
}

static void count_foldshift(const struct ref_head *h, uint64_t len, uint64_t d, uint64_t cols,
			    struct ref_counts *c)
{
	uint64_t k = h->order;

	c->shift_adds += len * (k * (d + 1) + (k + 1) * (cols + 1) + cols);
	c->divs += h->flags & REF_CENTRED ? 1 : 0;
}

/* Neighbours that are there, of weights that are not 0. */
static uint64_t neighbours(const struct ref_head *h, uint64_t len)
{
	uint64_t count = 0;

	for (int o = -REF_RADIUS; o <= REF_RADIUS; o++) {
		uint64_t apart = (uint64_t)abs(o);

		if (h->band[o + REF_RADIUS] != 0.0 && len > apart)
			count += len - apart;
	}
	return count;
}

static void count_head(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		       struct ref_counts *c)
{
	uint64_t len = s.len, d = l->x->cols, cols = l->a->wo->cols, terms;
	uint64_t nodes = h->mode == REF_SOFTFOLD ? ref_head_nodes(l, s, h) : 0;
	bool direct = h->mode == REF_SOFTFOLD && !nodes, interpolated = len > nodes;
	bool outputs = h->mode == REF_MHSA || h->mode == REF_SHIFT || direct ||
		h->flags & REF_BAND;

	/* nodes may be the tokens */
	nodes = interpolated ? nodes : len;
	terms = terms_of(h, nodes);
	if (h->mode == REF_MHSA || direct)
		count_exact(len, direct ? 1 : h->d_qk, h->d_v, c);
	else if (h->mode == REF_SHIFT)
		count_shift(h, len, c);
	else if (h->mode == REF_FOLD)
		count_fold(h, len, d, c);
	else if (h->mode == REF_FOLDSHIFT)
		count_foldshift(h, len, d, cols, c);
	else
		count_softfold(len, nodes, interpolated, d, c);
	if (h->flags & REF_BAND)
		c->static_macs += neighbours(h, len) * h->d_v;
	if (h->flags & REF_SINKS)
		c->static_macs += 2 * d;
	/* V of tokens and what W_O makes of the outputs; vectors and their mix */
	count_vectors(l, h, (outputs ? len : 0) + terms +
		      (h->mode == REF_FOLDSHIFT ? h->order + 1 : 0), c);
	c->dynamic_macs += terms * len * cols;
}

static void count_sequence(const struct ref_layer *l, struct ref_span s, struct ref_counts *c)
{
	bool exact = false, scores = false, foldshift = false;

	for (size_t i = 0; i < l->a->nheads; i++) {
		const struct ref_head *h = &l->a->heads[i];

		exact |= h->mode == REF_MHSA;
		scores |= h->mode != REF_MHSA;
		foldshift |= h->mode == REF_FOLDSHIFT;
		count_head(l, s, h, c);
	}
	if (exact) {
		count_product(l->a->wq, s.len * l->x->cols * l->a->wq->cols, c);
		count_product(l->a->wk, s.len * l->x->cols * l->a->wk->cols, c);
	}
	if (scores)
		count_product(l->a->wpq, s.len * l->x->cols * l->a->wpq->cols, c);
	if (foldshift)
		c->shift_adds += s.len * l->x->cols;
}

/* p and q to the bit, which say how many nodes there are. */
static float *scores_of(const struct ref_attention *a, const struct ref_mat *x)
{
	float *xf = ref_alloc(x->rows * x->cols, sizeof(*xf)), *scores;

	for (size_t i = 0; i < x->rows * x->cols; i++)
		xf[i] = (float)x->v[i];
	scores = ref_project_bits(xf, x->rows, a->wpq, a->bpq);
	free(xf);
	return scores;
}

struct ref_counts ref_count_attention(const struct ref_attention *a, const struct ref_mat *x)
{
	struct ref_layer l = {
		.a = a, .x = x, .pqf = scores_of(a, x), .pq.cols = a->wpq ? a->wpq->cols : 0,
	};
	struct ref_counts c = { 0 };

	for (size_t b = 0; b < a->batch.seqs; b++) {
		struct ref_span s = {
			(size_t)a->batch.offsets[b],
			(size_t)(a->batch.offsets[b + 1] - a->batch.offsets[b]),
		};

		if (s.len)
			count_sequence(&l, s, &c);
	}
	free(l.pqf);
	return c;
}
