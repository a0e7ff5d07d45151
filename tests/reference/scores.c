// SPDX-License-Identifier: MIT
/*
 * What a FOLD head makes of p and q before it takes powers of them: in float64
 * with bounds, or from f32's own p and q to the bit. The latter since small
 * differences that are divided by their maximum have no useful bound.
 */
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

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

static void scale_rank(const struct ref_head *h, struct ref_scores *s, size_t len, size_t k)
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

static struct ref_scores new_scores(const struct ref_head *h, size_t len)
{
	return (struct ref_scores){
		.p = ref_alloc(len * h->rank, sizeof(struct ref_num)),
		.q = ref_alloc(len * h->rank, sizeof(struct ref_num)),
		.omega = ref_alloc(h->rank, sizeof(struct ref_num)),
	};
}

struct ref_scores ref_scores_float(const struct ref_head *h, const struct ref_num *p,
				   const struct ref_num *q, size_t len)
{
	struct ref_scores s = new_scores(h, len);
	struct ref_num sum = { 0 };

	s.none = !(h->flags & REF_SCALE);
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

void ref_scores_free(struct ref_scores *s)
{
	free(s->p);
	free(s->q);
	free(s->omega);
	*s = (struct ref_scores){ 0 };
}

static float largest_bits(const float *x, size_t n)
{
	float a = 0.0f;

	for (size_t i = 0; i < n; i++)
		a = fmaxf(a, fabsf(x[i]));
	return a;
}

/* p^ and q^ of one rank in place, dense -> phi */
static float scale_bits(const struct ref_head *h, float *p, float *q, size_t len)
{
	float mean = ref_lanes(q, len) / (float)len, most_p = largest_bits(p, len), most_q;

	for (size_t n = 0; h->flags & REF_CENTRED && n < len; n++)
		q[n] = q[n] - mean;
	most_q = largest_bits(q, len);
	for (size_t n = 0; n < len; n++) {
		if (h->flags & REF_SCALE) {
			p[n] = (float)h->scale * p[n];
		} else {
			p[n] = p[n] / (most_p == 0.0f ? 1.0f : most_p);
			q[n] = q[n] / (most_q == 0.0f ? 1.0f : most_q);
		}
	}
	return most_p * most_q;
}

/* Bits must be within the bound of the same in float64. */
static void check_bits(const struct ref_num *bits, const struct ref_num *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (isfinite(bits[i].v) && isfinite(x[i].v) &&
		    fabs(bits[i].v - x[i].v) > 1.25 * REF_U * x[i].e) {
			fprintf(stderr, "reference: scores %g and %g\n", bits[i].v, x[i].v);
			exit(2);
		}
	}
}

static void omega_bits(const struct ref_head *h, const float *phi, struct ref_scores *s)
{
	float sum = phi[0];

	for (size_t k = 1; k < h->rank; k++)
		sum = sum + phi[k];
	s->none = h->rank > 1 && !(h->flags & REF_SCALE) && (sum == 0.0f || !isfinite(sum));
	for (size_t k = 0; k < h->rank; k++)
		s->omega[k].v = phi[k] / sum;
}

struct ref_scores ref_scores_bits(const struct ref_head *h, const struct ref_num *p,
				  const struct ref_num *q, size_t len)
{
	struct ref_scores s = new_scores(h, len), wide = ref_scores_float(h, p, q, len);
	float *one_p = ref_alloc(len, sizeof(*one_p)), *one_q = ref_alloc(len, sizeof(*one_q));
	float *phi = ref_alloc(h->rank, sizeof(*phi));

	for (size_t k = 0; k < h->rank; k++) {
		for (size_t n = 0; n < len; n++) {
			one_p[n] = (float)p[n * h->rank + k].v;
			one_q[n] = (float)q[n * h->rank + k].v;
		}
		phi[k] = scale_bits(h, one_p, one_q, len);
		for (size_t n = 0; n < len; n++) {
			s.p[n * h->rank + k].v = one_p[n];
			s.q[n * h->rank + k].v = one_q[n];
		}
	}
	omega_bits(h, phi, &s);
	check_bits(s.p, wide.p, len * h->rank);
	check_bits(s.q, wide.q, len * h->rank);
	ref_scores_free(&wide);
	free(one_p);
	free(one_q);
	free(phi);
	return s;
}
