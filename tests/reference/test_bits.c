// SPDX-License-Identifier: MIT
/* What the reference gives to the bit, against values worked out by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ref.h"

static uint32_t bits_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static float float_of(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static void same(float got, float want)
{
	if (bits_of(got) == bits_of(want))
		return;
	print_error("got %a, want %a\n", (double)got, (double)want);
	fail();
}

static uint64_t next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static float uniform(uint64_t *seed)
{
	return (float)(int32_t)(next(seed) >> 40) * 0x1p-23f - 1.0f;
}

static void test_bf16(void **state)
{
	static const struct {
		float x;
		uint16_t want;
	} cases[] = {
		{ 0.0f, 0 }, { -0.0f, 0x8000 }, { 1.0f, 0x3f80 }, { -2.0f, 0xc000 },
		/* ties, to even */
		{ 0x1.01p0f, 0x3f80 }, { 0x1.03p0f, 0x3f82 }, { 0x1.010002p0f, 0x3f81 },
		/* subnormal numbers, and past the largest */
		{ 0x1p-149f, 0 }, { 0x1p-134f, 0 }, { 0x1.8p-133f, 2 }, { 0x1p-133f, 1 },
		{ 0x1.fep127f, 0x7f7f }, { 0x1.fffffep127f, 0x7f80 },
	};
	uint64_t seed = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ref_to_bf16(cases[i].x), cases[i].want);
	same(ref_bf16_value(0xc049), -0x1.92p1f);
	/* the specification's integers */
	for (int i = 0; i < 1000000; i++) {
		uint32_t u = (uint32_t)next(&seed);

		if ((u >> 23 & 0xff) == 0xff)
			continue;
		assert_int_equal(ref_to_bf16(float_of(u)),
				 (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16));
	}
}

static void test_quantise(void **state)
{
	const float ties[] = { 127, 1.5f, 2.5f, -0.5f, -3.5f, 0 };
	const int32_t want[] = { 127, 2, 2, 0, -4, 0 };
	const float small[] = { 0x1p-101f, -0x1p-120f }, edge[] = { 0x1p-100f, -0x1p-101f };
	const float bad[] = { 0x1p-120f, NAN }, inf[] = { 1, -INFINITY }, two[] = { 2, -1 };
	int32_t q[6];

	(void)state;
	same(ref_quantise(ties, 6, REF_TOP_I8, q), 1.0f);
	assert_memory_equal(q, want, sizeof(want));
	same(ref_quantise(small, 2, REF_TOP_I8, q), 0.0f);
	assert_int_equal(q[0], 0);
	/* 127 / 2 is 63.5: to even */
	same(ref_quantise(edge, 2, REF_TOP_I8, q), 0x1p-100f / 127);
	assert_int_equal(q[0], 127);
	assert_int_equal(q[1], -64);
	same(ref_quantise(two, 2, REF_TOP_I16, q), 2.0f / 32767);
	assert_int_equal(q[0], 32767);
	assert_int_equal(q[1], -16384);
	assert_true(isnan(ref_quantise(bad, 2, REF_TOP_I8, q)));
	assert_true(isnan(ref_quantise(inf, 2, REF_TOP_I8, q)));
	assert_int_equal(q[0], 0);
}

static void test_weights(void **state)
{
	const float w[] = { 1, 0, -127, 4, 0, 63.5f };
	const int8_t columns[] = { 32, 0, -127, 127, 0, 64 };
	const int8_t rows[] = { 1, 0, -127, 8, 0, 127 };
	int8_t q[6];
	float f[3];

	(void)state;
	/* columns (1 4), (0 0), (-127 63.5): 31.75, 1 in the place of 0, a tie */
	ref_quantise_columns(w, 3, 2, 3, q, f);
	assert_memory_equal(q, columns, 6);
	same(f[0], 4.0f / 127);
	same(f[1], 1.0f);
	same(f[2], 1.0f);
	ref_quantise_rows(w, 3, 2, 3, q, f);
	assert_memory_equal(q, rows, 6);
	same(f[0], 1.0f);
	same(f[1], 0.5f);
}

