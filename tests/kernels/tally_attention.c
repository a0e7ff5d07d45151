// SPDX-License-Identifier: MIT
/* An attention job, a group of sequences at a time, part by part. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally_shift.h"

#define GET(x, n)	tally_get(&tally.read_intermediates, x, 0, 1, n)
#define PUT(x, n, to)	tally_put(&tally.write_intermediates, x, 0, 1, n, to, 0)

/* A term of a head in a sequence, put aside. */
struct term {
	const struct damf_k_head *head;
	float *c;		/* [len], NULL: all are 1, or it is a sink */
	float *mu;		/* NULL: a foldshift head's */
	float *tau, *sum, *s, *z;
	struct term *next;
};

struct seq {
	const float *x;
	float *y;
	size_t from, len;	/* tokens of the group */
	struct term *terms;	/* by head */
	struct tally_foldshift ints;
};

struct group {
	const struct damf_attention_args *a;
	struct seq seq[64];
	size_t nseq, tokens;
	const float *x;
	float *q, *k, *v, *o;	/* [tokens] x columns of the weight */
	float *pq;		/* [npq][tokens] */
	float *values;		/* [heads][seqs]: whether O has columns of it there */
};

static float *value_flag(const struct group *g, size_t h, size_t s)
{
	return &g->values[h * 64 + s];
}

static float *new_f32(size_t n)
{
	return tally_new(n, sizeof(float));
}

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

static float *get_x(const struct group *g, const struct seq *s)
{
	const struct damf_attention_args *a = g->a;

	return tally_get(&tally.read_activations, s ? s->x : g->x, a->ldx, s ? s->len : g->tokens,
			 a->width);
}

static void queries_and_keys(struct group *g)
{
	const struct damf_attention_args *a = g->a;
	bool any = false;

	for (size_t h = 0; h < a->nheads; h++)
		any |= a->heads[h].mode == DAMF_K_MHSA;
	if (!any)
		return;
	project(g, get_x(g, NULL), g->tokens, &a->wq, a->nqk, a->bq, 0, a->nqk, g->q, a->nqk);
	project(g, get_x(g, NULL), g->tokens, &a->wk, a->nqk, a->bk, 0, a->nqk, g->k, a->nqk);
}

static void factors(struct group *g)
{
	const struct damf_attention_args *a = g->a;
	float *rows = new_f32(g->tokens * a->npq);
	bool any = false;

	for (size_t h = 0; h < a->nheads; h++)
		any |= a->heads[h].mode != DAMF_K_MHSA;
	if (!any)
		return;
	project(g, get_x(g, NULL), g->tokens, &a->wpq, a->npq, a->bpq, 0, a->npq, rows, a->npq);
	for (size_t i = 0; i < g->tokens * a->npq; i++)
		g->pq[i % a->npq * g->tokens + i / a->npq] = rows[i];
}

/* ---- Outputs of tokens ---------------------------------------------------- */

static bool has_own(const struct damf_k_head *head)
{
	return head->mode == DAMF_K_MHSA || head->mode == DAMF_K_SHIFT;
}

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

static bool is_direct(const struct group *g, const struct seq *s, const struct damf_k_head *head)
{
	return head->mode == DAMF_K_SOFTFOLD &&
	       !def_nodes(peek(g, s, head, true), peek(g, s, head, false), s->len, head->coef[0]);
}

/* V of heads that need it in every sequence, then of those that are direct in some. */
static void values(struct group *g)
{
	const struct damf_attention_args *a = g->a;
	bool direct[64] = { false };
	float *all = NULL, *some[64] = { NULL };

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		bool always = has_own(head) || (head->flags & DAMF_K_BAND);

		for (size_t s = 0; s < g->nseq; s++) {
			bool here = !always && is_direct(g, &g->seq[s], head);

			*value_flag(g, h, s) = always || here;
			direct[s] |= here;
		}
		if (always && !all)
			all = get_x(g, NULL);
		if (always)
			project(g, all, g->tokens, &a->wv, a->nv, a->bv, head->v_col, head->d_v, g->v,
				a->nv);
	}
	for (size_t s = 0; s < g->nseq; s++)
		some[s] = direct[s] ? get_x(g, &g->seq[s]) : NULL;
	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		float *x = NULL, *v;
		size_t n = 0;

		if (has_own(head) || (head->flags & DAMF_K_BAND))
			continue;
		x = new_f32(g->tokens * a->width);
		for (size_t s = 0; s < g->nseq; s++) {
			if (*value_flag(g, h, s))
				memcpy(x + n * a->width, some[s],
				       g->seq[s].len * a->width * sizeof(*x));
			n += *value_flag(g, h, s) ? g->seq[s].len : 0;
		}
		if (!n)
			continue;
		v = new_f32(n * a->nv);
		project(g, x, n, &a->wv, a->nv, a->bv, head->v_col, head->d_v, v, a->nv);
		n = 0;
		for (size_t s = 0; s < g->nseq; s++) {
			for (size_t i = 0; *value_flag(g, h, s) && i < g->seq[s].len; i++, n++)
				memcpy(g->v + (g->seq[s].from + i) * a->nv + head->v_col,
				       v + n * a->nv + head->v_col, head->d_v * sizeof(*v));
		}
	}
}

