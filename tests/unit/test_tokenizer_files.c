// SPDX-License-Identifier: MIT
/* The files a tokenizer is loaded from: what they say, and what is wrong with them. */
#include "tokenizer_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_JSON 8192

static const char vocab_txt[] =
	"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\nA\nb\n\303\251\ne\n";

static const char tokenizer_json[] =
	"{\"version\": \"1.0\", \"truncation\": {\"direction\": \"Right\", \"max_length\": 77,"
	" \"strategy\": \"LongestFirst\", \"stride\": 0}, \"padding\": null,"
	" \"added_tokens\": ["
	"{\"id\": 2, \"content\": \"[CLS]\", \"single_word\": false, \"lstrip\": false,"
	" \"rstrip\": false, \"normalized\": false, \"special\": true},"
	"{\"id\": 9, \"content\": \"<x>\", \"single_word\": false, \"lstrip\": false,"
	" \"rstrip\": false, \"normalized\": true, \"special\": false}],"
	" \"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true,"
	" \"handle_chinese_chars\": true, \"strip_accents\": null, \"lowercase\": true},"
	" \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"},"
	" \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": ["
	"{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}},"
	"{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}},"
	"{\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}}], \"pair\": ["
	"{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}},"
	"{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}},"
	"{\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}},"
	"{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}},"
	"{\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 1}}], \"special_tokens\": {"
	"\"[CLS]\": {\"id\": \"[CLS]\", \"ids\": [2], \"tokens\": [\"[CLS]\"]},"
	"\"[SEP]\": {\"id\": \"[SEP]\", \"ids\": [3], \"tokens\": [\"[SEP]\"]}}},"
	" \"decoder\": null,"
	" \"model\": {\"type\": \"WordPiece\", \"unk_token\": \"[UNK]\","
	" \"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": 100,"
	" \"vocab\": {\"[PAD]\": 0, \"[UNK]\": 1, \"[CLS]\": 2, \"[SEP]\": 3, \"a\": 4,"
	" \"##b\": 5, \"A\": 6, \"b\": 7, \"e\": 8}}}";

/* Write tokenizer.json with one piece of it replaced. */
static void write_json(const char *from, const char *to)
{
	char text[MAX_JSON];
	const char *at = strstr(tokenizer_json, from);

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - tokenizer_json), tokenizer_json, to,
		 at + strlen(from));
	fixture_write_text("tokenizer.json", text);
}

static int tear_down(void **state)
{
	(void)state;
	fixture_remove();
	return 0;
}

/* Opening must fail with @code, and say @word in one line. */
static void expect_error(int code, const char *word)
{
	struct damf_tokenizer *t = (void *)1;
	char err[300];
	int ret = damf_tokenizer_open(fixture_dir(), &t, err, sizeof(err));

	assert_null(t);
	if (ret != code || !strstr(err, word) || strchr(err, '\n'))
		fail_msg("expected %d and '%s', got %d and '%s'", code, word, ret, err);
}

static void expect_ids(struct damf_tokenizer *t, const char *text, int special, size_t n, ...)
{
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	int32_t ids[32];
	va_list ap;
	size_t i;

	assert_int_equal(damf_tokenizer_encode(t, s, text, strlen(text), special, 0, ids, 32,
					       NULL), n);
	va_start(ap, n);
	for (i = 0; i < n; i++)
		assert_int_equal(ids[i], va_arg(ap, int));
	va_end(ap);
	damf_tok_scratch_free(s);
}

static void test_json(void **state)
{
	struct damf_tokenizer *t;

	(void)state;
	write_json("{", "{");
	t = fixture_open(fixture_dir());
	assert_int_equal(damf_tokenizer_vocab_size(t), 10);
	assert_int_equal(damf_tokenizer_default_max_length(t), 77);
	assert_string_equal(damf_tokenizer_token(t, 5), "##b");
	assert_string_equal(damf_tokenizer_token(t, 9), "<x>");
	assert_non_null(strstr(damf_tokenizer_describe(t), "tokenizer.json"));
	expect_ids(t, "AB ab [CLS]<X>\303\251[SEP]", 1, 12,
		   2, 4, 5, 4, 5, 2, 9, 8, 1, 1, 1, 3);
	expect_ids(t, "[CLS]<x>", 0, 6, 2, 1, 1, 1, 9, 3);
	damf_tokenizer_free(t);
}

