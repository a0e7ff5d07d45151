/* SPDX-License-Identifier: MIT */
/*
 * The layers of a BERT encoder and of DAMF attention, for the tests to compare
 * with: written from the method's equations and from Documentation/numerics.rst
 * alone. It shares no code with what it is used to judge.
 *
 * Two kinds of answers. Float layers are float64, plain loops and libm; beside
 * each value goes a bound on how far a careful f32 implementation may be from
 * it, by running error analysis to first order: sums of n terms in any order,
 * fused or not, elementary functions to a few units in the last place. A
 * result is wrong if it is further away; see ref_tolerance(). What is integer
 * or a few named IEEE operations is given to the bit, under "To the bit".
 *
 * Products with int8 weights are to the bit where their left operand is exact
 * (no error in its row): the error of the result is 0 then. Elsewhere a
 * quantised activation may be one step beside the reference's, and the bound
 * has that step where the value is near enough to a tie. So who wants bits
 * feeds what the backend itself gave: X of LINEAR; for FFN, H as the LINEAR job
 * with GELU gives it, and then LINEAR by the second weight.
 *
 * Matrices are dense and row-major. Out of memory ends the program.
 */
#ifndef DAMF_TESTS_REF_H
#define DAMF_TESTS_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct damf_head;

#define REF_U		(1.0 / 16777216.0)	/* unit roundoff of f32, 2^-24 */

struct ref_mat {
	size_t rows, cols;
	double *v;	/* the value */
	double *m;	/* sum of the magnitudes of the terms it came from, >= |v| */
	double *e;	/* bound on the error of an f32 result, in units of REF_U */
	/* int8 weights: v holds integers, factors those of columns, top what activations become */
	float *factors;
	int32_t top;
};

#define REF_TOP_I8	127
#define REF_TOP_I16	32767

struct ref_mat ref_new(size_t rows, size_t cols);
/* Exact inputs; ld: elements from row to row. */
struct ref_mat ref_from_f32(const float *src, size_t ld, size_t rows, size_t cols);
struct ref_mat ref_from_bf16(const uint16_t *src, size_t ld, size_t rows, size_t cols);
/* int8 weights for activations of REF_TOP_*: operands of products only. */
struct ref_mat ref_from_i8(const int8_t *src, size_t ld, const float *factors, size_t rows,
			   size_t cols, int32_t top);
/* An int8 table, a factor a row, expanded. */
struct ref_mat ref_from_i8_table(const int8_t *src, size_t ld, const float *factors, size_t rows,
				 size_t cols);
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

/* ---- Attention ---- */

/* numbered as in a job */
enum ref_mode {
	REF_MHSA	= 0,	/* softmax(scale Q K^T) V */
	REF_SHIFT	= 1,	/* eq. 17, a shift a pair */
	REF_FOLD	= 2,	/* polynomial of scores of rank r, eq. 14 and beyond */
	REF_FOLDSHIFT	= 3,	/* the same, p and q rounded to powers of two each */
	REF_SOFTFOLD	= 4,	/* softmax of rank-1 scores */
};

enum ref_head_flag {
	REF_CENTRED	= 1,	/* q' = q - mean q */
	REF_SCALE	= 2,	/* g is the scale, not 1 / A_max */
	REF_BAND	= 4,
	REF_SINKS	= 8,
};

#define REF_ORDER	4
#define REF_RADIUS	7

struct ref_head {
	enum ref_mode mode;
	unsigned int flags;		/* enum ref_head_flag */
	size_t d_qk, d_v;		/* d_qk: MHSA */
	size_t qk_col, v_col;
	size_t p_col, q_col, rank;	/* all but MHSA: rank columns from each on */
	size_t order;
	double scale;
	double coef[REF_ORDER + 1];	/* SOFTFOLD: coef[0] is the bound */
	double sink[2];
	double band[2 * REF_RADIUS + 1];
};

struct ref_head ref_head_of(const struct damf_head *h);

struct ref_attention {
	struct ref_batch batch;
	const struct ref_head *heads;
	size_t nheads;
	const struct ref_mat *wq, *bq, *wk, *bk, *wv, *bv, *wo, *bo, *wpq, *bpq; /* biases may be NULL */
	/* weights are uniform unless D_m > guard * M_m */
	double guard;
};
/*
 * The whole layer. Values are those of the L x L form wherever W_V and W_O are
 * float, and of the terms that the specification quantises where they are
 * int8. Where x is exact, heads start at what f32 makes of V, p, q and of p and
 * q over their maxima, to the bit: they are checked against float64 first, and
 * bounds stay small where differences are small or D is near its guard. If
 * there are SHIFT or FOLDSHIFT heads, x must be exact; if there are no others,
 * the result is to the bit, with errors of 0.
 */
