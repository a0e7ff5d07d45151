// SPDX-License-Identifier: GPL-2.0-only
/* The DRM driver: files, calls, and what is told about the device. */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>

#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>
#include <drm/damf_accel.h>

#include "damf_device.h"
#include "damf_drv.h"
#include "damf_gem.h"
#include "damf_mmu.h"
#include "damf_queue.h"
#include "damf_submit.h"

/* ---- Files ------------------------------------------------------------------ */

static int damf_open(struct drm_device *dev, struct drm_file *file)
{
	struct damf_device *damf = to_damf(dev);
	struct damf_file *client;
	int ret, idx;

	client = kzalloc(sizeof(*client), GFP_KERNEL);
	if (!client)
		return -ENOMEM;
	ret = damf_enter(damf, &idx);
	if (ret)
		goto err_free;
	client->vm = damf_vm_create(damf);
	damf_exit(idx);
	ret = PTR_ERR_OR_ZERO(client->vm);
	if (ret)
		goto err_free;
	client->damf = damf;
	client->file = file;
	xa_init_flags(&client->queues, XA_FLAGS_ALLOC1);
	client->next_queue = 1;
	file->driver_priv = client;
	atomic64_inc(&damf->counts.files);
	return 0;

err_free:
	kfree(client);
	return ret;
}

static void damf_postclose(struct drm_device *dev, struct drm_file *file)
{
	struct damf_file *client = file->driver_priv;
	struct damf_queue *q;
	unsigned long id;

	xa_for_each(&client->queues, id, q)
		damf_queue_close(q);
	xa_destroy(&client->queues);
	damf_vm_close(client->vm);
	kfree(client);
	atomic64_dec(&to_damf(dev)->counts.files);
}

/* ---- Query ------------------------------------------------------------------ */

static void damf_get_info(struct damf_device *damf, struct drm_damf_info *info)
{
	const struct damf_caps *caps = &damf->caps;

	*info = (struct drm_damf_info){
		.hw_version = caps->version,
		.max_queues = caps->max_queues,
		.features = caps->features,
		.opcodes = caps->opcodes,
		.types = caps->types,
		.modes = caps->modes,
		.local_size = caps->local_size,
		.max_tensor = caps->max_tensor,
		.clock_hz = caps->clock_hz,
		.max_jobs = caps->max_jobs,
		.max_rows = caps->max_rows,
		.max_seqs = caps->max_seqs,
		.max_width = caps->max_width,
		.max_heads = caps->max_heads,
		.max_length = caps->max_length,
		.va_bits = DAMF_VA_BITS,
		.max_entries = caps->max_entries,
		.scratchpad = caps->scratchpad,
		.macs_per_cycle = caps->macs_per_cycle,
		.bytes_per_cycle = caps->bytes_per_cycle,
		.energy_mac = caps->energy_mac,
		.energy_int8 = caps->energy_int8,
		.energy_shift = caps->energy_shift,
		.energy_exp = caps->energy_exp,
		.energy_div = caps->energy_div,
		.energy_scratch = caps->energy_scratch,
		.energy_memory = caps->energy_memory,
		.numerics = caps->numerics,
	};
	mutex_lock(&damf->local_lock);
	info->local_free = damf->local_free;
	mutex_unlock(&damf->local_lock);
}

static void damf_get_stats(struct damf_device *damf, struct drm_damf_stats *stats)
{
	const struct damf_stats *from = &damf->stats;

	*stats = (struct drm_damf_stats){
		.submits_ioctl = atomic64_read(&from->submits_ioctl),
		.submits_uring = atomic64_read(&from->submits_uring),
		.completions = atomic64_read(&from->completions),
		.doorbells = atomic64_read(&from->doorbells),
		.doorbells_saved = atomic64_read(&from->doorbells_saved),
		.interrupts = atomic64_read(&from->interrupts),
		.timeouts = atomic64_read(&from->timeouts),
		.resets = atomic64_read(&from->resets),
	};
}

static int damf_query_copy(struct drm_damf_dev_query *args, const void *from, u32 size)
{
	void __user *to = u64_to_user_ptr(args->pointer);
	u32 n = min(args->size, size);

	if (args->pointer) {
		if (copy_to_user(to, from, n))
			return -EFAULT;
		if (args->size > n && clear_user(to + n, args->size - n))
			return -EFAULT;
	}
	args->size = size;
	return 0;
}