/* What a file may say in other words. */
static void test_json_variants(void **state)
{
	static const char template[] = "\"post_processor\": {\"type\": \"TemplateProcessing\",";
	struct damf_tokenizer *t;

	(void)state;
	write_json(template, "\"post_processor\": {\"type\": \"BertProcessing\","
		   " \"sep\": [\"[SEP]\", 3], \"cls\": [\"[CLS]\", 2],");
	t = fixture_open(fixture_dir());
	expect_ids(t, "ab", 1, 4, 2, 4, 5, 3);
	damf_tokenizer_free(t);

	write_json("\"type\": \"WordPiece\", ", "");	/* as in old files */
	t = fixture_open(fixture_dir());
	expect_ids(t, "ab", 1, 4, 2, 4, 5, 3);
	damf_tokenizer_free(t);

	write_json("\"a\": 4", "\"\\u0061\": 4");
	t = fixture_open(fixture_dir());
	expect_ids(t, "ab", 1, 4, 2, 4, 5, 3);
	damf_tokenizer_free(t);

	write_json("\"strip_accents\": null, \"lowercase\": true",
		   "\"strip_accents\": null, \"lowercase\": false");
	t = fixture_open(fixture_dir());
	expect_ids(t, "Ab e\314\201", 1, 5, 2, 6, 5, 1, 3);
	damf_tokenizer_free(t);

	write_json("\"truncation\": {", "\"unused\": {");
	fixture_write_text("tokenizer_config.json", "{\"model_max_length\": 512}");
	t = fixture_open(fixture_dir());
	assert_int_equal(damf_tokenizer_default_max_length(t), 512);
	assert_null(strstr(damf_tokenizer_describe(t), "not followed"));
	damf_tokenizer_free(t);

	/* tokenizer.json is followed, but the contradiction isn't kept quiet. */
	fixture_write_text("tokenizer_config.json", "{\"do_lower_case\": false}");
	t = fixture_open(fixture_dir());
	assert_non_null(strstr(damf_tokenizer_describe(t), "another do_lower_case"));
	expect_ids(t, "AB", 1, 4, 2, 4, 5, 3);
	damf_tokenizer_free(t);
	fixture_write_text("tokenizer_config.json", NULL);
}

