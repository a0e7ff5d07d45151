/* SPDX-License-Identifier: MIT */
/*
 * What heads with terms make of p and q: a coefficient of each token for each
 * term, which tokens are summed by, and one of each query, which the sums are
 * mixed by. A register holds neighbouring tokens.
 */
#ifndef DAMF_WEIGHTS_H
#define DAMF_WEIGHTS_H

#include "chebyshev.h"
#include "tile.h"
#include "rows.h"

/* What is behind the end of a row becomes 0. */
INLINE vf row_keep(vf a, size_t i, size_t n)
{
	float t[VW];

	if (i + VW <= n)
		return a;
	v_store(t, a);
	for (size_t k = i < n ? n - i : 0; k < VW; k++)
		t[k] = 0.0f;
	return v_load(t);
}

/* ---- fold ---------------------------------------------------------------- */

/* One factor of the scores, by numerics.rst's names. */
struct factor {
	const float *p, *q;
	float mean;		/* of q, if it is taken off */
	float p_max, q_max;	/* what p and q are divided by */
	float omega;
	float tau, magnitude;	/* sums of coefficients, and of their magnitudes */
};

struct fold {
	const struct damf_terms *f;
	const struct damf_k_head *head;
	size_t order;		/* N: terms but the first */
	bool scaled, paper, uniform;
	struct factor factor[DAMF_K_RANK];	/* of each rank, or power */
};

INLINE float one_if_zero(float x)
{
	return x == 0.0f ? 1.0f : x;
}

INLINE vf fold_q(const struct fold *w, const struct factor *k, size_t i)
{
	vf q = row_load(k->q, i, w->f->len, 0.0f);

	if (w->head->flags & DAMF_K_CENTRED)
		q -= k->mean;
	return w->scaled ? q : q / one_if_zero(k->q_max);
}

INLINE vf fold_p(const struct fold *w, const struct factor *k, size_t i)
{
	vf p = row_load(k->p, i, w->f->len, 0.0f);

	return w->scaled ? p * w->head->scale : p / one_if_zero(k->p_max);
}

/* The mean of q, and largest magnitudes. */
static void fold_measure(struct fold *w, struct factor *k)
{
	size_t len = w->f->len;
	vf max[NL] = { { 0 } };

	k->mean = w->head->flags & DAMF_K_CENTRED ? row_sum(k->q, len) / (float)len : 0.0f;
	if (w->scaled)
		return;
	k->p_max = row_max_abs(k->p, len);
	if (!(w->head->flags & DAMF_K_CENTRED)) {
		k->q_max = row_max_abs(k->q, len);
		return;
	}
	FOR_LANES(i, j, len) {
		vf q = row_load(k->q, AT(i, j), len, 0.0f) - k->mean;

		max[j] = v_max(v_abs(row_keep(q, AT(i, j), len)), max[j]);
	}
	k->q_max = tree_max(max);
}

/* Part of A_max that each factor of the scores is; uniform if there is none. */
static void fold_shares(struct fold *w)
{
	float sum = 0.0f;

	for (size_t k = 0; k < w->head->rank; k++) {
		struct factor *a = &w->factor[k];

		a->omega = a->p_max * a->q_max;
		sum += a->omega;
	}
	w->uniform = !(sum > 0.0f && sum < __builtin_inff());
	for (size_t k = 0; k < w->head->rank; k++)
		w->factor[k].omega /= sum;
}

/* Coefficients of tokens of term 1 + n, and their sums. */
static void fold_coefs(struct fold *w, size_t n)
{
	const struct damf_terms *f = w->f;
	struct factor *to = &w->factor[n];
	const struct factor *k = w->head->rank > 1 ? to : w->factor;
	size_t power = w->head->rank > 1 ? 1 : n + 1;
	vf sum[NL] = { { 0 } }, magnitude[NL] = { { 0 } };

	FOR_LANES(i, j, f->len) {
		vf q = fold_q(w, k, AT(i, j)), c = q;

		for (size_t m = 1; m < power; m++)
			c *= q;
		c = row_keep(c, AT(i, j), f->len);
		v_store(f->coef + n * f->ld + AT(i, j), c);
		sum[j] += c;
		magnitude[j] += v_abs(c);
	}
	to->tau = tree_sum(sum);
	to->magnitude = tree_sum(magnitude);
	if ((w->head->flags & DAMF_K_CENTRED) && w->head->rank == 1 && w->order == 1)
		to->tau = 0.0f;
}

/* t_1 to t_N of neighbouring queries. */
INLINE void fold_terms(const struct fold *w, size_t i, vf *t)
{
	const float *coef = w->head->coef;
	vf p = fold_p(w, w->factor, i), pi = p;

	if (w->head->rank > 1) {
		for (size_t k = 0; k < w->order; k++) {
			p = fold_p(w, &w->factor[k], i);
			t[k] = coef[1] * (w->scaled ? p : w->factor[k].omega * p);
		}
		return;
	}
	for (size_t k = 0; k < w->order; k++, pi *= p)
		t[k] = coef[k + 1] * pi;
}

static void fold_mix(const struct fold *w, size_t i)
{
	const struct damf_terms *f = w->f;
	float first = w->head->coef[0], len = (float)f->len;
	vf t[DAMF_K_RANK], d = v_set1(first * len), m = v_abs(d), a;
	vi ok;

	fold_terms(w, i, t);
	for (size_t k = 0; k < w->order; k++) {
		d = v_fma(t[k], v_set1(w->factor[k].tau), d);
		m = v_fma(v_abs(t[k]), v_set1(w->factor[k].magnitude), m);
	}
	if (w->paper)
		m = v_set1(len);
	ok = (d > DAMF_FOLD_GUARD * m) & v_set1i(w->uniform ? 0 : -1);
	a = 1.0f / v_select(ok, d, v_set1(len));
	v_store(f->mix + i, v_select(ok, first * a, a));
	for (size_t k = 0; k < w->order; k++)
		v_store(f->mix + (1 + k) * f->ld + i, v_select(ok, t[k] * a, v_set1(0.0f)));
}

