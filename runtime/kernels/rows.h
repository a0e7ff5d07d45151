/* SPDX-License-Identifier: MIT */
/*
 * Operations on one row. Sums and maxima go over 16 lanes at every width of
 * registers: lane l takes elements l, l + 16, ... in order, then lane l takes
 * in lane l + 8, l + 4, l + 2 and l + 1.
 */
#ifndef DAMF_ROWS_H
#define DAMF_ROWS_H

#include "isa.h"
#include "vmath.h"

#define LANES	16
#define NL	(LANES / VW)

/* What is behind the end of a row counts as fill. */
INLINE vf row_load(const float *x, size_t i, size_t n, float fill)
{
	if (i + VW <= n)
		return v_load(x + i);
	return v_load_n(x + i, i < n ? n - i : 0, fill);
}

INLINE void row_store(float *y, size_t i, size_t n, vf a)
{
	if (i + VW <= n)
		v_store(y + i, a);
	else if (i < n)
		v_store_n(y + i, a, n - i);
}

/* The 16 lanes become one. */
INLINE float tree_sum(const vf *acc)
{
	float l[LANES];

	memcpy(l, acc, sizeof(l));
	for (int w = LANES / 2; w; w /= 2) {
		for (int i = 0; i < w; i++)
			l[i] += l[i + w];
	}
	return l[0];
}

/* As v_max: the upper lane counts if it is greater. */
INLINE float tree_max(const vf *acc)
{
	float l[LANES];

	memcpy(l, acc, sizeof(l));
	for (int w = LANES / 2; w; w /= 2) {
		for (int i = 0; i < w; i++)
			l[i] = l[i + w] > l[i] ? l[i + w] : l[i];
	}
	return l[0];
}

#define FOR_LANES(i, j, n) \
	for (size_t i = 0; i < (n); i += LANES) \
		for (int j = 0; j < NL; j++)
/* first element of register j of the 16 at i */
#define AT(i, j) ((i) + (size_t)(j) * VW)

static float row_sum(const float *x, size_t n)
{
	vf acc[NL] = { { 0 } };

	FOR_LANES(i, j, n)
		acc[j] += row_load(x, AT(i, j), n, 0.0f);
	return tree_sum(acc);
}

static float row_sum_squares(const float *x, size_t n)
{
	vf acc[NL] = { { 0 } };

	FOR_LANES(i, j, n) {
		vf v = row_load(x, AT(i, j), n, 0.0f);

		acc[j] = v_fma(v, v, acc[j]);
	}
	return tree_sum(acc);
}

static float row_max(const float *x, size_t n)
{
	vf acc[NL];

	for (int j = 0; j < NL; j++)
		acc[j] = v_set1(-__builtin_inff());
	FOR_LANES(i, j, n)
		acc[j] = v_max(row_load(x, AT(i, j), n, -__builtin_inff()), acc[j]);
	return tree_max(acc);
}

static float row_max_abs(const float *x, size_t n)
{
	vf acc[NL] = { { 0 } };

	FOR_LANES(i, j, n)
		acc[j] = v_max(v_abs(row_load(x, AT(i, j), n, 0.0f)), acc[j]);
	return tree_max(acc);
}

static void row_range(const float *x, size_t n, float scale, float *low, float *high)
{
	float l[LANES], h[LANES];
	vf min[NL], max[NL];

	for (int j = 0; j < NL; j++) {
		min[j] = v_set1(__builtin_inff());
		max[j] = -min[j];
	}
	FOR_LANES(i, j, n) {
		vf v = row_load(x, AT(i, j), n, __builtin_nanf("")) * scale;

		min[j] = v_min(v, min[j]);
		max[j] = v_max(v, max[j]);
	}
	memcpy(l, min, sizeof(l));
	memcpy(h, max, sizeof(h));
	*low = l[0];
	*high = h[0];
	for (int i = 1; i < LANES; i++) {
		*low = l[i] < *low ? l[i] : *low;
		*high = h[i] > *high ? h[i] : *high;
	}
}

static void add_rows(float *y, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i += VW)
		row_store(y, i, n, row_load(a, i, n, 0.0f) + row_load(b, i, n, 0.0f));
}

/* VW elements of a row of a table from i on, as f32; 0 behind its end. */
INLINE vf table_load(const struct damf_row *row, enum damf_k_type type, size_t i, size_t n)
{
	size_t left = n - i < VW ? n - i : VW;
	uint16_t h[VW] = { 0 };
	int8_t q[VW] = { 0 };

	switch (type) {
	case DAMF_K_BF16:
		memcpy(h, (const uint16_t *)row->data + i, left * sizeof(*h));
		return v_load_bf16(h);
	case DAMF_K_I8:
		memcpy(q, (const int8_t *)row->data + i, left);
		return v_load_i8(q) * row->scale;
	default:
		return row_load(row->data, i, n, 0.0f);
	}
}

INLINE void add_typed(float *y, const struct damf_row *row, enum damf_k_type type, size_t n,
		      bool add)
{
	for (size_t i = 0; i < n; i += VW) {
		vf v = table_load(row, type, i, n);

		row_store(y, i, n, add ? row_load(y, i, n, 0.0f) + v : v);
	}
}

/* y becomes the row, or takes it in. */
static void add_table(float *y, const struct damf_row *row, size_t n, bool add)
{
	switch (row->type) {
	case DAMF_K_BF16:
		add_typed(y, row, DAMF_K_BF16, n, add);
		break;
	case DAMF_K_I8:
		add_typed(y, row, DAMF_K_I8, n, add);
		break;
	default:
		add_typed(y, row, DAMF_K_F32, n, add);
	}
}

static void norm_row(float *y, size_t n, const float *gamma, const float *beta, float eps)
{
	float mean = row_sum(y, n) / (float)n, rstd;

	for (size_t i = 0; i < n; i += VW)
		row_store(y, i, n, row_load(y, i, n, 0.0f) - mean);
	rstd = 1.0f / __builtin_sqrtf(row_sum_squares(y, n) / (float)n + eps);
	for (size_t i = 0; i < n; i += VW) {
		vf v = row_load(y, i, n, 0.0f) * rstd;

		row_store(y, i, n, v_fma(v, row_load(gamma, i, n, 0.0f),
					 row_load(beta, i, n, 0.0f)));
	}
}

/* A norm that is not a number is not replaced by eps. */
static void normalize_row(const float *x, size_t n, float eps, float *y)
{
	float norm = __builtin_sqrtf(row_sum_squares(x, n)), d = norm <= eps ? eps : norm;

	for (size_t i = 0; i < n; i += VW)
		row_store(y, i, n, row_load(x, i, n, 0.0f) / d);
}

static void softmax_row(const float *x, size_t n, float *y)
{
	float max = row_max(x, n), r;

	for (size_t i = 0; i < n; i += VW)
		row_store(y, i, n, v_exp(row_load(x, i, n, 0.0f) - max));
	r = 1.0f / row_sum(y, n);
	for (size_t i = 0; i < n; i += VW)
		row_store(y, i, n, row_load(y, i, n, 0.0f) * r);
}

static void mean_row(const float *sum, size_t len, size_t n, float *y)
{
	for (size_t i = 0; i < n; i += VW)
		row_store(y, i, n, row_load(sum, i, n, 0.0f) / (float)len);
}

#endif /* DAMF_ROWS_H */
