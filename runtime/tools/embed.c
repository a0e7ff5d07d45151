// SPDX-License-Identifier: MIT
/* damf embed */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../lib/model/file.h"
#include "cli.h"

struct embed {
	struct cli_options o;
	const char *format_name, *stats, *input;
	enum cli_format format;
};

static int help(void)
{
	printf("usage: damf embed --model DIR [OPTION...] [FILE|-]\n\n"
	       "Embeds each line of FILE, or of standard input. Lines are UTF-8. An empty line\n"
	       "is embedded too, as [CLS] [SEP], so that results stay line for line. Special\n"
	       "tokens typed in the text, such as [SEP], are those tokens.\n\n"
	       "  --model DIR            a Hugging Face directory, or one that damf convert made\n"
	       "  --format npy|jsonl|table\n"
	       "                         default: by the ending of --output, else npy for a file\n"
	       "                         and a table for standard output\n"
	       "  --output FILE          where the results go; it appears when it is whole\n"
	       "  --stats FILE           what it took, as JSON\n"
	       "  --json                 the same on standard output; needs --output\n"
	       CLI_HELP_RUN);
	return CLI_OK;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static int choose_format(struct embed *e)
{
	static const char *const names[] = { "npy", "jsonl", "table" };
	const char *want = e->format_name;
	unsigned int i;

	if (!want && e->o.output)
		want = ends_with(e->o.output, ".jsonl") ? "jsonl" : "npy";
	else if (!want)
		want = "table";
	for (i = 0; i < 3; i++) {
		if (!strcmp(want, names[i])) {
			e->format = (enum cli_format)i;
			return 0;
		}
	}
	return cli_error(CLI_USAGE, "--format %s: it must be npy, jsonl or table", want);
}

static int check(struct embed *e, int argc, char **argv)
{
	int r = cli_need_model(&e->o);

	if (e->o.output && !strcmp(e->o.output, "-"))
		e->o.output = NULL;
	if (!r)
		r = choose_format(e);
	if (r)
		return r;
	e->input = cli_only_argument(argc, argv);
	if (!e->input)
		return CLI_USAGE;
	if (e->o.json && !e->o.output)
		return cli_error(CLI_USAGE, "--json puts what the run took on standard output: name a file for the results with --output");
	if (e->format == CLI_NPY && !e->o.output && isatty(STDOUT_FILENO))
		return cli_error(CLI_USAGE, "--format npy is no text: name a file with --output, or use a pipe");
	return 0;
}

static int parse(struct embed *e, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_OUTPUT, CLI_OPT_LENGTH,
		CLI_OPT_RUN, { "format", required_argument, NULL, 'F' },
		{ "stats", required_argument, NULL, 'S' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":ho:", options, NULL)) >= 0) {
		if (c == 'F')
			e->format_name = optarg;
		else if (c == 'S')
			e->stats = optarg;
		else if ((r = cli_option(&e->o, c, argv)))
			return r;
	}
	return e->o.help ? 0 : check(e, argc, argv);
}

/* ---- Output ---------------------------------------------------------------------- */

static int write_rows(const struct embed *e, const struct cli_run *run, uint32_t width,
		      struct damf_out *out)
{
	struct damf_error err;

	if (!e->o.output) {
		if (cli_write_rows(stdout, e->format, run, width) || fflush(stdout))
			return cli_error(CLI_FAILURE, "cannot write to standard output: %s",
					 strerror(errno));
		return 0;
	}
	cli_write_rows(out->f, e->format, run, width);
	return damf_out_commit(out, &err) ? cli_error(CLI_FAILURE, "%s", err.text) : 0;
}

static int write_stats(const char *path, json_t *stats)
{
	struct damf_error err = { 0 };
	struct damf_out out;

	if (damf_out_open(&out, path, &err))
		return cli_error(CLI_FAILURE, "%s", err.text);
	json_dumpf(stats, out.f, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	fputc('\n', out.f);
	return damf_out_commit(&out, &err) ? cli_error(CLI_FAILURE, "%s", err.text) : 0;
}

static int embed(const struct embed *e, struct damf_model *model, const struct cli_text *text,
		 struct damf_out *out)
{
	struct cli_run run = { .texts = text->lines, .n = text->n };
	struct damf_session *session;
	json_t *stats;
	int r = cli_open_session(&e->o, model, DAMF_TASK_EMBED, &session);

	if (r)
		return r;
	r = cli_run_texts(session, &run);
	if (!r)
		r = write_rows(e, &run, damf_session_width(session), out);
	if (!r) {
		stats = cli_stats(session, model, &run);
		if (e->stats)
			r = write_stats(e->stats, stats);
		if (!r && e->o.json)
			r = cli_print_json(json_incref(stats));
		json_decref(stats);
	}
	cli_run_free(&run);
	damf_session_free(session);
	return r;
}

int cmd_embed(int argc, char **argv)
{
	struct embed e = { .o = { .backend = "auto" } };
	struct damf_model *model = NULL;
	struct damf_out out = { 0 };
	struct damf_error err;
	struct cli_text text;
	int r = parse(&e, argc, argv);

	if (r || e.o.help)
		return r ? r : help();
	/* What can't be written is told before the work, not after it. */
	if (e.o.output && damf_out_open(&out, e.o.output, &err))
		return cli_error(CLI_FAILURE, "%s", err.text);
	r = cli_read_text(e.input, &text);
	if (!r) {
		cli_note_empty(&text);
		r = cli_open_model(&e.o, 0, &model);
	}
	if (!r)
		r = embed(&e, model, &text, &out);
	damf_out_abort(&out);
	damf_model_unref(model);
	cli_text_free(&text);
	return r;
}
