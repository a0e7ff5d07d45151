/* SPDX-License-Identifier: MIT */
/*
 * A flat space of addresses with ranges of host memory in it: the address
 * space of "cpu", and the bus and the local memory of "sim". Not locked.
 */
#ifndef DAMF_BACKEND_RANGES_H
#define DAMF_BACKEND_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct damf_range {
	uint64_t start, size;
	char *host;
	bool readonly;
};

struct damf_ranges {
	uint64_t begin, end;
	uint64_t gap;			/* kept free behind each range */
	struct damf_range *ranges;	/* sorted by start */
	size_t count, capacity;
};

void damf_ranges_init(struct damf_ranges *space, uint64_t begin, uint64_t end, uint64_t gap);
void damf_ranges_fini(struct damf_ranges *space);

/* Takes the first place for size bytes, a multiple of align (a power of
 * two); 0, -ENOSPC or -ENOMEM. */
int damf_ranges_add(struct damf_ranges *space, uint64_t size, uint64_t align, void *host,
		   bool readonly, uint64_t *start);
void damf_ranges_remove(struct damf_ranges *space, uint64_t start);
/* Bytes not taken; they need not be in one piece. */
uint64_t damf_ranges_free_bytes(const struct damf_ranges *space);

/* Host address of [addr, addr + len), which must lie in one range, and be
 * writable if write; NULL if not. */
void *damf_ranges_translate(const struct damf_ranges *space, uint64_t addr, uint64_t len,
			   bool write);

#endif /* DAMF_BACKEND_RANGES_H */
