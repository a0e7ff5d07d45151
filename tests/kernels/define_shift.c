// SPDX-License-Identifier: MIT
/* Heads in powers of two of a whole attention layer, in one sequence. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "define_integers.h"

float *def_shift_values(const struct damf_attention_args *a, const struct damf_k_head *h,
			const float *x, size_t len, const float *v)
{
	float *p = def_project(a, x, len, a->wpq, a->bpq, h->p_col, 1);
	float *q = def_project(a, x, len, a->wpq, a->bpq, h->q_col, 1);
	float *o = def_new(len * h->d_v);
	int64_t *den = (int64_t *)def_new(2 * len), *num = (int64_t *)def_new(2 * len * h->d_v);

	def_shift(p, q, len, v, h->d_v, h->d_v, o, h->d_v, den, num);
	free(p);
	free(q);
	free(den);
	free(num);
	return o;
}

/* All foldshift heads of a sequence. */
struct all {
	const struct damf_attention_args *a;
	const float *x;
	size_t len;
	int32_t *fixed;		/* X */
	int s;
	bool finite;
	size_t n;		/* terms so far */
	float *z;		/* [n][out] */
};

static struct def_foldshift begin(struct all *all, const struct damf_k_head *h)
{
	const struct damf_attention_args *a = all->a;
	struct def_foldshift f = {
		.order = h->order, .g = h->scale, .centred = h->flags & DAMF_K_CENTRED,
		.scale = h->flags & DAMF_K_SCALE, .len = all->len,
		.p = def_project(a, all->x, all->len, a->wpq, a->bpq, h->p_col, 1),
		.q = def_project(a, all->x, all->len, a->wpq, a->bpq, h->q_col, 1),
		.p_hat = def_new(all->len), .q_prime = def_new(all->len),
	};

	memcpy(f.c, h->coef, sizeof(f.c));
	all->finite &= def_foldshift_scores(&f);
	return f;
}

static void end(struct def_foldshift *f)
{
	free((float *)(uintptr_t)f->p);
	free((float *)(uintptr_t)f->q);
	free(f->p_hat);
	free(f->q_prime);
}

/* S_k by W_V and by W_O. */
static void vector(struct all *all, const struct damf_k_head *h, const float *row, float tau)
{
	const struct damf_attention_args *a = all->a;
	float *s = def_new(h->d_v), *z = all->z + all->n++ * a->out;

	for (size_t j = 0; j < h->d_v; j++)
		s[j] = def_dot(a->bv ? a->bv[h->v_col + j] * tau : 0.0f, row, a->wv, a->width,
			       h->v_col + j, 0, a->width);
	for (size_t j = 0; j < a->out; j++)
		z[j] = def_dot(0.0f, s, a->wo, a->nv, j, h->v_col, h->d_v);
	free(s);
}

static void head(struct all *all, const struct damf_k_head *h, struct def_foldshift *f)
{
	size_t width = all->a->width;
	int64_t *sums = (int64_t *)def_new(2 * (h->order + 1) * width);
	float *row = def_new(width);

	def_foldshift_sums(f, all->fixed, width, sums);
	for (size_t k = 0; k <= h->order; k++) {
		def_foldshift_row(sums, k, width, all->s, row);
		vector(all, h, row, k ? (float)f->sigma[k] / 4096.0f : (float)all->len);
	}
	free(sums);
	free(row);
}

static void mix(struct all *all, struct def_foldshift *f, size_t heads, float *y)
{
	const struct damf_attention_args *a = all->a;
	int64_t *out = (int64_t *)def_new(2 * all->len * a->out);
	int32_t *z = (int32_t *)def_new(all->n * a->out);
	int exponent = 0;
	size_t term = 0;

	all->finite &= def_fixed(all->z, a->out, all->n, a->out, 31, z, &exponent);
	for (size_t h = 0; h < heads && all->finite; h++) {
		def_foldshift_mix(&f[h], z + term * a->out, a->out, out);
		term += f[h].order + 1;
	}
	for (size_t i = 0; i < all->len * a->out; i++)
		y[i / a->out * a->ldy + i % a->out] += all->finite ?
			(float)out[i] * ldexpf(1.0f, exponent) : NAN;
	free(out);
	free(z);
}

void def_foldshift_heads(const struct damf_attention_args *a, const float *x, size_t len, float *y)
{
	struct all all = {
		.a = a, .x = x, .len = len, .fixed = (int32_t *)def_new(len * a->width),
		.z = def_new(5 * a->nheads * a->out),
	};
	struct def_foldshift *f = calloc(a->nheads, sizeof(*f));
	size_t n = 0;

	if (!f)
		abort();
	all.finite = def_fixed(x, a->ldx, len, a->width, 16, all.fixed, &all.s);
	for (size_t h = 0; h < a->nheads; h++) {
		if (a->heads[h].mode != DAMF_K_FOLDSHIFT)
			continue;
		f[n] = begin(&all, &a->heads[h]);
		if (all.finite)
			head(&all, &a->heads[h], &f[n]);
		n++;
	}
	if (n)
		mix(&all, f, n, y);
	while (n)
		end(&f[--n]);
	free(f);
	free(all.fixed);
	free(all.z);
}
