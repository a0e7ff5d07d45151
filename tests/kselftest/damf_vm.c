// SPDX-License-Identifier: GPL-2.0-only
/* Address spaces: mappings, faults, and clients kept apart. */
#include <errno.h>
#include <string.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

FIXTURE(vm)
{
	struct client c, other;
};

FIXTURE_SETUP(vm)
{
	self->c.fd = -1;
	self->other.fd = -1;
	SETUP_CLIENT(&self->c);
	SETUP_CLIENT(&self->other);
}

FIXTURE_TEARDOWN(vm)
{
	client_fini(&self->other);
	client_fini(&self->c);
}

static int map_part(int fd, __u32 handle, __u64 offset, __u64 size, __u64 *va)
{
	struct drm_damf_vm_map arg = { .handle = handle, .offset = offset, .size = size };
	int r = damf_ioctl(fd, DRM_IOCTL_DAMF_VM_MAP, &arg);

	*va = arg.va;
	return r;
}

/* ---- Mappings ------------------------------------------------------------ */

TEST_F(vm, addresses)
{
	const __u64 va = self->c.data.va, end = va + DATA_SIZE, jobs = self->c.jobs.va;

	EXPECT_NE(0, va);
	EXPECT_EQ(0, va % PAGE);
	EXPECT_LE(end, 1ull << self->c.info.va_bits);
	EXPECT_TRUE(jobs + self->c.jobs.size <= va || jobs >= end);
}

/* Part of a buffer is that part and no more. */
TEST_F(vm, part)
{
	struct drm_damf_result res;
	__u64 middle, rest;

	ASSERT_EQ(0, map_part(self->c.fd, self->c.data.handle, 2 * PAGE, PAGE, &middle));
	ASSERT_EQ(0, map_part(self->c.fd, self->c.data.handle, DATA_SIZE - PAGE, 0, &rest));
	job_fill(&self->c.jobs, 0, middle, PAGE / 4, 0x11111111);
	job_fill(&self->c.jobs, 1, rest, PAGE / 4, 0x22222222);
	ASSERT_EQ(0, run(&self->c, 2, &res));
	ASSERT_EQ(0, res.error);
	EXPECT_TRUE(is_filled(&self->c.data, 0, 2 * PAGE / 4, 0));
	EXPECT_TRUE(is_filled(&self->c.data, 2 * PAGE, PAGE / 4, 0x11111111));
	EXPECT_TRUE(is_filled(&self->c.data, 3 * PAGE, (DATA_SIZE - 4 * PAGE) / 4, 0));
	EXPECT_TRUE(is_filled(&self->c.data, DATA_SIZE - PAGE, PAGE / 4, 0x22222222));
	EXPECT_EQ(0, vm_unmap(self->c.fd, middle));
	EXPECT_EQ(0, vm_unmap(self->c.fd, rest));
}

/* One page many times: all are different, all lead to it, each goes alone. */
TEST_F(vm, many)
{
	struct drm_damf_result res;
	__u64 va[300];
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(va); i++) {
		ASSERT_EQ(0, map_part(self->c.fd, self->c.data.handle, 0, PAGE, &va[i]));
		for (j = 0; j < i; j++) {
			ASSERT_NE(va[j], va[i]);
		}
	}
	for (i = 0; i < ARRAY_SIZE(va); i += 2) {
		ASSERT_EQ(0, vm_unmap(self->c.fd, va[i]));
	}
	for (i = 1; i < ARRAY_SIZE(va); i += 2) {
		job_fill(&self->c.jobs, 0, va[i], PAGE / 4, i);
		ASSERT_EQ(0, run(&self->c, 1, &res));
		ASSERT_EQ(0, res.error);
		ASSERT_TRUE(is_filled(&self->c.data, 0, PAGE / 4, i));
	}
	for (i = 1; i < ARRAY_SIZE(va); i += 2) {
		ASSERT_EQ(0, vm_unmap(self->c.fd, va[i]));
	}
}

/* Addresses and tables are given back: far more than there is room for. */
TEST_F(vm, again_and_again)
{
	__u32 handle;
	__u64 va;
	int i;

	ASSERT_EQ(0, bo_create(self->c.fd, 16 << 20, 0, &handle));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, vm_map(self->c.fd, handle, 0, &va));
		ASSERT_EQ(0, vm_unmap(self->c.fd, va));
	}
	EXPECT_EQ(0, bo_close(self->c.fd, handle));
}

