// SPDX-License-Identifier: MIT
/* Packed weights and rows of tables of every type, element by element. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"

#define IN	15
#define OUT	70

static const size_t shapes[][2] = { { 1, 1 }, { 3, 32 }, { 4, 33 }, { 5, 33 }, { IN, OUT } };
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

static float src[OUT][IN + 2];

/* Row n gets numbers of about 2^(n - 20). */
static void fill(size_t in, size_t out)
{
	for (size_t n = 0; n < out; n++) {
		for (size_t k = 0; k < in + 2; k++)
			src[n][k] = ldexpf(random_f32(), (int)n - 20);
	}
}

static void f32(void **state)
{
	(void)state;
	for (size_t s = 0; s < SHAPES; s++) {
		size_t in = shapes[s][0], out = shapes[s][1], n = damf_packed_elems(in, out);
		float plain[IN * (OUT + 2)], a[IN * 96], b[IN * 96];

		fill(in, out);
		assert_int_equal(n, in * ((out + 31) / 32 * 32));
		assert_int_equal(damf_packed_size(DAMF_K_F32, in, out), 4 * n);
		damf_pack_f32(a, &src[0][0], IN + 2, in, out);
		for (size_t i = 0; i < n; i++) {
			size_t j = i / 32 / in * 32 + i % 32, k = i / 32 % in;

			assert_true(a[i] == (j < out ? src[j][k] : 0.0f));
		}
		/* the same matrix, the other way round */
		for (size_t i = 0; i < in * out; i++)
			plain[i / out * (OUT + 2) + i % out] = src[i % out][i / out];
		damf_pack_kn_f32(b, plain, OUT + 2, in, out);
		assert_memory_equal(a, b, n * sizeof(*a));
	}
}

/* What the definition of rounding says, by other means: the nearer neighbour. */
static uint16_t nearest_bf16(float x)
{
	uint32_t bits, low, high;
	float a, b;

	memcpy(&bits, &x, sizeof(bits));
	low = bits & 0xffff0000u;
	high = low + 0x10000u;
	memcpy(&a, &low, sizeof(a));
	memcpy(&b, &high, sizeof(b));
	if (isinf(b))
		b = copysignf(0x1p127f, x) * 2.0f;
	if (fabs((double)x - a) < fabs((double)b - x))
		return (uint16_t)(low >> 16);
	if (fabs((double)x - a) > fabs((double)b - x))
		return (uint16_t)(high >> 16);
	return (uint16_t)((low >> 16 & 1 ? high : low) >> 16);
}

static void bf16(void **state)
{
	static const float edges[] = {
		0.0f, -0.0f, 1.0f, 0x1.01p0f, 0x1.03p0f, -0x1.01p0f, 0x1.010002p0f, 0x1.00fffep0f,
		0x1p-149f, 0x1p-133f, 0x1.8p-134f, 0x1p-134f, 0x1.fffffep-127f, -0x1.7ffffep5f,
		0x1.fffffep0f, 0x1.fep127f,
	};
	static const uint16_t want[] = {
		0x0000, 0x8000, 0x3f80, 0x3f80, 0x3f82, 0xbf80, 0x3f81, 0x3f80,
		0x0000, 0x0001, 0x0001, 0x0000, 0x0080, 0xc240, 0x4000, 0x7f7f,
	};
	uint16_t got[16];

	(void)state;
	damf_row_bf16(got, edges, 16);
	assert_memory_equal(got, want, sizeof(want));
	for (size_t s = 0; s < SHAPES; s++) {
		size_t in = shapes[s][0], out = shapes[s][1], n = damf_packed_elems(in, out);
		uint16_t a[IN * 96];

		fill(in, out);
		assert_int_equal(damf_packed_size(DAMF_K_BF16, in, out), 2 * n);
		damf_pack_bf16(a, &src[0][0], IN + 2, in, out);
		for (size_t i = 0; i < n; i++) {
			size_t j = i / 32 / in * 32 + i % 32, k = i / 32 % in;

			assert_int_equal(a[i], j < out ? nearest_bf16(src[j][k]) : 0);
		}
	}
}

/* The quantiser of numerics.rst on doubles, whose products and quotients are rounded to f32. */
static float quantise(const float *x, size_t n, int *q)
{
	float a = 0.0f, f;

	for (size_t i = 0; i < n; i++)
		a = fmaxf(a, fabsf(x[i]));
	f = 127.0f / a;
	for (size_t i = 0; i < n; i++)
		q[i] = a < 0x1p-100f ? 0 : (int)lrint((double)(x[i] * f));
	return a < 0x1p-100f ? 1.0f : a / 127.0f;
}

static void i8(void **state)
{
	(void)state;
	for (size_t s = 0; s < SHAPES; s++) {
		size_t in = shapes[s][0], out = shapes[s][1], rows = (in + 3) / 4 * 4;
		size_t n = damf_packed_size(DAMF_K_I8, in, out);
		int8_t a[16 * 96], row[IN];
		float scales[OUT];
		int q[OUT][IN];

		fill(in, out);
		memset(src[0], 0, sizeof(src[0]));
		assert_int_equal(n, rows * ((out + 31) / 32 * 32));
		memset(a, 0x55, sizeof(a));
		damf_pack_i8(a, scales, &src[0][0], IN + 2, in, out);
		for (size_t j = 0; j < out; j++) {
			assert_true(scales[j] == quantise(src[j], in, q[j]));
			assert_true(damf_row_i8(row, src[j], in) == scales[j]);
			for (size_t k = 0; k < in; k++)
				assert_int_equal(row[k], q[j][k]);
		}
		for (size_t i = 0; i < n; i++) {
			size_t j = i / (rows * 32) * 32 + i % 128 / 4;
			size_t k = i % (rows * 32) / 128 * 4 + i % 4;

			assert_int_equal(a[i], j < out && k < in ? q[j][k] : 0);
		}
		assert_true(scales[0] == 1.0f);
		for (size_t i = n; i < sizeof(a); i++)
			assert_int_equal(a[i], 0x55);
	}
}

static void i8_edges(void **state)
{
	/* halves go to the even neighbour; the largest is 127, whatever it is */
	static const float ties[] = { 127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, -127.0f };
	static const int8_t want[] = { 127, 0, 2, 2, 0, -2, -2, -127 };
	float largest[] = { -0x1.fffffep127f, 0x1.fffffep127f, 0x1p120f };
	float small[] = { 0x1p-100f, -0x1.8p-101f }, below[] = { 0x1.fffffep-101f, -0x1p-149f };
	int8_t q[8];

	(void)state;
	assert_true(damf_row_i8(q, ties, 8) == 1.0f);
	assert_memory_equal(q, want, sizeof(want));
	assert_true(damf_row_i8(q, largest, 3) == 0x1.fffffep127f / 127.0f);
	assert_true(q[0] == -127 && q[1] == 127 && q[2] == 0);
	assert_true(damf_row_i8(q, small, 2) == 0x1p-100f / 127.0f);
	assert_true(q[0] == 127 && q[1] == -95);
	assert_true(damf_row_i8(q, below, 2) == 1.0f);
	assert_true(q[0] == 0 && q[1] == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(f32), cmocka_unit_test(bf16), cmocka_unit_test(i8),
		cmocka_unit_test(i8_edges),
	};

	return cmocka_run_group_tests_name("kernels: packing", tests, NULL, NULL);
}
