// SPDX-License-Identifier: MIT
/* One head of one sequence in float64, twice: by the L x L form, and folded. */
#include <stdlib.h>

#include "internal.h"

static double largest(const double *x, size_t step, size_t n)
{
	double a = 0.0;

	for (size_t i = 0; i < n; i++)
		a = fmax(a, fabs(x[i * step]));
	return a;
}

static double softmax_score(const struct ref_head *h, double p, double q)
{
	return (h->flags & REF_SCALE ? h->scale : 1.0) * p * q;
}

static void softmax_weights(const struct ref_head *h, double p, const double *q, size_t len,
			    double *w)
{
	double most = -INFINITY, sum = 0.0;

	for (size_t n = 0; n < len; n++)
		most = fmax(most, softmax_score(h, p, q[n]));
	for (size_t n = 0; n < len; n++) {
		w[n] = exp(softmax_score(h, p, q[n]) - most);
		sum += w[n];
	}
	for (size_t n = 0; n < len; n++)
		w[n] /= sum;
}

/* g: 1 / A_max, A_max the bound over the ranks; 0 if there are no scores. */
static double factor(const struct ref_head *h, const double *p, const double *q, size_t len)
{
	double a_max = 0.0;

	if (h->flags & REF_SCALE)
		return h->scale;
	for (size_t k = 0; k < h->rank; k++)
		a_max += largest(p + k, h->rank, len) * largest(q + k, h->rank, len);
	return a_max > 0.0 ? 1.0 / a_max : 0.0;
}

bool ref_is_paper(const struct ref_head *h)
{
	return h->order == 1 && h->coef[0] == 1.0 && h->coef[1] == 1.0 && !(h->flags & REF_SCALE);
}

/* Weight of one pair; mag: the sum of the magnitudes of its terms. */
static double polynomial(const struct ref_head *h, const double *p, const double *q, double g,
			 double *mag)
{
	double score = 0.0, abs_score = 0.0, w = 0.0, power = 1.0, abs_power = 1.0;

	for (size_t k = 0; k < h->rank; k++) {
		score += g * p[k] * q[k];
		abs_score += fabs(g * p[k] * q[k]);
	}
	*mag = 0.0;
	for (size_t k = 0; k <= h->order; k++) {
		w += h->coef[k] * power;
		*mag += fabs(h->coef[k]) * abs_power;
		power *= score;
		abs_power *= abs_score;
	}
	return w;
}

static void fold_weights(const struct ref_head *h, const double *p, const double *q, size_t len,
			 double guard, size_t m, double *w)
{
	double den = 0.0, mags = 0.0, mag, g = factor(h, p, q, len);

	for (size_t n = 0; n < len; n++) {
		w[n] = polynomial(h, p + m * h->rank, q + n * h->rank, g, &mag);
		den += w[n];
		mags += mag;
	}
	if (ref_is_paper(h))
		mags = (double)len;
	for (size_t n = 0; n < len; n++)
		w[n] = g != 0.0 && den > guard * mags ? w[n] / den : 1.0 / (double)len;
}

void ref_score_weights(const struct ref_head *h, const struct ref_scores *s, size_t len, size_t m,
		       double *w)
{
	bool omega = h->rank > 1 && !(h->flags & REF_SCALE);
	double den = 0.0;

	for (size_t n = 0; n < len; n++) {
		double score = 0.0, power = 1.0;

		for (size_t k = 0; k < h->rank; k++)
			score += (omega ? s->omega[k].v : 1.0) * s->p[m * h->rank + k].v *
				s->q[n * h->rank + k].v;
		w[n] = 0.0;
		for (size_t k = 0; k <= h->order; k++, power *= score)
			w[n] += h->coef[k] * power;
		den += w[n];
	}
	/* the sum of q^ that are centred is nothing but rounding */
	if (h->flags & REF_CENTRED && h->rank == 1 && h->order == 1)
		den = h->coef[0] * (double)len;
	for (size_t n = 0; n < len; n++)
		w[n] /= den;
}

/* q - mean q; what is nothing but rounding is 0, or A_max would make it large. */
static double *centred(const struct ref_head *h, const double *q, size_t len)
{
	double *c = ref_alloc(len * h->rank, sizeof(*c));

	for (size_t k = 0; k < h->rank; k++) {
		double mean = 0.0;

		for (size_t n = 0; h->flags & REF_CENTRED && n < len; n++)
			mean += q[n * h->rank + k] / (double)len;
		for (size_t n = 0; n < len; n++) {
			double apart = q[n * h->rank + k] - mean;

			c[n * h->rank + k] = fabs(apart) > 1e-13 * fabs(mean) ? apart : 0.0;
		}
	}
	return c;
}

