// SPDX-License-Identifier: MIT
/* Queues of the accelerator; lists that go by ioctl. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xf86drm.h>

#include "damf_hw.h"
#include "drm_backend.h"

/* DRM_IOCTL_SYNCOBJ_EVENTFD (Linux 6.6), which older libdrm doesn't declare. */
struct syncobj_eventfd {
	__u32 handle;
	__u32 flags;
	__u64 point;
	__s32 fd;
	__u32 pad;
};
#define IOCTL_SYNCOBJ_EVENTFD DRM_IOWR(0xCF, struct syncobj_eventfd)

struct drm_damf_submit *damf_drm_submit_of(struct drm_queue *q, uint64_t seqno)
{
	return &q->submits[(seqno - 1) % q->base->entries];
}

void damf_drm_wake(struct drm_queue *q)
{
	uint64_t one = 1;

	/* It fails only if the count is at its limit: then it is readable. */
	if (write(q->base->eventfd, &one, sizeof(one)) < 0)
		return;
}

/* ---- Results ------------------------------------------------------------- */

/* Waits in the kernel; a signal doesn't make the wait longer. */
static int result(struct drm_queue *q, struct drm_damf_result *res, int64_t timeout_ns)
{
	uint64_t end = damf_now_ns() + (timeout_ns > 0 ? (uint64_t)timeout_ns : 0), now;
	int r;

	for (;;) {
		res->timeout_ns = timeout_ns;
		if (!ioctl(q->drm->fd, DRM_IOCTL_DAMF_RESULT, res))
			return 0;
		r = -errno;
		if (r != -EINTR)
			return r;
		if (timeout_ns <= 0)
			continue;
		now = damf_now_ns();
		timeout_ns = now < end ? (int64_t)(end - now) : 0;
	}
}

static void lost(struct drm_queue *q)
{
	atomic_store(&q->base->dev->lost, true);
	damf_queue_fail(q->base, -ENODEV);
}

bool damf_drm_collect(struct drm_queue *q, uint64_t seqno, int64_t timeout_ns)
{
	struct drm_damf_result res = {
		.queue = q->id,
		.seqno = damf_drm_submit_of(q, seqno)->seqno,
	};
	struct damf_completion c = { 0 };
	int r = result(q, &res, timeout_ns);

	if (r == -ETIME)
		return false;
	if (r == -ENODEV || (!r && res.error == -ENODEV)) {
		lost(q);
		return true;
	}
	c.error = r ? r : res.error;
	c.status = res.status;
	c.field = res.field;
	c.index = res.index;
	c.fault_addr = res.fault_addr;
	c.start_ns = res.start_ns;
	c.end_ns = res.end_ns;
	c.cycles = res.cycles;
	damf_queue_complete(q->base, seqno, &c);
	return true;
}

/* ---- Lists that go by ioctl ---------------------------------------------- */

static void fill_submit(struct drm_queue *q, const struct damf_inflight *slot,
			struct drm_damf_submit *s)
{
	*s = (struct drm_damf_submit){
		.queue = q->id,
		.list = slot->list.list,
		.counters = slot->list.counters,
		.count = slot->list.count,
		.first = slot->list.first,
	};
	if (slot->list.flags & DAMF_LIST_REPLAYABLE)
		s->flags |= DRM_DAMF_SUBMIT_REPLAYABLE;
}

static int submit_error(struct drm_queue *q, struct damf_error *err, int code)
{
	if (code == -EAGAIN)
		return damf_error_set(err, code, "queue is full: take a completion first");
	return damf_drm_error(q->base->dev, err, code, "submitting a list");
}

static int ioctl_submit(struct drm_queue *q, struct damf_inflight *slot, struct damf_error *err)
{
	struct drm_damf_sync sync = {
		.handle = q->syncobj,
		.flags = DRM_DAMF_SYNC_SIGNAL | DRM_DAMF_SYNC_TIMELINE,
		.point = slot->seqno,
	};
	struct syncobj_eventfd event = {
		.handle = q->syncobj,
		.point = slot->seqno,
		.fd = q->base->eventfd,
	};
	struct drm_damf_submit *s = damf_drm_submit_of(q, slot->seqno);
	int r;

	s->syncs = (uintptr_t)&sync;
	s->sync_count = 1;
	s->sync_stride = sizeof(sync);
	r = damf_drm_ioctl(q->drm->fd, DRM_IOCTL_DAMF_SUBMIT, s);
	if (r)
		return submit_error(q, err, r);
	/* The list is queued: if no event will come, the waiter has to look. */
	if (damf_drm_ioctl(q->drm->fd, IOCTL_SYNCOBJ_EVENTFD, &event))
		damf_drm_wake(q);
	return 0;
}

