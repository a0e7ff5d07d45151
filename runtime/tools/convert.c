// SPDX-License-Identifier: MIT
/* damf convert */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli.h"

struct convert {
	struct cli_options o;
	struct damf_convert_options to;
};

static int help(void)
{
	printf("usage: damf convert --model DIR --output DIR [OPTION...]\n\n"
	       "Writes the model once more for DAMF attention: u and v of each head, from the\n"
	       "singular values of its scores, and a table that says what each head does. Any\n"
	       "reader of safetensors opens it. A directory that has been converted, or trained for\n"
	       "DAMF, keeps its tables, u and v.\n\n"
	       "  --model DIR            a Hugging Face directory, or one in the plain form\n"
	       "  --output DIR           where the new one goes; it must not hold a model\n"
	       "  --mode MODE            fold (default), shift, foldshift, softfold or mhsa\n"
	       "  --rank R               of the scores, 1 (default) to the width of a head; above 1\n"
	       "                         for fold of order 1\n"
	       "  --order K              of the series of exp, 1 (default) to 4; above 1 for fold and\n"
	       "                         foldshift of rank 1\n"
	       "  --dtype f32|bf16|int8  of matrices and tables of embeddings (default: f32)\n"
	       "  --xtype int8|int16     what activations become for int8 (default: int8)\n"
	       "  --form packed|plain    as the device reads it (default), or as training does\n"
	       "  --drop-exact           without query and key, where no head needs them\n"
	       "  --json                 the report as JSON\n");
	return CLI_OK;
}

static int choose_form(struct convert *v, const char *text)
{
	if (!strcmp(text, "plain"))
		v->to.flags |= DAMF_CONVERT_PLAIN;
	else if (!strcmp(text, "packed"))
		v->to.flags &= ~DAMF_CONVERT_PLAIN;
	else
		return cli_error(CLI_USAGE, "--form %s: it must be packed or plain", text);
	return 0;
}

static int option(struct convert *v, int c, char **argv)
{
	switch (c) {
	case 'M':
		return cli_attention("--mode", optarg, &v->to.attention);
	case 'R':
		return cli_number("--rank", optarg, 1, 65535, &v->to.rank);
	case 'K':
		return cli_number("--order", optarg, 1, 4, &v->to.order);
	case 'F':
		return choose_form(v, optarg);
	case 'D':
		v->to.flags |= DAMF_CONVERT_DROP_EXACT;
		return 0;
	default:
		return cli_option(&v->o, c, argv);
	}
}

static int parse(struct convert *v, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_OUTPUT, CLI_OPT_TYPES,
		{ "mode", required_argument, NULL, 'M' },
		{ "rank", required_argument, NULL, 'R' },
		{ "order", required_argument, NULL, 'K' },
		{ "form", required_argument, NULL, 'F' },
		{ "drop-exact", no_argument, NULL, 'D' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":ho:", options, NULL)) >= 0) {
		r = option(v, c, argv);
		if (r)
			return r;
	}
	if (v->o.help)
		return 0;
	r = cli_no_argument(argc, argv);
	if (!r)
		r = cli_need_model(&v->o);
	if (!r && !v->o.output)
		r = cli_error(CLI_USAGE, "no target: give --output DIR");
	v->to.dtype = v->o.dtype;
	v->to.xtype = v->o.xtype;
	return r;
}

/* ---- Report --------------------------------------------------------------------- */

static json_t *number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

static json_t *head_json(const struct damf_conversion *c, uint32_t layer, uint32_t head)
{
	struct damf_conversion_head h = { .size = sizeof(h) };

	damf_conversion_get_head(c, layer, head, &h);
	return json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:I, s:I}", "layer", (int)layer, "head",
			 (int)head, "share", number(h.share), "l_ms", number(h.l_ms),
			 "error", number(h.error), "largest_error", number(h.largest_error),
			 "parameters_before", (json_int_t)h.parameters_before,
			 "parameters_after", (json_int_t)h.parameters_after);
}

