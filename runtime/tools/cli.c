// SPDX-License-Identifier: MIT
/* Messages and options. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static bool progress_shown;

static void clear_progress(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = false;
}

/* One line, whatever a file's name or a text that it quotes holds. */
static void message(const char *kind, const char *fmt, va_list ap)
{
	char line[4096], *p;

	vsnprintf(line, sizeof(line), fmt, ap);
	for (p = line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	clear_progress();
	fprintf(stderr, "damf: %s%s\n", kind, line);
}

int cli_error(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message("", fmt, ap);
	va_end(ap);
	return code;
}

void cli_print_commands(const struct cli_command *list)
{
	for (; list->name; list++)
		printf("  %-11s %s\n", list->name, list->summary);
}

const struct cli_command *cli_find_command(const struct cli_command *list, const char *name)
{
	while (list->name && strcmp(list->name, name))
		list++;
	return list->name ? list : NULL;
}

int cli_flush(void)
{
	errno = 0;
	if (!fflush(stdout) && !ferror(stdout))
		return CLI_OK;
	return cli_error(CLI_FAILURE, "cannot write to standard output: %s",
			 errno ? strerror(errno) : "a write failed");
}

void cli_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message("note: ", fmt, ap);
	va_end(ap);
}

void cli_progress(const char *what, size_t done, size_t all)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (all && done >= all) {
		clear_progress();
		return;
	}
	fprintf(stderr, "\r\033[K%s: %zu", what, done);
	if (all)
		fprintf(stderr, " of %zu", all);
	fflush(stderr);
	progress_shown = true;
}

double cli_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

/* ---- Options ------------------------------------------------------------------ */

int cli_number(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min || value > max)
		return cli_error(CLI_USAGE, "%s %s: it must be a number from %u to %u", name, text,
				 min, max);
	*out = (uint32_t)value;
	return 0;
}

/* "a, b or c" */
static void join(char *text, size_t size, const char *const *words)
{
	size_t n = 0;
	int i;

	text[0] = '\0';
	for (i = 0; words[i] && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", !i ? "" : words[i + 1] ? ", " : " or ",
				      words[i]);
}

/* Place of a word in a list that ends with NULL; -1 after an error message. */
static int choice(const char *name, const char *text, const char *const *words)
{
	char all[128];
	int i;

	for (i = 0; words[i]; i++)
		if (!strcmp(text, words[i]))
			return i;
	join(all, sizeof(all), words);
	cli_error(CLI_USAGE, "%s %s: it must be %s", name, text, all);
	return -1;
}

int cli_attention(const char *name, const char *text, enum damf_attention *attention)
{
	static const char *const words[] = {
		"mhsa", "fold", "shift", "foldshift", "softfold", NULL
	};
	int i = choice(name, text, words);

	if (i < 0)
		return CLI_USAGE;
	*attention = (enum damf_attention)(DAMF_ATTENTION_MHSA + i);
	return 0;
}

static int choose_dtype(struct cli_options *o, const char *text)
{
	static const char *const words[] = { "f32", "bf16", "int8", NULL };
	int i = choice("--dtype", text, words);

	if (i < 0)
		return CLI_USAGE;
	o->dtype = (enum damf_dtype)(DAMF_DTYPE_F32 + i);
	return 0;
}

static int choose_xtype(struct cli_options *o, const char *text)
{
	static const char *const words[] = { "int8", "int16", NULL };
	int i = choice("--xtype", text, words);

	if (i < 0)
		return CLI_USAGE;
	o->xtype = (enum damf_xtype)(DAMF_XTYPE_INT8 + i);
	return 0;
}

static int choose_submit(struct cli_options *o, const char *text)
{
	static const char *const words[] = { "uring", "ioctl", NULL };
	int i = choice("--submit", text, words);

	if (i < 0)
		return CLI_USAGE;
	o->submit = i ? DAMF_SUBMIT_IOCTL : DAMF_SUBMIT_URING;
	return 0;
}

static int choose_backend(struct cli_options *o, const char *text)
{
	o->backend = text;
	if (!strcmp(text, "auto") || !strcmp(text, "cpu") || !strcmp(text, "sim") ||
	    !strcmp(text, "device") || (!strncmp(text, "device:", 7) && text[7]))
		return 0;
	return cli_error(CLI_USAGE,
			 "--backend %s: it must be auto, device, device:/dev/accel/accelN, sim or cpu",
			 text);
}

int cli_option(struct cli_options *o, int c, char **argv)
{
	char letter[] = { '-', (char)optopt, '\0' };
	const char *given = argv[optind - 1];

	/* A letter, perhaps one of several, that getopt_long() is not behind yet. */
	if (c == '?' && optopt && !strchr(given, '='))
		given = letter;
	switch (c) {
	case 'h':
		o->help = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'm':
		o->model = optarg;
		return 0;
	case 'o':
		o->output = optarg;
		return 0;
	case 'a':
		return cli_attention("--attention", optarg, &o->attention);
	case 'd':
		return choose_dtype(o, optarg);
	case 'x':
		return choose_xtype(o, optarg);
	case 'b':
		return choose_backend(o, optarg);
	case 's':
		return choose_submit(o, optarg);
	case 'n':
		return cli_number("--batch", optarg, 1, 65536, &o->batch);
	case 'l':
		return cli_number("--max-length", optarg, 0, 1u << 24, &o->max_length);
	case 't':
		return cli_number("--threads", optarg, 1, 1024, &o->threads);
	case ':':
		return cli_error(CLI_USAGE, "%s: its value is missing; see --help", given);
	default:
		return cli_error(CLI_USAGE, "%s: %s; --help lists them", given,
				 strchr(given, '=') ? "no such option, or it takes no value" :
				 "unknown option");
	}
}

const char *cli_only_argument(int argc, char **argv)
{
	if (argc - optind > 1) {
		cli_error(CLI_USAGE, "\"%s\": one file at most; see --help", argv[optind + 1]);
		return NULL;
	}
	return optind < argc ? argv[optind] : "-";
}

int cli_no_argument(int argc, char **argv)
{
	if (optind == argc)
		return 0;
	return cli_error(CLI_USAGE, "\"%s\": there is no such argument; see --help", argv[optind]);
}

int cli_need_model(const struct cli_options *o)
{
	if (o->model)
		return 0;
	return cli_error(CLI_USAGE,
			 "no model: give --model DIR, a Hugging Face directory (make fetch-model gets one)");
}

/* ---- JSON ----------------------------------------------------------------------- */

void cli_set_text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value));
}

void cli_set_count(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

void cli_set_machine(json_t *o, const struct damf_device_info *i)
{
	cli_set_count(o, "clock_hz", i->clock_hz);
	cli_set_count(o, "macs_per_cycle", i->macs_per_cycle);
	cli_set_count(o, "bytes_per_cycle", i->bytes_per_cycle);
	cli_set_count(o, "scratchpad", i->scratchpad);
	cli_set_count(o, "energy_mac_fj", i->energy_mac);
	cli_set_count(o, "energy_int8_fj", i->energy_int8);
	cli_set_count(o, "energy_shift_fj", i->energy_shift);
	cli_set_count(o, "energy_exp_fj", i->energy_exp);
	cli_set_count(o, "energy_div_fj", i->energy_div);
	cli_set_count(o, "energy_scratch_fj", i->energy_scratch);
	cli_set_count(o, "energy_memory_fj", i->energy_memory);
}
