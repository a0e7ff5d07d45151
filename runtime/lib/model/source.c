// SPDX-License-Identifier: MIT
/* The weights of a directory by name, whatever wrote it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "model.h"

int damf_source_open(const char *dir, struct damf_source *src, struct damf_error *err)
{
	static const char word[] = "bert.embeddings.word_embeddings.weight";
	const struct damf_st_file *file;
	const char *version = NULL;
	size_t i;
	int r = damf_st_set_open(dir, &src->set, err);

	if (r)
		return r;
	src->prefix = damf_st_set_find(&src->set, word, &file) ? "bert." : "";
	for (i = 0; i < src->set.n && !version; i++)
		version = damf_st_metadata(src->set.files[i], DAMF_ST_VERSION_KEY);
	src->converted = version != NULL;
	if (version && strcmp(version, DAMF_ST_VERSION)) {
		r = damf_error_set(err, -EINVAL,
				   "%s: its DAMF tensors are of version %.20s, this library knows %s: convert the original model again",
				   dir, version, DAMF_ST_VERSION);
		damf_source_close(src);
	}
	return r;
}

void damf_source_close(struct damf_source *src)
{
	damf_st_set_close(&src->set);
}

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

static void shape_text(char *text, size_t size, const struct damf_st_tensor *t)
{
	size_t n = 0;
	unsigned int i;

	text[0] = '\0';
	for (i = 0; i < t->rank && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%" PRIu64, i ? ", " : "",
				      t->shape[i]);
}

static int check_shape(const struct damf_st_file *file, const struct damf_st_tensor *t,
		       uint32_t rows, uint32_t cols, struct damf_error *err)
{
	char have[128], want[32];

	if (t->rank == (cols ? 2u : 1u) && t->shape[0] == rows && (!cols || t->shape[1] == cols))
		return 0;
	shape_text(have, sizeof(have), t);
	if (cols)
		snprintf(want, sizeof(want), "%u, %u", rows, cols);
	else
		snprintf(want, sizeof(want), "%u", rows);
	return damf_error_set(err, -EINVAL,
			      "%s: tensor \"%.100s\" has shape [%s], config.json calls for [%s]: the two are not of one model",
			      file->path, t->name, have, want);
}

static const struct damf_st_tensor *find(const struct damf_source *src, const char *name,
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

	return find(src, name, &file) != NULL;
}

int damf_source_read(const struct damf_source *src, const char *name, uint32_t rows,
		     uint32_t cols, float *dst, struct damf_error *err)
{
	const struct damf_st_file *file;
	const struct damf_st_tensor *t = find(src, name, &file);
	int r;

	if (!t)
		return damf_error_set(err, -EINVAL,
				      "%s: there is no tensor \"%s%s\": this is not a whole BERT encoder",
				      src->set.files[0]->path, src->prefix, name);
	r = check_shape(file, t, rows, cols, err);
	return r ? r : damf_st_read_f32(file, t, dst, err);
}