/* Large enough for large pages, and not aligned to them at the end. */
TEST_F(vm, large)
{
	const __u64 size = (6 << 20) + 3 * PAGE;
	const __u32 kinds[] = { 0, DRM_DAMF_BO_LOCAL };
	struct drm_damf_result res;
	struct buf b;
	unsigned int i;
	__u32 j, n;

	for (i = 0; i < (self->c.info.local_size ? 2 : 1); i++) {
		ASSERT_EQ(0, buf_create(self->c.fd, &b, size, kinds[i], 0));
		n = (__u32)(size / (64 << 10));
		for (j = 0; j < n; j += JOBS) {
			__u32 k, count = n - j < JOBS ? n - j : JOBS;

			for (k = 0; k < count; k++)
				job_fill(&self->c.jobs, k, b.va + (j + k) * (64ull << 10),
					 16384, j + k);
			ASSERT_EQ(0, run(&self->c, count, &res));
			ASSERT_EQ(0, res.error);
		}
		job_fill(&self->c.jobs, 0, b.va + n * (64ull << 10), 3 * PAGE / 4, n);
		ASSERT_EQ(0, run(&self->c, 1, &res));
		ASSERT_EQ(0, res.error);
		ASSERT_EQ(0, buf_from_device(self->c.fd, &b));
		for (j = 0; j < n; j++) {
			ASSERT_TRUE(is_filled(&b, j * (64ull << 10), 16384, j));
		}
		ASSERT_TRUE(is_filled(&b, n * (64ull << 10), 3 * PAGE / 4, n));
		buf_free(self->c.fd, &b);
	}
}

/* The mapping keeps the memory when the handle and mmap() are gone. */
TEST_F(vm, handle_closed)
{
	struct drm_damf_result res;
	struct buf b;

	ASSERT_EQ(0, buf_create(self->c.fd, &b, PAGE, 0, 0));
	memset(b.map, 0x77, PAGE);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &b));
	munmap(b.map, PAGE);
	ASSERT_EQ(0, bo_close(self->c.fd, b.handle));
	job_copy(&self->c.jobs, 0, self->c.data.va, b.va, PAGE);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_TRUE(is_filled(&self->c.data, 0, PAGE / 4, 0x77777777));
	EXPECT_EQ(0, vm_unmap(self->c.fd, b.va));
}

/* ---- Faults -------------------------------------------------------------- */

static bool is_fault(const struct drm_damf_result *res, unsigned int access, __u64 va, __u64 size)
{
	if (res->error == -EFAULT && res->status == DAMF_ST_PAGE_FAULT && res->access == access &&
	    res->fault_addr >= va && res->fault_addr < va + size)
		return true;
	fprintf(stderr, "# error %d, status %u, access %u, address %llx\n", res->error, res->status,
		res->access, (unsigned long long)res->fault_addr);
	return false;
}

TEST_F(vm, read_only)
{
	struct drm_damf_result res;
	struct buf b;

	ASSERT_EQ(0, buf_create(self->c.fd, &b, 2 * PAGE, 0, DRM_DAMF_MAP_READONLY));
	memset(b.map, 0x33, 2 * PAGE);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &b));
	job_copy(&self->c.jobs, 0, self->c.data.va, b.va, 2 * PAGE);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_TRUE(is_filled(&self->c.data, 0, 2 * PAGE / 4, 0x33333333));
	job_fill(&self->c.jobs, 1, b.va + PAGE, PAGE / 4, 0x44444444);
	ASSERT_EQ(0, run(&self->c, 2, &res));
	EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_WRITE, b.va + PAGE, PAGE));
	EXPECT_EQ(1, res.index);
	ASSERT_EQ(0, buf_from_device(self->c.fd, &b));
	EXPECT_TRUE(is_filled(&b, 0, 2 * PAGE / 4, 0x33333333));
	buf_free(self->c.fd, &b);
}

