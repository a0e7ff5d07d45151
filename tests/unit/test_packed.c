// SPDX-License-Identifier: MIT
/* Converted models that are damaged, made wrongly, or made to do harm. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../runtime/lib/backend.h"
#include "../../runtime/lib/model/model.h"
#include "../../runtime/lib/session/session.h"
#include "model_fixture.h"

static unsigned int made;
static char name[64], file[96];	/* of the directory at hand */

/* A new directory of the tiny model; name and file are its own. */
static void make(struct damf_convert_options opt)
{
	struct damf_error err;

	snprintf(name, sizeof(name), "made-%u", made++);
	snprintf(file, sizeof(file), "%s/model.safetensors", name);
	if (damf_convert(fix_dir(), fix_path(name), &opt, NULL, &err))
		fail_msg("%s", err.text);
}

static int open_made(struct damf_model **m, struct damf_error *err)
{
	return damf_model_open(fix_path(name), NULL, m, err);
}

static void refused(const char *words)
{
	struct damf_model *m;
	struct damf_error err;
	int r = open_made(&m, &err);

	assert_null(m);
	if (r != -EINVAL || !strstr(err.text, words))
		fail_msg("%d (%s), not with \"%s\"", r, r ? err.text : "opened", words);
}

/* A converted model with a word of its header changed. */
static void spoilt(struct damf_convert_options opt, const char *from, const char *to,
		   const char *words)
{
	make(opt);
	fix_patch_header(file, from, to, 0);
	refused(words);
}

#define PACKED CONVERT_OPT(.flags = 0)
#define PLAIN CONVERT_OPT(.flags = DAMF_CONVERT_PLAIN)
#define INT8 CONVERT_OPT(.dtype = DAMF_DTYPE_INT8)
#define BF16 CONVERT_OPT(.dtype = DAMF_DTYPE_BF16)

static void test_metadata(void **state)
{
	(void)state;
	spoilt(PACKED, "\"damf.version\":\"2\"", "\"damf.version\":\"1\"",
	       "\"damf.version\" of its metadata is \"1\", this library knows 2");
	spoilt(PLAIN, "\"damf.version\":\"2\"", "\"damf.version\":\"3\"", "is \"3\"");
	spoilt(PLAIN, "\"damf.version\":", "\"x.version\":", "but no \"damf.version\"");
	spoilt(PACKED, "\"damf.form\":\"packed\"", "\"damf.form\":\"tarred\"", "plain, packed");
	spoilt(PACKED, "\"damf.form\":\"packed\",", "", "is missing");
	spoilt(PACKED, "\"damf.trained\":\"false\"", "\"damf.trained\":\"maybe\"", "false, true");
	spoilt(PACKED, "\"damf.dtype\":\"f32\"", "\"damf.dtype\":\"f16\"", "f32, bf16, int8");
	spoilt(PLAIN, "\"damf.dtype\":\"f32\"", "\"damf.dtype\":\"int8\"", "this library knows f32:");
	spoilt(INT8, "\"damf.xtype\":\"int8\"", "\"damf.xtype\":\"int4\"", "int8, int16");
	spoilt(INT8, "\"damf.xtype\":\"int8\",", "", "\"damf.xtype\" of its metadata is missing");
}

