/* SPDX-License-Identifier: MIT */
/*
 * The vector operations and elementary functions of every instruction set, as
 * functions on arrays, for tests. vec_all.h is compiled once for each.
 */
#ifndef DAMF_TESTS_VEC_TABLE_H
#define DAMF_TESTS_VEC_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum vec_unary {
	VEC_EXP, VEC_EXP_DOWN, VEC_GELU, VEC_TANH, VEC_ABS, VEC_BROADCAST,
	VEC_UNARY_END,
};

struct vec_table {
	const char *name;
	/* VEC_BROADCAST: y[i] = x[0] */
	void (*unary[VEC_UNARY_END])(const float *x, float *y, size_t n);
	void (*max)(const float *a, const float *b, float *y, size_t n);
	void (*min)(const float *a, const float *b, float *y, size_t n);
	/* y[i] = a[i] < b[i] ? b[i] : a[i] */
	void (*if_less)(const float *a, const float *b, float *y, size_t n);
	/* y[i] = a[i] not a number ? b[i] : a[i] */
	void (*if_nan)(const float *a, const float *b, float *y, size_t n);
	void (*select)(const int32_t *m, const float *a, const float *b, float *y, size_t n);
	void (*fma)(const float *a, const float *b, const float *c, float *y, size_t n);
};

/* Those that this machine runs; the first is generic. */
size_t vec_tables(const struct vec_table **out, size_t room);

extern const struct vec_table vec_generic, vec_avx2, vec_avx512, vec_neon;

#endif /* DAMF_TESTS_VEC_TABLE_H */
