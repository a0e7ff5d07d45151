// SPDX-License-Identifier: MIT
/* The parts of the tokenizer that have fast ways, each beside a slow one. */
#include "tokenizer_fixture.h"
#include "bytes.h"
#include "drawn.h"
#include "tok_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Lookup ------------------------------------------------------------------- */

#define N_KEYS 3000
#define MAX_KEY 150
#define MAX_TEXT 200

/* Of few letters, so that strings begin alike; zero bytes are bytes too. */
static size_t make_string(char *out, size_t max)
{
	static const char letters[] = "aab\0\377";
	size_t n = draw(4) ? draw(12) : draw((uint32_t)max), i;

	for (i = 0; i < n; i++)
		out[i] = i < 4 || !draw(6) ? letters[draw(5)] : 'a';
	return n;
}

/* The same by trying all keys; among equal ones the greatest value. */
static int32_t longest_of(const struct damf_lookup_key *keys, const char *text, size_t len,
			  size_t *n)
{
	int32_t value = -1;
	size_t i;

	*n = 0;
	for (i = 0; i < N_KEYS; i++) {
		const struct damf_lookup_key *k = &keys[i];

		if (!k->len || k->len > len || k->len < *n || memcmp(k->text, text, k->len))
			continue;
		if (k->len > *n || k->value > value)
			value = k->value;
		*n = k->len;
	}
	return value;
}

static void test_lookup(void **state)
{
	static struct damf_lookup_key keys[N_KEYS];
	static char strings[N_KEYS][MAX_KEY];
	char text[MAX_TEXT];
	struct damf_lookup t;
	size_t i, len, n, want_n;
	int32_t want;

	(void)state;
	for (i = 0; i < N_KEYS; i++)
		keys[i] = (struct damf_lookup_key){ strings[i], make_string(strings[i], MAX_KEY),
						    (int32_t)i };
	assert_int_equal(damf_lookup_build(&t, keys, N_KEYS), 0);
	assert_true(t.repeated >= 0 && t.n < N_KEYS);
	for (i = 0; i < 20000; i++) {
		len = make_string(text, MAX_TEXT);
		if (!len)
			continue;
		if (draw(2)) {
			const struct damf_lookup_key *k = &keys[draw(N_KEYS)];

			memcpy(text, k->text, k->len < len ? k->len : len);
		}
		want = longest_of(keys, text, len, &want_n);
		/* The text ends where it may no more be read, or has more behind it. */
		n = 0;
		assert_int_equal(damf_lookup_longest(&t, (unsigned char *)text, len,
						     (unsigned char *)text + len, &n), want);
		assert_true(want < 0 || n == want_n);
		assert_int_equal(damf_lookup_longest(&t, (unsigned char *)text, len,
						     (unsigned char *)text + MAX_TEXT, &n), want);
		assert_true(want < 0 || n == want_n);
		assert_int_equal(damf_lookup_find(&t, text, len), want_n == len ? want : -1);
	}
	damf_lookup_free(&t);
}

static void test_lookup_few(void **state)
{
	const struct damf_lookup_key keys[] = { { "", 0, 7 }, { "a", 1, 3 }, { "", 0, 5 } };
	struct damf_lookup t;
	size_t n;

	(void)state;
	assert_int_equal(damf_lookup_build(&t, NULL, 0), 0);
	assert_int_equal(damf_lookup_find(&t, "", 0), -1);
	assert_int_equal(damf_lookup_find(&t, "a", 1), -1);
	damf_lookup_free(&t);
	assert_int_equal(damf_lookup_build(&t, keys, ARRAY_SIZE(keys)), 0);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.repeated, 5);
	assert_int_equal(damf_lookup_find(&t, "", 0), 7);
	assert_int_equal(damf_lookup_longest(&t, (const unsigned char *)"b", 1,
					     (const unsigned char *)"b" + 1, &n), -1);
	damf_lookup_free(&t);
}

