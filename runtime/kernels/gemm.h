/* SPDX-License-Identifier: MIT */
/*
 * Matrix products. With f32 and bf16 weights (igemm.h has the others) a tile
 * of MR rows by 32 columns gathers, for each output alone, x[k] w[k] in order
 * of k, each product fused into the sum. Sums that wait for more of k lie in
 * memory and are loaded back, never added to others: so cutting k, rows or
 * columns anywhere changes no bit.
 *
 * MR (rows) and NV (registers across) say what of a tile is in registers.
 */
#ifndef DAMF_GEMM_H
#define DAMF_GEMM_H

#include "igemm.h"
#include "isa.h"
#include "vmath.h"

#define KC	256	/* of k, packed at a time */

/*
 * tile[r][j] += a[k * lda + r] w[k * ldw + j], over k; r below mr, which is
 * constant where this is inlined, and j below NV registers.
 */
INLINE void micro(float *tile, int mr, const float *a, size_t lda, const void *w, bool bf16,
		  size_t ldw, size_t k)
{
	const float *wf = w;
	const uint16_t *wh = w;
	vf acc[MR][NV];

	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			acc[r][j] = v_load(tile + r * PANEL + j * VW);
	}
	for (; k; k--, a += lda, wf += ldw, wh += ldw) {
		vf b[NV];

		UNROLL
		for (int j = 0; j < NV; j++)
			b[j] = bf16 ? v_load_bf16(wh + j * VW) : v_load(wf + j * VW);
		UNROLL
		for (int r = 0; r < mr; r++) {
			UNROLL
			for (int j = 0; j < NV; j++)
				acc[r][j] = v_fma(v_set1(a[r]), b[j], acc[r][j]);
		}
	}
	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			v_store(tile + r * PANEL + j * VW, acc[r][j]);
	}
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

/* The same for a whole panel's width and any number of rows up to MR. */
static void tile_add(float *tile, size_t rows, const float *a, size_t lda, const float *w,
		     size_t ldw, size_t k)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: micro(tile + j, n, a, lda, w + j, false, ldw, k); break
		ROW_CASES;
#undef CASE
		}
	}
}

static void tile_add_bf16(float *tile, size_t rows, const float *a, const uint16_t *w, size_t k)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: micro(tile + j, n, a, MR, w + j, true, PANEL, k); break
		ROW_CASES;
#undef CASE
		}
	}
}

typedef float quad __attribute__((vector_size(16)));

INLINE quad quad_load(const float *p)
{
	quad q;

	memcpy(&q, p, sizeof(q));
	return q;
}

/* Four elements of four rows, turned round. */
INLINE void pack_quad(float *a, const float *x, size_t ldx)
{
	quad r0 = quad_load(x), r1 = quad_load(x + ldx);
	quad r2 = quad_load(x + 2 * ldx), r3 = quad_load(x + 3 * ldx);
	quad low01 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
	quad high01 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
	quad low23 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
	quad high23 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
	quad c[4] = {
		__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
		__builtin_shufflevector(low01, low23, 2, 3, 6, 7),
		__builtin_shufflevector(high01, high23, 0, 1, 4, 5),
		__builtin_shufflevector(high01, high23, 2, 3, 6, 7),
	};

	UNROLL
	for (int i = 0; i < 4; i++)
		memcpy(a + i * MR, &c[i], sizeof(c[i]));
}

/* x[r][k] -> a[k][r], of rows up to MR. */
static void pack_rows(float *a, const float *x, size_t ldx, size_t rows, size_t k)
{
	size_t quads = k & ~(size_t)3, r = 0;

	for (; r + 4 <= rows; r += 4) {
		for (size_t i = 0; i < quads; i += 4)
			pack_quad(a + i * MR + r, x + r * ldx + i, ldx);
		for (size_t i = quads * 4; i < k * 4; i++)
			a[i / 4 * MR + r + i % 4] = x[(r + i % 4) * ldx + i / 4];
	}
	for (; r < rows; r++) {
		for (size_t i = 0; i < k; i++)
			a[i * MR + r] = x[r * ldx + i];
	}
}