static void test_tensors(void **state)
{
	(void)state;
	spoilt(PACKED, "\"damf.layer.1.heads\":", "\"damf.layer.9.heads\":",
	       "no tensor \"damf.layer.1.heads\"");
	spoilt(PACKED, "\"damf.layer.1.pq.bias\":", "\"damf.layer.9.pq.bias\":",
	       "no tensor \"damf.layer.1.pq.bias\"");
	spoilt(PLAIN, "\"damf.layer.1.pq.weight\":", "\"damf.layer.9.pq.weight\":",
	       "layer 1 has heads with scores of low rank, but no u and v");
	spoilt(PACKED, "encoder.layer.0.output.dense.weight.panel32", "encoder.layer.0.gone",
	       "no tensor \"encoder.layer.0.output.dense.weight.panel32\"");
	spoilt(INT8, "encoder.layer.0.output.dense.weight.scale", "encoder.layer.0.gone",
	       "no tensor \"encoder.layer.0.output.dense.weight.scale\"");
	spoilt(PACKED, "\"shape\":[2,48,32]", "\"shape\":[2,32,48]", "config.json calls for [2, 48, 32]");
	spoilt(PACKED, "\"damf.dtype\":\"f32\"", "\"damf.dtype\":\"bf16\"",
	       "is of type F32, not BF16");
	spoilt(BF16, "\"dtype\":\"BF16\"", "\"dtype\":\"F16\"", "is of type F16, not BF16");
	spoilt(PACKED, "\"dtype\":\"U8\",\"shape\":[4,128]", "\"dtype\":\"U8\",\"shape\":[8,64]",
	       "has shape [8, 64], config.json calls for [4, 128]");
	spoilt(PACKED, "\"dtype\":\"U8\",\"shape\":[4,128]", "\"dtype\":\"I8\",\"shape\":[4,128]",
	       "wrong type of tensor \"damf.layer.0.heads\"");
}

/* Bytes of a tensor changed. */
static void spoilt_bytes(struct damf_convert_options opt, const char *tensor, size_t at,
			 const void *bytes, size_t len, const char *words)
{
	make(opt);
	fix_patch_tensor(file, tensor, at, bytes, len);
	refused(words);
}

#define W "encoder.layer.1.attention.self.value.weight"

static void test_numbers(void **state)
{
	static const float odd[] = { NAN, INFINITY, -INFINITY };
	static const float factors[] = { 0, -0.5f, NAN, INFINITY, -0.0f };
	static const uint16_t half[] = { 0x7fc0, 0x7f80, 0xff80 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		spoilt_bytes(PACKED, W ".panel32", 4 * 777, &odd[i], 4, "not a finite number");
		spoilt_bytes(PACKED, "embeddings.word_embeddings.weight", 4, &odd[i], 4,
			     "not a finite number");
		spoilt_bytes(INT8, "embeddings.LayerNorm.bias", 4 * 47, &odd[i], 4,
			     "not a finite number");
		spoilt_bytes(PLAIN, "damf.layer.0.pq.weight", 4, &odd[i], 4, "not a finite number");
		spoilt_bytes(PACKED, "damf.layer.0.pq.weight.panel32", 4, &odd[i], 4,
			     "not a finite number");
		spoilt_bytes(BF16, W ".panel32", 2 * 777, &half[i], 2, "not a finite number");
	}
	for (i = 0; i < 5; i++) {
		spoilt_bytes(INT8, W ".scale", 4 * 7, &factors[i], 4,
			     isfinite(factors[i]) ? "not above 0" : "not a finite number");
		spoilt_bytes(INT8, "embeddings.position_embeddings.weight.scale", 0, &factors[i], 4,
			     isfinite(factors[i]) ? "not above 0" : "not a finite number");
	}
}

/* The last panel of 48 outputs has 16 behind the end; 50 inputs take 52 rows. */
static void test_padding(void **state)
{
	static const float one = 1;
	static const uint16_t half = 0x3f80;
	static const int8_t byte = 1;
	const size_t steps = 48 / 4, last = steps * 128;	/* bytes of a panel of I8 */

	(void)state;
	spoilt_bytes(PACKED, W ".panel32", 4 * (48 * 32 + 47 * 32 + 16), &one, 4, "padding");
	spoilt_bytes(PACKED, W ".panel32", 4 * (48 * 32 + 31), &one, 4, "padding");
	spoilt_bytes(BF16, W ".panel32", 2 * (48 * 32 + 47 * 32 + 31), &half, 2, "padding");
	spoilt_bytes(INT8, W ".panel32", last + 16 * 4, &byte, 1, "padding");
	spoilt_bytes(INT8, W ".panel32", 2 * last - 1, &byte, 1, "padding");
}

