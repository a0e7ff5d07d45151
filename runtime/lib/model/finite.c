// SPDX-License-Identifier: MIT
/*
 * Whether weights are finite numbers: every byte of a model passes here when it
 * is opened, so it is written for the vectors of any machine. An exponent of
 * all ones, and one added to it, is the sign bit.
 */
#include "model.h"

#define BLOCK 1024	/* elements between two looks at the result */

typedef uint32_t bits32 __attribute__((may_alias));
typedef uint16_t bits16 __attribute__((may_alias));
typedef uint32_t v8u32 __attribute__((vector_size(32), aligned(4), may_alias));
typedef uint16_t v16u16 __attribute__((vector_size(32), aligned(2), may_alias));

static bool block_f32(const bits32 *x)
{
	v8u32 any = { 0 };
	size_t i;

	for (i = 0; i < BLOCK; i += 8)
		any |= (*(const v8u32 *)(x + i) & 0x7f800000u) + 0x00800000u;
	any &= 0x80000000u;
	return !(any[0] | any[1] | any[2] | any[3] | any[4] | any[5] | any[6] | any[7]);
}

static bool block_bf16(const bits16 *x)
{
	v16u16 any = { 0 };
	unsigned int all = 0;
	size_t i;

	for (i = 0; i < BLOCK; i += 16)
		any |= (*(const v16u16 *)(x + i) & 0x7f80) + 0x0080;
	for (i = 0; i < 16; i++)
		all |= any[i];
	return !(all & 0x8000);
}

uint64_t damf_finite_f32(const void *numbers, uint64_t n)
{
	const bits32 *x = numbers;
	uint64_t i = 0;

	while (n - i >= BLOCK && block_f32(x + i))
		i += BLOCK;
	while (i < n && (x[i] & 0x7f800000u) != 0x7f800000u)
		i++;
	return i;
}

uint64_t damf_finite_bf16(const void *numbers, uint64_t n)
{
	const bits16 *x = numbers;
	uint64_t i = 0;

	while (n - i >= BLOCK && block_bf16(x + i))
		i += BLOCK;
	while (i < n && (x[i] & 0x7f80) != 0x7f80)
		i++;
	return i;
}
