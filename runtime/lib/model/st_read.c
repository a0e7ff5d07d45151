// SPDX-License-Identifier: MIT
/* The data of tensors, as they are and as f32; models in several files. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "file.h"
#include "model.h"
#include "safetensors.h"

#define CHUNK (1u << 16)	/* elements read at once, and looked at while they are in a cache */

int damf_st_read(const struct damf_st_file *file, const struct damf_st_tensor *t, void *dst,
		 struct damf_error *err)
{
	return damf_read_at(file->fd, file->path, dst, t->bytes, t->offset, err);
}

/* IEEE binary16, subnormals included, has an exact f32. */
static uint32_t f16_bits(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = h >> 10 & 31, frac = h & 0x3ffu;

	if (exp == 31)
		return sign | 0x7f800000u | frac << 13;
	if (exp)
		return sign | (exp + 112) << 23 | frac << 13;
	if (!frac)
		return sign;
	for (exp = 113; !(frac & 0x400u); exp--)
		frac <<= 1;
	return sign | exp << 23 | (frac & 0x3ffu) << 13;
}

static uint16_t load_u16(const unsigned char *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return le16toh(v);
}

/* The f32 of each 16-bit element. */
static void widen(bool brain, const unsigned char *src, size_t n, float *dst)
{
	uint32_t bits;
	size_t i;

	for (i = 0; i < n; i++) {
		bits = load_u16(src + 2 * i);
		bits = brain ? bits << 16 : f16_bits((uint16_t)bits);
		memcpy(&dst[i], &bits, sizeof(bits));
	}
}

/* Numbers of a file are little-endian. */
static void to_host(float *x, size_t n)
{
	uint32_t bits;
	size_t i;

	for (i = 0; le32toh(1) != 1 && i < n; i++) {
		memcpy(&bits, &x[i], sizeof(bits));
		bits = le32toh(bits);
		memcpy(&x[i], &bits, sizeof(bits));
	}
}

/* chunk has room for n elements if they are of 16 bits. */
static int read_some(const struct damf_st_file *file, const struct damf_st_tensor *t, size_t from,
		     size_t n, unsigned char *chunk, float *dst, struct damf_error *err)
{
	size_t size = t->dtype->bits / 8;
	bool half = size == 2;
	int r = damf_read_at(file->fd, file->path, half ? (void *)chunk : dst, n * size,
			     t->offset + from * size, err);
	uint64_t good;

	if (r)
		return r;
	if (half)
		widen(t->dtype->name[0] == 'B', chunk, n, dst);
	else
		to_host(dst, n);
	good = damf_finite_f32(dst, n);
	if (good == n)
		return 0;
	return damf_error_set(err, -EINVAL,
			      "%s: tensor \"%.100s\": element %zu is not a finite number: the model is broken, train or fetch it again",
			      file->path, t->name, from + (size_t)good);
}

int damf_st_read_part(const struct damf_st_file *file, const struct damf_st_tensor *t,
		      uint64_t from, uint64_t n, float *dst, struct damf_error *err)
{
	unsigned char *chunk = NULL;
	uint64_t some, done;
	int r = 0;

	if (strcmp(t->dtype->name, "F32") && strcmp(t->dtype->name, "F16") &&
	    strcmp(t->dtype->name, "BF16"))
		return damf_error_set(err, -EINVAL,
				      "%s: tensor \"%.100s\" is of type %s: weights must be F32, F16 or BF16, convert the model to one of them",
				      file->path, t->name, t->dtype->name);
	if (t->dtype->bits == 16) {
		chunk = malloc(2 * CHUNK);
		if (!chunk)
			return damf_error_set(err, -ENOMEM, "%s: no memory to read it", file->path);
	}
	for (done = 0; !r && done < n; done += some) {
		some = n - done < CHUNK ? n - done : CHUNK;
		r = read_some(file, t, from + done, some, chunk, dst + done, err);
	}
	free(chunk);
	return r;
}

int damf_st_read_f32(const struct damf_st_file *file, const struct damf_st_tensor *t, float *dst,
		     struct damf_error *err)
{
	return damf_st_read_part(file, t, 0, t->elems, dst, err);
}

/* ---- Sets of files ------------------------------------------------------- */

/* Which of two tensors of one name counts, readers don't agree on. */
static int check_repeated(const struct damf_st_set *set, const struct damf_st_file *added,
			  struct damf_error *err)
{
	const struct damf_st_file *other;
	size_t i;

