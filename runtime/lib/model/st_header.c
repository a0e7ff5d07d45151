// SPDX-License-Identifier: MIT
/* Opening a safetensors file: its header, and every rule that it must keep. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "file.h"
#include "safetensors.h"
#include "unicode.h"

const struct damf_st_dtype *damf_st_dtype(const char *name)
{
	static const struct damf_st_dtype types[] = {
		{ "F64", 64 }, { "I64", 64 }, { "U64", 64 }, { "C64", 64 },
		{ "F32", 32 }, { "I32", 32 }, { "U32", 32 },
		{ "F16", 16 }, { "BF16", 16 }, { "I16", 16 }, { "U16", 16 },
		{ "F8_E4M3", 8 }, { "F8_E5M2", 8 }, { "F8_E8M0", 8 },
		{ "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 },
		{ "I8", 8 }, { "U8", 8 }, { "BOOL", 8 },
		{ "F6_E2M3", 6 }, { "F6_E3M2", 6 }, { "F4", 4 },
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(name, types[i].name))
			return &types[i];
	return NULL;
}

/* ---- One entry ----------------------------------------------------------- */

#define REMEDY "; the file is damaged or was made wrongly, fetch or write it again"

#define BAD_TENSOR(fmt, ...) \
	damf_error_set(err, -EINVAL, "%s: tensor \"%.100s\": " fmt REMEDY, file->path, \
		       t->name, ##__VA_ARGS__)

static int check_keys(const struct damf_st_file *file, const struct damf_st_tensor *t,
		      json_t *entry, struct damf_error *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(entry, key, value)
		if (strcmp(key, "dtype") && strcmp(key, "shape") && strcmp(key, "data_offsets"))
			return BAD_TENSOR("unknown key \"%.60s\"", key);
	return 0;
}

/* An integer that JSON spells as one, not negative. */
static bool get_count(json_t *value, uint64_t *out)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*out = (uint64_t)json_integer_value(value);
	return true;
}

static int read_shape(const struct damf_st_file *file, struct damf_st_tensor *t, json_t *shape,
		      struct damf_error *err)
{
	size_t i;

	if (!json_is_array(shape))
		return BAD_TENSOR("shape is missing or not a list");
	if (json_array_size(shape) > DAMF_ST_MAX_RANK)
		return BAD_TENSOR("%zu dimensions, more than %u", json_array_size(shape),
				  DAMF_ST_MAX_RANK);
	t->rank = (unsigned int)json_array_size(shape);
	t->elems = 1;
	for (i = 0; i < t->rank; i++) {
		if (!get_count(json_array_get(shape, i), &t->shape[i]))
			return BAD_TENSOR("dimension %zu of shape is not a count", i);
		if (__builtin_mul_overflow(t->elems, t->shape[i], &t->elems))
			return BAD_TENSOR("the number of elements overflows 64 bits");
	}
	return 0;
}

/* begin and end are left relative to the data, checked against the shape later. */
static int read_entry(const struct damf_st_file *file, struct damf_st_tensor *t, json_t *entry,
		      struct damf_error *err)
{
	json_t *dtype, *offsets;
	uint64_t begin, end;

	if (!json_is_object(entry))
		return BAD_TENSOR("its entry is not an object");
	if (check_keys(file, t, entry, err))
		return -EINVAL;
	dtype = json_object_get(entry, "dtype");
	if (!json_is_string(dtype))
		return BAD_TENSOR("dtype is missing or not a string");
	t->dtype = damf_st_dtype(json_string_value(dtype));
	if (!t->dtype)
		return BAD_TENSOR("dtype \"%.40s\" is not known", json_string_value(dtype));
	if (read_shape(file, t, json_object_get(entry, "shape"), err))
		return -EINVAL;
	offsets = json_object_get(entry, "data_offsets");
	if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
	    !get_count(json_array_get(offsets, 0), &begin) ||
	    !get_count(json_array_get(offsets, 1), &end))
		return BAD_TENSOR("data_offsets is not a list of two counts");
	if (end < begin)
		return BAD_TENSOR("its data end before they begin");
	t->offset = begin;
	t->bytes = end - begin;
	return 0;
}

