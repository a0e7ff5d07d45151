/* SPDX-License-Identifier: MIT */
/* What the files that make a tokenizer share. */
#ifndef DAMF_TOK_LOAD_H
#define DAMF_TOK_LOAD_H

#include "tok_internal.h"

#include <jansson.h>

/* Special tokens that a vocab.txt has by name. */
enum damf_tok_special {
	DAMF_TOK_UNK,
	DAMF_TOK_CLS,
	DAMF_TOK_SEP,
	DAMF_TOK_PAD,
	DAMF_TOK_MASK,
	DAMF_TOK_N_SPECIAL,
};

/* A tokenizer in the making. */
struct damf_tok_load {
	struct damf_tokenizer *t;
	const char *path;		/* file being read, for messages */
	char *err;
	size_t errlen;

	struct damf_lookup_key *keys;	/* vocabulary; their text is in t->text */
	size_t n_keys, max_keys;
	int32_t next_added;		/* id that a new added token has */
	size_t max_added;

	/* Where tokenizer_config.json contradicts tokenizer.json; NULL: nowhere. */
	const char *differs;
};

/* What tokenizer_config.json says, or would say by default. */
struct damf_tok_config {
	struct damf_tokenizer_opts opts;
	char special[DAMF_TOK_N_SPECIAL][64];	/* spelling */
	size_t max_length;			/* 0: none */
	json_t *added;				/* added_tokens_decoder, owned; NULL: none */
};

#define DAMF_TOK_CONFIG_INIT { \
	.opts = DAMF_TOKENIZER_OPTS_INIT, \
	.special = { "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]" }, \
}

/* Put one line, "PATH: ...", into the caller's error buffer; returns @code. */
int damf_tok_fail(struct damf_tok_load *l, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Read a regular file into allocated memory, a zero byte behind it. 0 or -errno with a message. */
int damf_tok_read_file(struct damf_tok_load *l, char **data, size_t *len);

/* Make text a JSON object, with jansson's @flags. *@out is a new reference. 0 or -errno, as above. */
int damf_tok_parse_json(struct damf_tok_load *l, const char *data, size_t len, size_t flags,
			json_t **out);

/* The same of a file. */
int damf_tok_read_json(struct damf_tok_load *l, size_t flags, json_t **out);

/* A member that must be an object or a string; -EINVAL and a message if not. */
int damf_tok_get_object(struct damf_tok_load *l, json_t *in, const char *key, json_t **out);
int damf_tok_get_string(struct damf_tok_load *l, json_t *in, const char *key, const char **out);
/* A member that is true or false; @missing if it is absent or null, which -1 forbids. */
int damf_tok_get_bool(struct damf_tok_load *l, json_t *in, const char *key, int missing, int *out);
/* A member that is an integer in [@min, @max]. */
int damf_tok_get_int(struct damf_tok_load *l, json_t *in, const char *key,
		     int64_t min, int64_t max, int64_t *out);

/* Vocabulary: tokens one by one, then an index over all of them. */
int damf_tok_add_vocab(struct damf_tok_load *l, const char *text, size_t len, int64_t id);
int damf_tok_index_vocab(struct damf_tok_load *l);
/* Index the tokens that go on inside a word: those behind @prefix. */
int damf_tok_index_inner(struct damf_tok_load *l, const char *prefix);


/* Add a token that is found before words are. Its text is copied. */
int damf_tok_add_added(struct damf_tok_load *l, const struct damf_added_token *token);
/* The same from a JSON object as tokenizer.json and tokenizer_config.json have it. */
int damf_tok_read_added(struct damf_tok_load *l, json_t *entry, int64_t id);

/*
 * load_scan.c: the vocabulary of the text of a tokenizer.json, a zero byte
 * behind it. Returns 1 if it has been read and indexed; what stands in its
 * braces, bytes [*@from, *@to), may then be left out of the text. 0 if it has
 * to be read otherwise.
 */
int damf_tok_scan_vocab(struct damf_tok_load *l, const char *data, size_t len,
			size_t *from, size_t *to);

/* load_scan.c: forget the vocabulary, which will be read in another way. */
void damf_tok_drop_vocab(struct damf_tok_load *l);

/* load_json.c: all of a tokenizer.json. 0 or -errno, as above. */
int damf_tok_load_json(struct damf_tok_load *l);

/*
 * load_vocab.c: a vocab.txt, and tokenizer_config.json. The latter rules if the
 * directory is @vocab_only; beside a tokenizer.json it only gives a length.
 */
int damf_tok_load_vocab(struct damf_tok_load *l, struct damf_tok_config *c);
int damf_tok_load_config(struct damf_tok_load *l, struct damf_tok_config *c, int vocab_only);

#endif /* DAMF_TOK_LOAD_H */
