// SPDX-License-Identifier: MIT
/* damf info */
#include <string.h>
#include <sys/utsname.h>

#include "../kernels/damf_kernels.h"
#include "cli.h"

struct info {
	struct cli_options o;
};

static int help(void)
{
	printf("usage: damf info [--model DIR [--attention MODE] [--dtype TYPE]] [--json]\n\n"
	       "Tells which backends there are, which one is taken and why, the instruction set of\n"
	       "the kernels, and with a model what it is and which file says so.\n\n"
	       CLI_HELP_KIND);
	return CLI_OK;
}

static int parse(struct info *v, int argc, char **argv)
{
	static const struct option options[] = {
		CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_MODEL, CLI_OPT_KIND, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		r = cli_option(&v->o, c, argv);
		if (r)
			return r;
	}
	return v->o.help ? 0 : cli_no_argument(argc, argv);
}

/* ---- Devices ------------------------------------------------------------------------ */

static json_t *names(uint64_t bits, const char *const *list, unsigned int n)
{
	json_t *a = json_array();
	unsigned int i;

	for (i = 0; i < n; i++)
		if (bits >> i & 1)
			json_array_append_new(a, json_string(list[i]));
	return a;
}

static json_t *capabilities(const struct damf_device_info *i)
{
	static const char *const modes[] = { "mhsa", "shift", "fold", "foldshift", "softfold" };
	static const char *const types[] = { "none", "f32", "i32", "bytes", "i8", "i16", "bf16" };
	json_t *o = json_object();
	char version[32];

	snprintf(version, sizeof(version), "%u.%u", i->hw_version >> 16, i->hw_version & 0xffff);
	cli_set_text(o, "interface", version);
	json_object_set_new(o, "attention", names(i->modes, modes, 5));
	json_object_set_new(o, "types", names(i->types & ~1ull, types, 7));
	cli_set_count(o, "local_memory", i->local_size);
	cli_set_count(o, "local_memory_free", i->local_free);
	cli_set_machine(o, i);
	cli_set_count(o, "numerics", i->numerics);
	cli_set_count(o, "max_jobs", i->max_jobs);
	cli_set_count(o, "max_tokens", i->max_rows);
	cli_set_count(o, "max_texts", i->max_seqs);
	cli_set_count(o, "max_width", i->max_width);
	cli_set_count(o, "max_heads", i->max_heads);
	cli_set_count(o, "max_length", i->max_length);
	return o;
}

static json_t *backend(const char *name)
{
	struct damf_device_info i = { .size = sizeof(i) };
	struct damf_device *dev = NULL;
	struct damf_error err;
	json_t *o = json_object();

	if (damf_device_open(name, NULL, &dev, &err) ||
	    damf_device_get_info(dev, &i, &err)) {
		json_object_set_new(o, "usable", json_false());
		cli_set_text(o, "why", err.text);
	} else {
		json_object_set_new(o, "usable", json_true());
		cli_set_text(o, "why", i.reason);
		cli_set_text(o, "backend", i.backend);
		cli_set_text(o, "path", i.path);
		cli_set_text(o, "submit", i.submit);
		cli_set_text(o, "isa", i.isa);
		json_object_set_new(o, "capabilities", capabilities(&i));
	}
	damf_device_close(dev);
	return o;
}

static json_t *kernels(void)
{
	char err[256];
	const struct damf_isa *isa = damf_isa_get(err, sizeof(err));
	json_t *o = json_object();

	cli_set_text(o, "isa", isa ? damf_isa_name(isa) : "");
	cli_set_text(o, "why", isa ? damf_isa_reason(isa) : err);
	cli_set_count(o, "numerics", DAMF_NUMERICS_VERSION);
	return o;
}

/* ---- Model -------------------------------------------------------------------------- */

static json_t *sourced(json_t *value, const char *from)
{
	json_t *o = json_object();

	json_object_set_new(o, "value", value);
	cli_set_text(o, "from", from);
	return o;
}

