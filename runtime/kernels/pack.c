// SPDX-License-Identifier: MIT
/* Weights into the PANEL32 layout. */
#include <string.h>

#include "isa.h"

#define PANEL	DAMF_PANEL_COLS

size_t damf_packed_elems(size_t in, size_t out)
{
	return (out + PANEL - 1) / PANEL * PANEL * in;
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
