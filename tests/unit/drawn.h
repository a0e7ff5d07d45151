/* SPDX-License-Identifier: MIT */
/* Numbers that are drawn, the same in each run. */
#ifndef DAMF_TEST_DRAWN_H
#define DAMF_TEST_DRAWN_H

#include <stdint.h>

/* The next one, below that. */
static inline uint32_t draw(uint32_t below)
{
	static uint64_t seed = 0x9E3779B97F4A7C15u;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % below;
}

#endif /* DAMF_TEST_DRAWN_H */
