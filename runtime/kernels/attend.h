/* SPDX-License-Identifier: MIT */
/*
 * Attention within one sequence: softmax of one head with a query in each
 * lane, and what folded heads need.
 */
#ifndef DAMF_ATTEND_H
#define DAMF_ATTEND_H

#include "gemm.h"
#include "rows.h"

#define PV	(PANEL / VW)	/* registers of a panel's width */
#define SUMS	4		/* partial sums of the weights of a query */

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

static void sums_rows(const struct damf_sums *s, size_t panel, size_t row, size_t rows)
{
	size_t first = panel * PANEL, cols = s->width - first < PANEL ? s->width - first : PANEL;
	float total[MR * PANEL] __attribute__((aligned(64))) = { 0 };
	float part[DAMF_TOKEN_CHUNK * PANEL] __attribute__((aligned(64)));

	for (size_t n = 0, len; n < s->len; n += len) {
		const float *x = s->x + n * s->ldx + first;

		len = s->len - n < DAMF_TOKEN_CHUNK ? s->len - n : DAMF_TOKEN_CHUNK;
		if (cols == PANEL) {
			sums_tile(s, n, len, row, rows, x, s->ldx, total);
			continue;
		}
		for (size_t i = 0; i < len; i++) {
			memset(part + i * PANEL, 0, PANEL * sizeof(*part));
			memcpy(part + i * PANEL, x + i * s->ldx, cols * sizeof(*part));
		}
		sums_tile(s, n, len, row, rows, part, PANEL, total);
	}
	for (size_t r = 0; r < rows; r++)
		memcpy(s->out + (row + r) * s->ldo + first, total + r * PANEL,
		       cols * sizeof(*total));
}

/* The columns of one panel. */
static void sums(const struct damf_sums *s, size_t panel)
{
	size_t n = s->coef ? s->ncoef : 1;

	for (size_t r = 0; r < n; r += MR)
		sums_rows(s, panel, r, n - r < MR ? n - r : MR);
}

/* A row of scores' factors is divided by its largest magnitude, unless that is 0. */
INLINE float fold_scale(const float *x, size_t n)
{
	float max = row_max_abs(x, n);

	return max == 0.0f ? 1.0f : max;
}

/* qhat = q / max|q|, into its column, and the sum of it. */
static float fold_q(const struct damf_fold *f)
{
	float scale = fold_scale(f->q, f->len);
	vf acc[NL] = { { 0 } };

	FOR_LANES(i, j, f->len) {
		vf q = row_load(f->q, AT(i, j), f->len, 0.0f) / scale;
		float l[VW];

		acc[j] += q;
		v_store(l, q);
		for (size_t k = 0; k < VW && AT(i, j) + k < f->len; k++)
			f->qhat[(AT(i, j) + k) * f->ldq] = l[k];
	}
	return tree_sum(acc);
}

/*
 * With p and q divided by their largest magnitudes A_max is 1, and neither it
 * nor a denominator can overflow, or vanish for being small. Where all p or
 * all q are 0, this gives uniform weights of itself.
 */
static void fold(const struct damf_fold *f)
{
	float scale = fold_scale(f->p, f->len), len = (float)f->len, sum = fold_q(f);

	for (size_t i = 0; i < f->len; i += VW) {
		vf p = row_load(f->p, i, f->len, 0.0f) / scale;
		vf den = v_fma(p, v_set1(sum), v_set1(len));
		vi ok = den > DAMF_FOLD_GUARD * len;
		vf a = 1.0f / v_select(ok, den, v_set1(len)), b = v_select(ok, p * a, v_set1(0.0f));

		for (size_t k = 0; k < VW && i + k < f->len; k++) {
			f->mix[(i + k) * f->ldm] = a[k];
			f->mix[(i + k) * f->ldm + 1] = b[k];
		}
	}
	f->total[0] = len;
	f->total[1] = sum;
}

#endif /* DAMF_ATTEND_H */