static json_t *describe(const struct cli_options *opt, const struct damf_model *model)
{
	struct damf_model_info m = { .size = sizeof(m) };
	json_t *o = json_object(), *warnings = json_array(), *labels = json_array();
	const char *text;
	unsigned int i;

	damf_model_get_info(model, &m);
	cli_set_text(o, "directory", opt->model);
	cli_set_text(o, "architecture", "bert");
	cli_set_count(o, "layers", m.layers);
	cli_set_count(o, "width", m.width);
	cli_set_count(o, "heads", m.heads);
	cli_set_count(o, "inner", m.inner);
	cli_set_count(o, "vocabulary", m.vocab);
	cli_set_count(o, "positions", m.positions);
	cli_set_count(o, "token_types", m.types);
	cli_set_count(o, "parameters", m.parameters);
	cli_set_count(o, "weight_bytes", m.weight_bytes);
	json_object_set_new(o, "attention", sourced(json_string(m.attention), m.attention_from));
	cli_set_count(o, "rank", m.rank);
	cli_set_count(o, "order", m.order);
	cli_set_text(o, "dtype", m.dtype);
	if (*m.xtype)
		cli_set_text(o, "xtype", m.xtype);
	if (*m.form)
		cli_set_text(o, "form", m.form);
	cli_set_count(o, "numerics", m.numerics);
	json_object_set_new(o, "pooling", sourced(json_string(m.pooling), m.pooling_from));
	json_object_set_new(o, "normalize", sourced(json_boolean(m.normalize), m.normalize_from));
	json_object_set_new(o, "max_length",
			    sourced(json_integer(m.max_length), m.max_length_from));
	cli_set_text(o, "tokenizer", m.tokenizer);
	for (i = 0; (text = damf_model_label(model, i)); i++)
		json_array_append_new(labels, json_string(text));
	json_object_set_new(o, "labels", labels);
	for (i = 0; (text = damf_model_warning(model, i)); i++)
		json_array_append_new(warnings, json_string(text));
	json_object_set_new(o, "warnings", warnings);
	return o;
}

/* ---- Printing ------------------------------------------------------------------------ */

static const char *text_of(json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static void print_list(json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
		printf("%s%s", i ? ", " : "", json_string_value(v));
}

static void print_value(const char *key, json_t *v)
{
	if (json_is_object(v)) {
		print_value(key, json_object_get(v, "value"));
		printf("%-16s   (%s)\n", "", text_of(v, "from"));
		return;
	}
	printf("  %-16s ", key);
	if (json_is_string(v))
		printf("%s\n", json_string_value(v));
	else if (json_is_boolean(v))
		printf("%s\n", json_is_true(v) ? "yes" : "no");
	else if (json_is_integer(v))
		printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(v));
	else {
		print_list(v);
		putchar('\n');
	}
}

static void print_object(json_t *o)
{
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v)
		if (!json_is_array(v) || json_array_size(v))
			print_value(key, v);
}

static void print_backend(const char *name, json_t *o)
{
	json_t *can = json_object_get(o, "capabilities");

	printf("%s: %s\n", name, json_is_true(json_object_get(o, "usable")) ? "usable" :
	       "not usable");
	printf("  %-16s %s\n", "why", text_of(o, "why"));
	if (!can)
		return;
	if (*text_of(o, "path"))
		printf("  %-16s %s\n", "node", text_of(o, "path"));
	printf("  %-16s %s\n", "submission", text_of(o, "submit"));
	print_object(can);
}

static void print_all(json_t *root)
{
	json_t *backends = json_object_get(root, "backends"), *o;
	json_t *model = json_object_get(root, "model");
	json_t *kernel = json_object_get(root, "kernels");
	const char *name;

	printf("damf %s, numerics version %" JSON_INTEGER_FORMAT ", Linux %s\n",
	       text_of(root, "version"), json_integer_value(json_object_get(kernel, "numerics")),
	       text_of(root, "linux"));
	printf("kernels: %s (%s)\n", text_of(kernel, "isa"), text_of(kernel, "why"));
	o = json_object_get(root, "auto");
	printf("taken by default: %s (%s)\n", text_of(o, "backend"), text_of(o, "why"));
	json_object_foreach(backends, name, o)
		print_backend(name, o);
	if (model) {
		printf("model\n");
		print_object(model);
	}
}

static json_t *collect(void)
{
	static const char *const names_of[] = { "device", "sim", "cpu" };
	json_t *root = json_object(), *backends = json_object();
	struct utsname host;
	unsigned int i;

	cli_set_text(root, "version", damf_version());
	cli_set_text(root, "linux", uname(&host) ? "" : host.release);
	json_object_set_new(root, "kernels", kernels());
	json_object_set_new(root, "auto", backend("auto"));
	for (i = 0; i < 3; i++)
		json_object_set_new(backends, names_of[i], backend(names_of[i]));
	json_object_set_new(root, "backends", backends);
	return root;
}

int cmd_info(int argc, char **argv)
{
	struct info v = { .o = { .model = NULL } };
	struct damf_model *model = NULL;
	json_t *root;
	int r = parse(&v, argc, argv);

	if (r || v.o.help)
		return r ? r : help();
	if (v.o.model) {
		r = cli_open_model(&v.o, 0, &model);
		if (r)
			return r;
	}
	root = collect();
	if (model)
		json_object_set_new(root, "model", describe(&v.o, model));
	damf_model_unref(model);
	if (v.o.json)
		return cli_print_json(root);
	print_all(root);
	json_decref(root);
	return CLI_OK;
}
