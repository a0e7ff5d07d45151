// SPDX-License-Identifier: MIT
/* damf similarity */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct similarity {
	struct cli_options o;
	uint32_t column[3], columns;	/* the two sentences, and perhaps the score */
	bool header;
	const char *input;

	size_t n;			/* pairs */
	size_t *line;			/* of each, from 1 */
	struct damf_text *texts;	/* [2 * n] */
	double *score, *cosine;		/* [n] */
};

static int help(void)
{
	printf("usage: damf similarity --model DIR --columns A,B[,SCORE] [OPTION...] [FILE.tsv|-]\n\n"
	       "The cosine of the embeddings of two sentences a line, and with a score column\n"
	       "Spearman's rank correlation of the two. Columns are separated by tabs and count\n"
	       "from 1; quotes mean nothing. Wholly empty lines are skipped.\n\n"
	       "  --model DIR            a Hugging Face directory, or one that damf convert made\n"
	       "  --columns A,B[,SCORE]  columns of the sentences and of the score\n"
	       "  --header               skip the first line\n"
	       "  --json                 an object with \"pairs\" and \"spearman\"\n"
	       CLI_HELP_RUN);
	return CLI_OK;
}

static int parse_columns(struct similarity *s, char *text)
{
	char *part;
	int r;

	s->columns = 0;
	while ((part = strsep(&text, ","))) {
		if (s->columns == 3)
			return cli_error(CLI_USAGE, "--columns: three columns at most");
		r = cli_number("--columns", part, 1, 65536, &s->column[s->columns++]);
		if (r)
			return r;
	}
	if (s->columns < 2)
		return cli_error(CLI_USAGE, "--columns: it needs the columns of two sentences, such as 1,2");
	return 0;
}

static int parse(struct similarity *s, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_LENGTH, CLI_OPT_RUN,
		{ "columns", required_argument, NULL, 'C' },
		{ "header", no_argument, NULL, 'H' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		if (c == 'C')
			r = parse_columns(s, optarg);
		else if (c == 'H')
			r = !(s->header = true);
		else
			r = cli_option(&s->o, c, argv);
		if (r)
			return r;
	}
	if (s->o.help)
		return 0;
	r = cli_need_model(&s->o);
	if (!r && !s->columns)
		r = cli_error(CLI_USAGE, "no columns: give --columns A,B or --columns A,B,SCORE");
	s->input = r ? NULL : cli_only_argument(argc, argv);
	return s->input ? 0 : CLI_USAGE;
}

/* ---- The table -------------------------------------------------------------------- */

static int parse_score(const char *at, size_t len, size_t line, double *score)
{
	char text[64], *end;

	snprintf(text, sizeof(text), "%.*s", (int)(len < 63 ? len : 63), at);
	*score = strtod(text, &end);
	if (!len || *end || !isfinite(*score))
		return cli_error(CLI_INPUT,
				 "line %zu: the score \"%s\" is not a number: check --columns, or skip a header with --header",
				 line, text);
	return 0;
}

static int take_line(struct similarity *s, const struct damf_text *line, size_t number)
{
	const char *at[3];
	size_t len[3];
	uint32_t i;

	if (!line->len)
		return 0;
	for (i = 0; i < s->columns; i++)
		if (!cli_column(line, s->column[i], &at[i], &len[i]))
			return cli_error(CLI_INPUT, "line %zu: there is no column %u: check --columns",
					 number, s->column[i]);
	for (i = 0; i < 2; i++)
		s->texts[2 * s->n + i] = (struct damf_text){ .text = at[i], .len = len[i] };
	s->line[s->n] = number;
	s->n++;
	return s->columns == 3 ? parse_score(at[2], len[2], number, &s->score[s->n - 1]) : 0;
}

static void strip_bom(struct cli_text *text)
{
	if (text->n && text->lines[0].len >= 3 && !memcmp(text->lines[0].text, "\xef\xbb\xbf", 3)) {
		text->lines[0].text += 3;
		text->lines[0].len -= 3;
	}
}