static void test_products(void **state)
{
	const int32_t q[] = { 2, 3 }, long_q[] = { 32767, 1 };
	const int8_t w[] = { 4, 9, -5, 9 }, one[] = { 127, 0 };
	const float x[] = { 0x1p24f, 1, 1 }, ones[] = { 1, 1, 1 };
	float lanes[33] = { 0 };

	(void)state;
	/* 8 - 15, in columns of 2 */
	same(ref_qdot(1.0f, q, 0.5f, w, 2, 2, 0.25f), 0.125f);
	same(ref_qdot(0.0f, long_q, 1.0f, one, 1, 2, 1.0f), 4161409.0f);
	assert_true(isnan(ref_qdot(0.0f, q, NAN, w, 2, 2, 0.25f)));
	/* in order, each rounded: 2^24 + 1 is lost twice */
	same(ref_dot(0.0f, x, ones, 1, 3), 0x1p24f);
	same(ref_dot(2.0f, x + 1, ones, 1, 2), 4.0f);
	for (int i = 0; i < 20; i++)
		lanes[i] = (float)(i + 1);
	same(ref_lanes(lanes, 20), 210.0f);
	/* lanes 1 and 3 meet before they reach lane 0, 2 doesn't; 16 is lane 0's own */
	memset(lanes, 0, sizeof(lanes));
	lanes[0] = 0x1p24f;
	lanes[1] = lanes[3] = 1;
	same(ref_lanes(lanes, 33), 0x1.000002p24f);
	lanes[1] = lanes[3] = 0;
	lanes[2] = lanes[16] = lanes[32] = 1;
	same(ref_lanes(lanes, 33), 0x1p24f);
}

/* x w + b with int8 weights: bits where x is exact; r is added to those. */
static void test_linear_i8(void **state)
{
	const float x[] = { 2, -1 }, b[] = { 10, 0x1p24f }, r[] = { 1, 1 }, factors[] = { 0.5f, 2 };
	const int8_t w[] = { 3, 127, -1, 64 };
	struct ref_mat mx = ref_from_f32(x, 2, 1, 2), mb = ref_from_f32(b, 2, 1, 2);
	struct ref_mat mr = ref_from_f32(r, 2, 1, 2), y = ref_new(1, 2);
	struct ref_mat mw = ref_from_i8(w, 2, factors, 2, 2, REF_TOP_I8);
	float s = 2.0f / 127;

	(void)state;
	ref_linear(&mx, &mw, &mb, REF_ACT_NONE, &mr, &y);
	/* q = 127 -64: 381 + 64, and 16129 - 4096 */
	same((float)y.v[0], fmaf(445.0f, s * 0.5f, 10.0f) + 1.0f);
	same((float)y.v[1], fmaf(12033.0f, s * 2.0f, 0x1p24f) + 1.0f);
	assert_true(y.e[0] == 0.0 && y.e[1] == 0.0);
	ref_free(&mx);
	ref_free(&mb);
	ref_free(&mr);
	ref_free(&mw);
	ref_free(&y);
}

/* A row that is off by no more than its bound gives what is within the bound. */
static void test_bound_i8(void **state)
{
	enum { K = 40, N = 8, ROUNDS = 4000 };
	float x[K], near[K], factors[N];
	int8_t w[K * N];
	uint64_t seed = 3;
	double used = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		/* from well below a step to several */
		float off = ldexpf(1.0f, -4 - round % 20);
		struct ref_mat mx, mw, mn, y = ref_new(1, N), z = ref_new(1, N);

		for (int i = 0; i < K; i++) {
			x[i] = uniform(&seed);
			near[i] = x[i] + off * uniform(&seed);
		}
		for (int i = 0; i < K * N; i++)
			w[i] = (int8_t)(next(&seed) % 255 - 127);
		for (int i = 0; i < N; i++)
			factors[i] = 0.01f * (uniform(&seed) + 1.5f);
		mx = ref_from_f32(x, K, 1, K);
		mn = ref_from_f32(near, K, 1, K);
		for (int i = 0; i < K; i++)
			mx.e[i] = off / REF_U;
		mw = ref_from_i8(w, N, factors, K, N, round & 1 ? REF_TOP_I8 : REF_TOP_I16);
		ref_linear(&mx, &mw, NULL, REF_ACT_NONE, NULL, &y);
		ref_linear(&mn, &mw, NULL, REF_ACT_NONE, NULL, &z);
		for (size_t i = 0; i < N; i++) {
			assert_true(fabs(y.v[i] - z.v[i]) <= ref_tolerance(&y, i));
			used = fmax(used, fabs(y.v[i] - z.v[i]) / ref_tolerance(&y, i));
		}
		ref_free(&mx);
		ref_free(&mn);
		ref_free(&mw);
		ref_free(&y);
		ref_free(&z);
	}
	print_message("# largest difference: %.3f of its bound\n", used);
	/* a bound that is never near would be none */
	assert_true(used > 0.2);
}

