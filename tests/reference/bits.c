// SPDX-License-Identifier: MIT
/* Number formats and the few IEEE operations that integers begin from. */
#include "internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(FLT_EVAL_METHOD == 0, "f32 operations must round to f32");

/* The nearest multiple of the unit that x has in bf16: exact in double. */
uint16_t ref_to_bf16(float x)
{
	int exponent = x == 0.0f ? -126 : ilogbf(x);
	double unit = ldexp(1.0, (exponent < -126 ? -126 : exponent) - 7);
	float rounded = (float)(rint((double)x / unit) * unit);
	uint32_t bits;

	memcpy(&bits, &rounded, sizeof(bits));
	return (uint16_t)(bits >> 16);
}

float ref_bf16_value(uint16_t b)
{
	uint32_t bits = (uint32_t)b << 16;
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

float ref_quantise(const float *x, size_t n, int32_t top, int32_t *q)
{
	float a = 0.0f, up;
	bool finite = true;

	for (size_t i = 0; i < n; i++) {
		finite &= isfinite(x[i]) != 0;
		a = fmaxf(a, fabsf(x[i]));
		q[i] = 0;
	}
	if (!finite)
		return NAN;
	if (a < 0x1p-100f)
		return 0.0f;
	up = (float)top / a;
	for (size_t i = 0; i < n; i++)
		q[i] = (int32_t)rintf(x[i] * up);
	return a / (float)top;
}

/* One line of a matrix, elements step apart. */
static float quantise_line(const float *w, size_t step, size_t n, int8_t *q, size_t q_step)
{
	float *line = ref_alloc(n, sizeof(*line)), s;
	int32_t *wide = ref_alloc(n, sizeof(*wide));

	for (size_t i = 0; i < n; i++)
		line[i] = w[i * step];
	s = ref_quantise(line, n, REF_TOP_I8, wide);
	for (size_t i = 0; i < n; i++)
		q[i * q_step] = (int8_t)wide[i];
	free(line);
	free(wide);
	return s == 0.0f ? 1.0f : s;
}

void ref_quantise_columns(const float *w, size_t ld, size_t rows, size_t cols, int8_t *q,
			  float *factors)
{
	for (size_t j = 0; j < cols; j++)
		factors[j] = quantise_line(w + j, ld, rows, q + j, cols);
}

void ref_quantise_rows(const float *w, size_t ld, size_t rows, size_t cols, int8_t *q,
		       float *factors)
{
	for (size_t i = 0; i < rows; i++)
		factors[i] = quantise_line(w + i * ld, 1, cols, q + i * cols, 1);
}

float ref_dot(float s, const float *x, const float *w, size_t ld, size_t n)
{
	for (size_t k = 0; k < n; k++)
		s = fmaf(x[k], w[k * ld], s);
	return s;
}

float ref_qdot(float b, const int32_t *q, float s, const int8_t *w, size_t ld, size_t n,
	       float factor)
{
	int64_t sum = 0;

	for (size_t k = 0; k < n; k++)
		sum += (int64_t)q[k] * w[k * ld];
	return fmaf((float)sum, s * factor, b);
}

float ref_lanes(const float *x, size_t n)
{
	float lane[16] = { 0 };

	for (size_t i = 0; i < (n + 15) / 16 * 16; i++)
		lane[i % 16] += i < n ? x[i] : 0.0f;
	for (size_t half = 8; half; half /= 2) {
		for (size_t l = 0; l < half; l++)
			lane[l] += lane[l + half];
	}
	return lane[0];
}
