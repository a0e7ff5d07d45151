// SPDX-License-Identifier: MIT
/* The last product: columns of O by W_O, and the terms. */
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally_parts.h"

/* The head whose columns of V come next. */
static size_t next_head(const struct damf_attention_args *a, size_t col)
{
	size_t next = a->nheads;

	for (size_t h = 0; h < a->nheads; h++) {
		if (a->heads[h].v_col >= col &&
		    (next == a->nheads || a->heads[h].v_col < a->heads[next].v_col))
			next = h;
	}
	return next;
}

/* W_O, of which rows are fetched when the first sequence needs them. */
struct rows {
	struct damf_mat w;	/* [nv][out], what is there of it */
	bool *there;		/* [nheads] */
	bool any;
};

static void get_rows(const struct group *g, struct rows *r, size_t h)
{
	const struct damf_attention_args *a = g->a;
	const struct damf_k_head *head = &a->heads[h];
	size_t element = tally_element(a->wo.type);
	struct damf_mat w;

	if (r->there[h])
		return;
	w = tally_get_mat(&a->wo, a->nv, a->out,
			  (struct part) { head->v_col, head->d_v, 0, a->out, r->any });
	for (size_t i = 0; i < head->d_v * a->out; i++) {
		size_t at = element * tally_place(w.type, a->nv, head->v_col + i / a->out, i % a->out);

		memcpy((char *)(uintptr_t)r->w.data + at, (const char *)w.data + at, element);
	}
	r->w.scales = w.scales;
	r->there[h] = true;
	r->any = true;
}

/* Columns that O has in a sequence, of all heads; and their rows of W_O, as close. */
struct output {
	float *o;		/* [len][n] */
	struct damf_mat w;	/* [n][out] */
	size_t n;
};

static struct output gather(const struct group *g, const struct seq *s, struct rows *r)
{
	const struct damf_attention_args *a = g->a;
	size_t element = tally_element(a->wo.type), h, n = 0, all = 0;
	char *w = tally_new((a->out + 31) / 32 * 32 * (a->nv + 4), element);
	struct output out = { .w = r->w };

	for (h = 0; h < a->nheads; h++)
		all += *value_flag(g, h, (size_t)(s - g->seq)) ? a->heads[h].d_v : 0;
	out = (struct output) { new_f32(s->len * all), r->w, all };
	for (size_t col = 0; (h = next_head(a, col)) < a->nheads;
	     col = a->heads[h].v_col + a->heads[h].d_v) {
		const struct damf_k_head *head = &a->heads[h];
		float *o;

		if (!*value_flag(g, h, (size_t)(s - g->seq)))
			continue;
		get_rows(g, r, h);
		o = tally_columns(g->o + s->from * a->nv, a->nv, s->len, head->v_col, head->d_v);
		for (size_t i = 0; i < s->len * head->d_v; i++)
			out.o[i / head->d_v * all + n + i % head->d_v] = o[i];
		for (size_t i = 0; i < head->d_v * a->out; i++)
			memcpy(w + element * tally_place(a->wo.type, all, n + i / a->out, i % a->out),
			       (const char *)r->w.data + element *
			       tally_place(a->wo.type, a->nv, head->v_col + i / a->out, i % a->out),
			       element);
		n += head->d_v;
	}
	out.w.data = w;
	out.w.scales = r->w.scales;
	return out;
}

static void add_output(const struct group *g, const struct seq *s, struct rows *r, float *y)
{
	const struct damf_attention_args *a = g->a;
	struct output out = gather(g, s, r);

	for (size_t i = 0; out.n && i < s->len * a->out; i++)
		y[i] = def_dot(y[i], out.o + i / a->out * out.n, out.w, out.n, i % a->out, 0, out.n);
}

static void add_integers(const struct group *g, struct seq *s, float *y)
{
	size_t out = g->a->out, n = 0;
	float *z = new_f32(5 * g->a->nheads * out);

	for (struct term *t = s->terms; t; t = t->next) {
		if (!t->mu)
			memcpy(z + n++ * out, t->z, out * sizeof(*z));
	}
	if (n)
		tally_foldshift_mix(&s->ints, z, n, out, y);
}

void tally_last_product(struct group *g)
{
	const struct damf_attention_args *a = g->a;
	float *bias = tally_get(&tally.read_weights, a->bo, 0, 1, a->out);
	float *y = new_f32(g->tokens * a->out);
	struct rows rows = {
		.w = { .type = a->wo.type, .xtype = a->wo.xtype },
		.there = tally_new(a->nheads, sizeof(bool)),
	};

	rows.w.data = tally_new((a->out + 31) / 32 * 32 * (a->nv + 4), tally_element(a->wo.type));
	for (size_t i = 0; bias && i < g->tokens * a->out; i++)
		y[i] = bias[i % a->out];
	for (size_t s = 0; s < g->nseq; s++)
		add_output(g, &g->seq[s], &rows, y + g->seq[s].from * a->out);
	for (size_t s = 0; s < g->nseq; s++) {
		const struct seq *q = &g->seq[s];

		for (struct term *t = q->terms; t; t = t->next) {
			if (t->mu)
				def_mix(GET(t->mu, q->len), GET(t->z, a->out), q->len, a->out,
					y + q->from * a->out, a->out);
		}
		add_integers(g, &g->seq[s], y + q->from * a->out);
		tally_put(&tally.write_activations, y + q->from * a->out, a->out, q->len, a->out,
			  q->y, a->ldy);
	}
}
