// SPDX-License-Identifier: GPL-2.0-only
/*
 * The admin queue: contexts and queues come and go by it, and translations
 * are flushed.
 *
 * Who sends a command waits for it. Commands overtake each other: an abort
 * gets past a flush that waits for the engine.
 */
#include <linux/completion.h>
#include <linux/dma-mapping.h>
#include <linux/jiffies.h>

#include "damf_device.h"

#define DAMF_ADMIN_LOG2		6
#define DAMF_ADMIN_ENTRIES	BIT(DAMF_ADMIN_LOG2)
#define DAMF_ADMIN_SLOTS	16	/* commands at once, beside those of a recovery */
#define DAMF_ADMIN_TIMEOUT_MS	10000
#define DAMF_ADMIN_POLL_MS	250	/* an interrupt may have been lost */
#define DAMF_ADMIN_LATE_MS	2000	/* patience with a client's own job */

#define DAMF_ADMIN_CQ		(DAMF_ADMIN_ENTRIES * sizeof(struct damf_admin_sqe))
#define DAMF_ADMIN_SHARED	(DAMF_ADMIN_CQ + DAMF_ADMIN_ENTRIES * sizeof(struct damf_cqe))
#define DAMF_ADMIN_SIZE		(DAMF_ADMIN_SHARED + sizeof(struct damf_queue_shared))

/**
 * struct damf_admin_wait - a command on its way
 * @link: in &damf_admin.waiting, empty when it has ended
 * @cookie: what its completion is known by
 * @done: it has ended
 * @error: how
 */
struct damf_admin_wait {
	struct list_head link;
	u64 cookie;
	struct completion done;
	int error;
};

/**
 * damf_status_errno() - the errno of a status
 * @status: enum damf_status
 *
 * Return: 0 or a negative errno.
 */
int damf_status_errno(unsigned int status)
{
	switch (status) {
	case DAMF_ST_OK:
		return 0;
	case DAMF_ST_BAD_OPCODE:
	case DAMF_ST_BAD_VERSION:
		return -EOPNOTSUPP;
	case DAMF_ST_PAGE_FAULT:
		return -EFAULT;
	case DAMF_ST_CTX_STOPPED:
	case DAMF_ST_ABORTED:
		return -ECANCELED;
	case DAMF_ST_DMA_ERROR:
	case DAMF_ST_MEM_ERROR:
	case DAMF_ST_INTERNAL:
		return -EIO;
	case DAMF_ST_NO_RESOURCES:
		return -ENOMEM;
	case DAMF_ST_BUSY:
		return -EBUSY;
	default:
		return -EINVAL;
	}
}

/**
 * damf_admin_alloc() - allocate the rings
 * @damf: device
 *
 * Return: 0 or -ENOMEM.
 */
int damf_admin_alloc(struct damf_device *damf)
{
	struct damf_admin *admin = &damf->admin;

	spin_lock_init(&admin->lock);
	INIT_LIST_HEAD(&admin->waiting);
	sema_init(&admin->slots, DAMF_ADMIN_SLOTS);
	admin->error = -EAGAIN;
	admin->mem = dma_alloc_coherent(damf->drm.dev, DAMF_ADMIN_SIZE, &admin->dma, GFP_KERNEL);
	if (!admin->mem)
		return -ENOMEM;
	admin->sq = admin->mem;
	admin->cq = admin->mem + DAMF_ADMIN_CQ;
	admin->shared = admin->mem + DAMF_ADMIN_SHARED;
	return 0;
}

/**
 * damf_admin_free() - free the rings
 * @damf: device, which has been turned off
 */
void damf_admin_free(struct damf_device *damf)
{
	struct damf_admin *admin = &damf->admin;
	unsigned long flags;
	void *mem;

	spin_lock_irqsave(&admin->lock, flags);
	mem = admin->mem;
	admin->mem = NULL;
	spin_unlock_irqrestore(&admin->lock, flags);
	if (mem)
		dma_free_coherent(damf->drm.dev, DAMF_ADMIN_SIZE, mem, admin->dma);
}

/**
 * damf_admin_start() - zero the rings and tell the device where they are
 * @damf: device, which is about to be enabled
 *
 * From here on commands can be sent.
 */
