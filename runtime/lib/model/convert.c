// SPDX-License-Identifier: MIT
/* Conversion: a model's files once more, with the tensors of DAMF attention. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "error.h"
#include "file.h"
#include "model.h"

#define PER_LAYER 3	/* tensors that are added */

struct conversion {
	const char *from, *to;
	struct damf_config config;
	struct damf_source src;
	struct damf_fused *fused;	/* [layers] */
	struct damf_st_out *outs;
	size_t n;
	char (*names)[64];		/* [layers * PER_LAYER] */
	struct damf_error *err;
};

/* ---- The new safetensors file --------------------------------------------- */

static void add_original(struct conversion *c)
{
	size_t f, i;

	for (f = 0; f < c->src.set.n; f++) {
		const struct damf_st_file *file = c->src.set.files[f];

		for (i = 0; i < file->n; i++) {
			const struct damf_st_tensor *t = &file->tensors[i];
			struct damf_st_out *o = &c->outs[c->n++];

			*o = (struct damf_st_out){
				.name = t->name, .dtype = t->dtype, .rank = t->rank,
				.from = file, .tensor = t,
			};
			memcpy(o->shape, t->shape, sizeof(o->shape));
		}
	}
}

static void add_ours(struct conversion *c, unsigned int layer, unsigned int which,
		     const char *format, const float *data, uint64_t rows, uint64_t cols)
{
	char *name = c->names[layer * PER_LAYER + which];

	snprintf(name, sizeof(c->names[0]), format, layer);
	c->outs[c->n++] = (struct damf_st_out){
		.name = name, .dtype = damf_st_dtype("F32"), .rank = cols ? 2 : 1,
		.shape = { rows, cols }, .data = data,
	};
}

/* What the original's metadata say, and what the file is now. */
static json_t *make_metadata(const struct conversion *c)
{
	json_t *m = json_object();
	size_t f;

	for (f = 0; f < c->src.set.n; f++)
		if (c->src.set.files[f]->metadata)
			json_object_update(m, c->src.set.files[f]->metadata);
	json_object_set_new(m, DAMF_ST_VERSION_KEY, json_string(DAMF_ST_VERSION));
	json_object_set_new(m, "damf.attention", json_string("fold"));
	json_object_set_new(m, "damf.rank", json_string("1"));
	if (json_object_set_new(m, DAMF_ST_TRAINED_KEY, json_string("false"))) {
		json_decref(m);
		return NULL;
	}
	return m;
}

static size_t count_original(const struct conversion *c)
{
	size_t f, n = 0;

	for (f = 0; f < c->src.set.n; f++)
		n += c->src.set.files[f]->n;
	return n;
}

static int fuse_all(struct conversion *c)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < c->config.layers && !r; i++)
		r = damf_fuse_layer(&c->src, i, c->config.heads, c->config.width, &c->fused[i],
				    c->err);
	return r;
}

static int write_model(struct conversion *c)
{
	uint32_t i, h = c->config.heads, d = c->config.width;
	char *path = damf_path(c->to, "model.safetensors");
	json_t *metadata = make_metadata(c);
	int r;

	add_original(c);
	for (i = 0; i < c->config.layers; i++) {
		add_ours(c, i, 0, DAMF_ST_PQ_WEIGHT, c->fused[i].weight, 2 * h, d);
		add_ours(c, i, 1, DAMF_ST_PQ_BIAS, c->fused[i].bias, 2 * h, 0);
		add_ours(c, i, 2, DAMF_ST_SINGULAR, c->fused[i].singular, h, d / h);
	}
	if (path && metadata)
		r = damf_st_write(path, c->outs, c->n, metadata, c->err);
	else
		r = damf_error_set(c->err, -ENOMEM, "%s: no memory", c->to);
	json_decref(metadata);
	free(path);
	return r;
}

/* ---- The other files -------------------------------------------------------- */

static int copy_bytes(int fd, uint64_t size, const char *path, FILE *f, struct damf_error *err)
{
	char buf[65536];
	uint64_t done, n;
	int r;

	for (done = 0; done < size; done += n) {
		n = size - done < sizeof(buf) ? size - done : sizeof(buf);
		r = damf_read_at(fd, path, buf, n, done, err);
		if (r)
			return r;
		fwrite(buf, 1, n, f);
	}
	return 0;
}

static int copy_file(const struct conversion *c, const char *name)
{
	char *from = damf_path(c->from, name), *to = damf_path(c->to, name);
	struct damf_out out;
	uint64_t size;
	int fd = -1, r = 0;

	if (!from || !to)
		r = damf_error_set(c->err, -ENOMEM, "%s: no memory", name);
	else if (!damf_exists(from))
		goto done;
	if (!r)
		r = damf_open_regular(from, &fd, &size, c->err);
	if (!r) {
		r = damf_out_open(&out, to, c->err);
		if (!r) {
			r = copy_bytes(fd, size, from, out.f, c->err);
			if (r)
				damf_out_abort(&out);
			else
				r = damf_out_commit(&out, c->err);
		}
		close(fd);
	}
done:
	free(from);
	free(to);
	return r;
}

