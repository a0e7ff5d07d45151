// SPDX-License-Identifier: MIT
/*
 * Dynamic attention matrix fusion: per head the scores' matrix W_Q W_K^T,
 * biases stacked below as one more row, is kept to a rank.
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
	size_t u = (size_t)h * f->rank, v = (size_t)(f->heads + h) * f->rank, k;

	damf_qr(w->q1, w->rows, w->n, w->r1);
	damf_qr(w->q2, w->rows, w->n, w->r2);
	multiply(w);
	damf_svd(w->core, w->b, w->s, w->n);
	for (k = 0; k < f->rank; k++) {
		/* the columns of core are s_k a_k now */
		const double *a = w->core + k * w->n, *b = w->b + k * w->n;
		double sign = sign_of(b, w->n);

		expand(w, w->q1, a, sign, f->weight + (u + k) * f->width, f->bias + u + k);
		expand(w, w->q2, b, sign, f->weight + (v + k) * f->width, f->bias + v + k);
	}
	for (k = 0; k < w->n; k++)
		f->singular[h * w->n + k] = (float)w->s[k];
}

/* ---- What u and v make of the scores ------------------------------------------------ */

/* Entry i of a vector of weights with its bias behind. */
static double at(const float *weight, const float *bias, size_t i, size_t width)
{
	return i < width ? (double)weight[i] : (double)*bias;
}

/* row += factor times a vector of weights with its bias behind */
static void add_row(double *row, double factor, const float *weight, float bias, size_t width)
{
	size_t j;

	for (j = 0; j < width; j++)
		row[j] += factor * (double)weight[j];
	row[width] += factor * (double)bias;
}

/*
 * Row i of the scores' matrix of a head, and of what is kept of it: formed a
 * row at a time, and only to be compared.
 */
static void score_rows(const struct damf_fuse_args *a, const struct damf_fused *f, uint32_t h,
		       size_t i, double *exact, double *kept)
{
	size_t d = a->width, n = d / a->heads, k;

	memset(exact, 0, (d + 1) * sizeof(*exact));
	memset(kept, 0, (d + 1) * sizeof(*kept));
	for (k = h * n; k < (h + 1) * n; k++)
		add_row(exact, at(a->wq + k * d, a->bq + k, i, d), a->wk + k * d, a->bk[k], d);
	for (k = (size_t)h * f->rank; k < (size_t)(h + 1) * f->rank; k++) {
		size_t v = (size_t)f->heads * f->rank + k;

		add_row(kept, at(f->weight + k * d, f->bias + k, i, d), f->weight + v * d,
			f->bias[v], d);
	}
}

static struct damf_fused_error measure(const struct damf_fuse_args *a, const struct damf_fused *f,
				       uint32_t h, double *rows)
{
	double *exact = rows, *kept = rows + a->width + 1;
	double norm = 0, off = 0, most = 0, most_off = 0;
	size_t i, j;

	for (i = 0; i <= a->width; i++) {
		score_rows(a, f, h, i, exact, kept);
		for (j = 0; j <= a->width; j++) {
			double diff = exact[j] - kept[j];

			norm += exact[j] * exact[j];
			off += diff * diff;
			most = fmax(most, fabs(exact[j]));
			most_off = fmax(most_off, fabs(diff));
		}
	}
	return (struct damf_fused_error){
		.frobenius = norm > 0 ? sqrt(off / norm) : 0,
		.largest = most > 0 ? most_off / most : 0,
	};
}

static int measure_all(const struct damf_fuse_args *a, struct damf_fused *f)
{
	double *rows = malloc(2 * ((size_t)a->width + 1) * sizeof(*rows));
	uint32_t h;

	f->error = malloc(a->heads * sizeof(*f->error));
	for (h = 0; rows && f->error && h < a->heads; h++)
		f->error[h] = measure(a, f, h, rows);
	free(rows);
	return rows && f->error ? 0 : -ENOMEM;
}

/* ---- A layer ------------------------------------------------------------------------ */

static int fuse_heads(const struct damf_fuse_args *a, struct damf_fused *f)
{
	uint32_t h, n = a->width / a->heads;
	struct work w;

	if (work_init(&w, a->width, n))
		return -ENOMEM;
	for (h = 0; h < a->heads; h++) {
		stack(w.q1, a->wq, a->bq, (size_t)h * n, n, a->width);
		stack(w.q2, a->wk, a->bk, (size_t)h * n, n, a->width);
		fuse_head(&w, f, h);
	}
	free(w.q1);
	return a->errors ? measure_all(a, f) : 0;
}

int damf_fuse(const struct damf_fuse_args *a, struct damf_fused *f, struct damf_error *err)
{
	size_t columns = 2ull * a->heads * a->rank;

	*f = (struct damf_fused){
		.heads = a->heads, .width = a->width, .head_width = a->width / a->heads,
		.rank = a->rank,
		.weight = malloc(columns * a->width * sizeof(float)),
		.bias = malloc(columns * sizeof(float)),
		.singular = malloc((size_t)a->width * sizeof(float)),
	};
	if (f->weight && f->bias && f->singular && !fuse_heads(a, f))
		return 0;
	damf_fused_free(f);
	return damf_error_set(err, -ENOMEM, "no memory to fuse attention heads");
}

int damf_fuse_layer(const struct damf_source *src, uint32_t layer, const struct damf_fuse_args *a,
		    struct damf_fused *f, struct damf_error *err)
{
	struct damf_fuse_args args = *a;
	static const char *const parts[] = { "query.weight", "query.bias", "key.weight", "key.bias" };
	size_t d = a->width, sizes[] = { d * d, d, d * d, d };
	float *data = malloc(2 * (d * d + d) * sizeof(*data)), *at[4];
	char name[96];
	int i, r = 0;

	memset(f, 0, sizeof(*f));
	if (!data)
		return damf_error_set(err, -ENOMEM, "no memory to fuse attention heads");
	for (i = 0; i < 4 && !r; i++) {
		at[i] = i ? at[i - 1] + sizes[i - 1] : data;
		snprintf(name, sizeof(name), "encoder.layer.%u.attention.self.%s", layer, parts[i]);
		r = damf_source_read(src, name, a->width, i & 1 ? 0 : a->width, at[i], err);
	}
	if (!r) {
		args.wq = at[0];
		args.bq = at[1];
		args.wk = at[2];
		args.bk = at[3];
		r = damf_fuse(&args, f, err);
	}
	free(data);
	return r;
}

void damf_fused_free(struct damf_fused *f)
{
	free(f->weight);
	free(f->bias);
	free(f->singular);
	free(f->error);
	memset(f, 0, sizeof(*f));
}
