// SPDX-License-Identifier: MIT
/* The parts of heads in powers of two, on numbers that are put aside. */
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally_shift.h"

#define GET(x, n)	tally_get(&tally.read_intermediates, x, 0, 1, n)

static int64_t *new_i64(size_t n)
{
	return tally_new(n, sizeof(int64_t));
}

/* The sum of V of all tokens, 8 bytes each. */
static void sum_of_v(const int32_t *fixed, size_t len, size_t d_v)
{
	int64_t *sum = new_i64(d_v);

	for (size_t i = 0; i < len * d_v; i++) {
		sum[i % d_v] += fixed[i];
		tally.shift_adds++;
	}
	tally_aside(2 * d_v);
}

float *tally_shift(const float *p, const float *q, const float *v, size_t len, size_t d_v)
{
	float *o = tally_new(len * d_v, sizeof(*o)), *none = tally_new(len * d_v, sizeof(*none));
	int32_t *fixed = tally_new(len * d_v, sizeof(*fixed));
	int64_t *den = new_i64(len), *num = new_i64(len * d_v);
	float *values = GET(v, len * d_v);
	int s;

	/* what is largest, and V as integers; then scores, from p and q once more */
	GET(p, len);
	GET(q, len);
	def_fixed(values, d_v, len, d_v, 16, fixed, &s);
	tally_aside(len * d_v);
	sum_of_v(fixed, len, d_v);
	/* where a number isn't finite the machine does the same for nothing */
	if (!def_shift(GET(p, len), GET(q, len), len, values, d_v, d_v, o, d_v, den, num))
		def_shift(none, none, len, none, d_v, d_v, none, d_v, den, num);
	return o;
}

void tally_foldshift_begin(struct tally_foldshift *t, const float *x, size_t ld, size_t len,
			   size_t width, size_t most)
{
	float *largest = tally_get(&tally.read_activations, x, ld, len, width);
	float *in = tally_get(&tally.read_activations, x, ld, len, width);

	*t = (struct tally_foldshift) {
		.len = len, .width = width, .fixed = tally_new(len * width, sizeof(*t->fixed)),
		.f = tally_new(most, sizeof(*t->f)),
	};
	t->finite = def_fixed(memcpy(in, largest, len * width * sizeof(*in)), width, len, width, 16,
			      t->fixed, &t->s);
	if (!t->finite)
		memset(t->fixed, 0, len * width * sizeof(*t->fixed));
	tally.shift_adds += len * width;	/* S_0, which all heads share */
	tally.write_intermediates += 4 * width;
}

float *tally_foldshift_head(struct tally_foldshift *t, const struct damf_k_head *head,
			    const float *p, const float *q, float *tau)
{
	struct def_foldshift *f = &t->f[t->heads++];
	int64_t *sums = new_i64((head->order + 1) * t->width);
	float *rows = tally_new((head->order + 1) * t->width, sizeof(*rows));

	*f = (struct def_foldshift) {
		.order = head->order, .g = head->scale, .centred = head->flags & DAMF_K_CENTRED,
		.scale = head->flags & DAMF_K_SCALE, .len = t->len, .p = GET(p, t->len),
		.q = GET(q, t->len), .p_hat = tally_new(t->len, sizeof(float)),
		.q_prime = tally_new(t->len, sizeof(float)),
	};
	memcpy(f->c, head->coef, sizeof(f->c));
	if (!def_foldshift_scores(f)) {
		t->finite = false;
		memset(f->p_hat, 0, t->len * sizeof(float));
		memset(f->q_prime, 0, t->len * sizeof(float));
	}
	def_foldshift_sums(f, t->fixed, t->width, sums);
	for (size_t k = 0; k <= head->order; k++) {
		def_foldshift_row(sums, k, t->width, t->s, rows + k * t->width);
		tau[k] = k ? (float)f->sigma[k] / 4096.0f : (float)t->len;
	}
	tally.write_intermediates += 4 * head->order * t->width;
	return rows;
}

void tally_foldshift_mix(struct tally_foldshift *t, const float *z, size_t terms, size_t out,
			 float *y)
{
	int32_t *fixed = tally_new(terms * out, sizeof(*fixed));
	int64_t *sum = new_i64(t->len * out);
	int exponent = 0;

	t->finite &= def_fixed(GET(z, terms * out), out, terms, out, 31, fixed, &exponent);
	if (!t->finite)
		memset(fixed, 0, terms * out * sizeof(*fixed));
	tally_aside(terms * out);
	tally_aside(t->len * out);	/* what the other heads make of Y */
	for (size_t h = 0, term = 0; h < t->heads; term += t->f[h++].order + 1)
		def_foldshift_mix(&t->f[h], fixed + term * out, out, sum);
	for (size_t i = 0; i < t->len * out; i++)
		y[i] += t->finite ? (float)sum[i] * ldexpf(1.0f, exponent) : NAN;
}
