// SPDX-License-Identifier: MIT
/* What an attention job must count, by the table of numerics.rst. */
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "define.h"

/* A group of sequences. */
struct group {
	const struct damf_attention_args *a;
	struct damf_counts *c;
	size_t first, end;
	uint64_t tokens;
};

static uint64_t length(const struct group *g, size_t seq)
{
	return (uint64_t)(g->a->offsets[seq + 1] - g->a->offsets[seq]);
}

static size_t nodes(const struct group *g, const struct damf_k_head *h, size_t seq)
{
	const float *x = g->a->x + (size_t)g->a->offsets[seq] * g->a->ldx;
	size_t len = length(g, seq), n;
	float *p = def_soft_p(g->a, h, x, len), *q = def_soft_q(g->a, h, x, len);

	n = def_nodes(p, q, len, h->coef[0]);
	free(p);
	free(q);
	return n;
}

static bool any_mhsa(const struct group *g)
{
	bool any = false;

	for (size_t h = 0; h < g->a->nheads; h++)
		any |= g->a->heads[h].mode == DAMF_K_MHSA;
	return any;
}

static bool any_other(const struct group *g)
{
	bool any = false;

	for (size_t h = 0; h < g->a->nheads; h++)
		any |= g->a->heads[h].mode != DAMF_K_MHSA;
	return any;
}

/* Elements of a weight and, in int8, factors. */
static uint64_t bytes(struct damf_mat w, uint64_t elems, uint64_t factors)
{
	return w.type == DAMF_K_I8 ? elems + 4 * factors : elems * (w.type == DAMF_K_BF16 ? 2 : 4);
}

static void products(const struct group *g, struct damf_mat w, uint64_t n)
{
	g->c->static_macs += n;
	g->c->int8_macs += w.type == DAMF_K_I8 ? n : 0;
}

static void projection(const struct group *g, uint64_t cols, struct damf_mat w, bool bias)
{
	uint64_t d = g->a->width;

	products(g, w, g->tokens * d * cols);
	g->c->read_weights += bytes(w, d * cols, cols) + 4 * bias * cols;
	g->c->read_activations += 4 * g->tokens * d;
	g->c->write_intermediates += 4 * g->tokens * cols;
}

/* V of a head with outputs of tokens, and its part of the last product. */
static void values(const struct group *g, const struct damf_k_head *h, uint64_t tokens)
{
	uint64_t d = g->a->width, v = h->d_v, out = g->a->out;

	if (!tokens)
		return;
	products(g, g->a->wv, tokens * d * v);
	products(g, g->a->wo, tokens * v * out);
	g->c->read_weights += bytes(g->a->wv, d * v, v) + (g->a->bv ? 4 * v : 0);
	g->c->read_weights += bytes(g->a->wo, v * out, 0);
	g->c->write_intermediates += 4 * tokens * v;
	g->c->read_intermediates += 4 * tokens * v;
}

static void scores(const struct group *g, uint64_t len, uint64_t d_qk, uint64_t d_v)
{
	g->c->dynamic_macs += len * len * (d_qk + d_v);
	g->c->exps += len * len;
	g->c->divs += len;
	g->c->write_intermediates += 4 * (len * d_v + 2 * len * len);
	g->c->read_intermediates += 4 * (len * (2 * d_qk + d_v) + 2 * len * len);
}

static void band(const struct group *g, const struct damf_k_head *h, uint64_t len, bool output)
{
	for (int64_t m = 0; m < (int64_t)len; m++) {
		for (int64_t o = -7; o <= 7; o++) {
			if (h->band[o + 7] != 0.0f && m + o >= 0 && m + o < (int64_t)len)
				g->c->static_macs += h->d_v;
		}
	}
	g->c->write_intermediates += 4 * len * h->d_v;
	g->c->read_intermediates += 4 * len * h->d_v * (output ? 2 : 1);
}

/* Coefficients, sums and mix of n terms, c of which are sums of their own. */
static void terms(const struct group *g, uint64_t len, uint64_t n, uint64_t c, uint64_t ranks)
{
	uint64_t d = g->a->width;

	g->c->dynamic_macs += c * len * d + n * len * g->a->out;
	g->c->write_intermediates += 4 * (c * len + c * d + n * (len + 1));
	g->c->read_intermediates += 4 * (2 * ranks * len + c * len);
	g->c->read_intermediates += 4 * (n * len + n * g->a->out);
}

