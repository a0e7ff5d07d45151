// SPDX-License-Identifier: MIT
/* Heads in powers of two: what is done once a token or less, in plain C. */
#include <math.h>
#include <string.h>

#include "isa.h"

#define RINT_MAGIC	0x1.8p52	/* adding it rounds to an integer */
#define F32_INF		0x7f800000u
#define F32_TINY	0x0d800000u	/* 2^-100 */

int damf_exponent(double x)
{
	uint64_t bits;

	memcpy(&bits, &x, sizeof(bits));
	bits &= INT64_MAX;
	return (int)((bits + DAMF_ROUND_LOG) >> 52) - 1023;
}

double damf_power(int n)
{
	uint64_t bits = (uint64_t)(n + 1023) << 52;
	double x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

struct damf_fixed damf_fixed_of(uint32_t largest, int bits)
{
	struct damf_fixed f = { .finite = largest < F32_INF, .back = 1.0f };

	if (!f.finite) {
		f.back = NAN;
	} else if (largest >= F32_TINY) {
		f.exponent = (int)(largest >> 23) - 127 - (bits - 2);
		f.to = damf_power(-f.exponent);
		f.back = (float)damf_power(f.exponent);
	}
	return f;
}

/* No clamp: 24 bits, of which the first becomes bit 29, are an integer below 2^30. */
void damf_fixed_z(const struct damf_fixed *f, void *z, size_t n)
{
	char *at = z;

	for (size_t i = 0; i < n; i++, at += sizeof(int32_t)) {
		int32_t integer = 0;
		float x;

		memcpy(&x, at, sizeof(x));
		if (f->to != 0.0)
			integer = (int32_t)(((double)x * f->to + RINT_MAGIC) - RINT_MAGIC);
		memcpy(at, &integer, sizeof(integer));
	}
}

/* ---- shift --------------------------------------------------------------- */

static float from_bits(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* What makes integers of scores: 2^(12 - Imax), or 0 if there are none but 0. */
static double shift_unit(float p, float q)
{
	double a = (double)p * (double)q;

	return a == 0.0 ? 0.0 : damf_power(DAMF_WINDOW - damf_exponent(a));
}

void damf_shift_begin(const struct damf_isa *isa, struct damf_shift_head *h)
{
	uint32_t p = isa->largest(h->p, h->len, 1, h->len);
	uint32_t q = isa->largest(h->q, h->len, 1, h->len);

	h->scale = damf_fixed_of(isa->largest(h->v, h->ldv, h->len, h->d_v), DAMF_FIXED_X);
	h->scale.finite &= p < F32_INF && q < F32_INF;
	if (!h->scale.finite)
		return;
	h->unit = shift_unit(from_bits(p), from_bits(q));
	memset(h->sum, 0, h->d_v * sizeof(*h->sum));
	for (size_t n = 0; n < h->len; n++) {
		int32_t *v = h->fixed + n * h->ldf;

		memset(v, 0, h->ldf * sizeof(*v));
		isa->fixed_row(h->v + n * h->ldv, h->d_v, (float)h->scale.to, v);
		for (size_t j = 0; j < h->d_v; j++)
			h->sum[j] += v[j];
	}
}

void damf_shift_queries(const struct damf_isa *isa, const struct damf_shift_head *h,
			size_t first, size_t queries, int64_t *scratch, float *o, size_t ldo)
{
	int64_t *den = scratch, *num = scratch + 32;
	const struct damf_shift sums = {
		.p = h->p + first, .q = h->q, .len = h->len, .queries = queries, .unit = h->unit,
		.v = h->fixed, .ldv = h->ldf, .den = den, .num = num,
	};
	const struct damf_shift_out out = {
		.den = den, .num = num, .ldv = h->ldf, .sum = h->sum, .len = h->len,
		.queries = queries, .d_v = h->d_v, .back = h->scale.back, .o = o, .ldo = ldo,
	};

	if (h->scale.finite) {
		isa->shift_sums(&sums);
		isa->shift_out(&out);
		return;
	}
	for (size_t m = 0; m < queries; m++) {
		for (size_t j = 0; j < h->d_v; j++)
			o[m * ldo + j] = NAN;
	}
}

/* ---- foldshift ----------------------------------------------------------- */

/* 2^n with the sign of an odd power of x; 0 if n is below 0. */
static int32_t signed_power(int n, float x, size_t k)
{
	int32_t v = n < 0 ? 0 : (int32_t)1 << n;

	return k % 2 && x < 0.0f ? -v : v;
}

/* a_k,n and their sums. */
static void token_powers(struct damf_foldshift *f, float max_q)
{
	int max = max_q == 0.0f ? 0 : damf_exponent(max_q);

	f->sigma[0] = (int64_t)f->len << DAMF_WINDOW;
	for (size_t k = 1; k <= f->order; k++)
		f->sigma[k] = 0;
	for (size_t n = 0; n < f->len; n++) {
		int below = f->q[n] == 0.0f ? 0 : damf_exponent(f->q[n]) - max;

		for (size_t k = 1; k <= f->order; k++) {
			int32_t a = f->q[n] == 0.0f ? 0 :
				signed_power(DAMF_WINDOW + (int)k * below, f->q[n], k);

			f->a[n * f->lda + k - 1] = a;
			f->sigma[k] += a;
		}
	}
	if (f->centred && f->order == 1)
		f->sigma[1] = 0;
}

/* Powers of p in the mix, and where they begin: b_k = 2^(base_k + k (i_m - imax)). */
struct mix_plan {
	size_t order;		/* terms above it are 0 for all tokens */
	int max, base[DAMF_MAX_POWER + 1];
};

static struct mix_plan plan_mix(const struct damf_foldshift *f, float max_p, float max_q)
{
	bool scores = max_p != 0.0f && max_q != 0.0f;
	struct mix_plan m = { .order = scores ? f->order : 0 };
	int step = 0, most = INT32_MIN;

	if (scores) {
		m.max = damf_exponent(max_p);
		step = f->scale ? m.max + damf_exponent(max_q) : 0;
	}
	for (size_t k = 0; k <= f->order; k++) {
		if (f->c[k] == 0.0f)
			continue;
		m.base[k] = damf_exponent(f->c[k]) + (int)k * step;
		if (m.base[k] > most)
			most = m.base[k];
	}
	for (size_t k = 0; k <= m.order && most != INT32_MIN; k++)
		m.base[k] += DAMF_WINDOW - most;
	return m;
}

/* b_k,m of one token; by how much their sum is to be shifted. */
static int token_mix(const struct damf_foldshift *f, const struct mix_plan *m, float p, int32_t *b)
{
	int below = m->order && p != 0.0f ? damf_exponent(p) - m->max : 0;
	int64_t den = 0;

	for (size_t k = 0; k <= f->order; k++) {
		b[k] = 0;
		if (k > m->order || f->c[k] == 0.0f || (k && p == 0.0f))
			continue;
		b[k] = signed_power(m->base[k] + (int)k * below, p, k);
		if (f->c[k] < 0.0f)
			b[k] = -b[k];
		den += b[k] * f->sigma[k];
	}
	if (den < (int64_t)1 << DAMF_WINDOW) {
		memset(b, 0, (f->order + 1) * sizeof(*b));
		b[0] = 1 << DAMF_WINDOW;
		den = (int64_t)f->len << 2 * DAMF_WINDOW;
	}
	return damf_exponent((double)den) - DAMF_WINDOW;
}

static void no_head(struct damf_foldshift *f)
{
	memset(f->sigma, 0, sizeof(f->sigma));
	for (size_t n = 0; n < f->len; n++) {
		memset(f->a + n * f->lda, 0, f->order * sizeof(*f->a));
		memset(f->b + n * f->ldb, 0, (f->order + 1) * sizeof(*f->b));
		f->right[n * f->ldr] = 0;
	}
}

bool damf_foldshift_begin(const struct damf_isa *isa, struct damf_foldshift *f)
{
	uint32_t p = isa->largest(f->p, f->len, 1, f->len);
	uint32_t q = isa->largest(f->q, f->len, 1, f->len);
	struct mix_plan m;

	if (p >= F32_INF || q >= F32_INF) {
		no_head(f);
		return false;
	}
	m = plan_mix(f, from_bits(p), from_bits(q));
	token_powers(f, from_bits(q));
	for (size_t i = 0; i < f->len; i++)
		f->right[i * f->ldr] = token_mix(f, &m, f->p[i], f->b + i * f->ldb);
	return true;
}

void damf_foldshift_term(const struct damf_fixed *f, bool scores, const int64_t *sum, size_t n,
			 float *x)
{
	float back = scores ? f->back * 0x1p-12f : f->back;

	for (size_t i = 0; i < n; i++)
		x[i] = (float)sum[i] * back;
}
