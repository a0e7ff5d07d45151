// SPDX-License-Identifier: MIT
/* The weights of a directory by name, whatever wrote it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "model.h"

/* ---- Metadata --------------------------------------------------------------------- */

/* NULL: no file has it. */
static const char *metadata(const struct damf_source *src, const char *key)
{
	const char *value = NULL;
	size_t i;

	for (i = 0; i < src->set.n && !value; i++)
		value = damf_st_metadata(src->set.files[i], key);
	return value;
}

/* Place of a value in a list that ends with NULL. */
static int choose(const struct damf_source *src, const char *key, const char *const *words,
		  int *at, struct damf_error *err)
{
	const char *value = metadata(src, key);
	char known[64];
	size_t n = 0;
	int i;

	for (i = 0; words[i]; i++) {
		if (value && !strcmp(value, words[i])) {
			*at = i;
			return 0;
		}
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "",
				      words[i]);
	}
	return damf_error_set(err, -EINVAL,
			      "%s: \"%s\" of its metadata is %s%.20s%s, this library knows %s: convert the original model again",
			      src->set.files[0]->path, key, value ? "\"" : "",
			      value ? value : "missing", value ? "\"" : "", known);
}

/* Ours without metadata: who wrote it knows another form than we do. */
static int check_unversioned(const struct damf_source *src, struct damf_error *err)
{
	size_t f, i;

	for (f = 0; f < src->set.n; f++) {
		const struct damf_st_file *file = src->set.files[f];

		for (i = 0; i < file->n; i++)
			if (!strncmp(file->tensors[i].name, "damf.", 5))
				return damf_error_set(err, -EINVAL,
						      "%s: it has tensor \"%.100s\", but no \"%s\" in its metadata: convert the original model again",
						      file->path, file->tensors[i].name,
						      DAMF_ST_VERSION_KEY);
	}
	return 0;
}

static int read_types(struct damf_source *src, struct damf_error *err)
{
	static const char *const plain[] = { "f32", NULL };
	static const char *const packed[] = { "f32", "bf16", "int8", NULL };
	static const char *const xtypes[] = { "int8", "int16", NULL };
	int at, r = choose(src, DAMF_ST_DTYPE_KEY, src->packed ? packed : plain, &at, err);

	if (r)
		return r;
	src->dtype = (enum damf_dtype)(DAMF_DTYPE_F32 + at);
	if (src->dtype != DAMF_DTYPE_INT8)
		return 0;
	r = choose(src, DAMF_ST_XTYPE_KEY, xtypes, &at, err);
	if (!r)
		src->xtype = (enum damf_xtype)(DAMF_XTYPE_INT8 + at);
	return r;
}

static int read_metadata(struct damf_source *src, struct damf_error *err)
{
	static const char *const versions[] = { DAMF_ST_VERSION, NULL };
	static const char *const forms[] = { "plain", "packed", NULL };
	static const char *const truth[] = { "false", "true", NULL };
	int at, r;

	src->dtype = DAMF_DTYPE_F32;
	if (!metadata(src, DAMF_ST_VERSION_KEY))
		return check_unversioned(src, err);
	src->converted = true;
	r = choose(src, DAMF_ST_VERSION_KEY, versions, &at, err);
	if (!r)
		r = choose(src, DAMF_ST_FORM_KEY, forms, &at, err);
	if (r)
		return r;
	src->packed = at;
	r = choose(src, DAMF_ST_TRAINED_KEY, truth, &at, err);
	if (r)
		return r;
	src->trained = at;
	if (src->packed && src->set.n > 1)
		return damf_error_set(err, -EINVAL,
				      "%s: a packed model in several files: convert the original model again",
				      src->set.files[0]->path);
	return read_types(src, err);
}

int damf_source_open(const char *dir, struct damf_source *src, struct damf_error *err)
{
	static const char word[] = "bert.embeddings.word_embeddings.weight";
	const struct damf_st_file *file;
	int r;

	memset(src, 0, sizeof(*src));
	r = damf_st_set_open(dir, &src->set, err);
	if (r)
		return r;
	src->prefix = damf_st_set_find(&src->set, word, &file) ? "bert." : "";
	r = read_metadata(src, err);
	if (r)
		damf_source_close(src);
	return r;
}

void damf_source_close(struct damf_source *src)
{
	damf_st_set_close(&src->set);
}

/* ---- Tensors by name -------------------------------------------------------------- */

/* LayerNorm's tensors had other names once. */
static const struct damf_st_tensor *find_old(const struct damf_source *src, const char *name,
					     const struct damf_st_file **file)
{
	const char *dot = strrchr(name, '.');
	char old[160];

	if (!dot || !strstr(name, "LayerNorm"))
		return NULL;
	snprintf(old, sizeof(old), "%s%.*s.%s", src->prefix, (int)(dot - name), name,
		 strcmp(dot, ".weight") ? "beta" : "gamma");
	return damf_st_set_find(&src->set, old, file);
}

