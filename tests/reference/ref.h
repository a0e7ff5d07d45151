/* SPDX-License-Identifier: MIT */
/*
 * The layers of a BERT encoder and of DAMF attention in float64: plain loops
 * and libm, written from the method's equations and from nothing else, for
 * the tests to compare with. It shares no code with what it is used to judge.
 *
 * Beside each value goes a bound on how far a careful f32 implementation may
 * be from it, by running error analysis to first order: sums of n terms in
 * any order, fused or not, elementary functions to a few units in the last
 * place. A result is wrong if it is further away; see ref_tolerance().
 *
 * Matrices are dense and row-major. Out of memory ends the program.
 */
#ifndef DAMF_TESTS_REF_H
#define DAMF_TESTS_REF_H

#include <stddef.h>
#include <stdint.h>

#define REF_U		(1.0 / 16777216.0)	/* unit roundoff of f32, 2^-24 */

struct ref_mat {
	size_t rows, cols;
	double *v;	/* the value */
	double *m;	/* sum of the magnitudes of the terms it came from, >= |v| */
	double *e;	/* bound on the error of an f32 result, in units of REF_U */
};

struct ref_mat ref_new(size_t rows, size_t cols);
/* Exact inputs; ld: elements from row to row. */
struct ref_mat ref_from_f32(const float *src, size_t ld, size_t rows, size_t cols);
void ref_free(struct ref_mat *a);
/* How far an f32 result may be from element i. */
double ref_tolerance(const struct ref_mat *a, size_t i);

enum ref_act { REF_ACT_NONE, REF_ACT_GELU, REF_ACT_TANH };

/* The sequences of a ragged batch: tokens [offsets[b], offsets[b + 1]) are sequence b. */
struct ref_batch {
	const int32_t *offsets;
	size_t seqs;
};

struct ref_embed {
	const int32_t *ids, *types;		/* types: NULL: all 0 */
	struct ref_batch batch;
	const struct ref_mat *word, *position, *type;
	const struct ref_mat *gamma, *beta;
	double eps;
};
/* Sum of the three embeddings, normalised -> y [T, d]. */
void ref_embed(const struct ref_embed *a, struct ref_mat *y);

/* y = act(x w + b) + r; w [in, out]; b and r may be NULL. */
void ref_linear(const struct ref_mat *x, const struct ref_mat *w, const struct ref_mat *b,
		enum ref_act act, const struct ref_mat *r, struct ref_mat *y);
/* y = gelu(x w1 + b1) w2 + b2 */
void ref_ffn(const struct ref_mat *x, const struct ref_mat *w1, const struct ref_mat *b1,
	     const struct ref_mat *w2, const struct ref_mat *b2, struct ref_mat *y);
/* Layer norm of x + r; r may be NULL. */
void ref_add_norm(const struct ref_mat *x, const struct ref_mat *r, const struct ref_mat *gamma,
		  const struct ref_mat *beta, double eps, struct ref_mat *y);

/* The mean of each sequence's tokens, or its first token; zeros if it is empty. */
void ref_pool_mean(const struct ref_mat *x, const struct ref_batch *batch, struct ref_mat *y);
void ref_pool_first(const struct ref_mat *x, const struct ref_batch *batch, struct ref_mat *y);
/* Rows divided by max(their L2 norm, eps). */
void ref_normalize(const struct ref_mat *x, double eps, struct ref_mat *y);
void ref_softmax(const struct ref_mat *x, struct ref_mat *y);

enum ref_mode {
	REF_MHSA,	/* softmax(scale Q K^T) V */
	REF_DAMF,	/* eq. 14: (A_max + A_mn) / (L A_max + sum_n A_mn), A_mn = p_m q_n */
};

struct ref_head {
	enum ref_mode mode;
	size_t d_qk, d_v;	/* d_qk: MHSA */
	size_t qk_col, v_col;
	size_t p_col, q_col;	/* DAMF */
	double scale;		/* MHSA */
};

struct ref_attention {
	struct ref_batch batch;
	const struct ref_head *heads;
	size_t nheads;
	const struct ref_mat *wq, *bq, *wk, *bk, *wv, *bv, *wo, *bo, *wpq, *bpq; /* biases may be NULL */
	/* weights are uniform unless D_m > guard * L * A_max */
	double guard;
};
/* The whole layer: concat(heads) W_O + b_O. DAMF heads by the L x L form. */
void ref_attention(const struct ref_attention *a, const struct ref_mat *x, struct ref_mat *y);
/* One DAMF head of one sequence by the folded form: p, q [L], v [L, d_v] -> out [L, d_v]. */
void ref_damf_folded(const double *p, const double *q, const double *v, size_t len, size_t d_v,
		     double guard, double *out);
/* The same by the L x L form. */
void ref_damf_direct(const double *p, const double *q, const double *v, size_t len, size_t d_v,
		     double guard, double *out);

#endif /* DAMF_TESTS_REF_H */
