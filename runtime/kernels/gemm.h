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
#include "thin.h"
#include "vmath.h"

/*
 * to[r][j] = from[r][j] + x[r][k] w[k * ldw + j], over k, which is at least 1; r below
 * mr and j from col on, below NV registers. If x is turned, a k has a row of it.
 * mr, turned and bf16 are constant where this is inlined.
 */
INLINE void micro(const struct tile_io *io, int col, int mr, const float *x, size_t ldx,
		  bool turned, const void *w, bool bf16, size_t ldw, size_t k)
{
	size_t row = turned ? 1 : ldx, step = turned ? ldx : 1;
	size_t elem = bf16 ? sizeof(uint16_t) : sizeof(float), ahead = mr * row;
	const char *at = (const char *)w + (size_t)col * elem;
	vf acc[MR][NV];

	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			acc[r][j] = v_load(io->from + r * io->ld_from + col + j * VW);
	}
	do {
		vf b[NV];

		if (turned) {
			/* the row's end that comes next */
			__builtin_prefetch(x + 2 * mr - 1);
		} else {
			/* the rows that come next, if they lie close together */
			__builtin_prefetch(x + ahead);
			ahead += mr - 1;
		}
		UNROLL
		for (size_t j = 0; j < NV * VW * elem; j += 64)
			__builtin_prefetch(at + W_AHEAD * PANEL * elem + j);
		UNROLL
		for (int j = 0; j < NV; j++)
			b[j] = bf16 ? v_load_bf16((const uint16_t *)at + j * VW) :
				v_load((const float *)at + j * VW);
		UNROLL
		for (int r = 0; r < mr; r++) {
			vf a = v_set1(x[r * row]);

			UNROLL
			for (int j = 0; j < NV; j++)
				acc[r][j] = v_fma(a, b[j], acc[r][j]);
		}
		x += step;
		at += ldw * elem;
	} while (--k);
	UNROLL
	for (int r = 0; r < mr; r++) {
		UNROLL
		for (int j = 0; j < NV; j++)
			v_store(io->to + r * io->ld_to + col + j * VW, acc[r][j]);
	}
}

/*
 * The same for a whole panel's width and any number of rows up to MR. Inlined
 * into more than this, compilers keep fewer sums in registers.
 */
static void __attribute__((noinline)) tile_sum(const struct tile_io *io, size_t rows,
					       const float *x, size_t ldx, const float *w,
					       size_t k)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: micro(io, j, n, x, ldx, false, w, false, PANEL, k); break
		ROW_CASES;
#undef CASE
		}
	}
}

static void __attribute__((noinline)) tile_sum_bf16(const struct tile_io *io, size_t rows,
						    const float *x, size_t ldx, const uint16_t *w,
						    size_t k)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: micro(io, j, n, x, ldx, false, w, true, PANEL, k); break
		ROW_CASES;
#undef CASE
		}
	}
}

/* The same of x[k][ldx], and of k that are ldw elements apart. */
static void __attribute__((noinline)) tile_turned(const struct tile_io *io, size_t rows,
						  const float *x, size_t ldx, const float *w,
						  size_t ldw, size_t k)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: micro(io, j, n, x, ldx, true, w, false, ldw, k); break
		ROW_CASES;
#undef CASE
		}
	}
}

/* ---- Where outputs begin and where they go ------------------------------- */

/* Into a tile, where it is not the same for all rows or the panel is cut off. */
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

/* A bias goes to registers at once: stores of it would wait for those of outputs before it. */
static void io_from(const struct damf_gemm *g, size_t row, size_t rows, size_t panel,
		    struct tile_io *io)
{
	static const float zero[PANEL];

	if (!g->start && !g->bias) {
		io->from = zero;
		io->ld_from = 0;
	} else if (g->bias && !g->scale && panel_cols(g, panel) == PANEL) {
		io->from = g->bias + panel * PANEL;
		io->ld_from = 0;
	} else {
		tile_begin(g, row, rows, panel, io->to);
	}
}

/* Whether outputs are what is in registers, and so are stored from there. */
static bool is_plain(const struct damf_gemm *g, size_t panel)
{
	return !g->sink && g->act == DAMF_K_NONE && !g->residual &&
		panel * PANEL >= g->col0 && panel_cols(g, panel) == PANEL;
}

static void io_to(const struct damf_gemm *g, size_t row, size_t panel, struct tile_io *io)
{
	io->to = g->y + row * g->ldy + panel * PANEL - g->col0;
	io->ld_to = g->ldy;
}

