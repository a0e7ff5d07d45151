/* SPDX-License-Identifier: MIT */
/*
 * The attention layer, for a group of sequences at a time: what lies in
 * scratch for them, and the parts of the layer.
 */
#ifndef DAMF_ATTENTION_H
#define DAMF_ATTENTION_H

#include "exec.h"

/* Between rows, so that they don't fall into one cache set. */
#define ATT_GAP		16

/* A sequence that isn't empty. */
struct att_seq {
	size_t from, len;	/* tokens of the group */
	size_t qfirst, kfirst;	/* its first panel of queries, its first group of keys */
};

/* Neighbouring columns of V that exact heads have. */
struct att_run {
	size_t col, cols;
};

struct att {
	const struct damf_exec *ex;
	const struct damf_attention_args *a;
	const float *x;
	float *y;
	size_t tokens, longest;
	struct att_seq *seq;
	size_t nseq;

	/* heads, by mode */
	const struct damf_k_head **mhsa, **fold;
	size_t nmhsa, nfold;
	size_t d_qk, d_v, d_v_fold;	/* sums over heads: exact, exact, folded */
	struct att_run *run;
	size_t nrun;

	/* exact heads */
	float *q;	/* panels of 32 queries, each [nqk][32] */
	float *k;	/* groups of 24 keys, each [nqk][24] */
	float *v, *o;	/* [tokens][ldv] */
	size_t ldv;
	float *p;	/* of each worker, [longest][32] */
	uint64_t scores;	/* bytes of scores and weights that the group wrote, and read */

	/* folded heads, numbered as in fold */
	float *pq;	/* [npq][ldpq]: a row a column of W_pq */
	size_t ldpq;
	float *coef;	/* [tokens][1 + nfold]: 1, then q / max|q| */
	float *mix;	/* [tokens][2 nfold]: factors of the vectors below */
	float *total;	/* [nseq][nfold][2]: L, sum of q / max|q| */
	float *sums;	/* [nseq][1 + nfold][width]: of X times coef */
	float *sv;	/* a head: [nseq][2][d_v]: S_1 and S_q */
	float *vec;	/* a sequence: PANEL32 of [2 nfold x out], S_1 W_O and S_q W_O */

	struct damf_gemm *gemm;
	struct damf_seg *seg;
};

static inline size_t att_panels(size_t n)
{
	return (n + DAMF_PANEL_COLS - 1) / DAMF_PANEL_COLS;
}

/* scratchpad.c: sequences [first, end) are a group. */
size_t damf_att_group_end(const struct damf_attention_args *a, size_t first);
/* What the group at hand has put aside beyond the scratchpad, after what was counted before it. */
void damf_att_count_spills(const struct att *t, const struct damf_counts *before);

/* Exact heads: scores, weights and their products with V. */
int damf_att_mhsa(struct att *t);
/* Folded heads: all but the last product, that of mix and vec. */
int damf_att_fold(struct att *t);

#endif /* DAMF_ATTENTION_H */
