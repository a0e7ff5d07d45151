// SPDX-License-Identifier: MIT
/* What damf bench has measured, in files that numpy and safetensors read. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/model/file.h"
#include "../lib/model/safetensors.h"
#include "bench.h"

#define TENSORS	3	/* of a weight: itself, int8's factors, the bias */
#define NAME	32

static int write_rows(const char *dir, const char *name, const float *rows, size_t n,
		      uint32_t width)
{
	struct damf_out out = { 0 };
	char *path = damf_path(dir, name);
	struct damf_error err;
	int r = 0;

	if (!path)
		return cli_error(CLI_FAILURE, "no memory to write %s", name);
	if (damf_out_open(&out, path, &err)) {
		r = cli_error(CLI_FAILURE, "%s", err.text);
	} else {
		cli_write_npy(out.f, rows, n, width);
		if (damf_out_commit(&out, &err))
			r = cli_error(CLI_FAILURE, "%s", err.text);
	}
	free(path);
	return r;
}

/* ---- Weights ------------------------------------------------------------------- */

struct tensors {
	struct damf_st_out *outs;
	char (*names)[NAME];
	void **rounded;		/* a weight in its type; owned */
	size_t n, weights;
};

static void add(struct tensors *t, uint32_t layer, const char *name, const char *what,
		const char *dtype, uint32_t out, uint32_t in, const void *data)
{
	snprintf(t->names[t->n], NAME, "%u.%s.%s", layer, name, what);
	t->outs[t->n] = (struct damf_st_out){
		.name = t->names[t->n], .dtype = damf_st_dtype(dtype), .rank = in ? 2 : 1,
		.shape = { out, in }, .data = data,
	};
	t->n++;
}

/* [out][in] in the type that the kernel takes; NULL: no memory. */
static void *round_weight(const struct bench_weight *w)
{
	size_t size = w->mat.type == DAMF_K_I8 ? 1 : w->mat.type == DAMF_K_BF16 ? 2 : 4;
	char *to = malloc((size_t)w->in * w->out * size);
	uint32_t i;

	for (i = 0; i < w->out && to; i++) {
		const float *row = w->plain + (size_t)i * w->in;
		char *at = to + (size_t)i * w->in * size;

		if (w->mat.type == DAMF_K_I8)
			damf_row_i8((int8_t *)at, row, w->in);
		else if (w->mat.type == DAMF_K_BF16)
			damf_row_bf16((uint16_t *)at, row, w->in);
		else
			memcpy(at, row, w->in * sizeof(*row));
	}
	return to;
}

static int add_weight(struct tensors *t, uint32_t layer, const struct bench_weight *w)
{
	void *rounded = round_weight(w);

	if (!rounded)
		return cli_error(CLI_FAILURE, "no memory to write the weights");
	t->rounded[t->weights++] = rounded;
	add(t, layer, w->name, "weight", w->mat.type == DAMF_K_I8 ? "I8" :
	    w->mat.type == DAMF_K_BF16 ? "BF16" : "F32", w->out, w->in, rounded);
	if (w->scales)
		add(t, layer, w->name, "scales", "F32", w->out, 0, w->scales);
	add(t, layer, w->name, "bias", "F32", w->out, 0, w->bias);
	return 0;
}

/* The format's metadata are texts. */
static json_t *as_texts(const json_t *figures)
{
	json_t *o = json_object(), *value;
	const char *key;
	char *text;

	json_object_foreach((json_t *)figures, key, value) {
		text = json_dumps(value, JSON_ENCODE_ANY);
		cli_set_text(o, key, json_is_string(value) ? json_string_value(value) : text);
		free(text);
	}
	return o;
}

static int write_tensors(const char *dir, struct tensors *t, const json_t *figures)
{
	char *path = damf_path(dir, "weights.safetensors");
	json_t *metadata = as_texts(figures);
	struct damf_error err = { .text = "no memory to write the weights" };
	int r = path && metadata ? damf_st_write(path, t->outs, t->n, metadata, &err) : -ENOMEM;

	json_decref(metadata);
	free(path);
	return r ? cli_error(CLI_FAILURE, "%s", err.text) : 0;
}

static int write_weights(const struct bench_kernel *k, const json_t *figures)
{
	size_t most = (size_t)k->cold * BENCH_WEIGHTS, i;
	struct tensors t = {
		.outs = calloc(most * TENSORS, sizeof(*t.outs)),
		.names = calloc(most * TENSORS, sizeof(*t.names)),
		.rounded = calloc(most, sizeof(*t.rounded)),
	};
	int r = 0;

	if (!t.outs || !t.names || !t.rounded)
		r = cli_error(CLI_FAILURE, "no memory to write the weights");
	for (i = 0; i < k->cold && !r; i++)
		for (unsigned int j = 0; j < k->layers[i].weights && !r; j++)
			r = add_weight(&t, (uint32_t)i, &k->layers[i].weight[j]);
	if (!r)
		r = write_tensors(k->dump, &t, figures);
	for (i = 0; i < t.weights; i++)
		free(t.rounded[i]);
	free(t.rounded);
	free(t.names);
	free(t.outs);
	return r;
}

int bench_dump(const struct bench_kernel *k, const json_t *figures)
{
	int r;

	if (mkdir(k->dump, 0777) && errno != EEXIST)
		return cli_error(CLI_FAILURE, "%s: cannot make it: %s", k->dump, strerror(errno));
	r = write_rows(k->dump, "x.npy", k->x, k->length, k->in);
	if (!r)
		r = write_rows(k->dump, "y.npy", k->y, (size_t)k->cold * k->length, k->out);
	return r ? r : write_weights(k, figures);
}
