// SPDX-License-Identifier: MIT
/*
 * The modules of a Sentence Transformers directory: what is done with the
 * encoder's output, in both of that library's schemas. What is unknown is
 * refused by name: a wrong pooling gives plausible numbers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model_config.h"
#include "error.h"
#include "file.h"

#define NO_MODULES "default: there is no modules.json"

/* A JSON file of the directory; *root is NULL if it isn't there. */
static int read_optional(const char *dir, const char *name, json_t **root, struct damf_error *err)
{
	char *path = damf_path(dir, name);
	int r = 0;

	*root = NULL;
	if (!path)
		return damf_error_set(err, -ENOMEM, "%s: no memory", dir);
	if (damf_exists(path))
		r = damf_read_json(path, root, err);
	free(path);
	return r;
}

/* The class at the end of a module's type, "" if it is not of the library. */
static const char *module_class(const char *type)
{
	const char *dot = strrchr(type, '.');

	if (strncmp(type, "sentence_transformers.", strlen("sentence_transformers.")))
		return "";
	return dot + 1;
}

static int take_mode(const char *mode, bool set, const char *from, struct damf_pooling *p,
		     unsigned int *found, struct damf_error *err)
{
	if (!set)
		return 0;
	if (strcmp(mode, "mean") && strcmp(mode, "mean_tokens") && strcmp(mode, "cls") &&
	    strcmp(mode, "cls_token"))
		return damf_error_set(err, -EINVAL,
				      "%s: pooling \"%.60s\" is not supported: use a model that pools by mean or cls",
				      from, mode);
	p->cls = mode[0] == 'c';
	++*found;
	return 0;
}

/* "pooling_mode": "mean", perhaps in a list of one. */
static int read_mode(json_t *v, const char *from, struct damf_pooling *p, struct damf_error *err)
{
	unsigned int found = 0;

	if (json_is_array(v) && json_array_size(v) == 1)
		v = json_array_get(v, 0);
	if (!json_is_string(v))
		return damf_error_set(err, -EINVAL,
				      "%s: \"pooling_mode\" must be one name, several poolings together are not supported",
				      from);
	return take_mode(json_string_value(v), true, from, p, &found, err);
}

/*
 * "pooling_mode", or "pooling_mode_mean_tokens": true. A file that has both,
 * for old programs and new, goes by the former, as Sentence Transformers does.
 */
static int read_modes(json_t *root, const char *from, struct damf_pooling *p,
		      struct damf_error *err)
{
	static const char prefix[] = "pooling_mode_";
	unsigned int found = 0;
	const char *key;
	json_t *v;
	int r = 0;

	if (json_object_get(root, "pooling_mode"))
		return read_mode(json_object_get(root, "pooling_mode"), from, p, err);
	json_object_foreach(root, key, v) {
		if (strncmp(key, prefix, sizeof(prefix) - 1))
			continue;
		if (!json_is_boolean(v))
			return damf_error_set(err, -EINVAL, "%s: \"%.60s\" is neither true nor false",
					      from, key);
		r = take_mode(key + sizeof(prefix) - 1, json_is_true(v), from, p, &found, err);
		if (r)
			return r;
	}
	if (found != 1)
		return damf_error_set(err, -EINVAL,
				      found ? "%s: several poolings at once are not supported" :
				      "%s: it names no pooling: add \"pooling_mode\": \"mean\" or \"cls\"",
				      from);
	return 0;
}

static int check_width(json_t *root, const char *from, uint32_t width, struct damf_error *err)
{
	static const char *const keys[] = { "word_embedding_dimension", "embedding_dimension" };
	size_t i;

	for (i = 0; i < 2; i++) {
		json_t *v = json_object_get(root, keys[i]);

		if (v && (!json_is_integer(v) || json_integer_value(v) != (json_int_t)width))
			return damf_error_set(err, -EINVAL,
					      "%s: \"%s\" is not the %u that config.json has as \"hidden_size\"",
					      from, keys[i], width);
	}
	return 0;
}

static int read_pooling(const char *dir, const char *module, uint32_t width,
			struct damf_pooling *p, struct damf_error *err)
{
	char *name = damf_path(module, "config.json"), *path = name ? damf_path(dir, name) : NULL;
	json_t *root = NULL;
	int r;

	if (!path)
		r = damf_error_set(err, -ENOMEM, "%s: no memory", dir);
	else
		r = damf_read_json(path, &root, err);
	if (!r && !json_is_object(root))
		r = damf_error_set(err, -EINVAL, "%s: it is not a JSON object", path);
	if (!r)
		r = check_width(root, path, width, err);
	if (!r)
		r = read_modes(root, path, p, err);
	if (!r)
		snprintf(p->pooling_from, sizeof(p->pooling_from), "%.80s", name);
	json_decref(root);
	free(path);
	free(name);
	return r;
}

