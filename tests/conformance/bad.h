/* SPDX-License-Identifier: MIT */
/*
 * Bad jobs: each field of each job is spoilt in turn, and the status must
 * name the job and the field. What is valid is told here once more, from the
 * comments of damf_hw.h.
 */
#ifndef DAMF_TESTS_BAD_H
#define DAMF_TESTS_BAD_H

#include "conf.h"

#define MASK(status)		(1u << (status))
#define PARAM(i)		(16u + 4 * (i))
#define SLOT(i)			(256u + 48 * (i))
#define FIELD(slot, member)	(SLOT(slot) + (unsigned int)offsetof(struct damf_tensor, member))

/* The jobs that are spoilt: valid, with every slot in use. */
enum { ROWS = 6, WIDTH = 24, INNER = 40, VOCAB = 10, PLACES = 8, KINDS = 2, HEADS = 2 };

struct bad_shape {
	unsigned int slot;
	uint32_t rows, cols;
	char kind;		/* x: input, w: weight, y: output, b: bytes, i, t, o: tables of i32 */
	bool may_be_none;
};

struct bad_subject {
	unsigned int opcode;
	const char *name;
	struct bad_shape slots[DAMF_JOB_TENSORS + 1];	/* ends with a kind of 0 */
	unsigned int params;				/* bit i: param[i] is used */
};

#define BAD_SUBJECTS 12
extern const struct bad_subject bad_subjects[BAD_SUBJECTS];

/* A list of a good job, the subject, and a good job. tables: of the subject. */
struct bad_list {
	struct damf_job *job;
	struct conf_tensor t[DAMF_JOB_TENSORS];
	struct conf_tensor before, after;
};

struct bad_list bad_make(struct conf *c, const struct bad_subject *s, const char *name);
/*
 * Runs it; the job in the middle must fail in one of these ways, at a field
 * in [first, last].
 */
void bad_expect(struct conf *c, const struct bad_list *l, unsigned int statuses,
		unsigned int first, unsigned int last, const char *what);
void bad_expect_field(struct conf *c, const struct bad_list *l, unsigned int field,
		      const char *what);

/* bad_data.c: what tables hold, and addresses. */
void bad_run_tables(struct conf *c, const struct conf_case *k);
void bad_run_positions(struct conf *c, const struct conf_case *k);
void bad_run_heads(struct conf *c, const struct conf_case *k);
void bad_run_fault(struct conf *c, const struct conf_case *k);
void bad_run_unaligned(struct conf *c, const struct conf_case *k);

#endif /* DAMF_TESTS_BAD_H */
