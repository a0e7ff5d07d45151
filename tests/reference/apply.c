// SPDX-License-Identifier: MIT
/* What terms add to the output of a layer. */
#include <stdlib.h>

#include "internal.h"

/* x_k of a term: sums over tokens in chunks of 128 -> [1][d]. */
static struct ref_mat token_sums(const struct ref_layer *l, struct ref_span s,
				 const struct ref_num *c)
{
	size_t d = l->x->cols;
	struct ref_mat x = ref_new(1, d);
	double steps = fmin((double)s.len, 128.0) + (double)s.len / 128.0 + 2.0;

	for (size_t n = 0; n < s.len; n++) {
		for (size_t i = 0; i < d; i++) {
			size_t at = (s.from + n) * d + i;

			x.v[i] += c[n].v * l->x->v[at];
			x.m[i] += fabs(c[n].v) * l->x->m[at];
			x.e[i] += (fabs(c[n].v) + REF_U * c[n].e) * l->x->e[at] +
				c[n].e * fabs(l->x->v[at]);
		}
	}
	for (size_t i = 0; i < d; i++)
		x.e[i] += steps * x.m[i];
	return x;
}

/* Z of a term: its sums through the head's columns of W_V and rows of W_O -> [1][d]. */
static struct ref_mat through_weights(const struct ref_layer *l, struct ref_span s,
				      const struct ref_head *h, const struct ref_num *c,
				      struct ref_num tau, const struct ref_mat *wv,
				      const struct ref_mat *wo)
{
	struct ref_mat x = token_sums(l, s, c), sums = ref_new(1, h->d_v);
	struct ref_mat z = ref_new(1, wo->cols);

	for (size_t j = 0; l->a->bv && j < h->d_v; j++) {
		struct ref_num b = { l->a->bv->v[h->v_col + j], 0.0 };

		b = ref_mul(b, tau);
		sums.v[j] = b.v;
		sums.m[j] = fabs(b.v);
		sums.e[j] = b.e;
	}
	ref_product_row(&x, 0, wv, &sums, 0);
	ref_product_row(&sums, 0, wo, &z, 0);
	ref_free(&x);
	ref_free(&sums);
	return z;
}

/* Adds term k, z, to all queries; apart: what the neighbours of mu make of it. */
static void add_term(const struct ref_terms *t, size_t k, const struct ref_mat *z,
		     struct ref_mat *c, double *apart)
{
	size_t d = z->cols;

	for (size_t i = 0; i < t->len * d; i++) {
		size_t m = i / d, at = k * t->len + m;
		struct ref_num mu = t->mu[at];
		double most = fabs(z->v[i % d]) + REF_U * z->e[i % d];

		c->v[i] += mu.v * z->v[i % d];
		c->m[i] += fabs(mu.v * z->v[i % d]);
		c->e[i] += fabs(mu.v) * z->e[i % d] + mu.e * most;
		if (t->blur[m] > 0.0) {
			double numerator = fabs(t->t[at].v) + REF_U * t->t[at].e;

			c->e[i] += most * numerator * t->blur[m] / REF_U;
			c->e[i] += k ? 0.0 : most / (double)t->len / REF_U;
		}
		for (int side = 0; t->near[0] && side < 2; side++)
			apart[2 * i + (size_t)side] += (t->near[side][at] - mu.v) * z->v[i % d];
	}
}

/* The head's columns of W_V and rows of W_O. */
static struct ref_mat head_wv(const struct ref_layer *l, const struct ref_head *h)
{
	return ref_cut(l->a->wv, NULL, l->a->wv->rows, h->v_col, h->d_v);
}

static struct ref_mat head_wo(const struct ref_layer *l, const struct ref_head *h)
{
	size_t *rows = ref_alloc(h->d_v, sizeof(*rows));
	struct ref_mat w;

