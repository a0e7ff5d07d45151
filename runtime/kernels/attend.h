/* SPDX-License-Identifier: MIT */
/*
 * Attention within one sequence: softmax of one head with a query in each
 * lane, sums over tokens, and static terms.
 */
#ifndef DAMF_ATTEND_H
#define DAMF_ATTEND_H

#include "gemm.h"
#include "rows.h"

/* rows of a tile of sums over tokens */
#if MR == 12
#define SUM_ROWS	14
#define SUM_CASES	ROW_CASES; CASE(13); CASE(14)
#else
#define SUM_ROWS	MR
#define SUM_CASES	ROW_CASES
#endif
#define SUMS_AHEAD	4	/* panels that X is asked for before its sums */
#define LINE	16		/* elements of a cache line */
#define KEYS	128		/* whose weights and V are in the cache at once */
#define PANELS	4		/* of columns of the output, likewise */
#define SUMS	4		/* partial sums of the weights of a query */

/* A row, into the second cache. */
INLINE void prefetch_far(const float *x, size_t n)
{
	for (size_t i = 0; i < n; i += LINE)
		__builtin_prefetch(x + i, 0, 2);
}

/*
 * Scores of up to MR keys, NV registers of queries: p[r][lane] = scale (K_r
 * Q_lane), and their maxima.
 */
INLINE void score_micro(float *p, int mr, const struct damf_mhsa *m, const float *k, int col,
			float *max)
{
	const float *q = m->q + col;
	vf acc[MR][NV] = { { { 0 } } };

	size_t d = m->d_qk;

	do {
		vf b[NV];

		__builtin_prefetch(k + m->kgroup);
		UNROLL
		for (int j = 0; j < NV; j++)
			b[j] = v_load(q + j * VW);
		UNROLL
		for (int r = 0; r < mr; r++) {
			UNROLL
			for (int j = 0; j < NV; j++)
				acc[r][j] = v_fma(v_set1(k[r]), b[j], acc[r][j]);
		}
		k += DAMF_KEY_GROUP;
		q += PANEL;
	} while (--d);
	UNROLL
	for (int j = 0; j < NV; j++) {
		vf most = v_load(max + j * VW);

		UNROLL
		for (int r = 0; r < mr; r++) {
			vf s = acc[r][j] * m->scale;

			v_store(p + r * PANEL + j * VW, s);
			most = v_max(s, most);
		}
		v_store(max + j * VW, most);
	}
}

static void mhsa_scores(const struct damf_mhsa *m, float max[PANEL])
{
	for (int j = 0; j < PANEL; j++)
		max[j] = -__builtin_inff();
	for (size_t n = 0, rows; n < m->len && !damf_stopped(m->stop); n += rows) {
		const float *k = m->k + n / DAMF_KEY_GROUP * m->kgroup + n % DAMF_KEY_GROUP;

		rows = m->len - n < MR ? m->len - n : MR;
		for (int j = 0; j < PANEL; j += NV * VW) {
			float *p = m->p + n * PANEL + j;

			switch (rows) {
#define CASE(n) case n: score_micro(p, n, m, k, j, max + j); break
			ROW_CASES;
#undef CASE
			}
		}
	}
}

/* p becomes exp(p - max), and adds to the sums. */
static void mhsa_weights(float *p, size_t keys, const float max[PANEL], float sum[SUMS][PANEL])
{
	for (int j = 0; j < PANEL; j += VW) {
		vf most = v_load(max + j), acc[SUMS];
		float *at = p + j;
		size_t n = 0;

		UNROLL
		for (int i = 0; i < SUMS; i++)
			acc[i] = v_load(sum[i] + j);
		for (; n + SUMS <= keys; n += SUMS) {
			UNROLL
			for (int i = 0; i < SUMS; i++, at += PANEL) {
				vf e = v_exp_down(v_load(at) - most);

				v_store(at, e);
				acc[i] += e;
			}
		}
		UNROLL
		for (int i = 0; i < SUMS; i++)
			v_store(sum[i] + j, acc[i]);
		for (int i = 0; n < keys; n++, i++, at += PANEL) {
			vf e = v_exp_down(v_load(at) - most);

			v_store(at, e);
			v_store(sum[i] + j, v_load(sum[i] + j) + e);
		}
	}
}

