// SPDX-License-Identifier: MIT
/* Words, and their pieces: the longest in the vocabulary first. */
#include "tok_internal.h"
#include "unicode.h"

#include <errno.h>

/*
 * Append the pieces of one word of @chars code points. Room for one id a byte
 * has been reserved.
 */
static void put_word(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		     const unsigned char *p, const unsigned char *end, size_t chars)
{
	int32_t *first = s->ids + s->n_ids, *out = first;
	int32_t from = DAMF_TRIE_ROOT;

	if (chars > t->max_word)
		goto unknown;
	while (p < end) {
		const unsigned char *q = p, *longest = p;
		int32_t node = from, id = -1;

		while (node >= 0 && q < end) {
			node = damf_trie_step(&t->vocab, node, *q++);
			if (node >= 0 && t->vocab.nodes[node].value >= 0) {
				id = t->vocab.nodes[node].value;
				longest = q;
			}
		}
		if (id < 0)
			goto unknown;
		*out++ = id;
		p = longest;
		from = t->inner;
	}
	s->n_ids += (size_t)(out - first);
	return;
unknown:
	*first = t->unk;
	s->n_ids++;
}

int damf_tok_words(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		   const unsigned char *text, size_t len)
{
	const unsigned char *p = text, *end = text + len, *start, *next;
	unsigned int flags;
	size_t chars;

	if (damf_tok_reserve((void **)&s->ids, &s->ids_max, s->n_ids, len, sizeof(*s->ids)))
		return -ENOMEM;
	while (p < end) {
		start = p;
		flags = damf_uc_flags(damf_utf8_next(&p));
		if (flags & DAMF_UC_SPACE)
			continue;
		chars = 1;
		while (!(flags & DAMF_UC_PUNCT) && p < end) {
			next = p;
			if (damf_uc_flags(damf_utf8_next(&next)) & (DAMF_UC_SPACE | DAMF_UC_PUNCT))
				break;
			p = next;
			chars++;
		}
		put_word(t, s, start, p, chars);
	}
	return 0;
}
