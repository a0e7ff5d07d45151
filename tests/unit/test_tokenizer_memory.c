// SPDX-License-Identifier: MIT
/*
 * The tokenizer's allocations: none in a warm call, and any of them may fail.
 * The program is linked with --wrap, so the library calls the functions here.
 */
#include "tokenizer_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static long allocations;
static long fail_at = -1;	/* which of them fails, -1: none */

static int fails(void)
{
	return allocations++ == fail_at;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

static const char vocab[] = "[UNK]\n[CLS]\n[SEP]\na\n##b\n";

static const char tokenizer_json[] =
	"{\"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true,"
	" \"handle_chinese_chars\": true, \"strip_accents\": null, \"lowercase\": true},"
	" \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"},"
	" \"post_processor\": {\"type\": \"BertProcessing\", \"sep\": [\"[SEP]\", 2],"
	" \"cls\": [\"[CLS]\", 1]}, \"added_tokens\": ["
	"{\"id\": 2, \"content\": \"[SEP]\", \"special\": true},"
	"{\"id\": 4, \"content\": \"<x>\"}], \"model\": {\"type\": \"WordPiece\","
	"\"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\","
	"\"max_input_chars_per_word\": 100,"
	"\"vocab\": {\"[UNK]\": 0, \"[CLS]\": 1, \"[SEP]\": 2, \"a\": 3}}}";

/* Long, with marks that have to wait, for every array to grow. */
static char text[8192];
static size_t text_len;

static int set_up(void **state)
{
	(void)state;
	while (text_len + 16 < sizeof(text))
		text_len += (size_t)sprintf(text + text_len, "ab [SEP]\341\255\204\340\274\271");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_remove();
	return 0;
}

static void test_warm_call(void **state)
{
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	struct damf_tokenizer *t;
	long before = 0, n;
	int i;

	(void)state;
	fixture_write_text("vocab.txt", vocab);
	t = fixture_from_vocab(fixture_path("vocab.txt"), NULL);
	for (i = 0; i < 10; i++) {
		if (i == 1)
			before = allocations;
		n = damf_tokenizer_encode_pair(t, s, text, text_len, text, text_len, 1, 0, NULL,
					       NULL, 0, NULL);
		assert_true(n > 1000);
		n = damf_tokenizer_encode(t, s, text, text_len, 0, 128, NULL, 0, NULL);
		assert_int_equal(n, 128);
	}
	assert_int_equal(allocations, before);
	damf_tok_scratch_free(s);
	damf_tokenizer_free(t);
}

static void test_failing_encode(void **state)
{
	struct damf_tok_scratch *s;
	struct damf_tokenizer *t;
	long ret = -ENOMEM, n = 0;

	(void)state;
	fixture_write_text("vocab.txt", vocab);
	t = fixture_from_vocab(fixture_path("vocab.txt"), NULL);
	for (; ret == -ENOMEM; n++) {
		allocations = 0;
		fail_at = n;
		s = damf_tok_scratch_new();
		if (s)
			ret = damf_tokenizer_encode(t, s, text, text_len, 1, 0, NULL, 0, NULL);
		fail_at = -1;
		damf_tok_scratch_free(s);
	}
	assert_true(n > 5);
	assert_true(ret > 1000);
	damf_tokenizer_free(t);
}

/* Every allocation fails once: an error, a message, and nothing left behind. */
static void check_failing_open(void)
{
	struct damf_tokenizer *t;
	int ret = -ENOMEM;
	char err[256];
	long n;

	for (n = 0; ret; n++) {
		allocations = 0;
		fail_at = n;
		ret = damf_tokenizer_open(fixture_dir(), &t, err, sizeof(err));
		fail_at = -1;
		if (!ret)
			break;
		assert_int_equal(ret, -ENOMEM);
		assert_null(t);
		assert_non_null(strstr(err, "memory"));
	}
	assert_true(n > 15);
	damf_tokenizer_free(t);
}

static void test_failing_open(void **state)
{
	(void)state;
	fixture_write_text("vocab.txt", vocab);
	fixture_write_text("tokenizer_config.json", "{\"do_lower_case\": true}");
	check_failing_open();
	fixture_write_text("tokenizer.json", tokenizer_json);
	check_failing_open();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_warm_call),
		cmocka_unit_test(test_failing_encode),
		cmocka_unit_test(test_failing_open),
	};

	return cmocka_run_group_tests_name("tokenizer memory", tests, set_up, tear_down);
}
