/* SPDX-License-Identifier: MIT */
/*
 * A valid job of every opcode, small, with sizes off any tile, and what it
 * must give, computed by float64 loops written from the specification.
 */
#ifndef DAMF_TEST_JOBS_H
#define DAMF_TEST_JOBS_H

#include "fake.h"

#define JOBS_MAX_EXPECT 4096

struct job_case {
	const char *name;
	unsigned int opcode;
	struct damf_job job;
	unsigned int type, xtype;	/* of weights and tables; what meets I8 */
	void *host[DAMF_JOB_TENSORS];	/* where each tensor's bytes are */
	float *scales[DAMF_JOB_TENSORS]; /* and the factors of I8 */
	double expect[JOBS_MAX_EXPECT];	/* of Y, row by row */
	unsigned int rows, cols;	/* of expect; 0: the bytes below */
	unsigned char bytes[JOBS_MAX_EXPECT];
	unsigned int nbytes;
};

/* Cases: opcodes, attention once a mode and once with both; then weights of other types. */
#define JOB_CASES 25
#define JOB_TYPED 17	/* where those begin */

/* Builds case @which in context 1. */
void job_case_build(struct fake *f, struct job_case *c, unsigned int which);
/* Whether Y is as expected; fails the test if not. */
void job_case_check(struct fake *f, const struct job_case *c);
/* Puts jobs into a fresh list of context 1. */
uint64_t job_list(struct fake *f, const struct damf_job *jobs, unsigned int n, void **host);

#endif /* DAMF_TEST_JOBS_H */