INLINE vf act_of(vf x, enum damf_k_act act)
{
	return act == DAMF_K_GELU ? v_gelu(x) : act == DAMF_K_TANH ? v_tanh(x) : x;
}

/* Activation, then the residual, of some rows of a panel; act is constant. */
INLINE void rows_end(const struct damf_gemm *g, const struct damf_tile *t, enum damf_k_act act)
{
	size_t first = t->panel * PANEL, skip = first < g->col0 ? g->col0 - first : 0;
	size_t cols = panel_cols(g, t->panel) - skip, at = first + skip - g->col0;
	float *v = t->v;

	for (size_t i = t->row; i < t->row + t->rows; i++, v += PANEL) {
		const float *r = g->residual ? g->residual + i * g->ldr + at : NULL;
		float *y = g->y + i * g->ldy + at;

		for (size_t j = 0; j < PANEL; j += VW) {
			vf x = act_of(v_load(v + j), act);

			if (cols == PANEL)
				v_store(y + j, r ? x + v_load(r + j) : x);
			else
				v_store(v + j, x);
		}
		for (size_t j = 0; cols < PANEL && j < cols; j++)
			y[j] = r ? v[skip + j] + r[j] : v[skip + j];
	}
}

static void tile_end(const struct damf_gemm *g, const struct damf_tile *t)
{
	if (g->sink)
		g->sink(g, t);
	else if (g->act == DAMF_K_GELU)
		rows_end(g, t, DAMF_K_GELU);
	else if (g->act == DAMF_K_TANH)
		rows_end(g, t, DAMF_K_TANH);
	else
		rows_end(g, t, DAMF_K_NONE);
}

/* ---- Items --------------------------------------------------------------- */

/*
 * With more outputs than this, a tile's lines are asked for before its sums
 * begin. Products of int8 gain nothing by it.
 */
#define FAR_OUTPUTS	(1u << 19)

/*
 * An item goes over its outputs once for the integers and once for each part
 * of k. Sums stay in memory from pass to pass: panel by panel, [rows][32]
 * each. If one pass is all, a single panel's are in use, in the first cache.
 */
struct block {
	const struct damf_gemm *g;
	size_t row, rows, panel, panels;
	size_t passes, pass;	/* all, and those done */
	bool far;		/* the product has more outputs than the second cache holds */
	float tile[DAMF_PANEL_BLOCK][DAMF_ROW_BLOCK * PANEL] __attribute__((aligned(64)));
};

static float *block_tile(struct block *b, size_t i)
{
	return b->tile[b->passes > 1 ? i : 0];
}

/* Some rows of panel i, before and after a pass. */
static struct tile_io pass_begin(struct block *b, size_t r, size_t rows, size_t i)
{
	float *tile = block_tile(b, i) + r * PANEL;
	struct tile_io io = { tile, PANEL, tile, PANEL };
	size_t panel = b->panel + i;

	if (b->pass == 0)
		io_from(b->g, b->row + r, rows, panel, &io);
	if (b->pass + 1 == b->passes && is_plain(b->g, panel))
		io_to(b->g, b->row + r, panel, &io);
	for (size_t y = 0; b->far && y < rows; y++) {
		for (size_t j = 0; j < PANEL; j += 16)
			__builtin_prefetch(io.to + y * io.ld_to + j, 1);
	}
	return io;
}

static void pass_end(struct block *b, size_t r, size_t rows, size_t i)
{
	if (b->pass + 1 == b->passes && !is_plain(b->g, b->panel + i))
		tile_end(b->g, &(struct damf_tile) { b->row + r, rows, b->panel + i,
						     block_tile(b, i) + r * PANEL });
}

/* Part [k, k + n) of a segment; rows of x lie as the product has them. */
static void seg_tile(const struct damf_seg *s, size_t panel, size_t k, size_t n,
		     const struct tile_io *io, size_t row, size_t rows)
{
	size_t at = (panel * s->in + s->first + k) * PANEL;
	const float *x = s->x + row * s->ldx + k;

	if (s->turned)
		tile_turned(io, rows, s->x + k * s->ldx + row, s->ldx,
			    (const float *)s->w.data + at, PANEL, n);
	else if (s->w.type == DAMF_K_BF16)
		tile_sum_bf16(io, rows, x, s->ldx, (const uint16_t *)s->w.data + at, n);
	else
		tile_sum(io, rows, x, s->ldx, (const float *)s->w.data + at, n);
}

