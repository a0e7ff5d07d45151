/* SPDX-License-Identifier: MIT */
/*
 * "Powers of two" of Documentation/numerics.rst in scalar C, one number after
 * another: what the kernels must give to the bit.
 */
#ifndef DAMF_TESTS_DEFINE_INTEGERS_H
#define DAMF_TESTS_DEFINE_INTEGERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What has been met, in numbers of scores, denominators, elements. */
struct def_seen {
	uint64_t edge_kept, edge_lost;	/* scores of 2^0, and of 2^-1, which are 0 */
	uint64_t zero_den, small_den;	/* D = 0 of shift, D < 2^12 of foldshift */
	uint64_t unshifted;		/* I_d = 12 of foldshift */
	uint64_t ties;			/* quotients halfway between integers */
	uint64_t clamped, largest;	/* 2^(bits - 1) before the limit; at the limit */
	uint64_t tiny;			/* sets below 2^-100 */
};
extern struct def_seen def_seen;

int def_exponent(double x);

/* rows x cols; false if a number isn't finite. */
bool def_fixed(const float *x, size_t ld, size_t rows, size_t cols, int bits, int32_t *fixed,
	       int *exponent);

/* den [len], num [len][d_v]: D and N as they are divided; false: all of out is not a number. */
bool def_shift(const float *p, const float *q, size_t len, const float *v, size_t ldv, size_t d_v,
	       float *out, size_t ldo, int64_t *den, int64_t *num);

struct def_foldshift {
	size_t order;
	float c[5];
	float g;		/* if scale */
	bool centred, scale;
	const float *p, *q;	/* [len] */
	size_t len;
	float *p_hat, *q_prime;
	int64_t sigma[5];
};

/* p^ and q'; false if one isn't finite. */
bool def_foldshift_scores(struct def_foldshift *f);
/* x: integers [len][width]; sums [order + 1][width], and sigma. */
void def_foldshift_sums(struct def_foldshift *f, const int32_t *x, size_t width, int64_t *sums);
/* Of row k of the sums, as f32. */
void def_foldshift_row(const int64_t *sums, size_t k, size_t width, int s, float *x);
/* Adds to out [len][cols]; z: integers [order + 1][cols]. */
void def_foldshift_mix(const struct def_foldshift *f, const int32_t *z, size_t cols,
		       int64_t *out);

#endif /* DAMF_TESTS_DEFINE_INTEGERS_H */
