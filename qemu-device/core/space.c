// SPDX-License-Identifier: MIT
#include <string.h>

#include "arena.h"
#include "damf_hw.h"
#include "space.h"

/* Whether b begins where a ends, so that both are one piece. */
static bool follows(const struct damf_piece *a, const struct damf_piece *b)
{
	if (!a->host != !b->host)
		return false;
	return a->host ? a->host + a->len == b->host : a->bus + a->len == b->bus;
}

void *damf_space_direct(struct damf_space *s, uint64_t va, uint64_t len, bool write)
{
	struct damf_piece all = { 0 }, piece;
	struct damf_fail ignored;

	while (all.len < len) {
		if (s->map(s, va + all.len, len - all.len, write, &piece, &ignored) || !piece.host)
			return NULL;
		if (!all.len)
			all.host = piece.host;
		else if (!follows(&all, &piece))
			return NULL;
		all.len += piece.len;
	}
	return all.host;
}

static int bus_failed(struct damf_fail *fail, uint64_t bus, uint16_t access)
{
	fail->status = DAMF_ST_DMA_ERROR;
	fail->access = access;
	fail->addr = bus;
	return -1;
}

static int read_piece(struct damf_space *s, const struct damf_piece *piece, void *buf,
		      struct damf_fail *fail)
{
	if (piece->host)
		memcpy(buf, piece->host, piece->len);
	else if (piece->len && s->bus_read(s, piece->bus, buf, piece->len))
		return bus_failed(fail, piece->bus, DAMF_ACCESS_READ);
	return 0;
}

int damf_space_read(struct damf_space *s, uint64_t va, void *buf, uint64_t len,
		    struct damf_fail *fail)
{
	struct damf_piece run = { 0 }, piece;
	uint64_t done = 0, at;
	char *to = buf;

	/* Neighbouring pieces are read in one go. */
	for (at = 0; at < len; at += piece.len) {
		if (s->map(s, va + at, len - at, false, &piece, fail))
			return -1;
		if (run.len && follows(&run, &piece)) {
			run.len += piece.len;
			continue;
		}
		if (run.len && read_piece(s, &run, to + done, fail))
			return -1;
		done += run.len;
		run = piece;
	}
	return run.len ? read_piece(s, &run, to + done, fail) : 0;
}

static int grow(struct damf_arena *arena, struct damf_pieces *p, struct damf_fail *fail)
{
	uint64_t cap = p->cap ? 2 * p->cap : 16;
	struct damf_piece *v = damf_arena_array(arena, cap, sizeof(*v));

	if (!v) {
		fail->status = DAMF_ST_NO_RESOURCES;
		return -1;
	}
	if (p->n)
		memcpy(v, p->v, p->n * sizeof(*v));
	p->v = v;
	p->cap = cap;
	return 0;
}

int damf_space_pieces(struct damf_space *s, struct damf_arena *arena, uint64_t va, uint64_t len,
		      struct damf_pieces *pieces, struct damf_fail *fail)
{
	struct damf_piece piece;
	uint64_t at;

	for (at = 0; at < len; at += piece.len) {
		if (s->map(s, va + at, len - at, true, &piece, fail))
			return -1;
		if (pieces->n && follows(&pieces->v[pieces->n - 1], &piece)) {
			pieces->v[pieces->n - 1].len += piece.len;
			continue;
		}
		if (pieces->n == pieces->cap && grow(arena, pieces, fail))
			return -1;
		pieces->v[pieces->n++] = piece;
	}
	return 0;
}

int damf_space_write(struct damf_space *s, const struct damf_pieces *pieces, const void *buf,
		     struct damf_fail *fail)
{
	const char *from = buf;
	uint64_t i;

	for (i = 0; i < pieces->n; i++) {
		const struct damf_piece *p = &pieces->v[i];

		if (p->host)
			memcpy(p->host, from, p->len);
		else if (s->bus_write(s, p->bus, from, p->len))
			return bus_failed(fail, p->bus, DAMF_ACCESS_WRITE);
		from += p->len;
	}
	return 0;
}
