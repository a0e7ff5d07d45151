// SPDX-License-Identifier: MIT
/* damf classify */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct classify {
	struct cli_options o;
	bool pairs;
	const char *input;
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

/* A line becomes the two texts at its tab. */
static int split_pairs(struct cli_text *text)
{
	const char *at;
	size_t i, len;

	for (i = 0; i < text->n; i++) {
		struct damf_text *t = &text->lines[i];

		if (!cli_column(t, 2, &at, &len))
			return cli_error(CLI_INPUT, "line %zu: there is no tab between two texts",
					 i + 1);
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

static int classify(const struct classify *v, struct damf_model *model,
		    const struct cli_text *text)
{
	struct cli_run run = { .texts = text->lines, .n = text->n };
	struct damf_session *session;
	uint32_t labels;
	size_t i;
	int r = cli_open_session(&v->o, model, DAMF_TASK_CLASSIFY, &session);

	if (r)
		return r == CLI_USAGE && !damf_model_label(model, 0) ? CLI_INPUT : r;
	labels = damf_session_width(session);
	r = cli_run_texts(session, &run);
	for (i = 0; i < run.n && !r; i++)
		print(model, run.out + i * labels, labels, v->o.json);
	damf_session_free(session);	/* before what its results go to */
	cli_run_free(&run);
	return r;
}

int cmd_classify(int argc, char **argv)
{
	struct classify v = { .o = { .backend = "auto" } };
	struct damf_model *model = NULL;
	struct cli_text text;
	int r = parse(&v, argc, argv);

	if (r || v.o.help)
		return r ? r : help();
	r = cli_read_text(v.input, &text);
	if (!r && v.pairs)
		r = split_pairs(&text);
	if (!r) {
		if (!v.pairs)
			cli_note_empty(&text);
		r = cli_open_model(&v.o, 0, &model);
	}
	if (!r)
		r = classify(&v, model, &text);
	damf_model_unref(model);
	cli_text_free(&text);
	return r;
}