/* ---- The header ---------------------------------------------------------- */

static int by_offset(const void *a, const void *b)
{
	const struct damf_st_tensor *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
	const struct damf_st_tensor *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int index_names(struct damf_st_file *file, struct damf_error *err)
{
	size_t i;

	file->names = malloc((file->n + 1) * sizeof(*file->names));
	if (!file->names)
		return damf_error_set(err, -ENOMEM, "%s: no memory for its header", file->path);
	for (i = 0; i < file->n; i++)
		file->names[i] = &file->tensors[i];
	qsort(file->names, file->n, sizeof(*file->names), by_name);
	return 0;
}

/* Tensors follow each other without hole or overlap up to the file's end. */
static int check_layout(struct damf_st_file *file, struct damf_error *err)
{
	uint64_t bits, at = 0;
	size_t i;

	if (file->n)
		qsort(file->tensors, file->n, sizeof(*file->tensors), by_offset);
	for (i = 0; i < file->n; i++) {
		struct damf_st_tensor *t = &file->tensors[i];

		if (t->offset < at)
			return BAD_TENSOR("its data overlap those of another tensor");
		if (t->offset > at)
			return BAD_TENSOR("there is a hole before its data");
		if (__builtin_mul_overflow(t->elems, (uint64_t)t->dtype->bits, &bits))
			return BAD_TENSOR("its size in bits overflows");
		if (bits % 8)
			return BAD_TENSOR("its size is no whole number of bytes");
		if (t->bytes != bits / 8)
			return BAD_TENSOR("its shape takes %" PRIu64 " bytes, data_offsets give %" PRIu64,
					  bits / 8, t->bytes);
		at += t->bytes;
		if (at > file->size - file->data)
			return BAD_TENSOR("its data end beyond the end of the file, which is cut short");
		t->offset += file->data;
	}
	if (at != file->size - file->data)
		return damf_error_set(err, -EINVAL, "%s: %" PRIu64
				      " bytes behind the last tensor belong to none" REMEDY,
				      file->path, file->size - file->data - at);
	return 0;
}

static int take_metadata(struct damf_st_file *file, json_t *value, struct damf_error *err)
{
	const char *key;
	json_t *v;

	if (!json_is_object(value))
		return damf_error_set(err, -EINVAL, "%s: __metadata__ is not an object" REMEDY,
				      file->path);
	json_object_foreach(value, key, v)
		if (!json_is_string(v))
			return damf_error_set(err, -EINVAL,
					      "%s: __metadata__: \"%.100s\" is not a string" REMEDY,
					      file->path, key);
	file->metadata = json_incref(value);
	return 0;
}

static int take_entries(struct damf_st_file *file, json_t *root, struct damf_error *err)
{
	const char *key;
	json_t *value;
	int r;

	if (json_object_size(root) > DAMF_ST_MAX_TENSORS)
		return damf_error_set(err, -EINVAL, "%s: %zu tensors, more than %u", file->path,
				      json_object_size(root), DAMF_ST_MAX_TENSORS);
	file->tensors = calloc(json_object_size(root) + 1, sizeof(*file->tensors));
	if (!file->tensors)
		return damf_error_set(err, -ENOMEM, "%s: no memory for its header", file->path);
	json_object_foreach(root, key, value) {
		struct damf_st_tensor *t = &file->tensors[file->n];

		if (!strcmp(key, "__metadata__")) {
			r = take_metadata(file, value, err);
			if (r)
				return r;
			continue;
		}
		if (strlen(key) > DAMF_ST_MAX_NAME)
			return damf_error_set(err, -EINVAL, "%s: a tensor's name is longer than %u bytes",
					      file->path, DAMF_ST_MAX_NAME);
		t->name = strdup(key);
		if (!t->name)
			return damf_error_set(err, -ENOMEM, "%s: no memory for its header",
					      file->path);
		file->n++;
		r = read_entry(file, t, value, err);
		if (r)
			return r;
	}
	r = check_layout(file, err);
	return r ? r : index_names(file, err);
}

static int parse_header(struct damf_st_file *file, const char *text, size_t len,
			struct damf_error *err)
{
	size_t valid = damf_utf8_check(text, len);
	json_error_t json;
	json_t *root;
	int r;

	if (valid != len)
		return damf_error_set(err, -EINVAL, "%s: the header is not UTF-8 at byte %zu" REMEDY,
				      file->path, valid);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &json);
	if (!root)
		return damf_error_set(err, -EINVAL,
				      "%s: the header is not the JSON of a safetensors file: %s (at byte %d)" REMEDY,
				      file->path, json.text, json.position);
	if (!json_is_object(root))
		r = damf_error_set(err, -EINVAL, "%s: the header is not a JSON object" REMEDY,
				   file->path);
	else
		r = take_entries(file, root, err);
	json_decref(root);
	return r;
}

