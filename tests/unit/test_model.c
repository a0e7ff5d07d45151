// SPDX-License-Identifier: MIT
/* Model directories: what is read, what is refused and in which words; fusion. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/lib/model/model.h"
#include "model_fixture.h"

#define CONFIG(extra) \
	"{\"num_hidden_layers\":2,\"hidden_size\":48,\"num_attention_heads\":4," \
	"\"intermediate_size\":80,\"vocab_size\":60,\"max_position_embeddings\":40," \
	"\"type_vocab_size\":2" extra "}"
#define BERT ",\"model_type\":\"bert\""

static struct tiny tiny;

static int setup(void **state)
{
	(void)state;
	tiny_make(&tiny, 0, 1);
	tiny_write(&tiny);
	return 0;
}

static int teardown(void **state)
{
	tiny_free(&tiny);
	return fix_teardown(state);
}

static struct damf_model *open_model(enum damf_attention attention)
{
	struct damf_model_options opt = { .size = sizeof(opt), .attention = attention };
	struct damf_model *m;
	struct damf_error err;

	if (damf_model_open(fix_dir(), &opt, &m, &err))
		fail_msg("%s", err.text);
	return m;
}

static void refused(int code, const char *const words[], size_t n)
{
	struct damf_model *m;
	struct damf_error err;
	size_t i;
	int r = damf_model_open(fix_dir(), NULL, &m, &err);

	assert_null(m);
	if (r != code)
		fail_msg("%d (%s), not %d", r, err.text, code);
	for (i = 0; i < n; i++)
		if (!strstr(err.text, words[i]))
			fail_msg("\"%s\" lacks \"%s\"", err.text, words[i]);
}

#define REFUSED(...) \
	refused(-EINVAL, (const char *const[]){ __VA_ARGS__ }, \
		sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void test_config(void **state)
{
	(void)state;
	fix_text("config.json", CONFIG(""));
	REFUSED("config.json", "model_type", "bert");
	fix_text("config.json", CONFIG(",\"model_type\":\"roberta\""));
	REFUSED("config.json", "model_type \"roberta\"", "bert");
	fix_text("config.json", CONFIG(BERT ",\"hidden_act\":\"gelu_new\""));
	REFUSED("hidden_act", "gelu_new", "exact GELU");
	fix_text("config.json", CONFIG(BERT ",\"position_embedding_type\":\"relative_key\""));
	REFUSED("position_embedding_type", "relative_key");
	fix_text("config.json", CONFIG(BERT ",\"is_decoder\":true"));
	REFUSED("is_decoder", "not supported");
	fix_text("config.json", CONFIG(BERT ",\"quantization_config\":{\"bits\":8}"));
	REFUSED("quantization_config");
	fix_text("config.json", CONFIG(BERT ",\"layer_norm_eps\":0"));
	REFUSED("layer_norm_eps");
	fix_text("config.json", CONFIG(BERT ",\"hidden_size\":48"));
	REFUSED("config.json", "JSON");		/* a key twice */
	fix_text("config.json", "{\"model_type\":\"bert\"}");
	REFUSED("num_hidden_layers", "missing");
	fix_text("config.json", "{\"model_type\":\"bert\",\"num_hidden_layers\":0}");
	REFUSED("num_hidden_layers", "1 to 512");
	fix_text("config.json", "{\"model_type\":\"bert\",\"num_hidden_layers\":99999999999}");
	REFUSED("num_hidden_layers", "1 to 512");
	fix_text("config.json", "[]");
	REFUSED("not a JSON object");
	fix_text("config.json", "{");
	REFUSED("config.json:1", "not valid JSON");
	fix_remove("config.json");
	refused(-ENOENT, (const char *const[]){ "config.json", "No such file" }, 2);
	tiny_write(&tiny);
}