/*
 * With p and q divided by their largest magnitudes A_max is 1, and neither it
 * nor a denominator can overflow, or vanish for being small. Where all p or
 * all q are 0, this gives uniform weights of itself.
 */
static void fold(const struct damf_terms *f)
{
	const struct damf_k_head *head = f->head;
	struct fold w = {
		.f = f, .head = head, .order = head->rank > 1 ? head->rank : head->order,
		.scaled = head->flags & DAMF_K_SCALE,
	};

	w.paper = !w.scaled && head->order == 1 && head->coef[0] == 1.0f && head->coef[1] == 1.0f;
	for (size_t k = 0; k < head->rank; k++) {
		w.factor[k].p = f->p + k * f->ldpq;
		w.factor[k].q = f->q + k * f->ldpq;
		fold_measure(&w, &w.factor[k]);
	}
	if (head->rank > 1 && !w.scaled)
		fold_shares(&w);
	f->tau[0] = (float)f->len;
	for (size_t k = 0; k < w.order; k++) {
		fold_coefs(&w, k);
		f->tau[1 + k] = w.factor[k].tau;
	}
	for (size_t i = 0; i < f->len; i += VW)
		fold_mix(&w, i);
}

/* ---- softfold ------------------------------------------------------------ */

INLINE vf soft_p(const struct damf_terms *f, size_t i)
{
	vf p = row_load(f->p, i, f->len, 0.0f);

	return f->head->flags & DAMF_K_SCALE ? p * f->head->scale : p;
}

struct nodes {
	float mid, half;
	size_t step;	/* in the table of cosines */
};

static struct nodes soft_nodes(const struct damf_terms *f)
{
	return (struct nodes) {
		.mid = (f->p_high + f->p_low) * 0.5f, .half = (f->p_high - f->p_low) * 0.5f,
		.step = f->nodes > 1 ? CHEBYSHEV_STEPS / (f->nodes - 1) : 0,
	};
}

static float soft_node(const struct damf_terms *f, size_t i)
{
	struct nodes g = soft_nodes(f);
	float r[VW];

	if (f->tokens) {
		v_store(r, soft_p(f, i));
		return r[0];
	}
	if (f->nodes == 1)
		return f->p_low;
	v_store(r, v_fma(v_set1(g.half), v_set1(chebyshev(i * g.step)), v_set1(g.mid)));
	return r[0];
}

/* Exponentials of one node, and the reciprocal of their sum. */
static float soft_exps(const struct damf_terms *f, float node, float *e)
{
	float top = node >= 0.0f ? f->q_high : f->q_low;
	vf sum[NL] = { { 0 } };

	FOR_LANES(i, j, f->len) {
		vf x = node * (row_load(f->q, AT(i, j), f->len, 0.0f) - top);

		x = row_keep(v_exp_down(x), AT(i, j), f->len);
		v_store(e + AT(i, j), x);
		sum[j] += x;
	}
	return 1.0f / tree_sum(sum);
}

/* softmax over the tokens at each node. */
static void soft_coefs(const struct damf_terms *f)
{
	for (size_t k = 0; k < f->nodes; k++) {
		float *c = f->coef + k * f->ld;
		float inverse = soft_exps(f, soft_node(f, k), c);

		for (size_t i = 0; i < f->len; i += VW)
			v_store(c + i, inverse * v_load(c + i));
	}
}

/* The barycentric form of interpolation in Chebyshev's points, of neighbouring queries. */
static void soft_mix(const struct damf_terms *f, const struct nodes *g, size_t i)
{
	vf z = (soft_p(f, i) - g->mid) / g->half, y[DAMF_NODES], sum = { 0 }, inverse;
	vi on = v_set1i(0);	/* a node */

	for (size_t k = 0; k < f->nodes; k++) {
		float b = k == 0 || k == f->nodes - 1 ? 0.5f : 1.0f;
		vf d = z - chebyshev(k * g->step);

		y[k] = (k & 1 ? -b : b) / d;
		sum = k ? sum + y[k] : y[k];
		on |= d == 0.0f;
	}
	inverse = 1.0f / sum;
	for (size_t k = 0; k < f->nodes; k++) {
		vi here = z - chebyshev(k * g->step) == 0.0f;
		vf mu = v_select(on, v_set1(0.0f), y[k] * inverse);

		v_store(f->mix + k * f->ld + i, v_select(here, v_set1(1.0f), mu));
	}
}

static void softfold(const struct damf_terms *f)
{
	struct nodes g = soft_nodes(f);

	soft_coefs(f);
	for (size_t k = 0; k < f->nodes; k++)
		f->tau[k] = 1.0f;
	if (f->nodes > 1 && !f->tokens) {
		for (size_t i = 0; i < f->len; i += VW)
			soft_mix(f, &g, i);
		return;
	}
	for (size_t k = 0; k < f->nodes; k++) {
		for (size_t m = 0; m < f->len; m++)
			f->mix[k * f->ld + m] = f->nodes == 1 || k == m ? 1.0f : 0.0f;
	}
}

#endif /* DAMF_WEIGHTS_H */
