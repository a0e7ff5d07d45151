// SPDX-License-Identifier: GPL-2.0-only
/* Every ioctl but those of lists, with arguments that it has to refuse. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

#define KERNEL_ADDRESS	0xffff888000000000ull

FIXTURE(uapi)
{
	struct client c, other;
};

FIXTURE_SETUP(uapi)
{
	self->c.fd = -1;
	self->other.fd = -1;
	SETUP_CLIENT(&self->c);
	SETUP_CLIENT(&self->other);
}

FIXTURE_TEARDOWN(uapi)
{
	client_fini(&self->other);
	client_fini(&self->c);
}

static const unsigned long requests[] = {
	DRM_IOCTL_DAMF_DEV_QUERY, DRM_IOCTL_DAMF_BO_CREATE, DRM_IOCTL_DAMF_BO_MMAP_OFFSET,
	DRM_IOCTL_DAMF_BO_SYNC, DRM_IOCTL_DAMF_VM_MAP, DRM_IOCTL_DAMF_VM_UNMAP,
	DRM_IOCTL_DAMF_QUEUE_CREATE, DRM_IOCTL_DAMF_QUEUE_DESTROY, DRM_IOCTL_DAMF_SUBMIT,
	DRM_IOCTL_DAMF_RESULT,
};

TEST_F(uapi, argument_pointer)
{
	const __u64 bad[] = { 0, 1, KERNEL_ADDRESS, ~0ull };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		for (j = 0; j < ARRAY_SIZE(bad); j++) {
			EXPECT_EQ(-EFAULT, damf_ioctl(self->c.fd, requests[i],
						      (void *)(uintptr_t)bad[j]))
				TH_LOG("ioctl %u, address %llx", i, (unsigned long long)bad[j]);
		}
	}
}

TEST_F(uapi, unknown_ioctl)
{
	__u64 arg[16];
	unsigned int nr;

	for (nr = DRM_COMMAND_BASE + DRM_DAMF_RESULT + 1; nr < DRM_COMMAND_END; nr++) {
		memset(arg, 0, sizeof(arg));
		EXPECT_EQ(-EINVAL, damf_ioctl(self->c.fd, DRM_IOWR(nr, arg), arg))
			TH_LOG("number 0x%x", nr);
	}
}

/* A caller that knows only the first fields of a struct. */
TEST_F(uapi, short_struct)
{
	struct { __u32 type, size; } query = { DRM_DAMF_QUERY_INFO, 0 };

	EXPECT_EQ(0, damf_ioctl(self->c.fd, DRM_IOWR(DRM_COMMAND_BASE + DRM_DAMF_DEV_QUERY, query),
				&query));
	EXPECT_EQ(sizeof(struct drm_damf_info), query.size);
}

/* ---- DEV_QUERY ----------------------------------------------------------- */

TEST_F(uapi, query_type)
{
	const __u32 bad[] = { DRM_DAMF_QUERY_STATS + 1, 0x80000000, ~0u };
	struct drm_damf_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, damf_query(self->c.fd, bad[i], &info, sizeof(info)));
		EXPECT_EQ(-EINVAL, damf_query(self->c.fd, bad[i], NULL, 0));
	}
}

TEST_F(uapi, query_size_only)
{
	struct drm_damf_dev_query q = { .type = DRM_DAMF_QUERY_STATS, .size = 1 };

	EXPECT_EQ(0, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_DEV_QUERY, &q));
	EXPECT_EQ(sizeof(struct drm_damf_stats), q.size);
}

/* Cut where it is shorter than the kernel's, zeros where it is longer. */
TEST_F(uapi, query_size)
{
	unsigned char full[sizeof(struct drm_damf_info)], got[sizeof(full) + 64];
	unsigned int size, i;

	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_INFO, full, sizeof(full)));
	for (size = 1; size <= sizeof(got); size++) {
		struct drm_damf_dev_query q = {
			.type = DRM_DAMF_QUERY_INFO, .size = size, .pointer = (uintptr_t)got,
		};

		memset(got, 0xa5, sizeof(got));
		ASSERT_EQ(0, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_DEV_QUERY, &q));
		ASSERT_EQ(sizeof(full), q.size);
		for (i = 0; i < sizeof(got); i++) {
			unsigned char want = i >= size ? 0xa5 : i < sizeof(full) ? full[i] : 0;

			ASSERT_EQ(want, got[i]) TH_LOG("byte %u of size %u", i, size);
		}
	}
}

