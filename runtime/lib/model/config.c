// SPDX-License-Identifier: MIT
/* config.json: of a BERT encoder, or refused by name. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model_config.h"
#include "error.h"
#include "file.h"

struct reader {
	const char *path;
	json_t *root;
	struct damf_error *err;
};

static int get_count(const struct reader *r, const char *key, uint32_t max, uint32_t *out)
{
	json_t *v = json_object_get(r->root, key);
	json_int_t n;

	if (!json_is_integer(v))
		return damf_error_set(r->err, -EINVAL, "%s: \"%s\" is missing or not an integer",
				      r->path, key);
	n = json_integer_value(v);
	if (n < 1 || n > (json_int_t)max)
		return damf_error_set(r->err, -EINVAL,
				      "%s: \"%s\" is %" JSON_INTEGER_FORMAT ", it must be 1 to %u",
				      r->path, key, n, max);
	*out = (uint32_t)n;
	return 0;
}

/* A key that may be absent or null must otherwise have this value. */
static int must_be(const struct reader *r, const char *key, const char *value, const char *what)
{
	json_t *v = json_object_get(r->root, key);

	if (!v || json_is_null(v))
		return 0;
	if (json_is_string(v) && !strcmp(json_string_value(v), value))
		return 0;
	return damf_error_set(r->err, -EINVAL, "%s: \"%s\" is \"%.60s\": only %s is supported, use a model that has \"%s\"",
			      r->path, key, json_is_string(v) ? json_string_value(v) : "?", what,
			      value);
}

/* Things that change the arithmetic and that we don't do. */
static int refuse_extras(const struct reader *r)
{
	static const struct {
		const char *key, *what;
	} extras[] = {
		{ "is_decoder", "a decoder" },
		{ "add_cross_attention", "cross attention" },
		{ "quantization_config", "a quantised model" },
		{ "pruned_heads", "pruned heads" },
	};
	size_t i;

	for (i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
		json_t *v = json_object_get(r->root, extras[i].key);
		bool unset = !v || json_is_null(v) || json_is_false(v) ||
			     (json_is_object(v) && !json_object_size(v));

		if (!unset)
			return damf_error_set(r->err, -EINVAL,
					      "%s: \"%s\": %s is not supported, use a plain BERT encoder",
					      r->path, extras[i].key, extras[i].what);
	}
	return 0;
}

static int check_kind(const struct reader *r)
{
	json_t *v = json_object_get(r->root, "model_type");
	const char *type = json_string_value(v);
	int e;

	if (!type)
		return damf_error_set(r->err, -EINVAL,
				      "%s: \"model_type\" is missing: only \"bert\" is supported", r->path);
	if (strcmp(type, "bert"))
		return damf_error_set(r->err, -EINVAL,
				      "%s: model_type \"%.60s\" is not supported: use a BERT encoder (model_type \"bert\")",
				      r->path, type);
	e = must_be(r, "hidden_act", "gelu", "the exact GELU");
	if (!e)
		e = must_be(r, "position_embedding_type", "absolute", "a table of positions");
	return e ? e : refuse_extras(r);
}

static int read_eps(const struct reader *r, float *eps)
{
	json_t *v = json_object_get(r->root, "layer_norm_eps");
	double d = v ? json_number_value(v) : 1e-12;

	if ((v && !json_is_number(v)) || !(d > 0 && d < 1) || !((float)d > 0))
		return damf_error_set(r->err, -EINVAL,
				      "%s: \"layer_norm_eps\" must be a number between 0 and 1", r->path);
	*eps = (float)d;
	return 0;
}

static int read_labels(const struct reader *r, struct damf_config *c)
{
	json_t *map = json_object_get(r->root, "id2label");
	char key[16];
	uint32_t i;

	c->multi_label = json_is_string(json_object_get(r->root, "problem_type")) &&
			 strcmp(json_string_value(json_object_get(r->root, "problem_type")),
				"single_label_classification");
	if (!map || json_is_null(map))
		return 0;
	if (!json_is_object(map) || json_object_size(map) > 65536)
		return damf_error_set(r->err, -EINVAL, "%s: \"id2label\" is not a table of labels",
				      r->path);
	c->label = calloc(json_object_size(map) + 1, sizeof(*c->label));
	if (!c->label)
		return damf_error_set(r->err, -ENOMEM, "%s: no memory", r->path);
	for (i = 0; i < json_object_size(map); i++) {
		const char *name;

		snprintf(key, sizeof(key), "%u", i);
		name = json_string_value(json_object_get(map, key));
		if (!name)
			return damf_error_set(r->err, -EINVAL,
					      "%s: \"id2label\" has no name for label %u", r->path, i);
		c->label[i] = strdup(name);
		if (!c->label[i])
			return damf_error_set(r->err, -ENOMEM, "%s: no memory", r->path);
		c->labels = i + 1;
	}
	return 0;
}

static int read_all(const struct reader *r, struct damf_config *c)
{
	const struct {
		const char *key;
		uint32_t max, *out;
	} counts[] = {
		{ "num_hidden_layers", 512, &c->layers },
		{ "hidden_size", 16384, &c->width },
		{ "num_attention_heads", 256, &c->heads },
		{ "intermediate_size", 16384 * 4, &c->inner },
		{ "vocab_size", 1u << 24, &c->vocab },
		{ "max_position_embeddings", 32768, &c->positions },
		{ "type_vocab_size", 1024, &c->types },
	};
	size_t i;
	int e = check_kind(r);

	for (i = 0; !e && i < sizeof(counts) / sizeof(counts[0]); i++)
		e = get_count(r, counts[i].key, counts[i].max, counts[i].out);
	if (!e && c->width % c->heads)
		e = damf_error_set(r->err, -EINVAL,
				   "%s: \"hidden_size\" %u is no multiple of \"num_attention_heads\" %u",
				   r->path, c->width, c->heads);
	if (!e)
		e = read_eps(r, &c->eps);
	return e ? e : read_labels(r, c);
}

int damf_config_read(const char *dir, struct damf_config *c, struct damf_error *err)
{
	struct reader r = { .err = err };
	char *path = damf_path(dir, "config.json");
	int e;

	memset(c, 0, sizeof(*c));
	if (!path)
		return damf_error_set(err, -ENOMEM, "%s: no memory", dir);
	r.path = path;
	e = damf_read_json(path, &r.root, err);
	if (!e && !json_is_object(r.root))
		e = damf_error_set(err, -EINVAL, "%s: it is not a JSON object", path);
	if (!e)
		e = read_all(&r, c);
	if (e)
		damf_config_free(c);
	json_decref(r.root);
	free(path);
	return e;
}

void damf_config_free(struct damf_config *c)
{
	uint32_t i;

	for (i = 0; i < c->labels; i++)
		free(c->label[i]);
	free(c->label);
	memset(c, 0, sizeof(*c));
}
