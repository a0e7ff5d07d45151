// SPDX-License-Identifier: GPL-2.0-only
/* Queues: their number, how much they hold, priorities, and their end. */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

FIXTURE(queue)
{
	struct client c;
};

FIXTURE_SETUP(queue)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
}

FIXTURE_TEARDOWN(queue)
{
	client_fini(&self->c);
}

static int run_on(struct client *c, __u32 queue, struct drm_damf_result *res)
{
	struct drm_damf_submit s = list_of(c, 1);
	int r;

	s.queue = queue;
	r = submit(c->fd, &s);
	return r ? r : result(c->fd, queue, s.seqno, WAIT_NS, res);
}

/* As many queues as the client gets. Returns what refused the next one. */
static int take_all(struct client *c, __u32 *ids, unsigned int *n, unsigned int max)
{
	int r = 0;

	for (*n = 0; *n <= max; ++*n) {
		r = queue_create(c->fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &ids[*n]);
		if (r)
			break;
	}
	return r;
}

/* One client never takes all that there are; all of its queues work. */
TEST_F(queue, limit)
{
	const __u32 max = self->c.info.max_queues;
	__u32 *ids = calloc(max + 1, sizeof(*ids));
	struct drm_damf_result res;
	unsigned int i, n, round;
	struct client other;

	ASSERT_NE(NULL, ids);
	for (round = 0; round < 2; round++) {
		EXPECT_EQ(-ENOSPC, take_all(&self->c, ids, &n, max));
		ASSERT_LT(0, n);
		for (i = 0; i < n; i++) {
			ASSERT_EQ(0, run_on(&self->c, ids[i], &res));
			EXPECT_EQ(0, res.error);
		}
		if (max > 4) {
			ASSERT_EQ(0, client_init(&other));
			client_fini(&other);
		}
		ASSERT_EQ(0, queue_destroy(self->c.fd, ids[0]));
		ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &ids[0]));
		ASSERT_EQ(0, run_on(&self->c, ids[0], &res));
		for (i = 0; i < n; i++) {
			ASSERT_EQ(0, queue_destroy(self->c.fd, ids[i]));
		}
	}
	free(ids);
}

#define CLIENTS 16

/* All clients together get what the device has, and then it has them again. */
TEST_F(queue, all)
{
	const __u32 max = self->c.info.max_queues;
	__u32 *ids = calloc(max + 1, sizeof(*ids));
	struct client c[CLIENTS];
	unsigned int round, i, n, total;

	ASSERT_NE(NULL, ids);
	for (round = 0; round < 2; round++) {
		total = 1;
		for (i = 0; i < CLIENTS && client_init(&c[i]) == 0; i++) {
			EXPECT_EQ(-ENOSPC, take_all(&c[i], ids, &n, max));
			total += 1 + n;
		}
		EXPECT_EQ(max, total);
		while (i)
			client_fini(&c[--i]);
	}
	free(ids);
}

/* A new queue knows nothing of the one before it. */
TEST_F(queue, fresh)
{
	struct drm_damf_result res;
	__u32 id;
	int i;

	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, queue_create(self->c.fd, i % 2, NULL, &id));
		ASSERT_EQ(-ENOENT, result(self->c.fd, id, 1, 0, &res));
		ASSERT_EQ(0, run_on(&self->c, id, &res));
		ASSERT_EQ(0, result(self->c.fd, id, 1, 0, &res));
		ASSERT_EQ(0, queue_destroy(self->c.fd, id));
	}
}

/* ---- Priorities ---------------------------------------------------------- */