TEST_F(uapi, query_pointer)
{
	const __u64 bad[] = { 1, KERNEL_ADDRESS, ~0ull };
	struct drm_damf_dev_query q;
	unsigned int i;
	char *p;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		q = (struct drm_damf_dev_query){ .size = 64, .pointer = bad[i] };
		EXPECT_EQ(-EFAULT, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_DEV_QUERY, &q));
	}
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(0, mprotect(p + PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_INFO, p + PAGE - 8, 8));
	EXPECT_EQ(-EFAULT, damf_query(self->c.fd, DRM_DAMF_QUERY_INFO, p + PAGE - 8, 16));
	EXPECT_EQ(-EFAULT, damf_query(self->c.fd, DRM_DAMF_QUERY_INFO, p, ~0u));
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, damf_query(self->c.fd, DRM_DAMF_QUERY_INFO, p, 8));
}

TEST_F(uapi, query_info)
{
	const struct drm_damf_info *info = &self->c.info;

	EXPECT_EQ(DAMF_VERSION_MAJOR(DAMF_HW_VERSION), DAMF_VERSION_MAJOR(info->hw_version));
	EXPECT_NE(0, info->max_queues);
	EXPECT_NE(0, info->opcodes & (1ull << DAMF_OP_FILL));
	EXPECT_NE(0, info->types & (1ull << DAMF_TYPE_F32));
	EXPECT_NE(0, info->modes & (1ull << DAMF_MODE_MHSA));
	EXPECT_EQ(0, info->features & ~DAMF_FEATURES_KNOWN);
	EXPECT_LE(info->local_free, info->local_size);
	EXPECT_EQ(!!(info->features & DAMF_FEATURE_LOCAL_MEMORY), !!info->local_size);
	EXPECT_GT(info->max_jobs, 1);
	EXPECT_NE(0, info->max_tensor && info->max_rows && info->max_seqs && info->max_width);
	EXPECT_NE(0, info->max_heads && info->max_length && info->clock_hz);
	EXPECT_EQ(DAMF_VA_BITS, info->va_bits);
	EXPECT_GE(info->max_entries, 2);
	EXPECT_EQ(0, info->max_entries & (info->max_entries - 1));
}

TEST_F(uapi, query_stats)
{
	struct drm_damf_stats before, after;
	struct drm_damf_result res;
	unsigned int i;

	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_STATS, &before, sizeof(before)));
	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, run(&self->c, 1, &res));
	}
	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_STATS, &after, sizeof(after)));
	EXPECT_EQ(before.submits_ioctl + 10, after.submits_ioctl);
	EXPECT_EQ(before.submits_uring, after.submits_uring);
	EXPECT_EQ(before.completions + 10, after.completions);
	EXPECT_GE(after.doorbells + after.doorbells_saved,
		  before.doorbells + before.doorbells_saved + 10);
	EXPECT_EQ(before.timeouts, after.timeouts);
	EXPECT_EQ(before.resets, after.resets);
}

/* ---- Buffers ------------------------------------------------------------- */

TEST_F(uapi, bo_create)
{
	const __u32 flags[] = { DRM_DAMF_BO_LOCAL << 1, 1u << 31, ~0u };
	__u32 handle;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(-EINVAL, bo_create(self->c.fd, PAGE, flags[i], &handle));
	}
	EXPECT_EQ(-EINVAL, bo_create(self->c.fd, 0, 0, &handle));
	EXPECT_EQ(-EINVAL, bo_create(self->c.fd, 0, DRM_DAMF_BO_LOCAL, &handle));
	/* rounded up these are 0 */
	EXPECT_EQ(-EINVAL, bo_create(self->c.fd, ~0ull, 0, &handle));
	EXPECT_EQ(-EINVAL, bo_create(self->c.fd, -PAGE + 1, 0, &handle));
	EXPECT_EQ(-EINVAL, bo_create(self->c.fd, ~0ull, DRM_DAMF_BO_LOCAL, &handle));
	/* and these don't fit anywhere */
	EXPECT_NE(0, bo_create(self->c.fd, 1ull << 63, 0, &handle));
	EXPECT_NE(0, bo_create(self->c.fd, -PAGE, 0, &handle));
	EXPECT_NE(0, bo_create(self->c.fd, -PAGE, DRM_DAMF_BO_LOCAL, &handle));
}

