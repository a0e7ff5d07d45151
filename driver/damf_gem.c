// SPDX-License-Identifier: GPL-2.0-only
/* Buffers: those in system memory, and what all have in common. */
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/damf_accel.h>

#include "damf_device.h"
#include "damf_drv.h"
#include "damf_gem.h"

/**
 * damf_bo_unlink() - the buffer's memory is about to be freed
 * @bo: buffer
 */
void damf_bo_unlink(struct damf_bo *bo)
{
	struct damf_device *damf = to_damf(bo->base.base.dev);

	mutex_lock(&damf->bo_lock);
	list_del_init(&bo->link);
	mutex_unlock(&damf->bo_lock);
	atomic64_sub(bo->pages, &damf->counts.pages);
	bo->pages = 0;
}

static void damf_bo_free(struct drm_gem_object *obj)
{
	struct damf_device *damf = to_damf(obj->dev);
	struct damf_bo *bo = to_damf_bo(obj);

	damf_bo_unlink(bo);
	atomic64_dec(&damf->counts.objects);
	drm_gem_shmem_free(&bo->base);
}

static enum drm_gem_object_status damf_bo_status(struct drm_gem_object *obj)
{
	return READ_ONCE(to_damf_bo(obj)->pages) ? DRM_GEM_OBJECT_RESIDENT : 0;
}

static const struct drm_gem_object_funcs damf_bo_funcs = {
	.free = damf_bo_free,
	.print_info = drm_gem_shmem_object_print_info,
	.pin = drm_gem_shmem_object_pin,
	.unpin = drm_gem_shmem_object_unpin,
	.get_sg_table = drm_gem_shmem_object_get_sg_table,
	.vmap = drm_gem_shmem_object_vmap,
	.vunmap = drm_gem_shmem_object_vunmap,
	.mmap = drm_gem_shmem_object_mmap,
	.vm_ops = &drm_gem_shmem_vm_ops,
	.status = damf_bo_status,
};

/**
 * damf_gem_create_object() - for the shmem helpers
 * @dev: DRM device
 * @size: bytes
 *
 * Return: a buffer in system memory that isn't set up yet.
 */
struct drm_gem_object *damf_gem_create_object(struct drm_device *dev, size_t size)
{
	struct damf_bo *bo = kzalloc(sizeof(*bo), GFP_KERNEL);

	if (!bo)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&bo->link);
	bo->base.base.funcs = &damf_bo_funcs;
	atomic64_inc(&to_damf(dev)->counts.objects);
	return &bo->base.base;
}

/**
 * damf_bo_map() - make a buffer in system memory reachable for the device
 * @bo: buffer
 *
 * Its pages stay where they are until it is freed.
 *
 * Return: where it lies on the bus, or an error pointer.
 */
struct sg_table *damf_bo_map(struct damf_bo *bo)
{
	struct drm_gem_object *obj = &bo->base.base;
	struct damf_device *damf = to_damf(obj->dev);
	struct sg_table *sgt = drm_gem_shmem_get_pages_sgt(&bo->base);

	if (IS_ERR(sgt))
		return sgt;
	mutex_lock(&damf->bo_lock);
	if (!bo->pages) {
		WRITE_ONCE(bo->pages, obj->size >> PAGE_SHIFT);
		atomic64_add(bo->pages, &damf->counts.pages);
		list_add_tail(&bo->link, &damf->bos);
	}
	mutex_unlock(&damf->bo_lock);
	return sgt;
}

/* The pages remain: clients have them mapped. */
static void damf_bo_unmap(struct damf_device *damf, struct damf_bo *bo)
{
	struct drm_gem_shmem_object *shmem = &bo->base;

	if (bo->local || drm_gem_is_imported(&shmem->base))
		return;
	dma_resv_lock(shmem->base.resv, NULL);
	if (shmem->sgt) {
		dma_unmap_sgtable(damf->drm.dev, shmem->sgt, DMA_BIDIRECTIONAL, 0);
		sg_free_table(shmem->sgt);
		kfree(shmem->sgt);
		shmem->sgt = NULL;
	}
	dma_resv_unlock(shmem->base.resv);
}

/**
 * damf_bos_unmap() - give up all mappings for DMA
 * @damf: device, which is being unbound
 *
 * Buffers may live longer than that, mappings must not.
 */