static int drop_sys_nice(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[CAP_TO_INDEX(CAP_SYS_NICE)].effective &= ~CAP_TO_MASK(CAP_SYS_NICE);
	data[CAP_TO_INDEX(CAP_SYS_NICE)].permitted &= ~CAP_TO_MASK(CAP_SYS_NICE);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

static bool has_sys_nice(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	return !syscall(SYS_capget, &header, data) &&
	       data[CAP_TO_INDEX(CAP_SYS_NICE)].effective & CAP_TO_MASK(CAP_SYS_NICE);
}

TEST_F(queue, high_needs_cap_sys_nice)
{
	__u32 id;
	int r;

	ASSERT_EQ(0, drop_sys_nice());
	r = queue_create(self->c.fd, DRM_DAMF_PRIORITY_HIGH, NULL, &id);
	EXPECT_TRUE(r == -EACCES || r == -EPERM) TH_LOG("%d", r);
	EXPECT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &id));
	EXPECT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_LOW, NULL, &id));
}

/*
 * A list of higher priority comes in the middle of one that is as long, and
 * ends before it. By turns it would end after it, having begun later.
 */
TEST_F(queue, priority)
{
	const __u32 above[] = { DRM_DAMF_PRIORITY_NORMAL, DRM_DAMF_PRIORITY_HIGH };
	struct drm_damf_result low, high;
	struct busy busy;
	__u32 queue[2];
	__u64 seqno[2];
	unsigned int i;

	if (!(self->c.info.features & DAMF_FEATURE_PRIORITY))
		SKIP(return, "the device has no priorities");
	ASSERT_EQ(0, busy_init(&self->c, &busy, 500));
	for (i = 0; i < (has_sys_nice() ? 2 : 1); i++) {
		ASSERT_EQ(0, queue_create(self->c.fd, above[i] - 1, NULL, &queue[0]));
		ASSERT_EQ(0, queue_create(self->c.fd, above[i], NULL, &queue[1]));
		ASSERT_EQ(0, busy_submit(&self->c, &busy, queue[0], &seqno[0]));
		ASSERT_EQ(-ETIME, result(self->c.fd, queue[0], seqno[0], 20 * MS, &low));
		ASSERT_EQ(0, busy_submit(&self->c, &busy, queue[1], &seqno[1]));
		ASSERT_EQ(0, result(self->c.fd, queue[1], seqno[1], WAIT_NS, &high));
		ASSERT_EQ(0, result(self->c.fd, queue[0], seqno[0], WAIT_NS, &low));
		EXPECT_EQ(0, high.error);
		EXPECT_EQ(busy.count, high.index);
		EXPECT_EQ(0, low.error);
		EXPECT_EQ(busy.count, low.index);
		EXPECT_LT(high.end_ns, low.end_ns);
		EXPECT_GT(high.start_ns, low.start_ns);
	}
	busy_fini(&self->c, &busy);
}

/* Two clients of the same priority take turns: neither waits for the other. */
TEST_F(queue, turns)
{
	struct drm_damf_result mine, theirs;
	struct client other;
	struct busy busy;
	__u64 seqno;

	ASSERT_EQ(0, client_init(&other));
	job_init(&other.jobs, 0, DAMF_OP_NOP);
	ASSERT_EQ(0, busy_init(&self->c, &busy, 1000));
	ASSERT_EQ(0, busy_submit(&self->c, &busy, self->c.queue, &seqno));
	ASSERT_EQ(-ETIME, result(self->c.fd, self->c.queue, seqno, 20 * MS, &mine));
	ASSERT_EQ(0, run(&other, 1, &theirs));
	ASSERT_EQ(0, result(self->c.fd, self->c.queue, seqno, WAIT_NS, &mine));
	EXPECT_EQ(0, mine.error);
	EXPECT_EQ(0, theirs.error);
	EXPECT_LT(theirs.end_ns, mine.end_ns);
	busy_fini(&self->c, &busy);
	client_fini(&other);
}

/* ---- With lists that wait ------------------------------------------------ */

FIXTURE(held)
{
	struct client c;
	struct hold hold;
	struct drm_damf_sync syncs[2];
};

