// SPDX-License-Identifier: GPL-2.0-only
/* Buffers: contents, mappings of the CPU, sharing, and running out of memory. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

#define SIZE (64 << 10)

FIXTURE(gem)
{
	struct client c;
};

FIXTURE_VARIANT(gem)
{
	__u32 flags;
};

FIXTURE_VARIANT_ADD(gem, system)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(gem, local)
{
	.flags = DRM_DAMF_BO_LOCAL,
};

FIXTURE_SETUP(gem)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	if (variant->flags && !self->c.info.local_size) {
		client_fini(&self->c);
		SKIP(return, "the device has no local memory");
	}
}

FIXTURE_TEARDOWN(gem)
{
	client_fini(&self->c);
}

TEST_F(gem, size_is_rounded_up)
{
	const __u64 t[][2] = {
		{ 1, PAGE }, { PAGE - 1, PAGE }, { PAGE, PAGE }, { PAGE + 1, 2 * PAGE },
		{ 1 << 20, 1 << 20 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct drm_damf_bo_create arg = { .size = t[i][0], .flags = variant->flags };

		ASSERT_EQ(0, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_BO_CREATE, &arg));
		EXPECT_EQ(t[i][1], arg.size);
		EXPECT_NE(0, arg.handle);
		EXPECT_EQ(0, bo_close(self->c.fd, arg.handle));
	}
}

/* New memory holds nothing of who had it before, for CPU and device alike. */
TEST_F(gem, zero)
{
	const __u32 size = 4 << 20;
	struct drm_damf_result res;
	struct buf b;
	int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, buf_create(self->c.fd, &b, size, variant->flags, 0));
		EXPECT_TRUE(is_filled(&b, 0, size / 4, 0));
		job_fill(&self->c.jobs, 0, self->c.data.va, 16384, 1);
		job_copy(&self->c.jobs, 1, self->c.data.va, b.va + size - 65536, 65536);
		job_fill(&self->c.jobs, 2, b.va, size / 4, 0xdeadbeef);
		ASSERT_EQ(0, run(&self->c, 3, &res));
		ASSERT_EQ(0, res.error);
		EXPECT_TRUE(is_filled(&self->c.data, 0, 16384, 0));
		ASSERT_EQ(0, buf_from_device(self->c.fd, &b));
		EXPECT_TRUE(is_filled(&b, 0, size / 4, 0xdeadbeef));
		buf_free(self->c.fd, &b);
	}
}

/* What the CPU writes the device reads, and the other way round. */
TEST_F(gem, cpu_and_device)
{
	struct buf from, to;
	struct drm_damf_result res;
	unsigned int i;

	ASSERT_EQ(0, buf_create(self->c.fd, &from, SIZE, variant->flags, 0));
	ASSERT_EQ(0, buf_create(self->c.fd, &to, SIZE, variant->flags, 0));
	for (i = 0; i < SIZE / 4; i++)
		((__u32 *)from.map)[i] = i * 2654435761u;
	ASSERT_EQ(0, buf_to_device(self->c.fd, &from));
	job_copy(&self->c.jobs, 0, to.va, from.va, SIZE);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	ASSERT_EQ(0, res.error);
	ASSERT_EQ(0, buf_from_device(self->c.fd, &to));
	for (i = 0; i < SIZE / 4; i++) {
		ASSERT_EQ(i * 2654435761u, ((__u32 *)to.map)[i]);
	}
	buf_free(self->c.fd, &from);
	buf_free(self->c.fd, &to);
}

/* Contents stay when nobody has it mapped. */
TEST_F(gem, mmap_again)
{
	__u64 offset;
	__u32 handle;
	char *p;
	int i;

	ASSERT_EQ(0, bo_create(self->c.fd, SIZE, variant->flags, &handle));
	ASSERT_EQ(0, bo_offset(self->c.fd, handle, &offset));
	for (i = 0; i < 3; i++) {
		p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->c.fd,
			 (off_t)offset);
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(i, p[0]);
		EXPECT_EQ(i, p[SIZE - 1]);
		p[0]++;
		p[SIZE - 1]++;
		ASSERT_EQ(0, munmap(p, SIZE));
	}
}

TEST_F(gem, mmap_outlives_handle)
{
	__u64 offset;
	__u32 handle;
	char *p;

	ASSERT_EQ(0, bo_create(self->c.fd, SIZE, variant->flags, &handle));
	ASSERT_EQ(0, bo_offset(self->c.fd, handle, &offset));
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, self->c.fd, (off_t)offset);
	ASSERT_NE(MAP_FAILED, p);
	p[1] = 1;
	ASSERT_EQ(0, bo_close(self->c.fd, handle));
	EXPECT_EQ(1, p[1]);
	p[SIZE - 1] = 2;
	EXPECT_EQ(2, p[SIZE - 1]);
	ASSERT_EQ(0, munmap(p, SIZE));
	/* the offset belongs to nobody now */
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self->c.fd, (off_t)offset);
	EXPECT_EQ(MAP_FAILED, p);
	EXPECT_EQ(EINVAL, errno);
}