void damf_bos_unmap(struct damf_device *damf)
{
	struct damf_bo *bo;

	mutex_lock(&damf->bo_lock);
	list_for_each_entry(bo, &damf->bos, link)
		damf_bo_unmap(damf, bo);
	mutex_unlock(&damf->bo_lock);
}

static struct drm_gem_object *damf_bo_create(struct damf_device *damf, u64 size, bool local)
{
	struct drm_gem_shmem_object *shmem;
	struct damf_bo *bo;

	if (local) {
		bo = damf_local_create(damf, size);
		return IS_ERR(bo) ? ERR_CAST(bo) : &bo->base.base;
	}
	if (size >> PAGE_SHIFT > totalram_pages())
		return ERR_PTR(-ENOMEM);
	shmem = drm_gem_shmem_create(&damf->drm, size);
	return IS_ERR(shmem) ? ERR_CAST(shmem) : &shmem->base;
}

int damf_ioctl_bo_create(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct drm_damf_bo_create *args = data;
	struct drm_gem_object *obj;
	int ret;

	if (args->flags & ~DRM_DAMF_BO_LOCAL)
		return -EINVAL;
	/* No buffer can be larger than the address space. */
	if (!args->size || args->size > DAMF_VA_END)
		return -EINVAL;
	args->size = PAGE_ALIGN(args->size);
	obj = damf_bo_create(to_damf(dev), args->size, args->flags & DRM_DAMF_BO_LOCAL);
	if (IS_ERR(obj))
		return PTR_ERR(obj);
	ret = drm_gem_handle_create(file, obj, &args->handle);
	drm_gem_object_put(obj);
	return ret;
}

int damf_ioctl_bo_mmap_offset(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct drm_damf_bo_mmap_offset *args = data;
	struct drm_gem_object *obj;
	int ret;

	if (args->pad)
		return -EINVAL;
	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj)
		return -ENOENT;
	ret = drm_gem_create_mmap_offset(obj);
	if (!ret)
		args->offset = drm_vma_node_offset_addr(&obj->vma_node);
	drm_gem_object_put(obj);
	return ret;
}

/* A segment on the bus may be made of many pieces, so each page by itself. */
static void damf_sync_range(struct device *dev, dma_addr_t addr, size_t len, u32 flags)
{
	while (len) {
		size_t n = min_t(size_t, len, PAGE_SIZE - offset_in_page(addr));

		if (flags & DRM_DAMF_SYNC_TO_DEVICE)
			dma_sync_single_for_device(dev, addr, n, DMA_BIDIRECTIONAL);
		if (flags & DRM_DAMF_SYNC_FROM_DEVICE)
			dma_sync_single_for_cpu(dev, addr, n, DMA_BIDIRECTIONAL);
		addr += n;
		len -= n;
		cond_resched();
	}
}

static void damf_bo_sync(struct damf_device *damf, struct sg_table *sgt,
			 const struct drm_damf_bo_sync *args)
{
	u64 at = 0, start, end, last = args->offset + args->size;
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		start = max(at, args->offset);
		end = min(at + sg_dma_len(sg), last);
		if (start < end && dma_need_sync(damf->drm.dev, sg_dma_address(sg)))
			damf_sync_range(damf->drm.dev, sg_dma_address(sg) + (start - at),
					end - start, args->flags);
		at += sg_dma_len(sg);
		if (at >= last)
			break;
	}
}

int damf_ioctl_bo_sync(struct drm_device *dev, void *data, struct drm_file *file)
{
	const u32 known = DRM_DAMF_SYNC_TO_DEVICE | DRM_DAMF_SYNC_FROM_DEVICE;
	struct damf_device *damf = to_damf(dev);
	struct drm_damf_bo_sync *args = data;
	struct drm_gem_object *obj;
	struct damf_bo *bo;
	int ret, idx;

	if (!args->flags || args->flags & ~known)
		return -EINVAL;
	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj)
		return -ENOENT;
	bo = to_damf_bo(obj);
	ret = args->offset > obj->size || args->size > obj->size - args->offset ? -EINVAL : 0;
	if (!ret)
		ret = damf_enter(damf, &idx);
	if (!ret) {
		if (bo->local)
			ret = damf_local_sync(bo);
		/* Others' memory is theirs to keep coherent. */
		else if (!drm_gem_is_imported(obj) && bo->pages && dma_dev_need_sync(dev->dev))
			damf_bo_sync(damf, bo->base.sgt, args);
		damf_exit(idx);
	}
	drm_gem_object_put(obj);
	return ret;
}