/* Panels are the outer loop: a part of one stays in the cache for all rows. */
static void float_pass(struct block *b, const struct damf_seg *s, size_t k, size_t n)
{
	for (size_t i = 0; i < b->panels; i++) {
		for (size_t r = 0, rows; r < b->rows; r += rows) {
			struct tile_io io;

			rows = tile_rows(b->rows - r, MR);
			io = pass_begin(b, r, rows, i);
			seg_tile(s, b->panel + i, k, n, &io, b->row + r, rows);
			pass_end(b, r, rows, i);
		}
	}
	b->pass++;
}

/* Rows from first on, packed, by one panel. */
static void int_panel(struct block *b, struct iblock *ib, size_t first, size_t rows, size_t i)
{
	iblock_panel(ib, b->panel + i);
	for (size_t r = 0, tile = 0, n; r < rows; r += n, tile++) {
		struct tile_io io;

		n = tile_rows(rows - r, ib->tile);
		io = pass_begin(b, first + r, n, i);
		iblock_add(ib, tile, r, n, &io);
		pass_end(b, first + r, n, i);
	}
}

/* Rows whose integers are at hand at once, by all panels. */
static void __attribute__((noinline)) int_pass(struct block *b, size_t nseg)
{
	struct iblock ib;

	iblock_begin(&ib, b->g, nseg);
	for (size_t r = 0, rows; r < b->rows; r += rows) {
		rows = b->rows - r < ib.most ? b->rows - r : ib.most;
		iblock_pack(&ib, b->row + r, rows);
		for (size_t i = 0; i < b->panels; i++)
			int_panel(b, &ib, r, rows, i);
	}
	b->pass++;
}

/* Parts of k, all but the last of the same size. */
static void seg_passes(struct block *b, const struct damf_seg *s)
{
	size_t parts = damf_seg_parts(s), n = ((s->k + parts - 1) / parts + 3) & ~(size_t)3;

	for (size_t k = 0; k < s->k; k += n)
		float_pass(b, s, k, s->k - k < n ? s->k - k : n);
}

/* ---- Thin products ------------------------------------------------------- */

#if THIN_PAIRS
static bool is_thin(const struct damf_gemm *g, size_t rows)
{
	return rows <= THIN_ROWS && g->nseg == 1 && g->seg->w.type == DAMF_K_F32 && g->seg->k;
}

/* Two panels, or the last one. */
static void thin_step(const struct damf_gemm *g, size_t row, size_t rows, size_t panel, size_t n)
{
	float tile[2][THIN_ROWS * PANEL] __attribute__((aligned(64)));
	struct tile_io io[2];

	for (size_t i = 0; i < n; i++) {
		io[i] = (struct tile_io) { tile[i], PANEL, tile[i], PANEL };
		io_from(g, row, rows, panel + i, &io[i]);
		if (is_plain(g, panel + i))
			io_to(g, row, panel + i, &io[i]);
	}
	if (n == 2)
		thin_pair(io, rows, g->seg, row, panel);
	else
		seg_tile(g->seg, panel, 0, g->seg->k, io, row, rows);
	for (size_t i = 0; i < n; i++) {
		if (!is_plain(g, panel + i))
			tile_end(g, &(struct damf_tile) { row, rows, panel + i, tile[i] });
	}
}

static void thin(const struct damf_gemm *g, size_t row, size_t rows, size_t panel, size_t panels)
{
	for (size_t i = 0; i < panels; i += 2)
		thin_step(g, row, rows, panel + i, panels - i < 2 ? 1 : 2);
}
#endif

static void gemm(const struct damf_gemm *g, size_t row, size_t rows, size_t panel, size_t panels)
{
	const struct damf_seg *s = g->seg, *end = s + g->nseg;
	size_t n = damf_int_segs(g);
	struct block b;

#if THIN_PAIRS
	if (is_thin(g, rows)) {
		thin(g, row, rows, panel, panels);
		return;
	}
#endif
	b.g = g;
	b.row = row;
	b.rows = rows;
	b.panel = panel;
	b.panels = panels;
	b.passes = damf_gemm_passes(g);
	b.pass = 0;
	b.far = !n && g->rows * (g->col1 - g->col0) > FAR_OUTPUTS;
	for (size_t i = 0; !b.passes && i < panels; i++) {
		tile_begin(g, row, rows, panel + i, b.tile[0]);
		tile_end(g, &(struct damf_tile) { row, rows, panel + i, b.tile[0] });
	}
	if (n)
		int_pass(&b, n);
	for (s += n; s < end; s++) {
		if (s->k)
			seg_passes(&b, s);
	}
}

#endif /* DAMF_GEMM_H */
