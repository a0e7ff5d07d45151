// SPDX-License-Identifier: MIT
/*
 * From texts to batches: tokenized, sorted by length so that texts of like
 * length run together, cut where a batch is full.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "session.h"

/* A tokenized text. */
struct item {
	size_t row;
	size_t at;		/* first of its ids in the pool */
	uint32_t tokens;
};

struct pool {
	struct item *items;
	int32_t *ids, *types;
	size_t used, room;
	uint64_t truncated;
};

static int reserve(struct pool *p, size_t n)
{
	size_t room = p->room ? p->room : 4096;
	int32_t *ids, *types;

	while (room - p->used < n)
		room *= 2;
	if (room == p->room)
		return 0;
	ids = realloc(p->ids, room * sizeof(*ids));
	if (ids)
		p->ids = ids;
	types = realloc(p->types, room * sizeof(*types));
	if (types)
		p->types = types;
	if (!ids || !types)
		return -ENOMEM;
	p->room = room;
	return 0;
}

static int text_error(int r, size_t i, const struct damf_text *t, size_t at, uint32_t max,
		      struct damf_error *err)
{
	const char *which = "";

	if (r == -EILSEQ && t->pair && at >= t->len) {
		which = " (its second half)";
		at -= t->len;
	}
	switch (r) {
	case -EILSEQ:
		return damf_error_set(err, r, "text %zu%s is not UTF-8 at byte %zu: convert it", i,
				      which, at);
	case -EINVAL:
		return damf_error_set(err, r,
				      "a maximum length of %u has no room for the special tokens: use at least %d",
				      max, t->pair ? 5 : 3);
	case -EOVERFLOW:
		return damf_error_set(err, r, "text %zu is longer than 256 MiB: split it", i);
	default:
		return damf_error_set(err, r, "no memory to tokenize text %zu", i);
	}
}

/* At most max_length ids, written behind those of earlier texts. */
static int tokenize(struct damf_session *s, const struct damf_text *t, size_t i, struct pool *p,
		    struct damf_text_result *result, struct damf_error *err)
{
	int special = s->flags & DAMF_SESSION_PARSE_SPECIAL ? 1 : 0;
	size_t full = 0;
	long n;

	if (reserve(p, s->max_length))
		return damf_error_set(err, -ENOMEM, "no memory for the tokens of %zu texts", i + 1);
	memset(p->types + p->used, 0, s->max_length * sizeof(*p->types));
	if (t->pair)
		n = damf_tokenizer_encode_pair(s->model->tok, s->scratch, t->text, t->len, t->pair,
					       t->pair_len, special, s->max_length,
					       p->ids + p->used, p->types + p->used,
					       s->max_length, &full);
	else
		n = damf_tokenizer_encode(s->model->tok, s->scratch, t->text, t->len, special,
					  s->max_length, p->ids + p->used, s->max_length, &full);
	if (n < 0)
		return text_error((int)n, i, t, full, s->max_length, err);
	p->items[i] = (struct item){ .row = i, .at = p->used, .tokens = (uint32_t)n };
	p->used += (size_t)n;
	p->truncated += full > (size_t)n;
	if (result)
		*result = (struct damf_text_result){ (uint32_t)n, (uint32_t)full };
	return 0;
}

static int by_length(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->tokens != y->tokens)
		return x->tokens < y->tokens ? -1 : 1;
	return x->row < y->row ? -1 : 1;
}

static struct damf_batch *make_batch(const struct pool *p, const struct item *items, uint32_t seqs,
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
		size_t bytes = items[i].tokens * sizeof(*ids);

		memcpy(ids + at, p->ids + items[i].at, bytes);
		memcpy(types + at, p->types + items[i].at, bytes);
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
static uint32_t fit(const struct damf_session *s, const struct item *items, size_t n,
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
static struct damf_batch *make_batches(const struct damf_session *s, const struct pool *p, size_t n,
				       struct damf_group *g, struct damf_batch ***end)
{
	struct damf_batch *first = NULL, **at = &first, *b;
	uint32_t seqs, tokens;
	size_t i;

	for (i = 0; i < n; i += seqs) {
		seqs = fit(s, p->items + i, n - i, &tokens);
		b = make_batch(p, p->items + i, seqs, tokens);
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

static int append(struct damf_session *s, struct pool *p, size_t n, float *out,
		  struct damf_error *err)
{
	struct damf_group *g = calloc(1, sizeof(*g));
	struct damf_batch *first = NULL, **end = NULL;

	if (g) {
		g->out = out;
		qsort(p->items, n, sizeof(*p->items), by_length);
		first = make_batches(s, p, n, g, &end);
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
	s->stats.texts += n;
	s->stats.tokens += p->used;
	s->stats.truncated += p->truncated;
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
	struct pool p = { .items = malloc(n * sizeof(*p.items)) };
	int r = check_pairs(s, texts, n, err);
	size_t i;

	if (!r && !p.items)
		r = damf_error_set(err, -ENOMEM, "no memory for %zu texts", n);
	for (i = 0; i < n && !r; i++)
		r = tokenize(s, &texts[i], i, &p, results ? &results[i] : NULL, err);
	if (!r)
		r = append(s, &p, n, out, err);
	free(p.items);
	free(p.ids);
	free(p.types);
	return r;
}
