// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery, from mild to harsh:
 *
 * - a context is stopped and started again: after a page fault, and to get a
 *   list that hangs off the engine. Lists of the same client that were given
 *   up by that go on where they were; other clients notice nothing.
 * - the device is reset, if that doesn't help. Contexts and queues are created
 *   anew, lists that may be run again are, others end.
 * - the device is given up.
 *
 * All of it runs on one ordered workqueue, so one thing happens at a time. It
 * allocates no memory: others wait for the fences that depend on it.
 */
#include "damf_device.h"
#include "damf_gem.h"
#include "damf_mmu.h"
#include "damf_queue.h"
#include "damf_recover.h"

#define DAMF_MAX_RESETS		5	/* without a list that ends well in between */
#define DAMF_MAX_STALLS		2

typedef void (*damf_queue_fn)(struct damf_queue *q);

/* ---- A context ------------------------------------------------------------- */

static int damf_vm_command(struct damf_vm *vm, enum damf_admin_opcode opcode)
{
	const struct damf_admin_sqe cmd = {
		.opcode = cpu_to_le16(opcode),
		.context = cpu_to_le16(vm->context),
	};

	return damf_admin_run(vm->damf, &cmd, DAMF_RECOVER_TIMEOUT_MS, NULL);
}

static void damf_vm_each(struct damf_vm *vm, damf_queue_fn fn)
{
	struct damf_queue *q;
	unsigned long id;

	mutex_lock(&vm->damf->queue_lock);
	xa_for_each(&vm->damf->queues, id, q)
		if (q->vm == vm)
			fn(q);
	mutex_unlock(&vm->damf->queue_lock);
}

/*
 * An abort has all entries of the context complete, in order, before it does
 * so itself. So when it has, rings are empty, and what has been given up can
 * be put into them again in the order in which it was there.
 *
 * What was consumed until then asked for this very restart. Were that to stay
 * queued, each restart would lead to the next, and a job that takes longer
 * than one would never end.
 */
static int damf_vm_restart(struct damf_vm *vm)
{
	int ret = 0;

	mutex_lock(&vm->emit_lock);
	if (vm->live) {
		ret = damf_vm_command(vm, DAMF_ADMIN_ABORT_CONTEXT);
		damf_vm_each(vm, damf_ring_poll);
		if (!ret) {
			cancel_work(&vm->recover);
			ret = damf_vm_command(vm, DAMF_ADMIN_RESUME_CONTEXT);
		}
		if (!ret)
			damf_vm_each(vm, damf_ring_emit_parked);
	}
	mutex_unlock(&vm->emit_lock);
	return ret;
}

static void damf_vm_recover(struct damf_vm *vm)
{
	struct damf_device *damf = vm->damf;
	int ret;

	down_read(&damf->reset_sem);
	ret = damf_vm_restart(vm);
	up_read(&damf->reset_sem);
	/* With -EAGAIN a reset is due anyhow, and puts all in order. */
	if (ret && ret != -EAGAIN && ret != -ENODEV)
		damf_reset_schedule(damf, "a context could not be stopped");
}

/**
 * damf_vm_recover_work() - stop a context and start it again
 * @work: &damf_vm.recover
 */
void damf_vm_recover_work(struct work_struct *work)
{
	damf_vm_recover(container_of(work, struct damf_vm, recover));
}

/* ---- The device ------------------------------------------------------------ */

/*
 * The device is turned off before anybody hears that it is gone, since who
 * does may free memory. Who waits for a command waits for a reset instead.
 */
static void damf_turn_off(struct damf_device *damf)
{
	WRITE_ONCE(damf->resetting, true);
	damf_admin_stop(damf, -EAGAIN);
	down_write(&damf->reset_sem);
	damf_hw_off(damf);
	damf_admin_stop(damf, -ENODEV);
	WRITE_ONCE(damf->lost, true);
	up_write(&damf->reset_sem);
	wake_up_all(&damf->reset_wait);
}

/**
 * damf_lose() - give the device up
 * @damf: device
 *
 * All that is in flight ends. Is harmless when it has been done.
 */
void damf_lose(struct damf_device *damf)
{
	struct damf_queue *q;
	unsigned long id;

	damf_turn_off(damf);
	damf_local_lose(damf);
	mutex_lock(&damf->queue_lock);
	xa_for_each(&damf->queues, id, q) {
		damf_queue_kill(q, -ENODEV);
		damf_ring_fail(q, -ENODEV);
	}
	mutex_unlock(&damf->queue_lock);
}

