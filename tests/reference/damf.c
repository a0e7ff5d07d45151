// SPDX-License-Identifier: MIT
/* Rank-1 DAMF attention of one head twice: eq. 14 as it stands, and folded. */
#include "ref.h"

#include <math.h>

void ref_damf_direct(const double *p, const double *q, const double *v, size_t len, size_t d_v,
		     double guard, double *out)
{
	double a_max = 0.0;

	for (size_t m = 0; m < len; m++) {
		for (size_t n = 0; n < len; n++)
			a_max = fmax(a_max, fabs(p[m] * q[n]));
	}
	for (size_t m = 0; m < len; m++) {
		double den = 0.0;
		int uniform;

		for (size_t n = 0; n < len; n++)
			den += a_max + p[m] * q[n];
		uniform = a_max == 0.0 || !(den > guard * (double)len * a_max);
		for (size_t j = 0; j < d_v; j++) {
			double sum = 0.0;

			for (size_t n = 0; n < len; n++) {
				double w = uniform ? 1.0 / (double)len : (a_max + p[m] * q[n]) / den;

				sum += w * v[n * d_v + j];
			}
			out[m * d_v + j] = sum;
		}
	}
}

void ref_damf_folded(const double *p, const double *q, const double *v, size_t len, size_t d_v,
		     double guard, double *out)
{
	double max_p = 0.0, max_q = 0.0, sum_q = 0.0, a_max, l = (double)len;

	for (size_t n = 0; n < len; n++) {
		max_p = fmax(max_p, fabs(p[n]));
		max_q = fmax(max_q, fabs(q[n]));
		sum_q += q[n];
	}
	a_max = max_p * max_q;
	for (size_t j = 0; j < d_v; j++) {
		double s1 = 0.0, sq = 0.0;

		for (size_t n = 0; n < len; n++) {
			s1 += v[n * d_v + j];
			sq += q[n] * v[n * d_v + j];
		}
		for (size_t m = 0; m < len; m++) {
			double den = l * a_max + p[m] * sum_q;

			if (a_max == 0.0 || !(den > guard * l * a_max))
				out[m * d_v + j] = s1 / l;
			else
				out[m * d_v + j] = (a_max * s1 + p[m] * sq) / den;
		}
	}
}