/* Nothing is left of a mapping, and nothing is left of the fault. */
TEST_F(vm, unmapped)
{
	struct drm_damf_result res;
	struct buf b;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, buf_create(self->c.fd, &b, 4 * PAGE, 0, 0));
		/* so that the translation is cached */
		job_fill(&self->c.jobs, 0, b.va, PAGE, 1);
		job_copy(&self->c.jobs, 1, self->c.data.va, b.va, 4 * PAGE);
		ASSERT_EQ(0, run(&self->c, 2, &res));
		ASSERT_EQ(0, res.error);
		ASSERT_EQ(0, vm_unmap(self->c.fd, b.va));
		job_fill(&self->c.jobs, 0, b.va + PAGE, 512, 2);
		ASSERT_EQ(0, run(&self->c, 2, &res));
		EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_WRITE, b.va + PAGE, PAGE));
		EXPECT_EQ(0, res.index);
		job_fill(&self->c.jobs, 0, self->c.data.va, 16, 3);
		job_copy(&self->c.jobs, 1, self->c.data.va, b.va + 2 * PAGE, 64);
		ASSERT_EQ(0, run(&self->c, 2, &res));
		EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_READ, b.va + 2 * PAGE, PAGE));
		EXPECT_EQ(1, res.index);
		ASSERT_EQ(0, run(&self->c, 1, &res));
		EXPECT_EQ(0, res.error);
		b.va = 0;
		buf_free(self->c.fd, &b);
	}
}

TEST_F(vm, list_unmapped)
{
	struct drm_damf_submit s = list_of(&self->c, 1);
	struct drm_damf_result res;

	s.list = 1ull << (self->c.info.va_bits - 1);
	ASSERT_EQ(0, submit(self->c.fd, &s));
	ASSERT_EQ(0, result(self->c.fd, s.queue, s.seqno, WAIT_NS, &res));
	EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_READ, s.list, sizeof(struct damf_job)));
}

TEST_F(vm, counters_unmapped)
{
	struct drm_damf_submit s = list_of(&self->c, 1);
	struct drm_damf_result res;

	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	s.counters = 1ull << (self->c.info.va_bits - 1);
	ASSERT_EQ(0, submit(self->c.fd, &s));
	ASSERT_EQ(0, result(self->c.fd, s.queue, s.seqno, WAIT_NS, &res));
	EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_WRITE, s.counters, sizeof(struct damf_counters)));
}

/*
 * A list that is on the engine loses a buffer that it uses: it faults there,
 * and after the call nothing is written to the pages any more.
 */
TEST_F(vm, unmap_in_flight)
{
	struct drm_damf_result res;
	struct busy busy;
	__u64 seqno;

	ASSERT_EQ(0, busy_init(&self->c, &busy, 2000));
	ASSERT_EQ(0, busy_submit(&self->c, &busy, self->c.queue, &seqno));
	ASSERT_EQ(-ETIME, result(self->c.fd, self->c.queue, seqno, 50 * MS, &res));
	ASSERT_EQ(0, vm_unmap(self->c.fd, busy.data.va));
	memset(busy.data.map, 0x66, busy.data.size);
	ASSERT_EQ(0, result(self->c.fd, self->c.queue, seqno, WAIT_NS, &res));
	EXPECT_EQ(-EFAULT, res.error);
	EXPECT_EQ(DAMF_ST_PAGE_FAULT, res.status);
	EXPECT_GE(res.fault_addr, busy.data.va);
	EXPECT_LT(res.fault_addr, busy.data.va + busy.data.size);
	EXPECT_LT(res.index, busy.count);
	EXPECT_TRUE(is_filled(&busy.data, 0, (__u32)(busy.data.size / 4), 0x66666666));
	/* the client goes on */
	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 5);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
	busy_fini(&self->c, &busy);
}

/* ---- Clients ------------------------------------------------------------- */

