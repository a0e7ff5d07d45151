// SPDX-License-Identifier: MIT
/* damf classify */
#include <stdlib.h>
#include <string.h>

#include "stream.h"

struct classify {
	struct cli_options o;
	bool pairs;
	const char *input;
	struct damf_model *model;
	struct cli_lines lines;
	uint32_t labels;
};

static int help(void)
{
	printf("usage: damf classify --model DIR [OPTION...] [FILE|-]\n\n"
	       "The label of each line, its probability, and those of all labels with --json.\n\n"
	       "  --model DIR            a Hugging Face directory with a classifier\n"
	       "  --pairs                a line is two texts with a tab between\n"
	       "  --json                 an object a line\n"
	       CLI_HELP_RUN);
	return CLI_OK;
}

static int parse(struct classify *v, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_LENGTH, CLI_OPT_RUN,
		{ "pairs", no_argument, NULL, 'P' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		if (c == 'P')
			v->pairs = true;
		else if ((r = cli_option(&v->o, c, argv)))
			return r;
	}
	if (v->o.help)
		return 0;
	r = cli_need_model(&v->o);
	if (r)
		return r;
	v->input = cli_only_argument(argc, argv);
	return v->input ? 0 : CLI_USAGE;
}

/* A line is the two texts at its tab. */
static int split_pairs(void *arg, struct cli_block *b)
{
	const char *at;
	size_t len;

	(void)arg;
	for (; b->texts_n < b->n; b->texts_n++) {
		struct damf_text *t = &b->texts[b->texts_n];

		*t = b->lines[b->texts_n];
		b->line[b->texts_n] = b->first + b->texts_n;
		if (!cli_column(t, 2, &at, &len))
			return cli_error(CLI_INPUT, "line %zu: there is no tab between two texts",
					 b->line[b->texts_n]);
		t->pair = at;
		t->pair_len = len;
		t->len = (size_t)(at - t->text) - 1;
	}
	return 0;
}

static void print(const struct damf_model *model, const float *p, uint32_t labels, bool json)
{
	uint32_t i, best = 0;

	for (i = 1; i < labels; i++)
		if (p[i] > p[best])
			best = i;
	if (json) {
		json_t *o = json_object(), *all = json_object();

		for (i = 0; i < labels; i++)
			json_object_set_new(all, damf_model_label(model, i),
					    json_real((double)p[i]));
		json_object_set_new(o, "label", json_string(damf_model_label(model, best)));
		json_object_set_new(o, "probabilities", all);
		json_dumpf(o, stdout, JSON_PRESERVE_ORDER);
		putchar('\n');
		json_decref(o);
	} else {
		printf("%s\t%.6f\n", damf_model_label(model, best), (double)p[best]);
	}
}

static int take(void *arg, const struct cli_block *b)
{
	const struct classify *v = arg;
	size_t i;

	for (i = 0; i < b->texts_n; i++)
		print(v->model, b->out + i * v->labels, v->labels, v->o.json);
	return cli_flush();
}

static int classify(struct classify *v)
{
	struct cli_stream stream = {
		.lines = &v->lines, .take = take, .texts = v->pairs ? split_pairs : NULL, .arg = v,
	};
	int r = cli_open_session(&v->o, v->model, DAMF_TASK_CLASSIFY, &stream.session);

	if (r)
		return r == CLI_USAGE && !damf_model_label(v->model, 0) ? CLI_INPUT : r;
	v->labels = damf_session_width(stream.session);
	r = cli_stream_run(&stream, !v->pairs);
	damf_session_free(stream.session);	/* before what its results go to */
	cli_stream_free(&stream);
	return r;
}

int cmd_classify(int argc, char **argv)
{
	struct classify v = { .o = { .backend = "auto" } };
	int r = parse(&v, argc, argv);

	if (r || v.o.help)
		return r ? r : help();
	r = cli_lines_open(&v.lines, v.input);
	if (!r)
		r = cli_open_model(&v.o, 0, &v.model);
	if (!r)
		r = classify(&v);
	damf_model_unref(v.model);
	cli_lines_close(&v.lines);
	return r;
}
