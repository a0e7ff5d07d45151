// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>

#include "damf_core.h"
#include "damf_hw.h"
#include "damf_kernels.h"
#include "drm/damf_accel.h"
#include "fakedrv.h"

#define MEMORY		(1ull << 30)	/* of a client, sparse */
#define LOCAL		(8ull << 20)
#define VA_OFFSET	(1ull << 33)
#define MAX_CLIENTS	8
#define MAX_BUFFERS	4096
#define MAX_QUEUES	64
#define MAX_RESULTS	64

struct buffer {
	uint64_t offset, size;
	bool open, mapped, readonly, local;
};

struct queue {
	bool open, uring;
	uint64_t seqno;
	struct damf_list_result results[MAX_RESULTS];
};

struct client {
	int fd;
	char *memory;
	uint64_t used, local;
	unsigned int buffers, queues;
	struct buffer buffer[MAX_BUFFERS + 1];
	struct queue queue[MAX_QUEUES + 1];
	struct damf_direct *direct;
};

struct fakedrv fakedrv;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct client *clients[MAX_CLIENTS];
static struct damf_par par = { .threads = 1 };
static unsigned int ticks;

/* The C library's own, which the function here hides. */
static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static bool one_of(unsigned int n)
{
	return n && ++ticks % n == 0;
}

static void *translate(void *opaque, uint64_t va, uint64_t len, bool write)
{
	struct client *c = opaque;
	unsigned int i;

	for (i = 1; i <= c->buffers; i++) {
		struct buffer *b = &c->buffer[i];
		uint64_t at = va - VA_OFFSET - b->offset;

		if (b->mapped && at < b->size && len <= b->size - at)
			return write && b->readonly ? NULL : c->memory + b->offset + at;
	}
	return NULL;
}

/* ---- open() and close() --------------------------------------------------- */

static int client_open(unsigned int i)
{
	static const struct damf_direct_ops ops = { .translate = translate };
	struct client *c = calloc(1, sizeof(*c));
	struct damf_core_config cfg;

	damf_core_config_init(&cfg);
	cfg.par = &par;
	c->fd = memfd_create("fakedrv", MFD_CLOEXEC);
	if (c->fd < 0 || ftruncate(c->fd, MEMORY))
		abort();
	c->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	c->direct = damf_direct_new(&cfg, &ops, c, NULL, 0);
	if (c->memory == MAP_FAILED || !c->direct)
		abort();
	clients[i] = c;
	fakedrv.clients++;
	return c->fd;
}

FAKEDRV_SHOWN int open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, int) = (int (*)(const char *, int, int))real("open");
	unsigned int i;
	va_list ap;
	int mode, fd = -1;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, int) : 0;
	va_end(ap);
	if (strcmp(path, FAKEDRV_NODE))
		return next(path, flags, mode);
	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_CLIENTS && fd < 0; i++)
		if (!clients[i])
			fd = client_open(i);
	pthread_mutex_unlock(&lock);
	return fd;
}

static struct client *client_of(int fd)
{
	unsigned int i;

	for (i = 0; i < MAX_CLIENTS; i++)
		if (clients[i] && clients[i]->fd == fd)
			return clients[i];
	return NULL;
}

FAKEDRV_SHOWN int close(int fd)
{
	int (*next)(int) = (int (*)(int))real("close");
	unsigned int i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_CLIENTS; i++) {
		struct client *c = clients[i];

		if (!c || c->fd != fd)
			continue;
		damf_direct_free(c->direct);
		munmap(c->memory, MEMORY);
		free(c);
		clients[i] = NULL;
		fakedrv.clients--;
	}
	pthread_mutex_unlock(&lock);
	return next(fd);
}

/* ---- ioctl() --------------------------------------------------------------- */

static int get_version(struct drm_version *v)
{
	if (v->name && v->name_len)
		memcpy(v->name, "damf", 4);
	v->name_len = 4;
	v->date_len = v->desc_len = 1;
	return 0;
}

