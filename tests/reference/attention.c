// SPDX-License-Identifier: MIT
/* The attention layer: heads of all modes together. */
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

static bool is_integer(const struct ref_head *h)
{
	return h->mode == REF_SHIFT || h->mode == REF_FOLDSHIFT;
}

static struct ref_mat project(const struct ref_mat *x, const struct ref_mat *w,
			      const struct ref_mat *b)
{
	struct ref_mat y = ref_new(x->rows, w ? w->cols : 0);

	if (w)
		ref_linear(x, w, b, REF_ACT_NONE, NULL, &y);
	return y;
}

float *ref_project_bits(const float *x, size_t rows, const struct ref_mat *w,
			const struct ref_mat *b)
{
	float *y = ref_alloc(rows * (w ? w->cols : 0), sizeof(*y));

	for (size_t i = 0; w && i < rows; i++) {
		for (size_t j = 0; j < w->cols; j++)
			y[i * w->cols + j] = b ? (float)b->v[j] : 0.0f;
		ref_product_bits(x + i * w->rows, w, y + i * w->cols);
	}
	return y;
}

struct ref_num ref_score_at(const struct ref_layer *l, size_t token, size_t col)
{
	size_t i = token * l->pq.cols + col;

	if (l->exact)
		return (struct ref_num){ l->pqf[i], 0.0 };
	return (struct ref_num){ l->pq.v[i], l->pq.e[i] };
}

/* Bits of f32, where they don't overflow, must be within the bound that they are judged by
 * elsewhere. */
static struct ref_mat checked(const struct ref_mat *a, const float *bits)
{
	struct ref_mat b = ref_new(a->rows, a->cols);

	for (size_t i = 0; i < a->rows * a->cols; i++) {
		if (isfinite(bits[i]) && fabs(a->v[i] - bits[i]) > ref_tolerance(a, i)) {
			fprintf(stderr, "reference: %g and %g of the same product\n", a->v[i],
				(double)bits[i]);
			exit(2);
		}
		b.v[i] = bits[i];
		b.m[i] = fabs(b.v[i]);
	}
	return b;
}

/* A projection as operands of exact heads. */
static struct ref_mat operand(const struct ref_layer *l, const struct ref_mat *w,
			      const struct ref_mat *b)
{
	struct ref_mat a = project(l->x, w, b), exact;
	float *bits;

	if (!l->exact)
		return a;
	bits = ref_project_bits(l->xf, l->x->rows, w, b);
	exact = checked(&a, bits);
	free(bits);
	ref_free(&a);
	return exact;
}

static struct ref_layer open_layer(const struct ref_attention *a, const struct ref_mat *x)
{
	struct ref_layer l = {
		.a = a, .x = x, .v = project(x, a->wv, a->bv), .pq = project(x, a->wpq, a->bpq),
		.exact = ref_exact(x->e, x->rows * x->cols),
		.xf = ref_alloc(x->rows * x->cols, sizeof(float)),
	};
	struct ref_mat scores;

	for (size_t i = 0; i < x->rows * x->cols; i++)
		l.xf[i] = (float)x->v[i];
	l.vf = ref_project_bits(l.xf, x->rows, a->wv, a->bv);
	l.pqf = ref_project_bits(l.xf, x->rows, a->wpq, a->bpq);
	l.head_q = operand(&l, a->wq, a->bq);
	l.head_k = operand(&l, a->wk, a->bk);
	l.head_v = operand(&l, a->wv, a->bv);
	if (l.exact) {
		scores = checked(&l.pq, l.pqf);
		ref_free(&scores);
	}
	return l;
}

static void close_layer(struct ref_layer *l)
{
	ref_free(&l->v);
	ref_free(&l->pq);
	ref_free(&l->head_q);
	ref_free(&l->head_k);
	ref_free(&l->head_v);
	free(l->xf);
	free(l->vf);
	free(l->pqf);
}

static void shift_head(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		       struct ref_mat *o)
{
	float *out = ref_alloc(s.len * o->cols, sizeof(*out));

	ref_shift_columns(l, s, h, out);
	for (size_t i = 0; i < s.len * h->d_v; i++) {
		size_t at = i / h->d_v * o->cols + h->v_col + i % h->d_v;

		o->v[at] = out[at];
		o->m[at] = fabs(o->v[at]);
	}
	free(out);
}

static void add_band(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		     struct ref_mat *o)
{
	for (size_t i = 0; i < s.len * h->d_v; i++) {
		size_t m = i / h->d_v, col = h->v_col + i % h->d_v, at = m * o->cols + col;

		for (int off = -REF_RADIUS; off <= REF_RADIUS; off++) {
			ptrdiff_t n = (ptrdiff_t)m + off;
			size_t v = (s.from + (size_t)n) * l->head_v.cols + col;
			double b = h->band[off + REF_RADIUS];

			if (b == 0.0 || n < 0 || n >= (ptrdiff_t)s.len)
				continue;
			o->v[at] += b * l->head_v.v[v];
			o->m[at] += fabs(b * l->head_v.v[v]);
			o->e[at] += fabs(b) * l->head_v.e[v];
		}
		o->e[at] += 2.0 * (REF_RADIUS + 1) * o->m[at];
	}
}

