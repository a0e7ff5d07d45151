/* SPDX-License-Identifier: MIT */
/*
 * Matrix products with int8 weights. Sums of integers are exact, and each is
 * rounded to f32 once. So neither how k is cut nor the width of registers
 * shows. QR (rows) and QV (registers across) say what of a tile is in
 * registers where products are of int16.
 */
#ifndef DAMF_IGEMM_H
#define DAMF_IGEMM_H

#include "quantise.h"

/* Of k at a time: 32,767 x 128 x 512 is within int32. */
#define IKC	512

/* sum[r][j] += a w over some quads of k; r below mr, j below QV registers of VW / 2 columns. */
INLINE void imicro(int64_t *sum, int mr, const int16_t *a, const int8_t *w, size_t quads)
{
	vi acc[QR][QV] = { { { 0 } } };

	for (; quads; quads--, a += QR * QUAD, w += PANEL * QUAD) {
		vs b[QV];

		UNROLL
		for (int j = 0; j < QV; j++)
			b[j] = v_load_i8_i16(w + j * 2 * VW);
		UNROLL
		for (int r = 0; r < mr; r++) {
			vs x = v_set4_i16(a + r * QUAD);

			UNROLL
			for (int j = 0; j < QV; j++)
				acc[r][j] = v_dot2(acc[r][j], x, b[j]);
		}
	}
	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < QV; j++)
			v_add_i64(sum + r * PANEL + j * VW / 2, v_pair_sum(acc[r][j]));
	}
}

static void itile_sums(int64_t *sum, size_t rows, const int16_t *a, const int8_t *w, size_t quads)
{
	for (int j = 0; j < PANEL; j += QV * VW / 2) {
		switch (rows) {
#define CASE(n) case n: imicro(sum + j, n, a, w + j * QUAD, quads); break
#if QR > 4
		ROW_CASES_6;
#else
		ROW_CASES_4;
#endif
#undef CASE
		}
	}
}

/* VW columns of a row: v, which is f32(sum), times both factors. */
INLINE void scale_add(const struct tile_io *io, size_t row, size_t col, vf v, float scale,
		      const float *factors)
{
	v_store(io->to + row * io->ld_to + col,
		v_fma(v, v_set1(scale) * v_load(factors + col),
		      v_load(io->from + row * io->ld_from + col)));
}

#ifdef VEC_VNNI
/*
 * Sums become outputs. All that is read comes first: behind a store, compilers
 * would read what is in memory again.
 */
INLINE void narrow_end(vi acc[MR][NV], int mr, const float *scales, const float *factors,
		       const float *from, size_t ld_from, float *to, size_t ld_to)
{
	vf factor[NV];

	UNROLL
	for (int j = 0; j < NV; j++)
		factor[j] = v_load(factors + j * VW);
	UNROLL
	for (int i = 0; i < mr; i++) {
		vf scale = v_set1(scales[i]);

		UNROLL
		for (int j = 0; j < NV; j++)
			v_store(to + i * ld_to + j * VW,
				v_fma(__builtin_convertvector(acc[i][j], vf), scale * factor[j],
				      v_load(from + i * ld_from + j * VW)));
	}
}

/*
 * The instruction takes one operand as unsigned: those are the weights, 128
 * added, and each row's sum times -128 is where the sums start. A tile's rows
 * from r on, over all segments.
 */
INLINE void imicro_narrow(const struct iblock *b, size_t tile, size_t r, int mr, int col,
			  const struct tile_io *io)
{
	const int8_t *a = b->a.narrow + tile * b->quads * NARROW_LD * QUAD;
	vi acc[MR][NV];

	UNROLL
	for (int i = 0; i < mr; i++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			acc[i][j] = v_set1i(b->start[r + i]);
	}
	for (const struct damf_seg *s = b->g->seg; s < b->g->seg + b->nseg; s++) {
		const int8_t *w = seg_weight(s, b->panel) + col * QUAD;

		for (size_t q = seg_quads(s); q; q--, a += NARROW_LD * QUAD, w += PANEL * QUAD) {
			vi c[NV];

			UNROLL
			for (int j = 0; j < NV; j++)
				c[j] = v_load_u8(w + j * 4 * VW);
			UNROLL
			for (int j = 0; j < NV * VW; j += 16)
				__builtin_prefetch(w + (W_AHEAD * PANEL + j) * QUAD);
			UNROLL
			for (int i = 0; i < mr; i++) {
				vi x = v_set4_i8(a + i * QUAD);

				UNROLL
				for (int j = 0; j < NV; j++)
					acc[i][j] = v_dot4(acc[i][j], c[j], x);
			}
		}
	}
	narrow_end(acc, mr, b->scale + r, b->factors + col, io->from + col, io->ld_from,
		   io->to + col, io->ld_to);
}

static void __attribute__((noinline)) itile_narrow(const struct iblock *b, size_t tile, size_t r,
						   size_t rows, const struct tile_io *io)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: imicro_narrow(b, tile, r, n, j, io); break
		ROW_CASES;
#undef CASE
		}
	}
}
#endif

/* The sums go to int64 as often as they have to. */
static void itile_wide(const struct iblock *b, size_t tile, size_t r, size_t rows,
		       const struct tile_io *io)
{
	int64_t sum[QR * PANEL] __attribute__((aligned(64))) = { 0 };
	const int16_t *a = b->a.wide + tile * b->quads * QR * QUAD;

	for (const struct damf_seg *s = b->g->seg; s < b->g->seg + b->nseg; s++) {
		const int8_t *w = seg_weight(s, b->panel);

		for (size_t q = seg_quads(s), n; q; q -= n) {
			n = q < IKC / QUAD ? q : IKC / QUAD;
			itile_sums(sum, rows, a, w, n);
			a += n * QR * QUAD;
			w += n * PANEL * QUAD;
		}
	}
	for (size_t i = 0; i < rows; i++) {
		for (size_t j = 0; j < PANEL; j += VW)
			scale_add(io, i, j, v_from_i64(sum + i * PANEL + j), b->scale[r + i],
				  b->factors);
	}
}

/* The panel that is next. */
static void iblock_panel(struct iblock *b, size_t panel)
{
	size_t cols = panel_cols(b->g, panel);

	b->panel = panel;
	memset(b->factors, 0, sizeof(b->factors));
	memcpy(b->factors, b->g->seg->w.scales + panel * PANEL, cols * sizeof(b->factors[0]));
}

/* io gets the product of a tile, whose first row is r of the block, with that panel */
static void iblock_add(const struct iblock *b, size_t tile, size_t r, size_t rows,
		       const struct tile_io *io)
{
#ifdef VEC_VNNI
	if (b->narrow) {
		itile_narrow(b, tile, r, rows, io);
		return;
	}
#endif
	itile_wide(b, tile, r, rows, io);
}

#endif /* DAMF_IGEMM_H */
