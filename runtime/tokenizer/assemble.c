// SPDX-License-Identifier: MIT
/* Putting a tokenizer together: its vocabulary and its added tokens. */
#include "tok_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int damf_tok_add_vocab(struct damf_tok_load *l, const char *text, size_t len, int64_t id)
{
	if (id < 0 || id >= DAMF_TOK_MAX_ID)
		return damf_tok_fail(l, -EINVAL, "id %lld of token '%s' is not below %d",
				     (long long)id, text, DAMF_TOK_MAX_ID);
	if (damf_tok_reserve((void **)&l->keys, &l->max_keys, l->n_keys, 1, sizeof(*l->keys)))
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	l->keys[l->n_keys++] = (struct damf_lookup_key){ text, len, (int32_t)id };
	return 0;
}

/* Make tokens[] reach up to @id. */
static int grow_tokens(struct damf_tok_load *l, int32_t id)
{
	size_t size = (size_t)id + 1, i;
	const char **tokens;

	if (size <= l->t->vocab_size)
		return 0;
	tokens = realloc(l->t->tokens, size * sizeof(*tokens));
	if (!tokens)
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	for (i = l->t->vocab_size; i < size; i++)
		tokens[i] = NULL;
	l->t->tokens = tokens;
	l->t->vocab_size = size;
	return 0;
}

int damf_tok_index_vocab(struct damf_tok_load *l)
{
	struct damf_lookup *vocab = &l->t->vocab;
	int32_t max = 0;
	size_t i;

	if (damf_lookup_build(vocab, l->keys, l->n_keys))
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	for (i = 0; i < l->n_keys; i++)
		if (l->keys[i].value > max)
			max = l->keys[i].value;
	if (grow_tokens(l, max))
		return -ENOMEM;
	for (i = 0; i < l->n_keys; i++) {
		const struct damf_lookup_key *k = &l->keys[i];

		/* Of equal tokens only one has its id. */
		if (vocab->repeated < 0 || damf_lookup_find(vocab, k->text, k->len) == k->value)
			l->t->tokens[k->value] = k->text;
	}
	l->next_added = (int32_t)vocab->n;
	return 0;
}

int damf_tok_index_inner(struct damf_tok_load *l, const char *prefix)
{
	struct damf_lookup_key *keys = malloc((l->n_keys + 1) * sizeof(*keys));
	size_t len = strlen(prefix), n = 0, i;
	int ret = -ENOMEM;

	for (i = 0; keys && i < l->n_keys; i++) {
		keys[n] = l->keys[i];
		if (keys[n].len < len || memcmp(keys[n].text, prefix, len))
			continue;
		keys[n].text += len;
		keys[n++].len -= len;
	}
	if (keys)
		ret = damf_lookup_build(&l->t->inner, keys, n);
	free(keys);
	return ret ? damf_tok_fail(l, ret, "out of memory") : 0;
}

/*
 * The reference numbers added tokens itself: the vocabulary's id if the token
 * is in it, else the next one. A file that says otherwise is in error.
 */
int damf_tok_add_added(struct damf_tok_load *l, const struct damf_added_token *token)
{
	struct damf_tokenizer *t = l->t;
	int32_t id = damf_lookup_find(&t->vocab, token->text, token->len);
	struct damf_added_token *a;

	if (id < 0)
		id = l->next_added;
	if (id != token->id)
		return damf_tok_fail(l, -EINVAL, "added token '%s' has id %d, but its place is %d",
				     token->text, token->id, id);
	if (damf_tok_reserve((void **)&t->added, &l->max_added, t->n_added, 1, sizeof(*a)))
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	a = &t->added[t->n_added];
	*a = *token;
	a->text = malloc(token->len + 1);
	if (!a->text)
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	memcpy(a->text, token->text, token->len + 1);
	t->n_added++;
	if (grow_tokens(l, id))
		return -ENOMEM;
	t->tokens[id] = a->text;
	if (id >= l->next_added)
		l->next_added = id + 1;
	return 0;
}

int damf_tok_read_added(struct damf_tok_load *l, json_t *entry, int64_t id)
{
	struct damf_added_token token = { .id = (int32_t)id };
	int special, normalized, single_word, lstrip, rstrip;
	const char *content;
	int ret;

	ret = damf_tok_get_string(l, entry, "content", &content);
	if (!ret && !*content)
		ret = damf_tok_fail(l, -EINVAL, "added token %d is empty", token.id);
	if (!ret)
		ret = damf_tok_get_bool(l, entry, "special", 0, &special);
	if (!ret)
		ret = damf_tok_get_bool(l, entry, "normalized", !special, &normalized);
	if (!ret)
		ret = damf_tok_get_bool(l, entry, "single_word", 0, &single_word);
	if (!ret)
		ret = damf_tok_get_bool(l, entry, "lstrip", 0, &lstrip);
	if (!ret)
		ret = damf_tok_get_bool(l, entry, "rstrip", 0, &rstrip);
	if (ret)
		return ret;
	token.text = (char *)content;
	token.len = strlen(content);
	token.special = special & 1;
	token.normalized = normalized & 1;
	token.single_word = single_word & 1;
	token.lstrip = lstrip & 1;
	token.rstrip = rstrip & 1;
	return damf_tok_add_added(l, &token);
}