static float *get_columns(const float *x, size_t ld, size_t len, size_t col, size_t cols)
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
		q = get_columns(g->q + s->from * a->nqk, a->nqk, s->len, head->qk_col, head->d_qk);
		k = get_columns(g->k + s->from * a->nqk, a->nqk, s->len, head->qk_col, head->d_qk);
	} else if (head->mode == DAMF_K_SHIFT) {
		v = get_values(g, s, head);
		memcpy(o, tally_shift(g->pq + head->p_col * g->tokens + s->from,
				      g->pq + head->q_col * g->tokens + s->from, v, s->len,
				      head->d_v), s->len * head->d_v * sizeof(*o));
		return true;
	} else if (is_direct(g, s, head)) {
		q = GET(peek(g, s, head, true), s->len);
		k = GET(peek(g, s, head, false), s->len);
	} else {
		return false;
	}
	v = get_columns(g->v + s->from * a->nv, a->nv, s->len, head->v_col, head->d_v);
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

static void outputs(const struct group *g, const struct seq *s)
{
	const struct damf_attention_args *a = g->a;

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		float *o = new_f32(s->len * head->d_v), *v;

		if (own_output(g, s, head, o)) {
			put_output(g, s, head, o);
			if (head->flags & DAMF_K_BAND)
				o = get_columns(g->o + s->from * a->nv, a->nv, s->len,
						head->v_col, head->d_v);
		}
		if (!(head->flags & DAMF_K_BAND))
			continue;
		v = get_columns(g->v + s->from * a->nv, a->nv, s->len, head->v_col, head->d_v);
		def_band(head, v, s->len, o);
		put_output(g, s, head, o);
	}
}

/* ---- Terms --------------------------------------------------------------- */

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

	if ((head->mode != DAMF_K_FOLD && head->mode != DAMF_K_SOFTFOLD) || is_direct(g, s, head))
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
			tally_foldshift_begin(&s->ints, s->x, a->ldx, s->len, a->width);
		rows = tally_foldshift_head(&s->ints, head,
					    g->pq + head->p_col * g->tokens + s->from,
					    g->pq + head->q_col * g->tokens + s->from, tau);
		for (size_t k = 0; k <= head->order; k++)
			add_term(g, s, head, NULL, NULL, tau[k])->sum = rows + k * a->width;
	}
}

/* Coefficients, and the sums over tokens by them: that of ones is the same for all heads. */
static void sums(struct group *g, struct seq *s)
{
	const struct damf_attention_args *a = g->a;
	float *x = NULL, *ones = NULL, *sum = new_f32(a->width);

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		struct def_terms d = head_terms(g, s, head);

		if (d.n && !x)
			x = get_x(g, s);
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

/* ---- The last product ---------------------------------------------------- */

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
		o = get_columns(g->o + s->from * a->nv, a->nv, s->len, head->v_col, head->d_v);
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
	float *z = new_f32(5 * 16 * out);

	for (struct term *t = s->terms; t; t = t->next) {
		if (!t->mu)
			memcpy(z + n++ * out, t->z, out * sizeof(*z));
	}
	if (n)
		tally_foldshift_mix(&s->ints, z, n, out, y);
}

static void last_product(struct group *g)
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

/* ---- Groups --------------------------------------------------------------- */

/* Pairs of tokens whose scores, and then weights, are put aside; the longest of them. */
static uint64_t scores(const struct group *g, uint64_t *rows)
{
	uint64_t pairs = 0;

	*rows = 0;
	for (size_t s = 0; s < g->nseq; s++) {
		uint64_t len = g->seq[s].len;

		for (size_t h = 0; h < g->a->nheads; h++) {
			if (g->a->heads[h].mode != DAMF_K_MHSA &&
			    !is_direct(g, &g->seq[s], &g->a->heads[h]))
				continue;
			pairs += len * len;
		}
		*rows = len > *rows ? len : *rows;
	}
	*rows = pairs ? *rows : 0;
	return pairs;
}

