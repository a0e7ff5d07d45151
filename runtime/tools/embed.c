// SPDX-License-Identifier: MIT
/* damf embed */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/model/file.h"
#include "stream.h"

struct embed {
	struct cli_options o;
	const char *format_name, *stats, *input;
	enum cli_format format;
	struct damf_out file, figures;	/* of --output and --stats, not open: f is NULL */
	struct cli_lines lines;
	struct cli_rows rows;
};

static int help(void)
{
	printf("usage: damf embed --model DIR [OPTION...] [FILE|-]\n\n"
	       "Embeds each line of FILE, or of standard input. Lines are UTF-8. An empty line\n"
	       "is embedded too, as [CLS] [SEP], so that results stay line for line. Special\n"
	       "tokens typed in the text, such as [SEP], are those tokens. Any number of lines is\n"
	       "taken, in constant memory; jsonl and table come as lines are done.\n\n"
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

/* The text would be gone once the results are there. */
static int check_same(const char *option, const char *path, const char *input)
{
	struct stat a, b;

	if (!path || !strcmp(input, "-") || stat(path, &a) || stat(input, &b) ||
	    !S_ISREG(a.st_mode) || a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return 0;
	return cli_error(CLI_USAGE, "%s %s: that is the file of the text: name another one", option,
			 path);
}

/* What can't be written is told before the work, not after it. */
static int open_outputs(struct embed *e)
{
	struct damf_error err;
	int r = check_same("--output", e->o.output, e->input);

	if (!r)
		r = check_same("--stats", e->stats, e->input);
	if (!r && e->o.output && e->stats && !strcmp(e->o.output, e->stats))
		r = cli_error(CLI_USAGE, "--stats %s: --output goes there already", e->stats);
	if (r)
		return r;
	if ((e->o.output && damf_out_open(&e->file, e->o.output, &err)) ||
	    (e->stats && damf_out_open(&e->figures, e->stats, &err)))
		return cli_error(CLI_FAILURE, "%s", err.text);
	return 0;
}

static int commit(struct damf_out *out)
{
	struct damf_error err;

	return damf_out_commit(out, &err) ? cli_error(CLI_FAILURE, "%s", err.text) : 0;
}

/* Rows that are shown at once, or will be; what can't be written ends the run. */
static int take(void *arg, const struct cli_block *b)
{
	struct embed *e = arg;
	int r = cli_rows_add(&e->rows, b);

	if (r)
		return r;
	if (!e->o.output)
		return cli_flush();
	return ferror(e->file.f) ? commit(&e->file) : 0;
}

/* The figures first: the results appear when there is nothing left to fail. */
static int write_all(struct embed *e, json_t *stats)
{
	int r = 0;

	if (e->stats) {
		json_dumpf(stats, e->figures.f, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		fputc('\n', e->figures.f);
		r = commit(&e->figures);
	}
	if (!r)
		r = cli_rows_end(&e->rows);
	if (r)
		return r;
	r = e->o.output ? commit(&e->file) : cli_flush();
	return r || !e->o.json ? r : cli_print_json(json_incref(stats));
}

static int embed(struct embed *e, struct damf_model *model)
{
	struct cli_stream stream = { .lines = &e->lines, .take = take, .arg = e };
	json_t *stats;
	int r = cli_open_session(&e->o, model, DAMF_TASK_EMBED, &stream.session);

	if (r)
		return r;
	e->rows = (struct cli_rows){
		.to = e->o.output ? e->file.f : stdout, .format = e->format,
		.width = damf_session_width(stream.session),
	};
	r = cli_rows_begin(&e->rows, e->o.output && !e->file.at_once);
	if (!r)
		r = cli_stream_run(&stream, true);
	if (!r) {
		stats = cli_stats(stream.session, model, stream.seconds);
		r = write_all(e, stats);
		json_decref(stats);
	}
	cli_rows_abort(&e->rows);
	damf_session_free(stream.session);	/* before what its results go to */
	cli_stream_free(&stream);
	return r;
}

int cmd_embed(int argc, char **argv)
{
	struct embed e = { .o = { .backend = "auto" }, .lines = { .fd = -1 } };
	struct damf_model *model = NULL;
	int r = parse(&e, argc, argv);

	if (r || e.o.help)
		return r ? r : help();
	r = open_outputs(&e);
	if (!r)
		r = cli_lines_open(&e.lines, e.input);
	if (!r)
		r = cli_open_model(&e.o, 0, &model);
	if (!r)
		r = embed(&e, model);
	damf_out_abort(&e.file);
	damf_out_abort(&e.figures);
	damf_model_unref(model);
	cli_lines_close(&e.lines);
	return r;
}
