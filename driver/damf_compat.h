/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the driver builds on. Makefile.common
 * asks the headers and defines DAMF_HAVE_*; nothing else looks at these.
 */
#ifndef __DAMF_COMPAT_H__
#define __DAMF_COMPAT_H__

#include <linux/io_uring/cmd.h>

#include <drm/drm_file.h>
#include <drm/gpu_scheduler.h>

/* drm_sched_init() took ten arguments before it took a struct. */
static inline int damf_sched_init(struct drm_gpu_scheduler *sched,
				  const struct drm_sched_backend_ops *ops, u32 credits,
				  long timeout, struct workqueue_struct *timeout_wq,
				  struct device *dev)
{
#ifdef DAMF_HAVE_SCHED_INIT_ARGS
	const struct drm_sched_init_args args = {
		.ops = ops,
#ifdef DAMF_HAVE_SCHED_ARGS_NUM_RQS
		.num_rqs = DRM_SCHED_PRIORITY_COUNT,
#endif
		.credit_limit = credits,
		.timeout = timeout,
		.timeout_wq = timeout_wq,
		.name = "damf",
		.dev = dev,
	};

	return drm_sched_init(sched, &args);
#else
	return drm_sched_init(sched, ops, NULL, DRM_SCHED_PRIORITY_COUNT, credits, 0, timeout,
			      timeout_wq, NULL, "damf", dev);
#endif
}

/* The client's id, for tracepoints, came later. */
static inline int damf_sched_job_init(struct drm_sched_job *job, struct drm_sched_entity *entity,
				      u64 client_id)
{
#ifdef DAMF_HAVE_SCHED_CLIENT_ID
	return drm_sched_job_init(job, entity, 1, NULL, client_id);
#else
	return drm_sched_job_init(job, entity, 1, NULL);
#endif
}

/*
 * What timedout_job() returns for a job that stays with the scheduler.
 *
 * Older kernels have taken the job off their list and want it back by hand.
 * If it has ended meanwhile nobody looks at it any more, so the scheduler's
 * work is queued, which is what starting it does.
 */
static inline enum drm_gpu_sched_stat damf_sched_keep(struct drm_sched_job *job)
{
#ifdef DAMF_HAVE_SCHED_NO_HANG
	return DRM_GPU_SCHED_STAT_NO_HANG;
#else
	struct drm_gpu_scheduler *sched = job->sched;

	spin_lock(&sched->job_list_lock);
	list_add(&job->list, &sched->pending_list);
	spin_unlock(&sched->job_list_lock);
	drm_sched_wqueue_start(sched);
	return DRM_GPU_SCHED_STAT_NOMINAL;
#endif
}

/* The second result, which only some rings had, became a call of its own. */
static inline void damf_uring_done(struct io_uring_cmd *cmd, int ret, unsigned int issue_flags)
{
#ifdef DAMF_HAVE_URING_DONE32
	io_uring_cmd_done(cmd, ret, issue_flags);
#else
	io_uring_cmd_done(cmd, ret, 0, issue_flags);
#endif
}

/*
 * Defines a function that runs in the context of the command's task, to be
 * given to io_uring_cmd_complete_in_task(). In it, cmd and issue_flags are
 * what damf_uring_done() wants.
 */
#ifdef DAMF_HAVE_URING_TW
#define DAMF_URING_TASK_WORK(fn)							\
static void fn##_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);		\
static void fn(struct io_tw_req tw_req, io_tw_token_t tw)				\
{											\
	fn##_cmd(io_uring_cmd_from_tw(tw_req), IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);	\
}											\
static void fn##_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
#else
#define DAMF_URING_TASK_WORK(fn)							\
static void fn(struct io_uring_cmd *cmd, unsigned int issue_flags)
#endif

#endif /* __DAMF_COMPAT_H__ */
