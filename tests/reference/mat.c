// SPDX-License-Identifier: MIT
#include "ref.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double *ref_alloc(size_t n)
{
	double *p = calloc(n ? n : 1, sizeof(*p));

	if (!p) {
		fprintf(stderr, "reference: out of memory for %zu numbers\n", n);
		exit(2);
	}
	return p;
}

struct ref_mat ref_new(size_t rows, size_t cols)
{
	struct ref_mat a = { .rows = rows, .cols = cols };

	a.v = ref_alloc(rows * cols);
	a.m = ref_alloc(rows * cols);
	a.e = ref_alloc(rows * cols);
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

void ref_free(struct ref_mat *a)
{
	free(a->v);
	free(a->m);
	free(a->e);
	*a = (struct ref_mat){ 0 };
}

/* A quarter more than the first order, and what underflow can lose. */
double ref_tolerance(const struct ref_mat *a, size_t i)
{
	return 1.25 * REF_U * a->e[i] + 1e-35;
}
