// SPDX-License-Identifier: MIT
/*
 * Ids of the tokenizer. The expected ones are Hugging Face's, produced by
 * gen_tokenizer_data.py.
 */
#include "tokenizer_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_IDS 1024
#define N_BLOCKS 0x1100

struct tok_blocks {
	uint32_t first;	/* block; the hash holds up to the next entry */
	uint32_t hash;
};

struct tok_setting {
	int lower, strip, cjk;
	const struct tok_blocks *blocks;
	size_t n_blocks;
};

struct tok_case {
	const char *a;
	size_t len_a;
	const char *b;	/* NULL: no pair */
	size_t len_b;
	int special;
	size_t max_length, n_full, n, second;	/* second: first id of type 1 */
	const int32_t *ids;
};

#include "tokenizer_data.h"

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 63));
	out[2] = (char)(0x80 | (c >> 6 & 63));
	out[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* The made vocabulary: special tokens, nearly every character alone and inside, some words. */
static void write_vocabulary(void)
{
	size_t max = 8 << 20, len = 0, i, k;
	char *data = malloc(max);
	uint32_t c;

	assert_non_null(data);
	for (i = 0; i < ARRAY_SIZE(tok_special); i++)
		len += (size_t)sprintf(data + len, "%s\n", tok_special[i]);
	for (i = 0; i < ARRAY_SIZE(tok_ranges); i++) {
		for (c = tok_ranges[i][0]; c <= tok_ranges[i][1]; c++) {
			assert_true(len + 64 < max);
			k = put_utf8(data + len, c);
			len += k;
			memcpy(data + len, "\n##", 3);
			memcpy(data + len + 3, data + len - k, k);
			len += k + 3;
			data[len++] = '\n';
		}
	}
	for (i = 0; i < ARRAY_SIZE(tok_words); i++)
		len += (size_t)sprintf(data + len, "%s\n", tok_words[i]);
	fixture_write("vocab.txt", data, len);
	free(data);
}

static int set_up(void **state)
{
	(void)state;
	write_vocabulary();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_remove();
	return 0;
}

static struct damf_tokenizer *made_tokenizer(const struct tok_setting *s)
{
	struct damf_tokenizer_opts o = DAMF_TOKENIZER_OPTS_INIT;

	o.do_lower_case = s->lower;
	o.strip_accents = s->strip;
	o.tokenize_chinese_chars = s->cjk;
	return fixture_from_vocab(fixture_path("vocab.txt"), &o);
}

/* FNV-1a over the ids, little-endian. */
static uint32_t hash_ids(uint32_t h, const int32_t *ids, long n)
{
	long i;
	int k;

	for (i = 0; i < n; i++)
		for (k = 0; k < 32; k += 8)
			h = (h ^ ((uint32_t)ids[i] >> k & 255)) * 0x01000193u;
	return h;
}

/* What stands before and behind a code point. */
struct frame {
	const char *before, *behind;
};

/* Alone, between letters, before marks. */
static const struct frame plain_frames[] = {
	{ "", "" },
	{ "a", "b" },
	{ "", "\340\274\271\341\255\204\314\226\314\201a" },
};

/* Beside added tokens. */
static const struct frame added_frames[] = {
	{ "<s>", "" },
	{ "", "<s>" },
	{ "]", "<l>" },
	{ "<r>", "[" },
};

static uint32_t hash_block(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
			   uint32_t block, const struct frame *frames, size_t n_frames)
{
	uint32_t h = 0x811C9DC5, c;
	int32_t ids[64];
	char text[32];
	size_t i, len;
	long n;

	if (block >= 0xD8 && block < 0xE0)	/* surrogates are no text */
		return h;
	for (c = block * 256; c < block * 256 + 256; c++) {
		for (i = 0; i < n_frames; i++) {
			len = strlen(frames[i].before);
			memcpy(text, frames[i].before, len);
			len += put_utf8(text + len, c);
			memcpy(text + len, frames[i].behind, strlen(frames[i].behind));
			len += strlen(frames[i].behind);
			n = damf_tokenizer_encode(t, s, text, len, 1, 0, ids, ARRAY_SIZE(ids), NULL);
			assert_in_range(n, 2, ARRAY_SIZE(ids));
			h = hash_ids(h, ids, n);
		}
	}
	return h;
}

static void check_blocks(const struct damf_tokenizer *t, const struct tok_blocks *blocks, size_t n,
			 const struct frame *frames, size_t n_frames)
{
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	size_t wrong = 0, i = 0;
	uint32_t block;

	assert_non_null(s);
	for (block = 0; block < N_BLOCKS; block++) {
		while (i + 1 < n && blocks[i + 1].first <= block)
			i++;
		if (hash_block(t, s, block, frames, n_frames) == blocks[i].hash)
			continue;
		print_error("U+%04X to U+%04X: other ids than expected\n",
			    block * 256, block * 256 + 255);
		wrong++;
	}
	damf_tok_scratch_free(s);
	assert_int_equal(wrong, 0);
}

static void test_every_code_point(void **state)
{
	struct damf_tokenizer *t;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(tok_settings); i++) {
		t = made_tokenizer(&tok_settings[i]);
		check_blocks(t, tok_settings[i].blocks, tok_settings[i].n_blocks,
			     plain_frames, ARRAY_SIZE(plain_frames));
		damf_tokenizer_free(t);
	}
}

