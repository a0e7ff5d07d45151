// SPDX-License-Identifier: GPL-2.0-only
/* io_uring by its system calls, and either way of submitting a list. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "damf_test.h"

#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)

static int enter(struct ring *r, unsigned int submit, unsigned int wait, unsigned int flags,
		 const void *arg, size_t size)
{
	long n = syscall(SYS_io_uring_enter, r->fd, submit, wait, flags, arg, size);

	return n < 0 ? -errno : (int)n;
}

static int map_rings(struct ring *r, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	unsigned int *array, i;
	char *base;

	r->rings_size = sq > cq ? sq : cq;
	r->sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
	r->rings = mmap(NULL, r->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			r->fd, IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, r->sqes_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		       r->fd, IORING_OFF_SQES);
	if (r->rings == MAP_FAILED || r->sqes == MAP_FAILED)
		return -ENOMEM;
	base = r->rings;
	r->sq_head = (unsigned int *)(base + p->sq_off.head);
	r->sq_tail = (unsigned int *)(base + p->sq_off.tail);
	r->sq_flags = (unsigned int *)(base + p->sq_off.flags);
	r->sq_mask = *(unsigned int *)(base + p->sq_off.ring_mask);
	r->cq_head = (unsigned int *)(base + p->cq_off.head);
	r->cq_tail = (unsigned int *)(base + p->cq_off.tail);
	r->cq_mask = *(unsigned int *)(base + p->cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(base + p->cq_off.cqes);
	array = (unsigned int *)(base + p->sq_off.array);
	for (i = 0; i < p->sq_entries; i++)
		array[i] = i;
	return 0;
}

int ring_init(struct ring *r, unsigned int entries, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };
	int ret;

	*r = (struct ring){ .flags = flags, .rings = MAP_FAILED, .sqes = MAP_FAILED };
	r->fd = (int)syscall(SYS_io_uring_setup, entries, &p);
	if (r->fd < 0)
		return -errno;
	r->entries = p.sq_entries;
	ret = map_rings(r, &p);
	if (ret)
		ring_fini(r);
	return ret;
}

void ring_fini(struct ring *r)
{
	if (r->sqes != MAP_FAILED)
		munmap(r->sqes, r->sqes_size);
	if (r->rings != MAP_FAILED)
		munmap(r->rings, r->rings_size);
	if (r->fd >= 0)
		close(r->fd);
	*r = (struct ring){ .fd = -1, .rings = MAP_FAILED, .sqes = MAP_FAILED };
}

struct io_uring_sqe *ring_prep(struct ring *r, int fd, struct drm_damf_submit *s, __u64 data)
{
	unsigned int tail = *r->sq_tail + r->pending;
	struct io_uring_sqe *sqe = &r->sqes[tail & r->sq_mask];

	if (tail - load(r->sq_head) >= r->entries)
		return NULL;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = DRM_IOCTL_DAMF_SUBMIT;
	sqe->addr = (uintptr_t)s;
	sqe->user_data = data;
	r->pending++;
	return sqe;
}

/* Until the kernel's thread has taken all entries. */
static int enter_sqpoll(struct ring *r, unsigned int n)
{
	__u64 end = now_ns() + WAIT_NS;

	while (load(r->sq_head) != *r->sq_tail) {
		if (load(r->sq_flags) & IORING_SQ_NEED_WAKEUP)
			enter(r, n, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0);
		if (now_ns() > end)
			return -ETIME;
		sleep_ms(1);
	}
	return (int)n;
}

int ring_enter(struct ring *r)
{
	unsigned int n = r->pending;

	store(r->sq_tail, *r->sq_tail + n);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	r->pending = 0;
	if (r->flags & IORING_SETUP_SQPOLL)
		return enter_sqpoll(r, n);
	return enter(r, n, 0, 0, NULL, 0);
}

int ring_wait(struct ring *r, struct io_uring_cqe *cqe, __s64 timeout_ns)
{
	struct __kernel_timespec ts = { timeout_ns / SECOND, timeout_ns % SECOND };
	struct io_uring_getevents_arg arg = { .sigmask_sz = _NSIG / 8, .ts = (uintptr_t)&ts };
	unsigned int head = *r->cq_head;
	int n;

	if (head == load(r->cq_tail)) {
		n = enter(r, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
			  sizeof(arg));
		if (n < 0 && n != -ETIME)
			return n;
		if (head == load(r->cq_tail))
			return -ETIME;
	}
	*cqe = r->cqes[head & r->cq_mask];
	store(r->cq_head, head + 1);
	return 0;
}

/* ---- Either way of submitting -------------------------------------------- */

int path_init(struct path *p, struct client *c, bool uring)
{
	*p = (struct path){ .c = c, .uring = uring };
	return uring ? ring_init(&p->ring, PATH_LISTS, 0) : 0;
}

void path_fini(struct path *p)
{
	if (p->uring)
		ring_fini(&p->ring);
}

/* Takes completions until that of s is there. */
static int path_reap(struct path *p, struct drm_damf_submit *s, __s64 timeout_ns, int *res)
{
	struct io_uring_cqe cqe;
	unsigned int i;
	int r;

	for (;;) {
		for (i = 0; i < p->ended; i++) {
			if (p->cqes[i].user_data == (uintptr_t)s) {
				*res = p->cqes[i].res;
				p->cqes[i] = p->cqes[--p->ended];
				return 0;
			}
		}
		r = ring_wait(&p->ring, &cqe, timeout_ns);
		if (r)
			return r;
		if (p->ended == PATH_LISTS)
			return -EOVERFLOW;
		p->cqes[p->ended++] = cqe;
	}
}

static __u64 seqno_of(struct drm_damf_submit *s)
{
	return __atomic_load_n(&s->seqno, __ATOMIC_ACQUIRE);
}

int path_submit(struct path *p, struct drm_damf_submit *s)
{
	__u64 end = now_ns() + WAIT_NS;
	int r, res;

	if (!p->uring)
		return submit(p->c->fd, s);
	s->seqno = 0;
	if (!ring_prep(&p->ring, p->c->fd, s, (uintptr_t)s))
		return -EOVERFLOW;
	r = ring_enter(&p->ring);
	if (r != 1)
		return r < 0 ? r : -EIO;
	while (!seqno_of(s)) {
		r = path_reap(p, s, MS, &res);
		if (!r && !seqno_of(s))
			return res ? res : -EPROTO;
		if (!r)
			p->cqes[p->ended++] = (struct io_uring_cqe){
				.user_data = (uintptr_t)s,
				.res = res,
			};
		if (now_ns() > end)
			return -ETIME;
	}
	return 0;
}

int path_wait(struct path *p, struct drm_damf_submit *s, struct drm_damf_result *res)
{
	int r, ended;

	if (!p->uring)
		return result(p->c->fd, s->queue, s->seqno, WAIT_NS, res);
	r = path_reap(p, s, WAIT_NS, &ended);
	if (!r)
		r = result(p->c->fd, s->queue, s->seqno, 0, res);
	if (!r && ended != res->error)
		r = -EPROTO;
	return r;
}

int path_run(struct path *p, struct drm_damf_submit *s, struct drm_damf_result *res)
{
	int r = buf_to_device(p->c->fd, &p->c->jobs);

	if (!r)
		r = path_submit(p, s);
	if (!r)
		r = path_wait(p, s, res);
	if (!r)
		r = buf_from_device(p->c->fd, &p->c->data);
	return r;
}
