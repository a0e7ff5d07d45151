// SPDX-License-Identifier: MIT
/*
 * What terms there are, and how they are laid out: as many at a time as fit
 * into a bounded part of memory.
 */
#include "attention.h"

/* Bytes of a round of several sequences, which caches should hold, and of several heads of one. */
#define SEQS_BYTES	((size_t)4 << 20)
#define HEADS_BYTES	((size_t)64 << 20)

/* ---- How many there are -------------------------------------------------- */

/* Those but the sink; before nodes are chosen, as many as there can be. */
size_t damf_att_own(const struct att_round *r, size_t seq, size_t head)
{
	const struct att *t = r->t;
	const struct damf_k_head *h = &t->a->heads[head];
	size_t len = t->seq[seq].len;

	switch (h->mode) {
	case DAMF_K_FOLD:
		return r->shift ? 0 : 1 + att_max(h->rank, h->order);
	case DAMF_K_FOLDSHIFT:
		return r->shift ? 1 + h->order : 0;
	case DAMF_K_SOFTFOLD:
		if (r->shift)
			return 0;
		if (t->unit)
			return att_unit(t, seq, head)->nodes;
		return len < DAMF_NODES ? len : DAMF_NODES;
	default:
		return 0;
	}
}

size_t damf_att_count(const struct att_round *r, size_t seq, size_t head)
{
	return damf_att_own(r, seq, head) + att_has_sink(r, head);
}

/* Rows of coefficients, f32 ones, but for the ones of fold heads. */
size_t damf_att_coefs(const struct att_round *r, size_t seq, size_t head)
{
	size_t own = damf_att_own(r, seq, head);

	if (r->shift)
		return 0;
	return r->t->a->heads[head].mode == DAMF_K_FOLD ? own - 1 : own;
}

/* ---- Rounds -------------------------------------------------------------- */

static size_t vec_size(const struct att *t, size_t terms)
{
	return att_panels(t->a->out) * DAMF_PANEL_COLS * terms;
}

/* What one head of one sequence takes in a round, without what is rounded up. */
static size_t unit_bytes(const struct att_round *r, size_t seq, size_t head)
{
	const struct att *t = r->t;
	size_t n = damf_att_count(r, seq, head), coefs = damf_att_coefs(r, seq, head);
	size_t floats = att_ld(t->seq[seq].len) * (n + coefs + 1) + vec_size(t, n) +
		n * (t->a->width + t->a->heads[head].d_v + 1);

	return floats * sizeof(float) + n * sizeof(struct att_place) + (coefs + 1) * sizeof(float *);
}

static size_t seq_bytes(const struct att_round *r, size_t seq)
{
	size_t bytes = 0;

	for (size_t h = 0; h < r->t->a->nheads; h++)
		bytes += unit_bytes(r, seq, h);
	return bytes;
}

/* Sequences with all their heads: several if they are small, at least one. */
static void pick_seqs(struct att_round *r)
{
	size_t bytes = seq_bytes(r, r->seq);

	r->nheads = r->t->a->nheads;
	r->nseq = 1;
	while (r->seq + r->nseq < r->t->nseq &&
	       (bytes += seq_bytes(r, r->seq + r->nseq)) <= SEQS_BYTES)
		r->nseq++;
}

/* Heads of one sequence: as many as fit, at least one. */
static void pick_heads(struct att_round *r)
{
	size_t bytes = unit_bytes(r, r->seq, r->head);

	r->nheads = 1;
	while (r->head + r->nheads < r->t->a->nheads &&
	       (bytes += unit_bytes(r, r->seq, r->head + r->nheads)) <= HEADS_BYTES)
		r->nheads++;
}

/* The sequences and heads that come next. */
static bool pick(struct att_round *r)
{
	const struct att *t = r->t;

	r->head += r->nheads;
	if (r->head == t->a->nheads) {
		r->head = 0;
		r->seq += r->nseq;
	}
	r->nseq = 1;
	if (r->seq == t->nseq)
		return false;
	if (r->shift || (r->head == 0 && seq_bytes(r, r->seq) <= HEADS_BYTES))
		pick_seqs(r);
	else
		pick_heads(r);
	return true;
}

/* Sizes of the arrays of a round. */
struct sizes {
	size_t coef, mix, vec, sums, s;
};

static void number_part(struct att_round *r, size_t i, struct sizes *z)
{
	const struct att *t = r->t;
	struct att_part *part = &r->part[i];

	*part = (struct att_part) { .ld = att_ld(t->seq[r->seq + i].len), .ones = SIZE_MAX };
	for (size_t h = r->head; h < r->head + r->nheads; h++)
		part->fold |= !r->shift && t->a->heads[h].mode == DAMF_K_FOLD;
	part->ncoef = part->fold;
	for (size_t h = r->head; h < r->head + r->nheads; h++) {
		struct att_unit *u = att_unit(t, r->seq + i, h);

		u->mix = part->nmix;
		u->coef = part->ncoef;
		part->nmix += damf_att_count(r, r->seq + i, h);
		part->ncoef += damf_att_coefs(r, r->seq + i, h);
	}
	z->coef += part->ld * part->ncoef;
	z->mix += part->ld * part->nmix;
	z->vec += vec_size(t, part->nmix);
	z->sums += part->ncoef;
}

