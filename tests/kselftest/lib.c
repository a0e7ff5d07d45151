// SPDX-License-Identifier: GPL-2.0-only
/* Clients of the driver, their buffers and queues. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "damf_test.h"

/* Whether driver damf has made the node. */
static bool is_ours(int minor)
{
	char path[64], target[256];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/accel/accel%d/device/driver", minor);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	slash = strrchr(target, '/');
	return slash && !strcmp(slash + 1, "damf");
}

int damf_minor(void)
{
	DIR *dir = opendir("/sys/class/accel");
	int best = -1, minor;
	struct dirent *e;

	if (!dir)
		return -1;
	while ((e = readdir(dir))) {
		if (sscanf(e->d_name, "accel%d", &minor) == 1 && is_ours(minor) &&
		    (best < 0 || minor < best))
			best = minor;
	}
	closedir(dir);
	return best;
}

int damf_open(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/accel/accel%d", damf_minor());
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int damf_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

int damf_query(int fd, __u32 type, void *to, __u32 size)
{
	struct drm_damf_dev_query q = {
		.type = type,
		.size = size,
		.pointer = (uintptr_t)to,
	};

	return damf_ioctl(fd, DRM_IOCTL_DAMF_DEV_QUERY, &q);
}

/* ---- Buffers ------------------------------------------------------------- */

int bo_create(int fd, __u64 size, __u32 flags, __u32 *handle)
{
	struct drm_damf_bo_create create = { .size = size, .flags = flags };
	int r = damf_ioctl(fd, DRM_IOCTL_DAMF_BO_CREATE, &create);

	*handle = create.handle;
	return r;
}

int bo_close(int fd, __u32 handle)
{
	struct drm_gem_close arg = { .handle = handle };

	return damf_ioctl(fd, DRM_IOCTL_GEM_CLOSE, &arg);
}

int bo_offset(int fd, __u32 handle, __u64 *offset)
{
	struct drm_damf_bo_mmap_offset arg = { .handle = handle };
	int r = damf_ioctl(fd, DRM_IOCTL_DAMF_BO_MMAP_OFFSET, &arg);

	*offset = arg.offset;
	return r;
}

int bo_sync(int fd, __u32 handle, __u32 flags, __u64 size)
{
	struct drm_damf_bo_sync arg = { .handle = handle, .flags = flags, .size = size };

	return damf_ioctl(fd, DRM_IOCTL_DAMF_BO_SYNC, &arg);
}

int vm_map(int fd, __u32 handle, __u32 flags, __u64 *va)
{
	struct drm_damf_vm_map arg = { .handle = handle, .flags = flags };
	int r = damf_ioctl(fd, DRM_IOCTL_DAMF_VM_MAP, &arg);

	*va = arg.va;
	return r;
}

int vm_unmap(int fd, __u64 va)
{
	struct drm_damf_vm_unmap arg = { .va = va };

	return damf_ioctl(fd, DRM_IOCTL_DAMF_VM_UNMAP, &arg);
}

int gem_export(int fd, __u32 handle)
{
	struct drm_prime_handle arg = { .handle = handle, .flags = DRM_CLOEXEC | DRM_RDWR };
	int r = damf_ioctl(fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &arg);

	return r ? r : arg.fd;
}

int gem_import(int fd, int dmabuf, __u32 *handle)
{
	struct drm_prime_handle arg = { .fd = dmabuf };
	int r = damf_ioctl(fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &arg);

	*handle = arg.handle;
	return r;
}

int buf_create(int fd, struct buf *b, __u64 size, __u32 bo_flags, __u32 map_flags)
{
	__u64 offset;
	int r;

	*b = (struct buf){ .size = size };
	r = bo_create(fd, size, bo_flags, &b->handle);
	if (r)
		return r;
	r = vm_map(fd, b->handle, map_flags, &b->va);
	if (!r)
		r = bo_offset(fd, b->handle, &offset);
	if (!r) {
		b->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
		if (b->map == MAP_FAILED)
			r = -errno;
	}
	if (r) {
		b->map = NULL;
		buf_free(fd, b);
	}
	return r;
}

/* What has been taken back already does no harm here. */
void buf_free(int fd, struct buf *b)
{
	if (b->map)
		munmap(b->map, b->size);
	if (b->va)
		vm_unmap(fd, b->va);
	if (b->handle)
		bo_close(fd, b->handle);
	*b = (struct buf){ 0 };
}

int buf_to_device(int fd, struct buf *b)
{
	return bo_sync(fd, b->handle, DRM_DAMF_SYNC_TO_DEVICE, b->size);
}

int buf_from_device(int fd, struct buf *b)
{
	return bo_sync(fd, b->handle, DRM_DAMF_SYNC_FROM_DEVICE, b->size);
}

/* ---- Queues and lists ---------------------------------------------------- */

int queue_create(int fd, __u32 priority, __u32 *entries, __u32 *id)
{
	struct drm_damf_queue_create arg = {
		.priority = priority,
		.entries = entries ? *entries : 0,
	};
	int r = damf_ioctl(fd, DRM_IOCTL_DAMF_QUEUE_CREATE, &arg);

	*id = arg.id;
	if (entries && !r)
		*entries = arg.entries;
	return r;
}

int queue_destroy(int fd, __u32 id)
{
	struct drm_damf_queue_destroy arg = { .id = id };

	return damf_ioctl(fd, DRM_IOCTL_DAMF_QUEUE_DESTROY, &arg);
}

int client_init(struct client *c)
{
	int r;

	*c = (struct client){ .fd = damf_open() };
	if (c->fd < 0)
		return c->fd;
	r = damf_query(c->fd, DRM_DAMF_QUERY_INFO, &c->info, sizeof(c->info));
	if (!r)
		r = buf_create(c->fd, &c->jobs, JOBS * sizeof(struct damf_job), 0, 0);
	if (!r)
		r = buf_create(c->fd, &c->data, DATA_SIZE, 0, 0);
	if (!r)
		r = queue_create(c->fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &c->queue);
	if (r)
		client_fini(c);
	return r;
}

void client_fini(struct client *c)
{
	if (c->fd < 0)
		return;
	if (c->queue)
		queue_destroy(c->fd, c->queue);
	buf_free(c->fd, &c->data);
	buf_free(c->fd, &c->jobs);
	close(c->fd);
	c->fd = -1;
}

struct drm_damf_submit list_of(struct client *c, unsigned int count)
{
	return (struct drm_damf_submit){
		.queue = c->queue,
		.list = c->jobs.va,
		.count = count,
	};
}

int submit(int fd, struct drm_damf_submit *s)
{
	return damf_ioctl(fd, DRM_IOCTL_DAMF_SUBMIT, s);
}

int result(int fd, __u32 queue, __u64 seqno, __s64 timeout_ns, struct drm_damf_result *res)
{
	*res = (struct drm_damf_result){
		.queue = queue,
		.seqno = seqno,
		.timeout_ns = timeout_ns,
	};
	return damf_ioctl(fd, DRM_IOCTL_DAMF_RESULT, res);
}

int run(struct client *c, unsigned int count, struct drm_damf_result *res)
{
	struct drm_damf_submit s = list_of(c, count);
	int r = buf_to_device(c->fd, &c->jobs);

	if (!r)
		r = submit(c->fd, &s);
	if (!r)
		r = result(c->fd, s.queue, s.seqno, WAIT_NS, res);
	if (!r)
		r = buf_from_device(c->fd, &c->data);
	return r;
}

int client_works(struct client *c, __u32 pattern)
{
	struct drm_damf_result res;
	int r;

	job_fill(&c->jobs, 0, c->data.va, 16, pattern);
	r = run(c, 1, &res);
	if (r || res.error)
		return r ? r : res.error;
	return is_filled(&c->data, 0, 16, pattern) ? 0 : -EIO;
}

/* ---- Time, and what the driver holds ------------------------------------- */

__u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000ull + (__u64)ts.tv_nsec;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* Kernels name the directory by the device, or by the number of the node. */
int debugfs_open(const char *name, int flags)
{
	char path[128], target[256];
	int minor = damf_minor(), fd;
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/accel/accel%d/device", minor);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -1;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%.64s/%.16s",
		 slash ? slash + 1 : target, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%d/%.16s", minor, name);
	return open(path, flags | O_CLOEXEC);
}

int counts_read(char *text, size_t size)
{
	int fd = debugfs_open("counts", O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return 0;
}

int counts_wait(const char *before)
{
	__u64 end = now_ns() + WAIT_NS;
	char now[1024];

	while (!counts_read(now, sizeof(now))) {
		if (!strcmp(now, before))
			return 0;
		if (now_ns() > end)
			break;
		sleep_ms(20);
	}
	fprintf(stderr, "# before:\n%s# now:\n%s", before, now);
	return -ETIME;
}
