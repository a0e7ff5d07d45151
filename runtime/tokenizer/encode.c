// SPDX-License-Identifier: MIT
/* The calls that encode text, and truncation. */
#include "tok_internal.h"
#include "unicode.h"

#include <errno.h>
#include <string.h>

static int append_id(struct damf_tok_scratch *s, int32_t id)
{
	if (damf_tok_reserve((void **)&s->ids, &s->ids_max, s->n_ids, 1, sizeof(*s->ids)))
		return -ENOMEM;
	s->ids[s->n_ids++] = id;
	return 0;
}

/* Text without raw added tokens: normalise it, take out normalised ones, split the rest. */
static int encode_plain(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
			const char *text, size_t len, int special)
{
	struct damf_added_match m;
	size_t search = 0, done = 0;

	if (damf_tok_normalize(t, s, text, len))
		return -ENOMEM;
	while (damf_added_next(&t->normalized, (const char *)s->norm, s->norm_len, &search,
			       done, special, &m)) {
		if (done < m.start && damf_tok_words(t, s, done, m.start))
			return -ENOMEM;
		if (append_id(s, m.id))
			return -ENOMEM;
		done = m.stop;
	}
	return damf_tok_words(t, s, done, s->norm_len);
}

/* Append the ids of valid UTF-8 to s->ids, without [CLS] and [SEP]. */
static int encode_text(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		       const char *text, size_t len, int special)
{
	struct damf_added_match m;
	size_t search = 0, done = 0;

	while (damf_added_next(&t->raw, text, len, &search, done, special, &m)) {
		if (done < m.start && encode_plain(t, s, text + done, m.start - done, special))
			return -ENOMEM;
		if (append_id(s, m.id))
			return -ENOMEM;
		done = m.stop;
	}
	return done < len ? encode_plain(t, s, text + done, len - done, special) : 0;
}

/* Check a text; @before is what is added to the offset of a bad byte. */
static int check_text(const char *text, size_t len, size_t before, size_t *n_full)
{
	size_t valid;

	if (len > DAMF_TOK_MAX_TEXT)
		return -EOVERFLOW;
	valid = damf_utf8_check(text, len);
	if (valid == len)
		return 0;
	if (n_full)
		*n_full = before + valid;
	return -EILSEQ;
}

/* A caller's array that counts what doesn't fit. */
struct output {
	int32_t *ids, *type_ids;
	size_t cap, n;
};

static void put_ids(struct output *o, const int32_t *ids, size_t n, int32_t type)
{
	size_t room = o->n < o->cap ? o->cap - o->n : 0, i;

	if (room > n)
		room = n;
	if (room)
		memcpy(o->ids + o->n, ids, room * sizeof(*ids));
	for (i = 0; o->type_ids && i < room; i++)
		o->type_ids[o->n + i] = type;
	o->n += n;
}

long damf_tokenizer_encode(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
			   const char *text, size_t len, int parse_special,
			   size_t max_length, int32_t *ids, size_t cap, size_t *n_full)
{
	struct output out = { .ids = ids, .cap = cap };
	size_t keep;
	int ret;

	if (max_length && max_length < 2)
		return -EINVAL;
	ret = check_text(text, len, 0, n_full);
	if (ret)
		return ret;
	s->n_ids = 0;
	if (encode_text(t, s, text, len, parse_special))
		return -ENOMEM;
	keep = s->n_ids;
	if (n_full)
		*n_full = keep + 2;
	if (max_length && keep > max_length - 2)
		keep = max_length - 2;
	put_ids(&out, &t->cls, 1, 0);
	put_ids(&out, s->ids, keep, 0);
	put_ids(&out, &t->sep, 1, 0);
	return (long)out.n;
}

/*
 * Cut a pair to @max ids: first the longer text, down to the length of the
 * shorter one; if that isn't enough, both to half, where the longer text (the
 * second, if they are equal) gets the odd id.
 */
static void truncate_pair(size_t *a, size_t *b, size_t max)
{
	size_t *shorter = *a > *b ? b : a, *longer = *a > *b ? a : b;

	if (*a + *b <= max)
		return;
	if (*shorter <= max / 2) {
		*longer = max - *shorter;
		return;
	}
	*shorter = max / 2;
	*longer = max - max / 2;
}

long damf_tokenizer_encode_pair(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
				const char *text_a, size_t len_a,
				const char *text_b, size_t len_b, int parse_special,
				size_t max_length, int32_t *ids, int32_t *type_ids,
				size_t cap, size_t *n_full)
{
	struct output out = { .ids = ids, .type_ids = type_ids, .cap = cap };
	size_t a, b, start_b;
	int ret;

	if (max_length && max_length < 3)
		return -EINVAL;
	ret = check_text(text_a, len_a, 0, n_full);
	if (!ret)
		ret = check_text(text_b, len_b, len_a, n_full);
	if (ret)
		return ret;
	s->n_ids = 0;
	if (encode_text(t, s, text_a, len_a, parse_special))
		return -ENOMEM;
	start_b = a = s->n_ids;
	if (encode_text(t, s, text_b, len_b, parse_special))
		return -ENOMEM;
	b = s->n_ids - a;
	if (n_full)
		*n_full = a + b + 3;
	if (max_length)
		truncate_pair(&a, &b, max_length - 3);
	put_ids(&out, &t->cls, 1, 0);
	put_ids(&out, s->ids, a, 0);
	put_ids(&out, &t->sep, 1, 0);
	put_ids(&out, s->ids + start_b, b, 1);
	put_ids(&out, &t->sep, 1, 1);
	return (long)out.n;
}