/* Inputs of an odd number, in int8. */
static void test_odd_width(void **state)
{
	static const int8_t byte = 1;
	const size_t panel = 52 / 4 * 128;
	struct tiny odd;
	struct damf_model *m;
	struct damf_error err;

	(void)state;
	tiny_make_width(&odd, 50);
	tiny_write(&odd);
	tiny_free(&odd);
	make(INT8);
	assert_int_equal(open_made(&m, &err), 0);
	damf_model_unref(m);
	/* of output 33 the last of its last four */
	fix_patch_tensor(file, W ".panel32", 2 * panel - 128 + 1 * 4 + 3, &byte, 1);
	refused("padding");
	make(INT8);
	fix_patch_tensor(file, W ".panel32", panel - 128 + 2, &byte, 1);
	refused("padding");
	tiny_write(&tiny);
}

#define HEAD(h, member) (sizeof(struct damf_head) * (h) + offsetof(struct damf_head, member))

static void test_heads(void **state)
{
	const uint16_t mode = 9, big_mode = 0xffff, rank = 0, mhsa = DAMF_MODE_MHSA, d_v = 11;
	const uint32_t col = 8, bits = 1, v_col = 0, infinite = 0x7f800000;

	(void)state;
	spoilt_bytes(PACKED, "damf.layer.1.heads", HEAD(2, mode), &mode, 2,
		     "layer 1: heads[2].mode is not allowed");
	spoilt_bytes(PACKED, "damf.layer.1.heads", HEAD(2, mode), &big_mode, 2, "heads[2].mode");
	spoilt_bytes(PLAIN, "damf.layer.1.heads", HEAD(0, rank), &rank, 2, "heads[0].rank");
	spoilt_bytes(PLAIN, "damf.layer.0.heads", HEAD(3, p_col), &col, 4, "heads[3].p_col");
	spoilt_bytes(PACKED, "damf.layer.0.heads", HEAD(3, q_col), &col, 4, "heads[3].q_col");
	spoilt_bytes(PACKED, "damf.layer.0.heads", HEAD(3, v_col), &v_col, 4, "heads[3].v_col");
	spoilt_bytes(PACKED, "damf.layer.0.heads", HEAD(3, d_v), &d_v, 2, "heads[3].d_v");
	spoilt_bytes(PACKED, "damf.layer.0.heads", HEAD(1, reserved), &bits, 4,
		     "heads[1].reserved[0]");
	spoilt_bytes(PACKED, "damf.layer.0.heads", HEAD(1, coef), &infinite, 4, "heads[1].coef[0]");
	spoilt_bytes(CONVERT_OPT(.flags = DAMF_CONVERT_DROP_EXACT), "damf.layer.1.heads", HEAD(1, mode),
		     &mhsa, 2, "layer 1 has no query and key");
}

/* ---- The file itself ------------------------------------------------------------------- */

static void test_cut(void **state)
{
	static const size_t keep[] = { 0, 7, 8, 100, 5000, 40000 };
	unsigned char *all;
	size_t len, i;

	(void)state;
	make(PACKED);
	all = fix_read(file, &len);
	for (i = 0; i < COUNT(keep); i++) {
		fix_write(file, all, keep[i]);
		refused(keep[i] < 8 ? "too short" : "cut short");
	}
	fix_write(file, all, len - 1);
	refused("cut short");
	all = realloc(all, len + 4);
	memset(all + len, 0, 4);
	fix_write(file, all, len + 4);
	refused("behind the last tensor");
	free(all);
}

static void test_aligned(void **state)
{
	static const size_t off[] = { 1, 4, 8, 32, 63 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(off); i++) {
		make(PACKED);
		fix_patch_header(file, "\"damf.form\"", "\"damf.form\"", off[i]);
		refused("does not begin at a multiple of 64 bytes");
	}
}

