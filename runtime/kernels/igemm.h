/* SPDX-License-Identifier: MIT */
/*
 * Matrix products with int8 weights. A row of the left operand becomes
 * integers with one factor, sums are exact integers, and each is rounded to
 * f32 once. So neither how k is cut nor the width of registers shows.
 *
 * Inputs go four at a time, as they lie in PANEL32 of int8. QR (rows) and QV
 * (registers across) say what of a tile is in registers.
 */
#ifndef DAMF_IGEMM_H
#define DAMF_IGEMM_H

#include "isa.h"
#include "vec.h"

#define PANEL	DAMF_PANEL_COLS
#define QUAD	DAMF_QUAD
/* Of k at a time: 32,767 x 128 x 512 is within int32. */
#define IKC	512
/*
 * Weights are asked for so many steps of k ahead: the processor's own
 * prefetching ends at each page.
 */
#define W_AHEAD	48

/* What a row has at most: MAX_WIDTH of them, and a quad for each end of a segment of it. */
#define IQUADS	(16384 / QUAD + 256)

/* Rows of a tile in memory: VNNI packs them in fours. */
#define NARROW_LD	((MR + 3) / 4 * 4)
/* As many as one tile needs in either form. */
#define IBYTES	(IQUADS * QUAD * (NARROW_LD > 2 * QR ? NARROW_LD : 2 * QR))

/* The integers of some rows, of all int8 segments of a product one after the other. */
struct iblock {
	const struct damf_gemm *g;
	size_t nseg, quads;
	bool narrow;	/* activations are packed as int8: where there is VNNI */
	size_t most;	/* rows that there is room for: whole tiles */
	size_t tile;	/* rows of one */
	float factor[DAMF_ROW_BLOCK], scale[DAMF_ROW_BLOCK];
	size_t panel;			/* the one at hand, and its columns' factors */
	float factors[PANEL];
	int32_t start[DAMF_ROW_BLOCK];	/* of sums, where rows are int8 */
	union {
		int16_t wide[IBYTES / 2];	/* [tile][quad][QR][4] */
		int8_t narrow[IBYTES];		/* [tile][quad][NARROW_LD][4] */
	} a __attribute__((aligned(64)));
};

typedef float quad __attribute__((vector_size(16)));

