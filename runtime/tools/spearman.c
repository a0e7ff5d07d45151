// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "cli.h"

double cli_cosine(const float *a, const float *b, size_t n)
{
	double ab = 0, aa = 0, bb = 0, norms;
	size_t i;

	for (i = 0; i < n; i++) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	norms = sqrt(aa) * sqrt(bb);
	return norms > 0 ? ab / norms : 0;
}

struct entry {
	double value;
	size_t at;
};

static int by_value(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->value > y->value) - (x->value < y->value);
}

/* Ranks from 1; equal values have the mean of theirs. */
static int rank(const double *x, size_t n, double *ranks)
{
	struct entry *e = malloc((n + 1) * sizeof(*e));
	size_t i, j, k;

	if (!e)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		e[i] = (struct entry){ x[i], i };
	qsort(e, n, sizeof(*e), by_value);
	for (i = 0; i < n; i = j) {
		for (j = i + 1; j < n && e[j].value == e[i].value; j++)
			;
		for (k = i; k < j; k++)
			ranks[e[k].at] = 0.5 * (double)(i + 1 + j);
	}
	free(e);
	return 0;
}

static double pearson(const double *x, const double *y, size_t n)
{
	double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		mx += x[i] / (double)n;
		my += y[i] / (double)n;
	}
	for (i = 0; i < n; i++) {
		xx += (x[i] - mx) * (x[i] - mx);
		yy += (y[i] - my) * (y[i] - my);
		xy += (x[i] - mx) * (y[i] - my);
	}
	return xx > 0 && yy > 0 ? xy / (sqrt(xx) * sqrt(yy)) : NAN;
}

int cli_spearman(const double *x, const double *y, size_t n, double *rho)
{
	double *ranks = malloc((2 * n + 1) * sizeof(*ranks));
	int r;

	if (!ranks)
		return -ENOMEM;
	r = rank(x, n, ranks);
	if (!r)
		r = rank(y, n, ranks + n);
	if (!r)
		*rho = n < 2 ? NAN : pearson(ranks, ranks + n, n);
	free(ranks);
	return r;
}
