// SPDX-License-Identifier: MIT
/*
 * Queues: lists in flight and their completions, handed out in order of
 * submission whatever the order in which the backend ends them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "backend.h"
#include "damf_hw.h"

static bool head_done(const struct damf_queue *queue)
{
	return queue->taken < queue->submitted &&
	       queue->slots[queue->taken % queue->entries].done;
}

static void eventfd_set(struct damf_queue *queue)
{
	uint64_t one = 1;

	/* It fails only if the count is at its limit: then it is readable. */
	if (write(queue->eventfd, &one, sizeof(one)) < 0)
		return;
}

static void eventfd_clear(struct damf_queue *queue)
{
	uint64_t count;

	/* It fails only if the count is zero already. */
	if (read(queue->eventfd, &count, sizeof(count)) < 0)
		return;
}

struct damf_inflight *damf_queue_slot(struct damf_queue *queue, uint64_t seqno)
{
	return &queue->slots[(seqno - 1) % queue->entries];
}

/* queue->lock is held */
static void complete_locked(struct damf_queue *queue, uint64_t seqno,
			    const struct damf_completion *c)
{
	struct damf_inflight *slot = damf_queue_slot(queue, seqno);

	if (seqno <= queue->taken || seqno > queue->submitted || slot->done)
		return;
	slot->c = *c;
	slot->c.size = sizeof(slot->c);
	slot->c.seqno = seqno;
	slot->done = true;
	if (seqno == queue->taken + 1) {
		eventfd_set(queue);
		pthread_cond_signal(&queue->cond);
	}
}

void damf_queue_complete(struct damf_queue *queue, uint64_t seqno,
			 const struct damf_completion *c)
{
	pthread_mutex_lock(&queue->lock);
	complete_locked(queue, seqno, c);
	pthread_mutex_unlock(&queue->lock);
}

void damf_queue_fail(struct damf_queue *queue, int error)
{
	struct damf_completion c = { .error = error, .status = DAMF_ST_ABORTED };
	uint64_t seqno;

	pthread_mutex_lock(&queue->lock);
	for (seqno = queue->taken + 1; seqno <= queue->submitted; seqno++)
		complete_locked(queue, seqno, &c);
	pthread_mutex_unlock(&queue->lock);
}

static void queue_init_sync(struct damf_queue *queue)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->cond, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&queue->lock, NULL);
}

static void queue_release(struct damf_queue *queue)
{
	pthread_cond_destroy(&queue->cond);
	pthread_mutex_destroy(&queue->lock);
	if (queue->eventfd >= 0)
		close(queue->eventfd);
	free(queue->slots);
	free(queue);
}

static unsigned int round_entries(unsigned int entries)
{
	unsigned int n = 2;

	while (n < entries)
		n *= 2;
	return n;
}

static int queue_set_up(struct damf_queue *queue, struct damf_error *err)
{
	int r;

	queue->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->eventfd < 0)
		return damf_error_set(err, -errno, "no eventfd for a queue: %s", strerror(errno));
	r = queue->dev->ops->queue_create(queue, err);
	if (r)
		return r;
	queue->slots = calloc(queue->entries, sizeof(*queue->slots));
	if (!queue->slots) {
		queue->dev->ops->queue_destroy(queue);
		return damf_error_set(err, -ENOMEM, "no memory for a queue of %u entries",
				      queue->entries);
	}
	return 0;
}

int damf_queue_create(struct damf_device *dev, unsigned int priority, unsigned int entries,
		      struct damf_queue **out, struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_queue *queue;
	int r;

	*out = NULL;
	if (priority > DAMF_PRIORITY_HIGH)
		return damf_error_set(err, -EINVAL,
				      "queue priority %u: it must be 0 (low), 1 (normal) or 2 (high)",
				      priority);
	if (entries > DAMF_MAX_ENTRIES)
		return damf_error_set(err, -EINVAL, "queue of %u entries: at most %u are possible",
				      entries, DAMF_MAX_ENTRIES);
	if (atomic_load(&dev->lost))
		return damf_error_lost(dev, err);
	queue = calloc(1, sizeof(*queue));
	if (!queue)
		return damf_error_set(err, -ENOMEM, "no memory for a queue");
	queue->dev = dev;
	queue->priority = priority;
	queue->entries = round_entries(entries ? entries : DAMF_DEFAULT_ENTRIES);
	queue_init_sync(queue);
	r = queue_set_up(queue, err);
	if (r) {
		queue_release(queue);
		return r;
	}
	*out = queue;
	return 0;
}

void damf_queue_free(struct damf_queue *queue)
{
	DAMF_KEEP_ERRNO();

	if (!queue)
		return;
	queue->dev->ops->queue_destroy(queue);
	queue_release(queue);
}

void damf_queue_independent(struct damf_queue *queue)
{
	queue->independent = true;
}

int damf_queue_eventfd(struct damf_queue *queue)
{
	return queue->eventfd;
}

