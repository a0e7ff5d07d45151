/* SPDX-License-Identifier: MIT */
/*
 * Character properties, from the generated tables, and UTF-8.
 *
 * gen_tables.py says which version of Unicode each property has and why.
 */
#ifndef DAMF_TOK_UNICODE_H
#define DAMF_TOK_UNICODE_H

#include <stddef.h>
#include <stdint.h>

enum {
	DAMF_UC_DROP = 1 << 0,	/* clean_text removes it */
	DAMF_UC_SPACE = 1 << 1,	/* White_Space */
	DAMF_UC_PUNCT = 1 << 2,	/* punctuation: a word by itself */
	DAMF_UC_CJK = 1 << 3,	/* ideograph: a word by itself */
	DAMF_UC_MARK = 1 << 4,	/* nonspacing mark: strip_accents removes it */
	DAMF_UC_WORD = 1 << 5,	/* \w of a regular expression */
	DAMF_UC_NFD = 1 << 6,	/* decomposes, or has a combining class */
	DAMF_UC_LOWER = 1 << 7,	/* has a lower case mapping */
};

/* Most bytes that one code point can become, the two spaces around an ideograph included. */
#define DAMF_UC_MAX_BYTES 32

/* Two-stage tables: X[X_index[c >> 7] * 128 + c % 128]. */
extern const uint8_t damf_uc_flag_index[8704];
extern const uint8_t damf_uc_flag[];
extern const uint8_t damf_uc_ccc_index[8704];
extern const uint8_t damf_uc_ccc[];
extern const uint8_t damf_uc_decomp_index[8704];
extern const uint16_t damf_uc_decomp[];
extern const uint8_t damf_uc_lower_index[8704];
extern const uint16_t damf_uc_lower[];

/* Sequences, each behind its length; the tables above hold places in these, 0 for none. */
extern const uint32_t damf_uc_decomp_pool[];
extern const uint32_t damf_uc_lower_pool[];

#define DAMF_UC_LOOKUP(table, c) \
	(table[((size_t)table##_index[(c) >> 7] << 7) | ((c) & 127)])

static inline unsigned int damf_uc_flags(uint32_t c)
{
	return DAMF_UC_LOOKUP(damf_uc_flag, c);
}

/*
 * Decode one code point of valid UTF-8 and step over it. damf_utf8_check()
 * comes first, so nothing is checked here.
 */
static inline uint32_t damf_utf8_next(const unsigned char **p)
{
	const unsigned char *s = *p;
	uint32_t c = s[0];

	if (c < 0x80) {
		*p = s + 1;
		return c;
	}
	if (c < 0xE0) {
		*p = s + 2;
		return (c & 0x1F) << 6 | (s[1] & 0x3Fu);
	}
	if (c < 0xF0) {
		*p = s + 3;
		return (c & 0x0F) << 12 | (s[1] & 0x3Fu) << 6 | (s[2] & 0x3Fu);
	}
	*p = s + 4;
	return (c & 0x07) << 18 | (s[1] & 0x3Fu) << 12 | (s[2] & 0x3Fu) << 6 | (s[3] & 0x3Fu);
}

/* Encode one code point at @p, which has four bytes of room. Returns the end. */
static inline unsigned char *damf_utf8_put(unsigned char *p, uint32_t c)
{
	if (c < 0x80) {
		*p++ = (unsigned char)c;
	} else if (c < 0x800) {
		*p++ = (unsigned char)(0xC0 | c >> 6);
		*p++ = (unsigned char)(0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		*p++ = (unsigned char)(0xE0 | c >> 12);
		*p++ = (unsigned char)(0x80 | (c >> 6 & 0x3F));
		*p++ = (unsigned char)(0x80 | (c & 0x3F));
	} else {
		*p++ = (unsigned char)(0xF0 | c >> 18);
		*p++ = (unsigned char)(0x80 | (c >> 12 & 0x3F));
		*p++ = (unsigned char)(0x80 | (c >> 6 & 0x3F));
		*p++ = (unsigned char)(0x80 | (c & 0x3F));
	}
	return p;
}

/*
 * Length of the valid UTF-8 that @text begins with: @len if all is valid, else
 * the offset at which the first malformed sequence begins. Overlong forms,
 * surrogates and values above U+10FFFF are malformed.
 */
size_t damf_utf8_check(const char *text, size_t len);

#endif /* DAMF_TOK_UNICODE_H */
