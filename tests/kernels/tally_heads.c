// SPDX-License-Identifier: MIT
/* Projections, and outputs of tokens. */
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally_parts.h"

/* ---- Projections --------------------------------------------------------- */

/* Columns of x W + b of some tokens into rows of ldy. */
static void project(const struct group *g, const float *x, size_t tokens, const struct damf_mat *w,
		    size_t out, const float *bias, size_t col, size_t cols, float *y, size_t ldy)
{
	size_t d = g->a->width;
	struct damf_mat in = tally_get_mat(w, d, out, (struct part) { 0, d, col, cols, 0 });
	float *b = tally_get(&tally.read_weights, bias ? bias + col : NULL, 0, 1, cols);

	for (size_t t = 0; t < tokens; t++) {
		for (size_t j = 0; j < cols; j++) {
			float v = def_dot(b ? b[j] : 0.0f, x + t * d, in, d, col + j, 0, d);

			PUT(&v, 1, &y[t * ldy + col + j]);
		}
	}
}

float *tally_x(const struct group *g, const struct seq *s)
{
	const struct damf_attention_args *a = g->a;

	return tally_get(&tally.read_activations, s ? s->x : g->x, a->ldx, s ? s->len : g->tokens,
			 a->width);
}

void tally_queries_and_keys(struct group *g)
{
	const struct damf_attention_args *a = g->a;
	bool any = false;

	for (size_t h = 0; h < a->nheads; h++)
		any |= a->heads[h].mode == DAMF_K_MHSA;
	if (!any)
		return;
	project(g, tally_x(g, NULL), g->tokens, &a->wq, a->nqk, a->bq, 0, a->nqk, g->q, a->nqk);
	project(g, tally_x(g, NULL), g->tokens, &a->wk, a->nqk, a->bk, 0, a->nqk, g->k, a->nqk);
}

void tally_factors(struct group *g)
{
	const struct damf_attention_args *a = g->a;
	float *rows = new_f32(g->tokens * a->npq);
	bool any = false;

	for (size_t h = 0; h < a->nheads; h++)
		any |= a->heads[h].mode != DAMF_K_MHSA;
	if (!any)
		return;
	project(g, tally_x(g, NULL), g->tokens, &a->wpq, a->npq, a->bpq, 0, a->npq, rows, a->npq);
	for (size_t i = 0; i < g->tokens * a->npq; i++)
		g->pq[i % a->npq * g->tokens + i / a->npq] = rows[i];
}

/* ---- Outputs of tokens ---------------------------------------------------- */

/* p with its scale, q: of the sequence, not counted. */
static float *peek(const struct group *g, const struct seq *s, const struct damf_k_head *head,
		   bool p)
{
	size_t col = p ? head->p_col : head->q_col;
	float *x = new_f32(s->len);

	for (size_t i = 0; i < s->len; i++)
		x[i] = g->pq[col * g->tokens + s->from + i] *
			(p && (head->flags & DAMF_K_SCALE) ? head->scale : 1.0f);
	return x;
}

bool tally_is_direct(const struct group *g, const struct seq *s, const struct damf_k_head *head)
{
	return head->mode == DAMF_K_SOFTFOLD &&
	       !def_nodes(peek(g, s, head, true), peek(g, s, head, false), s->len, head->coef[0]);
}

static bool needs_values(const struct damf_k_head *head)
{
	return has_own(head) || (head->flags & DAMF_K_BAND);
}

/* V of a head that some sequences alone need it of; x is theirs. */
static void some_values(struct group *g, size_t h, float *const *x)
{
	const struct damf_attention_args *a = g->a;
	const struct damf_k_head *head = &a->heads[h];
	float *all = new_f32(g->tokens * a->width), *v = new_f32(g->tokens * a->nv);
	size_t n = 0;

	for (size_t s = 0; s < g->nseq; s++) {
		if (!*value_flag(g, h, s))
			continue;
		memcpy(all + n * a->width, x[s], g->seq[s].len * a->width * sizeof(*all));
		n += g->seq[s].len;
	}
	if (!n)
		return;
	project(g, all, n, &a->wv, a->nv, a->bv, head->v_col, head->d_v, v, a->nv);
	n = 0;
	for (size_t s = 0; s < g->nseq; s++) {
		for (size_t i = 0; *value_flag(g, h, s) && i < g->seq[s].len; i++, n++)
			memcpy(g->v + (g->seq[s].from + i) * a->nv + head->v_col,
			       v + n * a->nv + head->v_col, head->d_v * sizeof(*v));
	}
}