void damf_admin_start(struct damf_device *damf)
{
	struct damf_admin *admin = &damf->admin;

	spin_lock_irq(&admin->lock);
	memset(admin->mem, 0, DAMF_ADMIN_SIZE);
	admin->sq_tail = 0;
	admin->cq_head = 0;
	admin->error = 0;
	spin_unlock_irq(&admin->lock);
	lo_hi_writeq(admin->dma, damf->regs + DAMF_REG_ADMIN_SQ);
	lo_hi_writeq(admin->dma + DAMF_ADMIN_CQ, damf->regs + DAMF_REG_ADMIN_CQ);
	lo_hi_writeq(admin->dma + DAMF_ADMIN_SHARED, damf->regs + DAMF_REG_ADMIN_SHARED);
	damf_write(damf, DAMF_REG_ADMIN_LOG2, DAMF_ADMIN_LOG2);
}

static void damf_admin_end(struct damf_admin_wait *wait, int error)
{
	list_del_init(&wait->link);
	wait->error = error;
	complete(&wait->done);
}

/**
 * damf_admin_stop() - send no more commands, and end those on their way
 * @damf: device
 * @error: what they end with: -EAGAIN for a reset, -ENODEV for good
 */
void damf_admin_stop(struct damf_device *damf, int error)
{
	struct damf_admin *admin = &damf->admin;
	struct damf_admin_wait *wait, *next;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	if (admin->error != -ENODEV)
		admin->error = error;
	list_for_each_entry_safe(wait, next, &admin->waiting, link)
		damf_admin_end(wait, error);
	spin_unlock_irqrestore(&admin->lock, flags);
}

static bool damf_admin_is_new(struct damf_admin *admin)
{
	struct damf_cqe *cqe = &admin->cq[admin->cq_head % DAMF_ADMIN_ENTRIES];
	u32 phase = !(admin->cq_head >> DAMF_ADMIN_LOG2 & 1);

	return (le32_to_cpu(READ_ONCE(cqe->phase)) & 1) == phase;
}

/* One completion; what it says is believed only if it names a command. */
static void damf_admin_consume(struct damf_admin *admin)
{
	struct damf_cqe *cqe = &admin->cq[admin->cq_head % DAMF_ADMIN_ENTRIES];
	struct damf_admin_wait *wait;
	u64 cookie;
	u16 status;

	dma_rmb();
	cookie = le64_to_cpu(READ_ONCE(cqe->cookie));
	status = le16_to_cpu(READ_ONCE(cqe->status));
	WRITE_ONCE(admin->shared->cq_head, cpu_to_le32(++admin->cq_head));
	list_for_each_entry(wait, &admin->waiting, link) {
		if (wait->cookie == cookie) {
			damf_admin_end(wait, damf_status_errno(status));
			return;
		}
	}
}

/**
 * damf_admin_poll() - consume completions
 * @damf: device
 */
void damf_admin_poll(struct damf_device *damf)
{
	struct damf_admin *admin = &damf->admin;
	unsigned int n = 0;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	while (!admin->error && n < DAMF_ADMIN_ENTRIES) {
		if (damf_admin_is_new(admin)) {
			damf_admin_consume(admin);
			n++;
			continue;
		}
		WRITE_ONCE(admin->shared->cq_event, cpu_to_le32(admin->cq_head));
		/* The event before the look that says there is nothing. */
		mb();
		if (!damf_admin_is_new(admin))
			break;
	}
	spin_unlock_irqrestore(&admin->lock, flags);
}

static int damf_admin_send(struct damf_device *damf, const struct damf_admin_sqe *cmd,
			   struct damf_admin_wait *wait)
{
	struct damf_admin *admin = &damf->admin;
	struct damf_admin_sqe *sqe;
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&admin->lock, flags);
	ret = admin->error;
	if (!ret) {
		wait->cookie = ++admin->cookie;
		list_add_tail(&wait->link, &admin->waiting);
		sqe = &admin->sq[admin->sq_tail % DAMF_ADMIN_ENTRIES];
		*sqe = *cmd;
		sqe->cookie = cpu_to_le64(wait->cookie);
		dma_wmb();
		WRITE_ONCE(admin->shared->sq_tail, cpu_to_le32(++admin->sq_tail));
		/* Commands are rare: each gets its doorbell. */
		damf_write(damf, damf->caps.db_offset + DAMF_DB_SQ, admin->sq_tail);
	}
	spin_unlock_irqrestore(&admin->lock, flags);
	return ret;
}

