// SPDX-License-Identifier: GPL-2.0-only
/*
 * Submission by io_uring: the ioctl's number as command and the address of its
 * struct in the entry. The command ends when the list has ended.
 *
 * A command can be ended by its fence and cancelled by io_uring at the same
 * time. Whoever takes the callback off the fence, the fence itself by
 * signalling or dma_fence_remove_callback(), is the one to end it.
 */
#include <linux/dma-fence.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <drm/drm_file.h>
#include <drm/drm_ioctl.h>
#include <drm/damf_accel.h>

#include "damf_compat.h"
#include "damf_device.h"
#include "damf_drv.h"
#include "damf_submit.h"

/**
 * struct damf_uring - a command on its way
 * @cmd: io_uring's part
 * @fence: signals when the list has ended
 * @cb: callback of the fence
 */
struct damf_uring {
	struct io_uring_cmd *cmd;
	struct dma_fence *fence;
	struct dma_fence_cb cb;
};

/**
 * struct damf_uring_pdu - what io_uring keeps for a command
 * @op: the command
 */
struct damf_uring_pdu {
	struct damf_uring *op;
};

static struct damf_uring **damf_uring_op(struct io_uring_cmd *cmd)
{
	return &io_uring_cmd_to_pdu(cmd, struct damf_uring_pdu)->op;
}

/* Once ended, the command is gone; until then a cancellation may look at op. */
static void damf_uring_end(struct damf_uring *op, int ret, unsigned int issue_flags)
{
	damf_uring_done(op->cmd, ret, issue_flags);
	dma_fence_put(op->fence);
	kfree(op);
}

static int damf_uring_result(struct dma_fence *fence)
{
	int status = dma_fence_get_status(fence);

	return status < 0 ? status : 0;
}

DAMF_URING_TASK_WORK(damf_uring_task_work)
{
	struct damf_uring *op = *damf_uring_op(cmd);

	damf_uring_end(op, damf_uring_result(op->fence), issue_flags);
}

/* May be called in an interrupt, where a command can't be ended. */
static void damf_uring_signaled(struct dma_fence *fence, struct dma_fence_cb *cb)
{
	struct damf_uring *op = container_of(cb, struct damf_uring, cb);

	io_uring_cmd_complete_in_task(op->cmd, damf_uring_task_work);
}

/* The list goes on, and holds what it needs. */
static int damf_uring_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct damf_uring *op = *damf_uring_op(cmd);

	if (dma_fence_remove_callback(op->fence, &op->cb))
		damf_uring_end(op, -ECANCELED, issue_flags);
	return 0;
}

/*
 * From io_uring_cmd_mark_cancelable() on the command must not be ended by a
 * returned value, and once the callback is there op must not be touched.
 */
static int damf_uring_wait(struct damf_uring *op, unsigned int issue_flags)
{
	*damf_uring_op(op->cmd) = op;
	INIT_LIST_HEAD(&op->cb.node);
	io_uring_cmd_mark_cancelable(op->cmd, issue_flags);
	if (dma_fence_add_callback(op->fence, &op->cb, damf_uring_signaled))
		damf_uring_end(op, damf_uring_result(op->fence), issue_flags);
	return -EIOCBQUEUED;
}

/* What the command has no use for is zero, so that it may get one. */
static bool damf_uring_is_plain(const struct io_uring_sqe *sqe)
{
	return !READ_ONCE(sqe->len) && !READ_ONCE(sqe->uring_cmd_flags) &&
	       !READ_ONCE(sqe->addr3) && !READ_ONCE(sqe->__pad2[0]);
}

static int damf_uring_submit(struct drm_file *file, struct io_uring_cmd *cmd,
			     unsigned int issue_flags)
{
	struct damf_file *client = file->driver_priv;
	struct drm_damf_submit __user *to = u64_to_user_ptr(READ_ONCE(cmd->sqe->addr));
	bool may_wait = !(issue_flags & IO_URING_F_NONBLOCK);
	struct drm_damf_submit args;
	struct damf_uring *op;
	int ret;

	if (copy_from_user(&args, to, sizeof(args)))
		return -EFAULT;
	op = kzalloc(sizeof(*op), GFP_KERNEL_ACCOUNT);
	if (!op)
		return -ENOMEM;
	op->cmd = cmd;
	ret = damf_submit(file, &args, may_wait, &op->fence);
	if (ret) {
		kfree(op);
		return ret;
	}
	atomic64_inc(&client->damf->stats.submits_uring);
	/*
	 * The list is queued whether or not this succeeds: who can't read its
	 * number can't ask for its result, but still learns when it has ended.
	 */
	if (put_user(args.seqno, &to->seqno))
		drm_dbg(&client->damf->drm, "the number of a list could not be told\n");
	return damf_uring_wait(op, issue_flags);
}

/**
 * damf_uring_cmd() - a command of io_uring
 * @cmd: command
 * @issue_flags: how it is issued, or that it is to be cancelled
 *
 * Return: -EIOCBQUEUED, or how it ended.
 */
int damf_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct drm_file *file = cmd->file->private_data;
	struct damf_file *client = file->driver_priv;
	int ret, idx;

	if (issue_flags & IO_URING_F_CANCEL)
		return damf_uring_cancel(cmd, issue_flags);
	if (cmd->cmd_op != DRM_IOCTL_DAMF_SUBMIT)
		return -ENOTTY;
	if (!damf_uring_is_plain(cmd->sqe))
		return -EINVAL;
	ret = damf_enter(client->damf, &idx);
	if (ret)
		return ret;
	damf_exit(idx);
	return damf_uring_submit(file, cmd, issue_flags);
}
