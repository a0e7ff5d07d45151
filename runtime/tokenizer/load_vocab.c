// SPDX-License-Identifier: MIT
/* A vocab.txt, and the tokenizer_config.json beside it. */
#include "tok_load.h"
#include "unicode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A model_max_length from here on is a way to say that there is none. */
#define NO_MAX_LENGTH 1e9

static const char *const special_keys[DAMF_TOK_N_SPECIAL] = {
	[DAMF_TOK_UNK] = "unk_token",
	[DAMF_TOK_CLS] = "cls_token",
	[DAMF_TOK_SEP] = "sep_token",
	[DAMF_TOK_PAD] = "pad_token",
	[DAMF_TOK_MASK] = "mask_token",
};

/* Tokenizers of transformers that are BERT's, with or without "Fast" at the end. */
static const char *const known_classes[] = {
	"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer",
	"MobileBertTokenizer", "ConvBertTokenizer", "LxmertTokenizer",
	"PreTrainedTokenizer",
};

static int check_class(struct damf_tok_load *l, json_t *root)
{
	json_t *v = json_object_get(root, "tokenizer_class");
	const char *name = json_string_value(v);
	size_t i, n;

	if (!v || json_is_null(v))
		return 0;
	for (i = 0; name && i < sizeof(known_classes) / sizeof(known_classes[0]); i++) {
		n = strlen(known_classes[i]);
		if (!strncmp(name, known_classes[i], n) &&
		    (!name[n] || !strcmp(name + n, "Fast")))
			return 0;
	}
	return damf_tok_fail(l, -EINVAL, "tokenizer_class '%s' is not supported, only BERT's is",
			     name ? name : "(not a string)");
}

/* A special token is a string, or an object that has it as "content". */
static int read_special(struct damf_tok_load *l, json_t *root, const char *key,
			char *out, size_t size)
{
	json_t *v = json_object_get(root, key);
	const char *s;

	if (!v || json_is_null(v))
		return 0;
	s = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
	if (!s)
		return damf_tok_fail(l, -EINVAL, "'%s' is not a token", key);
	if (strlen(s) >= size)
		return damf_tok_fail(l, -EINVAL, "'%s' is longer than %zu bytes", key, size - 1);
	memcpy(out, s, strlen(s) + 1);
	return 0;
}

static int read_max_length(struct damf_tok_load *l, json_t *root, size_t *out)
{
	json_t *v = json_object_get(root, "model_max_length");
	const char *side = json_string_value(json_object_get(root, "truncation_side"));
	double x = json_number_value(v);

	if (side && strcmp(side, "right"))
		return damf_tok_fail(l, -EINVAL,
				     "truncation_side '%s' is not supported, only 'right' is", side);
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_number(v) || !(x >= 1))
		return damf_tok_fail(l, -EINVAL, "'model_max_length' is not a positive number");
	if (x < NO_MAX_LENGTH)
		*out = (size_t)x;
	return 0;
}

/* How to normalise; what the file doesn't say stays as it is. */
static int read_flags(struct damf_tok_load *l, json_t *root, struct damf_tokenizer_opts *o)
{
	json_t *strip = json_object_get(root, "strip_accents");
	int ret = damf_tok_get_bool(l, root, "do_lower_case", o->do_lower_case, &o->do_lower_case);

	if (!ret && strip && !json_is_null(strip))
		ret = damf_tok_get_bool(l, root, "strip_accents", -1, &o->strip_accents);
	if (!ret)
		ret = damf_tok_get_bool(l, root, "tokenize_chinese_chars",
					o->tokenize_chinese_chars, &o->tokenize_chinese_chars);
	return ret;
}

/* Which tokens are special, which are added. */
static int read_tokens(struct damf_tok_load *l, json_t *root, struct damf_tok_config *c)
{
	int ret = check_class(l, root), i;

	for (i = 0; !ret && i < DAMF_TOK_N_SPECIAL; i++)
		ret = read_special(l, root, special_keys[i], c->special[i], sizeof(c->special[i]));
	if (!ret && json_is_object(json_object_get(root, "added_tokens_decoder")))
		c->added = json_incref(json_object_get(root, "added_tokens_decoder"));
	return ret;
}

int damf_tok_load_config(struct damf_tok_load *l, struct damf_tok_config *c, int vocab_only)
{
	json_t *root;
	/* The usual model_max_length without a limit is 10^30, too large for an integer. */
	int ret = damf_tok_read_json(l, JSON_DECODE_INT_AS_REAL, &root);

	if (ret)
		return ret;
	ret = read_max_length(l, root, &c->max_length);
	if (!ret)
		ret = read_flags(l, root, &c->opts);
	if (!ret && vocab_only)
		ret = read_tokens(l, root, c);
	json_decref(root);
	return ret;
}