static int get_query(struct client *c, const struct drm_damf_dev_query *q)
{
	struct drm_damf_info info = {
		.hw_version = DAMF_HW_VERSION, .max_jobs = 4096, .max_rows = 1,
		.max_width = 1, .max_heads = 1, .opcodes = ~0ull, .types = ~0ull,
		.max_entries = MAX_RESULTS, .local_size = LOCAL, .local_free = LOCAL - c->local,
	};
	struct drm_damf_stats stats = {
		.submits_ioctl = fakedrv.submits_ioctl, .submits_uring = fakedrv.submits_uring,
		.completions = fakedrv.submits_ioctl + fakedrv.submits_uring,
	};
	bool is_info = q->type == DRM_DAMF_QUERY_INFO;

	if (q->size != (is_info ? sizeof(info) : sizeof(stats)))
		return -EINVAL;
	memcpy((void *)(uintptr_t)q->pointer, is_info ? (void *)&info : (void *)&stats, q->size);
	return 0;
}

static int bo_create(struct client *c, struct drm_damf_bo_create *create)
{
	bool local = create->flags & DRM_DAMF_BO_LOCAL;

	if (!create->size || create->flags & ~DRM_DAMF_BO_LOCAL || c->buffers == MAX_BUFFERS)
		return -EINVAL;
	if ((local && create->size > LOCAL - c->local) || create->size > MEMORY - c->used)
		return -ENOSPC;
	create->handle = ++c->buffers;
	c->buffer[create->handle] = (struct buffer){
		.offset = c->used, .size = create->size, .open = true, .local = local,
	};
	c->used += create->size + DAMF_PAGE_SIZE;
	c->local += local ? create->size : 0;
	fakedrv.buffers++;
	return 0;
}

static struct buffer *buffer_of(struct client *c, uint32_t handle)
{
	return handle && handle <= c->buffers && c->buffer[handle].open ? &c->buffer[handle] : NULL;
}

static int bo_close(struct client *c, const struct drm_gem_close *gem)
{
	struct buffer *b = buffer_of(c, gem->handle);

	if (!b)
		return -EINVAL;
	b->open = false;
	c->local -= b->local ? b->size : 0;
	fakedrv.buffers--;
	return 0;
}

static int bo_offset(struct client *c, struct drm_damf_bo_mmap_offset *m)
{
	struct buffer *b = buffer_of(c, m->handle);

	if (!b || m->pad)
		return -EINVAL;
	m->offset = b->offset;
	return 0;
}

static int bo_sync(struct client *c, const struct drm_damf_bo_sync *s)
{
	struct buffer *b = buffer_of(c, s->handle);

	return !b || !s->flags || s->offset > b->size || s->size > b->size - s->offset ? -EINVAL : 0;
}

static int vm_map(struct client *c, struct drm_damf_vm_map *m)
{
	struct buffer *b = buffer_of(c, m->handle);

	if (!b || b->mapped || m->offset || m->size || m->flags & ~DRM_DAMF_MAP_READONLY)
		return -EINVAL;
	b->mapped = true;
	b->readonly = m->flags;
	m->va = VA_OFFSET + b->offset;
	fakedrv.maps++;
	return 0;
}

static int vm_unmap(struct client *c, const struct drm_damf_vm_unmap *m)
{
	unsigned int i;

	for (i = 1; i <= c->buffers; i++)
		if (c->buffer[i].mapped && c->buffer[i].offset + VA_OFFSET == m->va) {
			c->buffer[i].mapped = false;
			fakedrv.maps--;
			return 0;
		}
	return -EINVAL;
}

static int queue_create(struct client *c, struct drm_damf_queue_create *q)
{
	if (q->flags || q->id || q->priority > 2 || c->queues == MAX_QUEUES ||
	    q->entries > MAX_RESULTS || q->entries & (q->entries - 1))
		return -EINVAL;
	q->id = ++c->queues;
	c->queue[q->id].open = true;
	fakedrv.queues++;
	return 0;
}

static struct queue *queue_of(struct client *c, uint32_t id)
{
	return id && id <= c->queues && c->queue[id].open ? &c->queue[id] : NULL;
}

static int queue_destroy(struct client *c, const struct drm_damf_queue_destroy *d)
{
	struct queue *q = queue_of(c, d->id);

	if (!q || d->pad)
		return -EINVAL;
	q->open = false;
	fakedrv.queues--;
	return 0;
}

static int submit(struct client *c, struct drm_damf_submit *s, unsigned int *count)
{
	struct queue *q = queue_of(c, s->queue);

	if (!q)
		return -ENOENT;
	if (!s->count || s->list % 64 || s->flags & ~DRM_DAMF_SUBMIT_REPLAYABLE || s->seqno)
		return -EINVAL;
	damf_direct_run(c->direct, s->list, s->count, s->first, s->counters,
			&q->results[++q->seqno % MAX_RESULTS]);
	s->seqno = q->seqno;
	q->uring = count == &fakedrv.submits_uring;
	++*count;
	return 0;
}