void ref_weights(const struct ref_head *h, const double *p, const double *q, size_t len,
		 double guard, size_t m, double *w)
{
	double *c;

	if (h->mode == REF_SOFTFOLD) {
		softmax_weights(h, p[m], q, len, w);
		return;
	}
	c = centred(h, q, len);
	fold_weights(h, p, c, len, guard, m, w);
	free(c);
}

/* Band and sinks of query m. */
static void add_static(const struct ref_head *h, const double *v, size_t len, size_t m, double *out)
{
	for (size_t j = 0; j < h->d_v; j++) {
		for (int o = -REF_RADIUS; h->flags & REF_BAND && o <= REF_RADIUS; o++) {
			ptrdiff_t n = (ptrdiff_t)m + o;

			if (n >= 0 && n < (ptrdiff_t)len)
				out[j] += h->band[o + REF_RADIUS] * v[(size_t)n * h->d_v + j];
		}
		if (h->flags & REF_SINKS)
			out[j] += h->sink[0] * v[j] + h->sink[1] * v[(len - 1) * h->d_v + j];
	}
}

void ref_head_direct(const struct ref_head *h, const double *p, const double *q, const double *v,
		     size_t len, double guard, double *out)
{
	double *w = ref_alloc(len, sizeof(*w));

	for (size_t m = 0; m < len; m++) {
		double *row = out + m * h->d_v;

		ref_weights(h, p, q, len, guard, m, w);
		for (size_t j = 0; j < h->d_v; j++) {
			row[j] = 0.0;
			for (size_t n = 0; n < len; n++)
				row[j] += w[n] * v[n * h->d_v + j];
		}
		add_static(h, v, len, m, row);
	}
	free(w);
}

static struct ref_num *exact_numbers(const double *x, size_t n, double by)
{
	struct ref_num *a = ref_alloc(n, sizeof(*a));

	for (size_t i = 0; i < n; i++)
		a[i].v = x[i] * by;
	return a;
}

/* The sums over tokens of a term, then what it gives each query. */
static void add_term(const struct ref_terms *t, size_t k, const double *v, size_t d_v, double *out)
{
	for (size_t j = 0; j < d_v; j++) {
		double sum = 0.0;

		for (size_t n = 0; n < t->len; n++)
			sum += t->c[k * t->len + n].v * v[n * d_v + j];
		for (size_t m = 0; m < t->len; m++)
			out[m * d_v + j] += t->mu[k * t->len + m].v * sum;
	}
}

/* Nodes for numbers that are f32 only nearly: the extremes are rounded. */
static unsigned int nodes_of(const struct ref_head *h, const struct ref_num *p,
			     const struct ref_num *q, size_t len)
{
	double high_p = -INFINITY, low_p = INFINITY, high_q = -INFINITY, low_q = INFINITY;

	for (size_t n = 0; n < len; n++) {
		high_p = fmax(high_p, p[n].v);
		low_p = fmin(low_p, p[n].v);
		high_q = fmax(high_q, q[n].v);
		low_q = fmin(low_q, q[n].v);
	}
	return ref_softfold_nodes((float)high_p, (float)low_p, (float)high_q, (float)low_q,
				  h->coef[0]);
}

void ref_head_folded(const struct ref_head *h, const double *p, const double *q, const double *v,
		     size_t len, double guard, double *out)
{
	bool soft = h->mode == REF_SOFTFOLD;
	double by = soft && h->flags & REF_SCALE ? h->scale : 1.0;
	struct ref_num *np = exact_numbers(p, len * h->rank, by);
	struct ref_num *nq = exact_numbers(q, len * h->rank, 1.0);
	unsigned int nodes = soft ? nodes_of(h, np, nq, len) : 0;
	struct ref_scores s;
	struct ref_terms t;

	if (soft && !nodes) {
		ref_head_direct(h, p, q, v, len, guard, out);
	} else {
		if (soft) {
			ref_softfold_terms(np, nq, len, nodes, &t);
		} else {
			s = ref_scores_float(h, np, nq, len);
			ref_fold_terms(h, &s, len, guard, NULL, &t);
			ref_scores_free(&s);
		}
		for (size_t i = 0; i < len * h->d_v; i++)
			out[i] = 0.0;
		for (size_t k = 0; k < t.count; k++)
			add_term(&t, k, v, h->d_v, out);
		for (size_t m = 0; m < len; m++)
			add_static(h, v, len, m, out + m * h->d_v);
		ref_terms_free(&t);
	}
	free(np);
	free(nq);
}