	for (i = 0; i < added->n; i++)
		if (damf_st_set_find(set, added->tensors[i].name, &other))
			return damf_error_set(err, -EINVAL,
					      "%s: tensor \"%.100s\" is in %s too: fetch or write the model again",
					      added->path, added->tensors[i].name, other->path);
	return 0;
}

static int set_add(struct damf_st_set *set, const char *dir, const char *name,
		   struct damf_error *err)
{
	struct damf_st_file **files;
	char *path = damf_path(dir, name);
	int r;

	files = realloc(set->files, (set->n + 1) * sizeof(*files));
	if (files)
		set->files = files;
	if (!path || !files)
		r = damf_error_set(err, -ENOMEM, "%s/%s: no memory", dir, name);
	else
		r = damf_st_open(path, &files[set->n], err);
	if (!r) {
		r = check_repeated(set, files[set->n], err);
		set->n++;	/* whatever r says: the set closes it */
	}
	free(path);
	return r;
}

static bool set_has(const struct damf_st_set *set, const char *dir, const char *name)
{
	size_t i, len = strlen(dir);

	for (i = 0; i < set->n; i++)
		if (!strcmp(set->files[i]->path + len + 1, name))
			return true;
	return false;
}

/* A shard lies in the directory itself. */
static bool shard_name_ok(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && strlen(name) <= 255;
}

static int open_shards(const char *dir, const char *index, json_t *map, struct damf_st_set *set,
		       struct damf_error *err)
{
	const struct damf_st_file *file;
	const char *tensor, *shard;
	json_t *value;
	int r;

	json_object_foreach(map, tensor, value) {
		shard = json_string_value(value);
		if (!shard || !shard_name_ok(shard))
			return damf_error_set(err, -EINVAL,
					      "%s: the file of tensor \"%.100s\" must be named by a plain file name",
					      index, tensor);
		if (set_has(set, dir, shard))
			continue;
		r = set_add(set, dir, shard, err);
		if (r)
			return r;
	}
	json_object_foreach(map, tensor, value) {
		if (!damf_st_set_find(set, tensor, &file) ||
		    strcmp(file->path + strlen(dir) + 1, json_string_value(value)))
			return damf_error_set(err, -EINVAL,
					      "%s: tensor \"%.100s\" is not in %.100s where the index says: fetch the model again",
					      index, tensor, json_string_value(value));
	}
	return 0;
}

static int open_index(const char *dir, const char *path, struct damf_st_set *set,
		      struct damf_error *err)
{
	json_t *root, *map;
	int r = damf_read_json(path, &root, err);

	if (r)
		return r;
	map = json_object_get(root, "weight_map");
	if (!json_is_object(map) || !json_object_size(map))
		r = damf_error_set(err, -EINVAL, "%s: it has no \"weight_map\"", path);
	else
		r = open_shards(dir, path, map, set, err);
	json_decref(root);
	return r;
}

int damf_st_set_open(const char *dir, struct damf_st_set *set, struct damf_error *err)
{
	char *single = damf_path(dir, "model.safetensors");
	char *index = damf_path(dir, "model.safetensors.index.json");
	int r;

	memset(set, 0, sizeof(*set));
	if (!single || !index)
		r = damf_error_set(err, -ENOMEM, "%s: no memory", dir);
	else if (damf_exists(single))
		r = set_add(set, dir, "model.safetensors", err);
	else if (damf_exists(index))
		r = open_index(dir, index, set, err);
	else
		r = damf_error_set(err, -ENOENT,
				   "%s: no model.safetensors and no model.safetensors.index.json: this is no Hugging Face model directory with safetensors weights",
				   dir);
	free(single);
	free(index);
	if (r)
		damf_st_set_close(set);
	return r;
}

void damf_st_set_close(struct damf_st_set *set)
{
	size_t i;

	for (i = 0; i < set->n; i++)
		damf_st_close(set->files[i]);
	free(set->files);
	memset(set, 0, sizeof(*set));
}

const struct damf_st_tensor *damf_st_set_find(const struct damf_st_set *set, const char *name,
					      const struct damf_st_file **file)
{
	const struct damf_st_tensor *t;
	size_t i;

	for (i = 0; i < set->n; i++) {
		t = damf_st_find(set->files[i], name);
		if (t) {
			*file = set->files[i];
			return t;
		}
	}
	return NULL;
}
