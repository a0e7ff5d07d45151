// SPDX-License-Identifier: MIT
/* The attention layer of SHIFT and FOLDSHIFT heads, to the bit. */
#include <stdlib.h>

#include "internal.h"

size_t ref_token_columns(const struct ref_attention *a, const bool *direct, size_t nv, size_t *cols)
{
	size_t count = 0;

	for (size_t col = 0; col < nv; col++) {
		for (size_t i = 0; i < a->nheads; i++) {
			const struct ref_head *h = &a->heads[i];

			if (col >= h->v_col && col < h->v_col + h->d_v &&
			    (h->mode == REF_MHSA || h->mode == REF_SHIFT || h->flags & REF_BAND ||
			     direct[i]))
				cols[count++] = col;
		}
	}
	return count;
}

static void column(const float *a, size_t cols, struct ref_span s, size_t col, float *out)
{
	for (size_t n = 0; n < s.len; n++)
		out[n] = a[(s.from + n) * cols + col];
}

void ref_shift_columns(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		       float *o)
{
	float *p = ref_alloc(s.len, sizeof(*p)), *q = ref_alloc(s.len, sizeof(*q));
	float *out = ref_alloc(s.len * h->d_v, sizeof(*out));
	size_t nv = l->v.cols;

	column(l->pqf, l->pq.cols, s, h->p_col, p);
	column(l->pqf, l->pq.cols, s, h->q_col, q);
	ref_shift_head(p, q, l->vf + s.from * nv + h->v_col, nv, s.len, h->d_v, out, NULL);
	for (size_t i = 0; i < s.len * h->d_v; i++)
		o[i / h->d_v * nv + h->v_col + i % h->d_v] = out[i];
	free(p);
	free(q);
	free(out);
}

/* dot or qdot of a term's sums with the head's part of W_V, then of W_O -> z [d]. */
static void term_bits(const struct ref_layer *l, const struct ref_head *h, const float *x,
		      float tau, float *z)
{
	size_t *rows = ref_alloc(h->d_v, sizeof(*rows));
	float *sums = ref_alloc(h->d_v, sizeof(*sums));
	struct ref_mat wv = ref_cut(l->a->wv, NULL, l->a->wv->rows, h->v_col, h->d_v), wo;

	for (size_t j = 0; j < h->d_v; j++) {
		rows[j] = h->v_col + j;
		sums[j] = l->a->bv ? (float)l->a->bv->v[h->v_col + j] * tau : 0.0f;
	}
	wo = ref_cut(l->a->wo, rows, h->d_v, 0, l->a->wo->cols);
	ref_product_bits(x, &wv, sums);
	for (size_t i = 0; i < wo.cols; i++)
		z[i] = 0.0f;
	ref_product_bits(sums, &wo, z);
	free(rows);
	free(sums);
	ref_free(&wv);
	ref_free(&wo);
}

/* A FOLDSHIFT head between its sums and the mix. */
struct folded {
	const struct ref_head *h;
	float *p_hat, *q_prime;
	struct ref_foldshift f;
	float *z;
};

static bool fold_head(const struct ref_layer *l, struct ref_span s, struct folded *f, float *z)
{
	float *p = ref_alloc(s.len, sizeof(*p)), *q = ref_alloc(s.len, sizeof(*q));
	size_t d = l->x->cols;
	bool finite;

	f->p_hat = ref_alloc(s.len, sizeof(*p));
	f->q_prime = ref_alloc(s.len, sizeof(*p));
	f->z = z;
	column(l->pqf, l->pq.cols, s, f->h->p_col, p);
	column(l->pqf, l->pq.cols, s, f->h->q_col, q);
	ref_foldshift_scores(f->h, p, q, s.len, f->p_hat, f->q_prime);
	finite = ref_foldshift_sums(f->h, f->q_prime, l->xf + s.from * d, d, s.len, d, &f->f);
	for (size_t k = 0; finite && k <= f->h->order; k++)
		term_bits(l, f->h, f->f.xk + k * d, f->f.tau[k], z + k * l->a->wo->cols);
	free(p);
	free(q);
	return finite && ref_finite(f->p_hat, s.len);
}

/* All heads together in integers: total [len][d]. */
static void mix_heads(struct ref_span s, const struct folded *f, size_t count, size_t d,
		      const int32_t *fixed, int64_t *total)
{
	int64_t *out = ref_alloc(s.len * d, sizeof(*out));

	for (size_t i = 0; i < count; i++) {
		ref_foldshift_mix(f[i].h, f[i].p_hat, f[i].q_prime, s.len, f[i].f.sigma, fixed, d,
				  out, NULL, NULL);
		fixed += (f[i].h->order + 1) * d;
		for (size_t k = 0; k < s.len * d; k++)
			total[k] = ref_narrow((__int128)total[k] + out[k]);
	}
	free(out);
}