static void ioctl_reap(struct drm_queue *q, int64_t timeout_ns)
{
	uint64_t seqno;

	/* They end in order, so the first that has not ended is the last to ask for. */
	for (seqno = q->base->taken + 1; seqno <= q->base->submitted; seqno++) {
		if (damf_queue_slot(q->base, seqno)->done)
			continue;
		if (!damf_drm_collect(q, seqno, timeout_ns))
			return;
		timeout_ns = 0;
	}
}

/* ---- The backend's operations -------------------------------------------- */

static int ioctl_queue_create(struct drm_queue *q, struct damf_error *err)
{
	int r = drmSyncobjCreate(q->drm->fd, 0, &q->syncobj);

	return r ? damf_drm_error(q->base->dev, err, -errno, "creating a syncobj") : 0;
}

/* Whether this queue goes by io_uring; if a ring can't be had, none does. */
static void choose_path(struct drm_queue *q)
{
	struct drm_device *drm = q->drm;
	char why[sizeof(drm->why)];

	pthread_mutex_lock(&drm->lock);
	q->uring = drm->uring;
	if (q->uring && damf_uring_queue_create(q, why, sizeof(why))) {
		q->uring = drm->uring = false;
		memcpy(drm->why, why, sizeof(why));
	}
	pthread_mutex_unlock(&drm->lock);
}

static int create_kernel_queue(struct drm_queue *q, struct damf_error *err)
{
	struct drm_damf_queue_create create = {
		.priority = q->base->priority,
		.entries = q->base->entries,
	};
	int r = damf_drm_ioctl(q->drm->fd, DRM_IOCTL_DAMF_QUEUE_CREATE, &create);

	if ((r == -EACCES || r == -EPERM) && q->base->priority == DAMF_PRIORITY_HIGH)
		return damf_error_set(err, r,
				      "%s: a queue of high priority needs CAP_SYS_NICE: ask for normal priority",
				      q->base->dev->path);
	if (r)
		return damf_drm_error(q->base->dev, err, r, "creating a queue");
	q->id = create.id;
	q->base->entries = create.entries;
	return 0;
}

static void destroy_kernel_queue(struct drm_queue *q)
{
	struct drm_damf_queue_destroy destroy = { .id = q->id };

	damf_drm_ioctl(q->drm->fd, DRM_IOCTL_DAMF_QUEUE_DESTROY, &destroy);
}

static int set_up(struct drm_queue *q, struct damf_error *err)
{
	int r = create_kernel_queue(q, err);

	if (r)
		return r;
	q->submits = calloc(q->base->entries, sizeof(*q->submits));
	if (q->submits) {
		choose_path(q);
		r = q->uring ? 0 : ioctl_queue_create(q, err);
	} else {
		r = damf_error_set(err, -ENOMEM, "no memory for a queue");
	}
	if (r)
		destroy_kernel_queue(q);
	return r;
}

int damf_drm_queue_create(struct damf_queue *queue, struct damf_error *err)
{
	struct drm_queue *q = calloc(1, sizeof(*q));
	struct drm_device *drm = queue->dev->priv;
	int r;

	if (!q)
		return damf_error_set(err, -ENOMEM, "no memory for a queue");
	q->base = queue;
	q->drm = drm;
	if (queue->entries > drm->info.max_entries)
		queue->entries = drm->info.max_entries;
	r = set_up(q, err);
	if (r) {
		free(q->submits);
		free(q);
		return r;
	}
	queue->priv = q;
	return 0;
}

void damf_drm_queue_destroy(struct damf_queue *queue)
{
	struct drm_queue *q = queue->priv;

	destroy_kernel_queue(q);
	if (q->uring)
		damf_uring_queue_destroy(q);
	else
		drmSyncobjDestroy(q->drm->fd, q->syncobj);
	free(q->submits);
	free(q);
}

int damf_drm_submit(struct damf_queue *queue, struct damf_inflight *slot, struct damf_error *err)
{
	struct drm_queue *q = queue->priv;
	int r;

	fill_submit(q, slot, damf_drm_submit_of(q, slot->seqno));
	if (!q->uring)
		return ioctl_submit(q, slot, err);
	r = damf_uring_submit(q, slot, err);
	return r ? submit_error(q, err, r) : 0;
}

void damf_drm_reap(struct damf_queue *queue, int64_t timeout_ns)
{
	struct drm_queue *q = queue->priv;

	if (q->uring)
		damf_uring_reap(q, timeout_ns);
	else
		ioctl_reap(q, timeout_ns);
}