static void test_bad_json(void **state)
{
	static const struct {
		const char *from, *to, *word;
	} cases[] = {
		{ "BertNormalizer", "NFKC", "normalizer 'NFKC'" },
		{ "\"clean_text\": true", "\"clean_text\": 1", "'clean_text'" },
		{ "\"lowercase\": true", "\"upper\": true", "'lowercase'" },
		{ "BertPreTokenizer", "Whitespace", "pre_tokenizer 'Whitespace'" },
		{ "{\"type\": \"BertPreTokenizer\"}", "null", "pre_tokenizer 'none'" },
		{ "WordPiece", "Unigram", "model 'Unigram'" },
		{ "\"type\": \"WordPiece\"", "\"merges\": []", "model" },
		{ "\"unk_token\": \"[UNK]\"", "\"unk_token\": \"<unk>\"", "'<unk>'" },
		{ "\"unk_token\"", "\"unknown\"", "'unk_token'" },
		{ "\"max_input_chars_per_word\": 100", "\"max_input_chars_per_word\": 0",
		  "'max_input_chars_per_word'" },
		{ "\"max_input_chars_per_word\": 100", "\"max_input_chars_per_word\": 1e3",
		  "'max_input_chars_per_word'" },
		{ "\"vocab\": {", "\"vocab\": [], \"v\": {", "'vocab'" },
		{ "\"a\": 4", "\"a\": -4", "'a'" },
		{ "\"a\": 4", "\"a\": 16777216", "'a'" },
		{ "\"a\": 4", "\"a\": \"4\"", "'a'" },
		{ "\"a\": 4", "\"a\": 99999999999999999999", "JSON" },
		{ "\"a\": 4", "\"a\": 4, \"a\": 4", "duplicate" },
		{ "\"a\": 4", "\"a\\u0000\": 4", "JSON" },
		{ "\"a\": 4", "\"\\ud800\": 4", "JSON" },
		/* The line is that of the whole file, vocabulary included. */
		{ "\"A\": 6, \"b\": 7, \"e\": 8}}}", "\n\n\"A\": 6, \"b\": 7, \"e\": 8}}", "line 3" },
		{ "\"id\": 9", "\"id\": 8", "'<x>' has id 8" },
		{ "\"id\": 2", "\"id\": 3", "'[CLS]' has id 3" },
		{ "\"id\": 9", "\"ID\": 9", "'id'" },
		{ "\"content\": \"<x>\"", "\"content\": \"\"", "empty" },
		{ "\"content\": \"<x>\"", "\"content\": \"\\u0301\"", "leaves nothing" },
		{ "\"id\": 9, \"content\": \"<x>\"", "\"id\": 2, \"content\": \"[CLS]\"", "twice" },
		{ "{\"id\": 9, \"content\": \"<x>\",", "{\"id\": 9, \"content\": \"<X>\"},"
		  "{\"id\": 10, \"content\": \"<x>\",", "once normalised" },
		{ "\"added_tokens\": [", "\"added_tokens\": {}, \"x\": [", "'added_tokens'" },
		{ "\"added_tokens\": [", "\"added_tokens\": [1,", "'id'" },
		{ "TemplateProcessing", "RobertaProcessing", "post_processor 'RobertaProcessing'" },
		{ "\"post_processor\"", "\"post\"", "post_processor 'none'" },
		{ "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}},", "", "[CLS] A [SEP]" },
		{ "\"B\", \"type_id\": 1", "\"B\", \"type_id\": 0", "[CLS] A [SEP]" },
		{ "\"ids\": [2]", "\"ids\": [2, 3]", "'[CLS]'" },
		{ "\"ids\": [2]", "\"ids\": [10]", "'[CLS]'" },
		{ "\"Right\"", "\"Left\"", "'Left'" },
		{ "\"max_length\": 77", "\"max_length\": -1", "'max_length'" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		write_json(cases[i].from, cases[i].to);
		expect_error(-EINVAL, cases[i].word);
	}
}

/* A file that ends anywhere is in error, never a crash or half a tokenizer. */
static void test_truncated_json(void **state)
{
	size_t len;

	(void)state;
	for (len = 0; len < strlen(tokenizer_json); len += 7) {
		fixture_write("tokenizer.json", tokenizer_json, len);
		expect_error(-EINVAL, "JSON");
	}
	fixture_write_text("tokenizer.json", "[]");
	expect_error(-EINVAL, "object");
	fixture_write_text("tokenizer.json", NULL);
}

/* A name with control characters must not break the one line of the error. */
static void test_error_is_one_line(void **state)
{
	struct damf_tokenizer *t;
	char err[20];

	(void)state;
	write_json("BertNormalizer", "A\\nB\\u0007");
	expect_error(-EINVAL, "A?B?");
	memset(err, 'x', sizeof(err));
	assert_int_equal(damf_tokenizer_open(fixture_dir(), &t, err, 10), -EINVAL);
	assert_int_equal(strlen(err), 9);
	assert_int_equal(err[10], 'x');
	assert_int_equal(damf_tokenizer_open(fixture_dir(), &t, NULL, 0), -EINVAL);
	fixture_write_text("tokenizer.json", NULL);
}

static void test_vocab(void **state)
{
	struct damf_tokenizer *t;

	(void)state;
	fixture_write_text("vocab.txt", vocab_txt);
	t = fixture_open(fixture_dir());
	assert_int_equal(damf_tokenizer_vocab_size(t), 11);
	assert_int_equal(damf_tokenizer_default_max_length(t), 0);
	expect_ids(t, "AB \303\251 [MASK] [mask]", 1, 9, 2, 5, 6, 10, 4, 1, 1, 1, 3);
	damf_tokenizer_free(t);
}

static void test_vocab_config(void **state)
{
	struct damf_tokenizer *t;

	(void)state;
	fixture_write_text("vocab.txt", vocab_txt);
	fixture_write_text("tokenizer_config.json",
			   "{\"do_lower_case\": false, \"tokenizer_class\": \"BertTokenizerFast\","
			   " \"model_max_length\": 1000000000000000019884624838656,"
			   " \"mask_token\": {\"content\": \"A\"}, \"pad_token\": null}");
	t = fixture_open(fixture_dir());
	assert_int_equal(damf_tokenizer_default_max_length(t), 0);
	/* Case and accents are kept; A is special, hence found inside a word. */
	expect_ids(t, "aA \303\251 e\314\201", 1, 6, 2, 5, 7, 9, 1, 3);
	damf_tokenizer_free(t);

	fixture_write_text("tokenizer_config.json",
			   "{\"do_lower_case\": true, \"strip_accents\": false,"
			   " \"model_max_length\": 512, \"added_tokens_decoder\": {"
			   "\"11\": {\"content\": \"<new>\", \"special\": false}}}");
	t = fixture_open(fixture_dir());
	assert_int_equal(damf_tokenizer_default_max_length(t), 512);
	assert_int_equal(damf_tokenizer_vocab_size(t), 12);
	expect_ids(t, "A\303\211 \303\211 a<NEW>[SEP]", 1, 7, 2, 1, 9, 5, 11, 3, 3);
	damf_tokenizer_free(t);
	fixture_write_text("tokenizer_config.json", NULL);
}

static void test_bad_config(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{ "{\"do_lower_case\": \"yes\"}", "'do_lower_case'" },
		{ "{\"tokenizer_class\": \"BertJapaneseTokenizer\"}", "'BertJapaneseTokenizer'" },
		{ "{\"tokenizer_class\": 1}", "tokenizer_class" },
		{ "{\"model_max_length\": \"512\"}", "'model_max_length'" },
		{ "{\"model_max_length\": 0}", "'model_max_length'" },
		{ "{\"truncation_side\": \"left\"}", "'left'" },
		{ "{\"cls_token\": \"<s>\"}", "'<s>'" },
		{ "{\"sep_token\": [1]}", "'sep_token'" },
		{ "{\"added_tokens_decoder\": {\"x\": {\"content\": \"y\"}}}", "'x'" },
		{ "{\"added_tokens_decoder\": {\"9\": {\"content\": \"y\"}}}", "'y' has id 9" },
		{ "{", "JSON" },
	};
	size_t i;

	(void)state;
	fixture_write_text("vocab.txt", vocab_txt);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		fixture_write_text("tokenizer_config.json", cases[i].text);
		expect_error(-EINVAL, cases[i].word);
	}
	fixture_write_text("tokenizer_config.json", NULL);
}

