// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally.h"

float *def_new(size_t n)
{
	float *p = calloc(n + 1, sizeof(*p));

	if (!p)
		abort();
	return p;
}

float *def_project(const struct damf_attention_args *a, const float *x, size_t len,
		   struct damf_mat w, const float *b, size_t col, size_t cols)
{
	float *y = def_new(len * cols);

	for (size_t n = 0; n < len; n++) {
		for (size_t j = 0; j < cols; j++)
			y[n * cols + j] = def_dot(b ? b[col + j] : 0.0f, x + n * a->ldx, w,
						  a->width, col + j, 0, a->width);
	}
	return y;
}

float *def_soft_p(const struct damf_attention_args *a, const struct damf_k_head *h, const float *x,
		  size_t len)
{
	float *p = def_project(a, x, len, a->wpq, a->bpq, h->p_col, 1);

	for (size_t i = 0; i < len && (h->flags & DAMF_K_SCALE); i++)
		p[i] *= h->scale;
	return p;
}

float *def_soft_q(const struct damf_attention_args *a, const struct damf_k_head *h, const float *x,
		  size_t len)
{
	return def_project(a, x, len, a->wpq, a->bpq, h->q_col, 1);
}

/* ---- Outputs of tokens --------------------------------------------------- */

/* One query's scores, then its weights: e; the reciprocal of their sum. */
static float exact_weights(const float *q, const float *k, size_t d_qk, float scale, size_t len,
			   float *e)
{
	float max = -INFINITY, sum[4] = { 0 };

	for (size_t n = 0; n < len; n++) {
		float score = 0.0f;

		for (size_t i = 0; i < d_qk; i++)
			score = DYNAMIC_FMA(k[n * d_qk + i], q[i], score);
		e[n] = score * scale;
		tally_aside(1);
		max = e[n] > max ? e[n] : max;
	}
	for (size_t n = 0; n < len; n++) {
		e[n] = def_exp(e[n] - max);
		tally_aside(1);
		sum[n % 4] += e[n];
	}
	return DIVIDE(1.0f, (sum[0] + sum[2]) + (sum[1] + sum[3]));
}

void def_exact(const float *q, const float *k, size_t d_qk, float scale, const float *v,
	       size_t d_v, size_t len, float *o)
{
	float *e = def_new(len);

	for (size_t m = 0; m < len; m++) {
		float inverse = exact_weights(q + m * d_qk, k, d_qk, scale, len, e);

		for (size_t j = 0; j < d_v; j++) {
			float acc = 0.0f;

			for (size_t n = 0; n < len; n++)
				acc = DYNAMIC_FMA(v[n * d_v + j], e[n], acc);
			o[m * d_v + j] = acc * inverse;
		}
	}
	free(e);
}

void def_band(const struct damf_k_head *h, const float *v, size_t len, float *o)
{
	for (size_t i = 0; i < len * h->d_v; i++) {
		size_t m = i / h->d_v, j = i % h->d_v;

		for (int off = -7; off <= 7; off++) {
			ptrdiff_t n = (ptrdiff_t)m + off;

			if (h->band[off + 7] != 0.0f && n >= 0 && n < (ptrdiff_t)len)
				o[i] = STATIC_FMA(h->band[off + 7], v[(size_t)n * h->d_v + j],
						  o[i]);
		}
	}
}

/* Whether the mode gives each token an output of its own. */
static int own_output(const struct damf_attention_args *a, const struct damf_k_head *h,
		      const float *x, size_t len)
{
	float *p, *q;
	size_t nodes;

	if (h->mode != DAMF_K_SOFTFOLD)
		return h->mode == DAMF_K_MHSA || h->mode == DAMF_K_SHIFT;
	p = def_soft_p(a, h, x, len);
	q = def_soft_q(a, h, x, len);
	nodes = def_nodes(p, q, len, h->coef[0]);
	free(p);
	free(q);
	return !nodes;
}

