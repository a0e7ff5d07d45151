/* SPDX-License-Identifier: MIT */
/*
 * safetensors files: a strict reader and a writer.
 *
 * The reader trusts nothing in the file: every rule of the format is checked
 * before a tensor can be asked for, duplicate keys, holes, overlaps and bytes
 * behind the last tensor included. It reads, it doesn't map: a file that
 * shrinks meanwhile gives an error, not a signal. (mapped.c maps.)
 */
#ifndef DAMF_SAFETENSORS_H
#define DAMF_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "damf.h"

#define DAMF_ST_MAX_HEADER	(16u << 20)	/* bytes */
#define DAMF_ST_MAX_TENSORS	65536u
#define DAMF_ST_MAX_NAME	512u		/* bytes */
#define DAMF_ST_MAX_RANK	8u
#define DAMF_ST_ALIGN		64u
#define DAMF_ST_PAD		"damf.pad.%u"	/* printf format */

struct damf_st_dtype {
	const char *name;	/* as the file spells it */
	unsigned int bits;	/* of an element */
};

/* By name; NULL if there is no such type in the format. */
const struct damf_st_dtype *damf_st_dtype(const char *name);

struct damf_st_tensor {
	char *name;				/* owned */
	const struct damf_st_dtype *dtype;
	unsigned int rank;
	uint64_t shape[DAMF_ST_MAX_RANK];
	uint64_t elems, bytes;
	uint64_t offset;			/* of its data, from the start of the file */
};

/* An open file; doesn't change after it was opened, so threads may share it. */
struct damf_st_file {
	char *path;
	int fd;
	uint64_t size, data;			/* of the file; where the data begin */
	struct damf_st_tensor *tensors;		/* in order of their data */
	const struct damf_st_tensor **names;	/* the same by name */
	size_t n;
	json_t *metadata;			/* object of strings, or NULL */
};

/* 0 or -errno; err names the file, the tensor and the rule that it breaks. */
int damf_st_open(const char *path, struct damf_st_file **file, struct damf_error *err);
void damf_st_close(struct damf_st_file *file);

/* NULL if there is none. */
const struct damf_st_tensor *damf_st_find(const struct damf_st_file *file, const char *name);
/* The value of a key of __metadata__, or NULL. */
const char *damf_st_metadata(const struct damf_st_file *file, const char *key);

/* The tensor's bytes as the file has them; dst has room for t->bytes. */
int damf_st_read(const struct damf_st_file *file, const struct damf_st_tensor *t, void *dst,
		 struct damf_error *err);
/*
 * The tensor's elements as f32, from F32, F16 or BF16; others are refused by
 * name. -EINVAL also if an element is not finite. dst has room for t->elems.
 */
int damf_st_read_f32(const struct damf_st_file *file, const struct damf_st_tensor *t, float *dst,
		     struct damf_error *err);
/* n elements of it, from one on. */
int damf_st_read_part(const struct damf_st_file *file, const struct damf_st_tensor *t,
		      uint64_t from, uint64_t n, float *dst, struct damf_error *err);

/* ---- All the files of a model ------------------------------------------- */

/* model.safetensors, or the shards that model.safetensors.index.json names. */
struct damf_st_set {
	struct damf_st_file **files;
	size_t n;
};

/* A tensor that stands in two files is an error, as it is within one. */
int damf_st_set_open(const char *dir, struct damf_st_set *set, struct damf_error *err);
void damf_st_set_close(struct damf_st_set *set);
/* *file receives the one that holds it. */
const struct damf_st_tensor *damf_st_set_find(const struct damf_st_set *set, const char *name,
					      const struct damf_st_file **file);

/* ---- Writing ------------------------------------------------------------- */

/* A tensor to be written: from memory (data), or copied from another file. */
struct damf_st_out {
	const char *name;
	const struct damf_st_dtype *dtype;
	unsigned int rank;
	uint64_t shape[DAMF_ST_MAX_RANK];
	const void *data;
	const struct damf_st_file *from;
	const struct damf_st_tensor *tensor;
};

/*
 * Writes a file that appears under its name only when it is whole. The order
 * of outs changes: by falling size of the element, then by name. metadata: an
 * object of strings, or NULL.
 */
int damf_st_write(const char *path, struct damf_st_out *outs, size_t n, json_t *metadata,
		  struct damf_error *err);
/*
 * The same in the order given, each tensor at a multiple of DAMF_ST_ALIGN bytes
 * of the file: the header is filled up, and tensors damf.pad.I stand where a
 * gap is needed, since the format allows no holes.
 */
int damf_st_write_aligned(const char *path, const struct damf_st_out *outs, size_t n,
			  json_t *metadata, struct damf_error *err);

#endif /* DAMF_SAFETENSORS_H */