static void fold(const struct group *g, const struct damf_k_head *h, uint64_t len)
{
	uint64_t r = h->rank, n = r > 1 ? r : h->order;

	terms(g, len, n + 1, n, r);
	g->c->divs += len;
	if (!(h->flags & DAMF_K_SCALE))
		g->c->divs += 2 * r * len + (r > 1 ? r : 0);
	if (h->flags & DAMF_K_CENTRED)
		g->c->divs += r;
}

static void softfold(const struct group *g, uint64_t len, uint64_t n)
{
	uint64_t used = len <= n ? len : n;

	terms(g, len, used, used, 1);
	g->c->exps += used * len;
	g->c->divs += used;
	if (len > n && n > 1)
		g->c->divs += len * (n + 2);
}

static void sinks(const struct group *g, uint64_t len)
{
	uint64_t d = g->a->width;

	terms(g, len, 1, 0, 0);
	g->c->static_macs += 2 * d;
	g->c->read_activations += 4 * 2 * d;
	g->c->write_intermediates += 4 * d;
}

static void shift(const struct group *g, uint64_t len, uint64_t v)
{
	for (uint64_t m = 0; m < len; m++) {
		g->c->shift_adds += 2 * v;		/* sum of V, quotient */
		g->c->dynamic_macs += len;		/* p q */
		for (uint64_t n = 0; n < len; n++)
			g->c->shift_adds += 1 + v;	/* D, N */
	}
	g->c->write_intermediates += 4 * (len * v + 2 * v) + 4 * len * v;
	g->c->read_intermediates += 4 * (2 * len + len * v) + 4 * (2 * len + len * v + 2 * v);
}

static void foldshift(const struct group *g, const struct damf_k_head *h, uint64_t len)
{
	uint64_t d = g->a->width, out = g->a->out, k = h->order;

	for (uint64_t m = 0; m < len; m++) {
		g->c->shift_adds += k * d + k;			/* S_k, sigma_k */
		g->c->shift_adds += (k + 1) + (k + 1) * out + out; /* D, N, quotient */
	}
	g->c->divs += h->flags & DAMF_K_CENTRED ? 1 : 0;
	/* p, q; a; b, I_d; Z twice */
	g->c->read_intermediates += 4 * (2 * len + k * len + (k + 2) * len + 2 * (k + 1) * out);
	/* a; b, I_d; x; tau; Z */
	g->c->write_intermediates += 4 * (k * len + (k + 2) * len + k * d + k + 1 + (k + 1) * out);
}

/* Sums of a head, n in all, by W_V and W_O. */
static void vectors(const struct group *g, const struct damf_k_head *h, uint64_t n)
{
	uint64_t d = g->a->width, v = h->d_v, out = g->a->out;

	if (!n)
		return;
	products(g, g->a->wv, n * v * d);
	products(g, g->a->wo, n * v * out);
	g->c->read_weights += bytes(g->a->wv, d * v, v) + (g->a->bv ? 4 * v : 0);
	g->c->read_weights += bytes(g->a->wo, v * out, out);
	g->c->write_intermediates += 4 * n * (v + out);
	g->c->read_intermediates += 4 * n * (d + 1 + v);
}

