// SPDX-License-Identifier: MIT
/*
 * Weights on their way from files into memory: in chunks, by several threads,
 * and looked at by vectors.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/lib/model/model.h"
#include "../../runtime/lib/model/safetensors.h"
#include "model_fixture.h"

enum { MANY = 150000 };	/* elements: more than are read at once, and not a multiple of it */

/* ---- Finite numbers ------------------------------------------------------------- */

static void test_finite_f32(void **state)
{
	static const uint32_t odd[] = { 0x7f800000, 0xff800000, 0x7fc00000, 0xffffffff, 0x7f800001 };
	static const uint32_t even[] = { 0, 0x80000000, 1, 0x7f7fffff, 0xff7fffff, 0x007fffff, 0x80000001 };
	static uint32_t x[5000];
	size_t i, k;

	(void)state;
	for (i = 0; i < COUNT(x); i++)
		x[i] = even[i % COUNT(even)];
	for (k = 0; k < 1100; k += 13)
		assert_int_equal(damf_finite_f32(x + k % 8, k), k);
	assert_int_equal(damf_finite_f32(x, COUNT(x)), COUNT(x));
	for (i = 0; i < COUNT(x); i += 7) {
		uint32_t old = x[i];

		x[i] = odd[i % COUNT(odd)];
		assert_int_equal(damf_finite_f32(x, COUNT(x)), i);
		assert_int_equal(damf_finite_f32(x, i), i);
		x[i] = old;
	}
}

static void test_finite_bf16(void **state)
{
	static const uint16_t odd[] = { 0x7f80, 0xff80, 0x7fc0, 0xffff, 0x7f81 };
	static const uint16_t even[] = { 0, 0x8000, 1, 0x7f7f, 0xff7f, 0x007f, 0x8001 };
	static uint16_t x[5000];
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(x); i++)
		x[i] = even[i % COUNT(even)];
	assert_int_equal(damf_finite_bf16(x, COUNT(x)), COUNT(x));
	for (i = 0; i < COUNT(x); i += 7) {
		uint16_t old = x[i];

		x[i] = odd[i % COUNT(odd)];
		assert_int_equal(damf_finite_bf16(x, COUNT(x)), i);
		assert_int_equal(damf_finite_bf16(x, i), i);
		x[i] = old;
	}
}

/* ---- Chunks ------------------------------------------------------------------------ */

/* A tensor of MANY elements of size bytes each, element i being bits(i). */
static void write_tensor(const char *dtype, size_t size, uint32_t (*bits)(size_t i))
{
	char header[256];
	size_t len = (size_t)snprintf(header, sizeof(header),
		"{\"x\":{\"dtype\":\"%s\",\"shape\":[%d],\"data_offsets\":[0,%zu]}}", dtype, MANY,
		MANY * size), i, k;
	unsigned char *all = calloc(8 + len + MANY * size, 1);

	assert_non_null(all);
	all[0] = (unsigned char)len;
	memcpy(all + 8, header, len);
	for (i = 0; i < MANY; i++)
		for (k = 0; k < size; k++)
			all[8 + len + i * size + k] = (unsigned char)(bits(i) >> 8 * k);
	fix_write("x", all, 8 + len + MANY * size);
	free(all);
}

/* i and i % 2048, which each type holds as it is, and the same with an infinite one */
static uint32_t f32_bits(size_t i)
{
	float x = (float)i;
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static uint32_t bf16_bits(size_t i)
{
	return f32_bits(i % 256) >> 16;
}

static uint32_t f16_bits(size_t i)
{
	uint32_t n = i % 2048, exp = 0;

	if (!n)
		return 0;
	while (n >> (exp + 1))
		exp++;
	return (exp + 15) << 10 | (n << (10 - exp) & 0x3ff);
}

enum { INFINITE = 131077 };

static uint32_t f32_infinite(size_t i)
{
	return i == INFINITE ? 0x7f800000 : f32_bits(i);
}

static uint32_t f16_infinite(size_t i)
{
	return i == INFINITE ? 0x7c00 : f16_bits(i);
}

static int read_part(size_t from, size_t n, float *x, struct damf_error *err)
{
	struct damf_st_file *file;
	int r;

	if (damf_st_open(fix_path("x"), &file, err))
		fail_msg("%s", err->text);
	r = damf_st_read_part(file, damf_st_find(file, "x"), from, n, x, err);
	damf_st_close(file);
	return r;
}

static void test_chunks(void **state)
{
	static const struct {
		const char *dtype;
		size_t size, modulus;
		uint32_t (*bits)(size_t i);
	} types[] = {
		{ "F32", 4, MANY, f32_bits }, { "BF16", 2, 256, bf16_bits }, { "F16", 2, 2048, f16_bits },
	};
	static const size_t parts[][2] = { { 0, MANY }, { 0, 65536 }, { 65535, 65538 }, { 149999, 1 } };
	static float x[MANY];
	struct damf_error err;
	size_t t, p, i;

	(void)state;
	for (t = 0; t < COUNT(types); t++) {
		write_tensor(types[t].dtype, types[t].size, types[t].bits);
		for (p = 0; p < COUNT(parts); p++) {
			memset(x, 0xff, sizeof(x));
			assert_int_equal(read_part(parts[p][0], parts[p][1], x, &err), 0);
			for (i = 0; i < parts[p][1]; i++)
				assert_true(x[i] == (float)((parts[p][0] + i) % types[t].modulus));
			assert_true(i == MANY || isnan(x[i]));	/* and no further */
		}
	}
}

static void test_infinite(void **state)
{
	static float x[MANY];
	struct damf_error err;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		write_tensor(i ? "F16" : "F32", i ? 2 : 4, i ? f16_infinite : f32_infinite);
		assert_int_equal(read_part(0, MANY, x, &err), -EINVAL);
		assert_non_null(strstr(err.text, "element 131077 is not a finite number"));
		assert_int_equal(read_part(100000, 50000, x, &err), -EINVAL);
		assert_non_null(strstr(err.text, "element 131077 is not a finite number"));
		assert_int_equal(read_part(0, INFINITE, x, &err), 0);
	}
}