static void test_no_directory(void **state)
{
	struct damf_model *m;
	struct damf_error err;

	(void)state;
	assert_int_equal(damf_model_open("/nowhere/model", NULL, &m, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/model"));
	assert_int_equal(damf_model_open(fix_path("vocab.txt"), NULL, &m, &err), -ENOTDIR);
}

/* Weights that are not of this configuration. */
static void test_shapes(void **state)
{
	(void)state;
	fix_text("config.json", "{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":48,"
		 "\"num_attention_heads\":4,\"intermediate_size\":96,\"vocab_size\":60,"
		 "\"max_position_embeddings\":40,\"type_vocab_size\":2}");
	REFUSED("encoder.layer.0.intermediate.dense.weight", "[80, 48]", "[96, 48]");
	fix_text("config.json", "{\"model_type\":\"bert\",\"num_hidden_layers\":3,\"hidden_size\":48,"
		 "\"num_attention_heads\":4,\"intermediate_size\":80,\"vocab_size\":60,"
		 "\"max_position_embeddings\":40,\"type_vocab_size\":2}");
	REFUSED("no tensor \"encoder.layer.2.attention.self.query.weight\"");
	fix_text("config.json", "{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":48,"
		 "\"num_attention_heads\":5,\"intermediate_size\":80,\"vocab_size\":60,"
		 "\"max_position_embeddings\":40,\"type_vocab_size\":2}");
	REFUSED("hidden_size", "48", "num_attention_heads");
	fix_text("config.json", "{\"model_type\":\"bert\",\"num_hidden_layers\":2,\"hidden_size\":48,"
		 "\"num_attention_heads\":4,\"intermediate_size\":80,\"vocab_size\":20,"
		 "\"max_position_embeddings\":40,\"type_vocab_size\":2}");
	REFUSED("tokenizer", "vocab_size");
	tiny_write(&tiny);
	fix_remove("model.safetensors");
	refused(-ENOENT, (const char *const[]){ "no model.safetensors" }, 1);
	tiny_write(&tiny);
}

/* One model in every spelling: the packed weights are the same. */
static void test_spellings(void **state)
{
	struct damf_model *first = open_model(DAMF_ATTENTION_AUTO), *m;
	unsigned int i;

	(void)state;
	for (i = 1; i < 12; i++) {
		tiny.prefix = i & 1;
		tiny.shards = i >> 1 & 1;
		tiny.type = (enum tiny_type)(i >> 2);
		tiny_write(&tiny);
		m = open_model(DAMF_ATTENTION_AUTO);
		assert_int_equal(m->arena_size, first->arena_size);
		assert_memory_equal(m->arena, first->arena, m->arena_size);
		damf_model_unref(m);
	}
	damf_model_unref(first);
	tiny.prefix = tiny.shards = false;
	tiny.type = TINY_F32;
	tiny_write(&tiny);
}

static void test_shards(void **state)
{
	(void)state;
	tiny.shards = true;
	tiny_write(&tiny);
	fix_remove("model-2.safetensors");
	refused(-ENOENT, (const char *const[]){ "model-2.safetensors" }, 1);
	tiny_write(&tiny);
	fix_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../model.safetensors\"}}");
	REFUSED("plain file name");
	fix_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"model-1.safetensors\"}}");
	REFUSED("tensor \"a\" is not in model-1.safetensors");
	fix_text("model.safetensors.index.json", "{}");
	REFUSED("weight_map");
	tiny.shards = false;
	tiny_write(&tiny);
}

static void expect_pooling(const char *pooling, unsigned int normalize, const char *from)
{
	struct damf_model_info info = { .size = sizeof(info) };
	struct damf_model *m = open_model(DAMF_ATTENTION_AUTO);

	damf_model_get_info(m, &info);
	assert_string_equal(info.pooling, pooling);
	assert_int_equal(info.normalize, normalize);
	assert_non_null(strstr(info.pooling_from, from));
	damf_model_unref(m);
}

#define OLD "sentence_transformers.models."
#define MODULE(path, type) "{\"idx\":0,\"name\":\"x\",\"path\":\"" path "\",\"type\":\"" type "\"}"

static void test_pooling(void **state)
{
	(void)state;
	expect_pooling("mean", 1, "default");
	fix_text("modules.json", "[" MODULE("", OLD "Transformer") "," MODULE("1_Pooling", OLD "Pooling")
		 "," MODULE("2_Normalize", OLD "Normalize") "]");
	fix_text("1_Pooling/config.json", "{\"word_embedding_dimension\":48,"
		 "\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":true,"
		 "\"pooling_mode_max_tokens\":false}");
	expect_pooling("mean", 1, "1_Pooling/config.json");
	fix_text("1_Pooling/config.json", "{\"pooling_mode_cls_token\":true}");
	expect_pooling("cls", 1, "1_Pooling");
	fix_text("modules.json", "["
		 MODULE("", "sentence_transformers.base.modules.transformer.Transformer") ","
		 MODULE("1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling") "]");
	fix_text("1_Pooling/config.json", "{\"embedding_dimension\":48,\"pooling_mode\":\"mean\"}");
	expect_pooling("mean", 0, "1_Pooling");
	fix_text("1_Pooling/config.json", "{\"pooling_mode\":\"max\"}");
	REFUSED("1_Pooling/config.json", "pooling \"max\" is not supported");
	fix_text("1_Pooling/config.json", "{\"pooling_mode_max_tokens\":true}");
	REFUSED("pooling \"max_tokens\"");
	fix_text("1_Pooling/config.json", "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}");
	REFUSED("several poolings");
	fix_text("1_Pooling/config.json", "{}");
	REFUSED("names no pooling");
	fix_text("1_Pooling/config.json", "{\"word_embedding_dimension\":47,\"pooling_mode\":\"cls\"}");
	REFUSED("word_embedding_dimension", "48");
	fix_text("modules.json", "[" MODULE("", OLD "Transformer") "," MODULE("1_Pooling", OLD "Pooling")
		 "," MODULE("2_Dense", OLD "Dense") "]");
	fix_text("1_Pooling/config.json", "{\"pooling_mode\":\"cls\"}");
	REFUSED("modules.json", OLD "Dense", "not supported");
	fix_text("modules.json", "[" MODULE("", OLD "Transformer") "," MODULE("x", "evil.Pooling") "]");
	REFUSED("evil.Pooling");
	fix_text("modules.json", "[" MODULE("", OLD "Transformer") "," MODULE("../x", OLD "Pooling") "]");
	REFUSED("proper path");
	fix_remove("modules.json");
}

