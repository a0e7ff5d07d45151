// SPDX-License-Identifier: MIT
#include "internal.h"

static double ref_gelu(double x)
{
	return 0.5 * x * (1.0 + erf(x * M_SQRT1_2));
}

static void ref_apply(enum ref_act act, struct ref_mat *y, size_t i)
{
	double x = y->v[i];

	if (act == REF_ACT_GELU) {
		/* its slope is at most 1.13; an error of erf counts times x */
		y->v[i] = ref_gelu(x);
		y->e[i] = 1.13 * y->e[i] + 4.0 * fabs(x);
	} else if (act == REF_ACT_TANH) {
		y->v[i] = tanh(x);
		y->e[i] = y->e[i] + 4.0 * fabs(y->v[i]);
	}
	if (act != REF_ACT_NONE)
		y->m[i] = fabs(y->v[i]);
}

static void ref_residual(const struct ref_mat *r, struct ref_mat *y, size_t o)
{
	/* the sum of two f32 is an operation of its own */
	if (y->e[o] == 0.0 && r->e[o] == 0.0) {
		y->v[o] = (float)y->v[o] + (float)r->v[o];
		y->m[o] = fabs(y->v[o]);
		return;
	}
	y->v[o] += r->v[o];
	y->m[o] += r->m[o];
	y->e[o] += r->e[o] + fabs(y->v[o]);
}

void ref_linear(const struct ref_mat *x, const struct ref_mat *w, const struct ref_mat *b,
		enum ref_act act, const struct ref_mat *r, struct ref_mat *y)
{
	for (size_t i = 0; i < x->rows; i++) {
		for (size_t j = 0; j < w->cols; j++) {
			size_t o = i * w->cols + j;

			y->v[o] = b ? b->v[j] : 0.0;
			y->m[o] = fabs(y->v[o]);
			y->e[o] = b ? b->e[j] : 0.0;
		}
		ref_product_row(x, i, w, y, i);
		for (size_t o = i * w->cols; o < (i + 1) * w->cols; o++) {
			ref_apply(act, y, o);
			if (r)
				ref_residual(r, y, o);
		}
	}
}

void ref_ffn(const struct ref_mat *x, const struct ref_mat *w1, const struct ref_mat *b1,
	     const struct ref_mat *w2, const struct ref_mat *b2, struct ref_mat *y)
{
	struct ref_mat h = ref_new(x->rows, w1->cols);

	ref_linear(x, w1, b1, REF_ACT_GELU, NULL, &h);
	ref_linear(&h, w2, b2, REF_ACT_NONE, NULL, y);
	ref_free(&h);
}

/* One row of a layer norm, in place: s holds its input. */
static void ref_norm_row(struct ref_mat *s, size_t row, const struct ref_mat *gamma,
			 const struct ref_mat *beta, double eps)
{
	size_t d = s->cols;
	double *v = s->v + row * d, *m = s->m + row * d, *e = s->e + row * d;
	double mean = 0.0, e_mean = 0.0, var = 0.0, e_var = 0.0, n = (double)d;

	for (size_t j = 0; j < d; j++) {
		mean += v[j] / n;
		e_mean += (e[j] + (n + 1.0) * fabs(v[j])) / n;
	}
	for (size_t j = 0; j < d; j++) {
		v[j] -= mean;
		e[j] += e_mean + fabs(v[j]);
		var += v[j] * v[j] / n;
		/* the square of the error counts where it is all there is */
		e_var += (2.0 * fabs(v[j]) * e[j] + REF_U * e[j] * e[j]) / n;
	}
	e_var += (n + 2.0) * var;
	for (size_t j = 0; j < d; j++) {
		double rstd = 1.0 / sqrt(var + eps), rel = e_var / (2.0 * (var + eps)) + 4.0;
		double xhat = v[j] * rstd, g = fabs(gamma->v[j]);

		v[j] = xhat * gamma->v[j] + beta->v[j];
		m[j] = fabs(xhat) * g + fabs(beta->v[j]);
		e[j] = g * (rstd * e[j] + fabs(xhat) * rel) + 2.0 * m[j];
		/* no row of a layer norm is larger than sqrt(d) */
		if (rel * REF_U > 0.1)
			e[j] = (2.0 * g * sqrt(n) + m[j]) / REF_U;
	}
}

void ref_add_norm(const struct ref_mat *x, const struct ref_mat *r, const struct ref_mat *gamma,
		  const struct ref_mat *beta, double eps, struct ref_mat *y)
{
	for (size_t i = 0; i < x->rows * x->cols; i++) {
		y->v[i] = x->v[i] + (r ? r->v[i] : 0.0);
		y->e[i] = x->e[i] + (r ? r->e[i] + fabs(y->v[i]) : 0.0);
	}
	for (size_t i = 0; i < x->rows; i++)
		ref_norm_row(y, i, gamma, beta, eps);
}

