// SPDX-License-Identifier: MIT
/*
 * Any bytes into the tokenizer: as text, as a vocab.txt, as a tokenizer.json.
 *
 * Built with -fsanitize=fuzzer it is a libFuzzer target ("make
 * fuzz-tokenizer"). Built with -DFUZZ_STANDALONE it makes inputs itself from a
 * fixed seed, so that it runs as a test; given files, it runs those.
 *
 * Beyond what sanitizers see, it checks: ids are in the vocabulary; a second
 * time, with another scratch and after other text, they are the same; what is
 * cut by max_length is the end; a pair holds the ids of both its texts.
 */
#include "damf_tokenizer.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_IDS 65536
#define N_TOKENIZERS 3

#define REQUIRE(x) do { if (!(x)) fail(#x, __LINE__); } while (0)

static const char vocab[] =
	"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\nb\n##b\nab\n##ab\naba\n##abab\ne\n##e\n"
	"\303\251\n##\303\251\n\344\275\240\n\343\201\202\n##\343\201\202\n.\n,\n[\n]\n#\n"
	"\341\204\200\n##\341\205\241\n##\314\201\nthe\n##ing\n";

static const char json_start[] =
	"{\"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true,"
	" \"handle_chinese_chars\": true, \"strip_accents\": null, \"lowercase\": true},"
	" \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"},"
	" \"post_processor\": {\"type\": \"BertProcessing\", \"sep\": [\"[SEP]\", 2],"
	" \"cls\": [\"[CLS]\", 1]}, \"added_tokens\": ["
	"{\"id\": 2, \"content\": \"[SEP]\", \"special\": true},"
	"{\"id\": 8, \"content\": \"<x>\", \"lstrip\": true, \"rstrip\": true},"
	"{\"id\": 9, \"content\": \"ab\", \"single_word\": true, \"normalized\": false},"
	"{\"id\": 10, \"content\": \"B a\", \"lstrip\": true}], \"model\": {"
	"\"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\","
	"\"max_input_chars_per_word\": 100, \"vocab\": {\"[UNK]\": 0, \"[CLS]\": 1,"
	"\"[SEP]\": 2, \"a\": 3, \"##a\": 4, \"b\": 5, \"##b\": 6, \"e\": 7}}}";

static char dir[] = "/tmp/damf-fuzz.XXXXXX";
static struct damf_tokenizer *tokenizers[N_TOKENIZERS];
static struct damf_tok_scratch *used;
static int32_t ids[MAX_IDS], again[MAX_IDS], types[MAX_IDS];

static void fail(const char *what, int line)
{
	fprintf(stderr, "fuzz_tokenizer: line %d: not so: %s\n", line, what);
	abort();
}

static const char *path_of(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(path_of(name), "wb");

	REQUIRE(f && fwrite(data, 1, len, f) == len && !fclose(f));
}

static void clean_up(void)
{
	int i;

	for (i = 0; i < N_TOKENIZERS; i++)
		damf_tokenizer_free(tokenizers[i]);
	damf_tok_scratch_free(used);
	unlink(path_of("tokenizer.json"));
	unlink(path_of("vocab.txt"));
	rmdir(dir);
}

static void set_up(void)
{
	struct damf_tokenizer_opts o = DAMF_TOKENIZER_OPTS_INIT;

	if (used)
		return;
	REQUIRE(mkdtemp(dir));
	atexit(clean_up);
	used = damf_tok_scratch_new();
	REQUIRE(used);
	write_file("vocab.txt", vocab, sizeof(vocab) - 1);
	REQUIRE(!damf_tokenizer_from_vocab(path_of("vocab.txt"), &o, &tokenizers[0], NULL, 0));
	o.do_lower_case = 0;
	o.tokenize_chinese_chars = 0;
	REQUIRE(!damf_tokenizer_from_vocab(path_of("vocab.txt"), &o, &tokenizers[1], NULL, 0));
	write_file("tokenizer.json", json_start, sizeof(json_start) - 1);
	REQUIRE(!damf_tokenizer_open(dir, &tokenizers[2], NULL, 0));
}

/* Encode and check what must hold of any text; the number of ids, or an error. */
static long check_text(const struct damf_tokenizer *t, const char *text, size_t len, int special)
{
	struct damf_tok_scratch *fresh = damf_tok_scratch_new();
	size_t n_full = 0, full_again = 0, i, max;
	long n, m;

	REQUIRE(fresh);
	n = damf_tokenizer_encode(t, used, text, len, special, 0, ids, MAX_IDS, &n_full);
	m = damf_tokenizer_encode(t, fresh, text, len, special, 0, again, MAX_IDS, &full_again);
	damf_tok_scratch_free(fresh);
	REQUIRE(n == m && n_full == full_again);
	if (n < 0) {
		REQUIRE(n == -EILSEQ && n_full < len);
		return n;
	}
	REQUIRE(n >= 2 && (size_t)n == n_full && n < MAX_IDS);
	REQUIRE(!memcmp(ids, again, (size_t)n * sizeof(*ids)));
	for (i = 0; i < (size_t)n; i++)
		REQUIRE(ids[i] >= 0 && (size_t)ids[i] < damf_tokenizer_vocab_size(t));
	max = 2 + len % 7;
	m = damf_tokenizer_encode(t, used, text, len, special, max, again, MAX_IDS, &full_again);
	REQUIRE(full_again == n_full && (size_t)m == (n_full < max ? n_full : max));
	REQUIRE(!memcmp(ids, again, (size_t)(m - 1) * sizeof(*ids)) && again[m - 1] == ids[n - 1]);
	return n;
}