/* What outputs are multiplied by: the reciprocal of each query's sum. */
static void mhsa_inverse(float sum[SUMS][PANEL], float inverse[PANEL])
{
	for (int j = 0; j < PANEL; j += VW) {
		vf even = v_load(sum[0] + j) + v_load(sum[2] + j);
		vf odd = v_load(sum[1] + j) + v_load(sum[3] + j);

		v_store(inverse + j, 1.0f / (even + odd));
	}
}

/* Columns of a panel by themselves, filled up. */
static const float *panel_copy(const float *x, size_t ldx, size_t rows, size_t cols, float *part)
{
	for (size_t i = 0; i < rows; i++, x += ldx) {
		UNROLL
		for (size_t j = 0; j < PANEL; j += VW)
			v_store(part + i * PANEL + j, row_load(x, j, cols, 0.0f));
	}
	return part;
}

static void mhsa_prefetch(const struct damf_mhsa *m, size_t n, size_t first)
{
	size_t end = n + KEYS < m->len ? n + KEYS : m->len, cols = m->d_v - first;

	for (; n < end; n++)
		prefetch_far(m->v + n * m->ldv + first,
			     cols < PANELS * PANEL ? cols : PANELS * PANEL);
}

/* Keys add to the output of all queries, 32 columns of it. */
static void mhsa_add(const struct damf_mhsa *m, size_t n, size_t keys, size_t col, float *out)
{
	float part[KEYS * PANEL] __attribute__((aligned(64)));
	size_t cols = m->d_v - col, ldv = m->ldv;
	const float *v = m->v + n * ldv + col;

	if (cols < PANEL) {
		v = panel_copy(v, ldv, keys, cols, part);
		ldv = PANEL;
	}
	for (size_t r = 0, rows; r < m->queries; r += rows) {
		const struct tile_io io = { out + r * PANEL, PANEL, out + r * PANEL, PANEL };

		rows = tile_rows(m->queries - r, MR);
		tile_turned(&io, rows, m->p + n * PANEL + r, PANEL, v, ldv, keys);
	}
}

static void mhsa_store(const struct damf_mhsa *m, size_t col, const float inverse[PANEL],
		       float *out)
{
	size_t cols = m->d_v - col < PANEL ? m->d_v - col : PANEL;

	for (size_t q = 0; q < m->queries; q++) {
		for (size_t j = 0; j < cols; j += VW)
			row_store(m->o + q * m->ldo + col, j, cols,
				  v_load(out + q * PANEL + j) * inverse[q]);
	}
}

/*
 * Up to PANELS panels of the output's columns. The first of them make weights
 * of the scores, some keys at a time, which are in the cache then.
 */
static void mhsa_outputs(const struct damf_mhsa *m, size_t first, const float max[PANEL],
			 float inverse[PANEL])
{
	float out[PANELS][PANEL * PANEL] __attribute__((aligned(64)));
	float sum[SUMS][PANEL] __attribute__((aligned(64))) = { { 0 } };
	size_t panels = (m->d_v - first + PANEL - 1) / PANEL;

	panels = panels < PANELS ? panels : PANELS;
	memset(out, 0, panels * sizeof(out[0]));
	for (size_t n = 0, keys; n < m->len && !damf_stopped(m->stop); n += keys) {
		keys = m->len - n < KEYS ? m->len - n : KEYS;
		mhsa_prefetch(m, n + keys, first);
		if (!first)
			mhsa_weights(m->p + n * PANEL, keys, max, sum);
		for (size_t i = 0; i < panels; i++)
			mhsa_add(m, n, keys, first + i * PANEL, out[i]);
	}
	if (damf_stopped(m->stop))
		return;
	if (!first)
		mhsa_inverse(sum, inverse);
	for (size_t i = 0; i < panels; i++)
		mhsa_store(m, first + i * PANEL, inverse, out[i]);
}

