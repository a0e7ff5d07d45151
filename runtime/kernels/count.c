// SPDX-License-Identifier: MIT
/* What terms and the last product count, of a group. */
#include "attention.h"

/* Divisions by what is the same for a sequence, by D_m, and shares of A_max. */
static uint64_t fold_divs(const struct damf_k_head *head, size_t len)
{
	uint64_t rank = head->rank, divs = len;

	if (!(head->flags & DAMF_K_SCALE))
		divs += 2 * rank * len + (rank > 1 ? rank : 0);
	return divs + (head->flags & DAMF_K_CENTRED ? rank : 0);
}

/* Of a node: of its weights; of a token: its place, a division a node, a reciprocal. */
static uint64_t soft_divs(const struct att_unit *u, size_t len)
{
	return u->nodes + (u->nodes > 1 && !u->tokens ? len * (u->nodes + 2) : 0);
}

/* From p and q to coefficients, and the sums by them. */
static void count_unit(const struct att_round *r, size_t seq, size_t head)
{
	const struct att *t = r->t;
	const struct damf_k_head *h = &t->a->heads[head];
	const struct att_unit *u = att_unit(t, seq, head);
	size_t len = t->seq[seq].len, n = damf_att_count(r, seq, head), width = t->a->width;
	size_t own = damf_att_own(r, seq, head), coefs = damf_att_coefs(r, seq, head);

	if (own && h->mode == DAMF_K_FOLD) {
		DAMF_COUNT(t->ex, divs, fold_divs(h, len));
	} else if (own) {
		DAMF_COUNT(t->ex, divs, soft_divs(u, len));
		DAMF_COUNT(t->ex, exps, own * len);
	}
	DAMF_COUNT(t->ex, dynamic_macs, coefs * len * width);
	DAMF_COUNT_F32(t->ex, read_intermediates, (own ? 2 * h->rank * len : 0) + coefs * len);
	DAMF_COUNT_F32(t->ex, write_intermediates, (coefs + n) * len + n + coefs * width);
	if (!att_has_sink(r, head))
		return;
	DAMF_COUNT(t->ex, static_macs, 2 * width);
	DAMF_COUNT_F32(t->ex, read_activations, 2 * width);
	DAMF_COUNT_F32(t->ex, write_intermediates, width);
}

void damf_att_count_weights(const struct att *t)
{
	const struct att_round r = att_rounds(t, false);

	for (size_t i = 0; i < t->nseq; i++) {
		bool sums = false, fold = false;

		for (size_t h = 0; h < t->a->nheads; h++) {
			count_unit(&r, i, h);
			sums |= damf_att_own(&r, i, h) != 0;
			fold |= t->a->heads[h].mode == DAMF_K_FOLD;
		}
		DAMF_COUNT_F32(t->ex, read_activations, sums ? t->seq[i].len * t->a->width : 0);
		DAMF_COUNT_F32(t->ex, write_intermediates, fold ? t->a->width : 0);
	}
}

void damf_att_count_vectors(const struct att *t, bool shift)
{
	const struct att_round r = att_rounds(t, shift);
	const struct damf_attention_args *a = t->a;

	for (size_t h = 0; h < a->nheads; h++) {
		size_t rows = 0, d_v = a->heads[h].d_v;

		for (size_t i = 0; i < t->nseq; i++)
			rows += damf_att_count(&r, i, h);
		if (!rows)
			continue;
		damf_count_mat(t->ex, rows, a->width, d_v, a->wv, a->bv);
		damf_count_mat(t->ex, rows, d_v, a->out, a->wo, NULL);
		DAMF_COUNT_F32(t->ex, read_intermediates, rows * (a->width + 1 + d_v));
		DAMF_COUNT_F32(t->ex, write_intermediates, rows * (d_v + a->out));
	}
}

/* W_O of the columns that any sequence has, once; O and terms of each. */
void damf_att_count_output(const struct att *t)
{
	const struct att_round r = att_rounds(t, false);
	const struct damf_attention_args *a = t->a;
	uint64_t cols = 0;

	for (size_t h = 0; h < a->nheads; h++) {
		uint64_t tokens = 0, pairs = 0, terms = 0, d_v = a->heads[h].d_v;

		for (size_t i = 0; i < t->nseq; i++) {
			tokens += att_has_output(t, i, h) ? t->seq[i].len : 0;
			terms += damf_att_count(&r, i, h);
			pairs += damf_att_count(&r, i, h) * t->seq[i].len;
		}
		cols += tokens ? d_v : 0;
		damf_count_macs(t->ex, tokens * d_v * a->out, a->wo);
		DAMF_COUNT(t->ex, dynamic_macs, pairs * a->out);
		DAMF_COUNT_F32(t->ex, read_intermediates, tokens * d_v + pairs + terms * a->out);
	}
	if (cols)
		damf_count_mat(t->ex, 0, cols, a->out, a->wo, NULL);
	DAMF_COUNT_F32(t->ex, read_weights, a->bo ? a->out : 0);
	DAMF_COUNT_F32(t->ex, write_activations, t->tokens * a->out);
}