static void test_exponent(void **state)
{
	static const struct {
		double x;
		int want;
	} cases[] = {
		{ 1, 0 }, { -1, 0 }, { 2, 1 }, { 3, 2 }, { 2.75, 1 }, { 0.75, 0 }, { 0.7, -1 },
		/* the doubles and the floats around the root of 2 */
		{ 0x1.6a09e667f3bccp0, 0 }, { 0x1.6a09e667f3bcdp0, 1 },
		{ 0x1.6a09e6p0, 0 }, { 0x1.6a09e8p0, 1 }, { -0x1.6a09e8p-30, -29 },
		{ 0x1p-149, -149 }, { 0x1p-298, -298 }, { 0x1.fffffep127, 128 },
	};
	uint64_t seed = 5;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(ref_exponent(cases[i].x), cases[i].want);
	/* the specification's integers; every other one near the root of 2 */
	for (int i = 0; i < 1000000; i++) {
		uint64_t u = next(&seed) >> 1;
		double x;

		if (i & 1)
			u = (u & ~0xfffffffffffffull) | (0x6a09e667f3bcdull + (u & 15) - 8);
		if (u >> 52 == 0 || u >> 52 == 0x7ff)
			continue;
		memcpy(&x, &u, sizeof(x));
		assert_int_equal(ref_exponent(x), (int)((u + 0x95f619980c433u) >> 52) - 1023);
	}
}

static void test_fixed(void **state)
{
	const float x[] = { 1, 0.5f, 9, -1, 0x1.8p-14f, 9 }, top[] = { 0x1.fffffep0f, -0x1.8p-14f };
	const float tiny[] = { 0x1p-101f }, bad[] = { 1, INFINITY };
	const int32_t want[] = { 16384, 8192, -16384, 2 };
	int32_t out[4];
	int s;

	(void)state;
	/* two columns of rows of three */
	assert_true(ref_fixed(x, 3, 2, 2, 16, out, &s));
	assert_int_equal(s, -14);
	assert_memory_equal(out, want, sizeof(want));
	/* 32767.998 does not become 32768; -1.5 is a tie */
	assert_true(ref_fixed(top, 2, 1, 2, 16, out, &s));
	assert_int_equal(out[0], 32767);
	assert_int_equal(out[1], -2);
	assert_true(ref_fixed(top, 2, 1, 2, 31, out, &s));
	assert_int_equal(s, -29);
	assert_int_equal(out[0], 0x3fffffc0);
	assert_true(ref_fixed(tiny, 1, 1, 1, 16, out, &s));
	assert_int_equal(out[0], 0);
	assert_int_equal(s, 0);
	assert_false(ref_fixed(bad, 2, 1, 2, 16, out, &s));
}

/* Weights (3 1)/4 and (4 0)/4 of 1 and 5, powers of two as they are. */
static void test_shift_by_hand(void **state)
{
	const float p[] = { 1, 2 }, q[] = { 1, -1 }, v[] = { 1, 5 };
	struct ref_shift seen;
	float out[2];

	(void)state;
	assert_true(ref_shift_head(p, q, v, 1, 2, 1, out, &seen));
	same(out[0], 2);
	same(out[1], 1);
	assert_int_equal(seen.s, -12);
	assert_int_equal(seen.imax, 1);
	assert_int_equal(seen.v[1], 20480);
	assert_int_equal(seen.d[0], 8192);
	assert_int_equal(seen.id[0], 13);
	/* 24576 * 4096 + 2048 * (4096 - 20480), and twice the last */
	assert_int_equal(seen.n[0], 67108864);
	assert_int_equal(seen.n[1], 33554432);
	ref_shift_free(&seen);
}