/* The columns of O of a head, [len][d_v]; NULL if it has none. */
static float *values(const struct damf_attention_args *a, const struct damf_k_head *h,
		     const float *x, size_t len)
{
	int own = own_output(a, h, x, len);
	float *q, *k, *v, *o;

	if (!own && !(h->flags & DAMF_K_BAND))
		return NULL;
	v = def_project(a, x, len, a->wv, a->bv, h->v_col, h->d_v);
	o = h->mode == DAMF_K_SHIFT ? def_shift_values(a, h, x, len, v) : def_new(len * h->d_v);
	if (own && h->mode == DAMF_K_MHSA) {
		q = def_project(a, x, len, a->wq, a->bq, h->qk_col, h->d_qk);
		k = def_project(a, x, len, a->wk, a->bk, h->qk_col, h->d_qk);
		def_exact(q, k, h->d_qk, h->scale, v, h->d_v, len, o);
		free(q);
		free(k);
	} else if (own && h->mode == DAMF_K_SOFTFOLD) {
		q = def_soft_p(a, h, x, len);
		k = def_soft_q(a, h, x, len);
		def_exact(q, k, 1, 1.0f, v, h->d_v, len, o);
		free(q);
		free(k);
	}
	if (h->flags & DAMF_K_BAND)
		def_band(h, v, len, o);
	free(v);
	return o;
}

/* ---- Terms --------------------------------------------------------------- */

void def_vector_v(const struct damf_attention_args *a, const struct damf_k_head *h,
		  const float *sum, float tau, float *s)
{
	for (size_t j = 0; j < h->d_v; j++)
		s[j] = def_dot(a->bv ? a->bv[h->v_col + j] * tau : 0.0f, sum, a->wv, a->width,
			       h->v_col + j, 0, a->width);
}

void def_vector_o(const struct damf_attention_args *a, const struct damf_k_head *h,
		  const float *s, float *z)
{
	for (size_t j = 0; j < a->out; j++)
		z[j] = def_dot(0.0f, s, a->wo, a->nv, j, h->v_col, h->d_v);
}

void def_mix(const float *mu, const float *z, size_t len, size_t out, float *y, size_t ldy)
{
	for (size_t m = 0; m < len; m++) {
		for (size_t j = 0; j < out; j++)
			y[m * ldy + j] = DYNAMIC_FMA(mu ? mu[m] : 1.0f, z[j], y[m * ldy + j]);
	}
}

void def_sink(const float sink[2], const float *first, const float *last, size_t width, float *sum)
{
	for (size_t i = 0; i < width; i++) {
		tally.static_macs++;
		sum[i] = STATIC_FMA(sink[1], last[i], sink[0] * first[i]);
	}
}

/* Adds one term: a sum of tokens of X by W_V and by W_O, as much of it as each token has. */
static void add_term(const struct damf_attention_args *a, const struct damf_k_head *h,
		     const float *sum, float tau, const float *mu, size_t len, float *y)
{
	float *s = def_new(h->d_v), *z = def_new(a->out);

	def_vector_v(a, h, sum, tau, s);
	def_vector_o(a, h, s, z);
	def_mix(mu, z, len, a->out, y, a->ldy);
	free(s);
	free(z);
}

/* Rows of p or q, [rank][len]. */
static float *factors(const struct damf_attention_args *a, const float *x, size_t len, size_t col,
		      size_t rank)
{
	float *all = def_new(rank * len);

	for (size_t k = 0; k < rank; k++) {
		float *one = def_project(a, x, len, a->wpq, a->bpq, col + k, 1);

		memcpy(all + k * len, one, len * sizeof(*one));
		free(one);
	}
	return all;
}

