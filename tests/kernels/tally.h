/* SPDX-License-Identifier: MIT */
/*
 * What the definition does, counted where it does it: each product, each
 * exponential, each division. tally_*() run a job in parts, as
 * Documentation/numerics.rst cuts it ("What a job counts"): whatever a part
 * works on is fetched, element by element, and what it leaves is put back, so
 * that nothing is used or kept that has not been counted.
 */
#ifndef DAMF_TESTS_TALLY_H
#define DAMF_TESTS_TALLY_H

#include <math.h>

#include "damf_kernels.h"

extern struct damf_counts tally;

#define STATIC_FMA(a, b, c)	(tally.static_macs++, fmaf(a, b, c))
#define DYNAMIC_FMA(a, b, c)	(tally.dynamic_macs++, fmaf(a, b, c))
#define DIVIDE(a, b)		(tally.divs++, (a) / (b))
#define ROOT(a)			(tally.divs++, sqrtf(a))

/* Words that are put aside, and fetched again once. */
static inline void tally_aside(size_t words)
{
	tally.write_intermediates += 4 * words;
	tally.read_intermediates += 4 * words;
}

/* Memory that lives until tally_free(); zeros. */
void *tally_new(size_t n, size_t size);
void tally_free(void);

/* rows x cols of x, dense; kind is one of tally's. NULL of NULL. */
float *tally_get(uint64_t *kind, const float *x, size_t ld, size_t rows, size_t cols);
void tally_put(uint64_t *kind, const float *x, size_t ld, size_t rows, size_t cols, float *to,
	       size_t ldt);
/* A matrix of in x out of which there is that part alone. */
struct part {
	size_t row, rows, col, cols;
	int known;		/* its factors have been fetched before */
};
struct damf_mat tally_get_mat(const struct damf_mat *w, size_t in, size_t out, struct part part);
/* A row of a table, as a table of its own. */
struct damf_mat tally_get_row(const struct damf_mat *t, size_t ld, size_t row, size_t width);
size_t tally_element(enum damf_k_type type);	/* bytes */
/* Where in PANEL32 an element of a matrix of in rows is. */
size_t tally_place(enum damf_k_type type, size_t in, size_t k, size_t n);

/* Of a scratchpad; 0 is the default one. */
size_t tally_room(size_t scratchpad);
size_t tally_block(size_t scratchpad, size_t row);

/* Outputs and counts. */
void tally_embed(const struct damf_embed_args *a);
void tally_linear(const struct damf_linear_args *a);
void tally_ffn(const struct damf_ffn_args *a);
void tally_add_norm(const struct damf_add_norm_args *a);
void tally_attention(const struct damf_attention_args *a);
void tally_pool(const struct damf_pool_args *a);
/* softmax, else normalize */
void tally_row(const float *x, size_t width, float eps, int softmax, float *y);

#endif /* DAMF_TESTS_TALLY_H */
