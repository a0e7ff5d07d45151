// SPDX-License-Identifier: MIT
/* The integer parts of shift and foldshift: every instruction set by the definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "int_layer.h"
#include "isa.h"

#define LAYERS	3000

static const char *const isas[] = {
	"generic", "avx2", "avxvnni", "avx512", "avx512vnni", "neon",
};

#define ISAS	(sizeof(isas) / sizeof(isas[0]))

/* Around each power of two and its root, and at random. */
static void exponents(void **state)
{
	(void)state;
	for (int e = -300; e <= 300; e++) {
		double one = ldexp(1.0, e), root = ldexp(0x1.6a09e667f3bcdp+0, e);

		assert_int_equal(damf_exponent(one), e);
		assert_int_equal(damf_exponent(nextafter(one, 0.0)), e);
		assert_int_equal(damf_exponent(-root), e + 1);
		assert_int_equal(damf_exponent(nextafter(root, 0.0)), e);
		for (int i = 0; i < 100; i++) {
			double x = ldexp(1.0 + rand() / (RAND_MAX + 1.0), e);

			assert_int_equal(damf_exponent(x), def_exponent(x));
		}
	}
}

static void expect(uint64_t n, const struct int_layer *l, const char *who,
		   struct int_result *got, const struct int_result *want)
{
	const char *what = int_result_differs(l, got, want);

	if (what)
		fail_msg("layer %u, %s: %s differs", (unsigned int)n, who, what);
	int_result_free(got);
}

/* And the reference, which doesn't know the kernels, says the same. */
static void by_definition(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < LAYERS; n++) {
		struct int_layer l;
		struct int_result want, got;

		int_layer_make(&l, n);
		want = int_result_new(&l);
		int_layer_define(&l, &want);
		got = int_result_new(&l);
		int_layer_reference(&l, &got);
		expect(n, &l, "the reference", &got, &want);
		for (size_t i = 0; i < ISAS; i++) {
			const struct damf_isa *isa = damf_isa_by_name(isas[i]);

			if (!isa)
				continue;
			got = int_result_new(&l);
			int_layer_kernels(&l, isa, &got);
			expect(n, &l, isas[i], &got, &want);
		}
		int_result_free(&want);
		int_layer_free(&l);
	}
}

static float *same(size_t n, float x)
{
	float *p = malloc(n * sizeof(*p));

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = x;
	return p;
}

#define LONGEST	32768

/* Scores and V all at their largest: D = 2^28, |N| next to 2^43. */
static void longest_shift(void **state)
{
	float *p = same(LONGEST, 1.0f);

	(void)state;
	for (size_t i = 0; i < 2 * ISAS; i++) {
		const struct damf_isa *isa = damf_isa_by_name(isas[i / 2]);
		float largest = i % 2 ? 0x1.fffffep+127f : -0x1.fffffep+127f, out[32];
		float want = i % 2 ? 32767.0f * 0x1p113f : -32767.0f * 0x1p113f;
		float *v = same(LONGEST, largest);
		int64_t *scratch = malloc(32 * 33 * sizeof(*scratch));
		struct damf_shift_head h = {
			.p = p, .q = p, .len = LONGEST, .d_v = 1, .v = v, .ldv = 1, .ldf = 32,
			.fixed = malloc(LONGEST * 32 * sizeof(*h.fixed)), .sum = malloc(8),
		};

		if (isa) {
			damf_shift_begin(isa, &h);
			damf_shift_queries(isa, &h, LONGEST - 32, 32, scratch, out, 1);
			assert_int_equal(llabs(h.sum[0]), 32767ll * LONGEST);
			for (size_t m = 0; m < 32; m++) {
				assert_int_equal(scratch[m], 1ll << 27);
				assert_int_equal(llabs(scratch[32 + m * 32]), 32767ll << 27);
				assert_true(out[m] == want);
			}
		}
		free(h.fixed);
		free(h.sum);
		free(scratch);
		free(v);
	}
	free(p);
}

