// SPDX-License-Identifier: MIT
/* damf similarity */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stream.h"

struct similarity {
	struct cli_options o;
	uint32_t column[3], columns;	/* the two sentences, and perhaps the score */
	bool header;
	const char *input;
	struct cli_lines lines;
	uint32_t width;

	/* what is kept of each pair */
	size_t n, read, room;		/* done, read, that there is room for */
	size_t *line;			/* from 1 */
	double *score, *cosine;
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

static int grow(struct similarity *s)
{
	size_t room = s->room ? 2 * s->room : 1024;
	size_t *line = realloc(s->line, room * sizeof(*line));
	double *score, *cosine;

	if (line)
		s->line = line;
	score = realloc(s->score, room * sizeof(*score));
	if (score)
		s->score = score;
	cosine = realloc(s->cosine, room * sizeof(*cosine));
	if (cosine)
		s->cosine = cosine;
	if (!line || !score || !cosine)
		return cli_error(CLI_FAILURE, "no memory for %zu pairs", room);
	s->room = room;
	return 0;
}

static int add_pair(struct similarity *s, struct cli_block *b, size_t number, const char **at,
		    const size_t *len)
{
	uint32_t i;
	int r = s->read == s->room ? grow(s) : 0;

	if (!r && s->columns == 3)
		r = parse_score(at[2], len[2], number, &s->score[s->read]);
	if (r)
		return r;
	for (i = 0; i < 2; i++) {
		b->line[b->texts_n] = number;
		b->texts[b->texts_n++] = (struct damf_text){ .text = at[i], .len = len[i] };
	}
	s->line[s->read++] = number;
	return 0;
}

static int take_line(struct similarity *s, struct cli_block *b, const struct damf_text *line,
		     size_t number)
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
	return add_pair(s, b, number, at, len);
}

static void strip_bom(struct damf_text *line)
{
	if (line->len >= 3 && !memcmp(line->text, "\xef\xbb\xbf", 3)) {
		line->text += 3;
		line->len -= 3;
	}
}

static int read_pairs(void *arg, struct cli_block *b)
{
	struct similarity *s = arg;
	size_t i;
	int r = 0;

	if (b->n && b->first == 1)
		strip_bom(&b->lines[0]);
	for (i = s->header && b->first == 1 ? 1 : 0; i < b->n && !r; i++)
		r = take_line(s, b, &b->lines[i], b->first + i);
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

static void print_pair(const struct similarity *s, size_t i)
{
	printf("%zu\t%.6f", s->line[i], s->cosine[i]);
	if (s->columns == 3)
		printf("\t%g", s->score[i]);
	putchar('\n');
}

static int print_end(const struct similarity *s, double rho)
{
	if (s->columns == 3 && isfinite(rho))
		printf("# %zu pairs, Spearman's rho %.6f\n", s->n, rho);
	else if (s->columns == 3)
		printf("# %zu pairs, Spearman's rho is not defined: one side is constant\n", s->n);
	else
		printf("# %zu pairs\n", s->n);
	return CLI_OK;
}

static int take(void *arg, const struct cli_block *b)
{
	struct similarity *s = arg;
	size_t i;

	for (i = 0; i < b->texts_n; i += 2, s->n++) {
		s->cosine[s->n] = cli_cosine(b->out + i * s->width, b->out + (i + 1) * s->width,
					     s->width);
		if (!s->o.json)
			print_pair(s, s->n);
	}
	return cli_flush();
}

static int finish(struct similarity *s, struct damf_model *model, const struct cli_stream *stream)
{
	double rho = NAN;

	if (!s->n)
		return cli_error(CLI_INPUT, "%s: it holds no pairs", s->lines.name);
	if (s->columns == 3 && cli_spearman(s->cosine, s->score, s->n, &rho))
		return cli_error(CLI_FAILURE, "no memory for the ranks of %zu pairs", s->n);
	return s->o.json ? print_json(s, rho, cli_stats(stream->session, model, stream->seconds)) :
			   print_end(s, rho);
}

static int compare(struct similarity *s, struct damf_model *model)
{
	struct cli_stream stream = {
		.lines = &s->lines, .texts = read_pairs, .take = take, .arg = s,
	};
	int r = cli_open_session(&s->o, model, DAMF_TASK_EMBED, &stream.session);

	if (r)
		return r;
	s->width = damf_session_width(stream.session);
	r = cli_stream_run(&stream, false);
	if (!r)
		r = finish(s, model, &stream);
	damf_session_free(stream.session);	/* before what its results go to */
	cli_stream_free(&stream);
	return r;
}

int cmd_similarity(int argc, char **argv)
{
	struct similarity s = { .o = { .backend = "auto" } };
	struct damf_model *model = NULL;
	int r = parse(&s, argc, argv);

	if (r || s.o.help)
		return r ? r : help();
	r = cli_lines_open(&s.lines, s.input);
	if (!r)
		r = cli_open_model(&s.o, 0, &model);
	if (!r)
		r = compare(&s, model);
	damf_model_unref(model);
	cli_lines_close(&s.lines);
	free(s.line);
	free(s.score);
	free(s.cosine);
	return r;
}
