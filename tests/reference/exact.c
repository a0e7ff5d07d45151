// SPDX-License-Identifier: MIT
/* Heads by softmax of all their scores. */
#include <stdlib.h>

#include "internal.h"

/* One head of one sequence: q and k [tokens][..], columns from col on. */
struct span {
	size_t from, len, d_qk, col;
	const struct ref_head *head;
	const struct ref_mat *q, *k, *v;
	double scale;
};

/* The score of tokens m and n, and a bound on its error. */
static double score(const struct span *s, size_t m, size_t n, double *err)
{
	size_t cols = s->q->cols;
	const double *q = s->q->v + (s->from + m) * cols + s->col;
	const double *eq = s->q->e + (s->from + m) * cols + s->col;
	const double *k = s->k->v + (s->from + n) * cols + s->col;
	const double *ek = s->k->e + (s->from + n) * cols + s->col;
	double sum = 0.0, mag = 0.0, e = 0.0;

	for (size_t i = 0; i < s->d_qk; i++) {
		sum += q[i] * k[i];
		mag += fabs(q[i] * k[i]);
		e += eq[i] * fabs(k[i]) + ek[i] * fabs(q[i]);
	}
	*err = fabs(s->scale) * (e + ((double)s->d_qk + 2.0) * mag);
	return s->scale * sum;
}

/* Mixes v by the weights w, whose relative errors are rel: one output row. */
static void mix(const struct span *s, size_t m, const double *w, const double *rel,
		double rel_sum, struct ref_mat *o)
{
	const struct ref_head *h = s->head;
	size_t cols = s->v->cols;
	int lost = 0;

	for (size_t n = 0; n < s->len; n++)
		lost |= !(w[n] * (rel[n] + rel_sum) * REF_U < 0.1);
	for (size_t j = 0; j < h->d_v; j++) {
		double sum = 0.0, mag = 0.0, e = 0.0, low = INFINITY, high = -INFINITY;
		size_t at = m * o->cols + h->v_col + j;

		for (size_t n = 0; n < s->len; n++) {
			size_t i = (s->from + n) * cols + h->v_col + j;

			sum += w[n] * s->v->v[i];
			mag += w[n] * fabs(s->v->v[i]);
			e += w[n] * (s->v->e[i] + fabs(s->v->v[i]) * (rel[n] + rel_sum));
			low = fmin(low, s->v->v[i] - REF_U * s->v->e[i]);
			high = fmax(high, s->v->v[i] + REF_U * s->v->e[i]);
		}
		o->v[at] = sum;
		o->m[at] = mag;
		o->e[at] = e + ((double)s->len + 2.0) * mag;
		/* whatever the weights, they average */
		if (lost)
			o->e[at] = (high - low) / REF_U + (double)s->len * mag;
	}
}

static void all_queries(const struct span *s, struct ref_mat *o)
{
	double *w = ref_alloc(2 * s->len, sizeof(*w)), *rel = w + s->len;

	for (size_t m = 0; m < s->len; m++) {
		double max = -INFINITY, e_max = 0.0, sum = 0.0, e_sum = 0.0;

		for (size_t n = 0; n < s->len; n++) {
			w[n] = score(s, m, n, &rel[n]);
			max = fmax(max, w[n]);
			e_max = fmax(e_max, rel[n]);
		}
		for (size_t n = 0; n < s->len; n++) {
			rel[n] += e_max + max - w[n] + 4.0;
			w[n] = exp(w[n] - max);
			sum += w[n];
			e_sum += w[n] * rel[n];
		}
		for (size_t n = 0; n < s->len; n++)
			w[n] /= sum;
		mix(s, m, w, rel, e_sum / sum + (double)s->len, o);
	}
	free(w);
}

/* A column of p and q as a matrix: p^ by the head's scale. */
static struct ref_mat column(const struct ref_layer *l, size_t col, double by)
{
	struct ref_mat a = ref_new(l->pq.rows, 1);

	for (size_t i = 0; i < a.rows; i++) {
		struct ref_num x = ref_score_at(l, i, col), g = { by, 0.0 };

		if (by != 1.0)
			x = ref_mul(g, x);
		a.v[i] = x.v;
		a.e[i] = x.e;
	}
	return a;
}

void ref_exact_head(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		    struct ref_mat *o)
{
	struct span span = {
		.from = s.from, .len = s.len, .d_qk = h->d_qk, .col = h->qk_col, .head = h,
		.q = &l->head_q, .k = &l->head_k, .v = &l->head_v, .scale = h->scale,
	};
	struct ref_mat p, q;

	if (h->mode == REF_MHSA) {
		all_queries(&span, o);
		return;
	}
	p = column(l, h->p_col, h->flags & REF_SCALE ? h->scale : 1.0);
	q = column(l, h->q_col, 1.0);
	span.q = &p;
	span.k = &q;
	span.d_qk = 1;
	span.col = 0;
	span.scale = 1.0;
	all_queries(&span, o);
	ref_free(&p);
	ref_free(&q);
}