static int check_list(const struct damf_list *list, struct damf_error *err)
{
	if (!list->count)
		return damf_error_set(err, -EINVAL, "list of no jobs: count must be 1 or more");
	if (list->first > list->count)
		return damf_error_set(err, -EINVAL, "list of %u jobs can't begin at job %u",
				      list->count, list->first);
	if (!list->list || list->list % 64)
		return damf_error_set(err, -EINVAL,
				      "list at device address 0x%" PRIx64 ": it must be a multiple of 64 in a buffer",
				      list->list);
	if (list->counters % 8)
		return damf_error_set(err, -EINVAL,
				      "counters at device address 0x%" PRIx64 ": it must be a multiple of 8",
				      list->counters);
	if (list->flags & ~DAMF_LIST_REPLAYABLE)
		return damf_error_set(err, -EINVAL, "list flags 0x%x: use DAMF_LIST_* only",
				      list->flags);
	return 0;
}

/* Takes a free slot; NULL: the queue is full. */
static struct damf_inflight *slot_begin(struct damf_queue *queue, const struct damf_list *list)
{
	struct damf_inflight *slot = NULL;

	pthread_mutex_lock(&queue->lock);
	if (queue->submitted - queue->taken < queue->entries) {
		slot = damf_queue_slot(queue, ++queue->submitted);
		slot->list = *list;
		slot->seqno = queue->submitted;
		slot->done = false;
	}
	pthread_mutex_unlock(&queue->lock);
	return slot;
}

int damf_queue_submit(struct damf_queue *queue, const struct damf_list *list,
		      uint64_t *seqno, struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_list l = { .size = sizeof(l) };
	struct damf_inflight *slot;
	int r;

	r = damf_struct_in(&l, sizeof(l), list);
	if (r)
		return damf_error_set(err, r,
				      "list of size %zu, this library knows %zu bytes: set size to sizeof(struct damf_list)",
				      list->size, sizeof(l));
	r = check_list(&l, err);
	if (r)
		return r;
	if (atomic_load(&queue->dev->lost))
		return damf_error_lost(queue->dev, err);
	slot = slot_begin(queue, &l);
	if (!slot)
		return damf_error_set(err, -EAGAIN,
				      "queue is full with %u lists in flight: take a completion first",
				      queue->entries);
	r = queue->dev->ops->submit(queue, slot, err);
	if (r) {
		pthread_mutex_lock(&queue->lock);
		queue->submitted--;
		pthread_mutex_unlock(&queue->lock);
		return r;
	}
	if (seqno)
		*seqno = slot->seqno;
	return 0;
}

static uint64_t deadline_of(int64_t timeout_ns)
{
	uint64_t now = damf_now_ns();

	return timeout_ns < 0 ? UINT64_MAX : now + (uint64_t)timeout_ns;
}

/* Waits until the oldest list is done; false: not in time. */
static bool wait_thread(struct damf_queue *queue, int64_t timeout_ns)
{
	uint64_t deadline = deadline_of(timeout_ns);
	struct timespec ts = {
		.tv_sec = (time_t)(deadline / 1000000000u),
		.tv_nsec = (long)(deadline % 1000000000u),
	};
	bool done;
	int r = 0;

	pthread_mutex_lock(&queue->lock);
	while (!(done = head_done(queue)) && timeout_ns && !r) {
		if (timeout_ns < 0)
			pthread_cond_wait(&queue->cond, &queue->lock);
		else
			r = pthread_cond_timedwait(&queue->cond, &queue->lock, &ts);
	}
	pthread_mutex_unlock(&queue->lock);
	return done;
}

static bool head_done_unlocked(struct damf_queue *queue)
{
	bool done;

	pthread_mutex_lock(&queue->lock);
	done = head_done(queue);
	pthread_mutex_unlock(&queue->lock);
	return done;
}

/* The same where the backend has to be asked. */
static bool wait_reap(struct damf_queue *queue, int64_t timeout_ns)
{
	uint64_t deadline = deadline_of(timeout_ns), now;
	int64_t left = 0;

	/* What the kernel has counted up to here is collected below. */
	eventfd_clear(queue);
	for (;;) {
		queue->dev->ops->reap(queue, left);
		if (head_done_unlocked(queue))
			return true;
		if (timeout_ns < 0) {
			left = -1;
			continue;
		}
		now = damf_now_ns();
		if (now >= deadline)
			return false;
		left = (int64_t)(deadline - now);
	}
}

static void take(struct damf_queue *queue, struct damf_completion *c, struct damf_list *list)
{
	struct damf_inflight *slot;

	pthread_mutex_lock(&queue->lock);
	slot = damf_queue_slot(queue, ++queue->taken);
	*c = slot->c;
	*list = slot->list;
	slot->done = false;
	if (head_done(queue))
		eventfd_set(queue);
	else if (!queue->dev->ops->reap)
		eventfd_clear(queue);
	pthread_mutex_unlock(&queue->lock);
}

int damf_queue_wait(struct damf_queue *queue, int64_t timeout_ns,
		    struct damf_completion *done, struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_completion c;
	struct damf_list list;
	bool any;

	pthread_mutex_lock(&queue->lock);
	any = queue->taken < queue->submitted;
	pthread_mutex_unlock(&queue->lock);
	if (!any && queue->dev->ops->reap)
		eventfd_clear(queue);	/* a tick of the kernel's that told nothing */
	if (!any)
		return damf_error_set(err, -ENOENT, "no list is in flight on this queue");
	if (!(queue->dev->ops->reap ? wait_reap : wait_thread)(queue, timeout_ns))
		return damf_error_set(err, -ETIME, "the oldest list has not ended yet");
	take(queue, &c, &list);
	damf_completion_text(queue->dev, &list, &c);
	damf_struct_out(done, &c, sizeof(c));
	return 0;
}
