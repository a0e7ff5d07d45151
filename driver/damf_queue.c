// SPDX-License-Identifier: GPL-2.0-only
/* Queues: how they come and go, and how their lists ended. */
#include <linux/capability.h>
#include <linux/log2.h>
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/damf_accel.h>

#include "damf_device.h"
#include "damf_drv.h"
#include "damf_mmu.h"
#include "damf_queue.h"
#include "damf_recover.h"

#define DAMF_DEFAULT_ENTRIES	64

static void damf_queue_release(struct kref *ref)
{
	struct damf_queue *q = container_of(ref, struct damf_queue, ref);

	damf_vm_put(q->vm);
	kvfree(q->results);
	mutex_destroy(&q->submit_lock);
	kfree(q);
}

void damf_queue_put(struct damf_queue *q)
{
	kref_put(&q->ref, damf_queue_release);
}

/**
 * damf_queue_find() - the queue of an id
 * @client: client
 * @id: id in the client's file
 *
 * Return: the queue, to be put, or NULL.
 */
struct damf_queue *damf_queue_find(struct damf_file *client, u32 id)
{
	struct damf_queue *q;

	xa_lock(&client->queues);
	q = xa_load(&client->queues, id);
	if (q)
		kref_get(&q->ref);
	xa_unlock(&client->queues);
	return q;
}

/* ---- The device's side ----------------------------------------------------- */

static void damf_queue_create_cmd(struct damf_queue *q, struct damf_admin_sqe *cmd)
{
	*cmd = (struct damf_admin_sqe){
		.opcode = cpu_to_le16(DAMF_ADMIN_CREATE_QUEUE),
		.queue = cpu_to_le16(q->id),
		.context = cpu_to_le16(q->vm->context),
		.log2 = cpu_to_le16(q->log2),
		.vector = cpu_to_le16(q->vector->index),
		.priority = cpu_to_le16(q->priority),
		.addr = {
			cpu_to_le64(q->dma),
			cpu_to_le64(q->dma + ((void *)q->cq - q->mem)),
			cpu_to_le64(q->dma + ((void *)q->shared - q->mem)),
		},
	};
}

/**
 * damf_queue_send_create() - create the queue anew after a reset
 * @q: queue that was live
 *
 * Return: 0 or a negative errno.
 */
int damf_queue_send_create(struct damf_queue *q)
{
	struct damf_admin_sqe cmd;

	damf_queue_create_cmd(q, &cmd);
	return damf_admin_run(q->damf, &cmd, DAMF_RECOVER_TIMEOUT_MS, NULL);
}

/* Takes an id, and with it a doorbell and an interrupt. */
static int damf_queue_take_id(struct damf_queue *q)
{
	struct damf_device *damf = q->damf;
	int ret;

	ret = xa_alloc(&damf->queues, &q->id, q, XA_LIMIT(1, damf->caps.max_queues), GFP_KERNEL);
	if (ret)
		return ret == -EBUSY ? -ENOSPC : ret;
	q->db = damf->regs + damf->caps.db_offset + q->id * DAMF_DB_PAGE_SIZE;
	q->vector = &damf->vectors[damf->num_vectors > 1 ?
				   1 + (q->id - 1) % (damf->num_vectors - 1) : 0];
	return 0;
}

static void damf_queue_free_id(struct damf_queue *q)
{
	struct damf_device *damf = q->damf;

	mutex_lock(&damf->queue_lock);
	xa_erase(&damf->queues, q->id);
	mutex_unlock(&damf->queue_lock);
}

/* From here on the interrupt handler looks at it. */
static void damf_queue_attach(struct damf_queue *q)
{
	spin_lock_irq(&q->vector->lock);
	list_add_tail(&q->vector_link, &q->vector->queues);
	spin_unlock_irq(&q->vector->lock);
}

static void damf_queue_detach(struct damf_queue *q)
{
	spin_lock_irq(&q->vector->lock);
	list_del_init(&q->vector_link);
	spin_unlock_irq(&q->vector->lock);
}

static int damf_queue_start(struct damf_queue *q)
{
	struct damf_admin_sqe cmd;
	int ret;

	damf_queue_attach(q);
	damf_queue_create_cmd(q, &cmd);
	ret = damf_admin_set(q->damf, &cmd, &q->live, true);
	if (ret)
		damf_queue_detach(q);
	return ret;
}

