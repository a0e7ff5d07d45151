/* SPDX-License-Identifier: MIT */
/* An attention job in parts: a group of sequences, and what it has put aside. */
#ifndef DAMF_TESTS_TALLY_PARTS_H
#define DAMF_TESTS_TALLY_PARTS_H

#include "tally_shift.h"

#define GET(x, n)	tally_get(&tally.read_intermediates, x, 0, 1, n)
#define PUT(x, n, to)	tally_put(&tally.write_intermediates, x, 0, 1, n, to, 0)

#define GROUP_SEQS	64

/* A term of a head in a sequence, put aside. */
struct term {
	const struct damf_k_head *head;
	float *c;		/* [len], NULL: all are 1, or it is a sink */
	float *mu;		/* NULL: a foldshift head's */
	float *tau, *sum, *s, *z;
	struct term *next;
};

struct seq {
	const float *x;
	float *y;
	size_t from, len;	/* tokens of the group */
	struct term *terms;	/* by head */
	struct tally_foldshift ints;
};

struct group {
	const struct damf_attention_args *a;
	struct seq seq[GROUP_SEQS];
	size_t nseq, tokens;
	const float *x;
	float *q, *k, *v, *o;	/* [tokens] x columns of the weight */
	float *pq;		/* [npq][tokens] */
	bool *values;		/* [heads][GROUP_SEQS]: whether O has columns of it there */
};

static inline bool *value_flag(const struct group *g, size_t h, size_t s)
{
	return &g->values[h * GROUP_SEQS + s];
}

static inline float *new_f32(size_t n)
{
	return tally_new(n, sizeof(float));
}

/* Whether each token has an output by the mode, whatever the sequence. */
static inline bool has_own(const struct damf_k_head *head)
{
	return head->mode == DAMF_K_MHSA || head->mode == DAMF_K_SHIFT;
}

/* X of the group, or of a sequence. */
float *tally_x(const struct group *g, const struct seq *s);
/* Some columns of what is put aside. */
float *tally_columns(const float *x, size_t ld, size_t len, size_t col, size_t cols);
bool tally_is_direct(const struct group *g, const struct seq *s, const struct damf_k_head *head);

/* The parts, in order. */
void tally_queries_and_keys(struct group *g);
void tally_factors(struct group *g);
void tally_values(struct group *g);
void tally_outputs(const struct group *g, const struct seq *s);
void tally_sums(struct group *g, struct seq *s);
void tally_vectors(struct group *g);
void tally_last_product(struct group *g);

#endif /* DAMF_TESTS_TALLY_PARTS_H */