	for (size_t j = 0; j < h->d_v; j++)
		rows[j] = h->v_col + j;
	w = ref_cut(l->a->wo, rows, h->d_v, 0, l->a->wo->cols);
	free(rows);
	return w;
}

void ref_apply_terms(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		     const struct ref_terms *t, struct ref_mat *c)
{
	struct ref_mat wv = head_wv(l, h), wo = head_wo(l, h);
	double *apart = ref_alloc(2 * s.len * wo.cols, sizeof(*apart));

	for (size_t k = 0; k < t->count; k++) {
		struct ref_mat z = through_weights(l, s, h, t->c + k * s.len, t->tau[k], &wv, &wo);

		add_term(t, k, &z, c, apart);
		ref_free(&z);
	}
	for (size_t i = 0; i < s.len * wo.cols; i++)
		c->e[i] += 1.5 * fmax(fabs(apart[2 * i]), fabs(apart[2 * i + 1])) / REF_U;
	free(apart);
	ref_free(&wv);
	ref_free(&wo);
}

/* p and q of a head as they are, [len][rank]. */
struct pair {
	struct ref_num *p, *q;
};

static struct pair scores_of(const struct ref_layer *l, struct ref_span s, const struct ref_head *h)
{
	size_t count = s.len * h->rank;
	struct pair x = { ref_alloc(count, sizeof(*x.p)), ref_alloc(count, sizeof(*x.q)) };

	for (size_t i = 0; i < count; i++) {
		x.p[i] = ref_score_at(l, s.from + i / h->rank, h->p_col + i % h->rank);
		x.q[i] = ref_score_at(l, s.from + i / h->rank, h->q_col + i % h->rank);
	}
	return x;
}

static void free_pair(struct pair *x)
{
	free(x->p);
	free(x->q);
}

/* What is summed over tokens, and the scores it came from (FOLD). */
struct own {
	struct ref_terms t;
	struct ref_scores scores;
	bool *regular;		/* as f32 decides, or NULL */
};

static void own_fold(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		     const struct pair *x, struct own *own)
{
	if (l->exact) {
		own->scores = ref_scores_bits(h, x->p, x->q, s.len);
		own->regular = ref_alloc(s.len, sizeof(*own->regular));
		ref_fold_regular(h, &own->scores, s.len, l->a->guard, own->regular);
	} else {
		own->scores = ref_scores_float(h, x->p, x->q, s.len);
	}
	ref_fold_terms(h, &own->scores, s.len, l->a->guard, own->regular, &own->t);
}

static struct own make_own(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
			   unsigned int nodes)
{
	struct pair x = scores_of(l, s, h);
	struct ref_num g = { h->scale, 0.0 };
	struct own own = { 0 };

	if (!nodes) {
		own_fold(l, s, h, &x, &own);
	} else {
		for (size_t n = 0; h->flags & REF_SCALE && n < s.len; n++)
			x.p[n] = ref_mul(g, x.p[n]);
		ref_softfold_terms(x.p, x.q, s.len, nodes, &own.t);
	}
	free_pair(&x);
	return own;
}

static void free_own(struct own *own)
{
	ref_terms_free(&own->t);
	ref_scores_free(&own->scores);
	free(own->regular);
}

/* Weights of query m by the L x L form; whether they are uniform has been decided. */
static void direct_weights(const struct ref_head *h, const struct own *own, const double *p,
			   const double *q, size_t m, double *w)
{
	size_t len = own->t.len;

	if (h->mode == REF_SOFTFOLD)
		ref_weights(h, p, q, len, 0.0, m, w);
	else if (own->t.regular[m])
		ref_score_weights(h, &own->scores, len, m, w);
	else
		for (size_t n = 0; n < len; n++)
			w[n] = 1.0 / (double)len;
}