static void damf_queue_stop(struct damf_queue *q)
{
	const struct damf_admin_sqe cmd = {
		.opcode = cpu_to_le16(DAMF_ADMIN_DESTROY_QUEUE),
		.queue = cpu_to_le16(q->id),
	};
	struct damf_device *damf = q->damf;
	int ret = damf_admin_set(damf, &cmd, &q->live, false);

	/* It must not keep an address that is about to be freed. */
	if (ret && ret != -ENODEV) {
		down_read(&damf->reset_sem);
		q->live = false;
		up_read(&damf->reset_sem);
		damf_reset_schedule(damf, "a queue could not be destroyed");
		damf_reset_wait(damf);
	}
	damf_ring_poll(q);
	damf_queue_detach(q);
}

/* ---- Create and destroy ---------------------------------------------------- */

static struct damf_queue *damf_queue_alloc(struct damf_file *client,
					   const struct drm_damf_queue_create *args)
{
	struct damf_queue *q = kzalloc(sizeof(*q), GFP_KERNEL);

	if (!q)
		return NULL;
	q->results = kvcalloc(DAMF_RESULTS, sizeof(*q->results), GFP_KERNEL_ACCOUNT);
	if (!q->results) {
		kfree(q);
		return NULL;
	}
	kref_init(&q->ref);
	q->damf = client->damf;
	q->vm = damf_vm_get(client->vm);
	q->entries = args->entries;
	q->log2 = ilog2(args->entries);
	q->priority = args->priority;
	INIT_LIST_HEAD(&q->vector_link);
	spin_lock_init(&q->lock);
	INIT_LIST_HEAD(&q->ring);
	INIT_LIST_HEAD(&q->parked);
	init_waitqueue_head(&q->wait);
	mutex_init(&q->submit_lock);
	q->fence_context = dma_fence_context_alloc(1);
	return q;
}

static struct damf_queue *damf_queue_create(struct damf_file *client,
					    const struct drm_damf_queue_create *args)
{
	struct damf_queue *q;
	int ret;

	ret = damf_vm_start(client->vm);
	if (ret)
		return ERR_PTR(ret);
	q = damf_queue_alloc(client, args);
	if (!q)
		return ERR_PTR(-ENOMEM);
	ret = damf_ring_alloc(q);
	if (ret)
		goto err_put;
	ret = damf_sched_start(q);
	if (ret)
		goto err_ring;
	ret = damf_queue_take_id(q);
	if (ret)
		goto err_sched;
	ret = damf_queue_start(q);
	if (ret)
		goto err_id;
	atomic64_inc(&q->damf->counts.queues);
	return q;

err_id:
	damf_queue_free_id(q);
err_sched:
	damf_queue_kill(q, -ECANCELED);
	drm_sched_fini(&q->sched);
err_ring:
	damf_ring_free(q);
err_put:
	damf_queue_put(q);
	return ERR_PTR(ret);
}

/**
 * damf_queue_kill() - take no more lists, and end those not given to the device
 * @q: queue
 * @error: what they end with, and what submitting gives
 */
void damf_queue_kill(struct damf_queue *q, int error)
{
	mutex_lock(&q->submit_lock);
	if (!q->error) {
		WRITE_ONCE(q->error, error);
		drm_sched_entity_fini(&q->entity);
	}
	mutex_unlock(&q->submit_lock);
	wake_up_all(&q->wait);
}

/**
 * damf_queue_close() - destroy a queue that has been taken out of its file
 * @q: queue; the file's reference goes
 */
void damf_queue_close(struct damf_queue *q)
{
	struct damf_device *damf = q->damf;

	damf_queue_kill(q, -ECANCELED);
	damf_queue_stop(q);
	damf_ring_fail(q, READ_ONCE(q->error));
	wait_event(q->wait, !atomic_read(&q->tasks));
	/* A timeout may still be on its way out of the scheduler. */
	flush_workqueue(damf->wq);
	drm_sched_fini(&q->sched);
	damf_queue_free_id(q);
	damf_ring_free(q);
	atomic64_dec(&damf->counts.queues);
	damf_queue_put(q);
}

/**
 * damf_queues_unbind() - end all that is in flight and free all rings
 * @damf: device, which has been turned off and is being unbound
 */
void damf_queues_unbind(struct damf_device *damf)
{
	struct damf_queue *q;
	unsigned long id;

	mutex_lock(&damf->queue_lock);
	xa_for_each(&damf->queues, id, q) {
		damf_queue_kill(q, -ENODEV);
		damf_ring_fail(q, -ENODEV);
		damf_ring_free(q);
	}
	mutex_unlock(&damf->queue_lock);
}

/* ---- Calls ------------------------------------------------------------------ */

/* No client takes all queues, but where there are few it may have those. */
static u32 damf_queue_limit(struct damf_device *damf)
{
	return max(damf->caps.max_queues / 2, min(damf->caps.max_queues, 4u));
}

