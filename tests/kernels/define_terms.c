// SPDX-License-Identifier: MIT
/* Heads of which a token's output is a mix of the sequence's vectors: their weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally.h"

#define GUARD	0x1p-20f
#define MOST	257	/* terms */

static float largest(const float *x, size_t n)
{
	float max = 0.0f;

	for (size_t i = 0; i < n; i++)
		max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
	return max;
}

static float magnitudes(const float *x, size_t n)
{
	float *a = def_new(n), sum;

	for (size_t i = 0; i < n; i++)
		a[i] = fabsf(x[i]);
	sum = def_sum(a, n);
	free(a);
	return sum;
}

struct def_terms def_terms_new(size_t n, size_t len)
{
	return (struct def_terms) {
		.n = n, .len = len, .c = def_new(n * len), .mu = def_new(n * len),
		.tau = def_new(n),
	};
}

void def_terms_free(struct def_terms *t)
{
	free(t->c);
	free(t->mu);
	free(t->tau);
}

/* ---- fold ---------------------------------------------------------------- */

/* Factors of scores, ready; of each its share of A_max. False: weights are uniform. */
static int factors(const struct damf_k_head *h, float *p, float *q, size_t len, float *share)
{
	float sum = 0.0f;

	for (size_t k = 0; k < h->rank; k++, p += len, q += len) {
		float mean = 0.0f, pmax, qmax;

		if (h->flags & DAMF_K_CENTRED)
			mean = DIVIDE(def_sum(q, len), (float)len);
		for (size_t i = 0; i < len; i++)
			q[i] -= mean;
		pmax = largest(p, len);
		qmax = largest(q, len);
		share[k] = pmax * qmax;
		sum += share[k];
		for (size_t i = 0; i < len; i++) {
			if (h->flags & DAMF_K_SCALE) {
				p[i] *= h->scale;
				continue;
			}
			p[i] = DIVIDE(p[i], pmax == 0.0f ? 1.0f : pmax);
			q[i] = DIVIDE(q[i], qmax == 0.0f ? 1.0f : qmax);
		}
	}
	if (h->rank == 1 || (h->flags & DAMF_K_SCALE)) {
		for (size_t k = 0; k < h->rank; k++)
			share[k] = 1.0f;
		return 1;
	}
	for (size_t k = 0; k < h->rank; k++)
		share[k] = DIVIDE(share[k], sum);
	return sum > 0.0f && isfinite(sum);
}

/* t_k of query m. */
static float term(const struct damf_k_head *h, const float *p, size_t len, const float *share,
		  size_t m, size_t k)
{
	float pi = 1.0f;

	if (!k)
		return h->coef[0];
	if (h->rank > 1)
		return h->coef[1] * (share[k - 1] * p[(k - 1) * len + m]);
	for (size_t i = 0; i < k; i++)
		pi *= p[m];
	return h->coef[k] * pi;
}

static void mix(const struct damf_k_head *h, const float *p, const float *share, int defined,
		struct def_terms *t)
{
	float len = (float)t->len, magnitude[MOST];
	int paper = !(h->flags & DAMF_K_SCALE) && h->order == 1 && h->coef[0] == 1.0f &&
		    h->coef[1] == 1.0f;

	for (size_t k = 1; k < t->n; k++)
		magnitude[k] = magnitudes(t->c + k * t->len, t->len);
	for (size_t m = 0; m < t->len; m++) {
		float d = h->coef[0] * len, all = fabsf(h->coef[0]) * len, inverse;

		for (size_t k = 1; k < t->n; k++) {
			float tk = term(h, p, t->len, share, m, k);

			d = fmaf(tk, t->tau[k], d);
			all = fmaf(fabsf(tk), magnitude[k], all);
		}
		if (paper)
			all = len;
		if (!defined || !(d > GUARD * all)) {
			t->mu[m] = DIVIDE(1.0f, len);
			continue;
		}
		inverse = DIVIDE(1.0f, d);
		for (size_t k = 0; k < t->n; k++)
			t->mu[k * t->len + m] = term(h, p, t->len, share, m, k) * inverse;
	}
}

struct def_terms def_fold(const struct damf_k_head *h, float *p, float *q, size_t len)
{
	struct def_terms t = def_terms_new(1 + (h->rank > 1 ? h->rank : h->order), len);
	float share[MOST];
	int defined = factors(h, p, q, len, share);

