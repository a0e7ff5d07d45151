// SPDX-License-Identifier: MIT
/* Terms of heads that are affine in sums over the tokens. */
#include "internal.h"

#include <stdlib.h>

void ref_terms_new(struct ref_terms *t, size_t count, size_t len)
{
	size_t all = count * len;

	*t = (struct ref_terms){
		.count = count, .len = len,
		.c = ref_alloc(all, sizeof(*t->c)), .mu = ref_alloc(all, sizeof(*t->mu)),
		.tau = ref_alloc(count, sizeof(*t->tau)), .t = ref_alloc(all, sizeof(*t->t)),
		.blur = ref_alloc(len, sizeof(*t->blur)),
		.regular = ref_alloc(len, sizeof(*t->regular)),
	};
}

void ref_terms_free(struct ref_terms *t)
{
	free(t->c);
	free(t->mu);
	free(t->tau);
	free(t->t);
	free(t->blur);
	free(t->regular);
	free(t->near[0]);
	free(t->near[1]);
	*t = (struct ref_terms){ 0 };
}

struct ref_num ref_num_lanes(const struct ref_num *x, size_t step, size_t n)
{
	struct ref_num sum = { 0 };
	double mag = 0.0;

	for (size_t i = 0; i < n; i++) {
		sum.v += x[i * step].v;
		sum.e += x[i * step].e;
		mag += fabs(x[i * step].v);
	}
	sum.e += ((double)n / 16.0 + 6.0) * mag;
	return sum;
}

/* t_k of query m and c_k of token m */
static void powers(const struct ref_head *h, const struct ref_scores *s, size_t m,
		   struct ref_terms *t)
{
	struct ref_num pi = { 1.0, 0.0 }, c = { 1.0, 0.0 };

	for (size_t k = 0; k < t->count; k++) {
		struct ref_num coef = { h->coef[h->rank > 1 && k ? 1 : k], 0.0 };

		if (k && h->rank > 1) {
			pi = s->p[m * h->rank + k - 1];
			if (!(h->flags & REF_SCALE))
				pi = ref_mul(s->omega[k - 1], pi);
			c = s->q[m * h->rank + k - 1];
		} else if (k) {
			pi = ref_mul(pi, s->p[m]);
			c = ref_mul(c, s->q[m]);
		}
		t->t[k * t->len + m] = k ? ref_mul(coef, pi) : coef;
		t->c[k * t->len + m] = c;
	}
}

/* D of query m, and the sum of the magnitudes of its terms. */
static struct ref_num denominator(const struct ref_terms *t, const struct ref_num *abs_tau,
				  size_t m, struct ref_num *mags)
{
	struct ref_num d = { 0 };

	*mags = d;
	for (size_t k = 0; k < t->count; k++) {
		struct ref_num x = ref_mul(t->t[k * t->len + m], t->tau[k]);
		struct ref_num a = t->t[k * t->len + m];

		a.v = fabs(a.v);
		a = ref_mul(a, abs_tau[k]);
		d.v += x.v;
		d.e += x.e;
		mags->v += a.v;
		mags->e += a.e;
	}
	d.e += (double)t->count * mags->v;
	mags->e += (double)t->count * mags->v;
	return d;
}

/* D is no more than its error. */
static bool is_lost(struct ref_num d)
{
	return fabs(d.v) <= 1.01 * REF_U * d.e;
}

/* Whether token m is regular, and blur where f32 may have got it otherwise. */
static bool judge(const struct ref_scores *s, double guard, struct ref_num d, struct ref_num mags,
		  const bool *regular, double *blur)
{
	double limit = guard * mags.v, inverse = 1.0 / fmax(limit, 0x1p-40);

	if (regular) {
		/* what f32 decided is known, but not what it divided by */
		if (*regular && is_lost(d))
			*blur = 3.0 * inverse;
		return *regular && d.v > limit / 2.0;
	}
	if (s->none)
		return false;
	if (fabs(d.v - limit) <= 1.25 * REF_U * (d.e + guard * mags.e))
		*blur = inverse;
	return d.v > limit;
}

static void divide(const struct ref_head *h, const struct ref_scores *s, double guard,
		   const struct ref_num *abs_tau, const bool *regular, size_t m,
		   struct ref_terms *t)
{
	struct ref_num mags, d = denominator(t, abs_tau, m, &mags), inverse = { 0 };
	double len = (double)t->len;

	if (ref_is_paper(h))
		mags = (struct ref_num){ len, 0.0 };
	t->regular[m] = judge(s, guard, d, mags, regular ? regular + m : NULL, &t->blur[m]);
	if (!t->regular[m]) {
		t->mu[m] = ref_rounded(1.0 / len, 0.0);
		return;
	}
	inverse.v = 1.0;
	if (is_lost(d))
		inverse.v /= d.v;	/* its error is blur's */
	else
		inverse = ref_div(inverse, d);
	for (size_t k = 0; k < t->count; k++)
		t->mu[k * t->len + m] = ref_mul(t->t[k * t->len + m], inverse);
}

/* tau, and the sums of magnitudes of c. */
static void sum_coefficients(const struct ref_head *h, struct ref_terms *t, struct ref_num *abs_tau)
{
	size_t len = t->len;

	abs_tau[0] = t->tau[0] = (struct ref_num){ (double)len, 0.0 };
	for (size_t k = 1; k < t->count; k++) {
		if (!(h->flags & REF_CENTRED && h->rank == 1 && h->order == 1))
			t->tau[k] = ref_num_lanes(t->c + k * len, 1, len);
		for (size_t n = 0; n < len; n++) {
			abs_tau[k].v += fabs(t->c[k * len + n].v);
			abs_tau[k].e += t->c[k * len + n].e;
		}
		abs_tau[k].e += ((double)len / 16.0 + 6.0) * abs_tau[k].v;
	}
}

void ref_fold_terms(const struct ref_head *h, const struct ref_scores *s, size_t len, double guard,
		    const bool *regular, struct ref_terms *t)
{
	size_t count = (h->rank > 1 ? h->rank : h->order) + 1;
	struct ref_num *abs_tau = ref_alloc(count, sizeof(*abs_tau));

	ref_terms_new(t, count, len);
	for (size_t m = 0; m < len; m++)
		powers(h, s, m, t);
	sum_coefficients(h, t, abs_tau);
	for (size_t m = 0; m < len; m++)
		divide(h, s, guard, abs_tau, regular, m, t);
	free(abs_tau);
}

void ref_sink_term(const struct ref_head *h, size_t len, struct ref_terms *t)
{
	double mag = fabs(h->sink[0]) + fabs(h->sink[1]);

	ref_terms_new(t, 1, len);
	t->c[0].v += h->sink[0];
	t->c[len - 1].v += h->sink[1];
	if (len == 1)
		t->c[0].e = 2.0 * mag;
	t->tau[0] = (struct ref_num){ h->sink[0] + h->sink[1], mag };
	for (size_t m = 0; m < len; m++)
		t->mu[m].v = 1.0;
}