/* Values of the head's output, by the L x L form -> o [len][d_v]. */
static void direct_outputs(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
			   const struct own *own, double *o)
{
	double *p = ref_alloc(2 * s.len * h->rank, sizeof(*p)), *q = p + s.len * h->rank;
	double *w = ref_alloc(s.len, sizeof(*w));
	struct pair x = scores_of(l, s, h);

	for (size_t i = 0; i < s.len * h->rank; i++) {
		p[i] = x.p[i].v;
		q[i] = x.q[i].v;
	}
	for (size_t m = 0; m < s.len; m++) {
		double rest = 1.0;

		direct_weights(h, own, p, q, m, w);
		for (size_t n = 0; n < s.len; n++) {
			for (size_t j = 0; j < h->d_v; j++)
				o[m * h->d_v + j] += w[n] *
					l->v.v[(s.from + n) * l->v.cols + h->v_col + j];
			rest -= w[n];
		}
		/* weights that are centred make up 1 but for rounding, which the bias is spared */
		for (size_t j = 0; l->a->bv && j < h->d_v; j++)
			o[m * h->d_v + j] += rest * l->a->bv->v[h->v_col + j];
	}
	free_pair(&x);
	free(p);
	free(w);
}

/* max |V| of column j of the head */
static double largest_v(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
			size_t j)
{
	double most = 0.0;

	for (size_t n = 0; n < s.len; n++)
		most = fmax(most, fabs(l->v.v[(s.from + n) * l->v.cols + h->v_col + j]));
	return most;
}

/* Puts the values of the L x L form in the place of the terms'. */
static void judge_by_direct(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
			    const struct own *own, struct ref_mat *c)
{
	double *o = ref_alloc(s.len * h->d_v, sizeof(*o));
	struct ref_mat wo = head_wo(l, h);

	direct_outputs(l, s, h, own, o);
	for (size_t i = 0; i < s.len * wo.cols; i++)
		c->v[i] = 0.0;
	for (size_t j = 0; j < h->d_v; j++) {
		double off = h->mode == REF_SOFTFOLD ? h->coef[0] * largest_v(l, s, h, j) : 0.0;

		for (size_t i = 0; i < s.len * wo.cols; i++) {
			double w = wo.v[j * wo.cols + i % wo.cols];

			c->v[i] += o[i / wo.cols * h->d_v + j] * w;
			c->e[i] += off * fabs(w) / REF_U;
		}
	}
	free(o);
	ref_free(&wo);
}

size_t ref_term_head(const struct ref_layer *l, struct ref_span s, const struct ref_head *h,
		     unsigned int nodes, struct ref_mat *c)
{
	struct ref_mat sum = ref_new(s.len, l->a->wo->cols);
	struct own own = make_own(l, s, h, nodes);
	size_t count = own.t.count;

	ref_apply_terms(l, s, h, &own.t, &sum);
	if (!l->a->wv->factors && !l->a->wo->factors)
		judge_by_direct(l, s, h, &own, &sum);
	for (size_t i = 0; i < s.len * sum.cols; i++) {
		c->v[i] += sum.v[i];
		c->m[i] += sum.m[i];
		c->e[i] += sum.e[i];
	}
	free_own(&own);
	ref_free(&sum);
	return count;
}

unsigned int ref_head_nodes(const struct ref_layer *l, struct ref_span s, const struct ref_head *h)
{
	float p_high = -INFINITY, p_low = INFINITY, q_high = -INFINITY, q_low = INFINITY;

	for (size_t n = 0; n < s.len; n++) {
		const float *row = l->pqf + (s.from + n) * l->pq.cols;
		float p = h->flags & REF_SCALE ? (float)h->scale * row[h->p_col] : row[h->p_col];

		p_high = fmaxf(p_high, p);
		p_low = fminf(p_low, p);
		q_high = fmaxf(q_high, row[h->q_col]);
		q_low = fminf(q_low, row[h->q_col]);
	}
	return ref_softfold_nodes(p_high, p_low, q_high, q_low, h->coef[0]);
}
