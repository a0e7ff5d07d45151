/* SPDX-License-Identifier: MIT */
/* Backend "device": the accelerator through its driver's ioctls. */
#ifndef DAMF_DRM_BACKEND_H
#define DAMF_DRM_BACKEND_H

#include <liburing.h>

#include "backend.h"
#include "drm/damf_accel.h"

struct drm_device {
	int fd;
	struct drm_damf_info info;	/* as it was at open */
	pthread_mutex_t lock;		/* guards what follows */
	bool uring;			/* lists go by io_uring */
	char why[120];			/* why they go the way they go */
};

struct drm_queue {
	struct damf_queue *base;
	struct drm_device *drm;
	uint32_t id;			/* the kernel's */
	bool uring;
	/* [entries], by slot; the kernel may read one until its list is queued,
	 * and writes its seqno then */
	struct drm_damf_submit *submits;
	/* ioctl */
	uint32_t syncobj;		/* timeline, its points are our seqnos */
	/* io_uring */
	struct io_uring ring;
	bool *cancelled;		/* [entries]: the command has ended, the list not yet */
	bool any_cancelled;		/* one of them may be set */
	int broken;			/* the ring can't be used any more: negative errno */
};

/*
 * Finds the first accelerator below sys ("/sys") and writes its node below
 * devfs ("/dev") to path; kernel configurations are looked for in boot
 * ("/boot"). -ENODEV with what is wrong and the remedy if there is none.
 */
int damf_drm_find(const char *sys, const char *devfs, const char *boot, char *path, size_t len,
	     struct damf_error *err);
/* Opens a node; the descriptor, or a negative errno with the remedy. */
int damf_drm_open_node(const char *path, struct damf_error *err);

/* ioctl() that is repeated only when a signal came; 0 or a negative errno. */
int damf_drm_ioctl(int fd, unsigned long request, void *arg);
/* err for a failed call: what was done, why it failed. -ENODEV marks the
 * device as lost. Returns code. */
int damf_drm_error(struct damf_device *dev, struct damf_error *err, int code, const char *what);

/* drm_queue.c */
int damf_drm_queue_create(struct damf_queue *queue, struct damf_error *err);
void damf_drm_queue_destroy(struct damf_queue *queue);
int damf_drm_submit(struct damf_queue *queue, struct damf_inflight *slot, struct damf_error *err);
void damf_drm_reap(struct damf_queue *queue, int64_t timeout_ns);

struct drm_damf_submit *damf_drm_submit_of(struct drm_queue *q, uint64_t seqno);
/*
 * Asks the kernel how list seqno ended, waiting at most timeout_ns, and
 * completes it; false: it has not ended in time.
 */
bool damf_drm_collect(struct drm_queue *q, uint64_t seqno, int64_t timeout_ns);
/* Makes the eventfd readable, where no event of the kernel's will come. */
void damf_drm_wake(struct drm_queue *q);

/* uring.c: whether lists can go by io_uring to this node; if not, why. */
bool damf_uring_probe(int fd, char *why, size_t len);
int damf_uring_queue_create(struct drm_queue *q, char *why, size_t len);
void damf_uring_queue_destroy(struct drm_queue *q);
int damf_uring_submit(struct drm_queue *q, struct damf_inflight *slot, struct damf_error *err);
void damf_uring_reap(struct drm_queue *q, int64_t timeout_ns);

#endif /* DAMF_DRM_BACKEND_H */