static void test_shift_edges(void **state)
{
	const float zero[] = { 0, 0, 0 }, one[] = { 1, 1, 1 }, minus[] = { -1, -1 };
	const float v[] = { 1, 5 }, fours[] = { 4, 4, 4 };
	const float down[] = { -1, 0x1.fff8p-1f }, up[] = { 1, -0x1.fff8p-1f };
	/* e of 2^-12 of the largest is kept, of 2^-13 is not */
	const float wide[] = { 1, 0x1p-12f }, wider[] = { 1, 0x1p-13f }, bad[] = { 1, NAN };
	float out[3];

	(void)state;
	ref_shift_head(minus, one, v, 1, 2, 1, out, NULL);
	same(out[0], 3);
	ref_shift_head(minus, one, v, 1, 1, 1, out, NULL);
	same(out[0], 1);
	ref_shift_head(one, one, v, 1, 1, 1, out, NULL);
	same(out[0], 1);
	/* no scores: a third is a quarter, as 3 2^12 is nearer to 2^14 */
	ref_shift_head(zero, one, fours, 1, 3, 1, out, NULL);
	same(out[2], 3);
	/* sums of -1 and 1 in units of 2^-14, halved: ties go upward */
	ref_shift_head(zero, one, down, 1, 2, 1, out, NULL);
	same(out[0], 0);
	ref_shift_head(zero, one, up, 1, 2, 1, out, NULL);
	same(out[0], 0x1p-14f);
	/* D is 12288 with that token's one or without: nearest 2^14 */
	ref_shift_head(one, wide, v, 1, 2, 1, out, NULL);
	same(out[0], (float)((24576 * 4096 + 4096 * 4096 + 20480 + 8192) >> 14) * 0x1p-12f);
	ref_shift_head(one, wider, v, 1, 2, 1, out, NULL);
	same(out[0], (float)((24576 * 4096 + 4096 * 4096 + 8192) >> 14) * 0x1p-12f);
	assert_false(ref_shift_head(one, bad, v, 1, 2, 1, out, NULL));
	assert_true(isnan(out[0]) && isnan(out[1]));
	assert_false(ref_shift_head(one, one, bad, 1, 2, 1, out, NULL));
	assert_true(isnan(out[0]) && isnan(out[1]));
}

static const struct ref_head folded = {
	.mode = REF_FOLDSHIFT, .d_v = 1, .rank = 1, .order = 1, .coef = { 1, 1 },
};

/* One column of X through weights of 1; want in f32. */
static void foldshift_gives(const struct ref_head *h, const float *p, const float *q,
			    const float *x, size_t len, const float *want)
{
	float p_hat[4], q_prime[4];
	struct ref_foldshift f;
	int32_t z[5];
	int64_t out[4];
	int exponent;

	ref_foldshift_scores(h, p, q, len, p_hat, q_prime);
	assert_true(ref_foldshift_sums(h, q_prime, x, 1, len, 1, &f));
	assert_true(ref_fixed(f.xk, 1, h->order + 1, 1, 31, z, &exponent));
	assert_true(ref_foldshift_mix(h, p_hat, q_prime, len, f.sigma, z, 1, out, NULL, NULL));
	for (size_t m = 0; m < len; m++)
		same((float)out[m] * ldexpf(1.0f, exponent), want[m]);
	ref_foldshift_free(&f);
}

static void test_foldshift_by_hand(void **state)
{
	const float p[] = { 1, 2 }, q[] = { 1, -1 }, x[] = { 1, 5 }, zero[] = { 0, 0 };
	const float want[] = { 2, 1 }, scaled[] = { 2.5f, 2 }, uniform[] = { 3, 3 };
	const float q3[] = { 4, 2 }, minus[] = { -1, -1 }, one[] = { 1, 1 };
	/* (1 + y)^2, y = (1 -1; 2 -2) / 4: weights (25 9; 36 4) / 16, but D of 34 and 40 is 32 */
	const float square[] = { (25 + 9 * 5) / 32.0f, (36 + 4 * 5) / 32.0f };
	struct ref_head h = folded;

	(void)state;
	foldshift_gives(&h, p, q, x, 2, want);
	foldshift_gives(&h, zero, q, x, 2, uniform);
	foldshift_gives(&h, p, zero, x, 2, uniform);
	foldshift_gives(&h, minus, one, x, 2, uniform);
	h.flags = REF_CENTRED;
	foldshift_gives(&h, p, q3, x, 2, want);
	h.flags = REF_SCALE;
	h.scale = 0.25;
	foldshift_gives(&h, p, q, x, 2, scaled);
	h.order = 2;
	h.coef[1] = 2;
	h.coef[2] = 1;
	foldshift_gives(&h, p, q, x, 2, square);
}

