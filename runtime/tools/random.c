// SPDX-License-Identifier: MIT
/* Made-up numbers: the same on every machine. */
#include "cli.h"

/* splitmix64 */
static uint64_t next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

float cli_random(uint64_t *seed)
{
	return ((float)(next(seed) >> 40) + 0.5f) * 0x1p-23f - 1.0f;
}
