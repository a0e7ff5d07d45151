/* SPDX-License-Identifier: MIT */
/*
 * Heads in powers of two: shift and foldshift. They begin at f32 numbers p, q
 * and V or X, and from there on all is integers, whose sums are the same in
 * any order.
 */
#ifndef DAMF_INTEGERS_H
#define DAMF_INTEGERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct damf_isa;

#define DAMF_WINDOW	12	/* scores range over 2^0 to 2^12 */
#define DAMF_FIXED_X	16	/* bits of X and V */
#define DAMF_FIXED_Z	31	/* bits of Z */
#define DAMF_MAX_POWER	4	/* K */
/* so many products of 2^12 by numbers of 16 bits fit an int32: 16 2^12 (2^15 - 1) < 2^31 */
#define DAMF_INT_BLOCK	16

/* ---- Exponents and fixed point ------------------------------------------- */

/* 2^52 less the fraction of the first double above the root of 2: carries into the exponent */
#define DAMF_ROUND_LOG	0x95f619980c433u

/* The exponent of the power of two nearest to |x| in the logarithm; x is not 0. */
int damf_exponent(double x);
/* 2^n, n from -1022 to 1023. */
double damf_power(int n);

/* Numbers x as integers X = rne(x to), x = X back. */
struct damf_fixed {
	bool finite;
	int exponent;
	double to;	/* 0 if all X are 0 */
	float back;	/* not a number if some x isn't finite */
};

/* From the largest magnitude, as struct damf_isa's largest() gives it. */
struct damf_fixed damf_fixed_of(uint32_t largest, int bits);
/* 31 bits, in place: n floats become n integers. */
void damf_fixed_z(const struct damf_fixed *f, void *z, size_t n);

/* ---- shift --------------------------------------------------------------- */

/* Up to 32 queries of one head of one sequence. */
struct damf_shift {
	const float *p;		/* of the queries */
	const float *q;		/* [len] */
	size_t len, queries;
	double unit;		/* scores become integers: 2^(12 - Imax), or 0 */
	const int32_t *v;	/* [len][ldv], 0 from d_v on; ldv a multiple of 32 */
	size_t ldv;
	int64_t *den;		/* [32]: of each query, sum of a_mn */
	int64_t *num;		/* [32][ldv]: sum of a_mn V_n */
};

/* What to make of it. */
struct damf_shift_out {
	const int64_t *den, *num;	/* of struct damf_shift */
	size_t ldv;
	const int64_t *sum;	/* [d_v]: sum of V_n */
	size_t len, queries, d_v;
	float back;
	float *o; size_t ldo;
};

/* One head of one sequence. */
struct damf_shift_head {
	const float *p, *q;	/* [len] */
	size_t len, d_v;
	const float *v; size_t ldv;		/* [len][d_v] */
	int32_t *fixed; size_t ldf;		/* room for V as struct damf_shift has it */
	int64_t *sum;				/* room for d_v */
	/* what damf_shift_begin() found */
	struct damf_fixed scale;
	double unit;
};

void damf_shift_begin(const struct damf_isa *isa, struct damf_shift_head *h);
/* Outputs of up to 32 queries from first on; scratch is of 32 (1 + ldf) numbers. */
void damf_shift_queries(const struct damf_isa *isa, const struct damf_shift_head *h,
			size_t first, size_t queries, int64_t *scratch, float *o, size_t ldo);

/* ---- foldshift ----------------------------------------------------------- */

/* One head of one sequence: coefficients of the sums and of the mix. */
struct damf_foldshift {
	const float *p, *q;	/* [len]: p^ and q' */
	size_t len;
	size_t order;
	const float *c;		/* [order + 1] */
	bool centred, scale;
	int32_t *a; size_t lda;	/* [len][order]: of X in S_1 to S_K */
	int64_t sigma[DAMF_MAX_POWER + 1];
	int32_t *b; size_t ldb;	/* [len][order + 1]: of Z_0 to Z_K */
	int32_t *right; size_t ldr; /* [len]: by what their sum is shifted */
};

/* False if some p^ or q' isn't finite: all coefficients are 0 then. */
bool damf_foldshift_begin(const struct damf_isa *isa, struct damf_foldshift *f);
/* x = f32(S) 2^s, or 2^(s - 12) for a sum with scores in it */
void damf_foldshift_term(const struct damf_fixed *f, bool scores, const int64_t *sum, size_t n,
			 float *x);

/* p^ = p g and q', of one head and sequence. */
struct damf_shift_scores {
	const float *p, *q;	/* [len] */
	size_t len;
	float g;
	bool centred;
	float *p_hat, *q_prime;	/* [len] */
};

/* Sums over the tokens of one sequence: sum over n of a[n][r] X_n. */
struct damf_shift_sums {
	const float *x; size_t ldx;
	size_t len, width;
	float to;		/* of struct damf_fixed */
	const int32_t *a; size_t na; /* [len][na]: signed powers of two up to 2^12 */
	int64_t *out;		/* [na][32]: the columns of one panel */
};

/* Tokens of one sequence, 32 columns: what foldshift heads add to the output. */
struct damf_shift_mix {
	size_t tokens, heads;
	const uint8_t *terms;	/* [heads]: K + 1 */
	const int32_t *b; size_t ldb;		/* [tokens][sum of terms] */
	const int32_t *right; size_t ldr;	/* [tokens][heads] */
	const int32_t *z; size_t ldz;		/* [sum of terms][32]: 31 bits */
	int64_t *out;		/* [tokens][32] */
};

#endif /* DAMF_INTEGERS_H */
