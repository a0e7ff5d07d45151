// SPDX-License-Identifier: MIT
/* An attention job, a group of sequences at a time, part by part. */
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally_parts.h"

/* Pairs of tokens whose scores, and then weights, are put aside; the longest of them. */
static uint64_t scores(const struct group *g, uint64_t *rows)
{
	uint64_t pairs = 0;

	*rows = 0;
	for (size_t s = 0; s < g->nseq; s++) {
		uint64_t len = g->seq[s].len;

		for (size_t h = 0; h < g->a->nheads; h++) {
			if (g->a->heads[h].mode != DAMF_K_MHSA &&
			    !tally_is_direct(g, &g->seq[s], &g->a->heads[h]))
				continue;
			pairs += len * len;
		}
		*rows = len > *rows ? len : *rows;
	}
	*rows = pairs ? *rows : 0;
	return pairs;
}

static void spills(const struct group *g, const struct damf_counts *before)
{
	uint64_t room = tally_room(g->a->scratchpad), rows, pairs = scores(g, &rows);
	uint64_t wrote = tally.write_intermediates - before->write_intermediates - 8 * pairs;
	uint64_t read = tally.read_intermediates - before->read_intermediates - 8 * pairs;

	if (4 * 32 * rows > room)
		tally.spills += 2 * 8 * pairs;
	if (wrote + 4 * 32 * rows > room)
		tally.spills += wrote + read;
}

static void group(const struct damf_attention_args *a, size_t first, size_t end,
		  const int32_t *offsets)
{
	struct group *g = tally_new(1, sizeof(*g));
	struct damf_counts before = tally;

	g->a = a;
	g->x = a->x + (size_t)offsets[first] * a->ldx;
	g->tokens = (size_t)(offsets[end] - offsets[first]);
	for (size_t i = first; i < end; i++) {
		if (offsets[i] < offsets[i + 1])
			g->seq[g->nseq++] = (struct seq) {
				.x = a->x + (size_t)offsets[i] * a->ldx,
				.y = a->y + (size_t)offsets[i] * a->ldy,
				.from = (size_t)(offsets[i] - offsets[first]),
				.len = (size_t)(offsets[i + 1] - offsets[i]),
			};
	}
	if (!g->nseq)
		return;
	g->q = new_f32(g->tokens * a->nqk);
	g->k = new_f32(g->tokens * a->nqk);
	g->pq = new_f32(g->tokens * a->npq);
	g->v = new_f32(g->tokens * a->nv);
	g->o = new_f32(g->tokens * a->nv);
	g->values = tally_new(a->nheads * GROUP_SEQS, sizeof(*g->values));
	tally_queries_and_keys(g);
	tally_factors(g);
	tally_values(g);
	for (size_t s = 0; s < g->nseq; s++) {
		tally_outputs(g, &g->seq[s]);
		tally_sums(g, &g->seq[s]);
	}
	tally_vectors(g);
	tally_last_product(g);
	spills(g, &before);
}

static size_t planned_terms(const struct damf_k_head *h)
{
	size_t sinks = h->flags & DAMF_K_SINKS ? 1 : 0;

	if (h->mode == DAMF_K_SOFTFOLD)
		return 16 + sinks;
	if (h->mode == DAMF_K_FOLDSHIFT || (h->mode == DAMF_K_FOLD && h->rank == 1))
		return h->order + 1 + sinks;
	return h->mode == DAMF_K_FOLD ? h->rank + 1 + sinks : sinks;
}

/* The plan of the page, in bytes. */
static uint64_t plan(const struct damf_attention_args *a, uint64_t t, uint64_t s, uint64_t longest)
{
	uint64_t v = 0, terms = 0, exact = 0;

	for (size_t h = 0; h < a->nheads; h++) {
		if (has_own(&a->heads[h]) || (a->heads[h].flags & DAMF_K_BAND))
			v += a->heads[h].d_v;
		terms += planned_terms(&a->heads[h]);
		exact |= a->heads[h].mode == DAMF_K_MHSA;
	}
	return 4 * (t * (a->width + 2 * a->nqk + a->npq + 2 * v + 2 * terms) +
		    s * terms * (a->width + a->out) + (exact ? 32 * longest : 0));
}

void tally_attention(const struct damf_attention_args *a)
{
	int32_t *offsets = tally_new(a->seqs + 1, sizeof(*offsets));
	size_t first = 0;

	for (size_t i = 0; i <= a->seqs; i++) {
		offsets[i] = a->offsets[i];
		tally.read_activations += sizeof(*offsets);
	}
	while (first < a->seqs) {
		uint64_t seqs = 0, longest = 0;
		size_t end = first;

		for (; end < a->seqs && end - first < 64; end++) {
			uint64_t len = (uint64_t)(offsets[end + 1] - offsets[end]);
			uint64_t tokens = (uint64_t)(offsets[end + 1] - offsets[first]);

			seqs += len > 0;
			longest = len > longest ? len : longest;
			if (end > first && (tokens > 2048 || plan(a, tokens, seqs, longest) >
					    tally_room(a->scratchpad)))
				break;
		}
		group(a, first, end, offsets);
		first = end;
	}
	tally_free();
}
