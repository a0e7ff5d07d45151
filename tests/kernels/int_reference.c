// SPDX-License-Identifier: MIT
/* Layers by the reference. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../reference/ref.h"
#include "int_layer.h"

static void *room(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		abort();
	return p;
}

static struct ref_head head_of(const struct int_head *h)
{
	struct ref_head r = {
		.mode = REF_FOLDSHIFT, .rank = 1, .order = h->order, .scale = (double)h->g,
		.flags = (h->centred ? REF_CENTRED : 0u) | (h->scale ? REF_SCALE : 0u),
	};

	for (size_t k = 0; k <= h->order; k++)
		r.coef[k] = (double)h->c[k];
	return r;
}

static void reference_shift(const struct int_layer *l, size_t head, size_t seq,
			    struct int_result *r)
{
	size_t len = l->len[seq], ld = l->heads * l->d_v, at = head * l->tokens + l->from[seq];
	size_t col = l->from[seq] * ld + head * l->d_v;
	float *out = room(len * l->d_v, sizeof(*out));
	struct ref_shift seen;

	if (ref_shift_head(l->p + at, l->q + at, l->v + col, ld, len, l->d_v, out, &seen)) {
		memcpy(r->den + at, seen.d, len * sizeof(*seen.d));
		memcpy(r->num + at * l->d_v, seen.n, len * l->d_v * sizeof(*seen.n));
		ref_shift_free(&seen);
	}
	for (size_t i = 0; i < len * l->d_v; i++)
		r->out[col + i / l->d_v * ld + i % l->d_v] = isnan(out[i]) ? NAN : out[i];
	free(out);
}

/* One head's part; false if a number isn't finite. */
static bool reference_head(const struct int_layer *l, size_t seq, size_t head, size_t term,
			   const int32_t *z, struct int_result *r)
{
	struct ref_head h = head_of(&l->head[head]);
	size_t len = l->len[seq], at = head * l->tokens + l->from[seq], row = seq * l->terms + term;
	float *p_hat = room(len, 4), *q_prime = room(len, 4);
	int64_t *out = room(len * l->cols, 8);
	struct ref_foldshift f;
	bool ok;

	ref_foldshift_scores(&h, l->p + at, l->q + at, len, p_hat, q_prime);
	ok = ref_foldshift_sums(&h, q_prime, l->x + l->from[seq] * l->width, l->width, len,
				l->width, &f);
	if (ok) {
		r->exponent[3 * seq] = f.s;
		memcpy(r->sums + row * l->width, f.sums, (h.order + 1) * l->width * 8);
		memcpy(r->rows + row * l->width, f.xk, (h.order + 1) * l->width * 4);
		memcpy(r->sigma + row, f.sigma, (h.order + 1) * 8);
		ok = ref_foldshift_mix(&h, p_hat, q_prime, len, f.sigma, z + term * l->cols,
				       l->cols, out, NULL, NULL);
		ref_foldshift_free(&f);
	}
	for (size_t i = 0; ok && i < len * l->cols; i++)
		r->mix[l->from[seq] * l->cols + i] += out[i];
	free(p_hat);
	free(q_prime);
	free(out);
	return ok;
}

static void reference_foldshift(const struct int_layer *l, size_t seq, struct int_result *r)
{
	int32_t *z = room(l->terms * l->cols, 4);
	int exponent = 0;
	bool ok = ref_fixed(l->z + seq * l->terms * l->cols, l->cols, l->terms, l->cols, 31, z,
			    &exponent);
	size_t term = 0;

	r->exponent[3 * seq + 1] = exponent;
	for (size_t h = 0; ok && h < l->heads; h++) {
		ok = reference_head(l, seq, h, term, z, r);
		term += l->head[h].order + 1;
	}
	if (!ok)
		int_result_no_foldshift(l, seq, r);
	r->exponent[3 * seq + 2] = ok;
	free(z);
}

void int_layer_reference(const struct int_layer *l, struct int_result *r)
{
	for (size_t i = 0; i < l->seqs; i++) {
		if (!l->len[i])
			continue;
		for (size_t h = 0; h < l->heads; h++)
			reference_shift(l, h, i, r);
		reference_foldshift(l, i, r);
	}
}