static uint32_t max_length(char *from, size_t size)
{
	struct damf_model_info info = { .size = sizeof(info) };
	struct damf_model *m = open_model(DAMF_ATTENTION_AUTO);

	damf_model_get_info(m, &info);
	snprintf(from, size, "%s", info.max_length_from);
	damf_model_unref(m);
	return info.max_length;
}

static void test_max_length(void **state)
{
	struct damf_model *m;
	char from[96];

	(void)state;
	assert_int_equal(max_length(from, sizeof(from)), 40);
	assert_non_null(strstr(from, "max_position_embeddings"));
	fix_text("sentence_bert_config.json", "{\"max_seq_length\":20}");
	assert_int_equal(max_length(from, sizeof(from)), 20);
	assert_non_null(strstr(from, "sentence_bert_config.json"));
	fix_text("sentence_bert_config.json", "{\"max_seq_length\":400}");
	assert_int_equal(max_length(from, sizeof(from)), 40);
	fix_text("sentence_bert_config.json", "{\"do_lower_case\":true}");
	m = open_model(DAMF_ATTENTION_AUTO);
	assert_non_null(strstr(damf_model_warning(m, 0), "do_lower_case"));
	damf_model_unref(m);
	fix_text("sentence_bert_config.json", "{\"max_seq_length\":\"x\"}");
	REFUSED("max_seq_length");
	fix_remove("sentence_bert_config.json");
}

/* ---- Fusion, judged by LAPACK ------------------------------------------------------- */

void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a,
	     const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
	     double *work, const int *lwork, int *info);

enum { D = 49, HW = 12 };	/* width of the tiny model with the bias, of a head */

/* The dense [W_Q; b_Q] [W_K; b_K]^T of a head, column-major, and its singular values. */
static void dense_scores(const float *const w[4], unsigned int head, double *a, double *s)
{
	double m[D * D], u[1], vt[1], work[4096];
	const int n = D, one = 1, lwork = 4096;
	int i, j, k, info;

	for (j = 0; j < D; j++) {
		for (i = 0; i < D; i++) {
			double sum = 0;

			for (k = 0; k < HW; k++) {
				int row = (int)head * HW + k;
				double q = i < D - 1 ? w[0][row * (D - 1) + i] : w[1][row];
				double p = j < D - 1 ? w[2][row * (D - 1) + j] : w[3][row];

				sum += q * p;
			}
			a[i + j * D] = sum;
		}
	}
	memcpy(m, a, sizeof(m));
	dgesvd_("N", "N", &n, &n, m, &n, s, u, &one, vt, &one, work, &lwork, &info);
	assert_int_equal(info, 0);
}

static double entry(const struct damf_fused *f, unsigned int row, int i)
{
	return i < D - 1 ? f->weight[row * (D - 1) + (unsigned int)i] : f->bias[row];
}

/*
 * The best rank 1: what it leaves over has a squared norm of the sum of the
 * squares of the other singular values (Eckart and Young).
 */
static void check_head(const struct damf_fused *f, unsigned int h, const float *const w[4])
{
	double a[D * D], s[D], rest = 0, left = 0, norm = 0;
	int i, j;

	dense_scores(w, h, a, s);
	for (i = 0; i < HW; i++)
		assert_true(fabs(f->singular[h * HW + (unsigned int)i] - s[i]) < 1e-5 * s[0]);
	for (i = 1; i < HW; i++)
		rest += s[i] * s[i];
	for (j = 0; j < D; j++) {
		norm += entry(f, f->heads + h, j) * entry(f, f->heads + h, j);
		for (i = 0; i < D; i++) {
			double d = a[i + j * D] - entry(f, h, i) * entry(f, f->heads + h, j);

			left += d * d;
		}
	}
	assert_true(fabs(norm - 1) < 1e-5);
	assert_true(fabs(left - rest) < 1e-5 * (rest + s[0] * s[0]));
}

