// SPDX-License-Identifier: MIT
/*
 * Lists that go by io_uring: IORING_OP_URING_CMD with the ioctl's number and
 * the address of its struct. One ring a queue, whose eventfd is the queue's.
 *
 * A command ends with its list, so completions may be seen out of order and
 * say only an errno: the rest is asked for by ioctl.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "damf_hw.h"
#include "drm_backend.h"

#define PROBE_TIMEOUT_NS 2000000000ll
#define DRAIN_TIMEOUT_NS 10000000000ll
#define PAUSE_NS	 50000
#define PAUSES		 100000

static struct __kernel_timespec timespec_of(int64_t ns)
{
	return (struct __kernel_timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* Older liburing has no helper for this. */
static void prep_submit(struct io_uring_sqe *sqe, int fd, struct drm_damf_submit *s,
			uint64_t seqno)
{
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = DRM_IOCTL_DAMF_SUBMIT;
	sqe->addr = (uintptr_t)s;
	sqe->user_data = seqno;
}

/* Waits for one completion; -ETIME: none in time. Negative: for ever. */
static int wait_cqe(struct io_uring *ring, struct io_uring_cqe **cqe, int64_t timeout_ns)
{
	struct __kernel_timespec ts = timespec_of(timeout_ns);

	return timeout_ns < 0 ? io_uring_wait_cqe(ring, cqe) :
				io_uring_wait_cqe_timeout(ring, cqe, &ts);
}

/* ---- Can it be used? ----------------------------------------------------- */

/* Sends a submission to queue 0, which never exists: the driver's answer
 * tells that it takes commands. */
static int probe_command(struct io_uring *ring, int fd)
{
	struct drm_damf_submit nothing = { 0 };
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int r;

	if (!sqe)
		return -EPERM;
	prep_submit(sqe, fd, &nothing, 0);
	r = io_uring_submit(ring);
	if (r < 0)
		return r;
	r = wait_cqe(ring, &cqe, PROBE_TIMEOUT_NS);
	if (r)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return r;
}

bool damf_uring_probe(int fd, char *why, size_t len)
{
	struct io_uring ring;
	int r = io_uring_queue_init(2, &ring, 0);

	if (r) {
		snprintf(why, len, "ioctl, as io_uring is not allowed here (%s; see kernel.io_uring_disabled and seccomp)",
			 strerror(-r));
		return false;
	}
	r = probe_command(&ring, fd);
	io_uring_queue_exit(&ring);
	switch (r) {
	case -EOPNOTSUPP:
	case -ENOTTY:
	case -ENOSYS:
		snprintf(why, len, "ioctl, as this driver takes no io_uring commands");
		return false;
	case -EPERM:
	case -EACCES:
	case -ETIME:
		snprintf(why, len, "ioctl, as io_uring commands to the node fail (%s)",
			 strerror(-r));
		return false;
	default:
		snprintf(why, len, "io_uring works");
		return true;
	}
}

/* ---- A queue's ring ------------------------------------------------------ */

int damf_uring_queue_create(struct drm_queue *q, char *why, size_t len)
{
	int r;

	q->cancelled = calloc(q->base->entries, sizeof(*q->cancelled));
	r = q->cancelled ? io_uring_queue_init(q->base->entries, &q->ring, 0) : -ENOMEM;
	if (!r) {
		r = io_uring_register_eventfd(&q->ring, q->base->eventfd);
		if (r)
			io_uring_queue_exit(&q->ring);
	}
	if (r) {
		free(q->cancelled);
		q->cancelled = NULL;
		snprintf(why, len, "ioctl, as a ring could not be made (%s)", strerror(-r));
	}
	return r;
}

/* The seqno that the kernel gave, 0 while it has not queued the list. */
static uint64_t kernel_seqno(struct drm_queue *q, uint64_t seqno)
{
	return __atomic_load_n(&damf_drm_submit_of(q, seqno)->seqno, __ATOMIC_ACQUIRE);
}

/* One command has ended: tell how its list did. */
static void command_ended(struct drm_queue *q, uint64_t seqno, int res)
{
	struct damf_completion c = { .error = res };

	if (res == -ENODEV)
		atomic_store(&q->base->dev->lost, true);
	if (res == -ENODEV || !kernel_seqno(q, seqno)) {
		damf_queue_complete(q->base, seqno, &c);
		return;
	}
	/* The thread that submitted has ended: that cancels its commands, but
	 * not their lists. */
	if (!damf_drm_collect(q, seqno, 0)) {
		q->cancelled[(seqno - 1) % q->base->entries] = true;
		q->any_cancelled = true;
		damf_drm_wake(q);
	}
}

