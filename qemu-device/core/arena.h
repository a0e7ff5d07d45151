/* SPDX-License-Identifier: MIT */
/*
 * Working memory of one job: private copies and scratch, all given back at
 * once. It is bounded, and what it grew to is kept for the next job in one
 * piece, so that a list allocates nothing once it is warm.
 */
#ifndef DAMF_ARENA_H
#define DAMF_ARENA_H

#include <stdint.h>

#define DAMF_ARENA_ALIGN 64u

struct damf_chunk {
	struct damf_chunk *next;
	uint64_t size, used;	/* of the bytes after this header */
};

struct damf_arena {
	struct damf_chunk *chunks;	/* the newest first */
	uint64_t total;			/* bytes in all chunks */
	uint64_t used;			/* bytes given out since the last reset */
	uint64_t limit;
};

/* 64-byte aligned and not cleared; NULL if memory or the limit is exhausted. */
void *damf_arena_alloc(struct damf_arena *arena, uint64_t size);
/* count elements of size bytes. */
void *damf_arena_array(struct damf_arena *arena, uint64_t count, uint64_t size);
/* Everything given out is free again. */
void damf_arena_reset(struct damf_arena *arena);
/* As reset; memory beyond @keep bytes goes back to the system. */
void damf_arena_trim(struct damf_arena *arena, uint64_t keep);

#endif /* DAMF_ARENA_H */
