// SPDX-License-Identifier: MIT
/*
 * The vocabulary of a tokenizer.json, read where it stands.
 *
 * It is almost all of the file, tens of thousands of members of one object,
 * and a JSON tree of it takes ten times as long as all the rest of loading. So
 * a vocabulary that is written plainly is read here, and only what is left of
 * the file becomes a tree. Whatever isn't plain is left to the JSON library,
 * right or wrong: it says what is wrong.
 *
 * The text ends with a zero byte, which no JSON has, so nothing looks further.
 */
#include "tok_load.h"
#include "unicode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each of these returns where it stopped, or NULL if it found something else. */

static const char *skip_space(const char *p)
{
	while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
		p++;
	return p;
}

/* White space, and one character between it. */
static const char *skip_mark(const char *p, char mark)
{
	p = skip_space(p);
	return *p == mark ? skip_space(p + 1) : NULL;
}

static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && !*++p)
			return NULL;
	return *p ? p + 1 : NULL;
}

/* A value of any kind. Brackets are counted, not matched: that is checked later. */
static const char *skip_value(const char *p)
{
	size_t depth = 0;

	for (;;) {
		if (*p == '"') {
			p = skip_string(p);
			if (!p)
				return NULL;
			continue;
		}
		if (!*p)
			return NULL;
		if (!depth && (*p == ',' || *p == '}' || *p == ']'))
			return p;
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		p++;
	}
}

/* The value of a member of the object that begins at @p. */
static const char *find_member(const char *p, const char *name)
{
	size_t len = strlen(name);
	const char *key;

	for (p = skip_mark(p, '{'); p && *p == '"'; p = skip_mark(p, ',')) {
		key = p + 1;
		p = skip_string(p);
		if (p)
			p = skip_mark(p, ':');
		if (!p || (!strncmp(key, name, len) && key[len] == '"'))
			return p;
		p = skip_value(p);
		if (!p)
			return NULL;
	}
	return NULL;
}

/* Copy a string to *@out, with a zero byte behind it, and move *@out on. */
static const char *read_string(const char *p, char **out)
{
	static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
	const char *e;

	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < ' ')
			return NULL;
		if (*p != '\\') {
			*(*out)++ = *p;
			continue;
		}
		p++;
		for (e = escapes; *e && *e != *p; e += 2)
			;
		if (!*e)
			return NULL;
		*(*out)++ = e[1];
	}
	*(*out)++ = '\0';
	return p + 1;
}

static const char *read_id(const char *p, int64_t *id)
{
	const char *start = p;

	for (*id = 0; *p >= '0' && *p <= '9'; p++) {
		*id = 10 * *id + (*p - '0');
		if (*id >= DAMF_TOK_MAX_ID || (*start == '0' && p > start))
			return NULL;
	}
	return p > start ? p : NULL;
}

/*
 * All members of the object that begins at @p, to memory at @out; *@end is
 * where it ends. Returns 0, -EINVAL if it isn't plain, or -ENOMEM.
 */
static int read_members(struct damf_tok_load *l, const char *p, char *out, const char **end)
{
	const char *text;
	int64_t id;
	size_t len;
	int ret;

	p = skip_mark(p, '{');
	while (p) {
		text = out;
		p = read_string(p, &out);
		if (p)
			p = skip_mark(p, ':');
		if (p)
			p = read_id(p, &id);
		if (!p)
			break;
		len = (size_t)(out - text) - 1;
		ret = damf_tok_add_vocab(l, text, len, id);
		if (ret)
			return ret;
		*end = skip_space(p);
		if (**end == '}')
			return 0;
		p = skip_mark(p, ',');
	}
	return -EINVAL;
}

void damf_tok_drop_vocab(struct damf_tok_load *l)
{
	struct damf_tokenizer *t = l->t;

	free(t->text);
	free(t->tokens);
	t->text = NULL;
	t->tokens = NULL;
	t->vocab_size = 0;
	damf_lookup_free(&t->vocab);
	l->n_keys = 0;
}

int damf_tok_scan_vocab(struct damf_tok_load *l, const char *data, size_t len,
			size_t *from, size_t *to)
{
	const char *p = find_member(data, "model"), *end = NULL;
	int ret;

	if (p)
		p = find_member(p, "vocab");
	if (!p || *p != '{' || damf_utf8_check(data, len) < len)
		return 0;
	/* A string is no longer than in the file, with the quotes it has there. */
	l->t->text = malloc(len - (size_t)(p - data));
	if (!l->t->text)
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	ret = read_members(l, p, l->t->text, &end);
	if (!ret)
		ret = damf_tok_index_vocab(l);
	/* A token that stands twice is an error, which the JSON library tells best. */
	if (ret == -EINVAL || (!ret && l->t->vocab.repeated >= 0)) {
		damf_tok_drop_vocab(l);
		return 0;
	}
	if (ret)
		return ret;
	*from = (size_t)(p + 1 - data);
	*to = (size_t)(end - data);
	return 1;
}
