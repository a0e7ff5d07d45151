// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rings of a queue: lists go in, completions come out, and each side tells
 * the other by event indices when it wants to be woken.
 *
 * What the device writes is not trusted. A completion has to be the one of the
 * oldest entry in the ring; one that isn't ends the queue's life until the
 * device has been reset.
 */
#include <linux/dma-fence.h>
#include <linux/dma-mapping.h>

#include "damf_device.h"
#include "damf_mmu.h"
#include "damf_queue.h"

static size_t damf_ring_cq(struct damf_queue *q)
{
	return sizeof(struct damf_sqe) << q->log2;
}

static size_t damf_ring_shared(struct damf_queue *q)
{
	return damf_ring_cq(q) + (sizeof(struct damf_cqe) << q->log2);
}

static size_t damf_ring_size(struct damf_queue *q)
{
	return damf_ring_shared(q) + sizeof(struct damf_queue_shared);
}

/**
 * damf_ring_alloc() - allocate the rings
 * @q: queue
 *
 * Return: 0 or -ENOMEM.
 */
int damf_ring_alloc(struct damf_queue *q)
{
	q->mem = dma_alloc_coherent(q->damf->drm.dev, damf_ring_size(q), &q->dma, GFP_KERNEL);
	if (!q->mem)
		return -ENOMEM;
	q->sq = q->mem;
	q->cq = q->mem + damf_ring_cq(q);
	q->shared = q->mem + damf_ring_shared(q);
	return 0;
}

/**
 * damf_ring_free() - free the rings
 * @q: queue that the device doesn't have any more; may have been done before
 */
void damf_ring_free(struct damf_queue *q)
{
	unsigned long flags;
	void *mem;

	spin_lock_irqsave(&q->lock, flags);
	mem = q->mem;
	q->mem = NULL;
	spin_unlock_irqrestore(&q->lock, flags);
	if (mem)
		dma_free_coherent(q->damf->drm.dev, damf_ring_size(q), mem, q->dma);
}

/* ---- The end of a list ----------------------------------------------------- */

/* A result without a completion: the list was not run, or not to its end. */
static void damf_task_end(struct damf_task *task, int error, struct list_head *ended)
{
	struct damf_queue *q = task->queue;
	struct damf_result *res = &q->results[task->seqno % DAMF_RESULTS];

	lockdep_assert_held(&q->lock);
	task->ended = true;
	task->error = error;
	res->error = error;
	res->ended = true;
	q->inflight--;
	list_move_tail(&task->link, ended);
	atomic64_inc(&q->damf->stats.completions);
}

static void damf_task_end_cqe(struct damf_task *task, const struct damf_cqe *cqe, int error,
			      struct list_head *ended)
{
	struct damf_queue *q = task->queue;
	struct damf_result *res = &q->results[task->seqno % DAMF_RESULTS];

	res->start_ns = le64_to_cpu(cqe->start_ns);
	res->end_ns = le64_to_cpu(cqe->end_ns);
	res->cycles = le64_to_cpu(cqe->cycles);
	res->fault_addr = le64_to_cpu(cqe->fault_addr);
	res->index = le32_to_cpu(cqe->index);
	res->status = le16_to_cpu(cqe->status);
	res->field = le16_to_cpu(cqe->field);
	res->access = le16_to_cpu(cqe->access);
	if (res->start_ns && res->end_ns > res->start_ns)
		atomic64_add(res->end_ns - res->start_ns, &q->vm->busy_ns);
	atomic64_add(res->cycles, &q->vm->cycles);
	damf_task_end(task, error, ended);
}

/*
 * Tells everybody who waits. Once its fence has been signalled a task may be
 * freed at any moment.
 */
static void damf_tasks_signal(struct damf_queue *q, struct list_head *ended)
{
	struct damf_task *task, *next;
	struct dma_fence *fence;

	if (list_empty(ended))
		return;
	list_for_each_entry_safe(task, next, ended, link) {
		list_del_init(&task->link);
		fence = dma_fence_get(task->fence);
		if (task->error)
			dma_fence_set_error(fence, task->error);
		dma_fence_signal(fence);
		dma_fence_put(fence);
	}
	wake_up_all(&q->wait);
}

/**
 * damf_ring_fail() - end all tasks that were given to the device
 * @q: queue, which the device doesn't have any more
 * @error: what they end with
 */
void damf_ring_fail(struct damf_queue *q, int error)
{
	struct damf_task *task, *next;
	unsigned long flags;
	LIST_HEAD(ended);

	spin_lock_irqsave(&q->lock, flags);
	list_for_each_entry_safe(task, next, &q->parked, link)
		damf_task_end(task, error, &ended);
	list_for_each_entry_safe(task, next, &q->ring, link)
		damf_task_end(task, error, &ended);
	spin_unlock_irqrestore(&q->lock, flags);
	damf_tasks_signal(q, &ended);
}

/**
 * damf_ring_fail_task() - end a task
 * @q: queue
 * @task: task that isn't in the ring; nothing happens if it has ended
 * @error: what it ends with
 */
