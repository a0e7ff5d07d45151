// SPDX-License-Identifier: MIT
/*
 * The io_uring side of the driver inside the test. Before a ring is given to
 * the kernel, each command in it is carried out and turned into something
 * that ends when the command shall: a no-op ends at once, a timeout later
 * than those behind it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <stdint.h>
#include <string.h>

#include "drm_backend.h"
#include "fakedrv.h"

#define MAX_BATCH 8

struct answer {
	uint64_t user_data;
	int res;
};

/* Puts the answers in the place of the no-ops' results. */
static void patch(struct io_uring *ring, const struct answer *answers, unsigned int n)
{
	unsigned int i, at, tail = __atomic_load_n(ring->cq.ktail, __ATOMIC_ACQUIRE);

	for (at = *ring->cq.khead; at != tail; at++) {
		struct io_uring_cqe *cqe = &ring->cq.cqes[at & *ring->cq.kring_mask];

		for (i = 0; i < n; i++)
			if (cqe->user_data == answers[i].user_data && !cqe->res)
				cqe->res = answers[i].res;
	}
}

/* Carries out the command; its result if it has ended. */
static int replace(struct io_uring_sqe *sqe, struct __kernel_timespec *ts)
{
	uint64_t user_data = sqe->user_data;
	int r = fakedrv_command(sqe->fd, (struct drm_damf_submit *)(uintptr_t)sqe->addr);
	unsigned int tick = fakedrv_tick();

	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = user_data;
	sqe->fd = -1;
	sqe->opcode = IORING_OP_NOP;
	if (!r && tick % 3) {
		ts->tv_sec = 0;
		ts->tv_nsec = 1000 * (tick * 37 % 400);
		sqe->opcode = IORING_OP_TIMEOUT;
		sqe->addr = (uintptr_t)ts;
		sqe->len = 1;
	}
	return r;
}

FAKEDRV_SHOWN int io_uring_submit(struct io_uring *ring)
{
	int (*next)(struct io_uring *) =
		(int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit");
	struct __kernel_timespec ts[MAX_BATCH];
	struct answer answers[MAX_BATCH];
	unsigned int i, n = 0;
	int r;

	for (i = ring->sq.sqe_head; i != ring->sq.sqe_tail && n < MAX_BATCH; i++) {
		struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];

		if (sqe->opcode != IORING_OP_URING_CMD)
			continue;
		answers[n].user_data = sqe->user_data;
		answers[n].res = replace(sqe, &ts[n]);
		n++;
	}
	r = next(ring);
	patch(ring, answers, n);
	return r;
}
