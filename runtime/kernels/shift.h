/* SPDX-License-Identifier: MIT */
/*
 * Sums of shifted integers, for the heads in powers of two.
 */
#ifndef DAMF_SHIFT_H
#define DAMF_SHIFT_H

#include "gemm.h"
#include "integers.h"
#include "rows.h"

#define WIDE	(VW / 2)	/* lanes of 64 bits */

typedef double vd64 __attribute__((vector_size(4 * VW)));
typedef uint64_t vu64 __attribute__((vector_size(4 * VW)));
typedef int64_t vi64 __attribute__((vector_size(4 * VW)));
typedef int32_t vi_half __attribute__((vector_size(2 * VW)));

INLINE vi vi_load(const int32_t *p)
{
	vi r;

	memcpy(&r, p, sizeof(r));
	return r;
}

/* The largest magnitude, by its bits: what is not finite is above all that is. */
static uint32_t largest(const float *x, size_t ldx, size_t rows, size_t cols)
{
	vi max = { 0 };
	int32_t lane[VW], most = 0;

	for (size_t r = 0; r < rows; r++, x += ldx) {
		for (size_t i = 0; i < cols; i += VW) {
			vi v = (vi)v_abs(row_load(x, i, cols, 0.0f)), above = v > max;

			max = (v & above) | (max & ~above);
		}
	}
	memcpy(lane, &max, sizeof(lane));
	for (int i = 0; i < VW; i++)
		most = lane[i] > most ? lane[i] : most;
	return (uint32_t)most;
}

/* cols numbers as integers of 16 bits; y is filled up with zeros to a whole register. */
static void fixed_row(const float *x, size_t cols, float to, int32_t *y)
{
	const vf most = v_set1(0x1p15f - 1.0f);

	for (size_t i = 0; i < cols; i += VW) {
		vf v = { 0 };
		vi integer;

		/* else x may be what no integer is */
		if (to != 0.0f)
			v = (row_load(x, i, cols, 0.0f) * to + ROUND_MAGIC) - ROUND_MAGIC;
		/* X may have changed since it was measured: whatever it is, sums must not overflow */
		v = v_select(v < most, v, most);
		v = v_select(v > -most, v, -most);
		integer = __builtin_convertvector(v, vi);
		memcpy(y + i, &integer, sizeof(integer));
	}
}

/*
 * total[r][j] += the sum over k of a[k * lda + r] w[k * ldw + j], j below NV
 * registers and k up to DAMF_INT_BLOCK, so that 32 bits are enough in between.
 */
INLINE void int_micro(int64_t *total, size_t ldt, int mr, const int32_t *a, size_t lda,
		      const int32_t *w, size_t ldw, size_t k)
{
	vi acc[MR][NV] = { { { 0 } } };

	for (; k; k--, a += lda, w += ldw) {
		vi b[NV];

		UNROLL
		for (int j = 0; j < NV; j++)
			b[j] = vi_load(w + j * VW);
		UNROLL
		for (int r = 0; r < mr; r++) {
			UNROLL
			for (int j = 0; j < NV; j++)
				acc[r][j] += v_set1i(a[r]) * b[j];
		}
	}
	for (int r = 0; r < mr; r++) {
		int32_t part[NV * VW];

		memcpy(part, acc[r], sizeof(part));
		for (int j = 0; j < NV * VW; j++)
			total[(size_t)r * ldt + (size_t)j] += part[j];
	}
}

static void int_tile(int64_t *total, size_t ldt, size_t rows, const int32_t *a, size_t lda,
		     const int32_t *w, size_t ldw, size_t k)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: int_micro(total + j, ldt, n, a, lda, w + j, ldw, k); break
		ROW_CASES;
#undef CASE
		}
	}
}

/* A panel's width of sums for any number of rows of coefficients. */
static void int_rows(int64_t *total, size_t ldt, size_t rows, const int32_t *a, size_t lda,
		     const int32_t *w, size_t ldw, size_t k)
{
	for (size_t r = 0, n; r < rows; r += n) {
		n = rows - r < MR ? rows - r : MR;
		int_tile(total + r * ldt, ldt, n, a + r, lda, w, ldw, k);
	}
}

/* ---- shift --------------------------------------------------------------- */

/*
 * a_mn of n keys, a query in each lane. What is added to the bits carries into
 * the exponent where the fraction is above the root of 2; clearing the
 * fraction leaves the power of two, or zero. Truncation to integers makes zero
 * of what is below the window.
 */
static void shift_scores(const struct damf_shift *s, const double p[PANEL], const float *q,
			 size_t n, int32_t a[][PANEL])
{
	for (size_t k = 0; k < n; k++) {
		double key = q[k];

		for (int j = 0; j < PANEL; j += WIDE) {
			vd64 x;
			vi_half t;

			memcpy(&x, p + j, sizeof(x));
			x *= key;
			x = (vd64)(((vu64)x + DAMF_ROUND_LOG) & 0xfff0000000000000u);
			t = __builtin_convertvector(x * s->unit, vi_half);
			memcpy(a[k] + j, &t, sizeof(t));
		}
	}
}

