// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>

#include "define.h"
#include "define_integers.h"
#include "tally.h"

struct def_seen def_seen;

/* x = m 2^e with m an integer of 53 bits; |m| 2^(1-53) > root 2 if m^2 > 2 2^104. */
int def_exponent(double x)
{
	int e;
	int64_t m = (int64_t)ldexp(frexp(fabs(x), &e), 53);

	return e - 1 + ((__int128)m * m > (__int128)2 << 104);
}

static int64_t power(int n)
{
	def_seen.edge_kept += n == 0;
	def_seen.edge_lost += n == -1;
	return n < 0 ? 0 : (int64_t)1 << n;
}

static int sign(double x)
{
	return (x > 0.0) - (x < 0.0);
}

static float largest(const float *x, size_t ld, size_t rows, size_t cols)
{
	float max = 0.0f;

	for (size_t i = 0; i < rows * cols; i++)
		max = fmaxf(max, fabsf(x[i / cols * ld + i % cols]));
	return max;
}

static bool finite_all(const float *x, size_t ld, size_t rows, size_t cols)
{
	bool ok = true;

	for (size_t i = 0; i < rows * cols; i++)
		ok &= isfinite(x[i / cols * ld + i % cols]) != 0;
	return ok;
}

bool def_fixed(const float *x, size_t ld, size_t rows, size_t cols, int bits, int32_t *fixed,
	       int *exponent)
{
	double most = ldexp(1.0, bits - 1) - 1.0;
	float a = largest(x, ld, rows, cols);
	bool tiny = a < 0x1p-100f;

	if (!finite_all(x, ld, rows, cols))
		return false;
	*exponent = tiny ? 0 : ilogbf(a) - (bits - 2);
	def_seen.tiny += tiny;
	for (size_t i = 0; i < rows * cols; i++) {
		double v = tiny ? 0.0 : nearbyint(ldexp(x[i / cols * ld + i % cols], -*exponent));

		def_seen.clamped += fabs(v) > most;
		def_seen.largest += fabs(v) >= most;
		fixed[i] = (int32_t)fmax(-most, fmin(v, most));
	}
	return true;
}

/* (num + half) >> down as it would be by division. */
static int64_t quotient(int64_t num, int down)
{
	int64_t unit = (int64_t)1 << down, x = num + unit / 2, rest = ((x % unit) + unit) % unit;

	tally.shift_adds++;
	def_seen.ties += unit > 1 && !rest;
	return (x - rest) / unit;
}

/* D_m and N_m of one token, max |p| max |q| being max; v: integers [len][d_v]. */
static int64_t shift_token(float p, const float *q, double max, size_t len, const int32_t *v,
			   size_t d_v, int64_t *num)
{
	int64_t den = 0;
	bool uniform = max == 0.0;

	for (int pass = 0; pass < 2; pass++) {
		den = (int64_t)len * 4096;
		for (size_t j = 0; j < d_v; j++)
			num[j] = 0;
		for (size_t n = 0; n < len; n++) {
			double pq = (double)p * (double)q[n];
			int64_t a = uniform || pq == 0.0 ? 0 : sign(pq) *
				power(def_exponent(pq) - def_exponent(max) + 12);

			den += a;
			for (size_t j = 0; j < d_v; j++)
				num[j] += (4096 + a) * v[n * d_v + j];
			/* the other pass is only ours */
			tally.dynamic_macs += !pass;
			tally.shift_adds += pass ? 0 : 1 + d_v;
		}
		if (den)
			break;
		def_seen.zero_den++;
		uniform = true;
	}
	return den;
}

bool def_shift(const float *p, const float *q, size_t len, const float *v, size_t ldv, size_t d_v,
	       float *out, size_t ldo, int64_t *den, int64_t *num)
{
	int32_t *fixed = calloc(len * d_v + 1, sizeof(*fixed));
	double max = (double)largest(p, 1, len, 1) * (double)largest(q, 1, len, 1);
	int s = 0;
	bool ok;

	if (!fixed)
		abort();
	ok = finite_all(p, 1, len, 1) && finite_all(q, 1, len, 1) &&
		def_fixed(v, ldv, len, d_v, 16, fixed, &s);
	for (size_t m = 0; m < len; m++) {
		if (ok)
			den[m] = shift_token(p[m], q, max, len, fixed, d_v, num + m * d_v);
		for (size_t j = 0; j < d_v; j++)
			out[m * ldo + j] = ok ? (float)quotient(num[m * d_v + j],
								def_exponent((double)den[m])) *
				ldexpf(1.0f, s) : NAN;
	}
	free(fixed);
	return ok;
}