/* Length of a line without the white space at its end. */
static size_t trim_end(const char *line, size_t len)
{
	const unsigned char *start = (const unsigned char *)line, *p, *q;

	while (len) {
		for (p = start + len - 1; (*p & 0xC0) == 0x80; p--)
			;
		q = p;
		if (!(damf_uc_flags(damf_utf8_next(&q)) & DAMF_UC_SPACE))
			break;
		len = (size_t)(p - start);
	}
	return len;
}

/* Every line is a token, an empty one too: its number is the id. Only LF ends a line. */
static int read_lines(struct damf_tok_load *l, char *data, size_t len)
{
	char *line = data, *end = data + len, *stop;
	int64_t id = 0;
	int ret;

	for (; line < end; line = stop + 1, id++) {
		stop = memchr(line, '\n', (size_t)(end - line));
		if (!stop)
			stop = end;
		len = trim_end(line, (size_t)(stop - line));
		if (memchr(line, '\0', len))
			return damf_tok_fail(l, -EINVAL, "line %lld holds a zero byte",
					     (long long)id + 1);
		line[len] = '\0';
		ret = damf_tok_add_vocab(l, line, len, id);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_vocab(struct damf_tok_load *l)
{
	size_t len, valid;
	int ret = damf_tok_read_file(l, &l->t->text, &len);

	if (ret)
		return ret;
	valid = damf_utf8_check(l->t->text, len);
	if (valid < len)
		return damf_tok_fail(l, -EINVAL, "not valid UTF-8 at byte %zu", valid);
	ret = read_lines(l, l->t->text, len);
	return ret ? ret : damf_tok_index_vocab(l);
}

static int is_added(const struct damf_tok_load *l, const char *text)
{
	size_t i;

	for (i = 0; i < l->t->n_added; i++)
		if (!strcmp(l->t->added[i].text, text))
			return 1;
	return 0;
}

/* Special tokens by name; only the first three must be there. */
static int add_special(struct damf_tok_load *l, struct damf_tok_config *c)
{
	int32_t *const ids[DAMF_TOK_N_SPECIAL] = { &l->t->unk, &l->t->cls, &l->t->sep };
	struct damf_added_token token = { .special = 1 };
	int i, ret;

	for (i = 0; i < DAMF_TOK_N_SPECIAL; i++) {
		token.text = c->special[i];
		token.len = strlen(token.text);
		token.id = damf_lookup_find(&l->t->vocab, token.text, token.len);
		if (token.id < 0 && ids[i])
			return damf_tok_fail(l, -EINVAL, "has no token '%s' (%s)",
					     token.text, special_keys[i]);
		if (ids[i])
			*ids[i] = token.id;
		if (token.id < 0 || is_added(l, token.text))
			continue;
		ret = damf_tok_add_added(l, &token);
		if (ret)
			return ret;
	}
	return 0;
}

/* The keys of added_tokens_decoder are ids. */
static int read_added_decoder(struct damf_tok_load *l, json_t *added)
{
	const char *key;
	json_t *entry;
	int ret;

	json_object_foreach(added, key, entry) {
		char *end;
		long long id = strtoll(key, &end, 10);

		if (*end || end == key || id < 0 || id >= DAMF_TOK_MAX_ID)
			return damf_tok_fail(l, -EINVAL,
					     "added_tokens_decoder: '%s' is not an id", key);
		ret = damf_tok_read_added(l, entry, id);
		if (ret)
			return ret;
	}
	return 0;
}

int damf_tok_load_vocab(struct damf_tok_load *l, struct damf_tok_config *c)
{
	struct damf_tokenizer *t = l->t;
	int ret = read_vocab(l);

	if (!ret)
		ret = damf_tok_index_inner(l, "##");
	if (!ret && c->added)
		ret = read_added_decoder(l, c->added);
	if (!ret)
		ret = add_special(l, c);
	if (ret)
		return ret;
	if (c->opts.max_chars_per_word < 1)
		return damf_tok_fail(l, -EINVAL, "max_chars_per_word is not positive");
	t->clean_text = 1;
	t->lower_case = c->opts.do_lower_case;
	t->strip_accents = c->opts.strip_accents < 0 ? t->lower_case : c->opts.strip_accents;
	t->split_cjk = c->opts.tokenize_chinese_chars;
	t->max_word = (size_t)c->opts.max_chars_per_word;
	return 0;
}