/* ---- Bytes -------------------------------------------------------------------- */

/* Every byte at every place, in texts of every length up to 16. */
static void test_bytes(void **state)
{
	unsigned char text[DAMF_BYTES], out[DAMF_BYTES];
	size_t len, at, i, n;
	unsigned int c;

	(void)state;
	for (len = 1; len <= DAMF_BYTES; len++) {
		for (at = 0; at < len; at++) {
			for (c = 0; c < 256; c++) {
				struct damf_ascii a;
				int printable = c >= ' ' && c <= '~';
				int letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
					(c >= 'a' && c <= 'z');

				memset(text, '-', sizeof(text));
				text[at] = (unsigned char)c;
				a = damf_ascii_load(text, len);
				n = printable ? len : at;
				assert_int_equal(a.n, n);
				assert_int_equal(a.space, c == ' ' ? 1u << at : 0);
				assert_int_equal(a.letter, letter ? 1u << at : 0);
				damf_ascii_store(out, &a, 1);
				for (i = 0; i < n; i++)
					assert_int_equal(out[i], i != at ? '-' : c >= 'A' && c <= 'Z' ?
							 c + 'a' - 'A' : c);
				damf_ascii_store(out, &a, 0);
				assert_memory_equal(out, text, n);
			}
		}
	}
}

/* ---- Words -------------------------------------------------------------------- */

static const char vocab[] =
	"[UNK]\n[CLS]\n[SEP]\na\n##a\n-\n\303\251\n##\303\251\n\342\200\224\n\344\275\240\n";

static const struct {
	const char *text;
	int32_t inside;		/* id behind a letter, or as the first */
	int32_t first;
	int kind;		/* 0: goes on in a word, 1: stands alone, 2: a space */
} pieces[] = {
	{ "a", 4, 3, 0 }, { "A", 4, 3, 0 }, { "\303\211", 7, 6, 0 },
	{ "-", 5, 5, 1 }, { "\342\200\224", 8, 8, 1 }, { "\344\275\240", 9, 9, 1 },
	{ " ", -1, -1, 2 }, { "\t", -1, -1, 2 }, { "\343\200\200", -1, -1, 2 },
	{ "\177", -1, -1, 3 },	/* dropped, so words go on over it */
};

/* Pieces of words at all places of the vectors and marks that hold them. */
static void test_words(void **state)
{
	struct damf_tokenizer_opts o = DAMF_TOKENIZER_OPTS_INIT;
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	int32_t ids[1024], want[1024];
	struct damf_tokenizer *t;
	char text[2048];
	size_t i, k, len, n;
	int in_word;

	(void)state;
	fixture_write_text("vocab.txt", vocab);
	o.strip_accents = 0;
	o.max_chars_per_word = 1000;
	t = fixture_from_vocab(fixture_path("vocab.txt"), &o);
	for (i = 0; i < 20000; i++) {
		uint32_t kinds = i % 2 ? ARRAY_SIZE(pieces) : 2 + draw(4);

		in_word = 0;
		len = n = 0;
		want[n++] = 1;
		for (k = draw(300); k; k--) {
			size_t j = draw(kinds);

			len += (size_t)sprintf(text + len, "%s", pieces[j].text);
			if (pieces[j].kind < 2)
				want[n++] = in_word ? pieces[j].inside : pieces[j].first;
			if (pieces[j].kind < 3)
				in_word = !pieces[j].kind;
		}
		want[n++] = 2;
		assert_int_equal(damf_tokenizer_encode(t, s, text, len, 1, 0, ids,
						       ARRAY_SIZE(ids), NULL), n);
		assert_memory_equal(ids, want, n * sizeof(*ids));
	}
	damf_tok_scratch_free(s);
	damf_tokenizer_free(t);
}

/* ---- Vocabulary --------------------------------------------------------------- */

