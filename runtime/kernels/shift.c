// SPDX-License-Identifier: MIT
/* Heads of mode shift: a shift for each pair of tokens, into O. */
#include "attention.h"

static struct damf_shift_head *head_of(const struct att *t, size_t seq, size_t head)
{
	return &t->shift[seq * t->a->nheads + head];
}

/* Room for V as integers: whole panels of the heads' columns. */
static size_t fixed_cols(const struct damf_k_head *head)
{
	return att_panels(head->d_v) * DAMF_PANEL_COLS;
}

void damf_att_carve_shift(struct att *t, struct damf_carve *c, unsigned int threads)
{
	size_t cols = 0, widest = 0;

	for (size_t h = 0; h < t->a->nheads; h++) {
		const struct damf_k_head *head = &t->a->heads[h];

		if (head->mode != DAMF_K_SHIFT)
			continue;
		cols += fixed_cols(head);
		widest = att_max(widest, fixed_cols(head));
	}
	t->shift = damf_carve(c, t->nseq * t->a->nheads, sizeof(*t->shift));
	t->shift_v = damf_carve(c, t->tokens * cols, sizeof(*t->shift_v));
	t->shift_sum = damf_carve(c, t->nseq * cols, sizeof(*t->shift_sum));
	t->shift_room = DAMF_PANEL_COLS * (1 + widest);
	t->shift_work = damf_carve(c, threads * t->shift_room, sizeof(*t->shift_work));
}

static void lay_out(struct att *t)
{
	int32_t *fixed = t->shift_v;
	int64_t *sum = t->shift_sum;

	for (size_t i = 0; i < t->nseq * t->a->nheads; i++) {
		const struct damf_k_head *head = &t->a->heads[i % t->a->nheads];
		const struct att_seq *s = &t->seq[i / t->a->nheads];

		if (head->mode != DAMF_K_SHIFT)
			continue;
		t->shift[i] = (struct damf_shift_head) {
			.p = att_pq(t, s, head->p_col), .q = att_pq(t, s, head->q_col),
			.len = s->len, .d_v = head->d_v,
			.v = t->v + s->from * t->ldv + head->v_col, .ldv = t->ldv,
			.fixed = fixed, .ldf = fixed_cols(head), .sum = sum,
			.stop = t->ex->stop,
		};
		fixed += s->len * fixed_cols(head);
		sum += fixed_cols(head);
	}
}

static void begin_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;

	(void)worker;
	if (t->a->heads[item % t->a->nheads].mode == DAMF_K_SHIFT)
		damf_shift_begin(t->ex->isa, &t->shift[item]);
}

/* Up to 32 queries of one head of one sequence. */
static void queries_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;
	size_t h = item / att_blocks(t), first;
	const struct damf_k_head *head = &t->a->heads[h];
	const struct att_seq *s = att_block(t, item % att_blocks(t), &first);

	if (head->mode != DAMF_K_SHIFT)
		return;
	damf_shift_queries(t->ex->isa, head_of(t, (size_t)(s - t->seq), h), first,
			   s->len - first < DAMF_PANEL_COLS ? s->len - first : DAMF_PANEL_COLS,
			   t->shift_work + worker * t->shift_room,
			   t->o + (s->from + first) * t->ldv + head->v_col, t->ldv);
}

/* Each pair is a product of p and q, and adds to D, and to N of every column; then the sum of V, and the quotient. */
static void count_head(const struct att *t, size_t len, size_t d_v)
{
	uint64_t pairs = (uint64_t)len * len;

	DAMF_COUNT(t->ex, dynamic_macs, pairs);
	DAMF_COUNT(t->ex, shift_adds, pairs * (1 + d_v) + 2 * len * d_v);
	/* the sum is of 64 bits */
	DAMF_COUNT_F32(t->ex, read_intermediates, 2 * (2 * len + len * d_v) + 2 * d_v);
	DAMF_COUNT_F32(t->ex, write_intermediates, 2 * len * d_v + 2 * d_v);
}

int damf_att_shift(struct att *t)
{
	int rc;

	lay_out(t);
	rc = damf_run_items(t->ex, begin_item, t, t->nseq * t->a->nheads);
	if (!rc)
		rc = damf_run_items(t->ex, queries_item, t, att_blocks(t) * t->a->nheads);
	if (rc)
		return rc;
	for (size_t i = 0; i < t->nseq * t->a->nheads; i++) {
		const struct damf_k_head *head = &t->a->heads[i % t->a->nheads];

		if (head->mode == DAMF_K_SHIFT)
			count_head(t, t->seq[i / t->a->nheads].len, head->d_v);
	}
	return 0;
}
