/* SPDX-License-Identifier: MIT */
/*
 * A set of byte strings, each with a number, for longest-prefix matching.
 *
 * It is a hash table with open addressing. Most strings that aren't in it are
 * told by a byte of their hash, most that are by their first eight bytes. What
 * lengths there are is kept for each first byte: only those are tried, the
 * longest first. The hash is keyed at random, so that no file and no text can be made
 * to collide; results don't depend on the key.
 */
#ifndef DAMF_TOK_LOOKUP_H
#define DAMF_TOK_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

struct damf_lookup_key {
	const char *text;
	size_t len;
	int32_t value;		/* at least 0 */
};

struct damf_lookup_slot {
	uint64_t head;		/* the first eight bytes, zeros if there are fewer */
	uint32_t rest;		/* up to 8: length; else 9 + place in tails */
	int32_t value;
};

struct damf_lookup {
	unsigned char *tags;	/* a byte of each slot's hash, 0: the slot is free */
	struct damf_lookup_slot *slots;
	size_t mask;		/* groups of slots - 1: a power of two; at least half the slots are free */
	uint64_t seed[2];
	char *tails;		/* of longer strings: length (32 bits), bytes from the ninth on */
	uint64_t lengths[256];	/* by first byte; bit n: some string has n bytes, 63: more than 62 */
	size_t longest;
	size_t n;		/* different strings */
	int32_t repeated;	/* value of a string that was given twice, -1: none was */
};

/*
 * Build from @n keys. Of equal keys the one with the greatest value counts.
 * Returns 0 or -ENOMEM; @t needs damf_lookup_free() in either case.
 */
int damf_lookup_build(struct damf_lookup *t, const struct damf_lookup_key *keys, size_t n);
void damf_lookup_free(struct damf_lookup *t);

/*
 * The longest string, but not the empty one, that the @len bytes at @p begin
 * with (@len >= 1): its value and, in *@n, its length; -1 if there is none.
 * Bytes up to @end may be read, which is at or behind @p + @len; it is fastest
 * if they are eight.
 */
int32_t damf_lookup_longest(const struct damf_lookup *t, const unsigned char *p, size_t len,
			    const unsigned char *end, size_t *n);

/* Value of a string, -1: it is not in the set. */
int32_t damf_lookup_find(const struct damf_lookup *t, const char *text, size_t len);

#endif /* DAMF_TOK_LOOKUP_H */