static size_t add_sinks(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
			struct ref_mat *c)
{
	struct ref_terms t;

	ref_sink_term(h, s.len, &t);
	ref_apply_terms(l, s, h, &t, c);
	ref_terms_free(&t);
	return 1;
}

/* What a sequence's heads give: outputs of tokens in o, terms in c -> number of terms. */
static size_t all_heads(const struct ref_layer *l, struct ref_span s, bool *direct,
			struct ref_mat *o, struct ref_mat *c)
{
	size_t terms = 0;

	for (size_t i = 0; i < l->a->nheads; i++) {
		const struct ref_head *h = &l->a->heads[i];
		unsigned int nodes = h->mode == REF_SOFTFOLD ? ref_head_nodes(l, s, h) : 0;

		direct[i] = h->mode == REF_SOFTFOLD && !nodes;
		if (h->mode == REF_MHSA || direct[i])
			ref_exact_head(l, s, h, o);
		else if (h->mode == REF_SHIFT)
			shift_head(l, s, h, o);
		else if (h->mode != REF_FOLDSHIFT)
			terms += ref_term_head(l, s, h, nodes, c);
		if (h->flags & REF_BAND)
			add_band(l, s, h, o);
		if (h->flags & REF_SINKS)
			terms += add_sinks(l, s, h, c);
	}
	return terms;
}

/* y = b_O + O W_O over the columns that tokens have outputs in */
static void outputs_of_tokens(const struct ref_layer *l, struct ref_span s, const bool *direct,
			      const struct ref_mat *o, struct ref_mat *y)
{
	size_t *cols = ref_alloc(o->cols, sizeof(*cols)), d = y->cols;
	size_t ncols = ref_token_columns(l->a, direct, o->cols, cols);
	struct ref_mat wo = ref_cut(l->a->wo, cols, ncols, 0, d), cut = ref_new(s.len, ncols);

	for (size_t i = 0; i < s.len * ncols; i++) {
		size_t at = i / ncols * o->cols + cols[i % ncols];

		cut.v[i] = o->v[at];
		cut.m[i] = o->m[at];
		cut.e[i] = o->e[at];
	}
	for (size_t m = 0; m < s.len; m++) {
		for (size_t i = 0; i < d; i++) {
			y->v[(s.from + m) * d + i] = l->a->bo ? l->a->bo->v[i] : 0.0;
			y->m[(s.from + m) * d + i] = fabs(y->v[(s.from + m) * d + i]);
			y->e[(s.from + m) * d + i] = 0.0;
		}
		if (ncols)
			ref_product_row(&cut, m, &wo, y, s.from + m);
	}
	free(cols);
	ref_free(&wo);
	ref_free(&cut);
}

static bool has_mode(const struct ref_attention *a, enum ref_mode mode)
{
	for (size_t i = 0; i < a->nheads; i++) {
		if (a->heads[i].mode == mode)
			return true;
	}
	return false;
}

static void sequence(const struct ref_layer *l, struct ref_span s, struct ref_mat *y)
{
	struct ref_mat o = ref_new(s.len, l->v.cols), c = ref_new(s.len, y->cols);
	bool *direct = ref_alloc(l->a->nheads, sizeof(*direct));
	size_t terms = all_heads(l, s, direct, &o, &c), all = s.len * y->cols;
	float *add = ref_alloc(all, sizeof(*add));

	outputs_of_tokens(l, s, direct, &o, y);
	if (has_mode(l->a, REF_FOLDSHIFT))
		ref_foldshift_add(l, s, add);
	for (size_t i = 0; i < all; i++) {
		size_t at = s.from * y->cols + i;

		y->v[at] += c.v[i] + add[i];
		y->m[at] += c.m[i] + fabs((double)add[i]);
		y->e[at] += c.e[i] + ((double)terms + 1.0) * y->m[at];
	}
	free(add);
	free(direct);
	ref_free(&o);
	ref_free(&c);
}

/* Whether all heads are integer; integers need an x that is f32. */
static bool all_integer(const struct ref_attention *a, bool exact)
{
	size_t count = 0;

	for (size_t i = 0; i < a->nheads; i++)
		count += is_integer(&a->heads[i]);
	if (count && !exact) {
		fprintf(stderr, "reference: SHIFT and FOLDSHIFT need an exact x\n");
		exit(2);
	}
	return count == a->nheads;
}

void ref_attention(const struct ref_attention *a, const struct ref_mat *x, struct ref_mat *y)
{
	struct ref_layer l = open_layer(a, x);
	bool bits = all_integer(a, l.exact);

	for (size_t b = 0; b < a->batch.seqs; b++) {
		struct ref_span s = {
			(size_t)a->batch.offsets[b],
			(size_t)(a->batch.offsets[b + 1] - a->batch.offsets[b]),
		};

		if (!s.len)
			continue;
		if (bits)
			ref_sequence_bits(&l, s, y);
		else
			sequence(&l, s, y);
	}
	close_layer(&l);
}
