// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists as jobs of the DRM scheduler. Each queue has a scheduler with one
 * entity, whose credits are the entries of the ring.
 *
 * The scheduler orders, waits for fences and keeps time. It never hears of a
 * reset: a job stays with it until its fence has been signalled, and what has
 * to be run again is put into the ring again behind its back. So recovery
 * needs none of the scheduler's own, which differs from kernel to kernel.
 *
 * The fence that clients see is the one that the scheduler waits for, not one
 * of the scheduler's: those point to the scheduler, which may go before them.
 */
#include <linux/dma-fence.h>
#include <linux/module.h>
#include <linux/slab.h>

#include <drm/damf_accel.h>

#include "damf_compat.h"
#include "damf_device.h"
#include "damf_mmu.h"
#include "damf_queue.h"
#include "damf_recover.h"

/**
 * struct damf_fence - signals when a list has ended
 * @base: the fence
 * @lock: of it
 *
 * It may live long after everything else, in a file of its own: it holds the
 * module.
 */
struct damf_fence {
	struct dma_fence base;
	spinlock_t lock; /* base */
};

static const char *damf_fence_driver_name(struct dma_fence *fence)
{
	return "damf";
}

static const char *damf_fence_timeline_name(struct dma_fence *fence)
{
	return "queue";
}

static void damf_fence_free(struct rcu_head *rcu)
{
	struct dma_fence *fence = container_of(rcu, struct dma_fence, rcu);

	kfree(container_of(fence, struct damf_fence, base));
	module_put(THIS_MODULE);
}

static void damf_fence_release(struct dma_fence *fence)
{
	call_rcu(&fence->rcu, damf_fence_free);
}

static const struct dma_fence_ops damf_fence_ops = {
	.get_driver_name = damf_fence_driver_name,
	.get_timeline_name = damf_fence_timeline_name,
	.release = damf_fence_release,
};

/* ---- Tasks ------------------------------------------------------------------ */

/**
 * damf_task_create() - allocate a task
 * @q: queue
 * @args: what to run, checked
 * @client_id: of the client, for traces
 * @num_deps: fences that it has to wait for; @damf_task.deps is to be filled
 *
 * Return: the task, or NULL.
 */
struct damf_task *damf_task_create(struct damf_queue *q, const struct drm_damf_submit *args,
				   u64 client_id, u32 num_deps)
{
	struct damf_task *task = kzalloc(struct_size(task, deps, num_deps), GFP_KERNEL_ACCOUNT);
	struct damf_fence *fence = kzalloc(sizeof(*fence), GFP_KERNEL_ACCOUNT);

	if (!task || !fence || damf_sched_job_init(&task->base, &q->entity, client_id)) {
		kfree(task);
		kfree(fence);
		return NULL;
	}
	spin_lock_init(&fence->lock);
	task->fence = &fence->base;
	task->num_deps = num_deps;
	INIT_LIST_HEAD(&task->link);
	kref_get(&q->ref);
	task->queue = q;
	task->list = args->list;
	task->counters = args->counters;
	task->count = args->count;
	task->first = args->first;
	task->replayable = args->flags & DRM_DAMF_SUBMIT_REPLAYABLE;
	return task;
}

static void damf_task_put_deps(struct damf_task *task)
{
	for (; task->next_dep < task->num_deps; task->next_dep++)
		dma_fence_put(task->deps[task->next_dep]);
}

/**
 * damf_task_discard() - free a task that was not pushed
 * @task: task
 */
void damf_task_discard(struct damf_task *task)
{
	drm_sched_job_cleanup(&task->base);
	damf_task_put_deps(task);
	kfree(container_of(task->fence, struct damf_fence, base));
	damf_queue_put(task->queue);
	kfree(task);
}

/**
 * damf_task_push() - queue a task
 * @task: task, which the scheduler owns afterwards
 * @out: returns its fence, to be put, whose number is that of the list
 *
 * No memory is allocated under the lock: a device that is given up has all
 * queues killed under it, and fences wait for that.
 *
 * Return: 0; -EAGAIN if the queue is full; another negative errno. On failure
 * the task is still the caller's.
 */