static int get_result(struct client *c, struct drm_damf_result *r)
{
	struct queue *q = queue_of(c, r->queue);
	const struct damf_list_result *from;

	if (!q || !r->seqno || r->seqno > q->seqno)
		return -ENOENT;
	if (one_of(fakedrv.eintr))
		return -EINTR;
	if (!r->timeout_ns && q->uring && one_of(fakedrv.late))
		return -ETIME;
	from = &q->results[r->seqno % MAX_RESULTS];
	r->status = from->status;
	r->field = from->field;
	r->index = from->index;
	r->fault_addr = from->fault_addr;
	r->cycles = from->cycles;
	r->error = !from->status ? 0 : from->status == DAMF_ST_PAGE_FAULT ? -EFAULT : -EINVAL;
	r->start_ns = r->end_ns = 1;
	return 0;
}

/* Every list has ended when its submission returns, so the event is due. */
static int syncobj_eventfd(const void *arg)
{
	uint64_t one = 1;
	int32_t fd;

	memcpy(&fd, (const char *)arg + 16, sizeof(fd));
	return write(fd, &one, sizeof(one)) == sizeof(one) ? 0 : -EINVAL;
}

static int dispatch(struct client *c, unsigned long request, void *arg)
{
	if (fakedrv.gone && request != DRM_IOCTL_VERSION)
		return -ENODEV;
	switch (request) {
	case DRM_IOCTL_VERSION:
		return get_version(arg);
	case DRM_IOCTL_DAMF_DEV_QUERY:
		return get_query(c, arg);
	case DRM_IOCTL_DAMF_BO_CREATE:
		return bo_create(c, arg);
	case DRM_IOCTL_GEM_CLOSE:
		return bo_close(c, arg);
	case DRM_IOCTL_DAMF_BO_MMAP_OFFSET:
		return bo_offset(c, arg);
	case DRM_IOCTL_DAMF_BO_SYNC:
		return bo_sync(c, arg);
	case DRM_IOCTL_DAMF_VM_MAP:
		return vm_map(c, arg);
	case DRM_IOCTL_DAMF_VM_UNMAP:
		return vm_unmap(c, arg);
	case DRM_IOCTL_DAMF_QUEUE_CREATE:
		return queue_create(c, arg);
	case DRM_IOCTL_DAMF_QUEUE_DESTROY:
		return queue_destroy(c, arg);
	case DRM_IOCTL_DAMF_SUBMIT:
		return submit(c, arg, &fakedrv.submits_ioctl);
	case DRM_IOCTL_DAMF_RESULT:
		return get_result(c, arg);
	case DRM_IOCTL_SYNCOBJ_CREATE:
		((struct drm_syncobj_create *)arg)->handle = (uint32_t)++fakedrv.syncobjs;
		return 0;
	case DRM_IOCTL_SYNCOBJ_DESTROY:
		fakedrv.syncobjs--;
		return 0;
	case DRM_IOWR(0xCF, char[24]):
		return syncobj_eventfd(arg);
	default:
		return -ENOTTY;
	}
}

FAKEDRV_SHOWN int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int, unsigned long, void *) = (int (*)(int, unsigned long, void *))real("ioctl");
	struct client *c;
	va_list ap;
	void *arg;
	int r = 0;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	pthread_mutex_lock(&lock);
	c = client_of(fd);
	if (c)
		r = dispatch(c, request, arg);
	pthread_mutex_unlock(&lock);
	if (!c)
		return next(fd, request, arg);
	if (r)
		errno = -r;
	return r ? -1 : 0;
}

int fakedrv_command(int fd, struct drm_damf_submit *s)
{
	struct client *c;
	int r = -EOPNOTSUPP;

	pthread_mutex_lock(&lock);
	c = client_of(fd);
	if (c && !fakedrv.no_uring)
		r = fakedrv.gone ? -ENODEV : submit(c, s, &fakedrv.submits_uring);
	pthread_mutex_unlock(&lock);
	return r;
}

unsigned int fakedrv_tick(void)
{
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = ++ticks;
	pthread_mutex_unlock(&lock);
	return n;
}
