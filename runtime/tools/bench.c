// SPDX-License-Identifier: MIT
/* damf bench: the time of one batch, measured. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct bench {
	struct cli_options o;
	uint32_t length, repeat;
	double *ms, *engine_ms;	/* [repeat]; from submission to result, and on the engine */
};

static int help(void)
{
	printf("usage: damf bench --model DIR [OPTION...]\n\n"
	       "The time of one batch of made-up texts of one length: the median, the least and\n"
	       "the most of several runs after one that isn't counted, and the median of the time\n"
	       "on the engine alone.\n\n"
	       "  --model DIR            a Hugging Face directory, or one that damf convert made\n"
	       "  --length N             tokens of a text (default: 128, or the model's limit)\n"
	       "  --repeat N             runs that are measured (default: 10)\n"
	       "  --list-tokens N        tokens that go to the device as one list (default: 1024)\n"
	       "  --json                 the figures as JSON\n"
	       CLI_HELP_RUN);
	return CLI_OK;
}

static int parse(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_LENGTH, CLI_OPT_RUN,
		{ "length", required_argument, NULL, 'L' },
		{ "repeat", required_argument, NULL, 'R' },
		{ "list-tokens", required_argument, NULL, 'T' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		if (c == 'L')
			r = cli_number("--length", optarg, 3, 32768, &b->length);
		else if (c == 'R')
			r = cli_number("--repeat", optarg, 1, 100000, &b->repeat);
		else if (c == 'T')
			r = cli_number("--list-tokens", optarg, 1, 1 << 24, &b->o.list_tokens);
		else
			r = cli_option(&b->o, c, argv);
		if (r)
			return r;
	}
	if (b->o.help)
		return 0;
	if (optind < argc)
		return cli_error(CLI_USAGE, "\"%s\": there is no such argument; see --help",
				 argv[optind]);
	return cli_need_model(&b->o);
}

/* A punctuation mark is always a token of its own. */
static char *make_text(uint32_t length)
{
	char *text = malloc(length);

	if (text)
		memset(text, '.', length);
	return text;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts v. */
static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return 0.5 * (v[(n - 1) / 2] + v[n / 2]);
}

static int report(const struct bench *b, struct damf_session *session,
		  const struct damf_model *model, uint32_t texts)
{
	struct damf_session_stats s = { .size = sizeof(s) };
	struct damf_model_info m = { .size = sizeof(m) };
	double middle = median(b->ms, b->repeat), engine = median(b->engine_ms, b->repeat), macs;
	json_t *o;

	damf_session_get_stats(session, &s);
	damf_model_get_info(model, &m);
	macs = (double)(s.static_macs + s.dynamic_macs) / (b->repeat + 1);
	if (b->o.json) {
		o = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "backend",
			      s.backend, "isa", s.isa, "attention", m.attention, "dtype", m.dtype,
			      "texts", (int)texts, "length", (int)b->length, "runs", (int)b->repeat,
			      "median_ms", middle, "min_ms", b->ms[0], "max_ms",
			      b->ms[b->repeat - 1], "engine_ms", engine, "texts_per_second",
			      texts / middle * 1e3, "macs", macs);
		return cli_print_json(o);
	}
	printf("%s%s%s, attention %s, %s: %u texts of %u tokens, %u runs\n", s.backend,
	       *s.isa ? " " : "", s.isa, m.attention, m.dtype, texts, b->length, b->repeat);
	printf("median %.3f ms, least %.3f, most %.3f; %.1f texts/s; %.1f M MACs a batch, %.2f G MACs/s\n",
	       middle, b->ms[0], b->ms[b->repeat - 1], texts / middle * 1e3, macs * 1e-6,
	       macs / middle * 1e-6);
	printf("on the engine: median %.3f ms\n", engine);
	return CLI_OK;
}

static uint64_t engine_ns(struct damf_session *session)
{
	struct damf_session_stats s = { .size = sizeof(s) };

	damf_session_get_stats(session, &s);
	return s.engine_ns;
}

static int measure(struct bench *b, struct damf_session *session, const struct damf_model *model)
{
	uint32_t n = b->o.batch ? b->o.batch : 1, i;
	struct damf_text *texts = calloc(n, sizeof(*texts));
	float *out = calloc(n, damf_session_width(session) * sizeof(*out));
	char *text = make_text(b->length);
	struct damf_error err;
	int r = 0;

	b->ms = calloc(b->repeat, sizeof(*b->ms));
	b->engine_ms = calloc(b->repeat, sizeof(*b->engine_ms));
	if (!texts || !out || !text || !b->ms || !b->engine_ms)
		r = cli_error(CLI_FAILURE, "no memory for %u texts", n);
	for (i = 0; i < n && !r; i++)
		texts[i] = (struct damf_text){ .text = text, .len = b->length - 2 };
	for (i = 0; i <= b->repeat && !r; i++) {
		uint64_t start_ns = engine_ns(session);
		double start = cli_seconds();

		cli_progress("runs", i, b->repeat + 1);
		if (damf_session_run(session, texts, n, out, NULL, &err))
			r = cli_error(CLI_DEVICE, "%s", err.text);
		if (r || !i)
			continue;
		b->ms[i - 1] = (cli_seconds() - start) * 1e3;
		b->engine_ms[i - 1] = (double)(engine_ns(session) - start_ns) * 1e-6;
	}
	cli_progress("runs", 1, 1);
	if (!r)
		r = report(b, session, model, n);
	free(texts);
	free(out);
	free(text);
	return r;
}

/* Texts that were cut would be measured as if they were whole. */
static int choose_length(struct bench *b, const struct damf_model *model)
{
	struct damf_model_info m = { .size = sizeof(m) };

	damf_model_get_info(model, &m);
	if (!b->o.max_length)
		b->o.max_length = b->length ? b->length : m.max_length;
	if (!b->length)
		b->length = b->o.max_length < 128 ? b->o.max_length : 128;
	if (b->length <= b->o.max_length)
		return 0;
	return cli_error(CLI_USAGE, "--length %u: it must be at most the --max-length of %u",
			 b->length, b->o.max_length);
}

int cmd_bench(int argc, char **argv)
{
	struct bench b = { .o = { .backend = "cpu" }, .repeat = 10 };
	struct damf_session *session = NULL;
	struct damf_model *model = NULL;
	int r = parse(&b, argc, argv);

	if (r || b.o.help)
		return r ? r : help();
	r = cli_open_model(&b.o, 0, &model);
	if (!r)
		r = choose_length(&b, model);
	if (!r)
		r = cli_open_session(&b.o, model, DAMF_TASK_EMBED, &session);
	if (!r)
		r = measure(&b, session, model);
	free(b.ms);
	free(b.engine_ms);
	damf_session_free(session);
	damf_model_unref(model);
	return r;
}
