// SPDX-License-Identifier: MIT
/* Weights into the PANEL32 layout, and into other types. */
#include <string.h>

#include "isa.h"

#define PANEL	DAMF_PANEL_COLS

size_t damf_packed_elems(size_t in, size_t out)
{
	return (out + PANEL - 1) / PANEL * PANEL * in;
}

/* Inputs of one output that lie together in int8. */
static size_t round_quad(size_t in)
{
	return (in + DAMF_QUAD - 1) / DAMF_QUAD * DAMF_QUAD;
}

size_t damf_packed_size(enum damf_k_type type, size_t in, size_t out)
{
	if (type == DAMF_K_I8)
		return damf_packed_elems(round_quad(in), out);
	return damf_packed_elems(in, out) * (type == DAMF_K_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* A weight that lies anyhow: (k, n) is at src[k * step_k + n * step_n]. */
static void pack(float *dst, const float *src, size_t step_k, size_t step_n, size_t in,
		 size_t out)
{
	for (size_t first = 0; first < out; first += PANEL) {
		size_t cols = out - first < PANEL ? out - first : PANEL;

		for (size_t k = 0; k < in; k++, dst += PANEL) {
			const float *s = src + k * step_k + first * step_n;

			for (size_t j = 0; j < cols; j++)
				dst[j] = s[j * step_n];
			memset(dst + cols, 0, (PANEL - cols) * sizeof(*dst));
		}
	}
}

void damf_pack_f32(float *dst, const float *src, size_t ld, size_t in, size_t out)
{
	pack(dst, src, 1, ld, in, out);
}

void damf_pack_kn_f32(float *dst, const float *src, size_t ld, size_t in, size_t out)
{
	pack(dst, src, ld, 1, in, out);
}

/* ---- bf16 ---------------------------------------------------------------- */

static uint16_t to_bf16(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void damf_row_bf16(uint16_t *dst, const float *src, size_t n)
{
	for (size_t i = 0; i < n; i++)
		dst[i] = to_bf16(src[i]);
}

void damf_pack_bf16(uint16_t *dst, const float *src, size_t ld, size_t in, size_t out)
{
	for (size_t first = 0; first < out; first += PANEL) {
		for (size_t k = 0; k < in; k++, dst += PANEL) {
			for (size_t j = 0; j < PANEL; j++)
				dst[j] = first + j < out ? to_bf16(src[(first + j) * ld + k]) : 0;
		}
	}
}

/* ---- int8 ---------------------------------------------------------------- */

#define TOP	127.0f

/* What the elements are multiplied by; 0 if they all become 0. */
static float factor_of(const float *x, size_t n, float *scale)
{
	float max = 0.0f;

	for (size_t i = 0; i < n; i++)
		max = __builtin_fabsf(x[i]) > max ? __builtin_fabsf(x[i]) : max;
	*scale = max < DAMF_QUANT_MIN ? 1.0f : max / TOP;
	return max < DAMF_QUANT_MIN ? 0.0f : TOP / max;
}

/* To nearest, ties to even: there is no fraction behind the last bit of 2^23. */
static int8_t to_i8(float x)
{
	return (int8_t)((x + 0x1.8p23f) - 0x1.8p23f);
}

float damf_row_i8(int8_t *dst, const float *src, size_t n)
{
	float scale, factor = factor_of(src, n, &scale);

	for (size_t i = 0; i < n; i++)
		dst[i] = to_i8(src[i] * factor);
	return scale;
}

void damf_pack_i8(int8_t *dst, float *scales, const float *src, size_t ld, size_t in, size_t out)
{
	size_t rows = round_quad(in);

	memset(dst, 0, damf_packed_elems(rows, out));
	for (size_t n = 0; n < out; n++, src += ld) {
		float factor = factor_of(src, in, &scales[n]);
		int8_t *col = dst + n / PANEL * PANEL * rows + n % PANEL * DAMF_QUAD;

		for (size_t k = 0; k < in; k++)
			col[k / DAMF_QUAD * PANEL * DAMF_QUAD + k % DAMF_QUAD] =
				to_i8(src[k] * factor);
	}
}
