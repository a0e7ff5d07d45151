// SPDX-License-Identifier: MIT
/* damf report: what attention costs, measured, beside what the paper prints. */
#include <stdlib.h>
#include <string.h>

#include "damf_hw.h"
#include "report.h"

static const unsigned int types[] = { DAMF_TYPE_F32, DAMF_TYPE_BF16, DAMF_TYPE_I8 };
#define TYPES (sizeof(types) / sizeof(types[0]))

struct options {
	struct cli_options o;
	uint32_t length, hidden, heads, longest;
	int mode, type;		/* -1: all */
	bool one_shape, page;
	const char *plots;
};

static int help(void)
{
	printf("usage: damf report [--plots DIR] [--json] [OPTION...]\n"
	       "       damf report --length N|--hidden D|--heads H|--attention MODE|--dtype TYPE...\n\n"
	       "Runs attention layers with random weights and prints what the engine counted: table II\n"
	       "and figure 5 of the paper beside its own figures, operations, bytes, cycles and energy of\n"
	       "each mode, and how they grow with the length of a text. With the options of the second\n"
	       "line: of one shape.\n\n"
	       "  --length N             tokens of the text (default: 128)\n"
	       "  --hidden D             width of the layer (default: 768)\n"
	       "  --heads H              attention heads (default: 12)\n"
	       "  --attention MODE       mhsa, shift, fold, foldshift or softfold (default: each)\n"
	       "  --dtype TYPE           of the weights: f32, bf16 or int8 (default: each)\n"
	       "  --longest N            where the growth with length ends (default: 8192)\n"
	       "  --plots DIR            plots as SVG into a directory, by gnuplot\n"
	       "  --rst                  as a page of reStructuredText that shows the plots\n"
	       "  --json                 the figures as JSON\n"
	       "  --backend NAME         auto, device, device:/dev/accel/accelN, sim or cpu\n"
	       "                         (default: device, sim if there is none)\n"
	       "  --submit uring|ioctl   how work goes to the device (default: uring)\n"
	       "  --threads N            threads of cpu and sim (default: all cores allowed)\n");
	return CLI_OK;
}

/* ---- The command line ----------------------------------------------------------- */

static int choose_mode(struct options *v, const char *text)
{
	for (v->mode = 0; v->mode < REPORT_MODES; v->mode++)
		if (!strcmp(text, report_modes[v->mode]))
			return 0;
	return cli_error(CLI_USAGE,
			 "--attention %s: it must be mhsa, shift, fold, foldshift or softfold", text);
}

static int choose_type(struct options *v, const char *text)
{
	for (size_t i = 0; i < TYPES; i++) {
		v->type = (int)types[i];
		if (!strcmp(text, report_type_name(types[i])))
			return 0;
	}
	return cli_error(CLI_USAGE, "--dtype %s: it must be f32, bf16 or int8", text);
}

static int take_option(struct options *v, int c, char **argv)
{
	v->one_shape |= strchr("LDHAY", c) != NULL;
	switch (c) {
	case 'L':
		return cli_number("--length", optarg, 1, 1u << 20, &v->length);
	case 'D':
		return cli_number("--hidden", optarg, 1, 1u << 20, &v->hidden);
	case 'H':
		return cli_number("--heads", optarg, 1, 65535, &v->heads);
	case 'A':
		return choose_mode(v, optarg);
	case 'Y':
		return choose_type(v, optarg);
	case 'G':
		return cli_number("--longest", optarg, 32, 8192, &v->longest);
	case 'P':
		v->plots = optarg;
		return 0;
	case 'R':
		v->page = true;
		return 0;
	default:
		return cli_option(&v->o, c, argv);
	}
}

static int check_options(const struct options *v, int argc, char **argv)
{
	if (cli_no_argument(argc, argv))
		return CLI_USAGE;
	if (v->hidden % v->heads)
		return cli_error(CLI_USAGE,
				 "--hidden %u --heads %u: the heads must divide the width", v->hidden,
				 v->heads);
	if (v->one_shape && (v->plots || v->page))
		return cli_error(CLI_USAGE,
				 "%s: it is for the whole report, not for one shape; leave the options of a shape out",
				 v->plots ? "--plots" : "--rst");
	if (v->page && v->o.json)
		return cli_error(CLI_USAGE, "--rst and --json: one of them");
	return 0;
}

static int parse(struct options *v, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON,
		{ "backend", required_argument, NULL, 'b' },
		{ "submit", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "length", required_argument, NULL, 'L' },
		{ "hidden", required_argument, NULL, 'D' },
		{ "heads", required_argument, NULL, 'H' },
		{ "attention", required_argument, NULL, 'A' },
		{ "dtype", required_argument, NULL, 'Y' },
		{ "longest", required_argument, NULL, 'G' },
		{ "plots", required_argument, NULL, 'P' },
		{ "rst", no_argument, NULL, 'R' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		r = take_option(v, c, argv);
		if (r)
			return r;
	}
	return v->o.help ? 0 : check_options(v, argc, argv);
}

/* ---- One shape ------------------------------------------------------------------- */