/**
 * damf_reset_schedule() - have the device reset
 * @damf: device
 * @why: for the log
 *
 * From here on no admin command succeeds until that has been done. May be
 * called in an interrupt.
 */
void damf_reset_schedule(struct damf_device *damf, const char *why)
{
	if (damf_lost(damf))
		return;
	WRITE_ONCE(damf->reset_why, why);
	WRITE_ONCE(damf->resetting, true);
	damf_admin_stop(damf, -EAGAIN);
	queue_work(damf->wq, &damf->reset_work);
}

/**
 * damf_reset_wait() - wait until no reset is due
 * @damf: device
 */
void damf_reset_wait(struct damf_device *damf)
{
	wait_event(damf->reset_wait, !READ_ONCE(damf->resetting) || damf_lost(damf));
}

/* Address spaces that reach into local memory have lost what was there. */
static void damf_lose_local(struct damf_device *damf)
{
	struct damf_vm *vm;

	damf_local_lose(damf);
	/* Who maps one of these now either is seen here, or sees that it is lost. */
	smp_mb();
	mutex_lock(&damf->vm_lock);
	list_for_each_entry(vm, &damf->vms, link)
		if (READ_ONCE(vm->local_maps))
			WRITE_ONCE(vm->lost, true);
	mutex_unlock(&damf->vm_lock);
}

static int damf_create_contexts(struct damf_device *damf)
{
	struct damf_vm *vm;
	int ret = 0;

	mutex_lock(&damf->vm_lock);
	list_for_each_entry(vm, &damf->vms, link) {
		ret = vm->live ? damf_vm_send_create(vm) : 0;
		if (ret)
			break;
	}
	mutex_unlock(&damf->vm_lock);
	return ret;
}

static int damf_create_queues(struct damf_device *damf)
{
	struct damf_queue *q;
	unsigned long id;
	int ret = 0;

	mutex_lock(&damf->queue_lock);
	xa_for_each(&damf->queues, id, q) {
		ret = q->live ? damf_queue_send_create(q) : 0;
		if (ret)
			break;
		damf_ring_emit_parked(q);
	}
	mutex_unlock(&damf->queue_lock);
	return ret;
}

static int damf_reset_locked(struct damf_device *damf)
{
	struct damf_queue *q;
	unsigned long id;
	int ret;

	ret = damf_hw_reset(damf);
	if (ret)
		return ret;
	/* The device writes no more: rings can be looked at and zeroed. */
	damf_lose_local(damf);
	mutex_lock(&damf->queue_lock);
	xa_for_each(&damf->queues, id, q)
		damf_ring_reset(q);
	mutex_unlock(&damf->queue_lock);
	ret = damf_hw_enable(damf);
	if (!ret)
		ret = damf_create_contexts(damf);
	if (!ret)
		ret = damf_create_queues(damf);
	return ret;
}

static int damf_reset(struct damf_device *damf)
{
	int ret = -EIO;

	damf_admin_stop(damf, -EAGAIN);
	down_write(&damf->reset_sem);
	if (damf_lost(damf))
		ret = -ENODEV;
	else if (atomic_inc_return(&damf->reset_count) <= DAMF_MAX_RESETS)
		ret = damf_reset_locked(damf);
	if (!ret && work_pending(&damf->reset_work))
		ret = -EAGAIN;
	if (!ret)
		WRITE_ONCE(damf->resetting, false);
	up_write(&damf->reset_sem);
	wake_up_all(&damf->reset_wait);
	return ret;
}

static void damf_reset_work(struct work_struct *work)
{
	struct damf_device *damf = container_of(work, struct damf_device, reset_work);
	int ret;

	if (damf_lost(damf))
		return;
	/* One that is gone is told from one that hangs by what it reads as. */
	if (damf_read(damf, DAMF_REG_MAGIC) != DAMF_MAGIC) {
		damf_lose(damf);
		return;
	}
	drm_warn(&damf->drm, "resetting: %s\n", READ_ONCE(damf->reset_why));
	atomic64_inc(&damf->stats.resets);
	ret = damf_reset(damf);
	/* Another reset has become due meanwhile, or the device is being removed. */
	if (ret == -EAGAIN)
		queue_work(damf->wq, &damf->reset_work);
	if (!ret || ret == -EAGAIN)
		return;
	if (ret != -ENODEV)
		drm_err(&damf->drm, "giving up on the device (%d)\n", ret);
	damf_lose(damf);
}

