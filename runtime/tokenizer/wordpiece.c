// SPDX-License-Identifier: MIT
/* Words, and their pieces: the longest in the vocabulary first. */
#include "tok_internal.h"

#include <errno.h>

/* Whether a word of @len bytes has more than @max code points. */
static int is_longer(const unsigned char *p, size_t len, size_t max)
{
	size_t i, chars = 0;

	if (len <= max)
		return 0;
	for (i = 0; i < len; i++)
		chars += (p[i] & 0xC0) != 0x80;
	return chars > max;
}

/* Append the pieces of one word. Room for one id a byte has been reserved. */
static void put_word(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		     const unsigned char *p, size_t len)
{
	const unsigned char *end = s->norm + s->norm_len + DAMF_TOK_SLACK;
	const struct damf_lookup *from = &t->vocab;
	int32_t *out = s->ids + s->n_ids;
	size_t n;

	if (is_longer(p, len, t->max_word))
		goto unknown;
	for (; len; p += n, len -= n) {
		*out = damf_lookup_longest(from, p, len, end, &n);
		if (*out++ < 0)
			goto unknown;
		from = &t->inner;
	}
	s->n_ids = (size_t)(out - s->ids);
	return;
unknown:
	s->ids[s->n_ids++] = t->unk;
}

/* Places of the first marks at or behind @at; there is one at the end of the text. */
static size_t next_begin(const struct damf_marks *m, size_t at)
{
	size_t k = at / 64;
	uint64_t bits = m[k].begin >> at % 64 << at % 64;

	while (!bits)
		bits = m[++k].begin;
	return 64 * k + (size_t)__builtin_ctzll(bits);
}

static size_t next_cut(const struct damf_marks *m, size_t at)
{
	size_t k = at / 64;
	uint64_t bits = m[k].cut >> at % 64 << at % 64;

	while (!bits)
		bits = m[++k].cut;
	return 64 * k + (size_t)__builtin_ctzll(bits);
}

int damf_tok_words(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		   size_t from, size_t to)
{
	const struct damf_marks *m = s->marks;
	size_t start = from, stop;

	if (damf_tok_reserve((void **)&s->ids, &s->ids_max, s->n_ids, to - from, sizeof(*s->ids)))
		return -ENOMEM;
	/* Behind an added token, the rest of a word is a word without a mark. */
	if (m[from / 64].cut >> from % 64 & 1)
		start = next_begin(m, from);
	for (; start < to; start = next_begin(m, stop)) {
		stop = next_cut(m, start + 1);
		if (stop > to)
			stop = to;
		put_word(t, s, s->norm + start, stop - start);
	}
	return 0;
}
