// SPDX-License-Identifier: MIT
/*
 * Dynamic attention matrix fusion: per head the scores' matrix W_Q W_K^T,
 * biases stacked below as one more row, is kept to rank 1.
 *
 * It is never formed: with W_Q = Q1 R1 and W_K = Q2 R2 its singular vectors
 * are Q1 a and Q2 b, where a, b are those of the small R1 R2^T.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "model.h"

struct work {
	size_t rows, n;			/* width + 1, width of a head */
	double *q1, *q2;		/* [rows x n] */
	double *r1, *r2, *core, *b, *s;	/* [n x n], s: [n] */
};

static int work_init(struct work *w, uint32_t width, uint32_t head)
{
	size_t big, small;
	double *p;

	w->rows = (size_t)width + 1;
	w->n = head;
	big = w->rows * w->n;
	small = w->n * w->n;
	p = malloc((2 * big + 4 * small + w->n) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	w->q1 = p;
	w->q2 = w->q1 + big;
	w->r1 = w->q2 + big;
	w->r2 = w->r1 + small;
	w->core = w->r2 + small;
	w->b = w->core + small;
	w->s = w->b + small;
	return 0;
}

/* Columns of one head, the bias below: an HF Linear holds them as rows. */
static void stack(double *dst, const float *w, const float *bias, size_t first, size_t n,
		  size_t width)
{
	size_t i, j;

	for (j = 0; j < n; j++) {
		for (i = 0; i < width; i++)
			*dst++ = w[(first + j) * width + i];
		*dst++ = bias[first + j];
	}
}

/* core = r1 r2^T, both upper triangular. */
static void multiply(struct work *w)
{
	size_t i, j, k, n = w->n;

	for (j = 0; j < n; j++) {
		for (i = 0; i < n; i++) {
			double sum = 0;

			for (k = i > j ? i : j; k < n; k++)
				sum += w->r1[i + k * n] * w->r2[j + k * n];
			w->core[i + j * n] = sum;
		}
	}
}

/* y = q x, of which the last entry acts as a bias. */
static void expand(const struct work *w, const double *q, const double *x, double factor,
		   float *weight, float *bias)
{
	size_t i, k;

	for (i = 0; i < w->rows; i++) {
		double sum = 0;

		for (k = 0; k < w->n; k++)
			sum += q[i + k * w->rows] * x[k];
		if (i + 1 < w->rows)
			weight[i] = (float)(sum * factor);
		else
			*bias = (float)(sum * factor);
	}
}

/* Both vectors may change sign together: the largest entry of b is positive. */
static double sign_of(const double *b, size_t n)
{
	size_t i, best = 0;

	for (i = 1; i < n; i++)
		if (fabs(b[i]) > fabs(b[best]))
			best = i;
	return b[best] < 0 ? -1 : 1;
}

static void fuse_head(struct work *w, struct damf_fused *f, uint32_t h)
{
	size_t u = h, v = f->heads + h, i;
	double sign;

	damf_qr(w->q1, w->rows, w->n, w->r1);
	damf_qr(w->q2, w->rows, w->n, w->r2);
	multiply(w);
	damf_svd(w->core, w->b, w->s, w->n);
	sign = sign_of(w->b, w->n);
	/* the first column of core is s_1 a_1 now */
	expand(w, w->q1, w->core, sign, f->weight + u * f->width, f->bias + u);
	expand(w, w->q2, w->b, sign, f->weight + v * f->width, f->bias + v);
	for (i = 0; i < w->n; i++)
		f->singular[h * w->n + i] = (float)w->s[i];
}

int damf_fuse(const float *wq, const float *bq, const float *wk, const float *bk, uint32_t heads,
	      uint32_t width, struct damf_fused *f, struct damf_error *err)
{
	uint32_t h, n = width / heads;
	struct work w;

	*f = (struct damf_fused){
		.heads = heads, .width = width, .head_width = n,
		.weight = malloc(2ull * heads * width * sizeof(float)),
		.bias = malloc(2ull * heads * sizeof(float)),
		.singular = malloc((size_t)width * sizeof(float)),
	};
	if (!f->weight || !f->bias || !f->singular || work_init(&w, width, n)) {
		damf_fused_free(f);
		return damf_error_set(err, -ENOMEM, "no memory to fuse attention heads");
	}
	for (h = 0; h < heads; h++) {
		stack(w.q1, wq, bq, (size_t)h * n, n, width);
		stack(w.q2, wk, bk, (size_t)h * n, n, width);
		fuse_head(&w, f, h);
	}
	free(w.q1);
	return 0;
}

int damf_fuse_layer(const struct damf_source *src, uint32_t layer, uint32_t heads, uint32_t width,
		    struct damf_fused *f, struct damf_error *err)
{
	static const char *const parts[] = { "query.weight", "query.bias", "key.weight", "key.bias" };
	size_t square = (size_t)width * width, sizes[] = { square, width, square, width };
	float *data = malloc(2 * (square + width) * sizeof(*data)), *at[4];
	char name[96];
	int i, r = 0;

	memset(f, 0, sizeof(*f));
	if (!data)
		return damf_error_set(err, -ENOMEM, "no memory to fuse attention heads");
	for (i = 0; i < 4 && !r; i++) {
		at[i] = i ? at[i - 1] + sizes[i - 1] : data;
		snprintf(name, sizeof(name), "encoder.layer.%u.attention.self.%s", layer, parts[i]);
		r = damf_source_read(src, name, width, i & 1 ? 0 : width, at[i], err);
	}
	if (!r)
		r = damf_fuse(at[0], at[1], at[2], at[3], heads, width, f, err);
	free(data);
	return r;
}

void damf_fused_free(struct damf_fused *f)
{
	free(f->weight);
	free(f->bias);
	free(f->singular);
	memset(f, 0, sizeof(*f));
}