static bool module_path_ok(const char *path)
{
	return path && *path && *path != '/' && !strstr(path, "..");
}

/* Transformer, then Pooling, then perhaps Normalize. */
static int take_module(const char *dir, uint32_t width, json_t *module, size_t i,
		       struct damf_pooling *p, struct damf_error *err)
{
	const char *type = json_string_value(json_object_get(module, "type"));
	const char *path = json_string_value(json_object_get(module, "path"));
	const char *class = type ? module_class(type) : "";

	if (i == 0 && !strcmp(class, "Transformer")) {
		if (path && *path)
			return damf_error_set(err, -EINVAL,
					      "%s/modules.json: the encoder is in \"%.60s\": only one in the directory itself is supported",
					      dir, path);
		return 0;
	}
	if (i == 1 && !strcmp(class, "Pooling")) {
		if (!module_path_ok(path))
			return damf_error_set(err, -EINVAL,
					      "%s/modules.json: the pooling module has no proper path", dir);
		return read_pooling(dir, path, width, p, err);
	}
	if (i == 2 && !strcmp(class, "Normalize")) {
		/* It has no files; a conversion would make the directory all the same. */
		if (path && *path && !module_path_ok(path))
			return damf_error_set(err, -EINVAL,
					      "%s/modules.json: the normalising module has no proper path",
					      dir);
		p->normalize = true;
		return 0;
	}
	return damf_error_set(err, -EINVAL,
			      "%s/modules.json: module %zu of type \"%.100s\" is not supported: it must be Transformer, Pooling and perhaps Normalize, in this order",
			      dir, i, type ? type : "?");
}

static int read_modules(const char *dir, uint32_t width, json_t *root, struct damf_pooling *p,
			struct damf_error *err)
{
	size_t i;
	int r;

	if (json_array_size(root) < 2)
		return damf_error_set(err, -EINVAL,
				      "%s/modules.json: it must list Transformer, Pooling and perhaps Normalize",
				      dir);
	for (i = 0; i < json_array_size(root); i++) {
		r = take_module(dir, width, json_array_get(root, i), i, p, err);
		if (r)
			return r;
	}
	snprintf(p->normalize_from, sizeof(p->normalize_from), "modules.json");
	return 0;
}

static int read_max_length(const char *dir, struct damf_pooling *p, struct damf_error *err)
{
	static const char name[] = "sentence_bert_config.json";
	json_t *root, *v;
	int r = read_optional(dir, name, &root, err);

	if (r)
		return r;
	if (root && !json_is_object(root))
		r = damf_error_set(err, -EINVAL, "%s/%s: it is not a JSON object", dir, name);
	v = json_object_get(root, "max_seq_length");
	if (v && !json_is_null(v)) {
		if (!json_is_integer(v) || json_integer_value(v) < 3 ||
		    json_integer_value(v) > 1 << 24) {
			r = damf_error_set(err, -EINVAL,
					   "%s/%s: \"max_seq_length\" must be an integer of at least 3",
					   dir, name);
		} else {
			p->max_length = (uint32_t)json_integer_value(v);
			snprintf(p->max_length_from, sizeof(p->max_length_from),
				 "%s, max_seq_length", name);
		}
	}
	p->lower_case = json_is_true(json_object_get(root, "do_lower_case"));
	json_decref(root);
	return r;
}

/* A prompt that is put before every text; ours come as they are. */
static int read_prompt(const char *dir, struct damf_pooling *p, struct damf_error *err)
{
	json_t *root;
	const char *name;
	int r = read_optional(dir, "config_sentence_transformers.json", &root, err);

	name = json_string_value(json_object_get(root, "default_prompt_name"));
	name = name ? json_string_value(json_object_get(json_object_get(root, "prompts"), name)) :
		      NULL;
	p->prompt = name && *name;
	json_decref(root);
	return r;
}

int damf_pooling_read(const char *dir, uint32_t width, struct damf_pooling *p,
		      struct damf_error *err)
{
	json_t *root;
	int r;

	memset(p, 0, sizeof(*p));
	r = read_optional(dir, "modules.json", &root, err);
	if (r)
		return r;
	if (root) {
		r = read_modules(dir, width, root, p, err);
	} else {
		p->normalize = true;
		snprintf(p->pooling_from, sizeof(p->pooling_from), NO_MODULES);
		snprintf(p->normalize_from, sizeof(p->normalize_from), NO_MODULES);
	}
	json_decref(root);
	if (!r)
		r = read_max_length(dir, p, err);
	return r ? r : read_prompt(dir, p, err);
}