/* The device may still end it: from here on its cookie is unknown. */
static void damf_admin_forget(struct damf_device *damf, struct damf_admin_wait *wait)
{
	struct damf_admin *admin = &damf->admin;
	unsigned long flags;

	spin_lock_irqsave(&admin->lock, flags);
	if (!list_empty(&wait->link))
		damf_admin_end(wait, -ETIMEDOUT);
	spin_unlock_irqrestore(&admin->lock, flags);
}

/**
 * damf_admin_run() - send a command and wait for it
 * @damf: device, whose reset_sem is held
 * @cmd: the command, without a cookie
 * @timeout_ms: how long to wait
 * @late: work to queue if it doesn't end soon, or NULL
 *
 * Return: 0, the errno of its status, -ETIMEDOUT, -EAGAIN if the device is
 * about to be reset, -ENODEV if it is lost.
 */
int damf_admin_run(struct damf_device *damf, const struct damf_admin_sqe *cmd,
		   unsigned int timeout_ms, struct work_struct *late)
{
	struct damf_admin_wait wait = { .error = 0 };
	unsigned int waited = 0;
	int ret;

	init_completion(&wait.done);
	ret = damf_admin_send(damf, cmd, &wait);
	if (ret)
		return ret;
	while (!wait_for_completion_timeout(&wait.done, msecs_to_jiffies(DAMF_ADMIN_POLL_MS))) {
		waited += DAMF_ADMIN_POLL_MS;
		damf_admin_poll(damf);
		if (waited >= timeout_ms)
			damf_admin_forget(damf, &wait);
		else if (waited == DAMF_ADMIN_LATE_MS && late)
			queue_work(damf->wq, late);
	}
	return wait.error;
}

/**
 * damf_admin_set() - have the device create or destroy an object
 * @damf: device
 * @cmd: the command
 * @state: whether the device has the object; only changes under reset_sem, so
 *	   that a reset knows what to create anew
 * @value: what @state becomes
 *
 * A command that a reset comes in between with is sent again.
 *
 * Return: 0 or a negative errno; -ENODEV if the device is lost.
 */
int damf_admin_set(struct damf_device *damf, const struct damf_admin_sqe *cmd, bool *state,
		   bool value)
{
	int ret;

	for (;;) {
		down(&damf->admin.slots);
		down_read(&damf->reset_sem);
		ret = damf_admin_run(damf, cmd, DAMF_ADMIN_TIMEOUT_MS, NULL);
		if (!ret)
			*state = value;
		up_read(&damf->reset_sem);
		up(&damf->admin.slots);
		if (ret == -ETIMEDOUT)
			damf_reset_schedule(damf, "an admin command did not complete");
		else if (ret != -EAGAIN)
			return ret;
		damf_reset_wait(damf);
	}
}

/**
 * damf_admin_flush() - forget translations
 * @damf: device
 * @context: id of the context
 * @start: first address, page aligned
 * @length: bytes, whole pages
 * @late: work that takes the context's job off the engine, if it takes long
 *
 * When this returns the device can't reach the range any more: if the command
 * fails the device has been reset, or turned off for good.
 *
 * Return: 0, or -ENODEV if the device is lost.
 */
int damf_admin_flush(struct damf_device *damf, unsigned int context, u64 start, u64 length,
		     struct work_struct *late)
{
	const struct damf_admin_sqe cmd = {
		.opcode = cpu_to_le16(DAMF_ADMIN_FLUSH),
		.context = cpu_to_le16(context),
		.addr[0] = cpu_to_le64(start),
		.length = cpu_to_le64(length),
	};
	int ret;

	down(&damf->admin.slots);
	down_read(&damf->reset_sem);
	ret = damf_admin_run(damf, &cmd, DAMF_ADMIN_TIMEOUT_MS, late);
	up_read(&damf->reset_sem);
	up(&damf->admin.slots);
	if (!ret || ret == -ENODEV)
		return ret;
	if (ret != -EAGAIN)
		damf_reset_schedule(damf, "a flush did not complete");
	damf_reset_wait(damf);
	return 0;
}