static void mhsa(const struct damf_mhsa *m)
{
	float max[PANEL] __attribute__((aligned(64)));
	float inverse[PANEL] __attribute__((aligned(64)));

	mhsa_scores(m, max);
	for (size_t c = 0; c < m->d_v; c += PANELS * PANEL)
		mhsa_outputs(m, c, max, inverse);
}

/* Some tokens of one panel of X, and where coefficients begin. */
struct chunk {
	const float *x; size_t ldx;
	const float *coef; size_t ldc;	/* a row each; */
	size_t step;			/* from token to token */
	size_t len;
	size_t first;			/* of the panel's columns */
	float *copy;			/* or NULL: [len][32], where x goes for tiles after this */
	const float *next; size_t ldn;	/* what to bring nearer meanwhile, a token at a time */
};

/*
 * Sums by mr coefficients, NV registers of columns from col on, are added to
 * what out has of them, or to 0. mr and copy are constant where this is inlined.
 */
INLINE void sums_micro(float *const *out, bool begin, int mr, const struct chunk *c, int col,
		       bool copy)
{
	const float *x = c->x + col, *a = c->coef, *next = c->next + col;
	float *to = copy ? c->copy + col : NULL;
	size_t n = c->len;
	vf acc[SUM_ROWS][NV] = { { { 0 } } };

	do {
		vf b[NV];

		UNROLL
		for (int j = 0; j < NV; j++)
			b[j] = v_load(x + j * VW);
		UNROLL
		for (int j = 0; copy && j < NV; j++)
			v_store(to + j * VW, b[j]);
		UNROLL
		for (int j = 0; j < NV * VW; j += LINE)
			__builtin_prefetch(next + j, 0, 2);
		UNROLL
		for (int r = 0; r < mr; r++) {
			UNROLL
			for (int j = 0; j < NV; j++)
				acc[r][j] = v_fma(v_set1(a[r * c->ldc]), b[j], acc[r][j]);
		}
		x += c->ldx;
		to += copy ? PANEL : 0;
		a += c->step;
		next += c->ldn;
	} while (--n);
	UNROLL
	for (int r = 0; r < mr; r++) {
		float *y = out[r] + c->first + col;

		UNROLL
		for (int j = 0; j < NV; j++)
			v_store(y + j * VW, (begin ? v_set1(0.0f) : v_load(y + j * VW)) + acc[r][j]);
	}
}

INLINE void sums_case(float *const *out, bool begin, int mr, const struct chunk *c, int col)
{
	if (c->copy)
		sums_micro(out, begin, mr, c, col, true);
	else
		sums_micro(out, begin, mr, c, col, false);
}

static void __attribute__((noinline)) sums_tile(float *const *out, bool begin, size_t rows,
						const struct chunk *c)
{
	for (int j = 0; j < PANEL; j += NV * VW) {
		switch (rows) {
#define CASE(n) case n: sums_case(out, begin, n, c, j); break
		SUM_CASES;
#undef CASE
		}
	}
}

/* Of a panel that is cut off: its columns are copied there and back. */
static void sums_cut(float *const *out, bool begin, size_t rows, const struct chunk *c, size_t cols)
{
	float tile[SUM_ROWS][PANEL] __attribute__((aligned(64)));
	struct chunk alone = *c;
	float *to[SUM_ROWS];

	alone.first = 0;
	for (size_t r = 0; r < rows; r++) {
		to[r] = tile[r];
		for (size_t j = 0; j < cols && !begin; j++)
			tile[r][j] = out[r][c->first + j];
	}
	sums_tile(to, begin, rows, &alone);
	for (size_t r = 0; r < rows; r++)
		memcpy(out[r] + c->first, tile[r], cols * sizeof(tile[r][0]));
}