/* Lines are ids, blank ones too; white space at their end is no part; the last double counts. */
static void test_vocab_lines(void **state)
{
	struct damf_tokenizer *t;

	(void)state;
	fixture_write_text("vocab.txt", "[UNK]\r\n\n[CLS] \t\na\n[SEP]\342\200\250\n\na\n##a");
	t = fixture_open(fixture_dir());
	assert_int_equal(damf_tokenizer_vocab_size(t), 8);
	assert_null(damf_tokenizer_token(t, 3));
	assert_string_equal(damf_tokenizer_token(t, 7), "##a");
	expect_ids(t, "aa b", 1, 5, 2, 6, 7, 0, 4);
	damf_tokenizer_free(t);
}

static void test_bad_vocab(void **state)
{
	(void)state;
	fixture_write_text("vocab.txt", "[UNK]\n[CLS]\na\n");
	expect_error(-EINVAL, "[SEP]");
	fixture_write_text("vocab.txt", "");
	expect_error(-EINVAL, "[UNK]");
	fixture_write_text("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n\xff\n");
	expect_error(-EINVAL, "byte 18");
	fixture_write("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\0b\n", 22);
	expect_error(-EINVAL, "line 4");
}

static void test_word_length(void **state)
{
	struct damf_tokenizer_opts o = DAMF_TOKENIZER_OPTS_INIT;
	struct damf_tokenizer *t;

	(void)state;
	fixture_write_text("vocab.txt", vocab_txt);
	o.max_chars_per_word = 3;
	t = fixture_from_vocab(fixture_path("vocab.txt"), &o);
	expect_ids(t, "abb abbb", 1, 6, 2, 5, 6, 6, 1, 3);
	damf_tokenizer_free(t);
}

static void test_no_files(void **state)
{
	struct damf_tokenizer *t;
	char err[256];

	(void)state;
	fixture_write_text("tokenizer.json", NULL);
	fixture_write_text("vocab.txt", NULL);
	expect_error(-ENOENT, "neither tokenizer.json nor vocab.txt");
	assert_int_equal(damf_tokenizer_open("/nonexistent", &t, err, sizeof(err)), -ENOENT);
	assert_non_null(strstr(err, "/nonexistent"));
	assert_int_equal(damf_tokenizer_open("/dev/null", &t, err, sizeof(err)), -ENOTDIR);
	assert_int_equal(damf_tokenizer_from_vocab("/nonexistent", NULL, &t, err, sizeof(err)),
			 -ENOENT);
	assert_int_equal(damf_tokenizer_from_vocab("/dev/null", NULL, &t, err, sizeof(err)),
			 -EINVAL);
	assert_non_null(strstr(err, "regular file"));
	/* A FIFO without a writer must not hang. */
	assert_int_equal(mkfifo(fixture_path("tokenizer.json"), 0600), 0);
	expect_error(-EINVAL, "regular file");
	fixture_write_text("tokenizer.json", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_variants),
		cmocka_unit_test(test_bad_json),
		cmocka_unit_test(test_truncated_json),
		cmocka_unit_test(test_error_is_one_line),
		cmocka_unit_test(test_vocab),
		cmocka_unit_test(test_vocab_config),
		cmocka_unit_test(test_bad_config),
		cmocka_unit_test(test_vocab_lines),
		cmocka_unit_test(test_bad_vocab),
		cmocka_unit_test(test_word_length),
		cmocka_unit_test(test_no_files),
	};

	return cmocka_run_group_tests_name("tokenizer files", tests, NULL, tear_down);
}