static void check_case(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		       const struct tok_case *c)
{
	int32_t ids[MAX_IDS], types[MAX_IDS];
	size_t n_full = 0, i;
	long n;

	if (c->b)
		n = damf_tokenizer_encode_pair(t, s, c->a, c->len_a, c->b, c->len_b, c->special,
					       c->max_length, ids, types, MAX_IDS, &n_full);
	else
		n = damf_tokenizer_encode(t, s, c->a, c->len_a, c->special, c->max_length,
					  ids, MAX_IDS, &n_full);
	if (n != (long)c->n || n_full != c->n_full || memcmp(ids, c->ids, c->n * sizeof(*ids)))
		fail_msg("\"%s\", special %d: %ld ids of %zu, expected %zu of %zu or other ids",
			 c->a, c->special, n, n_full, c->n, c->n_full);
	for (i = 0; c->b && i < c->n; i++)
		assert_int_equal(types[i], i >= c->second);
}

static void test_cases(void **state)
{
	struct damf_tokenizer *t = made_tokenizer(&tok_settings[0]);
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(tok_cases); i++)
		check_case(t, s, &tok_cases[i]);
	/* Backwards: nothing is left over from one text to the next. */
	for (i = ARRAY_SIZE(tok_cases); i-- > 0;)
		check_case(t, s, &tok_cases[i]);
	damf_tok_scratch_free(s);
	damf_tokenizer_free(t);
}

static void test_added_tokens(void **state)
{
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	struct damf_tokenizer *t;
	size_t i;

	(void)state;
	fixture_write_text("tokenizer.json", tok_added_json);
	t = fixture_open(fixture_dir());
	fixture_write_text("tokenizer.json", NULL);
	for (i = 0; i < ARRAY_SIZE(tok_added_cases); i++)
		check_case(t, s, &tok_added_cases[i]);
	check_blocks(t, tok_added_blocks, ARRAY_SIZE(tok_added_blocks),
		     added_frames, ARRAY_SIZE(added_frames));
	damf_tok_scratch_free(s);
	damf_tokenizer_free(t);
}

static void *run_cases(void *arg)
{
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	uintptr_t wrong = !s;
	int32_t ids[MAX_IDS];
	size_t i;
	long n;

	for (i = 0; s && i < ARRAY_SIZE(tok_cases); i++) {
		const struct tok_case *c = &tok_cases[i];

		if (c->b)
			continue;
		n = damf_tokenizer_encode(arg, s, c->a, c->len_a, c->special, c->max_length,
					  ids, MAX_IDS, NULL);
		wrong += n != (long)c->n || memcmp(ids, c->ids, c->n * sizeof(*ids));
	}
	damf_tok_scratch_free(s);
	return (void *)wrong;
}

static void test_threads_share(void **state)
{
	struct damf_tokenizer *t = made_tokenizer(&tok_settings[0]);
	pthread_t threads[4];
	void *wrong;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_cases, t), 0);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	damf_tokenizer_free(t);
}

static void test_model(void **state)
{
	const char *dir = TOKENIZER_MODEL_DIR;
	struct damf_tokenizer *t;
	struct stat st;

	(void)state;
	if (stat(dir, &st)) {
		print_message("skipped: there is no model in %s\n", dir);
		skip();
	}
	t = fixture_open(dir);
	assert_int_equal(damf_tokenizer_vocab_size(t), 30522);
	assert_int_equal(damf_tokenizer_default_max_length(t), 128);
	assert_string_equal(damf_tokenizer_token(t, 102), "[SEP]");
	assert_null(damf_tokenizer_token(t, 30522));
	assert_null(damf_tokenizer_token(t, -1));
	check_blocks(t, tok_model_blocks, ARRAY_SIZE(tok_model_blocks),
		     plain_frames, ARRAY_SIZE(plain_frames));
	damf_tokenizer_free(t);
}