static int check_limits(const struct options *v, const struct damf_device_info *i)
{
	if (v->length > i->max_length)
		return cli_error(CLI_USAGE, "--length %u: %s takes at most %u", v->length,
				 i->backend, i->max_length);
	if (v->hidden > i->max_width)
		return cli_error(CLI_USAGE, "--hidden %u: %s takes at most %u", v->hidden,
				 i->backend, i->max_width);
	if (v->heads > i->max_heads)
		return cli_error(CLI_USAGE, "--heads %u: %s takes at most %u", v->heads,
				 i->backend, i->max_heads);
	if (v->mode >= 0 && !(i->modes >> v->mode & 1))
		return cli_error(CLI_USAGE, "--attention %s: %s doesn't offer it; damf info tells what it does",
				 report_modes[v->mode], i->backend);
	if (v->type >= 0 && !(i->types >> v->type & 1))
		return cli_error(CLI_USAGE, "--dtype %s: %s doesn't offer it; damf info tells what it does",
				 report_type_name((unsigned int)v->type), i->backend);
	return 0;
}

static int print_shape(const struct options *v, const struct report_result *all, size_t n)
{
	json_t *list;

	if (!v->o.json) {
		report_print_result(all, n);
		return CLI_OK;
	}
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, report_result_json(&all[i]));
	return cli_print_json(list);
}

static int one_shape(const struct options *v, const struct report_machine *m)
{
	struct report_result all[REPORT_MODES * TYPES];
	size_t n = 0;
	int r = check_limits(v, &m->info);

	for (unsigned int mode = 0; mode < REPORT_MODES; mode++) {
		for (size_t i = 0; i < TYPES && !r; i++) {
			const struct report_shape s = {
				.length = v->length, .hidden = v->hidden, .heads = v->heads,
				.head_width = v->hidden / v->heads, .mode = mode, .type = types[i],
			};

			if ((v->mode >= 0 && (unsigned int)v->mode != mode) ||
			    (v->type >= 0 && (unsigned int)v->type != types[i]))
				continue;
			r = report_run(m, &s, &all[n++]);
		}
	}
	return r ? r : print_shape(v, all, n);
}

/* ---- The whole report --------------------------------------------------------------- */

static int run(const struct report_machine *m, uint32_t length, uint32_t hidden, uint32_t heads,
	       unsigned int mode, unsigned int type, struct report_result *result)
{
	const struct report_shape s = {
		.length = length, .hidden = hidden, .heads = heads,
		.head_width = hidden / heads, .mode = mode, .type = type,
	};

	return report_run(m, &s, result);
}

static int run_table2(const struct report_machine *m, struct report *r)
{
	static const unsigned int damf[] = { DAMF_MODE_FOLD, DAMF_MODE_SHIFT };

	for (size_t i = 0; i < REPORT_MODELS; i++) {
		const struct report_model *b = &report_models[i];

		for (size_t k = 0; k < (b->damf ? 2 : 1); k++) {
			int e = run(m, REPORT_LENGTH, b->hidden, b->heads,
				    b->damf ? damf[k] : DAMF_MODE_MHSA, DAMF_TYPE_F32,
				    &r->table2[i][k]);

			if (e)
				return e;
		}
	}
	return 0;
}

/* One head of BERT-base, and the whole layer in each type. */
static int run_layers(const struct report_machine *m, struct report *r)
{
	const struct report_model *base = &report_models[0];

	for (unsigned int mode = 0; mode < REPORT_MODES; mode++) {
		const struct report_shape head = {
			.length = REPORT_LENGTH, .hidden = base->hidden, .heads = 1,
			.head_width = base->hidden / base->heads, .mode = mode,
			.type = DAMF_TYPE_F32,
		};
		int e = report_run(m, &head, &r->head[mode]);

		for (size_t i = 0; i < TYPES && !e; i++)
			e = run(m, REPORT_LENGTH, base->hidden, base->heads, mode, types[i],
				&r->layer[mode][i]);
		if (e)
			return e;
	}
	return 0;
}

static int run_sweep(const struct report_machine *m, struct report *r, uint32_t longest)
{
	const struct report_model *base = &report_models[0];

	for (uint32_t length = 32; length <= longest; length *= 2, r->lengths++) {
		cli_progress("lengths", r->lengths, REPORT_LENGTHS);
		for (unsigned int mode = 0; mode < REPORT_MODES; mode++) {
			int e = run(m, length, base->hidden, base->heads, mode, DAMF_TYPE_F32,
				    &r->sweep[mode][r->lengths]);

			if (e)
				return e;
		}
	}
	cli_progress("lengths", 1, 1);
	return 0;
}

static int whole(const struct options *v, const struct report_machine *m)
{
	struct report r = { .info = m->info };
	int e = run_table2(m, &r);

	if (!e)
		e = run_layers(m, &r);
	if (!e)
		e = run_sweep(m, &r, v->longest);
	if (!e && v->plots)
		e = report_plot(&r, v->plots);
	if (e)
		return e;
	if (v->o.json)
		return cli_print_json(report_json(&r));
	report_print(&r, v->page);
	return CLI_OK;
}

int cmd_report(int argc, char **argv)
{
	struct options v = {
		.length = REPORT_LENGTH, .hidden = 768, .heads = 12, .longest = 8192,
		.mode = -1, .type = -1,
	};
	struct report_machine m;
	int r = parse(&v, argc, argv);

	if (r || v.o.help)
		return r ? r : help();
	r = report_open(&m, &v.o);
	if (!r)
		r = v.one_shape ? one_shape(&v, &m) : whole(&v, &m);
	report_close(&m);
	return r;
}
