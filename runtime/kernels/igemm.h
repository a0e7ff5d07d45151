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

#ifdef VEC_VNNI
#define NARROW_ROWS	MR
#else
#define NARROW_ROWS	QR
#endif

/* The tiles of an item, panel by panel, and its rows' factors. */
struct iblock {
	const struct damf_gemm *g;
	size_t row, rows, panel, panels;
	bool narrow;	/* activations are packed as int8: where there is VNNI */
	float factor[DAMF_ROW_BLOCK], scale[DAMF_ROW_BLOCK];
	int64_t sum[DAMF_PANEL_BLOCK][DAMF_ROW_BLOCK * PANEL] __attribute__((aligned(64)));
	/* some rows of IKC of k: [quad][row][4] */
	union {
		int16_t wide[IKC * QR];
		int8_t narrow[IKC * NARROW_ROWS];
	} a __attribute__((aligned(64)));
	int32_t start[NARROW_ROWS];
};

/* Columns of a panel that the product has. */
INLINE size_t panel_cols(const struct damf_gemm *g, size_t panel)
{
	size_t left = g->col1 - panel * PANEL;

	return left < PANEL ? left : PANEL;
}

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
	for (size_t j = 0; j < VW; j++)
		most = (uint32_t)acc[0][j] > most ? (uint32_t)acc[0][j] : most;
	for (; i < n; i++) {
		memcpy(&bits, x + i, sizeof(bits));
		bits &= 0x7fffffff;
		most = bits > most ? bits : most;
	}
	return most;
}

/* What a row is multiplied by to become integers, and what those stand for. */
static void row_factors(struct iblock *b, size_t nseg, size_t r)
{
	const struct damf_seg *s = b->g->seg;
	float top = s->w.xtype == DAMF_K_I16 ? 32767.0f : 127.0f, max;
	uint32_t bits = 0;

	for (size_t i = 0; i < nseg; i++)
		bits = largest_bits(s[i].x + (b->row + r) * s[i].ldx, s[i].k, bits);
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

static void pack_wide(int16_t *a, const struct damf_seg *s, const float *x, float factor,
		      size_t at, size_t quads)
{
	for (size_t q = 0; q < quads; q += VW / QUAD) {
		vi v = v_quantise(seg_load(s, x, at + q * QUAD), factor);
		int16_t t[VW];

		v_store_i16(t, v);
		for (size_t i = 0; i < VW / QUAD && q + i < quads; i++)
			memcpy(a + (q + i) * QR * QUAD, t + i * QUAD, QUAD * sizeof(*t));
	}
}

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

static void itile_wide(int64_t *sum, size_t rows, const int16_t *a, const int8_t *w, size_t quads)
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

#ifdef VEC_VNNI
/*
 * The instruction takes one operand as unsigned: those are the weights, 128
 * added, and each row's sum times -128 is where the sums start.
 */
INLINE void imicro_narrow(int64_t *sum, int mr, const int8_t *a, const int32_t *start,
			  const int8_t *w, size_t quads)
{
	vi acc[MR][NV];

	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			acc[r][j] = v_set1i(start[r]);
	}
	for (; quads; quads--, a += MR * QUAD, w += PANEL * QUAD) {
		vi b[NV];

		UNROLL
		for (int j = 0; j < NV; j++)
			b[j] = v_load_u8(w + j * 4 * VW);
		UNROLL
		for (int r = 0; r < mr; r++) {
			vi x = v_set4_i8(a + r * QUAD);

			UNROLL
			for (int j = 0; j < NV; j++)
				acc[r][j] = v_dot4(acc[r][j], b[j], x);
		}
	}
	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			v_add_i32(sum + r * PANEL + j * VW, acc[r][j]);
	}
}

static void itile_narrow(int64_t *sum, size_t rows, const int8_t *a, const int32_t *start,
			 const int8_t *w, size_t quads)
{
	switch (rows) {
#define CASE(n) case n: imicro_narrow(sum, n, a, start, w, quads); break
	CASE(1);
	CASE(2);
	CASE(3);
	CASE(4);
	CASE(5);
	CASE(6);
	CASE(7);
	CASE(8);
	CASE(9);
	CASE(10);
	CASE(11);
	CASE(12);
#undef CASE
	}
}