bool def_foldshift_scores(struct def_foldshift *f)
{
	float mean = f->centred ? DIVIDE(def_sum(f->q, f->len), (float)f->len) : 0.0f;

	for (size_t n = 0; n < f->len; n++) {
		f->p_hat[n] = f->scale ? f->g * f->p[n] : f->p[n];
		f->q_prime[n] = f->centred ? f->q[n] - mean : f->q[n];
	}
	return finite_all(f->p_hat, 1, f->len, 1) && finite_all(f->q_prime, 1, f->len, 1);
}

void def_foldshift_sums(struct def_foldshift *f, const int32_t *x, size_t width, int64_t *sums)
{
	float max = largest(f->q_prime, 1, f->len, 1);

	for (size_t k = 0; k <= f->order; k++) {
		f->sigma[k] = 0;
		for (size_t i = 0; i < width; i++)
			sums[k * width + i] = 0;
		for (size_t n = 0; n < f->len; n++) {
			float q = f->q_prime[n];
			int64_t a = q == 0.0f ? 0 : power(12 + (int)k * (def_exponent(q) -
									 def_exponent(max)));

			a = k == 0 ? 4096 : k % 2 ? sign(q) * a : a;
			f->sigma[k] += a;
			for (size_t i = 0; i < width; i++)
				sums[k * width + i] += (k ? a : 1) * x[n * width + i];
			/* S_0 is of all heads */
			tally.shift_adds += k ? 1 + width : 0;
			tally_aside(k ? 1 : 0);
		}
	}
	if (f->centred && f->order == 1)
		f->sigma[1] = 0;
}

void def_foldshift_row(const int64_t *sums, size_t k, size_t width, int s, float *x)
{
	for (size_t i = 0; i < width; i++)
		x[i] = (float)sums[k * width + i] * ldexpf(1.0f, k ? s - 12 : s);
}

/* Exponents of the largest p^ and q'; false if either is 0. */
static bool largest_scores(const struct def_foldshift *f, int *imax, int *jmax)
{
	float p = largest(f->p_hat, 1, f->len, 1), q = largest(f->q_prime, 1, f->len, 1);

	if (p == 0.0f || q == 0.0f)
		return false;
	*imax = def_exponent(p);
	*jmax = def_exponent(q);
	return true;
}

/* gamma_k before the largest is taken off; c_k is not 0. */
static int gamma_of(const struct def_foldshift *f, size_t k, int imax, int jmax)
{
	return def_exponent(f->c[k]) + (f->scale ? (int)k * (imax + jmax) : 0);
}

/* b_k,m for k from 0 on */
static void mix_factors(const struct def_foldshift *f, size_t m, bool scores, int imax, int jmax,
			int64_t *b)
{
	float p = f->p_hat[m];
	int most = -100000;

	for (size_t k = 0; k <= f->order; k++) {
		if (f->c[k] != 0.0f && gamma_of(f, k, imax, jmax) > most)
			most = gamma_of(f, k, imax, jmax);
	}
	for (size_t k = 0; k <= f->order; k++) {
		b[k] = 0;
		if (f->c[k] == 0.0f || (k && (!scores || p == 0.0f)))
			continue;
		b[k] = sign(f->c[k]) * power(12 + gamma_of(f, k, imax, jmax) - most +
					     (k ? (int)k * (def_exponent(p) - imax) : 0));
		if (k % 2 && p < 0.0f)
			b[k] = -b[k];
	}
}

void def_foldshift_mix(const struct def_foldshift *f, const int32_t *z, size_t cols,
		       int64_t *out)
{
	int imax = 0, jmax = 0;
	bool scores = largest_scores(f, &imax, &jmax);

	for (size_t m = 0; m < f->len; m++) {
		int64_t b[5], den = 0;

		mix_factors(f, m, scores, imax, jmax, b);
		for (size_t k = 0; k <= f->order; k++)
			den += b[k] * f->sigma[k];
		tally.shift_adds += f->order + 1;
		tally_aside(f->order + 1);
		if (den < 4096) {
			def_seen.small_den++;
			for (size_t k = 0; k <= f->order; k++)
				b[k] = k ? 0 : 4096;
			den = (int64_t)f->len * 4096 * 4096;
		}
		def_seen.unshifted += def_exponent((double)den) == 12;
		tally_aside(1);			/* I_d */
		for (size_t i = 0; i < cols; i++) {
			int64_t num = 0;

			for (size_t k = 0; k <= f->order; k++) {
				num += b[k] * z[k * cols + i];
				tally.shift_adds++;
			}
			out[m * cols + i] += quotient(num, def_exponent((double)den) - 12);
		}
	}
}
