/* SPDX-License-Identifier: MIT */
/*
 * What the jobs of jobs.h are made of: tensors of made-up numbers, and their
 * arithmetic in float64.
 */
#ifndef DAMF_TEST_JOBS_DATA_H
#define DAMF_TEST_JOBS_DATA_H

#include "jobs.h"

#define T	7	/* tokens: sequences of 3, 0 and 4 */
#define B	3
#define D	24

extern const int32_t job_offsets[B + 1];

/* A tensor in fresh memory, not filled in. */
void job_tensor(struct fake *f, struct job_case *c, unsigned int slot, unsigned int type,
		uint32_t rows, uint32_t cols, uint64_t stride);
/* f32 rows, some bytes between them. */
void job_rows(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
	      uint32_t cols, uint32_t seed);
/* Y: the same, and as many elements are expected. */
void job_output(struct fake *f, struct job_case *c, uint32_t rows, uint32_t cols);
/* PANEL32 weights of the case's type. */
void job_packed(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
		uint32_t cols, uint32_t seed);
/* A table of embeddings of the case's type, with some bytes between rows. */
void job_embeddings(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
		    uint32_t seed);
void job_table(struct fake *f, struct job_case *c, unsigned int slot, const int32_t *v,
	       uint32_t n);
void job_eps(struct job_case *c, float value);

/* Elements of embeddings and of rows. */
double job_embedding(const struct job_case *c, unsigned int slot, uint32_t r, uint32_t i);
double job_at(const struct job_case *c, unsigned int slot, uint32_t r, uint32_t i);
/* Row r of X. */
void job_input(const struct job_case *c, uint32_t r, double *x);
/* x W + b, one row; b may be left out. */
void job_project(const struct job_case *c, const double *x, unsigned int w, unsigned int b,
		 double *y);
/* Row r of what is expected. */
double *job_row(struct job_case *c, uint32_t r);

/* jobs_attention.c. Bit h of @folds: head h is folded. */
void job_attention(struct fake *f, struct job_case *c, unsigned int folds);

#endif /* DAMF_TEST_JOBS_DATA_H */
