// SPDX-License-Identifier: MIT
/*
 * Vector operations and elementary functions of every instruction set: by
 * scalar judges, and among each other to the bit. `make kernel-accuracy` goes
 * over all arguments; these are some of everywhere.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "define.h"
#include "vec_table.h"

#define N	4099		/* no multiple of any register */
#define STRIDE	65521u		/* from one argument's bits to the next */

static const struct vec_table *vec[4];
static size_t nvec;

static float from_bits(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static bool same(float a, float b)
{
	return !memcmp(&a, &b, sizeof(a)) || (isnan(a) && isnan(b));
}

/* ---- Elementary functions ------------------------------------------------ */

static double gelu(double x)
{
	return isinf(x) && x < 0 ? 0.0 : x * 0.5 * erfc(-x * M_SQRT1_2);
}

static const struct function {
	enum vec_unary op;
	double (*judge)(double x);
	float (*define)(float x);
	double ulp;		/* bound of the error, where results are normal */
	uint64_t golden;	/* of the bits of all results below */
} functions[] = {
	{ VEC_EXP, exp, def_exp, 1.1, 0xc438131d6324b0dfu },
	{ VEC_GELU, gelu, def_gelu, 3.5, 0x313ca9bb4fa402bbu },
	{ VEC_TANH, tanh, def_tanh, 2.0, 0x9c0ce1050fb9a155u },
};

static void judge(const struct function *f, float x, float got)
{
	double want = f->judge(x), bound = f->ulp * ldexp(1.0, ilogb(want) - 23);

	if (isnan(want) || isinf(want) || fabs(want) >= 0x1.ffffffp127) {
		assert_true(isnan(want) ? isnan(got) : isinf(got));
		return;
	}
	/* beyond the last normal result they are 0 */
	if (fabs(want) < 0x1p-126)
		bound = 0x1p-126;
	if (!(fabs(got - want) <= bound))
		fail_msg("function %d of %a is %a, not %a", f->op, x, got, want);
}

/* FNV-1a; every NaN counts as the same. */
static uint64_t hash_f32(uint64_t h, float x)
{
	uint32_t u;

	memcpy(&u, &x, sizeof(u));
	if (isnan(x))
		u = 0x7fc00000;
	for (int i = 0; i < 4; i++)
		h = (h ^ (u >> (8 * i) & 0xff)) * 1099511628211u;
	return h;
}

static void check_function(const struct function *f, const struct vec_table *t)
{
	static float x[N], y[N];
	uint64_t h = 14695981039346656037u, at = 0;

	while (at < 1ull << 32) {
		size_t n = 0;

		for (; n < N && at < 1ull << 32; n++, at += STRIDE)
			x[n] = from_bits((uint32_t)at);
		t->unary[f->op](x, y, n);
		for (size_t i = 0; i < n; i++) {
			judge(f, x[i], y[i]);
			assert_true(same(y[i], f->define(x[i])));
			h = hash_f32(h, y[i]);
		}
	}
	if (h != f->golden)
		fail_msg("function %d on %s: bits are 0x%016llx", f->op, t->name,
			 (unsigned long long)h);
}

static void elementary(void **state)
{
	(void)state;
	for (size_t t = 0; t < nvec; t++) {
		for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
			check_function(&functions[i], vec[t]);
	}
}

/* Of what is not above 0, from 0 to minus infinity, and of not-a-numbers of all payloads. */
static void downwards(void **state)
{
	static const uint32_t first[] = { 0x80000000u, 0x7f800000u, 0xff800000u };
	static float x[N], y[N];

	(void)state;
	for (size_t t = 0; t < nvec; t++) {
		for (size_t part = 0; part < sizeof(first) / sizeof(first[0]); part++) {
			uint64_t end = part ? first[part] + 0x800000ull : 0xff800001u;

			for (uint64_t at = first[part] + (part == 1); at < end;) {
				size_t n = 0;

				for (; n < N && at < end; n++, at += part ? 1021 : STRIDE / 4)
					x[n] = from_bits((uint32_t)at);
				vec[t]->unary[VEC_EXP_DOWN](x, y, n);
				for (size_t i = 0; i < n; i++)
					assert_true(same(y[i], def_exp(x[i])));
			}
		}
	}
}

static void special_values(void **state)
{
	static const float x[] = {
		0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, -0x1p-149f,
		0x1.fffffep127f, -0x1.fffffep127f, -87.3365402f, -87.4f, 88.72283f, 88.8f,
		-0x1.a4ae0ep+3f, -0x1.a4ae0cp+3f, 13.2f, 9.25f, -9.25f, 0.625f, 0.62499994f,
	};
	enum { COUNT = sizeof(x) / sizeof(x[0]) };

	(void)state;
	for (size_t t = 0; t < nvec; t++) {
		float y[COUNT];

		for (size_t f = 0; f < sizeof(functions) / sizeof(functions[0]); f++) {
			vec[t]->unary[functions[f].op](x, y, COUNT);
			for (size_t i = 0; i < COUNT; i++) {
				judge(&functions[f], x[i], y[i]);
				assert_true(same(y[i], functions[f].define(x[i])));
			}
		}
		vec[t]->unary[VEC_EXP](x, y, COUNT);
		assert_true(y[0] == 1.0f && y[1] == 1.0f && y[5] == 0.0f && y[12] == 0.0f);
		vec[t]->unary[VEC_EXP_DOWN](x, y, COUNT);
		assert_true(y[0] == 1.0f && y[1] == 1.0f && y[5] == 0.0f && y[12] == 0.0f);
		vec[t]->unary[VEC_TANH](x, y, COUNT);
		assert_true(signbit(y[1]) && y[4] == 1.0f && y[5] == -1.0f && y[8] == x[8]);
	}
}

/* ---- Fused multiply-add -------------------------------------------------- */



static void check_fma(const float *a, const float *b, const float *c, size_t n)
{
	static float y[N];

	for (size_t t = 0; t < nvec; t++) {
		vec[t]->fma(a, b, c, y, n);
		for (size_t i = 0; i < n; i++) {
			if (!same(y[i], fmaf(a[i], b[i], c[i])))
				fail_msg("%s: fma(%a, %a, %a) is %a, not %a", vec[t]->name, a[i],
					 b[i], c[i], y[i], fmaf(a[i], b[i], c[i]));
		}
	}
}

static uint32_t with_exponent(uint32_t bits, uint32_t exponent)
{
	return (bits & 0x807fffff) | exponent << 23;
}

static void fused_random(void **state)
{
	static float a[N], b[N], c[N];

	(void)state;
	for (unsigned int round = 0; round < 100; round++) {
		for (size_t i = 0; i < N; i++) {
			uint32_t u = random_u32(), v = random_u32(), w = random_u32();

			if (round % 4) { /* c near the product; results down to the smallest */
				uint32_t e = 1 + random_u32() % 120, f = 1 + random_u32() % 120;
				int32_t g = (int32_t)(e + f + random_u32() % 56) - 127 - 28;

				if (round % 4 == 1) { /* and elsewhere */
					e += 60;
					f += 60;
					g += 120;
				}
				u = with_exponent(u, e);
				v = with_exponent(v, f);
				w = with_exponent(w, g < 0 ? 0 : g > 254 ? 254 : (uint32_t)g);
			}
			/* few bits: sums that end on the middle between two numbers */
			if (round % 4 == 3) {
				u &= 0xfffff000;
				v &= 0xfffff800;
			}
			a[i] = from_bits(u);
			b[i] = from_bits(v);
			c[i] = from_bits(w);
		}
		check_fma(a, b, c, N);
	}
}

/* Where rounding twice, to double and then to float, goes wrong. */
static void fused_halfway(void **state)
{
	static float a[N], b[N], c[N];
	size_t n = 0;

	(void)state;
	for (int far = 25; far <= 80; far++) {
		for (int sign = 0; sign < 4; sign++) {
			/* 1 + 2^-24 is halfway between two floats; then a little more or less */
			float half = 0x1p-24f, little = ldexpf(1.0f, -far);

			a[n] = 1.0f + (sign & 1 ? -1.0f : 1.0f) * 0x1p-12f;
			b[n] = 0x1p-12f;
			c[n] = (sign & 2 ? -1.0f : 1.0f);
			n++;
			a[n] = half;
			b[n] = 1.0f + 0x1p-23f;
			c[n] = 1.0f;
			n++;
			a[n] = sign & 1 ? -little : little;
			b[n] = 1.0f;
			c[n] = sign & 2 ? -0x1.000002p0f : 0x1.000002p0f;
			n++;
			/* the same where results are subnormal */
			a[n] = 0x1p-75f * (1.0f + 0x1p-20f);
			b[n] = (sign & 1 ? -1.0f : 1.0f) * 0x1p-75f;
			c[n] = ldexpf(1.0f + 0x1p-10f, -149 + far - 25);
			n++;
		}
	}
	check_fma(a, b, c, n);
	/* (2^12 + 1)(2^12 - 1) = 2^24 - 1 and its like, beside numbers of any size */
	for (n = 0; n < N; n++) {
		a[n] = (float)(4096 + (int)(n % 64)) * 0x1p-12f;
		b[n] = (float)(4096 - (int)(n / 64)) * 0x1p-12f;
		c[n] = ldexpf(n & 1 ? -1.0f : 1.0f, -(int)(n % 60));
	}
	check_fma(a, b, c, N);
}

static void fused_special(void **state)
{
	static const float v[] = {
		0.0f, -0.0f, 1.0f, -1.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, -0x1p-149f,
		0x1.fffffep127f, -0x1.fffffep127f, 0x1p-126f, 0x1.fffffcp-127f, 0x1.8p-75f,
		0x1.000002p0f,
	};
	enum { COUNT = sizeof(v) / sizeof(v[0]) };
	static float a[COUNT * COUNT * COUNT], b[COUNT * COUNT * COUNT], c[COUNT * COUNT * COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT * COUNT * COUNT; i++) {
		a[i] = v[i % COUNT];
		b[i] = v[i / COUNT % COUNT];
		c[i] = v[i / COUNT / COUNT];
	}
	check_fma(a, b, c, COUNT * COUNT * COUNT);
}

/* ---- The rest ------------------------------------------------------------ */

static void simple_operations(void **state)
{
	static const float odd[] = { 0.0f, -0.0f, NAN, INFINITY, -INFINITY, 1.0f };
	static float a[N], b[N], y[N];
	static int32_t m[N];

	(void)state;
	for (size_t i = 0; i < N; i++) {
		a[i] = i < 36 ? odd[i % 6] : from_bits(random_u32());
		b[i] = i < 36 ? odd[i / 6] : from_bits(random_u32());
		m[i] = random_u32() & 1 ? -1 : 0;
	}
	for (size_t t = 0; t < nvec; t++) {
		vec[t]->max(a, b, y, N);
		for (size_t i = 0; i < N; i++)
			assert_memory_equal(&y[i], a[i] > b[i] ? &a[i] : &b[i], 4);
		vec[t]->min(a, b, y, N);
		for (size_t i = 0; i < N; i++)
			assert_memory_equal(&y[i], a[i] < b[i] ? &a[i] : &b[i], 4);
		vec[t]->if_less(a, b, y, N);
		for (size_t i = 0; i < N; i++)
			assert_memory_equal(&y[i], a[i] < b[i] ? &b[i] : &a[i], 4);
		vec[t]->if_nan(a, b, y, N);
		for (size_t i = 0; i < N; i++)
			assert_memory_equal(&y[i], isnan(a[i]) ? &b[i] : &a[i], 4);
		vec[t]->select(m, a, b, y, N);
		for (size_t i = 0; i < N; i++)
			assert_memory_equal(&y[i], m[i] ? &a[i] : &b[i], 4);
		vec[t]->unary[VEC_ABS](a, y, N);
		for (size_t i = 0; i < N; i++)
			assert_true(!signbit(y[i]) && same(y[i], fabsf(a[i])));
		for (size_t i = 0; i < 36; i++) {
			vec[t]->unary[VEC_BROADCAST](a + i, y, 33);
			for (size_t j = 0; j < 33; j++)
				assert_true(same(y[j], a[i]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elementary), cmocka_unit_test(downwards),
		cmocka_unit_test(special_values),
		cmocka_unit_test(fused_random), cmocka_unit_test(fused_halfway),
		cmocka_unit_test(fused_special), cmocka_unit_test(simple_operations),
	};

	nvec = vec_tables(vec, 4);
	return cmocka_run_group_tests_name("kernels: arithmetic", tests, NULL, NULL);
}
