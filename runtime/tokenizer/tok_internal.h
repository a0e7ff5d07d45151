/* SPDX-License-Identifier: MIT */
/* What the tokenizer's files share; nobody else includes this. */
#ifndef DAMF_TOK_INTERNAL_H
#define DAMF_TOK_INTERNAL_H

#include "damf_tokenizer.h"
#include "lookup.h"

/* Ids are below this; it bounds the tables that a file can make us allocate. */
#define DAMF_TOK_MAX_ID (1 << 24)

/* Longest text, in bytes: counts of ids and code points stay within 32 bits. */
#define DAMF_TOK_MAX_TEXT ((size_t)1 << 28)

/* A token that is found in the text itself, before it is split into words. */
struct damf_added_token {
	char *text;		/* owned, terminated */
	size_t len;
	int32_t id;
	unsigned int special : 1;
	unsigned int normalized : 1;	/* found in normalised text, not in raw text */
	unsigned int single_word : 1;	/* only where no word character is beside it */
	unsigned int lstrip : 1;	/* takes the white space before it */
	unsigned int rstrip : 1;	/* takes the white space behind it */
};

/* Added tokens that are searched for together. */
struct damf_added_set {
	struct damf_lookup lookup;		/* values: places in tokens[] */
	const struct damf_added_token **tokens;	/* owned array of borrowed tokens */
	size_t n;
	unsigned char first[256];		/* 1: some token begins with this byte */
	int only;				/* the one such byte, -1: there are several */
};

/* A place where an added token was found. */
struct damf_added_match {
	size_t start, stop;	/* stripped white space included */
	int32_t id;
};

struct damf_tokenizer {
	int clean_text, lower_case, strip_accents, split_cjk;
	size_t max_word;	/* code points */

	struct damf_lookup vocab;	/* values: ids */
	struct damf_lookup inner;	/* what "##" stands before, without it */
	int32_t unk, cls, sep;
	unsigned int changing;		/* flags of characters that normalisation changes */

	struct damf_added_token *added;
	size_t n_added;
	struct damf_added_set raw, normalized;

	char *text;			/* owns what tokens[] points into */
	const char **tokens;		/* by id; NULL where there is none */
	size_t vocab_size;
	size_t default_max_length;
	char describe[384];
};

/* A code point that waits for canonical reordering. */
struct damf_pending {
	uint32_t c;
	unsigned int ccc;
};

/* Of 64 bytes of normalised text: a bit for each, the lowest for the first. */
struct damf_marks {
	uint64_t begin;		/* a word begins here */
	uint64_t cut;		/* a word ends before this: another one or a space begins */
};

/* Bytes behind the normalised text that may be read. */
#define DAMF_TOK_SLACK 16

struct damf_tok_scratch {
	unsigned char *norm;	/* normalised text, DAMF_TOK_SLACK bytes behind it */
	size_t norm_len, norm_max;
	struct damf_marks *marks;	/* of norm; both bits are set at norm_len */
	size_t marks_max;
	int after_cut;		/* the next character, if not a space, begins a word */
	struct damf_pending *pending;	/* 2 * pending_max entries: the rest is for sorting */
	size_t n_pending, pending_max;
	int32_t *ids;
	size_t n_ids, ids_max;
};

/*
 * scratch.c: make room for @need more entries of @size bytes behind the @used ones of
 * *@array, which has *@max. Returns 0 or -ENOMEM, the array unharmed.
 */
int damf_tok_reserve(void **array, size_t *max, size_t used, size_t need, size_t size);

/* normalize.c: flags of Unicode that this tokenizer's normalisation heeds. */
unsigned int damf_tok_changing(const struct damf_tokenizer *t);

/* normalize.c: replace s->norm and its marks by the normal form of valid UTF-8. 0 or -ENOMEM. */
int damf_tok_normalize(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		       const char *text, size_t len);

/*
 * added.c: find the first added token at or behind *@search, which moves on.
 * @done: end of the previous match; stripping does not reach back over it.
 * @special: whether special tokens count
 * Returns 1 and fills @m, or 0 when there is none.
 */
int damf_added_next(const struct damf_added_set *set, const char *text, size_t len,
		    size_t *search, size_t done, int special, struct damf_added_match *m);

/*
 * added.c: a set of those tokens of @t that have @normalized, keyed by their
 * text or by its normal form. 0, -ENOMEM, or an error about the token *@bad:
 * -EINVAL: nothing is left of it; -EEXIST: another one has the same key.
 */
int damf_added_set_init(struct damf_added_set *set, const struct damf_tokenizer *t,
			unsigned int normalized, const struct damf_added_token **bad);
void damf_added_set_free(struct damf_added_set *set);

/* wordpiece.c: append the ids of [@from, @to) of s->norm to s->ids. 0 or -ENOMEM. */
int damf_tok_words(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		   size_t from, size_t to);

#endif /* DAMF_TOK_INTERNAL_H */