static unsigned int take_cqes(struct drm_queue *q)
{
	struct io_uring_cqe *cqe;
	unsigned int n = 0;

	while (!io_uring_peek_cqe(&q->ring, &cqe)) {
		uint64_t seqno = cqe->user_data;
		int res = cqe->res;

		io_uring_cqe_seen(&q->ring, cqe);
		command_ended(q, seqno, res);
		n++;
	}
	return n;
}

/* The command has ended and its list has not, as far as is known. */
static bool is_cancelled(struct drm_queue *q, uint64_t seqno)
{
	return !damf_queue_slot(q->base, seqno)->done &&
	       q->cancelled[(seqno - 1) % q->base->entries];
}

/*
 * Looks after lists whose commands have ended without them: collects those
 * that are the oldest, waiting for the first. No event will come for these,
 * so the eventfd stays readable while there is one. Returns whether the
 * oldest list was one of them.
 */
static bool collect_cancelled(struct drm_queue *q, int64_t timeout_ns)
{
	uint64_t seqno = q->base->taken + 1;
	bool oldest = seqno <= q->base->submitted && is_cancelled(q, seqno);

	for (; seqno <= q->base->submitted; seqno++) {
		if (damf_queue_slot(q->base, seqno)->done)
			continue;
		if (!is_cancelled(q, seqno) || !damf_drm_collect(q, seqno, timeout_ns))
			break;
		timeout_ns = 0;
	}
	while (seqno <= q->base->submitted && !is_cancelled(q, seqno))
		seqno++;
	q->any_cancelled = seqno <= q->base->submitted;
	if (q->any_cancelled)
		damf_drm_wake(q);
	return oldest;
}

void damf_uring_reap(struct drm_queue *q, int64_t timeout_ns)
{
	struct io_uring_cqe *cqe;
	unsigned int n = take_cqes(q);

	/* A look lasts a little, or polling would spin. */
	if (q->any_cancelled && collect_cancelled(q, timeout_ns ? timeout_ns : PAUSE_NS))
		return;
	if (!n && timeout_ns && !wait_cqe(&q->ring, &cqe, timeout_ns))
		take_cqes(q);
}

/* ---- Submission ---------------------------------------------------------- */

/*
 * The kernel may have put off the list before this one to a worker thread
 * (where it would have had to wait). It must be queued first.
 */
static void wait_for_previous(struct drm_queue *q, uint64_t seqno)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int i;

	if (seqno <= q->base->taken + 1)
		return;
	for (i = 0; i < PAUSES; i++) {
		if (kernel_seqno(q, seqno - 1) || damf_queue_slot(q->base, seqno - 1)->done)
			return;
		take_cqes(q);
		nanosleep(&pause, NULL);
	}
}

static int enter(struct drm_queue *q)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int i, r = -EBUSY;

	for (i = 0; i < PAUSES; i++) {
		r = io_uring_submit(&q->ring);
		if (r > 0)
			return 0;
		if (r && r != -EINTR && r != -EAGAIN && r != -EBUSY)
			break;
		take_cqes(q);
		nanosleep(&pause, NULL);
	}
	/* The entry is still in the ring: nothing may follow it. */
	q->broken = r < 0 ? r : -EIO;
	return q->broken;
}

int damf_uring_submit(struct drm_queue *q, struct damf_inflight *slot, struct damf_error *err)
{
	struct drm_damf_submit *s = damf_drm_submit_of(q, slot->seqno);
	struct io_uring_sqe *sqe;
	int r;

	(void)err;
	if (q->broken)
		return q->broken;
	wait_for_previous(q, slot->seqno);
	sqe = io_uring_get_sqe(&q->ring);
	if (!sqe)
		return -EAGAIN;
	q->cancelled[(slot->seqno - 1) % q->base->entries] = false;
	prep_submit(sqe, q->drm->fd, s, slot->seqno);
	r = enter(q);
	if (r)
		return r;
	take_cqes(q);
	/* Refused at once: the same as an ioctl that fails. */
	if (slot->done && !kernel_seqno(q, slot->seqno)) {
		r = slot->c.error;
		slot->done = false;
		return r;
	}
	return 0;
}

void damf_uring_queue_destroy(struct drm_queue *q)
{
	uint64_t deadline = damf_now_ns() + DRAIN_TIMEOUT_NS, seqno, now;
	struct io_uring_cqe *cqe;

	/* Destroying the kernel's queue has ended the commands: their structs
	 * must stay until the kernel has let go of them. */
	for (seqno = q->base->taken + 1; seqno <= q->base->submitted; seqno++) {
		while (!damf_queue_slot(q->base, seqno)->done) {
			now = damf_now_ns();
			if (now >= deadline || is_cancelled(q, seqno))
				break;
			if (!wait_cqe(&q->ring, &cqe, (int64_t)(deadline - now)))
				take_cqes(q);
		}
	}
	io_uring_queue_exit(&q->ring);
	free(q->cancelled);
}
