// SPDX-License-Identifier: MIT
/* Model directories that are made to do harm, or that contradict themselves. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model_fixture.h"

static void refused(int code, const char *words)
{
	struct damf_model *m;
	struct damf_error err;
	int r = damf_model_open(fix_dir(), NULL, &m, &err);

	assert_null(m);
	if (r != code || !strstr(err.text, words))
		fail_msg("%d (%s), not %d with \"%s\"", r, r ? err.text : "opened", code, words);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1	/* which takes more address space than a limit leaves */
#else
#define SANITIZED 0
#endif

/*
 * A table of 2^32 elements, in a file with a hole. Where its size is computed
 * in 32 bits it gets no memory, and its data are read over the process.
 */
static void test_table_of_16_gib(void **state)
{
	static const char config[] = "{\"model_type\":\"bert\",\"num_hidden_layers\":1,"
		"\"hidden_size\":16384,\"num_attention_heads\":16,\"intermediate_size\":16,"
		"\"vocab_size\":262144,\"max_position_embeddings\":8,\"type_vocab_size\":2}";
	static const char header[] = "{\"embeddings.word_embeddings.weight\":{\"dtype\":\"F32\","
		"\"shape\":[262144,16384],\"data_offsets\":[0,17179869184]}}";
	const struct rlimit limit = { 2ul << 30, 2ul << 30 };
	struct damf_model *m;
	struct damf_error err;
	unsigned int mib;
	int status, r;
	pid_t child;

	(void)state;
	if (SANITIZED)
		skip();
	fix_text("config.json", config);
	fix_safetensors("model.safetensors", header, 0);
	if (truncate(fix_path("model.safetensors"), 8 + sizeof(header) - 1 + (16ll << 30)))
		skip();		/* no such large files here */
	child = fork();
	if (!child) {
		setrlimit(RLIMIT_AS, &limit);
		r = damf_model_open(fix_dir(), NULL, &m, &err);
		_exit(r != -ENOMEM ||
		      sscanf(err.text, "no memory for a model of %u MiB", &mib) != 1 ||
		      mib < 16384);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	tiny_write(&tiny);
}

#define OLD "sentence_transformers.models."
#define MODULE(path, type) "{\"idx\":0,\"name\":\"x\",\"path\":\"" path "\",\"type\":\"" type "\"}"
#define MODULES(normalize) "[" MODULE("", OLD "Transformer") "," \
	MODULE("1_Pooling", OLD "Pooling") "," MODULE(normalize, OLD "Normalize") "]"

static void link_to_nowhere(const char *name)
{
	fix_remove(name);
	assert_int_equal(symlink("/nowhere/at/all", fix_path(name)), 0);
}

/* A file that is there but can't be read is not one that isn't there: the
 * default in its place gives plausible, wrong numbers. */
static void test_links_to_nowhere(void **state)
{
	static const char *const names[] = {
		"modules.json", "sentence_bert_config.json", "tokenizer.json",
		"tokenizer_config.json", "config_sentence_transformers.json",
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(names); i++) {
		link_to_nowhere(names[i]);
		refused(-ENOENT, names[i]);
		fix_remove(names[i]);
	}
	link_to_nowhere("model.safetensors");
	refused(-ENOENT, "model.safetensors");
	tiny_write(&tiny);
}

/* A path that leads out of the directory, which a conversion would follow. */
static void test_module_paths(void **state)
{
	char out[128], to[128];
	struct damf_error err;

	(void)state;
	snprintf(out, sizeof(out), "%s/outside", fix_dir());
	snprintf(to, sizeof(to), "%s/to", fix_dir());
	fix_text("1_Pooling/config.json", "{\"pooling_mode\":\"mean\"}");
	fix_text("modules.json", MODULES("../outside"));
	assert_int_equal(damf_convert(fix_dir(), to, NULL, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "proper path"));
	assert_int_equal(access(out, F_OK), -1);
	fix_text("modules.json", MODULES("/outside"));
	refused(-EINVAL, "proper path");
	fix_text("modules.json", MODULES(""));
	assert_int_equal(damf_convert(fix_dir(), to, NULL, NULL, &err), 0);
	fix_remove("modules.json");
}

/* Both schemas of pooling in one file: Sentence Transformers goes by the new one. */
static void test_both_schemas(void **state)
{
	struct damf_model_info info = { .size = sizeof(info) };
	struct damf_model *m;
	struct damf_error err;

	(void)state;
	fix_text("modules.json", MODULES("2_Normalize"));
	fix_text("1_Pooling/config.json", "{\"pooling_mode\":\"cls\","
		 "\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}");
	assert_int_equal(damf_model_open(fix_dir(), NULL, &m, &err), 0);
	damf_model_get_info(m, &info);
	assert_string_equal(info.pooling, "cls");
	damf_model_unref(m);
	fix_text("1_Pooling/config.json", "{\"pooling_mode\":[\"cls\"]}");
	assert_int_equal(damf_model_open(fix_dir(), NULL, &m, &err), 0);
	damf_model_unref(m);
	fix_text("1_Pooling/config.json", "{\"pooling_mode\":[\"cls\",\"mean\"]}");
	refused(-EINVAL, "several poolings");
	fix_text("1_Pooling/config.json", "{\"pooling_mode\":[\"max\"]}");
	refused(-EINVAL, "pooling \"max\"");
	fix_remove("modules.json");
	fix_text("sentence_bert_config.json", "[256]");
	refused(-EINVAL, "not a JSON object");
	fix_remove("sentence_bert_config.json");
}

static void test_prompt(void **state)
{
	static const char name[] = "config_sentence_transformers.json";
	struct damf_model *m;
	struct damf_error err;

	(void)state;
	fix_text(name, "{\"prompts\":{\"query\":\"query: \"},\"default_prompt_name\":null}");
	assert_int_equal(damf_model_open(fix_dir(), NULL, &m, &err), 0);
	assert_null(damf_model_warning(m, 0));
	damf_model_unref(m);
	fix_text(name, "{\"prompts\":{\"query\":\"query: \"},\"default_prompt_name\":\"query\"}");
	assert_int_equal(damf_model_open(fix_dir(), NULL, &m, &err), 0);
	assert_non_null(strstr(damf_model_warning(m, 0), "prompt"));
	damf_model_unref(m);
	fix_remove(name);
}

/* The same tensor in two shards, one of which the index doesn't name. */
static void test_repeated_tensor(void **state)
{
	static const char header[] = "{\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
		"\"y%d\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}";
	char text[256];
	int i;

	(void)state;
	fix_remove("model.safetensors");
	for (i = 1; i <= 2; i++) {
		char name[] = "model-0.safetensors";

		name[6] = (char)('0' + i);
		snprintf(text, sizeof(text), header, i);
		fix_safetensors(name, text, 8);
	}
	fix_text("model.safetensors.index.json", "{\"weight_map\":{\"y1\":\"model-1.safetensors\","
		 "\"y2\":\"model-2.safetensors\"}}");
	refused(-EINVAL, "tensor \"x\" is in ");
	tiny_write(&tiny);
}

/* What a name in a file holds doesn't get to a terminal, nor on a second line. */
static void test_one_line(void **state)
{
	(void)state;
	fix_safetensors("model.safetensors", "{\"a\\nb\\u001b[2Jc\":{\"dtype\":\"F99\"}}", 0);
	refused(-EINVAL, "\"a?b?[2Jc\"");
	tiny_write(&tiny);
}

/* A target that holds a model, whatever its form, is left as it is. */
static void test_convert_target(void **state)
{
	static const char *const names[] = {
		"full/config.json", "full/model.safetensors", "full/model.safetensors.index.json",
	};
	char to[128];
	struct damf_error err;
	size_t i;

	(void)state;
	snprintf(to, sizeof(to), "%s/full", fix_dir());
	for (i = 0; i < COUNT(names); i++) {
		fix_text(names[i], "mine");
		assert_int_equal(damf_convert(fix_dir(), to, NULL, NULL, &err), -EEXIST);
		fix_remove(names[i]);
	}
	/* sharded, so that nothing of the target has the name of the result */
	tiny.shards = true;
	tiny_write(&tiny);
	assert_int_equal(damf_convert(fix_dir(), fix_dir(), NULL, NULL, &err), -EEXIST);
	assert_int_equal(access(fix_path("model.safetensors"), F_OK), -1);
	tiny.shards = false;
	tiny_write(&tiny);
}

/* What can't be opened is not converted, and leaves nothing behind. */
static void test_convert_broken(void **state)
{
	static const char name[] = "encoder.layer.1.output.dense.weight";
	struct damf_error err;
	char to[128];
	size_t i;
	float old;

	(void)state;
	snprintf(to, sizeof(to), "%s/broken", fix_dir());
	for (i = 0; strcmp(tiny.tensors[i].name, name); i++)
		;
	old = tiny.tensors[i].data[7];
	tiny.tensors[i].data[7] = INFINITY;
	tiny_write(&tiny);
	tiny.tensors[i].data[7] = old;
	assert_int_equal(damf_convert(fix_dir(), to, NULL, NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, name));
	assert_int_equal(access(to, F_OK), -1);
	tiny_write(&tiny);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_of_16_gib), cmocka_unit_test(test_links_to_nowhere),
		cmocka_unit_test(test_module_paths), cmocka_unit_test(test_both_schemas),
		cmocka_unit_test(test_prompt), cmocka_unit_test(test_repeated_tensor),
		cmocka_unit_test(test_one_line), cmocka_unit_test(test_convert_target),
		cmocka_unit_test(test_convert_broken),
	};

	return cmocka_run_group_tests_name("hostile models", tests, tiny_setup, tiny_teardown);
}
