// SPDX-License-Identifier: MIT
#include <stdlib.h>

#include "arena.h"

#define MIN_CHUNK (1ull << 20)

static uint64_t round_up(uint64_t size)
{
	return (size + DAMF_ARENA_ALIGN - 1) & ~(uint64_t)(DAMF_ARENA_ALIGN - 1);
}

static struct damf_chunk *chunk_new(struct damf_arena *arena, uint64_t size)
{
	struct damf_chunk *chunk;

	if (size < MIN_CHUNK)
		size = MIN_CHUNK;
	chunk = aligned_alloc(DAMF_ARENA_ALIGN, DAMF_ARENA_ALIGN + size);
	if (!chunk)
		return NULL;
	chunk->size = size;
	chunk->used = 0;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->total += size;
	return chunk;
}

static void free_chunks(struct damf_arena *arena)
{
	struct damf_chunk *chunk;

	while ((chunk = arena->chunks)) {
		arena->chunks = chunk->next;
		free(chunk);
	}
	arena->total = 0;
}

void *damf_arena_alloc(struct damf_arena *arena, uint64_t size)
{
	struct damf_chunk *chunk = arena->chunks;
	void *p;

	if (size > arena->limit || arena->used > arena->limit - size)
		return NULL;
	size = round_up(size ? size : 1);
	if (!chunk || chunk->size - chunk->used < size) {
		chunk = chunk_new(arena, size);
		if (!chunk)
			return NULL;
	}
	p = (char *)chunk + DAMF_ARENA_ALIGN + chunk->used;
	chunk->used += size;
	arena->used += size;
	return p;
}

void *damf_arena_array(struct damf_arena *arena, uint64_t count, uint64_t size)
{
	if (count && size > UINT64_MAX / count)
		return NULL;
	return damf_arena_alloc(arena, count * size);
}

void damf_arena_reset(struct damf_arena *arena)
{
	uint64_t total = arena->total;

	arena->used = 0;
	if (!arena->chunks)
		return;
	if (arena->chunks->next) {
		/* One piece as large as all of them serves the same job again. */
		free_chunks(arena);
		if (total <= arena->limit)
			chunk_new(arena, total);
		return;
	}
	arena->chunks->used = 0;
}

void damf_arena_trim(struct damf_arena *arena, uint64_t keep)
{
	if (arena->total > keep)
		free_chunks(arena);
	damf_arena_reset(arena);
}