void ref_attention(const struct ref_attention *a, const struct ref_mat *x, struct ref_mat *y);

/* What the job counts of arithmetic. Nodes depend on x, so that it must be exact for SOFTFOLD. */
struct ref_counts {
	uint64_t static_macs, int8_macs, dynamic_macs, shift_adds, exps, divs;
};
struct ref_counts ref_count_attention(const struct ref_attention *a, const struct ref_mat *x);

/*
 * One head of one sequence, FOLD or SOFTFOLD, with its static terms: p, q
 * [L][rank], v [L][d_v] -> out [L][d_v]. By the L x L form (SOFTFOLD: the
 * softmax itself), and folded in float64, in O(L) (SOFTFOLD: interpolated).
 */
void ref_head_direct(const struct ref_head *h, const double *p, const double *q, const double *v,
		     size_t len, double guard, double *out);
void ref_head_folded(const struct ref_head *h, const double *p, const double *q, const double *v,
		     size_t len, double guard, double *out);
/* Nodes of SOFTFOLD for extremes of p^ and q and a bound; 0: direct. To the bit. */
unsigned int ref_softfold_nodes(float p_high, float p_low, float q_high, float q_low, double bound);

/* ---- To the bit ---- */

/* bf16, by nearest value and not by the integer's trick. Finite numbers. */
uint16_t ref_to_bf16(float x);
float ref_bf16_value(uint16_t b);
/* q [n] -> the factor s. */
float ref_quantise(const float *x, size_t n, int32_t top, int32_t *q);
/* What a converter makes: int8 with a factor a column (weights), a row (tables); q is dense. */
void ref_quantise_columns(const float *w, size_t ld, size_t rows, size_t cols, int8_t *q,
			  float *factors);
void ref_quantise_rows(const float *w, size_t ld, size_t rows, size_t cols, int8_t *q,
		       float *factors);
/* dot(s; x, w) and qdot(b; q s, w factor): elements of w lie ld apart. */
float ref_dot(float s, const float *x, const float *w, size_t ld, size_t n);
float ref_qdot(float b, const int32_t *q, float s, const int8_t *w, size_t ld, size_t n,
	       float factor);
float ref_lanes(const float *x, size_t n);

/* e(x), x not 0: floor(log2 |x|), one more where (|x| / 2^that)^2 > 2, as integers. */
int ref_exponent(double x);
/* x [rows][cols] -> fixed [rows][cols] and exponent; false if a number isn't finite. */
bool ref_fixed(const float *x, size_t ld, size_t rows, size_t cols, int bits, int32_t *fixed,
	       int *exponent);

/* What SHIFT makes of one head and sequence on its way. */
struct ref_shift {
	int s;			/* exponent of V */
	int imax;		/* of scores; 0 if they all are 0 */
	int32_t *v;		/* [L][d_v] */
	int64_t *d;		/* [L] */
	int *id;		/* [L] */
	int64_t *n;		/* [L][d_v] */
};
/* p, q [L], v [L][d_v] rows ld apart -> out [L][d_v]; seen may be NULL. False: all is NaN,
 * and nothing was seen. */
bool ref_shift_head(const float *p, const float *q, const float *v, size_t ld, size_t len,
		    size_t d_v, float *out, struct ref_shift *seen);
void ref_shift_free(struct ref_shift *seen);

/* p^ and q' [L] of a FOLDSHIFT head. */
void ref_foldshift_scores(const struct ref_head *h, const float *p, const float *q, size_t len,
			  float *p_hat, float *q_prime);
/* Sums over the tokens of one sequence. */
struct ref_foldshift {
	int s;				/* exponent of X */
	int jmax;			/* 0 if all q' are 0 */
	int32_t *x;			/* [L][d] */
	int64_t *sums;			/* S_k: [K + 1][d] */
	int64_t sigma[REF_ORDER + 1];
	float *xk;			/* x_k: [K + 1][d] */
	float tau[REF_ORDER + 1];
};
/* x [L][d], rows ld apart. False: a number isn't finite, f is empty. */
bool ref_foldshift_sums(const struct ref_head *h, const float *q_prime, const float *x, size_t ld,
			size_t len, size_t d, struct ref_foldshift *f);
void ref_foldshift_free(struct ref_foldshift *f);
/* z [K + 1][cols], from ref_fixed(31) -> out [L][cols]; den, id [L]: D_m and I_d, may be NULL.
 * False: a number isn't finite. */
bool ref_foldshift_mix(const struct ref_head *h, const float *p_hat, const float *q_prime,
		       size_t len, const int64_t *sigma, const int32_t *z, size_t cols,
		       int64_t *out, int64_t *den, int *id);

#endif /* DAMF_TESTS_REF_H */