static void tile_begin(const struct damf_gemm *g, size_t row, size_t rows, size_t panel,
		       float *tile)
{
	size_t cols = panel_cols(g, panel);

	for (size_t r = 0; r < rows; r++, tile += PANEL) {
		memset(tile, 0, PANEL * sizeof(*tile));
		if (g->start)
			memcpy(tile, g->start + (row + r) * g->lds + panel * PANEL,
			       cols * sizeof(*tile));
		if (!g->bias)
			continue;
		memcpy(tile, g->bias + panel * PANEL, cols * sizeof(*tile));
		for (size_t j = 0; g->scale && j < cols; j++)
			tile[j] *= g->scale[(row + r) * g->scale_step];
	}
}

static void tile_act(float *v, enum damf_k_act act)
{
	for (size_t j = 0; j < PANEL; j += VW) {
		vf x = v_load(v + j);

		v_store(v + j, act == DAMF_K_GELU ? v_gelu(x) : v_tanh(x));
	}
}

/* Activation, then the residual, of one row of a tile. */
static void row_end(const struct damf_gemm *g, size_t row, size_t panel, float *v)
{
	size_t first = panel * PANEL, skip = first < g->col0 ? g->col0 - first : 0;
	size_t cols = panel_cols(g, panel) - skip, at = first + skip - g->col0;
	const float *r = g->residual ? g->residual + row * g->ldr + at : NULL;

	if (g->act != DAMF_K_NONE)
		tile_act(v, g->act);
	for (size_t j = 0; r && j < cols; j++)
		v[skip + j] += r[j];
	if (cols == PANEL)
		memcpy(g->y + row * g->ldy + at, v, PANEL * sizeof(*v));
	else
		memcpy(g->y + row * g->ldy + at, v + skip, cols * sizeof(*v));
}

static void tile_end(const struct damf_gemm *g, const struct damf_tile *t)
{
	if (g->sink) {
		g->sink(g, t);
		return;
	}
	for (size_t r = 0; r < t->rows; r++)
		row_end(g, t->row + r, t->panel, t->v + r * PANEL);
}

/* The tiles of an item, panel by panel: [DAMF_ROW_BLOCK][32] each. */
struct block {
	size_t row, rows, panel, panels;
	float tile[DAMF_PANEL_BLOCK][DAMF_ROW_BLOCK * PANEL] __attribute__((aligned(64)));
	float a[KC * MR] __attribute__((aligned(64)));
};

static void seg_tile(const struct damf_seg *s, size_t panel, size_t k, size_t n, float *tile,
		     size_t rows, const float *a)
{
	size_t at = (panel * s->in + s->first + k) * PANEL;

	if (s->w.type == DAMF_K_BF16)
		tile_add_bf16(tile, rows, a, (const uint16_t *)s->w.data + at, n);
	else
		tile_add(tile, rows, a, MR, (const float *)s->w.data + at, PANEL, n);
}

/* k is the outer loop, so that this part of the weight stays in the cache for all rows. */
static void block_add(struct block *b, const struct damf_seg *s, size_t k, size_t n)
{
	for (size_t r = 0, rows; r < b->rows; r += rows) {
		rows = b->rows - r < MR ? b->rows - r : MR;
		pack_rows(b->a, s->x + (b->row + r) * s->ldx + k, s->ldx, rows, n);
		for (size_t i = 0; i < b->panels; i++)
			seg_tile(s, b->panel + i, k, n, b->tile[i] + r * PANEL, rows, b->a);
	}
}

static void gemm(const struct damf_gemm *g, size_t row, size_t rows, size_t panel, size_t panels)
{
	const struct damf_seg *s = g->seg, *end = s + g->nseg;
	struct block b;

	b.row = row;
	b.rows = rows;
	b.panel = panel;
	b.panels = panels;
	for (size_t i = 0; i < panels; i++)
		tile_begin(g, row, rows, panel + i, b.tile[i]);
	s += igemm(g, row, rows, panel, panels, b.tile[0]);
	for (; s < end; s++) {
		for (size_t k = 0; k < s->k; k += KC)
			block_add(&b, s, k, s->k - k < KC ? s->k - k : KC);
	}
	for (size_t i = 0; i < panels; i++)
		tile_end(g, &(struct damf_tile) { row, rows, panel + i, b.tile[i] });
}

#endif /* DAMF_GEMM_H */
