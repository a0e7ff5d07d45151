/* SPDX-License-Identifier: MIT */
/*
 * Products of f32 with few rows, where all is to have the weight stream in: a
 * tile of one panel would not have enough sums at work. The order of sums is
 * that of gemm.h.
 */
#ifndef DAMF_THIN_H
#define DAMF_THIN_H

#include "tile.h"

#define THIN_PAIRS	(VW == 16)	/* where there are registers for them */
#define THIN_ROWS	4
#define THIN_AHEAD	64	/* of k, that the weight is prefetched by */

#if THIN_PAIRS
/* A few rows by two panels, of which what comes next is on its way. */
INLINE void pair_micro(const struct tile_io io[2], int mr, const struct damf_seg *s, size_t row,
		       size_t panel)
{
	size_t size = s->in * PANEL, i = 0, ahead = THIN_AHEAD < s->k ? THIN_AHEAD : s->k;
	size_t step = s->turned ? s->ldx : 1, ldx = s->turned ? 1 : s->ldx;
	const float *x = s->x + row * ldx;
	const float *w = (const float *)s->w.data + panel * size + s->first * PANEL;
	const float *next = w + ahead * PANEL, *last = w + s->k * PANEL;
	vf acc[THIN_ROWS][2][2];

	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < 4; j++)
			acc[r][j / 2][j % 2] = v_load(io[j / 2].from + r * io[j / 2].ld_from +
						      j % 2 * VW);
	}
	do {
		/* behind the last k come the two panels after these */
		next += next == last ? 2 * size - s->k * PANEL : 0;
		UNROLL
		for (int j = 0; j < 4; j++)
			__builtin_prefetch(next + j / 2 * size + j % 2 * VW);
		UNROLL
		for (int r = 0; r < mr; r++) {
			vf a = v_set1(x[r * ldx]);

			UNROLL
			for (int j = 0; j < 4; j++)
				acc[r][j / 2][j % 2] = v_fma(a, v_load(w + j / 2 * size +
								       j % 2 * VW),
							     acc[r][j / 2][j % 2]);
		}
		x += step;
		w += PANEL;
		next += PANEL;
	} while (++i < s->k);
	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < 4; j++)
			v_store(io[j / 2].to + r * io[j / 2].ld_to + j % 2 * VW,
				acc[r][j / 2][j % 2]);
	}
}

static void thin_pair(const struct tile_io io[2], size_t rows, const struct damf_seg *s,
		      size_t row, size_t panel)
{
	switch (rows) {
#define CASE(n) case n: pair_micro(io, n, s, row, panel); break
	ROW_CASES_4;
#undef CASE
	}
}
#endif

#endif /* DAMF_THIN_H */
