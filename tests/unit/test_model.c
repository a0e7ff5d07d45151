// SPDX-License-Identifier: MIT
/* Model directories: what is read, what is refused and in which words. */
#include <errno.h>
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
		assert_int_equal(m->blocks[DAMF_OWN].size, first->blocks[DAMF_OWN].size);
		assert_memory_equal(m->blocks[DAMF_OWN].base, first->blocks[DAMF_OWN].base,
				    m->blocks[DAMF_OWN].size);
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
		cmocka_unit_test(test_max_length), cmocka_unit_test(test_classifier),
	};

	return cmocka_run_group_tests_name("model", tests, tiny_setup, tiny_teardown);
}
