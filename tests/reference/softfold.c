// SPDX-License-Identifier: MIT
/* SOFTFOLD: nodes, and the terms of interpolation between them. */
#include "internal.h"

#include <stdlib.h>

#define MAX_NODES	61

unsigned int ref_softfold_nodes(float p_high, float p_low, float q_high, float q_low, double bound)
{
	static const double strips[][2] = { /* theta, kappa */
		{ 1.6, 5.75 }, { 2.2, 8.82 }, { 2.6, 14.96 }, { 2.9, 33.2 },
	};
	static const unsigned int choices[] = {
		1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 30, 40, 48, 60,
	};
	float range_p = p_high - p_low, range_q = q_high - q_low, sum = p_high + p_low;
	double r = (double)range_p * (double)range_q;

	if (!isfinite(r) || !isfinite(sum))
		return 0;
	if (r == 0.0 || range_p * 0.5f == 0.0f)
		return 1;
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		for (size_t j = 0; j < 4; j++) {
			double beta = 2.0 * strips[j][0] / r;
			double rho = beta + sqrt(beta * beta + 1.0), y = strips[j][1] / (rho - 1.0);

			for (unsigned int k = 0; k < choices[i]; k++)
				y = y / rho;
			if (y <= bound)
				return choices[i] + 1;
		}
	}
	return 0;
}

/* cos(pi i / n) in f32: by the sine, which is 0 where the cosine is. */
static double chebyshev(unsigned int i, unsigned int n)
{
	return (float)sin(M_PI * ((double)n - 2.0 * i) / (2.0 * n));
}

struct extremes {
	double high, low, e;
};

static struct extremes extremes_of(const struct ref_num *x, size_t n)
{
	struct extremes a = { -INFINITY, INFINITY, 0.0 };

	for (size_t i = 0; i < n; i++) {
		a.high = fmax(a.high, x[i].v);
		a.low = fmin(a.low, x[i].v);
		a.e = fmax(a.e, x[i].e);
	}
	return a;
}

/* Softmax of p q_n over the tokens -> c. */
static void node_weights(struct ref_num p, const struct ref_num *q, size_t len,
			 struct ref_num *c)
{
	struct extremes range = extremes_of(q, len);
	double top = p.v >= 0.0 ? range.high : range.low, sum = 0.0, e_sum = 0.0;

	for (size_t n = 0; n < len; n++) {
		double apart = fabs(q[n].v - top), x = -fabs(p.v) * apart;
		double rel = fabs(p.v) * (q[n].e + range.e) + p.e * (apart + 2.0 * REF_U * range.e) +
			2.0 * fabs(x) + 4.0;

		c[n] = (struct ref_num){ exp(x), rel };
		sum += c[n].v;
		e_sum += c[n].v * rel;
	}
	for (size_t n = 0; n < len; n++) {
		double rel = c[n].e + e_sum / sum + (double)len / 16.0 + 9.0;

		c[n].v /= sum;
		/* whatever its error, a weight is at most 1 */
		c[n].e = rel * REF_U > 0.1 ? 1.0 / REF_U : c[n].v * rel + REF_UNDER;
	}
}

/* The barycentric formula: mu of all nodes -> the Lebesgue function at z. */
static double interpolate(double z, unsigned int nodes, double *mu)
{
	double sum = 0.0, mag = 0.0, sign = 1.0;
	unsigned int n = nodes - 1;

	for (unsigned int i = 0; i <= n; i++, sign = -sign) {
		double d = z - chebyshev(i, n);

		if (d == 0.0) {
			for (unsigned int k = 0; k <= n; k++)
				mu[k] = k == i;
			return 1.0;
		}
		mu[i] = (i == 0 || i == n ? 0.5 : 1.0) * sign / d;
		sum += mu[i];
		mag += fabs(mu[i]);
	}
	for (unsigned int i = 0; i <= n; i++)
		mu[i] /= sum;
	return mag / fabs(sum);
}

/* mu of query m at z; near by, mu may be that of another z. */
static void query(struct ref_terms *t, size_t m, struct ref_num z)
{
	unsigned int nodes = (unsigned int)t->count;
	double mu[MAX_NODES], lebesgue, apart = 1.25 * REF_U * z.e;

	for (int side = 0; side < 2; side++) {
		interpolate(fmax(-1.0, fmin(z.v + (side ? apart : -apart), 1.0)), nodes, mu);
		for (unsigned int i = 0; i < nodes; i++)
			t->near[side][i * t->len + m] = mu[i];
	}
	lebesgue = interpolate(z.v, nodes, mu);
	for (unsigned int i = 0; i < nodes; i++)
		t->mu[i * t->len + m] = (struct ref_num){
			mu[i], fabs(mu[i]) * (8.0 + (nodes + 1.0) * lebesgue) + REF_UNDER,
		};
}

static void chebyshev_terms(const struct ref_num *p, const struct ref_num *q, size_t len,
			    unsigned int nodes, struct ref_terms *t)
{
	struct extremes range = extremes_of(p, len);
	struct ref_num mid = ref_rounded((range.high + range.low) / 2.0, range.e);
	struct ref_num half = ref_rounded((range.high - range.low) / 2.0, range.e);

	ref_terms_new(t, nodes, len);
	for (int side = 0; side < 2; side++)
		t->near[side] = ref_alloc(nodes * len, sizeof(double));
	for (unsigned int i = 0; i < nodes; i++) {
		double c = chebyshev(i, nodes - 1);
		struct ref_num node = ref_rounded(half.v * c + mid.v, half.e * fabs(c) + mid.e);

		node_weights(node, q, len, t->c + i * len);
	}
	for (size_t m = 0; m < len; m++) {
		struct ref_num z = { 0.0, INFINITY };

		if (half.v > 0.0)
			z = ref_div(ref_sub(p[m], mid), half);
		/* both are in [-1, 1] */
		z.e = fmin(z.e, 2.0 / REF_U);
		query(t, m, z);
	}
}

void ref_softfold_terms(const struct ref_num *p, const struct ref_num *q, size_t len,
			unsigned int nodes, struct ref_terms *t)
{
	if (len <= nodes) {
		ref_terms_new(t, len, len);
		for (size_t m = 0; m < len; m++) {
			node_weights(p[m], q, len, t->c + m * len);
			t->mu[m * len + m].v = 1.0;
		}
	} else if (nodes == 1) {
		struct extremes range = extremes_of(p, len);

		ref_terms_new(t, 1, len);
		node_weights((struct ref_num){ range.low, range.e }, q, len, t->c);
		for (size_t m = 0; m < len; m++)
			t->mu[m].v = 1.0;
	} else {
		chebyshev_terms(p, q, len, nodes, t);
	}
	for (size_t k = 0; k < t->count; k++)
		t->tau[k].v = 1.0;
}
