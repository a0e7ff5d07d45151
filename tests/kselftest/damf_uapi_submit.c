// SPDX-License-Identifier: GPL-2.0-only
/* SUBMIT and RESULT with arguments that they have to refuse. */
#include <errno.h>
#include <string.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

FIXTURE(args)
{
	struct client c;
	struct path path;
	__u32 syncobj;
};

FIXTURE_VARIANT(args)
{
	bool uring;
};

FIXTURE_VARIANT_ADD(args, ioctl)
{
	.uring = false,
};

FIXTURE_VARIANT_ADD(args, uring)
{
	.uring = true,
};

FIXTURE_SETUP(args)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	ASSERT_EQ(0, path_init(&self->path, &self->c, variant->uring));
	ASSERT_EQ(0, syncobj_create(self->c.fd, &self->syncobj));
	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
	job_init(&self->c.jobs, 1, DAMF_OP_NOP);
}

FIXTURE_TEARDOWN(args)
{
	path_fini(&self->path);
	client_fini(&self->c);
}

/* A list that is fine gets the number that no bad one has taken. */
static int good_after(struct path *path)
{
	struct drm_damf_submit s = list_of(path->c, 2);
	struct drm_damf_result res;
	int r = path_run(path, &s, &res);

	if (r)
		return r;
	return res.error || s.seqno != 1 ? -EPROTO : 0;
}

TEST_F(args, fields)
{
	const struct drm_damf_submit good = list_of(&self->c, 2);
	struct { int want; struct drm_damf_submit s; } t[] = {
		{ -ENOENT, good }, { -ENOENT, good }, { -ENOENT, good },
		{ -EINVAL, good }, { -EINVAL, good }, { -EINVAL, good },
		{ -EINVAL, good }, { -EINVAL, good }, { -EINVAL, good },
		{ -EINVAL, good }, { -EINVAL, good }, { -EINVAL, good },
		{ -EINVAL, good },
	};
	unsigned int i;

	t[0].s.queue = 0;
	t[1].s.queue = good.queue + 1;
	t[2].s.queue = ~0u;
	t[3].s.flags = 2;
	t[4].s.flags = 1u << 31;
	t[5].s.list += 8;
	t[6].s.list += 1;
	t[7].s.count = 0;
	t[8].s.count = self->c.info.max_jobs + 1;
	t[9].s.count = ~0u;
	t[10].s.first = good.count + 1;
	t[11].s.first = ~0u;
	t[12].s.counters = self->c.data.va + 4;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		EXPECT_EQ(t[i].want, path_submit(&self->path, &t[i].s))
			TH_LOG("case %u", i);
	}
	EXPECT_EQ(0, good_after(&self->path));
}

TEST_F(args, sync_fields)
{
	const __u32 h = self->syncobj, signal = DRM_DAMF_SYNC_SIGNAL;
	const struct { int want; struct drm_damf_sync sync; } t[] = {
		{ -ENOENT, { .handle = 0, .flags = signal } },
		{ -ENOENT, { .handle = h + 1000, .flags = signal } },
		{ -ENOENT, { .handle = h + 1000 } },
		{ -EINVAL, { .handle = h, .flags = signal | 4 } },
		{ -EINVAL, { .handle = h, .flags = 1u << 31 } },
		{ -EINVAL, { .handle = h, .flags = signal, .point = 1 } },
		{ -EINVAL, { .handle = h, .point = 1 } },
		/* nothing has been submitted that would signal these */
		{ -EINVAL, { .handle = h } },
		{ -EINVAL, { .handle = h, .flags = DRM_DAMF_SYNC_TIMELINE, .point = 5 } },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct drm_damf_submit s = list_of(&self->c, 2);
		struct drm_damf_sync sync = t[i].sync;

		set_syncs(&s, &sync, 1);
		EXPECT_EQ(t[i].want, path_submit(&self->path, &s))
			TH_LOG("case %u", i);
	}
	EXPECT_EQ(0, good_after(&self->path));
	/* no list that was refused has left a fence behind */
	EXPECT_EQ(-EINVAL, syncobj_wait(self->c.fd, self->syncobj, 0, 0, 0));
}

/* The first is fine, the second is not: neither has happened. */
TEST_F(args, sync_all_or_nothing)
{
	struct drm_damf_submit s = list_of(&self->c, 2);
	struct drm_damf_sync syncs[2] = {
		sync_signal(self->syncobj, 0), sync_signal(self->syncobj + 1000, 0),
	};

	set_syncs(&s, syncs, 2);
	EXPECT_EQ(-ENOENT, path_submit(&self->path, &s));
	EXPECT_EQ(0, good_after(&self->path));
	EXPECT_EQ(-EINVAL, syncobj_wait(self->c.fd, self->syncobj, 0, 0, 0));
}

