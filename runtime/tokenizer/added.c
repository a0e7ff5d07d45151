// SPDX-License-Identifier: MIT
/* Added tokens: found in the text before it is split into words. */
#include "tok_internal.h"
#include "unicode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The code point that ends at @at, which is not the beginning. */
static const unsigned char *char_before(const char *text, size_t at)
{
	const unsigned char *p = (const unsigned char *)text + at - 1;

	while ((*p & 0xC0) == 0x80)
		p--;
	return p;
}

static unsigned int flags_at(const unsigned char *p)
{
	return damf_uc_flags(damf_utf8_next(&p));
}

static int is_single_word(const char *text, size_t len, size_t start, size_t stop)
{
	if (start > 0 && flags_at(char_before(text, start)) & DAMF_UC_WORD)
		return 0;
	return stop == len || !(flags_at((const unsigned char *)text + stop) & DAMF_UC_WORD);
}

static size_t skip_space_back(const char *text, size_t at)
{
	const unsigned char *p;

	while (at > 0) {
		p = char_before(text, at);
		if (!(flags_at(p) & DAMF_UC_SPACE))
			break;
		at = (size_t)(p - (const unsigned char *)text);
	}
	return at;
}

static size_t skip_space(const char *text, size_t len, size_t at)
{
	const unsigned char *p = (const unsigned char *)text + at;
	const unsigned char *end = (const unsigned char *)text + len, *next = p;

	while (p < end && damf_uc_flags(damf_utf8_next(&next)) & DAMF_UC_SPACE)
		p = next;
	return (size_t)(p - (const unsigned char *)text);
}

/* First place at or behind @at where a token may begin, or @len. */
static size_t next_first(const struct damf_added_set *set, const char *text, size_t len, size_t at)
{
	const char *found;

	if (set->only >= 0) {
		found = memchr(text + at, set->only, len - at);
		return found ? (size_t)(found - text) : len;
	}
	while (at < len && !set->first[(unsigned char)text[at]])
		at++;
	return at;
}

/* The longest token that begins at @at, and where it ends, or NULL. */
static const struct damf_added_token *longest_at(const struct damf_added_set *set,
						 const char *text, size_t len, size_t at,
						 size_t *stop)
{
	const unsigned char *p = (const unsigned char *)text + at;
	size_t n;
	int32_t i = damf_lookup_longest(&set->lookup, p, len - at, p + (len - at), &n);

	if (i < 0)
		return NULL;
	*stop = at + n;
	return set->tokens[i];
}

/*
 * A token that is found but doesn't count (special and not wanted, or inside a
 * word) still hides others that overlap it: the search goes on behind it. That
 * is what the reference does.
 */
int damf_added_next(const struct damf_added_set *set, const char *text, size_t len,
		    size_t *search, size_t done, int special, struct damf_added_match *m)
{
	const struct damf_added_token *token;
	size_t at = *search;

	while (set->n && at < len) {
		at = next_first(set, text, len, at);
		token = at < len ? longest_at(set, text, len, at, &m->stop) : NULL;
		if (!token) {
			at++;
			continue;
		}
		m->start = at;
		at = m->stop;
		if (token->special && !special)
			continue;
		if (token->single_word && !is_single_word(text, len, m->start, m->stop))
			continue;
		if (token->lstrip) {
			m->start = skip_space_back(text, m->start);
			if (m->start < done)
				m->start = done;
		}
		if (token->rstrip)
			m->stop = skip_space(text, len, m->stop);
		m->id = token->id;
		*search = at;
		return 1;
	}
	*search = len;
	return 0;
}

/* Add one token under its text or under its normal form. The key's text is allocated. */
static int add_key(struct damf_added_set *set, const struct damf_tokenizer *t,
		   const struct damf_added_token *a, struct damf_lookup_key *keys,
		   struct damf_tok_scratch *s)
{
	const char *text = a->text;
	size_t len = a->len;
	char *copy;

	if (a->normalized) {
		if (damf_tok_normalize(t, s, a->text, a->len))
			return -ENOMEM;
		text = (const char *)s->norm;
		len = s->norm_len;
	}
	if (!len)
		return -EINVAL;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	keys[set->n] = (struct damf_lookup_key){ copy, len, (int32_t)set->n };
	set->first[(unsigned char)copy[0]] = 1;
	set->only = !set->n || set->only == (unsigned char)copy[0] ? (unsigned char)copy[0] : -1;
	set->tokens[set->n++] = a;
	return 0;
}

static int add_keys(struct damf_added_set *set, const struct damf_tokenizer *t,
		    unsigned int normalized, struct damf_lookup_key *keys,
		    struct damf_tok_scratch *s, const struct damf_added_token **bad)
{
	size_t i;
	int ret;

	for (i = 0; i < t->n_added; i++) {
		if (t->added[i].normalized != normalized)
			continue;
		ret = add_key(set, t, &t->added[i], keys, s);
		if (ret) {
			*bad = &t->added[i];
			return ret;
		}
	}
	return 0;
}

/* Index the keys; two equal ones are an error, the reference takes either by chance. */
static int index_keys(struct damf_added_set *set, struct damf_lookup_key *keys,
		      const struct damf_added_token **bad)
{
	int ret = damf_lookup_build(&set->lookup, keys, set->n);
	int32_t twice;

	if (ret)
		return ret;
	twice = set->lookup.repeated;
	if (twice < 0)
		return 0;
	*bad = set->tokens[twice];
	return -EEXIST;
}

int damf_added_set_init(struct damf_added_set *set, const struct damf_tokenizer *t,
			unsigned int normalized, const struct damf_added_token **bad)
{
	struct damf_tok_scratch *s = damf_tok_scratch_new();
	struct damf_lookup_key *keys = calloc(t->n_added + 1, sizeof(*keys));
	int ret = -ENOMEM;
	size_t i;

	set->tokens = calloc(t->n_added + 1, sizeof(*set->tokens));
	if (s && keys && set->tokens)
		ret = add_keys(set, t, normalized, keys, s, bad);
	if (!ret)
		ret = index_keys(set, keys, bad);
	for (i = 0; keys && i < set->n; i++)
		free((void *)keys[i].text);
	free(keys);
	damf_tok_scratch_free(s);
	return ret;
}

void damf_added_set_free(struct damf_added_set *set)
{
	damf_lookup_free(&set->lookup);
	free(set->tokens);
}