/* Damage of any kind opens or is told, and is never read behind the file. */
static void test_damage(void **state)
{
	uint64_t draw = 1;
	struct damf_model *m;
	struct damf_error err;
	unsigned char *all;
	size_t len, header, i;

	(void)state;
	make(INT8);
	all = fix_read(file, &len);
	header = 8 + (size_t)(all[0] | all[1] << 8 | all[2] << 16);
	for (i = 0; i < 600; i++) {
		size_t at;
		unsigned char old;

		draw = draw * 6364136223846793005ull + 1442695040888963407ull;
		at = (size_t)(draw >> 20) % header;
		old = all[at];
		all[at] ^= (unsigned char)(1u << (draw >> 61));
		fix_write(file, all, len);
		if (!open_made(&m, &err))
			damf_model_unref(m);
		else
			assert_true(err.text[0] && !strchr(err.text, '\n'));
		all[at] = old;
	}
	free(all);
}

static void embed(struct damf_model *m, const char *backend, float *out);

/* Tables of heads that are damaged: what the check lets through can be run. */
static void test_damaged_heads(void **state)
{
	float out[2 * 48];
	uint64_t draw = 2;
	struct damf_model *m;
	struct damf_error err;
	unsigned int i, opened = 0;
	unsigned char *all;
	size_t len;

	(void)state;
	make(CONVERT_OPT(.order = 2));
	all = fix_read(file, &len);
	for (i = 0; i < 300; i++) {
		unsigned char byte;
		size_t at;

		draw = draw * 6364136223846793005ull + 1442695040888963407ull;
		at = (size_t)(draw >> 20) % (4 * sizeof(struct damf_head));
		byte = (unsigned char)(draw >> 56);
		fix_write(file, all, len);
		fix_patch_tensor(file, "damf.layer.1.heads", at, &byte, 1);
		if (open_made(&m, &err)) {
			assert_non_null(strstr(err.text, "layer 1: heads["));
			continue;
		}
		embed(m, "cpu", out);
		damf_model_unref(m);
		opened++;
	}
	free(all);
	assert_true(opened > 20 && opened < 280);
}

/* ---- Use ------------------------------------------------------------------------------- */

static void embed(struct damf_model *m, const char *backend, float *out)
{
	struct damf_session_options opt = { .size = sizeof(opt), .backend = backend, .threads = 1 };
	const struct damf_text texts[] = { { .text = "a b c", .len = 5 }, { .text = "z", .len = 1 } };
	struct damf_session *s;
	struct damf_error err;

	if (damf_session_create(m, &opt, &s, &err) ||
	    damf_session_run(s, texts, 2, out, NULL, &err))
		fail_msg("%s", err.text);
	if (!strcmp(backend, "cpu")) {	/* nothing was copied */
		assert_ptr_equal(damf_buffer_map(s->engine->weights[DAMF_FILE]),
				 m->blocks[DAMF_FILE].base);
		assert_ptr_equal(damf_buffer_map(s->engine->weights[DAMF_OWN]),
				 m->blocks[DAMF_OWN].base);
	}
	damf_session_free(s);
}

/* The same numbers from the mapping, from a copy of it, and from the original. */
static void test_sessions(void **state)
{
	struct damf_model_options fold = { .size = sizeof(fold), .attention = DAMF_ATTENTION_FOLD };
	float mapped[2 * 48], copied[2 * 48], original[2 * 48];
	struct damf_session_options cpu = { .size = sizeof(cpu), .backend = "cpu" };
	const struct damf_text text = { .text = "a b c", .len = 5 };
	struct damf_session *s;
	struct damf_model *m;
	struct damf_error err;

	(void)state;
	make(PACKED);
	assert_int_equal(open_made(&m, &err), 0);
	embed(m, "cpu", mapped);
	embed(m, "sim", copied);
	assert_memory_equal(mapped, copied, sizeof(mapped));
	damf_model_unref(m);
	assert_int_equal(damf_model_open(fix_dir(), &fold, &m, &err), 0);
	assert_int_equal(damf_session_create(m, &cpu, &s, &err), 0);
	assert_int_equal(damf_session_run(s, &text, 1, original, NULL, &err), 0);
	assert_memory_equal(mapped, original, 48 * sizeof(float));
	damf_session_free(s);
	damf_model_unref(m);
}

