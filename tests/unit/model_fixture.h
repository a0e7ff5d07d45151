/* SPDX-License-Identifier: MIT */
/* A directory to write in, and a tiny BERT of random weights to put there. */
#ifndef MODEL_FIXTURE_H
#define MODEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "damf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* A directory of the running test. */
const char *fix_dir(void);
/* Path of a file there; valid until the fourth call after this one. */
const char *fix_path(const char *name);
void fix_write(const char *name, const void *data, size_t len);
void fix_text(const char *name, const char *text);
void fix_remove(const char *name);
/* The whole file, to be freed. */
unsigned char *fix_read(const char *name, size_t *len);
/* Removes the directory and all that is in it. */
int fix_teardown(void **state);

/* An 8-byte length, the header, then data_len bytes counting from 0. */
void fix_safetensors(const char *name, const char *header, size_t data_len);

/*
 * In the header of a safetensors file: each from becomes to. The header is
 * filled up so that the data begin at align bytes behind a multiple of 64.
 */
void fix_patch_header(const char *name, const char *from, const char *to, size_t align);
/* Bytes of a tensor, from an offset in it on. */
void fix_patch_tensor(const char *name, const char *tensor, size_t at, const void *bytes,
		      size_t len);

struct tiny_tensor {
	char name[96];
	unsigned int rank;
	uint32_t shape[2];
	float *data;
};

enum tiny_type { TINY_F32, TINY_F16, TINY_BF16 };

/* [CLS] is 2, [SEP] 3; a letter alone is a word: 'a' is 5. */
enum { TINY_VOCAB = 60, TINY_CLS = 2, TINY_SEP = 3, TINY_A = 5 };

struct tiny {
	uint32_t layers, width, heads, inner, positions, types, labels;
	bool prefix, shards;
	enum tiny_type type;
	struct tiny_tensor tensors[80];
	size_t n;
};

/* Two layers of width 48 with four heads, drawn from a seed. */
void tiny_make(struct tiny *t, uint32_t labels, uint32_t seed);
/* The same of another width, with two heads. */
void tiny_make_width(struct tiny *t, uint32_t width);
/* Writes config.json, vocab.txt and the weights. */
void tiny_write(const struct tiny *t);
const float *tiny_get(const struct tiny *t, const char *name, unsigned int layer);
void tiny_free(struct tiny *t);

/* The one of a program: with no labels, seed 1, in the directory. */
extern struct tiny tiny;
int tiny_setup(void **state);
int tiny_teardown(void **state);

#define CONVERT_OPT(...) \
	(struct damf_convert_options){ .size = sizeof(struct damf_convert_options), __VA_ARGS__ }

#endif /* MODEL_FIXTURE_H */
