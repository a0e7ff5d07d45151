// SPDX-License-Identifier: MIT
/* damf bench model: a session of texts, tokenizing included. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define WARM	128	/* lines of a file that are run before anything is measured */

struct model_bench {
	struct cli_options o;
	uint32_t length, repeat;
	const char *file;
	struct damf_model *model;
	struct damf_session *session;
	struct cli_text lines;		/* of the file */
	char *made_up;
	struct damf_text *texts;	/* [n] */
	size_t n;
	float *out;
	struct bench_times times;
	double *engine_ms;		/* [repeat], of what times tells; done of them */
	uint32_t done;
	struct damf_session_stats before;	/* what was measured */
};

static int help(void)
{
	printf("usage: damf bench model --model DIR [OPTION...]\n\n"
	       "The time of one batch of made-up texts of one length, or of all lines of a file,\n"
	       "sorted by length and batched, and that on the engine alone.\n\n"
	       "  --model DIR            a Hugging Face directory, or one that damf convert made\n"
	       "  --text FILE            runs the lines of this file\n"
	       "  --length N             tokens of a made-up text (default: 128, or the model's limit)\n"
	       "  --repeat N             runs that are measured (default: 10)\n"
	       "  --list-tokens N        tokens that go to the device as one list (default: 1024)\n"
	       "  --json                 the figures as JSON\n"
	       CLI_HELP_RUN);
	return CLI_OK;
}

static int parse(struct model_bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_LENGTH, CLI_OPT_RUN,
		{ "text", required_argument, NULL, 'T' },
		{ "length", required_argument, NULL, 'L' },
		{ "repeat", required_argument, NULL, 'R' },
		{ "list-tokens", required_argument, NULL, 'I' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		r = 0;
		if (c == 'T')
			b->file = optarg;
		else if (c == 'L')
			r = cli_number("--length", optarg, 3, 32768, &b->length);
		else if (c == 'R')
			r = cli_number("--repeat", optarg, 1, 100000, &b->repeat);
		else if (c == 'I')
			r = cli_number("--list-tokens", optarg, 1, 1 << 24, &b->o.list_tokens);
		else
			r = cli_option(&b->o, c, argv);
		if (r)
			return r;
	}
	if (b->o.help)
		return 0;
	r = cli_no_argument(argc, argv);
	if (!r && b->file && b->length)
		r = cli_error(CLI_USAGE, "--length: --text has texts of its own; leave one out");
	return r ? r : cli_need_model(&b->o);
}

/* ---- Texts ------------------------------------------------------------------- */

/* A punctuation mark is always a token of its own. */
static int make_texts(struct model_bench *b)
{
	size_t i;

	b->n = b->o.batch ? b->o.batch : 1;
	b->texts = calloc(b->n, sizeof(*b->texts));
	b->made_up = malloc(b->length);
	if (!b->texts || !b->made_up)
		return cli_error(CLI_FAILURE, "no memory for %zu texts", b->n);
	memset(b->made_up, '.', b->length);
	for (i = 0; i < b->n; i++)
		b->texts[i] = (struct damf_text){ .text = b->made_up, .len = b->length - 2 };
	return 0;
}

static int read_texts(struct model_bench *b)
{
	int r = cli_read_text(b->file, &b->lines);

	b->texts = b->lines.lines;
	b->n = b->lines.n;
	if (!r && !b->n)
		r = cli_error(CLI_INPUT, "%s: there is no text in it", cli_input_name(b->file));
	return r;
}

/* Texts that were cut would be measured as if they were whole. */
static int choose_length(struct model_bench *b)
{
	struct damf_model_info m = { .size = sizeof(m) };

	if (b->file)
		return 0;
	damf_model_get_info(b->model, &m);
	if (!b->o.max_length)
		b->o.max_length = b->length ? b->length : m.max_length;
	if (!b->length)
		b->length = b->o.max_length < 128 ? b->o.max_length : 128;
	if (b->length <= b->o.max_length)
		return 0;
	return cli_error(CLI_USAGE, "--length %u: it must be at most the --max-length of %u",
			 b->length, b->o.max_length);
}

/* ---- Measuring ---------------------------------------------------------------- */

static int run_some(struct model_bench *b, size_t n)
{
	struct damf_error err;

	if (damf_session_run(b->session, b->texts, n, b->out, NULL, &err))
		return cli_error(CLI_DEVICE, "%s", err.text);
	return 0;
}

