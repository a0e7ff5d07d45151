// SPDX-License-Identifier: MIT
/* Writing a safetensors file. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "safetensors.h"

#define CHUNK (1u << 20)

static uint64_t out_bytes(const struct damf_st_out *o)
{
	uint64_t elems = 1;
	unsigned int i;

	for (i = 0; i < o->rank; i++)
		elems *= o->shape[i];
	return elems * o->dtype->bits / 8;
}

static int by_size_and_name(const void *a, const void *b)
{
	const struct damf_st_out *x = a, *y = b;

	if (x->dtype->bits != y->dtype->bits)
		return x->dtype->bits > y->dtype->bits ? -1 : 1;
	return strcmp(x->name, y->name);
}

static json_t *entry(const struct damf_st_out *o, uint64_t at)
{
	json_t *shape = json_array();
	unsigned int i;

	for (i = 0; i < o->rank; i++)
		json_array_append_new(shape, json_integer((json_int_t)o->shape[i]));
	return json_pack("{s:s, s:o, s:[I, I]}", "dtype", o->dtype->name, "shape", shape,
			 "data_offsets", (json_int_t)at, (json_int_t)(at + out_bytes(o)));
}

/*
 * The header's text, filled up with spaces so that the data begin at a
 * multiple of align. NULL: out of memory, or *twice is a name that stands
 * twice.
 */
static char *make_header(const struct damf_st_out *outs, size_t n, json_t *metadata,
			 size_t align, size_t *len, const char **twice)
{
	json_t *root = json_object();
	char *text, *padded;
	uint64_t at = 0;
	size_t i;
	int bad = 0;

	if (metadata)
		bad = json_object_set(root, "__metadata__", metadata);
	*twice = NULL;
	for (i = 0; i < n && !bad; i++) {
		if (json_object_get(root, outs[i].name))
			*twice = outs[i].name;
		bad = *twice || json_object_set_new(root, outs[i].name, entry(&outs[i], at));
		at += out_bytes(&outs[i]);
	}
	text = bad ? NULL : json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!text)
		return NULL;
	i = strlen(text);
	*len = (sizeof(uint64_t) + i + align - 1) / align * align - sizeof(uint64_t);
	padded = realloc(text, *len + 1);
	if (!padded) {
		free(text);
		return NULL;
	}
	memset(padded + i, ' ', *len - i);
	return padded;
}

static int copy_data(FILE *f, const struct damf_st_out *o, char *chunk, struct damf_error *err)
{
	uint64_t done, n, bytes = out_bytes(o);
	int r;

	if (!o->from) {
		fwrite(o->data, 1, bytes, f);
		return 0;
	}
	for (done = 0; done < bytes; done += n) {
		n = bytes - done < CHUNK ? bytes - done : CHUNK;
		r = damf_read_at(o->from->fd, o->from->path, chunk, n, o->tensor->offset + done,
				 err);
		if (r)
			return r;
		fwrite(chunk, 1, n, f);
	}
	return 0;
}

static int write_all(FILE *f, const struct damf_st_out *outs, size_t n, const char *header,
		     size_t len, struct damf_error *err)
{
	uint64_t le = htole64(len);
	char *chunk = malloc(CHUNK);
	size_t i;
	int r = 0;

	if (!chunk)
		return damf_error_set(err, -ENOMEM, "no memory to write a model");
	fwrite(&le, 1, sizeof(le), f);
	fwrite(header, 1, len, f);
	for (i = 0; i < n && !r && !ferror(f); i++)
		r = copy_data(f, &outs[i], chunk, err);
	free(chunk);
	return r;
}

static int write_file(const char *path, const struct damf_st_out *outs, size_t n,
		      json_t *metadata, size_t align, struct damf_error *err)
{
	struct damf_out out;
	const char *twice;
	char *header;
	size_t len;
	int r;

	header = make_header(outs, n, metadata, align, &len, &twice);
	if (!header && twice)
		return damf_error_set(err, -EINVAL,
				      "%s: two tensors would have the name \"%.100s\": rename the one of the original model",
				      path, twice);
	if (!header)
		return damf_error_set(err, -ENOMEM, "%s: no memory for its header", path);
	r = damf_out_open(&out, path, err);
	if (!r) {
		r = write_all(out.f, outs, n, header, len, err);
		if (r)
			damf_out_abort(&out);
		else
			r = damf_out_commit(&out, err);	/* tells of failed writes too */
	}
	free(header);
	return r;
}

int damf_st_write(const char *path, struct damf_st_out *outs, size_t n, json_t *metadata,
		  struct damf_error *err)
{
	qsort(outs, n, sizeof(*outs), by_size_and_name);
	return write_file(path, outs, n, metadata, 8, err);
}

/* ---- Aligned ---------------------------------------------------------------- */

/* outs with what fills the gaps between; names has a name for each gap. */
static size_t fill_gaps(struct damf_st_out *to, char (*names)[32], const struct damf_st_out *outs,
			size_t n)
{
	static const char zeros[DAMF_ST_ALIGN];
	unsigned int pads = 0;
	uint64_t at = 0, gap;
	size_t i, done = 0;

	for (i = 0; i < n; i++) {
		gap = (DAMF_ST_ALIGN - at % DAMF_ST_ALIGN) % DAMF_ST_ALIGN;
		if (gap) {
			snprintf(names[pads], sizeof(names[pads]), DAMF_ST_PAD, pads);
			to[done++] = (struct damf_st_out){
				.name = names[pads++], .dtype = damf_st_dtype("U8"), .rank = 1,
				.shape = { gap }, .data = zeros,
			};
		}
		to[done++] = outs[i];
		at += gap + out_bytes(&outs[i]);
	}
	return done;
}

int damf_st_write_aligned(const char *path, const struct damf_st_out *outs, size_t n,
			  json_t *metadata, struct damf_error *err)
{
	struct damf_st_out *all = calloc(2 * n + 1, sizeof(*all));
	char (*names)[32] = calloc(n + 1, sizeof(*names));
	int r;

	if (all && names)
		r = write_file(path, all, fill_gaps(all, names, outs, n), metadata, DAMF_ST_ALIGN,
			       err);
	else
		r = damf_error_set(err, -ENOMEM, "%s: no memory for its header", path);
	free(all);
	free(names);
	return r;
}
