// SPDX-License-Identifier: MIT
/* Powers of two: what the integer modes share, and SHIFT. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

int ref_exponent(double x)
{
	int exponent;
	unsigned __int128 m = (unsigned __int128)ldexp(frexp(fabs(x), &exponent), 53);

	/* |x| = m 2^(exponent - 53) with m in [2^52, 2^53) */
	return exponent - 1 + (m * m > (unsigned __int128)2 << 104);
}

bool ref_fixed(const float *x, size_t ld, size_t rows, size_t cols, int bits, int32_t *fixed,
	       int *exponent)
{
	double a = 0.0, most = ldexp(1.0, bits - 1) - 1.0;
	int floor_log2;

	*exponent = 0;
	for (size_t i = 0; i < rows * cols; i++) {
		double v = x[i / cols * ld + i % cols];

		if (!isfinite(v))
			return false;
		a = fmax(a, fabs(v));
		fixed[i] = 0;
	}
	if (a < 0x1p-100)
		return true;
	frexp(a, &floor_log2);
	*exponent = floor_log2 - 1 - (bits - 2);
	for (size_t i = 0; i < rows * cols; i++) {
		double v = rint(ldexp(x[i / cols * ld + i % cols], -*exponent));

		fixed[i] = (int32_t)fmax(-most, fmin(v, most));
	}
	return true;
}

bool ref_finite(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isfinite(x[i]))
			return false;
	}
	return true;
}

double ref_largest(const float *x, size_t n)
{
	double a = 0.0;

	for (size_t i = 0; i < n; i++)
		a = fmax(a, fabs((double)x[i]));
	return a;
}

int64_t ref_narrow(__int128 x)
{
	if (x != (int64_t)x)
		abort();
	return (int64_t)x;
}

int64_t ref_round_shift(__int128 n, int by)
{
	__int128 unit = (__int128)1 << by, twice = 2 * n + (by ? unit : 0), whole;

	/* the quotient rounded down, of negative numbers too */
	whole = twice / (2 * unit);
	if (twice % (2 * unit) < 0)
		whole--;
	return ref_narrow(whole);
}

/* The rounded score of a pair over 2^imax, in units of 2^-12. */
static int64_t shift_weight(float p, float q, int imax)
{
	double score = (double)p * q;
	int exponent;

	if (score == 0.0)
		return 0;
	exponent = ref_exponent(score) - imax + 12;
	if (exponent < 0)
		return 0;
	return score < 0.0 ? -((int64_t)1 << exponent) : (int64_t)1 << exponent;
}

static void shift_row(struct ref_shift *s, const int64_t *a, size_t m, size_t len, size_t d_v)
{
	__int128 den = (__int128)len << 12;
	bool uniform;

	for (size_t n = 0; n < len; n++)
		den += a[n];
	uniform = den == 0;
	if (uniform)
		den = (__int128)len << 12;
	s->d[m] = ref_narrow(den);
	s->id[m] = ref_exponent((double)s->d[m]);
	for (size_t j = 0; j < d_v; j++) {
		__int128 num = 0;

		for (size_t n = 0; n < len; n++)
			num += (__int128)s->v[n * d_v + j] * (4096 + (uniform ? 0 : a[n]));
		s->n[m * d_v + j] = ref_narrow(num);
	}
}

static void shift_integers(const float *p, const float *q, size_t len, size_t d_v,
			   struct ref_shift *s)
{
	double most = ref_largest(p, len) * ref_largest(q, len);
	int64_t *a = ref_alloc(len, sizeof(*a));

	s->imax = most == 0.0 ? 0 : ref_exponent(most);
	for (size_t m = 0; m < len; m++) {
		for (size_t n = 0; n < len; n++)
			a[n] = shift_weight(p[m], q[n], s->imax);
		shift_row(s, a, m, len, d_v);
	}
	free(a);
}

bool ref_shift_head(const float *p, const float *q, const float *v, size_t ld, size_t len,
		    size_t d_v, float *out, struct ref_shift *seen)
{
	struct ref_shift s = {
		.v = ref_alloc(len * d_v, sizeof(*s.v)), .d = ref_alloc(len, sizeof(*s.d)),
		.id = ref_alloc(len, sizeof(*s.id)), .n = ref_alloc(len * d_v, sizeof(*s.n)),
	};
	bool finite = ref_finite(p, len) && ref_finite(q, len) &&
		ref_fixed(v, ld, len, d_v, 16, s.v, &s.s);

	if (finite)
		shift_integers(p, q, len, d_v, &s);
	for (size_t i = 0; i < len * d_v; i++)
		out[i] = finite ? (float)ref_round_shift(s.n[i], s.id[i / d_v]) * ldexpf(1.0f, s.s)
				: NAN;
	if (finite && seen)
		*seen = s;
	else
		ref_shift_free(&s);
	return finite;
}

void ref_shift_free(struct ref_shift *seen)
{
	free(seen->v);
	free(seen->d);
	free(seen->id);
	free(seen->n);
	*seen = (struct ref_shift){ 0 };
}
