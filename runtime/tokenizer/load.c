// SPDX-License-Identifier: MIT
/* Making, describing and freeing a tokenizer. */
#include "tok_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The same token twice: which one's flags count would be left to chance. */
static int check_repeated(struct damf_tok_load *l)
{
	struct damf_tokenizer *t = l->t;
	struct damf_lookup_key *keys = calloc(t->n_added + 1, sizeof(*keys));
	struct damf_lookup lookup = { 0 };
	int ret = -ENOMEM;
	int32_t twice;
	size_t i;

	for (i = 0; keys && i < t->n_added; i++)
		keys[i] = (struct damf_lookup_key){ t->added[i].text, t->added[i].len, (int32_t)i };
	if (keys)
		ret = damf_lookup_build(&lookup, keys, t->n_added);
	twice = ret ? -1 : lookup.repeated;
	if (ret)
		damf_tok_fail(l, ret, "out of memory");
	else if (twice >= 0)
		ret = damf_tok_fail(l, -EINVAL, "added token '%s' stands twice",
				    t->added[twice].text);
	damf_lookup_free(&lookup);
	free(keys);
	return ret;
}

static void describe(struct damf_tok_load *l)
{
	struct damf_tokenizer *t = l->t;
	const char *file = strrchr(l->path, '/');

	snprintf(t->describe, sizeof(t->describe),
		 "WordPiece of %.64s, %zu ids, %zu added tokens, %s, accents %s, ideographs %s, "
		 "text %s, words up to %zu characters%s%s",
		 file ? file + 1 : l->path, t->vocab_size, t->n_added,
		 t->lower_case ? "lower case" : "case kept",
		 t->strip_accents ? "stripped" : "kept", t->split_cjk ? "apart" : "in words",
		 t->clean_text ? "cleaned" : "as it is", t->max_word,
		 l->differs ? "; not followed: tokenizer_config.json, which has another " : "",
		 l->differs ? l->differs : "");
}

static int finish(struct damf_tok_load *l)
{
	struct damf_tokenizer *t = l->t;
	const struct damf_added_token *bad = NULL;
	int ret = check_repeated(l);

	if (ret)
		return ret;
	t->changing = damf_tok_changing(t);
	ret = damf_added_set_init(&t->raw, t, 0, &bad);
	if (!ret)
		ret = damf_added_set_init(&t->normalized, t, 1, &bad);
	if (ret == -EINVAL)
		return damf_tok_fail(l, ret, "normalisation leaves nothing of added token '%s'",
				     bad->text);
	if (ret == -EEXIST)
		return damf_tok_fail(l, -EINVAL,
				     "added token '%s' is the same as another one once normalised",
				     bad->text);
	if (ret)
		return damf_tok_fail(l, ret, "out of memory");
	describe(l);
	return 0;
}

/* DIR/NAME in allocated memory, or NULL. */
static char *join_path(const char *dir, const char *name)
{
	size_t size = strlen(dir) + strlen(name) + 2;
	char *path = malloc(size);

	if (path)
		snprintf(path, size, "%s/%s", dir, name);
	return path;
}

struct paths {
	char *json, *vocab, *config;
};

/* The error says that a file is not there, and it isn't: a link that leads nowhere is. */
static int is_missing(int ret, const char *path)
{
	struct stat st;

	return ret == -ENOENT && lstat(path, &st);
}

/* Some programs go by tokenizer_config.json instead: the caller should hear of a difference. */
static const char *difference(const struct damf_tokenizer *t, const struct damf_tokenizer_opts *o)
{
	if (o->do_lower_case != t->lower_case)
		return "do_lower_case";
	if (o->strip_accents != t->strip_accents)
		return "strip_accents";
	if (o->tokenize_chinese_chars != t->split_cjk)
		return "tokenize_chinese_chars";
	return NULL;
}

/* A length from tokenizer_config.json; all else is in tokenizer.json. */
static int load_length(struct damf_tok_load *l, const char *path)
{
	struct damf_tok_config c = DAMF_TOK_CONFIG_INIT;
	int ret;

	c.opts.do_lower_case = l->t->lower_case;
	c.opts.strip_accents = l->t->strip_accents;
	c.opts.tokenize_chinese_chars = l->t->split_cjk;
	l->path = path;
	ret = damf_tok_load_config(l, &c, 0);
	if (ret)
		return ret;
	if (!l->t->default_max_length)
		l->t->default_max_length = c.max_length;
	l->differs = difference(l->t, &c.opts);
	return 0;
}

