/* SPDX-License-Identifier: MIT */
/* What the subcommands of damf share. */
#ifndef DAMF_CLI_H
#define DAMF_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "damf.h"

/* Exit codes, told by damf --help. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILURE = 1,	/* memory or writing */
	CLI_USAGE = 2,		/* the command line */
	CLI_INPUT = 3,		/* the model or the text: what is in it, or reading it */
	CLI_DEVICE = 4,		/* the device asked for, or its loss */
};

struct cli_command {
	const char *name, *summary;
	int (*run)(int argc, char **argv);
};

extern const struct cli_command cli_commands[];

/* Of a list that ends with a name of NULL: a line for each, and that of a name or NULL. */
void cli_print_commands(const struct cli_command *list);
const struct cli_command *cli_find_command(const struct cli_command *list, const char *name);

int cmd_convert(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_similarity(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_classify(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_report(int argc, char **argv);

/* "damf: LINE" on stderr; returns code. */
int cli_error(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Whether standard output has taken all; CLI_FAILURE after an error message if not. */
int cli_flush(void);
void cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One line that is rewritten, on a terminal only; all 0: unknown. The last one with done == all. */
void cli_progress(const char *what, size_t done, size_t all);
double cli_seconds(void);	/* of a clock that only goes on */

/* ---- Options -------------------------------------------------------------- */

/* Options that several commands have. */
struct cli_options {
	const char *model, *backend, *output;
	enum damf_attention attention;
	enum damf_dtype dtype;
	enum damf_xtype xtype;
	enum damf_submit_path submit;
	uint32_t batch, max_length, threads, list_tokens;	/* 0: the default */
	bool json, help;
};

/* The long options, as entries of a table for getopt_long(). */
#define CLI_OPT_HELP	{ "help", no_argument, NULL, 'h' }
#define CLI_OPT_JSON	{ "json", no_argument, NULL, 'j' }
#define CLI_OPT_MODEL	{ "model", required_argument, NULL, 'm' }
#define CLI_OPT_OUTPUT	{ "output", required_argument, NULL, 'o' }
#define CLI_OPT_LENGTH	{ "max-length", required_argument, NULL, 'l' }
#define CLI_OPT_TYPES \
	{ "dtype", required_argument, NULL, 'd' }, \
	{ "xtype", required_argument, NULL, 'x' }
#define CLI_OPT_KIND \
	{ "attention", required_argument, NULL, 'a' }, \
	CLI_OPT_TYPES
#define CLI_OPT_RUN \
	CLI_OPT_KIND, \
	{ "backend", required_argument, NULL, 'b' }, \
	{ "submit", required_argument, NULL, 's' }, \
	{ "batch", required_argument, NULL, 'n' }, \
	{ "threads", required_argument, NULL, 't' }

#define CLI_HELP_TYPES \
	"  --dtype f32|bf16|int8  of matrices and tables of embeddings (default: what a packed\n" \
	"                         model has, else f32)\n" \
	"  --xtype int8|int16     what activations become for int8 (default: int8)\n"
#define CLI_HELP_KIND \
	"  --attention MODE       mhsa (exact softmax), fold (DAMF), shift or foldshift (DAMF in\n" \
	"                         powers of two), softfold; default: what the model was made for\n" \
	CLI_HELP_TYPES

#define CLI_HELP_RUN \
	CLI_HELP_KIND \
	"  --backend NAME         auto (default), device, device:/dev/accel/accelN,\n" \
	"                         sim (the device in this process) or cpu\n" \
	"  --submit uring|ioctl   how work goes to the device (default: uring)\n" \
	"  --batch N              texts of a batch at most (default: 32)\n" \
	"  --max-length N         tokens of a text at most (default: what the model says)\n" \
	"  --threads N            threads of cpu and sim (default: all cores allowed)\n"

/*
 * Takes one that getopt_long() has found; 0, or CLI_USAGE after an error
 * message. An unknown one and a missing argument are among them.
 */
int cli_option(struct cli_options *o, int c, char **argv);
/* What --attention and the like name; 0, or CLI_USAGE after an error message. */
int cli_attention(const char *name, const char *text, enum damf_attention *attention);
/* A whole number in [min, max]. */
int cli_number(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out);
/* The only argument behind the options, or "-"; NULL after an error message. */
const char *cli_only_argument(int argc, char **argv);
/* Whether nothing stands behind the options; CLI_USAGE after an error message if something does. */
int cli_no_argument(int argc, char **argv);
/* Whether --model was given; CLI_USAGE after an error message if not. */
int cli_need_model(const struct cli_options *o);

/* ---- Models and sessions ---------------------------------------------------- */

/* Each returns 0, or an exit code after an error message. */
int cli_open_model(const struct cli_options *o, uint32_t flags, struct damf_model **model);
int cli_open_session(const struct cli_options *o, struct damf_model *model, enum damf_task task,
		     struct damf_session **session);

/* The exit code for an error of a session. */
int cli_session_exit(int error);
/* What the run took and how, as an object. */
json_t *cli_stats(struct damf_session *session, const struct damf_model *model, double seconds);
/* One JSON value and a newline on stdout. */
int cli_print_json(json_t *value);
void cli_set_text(json_t *o, const char *key, const char *value);
void cli_set_count(json_t *o, const char *key, uint64_t value);
/* What the timing and energy model of a device is made of. */
void cli_set_machine(json_t *o, const struct damf_device_info *i);

/* ---- Text -------------------------------------------------------------------- */

/* Lines of a file, all of them UTF-8. */
struct cli_text {
	char *data;		/* owned */
	size_t size;
	struct damf_text *lines;	/* owned; they point into data */
	size_t n;
};

/* As messages name it: "-" is standard input. */
const char *cli_input_name(const char *path);
/* 0, or an exit code after an error message. */
int cli_read_text(const char *path, struct cli_text *text);
void cli_text_free(struct cli_text *text);
/* Says once how many lines are empty, from line first on, and what becomes of them. */
void cli_note_empty_lines(size_t n, size_t first);

/* Column i (from 1) of a line at tabs; false if it has none. */
bool cli_column(const struct damf_text *line, uint32_t column, const char **at, size_t *len);

/* ---- Numbers ----------------------------------------------------------------------- */

/* As an npy file, [n][width]. Whoever commits or flushes f hears of what could not be written. */
void cli_write_npy(FILE *f, const float *x, size_t n, uint32_t width);
/* Uniform in (-1, 1), 24 bits of it; the seed goes on. */
float cli_random(uint64_t *seed);

/* ---- Statistics ------------------------------------------------------------------ */

double cli_cosine(const float *a, const float *b, size_t n);
/*
 * Spearman's rank correlation: Pearson's of the ranks, equal values sharing
 * their mean rank. NaN if one side is constant or n < 2. -ENOMEM or 0.
 */
int cli_spearman(const double *x, const double *y, size_t n, double *rho);

#endif /* DAMF_CLI_H */
