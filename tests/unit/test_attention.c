// SPDX-License-Identifier: MIT
/* Which attention a model is given: what it was made for, what is asked for,
 * and what its tensors don't allow. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/lib/model/model.h"
#include "model_fixture.h"

#define FILE_OF(dir) dir "/model.safetensors"

/* The tiny model, converted. */
static const char *make(const char *name, struct damf_convert_options opt)
{
	static char paths[2][160];
	static unsigned int next;
	char *to = paths[next++ % 2];
	struct damf_error err;

	snprintf(to, sizeof(paths[0]), "%s/%s", fix_dir(), name);
	if (damf_convert(fix_dir(), to, &opt, NULL, &err))
		fail_msg("%s", err.text);
	return to;
}

static struct damf_model *open_as(const char *dir, enum damf_attention attention)
{
	struct damf_model_options opt = { .size = sizeof(opt), .attention = attention };
	struct damf_model *m;
	struct damf_error err;

	if (damf_model_open(dir, &opt, &m, &err))
		fail_msg("%s", err.text);
	return m;
}

static void refused(const char *dir, enum damf_attention attention, const char *words)
{
	struct damf_model_options opt = { .size = sizeof(opt), .attention = attention };
	struct damf_model *m;
	struct damf_error err;
	int r = damf_model_open(dir, &opt, &m, &err);

	assert_null(m);
	if (r != -EINVAL || !strstr(err.text, words))
		fail_msg("%d (%s), not with \"%s\"", r, r ? err.text : "opened", words);
}

/* Opened as that it tells this attention, and whether it warns of training. */
static void expect(const char *dir, enum damf_attention attention, const char *name,
		   const char *warning)
{
	struct damf_model_info info = { .size = sizeof(info) };
	struct damf_model *m = open_as(dir, attention);
	const char *text = damf_model_warning(m, 0);

	damf_model_get_info(m, &info);
	assert_string_equal(info.attention, name);
	assert_int_equal(info.trained, !warning);
	if (warning ? !text || !strstr(text, warning) : text != NULL)
		fail_msg("%s warns of \"%s\"", name, text ? text : "nothing");
	damf_model_unref(m);
}

static void test_plain_model(void **state)
{
	(void)state;
	expect(fix_dir(), DAMF_ATTENTION_AUTO, "mhsa", NULL);
	expect(fix_dir(), DAMF_ATTENTION_MHSA, "mhsa", NULL);
	expect(fix_dir(), DAMF_ATTENTION_FOLD, "fold", "trained with softmax");
	expect(fix_dir(), DAMF_ATTENTION_SHIFT, "shift", "trained with softmax");
	expect(fix_dir(), DAMF_ATTENTION_FOLDSHIFT, "foldshift", "trained with softmax");
	expect(fix_dir(), DAMF_ATTENTION_SOFTFOLD, "softfold", "trained with softmax");
}

static void test_untrained(void **state)
{
	const char *dir = make("untrained", CONVERT_OPT(.flags = 0));

	(void)state;
	expect(dir, DAMF_ATTENTION_AUTO, "fold", "trained with softmax");
	expect(dir, DAMF_ATTENTION_MHSA, "mhsa", NULL);
	expect(dir, DAMF_ATTENTION_SHIFT, "shift", "trained with softmax");
	expect(dir, DAMF_ATTENTION_FOLDSHIFT, "foldshift", "trained with softmax");
	expect(dir, DAMF_ATTENTION_SOFTFOLD, "softfold", "trained with softmax");
}

/* Trained for fold: foldshift is the same, rounded; the rest is told of. */
static void test_trained(void **state)
{
	const char *dir = make("trained", CONVERT_OPT(.order = 2, .flags = DAMF_CONVERT_PLAIN));

	(void)state;
	fix_patch_header(FILE_OF("trained"), "\"damf.trained\":\"false\"",
			 "\"damf.trained\":\"true\"", 0);
	expect(dir, DAMF_ATTENTION_AUTO, "fold", NULL);
	expect(dir, DAMF_ATTENTION_FOLD, "fold", NULL);
	expect(dir, DAMF_ATTENTION_FOLDSHIFT, "foldshift", NULL);
	expect(dir, DAMF_ATTENTION_SHIFT, "shift", "shift attention in a model that was trained for fold");
	expect(dir, DAMF_ATTENTION_SOFTFOLD, "softfold", "trained for fold");
	expect(dir, DAMF_ATTENTION_MHSA, "mhsa", "trained for fold");
	/* a conversion keeps that */
	assert_int_equal(damf_convert(dir, fix_path("trained-packed"), NULL, NULL, NULL), 0);
	expect(fix_path("trained-packed"), DAMF_ATTENTION_AUTO, "fold", NULL);
}