static int make_dir(const char *path, struct damf_error *err)
{
	struct stat st;

	if (!mkdir(path, 0777))
		return 0;
	if (errno == EEXIST && !stat(path, &st)) {
		if (S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	return damf_error_set(err, -errno,
			      "%s: cannot make the directory: %s; name a place that can be written to",
			      path, strerror(errno));
}

/* The configuration of the module of pooling lies in a directory of its own. */
static int copy_modules(const struct conversion *c)
{
	char *path = damf_path(c->from, "modules.json");
	json_t *root = NULL, *module;
	size_t i;
	int r = 0;

	if (path && damf_exists(path))
		r = damf_read_json(path, &root, c->err);
	json_array_foreach(root, i, module) {
		const char *sub = json_string_value(json_object_get(module, "path"));
		char *dir, *file;

		if (r || !sub || !*sub)
			continue;
		dir = damf_path(c->to, sub);
		file = damf_path(sub, "config.json");
		r = dir && file ? make_dir(dir, c->err) :
				  damf_error_set(c->err, -ENOMEM, "%s: no memory", sub);
		if (!r)
			r = copy_file(c, file);
		free(dir);
		free(file);
	}
	json_decref(root);
	free(path);
	return r;
}

static int copy_others(const struct conversion *c)
{
	static const char *const names[] = {
		"vocab.txt", "tokenizer.json", "tokenizer_config.json",
		"special_tokens_map.json", "added_tokens.json", "modules.json",
		"sentence_bert_config.json", "config_sentence_transformers.json",
	};
	size_t i;
	int r = 0;

	for (i = 0; i < sizeof(names) / sizeof(names[0]) && !r; i++)
		r = copy_file(c, names[i]);
	return r ? r : copy_modules(c);
}

/* ---- All of it -------------------------------------------------------------- */

static void report(const struct conversion *c, struct damf_convert_layer *layers)
{
	uint32_t i, h, k, n = c->config.width / c->config.heads;

	for (i = 0; i < c->config.layers; i++) {
		struct damf_convert_layer *l = &layers[i];

		*l = (struct damf_convert_layer){ .share_min = 1 };
		for (h = 0; h < c->config.heads; h++) {
			const float *s = c->fused[i].singular + (size_t)h * n;
			double sum = 0, share;

			for (k = 0; k < n; k++)
				sum += s[k];
			share = sum > 0 ? s[0] / sum : 1;
			l->share_mean += share / c->config.heads;
			l->share_min = fmin(l->share_min, share);
			l->share_max = fmax(l->share_max, share);
		}
	}
}

/* A model in any form: its configuration, or weights that we read. */
static int check_target(const struct conversion *c)
{
	static const char *const names[] = {
		"config.json", "model.safetensors", "model.safetensors.index.json",
	};
	int r = make_dir(c->to, c->err);
	char *path;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]) && !r; i++) {
		path = damf_path(c->to, names[i]);
		if (!path)
			r = damf_error_set(c->err, -ENOMEM, "%s: no memory", c->to);
		else if (damf_exists(path))
			r = damf_error_set(c->err, -EEXIST,
					   "%s: there is a model already: name another directory, or remove it",
					   path);
		free(path);
	}
	return r;
}

/*
 * The configuration last: a directory without it is no model, and what is
 * left of an attempt that was killed doesn't stop the next one.
 */
static int convert(struct conversion *c)
{
	size_t ours = (size_t)c->config.layers * PER_LAYER;
	int r;

	if (c->src.converted)
		return damf_error_set(c->err, -EINVAL,
				      "%s: it has been converted already: use it as it is", c->from);
	c->fused = calloc(c->config.layers, sizeof(*c->fused));
	c->outs = calloc(count_original(c) + ours, sizeof(*c->outs));
	c->names = calloc(ours, sizeof(*c->names));
	if (!c->fused || !c->outs || !c->names)
		return damf_error_set(c->err, -ENOMEM, "%s: no memory", c->from);
	r = check_target(c);	/* before the work */
	if (!r)
		r = fuse_all(c);
	if (r)
		return r;
	r = copy_others(c);
	if (!r)
		r = write_model(c);
	return r ? r : copy_file(c, "config.json");
}

static void release(struct conversion *c)
{
	uint32_t i;

	for (i = 0; c->fused && i < c->config.layers; i++)
		damf_fused_free(&c->fused[i]);
	free(c->fused);
	free(c->outs);
	free(c->names);
	damf_source_close(&c->src);
	damf_config_free(&c->config);
}

int damf_convert(const char *from, const char *to, struct damf_convert_layer **layers, size_t *n,
		 struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_model_options check = { .size = sizeof(check),
					    .attention = DAMF_ATTENTION_MHSA };
	struct conversion c = { .from = from, .to = to, .err = err };
	struct damf_model *m;
	int r;

	/* What could not be opened later is not converted now. */
	r = damf_model_open(from, &check, &m, err);
	damf_model_unref(m);
	if (!r)
		r = damf_config_read(from, &c.config, err);
	if (!r)
		r = damf_source_open(from, &c.src, err);
	if (!r)
		r = convert(&c);
	if (!r && layers) {
		*n = c.config.layers;
		*layers = calloc(*n, sizeof(**layers));
		if (*layers)
			report(&c, *layers);
		else
			r = damf_error_set(err, -ENOMEM, "%s: no memory", from);
	}
	release(&c);
	return r;
}

void damf_convert_free(struct damf_convert_layer *layers)
{
	free(layers);
}
