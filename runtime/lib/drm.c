// SPDX-License-Identifier: MIT
/* The accelerator: opening it, its buffers, what it tells of itself. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>

#include "damf_hw.h"
#include "drm_backend.h"

int damf_drm_ioctl(int fd, unsigned long request, void *arg)
{
	int r;

	/* drmIoctl() would repeat on EAGAIN too, which here is an answer. */
	do {
		r = ioctl(fd, request, arg);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

int damf_drm_error(struct damf_device *dev, struct damf_error *err, int code, const char *what)
{
	if (code == -ENODEV) {
		atomic_store(&dev->lost, true);
		return damf_error_lost(dev, err);
	}
	return damf_error_set(err, code, "%s: %s: %s", dev->path, what, strerror(-code));
}

static int query(struct drm_device *drm, uint32_t type, void *to, uint32_t size)
{
	struct drm_damf_dev_query q = {
		.type = type,
		.size = size,
		.pointer = (uintptr_t)to,
	};

	return damf_drm_ioctl(drm->fd, DRM_IOCTL_DAMF_DEV_QUERY, &q);
}

/* ---- Open and close ------------------------------------------------------ */

static int drm_check(struct damf_device *dev, struct drm_device *drm, struct damf_error *err)
{
	int r = query(drm, DRM_DAMF_QUERY_INFO, &drm->info, sizeof(drm->info));

	if (r)
		return damf_drm_error(dev, err, r, "asking what it is");
	if (DAMF_VERSION_MAJOR(drm->info.hw_version) != DAMF_VERSION_MAJOR(DAMF_HW_VERSION))
		return damf_error_set(err, -EOPNOTSUPP,
				      "%s has hardware version %u.%u, this library knows %u.x: update libdamf",
				      dev->path, DAMF_VERSION_MAJOR(drm->info.hw_version),
				      DAMF_VERSION_MINOR(drm->info.hw_version),
				      DAMF_VERSION_MAJOR(DAMF_HW_VERSION));
	return 0;
}

static void choose_path(struct drm_device *drm, enum damf_submit_path wanted)
{
	if (wanted == DAMF_SUBMIT_IOCTL) {
		snprintf(drm->why, sizeof(drm->why), "ioctl was asked for");
		return;
	}
	drm->uring = damf_uring_probe(drm->fd, drm->why, sizeof(drm->why));
}

static int drm_open(struct damf_device *dev, const char *path,
		    const struct damf_device_options *opt, struct damf_error *err)
{
	struct drm_device *drm;
	int r = 0;

	if (path && strlen(path) >= sizeof(dev->path))
		return damf_error_set(err, -EINVAL, "device path of %zu bytes: at most %zu are possible",
				      strlen(path), sizeof(dev->path) - 1);
	if (path)
		snprintf(dev->path, sizeof(dev->path), "%s", path);
	else
		r = damf_drm_find("/sys", "/dev", "/boot", dev->path, sizeof(dev->path), err);
	if (r)
		return r;
	drm = calloc(1, sizeof(*drm));
	if (!drm)
		return damf_error_set(err, -ENOMEM, "no memory for a device");
	pthread_mutex_init(&drm->lock, NULL);
	dev->priv = drm;
	drm->fd = damf_drm_open_node(dev->path, err);
	r = drm->fd < 0 ? drm->fd : drm_check(dev, drm, err);
	if (r) {
		dev->ops->close(dev);
		return r;
	}
	choose_path(drm, opt->path);
	return 0;
}

static void drm_close(struct damf_device *dev)
{
	struct drm_device *drm = dev->priv;

	if (drm->fd >= 0)
		close(drm->fd);
	pthread_mutex_destroy(&drm->lock);
	free(drm);
}

static int drm_info(struct damf_device *dev, struct damf_device_info *info,
		    struct damf_error *err)
{
	struct drm_device *drm = dev->priv;
	struct drm_damf_info i;
	int r = query(drm, DRM_DAMF_QUERY_INFO, &i, sizeof(i));

	if (r)
		return damf_drm_error(dev, err, r, "asking what it is");
	pthread_mutex_lock(&drm->lock);
	snprintf(info->submit, sizeof(info->submit), "%s", drm->uring ? "io_uring" : "ioctl");
	snprintf(info->reason, sizeof(info->reason), "accelerator found; %s", drm->why);
	pthread_mutex_unlock(&drm->lock);
	info->hw_version = i.hw_version;
	info->max_jobs = i.max_jobs;
	info->max_rows = i.max_rows;
	info->max_seqs = i.max_seqs;
	info->max_width = i.max_width;
	info->max_heads = i.max_heads;
	info->max_length = i.max_length;
	info->features = i.features;
	info->opcodes = i.opcodes;
	info->types = i.types;
	info->modes = i.modes;
	info->local_size = i.local_size;
	info->local_free = i.local_free;
	info->max_tensor = i.max_tensor;
	info->clock_hz = i.clock_hz;
	info->numerics = i.numerics;
	info->macs_per_cycle = i.macs_per_cycle;
	info->bytes_per_cycle = i.bytes_per_cycle;
	info->energy_mac = i.energy_mac;
	info->energy_int8 = i.energy_int8;
	info->energy_shift = i.energy_shift;
	info->energy_exp = i.energy_exp;
	info->energy_div = i.energy_div;
	info->energy_scratch = i.energy_scratch;
	info->energy_memory = i.energy_memory;
	info->scratchpad = i.scratchpad;
	return 0;
}

static int drm_stats(struct damf_device *dev, struct damf_device_stats *stats,
		     struct damf_error *err)
{
	struct drm_device *drm = dev->priv;
	struct drm_damf_stats s;
	int r = query(drm, DRM_DAMF_QUERY_STATS, &s, sizeof(s));

	if (r)
		return damf_drm_error(dev, err, r, "asking for its counts");
	stats->submits_ioctl = s.submits_ioctl;
	stats->submits_uring = s.submits_uring;
	stats->completions = s.completions;
	stats->doorbells = s.doorbells;
	stats->doorbells_saved = s.doorbells_saved;
	stats->interrupts = s.interrupts;
	stats->timeouts = s.timeouts;
	stats->resets = s.resets;
	return 0;
}

/* ---- Buffers ------------------------------------------------------------- */

static int bo_error(struct damf_buffer *buf, struct damf_error *err, int code, const char *what)
{
	struct drm_device *drm = buf->dev->priv;
	struct drm_damf_info i = { 0 };

	if (!(buf->flags & DAMF_BUFFER_LOCAL) || (code != -ENOSPC && code != -ENOMEM))
		return damf_drm_error(buf->dev, err, code, what);
	query(drm, DRM_DAMF_QUERY_INFO, &i, sizeof(i));
	return damf_error_set(err, code,
			      "%s: local memory has no room for %" PRIu64 " bytes (%" PRIu64 " of %" PRIu64 " are free): free buffers, or use system memory",
			      buf->dev->path, buf->size, (uint64_t)i.local_free,
			      (uint64_t)i.local_size);
}

static int bo_map(struct damf_buffer *buf, struct damf_error *err)
{
	struct drm_device *drm = buf->dev->priv;
	struct drm_damf_bo_mmap_offset off = { .handle = buf->handle };
	struct drm_damf_vm_map map = { .handle = buf->handle };
	int r;

	r = damf_drm_ioctl(drm->fd, DRM_IOCTL_DAMF_BO_MMAP_OFFSET, &off);
	if (r)
		return damf_drm_error(buf->dev, err, r, "asking where to map a buffer");
	if (buf->flags & DAMF_BUFFER_READONLY)
		map.flags |= DRM_DAMF_MAP_READONLY;
	r = damf_drm_ioctl(drm->fd, DRM_IOCTL_DAMF_VM_MAP, &map);
	if (r)
		return damf_drm_error(buf->dev, err, r, "mapping a buffer for the device");
	buf->va = map.va;
	buf->map = mmap(NULL, buf->size, PROT_READ | PROT_WRITE, MAP_SHARED, drm->fd,
			(off_t)off.offset);
	if (buf->map == MAP_FAILED) {
		struct drm_damf_vm_unmap unmap = { .va = map.va };

		r = -errno;
		damf_drm_ioctl(drm->fd, DRM_IOCTL_DAMF_VM_UNMAP, &unmap);
		return damf_drm_error(buf->dev, err, r, "mapping a buffer for the CPU");
	}
	return 0;
}

static void bo_close(struct damf_buffer *buf)
{
	struct drm_device *drm = buf->dev->priv;
	struct drm_gem_close close_handle = { .handle = buf->handle };

	drmIoctl(drm->fd, DRM_IOCTL_GEM_CLOSE, &close_handle);
}

static int drm_buffer_create(struct damf_buffer *buf, struct damf_error *err)
{
	struct drm_device *drm = buf->dev->priv;
	struct drm_damf_bo_create create = { .size = buf->size };
	int r;

	if (buf->flags & DAMF_BUFFER_LOCAL)
		create.flags |= DRM_DAMF_BO_LOCAL;
	r = damf_drm_ioctl(drm->fd, DRM_IOCTL_DAMF_BO_CREATE, &create);
	if (r)
		return bo_error(buf, err, r, "creating a buffer");
	buf->handle = create.handle;
	buf->size = create.size;
	r = bo_map(buf, err);
	if (r)
		bo_close(buf);
	return r;
}

static void drm_buffer_destroy(struct damf_buffer *buf)
{
	struct drm_device *drm = buf->dev->priv;
	struct drm_damf_vm_unmap unmap = { .va = buf->va };

	munmap(buf->map, buf->size);
	/* A device that is gone has forgotten its mappings already. */
	damf_drm_ioctl(drm->fd, DRM_IOCTL_DAMF_VM_UNMAP, &unmap);
	bo_close(buf);
}

static int drm_buffer_sync(struct damf_buffer *buf, uint64_t offset, uint64_t size,
			   bool to_device, struct damf_error *err)
{
	struct drm_device *drm = buf->dev->priv;
	struct drm_damf_bo_sync sync = {
		.handle = buf->handle,
		.flags = to_device ? DRM_DAMF_SYNC_TO_DEVICE : DRM_DAMF_SYNC_FROM_DEVICE,
		.offset = offset,
		.size = size,
	};
	int r = damf_drm_ioctl(drm->fd, DRM_IOCTL_DAMF_BO_SYNC, &sync);

	return r ? damf_drm_error(buf->dev, err, r, "handing a buffer over") : 0;
}

const struct damf_backend damf_backend_device = {
	.name = "device",
	.open = drm_open,
	.close = drm_close,
	.info = drm_info,
	.stats = drm_stats,
	.buffer_create = drm_buffer_create,
	.buffer_destroy = drm_buffer_destroy,
	.buffer_sync = drm_buffer_sync,
	.queue_create = damf_drm_queue_create,
	.queue_destroy = damf_drm_queue_destroy,
	.submit = damf_drm_submit,
	.reap = damf_drm_reap,
};