static struct def_terms terms(const struct damf_attention_args *a, const struct damf_k_head *h,
			      const float *x, size_t len)
{
	struct def_terms t = { 0 };
	float *p, *q;

	if (h->mode == DAMF_K_FOLD) {
		p = factors(a, x, len, h->p_col, h->rank);
		q = factors(a, x, len, h->q_col, h->rank);
		t = def_fold(h, p, q, len);
	} else if (h->mode == DAMF_K_SOFTFOLD) {
		p = def_soft_p(a, h, x, len);
		q = def_soft_q(a, h, x, len);
		t = def_softfold(p, q, len, h->coef[0]);
	} else {
		return t;
	}
	free(p);
	free(q);
	return t;
}

static void add_terms(const struct damf_attention_args *a, const struct damf_k_head *h,
		      const float *x, size_t len, float *y)
{
	struct def_terms t = terms(a, h, x, len);
	float *sum = def_new(a->width);

	for (size_t k = 0; k < t.n; k++) {
		def_token_sum(x, a->ldx, len, t.c + k * len, a->width, sum);
		add_term(a, h, sum, t.tau[k], t.mu + k * len, len, y);
	}
	if (h->flags & DAMF_K_SINKS) {
		def_sink(h->sink, x, x + (len - 1) * a->ldx, a->width, sum);
		add_term(a, h, sum, h->sink[0] + h->sink[1], NULL, len, y);
	}
	free(sum);
	def_terms_free(&t);
}

/* ---- All of it ----------------------------------------------------------- */

/* The head whose columns of V come next. */
static const struct damf_k_head *next_head(const struct damf_attention_args *a, size_t col)
{
	const struct damf_k_head *next = NULL;

	for (size_t i = 0; i < a->nheads; i++) {
		const struct damf_k_head *h = &a->heads[i];

		if (h->v_col >= col && (!next || h->v_col < next->v_col))
			next = h;
	}
	return next;
}

/* Outputs of tokens by W_O: of a head after the other, or in int8 all of them as one row. */
static void add_values(const struct damf_attention_args *a, const float *x, size_t len, float *y)
{
	const struct damf_k_head *h;
	float *all = def_new(len * a->nv);
	int any = 0;

	for (size_t col = 0; (h = next_head(a, col)); col = h->v_col + h->d_v) {
		float *o = values(a, h, x, len);

		for (size_t i = 0; o && i < len * h->d_v; i++)
			all[i / h->d_v * a->nv + h->v_col + i % h->d_v] = o[i];
		for (size_t i = 0; o && a->wo.type != DAMF_K_I8 && i < len * a->out; i++) {
			float *to = &y[i / a->out * a->ldy + i % a->out];

			*to = def_dot(*to, o + i / a->out * h->d_v, a->wo, a->nv, i % a->out,
				      h->v_col, h->d_v);
		}
		any |= o != NULL;
		free(o);
	}
	for (size_t i = 0; any && a->wo.type == DAMF_K_I8 && i < len * a->out; i++) {
		float *to = &y[i / a->out * a->ldy + i % a->out];

		*to = def_dot(*to, all + i / a->out * a->nv, a->wo, a->nv, i % a->out, 0, a->nv);
	}
	free(all);
}

static void sequence(const struct damf_attention_args *a, const float *x, size_t len, float *y)
{
	for (size_t m = 0; m < len; m++) {
		for (size_t j = 0; j < a->out; j++)
			y[m * a->ldy + j] = a->bo ? a->bo[j] : 0.0f;
	}
	add_values(a, x, len, y);
	for (size_t i = 0; i < a->nheads; i++)
		add_terms(a, &a->heads[i], x, len, y);
	def_foldshift_heads(a, x, len, y);
}

void def_attention(const struct damf_attention_args *a)
{
	for (size_t b = 0; b < a->seqs; b++) {
		size_t from = (size_t)a->offsets[b], len = (size_t)a->offsets[b + 1] - from;

		if (len)
			sequence(a, a->x + from * a->ldx, len, a->y + from * a->ldy);
	}
}
