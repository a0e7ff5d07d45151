// SPDX-License-Identifier: MIT
/* damf tokenize */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "../tokenizer/damf_tokenizer.h"
#include "stream.h"

struct tokenize {
	struct cli_options o;
	const char *input;
	struct damf_tokenizer *tok;
	struct damf_tok_scratch *scratch;
	int32_t *ids;
	size_t room;		/* entries at ids */
	size_t cut, first_cut;	/* lines that were truncated */
};

static int help(void)
{
	printf("usage: damf tokenize --model DIR [OPTION...] [FILE|-]\n\n"
	       "Prints the token ids of each line, a line for a line, special tokens included and\n"
	       "without padding. Special tokens typed in the text are those tokens. Nothing is cut\n"
	       "unless --max-length says so. An empty line gives [CLS] [SEP].\n\n"
	       "  --model DIR     a Hugging Face directory; its weights are not needed\n"
	       "  --max-length N  ids of a line at most, 0 (default) for all\n"
	       "  --json          an object a line: ids, and how many the whole line has\n");
	return CLI_OK;
}

static int parse(struct tokenize *t, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_LENGTH, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		r = cli_option(&t->o, c, argv);
		if (r)
			return r;
	}
	if (t->o.help)
		return 0;
	r = cli_need_model(&t->o);
	if (r)
		return r;
	if (t->o.max_length == 1 || t->o.max_length == 2)
		return cli_error(CLI_USAGE, "--max-length %u: it must be 0 or at least 3, [CLS] and [SEP] count",
				 t->o.max_length);
	t->input = cli_only_argument(argc, argv);
	return t->input ? 0 : CLI_USAGE;
}

/* The ids of a line, in t->ids, which grows. */
static long encode(struct tokenize *t, const struct damf_text *line, size_t *full)
{
	long n;

	for (;;) {
		n = damf_tokenizer_encode(t->tok, t->scratch, line->text, line->len, 1,
					  t->o.max_length, t->ids, t->room, full);
		if (n < 0 || (size_t)n <= t->room)
			return n;
		free(t->ids);
		t->room = (size_t)n;
		t->ids = malloc(t->room * sizeof(*t->ids));
		if (!t->ids) {
			t->room = 0;
			return -ENOMEM;
		}
	}
}

static void print(const struct tokenize *t, long n, size_t full)
{
	const char *between = t->o.json ? ", " : " ";
	long i;

	if (t->o.json)
		fputs("{\"ids\": [", stdout);
	for (i = 0; i < n; i++)
		printf("%s%d", i ? between : "", (int)t->ids[i]);
	if (t->o.json)
		printf("], \"full\": %zu}", full);
	putchar('\n');
}

static int take_line(struct tokenize *t, const struct damf_text *line, size_t number)
{
	size_t full;
	long n = encode(t, line, &full);

	if (n < 0)
		return cli_error(CLI_FAILURE, "line %zu: %s", number, strerror((int)-n));
	if ((size_t)n < full && !t->cut++)
		t->first_cut = number;
	print(t, n, full);
	return 0;
}

/* Reads lines; waits for the first of them, but not for more. */
static int read_lines(struct cli_lines *l, struct cli_block *b, enum cli_got *got)
{
	struct pollfd fd = { .fd = l->fd, .events = POLLIN };
	int r = cli_lines_read(l, b, got);

	while (!r && *got == CLI_DRY && !b->n) {
		poll(&fd, 1, -1);
		r = cli_lines_read(l, b, got);
	}
	return r;
}

/* A block after the other. What stands before an error has its ids. */
static int all_lines(struct tokenize *t, struct cli_lines *l, struct cli_block *b)
{
	enum cli_got got = CLI_DRY;
	int r = 0, code = 0;
	size_t i;

	while (!r && !code && got != CLI_END) {
		code = read_lines(l, b, &got);
		r = cli_lines_cut(l, b);
		for (i = 0; i < b->n && !r; i++)
			r = take_line(t, &b->lines[i], b->first + i);
		if (!r)
			r = cli_flush();
	}
	return r ? r : code;
}

static void tell(const struct tokenize *t, const struct cli_lines *l)
{
	cli_note_empty_lines(l->empty, l->first_empty);
	if (t->cut)
		cli_note("%zu line%s cut at %u tokens, the first is line %zu", t->cut,
			 t->cut == 1 ? " was" : "s were", t->o.max_length, t->first_cut);
}

/* Everything but the tokenizer. */
static int run(struct tokenize *t)
{
	struct cli_block *block = calloc(1, sizeof(*block));
	struct cli_lines lines;
	int r;

	t->scratch = damf_tok_scratch_new();
	if (!block || !t->scratch)
		r = cli_error(CLI_FAILURE, "no memory");
	else
		r = cli_lines_open(&lines, t->input);
	if (!r) {
		r = all_lines(t, &lines, block);
		if (!r)
			tell(t, &lines);
		cli_lines_close(&lines);
		cli_block_free(block);
	}
	free(block);
	free(t->ids);
	damf_tok_scratch_free(t->scratch);
	return r;
}

int cmd_tokenize(int argc, char **argv)
{
	struct tokenize t = { .ids = NULL };
	char err[512];
	int r = parse(&t, argc, argv);

	if (r || t.o.help)
		return r ? r : help();
	if (damf_tokenizer_open(t.o.model, &t.tok, err, sizeof(err)))
		return cli_error(CLI_INPUT, "%s", err);
	r = run(&t);
	damf_tokenizer_free(t.tok);
	return r;
}