/* Tokens that have outputs of this head. */
static uint64_t head(const struct group *g, const struct damf_k_head *h)
{
	uint64_t with_output = 0, n = 0, ints = 0;

	for (size_t s = g->first; s < g->end; s++) {
		uint64_t len = length(g, s);
		size_t soft = len && h->mode == DAMF_K_SOFTFOLD ? nodes(g, h, s) : 0;
		bool direct = h->mode == DAMF_K_SOFTFOLD && !soft, own;

		if (!len)
			continue;
		own = direct || h->mode == DAMF_K_MHSA || h->mode == DAMF_K_SHIFT;
		if (h->mode == DAMF_K_MHSA || direct)
			scores(g, len, direct ? 1 : h->d_qk, h->d_v);
		if (h->flags & DAMF_K_BAND)
			band(g, h, len, own);
		if (own || (h->flags & DAMF_K_BAND))
			with_output += len;
		if (h->mode == DAMF_K_FOLD) {
			fold(g, h, len);
			n += 1 + (h->rank > 1 ? h->rank : h->order);
		} else if (h->mode == DAMF_K_SHIFT) {
			shift(g, len, h->d_v);
		} else if (h->mode == DAMF_K_FOLDSHIFT) {
			foldshift(g, h, len);
			ints += 1 + h->order;
		} else if (soft) {
			softfold(g, len, soft);
			n += len <= soft ? len : soft;
		}
		if (h->flags & DAMF_K_SINKS) {
			sinks(g, len);
			n++;
		}
	}
	values(g, h, with_output);
	vectors(g, h, n);
	vectors(g, h, ints);
	return with_output;
}

/* X is read once for V of all tokens, once for V of a sequence's direct heads, once for sums. */
static void inputs(const struct group *g)
{
	uint64_t d = g->a->width;
	bool always = false;

	for (size_t h = 0; h < g->a->nheads; h++)
		always |= g->a->heads[h].mode == DAMF_K_MHSA ||
			  g->a->heads[h].mode == DAMF_K_SHIFT ||
			  (g->a->heads[h].flags & DAMF_K_BAND);
	g->c->read_activations += always ? 4 * g->tokens * d : 0;
	for (size_t s = g->first; s < g->end; s++) {
		bool direct = false, sums = false, fold = false, ints = false;

		for (size_t h = 0; h < g->a->nheads && length(g, s); h++) {
			const struct damf_k_head *head = &g->a->heads[h];
			bool soft = head->mode == DAMF_K_SOFTFOLD, wide = soft && !nodes(g, head, s);

			direct |= wide && !(head->flags & DAMF_K_BAND);
			fold |= head->mode == DAMF_K_FOLD;
			ints |= head->mode == DAMF_K_FOLDSHIFT;
			sums |= head->mode == DAMF_K_FOLD || (soft && !wide);
		}
		g->c->read_activations += 4 * (uint64_t)(direct + sums) * length(g, s) * d;
		g->c->write_intermediates += fold ? 4 * d : 0;
		if (!ints)
			continue;
		/* X twice; S_0; Y put aside */
		g->c->shift_adds += length(g, s) * d;
		g->c->read_activations += 4 * 2 * length(g, s) * d;
		g->c->write_intermediates += 4 * (d + length(g, s) * g->a->out);
		g->c->read_intermediates += 4 * length(g, s) * g->a->out;
	}
}

static void group(const struct group *g)
{
	const struct damf_attention_args *a = g->a;
	uint64_t with_output = 0;

	if (!g->tokens)
		return;
	if (any_mhsa(g)) {
		projection(g, a->nqk, a->wq, a->bq);
		projection(g, a->nqk, a->wk, a->bk);
	}
	if (any_other(g))
		projection(g, a->npq, a->wpq, a->bpq);
	inputs(g);
	for (size_t h = 0; h < a->nheads; h++)
		with_output += head(g, &a->heads[h]);
	g->c->read_weights += with_output ? bytes(a->wo, 0, a->out) : 0;
	g->c->read_weights += a->bo ? 4 * a->out : 0;
	g->c->write_activations += 4 * g->tokens * a->out;
}

/* Groups of at most 64 sequences and 2,048 tokens, a longer sequence alone. */
void problem_count_attention(struct problem *p)
{
	struct group g = { .a = &p->a.attention, .c = &p->counts };

	memset(&p->counts, 0, sizeof(p->counts));
	for (size_t i = 0; i < g.a->seqs; i++) {
		uint64_t len = length(&g, i);

		if (i > g.first && (i - g.first == 64 || g.tokens + len > 2048)) {
			g.end = i;
			group(&g);
			g.first = i;
			g.tokens = 0;
		}
		g.tokens += len;
	}
	g.end = g.a->seqs;
	group(&g);
	p->counts.read_activations += 4 * (g.a->seqs + 1);
}
