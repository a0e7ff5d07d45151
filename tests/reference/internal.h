/* SPDX-License-Identifier: MIT */
/* What the files of the reference share. */
#ifndef DAMF_TESTS_REF_INTERNAL_H
#define DAMF_TESTS_REF_INTERNAL_H

#include <math.h>

#include "ref.h"

/* Zeroed memory, or the end of the program. */
void *ref_alloc(size_t n, size_t size);

/* ---- Integers ---- */

bool ref_finite(const float *x, size_t n);
/* max |x|, 0 of nothing. */
double ref_largest(const float *x, size_t n);
/* x, which must fit: where it doesn't, a width of the specification is wrong. */
int64_t ref_narrow(__int128 x);
/* n / 2^by to the nearest integer, ties upward. */
int64_t ref_round_shift(__int128 n, int by);

/* ---- Numbers with the error of their f32 counterpart, in units of REF_U ---- */

struct ref_num {
	double v, e;
};

/* What underflow can add, in units of REF_U. */
#define REF_UNDER	0x1p-125

static inline struct ref_num ref_rounded(double v, double e)
{
	return (struct ref_num){ v, e + fabs(v) + REF_UNDER };
}

static inline struct ref_num ref_mul(struct ref_num a, struct ref_num b)
{
	return ref_rounded(a.v * b.v, a.e * (fabs(b.v) + REF_U * b.e) + fabs(a.v) * b.e);
}

static inline struct ref_num ref_sub(struct ref_num a, struct ref_num b)
{
	return ref_rounded(a.v - b.v, a.e + b.e);
}

static inline struct ref_num ref_div(struct ref_num a, struct ref_num b)
{
	double v = a.v / b.v, least = fabs(b.v) - REF_U * b.e;

	return ref_rounded(v, least > 0.0 ? (a.e + fabs(v) * b.e) / least : INFINITY);
}

/* n numbers, step apart, in 16 lanes. */
struct ref_num ref_num_lanes(const struct ref_num *x, size_t step, size_t n);

/* ---- Products ---- */

/* Rows and columns of a matrix: rows by number, all if NULL. */
struct ref_mat ref_cut(const struct ref_mat *a, const size_t *rows, size_t nrows, size_t col,
		       size_t ncols);
/* Row i of y, which holds the bias, gets x w added, of row k of x. */
void ref_product_row(const struct ref_mat *x, size_t k, const struct ref_mat *w, struct ref_mat *y,
		     size_t i);
/* y [w->cols], which holds the bias, by dot() or qdot() to the bit. */
void ref_product_bits(const float *x, const struct ref_mat *w, float *y);
bool ref_exact(const double *e, size_t n);

/* ---- Terms ---- */

/* The terms of one head and sequence: arrays are [count][len]. */
struct ref_terms {
	size_t count, len;
	struct ref_num *c, *mu, *tau;	/* of tokens, of queries, sums of c */
	/* FOLD: numerators of mu; and where f32 may be on the other side of the guard, 1 / the
	 * least D that it may have divided by, else 0 */
	struct ref_num *t;
	double *blur;
	bool *regular;			/* FOLD: not uniform */
	/* SOFTFOLD: mu for a p^ that is as much lower or higher as f32's may be, or NULL */
	double *near[2];
};

void ref_terms_new(struct ref_terms *t, size_t count, size_t len);
void ref_terms_free(struct ref_terms *t);

/* p^, q^ [len][rank] and omega [rank] of a FOLD head. */
struct ref_scores {
	struct ref_num *p, *q, *omega;
	bool none;		/* A_max is 0, in f32 too */
};

/* p, q: [len][rank]. Bits: of p and q that are f32's own. */
struct ref_scores ref_scores_float(const struct ref_head *h, const struct ref_num *p,
				   const struct ref_num *q, size_t len);
struct ref_scores ref_scores_bits(const struct ref_head *h, const struct ref_num *p,
				  const struct ref_num *q, size_t len);
void ref_scores_free(struct ref_scores *s);
/* Which tokens f32 takes for regular: scores to the bit. */
void ref_fold_regular(const struct ref_head *h, const struct ref_scores *scores, size_t len,
		      double guard, bool *regular);
bool ref_is_paper(const struct ref_head *h);
/* regular: what f32 decides, or NULL, if scores are not its own. */
void ref_fold_terms(const struct ref_head *h, const struct ref_scores *s, size_t len, double guard,
		    const bool *regular, struct ref_terms *t);
/* p is p^, nodes above 0. */
void ref_softfold_terms(const struct ref_num *p, const struct ref_num *q, size_t len,
			unsigned int nodes, struct ref_terms *t);
void ref_sink_term(const struct ref_head *h, size_t len, struct ref_terms *t);

/* Weights A' of query m, by the L x L form: from p and q, and from a FOLD head's scores. */
void ref_score_weights(const struct ref_head *h, const struct ref_scores *s, size_t len, size_t m,
		       double *w);
void ref_weights(const struct ref_head *h, const double *p, const double *q, size_t len,
		 double guard, size_t m, double *w);

/* ---- The attention layer ---- */

struct ref_layer {
	const struct ref_attention *a;
	const struct ref_mat *x;
	struct ref_mat v, pq;		/* projected, all tokens */
	/* x is exact, and with it x, V, p and q in f32, to the bit; also the operands of exact
	 * heads, which are float64 with a bound else */
	bool exact;
	float *xf, *vf, *pqf;
	struct ref_mat head_q, head_k, head_v;
};

/* One sequence. */
struct ref_span {
	size_t from, len;
};

/* x w + b to the bit: [rows][w->cols], nothing if there is no w. */
float *ref_project_bits(const float *x, size_t rows, const struct ref_mat *w,
			const struct ref_mat *b);
/* An element of p and q: exact if x is. */
struct ref_num ref_score_at(const struct ref_layer *l, size_t token, size_t col);
/* Output of an exact head -> columns of o [len][nv]. */
void ref_exact_head(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		    struct ref_mat *o);
/* Terms of a head, by W_V and W_O -> added to c [len][d]. */
void ref_apply_terms(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		     const struct ref_terms *t, struct ref_mat *c);
/* FOLD, or SOFTFOLD with nodes -> added to c; returns how many terms it has. */
size_t ref_term_head(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		     unsigned int nodes, struct ref_mat *c);
/* Nodes of a SOFTFOLD head in this sequence; 0: direct. */
unsigned int ref_head_nodes(const struct ref_layer *l, struct ref_span s, const struct ref_head *h);

/* To the bit: SHIFT -> columns of o [len][nv]; what all FOLDSHIFT heads add -> add [len][d]. */
void ref_shift_columns(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		       float *o);
void ref_foldshift_add(const struct ref_layer *l, struct ref_span s, float *add);
/* A sequence of SHIFT and FOLDSHIFT heads alone -> y. */
void ref_sequence_bits(const struct ref_layer *l, struct ref_span s, struct ref_mat *y);
/* Columns of V that have an output for each token, ascending -> their number. direct: a flag
 * for each head, SOFTFOLD is direct. */
size_t ref_token_columns(const struct ref_attention *a, const bool *direct, size_t nv,
			 size_t *cols);

#endif /* DAMF_TESTS_REF_INTERNAL_H */