TEST_F(uapi, bo_mmap_offset)
{
	struct drm_damf_bo_mmap_offset arg = { .handle = self->c.data.handle, .pad = 1 };
	const __u32 bad[] = { 0, self->c.data.handle + 1000, ~0u };
	unsigned int i;
	__u64 offset;

	EXPECT_EQ(-EINVAL, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_BO_MMAP_OFFSET, &arg));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-ENOENT, bo_offset(self->c.fd, bad[i], &offset));
	}
}

TEST_F(uapi, bo_sync)
{
	const __u32 h = self->c.data.handle, to = DRM_DAMF_SYNC_TO_DEVICE;
	const struct {
		int want;
		struct drm_damf_bo_sync arg;
	} t[] = {
		{ -ENOENT, { .handle = 0, .flags = to, .size = PAGE } },
		{ -ENOENT, { .handle = h + 1000, .flags = to, .size = PAGE } },
		{ -EINVAL, { .handle = h, .flags = 0, .size = PAGE } },
		{ -EINVAL, { .handle = h, .flags = to | 4, .size = PAGE } },
		{ -EINVAL, { .handle = h, .flags = 1u << 31, .size = PAGE } },
		{ -EINVAL, { .handle = h, .flags = to, .size = DATA_SIZE + 1 } },
		{ -EINVAL, { .handle = h, .flags = to, .offset = 1, .size = DATA_SIZE } },
		{ -EINVAL, { .handle = h, .flags = to, .offset = DATA_SIZE, .size = 1 } },
		{ -EINVAL, { .handle = h, .flags = to, .offset = DATA_SIZE + 1, .size = 1 } },
		{ -EINVAL, { .handle = h, .flags = to, .offset = PAGE, .size = -PAGE } },
		{ -EINVAL, { .handle = h, .flags = to, .offset = ~0ull, .size = 2 } },
		{ -EINVAL, { .handle = h, .flags = to, .offset = 1ull << 63, .size = 1ull << 63 } },
		{ 0, { .handle = h, .flags = to, .offset = DATA_SIZE - 1, .size = 1 } },
		{ 0, { .handle = h, .flags = DRM_DAMF_SYNC_FROM_DEVICE, .size = DATA_SIZE } },
		{ 0, { .handle = h, .flags = 3, .offset = 3, .size = 5 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct drm_damf_bo_sync arg = t[i].arg;

		EXPECT_EQ(t[i].want, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_BO_SYNC, &arg))
			TH_LOG("case %u", i);
	}
}

TEST_F(uapi, gem_close)
{
	__u32 handle;

	ASSERT_EQ(0, bo_create(self->c.fd, PAGE, 0, &handle));
	EXPECT_EQ(-EINVAL, bo_close(self->c.fd, 0));
	EXPECT_EQ(-EINVAL, bo_close(self->c.fd, handle + 1000));
	EXPECT_EQ(0, bo_close(self->c.fd, handle));
	EXPECT_EQ(-EINVAL, bo_close(self->c.fd, handle));
}

/* ---- Address space ------------------------------------------------------- */

TEST_F(uapi, vm_map)
{
	const __u32 h = self->c.data.handle;
	const struct {
		int want;
		struct drm_damf_vm_map arg;
	} t[] = {
		{ -ENOENT, { .handle = 0 } },
		{ -ENOENT, { .handle = h + 1000 } },
		{ -EINVAL, { .handle = h, .flags = 2 } },
		{ -EINVAL, { .handle = h, .flags = 1u << 31 } },
		{ -EINVAL, { .handle = h, .offset = 1 } },
		{ -EINVAL, { .handle = h, .offset = PAGE / 2, .size = PAGE } },
		{ -EINVAL, { .handle = h, .size = 1 } },
		{ -EINVAL, { .handle = h, .size = PAGE + 64 } },
		{ -EINVAL, { .handle = h, .offset = DATA_SIZE } },
		{ -EINVAL, { .handle = h, .offset = DATA_SIZE, .size = PAGE } },
		{ -EINVAL, { .handle = h, .offset = DATA_SIZE + PAGE } },
		{ -EINVAL, { .handle = h, .size = DATA_SIZE + PAGE } },
		{ -EINVAL, { .handle = h, .offset = PAGE, .size = DATA_SIZE } },
		{ -EINVAL, { .handle = h, .offset = PAGE, .size = -PAGE } },
		{ -EINVAL, { .handle = h, .offset = -PAGE, .size = 2 * PAGE } },
		{ -EINVAL, { .handle = h, .size = 1ull << 63 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct drm_damf_vm_map arg = t[i].arg;

		EXPECT_EQ(t[i].want, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_VM_MAP, &arg))
			TH_LOG("case %u", i);
	}
}

TEST_F(uapi, vm_unmap)
{
	const __u64 va = self->c.data.va;
	const __u64 bad[] = { 0, PAGE, va + PAGE, va + 1, va | 1ull << 38, va | 1ull << 63, ~0ull };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, vm_unmap(self->c.fd, bad[i]))
			TH_LOG("case %u", i);
	}
	EXPECT_EQ(0, vm_unmap(self->c.fd, va));
	EXPECT_EQ(-EINVAL, vm_unmap(self->c.fd, va));
}

