// SPDX-License-Identifier: MIT
/* Products with weights: float with a bound, int8 to the bit or with a bound. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct ref_mat ref_cut(const struct ref_mat *a, const size_t *rows, size_t nrows, size_t col,
		       size_t ncols)
{
	struct ref_mat b = ref_new(nrows, ncols);

	for (size_t i = 0; i < nrows * ncols; i++) {
		size_t row = rows ? rows[i / ncols] : i / ncols;
		size_t from = row * a->cols + col + i % ncols;

		b.v[i] = a->v[from];
		b.m[i] = a->m[from];
		b.e[i] = a->e[from];
	}
	b.top = a->top;
	if (a->factors) {
		b.factors = ref_alloc(ncols, sizeof(*b.factors));
		memcpy(b.factors, a->factors + col, ncols * sizeof(*b.factors));
	}
	return b;
}

bool ref_exact(const double *e, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (e[i] != 0.0)
			return false;
	}
	return true;
}

static void integer_bits(const float *x, const struct ref_mat *w, float *y)
{
	int32_t *q = ref_alloc(w->rows, sizeof(*q));
	float s = ref_quantise(x, w->rows, w->top, q);

	for (size_t n = 0; n < w->cols; n++) {
		int64_t sum = 0;

		for (size_t k = 0; k < w->rows; k++)
			sum += (int64_t)q[k] * (int64_t)w->v[k * w->cols + n];
		y[n] = fmaf((float)sum, s * w->factors[n], y[n]);
	}
	free(q);
}

void ref_product_bits(const float *x, const struct ref_mat *w, float *y)
{
	if (w->factors) {
		integer_bits(x, w, y);
		return;
	}
	for (size_t k = 0; k < w->rows; k++) {
		for (size_t n = 0; n < w->cols; n++)
			y[n] = fmaf(x[k], (float)w->v[k * w->cols + n], y[n]);
	}
}

/* A quantised row: what it is here, and how many steps f32's may be away. */
struct steps {
	double s, s_low, s_high;
	double *q, *apart;
	bool vanishing;		/* f32 may have taken it for 0 */
};

static struct steps quantise(const double *v, const double *e, size_t n, int32_t top)
{
	struct steps s = {
		.q = ref_alloc(n, sizeof(double)), .apart = ref_alloc(n, sizeof(double)),
	};
	double a = 0.0, low = 0.0, high = 0.0;

	for (size_t k = 0; k < n; k++) {
		double error = 1.25 * REF_U * e[k];

		a = fmax(a, fabs(v[k]));
		low = fmax(low, fabs(v[k]) - error);
		high = fmax(high, fabs(v[k]) + error);
	}
	s.s_low = low / top;
	s.s_high = high / top;
	s.vanishing = low < 0x1p-100;
	if (a < 0x1p-100)
		return s;
	s.s = a / top;
	for (size_t k = 0; k < n; k++) {
		double z = v[k] / s.s, most = top, off;

		off = low > 0.0 ? 1.25 * REF_U * e[k] / s.s_low +
				  fabs(z) * ((high - low) / low + 4.0 * REF_U)
				: 2.0 * most;
		s.q[k] = fmax(-most, fmin(rint(z), most));
		s.apart[k] = fmax(fmin(rint(z + off), most) - s.q[k],
				  s.q[k] - fmax(rint(z - off), -most));
	}
	return s;
}

static void integer_row(const struct ref_mat *x, size_t k, const struct ref_mat *w,
			struct ref_mat *y, size_t i)
{
	struct steps s = quantise(x->v + k * w->rows, x->e + k * w->rows, w->rows, w->top);

	for (size_t n = 0; n < w->cols; n++) {
		double sum = 0.0, mag = 0.0, apart = 0.0, all = 0.0, t = w->factors[n];
		size_t o = i * w->cols + n;

		for (size_t j = 0; j < w->rows; j++) {
			double wj = w->v[j * w->cols + n];

			sum += s.q[j] * wj;
			mag += fabs(s.q[j] * wj);
			apart += s.apart[j] * fabs(wj);
			all += fabs(wj);
		}
		y->v[o] += sum * s.s * t;
		y->m[o] += mag * s.s * t;
		y->e[o] += (apart * s.s_high + fabs(sum) * (s.s_high - s.s_low)) * t / REF_U +
			3.0 * fabs(sum) * s.s_high * t + fabs(y->v[o]);
		if (s.vanishing)
			y->e[o] += all * w->top * s.s_high * t / REF_U;
	}
	free(s.q);
	free(s.apart);
}

static void float_row(const struct ref_mat *x, size_t k, const struct ref_mat *w,
		      struct ref_mat *y, size_t i)
{
	double *v = y->v + i * w->cols, *m = y->m + i * w->cols, *e = y->e + i * w->cols;

	for (size_t j = k * w->rows; j < (k + 1) * w->rows; j++) {
		for (size_t n = 0; n < w->cols; n++) {
			double wj = w->v[(j - k * w->rows) * w->cols + n];

			v[n] += x->v[j] * wj;
			m[n] += x->m[j] * fabs(wj);
			e[n] += x->e[j] * fabs(wj);
		}
	}
	for (size_t n = 0; n < w->cols; n++)
		e[n] += ((double)w->rows + 1.0) * m[n];
}

/* The bits, as values without error. */
static void exact_row(const struct ref_mat *x, size_t k, const struct ref_mat *w,
		      struct ref_mat *y, size_t i)
{
	float *in = ref_alloc(w->rows, sizeof(*in)), *out = ref_alloc(w->cols, sizeof(*out));

	for (size_t j = 0; j < w->rows; j++)
		in[j] = (float)x->v[k * w->rows + j];
	for (size_t n = 0; n < w->cols; n++)
		out[n] = (float)y->v[i * w->cols + n];
	ref_product_bits(in, w, out);
	for (size_t n = 0; n < w->cols; n++) {
		y->v[i * w->cols + n] = out[n];
		y->m[i * w->cols + n] = fabs((double)out[n]);
	}
	free(in);
	free(out);
}

void ref_product_row(const struct ref_mat *x, size_t k, const struct ref_mat *w, struct ref_mat *y,
		     size_t i)
{
	if (!w->factors)
		float_row(x, k, w, y, i);
	else if (ref_exact(x->e + k * w->rows, w->rows) && ref_exact(y->e + i * w->cols, w->cols))
		exact_row(x, k, w, y, i);
	else
		integer_row(x, k, w, y, i);
}