/* V of heads that need it in every sequence, then of those that are direct in some. */
void tally_values(struct group *g)
{
	const struct damf_attention_args *a = g->a;
	float *all = NULL, *some[GROUP_SEQS] = { NULL };

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];

		for (size_t s = 0; s < g->nseq; s++) {
			*value_flag(g, h, s) = needs_values(head) || tally_is_direct(g, &g->seq[s], head);
			if (!needs_values(head) && *value_flag(g, h, s) && !some[s])
				some[s] = tally_x(g, &g->seq[s]);
		}
		if (!needs_values(head))
			continue;
		if (!all)
			all = tally_x(g, NULL);
		project(g, all, g->tokens, &a->wv, a->nv, a->bv, head->v_col, head->d_v, g->v,
			a->nv);
	}
	for (size_t h = 0; h < a->nheads; h++) {
		if (!needs_values(&a->heads[h]))
			some_values(g, h, some);
	}
}

float *tally_columns(const float *x, size_t ld, size_t len, size_t col, size_t cols)
{
	return tally_get(&tally.read_intermediates, x + col, ld, len, cols);
}

/* V of a head, not counted. */
static float *get_values(const struct group *g, const struct seq *s, const struct damf_k_head *head)
{
	float *v = new_f32(s->len * head->d_v);

	for (size_t i = 0; i < s->len; i++)
		memcpy(v + i * head->d_v, g->v + (s->from + i) * g->a->nv + head->v_col,
		       head->d_v * sizeof(*v));
	return v;
}

/* Output of a head for the tokens of a sequence; false if its mode has none. */
static bool own_output(const struct group *g, const struct seq *s, const struct damf_k_head *head,
		       float *o)
{
	const struct damf_attention_args *a = g->a;
	float *v, *q, *k;

	if (head->mode == DAMF_K_MHSA) {
		q = tally_columns(g->q + s->from * a->nqk, a->nqk, s->len, head->qk_col, head->d_qk);
		k = tally_columns(g->k + s->from * a->nqk, a->nqk, s->len, head->qk_col, head->d_qk);
	} else if (head->mode == DAMF_K_SHIFT) {
		v = get_values(g, s, head);
		memcpy(o, tally_shift(g->pq + head->p_col * g->tokens + s->from,
				      g->pq + head->q_col * g->tokens + s->from, v, s->len,
				      head->d_v), s->len * head->d_v * sizeof(*o));
		return true;
	} else if (tally_is_direct(g, s, head)) {
		q = GET(peek(g, s, head, true), s->len);
		k = GET(peek(g, s, head, false), s->len);
	} else {
		return false;
	}
	v = tally_columns(g->v + s->from * a->nv, a->nv, s->len, head->v_col, head->d_v);
	if (head->mode == DAMF_K_MHSA)
		def_exact(q, k, head->d_qk, head->scale, v, head->d_v, s->len, o);
	else
		def_exact(q, k, 1, 1.0f, v, head->d_v, s->len, o);
	return true;
}

static void put_output(const struct group *g, const struct seq *s, const struct damf_k_head *head,
		       const float *o)
{
	tally_put(&tally.write_intermediates, o, head->d_v, s->len, head->d_v,
		  g->o + s->from * g->a->nv + head->v_col, g->a->nv);
}

void tally_outputs(const struct group *g, const struct seq *s)
{
	const struct damf_attention_args *a = g->a;

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		float *o = new_f32(s->len * head->d_v), *v;

		if (own_output(g, s, head, o)) {
			put_output(g, s, head, o);
			if (head->flags & DAMF_K_BAND)
				o = tally_columns(g->o + s->from * a->nv, a->nv, s->len,
						head->v_col, head->d_v);
		}
		if (!(head->flags & DAMF_K_BAND))
			continue;
		v = tally_columns(g->v + s->from * a->nv, a->nv, s->len, head->v_col, head->d_v);
		def_band(head, v, s->len, o);
		put_output(g, s, head, o);
	}
}