static void test_foldshift_integers(void **state)
{
	const float p[] = { 1, 2 }, q[] = { 1, -1 }, x[] = { 1, 5 }, bad[] = { 1, INFINITY };
	struct ref_foldshift f;
	int64_t out[2], den[2];
	int32_t z[2];
	int exponent, id[2];

	(void)state;
	assert_true(ref_foldshift_sums(&folded, q, x, 1, 2, 1, &f));
	assert_int_equal(f.s, -12);
	assert_int_equal(f.jmax, 0);
	assert_int_equal(f.sums[0], 24576);
	assert_int_equal(f.sums[1], 4096 * (4096 - 20480));
	assert_int_equal(f.sigma[0], 8192);
	assert_int_equal(f.sigma[1], 0);
	same(f.xk[0], 6);
	same(f.xk[1], -4);
	same(f.tau[0], 2);
	same(f.tau[1], 0);
	assert_true(ref_fixed(f.xk, 1, 2, 1, 31, z, &exponent));
	assert_int_equal(exponent, -27);
	assert_true(ref_foldshift_mix(&folded, p, q, 2, f.sigma, z, 1, out, den, id));
	assert_int_equal(den[0], 1 << 25);
	assert_int_equal(id[1], 25);
	assert_int_equal(out[0], 1 << 28);
	assert_int_equal(out[1], 1 << 27);
	assert_false(ref_foldshift_mix(&folded, bad, q, 2, f.sigma, z, 1, out, den, id));
	ref_foldshift_free(&f);
	assert_false(ref_foldshift_sums(&folded, bad, x, 1, 2, 1, &f));
	assert_false(ref_foldshift_sums(&folded, q, bad, 1, 2, 1, &f));
}

/* Both integer modes in a layer, with weights that pick columns apart. */
static void test_integer_layer(void **state)
{
	const float x[] = { 1, 1, 2, -1 }, pick[] = { 1, 0, 0, 1 }, bias[] = { 10, 20 };
	const int32_t offsets[] = { 0, 0, 2 };
	struct ref_mat mx = ref_from_f32(x, 2, 2, 2), one = ref_from_f32(pick, 2, 2, 2);
	struct ref_mat bo = ref_from_f32(bias, 2, 1, 2), y = ref_new(2, 2);
	struct ref_head heads[] = {
		{ .mode = REF_SHIFT, .d_v = 1, .rank = 1, .order = 1, .q_col = 1, .coef = { 1, 1 } },
		{ .mode = REF_FOLDSHIFT, .d_v = 1, .v_col = 1, .rank = 1, .order = 1, .q_col = 1,
		  .coef = { 1, 1 } },
	};
	const struct ref_attention a = {
		.batch = { offsets, 2 }, .heads = heads, .nheads = 2, .guard = 0x1p-20,
		.wv = &one, .wo = &one, .bo = &bo, .wpq = &one,
	};

	(void)state;
	ref_attention(&a, &mx, &y);
	/* weights (3 1)/4 and (4 0)/4 of columns (1 2) and (1 -1) */
	same((float)y.v[0], 11.25f);
	same((float)y.v[1], 20.5f);
	same((float)y.v[2], 11.0f);
	same((float)y.v[3], 21.0f);
	/* the one before twice, the first three times: of the first head, of the second */
	heads[0].flags = REF_BAND;
	heads[0].band[6] = 2;
	heads[1].flags = REF_SINKS;
	heads[1].sink[0] = 3;
	ref_attention(&a, &mx, &y);
	same((float)y.v[0], 11.25f);
	same((float)y.v[1], 23.5f);
	same((float)y.v[2], 13.0f);
	same((float)y.v[3], 24.0f);
	assert_true(y.e[0] == 0.0 && y.e[3] == 0.0);
	ref_free(&mx);
	ref_free(&one);
	ref_free(&bo);
	ref_free(&y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bf16),
		cmocka_unit_test(test_quantise),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_products),
		cmocka_unit_test(test_linear_i8),
		cmocka_unit_test(test_bound_i8),
		cmocka_unit_test(test_exponent),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_shift_by_hand),
		cmocka_unit_test(test_shift_edges),
		cmocka_unit_test(test_foldshift_by_hand),
		cmocka_unit_test(test_foldshift_integers),
		cmocka_unit_test(test_integer_layer),
	};

	return cmocka_run_group_tests_name("reference bits", tests, NULL, NULL);
}