FIXTURE_SETUP(held)
{
	__u32 handle, signal;

	self->c.fd = -1;
	SETUP_HOLD(&self->hold);
	SETUP_CLIENT(&self->c);
	ASSERT_EQ(0, hold_syncobj(&self->hold, self->c.fd, &handle));
	ASSERT_EQ(0, syncobj_create(self->c.fd, &signal));
	self->syncs[0] = sync_wait(handle, 0);
	self->syncs[1] = sync_signal(signal, 0);
	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
}

FIXTURE_TEARDOWN(held)
{
	hold_fini(&self->hold);
	client_fini(&self->c);
}

/* It takes as many lists as it says, refuses more, and then goes on. */
TEST_F(held, full)
{
	struct drm_damf_result res;
	__u32 entries, given, id;
	struct drm_damf_submit s;
	unsigned int i;

	for (entries = 2; entries <= 8; entries *= 2) {
		given = entries;
		ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, &given, &id));
		for (i = 0; i < given; i++) {
			s = list_of(&self->c, 1);
			s.queue = id;
			set_syncs(&s, self->syncs, 1);
			ASSERT_EQ(0, submit(self->c.fd, &s)) TH_LOG("%u of %u", i, given);
		}
		EXPECT_EQ(-EAGAIN, submit(self->c.fd, &s));
		if (entries == 8) {
			ASSERT_EQ(0, hold_release(&self->hold));
			ASSERT_EQ(0, result(self->c.fd, id, given, WAIT_NS, &res));
			s.sync_count = 0;
			ASSERT_EQ(0, submit(self->c.fd, &s));
			EXPECT_EQ(given + 1, s.seqno);
			ASSERT_EQ(0, result(self->c.fd, id, s.seqno, WAIT_NS, &res));
		}
	}
}

/* What is in flight ends with ECANCELED, soon, and others notice nothing. */
TEST_F(held, destroyed)
{
	struct drm_damf_result res;
	struct drm_damf_submit s;
	int i, status = 0;
	__u64 start;

	for (i = 0; i < 5; i++) {
		s = list_of(&self->c, 1);
		set_syncs(&s, self->syncs, 2);
		ASSERT_EQ(0, submit(self->c.fd, &s));
	}
	start = now_ns();
	ASSERT_EQ(0, queue_destroy(self->c.fd, self->c.queue));
	EXPECT_EQ(-ENOENT, result(self->c.fd, self->c.queue, 1, 0, &res));
	EXPECT_EQ(0, syncobj_wait(self->c.fd, self->syncs[1].handle, 0, WAIT_NS, 0));
	/* sooner than vgem's fence gives up by itself */
	EXPECT_LT(now_ns() - start, 5ull * SECOND);
	ASSERT_EQ(0, syncobj_status(self->c.fd, self->syncs[1].handle, &status));
	EXPECT_EQ(-ECANCELED, status);
	ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &self->c.queue));
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
}

/* The same while its list is on the engine. */
TEST_F(held, destroyed_on_engine)
{
	struct drm_damf_result res;
	struct drm_damf_submit s;
	struct busy busy;
	int status = 0;
	__u64 start;

	ASSERT_EQ(0, busy_init(&self->c, &busy, 3000));
	s = list_of(&self->c, busy.count);
	s.list = busy.jobs.va;
	set_syncs(&s, &self->syncs[1], 1);
	ASSERT_EQ(0, submit(self->c.fd, &s));
	ASSERT_EQ(-ETIME, result(self->c.fd, s.queue, s.seqno, 20 * MS, &res));
	start = now_ns();
	ASSERT_EQ(0, queue_destroy(self->c.fd, self->c.queue));
	EXPECT_EQ(0, syncobj_wait(self->c.fd, self->syncs[1].handle, 0, WAIT_NS, 0));
	EXPECT_LT(now_ns() - start, 2ull * SECOND);
	ASSERT_EQ(0, syncobj_status(self->c.fd, self->syncs[1].handle, &status));
	EXPECT_EQ(-ECANCELED, status);
	ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &self->c.queue));
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
	busy_fini(&self->c, &busy);
}

TEST_HARNESS_MAIN