static int report_json(const struct convert *v, const struct damf_conversion *c,
		       const struct damf_conversion_info *i)
{
	json_t *list = json_array(), *o;
	uint32_t l, h;

	for (l = 0; l < i->layers; l++)
		for (h = 0; h < i->heads; h++)
			json_array_append_new(list, head_json(c, l, h));
	o = json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:o}", "output",
		      v->o.output, "attention", i->attention, "rank", (int)i->rank, "order",
		      (int)i->order, "dtype", i->dtype, "xtype", i->xtype, "form", i->form,
		      "trained", (int)i->trained, "parameters_before",
		      (json_int_t)i->parameters_before, "parameters_after",
		      (json_int_t)i->parameters_after, "bytes", (json_int_t)i->bytes, "heads",
		      list);
	return cli_print_json(o);
}

static void print_figure(const char *format, double x)
{
	if (isfinite(x))
		printf(format, x);
	else
		printf(" %8s", "-");
}

static int report_table(const struct convert *v, const struct damf_conversion *c,
			const struct damf_conversion_info *i)
{
	uint32_t l, h;

	printf("share: of the singular values of a head's scores that its rank keeps; L_MS: eq. 9;\n"
	       "error: of the scores, norm to norm, and the largest to the largest score;\n"
	       "parameters: of a head's scores, before and after\n"
	       "layer head    share     L_MS    error  largest   parameters\n");
	for (l = 0; l < i->layers; l++) {
		for (h = 0; h < i->heads; h++) {
			struct damf_conversion_head head = { .size = sizeof(head) };

			damf_conversion_get_head(c, l, h, &head);
			printf("%5u %4u", l, h);
			print_figure(" %8.4f", head.share);
			print_figure(" %8.4f", head.l_ms);
			print_figure(" %8.2e", head.error);
			print_figure(" %8.2e", head.largest_error);
			printf(" %8llu %6llu\n", (unsigned long long)head.parameters_before,
			       (unsigned long long)head.parameters_after);
		}
	}
	printf("attention: %llu parameters before, %llu after; %s", (unsigned long long)
	       i->parameters_before, (unsigned long long)i->parameters_after, i->attention);
	if (i->rank)
		printf(", rank %u, order %u", i->rank, i->order);
	printf("\nwritten: %s (%s, %s%s%s; %.1f MB)\n", v->o.output, i->form, i->dtype,
	       *i->xtype ? " with activations of " : "", i->xtype, (double)i->bytes / 1e6);
	return CLI_OK;
}

static int exit_code(int r)
{
	switch (r) {
	case -EINVAL:
		return CLI_INPUT;
	case -EOPNOTSUPP:	/* an option that the model, or another option, doesn't go with */
		return CLI_USAGE;
	default:
		return CLI_FAILURE;
	}
}

int cmd_convert(int argc, char **argv)
{
	struct convert v = { .o = { .model = NULL }, .to = { .size = sizeof(v.to) } };
	struct damf_conversion_info info = { .size = sizeof(info) };
	struct damf_model_options probe = { .size = sizeof(probe), .flags = DAMF_MODEL_NO_WEIGHTS };
	struct damf_conversion *c;
	struct damf_model *source;
	struct damf_error err;
	int r = parse(&v, argc, argv);

	if (r || v.o.help)
		return r ? r : help();
	/* What is wrong with the source is told apart from what the target can't take. */
	r = damf_model_open(v.o.model, &probe, &source, &err);
	damf_model_unref(source);
	if (r)
		return cli_error(r == -ENOMEM ? CLI_FAILURE : CLI_INPUT, "%s", err.text);
	r = damf_convert(v.o.model, v.o.output, &v.to, &c, &err);
	if (r)
		return cli_error(exit_code(r), "%s", err.text);
	damf_conversion_get_info(c, &info);
	if (!info.trained)
		cli_note("the source was not trained for %s attention: accuracy falls until the new model is trained for it",
			 info.attention);
	r = v.o.json ? report_json(&v, c, &info) : report_table(&v, c, &info);
	damf_conversion_free(c);
	return r;
}
