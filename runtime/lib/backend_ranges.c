// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend_ranges.h"

void damf_ranges_init(struct damf_ranges *space, uint64_t begin, uint64_t end, uint64_t gap)
{
	*space = (struct damf_ranges){ .begin = begin, .end = end, .gap = gap };
}

void damf_ranges_fini(struct damf_ranges *space)
{
	free(space->ranges);
	*space = (struct damf_ranges){ 0 };
}

/* Index of the first range that begins beyond addr. */
static size_t upper_bound(const struct damf_ranges *space, uint64_t addr)
{
	size_t lo = 0, hi = space->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (space->ranges[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The first hole that takes the range; its index, or -1. */
static ptrdiff_t find_hole(const struct damf_ranges *space, uint64_t size, uint64_t align,
			   uint64_t *start)
{
	uint64_t at = space->begin;
	size_t i;

	for (i = 0; i <= space->count; i++) {
		uint64_t limit = i < space->count ? space->ranges[i].start : space->end;

		at = (at + align - 1) & ~(align - 1);
		if (at <= limit && size <= limit - at && space->gap <= limit - at - size) {
			*start = at;
			return (ptrdiff_t)i;
		}
		if (i < space->count)
			at = space->ranges[i].start + space->ranges[i].size + space->gap;
	}
	return -1;
}

static int make_room(struct damf_ranges *space)
{
	size_t n = space->capacity ? 2 * space->capacity : 16;
	struct damf_range *r;

	if (space->count < space->capacity)
		return 0;
	r = realloc(space->ranges, n * sizeof(*r));
	if (!r)
		return -ENOMEM;
	space->ranges = r;
	space->capacity = n;
	return 0;
}

int damf_ranges_add(struct damf_ranges *space, uint64_t size, uint64_t align, void *host,
		   bool readonly, uint64_t *start)
{
	ptrdiff_t i;

	if (make_room(space))
		return -ENOMEM;
	i = find_hole(space, size, align, start);
	if (i < 0)
		return -ENOSPC;
	memmove(space->ranges + i + 1, space->ranges + i,
		(space->count - (size_t)i) * sizeof(*space->ranges));
	space->ranges[i] = (struct damf_range){ *start, size, host, readonly };
	space->count++;
	return 0;
}

void damf_ranges_remove(struct damf_ranges *space, uint64_t start)
{
	size_t i = upper_bound(space, start);

	if (!i || space->ranges[i - 1].start != start)
		return;
	memmove(space->ranges + i - 1, space->ranges + i,
		(space->count - i) * sizeof(*space->ranges));
	space->count--;
}

uint64_t damf_ranges_free_bytes(const struct damf_ranges *space)
{
	uint64_t n = space->end - space->begin;
	size_t i;

	for (i = 0; i < space->count; i++)
		n -= space->ranges[i].size;
	return n;
}

void *damf_ranges_translate(const struct damf_ranges *space, uint64_t addr, uint64_t len,
			   bool write)
{
	size_t i = upper_bound(space, addr);
	const struct damf_range *r;

	if (!i)
		return NULL;
	r = &space->ranges[i - 1];
	if (addr - r->start >= r->size || len > r->size - (addr - r->start))
		return NULL;
	if (write && r->readonly)
		return NULL;
	return r->host + (addr - r->start);
}
