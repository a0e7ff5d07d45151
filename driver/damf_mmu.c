// SPDX-License-Identifier: GPL-2.0-only
/*
 * Address spaces. A client has one; addresses are chosen here. Between two
 * mappings there is always a page where nothing is, so that who runs past the
 * end of a buffer faults.
 */
#include <linux/slab.h>

#include <drm/drm_file.h>
#include <drm/damf_accel.h>

#include "damf_device.h"
#include "damf_drv.h"
#include "damf_gem.h"
#include "damf_mmu.h"
#include "damf_recover.h"

#define DAMF_VA_START		DAMF_LARGE_SIZE	/* address 0 is nobody's */
#define DAMF_VM_MAX_MAPPED	SZ_64G		/* bounds what tables take */

/**
 * struct damf_mapping - a buffer in an address space
 * @node: its addresses, and one page more
 * @bo: buffer
 * @size: bytes
 */
struct damf_mapping {
	struct drm_mm_node node;
	struct damf_bo *bo;
	u64 size;
};

/**
 * damf_vm_create() - create an address space
 * @damf: device
 *
 * Return: the address space, or an error pointer.
 */
struct damf_vm *damf_vm_create(struct damf_device *damf)
{
	struct damf_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL);

	if (!vm)
		return ERR_PTR(-ENOMEM);
	vm->root = damf_table_create(damf, false);
	if (!vm->root) {
		kfree(vm);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&vm->ref);
	vm->damf = damf;
	mutex_init(&vm->lock);
	mutex_init(&vm->emit_lock);
	INIT_WORK(&vm->recover, damf_vm_recover_work);
	drm_mm_init(&vm->mm, DAMF_VA_START, DAMF_VA_END - DAMF_VA_START);
	mutex_lock(&damf->vm_lock);
	list_add_tail(&vm->link, &damf->vms);
	mutex_unlock(&damf->vm_lock);
	return vm;
}

