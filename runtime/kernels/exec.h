/* SPDX-License-Identifier: MIT */
/* Running items on the caller's threads, and products cut into items. */
#ifndef DAMF_EXEC_H
#define DAMF_EXEC_H

#include "isa.h"

/* A part of scratch; with base NULL it only counts. */
struct damf_carve {
	char *base;
	size_t used;
};

/* n elements of some size, aligned to 64. */
void *damf_carve(struct damf_carve *c, size_t n, size_t elem);

unsigned int damf_threads(const struct damf_par *par);

/*
 * fn(arg, item, worker) for each item in [0, n), in the floating-point
 * environment that the kernels are defined in. 0 or -ECANCELED.
 */
int damf_run_items(const struct damf_exec *ex,
		   void (*fn)(void *arg, size_t item, unsigned int worker), void *arg, size_t n);

/* Some products at once; none depends on another. */
int damf_run_gemms(const struct damf_exec *ex, const struct damf_gemm *g, size_t n);
/* One of at most DAMF_ROW_BLOCK rows, col0 being 0, within an item. */
void damf_gemm_rows(const struct damf_isa *isa, const struct damf_gemm *g);
/* Rows of a block if there are to be at most so many of them. */
size_t damf_block_of(size_t rows, size_t blocks);

/* What is counted; nothing if the caller doesn't count. */
#define DAMF_COUNT(ex, what, n) do { \
	if ((ex)->counts) \
		(ex)->counts->what += (uint64_t)(n); \
} while (0)
#define DAMF_COUNT_F32(ex, what, n)	DAMF_COUNT(ex, what, 4 * (uint64_t)(n))

/* scratchpad.c: rows of so many elements that a block of them may have. */
size_t damf_block_rows(size_t scratchpad, size_t row);
/* moved bytes of intermediates have spilled if held bytes are too many to be kept. */
void damf_count_spill(const struct damf_exec *ex, size_t scratchpad, uint64_t held,
		      uint64_t moved);

/* Bytes of n elements of a type. */
static inline uint64_t damf_type_bytes(enum damf_k_type type, uint64_t n)
{
	return n * (type == DAMF_K_I8 ? 1 : type == DAMF_K_BF16 ? 2 : 4);
}

/* n products with elements of a weight. */
void damf_count_macs(const struct damf_exec *ex, uint64_t n, struct damf_mat w);
/* Rows of in elements by a weight of in x out of any type, and its bias. */
void damf_count_mat(const struct damf_exec *ex, size_t rows, size_t in, size_t out,
		    struct damf_mat w, const float *bias);

#endif /* DAMF_EXEC_H */