/* ---- Looking for trouble ---------------------------------------------------- */

static bool damf_queues_have_error(struct damf_device *damf)
{
	struct damf_queue *q;
	bool error = false;
	unsigned long id;

	mutex_lock(&damf->queue_lock);
	xa_for_each(&damf->queues, id, q)
		if (READ_ONCE(q->live) && readl(q->db + DAMF_DB_STATE) == DAMF_QUEUE_ERROR)
			error = true;
	mutex_unlock(&damf->queue_lock);
	return error;
}

static void damf_health_work(struct work_struct *work)
{
	struct damf_device *damf = container_of(work, struct damf_device, health_work);
	u32 status;

	if (damf_lost(damf) || READ_ONCE(damf->resetting))
		return;
	status = damf_read(damf, DAMF_REG_STATUS);
	if (status == U32_MAX)
		damf_lose(damf);
	else if (status & DAMF_STATUS_FATAL)
		damf_reset_schedule(damf, "the device reports a fatal error");
	else if (damf_queues_have_error(damf))
		damf_reset_schedule(damf, "a queue is in the error state");
}

/**
 * damf_recover_init() - prepare for the worst
 * @damf: device
 */
void damf_recover_init(struct damf_device *damf)
{
	init_rwsem(&damf->reset_sem);
	init_waitqueue_head(&damf->reset_wait);
	INIT_WORK(&damf->reset_work, damf_reset_work);
	INIT_WORK(&damf->health_work, damf_health_work);
}

/* ---- A list that takes long -------------------------------------------------- */

/* Whether the queue got on since it was last looked at. */
static bool damf_queue_moved(struct damf_queue *q, u64 seqno)
{
	u64 progress = lo_hi_readq(q->db + DAMF_DB_PROGRESS);
	u32 index = readl(q->db + DAMF_DB_INDEX);
	bool moved = seqno != q->seen_seqno || progress != q->seen_progress ||
		     index != q->seen_index;

	q->seen_seqno = seqno;
	q->seen_progress = progress;
	q->seen_index = index;
	if (moved)
		q->stalls = 0;
	return moved;
}

/* Its job is on the engine and doesn't move, or it waits and nothing runs. */
static bool damf_queue_hangs(struct damf_queue *q)
{
	u32 active = damf_read(q->damf, DAMF_REG_ACTIVE);

	if (active && active >> 16 != q->id)
		return false;
	if (active)
		return true;
	/* A doorbell may have been lost. */
	damf_ring_kick(q);
	return ++q->stalls > DAMF_MAX_STALLS;
}

static void damf_task_hangs(struct damf_task *task)
{
	struct damf_queue *q = task->queue;
	unsigned long flags;

	spin_lock_irqsave(&q->lock, flags);
	task->guilty = true;
	spin_unlock_irqrestore(&q->lock, flags);
	atomic64_inc(&q->damf->stats.timeouts);
	drm_dbg(&q->damf->drm, "list %llu of queue %u hangs\n", task->seqno, q->id);
	damf_vm_recover(q->vm);
	/* Without a completion for it nothing but a reset helps. */
	if (!READ_ONCE(task->ended) && !READ_ONCE(q->damf->resetting))
		damf_reset_schedule(q->damf, "a list could not be stopped");
}

/**
 * damf_task_late() - the oldest list of a queue takes long
 * @task: the list
 *
 * A list is given as much time as it wants as long as the device gets on with
 * it, or with others before it.
 */
void damf_task_late(struct damf_task *task)
{
	struct damf_queue *q = task->queue;
	struct damf_device *damf = q->damf;

	if (damf_lost(damf) || READ_ONCE(damf->resetting))
		return;
	/* It is being destroyed. */
	if (!READ_ONCE(q->live) || READ_ONCE(q->error))
		return;
	/* An interrupt may have been lost. */
	damf_ring_poll(q);
	if (READ_ONCE(task->ended))
		return;
	switch (readl(q->db + DAMF_DB_STATE)) {
	case DAMF_QUEUE_LIVE:
		break;
	case U32_MAX:
		damf_lose(damf);
		return;
	default:
		damf_reset_schedule(damf, "a queue is not live");
		return;
	}
	if (!damf_queue_moved(q, task->seqno) && damf_queue_hangs(q))
		damf_task_hangs(task);
}
