// SPDX-License-Identifier: MIT
/*
 * QR and singular values of small matrices, in plain double arithmetic with a
 * fixed order: LAPACK's bits depend on the BLAS below it and on the machine,
 * and what is made of a plain model here must not.
 */
#include <math.h>
#include <string.h>

#include "model.h"

#define SWEEPS 60	/* they converge in about ten */

static double dot(const double *a, const double *b, size_t n)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/*
 * Gram and Schmidt, each column twice, which makes it as orthogonal as
 * Householder's way. A column that depends on others gives a zero column and
 * a zero row of r, so that the product is still a.
 */
void damf_qr(double *a, size_t rows, size_t cols, double *r)
{
	size_t i, j, k;
	int pass;

	memset(r, 0, cols * cols * sizeof(*r));
	for (j = 0; j < cols; j++) {
		double *x = a + j * rows, norm, before = sqrt(dot(x, x, rows));

		for (pass = 0; pass < 2; pass++) {
			for (k = 0; k < j; k++) {
				const double *q = a + k * rows;
				double c = dot(q, x, rows);

				r[k + j * cols] += c;
				for (i = 0; i < rows; i++)
					x[i] -= c * q[i];
			}
		}
		norm = sqrt(dot(x, x, rows));
		if (!(norm > 1e-14 * before))
			norm = 0;
		r[j + j * cols] = norm;
		for (i = 0; i < rows; i++)
			x[i] = norm > 0 ? x[i] / norm : 0;
	}
}

static void rotate(double *x, double *y, size_t n, double c, double s)
{
	size_t i;

	for (i = 0; i < n; i++) {
		double t = c * x[i] - s * y[i];

		y[i] = s * x[i] + c * y[i];
		x[i] = t;
	}
}

/* Makes columns i and j of a orthogonal; whether they were not yet. */
static bool orthogonalise(double *a, double *v, size_t n, size_t i, size_t j)
{
	double *x = a + i * n, *y = a + j * n;
	double xx = dot(x, x, n), yy = dot(y, y, n), xy = dot(x, y, n), zeta, t, c;

	if (fabs(xy) <= 1e-15 * sqrt(xx) * sqrt(yy))
		return false;
	zeta = (yy - xx) / (2 * xy);
	t = (zeta < 0 ? -1 : 1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
	c = 1 / sqrt(1 + t * t);
	rotate(x, y, n, c, c * t);
	rotate(v + i * n, v + j * n, n, c, c * t);
	return true;
}

static void swap_columns(double *a, size_t n, size_t i, size_t j)
{
	size_t k;

	for (k = 0; k < n; k++) {
		double t = a[i * n + k];

		a[i * n + k] = a[j * n + k];
		a[j * n + k] = t;
	}
}

static void sort_falling(double *a, double *v, double *s, size_t n)
{
	size_t i, j, best;

	for (i = 0; i < n; i++) {
		double t;

		for (best = i, j = i + 1; j < n; j++)
			if (s[j] > s[best])
				best = j;
		if (best == i)
			continue;
		t = s[i];
		s[i] = s[best];
		s[best] = t;
		swap_columns(a, n, i, best);
		swap_columns(v, n, i, best);
	}
}

void damf_svd(double *a, double *v, double *s, size_t n)
{
	size_t i, j;
	bool moved = true;
	int sweep;

	for (i = 0; i < n * n; i++)
		v[i] = i / n == i % n;
	for (sweep = 0; moved && sweep < SWEEPS; sweep++) {
		moved = false;
		for (i = 0; i < n; i++)
			for (j = i + 1; j < n; j++)
				moved |= orthogonalise(a, v, n, i, j);
	}
	for (i = 0; i < n; i++)
		s[i] = sqrt(dot(a + i * n, a + i * n, n));
	sort_falling(a, v, s, n);
}