static void check_pair(const struct damf_tokenizer *t, const char *text, size_t len, size_t cut)
{
	size_t n_full = 0, max;
	long a, b, n, i;

	a = check_text(t, text, cut, 1);
	b = check_text(t, text + cut, len - cut, 1);
	n = damf_tokenizer_encode_pair(t, used, text, cut, text + cut, len - cut, 1, 0, again,
				       types, MAX_IDS, &n_full);
	if (a < 0 || b < 0) {
		REQUIRE(n == -EILSEQ && n_full < len && (a < 0) == (n_full < cut));
		return;
	}
	REQUIRE(n == a + b - 1 && (size_t)n == n_full);
	REQUIRE(!memcmp(ids + 1, again + a, (size_t)(b - 1) * sizeof(*ids)));
	for (i = 0; i < n; i++)
		REQUIRE(types[i] == (i >= a));
	max = 3 + len % 11;
	n = damf_tokenizer_encode_pair(t, used, text, cut, text + cut, len - cut, 1, max, again,
				       types, MAX_IDS, &n_full);
	REQUIRE((size_t)n == (n_full < max ? n_full : max));
}

/* Bytes as a file: refused, or a tokenizer that works. */
static void check_file(const char *name, const uint8_t *data, size_t len)
{
	struct damf_tokenizer *t;
	char err[200] = "";
	int ret;

	write_file(name, data, len);
	if (!strcmp(name, "vocab.txt"))
		ret = damf_tokenizer_from_vocab(path_of(name), NULL, &t, err, sizeof(err));
	else
		ret = damf_tokenizer_open(dir, &t, err, sizeof(err));
	REQUIRE(!ret == !!t && !ret == !err[0] && !strchr(err, '\n'));
	if (ret)
		return;
	check_text(t, (const char *)data, len, 1);
	check_text(t, "[CLS] abab<x> b a the\xcc\x81", 23, 1);
	damf_tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	int i;

	set_up();
	if (size < 1)
		return 0;
	size--;
	if (data[0] % 8 == 0)
		check_file("vocab.txt", data + 1, size);
	else if (data[0] % 8 == 1)
		check_file("tokenizer.json", data + 1, size);
	else
		for (i = 0; i < N_TOKENIZERS; i++) {
			check_text(tokenizers[i], text, size, data[0] & 1);
			check_pair(tokenizers[i], text, size, size ? data[0] % size : 0);
		}
	return 0;
}

#ifdef FUZZ_STANDALONE

#include "../unit/drawn.h"

#define MAX_INPUT 4096
#define N_INPUTS 30000

static size_t put_char(uint8_t *p, uint32_t c)
{
	if (c < 0x800) {
		p[0] = (uint8_t)(0xC0 | c >> 6);
		p[1] = (uint8_t)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		p[0] = (uint8_t)(0xE0 | c >> 12);
		p[1] = (uint8_t)(0x80 | (c >> 6 & 63));
		p[2] = (uint8_t)(0x80 | (c & 63));
		return 3;
	}
	p[0] = (uint8_t)(0xF0 | c >> 18);
	p[1] = (uint8_t)(0x80 | (c >> 12 & 63));
	p[2] = (uint8_t)(0x80 | (c >> 6 & 63));
	p[3] = (uint8_t)(0x80 | (c & 63));
	return 4;
}

/* Pieces that the vocabularies know, code points of all sizes, seldom a bad byte. */
static size_t make_text(uint8_t *out, uint32_t pieces)
{
	static const char *const known[] = { "a", "b", "ab", " ", "[SEP]", "<x>", "B a", "the",
		"ing", "\n", "##", "{", "\"", "[UNK]\n", "[CLS]\n", "[SEP]\n" };
	size_t len = 0, n;

	while (pieces--) {
		switch (draw(8)) {
		case 0:
			len += put_char(out + len, 0x80 + draw(0x780));
			break;
		case 1:
			len += put_char(out + len, 0x800 + draw(0xD000));
			break;
		case 2:
			len += put_char(out + len, 0x10000 + draw(0x100000));
			break;
		case 3:
			if (!draw(40))
				out[len++] = (uint8_t)draw(256);
			break;
		case 4:
			len += put_char(out + len, 0x300 + draw(0x60));
			break;
		default:
			n = draw(sizeof(known) / sizeof(known[0]));
			memcpy(out + len, known[n], strlen(known[n]));
			len += strlen(known[n]);
		}
	}
	return len;
}

/* A tokenizer.json with some bytes changed. */
static size_t make_json(uint8_t *out)
{
	static const char marks[] = "0{}[]\",:9x";
	size_t len = sizeof(json_start) - 1, at;
	uint32_t changes = draw(4);

	memcpy(out, json_start, len);
	while (changes--) {
		at = draw((uint32_t)len);
		out[at] = (uint8_t)marks[draw(sizeof(marks) - 1)];
	}
	return draw(4) ? len : draw((uint32_t)len);
}

static int run_file(const char *path)
{
	uint8_t *data = malloc(1 << 20);
	FILE *f = fopen(path, "rb");
	size_t len;

	if (!data || !f) {
		perror(path);
		return 1;
	}
	len = fread(data, 1, 1 << 20, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t input[MAX_INPUT];
	int i, status = 0;
	size_t len;

	for (i = 1; i < argc; i++)
		status |= run_file(argv[i]);
	if (argc > 1)
		return status;
	for (i = 0; i < N_INPUTS; i++) {
		/* Making files costs more than making texts. */
		input[0] = (uint8_t)(draw(16) ? 2 + draw(6) + 8 * draw(31) : draw(2));
		len = input[0] % 8 == 1 ? make_json(input + 1) : make_text(input + 1, draw(200));
		LLVMFuzzerTestOneInput(input, len + 1);
	}
	printf("1..1\nok 1 - fuzz_tokenizer: %d inputs\n", N_INPUTS);
	return 0;
}

#endif /* FUZZ_STANDALONE */