/* Four rows of four become four columns. */
INLINE void quads_turn(quad c[4])
{
	quad low01 = __builtin_shufflevector(c[0], c[1], 0, 4, 1, 5);
	quad high01 = __builtin_shufflevector(c[0], c[1], 2, 6, 3, 7);
	quad low23 = __builtin_shufflevector(c[2], c[3], 0, 4, 1, 5);
	quad high23 = __builtin_shufflevector(c[2], c[3], 2, 6, 3, 7);

	c[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
	c[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
	c[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
	c[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

/* Columns of a panel that the product has. */
INLINE size_t panel_cols(const struct damf_gemm *g, size_t panel)
{
	size_t left = g->col1 - panel * PANEL;

	return left < PANEL ? left : PANEL;
}

/* A call for each number of rows up to MR. */
#define ROW_CASES_4 CASE(1); CASE(2); CASE(3); CASE(4)
#if MR > 8
#define ROW_CASES ROW_CASES_4; CASE(5); CASE(6); CASE(7); CASE(8); \
	CASE(9); CASE(10); CASE(11); CASE(12)
#elif MR > 4
#define ROW_CASES ROW_CASES_4; CASE(5); CASE(6)
#else
#define ROW_CASES ROW_CASES_4
#endif

/* What a tile is added to, which with ld 0 is one row for all of its rows, and where it goes. */
struct tile_io {
	const float *from; size_t ld_from;
	float *to; size_t ld_to;
};

/* ---- Quantised rows ------------------------------------------------------ */

/* The largest magnitude's bits: those of what is not a number are larger than infinity's. */
static uint32_t largest_bits(const float *x, size_t n, uint32_t most)
{
	vi acc[4] = { { 0 } };
	uint32_t bits;
	size_t i = 0;

	for (; i + 4 * VW <= n; i += 4 * VW) {
		UNROLL
		for (int j = 0; j < 4; j++)
			acc[j] = v_max_i((vi)v_abs(v_load(x + i + j * VW)), acc[j]);
	}
	acc[0] = v_max_i(v_max_i(acc[0], acc[1]), v_max_i(acc[2], acc[3]));
	bits = (uint32_t)v_largest_i(acc[0]);
	most = bits > most ? bits : most;
	for (; i < n; i++) {
		memcpy(&bits, x + i, sizeof(bits));
		bits &= 0x7fffffff;
		most = bits > most ? bits : most;
	}
	return most;
}

/* What row r of the product is multiplied by to become integers, and what those stand for. */
static void row_factors(struct iblock *b, size_t row, size_t r)
{
	const struct damf_seg *s = b->g->seg;
	float top = s->w.xtype == DAMF_K_I16 ? 32767.0f : 127.0f, max;
	uint32_t bits = 0;

	for (size_t i = 0; i < b->nseg; i++) {
		const float *x = s[i].x + (row + r) * s[i].ldx;

		for (size_t k = 0; k < s[i].k; k += 16)
			__builtin_prefetch(x + s[i].ldx + k);	/* the next row */
		bits = largest_bits(x, s[i].k, bits);
	}
	memcpy(&max, &bits, sizeof(max));
	b->factor[r] = 0.0f;
	b->scale[r] = 0.0f;
	if (bits >= 0x7f800000) {
		b->scale[r] = __builtin_nanf("");
	} else if (max >= DAMF_QUANT_MIN) {
		b->factor[r] = top / max;
		b->scale[r] = max / top;
	}
}

/* The part of a weight, in quads, that a segment takes. */
INLINE size_t seg_first(const struct damf_seg *s)
{
	return s->first / QUAD;
}

INLINE size_t seg_quads(const struct damf_seg *s)
{
	return (s->first + s->k + QUAD - 1) / QUAD - seg_first(s);
}

INLINE const int8_t *seg_weight(const struct damf_seg *s, size_t panel)
{
	size_t in = (s->in + QUAD - 1) / QUAD;

	return (const int8_t *)s->w.data + (panel * in + seg_first(s)) * QUAD * PANEL;
}

/* Inputs [at, at + VW) of the weight; those that are not of the segment are 0. */
INLINE vf seg_load(const struct damf_seg *s, const float *x, size_t at)
{
	float t[VW];

	if (at >= s->first && at + VW <= s->first + s->k)
		return v_load(x + (at - s->first));
	for (size_t i = 0; i < VW; i++) {
		bool inside = at + i >= s->first && at + i < s->first + s->k;

		t[i] = inside ? x[at + i - s->first] : 0.0f;
	}
	return v_load(t);
}

static void pack_wide(int16_t *a, const struct damf_seg *s, const float *x, float factor)
{
	size_t at = seg_first(s) * QUAD, quads = seg_quads(s);

	for (size_t q = 0; q < quads; q += VW / QUAD) {
		vi v = v_quantise(seg_load(s, x, at + q * QUAD), factor);
		int16_t t[VW];

		v_store_i16(t, v);
		for (size_t i = 0; i < VW / QUAD && q + i < quads; i++)
			memcpy(a + (q + i) * QR * QUAD, t + i * QUAD, QUAD * sizeof(*t));
	}
}

#ifdef VEC_VNNI
#define FOUR	16	/* elements of a row that are packed at once */

/* Four quads of one row as int8; their sum, lane by lane, is added to. */
INLINE quad quantise_four(const struct damf_seg *s, const float *x, float factor, size_t at,
			  bool inside, vu *sum)
{
	int8_t t[FOUR];
	quad c;

	UNROLL
	for (int i = 0; i < FOUR; i += VW) {
		vf f = inside ? v_load(x + (at + i - s->first)) : seg_load(s, x, at + i);
		vi v = v_quantise(f, factor);

		*sum += (vu)v;
		v_store_i8(t + i, v);
	}
	memcpy(&c, t, sizeof(c));
	return c;
}

/* Four rows, and what of them sums are made of. */
struct four_rows {
	const float *x[4];
	float factor[4];
	vu sum[4];
};

/* Quads [q, end) of a segment; inside: none of them is cut off. */
INLINE void pack_quads(struct four_rows *f, int8_t *a, const struct damf_seg *s, size_t q,
		       size_t end, bool inside)
{
	size_t at = seg_first(s) * QUAD;

	for (; q < end; q += FOUR / QUAD) {
		quad c[4];

		UNROLL
		for (int i = 0; i < 4; i++)
			c[i] = quantise_four(s, f->x[i], f->factor[i], at + q * QUAD, inside,
					     &f->sum[i]);
		quads_turn(c);
		for (size_t i = 0; i < FOUR / QUAD && (inside || q + i < end); i++)
			memcpy(a + (q + i) * NARROW_LD * QUAD, &c[i], sizeof(c[i]));
	}
}

/*
 * Four rows (or fewer, of which the last is there again) of one segment, and
 * what their sums start at: a row's sum times -128. A row that has no
 * integers has any, and its factor tells.
 */
static void pack_narrow(struct iblock *b, int8_t *a, const struct damf_seg *s, size_t row,
			size_t r, size_t rows)
{
	size_t whole = s->first % QUAD ? 0 : s->k / FOUR * (FOUR / QUAD);
	struct four_rows f = { .sum = { { 0 } } };

	for (size_t i = 0; i < 4; i++) {
		size_t of = r + (i < rows ? i : rows - 1);

		f.x[i] = s->x + (row + of) * s->ldx;
		f.factor[i] = b->factor[of];
	}
	pack_quads(&f, a, s, 0, whole, true);
	pack_quads(&f, a, s, whole, seg_quads(s), false);
	for (size_t i = 0; i < rows; i++)
		b->start[r + i] = (int32_t)((uint32_t)b->start[r + i] - 128u * v_sum_u(f.sum[i]));
}
#endif

/* ---- Tiles --------------------------------------------------------------- */

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
		CASE(1);
		CASE(2);
		CASE(3);
		CASE(4);
#if QR > 4
		CASE(5);
		CASE(6);
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
 * The instruction takes one operand as unsigned: those are the weights, 128
 * added, and each row's sum times -128 is where the sums start. A tile's rows
 * from r on, over all segments.
 */
INLINE void imicro_narrow(const struct iblock *b, size_t r, int mr, int col,
			  const struct tile_io *io)
{
	const int8_t *a = b->a.narrow + r / MR * b->quads * NARROW_LD * QUAD;
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
	UNROLL
	for (int i = 0; i < mr; i++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			scale_add(io, (size_t)i, (size_t)(col + j * VW),
				  __builtin_convertvector(acc[i][j], vf), b->scale[r + i],
				  b->factors);
	}
}

static void __attribute__((noinline)) itile_narrow(const struct iblock *b, size_t r, size_t rows,
						   const struct tile_io *io)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: imicro_narrow(b, r, n, j, io); break
		ROW_CASES;
#undef CASE
		}
	}
}
#endif

/* The sums go to int64 as often as they have to. */
static void itile_wide(const struct iblock *b, size_t r, size_t rows,
		       const struct tile_io *io)
{
	int64_t sum[QR * PANEL] __attribute__((aligned(64))) = { 0 };
	const int16_t *a = b->a.wide + r * b->quads * QUAD;

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

/* ---- Products ------------------------------------------------------------ */

/* The first nseg segments of a product are of int8. */
static void iblock_begin(struct iblock *b, const struct damf_gemm *g, size_t nseg)
{
	size_t tile;

	b->g = g;
	b->nseg = nseg;
	b->narrow = false;
	b->quads = 0;
	for (size_t i = 0; i < nseg; i++)
		b->quads += seg_quads(&g->seg[i]);
#ifdef VEC_VNNI
	b->narrow = g->seg->w.xtype != DAMF_K_I16;
#endif
	b->tile = b->narrow ? MR : QR;
	tile = b->quads * QUAD * (b->narrow ? NARROW_LD : 2 * QR);
	b->most = tile ? IBYTES / tile * b->tile : DAMF_ROW_BLOCK;
}

/* Rows of the product, at most b->most, become integers. */
static void iblock_pack(struct iblock *b, size_t row, size_t rows)
{
	size_t quads = 0;

	for (size_t r = 0; r < rows; r++) {
		row_factors(b, row, r);
		b->start[r] = 0;
	}
	for (const struct damf_seg *s = b->g->seg; s < b->g->seg + b->nseg; s++) {
#ifdef VEC_VNNI
		for (size_t r = 0, n; b->narrow && r < rows; r += n) {
			size_t in = r % MR;

			n = MR - in < 4 ? MR - in : 4;
			n = rows - r < n ? rows - r : n;
			pack_narrow(b, b->a.narrow + ((r / MR * b->quads + quads) * NARROW_LD + in)
				    * QUAD, s, row, r, n);
		}
#endif
		for (size_t r = 0; !b->narrow && r < rows; r++)
			pack_wide(b->a.wide + ((r / QR * b->quads + quads) * QR + r % QR) * QUAD, s,
				  s->x + (row + r) * s->ldx, b->factor[r]);
		quads += seg_quads(s);
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

/* tile = from and the product of a tile's rows from r on with that panel */
static void iblock_add(const struct iblock *b, size_t r, size_t rows,
		       const struct tile_io *io)
{
#ifdef VEC_VNNI
	if (b->narrow) {
		itile_narrow(b, r, rows, io);
		return;
	}
#endif
	itile_wide(b, r, rows, io);
}

#endif /* DAMF_IGEMM_H */