static int damf_ioctl_dev_query(struct drm_device *dev, void *data, struct drm_file *file)
{
	struct damf_device *damf = to_damf(dev);
	struct drm_damf_dev_query *args = data;
	struct drm_damf_stats stats;
	struct drm_damf_info info;

	if (damf_lost(damf))
		return -ENODEV;
	switch (args->type) {
	case DRM_DAMF_QUERY_INFO:
		damf_get_info(damf, &info);
		return damf_query_copy(args, &info, sizeof(info));
	case DRM_DAMF_QUERY_STATS:
		damf_get_stats(damf, &stats);
		return damf_query_copy(args, &stats, sizeof(stats));
	default:
		return -EINVAL;
	}
}

/* ---- fdinfo ------------------------------------------------------------------ */

static void damf_add_memory(struct drm_memory_stats *stats, struct drm_gem_object *obj)
{
	if (drm_gem_object_is_shared_for_memory_stats(obj))
		stats->shared += obj->size;
	else
		stats->private += obj->size;
	if (obj->funcs->status(obj) & DRM_GEM_OBJECT_RESIDENT)
		stats->resident += obj->size;
}

static void damf_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct damf_file *client = file->driver_priv;
	struct drm_memory_stats system = { }, local = { };
	struct drm_gem_object *obj;
	int id;

	spin_lock(&file->table_lock);
	idr_for_each_entry(&file->object_idr, obj, id)
		damf_add_memory(to_damf_bo(obj)->local ? &local : &system, obj);
	spin_unlock(&file->table_lock);
	drm_printf(p, "drm-engine-damf:\t%lld ns\n", atomic64_read(&client->vm->busy_ns));
	drm_printf(p, "drm-cycles-damf:\t%lld\n", atomic64_read(&client->vm->cycles));
	drm_printf(p, "drm-maxfreq-damf:\t%llu Hz\n", client->damf->caps.clock_hz);
	drm_print_memory_stats(p, &system, DRM_GEM_OBJECT_RESIDENT, "system");
	drm_print_memory_stats(p, &local, DRM_GEM_OBJECT_RESIDENT, "local");
}

/* ---- The driver ---------------------------------------------------------------- */

static const struct drm_ioctl_desc damf_ioctls[] = {
#define DAMF_IOCTL(n, func) DRM_IOCTL_DEF_DRV(DAMF_##n, damf_ioctl_##func, 0)
	DAMF_IOCTL(DEV_QUERY, dev_query),
	DAMF_IOCTL(BO_CREATE, bo_create),
	DAMF_IOCTL(BO_MMAP_OFFSET, bo_mmap_offset),
	DAMF_IOCTL(BO_SYNC, bo_sync),
	DAMF_IOCTL(VM_MAP, vm_map),
	DAMF_IOCTL(VM_UNMAP, vm_unmap),
	DAMF_IOCTL(QUEUE_CREATE, queue_create),
	DAMF_IOCTL(QUEUE_DESTROY, queue_destroy),
	DAMF_IOCTL(SUBMIT, submit),
	DAMF_IOCTL(RESULT, result),
#undef DAMF_IOCTL
};

static const struct file_operations damf_fops = {
	.owner = THIS_MODULE,
	DRM_ACCEL_FOPS,
	.show_fdinfo = drm_show_fdinfo,
	.uring_cmd = damf_uring_cmd,
};

/*
 * Versions:
 * - 1.0: the first one
 */
const struct drm_driver damf_drm_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL | DRIVER_GEM | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE,
	.open = damf_open,
	.postclose = damf_postclose,
	.show_fdinfo = damf_show_fdinfo,
	.gem_create_object = damf_gem_create_object,
	.gem_prime_import_sg_table = drm_gem_shmem_prime_import_sg_table,
	.ioctls = damf_ioctls,
	.num_ioctls = ARRAY_SIZE(damf_ioctls),
	.fops = &damf_fops,
	.name = "damf",
	.desc = "DAMF transformer accelerator",
	.major = 1,
	.minor = 0,
};

static int __init damf_init(void)
{
	return pci_register_driver(&damf_pci_driver);
}
module_init(damf_init);

static void __exit damf_exit_module(void)
{
	pci_unregister_driver(&damf_pci_driver);
	/* Fences are freed by RCU, by a function of ours. */
	rcu_barrier();
}
module_exit(damf_exit_module);

MODULE_DESCRIPTION("DAMF transformer accelerator");
MODULE_LICENSE("GPL");
