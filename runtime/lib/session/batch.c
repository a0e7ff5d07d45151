// SPDX-License-Identifier: MIT
/*
 * From tokens to batches: sorted by length so that texts of like length run
 * together, cut where a batch is full.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "session.h"

static int by_length(const void *a, const void *b)
{
	const struct damf_item *x = a, *y = b;

	if (x->tokens != y->tokens)
		return x->tokens < y->tokens ? -1 : 1;
	return x->row < y->row ? -1 : 1;
}

static struct damf_batch *make_batch(const struct damf_tokens *t, const struct damf_item *items, uint32_t seqs,
				     uint32_t tokens)
{
	struct damf_batch *b = calloc(1, sizeof(*b));
	size_t *rows = malloc(seqs * sizeof(*rows));
	int32_t *ids = malloc((2ull * tokens + seqs + 1) * sizeof(*ids));
	int32_t *types, *offsets, at = 0;
	uint32_t i;

	if (!b || !rows || !ids) {
		free(b);
		free(rows);
		free(ids);
		return NULL;
	}
	types = ids + tokens;
	offsets = types + tokens;
	b->rows = rows;
	b->in = (struct damf_engine_batch){ ids, types, offsets, tokens, seqs };
	for (i = 0; i < seqs; i++) {
		const struct damf_chunk *c = &t->chunks[items[i].row / DAMF_CHUNK];
		size_t bytes = items[i].tokens * sizeof(*ids);

		memcpy(ids + at, c->ids + items[i].at, bytes);
		memcpy(types + at, c->types + items[i].at, bytes);
		rows[i] = items[i].row;
		offsets[i] = at;
		at += (int32_t)items[i].tokens;
	}
	offsets[seqs] = at;
	return b;
}

void damf_batch_free(struct damf_batch *b)
{
	if (!b)
		return;
	free((int32_t *)b->in.ids);	/* one block with types and offsets */
	free(b->rows);
	free(b);
}

/* The longest run of items that fit in a batch, from the first one on. */
static uint32_t fit(const struct damf_session *s, const struct damf_item *items, size_t n,
		    uint32_t *tokens)
{
	uint32_t seqs = 0;

	*tokens = 0;
	while (seqs < n && seqs < s->config.max_seqs &&
	       *tokens + items[seqs].tokens <= s->config.max_tokens)
		*tokens += items[seqs++].tokens;
	return seqs;
}

/* All batches of a group, linked; NULL: out of memory. */
static struct damf_batch *make_batches(const struct damf_session *s, const struct damf_tokens *t, size_t n,
				       struct damf_group *g, struct damf_batch ***end)
{
	struct damf_batch *first = NULL, **at = &first, *b;
	uint32_t seqs, tokens;
	size_t i;

	for (i = 0; i < n; i += seqs) {
		seqs = fit(s, t->items + i, n - i, &tokens);
		b = make_batch(t, t->items + i, seqs, tokens);
		if (!b) {
			while (first) {
				b = first->next;
				damf_batch_free(first);
				first = b;
			}
			return NULL;
		}
		b->group = g;
		g->batches++;
		*at = b;
		at = &b->next;
	}
	*end = at;
	return first;
}

static int append(struct damf_session *s, struct damf_tokens *t, size_t n, float *out,
		  struct damf_error *err)
{
	struct damf_group *g = calloc(1, sizeof(*g));
	struct damf_batch *first = NULL, **end = NULL;

	if (g) {
		g->out = out;
		g->texts = n;
		qsort(t->items, n, sizeof(*t->items), by_length);
		first = make_batches(s, t, n, g, &end);
	}
	if (!first) {
		free(g);
		return damf_error_set(err, -ENOMEM, "no memory for a batch of %zu texts", n);
	}
	g->ticket = ++s->tickets;
	*s->groups_end = g;
	s->groups_end = &g->next;
	*s->batches_end = first;
	s->batches_end = end;
	if (!s->unsent)
		s->unsent = first;
	s->texts += n;
	s->stats.texts += n;
	s->stats.tokens += t->tokens;
	s->stats.truncated += t->truncated;
	return 0;
}

static int check_pairs(const struct damf_session *s, const struct damf_text *texts, size_t n,
		       struct damf_error *err)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (texts[i].pair && s->model->config.types < 2)
			return damf_error_set(err, -EINVAL,
					      "text %zu is a pair, and the model has one token type only: it takes no pairs",
					      i);
	return 0;
}

int damf_session_add(struct damf_session *s, const struct damf_text *texts, size_t n, float *out,
		     struct damf_text_result *results, struct damf_error *err)
{
	struct damf_tokens t;
	int r = check_pairs(s, texts, n, err);

	if (!r)
		r = damf_tokens_make(s, texts, n, results, &t, err);
	if (r)
		return r;
	r = append(s, &t, n, out, err);
	damf_tokens_free(&t);
	return r;
}
