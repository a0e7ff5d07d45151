// SPDX-License-Identifier: GPL-2.0-only
/*
 * Submission, the part that does not depend on the way it came: the struct is
 * checked, fences to wait for are collected, the list is queued, and its fence
 * goes to those who want it. All that can fail comes before queueing.
 */
#include <linux/dma-fence-chain.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_file.h>
#include <drm/drm_syncobj.h>
#include <drm/damf_accel.h>

#include "damf_device.h"
#include "damf_drv.h"
#include "damf_mmu.h"
#include "damf_queue.h"
#include "damf_submit.h"

/**
 * struct damf_signal - a syncobj to signal
 * @syncobj: syncobj
 * @chain: its new point, if it is a timeline
 * @point: number of that
 */
struct damf_signal {
	struct drm_syncobj *syncobj;
	struct dma_fence_chain *chain;
	u64 point;
};

/**
 * struct damf_syncs - syncobjs of a submission, by what they are for
 * @num_waits: fences to wait for
 * @num_signals: syncobjs to signal
 * @waits: the fences
 * @signals: the syncobjs
 */
struct damf_syncs {
	u32 num_waits;
	u32 num_signals;
	struct dma_fence *waits[DRM_DAMF_MAX_SYNCS];
	struct damf_signal signals[DRM_DAMF_MAX_SYNCS];
};

static int damf_submit_check(struct damf_device *damf, const struct drm_damf_submit *args)
{
	if (args->flags & ~DRM_DAMF_SUBMIT_REPLAYABLE)
		return -EINVAL;
	if (!args->count || args->count > damf->caps.max_jobs || args->first > args->count)
		return -EINVAL;
	if (args->list % 64 || args->counters % 8)
		return -EINVAL;
	if (args->sync_count > DRM_DAMF_MAX_SYNCS)
		return -EINVAL;
	if (args->sync_count && (!args->syncs || args->sync_stride < sizeof(struct drm_damf_sync)))
		return -EINVAL;
	return 0;
}

/* ---- Syncobjs ---------------------------------------------------------------- */

static int damf_sync_add_wait(struct drm_file *file, const struct drm_damf_sync *sync,
			      struct damf_syncs *syncs)
{
	int ret = drm_syncobj_find_fence(file, sync->handle, sync->point, 0,
					 &syncs->waits[syncs->num_waits]);

	if (!ret)
		syncs->num_waits++;
	return ret;
}

static int damf_sync_add_signal(struct drm_file *file, const struct drm_damf_sync *sync,
				struct damf_syncs *syncs)
{
	struct damf_signal *signal = &syncs->signals[syncs->num_signals];

	signal->syncobj = drm_syncobj_find(file, sync->handle);
	if (!signal->syncobj)
		return -ENOENT;
	signal->point = sync->point;
	signal->chain = sync->point ? dma_fence_chain_alloc() : NULL;
	if (sync->point && !signal->chain) {
		drm_syncobj_put(signal->syncobj);
		return -ENOMEM;
	}
	syncs->num_signals++;
	return 0;
}

static int damf_sync_add(struct drm_file *file, const struct drm_damf_sync *sync,
			 struct damf_syncs *syncs)
{
	bool timeline = sync->flags & DRM_DAMF_SYNC_TIMELINE;
	bool signal = sync->flags & DRM_DAMF_SYNC_SIGNAL;

	if (sync->flags & ~(DRM_DAMF_SYNC_SIGNAL | DRM_DAMF_SYNC_TIMELINE))
		return -EINVAL;
	if (sync->point && !timeline)
		return -EINVAL;
	/* Point 0 of a timeline is there from the beginning. */
	if (signal && timeline && !sync->point)
		return -EINVAL;
	return signal ? damf_sync_add_signal(file, sync, syncs) :
			damf_sync_add_wait(file, sync, syncs);
}

static int damf_syncs_get(struct drm_file *file, const struct drm_damf_submit *args,
			  struct damf_syncs *syncs)
{
	struct drm_damf_sync sync;
	int ret = 0;
	u32 i;

	for (i = 0; i < args->sync_count && !ret; i++) {
		u64 at = args->syncs + (u64)i * args->sync_stride;

		ret = copy_struct_from_user(&sync, sizeof(sync), u64_to_user_ptr(at),
					    args->sync_stride);
		/* Fields that are not known here are like flags that aren't. */
		if (ret == -E2BIG)
			ret = -EINVAL;
		if (!ret)
			ret = damf_sync_add(file, &sync, syncs);
	}
	return ret;
}

