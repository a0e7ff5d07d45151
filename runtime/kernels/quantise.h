/* SPDX-License-Identifier: MIT */
/*
 * Rows become integers, each with one factor, and are packed as the tiles of
 * igemm.h read them: four inputs at a time, as they lie in PANEL32 of int8.
 */
#ifndef DAMF_QUANTISE_H
#define DAMF_QUANTISE_H

#include "tile.h"

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
/* Four rows of a segment, and the sums of their integers: row r in lanes r, r + 4, ... */
struct four_rows {
	const float *x[4];
	float factor[4];
	vi sum;
};

/* Quads [q, end) of a segment; inside: none of them is cut off. */
INLINE void pack_quads(struct four_rows *f, int8_t *a, const struct damf_seg *s, size_t q,
		       size_t end, bool inside)
{
	const vi ones = v_set1i(0x01010101);
	size_t at = seg_first(s) * QUAD;

	for (; q < end; q += VW / QUAD) {
		vi v[4], c;

		UNROLL
		for (int i = 0; i < 4; i++)
			v[i] = v_quantise(inside ? v_load(f->x[i] + (at + q * QUAD - s->first)) :
					  seg_load(s, f->x[i], at + q * QUAD), f->factor[i]);
		c = v_pack_i8(v[0], v[1], v[2], v[3]);
		f->sum = v_dot4(f->sum, ones, c);
		v_store_fours(a + q * NARROW_LD * QUAD, NARROW_LD * QUAD, c,
			      inside ? VW / QUAD : end - q);
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
	size_t whole = s->first % QUAD ? 0 : s->k / VW * (VW / QUAD);
	struct four_rows f = { .sum = { 0 } };
	v4i sum;

	for (size_t i = 0; i < 4; i++) {
		size_t of = r + (i < rows ? i : rows - 1);

		f.x[i] = s->x + (row + of) * s->ldx;
		f.factor[i] = b->factor[of];
	}
	pack_quads(&f, a, s, 0, whole, true);
	pack_quads(&f, a, s, whole, seg_quads(s), false);
	sum = v_add_fours(f.sum);
	for (size_t i = 0; i < rows; i++)
		b->start[r + i] -= 128 * sum[i];
}
#endif

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

/* Rows [r, r + rows), at most four, which are those of a tile from at on. */
static void pack_four_rows(struct iblock *b, size_t row, size_t r, size_t rows, size_t tile,
			   size_t at)
{
	size_t quad = tile * b->quads;

	for (size_t i = r; i < r + rows; i++) {
		row_factors(b, row, i);
		b->start[i] = 0;
	}
	for (const struct damf_seg *s = b->g->seg; s < b->g->seg + b->nseg; s++) {
#ifdef VEC_VNNI
		if (b->narrow)
			pack_narrow(b, b->a.narrow + (quad * NARROW_LD + at) * QUAD, s, row, r,
				    rows);
#endif
		for (size_t i = 0; !b->narrow && i < rows; i++)
			pack_wide(b->a.wide + (quad * QR + at + i) * QUAD, s,
				  s->x + (row + r + i) * s->ldx, b->factor[r + i]);
		quad += seg_quads(s);
	}
}

/*
 * Rows of the product, at most b->most, become integers: a few at a time, so
 * that the second pass over them reads the first cache.
 */
static void iblock_pack(struct iblock *b, size_t row, size_t rows)
{
	for (size_t r = 0, tile = 0, n; r < rows; r += n, tile++) {
		n = tile_rows(rows - r, b->tile);
		for (size_t i = 0; i < n; i += 4)
			pack_four_rows(b, row, r + i, n - i < 4 ? n - i : 4, tile, i);
	}
}

#endif /* DAMF_QUANTISE_H */
