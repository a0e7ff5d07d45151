/* SPDX-License-Identifier: MIT */
/*
 * Attention within one sequence: softmax of one head with a query in each
 * lane, sums over tokens, and static terms.
 */
#ifndef DAMF_ATTEND_H
#define DAMF_ATTEND_H

#include "gemm.h"
#include "rows.h"

#define PV	(PANEL / VW)	/* registers of a panel's width */
#define SUMS	4		/* partial sums of the weights of a query */
#define SUM_TILES 8		/* tiles of sums over tokens at once */

/* Scores of all keys: p[n][lane] = scale (K_n Q_lane); their maxima. */
static void mhsa_scores(const struct damf_mhsa *m, vf max[PV])
{
	for (int j = 0; j < PV; j++)
		max[j] = v_set1(-__builtin_inff());
	for (size_t n = 0, rows; n < m->len; n += rows) {
		const float *k = m->k + n / DAMF_KEY_GROUP * m->kgroup + n % DAMF_KEY_GROUP;
		float *p = m->p + n * PANEL;

		rows = m->len - n < MR ? m->len - n : MR;
		memset(p, 0, rows * PANEL * sizeof(*p));
		tile_add(p, rows, k, DAMF_KEY_GROUP, m->q, PANEL, m->d_qk);
		for (size_t r = 0; r < rows; r++, p += PANEL) {
			UNROLL
			for (int j = 0; j < PV; j++) {
				vf s = v_load(p + j * VW) * m->scale;

				v_store(p + j * VW, s);
				max[j] = v_max(s, max[j]);
			}
		}
	}
}

/* p becomes exp(p - max); the reciprocal of each lane's sum. */
static void mhsa_weights(const struct damf_mhsa *m, const vf max[PV], vf inverse[PV])
{
	for (int j = 0; j < PV; j++) {
		vf sum[SUMS] = { { 0 } };
		float *p = m->p + j * VW;

		for (size_t n = 0; n < m->len; n++, p += PANEL) {
			vf e = v_exp(v_load(p) - max[j]);

			v_store(p, e);
			sum[n % SUMS] += e;
		}
		inverse[j] = 1.0f / ((sum[0] + sum[2]) + (sum[1] + sum[3]));
	}
}

/* Rows of the output, d_v lying in the rows of a tile. */
static void mhsa_outputs(const struct damf_mhsa *m, const vf inverse[PV])
{
	float tile[MR * PANEL] __attribute__((aligned(64)));

	for (size_t c = 0, rows; c < m->d_v; c += rows) {
		rows = m->d_v - c < MR ? m->d_v - c : MR;
		memset(tile, 0, sizeof(tile));
		tile_add(tile, rows, m->v + c, m->ldv, m->p, PANEL, m->len);
		for (size_t r = 0; r < rows; r++) {
			for (int j = 0; j < PV; j++) {
				float *t = tile + r * PANEL + j * VW;

				v_store(t, v_load(t) * inverse[j]);
			}
		}
		for (size_t q = 0; q < m->queries; q++) {
			for (size_t r = 0; r < rows; r++)
				m->o[q * m->ldo + c + r] = tile[r * PANEL + q];
		}
	}
}

static void mhsa(const struct damf_mhsa *m)
{
	vf max[PV], inverse[PV];

	mhsa_scores(m, max);
	mhsa_weights(m, max, inverse);
	mhsa_outputs(m, inverse);
}

/* One chunk of tokens, one tile of sums, added to what is there. */
static void sums_tile(const struct damf_sums *s, size_t from, size_t len, size_t row,
		      size_t rows, const float *x, size_t ldx, float *total)
{
	static const float one = 1.0f;
	const float *coef = s->coef ? s->coef + from * s->ncoef + row : &one;
	float tile[MR * PANEL] __attribute__((aligned(64)));

	memset(tile, 0, rows * PANEL * sizeof(*tile));
	tile_add(tile, rows, coef, s->coef ? s->ncoef : 0, x, ldx, len);
	for (size_t i = 0; i < rows * PANEL; i += VW)
		v_store(total + i, v_load(total + i) + v_load(tile + i));
}

/* Tokens of a panel that the row of X cuts off, filled up. */
static const float *sums_edge(const float *x, size_t ldx, size_t len, size_t cols, float *part)
{
	for (size_t i = 0; i < len; i++) {
		memset(part + i * PANEL, 0, PANEL * sizeof(*part));
		memcpy(part + i * PANEL, x + i * ldx, cols * sizeof(*part));
	}
	return part;
}

/* A few tiles of rows, so that a chunk of tokens stays in the cache for them. */
static void sums_rows(const struct damf_sums *s, size_t panel, size_t row, size_t rows)
{
	size_t first = panel * PANEL, cols = s->width - first < PANEL ? s->width - first : PANEL;
	float total[SUM_TILES * MR * PANEL] __attribute__((aligned(64))) = { 0 };
	float part[DAMF_TOKEN_CHUNK * PANEL] __attribute__((aligned(64)));

	for (size_t n = 0, len; n < s->len; n += len) {
		const float *x = s->x + n * s->ldx + first;
		size_t ldx = s->ldx;

		len = s->len - n < DAMF_TOKEN_CHUNK ? s->len - n : DAMF_TOKEN_CHUNK;
		if (cols < PANEL) {
			x = sums_edge(x, ldx, len, cols, part);
			ldx = PANEL;
		}
		for (size_t r = 0; r < rows; r += MR)
			sums_tile(s, n, len, row + r, rows - r < MR ? rows - r : MR, x, ldx,
				  total + r * PANEL);
	}
	for (size_t r = 0; r < rows; r++)
		memcpy(s->out[row + r] + first, total + r * PANEL, cols * sizeof(*total));
}

/* The columns of one panel. */
static void sums(const struct damf_sums *s, size_t panel)
{
	size_t n = s->coef ? s->ncoef : 1;

	for (size_t r = 0; r < n; r += SUM_TILES * MR)
		sums_rows(s, panel, r, n - r < SUM_TILES * MR ? n - r : SUM_TILES * MR);
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