static void damf_syncs_put(struct damf_syncs *syncs)
{
	u32 i;

	for (i = 0; i < syncs->num_waits; i++)
		dma_fence_put(syncs->waits[i]);
	for (i = 0; i < syncs->num_signals; i++) {
		dma_fence_chain_free(syncs->signals[i].chain);
		drm_syncobj_put(syncs->signals[i].syncobj);
	}
	kfree(syncs);
}

static void damf_syncs_signal(struct damf_syncs *syncs, struct dma_fence *fence)
{
	u32 i;

	for (i = 0; i < syncs->num_signals; i++) {
		struct damf_signal *signal = &syncs->signals[i];

		if (signal->chain)
			drm_syncobj_add_point(signal->syncobj, signal->chain, fence,
					      signal->point);
		else
			drm_syncobj_replace_fence(signal->syncobj, fence);
		signal->chain = NULL;
	}
}

/* ---- Submission -------------------------------------------------------------- */

/* Queues the task; with wait, as soon as the queue has room. */
static int damf_submit_push(struct damf_task *task, bool wait, struct dma_fence **fence)
{
	struct damf_queue *q = task->queue;
	int ret;

	for (;;) {
		ret = damf_task_push(task, fence);
		if (ret != -EAGAIN || !wait)
			return ret;
		if (wait_event_interruptible(q->wait, !damf_ring_is_full(q) || READ_ONCE(q->error)))
			return -EINTR;
	}
}

static int damf_submit_task(struct drm_file *file, struct damf_queue *q,
			    struct drm_damf_submit *args, struct damf_syncs *syncs, bool wait,
			    struct dma_fence **fence)
{
	u32 num_waits = syncs ? syncs->num_waits : 0;
	struct damf_task *task;
	int ret;

	task = damf_task_create(q, args, file->client_id, num_waits);
	if (!task)
		return -ENOMEM;
	if (num_waits) {
		memcpy(task->deps, syncs->waits, num_waits * sizeof(*task->deps));
		syncs->num_waits = 0;
	}
	ret = damf_submit_push(task, wait, fence);
	if (ret)
		damf_task_discard(task);
	return ret;
}

static int damf_submit_queue(struct drm_file *file, struct damf_queue *q,
			     struct drm_damf_submit *args, bool wait, struct dma_fence **fence)
{
	struct damf_syncs *syncs = NULL;
	int ret = 0;

	/* What it had in local memory is gone: its results would be wrong. */
	if (damf_vm_is_lost(q->vm))
		return -EIO;
	if (args->sync_count) {
		syncs = kzalloc(sizeof(*syncs), GFP_KERNEL);
		if (!syncs)
			return -ENOMEM;
		ret = damf_syncs_get(file, args, syncs);
	}
	if (!ret)
		ret = damf_submit_task(file, q, args, syncs, wait, fence);
	if (!ret && syncs)
		damf_syncs_signal(syncs, *fence);
	if (syncs)
		damf_syncs_put(syncs);
	return ret;
}

/**
 * damf_submit() - submit a list
 * @file: client
 * @args: the list; its number is returned in it
 * @wait: wait for room in the queue; else a full one is -EAGAIN
 * @fence: returns a fence that signals when the list has ended, to be put
 *
 * Return: 0 or a negative errno.
 */
int damf_submit(struct drm_file *file, struct drm_damf_submit *args, bool wait,
		struct dma_fence **fence)
{
	struct damf_file *client = file->driver_priv;
	struct damf_device *damf = client->damf;
	struct damf_queue *q;
	int ret;

	if (damf_lost(damf))
		return -ENODEV;
	q = damf_queue_find(client, args->queue);
	if (!q)
		return -ENOENT;
	ret = damf_submit_check(damf, args);
	if (!ret)
		ret = damf_submit_queue(file, q, args, wait, fence);
	if (!ret)
		args->seqno = (*fence)->seqno;
	damf_queue_put(q);
	return ret;
}

int damf_ioctl_submit(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct damf_device *damf = to_damf(dev);
	struct dma_fence *fence;
	int ret;

	ret = damf_submit(file, data, false, &fence);
	if (ret)
		return ret;
	atomic64_inc(&damf->stats.submits_ioctl);
	dma_fence_put(fence);
	return 0;
}
