// SPDX-License-Identifier: MIT
/*
 * Which tokens of a FOLD head have weights of their own, as f32 decides it: the
 * only place where a bound doesn't help, since beyond it there is another
 * result altogether.
 */
#include <stdlib.h>

#include "internal.h"

/* c_k of all tokens, from those of k - 1. */
static void next_coefficients(const struct ref_head *h, const struct ref_scores *scores, size_t k,
			      size_t len, float *c)
{
	for (size_t n = 0; n < len; n++)
		c[n] = h->rank > 1 ? (float)scores->q[n * h->rank + k - 1].v
				   : c[n] * (float)scores->q[n].v;
}

struct sums {
	float *tau, *abs_tau;
};

static void make_sums(const struct ref_head *h, const struct ref_scores *scores, size_t terms,
		      size_t len, struct sums *s)
{
	float *c = ref_alloc(len, sizeof(*c)), *abs_c = ref_alloc(len, sizeof(*c));

	s->tau = ref_alloc(terms, sizeof(*c));
	s->abs_tau = ref_alloc(terms, sizeof(*c));
	for (size_t n = 0; n < len; n++)
		c[n] = 1.0f;
	for (size_t k = 1; k < terms; k++) {
		next_coefficients(h, scores, k, len, c);
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

/* pi_k of query m, from that of k - 1. */
static float next_power(const struct ref_head *h, const struct ref_scores *scores, size_t k,
			size_t m, float pi)
{
	float p = (float)scores->p[m * h->rank + (h->rank > 1 ? k - 1 : 0)].v;

	if (h->rank == 1)
		return pi * p;
	return h->flags & REF_SCALE ? p : (float)scores->omega[k - 1].v * p;
}

/* D > guard M of token m */
static bool decide(const struct ref_head *h, const struct ref_scores *scores, const struct sums *s,
		   size_t terms, size_t len, double guard, size_t m)
{
	float c0 = (float)h->coef[0], pi = 1.0f, d = c0 * (float)len;
	float mags = fabsf(c0) * (float)len;

	for (size_t k = 1; k < terms; k++) {
		float t;

		pi = next_power(h, scores, k, m, pi);
		t = (float)h->coef[h->rank > 1 ? 1 : k] * pi;
		d = fmaf(t, s->tau[k], d);
		mags = fmaf(fabsf(t), s->abs_tau[k], mags);
	}
	if (ref_is_paper(h))
		mags = (float)len;
	return d > (float)guard * mags;
}

void ref_fold_regular(const struct ref_head *h, const struct ref_scores *scores, size_t len,
		      double guard, bool *regular)
{
	size_t terms = (h->rank > 1 ? h->rank : h->order) + 1;
	struct sums s;

	make_sums(h, scores, terms, len, &s);
	for (size_t m = 0; m < len; m++)
		regular[m] = !scores->none && decide(h, scores, &s, terms, len, guard, m);
	free(s.tau);
	free(s.abs_tau);
}