static void spills(const struct group *g, const struct damf_counts *before)
{
	uint64_t room = tally_room(g->a->scratchpad), rows, pairs = scores(g, &rows);
	uint64_t wrote = tally.write_intermediates - before->write_intermediates - 8 * pairs;
	uint64_t read = tally.read_intermediates - before->read_intermediates - 8 * pairs;

	if (4 * 32 * rows > room)
		tally.spills += 2 * 8 * pairs;
	if (wrote + 4 * 32 * rows > room)
		tally.spills += wrote + read;
}

static void group(const struct damf_attention_args *a, size_t first, size_t end,
		  const int32_t *offsets)
{
	struct group *g = tally_new(1, sizeof(*g));
	struct damf_counts before = tally;

	g->a = a;
	g->x = a->x + (size_t)offsets[first] * a->ldx;
	g->tokens = (size_t)(offsets[end] - offsets[first]);
	for (size_t i = first; i < end; i++) {
		if (offsets[i] < offsets[i + 1])
			g->seq[g->nseq++] = (struct seq) {
				.x = a->x + (size_t)offsets[i] * a->ldx,
				.y = a->y + (size_t)offsets[i] * a->ldy,
				.from = (size_t)(offsets[i] - offsets[first]),
				.len = (size_t)(offsets[i + 1] - offsets[i]),
			};
	}
	if (!g->nseq)
		return;
	g->q = new_f32(g->tokens * a->nqk);
	g->k = new_f32(g->tokens * a->nqk);
	g->pq = new_f32(g->tokens * a->npq);
	g->v = new_f32(g->tokens * a->nv);
	g->o = new_f32(g->tokens * a->nv);
	g->values = new_f32(a->nheads * 64);
	queries_and_keys(g);
	factors(g);
	values(g);
	for (size_t s = 0; s < g->nseq; s++) {
		outputs(g, &g->seq[s]);
		sums(g, &g->seq[s]);
		integer_terms(g, &g->seq[s]);
	}
	for (size_t h = 0; h < a->nheads; h++) {
		vectors(g, &a->heads[h], false);
		vectors(g, &a->heads[h], true);
	}
	last_product(g);
	spills(g, &before);
}

static size_t planned_terms(const struct damf_k_head *h)
{
	size_t sinks = h->flags & DAMF_K_SINKS ? 1 : 0;

	if (h->mode == DAMF_K_SOFTFOLD)
		return 16 + sinks;
	if (h->mode == DAMF_K_FOLDSHIFT || (h->mode == DAMF_K_FOLD && h->rank == 1))
		return h->order + 1 + sinks;
	return h->mode == DAMF_K_FOLD ? h->rank + 1 + sinks : sinks;
}

/* The plan of the page, in bytes. */
static uint64_t plan(const struct damf_attention_args *a, uint64_t t, uint64_t s, uint64_t longest)
{
	uint64_t v = 0, terms = 0, exact = 0;

	for (size_t h = 0; h < a->nheads; h++) {
		if (has_own(&a->heads[h]) || (a->heads[h].flags & DAMF_K_BAND))
			v += a->heads[h].d_v;
		terms += planned_terms(&a->heads[h]);
		exact |= a->heads[h].mode == DAMF_K_MHSA;
	}
	return 4 * (t * (a->width + 2 * a->nqk + a->npq + 2 * v + 2 * terms) +
		    s * terms * (a->width + a->out) + (exact ? 32 * longest : 0));
}

void tally_attention(const struct damf_attention_args *a)
{
	int32_t *offsets = tally_new(a->seqs + 1, sizeof(*offsets));
	size_t first = 0;

	for (size_t i = 0; i <= a->seqs; i++) {
		offsets[i] = a->offsets[i];
		tally.read_activations += sizeof(*offsets);
	}
	while (first < a->seqs) {
		uint64_t seqs = 0, longest = 0;
		size_t end = first;

		for (; end < a->seqs && end - first < 64; end++) {
			uint64_t len = (uint64_t)(offsets[end + 1] - offsets[end]);
			uint64_t tokens = (uint64_t)(offsets[end + 1] - offsets[first]);

			seqs += len > 0;
			longest = len > longest ? len : longest;
			if (end > first && (tokens > 2048 || plan(a, tokens, seqs, longest) >
					    tally_room(a->scratchpad)))
				break;
		}
		group(a, first, end, offsets);
		first = end;
	}
	tally_free();
}
