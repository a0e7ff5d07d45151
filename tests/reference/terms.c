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
	};
}

void ref_terms_free(struct ref_terms *t)
{
	free(t->c);
	free(t->mu);
	free(t->tau);
	free(t->t);
	free(t->blur);
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

static struct ref_num largest(const struct ref_num *x, size_t step, size_t n)
{
	struct ref_num a = { 0 };

	for (size_t i = 0; i < n; i++) {
		a.v = fmax(a.v, fabs(x[i * step].v));
		a.e = fmax(a.e, x[i * step].e);
	}
	return a;
}

/* x / most, of which f32 knows as well that it is at most 1 */
static struct ref_num normalised(struct ref_num x, struct ref_num most)
{
	struct ref_num y = { 0 };

	if (most.v > 0.0)
		y = ref_div(x, most);
	else if (most.e > 0.0)
		y.e = INFINITY;
	y.e = fmin(y.e, 2.0 / REF_U);
	return y;
}

/* What a FOLD head makes of p and q before powers: [len][rank], and omega [rank]. */
struct scores {
	struct ref_num *p, *q, *omega;
	bool none;		/* A_max is 0, in f32 too */
};

static void centre(const struct ref_head *h, struct ref_num *q, size_t len, size_t k)
{
	struct ref_num mean, l = { (double)len, 0.0 };

	if (!(h->flags & REF_CENTRED))
		return;
	mean = ref_div(ref_num_lanes(q + k, h->rank, len), l);
	for (size_t n = 0; n < len; n++)
		q[n * h->rank + k] = ref_sub(q[n * h->rank + k], mean);
}

static bool is_zero(struct ref_num x)
{
	return x.v == 0.0 && x.e == 0.0;
}

static void scale_rank(const struct ref_head *h, struct scores *s, size_t len, size_t k)
{
	struct ref_num most_p = largest(s->p + k, h->rank, len);
	struct ref_num most_q = largest(s->q + k, h->rank, len), g = { h->scale, 0.0 };

	s->omega[k] = ref_mul(most_p, most_q);
	s->none &= is_zero(most_p) || is_zero(most_q);
	for (size_t n = 0; n < len; n++) {
		struct ref_num *p = &s->p[n * h->rank + k], *q = &s->q[n * h->rank + k];

		if (h->flags & REF_SCALE) {
			*p = ref_mul(g, *p);
		} else {
			*p = normalised(*p, most_p);
			*q = normalised(*q, most_q);
		}
	}
}

static struct scores make_scores(const struct ref_head *h, const struct ref_num *p,
				 const struct ref_num *q, size_t len)
{
	struct scores s = {
		.p = ref_alloc(len * h->rank, sizeof(*p)),
		.q = ref_alloc(len * h->rank, sizeof(*p)),
		.omega = ref_alloc(h->rank, sizeof(*p)),
		.none = !(h->flags & REF_SCALE),
	};
	struct ref_num sum = { 0 };

	for (size_t i = 0; i < len * h->rank; i++) {
		s.p[i] = p[i];
		s.q[i] = q[i];
	}
	for (size_t k = 0; k < h->rank; k++) {
		centre(h, s.q, len, k);
		scale_rank(h, &s, len, k);
		sum.v += s.omega[k].v;
		sum.e += s.omega[k].e;
	}
	sum.e += (double)h->rank * sum.v;
	for (size_t k = 0; k < h->rank; k++)
		s.omega[k] = normalised(s.omega[k], sum);
	return s;
}

/* t_k of query m and c_k of token m */
static void powers(const struct ref_head *h, const struct scores *s, size_t m, struct ref_terms *t)
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

static bool is_paper(const struct ref_head *h)
{
	return h->order == 1 && h->coef[0] == 1.0 && h->coef[1] == 1.0 && !(h->flags & REF_SCALE);
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

static void divide(const struct ref_head *h, const struct scores *s, double guard,
		   const struct ref_num *abs_tau, size_t m, struct ref_terms *t)
{
	struct ref_num one = { 1.0, 0.0 }, mags, d = denominator(t, abs_tau, m, &mags), inverse;
	double len = (double)t->len, limit;
	bool regular;

	if (is_paper(h))
		mags = (struct ref_num){ len, 0.0 };
	limit = guard * mags.v;
	regular = !s->none && d.v > limit;
	inverse = ref_div(one, d);
	if (!s->none && fabs(d.v - limit) <= 1.25 * REF_U * (d.e + guard * mags.e)) {
		t->blur[m] = 1.0 / fmax(limit, 0x1p-40);
		inverse.e = 0.0;
	}
	for (size_t k = 0; k < t->count; k++) {
		struct ref_num *mu = &t->mu[k * t->len + m];

		if (regular)
			*mu = ref_mul(t->t[k * t->len + m], inverse);
		else if (k == 0)
			*mu = ref_rounded(1.0 / len, 0.0);
	}
}

void ref_fold_terms(const struct ref_head *h, const struct ref_num *p, const struct ref_num *q,
		    size_t len, double guard, struct ref_terms *t)
{
	size_t count = (h->rank > 1 ? h->rank : h->order) + 1;
	struct scores s = make_scores(h, p, q, len);
	struct ref_num *abs_tau = ref_alloc(count, sizeof(*abs_tau));

	ref_terms_new(t, count, len);
	for (size_t m = 0; m < len; m++)
		powers(h, &s, m, t);
	abs_tau[0] = t->tau[0] = (struct ref_num){ (double)len, 0.0 };
	for (size_t k = 1; k < count; k++) {
		if (!(h->flags & REF_CENTRED && h->rank == 1 && h->order == 1))
			t->tau[k] = ref_num_lanes(t->c + k * len, 1, len);
		for (size_t n = 0; n < len; n++) {
			abs_tau[k].v += fabs(t->c[k * len + n].v);
			abs_tau[k].e += t->c[k * len + n].e;
		}
		abs_tau[k].e += ((double)len / 16.0 + 6.0) * abs_tau[k].v;
	}
	for (size_t m = 0; m < len; m++)
		divide(h, &s, guard, abs_tau, m, t);
	free(abs_tau);
	free(s.p);
	free(s.q);
	free(s.omega);
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
