// SPDX-License-Identifier: MIT
/* Terms: their coefficients, sums over tokens, and these by W_V and W_O. */
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally_parts.h"

static struct term *add_term(struct group *g, struct seq *s, const struct damf_k_head *head,
			     const float *c, const float *mu, float tau)
{
	struct term *t = tally_new(1, sizeof(*t)), **end = &s->terms;

	*t = (struct term) {
		.head = head, .mu = mu ? new_f32(s->len) : NULL, .tau = new_f32(1),
		.sum = new_f32(g->a->width), .s = new_f32(head->d_v), .z = new_f32(g->a->out),
	};
	if (c) {
		t->c = new_f32(s->len);
		PUT(c, s->len, t->c);
	}
	if (mu)
		PUT(mu, s->len, t->mu);
	PUT(&tau, 1, t->tau);
	while (*end)
		end = &(*end)->next;
	return *end = t;
}

static float *get_factors(const struct group *g, const struct seq *s, size_t col, size_t rank)
{
	return tally_get(&tally.read_intermediates, g->pq + col * g->tokens + s->from, g->tokens,
			 rank, s->len);
}

static struct def_terms head_terms(const struct group *g, const struct seq *s,
				   const struct damf_k_head *head)
{
	float *p, *q;

	if ((head->mode != DAMF_K_FOLD && head->mode != DAMF_K_SOFTFOLD) || tally_is_direct(g, s, head))
		return (struct def_terms) { 0 };
	p = get_factors(g, s, head->p_col, head->rank);
	q = get_factors(g, s, head->q_col, head->rank);
	if (head->mode == DAMF_K_FOLD)
		return def_fold(head, p, q, s->len);
	for (size_t i = 0; i < s->len && (head->flags & DAMF_K_SCALE); i++)
		p[i] *= head->scale;
	return def_softfold(p, q, s->len, head->coef[0]);
}

static void sink(struct group *g, struct seq *s, const struct damf_k_head *head)
{
	const struct damf_attention_args *a = g->a;
	float *one = new_f32(s->len), *sum = new_f32(a->width);
	float *first = tally_get(&tally.read_activations, s->x, 0, 1, a->width);
	float *last = tally_get(&tally.read_activations, s->x + (s->len - 1) * a->ldx, 0, 1,
				a->width);
	struct term *t;

	for (size_t i = 0; i < s->len; i++)
		one[i] = 1.0f;
	t = add_term(g, s, head, NULL, one, head->sink[0] + head->sink[1]);
	def_sink(head->sink, first, last, a->width, sum);
	PUT(sum, a->width, t->sum);
}

static void integer_terms(struct group *g, struct seq *s)
{
	const struct damf_attention_args *a = g->a;

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		float tau[5], *rows;

		if (head->mode != DAMF_K_FOLDSHIFT)
			continue;
		if (!s->ints.heads)
			tally_foldshift_begin(&s->ints, s->x, a->ldx, s->len, a->width,
					      a->nheads);
		rows = tally_foldshift_head(&s->ints, head,
					    g->pq + head->p_col * g->tokens + s->from,
					    g->pq + head->q_col * g->tokens + s->from, tau);
		for (size_t k = 0; k <= head->order; k++)
			add_term(g, s, head, NULL, NULL, tau[k])->sum = rows + k * a->width;
	}
}

/* Coefficients, and the sums over tokens by them: that of ones is the same for all heads. */
void tally_sums(struct group *g, struct seq *s)
{
	const struct damf_attention_args *a = g->a;
	float *x = NULL, *ones = NULL, *sum = new_f32(a->width);

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		struct def_terms d = head_terms(g, s, head);

		if (d.n && !x)
			x = tally_x(g, s);
		for (size_t k = 0; k < d.n; k++) {
			bool one = head->mode == DAMF_K_FOLD && !k;
			struct term *t = add_term(g, s, head, one ? NULL : d.c + k * s->len,
						  d.mu + k * s->len, d.tau[k]);

			if (one && ones) {
				t->sum = ones;
				continue;
			}
			def_token_sum(x, a->width, s->len, one ? NULL : GET(t->c, s->len), a->width,
				      sum);
			PUT(sum, a->width, t->sum);
			if (one)
				ones = t->sum;
		}
		def_terms_free(&d);
		if (head->flags & DAMF_K_SINKS)
			sink(g, s, head);
	}
	integer_terms(g, s);
}

/* All terms of a head, in integers or not, by its columns of W_V and rows of W_O. */
static void vectors(struct group *g, const struct damf_k_head *head, bool ints)
{
	struct damf_attention_args in = *g->a;
	size_t d = in.width;
	bool ready = false;

	for (size_t s = 0; s < g->nseq; s++) {
		for (struct term *t = g->seq[s].terms; t; t = t->next) {
			float *v = new_f32(head->d_v), *z = new_f32(in.out);

			if (t->head != head || ints != !t->mu)
				continue;
			if (!ready) {
				in.wv = tally_get_mat(&g->a->wv, d, in.nv, (struct part) {
						      0, d, head->v_col, head->d_v, 0 });
				in.wo = tally_get_mat(&g->a->wo, in.nv, in.out, (struct part) {
						      head->v_col, head->d_v, 0, in.out, 0 });
				in.bv = tally_get(&tally.read_weights, g->a->bv ?
						  g->a->bv + head->v_col : NULL, 0, 1, head->d_v);
				in.bv = in.bv ? in.bv - head->v_col : NULL;
				ready = true;
			}
			def_vector_v(&in, head, GET(t->sum, d), *GET(t->tau, 1), v);
			PUT(v, head->d_v, t->s);
			def_vector_o(&in, head, GET(t->s, head->d_v), z);
			PUT(z, in.out, t->z);
		}
	}
}

void tally_vectors(struct group *g)
{
	for (size_t h = 0; h < g->a->nheads; h++) {
		vectors(g, &g->a->heads[h], false);
		vectors(g, &g->a->heads[h], true);
	}
}
