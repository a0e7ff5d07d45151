/* SPDX-License-Identifier: MIT */
/*
 * Random and adversarial layers for the integer parts of shift and foldshift:
 * a ragged batch, heads, and given p, q, V, X and Z.
 */
#ifndef DAMF_TESTS_INT_LAYER_H
#define DAMF_TESTS_INT_LAYER_H

#include "define_integers.h"

#define INT_SEQS	4
#define INT_HEADS	3
#define INT_TERMS	(5 * INT_HEADS)

/* What numbers look like; not all are used for all. */
enum int_data {
	INT_RANDOM, INT_ZERO, INT_ONE_SIDE, INT_LARGEST, INT_SUBNORMAL, INT_WILD, INT_POWERS,
	INT_EDGE, INT_ROOT, INT_LOUD, INT_TIES, INT_TINY, INT_NOT_FINITE, INT_DATA_END,
};
extern const char *const int_data_names[INT_DATA_END];

struct int_head {
	size_t order;
	float c[5], g;
	bool centred, scale;
};

struct int_layer {
	size_t seqs, len[INT_SEQS], from[INT_SEQS], tokens;
	size_t heads, terms, d_v, width, cols;
	struct int_head head[INT_HEADS];
	enum int_data data_p, data_q, data_v, data_x, data_z;
	float *p, *q;	/* [heads][tokens] */
	float *v;	/* [tokens][heads d_v] */
	float *x;	/* [tokens][width] */
	float *z;	/* [seqs][terms][cols]; a head's terms lie together */
	void *memory;
};

/* What comes of it. All of it is compared with memcmp. */
struct int_result {
	/* shift */
	int64_t *den;	/* [heads][tokens]; 0 where all is not a number */
	int64_t *num;	/* [heads][tokens][d_v] */
	float *out;	/* [tokens][heads d_v] */
	/* foldshift */
	int64_t *sums;	/* [seqs][terms][width]; 0 where all is not a number */
	float *rows;	/* the same as f32 */
	int64_t *sigma;	/* [seqs][terms] */
	int64_t *mix;	/* [tokens][cols]; 0 where all is not a number */
	int64_t *exponent; /* [seqs]: of x, of Z, and whether the sequence is finite */
	void *memory;
	size_t size;
};

/* Layer number n of a series. */
void int_layer_make(struct int_layer *l, uint64_t n);
void int_layer_free(struct int_layer *l);

struct int_result int_result_new(const struct int_layer *l);
void int_result_free(struct int_result *r);
/* What two differ in, for a message; NULL if in nothing. */
const char *int_result_differs(const struct int_layer *l, const struct int_result *a,
			       const struct int_result *b);
/* All outputs of the sequence are not a number: nothing of it is compared. */
void int_result_no_foldshift(const struct int_layer *l, size_t seq, struct int_result *r);

struct damf_isa;
void int_layer_kernels(const struct int_layer *l, const struct damf_isa *isa,
		       struct int_result *r);
void int_layer_define(const struct int_layer *l, struct int_result *r);
void int_layer_reference(const struct int_layer *l, struct int_result *r);

#endif /* DAMF_TESTS_INT_LAYER_H */
