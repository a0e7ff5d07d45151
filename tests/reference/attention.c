// SPDX-License-Identifier: MIT
#include "ref.h"

#include <math.h>
#include <stdlib.h>

/* One head of one sequence: its tokens, and what was projected from them. */
struct span {
	size_t from, len;
	const struct ref_head *head;
	const struct ref_mat *q, *k, *v, *pq;
	size_t width;		/* of the layer's input */
	double guard;
};

/* The score of tokens m and n, and a bound on its error. */
static double score(const struct span *s, size_t m, size_t n, double *err)
{
	const struct ref_head *h = s->head;
	size_t cols = s->q->cols;
	const double *q = s->q->v + (s->from + m) * cols + h->qk_col;
	const double *eq = s->q->e + (s->from + m) * cols + h->qk_col;
	const double *k = s->k->v + (s->from + n) * cols + h->qk_col;
	const double *ek = s->k->e + (s->from + n) * cols + h->qk_col;
	double sum = 0.0, mag = 0.0, e = 0.0;

	for (size_t i = 0; i < h->d_qk; i++) {
		sum += q[i] * k[i];
		mag += fabs(q[i] * k[i]);
		e += eq[i] * fabs(k[i]) + ek[i] * fabs(q[i]);
	}
	*err = fabs(h->scale) * (e + ((double)h->d_qk + 2.0) * mag);
	return h->scale * sum;
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
		size_t at = (s->from + m) * o->cols + h->v_col + j;

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

static void head_mhsa(const struct span *s, struct ref_mat *o)
{
	double *w = calloc(2 * s->len, sizeof(*w)), *rel = w + s->len;

	if (!w)
		abort();
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

/* What eq. 14 needs of a sequence. */
struct damf_sums {
	double a_max, e_a_max, sum_abs_q, sum_e_q;
};

static double p_of(const struct span *s, size_t m, double *err)
{
	size_t i = (s->from + m) * s->pq->cols + s->head->p_col;

	*err = s->pq->e[i];
	return s->pq->v[i];
}

static double q_of(const struct span *s, size_t n, double *err)
{
	size_t i = (s->from + n) * s->pq->cols + s->head->q_col;

	*err = s->pq->e[i];
	return s->pq->v[i];
}

static struct damf_sums damf_prepare(const struct span *s)
{
	double e, max_p = 0.0, max_q = 0.0, e_p = 0.0, e_q = 0.0;
	struct damf_sums d = { 0 };

	for (size_t m = 0; m < s->len; m++) {
		for (size_t n = 0; n < s->len; n++)
			d.a_max = fmax(d.a_max, fabs(p_of(s, m, &e) * q_of(s, n, &e)));
		max_p = fmax(max_p, fabs(p_of(s, m, &e)));
		e_p = fmax(e_p, e);
		max_q = fmax(max_q, fabs(q_of(s, m, &e)));
		e_q = fmax(e_q, e);
		d.sum_abs_q += fabs(q_of(s, m, &e));
		d.sum_e_q += e;
	}
	d.e_a_max = max_p * e_q + max_q * e_p + d.a_max;
	return d;
}

/* Element j of row m: eq. 14, and the bound that goes with it. */
static void damf_element(const struct span *s, const struct damf_sums *d, size_t m, size_t j,
			 struct ref_mat *o)
{
	size_t cols = s->v->cols, at = (s->from + m) * o->cols + s->head->v_col + j;
	double len = (double)s->len, e_p, p = p_of(s, m, &e_p), e_q;
	double den = 0.0, num = 0.0, mag = 0.0, e_num = 0.0, uni = 0.0, uni_m = 0.0, uni_e = 0.0;
	double e_den = len * d->e_a_max + e_p * d->sum_abs_q + fabs(p) * d->sum_e_q +
		(len + 4.0) * (len * d->a_max + fabs(p) * d->sum_abs_q);
	double terms = len + (double)s->width + (double)o->cols + 32.0;
	double limit = s->guard * len * d->a_max;

	for (size_t n = 0; n < s->len; n++) {
		size_t i = (s->from + n) * cols + s->head->v_col + j;
		double q = q_of(s, n, &e_q), w = d->a_max + p * q;

		den += w;
		num += w * s->v->v[i];
		mag += (d->a_max + fabs(p * q)) * s->v->m[i];
		e_num += (d->a_max + fabs(p * q)) * s->v->e[i] +
			(d->e_a_max + e_p * fabs(q) + fabs(p) * e_q) * s->v->m[i];
		uni += s->v->v[i] / len;
		uni_m += s->v->m[i] / len;
		uni_e += s->v->e[i] / len;
	}
	uni_e += terms * uni_m;
	e_num += terms * mag;
	if (!(den > limit) || d->a_max == 0.0) {
		o->v[at] = uni;
		o->m[at] = uni_m;
		o->e[at] = uni_e;
	} else {
		o->v[at] = num / den;
		o->m[at] = mag / den;
		o->e[at] = (e_num + fabs(num / den) * e_den) / den;
	}
	/* f32 may be on the other side of the guard */
	if (d->a_max != 0.0 && fabs(den - limit) <= 1.25 * REF_U * e_den)
		o->e[at] += (fabs(num) + mag) / (REF_U * fmax(limit, fabs(den))) + uni_e +
			uni_m / REF_U;
}

static void head_damf(const struct span *s, struct ref_mat *o)
{
	struct damf_sums d = damf_prepare(s);

	for (size_t m = 0; m < s->len; m++) {
		for (size_t j = 0; j < s->head->d_v; j++)
			damf_element(s, &d, m, j, o);
	}
}

static struct ref_mat project(const struct ref_mat *x, const struct ref_mat *w,
			      const struct ref_mat *b)
{
	struct ref_mat y = ref_new(x->rows, w ? w->cols : 0);

	if (w)
		ref_linear(x, w, b, REF_ACT_NONE, NULL, &y);
	return y;
}

void ref_attention(const struct ref_attention *a, const struct ref_mat *x, struct ref_mat *y)
{
	struct ref_mat q = project(x, a->wq, a->bq), k = project(x, a->wk, a->bk);
	struct ref_mat v = project(x, a->wv, a->bv), pq = project(x, a->wpq, a->bpq);
	struct ref_mat o = ref_new(x->rows, v.cols);

	for (size_t h = 0; h < a->nheads; h++) {
		for (size_t b = 0; b < a->batch.seqs; b++) {
			struct span s = {
				.from = (size_t)a->batch.offsets[b],
				.len = (size_t)(a->batch.offsets[b + 1] - a->batch.offsets[b]),
				.head = &a->heads[h], .q = &q, .k = &k, .v = &v, .pq = &pq,
				.width = x->cols, .guard = a->guard,
			};

			if (!s.len)
				continue;
			if (s.head->mode == REF_MHSA)
				head_mhsa(&s, &o);
			else
				head_damf(&s, &o);
		}
	}
	ref_linear(&o, a->wo, a->bo, REF_ACT_NONE, NULL, y);
	ref_free(&q);
	ref_free(&k);
	ref_free(&v);
	ref_free(&pq);
	ref_free(&o);
}