/* ---- Threads ------------------------------------------------------------------------ */

static struct damf_model *open_by(uint32_t threads, enum damf_attention attention,
				  enum damf_dtype dtype, struct damf_error *err)
{
	struct damf_model_options opt = {
		.size = sizeof(opt), .attention = attention, .dtype = dtype, .threads = threads,
	};
	struct damf_model *m;

	damf_model_open(fix_dir(), &opt, &m, err);
	return m;
}

/* However many read, the bytes in memory are the same. */
static void test_threads(void **state)
{
	static const enum damf_attention modes[] = { DAMF_ATTENTION_MHSA, DAMF_ATTENTION_FOLD };
	unsigned int mode, dtype, threads;

	(void)state;
	tiny_write(&tiny);
	for (mode = 0; mode < COUNT(modes); mode++) {
		for (dtype = DAMF_DTYPE_F32; dtype <= DAMF_DTYPE_INT8; dtype++) {
			struct damf_model *one = open_by(1, modes[mode], (enum damf_dtype)dtype, NULL);

			assert_non_null(one);
			for (threads = 0; threads < 6; threads++) {
				struct damf_model *m = open_by(threads, modes[mode],
							       (enum damf_dtype)dtype, NULL);

				assert_non_null(m);
				assert_int_equal(m->blocks[DAMF_OWN].size, one->blocks[DAMF_OWN].size);
				assert_memory_equal(m->blocks[DAMF_OWN].base, one->blocks[DAMF_OWN].base,
						    one->blocks[DAMF_OWN].size);
				damf_model_unref(m);
			}
			damf_model_unref(one);
		}
	}
}

/* The first of several errors is told, whichever thread is faster. */
static void test_first_error(void **state)
{
	static const char name[] = "encoder.layer.0.attention.self.query.weight";
	float *first = (float *)tiny_get(&tiny, "attention.self.query.weight", 0);
	float *second = (float *)tiny_get(&tiny, "attention.self.key.weight", 0);
	float *last = (float *)tiny_get(&tiny, "output.dense.weight", 1);
	float old[] = { first[0], second[0], last[0] };
	struct damf_error err;
	unsigned int i;

	(void)state;
	first[0] = second[0] = last[0] = INFINITY;
	tiny_write(&tiny);
	for (i = 0; i < 60; i++) {
		assert_null(open_by(i % 6, DAMF_ATTENTION_MHSA, DAMF_DTYPE_F32, &err));
		assert_int_equal(err.code, -EINVAL);
		if (!strstr(err.text, name))
			fail_msg("\"%s\" does not name %s", err.text, name);
	}
	assert_null(open_by(1000, DAMF_ATTENTION_MHSA, DAMF_DTYPE_F32, &err));
	assert_non_null(strstr(err.text, "1000 threads: at most 512"));
	first[0] = old[0];
	second[0] = old[1];
	last[0] = old[2];
}

/* The same of a file that is mapped. */
static void test_first_mapped(void **state)
{
	static const char *const names[] = {
		"encoder.layer.0.attention.self.value.weight.panel32",
		"encoder.layer.0.output.dense.weight.panel32",
		"encoder.layer.1.output.dense.weight.panel32",
	};
	const struct damf_convert_options opt = CONVERT_OPT(.attention = DAMF_ATTENTION_MHSA);
	const uint32_t infinite = 0x7f800000;
	struct damf_error err;
	struct damf_model *m;
	unsigned int i;

	(void)state;
	tiny_write(&tiny);
	if (damf_convert(fix_dir(), fix_path("packed"), &opt, NULL, &err))
		fail_msg("%s", err.text);
	for (i = 0; i < COUNT(names); i++)
		fix_patch_tensor("packed/model.safetensors", names[i], 4 * 99, &infinite, 4);
	for (i = 0; i < 60; i++) {
		struct damf_model_options by = { .size = sizeof(by), .threads = i % 6 };

		assert_int_equal(damf_model_open(fix_path("packed"), &by, &m, &err), -EINVAL);
		if (!strstr(err.text, names[0]) || !strstr(err.text, "not a finite number"))
			fail_msg("\"%s\" does not name %s", err.text, names[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finite_f32), cmocka_unit_test(test_finite_bf16),
		cmocka_unit_test(test_chunks), cmocka_unit_test(test_infinite),
		cmocka_unit_test(test_threads), cmocka_unit_test(test_first_error),
		cmocka_unit_test(test_first_mapped),
	};

	return cmocka_run_group_tests_name("reader", tests, tiny_setup, tiny_teardown);
}
