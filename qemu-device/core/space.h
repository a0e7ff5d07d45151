/* SPDX-License-Identifier: MIT */
/*
 * An address space that jobs run in: a context's, behind the device's MMU, or
 * a flat one of this process. Ranges are given out in pieces, each contiguous
 * where the bytes really lie.
 */
#ifndef DAMF_SPACE_H
#define DAMF_SPACE_H

#include <stdbool.h>
#include <stdint.h>

/* Why something failed, as a completion tells it. */
struct damf_fail {
	uint16_t status, field, access;
	uint64_t addr;
};

/* Bytes that lie together: at host, or if that is NULL at a bus address. */
struct damf_piece {
	char *host;
	uint64_t bus, len;
};

/* Pieces in the order of the bytes, to write a private copy back by. */
struct damf_pieces {
	struct damf_piece *v;
	uint64_t n, cap;
};

struct damf_arena;

struct damf_space {
	/*
	 * The longest piece at va that this can tell of, at most len bytes.
	 * 0, or -1 with fail filled in.
	 */
	int (*map)(struct damf_space *s, uint64_t va, uint64_t len, bool write,
		   struct damf_piece *piece, struct damf_fail *fail);
	/* Bus memory; NULL if pieces always have a host address. */
	int (*bus_read)(struct damf_space *s, uint64_t bus, void *buf, uint64_t len);
	int (*bus_write)(struct damf_space *s, uint64_t bus, const void *buf, uint64_t len);
};

/* The host address of a whole range, or NULL if it has none in one piece. */
void *damf_space_direct(struct damf_space *s, uint64_t va, uint64_t len, bool write);
/* Copies a range into buf, each byte read once. 0, or -1 with fail. */
int damf_space_read(struct damf_space *s, uint64_t va, void *buf, uint64_t len,
		    struct damf_fail *fail);
/* Appends the pieces of a range to write to. 0, or -1 with fail. */
int damf_space_pieces(struct damf_space *s, struct damf_arena *arena, uint64_t va, uint64_t len,
		      struct damf_pieces *pieces, struct damf_fail *fail);
/* Writes buf to the pieces, in their order. 0, or -1 with fail. */
int damf_space_write(struct damf_space *s, const struct damf_pieces *pieces, const void *buf,
		     struct damf_fail *fail);

#endif /* DAMF_SPACE_H */