static uint64_t engine_ns(struct damf_session *session)
{
	struct damf_session_stats s = { .size = sizeof(s) };

	damf_session_get_stats(session, &s);
	return s.engine_ns;
}

static int run(void *arg)
{
	struct model_bench *b = arg;
	uint64_t start = engine_ns(b->session);
	int r = run_some(b, b->n);

	b->engine_ms[b->done++] = (double)(engine_ns(b->session) - start) * 1e-6;
	return r;
}

/* MACs and tokens of one run. */
static double macs_of(const struct model_bench *b, const struct damf_session_stats *s)
{
	uint64_t macs = s->static_macs - b->before.static_macs + s->dynamic_macs -
			b->before.dynamic_macs;

	return (double)macs / b->times.runs;
}

static uint64_t tokens_of(const struct model_bench *b, const struct damf_session_stats *s)
{
	return (s->tokens - b->before.tokens) / b->times.runs;
}

static void set_figures(json_t *o, const struct model_bench *b,
			const struct damf_session_stats *s, const struct damf_model_info *m)
{
	cli_set_text(o, "backend", s->backend);
	cli_set_text(o, "isa", s->isa);
	cli_set_text(o, "attention", m->attention);
	cli_set_text(o, "dtype", m->dtype);
	cli_set_count(o, "texts", b->n);
	if (!b->file)
		cli_set_count(o, "length", b->length);
	cli_set_count(o, "tokens", tokens_of(b, s));
	bench_set_times(o, &b->times);
	json_object_set_new(o, "engine_ms", json_real(bench_median(b->engine_ms, b->done)));
	json_object_set_new(o, "texts_per_second", json_real((double)b->n / b->times.median * 1e3));
	json_object_set_new(o, "macs", json_real(macs_of(b, s)));
}

static int report(const struct model_bench *b)
{
	struct damf_session_stats s = { .size = sizeof(s) };
	struct damf_model_info m = { .size = sizeof(m) };
	const struct bench_times *t = &b->times;
	json_t *o;
	double macs;

	damf_session_get_stats(b->session, &s);
	damf_model_get_info(b->model, &m);
	if (b->o.json) {
		o = json_object();
		set_figures(o, b, &s, &m);
		return cli_print_json(o);
	}
	macs = macs_of(b, &s);
	printf("%s%s%s, attention %s, %s: %zu texts of %llu tokens in all, %u runs\n", s.backend,
	       *s.isa ? " " : "", s.isa, m.attention, m.dtype, b->n,
	       (unsigned long long)tokens_of(b, &s), t->runs);
	printf("median %.3f ms, least %.3f, most %.3f; %.1f texts/s; %.1f M MACs, %.2f G MACs/s\n",
	       t->median, t->least, t->most, (double)b->n / t->median * 1e3, macs * 1e-6,
	       macs / t->median * 1e-6);
	printf("on the engine: median %.3f ms\n", bench_median(b->engine_ms, b->done));
	return CLI_OK;
}

static int measure(struct model_bench *b)
{
	int r = b->file ? read_texts(b) : make_texts(b);

	if (r)
		return r;
	b->out = calloc(b->n, damf_session_width(b->session) * sizeof(*b->out));
	b->engine_ms = calloc(b->repeat, sizeof(*b->engine_ms));
	if (!b->out || !b->engine_ms)
		return cli_error(CLI_FAILURE, "no memory for the results of %zu texts", b->n);
	r = run_some(b, b->file && b->n > WARM ? WARM : b->n);
	b->before.size = sizeof(b->before);
	damf_session_get_stats(b->session, &b->before);
	if (!r)
		r = bench_measure(&b->times, b->repeat, run, b);
	return r ? r : report(b);
}

int bench_model(int argc, char **argv)
{
	struct model_bench b = { .o = { .backend = "cpu" }, .repeat = 10 };
	int r = parse(&b, argc, argv);

	if (r || b.o.help)
		return r ? r : help();
	r = cli_open_model(&b.o, 0, &b.model);
	if (!r)
		r = choose_length(&b);
	if (!r)
		r = cli_open_session(&b.o, b.model, DAMF_TASK_EMBED, &b.session);
	if (!r)
		r = measure(&b);
	bench_times_free(&b.times);
	damf_session_free(b.session);
	damf_model_unref(b.model);
	if (!b.file)
		free(b.texts);
	free(b.made_up);
	free(b.engine_ms);
	free(b.out);
	cli_text_free(&b.lines);
	return r;
}