/* The same addresses are other memory. */
TEST_F(vm, isolated)
{
	struct drm_damf_result res;
	struct buf b;
	int i;

	for (i = 0; i < 5; i++) {
		job_fill(&self->c.jobs, 0, self->c.data.va, 4096, 0x1000 + i);
		job_fill(&self->other.jobs, 0, self->other.data.va, 4096, 0x2000 + i);
		ASSERT_EQ(0, run(&self->c, 1, &res));
		ASSERT_EQ(0, run(&self->other, 1, &res));
		EXPECT_TRUE(is_filled(&self->c.data, 0, 4096, 0x1000 + i));
		EXPECT_TRUE(is_filled(&self->other.data, 0, 4096, 0x2000 + i));
	}
	/* an address that only one of them has */
	ASSERT_EQ(0, buf_create(self->c.fd, &b, 64 << 10, 0, 0));
	memset(b.map, 0x55, b.size);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &b));
	job_copy(&self->other.jobs, 0, self->other.data.va, b.va, 16384);
	ASSERT_EQ(0, run(&self->other, 1, &res));
	EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_READ, b.va, b.size));
	job_fill(&self->other.jobs, 0, b.va, 4096, 0x99);
	ASSERT_EQ(0, run(&self->other, 1, &res));
	EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_WRITE, b.va, b.size));
	EXPECT_TRUE(is_filled(&self->other.data, 0, 4096, 0x2000 + 4));
	EXPECT_TRUE(is_filled(&b, 0, 16384, 0x55555555));
	job_copy(&self->c.jobs, 0, self->c.data.va, b.va, 16384);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_TRUE(is_filled(&self->c.data, 0, 4096, 0x55555555));
}

/* Faults of one client don't disturb another in the middle of its list. */
TEST_F(vm, fault_of_other_client)
{
	struct drm_damf_result res;
	struct busy busy;
	__u64 seqno;
	int i;

	ASSERT_EQ(0, busy_init(&self->c, &busy, 1000));
	ASSERT_EQ(0, busy_submit(&self->c, &busy, self->c.queue, &seqno));
	ASSERT_EQ(-ETIME, result(self->c.fd, self->c.queue, seqno, 20 * MS, &res));
	job_fill(&self->other.jobs, 0, 1ull << 38, 16, 1);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, run(&self->other, 1, &res));
		EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_WRITE, 1ull << 38, PAGE));
	}
	ASSERT_EQ(0, result(self->c.fd, self->c.queue, seqno, WAIT_NS, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(busy.count, res.index);
	busy_fini(&self->c, &busy);
}

/* How often lists were put into rings, with a doorbell or without. */
static __u64 put_into_rings(const struct drm_damf_stats *stats)
{
	return stats->doorbells + stats->doorbells_saved;
}

/*
 * Nor a list of the same client's on another queue that does nothing wrong. It
 * is given up and put back for each fault, as is what was submitted meanwhile,
 * and for no other reason.
 */
TEST_F(vm, fault_of_other_queue)
{
	enum { FAULTS = 100 };
	struct drm_damf_stats before, after;
	struct drm_damf_result res;
	struct drm_damf_submit s;
	struct busy busy;
	__u32 queue;
	__u64 seqno;
	int i;

	ASSERT_EQ(0, busy_init(&self->c, &busy, 1000));
	memset(busy.data.map, 0x2d, busy.data.size / 2);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &busy.data));
	ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &queue));
	ASSERT_EQ(0, busy_submit(&self->c, &busy, self->c.queue, &seqno));
	ASSERT_EQ(-ETIME, result(self->c.fd, self->c.queue, seqno, 20 * MS, &res));
	job_fill(&self->c.jobs, 0, 1ull << 38, 16, 1);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_STATS, &before, sizeof(before)));
	for (i = 0; i < FAULTS; i++) {
		s = list_of(&self->c, 1);
		s.queue = queue;
		ASSERT_EQ(0, submit(self->c.fd, &s));
		ASSERT_EQ(0, result(self->c.fd, queue, s.seqno, WAIT_NS, &res));
		EXPECT_TRUE(is_fault(&res, DAMF_ACCESS_WRITE, 1ull << 38, PAGE));
	}
	ASSERT_EQ(0, result(self->c.fd, self->c.queue, seqno, WAIT_NS, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(busy.count, res.index);
	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_STATS, &after, sizeof(after)));
	EXPECT_GE(3 * FAULTS, put_into_rings(&after) - put_into_rings(&before));
	ASSERT_EQ(0, buf_from_device(self->c.fd, &busy.data));
	EXPECT_TRUE(is_filled(&busy.data, busy.data.size / 2, (__u32)(busy.data.size / 8),
			      0x2d2d2d2d));
	busy_fini(&self->c, &busy);
}

TEST_HARNESS_MAIN