/* The same for the sums of foldshift: 2^42. */
static void longest_sums(void **state)
{
	float *x = same(LONGEST, -0x1.fffffep+127f);
	int32_t *a = malloc(LONGEST * sizeof(*a));
	int64_t out[32];

	(void)state;
	assert_non_null(a);
	for (size_t n = 0; n < LONGEST; n++)
		a[n] = 4096;
	for (size_t i = 0; i < ISAS; i++) {
		const struct damf_isa *isa = damf_isa_by_name(isas[i]);
		struct damf_shift_sums s = {
			.x = x, .ldx = 1, .len = LONGEST, .width = 1, .a = a, .na = 1, .out = out,
		};

		if (!isa)
			continue;
		s.to = (float)damf_fixed_of(isa->largest(x, 1, LONGEST, 1), 16).to;
		isa->shift_token_sums(&s, 0);
		assert_int_equal(out[0], -32767ll * 4096 * LONGEST);
		for (size_t j = 1; j < 32; j++)
			assert_int_equal(out[j], 0);
	}
	free(x);
	free(a);
}

#define HEADS	256

/* Many heads that are all the same, of one token of a sequence. */
struct crowd {
	int32_t b[HEADS * 5], right[HEADS], z[HEADS * 5][32];
	uint8_t terms[HEADS];
};

/* What the last of len tokens has, with p = q = 1; Z is as large as it can be, of b's sign in
 * even columns, of the other in odd ones. */
static void make_crowd(struct crowd *c, const struct damf_isa *isa, const float *coef, size_t len)
{
	float *one = same(len, 1.0f);
	int32_t *a = malloc(len * 4 * sizeof(*a)), *b = malloc(len * 5 * sizeof(*b));
	int32_t *right = malloc(len * sizeof(*right)), most = (1 << 30) - 64;
	struct damf_foldshift f = {
		.p = one, .q = one, .len = len, .order = 4, .c = coef, .a = a, .lda = 4,
		.b = b, .ldb = 5, .right = right, .ldr = 1,
	};

	assert_true(a && b && right && damf_foldshift_begin(isa, &f));
	for (size_t i = 0; i < HEADS * 5; i++) {
		c->b[i] = b[(len - 1) * 5 + i % 5];
		c->right[i / 5] = right[len - 1];
		c->terms[i / 5] = 5;
		for (size_t j = 0; j < 32; j++)
			c->z[i][j] = (j % 2) ^ (c->b[i] < 0) ? -most : most;
	}
	free(one);
	free(a);
	free(b);
	free(right);
}

static void expect_crowd(const float *coef, size_t len, int right, int64_t want)
{
	static struct crowd c;
	int64_t out[32];

	for (size_t i = 0; i < ISAS; i++) {
		const struct damf_isa *isa = damf_isa_by_name(isas[i]);
		const struct damf_shift_mix mix = {
			.tokens = 1, .heads = HEADS, .terms = c.terms, .b = c.b, .ldb = HEADS * 5,
			.right = c.right, .ldr = HEADS, .z = c.z[0], .ldz = 32, .out = out,
		};

		if (!isa)
			continue;
		make_crowd(&c, isa, coef, len);
		isa->shift_mix(&mix);
		assert_int_equal(c.right[0], right);
		for (size_t j = 0; j < 32; j++)
			assert_int_equal(out[j], HEADS * (j % 2 ? -want : want));
	}
}

/* N of 256 heads of order 4 whose terms all have one sign. */
static void largest_mix(void **state)
{
	static const float alternate[] = { 1, -1, 1, -1, 0x1p-12f }, even[] = { 1, 1, 1, 1, 1 };

	(void)state;
	/* D = 2^12, and nothing is shifted */
	expect_crowd(alternate, 1, 0, (4 * 4096 + 1ll) * ((1 << 30) - 64));
	/* D = 5 2^39, which is next to 2^41: 5 2^12 2^30 / 2^29 */
	expect_crowd(even, LONGEST, 29, 40960);
}

/* A client can change X between the measure and the rounding: sums must not overflow all the same. */
static void torn_row(void **state)
{
	const float x[] = { NAN, -NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 32767, 2.5f };
	const size_t n = sizeof(x) / sizeof(x[0]);
	int32_t y[32];

	(void)state;
	for (size_t i = 0; i < ISAS; i++) {
		const struct damf_isa *isa = damf_isa_by_name(isas[i]);

		if (!isa)
			continue;
		isa->fixed_row(x, n, 1, y);
		for (size_t j = 0; j < n; j++)
			assert_in_range(y[j] + 32767, 0, 2 * 32767);
		assert_int_equal(y[3], -32767);
		assert_int_equal(y[6], 32767);
		assert_int_equal(y[7], 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exponents), cmocka_unit_test(by_definition),
		cmocka_unit_test(longest_shift), cmocka_unit_test(longest_sums),
		cmocka_unit_test(largest_mix), cmocka_unit_test(torn_row),
	};

	return cmocka_run_group_tests_name("integers", tests, NULL, NULL);
}
