/* SPDX-License-Identifier: MIT */
/*
 * The attention layer, for a group of sequences at a time: what lies in
 * scratch for them, and the parts of the layer.
 *
 * Heads of some modes give each token an output of its own, columns of O that
 * W_O is applied to. Others are terms: vectors of the sequence, and a factor
 * of each for every token. How many terms a head has may differ by sequence.
 */
#ifndef DAMF_ATTENTION_H
#define DAMF_ATTENTION_H

#include "exec.h"

/* Of a group. */
#define ATT_SEQS	64
/* Between rows, so that they don't fall into one cache set. */
#define ATT_GAP		16
/* Elements of a cache line, and of the widest register. */
#define ATT_LINE	16

/* Neighbouring columns of V and O. */
struct att_run {
	size_t col, cols;
};

/* A sequence that isn't empty. */
struct att_seq {
	size_t from, len;	/* tokens of the group */
	size_t qfirst, kfirst;	/* its first panel of queries, its first group of keys */
	struct att_run *run;	/* columns of O that it has, ascending */
	size_t nrun;
};

/* A head in a sequence. */
struct att_unit {
	/* softfold */
	size_t nodes;		/* 0: direct, as an exact head */
	bool tokens;		/* the nodes are the tokens */
	float p_low, p_high, q_low, q_high;
	/* in the round at hand: first of its rows, of its rows of the mix, of its
	 * rows of coefficients */
	size_t row, mix, coef;
	bool finite;		/* foldshift: its p and q are */
};

struct att {
	const struct damf_exec *ex;
	const struct damf_attention_args *a;
	const float *x;
	float *y;
	size_t tokens, longest;
	struct att_seq *seq;
	size_t nseq;

	/* what the table of heads has */
	size_t nmhsa, nsoft, nband, nshift, nfoldshift;
	size_t *order;		/* heads by column of V */
	bool pq, values, terms;	/* a head needs p and q; may need V; may have f32 terms */
	size_t d_qk, d_v;	/* sums over exact heads */
	struct att_run *run;	/* columns of heads that have V in every sequence */
	size_t nrun;
	struct att_unit *unit;	/* [nseq][nheads] */

	float *q;	/* panels of 32 queries, each [nqk][32] */
	float *k;	/* groups of 24 keys, each [nqk][24] */
	float *v, *o;	/* [tokens][ldv] */
	size_t ldv;
	float *p;	/* of each worker, [longest][32] */
	uint64_t scores;	/* bytes of scores and weights that the group wrote, and read */
	float *pq_rows;	/* [npq][tokens]: a row a column of W_pq */

	/* shift */
	struct damf_shift_head *shift; /* [nseq][nheads] */
	int32_t *shift_v;	/* V as integers, a head and a sequence at a time */
	int64_t *shift_sum;	/* sums of that */
	int64_t *shift_work;	/* of each worker, [shift_room] */
	size_t shift_room;

	/* foldshift */
	size_t powers;		/* 1 and the sum of K: columns of a */
	uint8_t *fs_terms;	/* [nfoldshift] */
	uint32_t *fs_most;	/* [sequences of a round][panels of X]: largest magnitudes */
	int32_t *fs_a;		/* [tokens][powers] */
	int32_t *fs_right;	/* [tokens][nfoldshift] */
	struct damf_fixed *fs_z; /* [nseq] */
	float *fs_scores;	/* of each worker, [2][longest]: p^ and q' */
	int64_t *fs_sums;	/* of each worker, [powers][32] */

	struct damf_gemm *gemm;
	struct damf_seg *seg;
	char *pool;	/* of a round of terms */
};

/* The terms of one sequence in a round. */
struct att_part {
	size_t ncoef, nmix;
	size_t ld;		/* of rows of coefficients and of the mix */
	float *coef;		/* [ncoef][ld]; the first is 1 if a fold head is there */
	float *mix;		/* [nmix][ld]; of foldshift [len][nmix] integers */
	float *vec;		/* PANEL32 of [nmix x out], the terms' Z */
	float **sum;		/* [ncoef]: where sums over tokens go */
	bool fold;		/* it has fold heads: */
	size_t ones;		/* the row of the first one's first term, which all share */
};

/* Where the Z of a row goes: a row of a packed matrix. */
struct att_place {
	float *to;
	size_t panel;		/* elements from panel to panel */
};

/*
 * As many terms as are in memory at once: all heads of some sequences, or
 * some heads of one. Rows are terms, by head, then by sequence.
 */
struct att_round {
	const struct att *t;
	bool shift;		/* the terms of foldshift heads, else all in f32 */
	size_t seq, nseq, head, nheads;
	struct att_part *part;	/* [nseq] */
	size_t *first;		/* [nheads + 1]: the first row of each head */
	size_t rows;
	float *x;		/* [rows][width]: sums over tokens of X */
	float *tau;		/* [rows]: of coefficients */
	float *s;		/* a head: [its rows][d_v], sums over V */
	struct att_place *place; /* [rows] */
};

