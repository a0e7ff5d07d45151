// SPDX-License-Identifier: MIT
/*
 * Which tokens of a FOLD head have weights of their own, as f32 decides it: the
 * only place where a bound doesn't help, since beyond it there is another
 * result altogether.
 */
#include <stdlib.h>

#include "internal.h"

/* One rank: p^ and q^ with the head's scale or their maxima, and their product phi. */
struct rank {
	float *p, *q, phi;
};

static float largest(const float *x, size_t n)
{
	float a = 0.0f;

	for (size_t i = 0; i < n; i++)
		a = fmaxf(a, fabsf(x[i]));
	return a;
}

static struct rank make_rank(const struct ref_head *h, const float *p, const float *q, size_t len,
			     size_t k)
{
	struct rank r = { .p = ref_alloc(len, sizeof(float)), .q = ref_alloc(len, sizeof(float)) };
	float most_p, most_q, mean;

	for (size_t n = 0; n < len; n++) {
		r.p[n] = p[n * h->rank + k];
		r.q[n] = q[n * h->rank + k];
	}
	mean = ref_lanes(r.q, len) / (float)len;
	for (size_t n = 0; h->flags & REF_CENTRED && n < len; n++)
		r.q[n] = r.q[n] - mean;
	most_p = largest(r.p, len);
	most_q = largest(r.q, len);
	r.phi = most_p * most_q;
	for (size_t n = 0; n < len; n++) {
		if (h->flags & REF_SCALE) {
			r.p[n] = (float)h->scale * r.p[n];
		} else {
			r.p[n] = r.p[n] / (most_p == 0.0f ? 1.0f : most_p);
			r.q[n] = r.q[n] / (most_q == 0.0f ? 1.0f : most_q);
		}
	}
	return r;
}

/* c_k of all tokens, from those of k - 1. */
static void next_coefficients(const struct ref_head *h, const struct rank *ranks, size_t k,
			      size_t len, float *c)
{
	for (size_t n = 0; n < len; n++)
		c[n] = h->rank > 1 ? ranks[k - 1].q[n] : c[n] * ranks[0].q[n];
}

struct sums {
	float *tau, *abs_tau;
};

static void make_sums(const struct ref_head *h, const struct rank *ranks, size_t terms, size_t len,
		      struct sums *s)
{
	float *c = ref_alloc(len, sizeof(*c)), *abs_c = ref_alloc(len, sizeof(*c));

	s->tau = ref_alloc(terms, sizeof(*c));
	s->abs_tau = ref_alloc(terms, sizeof(*c));
	for (size_t n = 0; n < len; n++)
		c[n] = 1.0f;
	for (size_t k = 1; k < terms; k++) {
		next_coefficients(h, ranks, k, len, c);
		for (size_t n = 0; n < len; n++)
			abs_c[n] = fabsf(c[n]);
		s->tau[k] = ref_lanes(c, len);
		s->abs_tau[k] = ref_lanes(abs_c, len);
	}
	if (h->flags & REF_CENTRED && terms == 2 && h->rank == 1)
		s->tau[1] = 0.0f;
	free(c);
	free(abs_c);
}

/* D > guard M of token m; omega: NULL with a scale. */
static bool decide(const struct ref_head *h, const struct rank *ranks, const float *omega,
		   const struct sums *s, size_t terms, size_t len, double guard, size_t m)
{
	float c0 = (float)h->coef[0], pi = 1.0f, t, d = c0 * (float)len;
	float mags = fabsf(c0) * (float)len;

	for (size_t k = 1; k < terms; k++) {
		if (h->rank > 1) {
			pi = omega ? omega[k - 1] * ranks[k - 1].p[m] : ranks[k - 1].p[m];
			t = (float)h->coef[1] * pi;
		} else {
			pi = pi * ranks[0].p[m];
			t = (float)h->coef[k] * pi;
		}
		d = fmaf(t, s->tau[k], d);
		mags = fmaf(fabsf(t), s->abs_tau[k], mags);
	}
	if (ref_is_paper(h))
		mags = (float)len;
	return d > (float)guard * mags;
}

void ref_fold_regular(const struct ref_head *h, const float *p, const float *q, size_t len,
		      double guard, bool *regular)
{
	size_t terms = (h->rank > 1 ? h->rank : h->order) + 1;
	struct rank *ranks = ref_alloc(h->rank, sizeof(*ranks));
	float *omega = ref_alloc(h->rank, sizeof(*omega)), sum = 0.0f;
	bool scaled = h->flags & REF_SCALE, uniform;
	struct sums s;

	for (size_t k = 0; k < h->rank; k++) {
		ranks[k] = make_rank(h, p, q, len, k);
		sum = k ? sum + ranks[k].phi : ranks[k].phi;
	}
	uniform = !scaled && h->rank > 1 && (sum == 0.0f || !isfinite(sum));
	for (size_t k = 0; k < h->rank; k++)
		omega[k] = ranks[k].phi / sum;
	make_sums(h, ranks, terms, len, &s);
	for (size_t m = 0; m < len; m++)
		regular[m] = !uniform && decide(h, ranks, scaled ? NULL : omega, &s, terms, len,
						guard, m);
	for (size_t k = 0; k < h->rank; k++) {
		free(ranks[k].p);
		free(ranks[k].q);
	}
	free(ranks);
	free(omega);
	free(s.tau);
	free(s.abs_tau);
}