struct damf_vm *damf_vm_get(struct damf_vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

static void damf_vm_release(struct kref *ref)
{
	struct damf_vm *vm = container_of(ref, struct damf_vm, ref);

	mutex_destroy(&vm->emit_lock);
	mutex_destroy(&vm->lock);
	kfree(vm);
}

void damf_vm_put(struct damf_vm *vm)
{
	kref_put(&vm->ref, damf_vm_release);
}

/* ---- The device's side: the context --------------------------------------- */

static void damf_vm_create_cmd(struct damf_vm *vm, struct damf_admin_sqe *cmd)
{
	*cmd = (struct damf_admin_sqe){
		.opcode = cpu_to_le16(DAMF_ADMIN_CREATE_CONTEXT),
		.context = cpu_to_le16(vm->context),
		.addr[0] = cpu_to_le64(vm->root->dma),
	};
}

/**
 * damf_vm_send_create() - create the context anew after a reset
 * @vm: address space whose context was live
 *
 * Return: 0 or a negative errno.
 */
int damf_vm_send_create(struct damf_vm *vm)
{
	struct damf_admin_sqe cmd;

	damf_vm_create_cmd(vm, &cmd);
	return damf_admin_run(vm->damf, &cmd, DAMF_RECOVER_TIMEOUT_MS, NULL);
}

/**
 * damf_vm_start() - see that there is a context
 * @vm: address space
 *
 * Contexts are few, so only a client that runs something takes one.
 *
 * Return: 0 or a negative errno; -ENOSPC if there is none left.
 */
int damf_vm_start(struct damf_vm *vm)
{
	struct damf_device *damf = vm->damf;
	struct damf_admin_sqe cmd;
	int ret = 0, id;

	mutex_lock(&vm->lock);
	if (vm->live)
		goto out;
	id = ida_alloc_range(&damf->contexts, 1, damf->caps.max_contexts, GFP_KERNEL);
	if (id < 0) {
		ret = id;
		goto out;
	}
	vm->context = id;
	damf_vm_create_cmd(vm, &cmd);
	ret = damf_admin_set(damf, &cmd, &vm->live, true);
	if (ret) {
		vm->context = 0;
		ida_free(&damf->contexts, id);
	} else {
		atomic64_inc(&damf->counts.contexts);
	}
out:
	mutex_unlock(&vm->lock);
	return ret;
}

static void damf_vm_stop(struct damf_vm *vm)
{
	struct damf_device *damf = vm->damf;
	const struct damf_admin_sqe cmd = {
		.opcode = cpu_to_le16(DAMF_ADMIN_DESTROY_CONTEXT),
		.context = cpu_to_le16(vm->context),
	};
	int ret;

	if (!vm->context)
		return;
	ret = vm->live ? damf_admin_set(damf, &cmd, &vm->live, false) : 0;
	/* It must not keep an address that is about to be freed. */
	if (ret && ret != -ENODEV) {
		down_read(&damf->reset_sem);
		vm->live = false;
		up_read(&damf->reset_sem);
		damf_reset_schedule(damf, "a context could not be destroyed");
		damf_reset_wait(damf);
	}
	vm->live = false;
	ida_free(&damf->contexts, vm->context);
	atomic64_dec(&damf->counts.contexts);
	vm->context = 0;
}

/* ---- Mappings ------------------------------------------------------------- */

static void damf_mapping_free(struct damf_vm *vm, struct damf_mapping *map)
{
	drm_mm_remove_node(&map->node);
	vm->mapped -= map->size;
	WRITE_ONCE(vm->local_maps, vm->local_maps - map->bo->local);
	drm_gem_object_put(&map->bo->base.base);
	kfree(map);
	atomic64_dec(&vm->damf->counts.mappings);
}

/*
 * Clears entries, has the device forget them, and frees what they led to. The
 * lock is not held while that takes its time: the addresses stay taken, and the
 * mark keeps others from finding the mapping.
 */
static void damf_vm_unmap(struct damf_vm *vm, struct damf_mapping *map)
{
	u64 start = map->node.start, end = start + map->size;
	struct damf_device *damf = vm->damf;
	LIST_HEAD(tables);
	bool live;

	lockdep_assert_held(&vm->lock);
	map->node.color = 1;
	if (vm->root)
		damf_table_unmap(vm, &start, &end, &tables);
	live = vm->live;
	mutex_unlock(&vm->lock);
	if (live)
		damf_admin_flush(damf, vm->context, start, end - start, &vm->recover);
	damf_tables_free(damf, &tables);
	mutex_lock(&vm->lock);
	damf_mapping_free(vm, map);
}

static struct damf_mapping *damf_mapping_create(struct damf_vm *vm, struct damf_bo *bo, u64 size)
{
	u64 align = size >= DAMF_LARGE_SIZE ? DAMF_LARGE_SIZE : DAMF_PAGE_SIZE;
	struct damf_mapping *map;
	int ret;

	if (size > DAMF_VM_MAX_MAPPED - vm->mapped)
		return ERR_PTR(-ENOSPC);
	map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);
	ret = drm_mm_insert_node_generic(&vm->mm, &map->node, size + DAMF_PAGE_SIZE, align, 0,
					 DRM_MM_INSERT_BEST);
	if (ret) {
		kfree(map);
		return ERR_PTR(ret);
	}
	map->bo = bo;
	map->size = size;
	drm_gem_object_get(&bo->base.base);
	vm->mapped += size;
	/* Whatever was lost, the client has let go of it. */
	if (!vm->local_maps)
		WRITE_ONCE(vm->lost, false);
	WRITE_ONCE(vm->local_maps, vm->local_maps + bo->local);
	atomic64_inc(&vm->damf->counts.mappings);
	return map;
}