/* A file that is replaced while it is in use: whoever has it open keeps the old one. */
static void test_replaced(void **state)
{
	float before[2 * 48], after[2 * 48];
	char other[128];
	struct damf_model *m;
	struct damf_error err;

	(void)state;
	make(PACKED);
	assert_int_equal(open_made(&m, &err), 0);
	embed(m, "cpu", before);
	snprintf(other, sizeof(other), "%s.new", file);
	fix_write(other, "short", 5);
	assert_int_equal(rename(fix_path(other), fix_path(file)), 0);
	embed(m, "cpu", after);
	assert_memory_equal(before, after, sizeof(before));
	damf_model_unref(m);
	refused("too short");
}

static struct damf_model *open_typed(const char *dir, enum damf_attention attention,
				     enum damf_dtype dtype)
{
	struct damf_model_options opt = { .size = sizeof(opt), .attention = attention,
					  .dtype = dtype };
	struct damf_model *m;
	struct damf_error err;

	if (damf_model_open(dir, &opt, &m, &err))
		fail_msg("%s", err.text);
	return m;
}

static void same_block(struct damf_model *a, struct damf_model *b)
{
	assert_int_equal(a->blocks[DAMF_OWN].size, b->blocks[DAMF_OWN].size);
	assert_memory_equal(a->blocks[DAMF_OWN].base, b->blocks[DAMF_OWN].base,
			    a->blocks[DAMF_OWN].size);
	damf_model_unref(a);
	damf_model_unref(b);
}

/* Another type than the file's, as far as the file has the numbers for it. */
static void test_other_types(void **state)
{
	const enum damf_attention fold = DAMF_ATTENTION_FOLD, own = DAMF_ATTENTION_AUTO;
	struct damf_model_options opt = { .size = sizeof(opt), .dtype = DAMF_DTYPE_F32 };
	struct damf_model *m;
	struct damf_error err;

	(void)state;
	make(PACKED);
	same_block(open_typed(fix_path(name), own, DAMF_DTYPE_INT8),
		   open_typed(fix_dir(), fold, DAMF_DTYPE_INT8));
	same_block(open_typed(fix_path(name), own, DAMF_DTYPE_BF16),
		   open_typed(fix_dir(), fold, DAMF_DTYPE_BF16));
	make(BF16);	/* which holds the tiny model's weights exactly */
	same_block(open_typed(fix_path(name), own, DAMF_DTYPE_F32),
		   open_typed(fix_dir(), fold, DAMF_DTYPE_F32));
	make(INT8);
	assert_int_equal(damf_model_open(fix_path(name), &opt, &m, &err), -EINVAL);
	assert_non_null(strstr(err.text, "its matrices are int8: for f32"));
	opt = (struct damf_model_options){ .size = sizeof(opt), .xtype = DAMF_XTYPE_INT16 };
	assert_int_equal(damf_model_open(fix_path(name), &opt, &m, &err), 0);
	assert_int_equal(m->xtype, DAMF_XTYPE_INT16);
	damf_model_unref(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metadata), cmocka_unit_test(test_tensors),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_padding),
		cmocka_unit_test(test_odd_width), cmocka_unit_test(test_heads),
		cmocka_unit_test(test_cut), cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_damage), cmocka_unit_test(test_damaged_heads),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_replaced), cmocka_unit_test(test_other_types),
	};

	return cmocka_run_group_tests_name("packed models", tests, tiny_setup, tiny_teardown);
}
