// SPDX-License-Identifier: MIT
/* safetensors: one case a rule of the format, conversion, and the writer. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/lib/model/safetensors.h"
#include "model_fixture.h"

#define F32(shape, begin, end) \
	"{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

struct bad {
	const char *what;	/* words that the error has */
	const char *tensor;	/* that it names, or NULL */
	const char *header;
	size_t data;
};

static const struct bad bad_files[] = {
	{ "not the JSON", NULL, "{\"a\":", 0 },
	{ "not the JSON", NULL, "{\"a\":" F32("[1]", "0", "4") ",\"a\":" F32("[1]", "0", "4") "}", 4 },
	{ "not the JSON", NULL, "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4 },
	{ "not a JSON object", NULL, "[1, 2]", 0 },
	{ "not UTF-8", NULL, "{\"\xff\":1}", 0 },
	{ "entry is not an object", "a", "{\"a\":1}", 0 },
	{ "unknown key \"extra\"", "a", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"extra\":1}}", 4 },
	{ "dtype is missing", "a", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4 },
	{ "dtype \"F33\" is not known", "a", "{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4 },
	{ "shape is missing", "a", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4 },
	{ "not a count", "a", "{\"a\":" F32("[-1]", "0", "4") "}", 4 },
	{ "not a count", "a", "{\"a\":" F32("[1.0]", "0", "4") "}", 4 },
	{ "not a count", "a", "{\"a\":" F32("[1e0]", "0", "4") "}", 4 },
	{ "not a count", "a", "{\"a\":" F32("[\"1\"]", "0", "4") "}", 4 },
	{ "more than 8", "a", "{\"a\":" F32("[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4 },
	{ "overflows", "a", "{\"a\":" F32("[4294967296,4294967296,1]", "0", "0") "}", 0 },
	{ "overflows", "a", "{\"a\":" F32("[9223372036854775807]", "0", "4") "}", 4 },
	{ "two counts", "a", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4 },
	{ "two counts", "a", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4 },
	{ "two counts", "a", "{\"a\":" F32("[1]", "-4", "0") "}", 4 },
	{ "end before they begin", "a", "{\"a\":" F32("[1]", "4", "0") "}", 4 },
	{ "overlap", "b", "{\"a\":" F32("[2]", "0", "8") ",\"b\":" F32("[2]", "4", "12") "}", 12 },
	{ "overlap", "b", "{\"a\":" F32("[1]", "0", "4") ",\"b\":" F32("[2]", "0", "8") "}", 8 },
	{ "hole", "a", "{\"a\":" F32("[1]", "4", "8") "}", 8 },
	{ "hole", "b", "{\"a\":" F32("[1]", "0", "4") ",\"b\":" F32("[1]", "8", "12") "}", 12 },
	{ "shape takes 8 bytes, data_offsets give 4", "a", "{\"a\":" F32("[2]", "0", "4") "}", 4 },
	{ "whole number of bytes", "a", "{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2 },
	{ "beyond the end of the file", "a", "{\"a\":" F32("[2]", "0", "8") "}", 4 },
	{ "belong to none", NULL, "{\"a\":" F32("[1]", "0", "4") "}", 5 },
	{ "__metadata__ is not an object", NULL, "{\"__metadata__\":1}", 0 },
	{ "\"k\" is not a string", NULL, "{\"__metadata__\":{\"k\":1}}", 0 },
};

static void expect_error(const char *path, const char *what, const char *tensor)
{
	struct damf_st_file *file;
	struct damf_error err;
	char named[64];

	assert_true(damf_st_open(path, &file, &err) < 0);
	assert_null(file);
	if (!strstr(err.text, what) || !strstr(err.text, path))
		fail_msg("\"%s\" lacks \"%s\" or the path", err.text, what);
	snprintf(named, sizeof(named), "tensor \"%s\"", tensor ? tensor : "");
	if (tensor && !strstr(err.text, named))
		fail_msg("\"%s\" lacks %s", err.text, named);
}

static void test_rules(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(bad_files); i++) {
		fix_safetensors("bad", bad_files[i].header, bad_files[i].data);
		expect_error(fix_path("bad"), bad_files[i].what, bad_files[i].tensor);
	}
}

static void test_lengths(void **state)
{
	unsigned char head[16] = { 0 };

	(void)state;
	fix_write("bad", head, 0);
	expect_error(fix_path("bad"), "too short", NULL);
	fix_write("bad", head, 7);
	expect_error(fix_path("bad"), "too short", NULL);
	head[0] = 9;	/* 8 bytes follow */
	fix_write("bad", head, 16);
	expect_error(fix_path("bad"), "ends inside its header", NULL);
	memset(head, 0xff, 8);
	fix_write("bad", head, 16);
	expect_error(fix_path("bad"), "more than the 16777216 allowed", NULL);
	expect_error(fix_path("none"), "cannot open", NULL);
	expect_error(fix_dir(), "not a regular file", NULL);
}

static void test_good(void **state)
{
	static const char header[] =
		" {\"b\":" F32("[2,1]", "0", "8") ",\"__metadata__\":{\"k\":\"v\"},"
		"\"scalar\":" F32("[]", "8", "12") ",\"empty\":" F32("[0,7]", "12", "12") ","
		"\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[12,20]}}  \n";
	const struct damf_st_tensor *t;
	struct damf_st_file *file;
	struct damf_error err;
	unsigned char raw[8];
	float f[2];

	(void)state;
	fix_safetensors("good", header, 20);
	assert_int_equal(damf_st_open(fix_path("good"), &file, &err), 0);
	assert_int_equal(file->n, 4);
	assert_string_equal(damf_st_metadata(file, "k"), "v");
	assert_null(damf_st_metadata(file, "none"));
	t = damf_st_find(file, "b");
	assert_non_null(t);
	assert_int_equal(t->rank, 2);
	assert_int_equal(t->elems, 2);
	assert_int_equal(damf_st_read(file, t, raw, &err), 0);
	assert_memory_equal(raw, "\0\1\2\3\4\5\6\7", 8);
	assert_int_equal(damf_st_find(file, "scalar")->elems, 1);
	t = damf_st_find(file, "empty");
	assert_int_equal(t->bytes, 0);
	assert_int_equal(damf_st_read_f32(file, t, f, &err), 0);
	t = damf_st_find(file, "ids");
	assert_int_equal(damf_st_read_f32(file, t, f, &err), -EINVAL);
	assert_non_null(strstr(err.text, "I64"));
	assert_null(damf_st_find(file, "none"));
	damf_st_close(file);
}

/* A file that shrinks under a reader is an error. */
static void test_shrinks(void **state)
{
	struct damf_st_file *file;
	struct damf_error err;
	float f[4];

	(void)state;
	fix_safetensors("good", "{\"a\":" F32("[4]", "0", "16") "}", 16);
	assert_int_equal(damf_st_open(fix_path("good"), &file, &err), 0);
	assert_int_equal(truncate(fix_path("good"), 40), 0);
	assert_int_equal(damf_st_read_f32(file, &file->tensors[0], f, &err), -EIO);
	assert_non_null(strstr(err.text, "shorter"));
	damf_st_close(file);
}

static void write_halves(const char *dtype, const uint16_t *bits, size_t n)
{
	unsigned char all[512];
	char header[128];
	size_t len = (size_t)snprintf(header, sizeof(header),
				      "{\"a\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}",
				      dtype, n, 2 * n);
	size_t i;

	memset(all, 0, 8);
	all[0] = (unsigned char)len;
	memcpy(all + 8, header, len);
	for (i = 0; i < n; i++) {
		all[8 + len + 2 * i] = (unsigned char)bits[i];
		all[8 + len + 2 * i + 1] = (unsigned char)(bits[i] >> 8);
	}
	fix_write("half", all, 8 + len + 2 * n);
}

static int read_halves(float *out, struct damf_error *err)
{
	struct damf_st_file *file;
	int r;

	assert_int_equal(damf_st_open(fix_path("half"), &file, err), 0);
	r = damf_st_read_f32(file, &file->tensors[0], out, err);
	damf_st_close(file);
	return r;
}

/* IEEE 754 binary16 and bfloat16, values worked out by hand. */
static void test_halves(void **state)
{
	static const uint16_t f16[] = { 0x0000, 0x8000, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x83ff,
					0x0400, 0x3555 };
	const float f16_value[] = { 0, -0.0f, 1, -2, 65504, 0x1p-24f, -1023 * 0x1p-24f, 0x1p-14f,
				    0x1.554p-2f };
	static const uint16_t bf16[] = { 0x3f80, 0xc000, 0x7f7f, 0x0001, 0x3eab };
	const float bf16_value[] = { 1, -2, 0x1.fep127f, 0x1p-133f, 0x1.56p-2f };
	const uint16_t infinite[] = { 0x3c00, 0x7c00 };
	struct damf_error err;
	float out[16];

	(void)state;
	write_halves("F16", f16, COUNT(f16));
	assert_int_equal(read_halves(out, &err), 0);
	assert_memory_equal(out, f16_value, sizeof(f16_value));
	write_halves("BF16", bf16, COUNT(bf16));
	assert_int_equal(read_halves(out, &err), 0);
	assert_memory_equal(out, bf16_value, sizeof(bf16_value));
	write_halves("F16", infinite, 2);
	assert_int_equal(read_halves(out, &err), -EINVAL);
	assert_non_null(strstr(err.text, "element 1 is not a finite number"));
}

static void test_writer(void **state)
{
	const float f[3] = { 1, 2, 3 };
	const uint16_t h[2] = { 0x3c00, 0x4000 };
	struct damf_st_out outs[] = {
		{ .name = "half", .dtype = damf_st_dtype("F16"), .rank = 2, .shape = { 1, 2 },
		  .data = h },
		{ .name = "z", .dtype = damf_st_dtype("F32"), .rank = 1, .shape = { 3 }, .data = f },
		{ .name = "a", .dtype = damf_st_dtype("F32"), .rank = 1, .shape = { 1 }, .data = f },
	};
	json_t *metadata = json_pack("{s:s}", "k", "v");
	struct damf_st_file *file;
	struct damf_error err;
	float out[3];

	(void)state;
	assert_int_equal(damf_st_write(fix_path("new"), outs, 3, metadata, &err), 0);
	json_decref(metadata);
	assert_int_equal(damf_st_open(fix_path("new"), &file, &err), 0);
	assert_int_equal(file->data % 8, 0);
	assert_string_equal(file->tensors[0].name, "a");
	assert_string_equal(file->tensors[1].name, "z");
	assert_string_equal(file->tensors[2].name, "half");
	assert_string_equal(damf_st_metadata(file, "k"), "v");
	assert_int_equal(damf_st_read_f32(file, &file->tensors[1], out, &err), 0);
	assert_memory_equal(out, f, sizeof(f));
	assert_int_equal(damf_st_read_f32(file, &file->tensors[2], out, &err), 0);
	assert_true(out[0] == 1 && out[1] == 2);
	damf_st_close(file);
	assert_int_equal(damf_st_write("/nowhere/new", outs, 3, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/new"));
}

/* Whatever a few bytes are changed to: an error of one line, or a sound file. */
static void test_mutations(void **state)
{
	static const char header[] =
		"{\"a\":" F32("[2,3]", "0", "24") ",\"__metadata__\":{\"k\":\"v\"},"
		"\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}";
	const size_t len = 8 + sizeof(header) - 1 + 32;
	unsigned char good[256], bad[256];
	struct damf_st_file *file;
	struct damf_error err;
	float out[8];
	unsigned int i, k, seed = 1;
	FILE *f;

	(void)state;
	fix_safetensors("bad", header, 32);
	f = fopen(fix_path("bad"), "rb");
	assert_int_equal(fread(good, 1, sizeof(good), f), len);
	fclose(f);
	for (i = 0; i < 5000; i++) {
		memcpy(bad, good, len);
		for (k = 0; k <= i % 3; k++) {
			seed = seed * 1103515245 + 12345;
			bad[(seed >> 8) % len] = i & 1 ? (unsigned char)(seed >> 24) :
					(unsigned char)"09\"[]{},"[seed >> 24 & 7];
		}
		fix_write("bad", bad, len - (i % 7 == 0));
		if (damf_st_open(fix_path("bad"), &file, &err)) {
			assert_non_null(strstr(err.text, "bad"));
			continue;
		}
		for (k = 0; k < file->n; k++)
			if (file->tensors[k].elems <= 8)
				damf_st_read_f32(file, &file->tensors[k], out, &err);
		damf_st_close(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules), cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_good), cmocka_unit_test(test_shrinks),
		cmocka_unit_test(test_halves), cmocka_unit_test(test_writer),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("safetensors", tests, NULL, fix_teardown);
}