/*
 * One chunk of tokens, one panel: tiles of about as many rows each. The first
 * of several leaves its columns of X, which lie in few sets of the cache, by
 * themselves.
 */
static void sums_panel(const struct damf_sums *s, size_t from, size_t panel, const float *next)
{
	static const float one = 1.0f;
	size_t first = panel * PANEL, cols = s->width - first, rows = s->coef ? s->ncoef : 1;
	size_t tiles = (rows + SUM_ROWS - 1) / SUM_ROWS, left = s->len - from;
	float part[DAMF_TOKEN_CHUNK * PANEL] __attribute__((aligned(64)));
	struct chunk c = {
		.x = s->x + from * s->ldx + first, .ldx = s->ldx, .first = first,
		.ldc = s->ldc, .step = s->coef ? 1 : 0,
		.len = left < DAMF_TOKEN_CHUNK ? left : DAMF_TOKEN_CHUNK,
		.next = next ? next : part, .ldn = next ? s->ldx : 0,
	};

	if (cols < PANEL) {
		c.x = panel_copy(c.x, s->ldx, c.len, cols, part);
		c.ldx = PANEL;
	}
	for (size_t i = 0; i < tiles; i++) {
		size_t row = i * rows / tiles, end = (i + 1) * rows / tiles;

		c.coef = s->coef ? s->coef + row * s->ldc + from : &one;
		c.copy = c.x != part && tiles > 1 ? part : NULL;
		if (cols < PANEL)
			sums_cut(s->out + row, !from, end - row, &c, cols);
		else
			sums_tile(s->out + row, !from, end - row, &c);
		if (c.copy) {
			c.x = part;
			c.ldx = PANEL;
		}
	}
}

/* X of step i of sums(), if its chunk and its panel are whole. */
static const float *sums_x(const struct damf_sums *s, size_t panel, size_t panels, size_t i)
{
	size_t from = i / panels * DAMF_TOKEN_CHUNK, first = (panel + i % panels) * PANEL;

	if (from + DAMF_TOKEN_CHUNK > s->len || first + PANEL > s->width)
		return NULL;
	return s->x + from * s->ldx + first;
}

/*
 * The columns of some panels, all of them for one chunk of tokens and then the
 * next. What comes some steps later is on its way to the second cache: of X no
 * more needs to be there, and the rows of sums take a third of it.
 */
static void sums(const struct damf_sums *s, size_t panel, size_t panels)
{
	size_t chunks = (s->len + DAMF_TOKEN_CHUNK - 1) / DAMF_TOKEN_CHUNK;

	for (size_t i = 0; i < chunks * panels; i++)
		sums_panel(s, i / panels * DAMF_TOKEN_CHUNK, panel + i % panels,
			   sums_x(s, panel, panels, i + SUMS_AHEAD));
}

/* ---- Static terms -------------------------------------------------------- */

/* The neighbours of one token; those outside the sequence count nothing. */
static void band_token(const struct damf_band *b, size_t m)
{
	float *o = b->o + m * b->ld;

	for (size_t i = 0; i <= 2 * DAMF_K_RADIUS; i++) {
		size_t n = m + i - DAMF_K_RADIUS;	/* wraps below the first */
		const float *v;

		if (b->band[i] == 0.0f || n >= b->len)
			continue;
		v = b->v + n * b->ld;
		for (size_t j = 0; j < b->width; j += VW)
			row_store(o, j, b->width,
				  v_fma(v_set1(b->band[i]), row_load(v, j, b->width, 0.0f),
					row_load(o, j, b->width, 0.0f)));
	}
}

static void band(const struct damf_band *b)
{
	for (size_t m = b->first; m < b->end; m++)
		band_token(b, m);
}

static void sink(const float *first, const float *last, const float a[2], size_t width, float *y)
{
	for (size_t i = 0; i < width; i += VW)
		row_store(y, i, width, v_fma(v_set1(a[1]), row_load(last, i, width, 0.0f),
					     a[0] * row_load(first, i, width, 0.0f)));
}

#endif /* DAMF_ATTEND_H */
