// SPDX-License-Identifier: MIT
#include "lookup.h"
#include "bytes.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Bytes that a slot holds itself. */
#define HEAD 8

/* Slots that are looked at together. */
#define GROUP DAMF_BYTES

/* Lengths from here on share a bit. */
#define LONG 63

static uint64_t load(const void *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return le64toh(x);
}

/* The first @n bytes of @head, which are eight. */
static uint64_t cut_head(uint64_t head, size_t n)
{
	return n < HEAD ? head & (((uint64_t)1 << 8 * n) - 1) : head;
}

static uint64_t load_short(const void *p, size_t n)
{
	unsigned char bytes[HEAD] = { 0 };

	memcpy(bytes, p, n);
	return load(bytes);
}

static inline uint64_t load_head(const void *p, size_t readable)
{
	return readable >= HEAD ? load(p) : load_short(p, readable);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 x = (unsigned __int128)a * b;

	return (uint64_t)x ^ (uint64_t)(x >> 64);
}

static inline uint64_t hash(const struct damf_lookup *t, uint64_t head, const unsigned char *p, size_t n)
{
	uint64_t h = mix(head ^ t->seed[0], n ^ t->seed[1]);
	size_t i;

	/* The last eight bytes overlap those before them. */
	for (i = HEAD; i < n; i += HEAD)
		h = mix(h ^ load(p + (i + HEAD < n ? i : n - HEAD)), t->seed[1]);
	return h;
}

static int is_tail(const char *tail, const unsigned char *p, size_t n)
{
	uint32_t len;

	memcpy(&len, tail, sizeof(len));
	return len == n && !memcmp(tail + sizeof(len), p + HEAD, n - HEAD);
}

/* Never zero, which marks a free slot. */
static unsigned char tag_of(uint64_t h)
{
	unsigned char tag = (unsigned char)(h >> 56);

	return tag ? tag : 1;
}

static inline int is_equal(const struct damf_lookup *t, const struct damf_lookup_slot *s, uint64_t head,
		    const unsigned char *p, size_t n)
{
	if (s->head != head)
		return 0;
	if (n <= HEAD)
		return s->rest == n;
	return s->rest > HEAD && is_tail(t->tails + (s->rest - HEAD - 1), p, n);
}

/* The slot that has the string of hash @h, or NULL. */
static inline struct damf_lookup_slot *find(const struct damf_lookup *t, uint64_t h,
					    uint64_t head, const unsigned char *p, size_t n)
{
	unsigned char tag = tag_of(h);
	struct damf_lookup_slot *s;
	damf_bytes tags;
	uint32_t same;
	size_t group;

	for (group = h & t->mask;; group = (group + 1) & t->mask) {
		memcpy(&tags, t->tags + GROUP * group, GROUP);
		for (same = damf_bytes_mask((damf_bytes)(tags == tag)); same; same &= same - 1) {
			s = &t->slots[GROUP * group + (size_t)__builtin_ctz(same)];
			if (is_equal(t, s, head, p, n))
				return s;
		}
		if (damf_bytes_mask((damf_bytes)(tags == 0)))
			return NULL;
	}
}

/* The first free slot for a string of hash @h. */
static size_t find_free(const struct damf_lookup *t, uint64_t h)
{
	size_t group = h & t->mask, i;

	for (;; group = (group + 1) & t->mask)
		for (i = 0; i < GROUP; i++)
			if (!t->tags[GROUP * group + i])
				return GROUP * group + i;
}

/* Value of the first @n bytes at @p, -1: they are not in the set. */
static inline int32_t value_of(const struct damf_lookup *t, uint64_t head,
			       const unsigned char *p, size_t n)
{
	const struct damf_lookup_slot *s;

	head = cut_head(head, n);
	s = find(t, hash(t, head, p, n), head, p, n);
	return s ? s->value : -1;
}

/* The longest string of LONG bytes or more, as below. */
static __attribute__((noinline)) int32_t find_long(const struct damf_lookup *t, uint64_t head,
						   const unsigned char *p, size_t len, size_t *n)
{
	size_t k = len < t->longest ? len : t->longest;
	int32_t value;

	for (; k >= LONG; k--) {
		value = value_of(t, head, p, k);
		if (value >= 0) {
			*n = k;
			return value;
		}
	}
	return -1;
}