/* D and N but for what all tokens have in common. */
static void shift_sums(const struct damf_shift *s)
{
	int32_t a[DAMF_INT_BLOCK][PANEL] __attribute__((aligned(64)));
	double p[PANEL] = { 0 };

	for (size_t i = 0; i < s->queries; i++)
		p[i] = s->p[i];
	memset(s->den, 0, PANEL * sizeof(*s->den));
	memset(s->num, 0, PANEL * s->ldv * sizeof(*s->num));
	for (size_t n = 0, len; n < s->len && !damf_stopped(s->stop); n += len) {
		len = s->len - n < DAMF_INT_BLOCK ? s->len - n : DAMF_INT_BLOCK;
		shift_scores(s, p, s->q + n, len, a);
		for (size_t k = 0; k < len; k++) {
			for (int j = 0; j < PANEL; j++)
				s->den[j] += a[k][j];
		}
		for (size_t j = 0; j < s->ldv; j += PANEL)
			int_rows(s->num + j, s->ldv, s->queries, a[0], PANEL,
				 s->v + n * s->ldv + j, s->ldv, len);
	}
}

/* N by D rounded to a power of two. */
static void shift_out(const struct damf_shift_out *s)
{
	for (size_t m = 0; m < s->queries; m++) {
		int64_t den = ((int64_t)s->len << DAMF_WINDOW) + s->den[m], keep = -1, half;
		int down;

		if (!den) {
			den = (int64_t)s->len << DAMF_WINDOW;
			keep = 0;
		}
		down = damf_exponent((double)den);
		half = ((int64_t)1 << down) >> 1;
		for (size_t j = 0; j < s->d_v; j++) {
			int64_t num = s->sum[j] * (1 << DAMF_WINDOW) +
				(s->num[m * s->ldv + j] & keep);

			s->o[m * s->ldo + j] = (float)((num + half) >> down) * s->back;
		}
	}
}

/* ---- foldshift ----------------------------------------------------------- */

static void shift_prepare(const struct damf_shift_scores *s)
{
	float mean = s->centred ? row_sum(s->q, s->len) / (float)s->len : 0.0f;

	for (size_t i = 0; i < s->len; i += VW) {
		row_store(s->p_hat, i, s->len, row_load(s->p, i, s->len, 0.0f) * s->g);
		row_store(s->q_prime, i, s->len, row_load(s->q, i, s->len, 0.0f) - mean);
	}
}

/* The columns of one panel. */
static void shift_token_sums(const struct damf_shift_sums *s, size_t panel)
{
	size_t first = panel * PANEL, cols = s->width - first < PANEL ? s->width - first : PANEL;
	int32_t x[DAMF_INT_BLOCK][PANEL] __attribute__((aligned(64))) = { { 0 } };

	memset(s->out, 0, s->na * PANEL * sizeof(*s->out));
	for (size_t n = 0, len; n < s->len; n += len) {
		len = s->len - n < DAMF_INT_BLOCK ? s->len - n : DAMF_INT_BLOCK;
		for (size_t i = 0; i < len; i++)
			fixed_row(s->x + (n + i) * s->ldx + first, cols, s->to, x[i]);
		int_rows(s->out, PANEL, s->na, s->a + n * s->na, s->na, x[0], PANEL, len);
	}
}

/* acc += z b; b is 0, or a power of two or minus one */
INLINE vu64 mix_term(vu64 acc, const int32_t *z, int32_t b)
{
	vi_half half;

	memcpy(&half, z, sizeof(half));
#if VW == 16
	return acc + (vu64)_mm512_mul_epi32(_mm512_cvtepi32_epi64((__m256i)half),
					    _mm512_set1_epi64(b));
#elif VW == 8
	return acc + (vu64)_mm256_mul_epi32(_mm256_cvtepi32_epi64((__m128i)half),
					    _mm256_set1_epi64x(b));
#else
	uint64_t sign = b < 0 ? UINT64_MAX : 0;
	vu64 t = (vu64)__builtin_convertvector(half, vi64);

	if (!b)
		return acc;
	t <<= __builtin_ctz((unsigned int)b);
	return acc + ((t ^ sign) - sign);
#endif
}

/*
 * One head adds (sum of b Z, rounded) >> right to 32 columns. Not all machines
 * shift 64 bits with their sign: BIAS, above all sums, makes them positive.
 */
#define BIAS	((uint64_t)1 << 62)

INLINE void mix_head(const int32_t *b, size_t terms, int right, const int32_t *z,
		     size_t ldz, vu64 out[PANEL / WIDE])
{
	uint64_t begin = BIAS + (((uint64_t)1 << right) >> 1), back = BIAS >> right;
	vu64 acc[PANEL / WIDE];

	UNROLL
	for (int j = 0; j < PANEL / WIDE; j++)
		acc[j] = begin - (vu64){ 0 };
	for (size_t k = 0; k < terms; k++, z += ldz) {
		UNROLL
		for (int j = 0; j < PANEL / WIDE; j++)
			acc[j] = mix_term(acc[j], z + j * WIDE, b[k]);
	}
	UNROLL
	for (int j = 0; j < PANEL / WIDE; j++)
		out[j] += (acc[j] >> right) - back;
}

static void shift_mix(const struct damf_shift_mix *s)
{
	for (size_t m = 0; m < s->tokens; m++) {
		const int32_t *b = s->b + m * s->ldb, *z = s->z;
		vu64 out[PANEL / WIDE] = { { 0 } };

		for (size_t h = 0; h < s->heads; h++) {
			size_t n = s->terms[h];

			mix_head(b, n, s->right[m * s->ldr + h], z, s->ldz, out);
			b += n;
			z += n * s->ldz;
		}
		memcpy(s->out + m * PANEL, out, sizeof(out));
	}
}

#endif /* DAMF_SHIFT_H */