void damf_ring_fail_task(struct damf_queue *q, struct damf_task *task, int error)
{
	unsigned long flags;
	LIST_HEAD(ended);

	spin_lock_irqsave(&q->lock, flags);
	if (!task->ended)
		damf_task_end(task, error, &ended);
	spin_unlock_irqrestore(&q->lock, flags);
	damf_tasks_signal(q, &ended);
}

/**
 * damf_ring_begin() - make room for the result of a task
 * @q: queue
 * @task: task that is about to be queued; gets its number
 */
void damf_ring_begin(struct damf_queue *q, struct damf_task *task)
{
	unsigned long flags;

	spin_lock_irqsave(&q->lock, flags);
	task->seqno = ++q->seqno;
	q->results[task->seqno % DAMF_RESULTS] = (struct damf_result){
		.seqno = task->seqno,
		.index = DAMF_INDEX_NONE,
	};
	q->inflight++;
	spin_unlock_irqrestore(&q->lock, flags);
}

bool damf_ring_is_full(struct damf_queue *q)
{
	return READ_ONCE(q->inflight) >= q->entries;
}

/* ---- Submission ------------------------------------------------------------ */

static void damf_ring_write(struct damf_queue *q, struct damf_task *task)
{
	task->cookie = ++q->cookie;
	q->sq[q->sq_tail & ((1u << q->log2) - 1)] = (struct damf_sqe){
		.opcode = cpu_to_le16(DAMF_SQ_EXEC),
		.flags = cpu_to_le16(task->replayable ? DAMF_SQE_REPLAYABLE : 0),
		.context = cpu_to_le16(q->vm->context),
		.count = cpu_to_le32(task->count),
		.first = cpu_to_le32(task->first),
		.cookie = cpu_to_le64(task->cookie),
		.list = cpu_to_le64(task->list),
		.counters = cpu_to_le64(task->counters),
	};
	list_move_tail(&task->link, &q->ring);
	/* The entry before the index that tells of it. */
	dma_wmb();
	WRITE_ONCE(q->shared->sq_tail, cpu_to_le32(++q->sq_tail));
}

/* Rings if the device has asked for one of the entries since old. */
static void damf_ring_doorbell(struct damf_queue *q, u32 old)
{
	struct damf_device *damf = q->damf;
	u32 event;

	/* The tail before the event: the device does it the other way round. */
	mb();
	event = le32_to_cpu(READ_ONCE(q->shared->sq_event));
	if (damf->caps.features & DAMF_FEATURE_EVENT_IDX &&
	    !damf_need_event(event, q->sq_tail, old)) {
		atomic64_inc(&damf->stats.doorbells_saved);
		return;
	}
	writel(q->sq_tail, q->db + DAMF_DB_SQ);
	atomic64_inc(&damf->stats.doorbells);
}

/**
 * damf_ring_emit() - put a task into the ring
 * @q: queue; the address space's emit_lock is held
 * @task: the task
 *
 * There is always room: the scheduler gives out as many as there are entries.
 *
 * Return: 0, or -ENODEV if there is no device any more.
 */
int damf_ring_emit(struct damf_queue *q, struct damf_task *task)
{
	unsigned long flags;
	int ret = -ENODEV;

	spin_lock_irqsave(&q->lock, flags);
	if (q->mem && !damf_lost(q->damf)) {
		damf_ring_write(q, task);
		damf_ring_doorbell(q, q->sq_tail - 1);
		ret = 0;
	}
	spin_unlock_irqrestore(&q->lock, flags);
	return ret;
}

/**
 * damf_ring_emit_parked() - put tasks that were given up into the ring again
 * @q: queue, whose ring is empty
 */
void damf_ring_emit_parked(struct damf_queue *q)
{
	struct damf_task *task, *next;
	unsigned long flags;
	u32 old;

	spin_lock_irqsave(&q->lock, flags);
	old = q->sq_tail;
	if (q->mem && !damf_lost(q->damf)) {
		list_for_each_entry_safe(task, next, &q->parked, link)
			damf_ring_write(q, task);
		if (q->sq_tail != old)
			damf_ring_doorbell(q, old);
	}
	spin_unlock_irqrestore(&q->lock, flags);
}

/**
 * damf_ring_kick() - ring the doorbell in any case
 * @q: queue
 */
void damf_ring_kick(struct damf_queue *q)
{
	unsigned long flags;

	spin_lock_irqsave(&q->lock, flags);
	if (q->mem && !damf_lost(q->damf))
		writel(q->sq_tail, q->db + DAMF_DB_SQ);
	spin_unlock_irqrestore(&q->lock, flags);
}

/* ---- Completion ------------------------------------------------------------ */

static bool damf_ring_is_new(struct damf_queue *q)
{
	struct damf_cqe *cqe = &q->cq[q->cq_head & ((1u << q->log2) - 1)];
	u32 phase = !(q->cq_head >> q->log2 & 1);

	return (le32_to_cpu(READ_ONCE(cqe->phase)) & 1) == phase;
}