/* ---- Queues -------------------------------------------------------------- */

TEST_F(uapi, queue_create)
{
	const struct drm_damf_queue_create bad[] = {
		{ .priority = 3 },
		{ .priority = ~0u },
		{ .priority = 1, .entries = 3 },
		{ .priority = 1, .entries = ~0u },
		{ .priority = 1, .flags = 1 },
		{ .priority = 1, .flags = 1u << 31 },
	};
	__u32 entries, id;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct drm_damf_queue_create arg = bad[i];

		EXPECT_EQ(-EINVAL, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_QUEUE_CREATE, &arg))
			TH_LOG("case %u", i);
	}
	/* 0 is the default; what is asked for is given, or a little more */
	for (entries = 0; entries <= self->c.info.max_entries;
	     entries = entries ? 2 * entries : 1) {
		__u32 given = entries;

		ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_LOW, &given, &id));
		EXPECT_NE(0, id);
		EXPECT_GE(given, entries ? entries : 1);
		EXPECT_LE(given, self->c.info.max_entries);
		EXPECT_EQ(0, given & (given - 1));
		EXPECT_EQ(0, queue_destroy(self->c.fd, id));
	}
	/* beyond the limit: refused */
	EXPECT_EQ(-EINVAL, queue_create(self->c.fd, DRM_DAMF_PRIORITY_LOW, &entries, &id));
}

TEST_F(uapi, queue_destroy)
{
	struct drm_damf_queue_destroy arg = { .id = self->c.queue, .pad = 1 };
	const __u32 bad[] = { 0, self->c.queue + 1, ~0u };
	unsigned int i;

	EXPECT_EQ(-EINVAL, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_QUEUE_DESTROY, &arg));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-ENOENT, queue_destroy(self->c.fd, bad[i]));
	}
	EXPECT_EQ(0, queue_destroy(self->c.fd, self->c.queue));
	EXPECT_EQ(-ENOENT, queue_destroy(self->c.fd, self->c.queue));
}

/* Nothing of one client has a name in another. */
TEST_F(uapi, other_client)
{
	struct drm_damf_submit s;
	struct drm_damf_result res;
	__u32 handle, id = 0;
	__u64 out;
	int i;

	/* handles and ids that other doesn't have */
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, bo_create(self->c.fd, PAGE, 0, &handle));
		ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &id));
	}
	EXPECT_EQ(-ENOENT, bo_offset(self->other.fd, handle, &out));
	EXPECT_EQ(-ENOENT, bo_sync(self->other.fd, handle, DRM_DAMF_SYNC_TO_DEVICE, PAGE));
	EXPECT_EQ(-ENOENT, vm_map(self->other.fd, handle, 0, &out));
	EXPECT_EQ(-EINVAL, bo_close(self->other.fd, handle));
	EXPECT_EQ(-ENOENT, queue_destroy(self->other.fd, id));
	EXPECT_EQ(-ENOENT, result(self->other.fd, id, 1, 0, &res));
	s = list_of(&self->other, 1);
	s.queue = id;
	EXPECT_EQ(-ENOENT, submit(self->other.fd, &s));
	/* and they are still there */
	EXPECT_EQ(0, bo_close(self->c.fd, handle));
	EXPECT_EQ(0, queue_destroy(self->c.fd, id));
}

TEST_HARNESS_MAIN