static int read_header(struct damf_st_file *file, struct damf_error *err)
{
	uint64_t len;
	char *text;
	int r;

	if (file->size < sizeof(len))
		return damf_error_set(err, -EINVAL,
				      "%s: %" PRIu64 " bytes, too short for the header of a safetensors file" REMEDY,
				      file->path, file->size);
	r = damf_read_at(file->fd, file->path, &len, sizeof(len), 0, err);
	if (r)
		return r;
	len = le64toh(len);
	if (len > DAMF_ST_MAX_HEADER)
		return damf_error_set(err, -EINVAL,
				      "%s: a header of %" PRIu64 " bytes, more than the %u allowed: this is not a safetensors file, or a hostile one",
				      file->path, len, DAMF_ST_MAX_HEADER);
	if (len > file->size - sizeof(len))
		return damf_error_set(err, -EINVAL,
				      "%s: the file ends inside its header: it is cut short, fetch it again",
				      file->path);
	file->data = len + sizeof(len);
	text = malloc(len + 1);
	if (!text)
		return damf_error_set(err, -ENOMEM, "%s: no memory for its header", file->path);
	r = damf_read_at(file->fd, file->path, text, len, sizeof(len), err);
	if (!r)
		r = parse_header(file, text, len, err);
	free(text);
	return r;
}

/* ---- The file ------------------------------------------------------------ */

int damf_st_open(const char *path, struct damf_st_file **out, struct damf_error *err)
{
	struct damf_st_file *file = calloc(1, sizeof(*file));
	int r;

	*out = NULL;
	if (!file)
		return damf_error_set(err, -ENOMEM, "%s: no memory", path);
	file->fd = -1;
	file->path = strdup(path);
	if (!file->path)
		r = damf_error_set(err, -ENOMEM, "%s: no memory", path);
	else
		r = damf_open_regular(path, &file->fd, &file->size, err);
	if (!r)
		r = read_header(file, err);
	if (r) {
		damf_st_close(file);
		return r;
	}
	*out = file;
	return 0;
}

void damf_st_close(struct damf_st_file *file)
{
	size_t i;

	if (!file)
		return;
	for (i = 0; i < file->n; i++)
		free(file->tensors[i].name);
	free(file->tensors);
	free(file->names);
	json_decref(file->metadata);
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file);
}

const struct damf_st_tensor *damf_st_find(const struct damf_st_file *file, const char *name)
{
	struct damf_st_tensor key = { .name = (char *)name };
	const struct damf_st_tensor *at = &key, **found;

	found = bsearch(&at, file->names, file->n, sizeof(*file->names), by_name);
	return found ? *found : NULL;
}

const char *damf_st_metadata(const struct damf_st_file *file, const char *key)
{
	return json_string_value(json_object_get(file->metadata, key));
}