int damf_task_push(struct damf_task *task, struct dma_fence **out)
{
	struct damf_queue *q = task->queue;
	struct damf_fence *fence = container_of(task->fence, struct damf_fence, base);
	int ret;

	mutex_lock(&q->submit_lock);
	ret = q->error;
	if (!ret && damf_ring_is_full(q))
		ret = -EAGAIN;
	if (!ret) {
		atomic64_inc(&q->damf->counts.lists);
		atomic_inc(&q->tasks);
		damf_ring_begin(q, task);
		__module_get(THIS_MODULE);
		dma_fence_init(task->fence, &damf_fence_ops, &fence->lock, q->fence_context,
			       task->seqno);
		*out = dma_fence_get(task->fence);
		drm_sched_job_arm(&task->base);
		drm_sched_entity_push_job(&task->base);
	}
	mutex_unlock(&q->submit_lock);
	return ret;
}

/* ---- What the scheduler calls ------------------------------------------------ */

/*
 * The fences to wait for are given out one by one here, not added to the job:
 * so a queue can be destroyed without waiting for them.
 */
static struct dma_fence *damf_task_prepare(struct drm_sched_job *job,
					   struct drm_sched_entity *entity)
{
	struct damf_task *task = to_damf_task(job);
	struct dma_fence *fence;

	while (task->next_dep < task->num_deps) {
		fence = task->deps[task->next_dep++];
		/* The ring keeps the order of the queue's own lists. */
		if (fence->context != task->queue->fence_context && !dma_fence_is_signaled(fence))
			return fence;
		dma_fence_put(fence);
	}
	return NULL;
}

static struct dma_fence *damf_task_run(struct drm_sched_job *job)
{
	struct damf_task *task = to_damf_task(job);
	struct damf_queue *q = task->queue;
	struct dma_fence *fence = dma_fence_get(task->fence);
	int ret;

	down_read(&q->damf->reset_sem);
	mutex_lock(&q->vm->emit_lock);
	ret = READ_ONCE(q->error);
	if (!ret && damf_vm_is_lost(q->vm))
		ret = -EIO;
	if (!ret)
		ret = damf_ring_emit(q, task);
	mutex_unlock(&q->vm->emit_lock);
	up_read(&q->damf->reset_sem);
	if (ret)
		damf_ring_fail_task(q, task, ret);
	return fence;
}

static enum drm_gpu_sched_stat damf_task_timedout(struct drm_sched_job *job)
{
	damf_task_late(to_damf_task(job));
	return damf_sched_keep(job);
}

static void damf_task_free(struct drm_sched_job *job)
{
	struct damf_task *task = to_damf_task(job);
	struct damf_queue *q = task->queue;

	/* It was killed with its queue, before it ran. */
	damf_ring_fail_task(q, task, READ_ONCE(q->error) ?: -ECANCELED);
	drm_sched_job_cleanup(job);
	damf_task_put_deps(task);
	dma_fence_put(task->fence);
	kfree(task);
	atomic64_dec(&q->damf->counts.lists);
	if (atomic_dec_and_test(&q->tasks))
		wake_up_all(&q->wait);
	damf_queue_put(q);
}

static const struct drm_sched_backend_ops damf_sched_ops = {
	.prepare_job = damf_task_prepare,
	.run_job = damf_task_run,
	.timedout_job = damf_task_timedout,
	.free_job = damf_task_free,
};

/**
 * damf_sched_start() - start the scheduler of a queue
 * @q: queue
 *
 * Return: 0 or a negative errno.
 */
int damf_sched_start(struct damf_queue *q)
{
	struct drm_gpu_scheduler *sched = &q->sched;
	long timeout = max(msecs_to_jiffies(damf_timeout_ms) / 2, 1ul);
	int ret;

	ret = damf_sched_init(sched, &damf_sched_ops, q->entries, timeout, q->damf->wq,
			      q->damf->drm.dev);
	if (ret)
		return ret;
	ret = drm_sched_entity_init(&q->entity, DRM_SCHED_PRIORITY_NORMAL, &sched, 1, NULL);
	if (ret)
		drm_sched_fini(sched);
	return ret;
}
