/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __DAMF_GEM_H__
#define __DAMF_GEM_H__

#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_mm.h>

struct damf_device;

/**
 * struct damf_bo - a buffer
 * @base: GEM object; all of it is used by a buffer in system memory, only the
 *	  inner &drm_gem_object by one in local memory
 * @link: in &damf_device.bos, if it has memory that the device may reach
 * @local: it lies in local memory
 * @lost: its contents went with a reset of the device
 * @pages: pages counted in &damf_counts.pages
 * @node: where it lies in local memory
 * @dummy: what clients see in the place of local memory that is gone
 */
struct damf_bo {
	struct drm_gem_shmem_object base;
	struct list_head link;
	bool local;
	bool lost;
	u64 pages;
	struct drm_mm_node node;
	struct page *dummy;
};

#define to_damf_bo(obj) container_of(to_drm_gem_shmem_obj(obj), struct damf_bo, base)

/* damf_gem.c */
struct drm_gem_object *damf_gem_create_object(struct drm_device *dev, size_t size);
struct sg_table *damf_bo_map(struct damf_bo *bo);
void damf_bo_unlink(struct damf_bo *bo);
void damf_bos_unmap(struct damf_device *damf);
int damf_ioctl_bo_create(struct drm_device *dev, void *data, struct drm_file *file);
int damf_ioctl_bo_mmap_offset(struct drm_device *dev, void *data, struct drm_file *file);
int damf_ioctl_bo_sync(struct drm_device *dev, void *data, struct drm_file *file);

/* damf_local.c */
int damf_local_init(struct damf_device *damf);
int damf_local_sync(struct damf_bo *bo);
struct damf_bo *damf_local_create(struct damf_device *damf, u64 size);
void damf_local_lose(struct damf_device *damf);

#endif /* __DAMF_GEM_H__ */