static int mmap_error(int fd, __u64 offset, __u64 size, int prot, int flags)
{
	void *p = mmap(NULL, size, prot, flags, fd, (off_t)offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, size);
	return 0;
}

TEST_F(gem, mmap_limits)
{
	const int rw = PROT_READ | PROT_WRITE, fd = self->c.fd;
	__u32 handle, guard;
	__u64 offset;
	void *p;

	ASSERT_EQ(0, bo_create(fd, SIZE, variant->flags, &handle));
	ASSERT_EQ(0, bo_create(fd, SIZE, variant->flags, &guard));
	ASSERT_EQ(0, bo_offset(fd, handle, &offset));
	EXPECT_EQ(0, mmap_error(fd, offset, SIZE, rw, MAP_SHARED));
	EXPECT_EQ(0, mmap_error(fd, offset, PAGE, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, mmap_error(fd, offset, SIZE + PAGE, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, mmap_error(fd, offset + PAGE, SIZE, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, mmap_error(fd, offset + SIZE - PAGE, 2 * PAGE, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, mmap_error(fd, 0, PAGE, rw, MAP_SHARED));
	/* copies on write of pages of a device make no sense */
	EXPECT_EQ(-EINVAL, mmap_error(fd, offset, SIZE, rw, MAP_PRIVATE));
	/* nor does it grow afterwards */
	p = mmap(NULL, SIZE, rw, MAP_SHARED, fd, (off_t)offset);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(MAP_FAILED, mremap(p, SIZE, 2 * SIZE, MREMAP_MAYMOVE));
	EXPECT_EQ(0, munmap(p, SIZE));
}

TEST_F(gem, mmap_of_other_client)
{
	struct client other;
	__u32 handle;
	__u64 offset;

	ASSERT_EQ(0, client_init(&other));
	ASSERT_EQ(0, bo_create(self->c.fd, SIZE, variant->flags, &handle));
	ASSERT_EQ(0, bo_offset(self->c.fd, handle, &offset));
	EXPECT_EQ(-EACCES, mmap_error(other.fd, offset, SIZE, PROT_READ, MAP_SHARED));
	EXPECT_EQ(0, mmap_error(self->c.fd, offset, SIZE, PROT_READ, MAP_SHARED));
	client_fini(&other);
}

/* ---- PRIME --------------------------------------------------------------- */

#define EXPORT(dmabuf, fd, handle) do { \
	dmabuf = gem_export(fd, handle); \
	if (dmabuf == -EOPNOTSUPP || dmabuf == -ENOSYS) \
		SKIP(return, "the driver doesn't share these"); \
	ASSERT_LE(0, dmabuf); \
} while (0)

TEST_F(gem, prime_self)
{
	__u32 handle, again;
	int dmabuf;

	ASSERT_EQ(0, bo_create(self->c.fd, SIZE, variant->flags, &handle));
	EXPORT(dmabuf, self->c.fd, handle);
	EXPECT_EQ(0, gem_import(self->c.fd, dmabuf, &again));
	EXPECT_EQ(handle, again);
	/* the dma-buf keeps it when its handle is gone */
	EXPECT_EQ(0, bo_close(self->c.fd, handle));
	EXPECT_EQ(0, gem_import(self->c.fd, dmabuf, &again));
	EXPECT_NE(0, again);
	close(dmabuf);
	EXPECT_EQ(0, bo_close(self->c.fd, again));
}

/* One client fills, another reads, by its device addresses and by the CPU. */
TEST_F(gem, prime_other_client)
{
	struct drm_damf_result res;
	struct client other;
	__u32 handle;
	struct buf b;
	int dmabuf;
	__u64 va;

	ASSERT_EQ(0, buf_create(self->c.fd, &b, SIZE, variant->flags, 0));
	EXPORT(dmabuf, self->c.fd, b.handle);
	ASSERT_EQ(0, client_init(&other));
	ASSERT_EQ(0, gem_import(other.fd, dmabuf, &handle));
	close(dmabuf);
	ASSERT_EQ(0, vm_map(other.fd, handle, DRM_DAMF_MAP_READONLY, &va));
	job_fill(&self->c.jobs, 0, b.va, SIZE / 4, 0x5a5a0001);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	ASSERT_EQ(0, res.error);
	buf_free(self->c.fd, &b);
	job_copy(&other.jobs, 0, other.data.va, va, SIZE);
	ASSERT_EQ(0, run(&other, 1, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_TRUE(is_filled(&other.data, 0, SIZE / 4, 0x5a5a0001));
	client_fini(&other);
}

/* ---- Buffers of others -------------------------------------------------- */

FIXTURE(foreign)
{
	struct client c;
};

FIXTURE_SETUP(foreign)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
}

FIXTURE_TEARDOWN(foreign)
{
	client_fini(&self->c);
}

/* A buffer of another driver. */
TEST_F(foreign, prime)
{
	struct drm_damf_result res;
	__u32 handle, foreign;
	int vgem, dmabuf;
	__u32 *p;
	__u64 va;

	vgem = vgem_open();
	if (vgem < 0)
		SKIP(return, "needs vgem");
	ASSERT_EQ(0, vgem_create(vgem, SIZE, &foreign));
	dmabuf = gem_export(vgem, foreign);
	ASSERT_LE(0, dmabuf);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, gem_import(self->c.fd, dmabuf, &handle));
	close(dmabuf);
	ASSERT_EQ(0, vm_map(self->c.fd, handle, 0, &va));
	job_fill(&self->c.jobs, 0, va, SIZE / 4, 0xabcd1234);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(0, bo_sync(self->c.fd, handle, DRM_DAMF_SYNC_FROM_DEVICE, SIZE));
	EXPECT_EQ(0xabcd1234, p[0]);
	EXPECT_EQ(0xabcd1234, p[SIZE / 4 - 1]);
	EXPECT_EQ(0, vm_unmap(self->c.fd, va));
	EXPECT_EQ(0, bo_close(self->c.fd, handle));
	munmap(p, SIZE);
	close(vgem);
}

/* ---- Local memory has an end --------------------------------------------- */

#define CHUNKS 16

FIXTURE(local)
{
	struct client c;
	__u64 chunk;
	__u32 handles[CHUNKS + 1];
};

FIXTURE_SETUP(local)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	if (!self->c.info.local_size) {
		client_fini(&self->c);
		SKIP(return, "the device has no local memory");
	}
	self->chunk = self->c.info.local_size / CHUNKS;
}

FIXTURE_TEARDOWN(local)
{
	client_fini(&self->c);
}

static __u64 local_free(struct client *c)
{
	struct drm_damf_info info = { 0 };

	damf_query(c->fd, DRM_DAMF_QUERY_INFO, &info, sizeof(info));
	return info.local_free;
}

static bool is_full(int r)
{
	return r == -ENOSPC || r == -ENOMEM;
}

TEST_F(local, too_big)
{
	__u32 handle;

	EXPECT_TRUE(is_full(bo_create(self->c.fd, self->c.info.local_size + PAGE,
				      DRM_DAMF_BO_LOCAL, &handle)));
	EXPECT_TRUE(is_full(bo_create(self->c.fd, 1ull << 38, DRM_DAMF_BO_LOCAL, &handle)));
}

/* Three times all there is, zeroed each time. */
TEST_F_TIMEOUT(local, exhausted, 120)
{
	const __u64 before = local_free(&self->c);
	unsigned int n = 0;
	int r = 0, round;

	for (round = 0; round < 3; round++) {
		for (n = 0; n <= CHUNKS; n++) {
			r = bo_create(self->c.fd, self->chunk, DRM_DAMF_BO_LOCAL,
				      &self->handles[n]);
			if (r)
				break;
			EXPECT_EQ(before - (n + 1) * self->chunk, local_free(&self->c));
		}
		EXPECT_TRUE(is_full(r)) TH_LOG("round %d: %d", round, r);
		ASSERT_NE(0, n);
		EXPECT_LT(local_free(&self->c), self->chunk);
		/* one goes, one comes */
		ASSERT_EQ(0, bo_close(self->c.fd, self->handles[0]));
		ASSERT_EQ(0, bo_create(self->c.fd, self->chunk, DRM_DAMF_BO_LOCAL,
				       &self->handles[0]));
		/* system memory is another matter */
		ASSERT_EQ(0, bo_create(self->c.fd, PAGE, 0, &self->handles[n]));
		ASSERT_EQ(0, bo_close(self->c.fd, self->handles[n]));
		while (n) {
			ASSERT_EQ(0, bo_close(self->c.fd, self->handles[--n]));
		}
		EXPECT_EQ(before, local_free(&self->c));
	}
}

/* Who closes the file gives everything back. */
TEST_F(local, file_closed)
{
	const __u64 before = local_free(&self->c);
	__u64 end = now_ns() + WAIT_NS;
	struct client other;
	struct buf b;

	ASSERT_EQ(0, client_init(&other));
	ASSERT_EQ(0, buf_create(other.fd, &b, before / 2, DRM_DAMF_BO_LOCAL, 0));
	EXPECT_EQ(before - b.size, local_free(&self->c));
	munmap(b.map, b.size);
	client_fini(&other);
	while (local_free(&self->c) != before && now_ns() < end)
		sleep_ms(10);
	EXPECT_EQ(before, local_free(&self->c));
}

TEST_HARNESS_MAIN