TEST_F(args, sync_array)
{
	const struct drm_damf_submit good = list_of(&self->c, 2);
	struct drm_damf_sync sync = sync_signal(self->syncobj, 0);
	struct { int want; __u64 syncs; __u32 count, stride; } t[] = {
		{ -EINVAL, (uintptr_t)&sync, DRM_DAMF_MAX_SYNCS + 1, sizeof(sync) },
		{ -EINVAL, (uintptr_t)&sync, ~0u, sizeof(sync) },
		{ -EINVAL, (uintptr_t)&sync, 1, 0 },
		{ -EINVAL, (uintptr_t)&sync, 1, 8 },
		{ -EINVAL, 0, 1, sizeof(sync) },
		{ -EFAULT, 8, 1, sizeof(sync) },
		{ -EFAULT, ~0ull, 1, sizeof(sync) },
		{ -EFAULT, 0xffff888000000000ull, 1, sizeof(sync) },
	};
	struct drm_damf_submit s = good;
	unsigned int i;

	/* an array that has no end: what lies in between isn't zero */
	set_syncs(&s, &sync, 2);
	s.sync_stride = 1u << 31;
	EXPECT_NE(0, path_submit(&self->path, &s));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		s = good;
		s.syncs = t[i].syncs;
		s.sync_count = t[i].count;
		s.sync_stride = t[i].stride;
		EXPECT_EQ(t[i].want, path_submit(&self->path, &s))
			TH_LOG("case %u", i);
	}
	EXPECT_EQ(0, good_after(&self->path));
}

/* Elements of a caller that knows more: fine as long as it doesn't use it. */
TEST_F(args, sync_stride)
{
	struct { struct drm_damf_sync sync; __u64 more[2]; } syncs[2] = { 0 };
	struct drm_damf_submit s = list_of(&self->c, 2), bad;
	struct drm_damf_result res;
	__u32 second;

	ASSERT_EQ(0, syncobj_create(self->c.fd, &second));
	syncs[0].sync = sync_signal(self->syncobj, 0);
	syncs[1].sync = sync_signal(second, 0);
	s.syncs = (uintptr_t)syncs;
	s.sync_count = 2;
	s.sync_stride = sizeof(syncs[0]);
	bad = s;
	syncs[1].more[1] = 1;
	EXPECT_EQ(-EINVAL, path_submit(&self->path, &bad));
	syncs[1].more[1] = 0;
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(1, s.seqno);
	EXPECT_EQ(0, syncobj_wait(self->c.fd, self->syncobj, 0, WAIT_NS, 0));
	EXPECT_EQ(0, syncobj_wait(self->c.fd, second, 0, WAIT_NS, 0));
}

/* As many as there may be. */
TEST_F(args, sync_count)
{
	struct drm_damf_sync syncs[DRM_DAMF_MAX_SYNCS];
	struct drm_damf_submit s = list_of(&self->c, 2);
	struct drm_damf_result res;
	unsigned int i;

	for (i = 0; i < DRM_DAMF_MAX_SYNCS; i++) {
		__u32 handle;

		ASSERT_EQ(0, syncobj_create(self->c.fd, &handle));
		syncs[i] = sync_signal(handle, 0);
	}
	set_syncs(&s, syncs, DRM_DAMF_MAX_SYNCS);
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	for (i = 0; i < DRM_DAMF_MAX_SYNCS; i++) {
		EXPECT_EQ(0, syncobj_wait(self->c.fd, syncs[i].handle, 0, WAIT_NS, 0));
	}
}

/* ---- RESULT -------------------------------------------------------------- */

FIXTURE(result)
{
	struct client c;
};

FIXTURE_SETUP(result)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
}

FIXTURE_TEARDOWN(result)
{
	client_fini(&self->c);
}

TEST_F(result, fields)
{
	const __u32 q = self->c.queue;
	const struct { int want; struct drm_damf_result arg; } t[] = {
		{ -ENOENT, { .queue = 0, .seqno = 1 } },
		{ -ENOENT, { .queue = q + 1, .seqno = 1 } },
		{ -ENOENT, { .queue = ~0u, .seqno = 1 } },
		{ -ENOENT, { .queue = q, .seqno = 0 } },
		{ -ENOENT, { .queue = q, .seqno = 2 } },
		{ -ENOENT, { .queue = q, .seqno = 2, .timeout_ns = -1 } },
		{ -ENOENT, { .queue = q, .seqno = 1ull << 32 | 1 } },
		{ -ENOENT, { .queue = q, .seqno = ~0ull } },
		{ -EINVAL, { .queue = q, .seqno = 1, .flags = 1 } },
		{ -EINVAL, { .queue = q, .seqno = 1, .flags = 1u << 31 } },
		{ -EINVAL, { .queue = q, .seqno = 1, .pad = 1 } },
		{ 0, { .queue = q, .seqno = 1 } },
	};
	struct drm_damf_result res;
	unsigned int i;

	EXPECT_EQ(-ENOENT, result(self->c.fd, q, 1, 0, &res));
	ASSERT_EQ(0, run(&self->c, 1, &res));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct drm_damf_result arg = t[i].arg;

		EXPECT_EQ(t[i].want, damf_ioctl(self->c.fd, DRM_IOCTL_DAMF_RESULT, &arg))
			TH_LOG("case %u", i);
	}
}

TEST_F(result, queue_gone)
{
	struct drm_damf_result res;

	ASSERT_EQ(0, run(&self->c, 1, &res));
	ASSERT_EQ(0, queue_destroy(self->c.fd, self->c.queue));
	EXPECT_EQ(-ENOENT, result(self->c.fd, self->c.queue, 1, 0, &res));
}

TEST_HARNESS_MAIN