static int scan(struct damf_tok_load *l, const char *text, size_t *from, size_t *to)
{
	*l = (struct damf_tok_load){ .t = calloc(1, sizeof(struct damf_tokenizer)), .path = "x" };
	assert_non_null(l->t);
	return damf_tok_scan_vocab(l, text, strlen(text), from, to);
}

static void scan_end(struct damf_tok_load *l)
{
	free(l->keys);
	damf_tokenizer_free(l->t);
}

static void test_scan(void **state)
{
	static const char text[] =
		"\n{\"vocab\": {\"no\": 1}, \"x\": [{\"model\": {\"vocab\": {}}}, \"}]\\\"{\", -1.5e3],"
		"\"models\": null, \"model\" :\t{\"vocab \": 2, \"v\": \"\\\\\","
		"\"vocab\":{ \"a\" : 0,\"\\\"\\\\\\/\\b\\f\\n\\r\\t\":1 ,\r\n\"\":16777215,"
		"\"\303\251}\": 4}, \"more\": 1}}";
	struct damf_tok_load l;
	size_t from, to;

	(void)state;
	assert_int_equal(scan(&l, text, &from, &to), 1);
	assert_ptr_equal(text + from - 1, strstr(text, "{ \"a\""));
	assert_ptr_equal(text + to, strstr(text, "}, \"more\""));
	assert_int_equal(l.t->vocab.n, 4);
	assert_string_equal(l.t->tokens[0], "a");
	assert_string_equal(l.t->tokens[1], "\"\\/\b\f\n\r\t");
	assert_null(l.t->tokens[2]);
	assert_string_equal(l.t->tokens[4], "\303\251}");
	assert_string_equal(l.t->tokens[16777215], "");
	scan_end(&l);
}

/* What isn't plain, or is wrong, is left alone. */
static void test_scan_not(void **state)
{
	static const char *const vocabs[] = {
		"{}", "[]", "{\"a\": 1]", "{\"a\": 1,}", "{,}", "{\"a\": 1 \"b\": 2}",
		"{\"a\" 1}", "{\"a\": -1}", "{\"a\": 01}", "{\"a\": 1.0}", "{\"a\": 1e1}",
		"{\"a\": 16777216}", "{\"a\": 99999999999999999999}", "{\"a\": }", "{\"a\": \"1\"}",
		"{\"a\": 1, \"a\": 2}", "{\"\\u0061\": 1}", "{\"\\x\": 1}", "{\"a\n\": 1}",
		"{\"\377\": 1}", "{\"a", "{\"a\\", "{", "{\"a\": 1, \"b\"", "{a: 1}",
	};
	static const char *const whole[] = {
		"", "[", "{", "{}", "{\"model\"", "{\"model\": ", "{\"model\": [{\"vocab\": {\"a\": 1}}]}",
		"{\"x\": \"\\", "{\"x\": [1, 2", "{\"vocab\": {\"a\": 1}}", "{\"model\": {}, \"vocab\": {\"a\": 1}}",
		"{\"mod\\u0065l\": {\"vocab\": {\"a\": 1}}}", "\357\273\277{\"model\": {\"vocab\": {\"a\": 1}}}",
	};
	struct damf_tok_load l;
	size_t i, from, to;
	char text[200];

	(void)state;
	for (i = 0; i < ARRAY_SIZE(vocabs) + ARRAY_SIZE(whole); i++) {
		if (i < ARRAY_SIZE(vocabs))
			snprintf(text, sizeof(text), "{\"model\": {\"vocab\": %s}}", vocabs[i]);
		else
			snprintf(text, sizeof(text), "%s", whole[i - ARRAY_SIZE(vocabs)]);
		if (scan(&l, text, &from, &to) != 0 || l.n_keys || l.t->text || l.t->tokens)
			fail_msg("taken as plain: %s", text);
		scan_end(&l);
	}
}

static int tear_down(void **state)
{
	(void)state;
	fixture_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_lookup_few),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_scan_not),
	};

	return cmocka_run_group_tests_name("tokenizer parts", tests, NULL, tear_down);
}
