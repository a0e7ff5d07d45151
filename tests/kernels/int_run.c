// SPDX-License-Identifier: MIT
/* Layers by the kernels, and by the definition. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "int_layer.h"
#include "isa.h"

#define PANEL	32

static void *room(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		abort();
	return p;
}

/* Which not-a-number it is, isn't promised. */
static void plain_nan(float *x, size_t ld, size_t rows, size_t cols)
{
	for (size_t i = 0; i < rows * cols; i++) {
		float *at = x + i / cols * ld + i % cols;

		*at = isnan(*at) ? NAN : *at;
	}
}

/* Adds what all tokens have in common, as shift_out() does, to look at it. */
static void show_shift(const struct damf_shift_head *h, const int64_t *scratch, size_t first,
		       size_t queries, int64_t *den, int64_t *num)
{
	for (size_t m = 0; m < queries && h->scale.finite; m++) {
		bool uniform = scratch[m] == -((int64_t)h->len << 12);
		const int64_t *n = scratch + PANEL + m * h->ldf;

		den[first + m] = ((int64_t)h->len << 12) + (uniform ? 0 : scratch[m]);
		for (size_t j = 0; j < h->d_v; j++)
			num[(first + m) * h->d_v + j] = h->sum[j] * 4096 + (uniform ? 0 : n[j]);
	}
}

static void kernel_shift(const struct int_layer *l, const struct damf_isa *isa, size_t head,
			 size_t seq, struct int_result *r)
{
	size_t ldf = (l->d_v + PANEL - 1) / PANEL * PANEL, ld = l->heads * l->d_v;
	size_t len = l->len[seq];
	size_t at = head * l->tokens + l->from[seq];
	int64_t *scratch = room(PANEL * (1 + ldf), sizeof(*scratch));
	float *out = r->out + l->from[seq] * ld + head * l->d_v;
	struct damf_shift_head h = {
		.p = l->p + at, .q = l->q + at, .len = len, .d_v = l->d_v, .ldv = ld,
		.v = l->v + l->from[seq] * ld + head * l->d_v, .ldf = ldf,
		.fixed = room(len * ldf, sizeof(*h.fixed)), .sum = room(l->d_v, sizeof(*h.sum)),
	};

	damf_shift_begin(isa, &h);
	for (size_t m = 0, n; m < len; m += n) {
		n = len - m < PANEL ? len - m : PANEL;
		damf_shift_queries(isa, &h, m, n, scratch, out + m * ld, ld);
		show_shift(&h, scratch, m, n, r->den + at, r->num + at * l->d_v);
	}
	plain_nan(out, ld, len, l->d_v);
	free(scratch);
	free(h.fixed);
	free(h.sum);
}

/* What of foldshift lies between its parts, in one sequence. */
struct between {
	size_t len, na;
	float *p_hat, *q_prime;	/* [len] */
	int32_t *a, *b;		/* [len][na], [len][terms] */
	int32_t *right;		/* [len][heads] */
	int64_t *sums;		/* [na][32] */
	int32_t *z, *panel;	/* [terms][cols], [terms][32] */
	int64_t *out;		/* [len][32] */
};

static struct between between_new(const struct int_layer *l, size_t len)
{
	size_t na = 1 + l->terms - l->heads;
	struct between w = {
		.len = len, .na = na,
		.p_hat = room(len, 4), .q_prime = room(len, 4), .a = room(len * na, 4),
		.b = room(len * l->terms, 4), .right = room(len * l->heads, 4),
		.sums = room(na * PANEL, 8), .z = room(l->terms * l->cols, 4),
		.panel = room(l->terms * PANEL, 4), .out = room(len * PANEL, 8),
	};

	return w;
}

