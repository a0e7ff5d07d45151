/* SPDX-License-Identifier: MIT */
/* Problems for the kernels, of odd shapes, with what must be counted for each. */
#ifndef DAMF_TESTS_CASES_H
#define DAMF_TESTS_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "damf_kernels.h"

#define CANARY	0x7fa5a5a5u	/* a NaN, where nothing has been written */
#define BLOCKS	64

struct problem {
	char name[100];
	union {
		struct damf_embed_args embed;
		struct damf_linear_args linear;
		struct damf_ffn_args ffn;
		struct damf_add_norm_args add_norm;
		struct damf_attention_args attention;
		struct damf_pool_args pool;
		struct {
			const float *x;
			size_t ldx, rows, width;
			float eps;
			float *y;
			size_t ldy;
		} rows;
	} a;
	int (*run)(struct damf_exec *ex, const struct problem *p);
	void (*define)(const struct problem *p);
	void (*tally)(const struct problem *p);	/* likewise, and counts (tally.h) */
	size_t *scratchpad;	/* of the arguments; NULL: there is none */
	size_t (*scratch)(const struct damf_par *par, const struct problem *p);
	float *x, *y;		/* first input and output */
	size_t x_elems, rows, cols, ldy;
	struct damf_counts counts;
	void *block[BLOCKS];
	size_t blocks;
};

/* What the weights of problems are made of from now on; F32 at first. */
void problem_kind(enum damf_k_type type, enum damf_k_type xtype);
struct damf_mat problem_weight(struct problem *p, size_t in, size_t out);

/* Problem number i; false if there is none. */
bool problem_make(struct problem *p, size_t i);
void problem_free(struct problem *p);
void problem_clear(const struct problem *p);	/* the output: canaries */

/* Ones of which a test wants a certain kind. */
enum attention_kind { ALL_MHSA, ALL_FOLD, MIXED };
struct attention_shape {
	enum attention_kind kind;
	size_t width, heads, d_qk, d_v, out;
	bool bias;
};
void problem_attention(struct problem *p, const struct attention_shape *s,
		       const int32_t *offsets, size_t seqs);
/* Any table of heads, and the columns that it lies in. */
struct attention_layout {
	const char *name;
	size_t width, heads, out, nqk, nv, npq;
	bool bias;
};
void problem_heads(struct problem *p, const struct damf_k_head *heads,
		   const struct attention_layout *l, const int32_t *offsets, size_t seqs);
/* Heads with all kinds of parameters; number i, false if there is none. */
bool problem_make_heads(struct problem *p, size_t i);
/* One of their tables; false if there is none. */
bool problem_table(struct problem *p, size_t table, const int32_t *offsets, size_t seqs);
/* What such a job must count. */
void problem_count_attention(struct problem *p);
void problem_linear(struct problem *p, size_t rows, size_t in, size_t out, enum damf_k_act act,
		    bool bias, bool residual);

/* Random numbers that are the same everywhere. */
uint32_t random_u32(void);
float random_f32(void);

#endif /* DAMF_TESTS_CASES_H */