static int damf_queue_check(struct damf_device *damf, struct drm_damf_queue_create *args)
{
	if (args->flags || args->priority > DRM_DAMF_PRIORITY_HIGH)
		return -EINVAL;
	if (!args->entries)
		args->entries = min_t(u32, DAMF_DEFAULT_ENTRIES, damf->caps.max_entries);
	if (!is_power_of_2(args->entries) || args->entries > damf->caps.max_entries)
		return -EINVAL;
	args->entries = max(args->entries, 1u << DAMF_RING_MIN_LOG2);
	if (args->priority == DRM_DAMF_PRIORITY_HIGH && !capable(CAP_SYS_NICE))
		return -EACCES;
	return 0;
}

static int damf_queue_add(struct damf_file *client, struct drm_damf_queue_create *args)
{
	struct damf_queue *q;
	int ret;

	if (atomic_inc_return(&client->num_queues) > damf_queue_limit(client->damf)) {
		ret = -ENOSPC;
		goto err_count;
	}
	q = damf_queue_create(client, args);
	if (IS_ERR(q)) {
		ret = PTR_ERR(q);
		goto err_count;
	}
	args->entries = q->entries;
	ret = xa_alloc_cyclic(&client->queues, &args->id, q, xa_limit_31b, &client->next_queue,
			      GFP_KERNEL);
	if (ret >= 0)
		return 0;
	damf_queue_close(q);
err_count:
	atomic_dec(&client->num_queues);
	return ret;
}

int damf_ioctl_queue_create(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct damf_file *client = file->driver_priv;
	struct drm_damf_queue_create *args = data;
	int ret, idx;

	ret = damf_queue_check(client->damf, args);
	if (ret)
		return ret;
	ret = damf_enter(client->damf, &idx);
	if (ret)
		return ret;
	ret = damf_queue_add(client, args);
	damf_exit(idx);
	return ret;
}

int damf_ioctl_queue_destroy(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct damf_file *client = file->driver_priv;
	struct drm_damf_queue_destroy *args = data;
	struct damf_queue *q;
	int ret, idx;

	if (args->pad)
		return -EINVAL;
	ret = damf_enter(client->damf, &idx);
	if (ret)
		return ret;
	q = xa_erase(&client->queues, args->id);
	if (q) {
		damf_queue_close(q);
		atomic_dec(&client->num_queues);
	}
	damf_exit(idx);
	return q ? 0 : -ENOENT;
}

/* Copies the result of a list; -EAGAIN: it has not ended. */
static int damf_result_get(struct damf_queue *q, u64 seqno, struct damf_result *result)
{
	const struct damf_result *from = &q->results[seqno % DAMF_RESULTS];
	int ret = -ENOENT;

	spin_lock_irq(&q->lock);
	if (from->seqno == seqno)
		ret = from->ended ? 0 : -EAGAIN;
	if (!ret)
		*result = *from;
	spin_unlock_irq(&q->lock);
	return ret;
}

/* For waiting: whether there is an answer, and which. */
static bool damf_result_is(struct damf_queue *q, u64 seqno, struct damf_result *result, int *ret)
{
	*ret = damf_result_get(q, seqno, result);
	return *ret != -EAGAIN;
}

static int damf_result_wait(struct damf_queue *q, struct drm_damf_result *args,
			    struct damf_result *result)
{
	ktime_t timeout = args->timeout_ns < 0 ? KTIME_MAX : ns_to_ktime(args->timeout_ns);
	int ret = damf_result_get(q, args->seqno, result), wait;

	if (ret != -EAGAIN)
		return ret;
	if (!args->timeout_ns)
		return -ETIME;
	wait = wait_event_interruptible_hrtimeout(q->wait,
						  damf_result_is(q, args->seqno, result, &ret),
						  timeout);
	/* The time to wait is counted from now: it can't be begun again. */
	return wait == -ERESTARTSYS ? -EINTR : wait ?: ret;
}

int damf_ioctl_result(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct damf_file *client = file->driver_priv;
	struct drm_damf_result *args = data;
	struct damf_result result;
	struct damf_queue *q;
	int ret;

	if (args->flags || args->pad)
		return -EINVAL;
	if (!args->seqno)
		return -ENOENT;
	q = damf_queue_find(client, args->queue);
	if (!q)
		return -ENOENT;
	ret = damf_result_wait(q, args, &result);
	damf_queue_put(q);
	if (ret)
		return ret;
	args->start_ns = result.start_ns;
	args->end_ns = result.end_ns;
	args->cycles = result.cycles;
	args->fault_addr = result.fault_addr;
	args->error = result.error;
	args->index = result.index;
	args->status = result.status;
	args->field = result.field;
	args->access = result.access;
	return 0;
}