static int load_from_json(struct damf_tok_load *l, const struct paths *p)
{
	int ret;

	l->path = p->json;
	ret = damf_tok_load_json(l);
	if (ret)
		return ret;
	ret = load_length(l, p->config);
	if (ret && !is_missing(ret, p->config))
		return ret;
	l->path = p->json;
	return 0;
}

static int load_from_vocab(struct damf_tok_load *l, const struct paths *p)
{
	struct damf_tok_config c = DAMF_TOK_CONFIG_INIT;
	int ret;

	l->path = p->config;
	ret = damf_tok_load_config(l, &c, 1);
	if (!ret || is_missing(ret, p->config)) {
		l->path = p->vocab;
		ret = damf_tok_load_vocab(l, &c);
		l->t->default_max_length = c.max_length;
	}
	json_decref(c.added);
	return ret;
}

static int load_dir(struct damf_tok_load *l, const char *dir, const struct paths *p)
{
	struct stat st;
	int ret;

	l->path = dir;
	if (!p->json || !p->vocab || !p->config)
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	if (stat(dir, &st))
		return damf_tok_fail(l, -errno, "%s", strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return damf_tok_fail(l, -ENOTDIR, "not a directory");
	ret = load_from_json(l, p);
	if (is_missing(ret, p->json))
		ret = load_from_vocab(l, p);
	if (is_missing(ret, p->json) && is_missing(ret, p->vocab)) {
		l->path = dir;
		damf_tok_fail(l, ret, "has neither tokenizer.json nor vocab.txt");
	}
	return ret ? ret : finish(l);
}

static int start(struct damf_tok_load *l, const char *path, char *err, size_t errlen)
{
	*l = (struct damf_tok_load){ .path = path, .err = err, .errlen = errlen };
	if (err && errlen)
		err[0] = '\0';
	l->t = calloc(1, sizeof(*l->t));
	return l->t ? 0 : damf_tok_fail(l, -ENOMEM, "out of memory");
}

/* Hand out what was loaded, or drop it. */
static int end(struct damf_tok_load *l, int ret, struct damf_tokenizer **out)
{
	free(l->keys);
	if (ret) {
		damf_tokenizer_free(l->t);
		l->t = NULL;
	} else if (l->err && l->errlen) {
		l->err[0] = '\0';
	}
	*out = l->t;
	return ret;
}

int damf_tokenizer_open(const char *dir, struct damf_tokenizer **out, char *err, size_t errlen)
{
	struct paths p = {
		join_path(dir, "tokenizer.json"),
		join_path(dir, "vocab.txt"),
		join_path(dir, "tokenizer_config.json"),
	};
	struct damf_tok_load l;
	int ret = start(&l, dir, err, errlen);

	if (!ret)
		ret = load_dir(&l, dir, &p);
	ret = end(&l, ret, out);
	free(p.json);
	free(p.vocab);
	free(p.config);
	return ret;
}

int damf_tokenizer_from_vocab(const char *vocab_path, const struct damf_tokenizer_opts *o,
			      struct damf_tokenizer **out, char *err, size_t errlen)
{
	struct damf_tok_config c = DAMF_TOK_CONFIG_INIT;
	struct damf_tok_load l;
	int ret = start(&l, vocab_path, err, errlen);

	if (!ret && o && o->size != sizeof(*o))
		ret = damf_tok_fail(&l, -EINVAL,
				    "options of %zu bytes are of another version of the library",
				    o->size);
	if (o && !ret)
		c.opts = *o;
	if (!ret)
		ret = damf_tok_load_vocab(&l, &c);
	if (!ret)
		ret = finish(&l);
	return end(&l, ret, out);
}

void damf_tokenizer_free(struct damf_tokenizer *t)
{
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->n_added; i++)
		free(t->added[i].text);
	free(t->added);
	damf_added_set_free(&t->raw);
	damf_added_set_free(&t->normalized);
	damf_lookup_free(&t->vocab);
	damf_lookup_free(&t->inner);
	free(t->text);
	free(t->tokens);
	free(t);
}

size_t damf_tokenizer_vocab_size(const struct damf_tokenizer *t)
{
	return t->vocab_size;
}

const char *damf_tokenizer_token(const struct damf_tokenizer *t, int32_t id)
{
	return id >= 0 && (size_t)id < t->vocab_size ? t->tokens[id] : NULL;
}

const char *damf_tokenizer_describe(const struct damf_tokenizer *t)
{
	return t->describe;
}

size_t damf_tokenizer_default_max_length(const struct damf_tokenizer *t)
{
	return t->default_max_length;
}