/* ---- What becomes of the parameters of a head ----------------------------------------- */

static struct damf_head *heads_of(struct damf_model *m)
{
	return m->layers[1].table;
}

/* A centred head with a series, a learned scale, a band and sinks. */
static const char *rich(const char *name)
{
	const float scale = 0.75f, sinks[2] = { 0.5f, -0.25f }, band = 0.125f;
	const char *dir = make(name, CONVERT_OPT(.order = 2, .flags = DAMF_CONVERT_PLAIN));
	const uint16_t flags = DAMF_HEAD_CENTRED | DAMF_HEAD_SCALE | DAMF_HEAD_BAND |
			       DAMF_HEAD_SINKS;
	const size_t head = 2 * sizeof(struct damf_head);
	char file[64];

	snprintf(file, sizeof(file), "%s/model.safetensors", name);
	fix_patch_tensor(file, "damf.layer.1.heads",
			 head + offsetof(struct damf_head, flags), &flags, 2);
	fix_patch_tensor(file, "damf.layer.1.heads",
			 head + offsetof(struct damf_head, scale), &scale, 4);
	fix_patch_tensor(file, "damf.layer.1.heads",
			 head + offsetof(struct damf_head, sink), sinks, 8);
	fix_patch_tensor(file, "damf.layer.1.heads",
			 head + offsetof(struct damf_head, band), &band, 4);
	fix_patch_header(file, "\"damf.trained\":\"false\"",
			 "\"damf.trained\":\"true\"", 0);
	return dir;
}

static void check_static(const struct damf_head *h)
{
	float f[3];

	memcpy(f, h->sink, 8);
	memcpy(f + 2, h->band, 4);
	assert_true(f[0] == 0.5f && f[1] == -0.25f && f[2] == 0.125f);
	assert_true((h->flags & (DAMF_HEAD_BAND | DAMF_HEAD_SINKS)) ==
		    (DAMF_HEAD_BAND | DAMF_HEAD_SINKS));
}

static void test_parameters_kept(void **state)
{
	const char *dir = rich("rich");
	struct damf_model *fold = open_as(dir, DAMF_ATTENTION_AUTO), *m;
	struct damf_head want = heads_of(fold)[2];

	(void)state;
	check_static(&want);
	m = open_as(dir, DAMF_ATTENTION_FOLDSHIFT);
	want.mode = DAMF_MODE_FOLDSHIFT;
	assert_memory_equal(&heads_of(m)[2], &want, sizeof(want));
	damf_model_unref(m);
	damf_model_unref(fold);
}