void ref_foldshift_add(const struct ref_layer *l, struct ref_span s, float *add)
{
	const struct ref_attention *a = l->a;
	size_t d = a->wo->cols, terms = 0, count = 0;
	struct folded *f = ref_alloc(a->nheads, sizeof(*f));
	float *z = ref_alloc(a->nheads * (REF_ORDER + 1) * d, sizeof(*z));
	int32_t *fixed = ref_alloc(a->nheads * (REF_ORDER + 1) * d, sizeof(*fixed));
	int64_t *total = ref_alloc(s.len * d, sizeof(*total));
	bool finite = true;
	int exponent = 0;

	for (size_t i = 0; i < a->nheads; i++) {
		if (a->heads[i].mode != REF_FOLDSHIFT)
			continue;
		f[count].h = &a->heads[i];
		finite &= fold_head(l, s, &f[count++], z + terms * d);
		terms += a->heads[i].order + 1;
	}
	finite = finite && ref_fixed(z, d, terms, d, 31, fixed, &exponent);
	if (finite)
		mix_heads(s, f, count, d, fixed, total);
	for (size_t i = 0; i < s.len * d; i++)
		add[i] = finite ? (float)total[i] * ldexpf(1.0f, exponent) : NAN;
	for (size_t i = 0; i < count; i++) {
		free(f[i].p_hat);
		free(f[i].q_prime);
		ref_foldshift_free(&f[i].f);
	}
	free(f);
	free(z);
	free(fixed);
	free(total);
}

static void add_band(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		     float *o)
{
	size_t nv = l->v.cols;

	for (size_t i = 0; i < s.len * h->d_v; i++) {
		size_t m = i / h->d_v, j = h->v_col + i % h->d_v;

		for (int off = -REF_RADIUS; off <= REF_RADIUS; off++) {
			ptrdiff_t n = (ptrdiff_t)m + off;
			float b = (float)h->band[off + REF_RADIUS];

			if (b != 0.0f && n >= 0 && n < (ptrdiff_t)s.len)
				o[m * nv + j] = fmaf(b, l->vf[(s.from + (size_t)n) * nv + j],
						     o[m * nv + j]);
		}
	}
}

/* The sinks' terms are the same for each query -> added to y [d]. */
static void sink_bits(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		      float *z)
{
	float a0 = (float)h->sink[0], a1 = (float)h->sink[1];
	size_t d = l->x->cols;
	const float *first = l->xf + s.from * d, *last = first + (s.len - 1) * d;
	float *x = ref_alloc(d, sizeof(*x));

	for (size_t i = 0; i < d; i++)
		x[i] = fmaf(a1, last[i], a0 * first[i]);
	term_bits(l, h, x, a0 + a1, z);
	free(x);
}

/* Row m: outputs of tokens through W_O, sinks, what FOLDSHIFT adds. */
static void row_bits(const struct ref_layer *l, const float *o, const struct ref_mat *wo,
		     const float *sinks, size_t nsinks, const float *add, double *y)
{
	size_t d = l->a->wo->cols;
	float *row = ref_alloc(d, sizeof(*row));

	for (size_t i = 0; i < d; i++)
		row[i] = l->a->bo ? (float)l->a->bo->v[i] : 0.0f;
	if (wo->rows)
		ref_product_bits(o, wo, row);
	for (size_t i = 0; i < d; i++) {
		for (size_t k = 0; k < nsinks; k++)
			row[i] += sinks[k * d + i];
		y[i] = add ? row[i] + add[i] : row[i];
	}
	free(row);
}

void ref_sequence_bits(const struct ref_layer *l, struct ref_span s, struct ref_mat *y)
{
	const struct ref_attention *a = l->a;
	size_t nv = l->v.cols, d = a->wo->cols, nsinks = 0, ncols;
	float *o = ref_alloc(s.len * nv, sizeof(*o)), *cut = ref_alloc(nv, sizeof(*cut));
	float *sinks = ref_alloc(a->nheads * d, sizeof(*sinks));
	float *add = ref_alloc(s.len * d, sizeof(*add));
	size_t *cols = ref_alloc(nv, sizeof(*cols));
	bool *direct = ref_alloc(a->nheads, sizeof(*direct)), folds = false;
	struct ref_mat wo;

	for (size_t i = 0; i < a->nheads; i++) {
		const struct ref_head *h = &a->heads[i];

		folds |= h->mode == REF_FOLDSHIFT;
		if (h->mode == REF_SHIFT)
			ref_shift_columns(l, s, h, o);
		if (h->flags & REF_BAND)
			add_band(l, s, h, o);
		if (h->flags & REF_SINKS)
			sink_bits(l, s, h, sinks + nsinks++ * d);
	}
	if (folds)
		ref_foldshift_add(l, s, add);
	ncols = ref_token_columns(a, direct, nv, cols);
	wo = ref_cut(a->wo, cols, ncols, 0, d);
	for (size_t m = 0; m < s.len; m++) {
		for (size_t k = 0; k < ncols; k++)
			cut[k] = o[m * nv + cols[k]];
		row_bits(l, cut, &wo, sinks, nsinks, folds ? add + m * d : NULL,
			 y->v + (s.from + m) * d);
		for (size_t i = (s.from + m) * d; i < (s.from + m + 1) * d; i++) {
			y->m[i] = fabs(y->v[i]);
			y->e[i] = 0.0;
		}
	}
	ref_free(&wo);
	free(o);
	free(cut);
	free(sinks);
	free(add);
	free(cols);
	free(direct);
}
