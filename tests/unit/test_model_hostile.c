// SPDX-License-Identifier: MIT
/* Model directories that are made to do harm, or that contradict themselves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_of_16_gib),
	};

	return cmocka_run_group_tests_name("hostile models", tests, setup, teardown);
}
