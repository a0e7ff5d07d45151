// SPDX-License-Identifier: GPL-2.0-only
/* Syncobjs, and fences of vgem's, which are signalled by hand. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <drm/vgem_drm.h>
#include <linux/dma-buf.h>
#include <linux/sync_file.h>

#include "damf_test.h"

struct drm_damf_sync sync_wait(__u32 handle, __u64 point)
{
	return (struct drm_damf_sync){
		.handle = handle,
		.flags = DRM_DAMF_SYNC_WAIT | (point ? DRM_DAMF_SYNC_TIMELINE : 0),
		.point = point,
	};
}

struct drm_damf_sync sync_signal(__u32 handle, __u64 point)
{
	return (struct drm_damf_sync){
		.handle = handle,
		.flags = DRM_DAMF_SYNC_SIGNAL | (point ? DRM_DAMF_SYNC_TIMELINE : 0),
		.point = point,
	};
}

void set_syncs(struct drm_damf_submit *s, struct drm_damf_sync *syncs, unsigned int count)
{
	s->syncs = (uintptr_t)syncs;
	s->sync_count = count;
	s->sync_stride = sizeof(*syncs);
}

int syncobj_create(int fd, __u32 *handle)
{
	struct drm_syncobj_create arg = { 0 };
	int r = damf_ioctl(fd, DRM_IOCTL_SYNCOBJ_CREATE, &arg);

	*handle = arg.handle;
	return r;
}

int syncobj_destroy(int fd, __u32 handle)
{
	struct drm_syncobj_destroy arg = { .handle = handle };

	return damf_ioctl(fd, DRM_IOCTL_SYNCOBJ_DESTROY, &arg);
}

int syncobj_wait(int fd, __u32 handle, __u64 point, __s64 timeout_ns, __u32 flags)
{
	struct drm_syncobj_timeline_wait timeline = {
		.handles = (uintptr_t)&handle,
		.points = (uintptr_t)&point,
		.timeout_nsec = (__s64)now_ns() + timeout_ns,
		.count_handles = 1,
		.flags = flags,
	};
	struct drm_syncobj_wait binary = {
		.handles = (uintptr_t)&handle,
		.timeout_nsec = timeline.timeout_nsec,
		.count_handles = 1,
		.flags = flags,
	};

	if (point)
		return damf_ioctl(fd, DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT, &timeline);
	return damf_ioctl(fd, DRM_IOCTL_SYNCOBJ_WAIT, &binary);
}

int syncobj_status(int fd, __u32 handle, int *status)
{
	struct drm_syncobj_handle arg = {
		.handle = handle,
		.flags = DRM_SYNCOBJ_HANDLE_TO_FD_FLAGS_EXPORT_SYNC_FILE,
	};
	struct sync_file_info info = { 0 };
	int r = damf_ioctl(fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &arg);

	if (r)
		return r;
	r = damf_ioctl(arg.fd, SYNC_IOC_FILE_INFO, &info);
	close(arg.fd);
	*status = info.status;
	return r;
}

/* ---- Fences of vgem's ---------------------------------------------------- */

static bool is_vgem(int fd)
{
	char name[16] = "";
	struct drm_version v = { .name = name, .name_len = sizeof(name) - 1 };

	return !damf_ioctl(fd, DRM_IOCTL_VERSION, &v) && !strcmp(name, "vgem");
}

int vgem_open(void)
{
	char path[32];
	int i, fd;

	for (i = 0; i < 16; i++) {
		snprintf(path, sizeof(path), "/dev/dri/card%d", i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (is_vgem(fd))
			return fd;
		close(fd);
	}
	return -ENODEV;
}

int vgem_create(int fd, __u64 size, __u32 *handle)
{
	struct drm_mode_create_dumb arg = {
		.width = 1024,
		.height = (__u32)((size + PAGE - 1) / PAGE),
		.bpp = 32,
	};
	int r = damf_ioctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, &arg);

	*handle = arg.handle;
	return r;
}

static int attach(struct hold *h)
{
	struct drm_vgem_fence_attach attach = { .flags = VGEM_FENCE_WRITE };
	struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_READ };
	int dmabuf, r;

	r = vgem_create(h->vgem, PAGE, &h->bo);
	if (r)
		return r;
	attach.handle = h->bo;
	r = damf_ioctl(h->vgem, DRM_IOCTL_VGEM_FENCE_ATTACH, &attach);
	if (r)
		return r;
	h->fence = attach.out_fence;
	dmabuf = gem_export(h->vgem, h->bo);
	if (dmabuf < 0)
		return dmabuf;
	r = damf_ioctl(dmabuf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export);
	close(dmabuf);
	h->sync_file = r ? -1 : export.fd;
	return r;
}

int hold_init(struct hold *h)
{
	int r;

	*h = (struct hold){ .vgem = vgem_open(), .sync_file = -1 };
	if (h->vgem < 0)
		return h->vgem;
	r = attach(h);
	if (r)
		hold_fini(h);
	return r == -ENODEV ? -EIO : r;
}

int hold_syncobj(struct hold *h, int fd, __u32 *handle)
{
	struct drm_syncobj_handle arg = {
		.flags = DRM_SYNCOBJ_FD_TO_HANDLE_FLAGS_IMPORT_SYNC_FILE,
		.fd = h->sync_file,
	};
	int r = syncobj_create(fd, handle);

	if (r)
		return r;
	arg.handle = *handle;
	return damf_ioctl(fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &arg);
}

int hold_release(struct hold *h)
{
	struct drm_vgem_fence_signal arg = { .fence = h->fence };

	return damf_ioctl(h->vgem, DRM_IOCTL_VGEM_FENCE_SIGNAL, &arg);
}

/* Closing vgem's file signals its fences. */
void hold_fini(struct hold *h)
{
	if (h->sync_file >= 0)
		close(h->sync_file);
	if (h->vgem >= 0)
		close(h->vgem);
	*h = (struct hold){ .vgem = -1, .sync_file = -1 };
}
