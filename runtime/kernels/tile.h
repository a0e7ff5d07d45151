/* SPDX-License-Identifier: MIT */
/*
 * What all matrix products share: a tile of up to MR rows by a panel of 32
 * columns, NV registers of which are summed at once.
 */
#ifndef DAMF_TILE_H
#define DAMF_TILE_H

#include "isa.h"
#include "vec.h"

#define PANEL	DAMF_PANEL_COLS
#define QUAD	DAMF_QUAD
/*
 * Weights are asked for so many steps of k ahead: the processor's own
 * prefetching ends at each page.
 */
#define W_AHEAD	48

/* Columns of a panel that the product has. */
INLINE size_t panel_cols(const struct damf_gemm *g, size_t panel)
{
	return damf_panel_cols(g->col1, panel);
}

/* A call for each number of rows up to MR. */
#define ROW_CASES_4 CASE(1); CASE(2); CASE(3); CASE(4)
#define ROW_CASES_6 ROW_CASES_4; CASE(5); CASE(6)
#if MR > 8
#define ROW_CASES ROW_CASES_6; CASE(7); CASE(8); CASE(9); CASE(10); CASE(11); CASE(12)
#elif MR > 4
#define ROW_CASES ROW_CASES_6
#else
#define ROW_CASES ROW_CASES_4
#endif

/*
 * Rows of the next tile of so many that are left. With few of them sums wait
 * for each other, so two tiles share what is a little more than one. As many
 * tiles as without it.
 */
INLINE size_t tile_rows(size_t left, size_t most)
{
	size_t least = (2 * most + 2) / 3;

	if (left > most && left < most + least)
		return least;
	return left < most ? left : most;
}

/* What a tile is added to, which with ld 0 is one row for all of its rows, and where it goes. */
struct tile_io {
	const float *from; size_t ld_from;
	float *to; size_t ld_to;
};

#endif /* DAMF_TILE_H */