static void test_fusion(void **state)
{
	const float *w[4];
	struct damf_fused f;
	struct damf_error err;
	unsigned int h;

	(void)state;
	w[0] = tiny_get(&tiny, "attention.self.query.weight", 1);
	w[1] = tiny_get(&tiny, "attention.self.query.bias", 1);
	w[2] = tiny_get(&tiny, "attention.self.key.weight", 1);
	w[3] = tiny_get(&tiny, "attention.self.key.bias", 1);
	assert_int_equal(damf_fuse(w[0], w[1], w[2], w[3], 4, 48, &f, &err), 0);
	for (h = 0; h < 4; h++)
		check_head(&f, h, w);
	damf_fused_free(&f);
}

/* A head of zeros, and one whose columns depend on each other. */
static void test_fusion_singular(void **state)
{
	float w[16 * 16] = { 0 }, b[16] = { 0 };
	struct damf_fused f;
	struct damf_error err;
	unsigned int i;

	(void)state;
	for (i = 0; i < 8 * 16; i++)	/* the first of two heads: equal rows */
		w[i] = (float)(i % 16) - 4;
	assert_int_equal(damf_fuse(w, b, w, b, 2, 16, &f, &err), 0);
	assert_true(f.singular[0] > 1 && f.singular[1] < 1e-3f * f.singular[0]);
	for (i = 0; i < 8; i++)
		assert_true(f.singular[8 + i] == 0);
	for (i = 0; i < 4 * 16; i++)
		assert_true(isfinite(f.weight[i]));
	damf_fused_free(&f);
}

/* ---- Conversion ----------------------------------------------------------------------- */

static void open_converted(const char *dir, enum damf_attention attention, struct damf_model **m)
{
	struct damf_model_options opt = { .size = sizeof(opt), .attention = attention };
	struct damf_error err;

	if (damf_model_open(dir, &opt, m, &err))
		fail_msg("%s", err.text);
}

static void test_convert(void **state)
{
	struct damf_model *fly = open_model(DAMF_ATTENTION_FOLD), *exact = open_model(DAMF_ATTENTION_MHSA);
	struct damf_model_info info = { .size = sizeof(info) };
	struct damf_convert_layer *layers;
	struct damf_model *m;
	struct damf_error err;
	char to[128];
	size_t n;

	(void)state;
	snprintf(to, sizeof(to), "%s/new", fix_dir());
	assert_int_equal(damf_convert(fix_dir(), to, &layers, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_true(layers[0].share_min > 0 && layers[0].share_min <= layers[0].share_mean &&
		    layers[0].share_mean <= layers[0].share_max && layers[0].share_max <= 1);
	damf_convert_free(layers);
	open_converted(to, DAMF_ATTENTION_AUTO, &m);
	damf_model_get_info(m, &info);
	assert_string_equal(info.attention, "fold");
	assert_int_equal(info.trained, 0);
	assert_non_null(strstr(damf_model_warning(m, 0), "accuracy"));
	assert_int_equal(m->arena_size, fly->arena_size);
	assert_memory_equal(m->arena, fly->arena, m->arena_size);
	damf_model_unref(m);
	open_converted(to, DAMF_ATTENTION_MHSA, &m);
	assert_memory_equal(m->arena, exact->arena, m->arena_size);
	assert_null(damf_model_warning(m, 0));
	damf_model_unref(m);
	assert_int_equal(damf_convert(fix_dir(), to, NULL, NULL, &err), -EEXIST);
	assert_int_equal(damf_convert(to, "/tmp", NULL, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "already"));
	assert_true(damf_convert(fix_dir(), "/nowhere/at/all", NULL, NULL, &err) < 0);
	assert_non_null(damf_model_warning(fly, 0));
	damf_model_unref(fly);
	damf_model_unref(exact);
}

static void test_classifier(void **state)
{
	struct damf_model_info info = { .size = sizeof(info) };
	struct damf_model *m;
	struct tiny with;

	(void)state;
	tiny_make(&with, 3, 7);
	with.prefix = true;
	tiny_write(&with);
	tiny_free(&with);
	m = open_model(DAMF_ATTENTION_AUTO);
	damf_model_get_info(m, &info);
	assert_int_equal(info.labels, 3);
	assert_string_equal(damf_model_label(m, 2), "label c");
	assert_null(damf_model_label(m, 3));
	damf_model_unref(m);
	tiny_write(&tiny);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config), cmocka_unit_test(test_no_directory),
		cmocka_unit_test(test_shapes), cmocka_unit_test(test_spellings),
		cmocka_unit_test(test_shards), cmocka_unit_test(test_pooling),
		cmocka_unit_test(test_max_length), cmocka_unit_test(test_fusion),
		cmocka_unit_test(test_fusion_singular), cmocka_unit_test(test_convert),
		cmocka_unit_test(test_classifier),
	};

	return cmocka_run_group_tests_name("model", tests, setup, teardown);
}
