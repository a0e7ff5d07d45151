// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers in the device's local memory, which is behind BAR 2.
 *
 * Local memory goes with the device: after a reset its contents are
 * undefined, after a removal it isn't there. Clients that have such a buffer
 * mapped then see a page of zeros of their own instead; a signal in the
 * middle of a copy would be no way to tell them.
 */
#include <linux/io.h>
#include <linux/mm.h>

#include <drm/drm_drv.h>
#include <drm/drm_gem.h>
#include <drm/drm_managed.h>
#include <drm/drm_vma_manager.h>

#include "damf_device.h"
#include "damf_drv.h"
#include "damf_gem.h"

#define DAMF_FAULT_AROUND	256u	/* pages */
#define DAMF_ZERO_CHUNK		SZ_1M

static void damf_local_free(struct drm_gem_object *obj)
{
	struct damf_device *damf = to_damf(obj->dev);
	struct damf_bo *bo = to_damf_bo(obj);

	damf_bo_unlink(bo);
	if (drm_mm_node_allocated(&bo->node)) {
		mutex_lock(&damf->local_lock);
		damf->local_free += bo->node.size;
		drm_mm_remove_node(&bo->node);
		mutex_unlock(&damf->local_lock);
	}
	if (bo->dummy)
		__free_page(bo->dummy);
	drm_gem_object_release(obj);
	atomic64_dec(&damf->counts.local_objects);
	kfree(bo);
}

static int damf_local_mmap(struct drm_gem_object *obj, struct vm_area_struct *vma)
{
	/* A private copy would have to be made of pages that aren't there. */
	if (is_cow_mapping(vma->vm_flags))
		return -EINVAL;
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_writecombine(vm_get_page_prot(vma->vm_flags));
	return 0;
}

static vm_fault_t damf_local_fault_dummy(struct vm_fault *vmf, struct damf_bo *bo)
{
	struct page *page = READ_ONCE(bo->dummy);

	if (!page) {
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!page)
			return VM_FAULT_OOM;
		if (cmpxchg(&bo->dummy, NULL, page)) {
			__free_page(page);
			page = READ_ONCE(bo->dummy);
		}
	}
	return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(page));
}

static vm_fault_t damf_local_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct drm_gem_object *obj = vma->vm_private_data;
	struct damf_device *damf = to_damf(obj->dev);
	pgoff_t page = vmf->pgoff - drm_vma_node_start(&obj->vma_node);
	struct damf_bo *bo = to_damf_bo(obj);
	unsigned long pfn, i, n;
	vm_fault_t ret;
	int idx;

	if (page >= obj->size >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;
	if (READ_ONCE(bo->lost) || !drm_dev_enter(obj->dev, &idx))
		return damf_local_fault_dummy(vmf, bo);
	pfn = PHYS_PFN(damf->local_phys + bo->node.start) + page;
	n = min3((unsigned long)(obj->size >> PAGE_SHIFT) - page,
		 (vma->vm_end - vmf->address) >> PAGE_SHIFT, (unsigned long)DAMF_FAULT_AROUND);
	ret = vmf_insert_pfn(vma, vmf->address, pfn);
	for (i = 1; i < n && ret == VM_FAULT_NOPAGE; i++)
		if (vmf_insert_pfn(vma, vmf->address + i * PAGE_SIZE, pfn + i) != VM_FAULT_NOPAGE)
			break;
	drm_dev_exit(idx);
	return ret;
}

static const struct vm_operations_struct damf_local_vm_ops = {
	.fault = damf_local_fault,
	.open = drm_gem_vm_open,
	.close = drm_gem_vm_close,
};

static enum drm_gem_object_status damf_local_status(struct drm_gem_object *obj)
{
	return DRM_GEM_OBJECT_RESIDENT;
}

/* Without get_sg_table nobody else can map it; other clients of ours can. */
static const struct drm_gem_object_funcs damf_local_funcs = {
	.free = damf_local_free,
	.mmap = damf_local_mmap,
	.vm_ops = &damf_local_vm_ops,
	.status = damf_local_status,
};

