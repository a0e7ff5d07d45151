/* SPDX-License-Identifier: MIT */
/* Bytes, 16 at a time. */
#ifndef DAMF_TOK_BYTES_H
#define DAMF_TOK_BYTES_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define DAMF_BYTES 16

typedef uint8_t damf_bytes __attribute__((vector_size(DAMF_BYTES)));

/* Bytes of a text. Of the masks the lowest bit is the first byte's. */
struct damf_ascii {
	damf_bytes bytes;
	damf_bytes upper;	/* 0xFF where A to Z is */
	size_t n;		/* printable ASCII is this long */
	uint32_t space;		/* ' '; zero from n on */
	uint32_t letter;	/* letter or digit: neither space nor punctuation */
};

/* A bit a byte of @v, whose bytes are 0 or 0xFF. */
static inline uint32_t damf_bytes_mask(damf_bytes v)
{
#ifdef __SSE2__
	return (uint32_t)_mm_movemask_epi8((__m128i)v);
#else
	uint64_t half[2];
	int i;

	memcpy(half, &v, sizeof(half));
	for (i = 0; i < 2; i++)
		half[i] = (le64toh(half[i]) & 0x0101010101010101u) * 0x0102040810204080u >> 56;
	return (uint32_t)(half[0] | half[1] << 8);
#endif
}

/* 0xFF where @low <= byte <= @high. */
static inline damf_bytes damf_bytes_in(damf_bytes v, uint8_t low, uint8_t high)
{
	return (damf_bytes)((v - low) <= (uint8_t)(high - low));
}

/* Look at up to 16 bytes. */
static inline struct damf_ascii damf_ascii_load(const unsigned char *p, size_t len)
{
	struct damf_ascii a = { .n = 0 };
	damf_bytes lower;
	uint32_t printable;

	/* Bytes behind the text are zeros, which are not printable. */
	if (len >= DAMF_BYTES)
		memcpy(&a.bytes, p, DAMF_BYTES);
	else
		memcpy(&a.bytes, p, len);
	a.upper = damf_bytes_in(a.bytes, 'A', 'Z');
	lower = damf_bytes_in(a.bytes | 0x20, 'a', 'z');
	printable = damf_bytes_mask(damf_bytes_in(a.bytes, ' ', '~'));
	a.n = (size_t)__builtin_ctz(~printable);
	a.space = damf_bytes_mask((damf_bytes)(a.bytes == ' ')) & ((1u << a.n) - 1);
	a.letter = damf_bytes_mask(lower | damf_bytes_in(a.bytes, '0', '9'));
	return a;
}

/* Write all 16 bytes, of which the first n count. */
static inline void damf_ascii_store(unsigned char *out, const struct damf_ascii *a, int lower_case)
{
	damf_bytes v = lower_case ? a->bytes | (a->upper & 0x20) : a->bytes;

	memcpy(out, &v, sizeof(v));
}

#endif /* DAMF_TOK_BYTES_H */