int32_t damf_lookup_longest(const struct damf_lookup *t, const unsigned char *p, size_t len,
			    const unsigned char *end, size_t *n)
{
	uint64_t lengths = t->lengths[p[0]];
	uint64_t head = load_head(p, (size_t)(end - p));
	int32_t value;
	size_t k;

	if (lengths >> LONG && len >= LONG) {
		value = find_long(t, head, p, len, n);
		if (value >= 0)
			return value;
	}
	lengths &= ((uint64_t)2 << (len < LONG ? len : LONG - 1)) - 1;
	for (; lengths; lengths ^= (uint64_t)1 << k) {
		k = 63 - (size_t)__builtin_clzll(lengths);
		value = value_of(t, head, p, k);
		if (value >= 0) {
			*n = k;
			return value;
		}
	}
	return -1;
}

int32_t damf_lookup_find(const struct damf_lookup *t, const char *text, size_t len)
{
	return value_of(t, load_head(text, len), (const unsigned char *)text, len);
}

/* Put a key into the table. @tails: place behind the tails, which moves on. */
static void insert(struct damf_lookup *t, const struct damf_lookup_key *key, size_t *tails)
{
	const unsigned char *p = (const unsigned char *)key->text;
	uint64_t head = cut_head(load_head(p, key->len), key->len);
	uint64_t h = hash(t, head, p, key->len);
	struct damf_lookup_slot *s = find(t, h, head, p, key->len);
	uint32_t len = (uint32_t)key->len;
	size_t at;

	if (s) {
		t->repeated = key->value;
		if (s->value < key->value)
			s->value = key->value;
		return;
	}
	at = find_free(t, h);
	s = &t->slots[at];
	t->tags[at] = tag_of(h);
	*s = (struct damf_lookup_slot){ head, len, key->value };
	if (len > HEAD) {
		s->rest = (uint32_t)*tails + HEAD + 1;
		memcpy(t->tails + *tails, &len, sizeof(len));
		memcpy(t->tails + *tails + sizeof(len), p + HEAD, len - HEAD);
		*tails += sizeof(len) + len - HEAD;
	}
	if (len)
		t->lengths[p[0]] |= (uint64_t)1 << (len < LONG ? len : LONG);
	if (t->longest < len)
		t->longest = len;
	t->n++;
}

static int allocate(struct damf_lookup *t, size_t n, size_t tails)
{
	size_t slots = GROUP;

	while (slots < 2 * n)
		slots *= 2;
	t->mask = slots / GROUP - 1;
	t->tags = calloc(slots, 1);
	t->slots = malloc(slots * sizeof(*t->slots));
	t->tails = malloc(tails + 1);
	/* Early at boot there may be no randomness yet: then these have to do. */
	if (getrandom(t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed)) {
		t->seed[0] = 0x9E3779B97F4A7C15u;
		t->seed[1] = 0xD1B54A32D192ED03u;
	}
	t->seed[1] |= 1;	/* never zero, which would make all hashes equal */
	return t->tags && t->slots && t->tails && tails < UINT32_MAX / 2 ? 0 : -ENOMEM;
}

int damf_lookup_build(struct damf_lookup *t, const struct damf_lookup_key *keys, size_t n)
{
	size_t i, tails = 0;

	*t = (struct damf_lookup){ .repeated = -1 };
	for (i = 0; i < n; i++)
		if (keys[i].len > HEAD)
			tails += sizeof(uint32_t) + keys[i].len - HEAD;
	if (allocate(t, n, tails))
		return -ENOMEM;
	tails = 0;
	for (i = 0; i < n; i++)
		insert(t, &keys[i], &tails);
	return 0;
}

void damf_lookup_free(struct damf_lookup *t)
{
	free(t->tags);
	free(t->slots);
	free(t->tails);
	*t = (struct damf_lookup){ .slots = NULL };
}
