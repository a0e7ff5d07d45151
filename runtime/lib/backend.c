// SPDX-License-Identifier: MIT
/* What the backends and the public functions share. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "backend.h"
#include "damf_hw.h"

/*
 * Huge pages pay for weights, which are all used. The work of a batch is a few
 * MiB, of which a short text would have whole huge pages cleared for it.
 */
#define HUGE_FROM (16ull << 20)

uint64_t damf_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

int damf_thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

void *damf_pages_alloc(uint64_t size)
{
	uint64_t align = size >= DAMF_LARGE_SIZE ? DAMF_LARGE_SIZE : DAMF_PAGE_SIZE;
	uint64_t total = size + align - DAMF_PAGE_SIZE;
	uintptr_t addr, start;
	char *map;

	if (total < size || total > SIZE_MAX)
		return NULL;
	map = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	addr = (uintptr_t)map;
	start = (addr + align - 1) & ~(uintptr_t)(align - 1);
	if (start > addr)
		munmap(map, start - addr);
	if (addr + total > start + size)
		munmap(map + (start - addr) + size, addr + total - start - size);
	map += start - addr;
	if (size >= HUGE_FROM)	/* a wish: faster, not needed */
		madvise(map, size, MADV_HUGEPAGE);
	return map;
}

void damf_pages_free(void *map, uint64_t size)
{
	if (map)
		munmap(map, size);
}

int damf_struct_in(void *dst, size_t dst_size, const void *src)
{
	size_t src_size, i;

	memcpy(&src_size, src, sizeof(src_size));
	if (src_size < sizeof(src_size))
		return -EINVAL;
	for (i = dst_size; i < src_size; i++)
		if (((const char *)src)[i])
			return -E2BIG;
	memset(dst, 0, dst_size);
	memcpy(dst, src, src_size < dst_size ? src_size : dst_size);
	memcpy(dst, &dst_size, sizeof(dst_size));
	return 0;
}

void damf_struct_out(void *dst, const void *src, size_t src_size)
{
	size_t dst_size, n;

	memcpy(&dst_size, dst, sizeof(dst_size));
	if (dst_size < sizeof(dst_size))
		return;
	n = dst_size < src_size ? dst_size : src_size;
	memset(dst, 0, dst_size);
	memcpy(dst, src, n);
	memcpy(dst, &dst_size, sizeof(dst_size));
}

int damf_status_errno(unsigned int status)
{
	switch (status) {
	case DAMF_ST_OK:
		return 0;
	case DAMF_ST_BAD_OPCODE:
	case DAMF_ST_BAD_VERSION:
		return -EOPNOTSUPP;
	case DAMF_ST_PAGE_FAULT:
		return -EFAULT;
	case DAMF_ST_CTX_STOPPED:
	case DAMF_ST_ABORTED:
		return -ECANCELED;
	case DAMF_ST_DMA_ERROR:
	case DAMF_ST_MEM_ERROR:
	case DAMF_ST_INTERNAL:
		return -EIO;
	case DAMF_ST_NO_RESOURCES:
		return -ENOMEM;
	case DAMF_ST_BUSY:
		return -EBUSY;
	default:
		return -EINVAL;
	}
}

int damf_error_lost(struct damf_device *dev, struct damf_error *err)
{
	return damf_error_set(err, -ENODEV,
			      "the %s %s is lost (removed, or failed beyond a reset): open it again, or another backend",
			      dev->path[0] ? "accelerator" : "device",
			      dev->path[0] ? dev->path : dev->ops->name);
}
