// SPDX-License-Identifier: MIT
/* A tokenizer.json: every part of it is BERT's, or refused by name. */
#include "tok_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Check that a part is of the only kind that there is here. */
static int check_type(struct damf_tok_load *l, json_t *part, const char *what, const char *type)
{
	const char *is = json_string_value(json_object_get(part, "type"));

	if (is && !strcmp(is, type))
		return 0;
	if (json_is_null(part) || !part)
		is = "none";
	return damf_tok_fail(l, -EINVAL, "%s '%s' is not supported, only %s is",
			     what, is ? is : "without a type", type);
}

static int read_normalizer(struct damf_tok_load *l, json_t *root)
{
	json_t *n = json_object_get(root, "normalizer");
	struct damf_tokenizer *t = l->t;
	int ret;

	if (json_is_null(n))
		return 0;
	ret = check_type(l, n, "normalizer", "BertNormalizer");
	if (!ret)
		ret = damf_tok_get_bool(l, n, "clean_text", -1, &t->clean_text);
	if (!ret)
		ret = damf_tok_get_bool(l, n, "handle_chinese_chars", -1, &t->split_cjk);
	if (!ret)
		ret = damf_tok_get_bool(l, n, "lowercase", -1, &t->lower_case);
	if (!ret)
		ret = damf_tok_get_bool(l, n, "strip_accents", t->lower_case, &t->strip_accents);
	return ret;
}

/* Copy the tokens to memory of our own and index them, unless that is done. */
static int read_vocab(struct damf_tok_load *l, json_t *vocab)
{
	size_t total = 0, len;
	const char *key;
	json_t *id;
	char *out;
	int ret;

	if (l->n_keys)
		return 0;
	json_object_foreach(vocab, key, id)
		total += strlen(key) + 1;
	l->t->text = out = malloc(total + 1);
	if (!out)
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	json_object_foreach(vocab, key, id) {
		if (!json_is_integer(id))
			return damf_tok_fail(l, -EINVAL, "id of token '%s' is not an integer", key);
		len = strlen(key);
		memcpy(out, key, len + 1);
		ret = damf_tok_add_vocab(l, out, len, json_integer_value(id));
		if (ret)
			return ret;
		out += len + 1;
	}
	return damf_tok_index_vocab(l);
}

static int read_model(struct damf_tok_load *l, json_t *root)
{
	struct damf_tokenizer *t = l->t;
	const char *unk, *prefix;
	json_t *model, *vocab;
	int64_t max_word;
	int ret;

	ret = damf_tok_get_object(l, root, "model", &model);
	/* Old files don't name the type; a WordPiece is the one without merges. */
	if (!ret && (json_object_get(model, "type") || json_object_get(model, "merges")))
		ret = check_type(l, model, "model", "WordPiece");
	if (!ret)
		ret = damf_tok_get_string(l, model, "unk_token", &unk);
	if (!ret)
		ret = damf_tok_get_string(l, model, "continuing_subword_prefix", &prefix);
	if (!ret)
		ret = damf_tok_get_int(l, model, "max_input_chars_per_word", 1,
				       DAMF_TOK_MAX_TEXT, &max_word);
	if (!ret)
		ret = damf_tok_get_object(l, model, "vocab", &vocab);
	if (!ret)
		ret = read_vocab(l, vocab);
	if (!ret)
		ret = damf_tok_index_inner(l, prefix);
	if (ret)
		return ret;
	t->max_word = (size_t)max_word;
	t->unk = damf_lookup_find(&t->vocab, unk, strlen(unk));
	if (t->unk < 0)
		return damf_tok_fail(l, -EINVAL, "unk_token '%s' is not in the vocabulary", unk);
	return 0;
}

static int read_added_tokens(struct damf_tok_load *l, json_t *root)
{
	json_t *list = json_object_get(root, "added_tokens"), *entry;
	int64_t id;
	size_t i;
	int ret;

	if (list && !json_is_null(list) && !json_is_array(list))
		return damf_tok_fail(l, -EINVAL, "'added_tokens' is not a list");
	json_array_foreach(list, i, entry) {
		ret = damf_tok_get_int(l, entry, "id", 0, DAMF_TOK_MAX_ID - 1, &id);
		if (!ret)
			ret = damf_tok_read_added(l, entry, id);
		if (ret)
			return ret;
	}
	return 0;
}

/* A piece of a template: a special token, or one of the texts; its name, or NULL. */
static const char *piece_name(json_t *piece, const char *kind, int type_id)
{
	json_t *body = json_object_get(piece, kind);
	json_t *type = json_object_get(body, "type_id");

	if (!json_is_integer(type) || json_integer_value(type) != type_id)
		return NULL;
	return json_string_value(json_object_get(body, "id"));
}

/* Whether a list is @n pieces of [CLS] A [SEP] B [SEP], with BERT's type ids. */
static int is_bert_template(json_t *list, size_t n, const char *cls, const char *sep)
{
	const struct {
		const char *kind, *name;
		int type_id;
	} want[] = {
		{ "SpecialToken", cls, 0 },
		{ "Sequence", "A", 0 },
		{ "SpecialToken", sep, 0 },
		{ "Sequence", "B", 1 },
		{ "SpecialToken", sep, 1 },
	};
	const char *name;
	size_t i;

	if (json_array_size(list) != n)
		return 0;
	for (i = 0; i < n; i++) {
		name = piece_name(json_array_get(list, i), want[i].kind, want[i].type_id);
		if (!name || strcmp(name, want[i].name))
			return 0;
	}
	return 1;
}

