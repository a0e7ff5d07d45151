/* SPDX-License-Identifier: MIT */
/*
 * BERT WordPiece tokenizer.
 *
 * Turns UTF-8 text into the token ids that Hugging Face's "tokenizers" library
 * (0.23.x) gives for the same model directory, id for id. That library uses
 * the character categories of Unicode 8 and the decompositions of Unicode 9,
 * so this one does too, from tables of its own: no locale and no system
 * library has a say in the result.
 *
 * Threads: a tokenizer does not change after it was made, so any number of
 * threads may use one. A scratch belongs to one thread at a time.
 */
#ifndef DAMF_TOKENIZER_H
#define DAMF_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct damf_tokenizer;
struct damf_tok_scratch;

/*
 * How text is normalised, for a vocabulary that comes without
 * a tokenizer.json. Start from DAMF_TOKENIZER_OPTS_INIT.
 */
struct damf_tokenizer_opts {
	size_t size;			/* sizeof(struct damf_tokenizer_opts) */
	int do_lower_case;		/* 1: fold to lower case */
	int strip_accents;		/* 1, 0, or -1: the same as do_lower_case */
	int tokenize_chinese_chars;	/* 1: each CJK ideograph is a word */
	int max_chars_per_word;		/* a longer word (in code points) is unknown */
};

#define DAMF_TOKENIZER_OPTS_INIT { \
	.size = sizeof(struct damf_tokenizer_opts), \
	.do_lower_case = 1, \
	.strip_accents = -1, \
	.tokenize_chinese_chars = 1, \
	.max_chars_per_word = 100, \
}

/*
 * Load the tokenizer of a Hugging Face model directory.
 *
 * tokenizer.json is used if it is there: its normalizer, pre_tokenizer,
 * added_tokens, model and post_processor. A kind other than BERT's is refused
 * by name, and so are added tokens that normalisation makes equal: Hugging
 * Face's library takes one of them by chance. The file's truncation only sets
 * damf_tokenizer_default_max_length().
 * Otherwise vocab.txt is used, with do_lower_case, strip_accents,
 * tokenize_chinese_chars and model_max_length of tokenizer_config.json, or
 * the values of DAMF_TOKENIZER_OPTS_INIT where that file doesn't say.
 *
 * @dir: path of the directory
 * @out: receives the tokenizer, to be freed with damf_tokenizer_free(); NULL on error
 * @err: receives one line of text on error; may be NULL
 * @errlen: bytes at @err
 *
 * Return: 0, or -ENOENT (neither file is there) or another -errno from reading
 * a file, -EINVAL (a file is malformed or describes another tokenizer),
 * -ENOMEM.
 */
int damf_tokenizer_open(const char *dir, struct damf_tokenizer **out,
			char *err, size_t errlen);

/*
 * Load a vocabulary alone: one token a line, the line's number is the id. It
 * must hold [UNK], [CLS] and [SEP]; these, [PAD] and [MASK] are its special
 * tokens. A token that stands twice has the later id.
 *
 * @vocab_path: path of a vocab.txt
 * @o: options, or NULL for the values of DAMF_TOKENIZER_OPTS_INIT
 *
 * The rest is as for damf_tokenizer_open().
 */
int damf_tokenizer_from_vocab(const char *vocab_path,
			      const struct damf_tokenizer_opts *o,
			      struct damf_tokenizer **out, char *err, size_t errlen);

/* Free a tokenizer that no thread uses any more. NULL is allowed. */
void damf_tokenizer_free(struct damf_tokenizer *t);

/*
 * Working memory of one thread, for any number of tokenizers. It grows to what
 * the longest text needed, so calls don't allocate once it is warm.
 * NULL when memory is short.
 */
struct damf_tok_scratch *damf_tok_scratch_new(void);

/* Free a scratch. NULL is allowed. */
void damf_tok_scratch_free(struct damf_tok_scratch *s);

/*
 * Encode one text as [CLS] text [SEP].
 *
 * @t: tokenizer
 * @s: the calling thread's scratch
 * @text: UTF-8, not necessarily terminated; zero bytes are text
 * @len: bytes at @text
 * @parse_special: 1: a special token typed in the text, such as "[SEP]", is
 *	that token, as in Hugging Face's library; 0: it is text like any other,
 *	which is what untrusted text needs
 * @max_length: most ids to return, [CLS] and [SEP] included; the end of the
 *	text is dropped to fit; 0 for no limit
 * @ids: receives the ids; may be NULL if @cap is 0
 * @cap: entries at @ids; ids beyond it are counted, not written
 * @n_full: receives the number of ids that the whole text has, without
 *	max_length; may be NULL. Returned value < *n_full: the text was cut.
 *
 * Return: the number of ids after truncation, or
 * -EILSEQ: @text is not valid UTF-8, *n_full is the offset of the first bad byte;
 * -EINVAL: @max_length has no room for [CLS] and [SEP];
 * -EOVERFLOW: the text is longer than 2^28 bytes; -ENOMEM.
 */
long damf_tokenizer_encode(const struct damf_tokenizer *t,
			   struct damf_tok_scratch *s,
			   const char *text, size_t len, int parse_special,
			   size_t max_length, int32_t *ids, size_t cap,
			   size_t *n_full);

/*
 * Encode two texts as [CLS] a [SEP] b [SEP].
 *
 * Too long a pair is cut as Hugging Face's "longest_first" does.
 *
 * @type_ids: receives 0 for the ids up to the first [SEP], 1 for the others;
 *	@cap entries as @ids, or NULL if they are not wanted
 *
 * The rest is as for damf_tokenizer_encode(). With -EILSEQ, *n_full counts
 * from the start of @text_a, then on into @text_b: an offset of @len_a or more
 * is in @text_b, at *n_full - @len_a.
 */
long damf_tokenizer_encode_pair(const struct damf_tokenizer *t,
				struct damf_tok_scratch *s,
				const char *text_a, size_t len_a,
				const char *text_b, size_t len_b,
				int parse_special, size_t max_length,
				int32_t *ids, int32_t *type_ids, size_t cap,
				size_t *n_full);

/* Number of ids: one more than the largest id. */
size_t damf_tokenizer_vocab_size(const struct damf_tokenizer *t);

/*
 * The token of an id as the vocabulary spells it ("##ing"), terminated;
 * NULL if no token has this id. Lives as long as the tokenizer.
 */
const char *damf_tokenizer_token(const struct damf_tokenizer *t, int32_t id);

/*
 * One line: the file it came from, its flags, and where tokenizer_config.json
 * contradicts tokenizer.json (which is followed). Lives as long as the
 * tokenizer.
 */
const char *damf_tokenizer_describe(const struct damf_tokenizer *t);

/*
 * Length that the files suggest for truncation: tokenizer.json's truncation
 * if it has one, else model_max_length of tokenizer_config.json; 0 if neither.
 * Never applied by itself: the caller passes a max_length.
 */
size_t damf_tokenizer_default_max_length(const struct damf_tokenizer *t);

#ifdef __cplusplus
}
#endif

#endif /* DAMF_TOKENIZER_H */
