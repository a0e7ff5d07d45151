// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "define.h"

static int run(struct damf_exec *ex, const struct problem *p)
{
	return damf_attention_f32(ex, &p->a.attention);
}

static void define(const struct problem *p)
{
	def_attention(&p->a.attention);
}

static size_t scratch(const struct damf_par *par, const struct problem *p)
{
	return damf_attention_scratch(par, &p->a.attention);
}

static float *numbers(struct problem *p, size_t n)
{
	float *m = malloc(n * sizeof(*m) + !n);

	assert_non_null(m);
	assert_true(p->blocks < BLOCKS);
	p->block[p->blocks++] = m;
	for (size_t i = 0; i < n; i++)
		m[i] = random_f32();
	return m;
}

static struct damf_mat weight(struct problem *p, size_t in, size_t out)
{
	float *w = numbers(p, damf_packed_elems(in, out)), *plain = numbers(p, in * out);

	damf_pack_kn_f32(w, plain, out, in, out);
	return damf_mat_f32(w);
}

/* Heads whose columns are not in their order; two folded ones share p. */
static void make_heads(struct problem *p, const struct attention_shape *s)
{
	struct damf_attention_args *a = &p->a.attention;
	struct damf_k_head *heads = (struct damf_k_head *)numbers(p, s->heads * sizeof(*heads) / 4);

	for (size_t h = 0; h < s->heads; h++) {
		size_t other = s->heads - 1 - h;
		bool fold = s->kind == ALL_FOLD || (s->kind == MIXED && h % 3 == 1);

		heads[h] = (struct damf_k_head) { .d_v = s->d_v, .v_col = other * s->d_v };
		if (fold) {
			heads[h].mode = DAMF_K_FOLD;
			heads[h].rank = heads[h].order = 1;
			heads[h].coef[0] = heads[h].coef[1] = 1.0f;
			heads[h].p_col = h == 4 ? 1 : h;
			heads[h].q_col = s->heads + other;
			a->npq = 2 * s->heads;
		} else {
			heads[h].mode = DAMF_K_MHSA;
			heads[h].d_qk = s->d_qk;
			heads[h].qk_col = h * s->d_qk;
			heads[h].scale = 1.0f / sqrtf((float)s->d_qk);
			a->nqk = s->heads * s->d_qk;
		}
	}
	a->heads = heads;
	a->nheads = s->heads;
	a->nv = s->heads * s->d_v;
}

/* Sequences that are not empty, tokens and pairs of them, of a part of the batch. */
struct totals {
	uint64_t seqs, tokens, pairs;
};

static void count_group(struct problem *p, const struct attention_shape *s, struct totals t)
{
	const struct damf_attention_args *a = &p->a.attention;
	struct damf_counts *c = &p->counts;
	uint64_t exact = 0, fold = 0, b = s->bias, d = s->width, o = s->out;

	if (!t.seqs)
		return;
	for (size_t h = 0; h < a->nheads; h++)
		*(a->heads[h].mode == DAMF_K_FOLD ? &fold : &exact) += 1;
	if (exact) {
		uint64_t v = exact * s->d_v;

		c->static_macs += t.tokens * d * (2 * a->nqk + v);
		c->dynamic_macs += t.pairs * exact * (s->d_qk + s->d_v);
		c->exps += t.pairs * exact;
		c->divs += t.tokens * exact;
		c->read_weights += 4 * (d + b) * (2 * a->nqk + v);
		c->read_activations += 4 * 3 * t.tokens * d;
		c->write_intermediates += 4 * (t.tokens * (2 * a->nqk + 2 * v) +
					       2 * t.pairs * exact);
		c->read_intermediates += 4 * (t.tokens * (2 * exact * s->d_qk + v) +
					      2 * t.pairs * exact);
	}
	if (fold) {
		uint64_t v = fold * s->d_v;

		c->static_macs += t.tokens * d * a->npq + 2 * t.seqs * v * (d + o);
		c->dynamic_macs += t.tokens * fold * d;
		c->divs += 3 * t.tokens * fold;
		c->read_weights += 4 * ((d + b) * a->npq + (d + b) * v + v * o);
		c->read_activations += 4 * 2 * t.tokens * d;
		c->write_intermediates += 4 * (t.tokens * (a->npq + 3 * fold) + 2 * t.seqs * fold +
					       t.seqs * (1 + fold) * d +
					       2 * t.seqs * (v + fold * o));
		c->read_intermediates += 4 * (3 * t.tokens * fold + 2 * t.seqs * fold * (d + 1) +
					      2 * t.seqs * v);
	}
	/* the last product */
	c->static_macs += t.tokens * exact * s->d_v * o;
	c->dynamic_macs += t.tokens * 2 * fold * o;
	c->read_weights += 4 * (exact * s->d_v * o + b * o);
	c->read_intermediates += 4 * (t.tokens * (exact * s->d_v + 2 * fold) +
				      t.seqs * 2 * fold * o);
	c->write_activations += 4 * t.tokens * o;
}

/* Groups of at most 64 sequences and 2,048 tokens, a longer sequence alone. */
static void count(struct problem *p, const struct attention_shape *s)
{
	const struct damf_attention_args *a = &p->a.attention;
	struct totals t = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < a->seqs; i++) {
		uint64_t len = (uint64_t)(a->offsets[i + 1] - a->offsets[i]);

		if (n && (n == 64 || t.tokens + len > 2048)) {
			count_group(p, s, t);
			t = (struct totals) { 0 };
			n = 0;
		}
		n++;
		t.seqs += len != 0;
		t.tokens += len;
		t.pairs += len * len;
	}
	count_group(p, s, t);
	p->counts.read_activations += 4 * (a->seqs + 1);
}

void problem_attention(struct problem *p, const struct attention_shape *s,
		       const int32_t *offsets, size_t seqs)
{
	static const char *const kinds[] = { "mhsa", "fold", "mixed" };
	struct damf_attention_args *a = &p->a.attention;
	size_t tokens = (size_t)offsets[seqs];

	*p = (struct problem) { .run = run, .define = define, .scratch = scratch };
	snprintf(p->name, sizeof(p->name),
		 "attention %s %zu tokens: %zu, %zu heads of %zu and %zu, %zu", kinds[s->kind],
		 tokens, s->width, s->heads, s->d_qk, s->d_v, s->out);
	make_heads(p, s);
	p->x_elems = tokens * (s->width + 1);
	p->x = numbers(p, p->x_elems);
	p->rows = tokens;
	p->cols = s->out;
	p->ldy = s->out + 1;
	p->y = numbers(p, tokens * p->ldy);
	a->x = p->x;
	a->ldx = s->width + 1;
	a->offsets = memcpy(numbers(p, seqs + 1), offsets, (seqs + 1) * sizeof(*offsets));
	a->seqs = seqs;
	a->width = s->width;
	a->out = s->out;
	if (a->nqk) {
		a->wq = weight(p, s->width, a->nqk);
		a->wk = weight(p, s->width, a->nqk);
	}
	a->wv = weight(p, s->width, a->nv);
	a->wo = weight(p, a->nv, s->out);
	if (a->npq)
		a->wpq = weight(p, s->width, a->npq);
	if (s->bias) {
		a->bq = a->nqk ? numbers(p, a->nqk) : NULL;
		a->bk = a->nqk ? numbers(p, a->nqk) : NULL;
		a->bv = numbers(p, a->nv);
		a->bo = numbers(p, s->out);
		a->bpq = a->npq ? numbers(p, a->npq) : NULL;
	}
	a->y = p->y;
	a->ldy = p->ldy;
	problem_clear(p);
	count(p, s);
}