static void number_rows(struct att_round *r, struct sizes *z)
{
	const struct att *t = r->t;

	r->rows = 0;
	for (size_t h = 0; h < r->nheads; h++) {
		const struct damf_k_head *head = &t->a->heads[r->head + h];

		r->first[h] = r->rows;
		for (size_t i = 0; i < r->nseq; i++) {
			struct att_unit *u = att_unit(t, r->seq + i, r->head + h);

			u->row = r->rows;
			if (r->part[i].fold && head->mode == DAMF_K_FOLD &&
			    r->part[i].ones == SIZE_MAX)
				r->part[i].ones = u->row;
			r->rows += damf_att_count(r, r->seq + i, r->head + h);
		}
		z->s += (r->rows - r->first[h]) * head->d_v;
	}
	r->first[r->nheads] = r->rows;
}

/* Where each row's sum comes from and its vector goes to. */
static void place_unit(struct att_round *r, size_t i, size_t h)
{
	const struct att *t = r->t;
	const struct att_part *part = &r->part[i];
	const struct att_unit *u = att_unit(t, r->seq + i, h);
	size_t panel = part->nmix * DAMF_PANEL_COLS, coefs = damf_att_coefs(r, r->seq + i, h);
	size_t skip = damf_att_own(r, r->seq + i, h) - coefs;

	for (size_t k = 0; k < damf_att_count(r, r->seq + i, h); k++)
		r->place[u->row + k] = (struct att_place) {
			part->vec + (u->mix + k) * DAMF_PANEL_COLS, panel,
		};
	for (size_t k = 0; k < coefs; k++)
		part->sum[u->coef + k] = r->x + (u->row + skip + k) * t->a->width;
}

/* Parts of these arrays for each sequence. */
static void share(struct att_round *r, float *coef, float *mix, float *vec, float **sums)
{
	const struct att *t = r->t;

	for (size_t i = 0; i < r->nseq; i++) {
		struct att_part *part = &r->part[i];

		part->coef = coef;
		part->mix = mix;
		part->vec = vec;
		part->sum = sums;
		coef += part->ld * part->ncoef;
		mix += part->ld * part->nmix;
		vec += vec_size(t, part->nmix);
		sums += part->ncoef;
		for (size_t h = r->head; h < r->head + r->nheads; h++)
			place_unit(r, i, h);
		if (part->fold)
			part->sum[0] = r->x + part->ones * t->a->width;
	}
}

bool damf_att_round(struct att_round *r)
{
	const struct att *t = r->t;
	struct damf_carve c = { .base = t->pool };
	struct sizes z = { 0 };
	float *coef, *mix, *vec, **sums;

	if (!pick(r))
		return false;
	r->part = damf_carve(&c, r->nseq, sizeof(*r->part));
	r->first = damf_carve(&c, r->nheads + 1, sizeof(*r->first));
	for (size_t i = 0; i < r->nseq; i++)
		number_part(r, i, &z);
	number_rows(r, &z);
	coef = damf_carve(&c, z.coef, sizeof(float));
	mix = damf_carve(&c, z.mix, sizeof(float));
	vec = damf_carve(&c, z.vec, sizeof(float));
	sums = damf_carve(&c, z.sums, sizeof(*sums));
	r->s = damf_carve(&c, z.s, sizeof(float));
	r->x = damf_carve(&c, r->rows * t->a->width, sizeof(float));
	r->tau = damf_carve(&c, r->rows, sizeof(float));
	r->place = damf_carve(&c, r->rows, sizeof(*r->place));
	share(r, coef, mix, vec, sums);
	return true;
}

/* What a round of one sequence takes at most. */
static size_t least_bytes(const struct att_round *r, size_t seq)
{
	size_t all = seq_bytes(r, seq), one = 0;

	if (r->shift || all <= HEADS_BYTES)
		return all;
	for (size_t h = 0; h < r->t->a->nheads; h++)
		one = att_max(one, unit_bytes(r, seq, h));
	return att_max(one, HEADS_BYTES);
}

/* The largest round of one kind. */
static size_t pool_size(const struct att *t, bool shift)
{
	const struct att_round r = att_rounds(t, shift);
	size_t all = 0, most = 0;

	for (size_t i = 0; i < t->nseq; i++) {
		all += seq_bytes(&r, i);
		most = att_max(most, least_bytes(&r, i));
	}
	most = att_max(most, all < SEQS_BYTES ? all : SEQS_BYTES);
	/* ten arrays, each of which is rounded up */
	return most + t->nseq * sizeof(struct att_part) + (t->a->nheads + 1) * sizeof(size_t) +
	       10 * 64;
}

size_t damf_att_pool(const struct att *t)
{
	return att_max(t->terms ? pool_size(t, false) : 0, t->nfoldshift ? pool_size(t, true) : 0);
}
