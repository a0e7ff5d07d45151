// SPDX-License-Identifier: MIT
/*
 * Texts to token ids, in chunks that threads take. Where the engine is threads
 * of this process they do it, between two lists: not one more runs than was
 * asked for. A few texts while the engine has nothing to do are the caller's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../backend.h"
#include "error.h"
#include "session.h"

#define FEW 64	/* texts that don't pay for waking other threads */

/* What a chunk's thread needs to know. */
struct job {
	const struct damf_session *s;
	const struct damf_text *texts;
	size_t n;
	struct damf_text_result *results;	/* or NULL */
	struct damf_tokens *to;
};

static int reserve(struct damf_chunk *c, size_t n)
{
	size_t room = c->room ? c->room : 1024;
	int32_t *ids, *types;

	while (room - c->used < n)
		room *= 2;
	if (room == c->room)
		return 0;
	ids = realloc(c->ids, room * sizeof(*ids));
	if (ids)
		c->ids = ids;
	types = realloc(c->types, room * sizeof(*types));
	if (types)
		c->types = types;
	if (!ids || !types)
		return -ENOMEM;
	c->room = room;
	return 0;
}

/* At most max_length ids, written behind those of earlier texts. */
static int encode(const struct job *job, struct damf_tok_scratch *scratch, size_t i,
		  struct damf_chunk *c)
{
	const struct damf_session *s = job->s;
	const struct damf_text *t = &job->texts[i];
	int special = s->flags & DAMF_SESSION_PARSE_SPECIAL ? 1 : 0;
	size_t full = 0;
	long n;

	if (reserve(c, s->max_length))
		return -ENOMEM;
	memset(c->types + c->used, 0, s->max_length * sizeof(*c->types));
	if (t->pair)
		n = damf_tokenizer_encode_pair(s->model->tok, scratch, t->text, t->len, t->pair,
					       t->pair_len, special, s->max_length,
					       c->ids + c->used, c->types + c->used,
					       s->max_length, &full);
	else
		n = damf_tokenizer_encode(s->model->tok, scratch, t->text, t->len, special,
					  s->max_length, c->ids + c->used, s->max_length, &full);
	if (n < 0) {
		c->bad = i;
		c->bad_at = full;
		return (int)n;
	}
	job->to->items[i] = (struct damf_item){ .row = i, .at = c->used, .tokens = (uint32_t)n };
	c->used += (size_t)n;
	c->truncated += full > (size_t)n;
	if (job->results)
		job->results[i] = (struct damf_text_result){ (uint32_t)n, (uint32_t)full };
	return 0;
}

static void encode_chunk(void *arg, size_t which, unsigned int worker)
{
	const struct job *job = arg;
	struct damf_chunk *c = &job->to->chunks[which];
	size_t i, end = (which + 1) * DAMF_CHUNK;

	for (i = which * DAMF_CHUNK; i < end && i < job->n && !c->error; i++)
		c->error = encode(job, job->s->scratch[worker], i, c);
}

/* One for each thread that may come. */
static int need_scratch(struct damf_session *s, unsigned int threads)
{
	struct damf_tok_scratch **scratch;

	if (threads <= s->scratches)
		return 0;
	scratch = realloc(s->scratch, threads * sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	for (s->scratch = scratch; s->scratches < threads; s->scratches++) {
		scratch[s->scratches] = damf_tok_scratch_new();
		if (!scratch[s->scratches])
			return -ENOMEM;
	}
	return 0;
}

static int encode_all(struct damf_session *s, struct job *job)
{
	struct damf_device *dev = s->engine->dev;
	unsigned int threads = damf_device_threads(dev);
	bool ours = !threads || (!s->engine->used && job->n < FEW);
	size_t i;
	int r = need_scratch(s, threads ? threads : 1);

	if (r)
		return r;
	if (!ours)
		damf_device_work(dev, encode_chunk, job, job->to->n);
	for (i = 0; ours && i < job->to->n; i++)
		encode_chunk(job, i, 0);
	return 0;
}

static int text_error(const struct damf_session *s, const struct damf_text *t,
		      const struct damf_chunk *c, struct damf_error *err)
{
	const char *which = "";
	size_t at = c->bad_at;

	if (c->error == -EILSEQ && t->pair && at >= t->len) {
		which = " (its second half)";
		at -= t->len;
	}
	switch (c->error) {
	case -EILSEQ:
		return damf_error_set(err, c->error, "text %zu%s is not UTF-8 at byte %zu: convert it",
				      c->bad, which, at);
	case -EINVAL:
		return damf_error_set(err, c->error,
				      "a maximum length of %u has no room for the special tokens: use at least %d",
				      s->max_length, t->pair ? 5 : 3);
	case -EOVERFLOW:
		return damf_error_set(err, c->error, "text %zu is longer than 256 MiB: split it",
				      c->bad);
	default:
		return damf_error_set(err, c->error, "no memory to tokenize texts");
	}
}

/* Of several bad texts the first is told, whichever thread was faster. */
static int add_up(const struct job *job, struct damf_error *err)
{
	struct damf_tokens *to = job->to;
	size_t i;

	for (i = 0; i < to->n; i++) {
		const struct damf_chunk *c = &to->chunks[i];

		if (c->error)
			return text_error(job->s, &job->texts[c->bad], c, err);
		to->tokens += c->used;
		to->truncated += c->truncated;
	}
	return 0;
}

int damf_tokens_make(struct damf_session *s, const struct damf_text *texts, size_t n,
		     struct damf_text_result *results, struct damf_tokens *to,
		     struct damf_error *err)
{
	struct job job = { s, texts, n, results, to };
	int r;

	*to = (struct damf_tokens){ .n = (n + DAMF_CHUNK - 1) / DAMF_CHUNK };
	to->items = calloc(n, sizeof(*to->items));
	to->chunks = calloc(to->n, sizeof(*to->chunks));
	if (!to->items || !to->chunks || encode_all(s, &job))
		r = damf_error_set(err, -ENOMEM, "no memory for %zu texts", n);
	else
		r = add_up(&job, err);
	if (r)
		damf_tokens_free(to);
	return r;
}

void damf_tokens_free(struct damf_tokens *t)
{
	size_t i;

	for (i = 0; t->chunks && i < t->n; i++) {
		free(t->chunks[i].ids);
		free(t->chunks[i].types);
	}
	free(t->chunks);
	free(t->items);
	*t = (struct damf_tokens){ .n = 0 };
}