/* The one id that a template's special token stands for. */
static int template_id(struct damf_tok_load *l, json_t *template, const char *name, int32_t *id)
{
	json_t *token = json_object_get(json_object_get(template, "special_tokens"), name);
	json_t *ids = json_object_get(token, "ids"), *v = json_array_get(ids, 0);

	if (json_array_size(ids) != 1 || !json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) >= (json_int_t)l->t->vocab_size)
		return damf_tok_fail(l, -EINVAL, "post_processor: '%s' is not one id", name);
	*id = (int32_t)json_integer_value(v);
	return 0;
}

static int read_template(struct damf_tok_load *l, json_t *p)
{
	json_t *single = json_object_get(p, "single");
	const char *cls = piece_name(json_array_get(single, 0), "SpecialToken", 0);
	const char *sep = piece_name(json_array_get(single, 2), "SpecialToken", 0);
	int ret;

	if (!cls || !sep || !is_bert_template(single, 3, cls, sep) ||
	    !is_bert_template(json_object_get(p, "pair"), 5, cls, sep))
		return damf_tok_fail(l, -EINVAL,
				     "post_processor: only [CLS] A [SEP] and [CLS] A [SEP] B [SEP] are supported");
	ret = template_id(l, p, cls, &l->t->cls);
	return ret ? ret : template_id(l, p, sep, &l->t->sep);
}

/* A pair such as ["[SEP]", 102]. */
static int read_bert_token(struct damf_tok_load *l, json_t *p, const char *key, int32_t *id)
{
	json_t *v = json_array_get(json_object_get(p, key), 1);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) >= (json_int_t)l->t->vocab_size)
		return damf_tok_fail(l, -EINVAL, "post_processor: '%s' has no id", key);
	*id = (int32_t)json_integer_value(v);
	return 0;
}

static int read_post_processor(struct damf_tok_load *l, json_t *root)
{
	json_t *p = json_object_get(root, "post_processor");
	const char *type = json_string_value(json_object_get(p, "type"));
	int ret;

	if (type && !strcmp(type, "TemplateProcessing"))
		return read_template(l, p);
	ret = check_type(l, p, "post_processor", "BertProcessing");
	if (!ret)
		ret = read_bert_token(l, p, "cls", &l->t->cls);
	if (!ret)
		ret = read_bert_token(l, p, "sep", &l->t->sep);
	return ret;
}

/* What truncation the file asks for is a suggestion; where it would cut is not. */
static int read_truncation(struct damf_tok_load *l, json_t *root)
{
	json_t *p = json_object_get(root, "truncation");
	const char *direction = json_string_value(json_object_get(p, "direction"));
	int64_t max;
	int ret;

	if (!p || json_is_null(p))
		return 0;
	if (direction && strcmp(direction, "Right"))
		return damf_tok_fail(l, -EINVAL,
				     "truncation direction '%s' is not supported, only Right is",
				     direction);
	ret = damf_tok_get_int(l, p, "max_length", 0, INT32_MAX, &max);
	if (!ret)
		l->t->default_max_length = (size_t)max;
	return ret;
}

static int read_parts(struct damf_tok_load *l, json_t *root)
{
	int ret = read_normalizer(l, root);

	if (!ret)
		ret = check_type(l, json_object_get(root, "pre_tokenizer"), "pre_tokenizer",
				 "BertPreTokenizer");
	if (!ret)
		ret = read_model(l, root);
	if (!ret)
		ret = read_added_tokens(l, root);
	if (!ret)
		ret = read_post_processor(l, root);
	return ret ? ret : read_truncation(l, root);
}

/* The file as JSON, perhaps without its vocabulary, which has been read then. */
static int read_tree(struct damf_tok_load *l, const char *data, size_t len, json_t **root)
{
	size_t from, to;
	char *rest;
	int ret = damf_tok_scan_vocab(l, data, len, &from, &to);

	if (ret < 0)
		return ret;
	if (!ret)
		return damf_tok_parse_json(l, data, len, 0, root);
	rest = malloc(len - (to - from));
	if (!rest)
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	memcpy(rest, data, from);
	memcpy(rest + from, data + to, len - to);
	ret = damf_tok_parse_json(l, rest, len - (to - from), 0, root);
	free(rest);
	if (!ret)
		return 0;
	/* What is wrong, and in which line, the whole file tells. */
	damf_tok_drop_vocab(l);
	return damf_tok_parse_json(l, data, len, 0, root);
}

int damf_tok_load_json(struct damf_tok_load *l)
{
	json_t *root = NULL;
	size_t len;
	char *data;
	int ret = damf_tok_read_file(l, &data, &len);

	if (ret)
		return ret;
	ret = read_tree(l, data, len, &root);
	free(data);
	if (!ret)
		ret = read_parts(l, root);
	json_decref(root);
	return ret;
}
