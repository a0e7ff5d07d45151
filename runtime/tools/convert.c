// SPDX-License-Identifier: MIT
/* damf convert */
#include <errno.h>

#include "cli.h"

struct convert {
	struct cli_options o;
};

static int help(void)
{
	printf("usage: damf convert --model DIR --output DIR [--json]\n\n"
	       "Writes the model once more with the tensors of DAMF attention added (rank 1, from\n"
	       "the singular values of each head's scores). Any reader of safetensors opens it, and\n"
	       "damf uses fold attention with it unless told otherwise.\n\n"
	       "  --model DIR   a Hugging Face directory\n"
	       "  --output DIR  where the new one goes; it must not hold a model\n"
	       "  --json        the report as JSON\n");
	return CLI_OK;
}

static int parse(struct convert *v, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_OUTPUT, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":ho:", options, NULL)) >= 0) {
		r = cli_option(&v->o, c, argv);
		if (r)
			return r;
	}
	if (v->o.help)
		return 0;
	if (optind < argc)
		return cli_error(CLI_USAGE, "\"%s\": there is no such argument; see --help",
				 argv[optind]);
	r = cli_need_model(&v->o);
	if (!r && !v->o.output)
		r = cli_error(CLI_USAGE, "no target: give --output DIR");
	return r;
}

static int report_json(const struct convert *v, const struct damf_convert_layer *layers, size_t n)
{
	json_t *o = json_object(), *list = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:f, s:f, s:f}", "mean",
						      layers[i].share_mean, "min",
						      layers[i].share_min, "max",
						      layers[i].share_max));
	json_object_set_new(o, "output", json_string(v->o.output));
	json_object_set_new(o, "attention", json_string("fold"));
	json_object_set_new(o, "rank", json_integer(1));
	json_object_set_new(o, "trained", json_false());
	json_object_set_new(o, "share_of_first_singular_value", list);
	return cli_print_json(o);
}

static int report_table(const struct convert *v, const struct damf_convert_layer *layers, size_t n)
{
	size_t i;

	printf("what rank 1 keeps of the scores: s_1 / sum of s_k, over the heads of a layer\n"
	       "layer    mean     min     max\n");
	for (i = 0; i < n; i++)
		printf("%5zu %7.4f %7.4f %7.4f\n", i, layers[i].share_mean, layers[i].share_min,
		       layers[i].share_max);
	printf("written: %s\n", v->o.output);
	return CLI_OK;
}

int cmd_convert(int argc, char **argv)
{
	struct convert v = { .o = { .model = NULL } };
	struct damf_convert_layer *layers = NULL;
	struct damf_model *source;
	struct damf_error err;
	size_t n;
	int r = parse(&v, argc, argv);

	if (r || v.o.help)
		return r ? r : help();
	/* What is wrong with the source is told apart from what the target can't take. */
	v.o.attention = DAMF_ATTENTION_MHSA;
	r = cli_open_model(&v.o, DAMF_MODEL_NO_WEIGHTS, &source);
	if (r)
		return r;
	damf_model_unref(source);
	r = damf_convert(v.o.model, v.o.output, &layers, &n, &err);
	if (r)
		return cli_error(r == -EINVAL ? CLI_INPUT : CLI_FAILURE, "%s", err.text);
	cli_note("the source was trained with softmax, not for DAMF attention: accuracy falls until the new model is trained for it");
	r = v.o.json ? report_json(&v, layers, n) : report_table(&v, layers, n);
	damf_convert_free(layers);
	return r;
}
