/* SPDX-License-Identifier: MIT */
/*
 * Products of f32 that are thin: few rows, few panels or a short k. Packing
 * rows would cost as much as their products there, so they are read where
 * they lie; and with few rows all is to have the weight stream in. The order
 * of sums is that of gemm.h.
 */
#ifndef DAMF_THIN_H
#define DAMF_THIN_H

#include "igemm.h"

#define THIN_K		128	/* up to here packing does not pay for any number of panels */
#define THIN_PANELS	2	/* for any k */
#define THIN_ROWS	4	/* for any of both */
#define THIN_PAIRS	(VW == 16) /* of panels, where there are registers for them */
#define THIN_AHEAD	64	/* of k, that the weight is prefetched by */

/* Rows of x by a part of a panel, NV registers wide from col on. */
INLINE void thin_micro(const struct tile_io *io, int col, int mr, const float *x, size_t ldx,
		       const float *w, size_t k)
{
	vf acc[MR][NV];
	size_t i = 0;

	w += col;
	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			acc[r][j] = v_load(io->from + r * io->ld_from + col + j * VW);
	}
	do {
		vf b[NV];

		/* the rows that come next, if they lie close together */
		__builtin_prefetch(x + (size_t)mr * (ldx + i));
		UNROLL
		for (int j = 0; j < NV; j++)
			b[j] = v_load(w + j * VW);
		UNROLL
		for (int r = 0; r < mr; r++) {
			vf a = v_set1(x[r * ldx + i]);

			UNROLL
			for (int j = 0; j < NV; j++)
				acc[r][j] = v_fma(a, b[j], acc[r][j]);
		}
		w += PANEL;
	} while (++i < k);
	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			v_store(io->to + r * io->ld_to + col + j * VW, acc[r][j]);
	}
}

static void __attribute__((noinline)) thin_tile(const struct tile_io *io, size_t rows, const struct damf_seg *s,
		      size_t row, size_t panel)
{
	const float *x = s->x + row * s->ldx;
	const float *w = (const float *)s->w.data + (panel * s->in + s->first) * PANEL;

	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: thin_micro(io, j, n, x, s->ldx, w, s->k); break
		ROW_CASES;
#undef CASE
		}
	}
}

#if THIN_PAIRS
/* A few rows by two panels, of which what comes next is on its way. */
INLINE void pair_micro(const struct tile_io io[2], int mr, const struct damf_seg *s, size_t row,
		       size_t panel)
{
	size_t size = s->in * PANEL, i = 0, ahead = THIN_AHEAD < s->k ? THIN_AHEAD : s->k;
	const float *x = s->x + row * s->ldx;
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
			vf a = v_set1(x[r * s->ldx + i]);

			UNROLL
			for (int j = 0; j < 4; j++)
				acc[r][j / 2][j % 2] = v_fma(a, v_load(w + j / 2 * size +
								       j % 2 * VW),
							     acc[r][j / 2][j % 2]);
		}
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
#else
static void thin_pair(const struct tile_io io[2], size_t rows, const struct damf_seg *s,
		      size_t row, size_t panel)
{
	for (size_t i = 0; i < 2; i++)
		thin_tile(&io[i], rows, s, row, panel + i);
}
#endif

#endif /* DAMF_THIN_H */