const struct damf_st_tensor *damf_source_find(const struct damf_source *src, const char *name,
					      const struct damf_st_file **file)
{
	const struct damf_st_tensor *t;
	char full[160];

	snprintf(full, sizeof(full), "%s%s", src->prefix, name);
	t = damf_st_set_find(&src->set, full, file);
	if (!t)		/* a head, or ours: never prefixed */
		t = damf_st_set_find(&src->set, name, file);
	return t ? t : find_old(src, name, file);
}

bool damf_source_has(const struct damf_source *src, const char *name)
{
	const struct damf_st_file *file;
	char full[160];

	snprintf(full, sizeof(full), "%s%s", name, DAMF_ST_PANEL);
	return damf_source_find(src, name, &file) ||
	       (src->packed && damf_source_find(src, full, &file));
}

/* ---- Shapes ------------------------------------------------------------------------ */

static void shape_text(char *text, size_t size, unsigned int rank, const uint64_t *shape)
{
	size_t n = 0;
	unsigned int i;

	text[0] = '\0';
	for (i = 0; i < rank && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%" PRIu64, i ? ", " : "", shape[i]);
}

int damf_source_need(const struct damf_source *src, const char *name, unsigned int rank,
		     const uint64_t *shape, const struct damf_st_file **file,
		     const struct damf_st_tensor **tensor, struct damf_error *err)
{
	const struct damf_st_tensor *t = damf_source_find(src, name, file);
	char have[128], want[96];

	*tensor = t;
	if (!t)
		return damf_error_set(err, -EINVAL,
				      "%s: there is no tensor \"%s%s\": this is not a whole BERT encoder",
				      src->set.files[0]->path, src->prefix, name);
	if (t->rank == rank && !memcmp(t->shape, shape, rank * sizeof(*shape)))
		return 0;
	shape_text(have, sizeof(have), t->rank, t->shape);
	shape_text(want, sizeof(want), rank, shape);
	return damf_error_set(err, -EINVAL,
			      "%s: tensor \"%.100s\" has shape [%s], config.json calls for [%s]: the two are not of one model",
			      (*file)->path, t->name, have, want);
}

int damf_source_read(const struct damf_source *src, const char *name, uint32_t rows,
		     uint32_t cols, float *dst, struct damf_error *err)
{
	const uint64_t shape[] = { rows, cols };
	const struct damf_st_file *file;
	const struct damf_st_tensor *t;
	int r = damf_source_need(src, name, cols ? 2 : 1, shape, &file, &t, err);

	return r ? r : damf_st_read_f32(file, t, dst, err);
}

int damf_source_read_rows(const struct damf_source *src, const char *name, uint32_t rows,
			  uint32_t cols, uint32_t first, uint32_t n, float *dst,
			  struct damf_error *err)
{
	const uint64_t shape[] = { rows, cols };
	const struct damf_st_file *file;
	const struct damf_st_tensor *t;
	int r = damf_source_need(src, name, 2, shape, &file, &t, err);

	return r ? r : damf_st_read_part(file, t, (uint64_t)first * cols, (uint64_t)n * cols, dst,
					 err);
}

/* [out][in] of a matrix that is packed in f32 or bf16. */
static int read_panels(const struct damf_source *src, const char *name, uint32_t out, uint32_t in,
		       float *dst, struct damf_error *err)
{
	const struct damf_st_tensor *t;
	const struct damf_st_file *file;
	uint64_t shape[4], n, k;
	float *panels = NULL;
	char full[192];
	unsigned int rank = damf_panel_shape(DAMF_TYPE_F32, in, out, shape);
	int r;

	snprintf(full, sizeof(full), "%s%s", name, DAMF_ST_PANEL);
	r = damf_source_need(src, full, rank, shape, &file, &t, err);
	if (!r) {
		panels = malloc(t->elems * sizeof(*panels));
		r = panels ? damf_st_read_f32(file, t, panels, err) :
			     damf_error_set(err, -ENOMEM, "%s: no memory to read it", file->path);
	}
	for (n = 0; n < out && !r; n++)
		for (k = 0; k < in; k++)
			dst[n * in + k] = panels[(n / DAMF_PANEL * in + k) * DAMF_PANEL +
						 n % DAMF_PANEL];
	free(panels);
	return r;
}

int damf_source_read_matrix(const struct damf_source *src, const char *name, uint32_t out,
			    uint32_t in, float *dst, struct damf_error *err)
{
	if (src->packed)
		return read_panels(src, name, out, in, dst, err);
	return damf_source_read(src, name, out, in, dst, err);
}
