// SPDX-License-Identifier: MIT
/* damf bench tokenizer: lines a second on one thread. */
#include <stdlib.h>
#include <string.h>

#include "../tokenizer/damf_tokenizer.h"
#include "bench.h"

struct tokenizer_bench {
	struct cli_options o;
	uint32_t repeat;
	const char *file;
	struct damf_tokenizer *tok;
	struct damf_tok_scratch *scratch;
	struct cli_text text;
	int32_t *ids;
	size_t room, tokens;	/* tokens: of one run */
	struct bench_times times;
};

static int help(void)
{
	printf("usage: damf bench tokenizer --model DIR [OPTION...] [FILE|-]\n\n"
	       "The time that the token ids of all lines of a text take on one thread.\n\n"
	       "  --model DIR            a Hugging Face directory; its weights are not needed\n"
	       "  --max-length N         ids of a line at most, 0 (default) for all\n"
	       "  --repeat N             runs that are measured (default: for half a second)\n"
	       "  --json                 the figures as JSON\n");
	return CLI_OK;
}

static int parse(struct tokenizer_bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_LENGTH,
		{ "repeat", required_argument, NULL, 'R' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		if (c == 'R')
			r = cli_number("--repeat", optarg, 1, 100000, &b->repeat);
		else
			r = cli_option(&b->o, c, argv);
		if (r)
			return r;
	}
	if (b->o.help)
		return 0;
	b->file = cli_only_argument(argc, argv);
	return b->file ? cli_need_model(&b->o) : CLI_USAGE;
}

/* The ids of a line, in b->ids, which grows; their number. */
static long encode(struct tokenizer_bench *b, const struct damf_text *line)
{
	size_t full;
	long n = damf_tokenizer_encode(b->tok, b->scratch, line->text, line->len, 1, b->o.max_length,
				       b->ids, b->room, &full);

	if (n <= 0 || (size_t)n <= b->room)
		return n;
	free(b->ids);
	b->room = 0;
	b->ids = malloc((size_t)n * sizeof(*b->ids));
	if (!b->ids)
		return -1;
	b->room = (size_t)n;
	return encode(b, line);
}

static int run(void *arg)
{
	struct tokenizer_bench *b = arg;
	size_t i;
	long n;

	b->tokens = 0;
	for (i = 0; i < b->text.n; i++) {
		n = encode(b, &b->text.lines[i]);
		if (n < 0)
			return cli_error(CLI_FAILURE, "no memory for the ids of line %zu", i + 1);
		b->tokens += (size_t)n;
	}
	return 0;
}

static int report(const struct tokenizer_bench *b)
{
	const struct bench_times *t = &b->times;
	double rate = (double)b->text.n / t->median * 1e3;
	json_t *o;

	if (!b->o.json) {
		printf("%zu lines, %zu tokens, %u runs\n"
		       "median %.3f ms, least %.3f, most %.3f; %.0f lines/s\n", b->text.n, b->tokens,
		       t->runs, t->median, t->least, t->most, rate);
		return CLI_OK;
	}
	o = json_object();
	cli_set_count(o, "lines", b->text.n);
	cli_set_count(o, "tokens", b->tokens);
	bench_set_times(o, t);
	json_object_set_new(o, "lines_per_second", json_real(rate));
	return cli_print_json(o);
}

static int measure(struct tokenizer_bench *b)
{
	char err[512];
	int r;

	if (damf_tokenizer_open(b->o.model, &b->tok, err, sizeof(err)))
		return cli_error(CLI_INPUT, "%s", err);
	b->scratch = damf_tok_scratch_new();
	r = b->scratch ? cli_read_text(b->file, &b->text) : cli_error(CLI_FAILURE, "no memory");
	if (!r && !b->text.n)
		r = cli_error(CLI_INPUT, "%s: there is no text in it", cli_input_name(b->file));
	if (!r)
		r = run(b);
	if (!r)
		r = bench_measure(&b->times, b->repeat, run, b);
	return r ? r : report(b);
}

int bench_tokenizer(int argc, char **argv)
{
	struct tokenizer_bench b = { .repeat = 0 };
	int r = parse(&b, argc, argv);

	if (r || b.o.help)
		return r ? r : help();
	r = measure(&b);
	bench_times_free(&b.times);
	cli_text_free(&b.text);
	free(b.ids);
	if (b.scratch)
		damf_tok_scratch_free(b.scratch);
	damf_tokenizer_free(b.tok);
	return r;
}