static void between_free(struct between *w)
{
	void *all[] = {
		w->p_hat, w->q_prime, w->a, w->b, w->right, w->sums, w->z, w->panel, w->out,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
}

/* Coefficients of all heads; false if the sequence isn't finite. */
static bool kernel_heads(const struct int_layer *l, const struct damf_isa *isa, size_t seq,
			 struct between *w, int64_t *sigma)
{
	size_t a = 1, term = 0;
	bool ok = true;

	for (size_t h = 0; h < l->heads; h++) {
		const struct int_head *head = &l->head[h];
		size_t at = h * l->tokens + l->from[seq];
		const struct damf_shift_scores s = {
			.p = l->p + at, .q = l->q + at, .len = w->len, .g = head->g,
			.centred = head->centred, .p_hat = w->p_hat, .q_prime = w->q_prime,
		};
		struct damf_foldshift f = {
			.p = w->p_hat, .q = w->q_prime, .len = w->len, .order = head->order,
			.c = head->c, .centred = head->centred, .scale = head->scale,
			.a = w->a + a, .lda = w->na, .b = w->b + term, .ldb = l->terms,
			.right = w->right + h, .ldr = l->heads,
		};

		isa->shift_prepare(&s);
		ok &= damf_foldshift_begin(isa, &f);
		memcpy(sigma + term, f.sigma, (head->order + 1) * sizeof(*sigma));
		a += head->order;
		term += head->order + 1;
	}
	for (size_t n = 0; n < w->len; n++)
		w->a[n * w->na] = 1;
	return ok;
}

/* Where the sums of a panel go: a row for each term. */
static void put_panel(const struct int_layer *l, size_t seq, size_t panel, const int64_t *sums,
		      const struct damf_fixed *f, struct int_result *r)
{
	size_t from = panel * PANEL, cols = l->width - from < PANEL ? l->width - from : PANEL;
	size_t a = 1, at = seq * l->terms * l->width + from;

	for (size_t h = 0; h < l->heads; h++) {
		for (size_t k = 0; k <= l->head[h].order; k++, at += l->width) {
			const int64_t *sum = sums + (k ? a++ : 0) * PANEL;

			memcpy(r->sums + at, sum, cols * sizeof(*sum));
			damf_foldshift_term(f, k, sum, cols, r->rows + at);
		}
	}
}

static bool kernel_sums(const struct int_layer *l, const struct damf_isa *isa, size_t seq,
			struct between *w, struct int_result *r)
{
	const float *x = l->x + l->from[seq] * l->width;
	struct damf_fixed f = damf_fixed_of(isa->largest(x, l->width, w->len, l->width), 16);
	const struct damf_shift_sums s = {
		.x = x, .ldx = l->width, .len = w->len, .width = l->width, .to = (float)f.to,
		.a = w->a, .na = w->na, .out = w->sums,
	};

	for (size_t panel = 0; panel * PANEL < l->width; panel++) {
		isa->shift_token_sums(&s, panel);
		put_panel(l, seq, panel, w->sums, &f, r);
	}
	r->exponent[3 * seq] = f.exponent;
	return f.finite;
}

static bool kernel_mix(const struct int_layer *l, const struct damf_isa *isa, size_t seq,
		       struct between *w, struct int_result *r)
{
	size_t n = l->terms * l->cols;
	const float *z = l->z + seq * n;
	struct damf_fixed f = damf_fixed_of(isa->largest(z, l->cols, l->terms, l->cols), 31);
	uint8_t terms[INT_HEADS];
	const struct damf_shift_mix mix = {
		.tokens = w->len, .heads = l->heads, .terms = terms, .b = w->b, .ldb = l->terms,
		.right = w->right, .ldr = l->heads, .z = w->panel, .ldz = PANEL, .out = w->out,
	};

	memcpy(w->z, z, n * sizeof(*z));
	damf_fixed_z(&f, w->z, n);
	for (size_t h = 0; h < l->heads; h++)
		terms[h] = (uint8_t)(l->head[h].order + 1);
	for (size_t from = 0; from < l->cols; from += PANEL) {
		size_t cols = l->cols - from < PANEL ? l->cols - from : PANEL;

		for (size_t t = 0; t < l->terms; t++)
			memcpy(w->panel + t * PANEL, w->z + t * l->cols + from, cols * 4);
		isa->shift_mix(&mix);
		for (size_t m = 0; m < w->len; m++)
			memcpy(r->mix + (l->from[seq] + m) * l->cols + from, w->out + m * PANEL,
			       cols * sizeof(*w->out));
	}
	r->exponent[3 * seq + 1] = f.exponent;
	return f.finite;
}

static void kernel_foldshift(const struct int_layer *l, const struct damf_isa *isa, size_t seq,
			     struct int_result *r)
{
	struct between w = between_new(l, l->len[seq]);
	bool ok = kernel_heads(l, isa, seq, &w, r->sigma + seq * l->terms);

	ok &= kernel_sums(l, isa, seq, &w, r);
	ok &= kernel_mix(l, isa, seq, &w, r);
	if (!ok)
		int_result_no_foldshift(l, seq, r);
	r->exponent[3 * seq + 2] = ok;
	between_free(&w);
}

void int_layer_kernels(const struct int_layer *l, const struct damf_isa *isa,
		       struct int_result *r)
{
	for (size_t i = 0; i < l->seqs; i++) {
		if (!l->len[i])
			continue;
		for (size_t h = 0; h < l->heads; h++)
			kernel_shift(l, isa, h, i, r);
		kernel_foldshift(l, isa, i, r);
	}
}

/* ---- By definition ------------------------------------------------------- */

static bool define_head(const struct int_layer *l, size_t seq, size_t head, size_t term,
			const int32_t *x, const int32_t *z, struct int_result *r)
{
	const struct int_head *h = &l->head[head];
	size_t len = l->len[seq], at = head * l->tokens + l->from[seq], row = seq * l->terms + term;
	struct def_foldshift f = {
		.order = h->order, .g = h->g, .centred = h->centred, .scale = h->scale,
		.p = l->p + at, .q = l->q + at, .len = len,
		.p_hat = room(len, 4), .q_prime = room(len, 4),
	};
	bool ok;

	memcpy(f.c, h->c, sizeof(f.c));
	ok = def_foldshift_scores(&f);
	if (ok && x && z) {
		int64_t *sums = r->sums + row * l->width;

		def_foldshift_sums(&f, x, l->width, sums);
		for (size_t k = 0; k <= h->order; k++)
			def_foldshift_row(sums, k, l->width, (int)r->exponent[3 * seq],
					  r->rows + (row + k) * l->width);
		memcpy(r->sigma + row, f.sigma, (h->order + 1) * sizeof(*r->sigma));
		def_foldshift_mix(&f, z + term * l->cols, l->cols, r->mix + l->from[seq] * l->cols);
	}
	free(f.p_hat);
	free(f.q_prime);
	return ok;
}

static void define_foldshift(const struct int_layer *l, size_t seq, struct int_result *r)
{
	size_t len = l->len[seq], term = 0;
	int32_t *x = room(len * l->width, 4), *z = room(l->terms * l->cols, 4);
	int sx = 0, sz = 0;
	bool ok = def_fixed(l->x + l->from[seq] * l->width, l->width, len, l->width, 16, x, &sx);

	ok &= def_fixed(l->z + seq * l->terms * l->cols, l->cols, l->terms, l->cols, 31, z, &sz);
	r->exponent[3 * seq] = sx;
	r->exponent[3 * seq + 1] = sz;
	for (size_t h = 0; h < l->heads; h++) {
		ok &= define_head(l, seq, h, term, ok ? x : NULL, z, r);
		term += l->head[h].order + 1;
	}
	if (!ok)
		int_result_no_foldshift(l, seq, r);
	r->exponent[3 * seq + 2] = ok;
	free(x);
	free(z);
}

void int_layer_define(const struct int_layer *l, struct int_result *r)
{
	size_t ld = l->heads * l->d_v;

	for (size_t i = 0; i < l->seqs; i++) {
		if (!l->len[i])
			continue;
		for (size_t h = 0; h < l->heads; h++) {
			size_t at = h * l->tokens + l->from[i], col = l->from[i] * ld + h * l->d_v;

			def_shift(l->p + at, l->q + at, l->len[i], l->v + col, ld, l->d_v,
				  r->out + col, ld, r->den + at, r->num + at * l->d_v);
			plain_nan(r->out + col, ld, l->len[i], l->d_v);
		}
		define_foldshift(l, i, r);
	}
}
