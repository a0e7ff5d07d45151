// SPDX-License-Identifier: MIT
/*
 * What of a job is worked on at once follows from the scratchpad of the
 * modelled machine, and with it how often weights are read. No bit of a
 * result depends on it.
 */
#include "attention.h"

/* However large the scratchpad is, kernels' own memory stays bounded. */
#define GROUP_TOKENS	2048
#define BLOCK_ROWS	1024
/* softfold's terms are as many as its data need: a plan takes this many. */
#define PLAN_NODES	16

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t words(size_t scratchpad)
{
	return (scratchpad ? scratchpad : DAMF_K_SCRATCHPAD) / sizeof(float);
}

size_t damf_block_rows(size_t scratchpad, size_t row)
{
	size_t rows = min_size(words(scratchpad) / row, BLOCK_ROWS);

	return rows ? rows : 1;
}

void damf_count_spill(const struct damf_exec *ex, size_t scratchpad, uint64_t held,
		      uint64_t moved)
{
	if (held > words(scratchpad) * sizeof(float))
		DAMF_COUNT(ex, spills, moved);
}

/* Words that a group puts aside: for each token, each sequence, each token of the longest. */
struct plan {
	size_t token, seq, longest;
};

static size_t plan_terms(const struct damf_k_head *head)
{
	size_t sink = head->flags & DAMF_K_SINKS ? 1 : 0;

	switch (head->mode) {
	case DAMF_K_FOLD:
		return 1 + (head->order > 1 ? head->order : head->rank) + sink;
	case DAMF_K_FOLDSHIFT:
		return 1 + head->order + sink;
	case DAMF_K_SOFTFOLD:
		return PLAN_NODES + sink;
	default:
		return sink;
	}
}

static struct plan plan_heads(const struct damf_attention_args *a)
{
	struct plan p = { .token = a->width + 2 * a->nqk + a->npq };

	for (size_t h = 0; h < a->nheads; h++) {
		const struct damf_k_head *head = &a->heads[h];
		size_t terms = plan_terms(head);

		p.token += 2 * terms + (att_has_values(head) ? 2 * head->d_v : 0);
		p.seq += terms * (a->width + a->out);
		if (head->mode == DAMF_K_MHSA)
			p.longest = DAMF_PANEL_COLS;
	}
	return p;
}

size_t damf_att_group_end(const struct damf_attention_args *a, size_t first)
{
	const struct plan p = plan_heads(a);
	size_t tokens = 0, seqs = 0, longest = 0, end;

	for (end = first; end < a->seqs && end - first < ATT_SEQS; end++) {
		size_t len = (size_t)(a->offsets[end + 1] - a->offsets[end]);

		tokens += len;
		seqs += len != 0;
		longest = len > longest ? len : longest;
		if (end > first && (tokens > GROUP_TOKENS ||
				    tokens * p.token + seqs * p.seq + longest * p.longest >
				    words(a->scratchpad)))
			break;
	}
	return end;
}

void damf_att_count_spills(const struct att *t, const struct damf_counts *before)
{
	const struct damf_counts *c = t->ex->counts;
	size_t tile = t->scores ? DAMF_PANEL_COLS * t->longest * sizeof(float) : 0;
	uint64_t wrote, read;

	if (!c)
		return;
	wrote = c->write_intermediates - before->write_intermediates - t->scores;
	read = c->read_intermediates - before->read_intermediates - t->scores;
	damf_count_spill(t->ex, t->a->scratchpad, tile, 2 * t->scores);
	damf_count_spill(t->ex, t->a->scratchpad, wrote + tile, wrote + read);
}