static inline size_t att_panels(size_t n)
{
	return (n + DAMF_PANEL_COLS - 1) / DAMF_PANEL_COLS;
}

static inline size_t att_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

static inline struct att_unit *att_unit(const struct att *t, size_t seq, size_t head)
{
	return &t->unit[seq * t->a->nheads + head];
}

/*
 * Elements from row to row of len tokens' coefficients: whole registers, and an
 * odd number of lines, so that rows don't fall into one cache set.
 */
static inline size_t att_ld(size_t len)
{
	return ((len + ATT_LINE - 1) / ATT_LINE | 1) * ATT_LINE;
}

/* A row of p or q of a sequence, [len]. */
static inline const float *att_pq(const struct att *t, const struct att_seq *s, size_t col)
{
	return t->pq_rows + col * t->tokens + s->from;
}

/* Whether each token has an output of that head, and V is needed for it. */
static inline bool att_has_values(const struct damf_k_head *head)
{
	return head->mode == DAMF_K_MHSA || head->mode == DAMF_K_SHIFT ||
	       (head->flags & DAMF_K_BAND);
}

static inline bool att_is_direct(const struct att *t, size_t seq, size_t head)
{
	return t->a->heads[head].mode == DAMF_K_SOFTFOLD && !att_unit(t, seq, head)->nodes;
}

/* Whether O has columns of that head in that sequence. */
static inline bool att_has_output(const struct att *t, size_t seq, size_t head)
{
	return att_has_values(&t->a->heads[head]) || att_is_direct(t, seq, head);
}

/* Before the first round. */
static inline struct att_round att_rounds(const struct att *t, bool shift)
{
	return (struct att_round) { .t = t, .shift = shift, .nheads = t->a->nheads };
}

static inline bool att_has_sink(const struct att_round *r, size_t head)
{
	return !r->shift && (r->t->a->heads[head].flags & DAMF_K_SINKS);
}

/* Blocks of 32 tokens, none of which is of two sequences: their number; the
 * sequence and the first token of one. */
size_t att_blocks(const struct att *t);
const struct att_seq *att_block(const struct att *t, size_t block, size_t *first);

/* project.c: Q, K, p, q and V of every token that needs them. */
int damf_att_project(struct att *t);
/* V of heads that turn out to be direct. */
int damf_att_project_direct(struct att *t);
/* softfold.c: nodes of each head in each sequence, and columns of O. */
int damf_att_nodes(struct att *t);
/* mhsa.c: exact heads and direct ones, into O. */
int damf_att_mhsa(struct att *t);
int damf_att_direct(struct att *t);
/* shift.c: heads in powers of two with a score for each pair, into O. */
void damf_att_carve_shift(struct att *t, struct damf_carve *c, unsigned int threads);
int damf_att_shift(struct att *t);
/* band.c: adds neighbours to O. */
int damf_att_band(struct att *t);

/* rounds.c: bytes of the largest round, whatever number of terms comes. */
size_t damf_att_pool(const struct att *t);
/* Lays out the round that comes after this one; false: there is none. */
bool damf_att_round(struct att_round *r);
/* Terms of a head in a sequence that rounds of this kind have; those but the
 * sink; of these, those that have a row of coefficients alone. */
size_t damf_att_count(const struct att_round *r, size_t seq, size_t head);
size_t damf_att_own(const struct att_round *r, size_t seq, size_t head);
size_t damf_att_coefs(const struct att_round *r, size_t seq, size_t head);

/* terms.c: the terms in f32, and with the first of them all of the output but
 * what foldshift heads add. */
int damf_att_terms(struct att *t);
/* From x and tau to the Z of every row: its products with W_V and W_O. */
int damf_att_vectors(struct att_round *r);

/* foldshift.c: the terms in powers of two; adds what they make to Y. */
void damf_att_carve_foldshift(struct att *t, struct damf_carve *c, unsigned int threads);
int damf_att_foldshift(struct att *t);

/* attention.c: b_O (or what is there), columns of O, and the terms of a round. */
int damf_att_output(struct att *t, const struct att_round *r);

/* scratchpad.c: sequences [first, end) are a group. */
size_t damf_att_group_end(const struct damf_attention_args *a, size_t first);
/* What the group at hand has put aside beyond the scratchpad, after what was counted before it. */
void damf_att_count_spills(const struct att *t, const struct damf_counts *before);

/* count.c: what that has done. */
void damf_att_count_weights(const struct att *t);
void damf_att_count_vectors(const struct att *t, bool shift);
void damf_att_count_output(const struct att *t);

#endif /* DAMF_ATTENTION_H */