static void test_not_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t len, bad;
	} cases[] = {
		{ "\x80", 1, 0 },			/* continuation alone */
		{ "abc\xff", 4, 3 },
		{ "abcdefghi\xc3", 10, 9 },		/* cut off */
		{ "\xe4\xbd", 2, 0 },
		{ "ab\xf0\x9f\x98", 5, 2 },
		{ "\xc0\x80", 2, 0 },			/* overlong */
		{ "\xc1\xbf", 2, 0 },
		{ "\xe0\x9f\xbf", 3, 0 },
		{ "\xf0\x8f\xbf\xbf", 4, 0 },
		{ "a\xed\xa0\x80", 4, 1 },		/* surrogate */
		{ "\xed\xbf\xbf", 3, 0 },
		{ "\xf4\x90\x80\x80", 4, 0 },		/* above U+10FFFF */
		{ "\xf5\x80\x80\x80", 4, 0 },
		{ "\xc3\xa9\xc3\x28", 4, 2 },
		{ "\xe2\x82\x28", 3, 0 },
		{ "\xf0\x90\x80\x28", 4, 0 },
	};
	struct damf_tokenizer *t = made_tokenizer(&tok_settings[0]);
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	size_t i, at;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		at = 99;
		assert_int_equal(damf_tokenizer_encode(t, s, cases[i].text, cases[i].len, 1, 0,
						       NULL, 0, &at), -EILSEQ);
		assert_int_equal(at, cases[i].bad);
		at = 99;
		assert_int_equal(damf_tokenizer_encode_pair(t, s, "xyz", 3, cases[i].text,
							    cases[i].len, 1, 0, NULL, NULL, 0,
							    &at), -EILSEQ);
		assert_int_equal(at, 3 + cases[i].bad);
	}
	assert_int_equal(damf_tokenizer_encode(t, s, "\xff", 1, 1, 0, NULL, 0, NULL), -EILSEQ);
	damf_tok_scratch_free(s);
	damf_tokenizer_free(t);
}

/* Only @cap ids are written, all are counted. */
static void test_capacity(void **state)
{
	struct damf_tokenizer *t = made_tokenizer(&tok_settings[0]);
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	int32_t ids[12], types[12], full[12], full_types[12];
	size_t cap, i, n_full;

	(void)state;
	assert_int_equal(damf_tokenizer_encode_pair(t, s, "a b c", 5, "a b", 3, 1, 0, full,
						    full_types, 12, &n_full), 8);
	assert_int_equal(n_full, 8);
	for (cap = 0; cap <= 12; cap++) {
		memset(ids, 0x55, sizeof(ids));
		memset(types, 0x55, sizeof(types));
		assert_int_equal(damf_tokenizer_encode_pair(t, s, "a b c", 5, "a b", 3, 1, 0,
							    cap ? ids : NULL, types, cap,
							    NULL), 8);
		for (i = 0; i < 12; i++) {
			assert_int_equal(ids[i], i < cap && i < 8 ? full[i] : 0x55555555);
			assert_int_equal(types[i], i < cap && i < 8 ? full_types[i] : 0x55555555);
		}
	}
	damf_tok_scratch_free(s);
	damf_tokenizer_free(t);
}

static void test_bad_arguments(void **state)
{
	struct damf_tokenizer_opts o = DAMF_TOKENIZER_OPTS_INIT;
	struct damf_tokenizer *t = made_tokenizer(&tok_settings[0]);
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	int32_t ids[8];
	char err[256];

	(void)state;
	assert_int_equal(damf_tokenizer_encode(t, s, "a", 1, 1, 1, ids, 8, NULL), -EINVAL);
	assert_int_equal(damf_tokenizer_encode(t, s, "a", 1, 1, 2, ids, 8, NULL), 2);
	assert_int_equal(damf_tokenizer_encode_pair(t, s, "a", 1, "b", 1, 1, 2, ids, NULL, 8,
						    NULL), -EINVAL);
	assert_int_equal(damf_tokenizer_encode(t, s, "a", ((size_t)1 << 28) + 1, 1, 0, ids, 8,
					       NULL), -EOVERFLOW);
	assert_int_equal(damf_tokenizer_encode(t, s, NULL, 0, 1, 0, ids, 8, NULL), 2);
	damf_tok_scratch_free(s);
	damf_tok_scratch_free(NULL);
	damf_tokenizer_free(t);
	damf_tokenizer_free(NULL);

	o.size = 4;
	assert_int_equal(damf_tokenizer_from_vocab(fixture_path("vocab.txt"), &o, &t, err,
						   sizeof(err)), -EINVAL);
	assert_null(t);
	assert_non_null(strstr(err, "another version"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_code_point),
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_added_tokens),
		cmocka_unit_test(test_threads_share),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_not_utf8),
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_bad_arguments),
	};

	return cmocka_run_group_tests_name("tokenizer", tests, set_up, tear_down);
}