static float float_of(__le32 bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* Static terms go with every mode, what others don't have is left behind. */
static void test_parameters_left(void **state)
{
	const char *dir = rich("rich-too");
	struct damf_model *m = open_as(dir, DAMF_ATTENTION_SOFTFOLD);
	const struct damf_head *h = &heads_of(m)[2];

	(void)state;
	check_static(h);
	assert_int_equal(h->flags, DAMF_HEAD_SCALE | DAMF_HEAD_BAND | DAMF_HEAD_SINKS);
	assert_true(float_of(h->scale) == (float)(1 / sqrt(12)) && h->order == 0);
	assert_true(float_of(h->coef[0]) == 1e-4f && h->coef[1] == 0);
	damf_model_unref(m);
	m = open_as(dir, DAMF_ATTENTION_SHIFT);
	h = &heads_of(m)[2];
	check_static(h);
	assert_int_equal(h->flags, DAMF_HEAD_BAND | DAMF_HEAD_SINKS);
	assert_true(h->order == 1 && h->scale == 0);
	assert_true(float_of(h->coef[1]) == 1 && h->coef[2] == 0);
	damf_model_unref(m);
	m = open_as(dir, DAMF_ATTENTION_MHSA);
	h = &heads_of(m)[2];
	check_static(h);
	assert_true(h->d_qk == 12 && h->qk_col == 24 && h->rank == 0 && h->coef[0] == 0);
	assert_true(h->p_col == 0 && h->q_col == 0 && m->layers[1].pq.w.rows == 0);
	damf_model_unref(m);
}

/* ---- What tensors don't allow ----------------------------------------------------------- */

static void test_rank(void **state)
{
	const char *dir = make("rank", CONVERT_OPT(.rank = 3));
	struct damf_model_info info = { .size = sizeof(info) };
	struct damf_model *m = open_as(dir, DAMF_ATTENTION_AUTO);

	(void)state;
	damf_model_get_info(m, &info);
	assert_int_equal(info.rank, 3);
	assert_int_equal(info.order, 1);
	assert_string_equal(info.form, "packed");
	assert_int_equal(m->layers[0].pq.w.cols, 24);
	damf_model_unref(m);
	expect(dir, DAMF_ATTENTION_FOLD, "fold", "trained with softmax");
	expect(dir, DAMF_ATTENTION_MHSA, "mhsa", NULL);
	refused(dir, DAMF_ATTENTION_SOFTFOLD, "layer 0, head 0 has scores of rank 3, and softfold takes rank 1");
	refused(dir, DAMF_ATTENTION_SHIFT, "rank 3");
	refused(dir, DAMF_ATTENTION_FOLDSHIFT, "rank 3");
}

/* Packed without u and v; plain, the original's query and key are all there. */
static void test_exact_only(void **state)
{
	const char *packed = make("exact", CONVERT_OPT(.attention = DAMF_ATTENTION_MHSA));
	const char *plain = make("exact-plain", CONVERT_OPT(.attention = DAMF_ATTENTION_MHSA,
						     .flags = DAMF_CONVERT_PLAIN));

	(void)state;
	expect(packed, DAMF_ATTENTION_AUTO, "mhsa", NULL);
	refused(packed, DAMF_ATTENTION_FOLD, "layer 0, head 0 is mhsa and has no u and v for fold");
	expect(plain, DAMF_ATTENTION_AUTO, "mhsa", NULL);
	expect(plain, DAMF_ATTENTION_FOLD, "fold", "trained with softmax");
}

/* One head that is mhsa among others. */
static void test_mixed(void **state)
{
	const char *dir = make("mixed", CONVERT_OPT(.flags = DAMF_CONVERT_PLAIN));
	struct damf_head exact = {
		.mode = DAMF_MODE_MHSA, .d_qk = 12, .d_v = 12, .qk_col = 12, .v_col = 12,
	};
	struct damf_model *m;

	(void)state;
	fix_patch_tensor(FILE_OF("mixed"), "damf.layer.1.heads", sizeof(exact), &exact,
			 sizeof(exact));
	expect(dir, DAMF_ATTENTION_AUTO, "mixed", "trained with softmax");
	m = open_as(dir, DAMF_ATTENTION_AUTO);
	assert_true(m->layers[0].q.w.rows == 0 && m->layers[0].pq.w.rows);
	assert_true(m->layers[1].q.w.rows && m->layers[1].pq.w.rows);
	damf_model_unref(m);
	expect(dir, DAMF_ATTENTION_MHSA, "mhsa", NULL);
	refused(dir, DAMF_ATTENTION_FOLDSHIFT, "layer 1, head 1 is mhsa");
}

static void test_options(void **state)
{
	struct damf_model_options opt = { .size = sizeof(opt) };
	struct damf_model *m;
	struct damf_error err;

	(void)state;
	opt.attention = (enum damf_attention)6;
	assert_int_equal(damf_model_open(fix_dir(), &opt, &m, &err), -EINVAL);
	opt.attention = DAMF_ATTENTION_AUTO;
	opt.dtype = (enum damf_dtype)4;
	assert_int_equal(damf_model_open(fix_dir(), &opt, &m, &err), -EINVAL);
	opt.dtype = DAMF_DTYPE_BF16;
	opt.xtype = DAMF_XTYPE_INT16;
	assert_int_equal(damf_model_open(fix_dir(), &opt, &m, &err), -EINVAL);
	assert_non_null(strstr(err.text, "these are bf16"));
	/* what an older caller knows of the options */
	opt = (struct damf_model_options){ .size = offsetof(struct damf_model_options, dtype),
					   .dtype = (enum damf_dtype)77 };
	assert_int_equal(damf_model_open(fix_dir(), &opt, &m, &err), 0);
	assert_int_equal(m->dtype, DAMF_DTYPE_F32);
	damf_model_unref(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_model), cmocka_unit_test(test_untrained),
		cmocka_unit_test(test_trained), cmocka_unit_test(test_parameters_kept),
		cmocka_unit_test(test_parameters_left), cmocka_unit_test(test_rank),
		cmocka_unit_test(test_exact_only), cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests_name("attention of models", tests, tiny_setup, tiny_teardown);
}
