/* SPDX-License-Identifier: MIT */
#ifndef DAMF_TESTS_TALLY_SHIFT_H
#define DAMF_TESTS_TALLY_SHIFT_H

#include <stdbool.h>

#include "define_integers.h"
#include "tally.h"

/* Output of a shift head, [len][d_v], from what is put aside. */
float *tally_shift(const float *p, const float *q, const float *v, size_t len, size_t d_v);

/* The foldshift heads of a sequence. */
struct tally_foldshift {
	size_t len, width, heads;
	struct def_foldshift *f;	/* [heads] */
	int32_t *fixed;		/* X */
	int s;
	bool finite;
};

/* X as integers, and the sum of it; most heads at most. */
void tally_foldshift_begin(struct tally_foldshift *t, const float *x, size_t ld, size_t len,
			   size_t width, size_t most);
/* A head's sums over tokens as f32, [order + 1][width], and tau, [order + 1]. */
float *tally_foldshift_head(struct tally_foldshift *t, const struct damf_k_head *head,
			    const float *p, const float *q, float *tau);
/* Adds the heads to y, [len][out]; z: their terms, in order. */
void tally_foldshift_mix(struct tally_foldshift *t, const float *z, size_t terms, size_t out,
			 float *y);

#endif /* DAMF_TESTS_TALLY_SHIFT_H */