void ref_embed(const struct ref_embed *a, struct ref_mat *y)
{
	size_t d = y->cols;

	for (size_t b = 0; b < a->batch.seqs; b++) {
		for (int32_t t = a->batch.offsets[b]; t < a->batch.offsets[b + 1]; t++) {
			const double *w = a->word->v + (size_t)a->ids[t] * d;
			const double *p = a->position->v + (size_t)(t - a->batch.offsets[b]) * d;
			const double *s = a->type->v + (size_t)(a->types ? a->types[t] : 0) * d;

			for (size_t j = 0; j < d; j++) {
				y->v[(size_t)t * d + j] = w[j] + p[j] + s[j];
				y->e[(size_t)t * d + j] =
					2.0 * (fabs(w[j]) + fabs(p[j]) + fabs(s[j]));
			}
			ref_norm_row(y, (size_t)t, a->gamma, a->beta, a->eps);
		}
	}
}

void ref_pool_mean(const struct ref_mat *x, const struct ref_batch *batch, struct ref_mat *y)
{
	size_t d = x->cols;

	for (size_t b = 0; b < batch->seqs; b++) {
		size_t from = (size_t)batch->offsets[b], to = (size_t)batch->offsets[b + 1];
		double n = (double)(to - from);

		for (size_t j = 0; j < d; j++) {
			double v = 0.0, m = 0.0, e = 0.0;

			for (size_t t = from; t < to; t++) {
				v += x->v[t * d + j] / n;
				m += fabs(x->v[t * d + j]) / n;
				e += x->e[t * d + j] / n;
			}
			y->v[b * d + j] = v;
			y->m[b * d + j] = m;
			y->e[b * d + j] = e + (n + 1.0) * m;
		}
	}
}

void ref_pool_first(const struct ref_mat *x, const struct ref_batch *batch, struct ref_mat *y)
{
	size_t d = x->cols;

	for (size_t b = 0; b < batch->seqs; b++) {
		size_t t = (size_t)batch->offsets[b];
		int empty = batch->offsets[b] == batch->offsets[b + 1];

		for (size_t j = 0; j < d; j++) {
			y->v[b * d + j] = empty ? 0.0 : x->v[t * d + j];
			y->m[b * d + j] = fabs(y->v[b * d + j]);
			y->e[b * d + j] = empty ? 0.0 : x->e[t * d + j];
		}
	}
}

void ref_normalize(const struct ref_mat *x, double eps, struct ref_mat *y)
{
	size_t d = x->cols;

	for (size_t i = 0; i < x->rows; i++) {
		const double *v = x->v + i * d, *e = x->e + i * d;
		double sum = 0.0, e_sum = 0.0, norm, rel;

		for (size_t j = 0; j < d; j++) {
			sum += v[j] * v[j];
			e_sum += 2.0 * fabs(v[j]) * e[j];
		}
		norm = sqrt(sum) > eps ? sqrt(sum) : eps;
		rel = (e_sum / 2.0) / (norm * norm) + (double)d / 2.0 + 3.0;
		for (size_t j = 0; j < d; j++) {
			size_t o = i * d + j;

			y->v[o] = v[j] / norm;
			y->m[o] = fabs(y->v[o]);
			y->e[o] = e[j] / norm + y->m[o] * rel;
		}
	}
}

void ref_softmax(const struct ref_mat *x, struct ref_mat *y)
{
	size_t d = x->cols;

	for (size_t i = 0; i < x->rows; i++) {
		const double *v = x->v + i * d, *e = x->e + i * d;
		double max = -INFINITY, e_max = 0.0, sum = 0.0, e_sum = 0.0;

		for (size_t j = 0; j < d; j++) {
			max = v[j] > max ? v[j] : max;
			e_max = e[j] > e_max ? e[j] : e_max;
		}
		for (size_t j = 0; j < d; j++) {
			double w = exp(v[j] - max), rel = e[j] + e_max + max - v[j] + 4.0;

			sum += w;
			e_sum += w * rel;
			y->v[i * d + j] = w;
			y->e[i * d + j] = rel;
		}
		for (size_t j = 0; j < d; j++) {
			size_t o = i * d + j;

			y->v[o] /= sum;
			y->m[o] = y->v[o];
			y->e[o] = y->v[o] * (y->e[o] + e_sum / sum + (double)d + 2.0);
			if (!(y->e[o] * REF_U < 0.1))
				y->e[o] = 1.0 / REF_U;
		}
	}
}
