/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __DAMF_DRV_H__
#define __DAMF_DRV_H__

#include <linux/xarray.h>

#include <drm/drm_drv.h>

#include "damf_device.h"

struct damf_vm;

/**
 * struct damf_file - a client
 * @damf: device
 * @file: DRM's part of it
 * @vm: address space
 * @queues: queues by the client's id, struct damf_queue
 * @next_queue: id to look for the next free one from
 * @num_queues: their number
 */
struct damf_file {
	struct damf_device *damf;
	struct drm_file *file;
	struct damf_vm *vm;
	struct xarray queues;
	u32 next_queue;
	atomic_t num_queues;
};

extern const struct drm_driver damf_drm_driver;

/* Around whatever touches the device; -ENODEV if there is none any more. */
static inline int damf_enter(struct damf_device *damf, int *idx)
{
	if (!drm_dev_enter(&damf->drm, idx))
		return -ENODEV;
	if (!damf_lost(damf))
		return 0;
	drm_dev_exit(*idx);
	return -ENODEV;
}

static inline void damf_exit(int idx)
{
	drm_dev_exit(idx);
}

#endif /* __DAMF_DRV_H__ */
