// SPDX-License-Identifier: MIT
/* FOLDSHIFT: sums over tokens and the mix, in integers. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>

void ref_foldshift_scores(const struct ref_head *h, const float *p, const float *q, size_t len,
			  float *p_hat, float *q_prime)
{
	float mean = h->flags & REF_CENTRED && len ? ref_lanes(q, len) / (float)len : 0.0f;

	for (size_t n = 0; n < len; n++) {
		p_hat[n] = h->flags & REF_SCALE ? (float)h->scale * p[n] : p[n];
		q_prime[n] = h->flags & REF_CENTRED ? q[n] - mean : q[n];
	}
}

/* sign(x)^k 2^(12 + shift + k (e(x) - most)), 0 where that is below 1 or x^k is 0. */
static int64_t power(double x, size_t k, int most, int shift)
{
	int exponent = 12 + shift;

	if (k && x == 0.0)
		return 0;
	if (k)
		exponent += (int)k * (ref_exponent(x) - most);
	if (exponent < 0)
		return 0;
	return x < 0.0 && k % 2 ? -((int64_t)1 << exponent) : (int64_t)1 << exponent;
}

/* S_k and sigma_k. */
static void sum_tokens(const struct ref_head *h, const float *q_prime, size_t len, size_t d,
		       struct ref_foldshift *f)
{
	__int128 *sum = ref_alloc(d, sizeof(*sum));

	for (size_t k = 0; k <= h->order; k++) {
		__int128 sigma = k ? 0 : (__int128)len << 12;

		for (size_t i = 0; i < d; i++)
			sum[i] = 0;
		for (size_t n = 0; n < len; n++) {
			int64_t a = k ? power(q_prime[n], k, f->jmax, 0) : 1;

			sigma += k ? a : 0;
			for (size_t i = 0; i < d; i++)
				sum[i] += (__int128)a * f->x[n * d + i];
		}
		for (size_t i = 0; i < d; i++)
			f->sums[k * d + i] = ref_narrow(sum[i]);
		f->sigma[k] = ref_narrow(sigma);
	}
	if (h->flags & REF_CENTRED && h->order == 1)
		f->sigma[1] = 0;
	free(sum);
}

bool ref_foldshift_sums(const struct ref_head *h, const float *q_prime, const float *x, size_t ld,
			size_t len, size_t d, struct ref_foldshift *f)
{
	size_t count = (h->order + 1) * d;
	double most;

	*f = (struct ref_foldshift){
		.x = ref_alloc(len * d, sizeof(*f->x)),
		.sums = ref_alloc(count, sizeof(*f->sums)),
		.xk = ref_alloc(count, sizeof(*f->xk)),
	};
	if (!ref_finite(q_prime, len) || !ref_fixed(x, ld, len, d, 16, f->x, &f->s)) {
		ref_foldshift_free(f);
		return false;
	}
	most = ref_largest(q_prime, len);
	f->jmax = most == 0.0 ? 0 : ref_exponent(most);
	sum_tokens(h, q_prime, len, d, f);
	for (size_t k = 0; k <= h->order; k++) {
		for (size_t i = k * d; i < (k + 1) * d; i++)
			f->xk[i] = (float)f->sums[i] * ldexpf(1.0f, f->s - (k ? 12 : 0));
		f->tau[k] = k ? (float)f->sigma[k] * 0x1p-12f : (float)len;
	}
	return true;
}

void ref_foldshift_free(struct ref_foldshift *f)
{
	free(f->x);
	free(f->sums);
	free(f->xk);
	*f = (struct ref_foldshift){ 0 };
}

/* Exponents of the coefficients, relative to the largest. */
static void gammas(const struct ref_head *h, int imax, int jmax, int *gamma)
{
	int largest = -100000;

	for (size_t k = 0; k <= h->order; k++) {
		gamma[k] = 0;
		if (h->coef[k] == 0.0)
			continue;
		gamma[k] = ref_exponent(h->coef[k]);
		if (h->flags & REF_SCALE)
			gamma[k] += (int)k * (imax + jmax);
		if (gamma[k] > largest)
			largest = gamma[k];
	}
	for (size_t k = 0; k <= h->order; k++)
		gamma[k] -= largest;
}

/* One token: out = N >> (I_d - 12), rounded. */
static void mix_row(const int64_t *b, size_t terms, size_t len, const int64_t *sigma,
		    const int32_t *z, size_t cols, int64_t *out, int64_t *den_out, int *id)
{
	__int128 den = 0;
	bool uniform;

	for (size_t k = 0; k < terms; k++)
		den += (__int128)b[k] * sigma[k];
	uniform = den < 4096;
	if (uniform)
		den = (__int128)len << 24;
	*den_out = ref_narrow(den);
	*id = ref_exponent((double)*den_out);
	for (size_t i = 0; i < cols; i++) {
		__int128 num = (__int128)z[i] * 4096;

		if (!uniform) {
			num = 0;
			for (size_t k = 0; k < terms; k++)
				num += (__int128)b[k] * z[k * cols + i];
		}
		out[i] = ref_round_shift(num, *id - 12);
	}
}

bool ref_foldshift_mix(const struct ref_head *h, const float *p_hat, const float *q_prime,
		       size_t len, const int64_t *sigma, const int32_t *z, size_t cols,
		       int64_t *out, int64_t *den, int *id)
{
	double most_p = ref_largest(p_hat, len), most_q = ref_largest(q_prime, len);
	size_t last = most_p == 0.0 || most_q == 0.0 ? 0 : h->order;
	int imax = last ? ref_exponent(most_p) : 0, jmax = last ? ref_exponent(most_q) : 0;
	int gamma[REF_ORDER + 1], exponent;
	int64_t b[REF_ORDER + 1], d;

	if (!ref_finite(p_hat, len) || !ref_finite(q_prime, len))
		return false;
	gammas(h, imax, jmax, gamma);
	for (size_t m = 0; m < len; m++) {
		for (size_t k = 0; k <= last; k++) {
			b[k] = h->coef[k] == 0.0 ? 0 : power(p_hat[m], k, imax, gamma[k]);
			if (h->coef[k] < 0.0)
				b[k] = -b[k];
		}
		mix_row(b, last + 1, len, sigma, z, cols, out + m * cols, &d, &exponent);
		if (den)
			den[m] = d;
		if (id)
			id[m] = exponent;
	}
	return true;
}