static int damf_vm_map(struct damf_vm *vm, struct damf_bo *bo, struct drm_damf_vm_map *args)
{
	u64 bits = args->flags & DRM_DAMF_MAP_READONLY ? DAMF_PTE_READONLY : 0;
	struct damf_mapping *map;
	int ret;

	mutex_lock(&vm->lock);
	map = damf_mapping_create(vm, bo, args->size);
	ret = PTR_ERR_OR_ZERO(map);
	if (!ret) {
		/* A reset has buffers lost, then looks at what is mapped. */
		smp_mb();
		ret = READ_ONCE(bo->lost) ? -EIO : damf_table_map(vm, map->node.start, bo,
								  args->offset, args->size, bits);
		if (ret)
			damf_vm_unmap(vm, map);
		else
			args->va = map->node.start;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

int damf_ioctl_vm_map(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct damf_file *client = file->driver_priv;
	struct drm_damf_vm_map *args = data;
	struct drm_gem_object *obj;
	int ret, idx;

	if (args->flags & ~DRM_DAMF_MAP_READONLY)
		return -EINVAL;
	if ((args->offset | args->size) & (DAMF_PAGE_SIZE - 1))
		return -EINVAL;
	obj = drm_gem_object_lookup(file, args->handle);
	if (!obj)
		return -ENOENT;
	ret = args->offset >= obj->size || args->size > obj->size - args->offset ? -EINVAL : 0;
	if (!ret && !args->size)
		args->size = obj->size - args->offset;
	if (!ret)
		ret = damf_enter(client->damf, &idx);
	if (!ret) {
		ret = damf_vm_map(client->vm, to_damf_bo(obj), args);
		damf_exit(idx);
	}
	drm_gem_object_put(obj);
	return ret;
}

static struct damf_mapping *damf_vm_find(struct damf_vm *vm, u64 va)
{
	struct drm_mm_node *node;

	if (va < DAMF_VA_START || va >= DAMF_VA_END)
		return NULL;
	drm_mm_for_each_node_in_range(node, &vm->mm, va, va + 1)
		/* One that is being unmapped isn't there any more. */
		if (node->start == va && !node->color)
			return container_of(node, struct damf_mapping, node);
	return NULL;
}

int damf_ioctl_vm_unmap(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct damf_file *client = file->driver_priv;
	struct drm_damf_vm_unmap *args = data;
	struct damf_vm *vm = client->vm;
	struct damf_mapping *map;
	int ret, idx;

	ret = damf_enter(client->damf, &idx);
	if (ret)
		return ret;
	mutex_lock(&vm->lock);
	map = damf_vm_find(vm, args->va);
	if (map)
		damf_vm_unmap(vm, map);
	mutex_unlock(&vm->lock);
	damf_exit(idx);
	return map ? 0 : -EINVAL;
}

/* ---- The end -------------------------------------------------------------- */

/**
 * damf_vm_close() - the client is gone
 * @vm: address space, without queues
 */
void damf_vm_close(struct damf_vm *vm)
{
	struct damf_device *damf = vm->damf;
	struct drm_mm_node *node, *next;
	struct damf_table *root;

	cancel_work_sync(&vm->recover);
	mutex_lock(&vm->lock);
	damf_vm_stop(vm);
	mutex_unlock(&vm->lock);
	mutex_lock(&damf->vm_lock);
	list_del_init(&vm->link);
	mutex_unlock(&damf->vm_lock);
	mutex_lock(&vm->lock);
	root = vm->root;
	vm->root = NULL;
	drm_mm_for_each_node_safe(node, next, &vm->mm)
		damf_mapping_free(vm, container_of(node, struct damf_mapping, node));
	drm_mm_takedown(&vm->mm);
	mutex_unlock(&vm->lock);
	if (root)
		damf_table_free_tree(damf, root);
	damf_vm_put(vm);
}

/**
 * damf_vms_unbind() - free the tables of all address spaces
 * @damf: device, which has been turned off and is being unbound
 */
void damf_vms_unbind(struct damf_device *damf)
{
	struct damf_vm *vm;

	mutex_lock(&damf->vm_lock);
	list_for_each_entry(vm, &damf->vms, link) {
		mutex_lock(&vm->lock);
		if (vm->root)
			damf_table_free_tree(damf, vm->root);
		vm->root = NULL;
		mutex_unlock(&vm->lock);
	}
	mutex_unlock(&damf->vm_lock);
}
