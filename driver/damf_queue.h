/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __DAMF_QUEUE_H__
#define __DAMF_QUEUE_H__

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include <drm/gpu_scheduler.h>

#include <damf_hw.h>

#include "damf_device.h"

struct damf_file;
struct damf_vm;
struct drm_damf_submit;

/**
 * struct damf_result - how a list ended
 * @seqno: number of the list, 0: none has been here
 * @ended: it has ended
 * @start_ns: when the engine began
 * @end_ns: when it ended
 * @cycles: modelled cycles
 * @fault_addr: address of a fault
 * @error: 0 or a negative errno
 * @index: jobs done
 * @status: enum damf_status
 * @field: bad field
 * @access: enum damf_access
 */
struct damf_result {
	u64 seqno;
	bool ended;
	u64 start_ns;
	u64 end_ns;
	u64 cycles;
	u64 fault_addr;
	int error;
	u32 index;
	u16 status;
	u16 field;
	u16 access;
};

/**
 * struct damf_queue - a queue
 * @ref: held by the file, by calls that use it and by lists
 * @damf: device
 * @vm: address space
 * @id: the device's id
 * @log2: of the ring's entries
 * @entries: lists that may be in flight
 * @priority: enum damf_priority
 * @live: the device has it; see damf_admin_set()
 * @mem: memory of rings and indices
 * @dma: its bus address
 * @sq: submission ring
 * @cq: completion ring
 * @shared: indices
 * @db: doorbell page
 * @vector: interrupt
 * @vector_link: in &damf_vector.queues
 * @lock: protects rings, results and what follows; taken in the interrupt
 *	  handler
 * @sq_tail: entries written
 * @cq_head: completions consumed
 * @cookie: of the last entry
 * @ring: tasks in the ring, in order
 * @parked: tasks that were given up and are to go into the ring again. They
 *	    come before those in @ring
 * @broken: the device's completions made no sense
 * @inflight: tasks that have not ended
 * @seqno: number of the last list
 * @results: how the last lists ended, DAMF_RESULTS of them
 * @wait: for lists to end, and for the last task to be freed
 * @submit_lock: makes numbering and queueing one; protects @error
 * @error: why nothing can be submitted any more, or 0
 * @sched: the queue's scheduler
 * @entity: its only entity
 * @tasks: tasks that have not been freed
 * @fence_context: of the tasks' fences
 * @seen_seqno: oldest list when it was last looked at
 * @seen_progress: its progress then
 * @seen_index: its job then
 * @stalls: looks that found it waiting for nothing
 */
struct damf_queue {
	struct kref ref;
	struct damf_device *damf;
	struct damf_vm *vm;
	u32 id;
	u32 log2;
	u32 entries;
	u32 priority;
	bool live;

	void *mem;
	dma_addr_t dma;
	struct damf_sqe *sq;
	struct damf_cqe *cq;
	struct damf_queue_shared *shared;
	void __iomem *db;
	struct damf_vector *vector;
	struct list_head vector_link;

	spinlock_t lock; /* what follows */
	u32 sq_tail;
	u32 cq_head;
	u64 cookie;
	struct list_head ring;
	struct list_head parked;
	bool broken;
	u32 inflight;
	u64 seqno;
	struct damf_result *results;
	wait_queue_head_t wait;

	struct mutex submit_lock; /* numbering and queueing, error */
	int error;
	struct drm_gpu_scheduler sched;
	struct drm_sched_entity entity;
	atomic_t tasks;
	u64 fence_context;

	u64 seen_seqno;
	u64 seen_progress;
	u32 seen_index;
	unsigned int stalls;
};

/**
 * struct damf_task - a list on its way
 * @base: the scheduler's part
 * @queue: queue
 * @fence: signals when it has ended
 * @link: in &damf_queue.ring or &damf_queue.parked
 * @seqno: number of the list
 * @cookie: of its entry in the ring
 * @list: device address of the jobs
 * @counters: device address of their counters, or 0
 * @count: jobs
 * @first: job to begin at
 * @replayable: it may be run again from its start
 * @guilty: it ran out of time
 * @ended: its result is known
 * @error: what it ends with
 * @num_deps: fences to wait for
 * @next_dep: the next one
 * @deps: they
 */
struct damf_task {
	struct drm_sched_job base;
	struct damf_queue *queue;
	struct dma_fence *fence;
	struct list_head link;
	u64 seqno;
	u64 cookie;
	u64 list;
	u64 counters;
	u32 count;
	u32 first;
	bool replayable;
	bool guilty;
	bool ended;
	int error;
	u32 num_deps;
	u32 next_dep;
	struct dma_fence *deps[] __counted_by(num_deps);
};

#define to_damf_task(job) container_of(job, struct damf_task, base)

/* damf_queue.c */
struct damf_queue *damf_queue_find(struct damf_file *client, u32 id);
void damf_queue_put(struct damf_queue *q);
void damf_queue_kill(struct damf_queue *q, int error);
void damf_queue_close(struct damf_queue *q);
void damf_queues_unbind(struct damf_device *damf);
int damf_queue_send_create(struct damf_queue *q);
int damf_ioctl_queue_create(struct drm_device *dev, void *data, struct drm_file *file);
int damf_ioctl_queue_destroy(struct drm_device *dev, void *data, struct drm_file *file);
int damf_ioctl_result(struct drm_device *dev, void *data, struct drm_file *file);

/* damf_ring.c */
int damf_ring_alloc(struct damf_queue *q);
void damf_ring_free(struct damf_queue *q);
void damf_ring_reset(struct damf_queue *q);
int damf_ring_emit(struct damf_queue *q, struct damf_task *task);
void damf_ring_emit_parked(struct damf_queue *q);
void damf_ring_kick(struct damf_queue *q);
void damf_ring_poll(struct damf_queue *q);
void damf_ring_begin(struct damf_queue *q, struct damf_task *task);
void damf_ring_fail(struct damf_queue *q, int error);
void damf_ring_fail_task(struct damf_queue *q, struct damf_task *task, int error);
bool damf_ring_is_full(struct damf_queue *q);

/* damf_job.c */
struct damf_task *damf_task_create(struct damf_queue *q, const struct drm_damf_submit *args,
				   u64 client_id, u32 num_deps);
void damf_task_discard(struct damf_task *task);
int damf_task_push(struct damf_task *task, struct dma_fence **out);
int damf_sched_start(struct damf_queue *q);

#endif /* __DAMF_QUEUE_H__ */
