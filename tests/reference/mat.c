// SPDX-License-Identifier: MIT
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *ref_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p) {
		fprintf(stderr, "reference: out of memory for %zu times %zu bytes\n", n, size);
		exit(2);
	}
	return p;
}

struct ref_mat ref_new(size_t rows, size_t cols)
{
	struct ref_mat a = { .rows = rows, .cols = cols };

	a.v = ref_alloc(rows * cols, sizeof(double));
	a.m = ref_alloc(rows * cols, sizeof(double));
	a.e = ref_alloc(rows * cols, sizeof(double));
	return a;
}

struct ref_mat ref_from_f32(const float *src, size_t ld, size_t rows, size_t cols)
{
	struct ref_mat a = ref_new(rows, cols);

	for (size_t i = 0; i < rows; i++) {
		for (size_t j = 0; j < cols; j++) {
			a.v[i * cols + j] = src[i * ld + j];
			a.m[i * cols + j] = fabs((double)src[i * ld + j]);
		}
	}
	return a;
}

struct ref_mat ref_from_bf16(const uint16_t *src, size_t ld, size_t rows, size_t cols)
{
	struct ref_mat a = ref_new(rows, cols);

	for (size_t i = 0; i < rows * cols; i++) {
		a.v[i] = ref_bf16_value(src[i / cols * ld + i % cols]);
		a.m[i] = fabs(a.v[i]);
	}
	return a;
}

struct ref_mat ref_from_i8(const int8_t *src, size_t ld, const float *factors, size_t rows,
			   size_t cols, int32_t top)
{
	struct ref_mat a = ref_new(rows, cols);

	for (size_t i = 0; i < rows * cols; i++) {
		a.v[i] = src[i / cols * ld + i % cols];
		a.m[i] = fabs(a.v[i]);
	}
	a.factors = ref_alloc(cols, sizeof(*a.factors));
	memcpy(a.factors, factors, cols * sizeof(*a.factors));
	a.top = top;
	return a;
}

struct ref_mat ref_from_i8_table(const int8_t *src, size_t ld, const float *factors, size_t rows,
				 size_t cols)
{
	struct ref_mat a = ref_new(rows, cols);

	for (size_t i = 0; i < rows * cols; i++) {
		a.v[i] = (float)src[i / cols * ld + i % cols] * factors[i / cols];
		a.m[i] = fabs(a.v[i]);
	}
	return a;
}

void ref_free(struct ref_mat *a)
{
	free(a->v);
	free(a->m);
	free(a->e);
	free(a->factors);
	*a = (struct ref_mat){ 0 };
}

/* A quarter more than the first order, and what underflow can lose. */
double ref_tolerance(const struct ref_mat *a, size_t i)
{
	return 1.25 * REF_U * a->e[i] + 1e-35;
}