	for (size_t k = 0; k < t.n; k++) {
		float *c = t.c + k * len;

		for (size_t i = 0; i < len; i++) {
			if (!k)
				c[i] = 1.0f;
			else if (h->rank > 1)
				c[i] = q[(k - 1) * len + i];
			else
				c[i] = c[i - len] * q[i];
		}
		t.tau[k] = k ? def_sum(c, len) : (float)len;
	}
	if ((h->flags & DAMF_K_CENTRED) && h->rank == 1 && h->order == 1)
		t.tau[1] = 0.0f;
	mix(h, p, share, defined, &t);
	return t;
}

/* ---- softfold ------------------------------------------------------------ */

struct range {
	float low, high;
};

static struct range range(const float *x, size_t n)
{
	struct range r = { INFINITY, -INFINITY };

	for (size_t i = 0; i < n; i++) {
		r.low = x[i] < r.low ? x[i] : r.low;
		r.high = x[i] > r.high ? x[i] : r.high;
	}
	return r;
}

size_t def_nodes(const float *p, const float *q, size_t len, float bound)
{
	static const double theta[] = { 1.6, 2.2, 2.6, 2.9 }, kappa[] = { 5.75, 8.82, 14.96, 33.2 };
	static const int degrees[] = {
		1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 30, 40, 48, 60,
	};
	struct range pr = range(p, len), qr = range(q, len);
	double r = (double)(pr.high - pr.low) * (double)(qr.high - qr.low);

	if (!isfinite(r) || !isfinite(pr.high + pr.low))
		return 0;
	if (r == 0.0 || (pr.high - pr.low) * 0.5f == 0.0f)
		return 1;
	for (size_t i = 0; i < sizeof(degrees) / sizeof(degrees[0]); i++) {
		for (size_t s = 0; s < 4; s++) {
			double beta = 2.0 * theta[s] / r, rho = beta + sqrt(beta * beta + 1.0);
			double y = kappa[s] / (rho - 1.0);

			for (int n = 0; n < degrees[i]; n++)
				y /= rho;
			if (y <= (double)bound)
				return (size_t)degrees[i] + 1;
		}
	}
	return 0;
}

/* cos(pi i / n), by a sine that is exactly 0 in the middle. */
static float cosine(size_t i, size_t n)
{
	return (float)sinl(3.14159265358979323846264338327950288L *
			   ((long double)n - 2.0L * (long double)i) / (2.0L * (long double)n));
}

static void interpolate(float z, size_t g, float *mu, size_t step)
{
	float y[61], sum = 0.0f, inverse;
	size_t hit = g;

	for (size_t i = 0; i < g; i++) {
		float d = z - cosine(i, g - 1), b = i == 0 || i == g - 1 ? 0.5f : 1.0f;

		if (d == 0.0f && hit == g)
			hit = i;
		y[i] = DIVIDE(i % 2 ? -b : b, d);
		sum = i ? sum + y[i] : y[i];
	}
	inverse = DIVIDE(1.0f, sum);
	for (size_t i = 0; i < g; i++)
		mu[i * step] = hit == g ? y[i] * inverse : i == hit ? 1.0f : 0.0f;
}

struct def_terms def_softfold(const float *p, const float *q, size_t len, float bound)
{
	size_t nodes = def_nodes(p, q, len, bound), g = len <= nodes ? len : nodes;
	struct def_terms t = def_terms_new(g, len);
	struct range pr = range(p, len), qr = range(q, len);
	float mid = (pr.high + pr.low) * 0.5f, half = (pr.high - pr.low) * 0.5f;

	for (size_t i = 0; i < g; i++) {
		float *c = t.c + i * len, node, inverse;

		if (len <= nodes)
			node = p[i];
		else
			node = g == 1 ? pr.low : fmaf(half, cosine(i, g - 1), mid);
		for (size_t n = 0; n < len; n++)
			c[n] = def_exp(node * (q[n] - (node >= 0.0f ? qr.high : qr.low)));
		inverse = DIVIDE(1.0f, def_sum(c, len));
		for (size_t n = 0; n < len; n++)
			c[n] *= inverse;
		t.tau[i] = 1.0f;
	}
	for (size_t m = 0; m < len; m++) {
		for (size_t i = 0; i < g && (len <= nodes || g == 1); i++)
			t.mu[i * len + m] = g == 1 || i == m ? 1.0f : 0.0f;
		if (len > nodes && g > 1)
			interpolate(DIVIDE(p[m] - mid, half), g, t.mu + m, len);
	}
	return t;
}
