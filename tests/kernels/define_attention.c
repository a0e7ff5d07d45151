// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "define.h"

#define GUARD	0x1p-20f

static float *new_f32(size_t n)
{
	float *p = calloc(n + 1, sizeof(*p));

	if (!p)
		abort();
	return p;
}

/* Columns [col, col + cols) of x W + b, of the tokens of one sequence. */
static float *project(const struct damf_attention_args *a, const float *x, size_t len,
		      struct damf_mat w, const float *b, size_t col, size_t cols)
{
	float *y = new_f32(len * cols);

	for (size_t n = 0; n < len; n++) {
		for (size_t j = 0; j < cols; j++)
			y[n * cols + j] = def_dot(b ? b[col + j] : 0.0f, x + n * a->ldx, w,
						  a->width, col + j, 0, a->width);
	}
	return y;
}

/* Output of an exact head into its columns of o. */
static void exact(const struct damf_attention_args *a, const struct damf_k_head *h,
		  const float *x, size_t len, float *o)
{
	float *q = project(a, x, len, a->wq, a->bq, h->qk_col, h->d_qk);
	float *k = project(a, x, len, a->wk, a->bk, h->qk_col, h->d_qk);
	float *v = project(a, x, len, a->wv, a->bv, h->v_col, h->d_v);
	float *e = new_f32(len);

	for (size_t m = 0; m < len; m++) {
		float max = -INFINITY, sum[4] = { 0 }, inverse;

		for (size_t n = 0; n < len; n++) {
			e[n] = 0.0f;
			for (size_t i = 0; i < h->d_qk; i++)
				e[n] = fmaf(k[n * h->d_qk + i], q[m * h->d_qk + i], e[n]);
			e[n] *= h->scale;
			max = e[n] > max ? e[n] : max;
		}
		for (size_t n = 0; n < len; n++) {
			e[n] = def_exp(e[n] - max);
			sum[n % 4] += e[n];
		}
		inverse = 1.0f / ((sum[0] + sum[2]) + (sum[1] + sum[3]));
		for (size_t j = 0; j < h->d_v; j++) {
			float acc = 0.0f;

			for (size_t n = 0; n < len; n++)
				acc = fmaf(v[n * h->d_v + j], e[n], acc);
			o[m * a->nv + h->v_col + j] = acc * inverse;
		}
	}
	free(q);
	free(k);
	free(v);
	free(e);
}

static void divide_by_largest(float *x, size_t n)
{
	float max = 0.0f;

	for (size_t i = 0; i < n; i++)
		max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
	for (size_t i = 0; max != 0.0f && i < n; i++)
		x[i] /= max;
}

/* The sum of tokens of X, coef each, by W_V and by W_O. */
static void fold_vector(const struct damf_attention_args *a, const struct damf_k_head *h,
			const float *x, size_t len, const float *coef, float total, float *vec)
{
	float *sum = new_f32(a->width), *s = new_f32(h->d_v);

	def_token_sum(x, a->ldx, len, coef, a->width, sum);
	for (size_t j = 0; j < h->d_v; j++)
		s[j] = def_dot(a->bv ? a->bv[h->v_col + j] * total : 0.0f, sum, a->wv, a->width,
			       h->v_col + j, 0, a->width);
	for (size_t j = 0; j < a->out; j++)
		vec[j] = def_dot(0.0f, s, a->wo, a->nv, j, h->v_col, h->d_v);
	free(sum);
	free(s);
}

/* Adds a folded head to y. */
static void folded(const struct damf_attention_args *a, const struct damf_k_head *h,
		   const float *x, size_t len, float *y)
{
	float *p = project(a, x, len, a->wpq, a->bpq, h->p_col, 1);
	float *q = project(a, x, len, a->wpq, a->bpq, h->q_col, 1);
	float *one = new_f32(a->out), *two = new_f32(a->out), total, l = (float)len;

	divide_by_largest(p, len);
	divide_by_largest(q, len);
	total = def_sum(q, len);
	fold_vector(a, h, x, len, NULL, l, one);
	fold_vector(a, h, x, len, q, total, two);
	for (size_t m = 0; m < len; m++) {
		float d = fmaf(p[m], total, l), f, g;
		int ok = d > GUARD * l;

		f = 1.0f / (ok ? d : l);
		g = ok ? p[m] * f : 0.0f;
		for (size_t j = 0; j < a->out; j++)
			y[m * a->ldy + j] = fmaf(g, two[j], fmaf(f, one[j], y[m * a->ldy + j]));
	}
	free(p);
	free(q);
	free(one);
	free(two);
}

/* The exact head whose columns of V come next. */
static const struct damf_k_head *next_exact(const struct damf_attention_args *a, size_t col)
{
	const struct damf_k_head *next = NULL;

	for (size_t i = 0; i < a->nheads; i++) {
		const struct damf_k_head *h = &a->heads[i];

		if (h->mode == DAMF_K_MHSA && h->v_col >= col && (!next || h->v_col < next->v_col))
			next = h;
	}
	return next;
}

static void sequence(const struct damf_attention_args *a, const float *x, size_t len, float *y)
{
	const struct damf_k_head *h;
	float *o = new_f32(len * a->nv);

	for (size_t m = 0; m < len; m++) {
		for (size_t j = 0; j < a->out; j++)
			y[m * a->ldy + j] = a->bo ? a->bo[j] : 0.0f;
	}
	for (size_t col = 0; (h = next_exact(a, col)); col = h->v_col + h->d_v) {
		exact(a, h, x, len, o);
		for (size_t i = 0; i < len * a->out; i++) {
			float *to = &y[i / a->out * a->ldy + i % a->out];

			*to = def_dot(*to, o + i / a->out * a->nv + h->v_col, a->wo, a->nv,
				      i % a->out, h->v_col, h->d_v);
		}
	}
	for (size_t i = 0; i < a->nheads; i++) {
		if (a->heads[i].mode == DAMF_K_FOLD)
			folded(a, &a->heads[i], x, len, y);
	}
	free(o);
}

void def_attention(const struct damf_attention_args *a)
{
	for (size_t b = 0; b < a->seqs; b++) {
		size_t from = (size_t)a->offsets[b], len = (size_t)a->offsets[b + 1] - from;

		if (len)
			sequence(a, a->x + from * a->ldx, len, a->y + from * a->ldy);
	}
}