/* Given up without being at fault: it goes on where it was. */
static void damf_task_park(struct damf_task *task, u32 index)
{
	struct damf_queue *q = task->queue;

	if (index != DAMF_INDEX_NONE)
		task->first = index;
	list_move_tail(&task->link, &q->parked);
	queue_work(q->damf->wq, &q->vm->recover);
}

static void damf_ring_complete(struct damf_task *task, const struct damf_cqe *cqe,
			       struct list_head *ended)
{
	unsigned int status = le16_to_cpu(cqe->status);
	struct damf_queue *q = task->queue;
	int error = damf_status_errno(status);

	switch (status) {
	case DAMF_ST_OK:
		if (atomic_read(&q->damf->reset_count))
			atomic_set(&q->damf->reset_count, 0);
		break;
	case DAMF_ST_CTX_STOPPED:
	case DAMF_ST_ABORTED:
		if (task->guilty)
			error = -ETIMEDOUT;
		else if (READ_ONCE(q->error))
			error = READ_ONCE(q->error);
		else
			return damf_task_park(task, le32_to_cpu(cqe->index));
		break;
	case DAMF_ST_PAGE_FAULT:
		queue_work(q->damf->wq, &q->vm->recover);
		break;
	case DAMF_ST_INTERNAL:
		damf_reset_schedule(q->damf, "the device reports a defect");
		break;
	}
	damf_task_end_cqe(task, cqe, error, ended);
}

/* Whether a completion can be that of a task. */
static bool damf_cqe_is_sane(const struct damf_cqe *cqe, const struct damf_task *task)
{
	u32 index = le32_to_cpu(cqe->index);

	return le64_to_cpu(cqe->cookie) == task->cookie &&
	       le16_to_cpu(cqe->status) <= DAMF_ST_INTERNAL &&
	       (index == DAMF_INDEX_NONE || (index >= task->first && index <= task->count));
}

/* Consumes one completion, from a copy that the device can't change. */
static void damf_ring_consume(struct damf_queue *q, struct list_head *ended)
{
	struct damf_task *task = list_first_entry_or_null(&q->ring, struct damf_task, link);
	struct damf_cqe cqe;

	/* The phase before the rest. */
	dma_rmb();
	memcpy(&cqe, &q->cq[q->cq_head & ((1u << q->log2) - 1)], sizeof(cqe));
	barrier();
	if (!task || !damf_cqe_is_sane(&cqe, task)) {
		q->broken = true;
		damf_reset_schedule(q->damf, "a completion makes no sense");
		return;
	}
	WRITE_ONCE(q->shared->cq_head, cpu_to_le32(++q->cq_head));
	damf_ring_complete(task, &cqe, ended);
}

/**
 * damf_ring_poll() - consume completions
 * @q: queue
 *
 * This ends: each completion takes a task out of the ring, or breaks the queue.
 */
void damf_ring_poll(struct damf_queue *q)
{
	unsigned long flags;
	LIST_HEAD(ended);

	spin_lock_irqsave(&q->lock, flags);
	while (q->mem && !q->broken) {
		if (damf_ring_is_new(q)) {
			damf_ring_consume(q, &ended);
			continue;
		}
		if (q->shared->cq_event == cpu_to_le32(q->cq_head))
			break;
		WRITE_ONCE(q->shared->cq_event, cpu_to_le32(q->cq_head));
		/* The event before the look that says there is nothing. */
		mb();
	}
	spin_unlock_irqrestore(&q->lock, flags);
	damf_tasks_signal(q, &ended);
}

/* Ends those of a list of tasks that can't be run again. */
static void damf_ring_sift(struct damf_queue *q, struct list_head *tasks, bool resumable,
			   struct list_head *ended)
{
	int error = READ_ONCE(q->error);
	struct damf_task *task, *next;

	list_for_each_entry_safe(task, next, tasks, link) {
		if (task->guilty)
			damf_task_end(task, -ETIMEDOUT, ended);
		else if (error)
			damf_task_end(task, error, ended);
		else if (damf_vm_is_lost(q->vm))
			damf_task_end(task, -EIO, ended);
		else if (!resumable && !task->replayable)
			damf_task_end(task, -ECANCELED, ended);
	}
}

/**
 * damf_ring_reset() - the device has been reset: begin anew
 * @q: queue
 *
 * Tasks that may run again are parked, others end. Of those that were parked
 * before it is known where they were; others begin at their start.
 */
void damf_ring_reset(struct damf_queue *q)
{
	unsigned long flags;
	LIST_HEAD(ended);

	/* What has been completed is done. */
	damf_ring_poll(q);
	spin_lock_irqsave(&q->lock, flags);
	damf_ring_sift(q, &q->parked, true, &ended);
	damf_ring_sift(q, &q->ring, false, &ended);
	list_splice_tail_init(&q->ring, &q->parked);
	if (q->mem)
		memset(q->mem, 0, damf_ring_size(q));
	q->sq_tail = 0;
	q->cq_head = 0;
	q->broken = false;
	q->stalls = 0;
	spin_unlock_irqrestore(&q->lock, flags);
	damf_tasks_signal(q, &ended);
}
