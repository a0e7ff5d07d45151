// SPDX-License-Identifier: MIT
/*
 * Heads that form the matrix of scores: exact ones, and those of softfold
 * that no number of nodes would do for.
 */
#include <string.h>

#include "attention.h"

/* Up to 32 queries of one head of one sequence; those of a head follow each other. */
static void mhsa_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;
	const struct damf_k_head *head = &t->a->heads[item / att_blocks(t)];
	size_t first, block, nqk = t->a->nqk;
	const struct att_seq *s = att_block(t, item % att_blocks(t), &first);
	struct damf_mhsa m;

	if (head->mode != DAMF_K_MHSA)
		return;
	block = first / DAMF_PANEL_COLS;
	m = (struct damf_mhsa) {
		.q = t->q + ((s->qfirst + block) * nqk + head->qk_col) * DAMF_PANEL_COLS,
		.k = t->k + (s->kfirst * nqk + head->qk_col) * DAMF_KEY_GROUP,
		.kgroup = nqk * DAMF_KEY_GROUP,
		.v = t->v + s->from * t->ldv + head->v_col, .ldv = t->ldv,
		.len = s->len, .d_qk = head->d_qk, .d_v = head->d_v, .scale = head->scale,
		.queries = s->len - first < DAMF_PANEL_COLS ? s->len - first : DAMF_PANEL_COLS,
		.p = t->p + worker * t->longest * DAMF_PANEL_COLS,
		.o = t->o + (s->from + first) * t->ldv + head->v_col, .ldo = t->ldv,
		.stop = t->ex->stop,
	};
	t->ex->isa->mhsa(&m);
}

/* Scores and weights lie in scratch, each written once and read once. */
static void count_heads(struct att *t, const struct att_seq *s, size_t heads, size_t d_qk,
			size_t d_v)
{
	uint64_t pairs = (uint64_t)s->len * s->len;

	DAMF_COUNT(t->ex, dynamic_macs, pairs * (d_qk + d_v));
	DAMF_COUNT(t->ex, exps, pairs * heads);
	DAMF_COUNT(t->ex, divs, s->len * heads);
	t->scores += 4 * 2 * pairs * heads;
	DAMF_COUNT_F32(t->ex, read_intermediates, s->len * (2 * d_qk + d_v) + 2 * pairs * heads);
	DAMF_COUNT_F32(t->ex, write_intermediates, s->len * d_v + 2 * pairs * heads);
}

int damf_att_mhsa(struct att *t)
{
	int rc = damf_run_items(t->ex, mhsa_item, t, att_blocks(t) * t->a->nheads);

	if (rc)
		return rc;
	for (size_t i = 0; i < t->nseq; i++)
		count_heads(t, &t->seq[i], t->nmhsa, t->d_qk, t->d_v);
	return 0;
}

/* The same with the one number p for a query and q for a key. */
static void direct_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;
	size_t h = item / att_blocks(t), first;
	const struct damf_k_head *head = &t->a->heads[h];
	const struct att_seq *s = att_block(t, item % att_blocks(t), &first);
	float q[DAMF_PANEL_COLS] __attribute__((aligned(64))) = { 0 };
	struct damf_mhsa m;

	if (!att_is_direct(t, (size_t)(s - t->seq), h))
		return;
	m = (struct damf_mhsa) {
		.q = q, .k = att_pq(t, s, head->q_col), .kgroup = DAMF_KEY_GROUP,
		.v = t->v + s->from * t->ldv + head->v_col, .ldv = t->ldv,
		.len = s->len, .d_qk = 1, .d_v = head->d_v, .scale = 1.0f,
		.queries = s->len - first < DAMF_PANEL_COLS ? s->len - first : DAMF_PANEL_COLS,
		.p = t->p + worker * t->longest * DAMF_PANEL_COLS,
		.o = t->o + (s->from + first) * t->ldv + head->v_col, .ldo = t->ldv,
		.stop = t->ex->stop,
	};
	for (size_t i = 0; i < m.queries; i++)
		q[i] = att_pq(t, s, head->p_col)[first + i] *
			(head->flags & DAMF_K_SCALE ? head->scale : 1.0f);
	t->ex->isa->mhsa(&m);
}

int damf_att_direct(struct att *t)
{
	int rc = damf_run_items(t->ex, direct_item, t, att_blocks(t) * t->a->nheads);

	if (rc)
		return rc;
	for (size_t i = 0; i < t->nseq * t->a->nheads; i++) {
		const struct damf_k_head *head = &t->a->heads[i % t->a->nheads];

		if (att_is_direct(t, i / t->a->nheads, i % t->a->nheads))
			count_heads(t, &t->seq[i / t->a->nheads], 1, 1, head->d_v);
	}
	return 0;
}
