// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files in /sys/kernel/debug/accel/DEVICE:
 *
 * counts - what clients hold; when all files are closed everything is 0
 * queues - queues and what they are at
 * reset  - writing to it resets the device
 */
#include <linux/debugfs.h>

#include <drm/drm_debugfs.h>
#include <drm/drm_drv.h>

#include "damf_device.h"
#include "damf_drv.h"
#include "damf_mmu.h"
#include "damf_queue.h"

static int damf_show_counts(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;
	const struct damf_counts *counts = &to_damf(entry->dev)->counts;

	seq_printf(m, "files %lld\n", atomic64_read(&counts->files));
	seq_printf(m, "objects %lld\n", atomic64_read(&counts->objects));
	seq_printf(m, "local_objects %lld\n", atomic64_read(&counts->local_objects));
	seq_printf(m, "mappings %lld\n", atomic64_read(&counts->mappings));
	seq_printf(m, "tables %lld\n", atomic64_read(&counts->tables));
	seq_printf(m, "pages %lld\n", atomic64_read(&counts->pages));
	seq_printf(m, "contexts %lld\n", atomic64_read(&counts->contexts));
	seq_printf(m, "queues %lld\n", atomic64_read(&counts->queues));
	seq_printf(m, "lists %lld\n", atomic64_read(&counts->lists));
	return 0;
}

static int damf_show_queues(struct seq_file *m, void *data)
{
	struct drm_debugfs_entry *entry = m->private;
	struct damf_device *damf = to_damf(entry->dev);
	struct damf_queue *q;
	unsigned long id;

	mutex_lock(&damf->queue_lock);
	xa_for_each(&damf->queues, id, q)
		seq_printf(m, "%lu: context %u, priority %u, %u of %u entries, last list %llu\n",
			   id, q->vm->context, q->priority, READ_ONCE(q->inflight), q->entries,
			   READ_ONCE(q->seqno));
	mutex_unlock(&damf->queue_lock);
	return 0;
}

static const struct drm_debugfs_info damf_debugfs_files[] = {
	{ "counts", damf_show_counts, 0 },
	{ "queues", damf_show_queues, 0 },
};

static ssize_t damf_reset_write(struct file *file, const char __user *buf, size_t len,
				loff_t *pos)
{
	struct damf_device *damf = file->private_data;
	int ret, idx;

	ret = damf_enter(damf, &idx);
	if (ret)
		return ret;
	/* What a person asks for says nothing about the device. */
	atomic_set(&damf->reset_count, 0);
	damf_reset_schedule(damf, "asked for in debugfs");
	damf_exit(idx);
	damf_reset_wait(damf);
	return len;
}

static const struct file_operations damf_reset_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = damf_reset_write,
};

/**
 * damf_debugfs_init() - add our files
 * @damf: device
 */
void damf_debugfs_init(struct damf_device *damf)
{
	drm_debugfs_add_files(&damf->drm, damf_debugfs_files, ARRAY_SIZE(damf_debugfs_files));
	debugfs_create_file("reset", 0200, damf->drm.debugfs_root, damf, &damf_reset_fops);
}