static int damf_local_alloc(struct damf_device *damf, struct damf_bo *bo, u64 size)
{
	u64 align = size >= DAMF_LARGE_SIZE ? DAMF_LARGE_SIZE : PAGE_SIZE;
	int ret;

	if (!damf->local)
		return -ENOSPC;
	mutex_lock(&damf->local_lock);
	ret = drm_mm_insert_node_generic(&damf->local_mm, &bo->node, size, align, 0,
					 DRM_MM_INSERT_BEST);
	/* Aligned where there is room for that, else anywhere. */
	if (ret == -ENOSPC && align != PAGE_SIZE)
		ret = drm_mm_insert_node_generic(&damf->local_mm, &bo->node, size, PAGE_SIZE, 0,
						 DRM_MM_INSERT_BEST);
	if (!ret)
		damf->local_free -= size;
	mutex_unlock(&damf->local_lock);
	return ret;
}

/* What another client has left there is nobody's business. */
static int damf_local_zero(struct damf_device *damf, struct damf_bo *bo)
{
	u64 at, n;
	int idx, ret;

	ret = damf_enter(damf, &idx);
	if (ret)
		return ret;
	for (at = 0; at < bo->node.size; at += n) {
		n = min_t(u64, bo->node.size - at, DAMF_ZERO_CHUNK);
		memset_io(damf->local + bo->node.start + at, 0, n);
		cond_resched();
	}
	damf_exit(idx);
	return 0;
}

/**
 * damf_local_create() - create a buffer in local memory
 * @damf: device
 * @size: bytes, whole pages
 *
 * Return: the buffer, zeroed, or an error pointer; -ENOSPC if there is no room.
 */
struct damf_bo *damf_local_create(struct damf_device *damf, u64 size)
{
	struct drm_gem_object *obj;
	struct damf_bo *bo;
	int ret;

	bo = kzalloc(sizeof(*bo), GFP_KERNEL);
	if (!bo)
		return ERR_PTR(-ENOMEM);
	obj = &bo->base.base;
	obj->funcs = &damf_local_funcs;
	bo->local = true;
	INIT_LIST_HEAD(&bo->link);
	drm_gem_private_object_init(&damf->drm, obj, size);
	atomic64_inc(&damf->counts.local_objects);
	ret = damf_local_alloc(damf, bo, size);
	if (!ret)
		ret = damf_local_zero(damf, bo);
	if (!ret)
		ret = drm_gem_create_mmap_offset(obj);
	if (ret) {
		drm_gem_object_put(obj);
		return ERR_PTR(ret);
	}
	mutex_lock(&damf->bo_lock);
	list_add_tail(&bo->link, &damf->bos);
	mutex_unlock(&damf->bo_lock);
	return bo;
}

/**
 * damf_local_sync() - hand a buffer in local memory over
 * @bo: buffer
 *
 * Return: 0, or -EIO if its contents have been lost: here is where clients
 * learn that what they read, or wrote, is nothing.
 */
int damf_local_sync(struct damf_bo *bo)
{
	/* What the CPU has combined goes out before a doorbell does. */
	wmb();
	return READ_ONCE(bo->lost) ? -EIO : 0;
}

/**
 * damf_local_lose() - local memory has lost its contents
 * @damf: device
 */
void damf_local_lose(struct damf_device *damf)
{
	struct damf_bo *bo;

	mutex_lock(&damf->bo_lock);
	list_for_each_entry(bo, &damf->bos, link) {
		if (!bo->local)
			continue;
		WRITE_ONCE(bo->lost, true);
		drm_vma_node_unmap(&bo->base.base.vma_node, damf->drm.anon_inode->i_mapping);
	}
	mutex_unlock(&damf->bo_lock);
}

static void damf_local_fini(struct drm_device *dev, void *data)
{
	drm_mm_takedown(&to_damf(dev)->local_mm);
}

/**
 * damf_local_init() - find local memory, if there is any
 * @damf: device, whose caps are known
 *
 * Return: 0 or a negative errno.
 */
int damf_local_init(struct damf_device *damf)
{
	struct pci_dev *pdev = damf->pdev;
	u64 size = damf->caps.local_size;

	if (!(damf->caps.features & DAMF_FEATURE_LOCAL_MEMORY))
		size = 0;
	if (size > pci_resource_len(pdev, DAMF_BAR_LOCAL)) {
		drm_err(&damf->drm, "local memory of %llu bytes is larger than its BAR\n", size);
		return -EINVAL;
	}
	damf->caps.local_size = size;
	if (!size)
		return 0;
	damf->local_phys = pci_resource_start(pdev, DAMF_BAR_LOCAL);
	damf->local = devm_ioremap_wc(&pdev->dev, damf->local_phys, size);
	if (!damf->local)
		return -ENOMEM;
	damf->local_free = size;
	drm_mm_init(&damf->local_mm, 0, size);
	return drmm_add_action_or_reset(&damf->drm, damf_local_fini, NULL);
}
