// SPDX-License-Identifier: MIT
/* Bands: weights of neighbouring tokens that a head has of its own, the same for all tokens. */
#include <string.h>

#include "attention.h"

/* Whether there is an output to add to. */
static bool has_output(const struct att *t, size_t seq, size_t head)
{
	enum damf_k_mode mode = t->a->heads[head].mode;

	return mode == DAMF_K_MHSA || mode == DAMF_K_SHIFT || att_is_direct(t, seq, head);
}

static void band_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;
	const struct damf_k_head *head = &t->a->heads[item % t->a->nheads];
	size_t first;
	const struct att_seq *s = att_block(t, item / t->a->nheads, &first);
	struct damf_band b;

	(void)worker;
	if (!(head->flags & DAMF_K_BAND))
		return;
	b = (struct damf_band) {
		.band = head->band, .v = t->v + s->from * t->ldv + head->v_col,
		.o = t->o + s->from * t->ldv + head->v_col, .ld = t->ldv, .len = s->len,
		.width = head->d_v, .first = first,
		.end = s->len - first < DAMF_PANEL_COLS ? s->len : first + DAMF_PANEL_COLS,
	};
	for (size_t m = first; m < b.end && !has_output(t, (size_t)(s - t->seq),
							item % t->a->nheads); m++)
		memset(b.o + m * b.ld, 0, b.width * sizeof(*b.o));
	t->ex->isa->band(&b);
}

/* Neighbours of all tokens of a sequence that lie within it, of weights that aren't 0. */
static size_t neighbours(const struct damf_k_head *head, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i <= 2 * DAMF_K_RADIUS; i++) {
		size_t off = i < DAMF_K_RADIUS ? DAMF_K_RADIUS - i : i - DAMF_K_RADIUS;

		if (head->band[i] != 0.0f && off < len)
			n += len - off;
	}
	return n;
}

static void count(const struct att *t, size_t seq, size_t head)
{
	const struct damf_k_head *h = &t->a->heads[head];
	size_t len = t->seq[seq].len;

	DAMF_COUNT(t->ex, static_macs, neighbours(h, len) * h->d_v);
	DAMF_COUNT_F32(t->ex, read_intermediates,
		       len * h->d_v * (has_output(t, seq, head) ? 2 : 1));
	DAMF_COUNT_F32(t->ex, write_intermediates, len * h->d_v);
}

int damf_att_band(struct att *t)
{
	int rc = damf_run_items(t->ex, band_item, t, att_blocks(t) * t->a->nheads);

	if (rc)
		return rc;
	for (size_t i = 0; i < t->nseq * t->a->nheads; i++) {
		if (t->a->heads[i % t->a->nheads].flags & DAMF_K_BAND)
			count(t, i / t->a->nheads, i % t->a->nheads);
	}
	return 0;
}
