/* SPDX-License-Identifier: MIT */
/* Inside models: what one is, for the files that load, convert and run it. */
#ifndef DAMF_MODEL_INTERNAL_H
#define DAMF_MODEL_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "model_config.h"
#include "damf.h"
#include "damf_tokenizer.h"
#include "safetensors.h"

/* A tensor in the arena; its bytes are what the device reads. */
struct damf_weight {
	uint64_t at;		/* offset, a multiple of 64 */
	uint64_t stride;	/* bytes from row to row; 0 for PANEL32 */
	uint32_t rows, cols;	/* rows 0: it isn't there */
	uint16_t type, layout;	/* enum damf_type, enum damf_layout */
};

struct damf_dense {
	struct damf_weight w, b;
};

struct damf_layer_weights {
	struct damf_weight heads;		/* struct damf_head[heads] */
	struct damf_dense q, k, v, o, pq;	/* q, k: mhsa; pq: fold */
	struct damf_weight gamma1, beta1;
	struct damf_dense in, out;
	struct damf_weight gamma2, beta2;
};

#define DAMF_MAX_WARNINGS 8

struct damf_model {
	atomic_uint refs;
	struct damf_config config;
	struct damf_pooling pooling;
	struct damf_tokenizer *tok;
	uint32_t max_length;
	char max_length_from[96];

	enum damf_attention attention;		/* MHSA or FOLD */
	char attention_from[96];
	bool trained;				/* for that attention */
	bool no_weights;
	char *warnings[DAMF_MAX_WARNINGS];
	unsigned int n_warnings;

	void *arena;				/* everything below lies in it */
	uint64_t arena_size;
	uint64_t parameters;
	struct damf_weight word, position, type, gamma, beta;
	struct damf_layer_weights *layers;
	struct damf_dense pooler, classifier;	/* rows 0: there is none */
};

/* Adds a line; forgotten when memory is short or there are too many. */
void damf_model_warn(struct damf_model *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* weights.c: fills the arena from the files of dir. */
int damf_model_load_weights(struct damf_model *m, const char *dir, struct damf_error *err);

/* ---- Names of tensors ----------------------------------------------------- */

/* Where the weights of a model are, and how its files spell their names. */
struct damf_source {
	struct damf_st_set set;
	const char *prefix;	/* "" or "bert." */
	bool converted;		/* it has the tensors of DAMF attention */
};

int damf_source_open(const char *dir, struct damf_source *src, struct damf_error *err);
void damf_source_close(struct damf_source *src);
bool damf_source_has(const struct damf_source *src, const char *name);
/* Reads a tensor of exactly this shape (cols 0: rank 1) as f32. */
int damf_source_read(const struct damf_source *src, const char *name, uint32_t rows,
		     uint32_t cols, float *dst, struct damf_error *err);

#define DAMF_ST_VERSION_KEY	"damf.version"
#define DAMF_ST_VERSION		"1"
#define DAMF_ST_TRAINED_KEY	"damf.trained"
/* printf formats, of the layer */
#define DAMF_ST_PQ_WEIGHT	"damf.layer.%u.pq.weight"	/* [2 * heads, width]: u of each head, then v */
#define DAMF_ST_PQ_BIAS		"damf.layer.%u.pq.bias"		/* [2 * heads] */
#define DAMF_ST_SINGULAR	"damf.layer.%u.singular_values"	/* [heads, head width] */

#define DAMF_NOT_TRAINED \
	"DAMF attention in a model that was trained with softmax: accuracy falls; train it for DAMF, or use --attention mhsa"

/* ---- Fusion of Q and K ----------------------------------------------------- */

/* What rank 1 keeps of one layer's scores; all owned. */
struct damf_fused {
	uint32_t heads, width, head_width;
	float *weight;		/* [2 * heads][width]: s_1 u_1 of each head, then v_1 */
	float *bias;		/* [2 * heads] */
	float *singular;	/* [heads][head_width], falling */
};

/*
 * fuse.c: per head the singular value decomposition of W_Q W_K^T, biases
 * included. wq, wk: [width][width] as an HF Linear has them; bq, bk: [width].
 */
int damf_fuse(const float *wq, const float *bq, const float *wk, const float *bk, uint32_t heads,
	      uint32_t width, struct damf_fused *f, struct damf_error *err);
/* The same for a layer of a model's files. */
int damf_fuse_layer(const struct damf_source *src, uint32_t layer, uint32_t heads, uint32_t width,
		    struct damf_fused *f, struct damf_error *err);
void damf_fused_free(struct damf_fused *f);

/*
 * svd.c, all column-major in double. Every sum has one order and nothing
 * comes from a library, so the bits are the same on every machine.
 */

/* a [rows x cols] -> its orthonormal basis in place, r [cols x cols] upper triangular. */
void damf_qr(double *a, size_t rows, size_t cols, double *r);
/* a [n x n] = u diag(s) v^T by one-sided Jacobi rotations; s falls. a becomes u diag(s). */
void damf_svd(double *a, double *v, double *s, size_t n);

#endif /* DAMF_MODEL_INTERNAL_H */
