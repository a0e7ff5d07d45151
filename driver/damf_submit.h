/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __DAMF_SUBMIT_H__
#define __DAMF_SUBMIT_H__

struct dma_fence;
struct drm_damf_submit;
struct drm_device;
struct drm_file;
struct io_uring_cmd;

/* damf_submit.c */
int damf_submit(struct drm_file *file, struct drm_damf_submit *args, bool wait,
		struct dma_fence **fence);
int damf_ioctl_submit(struct drm_device *dev, void *data, struct drm_file *file);

/* damf_uring.c */
int damf_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);

#endif /* __DAMF_SUBMIT_H__ */