/* What the sums start at. A row that has no integers has any, and its factor tells. */
static int32_t pack_narrow(int8_t *a, const struct damf_seg *s, const float *x, float factor,
			   size_t at, size_t quads)
{
	vu sum = { 0 };
	uint32_t total = 0;

	for (size_t q = 0; q < quads; q += VW / QUAD) {
		vi v = v_quantise(seg_load(s, x, at + q * QUAD), factor);
		int8_t t[VW];

		sum += (vu)v;
		v_store_i8(t, v);
		for (size_t i = 0; i < VW / QUAD && q + i < quads; i++)
			memcpy(a + (q + i) * MR * QUAD, t + i * QUAD, QUAD);
	}
	for (size_t i = 0; i < VW; i++)
		total += sum[i];
	return (int32_t)(-128u * total);
}
#endif

/* ---- Products ------------------------------------------------------------ */

/* Rows from r on, packed, by all panels; inputs from at on. */
static void irows_add(struct iblock *b, const struct damf_seg *s, size_t r, size_t rows,
		      size_t at, size_t quads)
{
	const int8_t *w = (const int8_t *)s->w.data + at * PANEL;
	size_t panel = (s->in + QUAD - 1) / QUAD * QUAD * PANEL;

	for (size_t i = 0; i < rows; i++) {
		const float *x = s->x + (b->row + r + i) * s->ldx;
		float factor = b->factor[r + i];

#ifdef VEC_VNNI
		if (b->narrow) {
			b->start[i] = pack_narrow(b->a.narrow + i * QUAD, s, x, factor, at, quads);
			continue;
		}
#endif
		pack_wide(b->a.wide + i * QUAD, s, x, factor, at, quads);
	}
	for (size_t i = 0; i < b->panels; i++) {
		const int8_t *from = w + (b->panel + i) * panel;

#ifdef VEC_VNNI
		if (b->narrow) {
			itile_narrow(b->sum[i] + r * PANEL, rows, b->a.narrow, b->start, from, quads);
			continue;
		}
#endif
		itile_wide(b->sum[i] + r * PANEL, rows, b->a.wide, from, quads);
	}
}

static void iseg_add(struct iblock *b, const struct damf_seg *s)
{
	size_t at = s->first / QUAD * QUAD, end = (s->first + s->k + QUAD - 1) / QUAD * QUAD;
	size_t group = b->narrow ? NARROW_ROWS : QR;

	for (size_t n; at < end; at += n) {
		n = end - at < IKC ? end - at : IKC;
		for (size_t r = 0; r < b->rows; r += group)
			irows_add(b, s, r, b->rows - r < group ? b->rows - r : group, at, n / QUAD);
	}
}

/* tile = sum scale factor + tile, of one panel */
static void iscale(const struct iblock *b, size_t i, float *tile)
{
	const float *from = b->g->seg->w.scales + (b->panel + i) * PANEL;
	float factors[PANEL] = { 0 };

	memcpy(factors, from, panel_cols(b->g, b->panel + i) * sizeof(*from));
	for (size_t r = 0; r < b->rows; r++) {
		for (size_t j = 0; j < PANEL; j += VW) {
			float *t = tile + r * PANEL + j;
			vf scale = v_set1(b->scale[r]) * v_load(factors + j);

			v_store(t, v_fma(v_from_i64(b->sum[i] + r * PANEL + j), scale, v_load(t)));
		}
	}
}

/* Adds the product of the first nseg segments to tiles, [DAMF_ROW_BLOCK][32] each. */
static void __attribute__((noinline)) iproduct(const struct damf_gemm *g, size_t nseg, size_t row,
					       size_t rows, size_t panel, size_t panels,
					       float *tile)
{
	struct iblock b;

	b.g = g;
	b.row = row;
	b.rows = rows;
	b.panel = panel;
	b.panels = panels;
	b.narrow = false;
#ifdef VEC_VNNI
	b.narrow = g->seg->w.xtype != DAMF_K_I16;
#endif
	memset(b.sum, 0, panels * sizeof(b.sum[0]));
	for (size_t r = 0; r < rows; r++)
		row_factors(&b, nseg, r);
	for (size_t i = 0; i < nseg; i++)
		iseg_add(&b, &g->seg[i]);
	for (size_t i = 0; i < panels; i++)
		iscale(&b, i, tile + i * DAMF_ROW_BLOCK * PANEL);
}

/* How many segments are of int8; their product is added to the tiles. */
static size_t igemm(const struct damf_gemm *g, size_t row, size_t rows, size_t panel,
		    size_t panels, float *tile)
{
	size_t n = 0;

	while (n < g->nseg && g->seg[n].w.type == DAMF_K_I8)
		n++;
	if (n)
		iproduct(g, n, row, rows, panel, panels, tile);
	return n;
}

#endif /* DAMF_IGEMM_H */