static int read_pairs(struct similarity *s, struct cli_text *text)
{
	size_t i;
	int r = 0;

	s->line = calloc(text->n + 1, sizeof(*s->line));
	s->texts = calloc(2 * text->n + 1, sizeof(*s->texts));
	s->score = calloc(text->n + 1, sizeof(*s->score));
	s->cosine = calloc(text->n + 1, sizeof(*s->cosine));
	if (!s->line || !s->texts || !s->score || !s->cosine)
		return cli_error(CLI_FAILURE, "no memory for %zu pairs", text->n);
	strip_bom(text);
	for (i = s->header ? 1 : 0; i < text->n && !r; i++)
		r = take_line(s, &text->lines[i], i + 1);
	if (!r && !s->n)
		r = cli_error(CLI_INPUT, "%s: it holds no pairs", cli_input_name(s->input));
	return r;
}

/* ---- Output -------------------------------------------------------------------------- */

static json_t *number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

static int print_json(const struct similarity *s, double rho, json_t *stats)
{
	json_t *o = json_object(), *pairs = json_array();
	size_t i;

	for (i = 0; i < s->n; i++) {
		json_t *p = json_object();

		json_object_set_new(p, "line", json_integer((json_int_t)s->line[i]));
		json_object_set_new(p, "cosine", number(s->cosine[i]));
		if (s->columns == 3)
			json_object_set_new(p, "score", number(s->score[i]));
		json_array_append_new(pairs, p);
	}
	json_object_set_new(o, "count", json_integer((json_int_t)s->n));
	json_object_set_new(o, "spearman", number(rho));
	json_object_set_new(o, "stats", stats);
	json_object_set_new(o, "pairs", pairs);
	return cli_print_json(o);
}

static int print_table(const struct similarity *s, double rho)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		printf("%zu\t%.6f", s->line[i], s->cosine[i]);
		if (s->columns == 3)
			printf("\t%g", s->score[i]);
		putchar('\n');
	}
	if (s->columns == 3 && isfinite(rho))
		printf("# %zu pairs, Spearman's rho %.6f\n", s->n, rho);
	else if (s->columns == 3)
		printf("# %zu pairs, Spearman's rho is not defined: one side is constant\n", s->n);
	else
		printf("# %zu pairs\n", s->n);
	return CLI_OK;
}

static int compare(struct similarity *s, struct damf_model *model)
{
	struct cli_run run = { .texts = s->texts, .n = 2 * s->n, .pair_lines = s->line };
	struct damf_session *session;
	double rho = NAN;
	uint32_t width;
	size_t i;
	int r = cli_open_session(&s->o, model, DAMF_TASK_EMBED, &session);

	if (r)
		return r;
	width = damf_session_width(session);
	r = cli_run_texts(session, &run);
	for (i = 0; i < s->n && !r; i++)
		s->cosine[i] = cli_cosine(run.out + 2 * i * width, run.out + (2 * i + 1) * width,
					  width);
	if (!r && s->columns == 3 && cli_spearman(s->cosine, s->score, s->n, &rho))
		r = cli_error(CLI_FAILURE, "no memory for the ranks of %zu pairs", s->n);
	if (!r)
		r = s->o.json ? print_json(s, rho, cli_stats(session, model, &run)) :
				print_table(s, rho);
	damf_session_free(session);	/* before what its results go to */
	cli_run_free(&run);
	return r;
}

int cmd_similarity(int argc, char **argv)
{
	struct similarity s = { .o = { .backend = "auto" } };
	struct damf_model *model = NULL;
	struct cli_text text;
	int r = parse(&s, argc, argv);

	if (r || s.o.help)
		return r ? r : help();
	r = cli_read_text(s.input, &text);
	if (!r)
		r = read_pairs(&s, &text);
	if (!r)
		r = cli_open_model(&s.o, 0, &model);
	if (!r)
		r = compare(&s, model);
	damf_model_unref(model);
	cli_text_free(&text);
	free(s.line);
	free(s.texts);
	free(s.score);
	free(s.cosine);
	return r;
}
