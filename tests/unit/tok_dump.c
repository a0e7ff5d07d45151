// SPDX-License-Identifier: MIT
/*
 * Print the ids of texts, for comparison with another tokenizer.
 *
 * usage: tok_dump [-c] [-a 0|1] [-k 0|1] [-r] [-p] [-m MAX_LENGTH] MODEL_DIR|VOCAB_TXT
 *
 * -c keeps case, -a and -k set strip_accents and tokenize_chinese_chars (for a
 * VOCAB_TXT); -r takes special tokens as plain text; -p encodes pairs.
 *
 * stdin: texts, each behind its length in bytes (32 bits, the machine's order),
 * so that a text may hold any byte. stdout: a line a text, the number of ids
 * without truncation, then the ids; for a pair "id:type".
 */
#include "damf_tokenizer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_IDS (1 << 20)

struct text {
	char *data;
	uint32_t len, max;
};

struct job {
	const struct damf_tokenizer *t;
	struct damf_tok_scratch *s;
	int special, pair;
	size_t max_length;
	int32_t *ids, *types;
};

static void die(const char *message)
{
	fprintf(stderr, "tok_dump: %s\n", message);
	exit(1);
}

/* 0 at the end of the input. */
static int read_text(struct text *t)
{
	if (fread(&t->len, sizeof(t->len), 1, stdin) != 1)
		return 0;
	if (t->len >= t->max) {
		t->max = t->len + 1;
		t->data = realloc(t->data, t->max);
		if (!t->data)
			die("out of memory");
	}
	if (fread(t->data, 1, t->len, stdin) != t->len)
		die("input ends inside a text");
	return 1;
}

static void print_ids(const struct job *j, long n, size_t n_full)
{
	long i;

	if (n < 0) {
		printf("error %ld at %zu\n", n, n_full);
		return;
	}
	if (n > MAX_IDS)
		die("text has too many ids");
	printf("%zu", n_full);
	for (i = 0; i < n; i++) {
		printf(" %d", j->ids[i]);
		if (j->pair)
			printf(":%d", j->types[i]);
	}
	putchar('\n');
}

static void run(const struct job *j)
{
	struct text a = { 0 }, b = { 0 };
	size_t n_full;
	long n;

	while (read_text(&a)) {
		n_full = 0;
		if (!j->pair) {
			n = damf_tokenizer_encode(j->t, j->s, a.data, a.len, j->special,
						  j->max_length, j->ids, MAX_IDS, &n_full);
		} else {
			if (!read_text(&b))
				die("input ends inside a pair");
			n = damf_tokenizer_encode_pair(j->t, j->s, a.data, a.len, b.data, b.len,
						       j->special, j->max_length, j->ids,
						       j->types, MAX_IDS, &n_full);
		}
		print_ids(j, n, n_full);
	}
	free(a.data);
	free(b.data);
}

static struct damf_tokenizer *load(const char *path, const struct damf_tokenizer_opts *o)
{
	struct damf_tokenizer *t;
	struct stat st;
	char err[256];
	int ret;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		ret = damf_tokenizer_open(path, &t, err, sizeof(err));
	else
		ret = damf_tokenizer_from_vocab(path, o, &t, err, sizeof(err));
	if (ret)
		die(err);
	fprintf(stderr, "%s\n", damf_tokenizer_describe(t));
	return t;
}

int main(int argc, char **argv)
{
	struct damf_tokenizer_opts o = DAMF_TOKENIZER_OPTS_INIT;
	struct job j = { .special = 1 };
	struct damf_tokenizer *t;
	int c;

	while ((c = getopt(argc, argv, "ca:k:rpm:")) != -1) {
		if (c == 'c')
			o.do_lower_case = 0;
		else if (c == 'a')
			o.strip_accents = atoi(optarg);
		else if (c == 'k')
			o.tokenize_chinese_chars = atoi(optarg);
		else if (c == 'r')
			j.special = 0;
		else if (c == 'p')
			j.pair = 1;
		else if (c == 'm')
			j.max_length = (size_t)atol(optarg);
		else
			return 2;
	}
	if (optind != argc - 1)
		die("give one model directory or vocab.txt");
	j.t = t = load(argv[optind], &o);
	j.s = damf_tok_scratch_new();
	j.ids = malloc(MAX_IDS * sizeof(*j.ids));
	j.types = malloc(MAX_IDS * sizeof(*j.types));
	if (!j.s || !j.ids || !j.types)
		die("out of memory");
	run(&j);
	free(j.ids);
	free(j.types);
	damf_tok_scratch_free(j.s);
	damf_tokenizer_free(t);
	return 0;
}
