// SPDX-License-Identifier: GPL-2.0-only
/*
 * What comes of a client when the device is reset, which is asked for in
 * debugfs. The driver gives a device up that is reset too often, so there are
 * few of these tests, with one reset each.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

FIXTURE(reset)
{
	struct client c;
	struct drm_damf_stats before;
	int reset;
};

FIXTURE_SETUP(reset)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	self->reset = debugfs_open("reset", O_WRONLY);
	if (self->reset < 0) {
		client_fini(&self->c);
		SKIP(return, "needs root and the driver's debugfs");
	}
	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_STATS, &self->before,
				sizeof(self->before)));
}

/* One more than before, and the client goes on with what it has. */
FIXTURE_TEARDOWN(reset)
{
	struct drm_damf_stats after;

	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_STATS, &after, sizeof(after)));
	EXPECT_EQ(self->before.resets + 1, after.resets);
	EXPECT_EQ(0, client_works(&self->c, 0x900d));
	close(self->reset);
	client_fini(&self->c);
}

static int reset_now(int fd)
{
	return write(fd, "1", 1) == 1 ? 0 : -errno;
}

/* System memory is as it was, and so are addresses, queues and their numbers. */
TEST_F(reset, idle)
{
	struct drm_damf_result res;
	struct drm_damf_submit s;

	job_fill(&self->c.jobs, 0, self->c.data.va, 4096, 0x1111);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	ASSERT_EQ(0, reset_now(self->reset));
	EXPECT_EQ(0, result(self->c.fd, self->c.queue, 1, 0, &res));
	job_copy(&self->c.jobs, 0, self->c.data.va + 65536, self->c.data.va, 16384);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	s = list_of(&self->c, 1);
	ASSERT_EQ(0, submit(self->c.fd, &s));
	EXPECT_EQ(2, s.seqno);
	ASSERT_EQ(0, result(self->c.fd, s.queue, s.seqno, WAIT_NS, &res));
	EXPECT_EQ(0, res.error);
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	EXPECT_TRUE(is_filled(&self->c.data, 65536, 4096, 0x1111));
}

/*
 * Of two clients whose lists are in flight one has said that its list may run
 * again: that one gets its results, the other one is told.
 */
TEST_F(reset, in_flight)
{
	struct drm_damf_submit s[3];
	struct drm_damf_result res;
	struct client other;
	struct busy a, b;
	__u64 seqno;

	ASSERT_EQ(0, client_init(&other));
	ASSERT_EQ(0, busy_init(&self->c, &a, 500));
	ASSERT_EQ(0, busy_init(&other, &b, 500));
	memset(a.data.map, 0x5c, a.data.size / 2);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &a.data));
	s[0] = list_of(&self->c, a.count);
	s[0].list = a.jobs.va;
	s[0].flags = DRM_DAMF_SUBMIT_REPLAYABLE;
	ASSERT_EQ(0, submit(self->c.fd, &s[0]));
	ASSERT_EQ(0, busy_submit(&other, &b, other.queue, &seqno));
	/* behind it, on the same queue */
	job_copy(&self->c.jobs, 0, self->c.data.va, a.data.va + a.data.size / 2, 16384);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	s[1] = list_of(&self->c, 1);
	s[1].flags = DRM_DAMF_SUBMIT_REPLAYABLE;
	ASSERT_EQ(0, submit(self->c.fd, &s[1]));
	ASSERT_EQ(-ETIME, result(self->c.fd, s[0].queue, s[0].seqno, 50 * MS, &res));
	ASSERT_EQ(-ETIME, result(other.fd, other.queue, seqno, 0, &res));
	ASSERT_EQ(0, reset_now(self->reset));
	ASSERT_EQ(0, result(other.fd, other.queue, seqno, WAIT_NS, &res));
	EXPECT_EQ(-ECANCELED, res.error);
	job_init(&other.jobs, 0, DAMF_OP_NOP);
	ASSERT_EQ(0, run(&other, 1, &res));
	EXPECT_EQ(0, res.error);
	ASSERT_EQ(0, result(self->c.fd, s[0].queue, s[0].seqno, WAIT_NS, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(a.count, res.index);
	ASSERT_EQ(0, result(self->c.fd, s[1].queue, s[1].seqno, WAIT_NS, &res));
	EXPECT_EQ(0, res.error);
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	EXPECT_TRUE(is_filled(&self->c.data, 0, 4096, 0x5c5c5c5c));
	busy_fini(&other, &b);
	client_fini(&other);
	busy_fini(&self->c, &a);
}

/*
 * Local memory has lost what was in it. Who has it mapped must not compute
 * with that unawares; with new memory all is well again.
 */
TEST_F(reset, local)
{
	struct drm_damf_result res;
	struct drm_damf_submit s;
	struct buf b;

	if (!self->c.info.local_size) {
		ASSERT_EQ(0, reset_now(self->reset));
		SKIP(return, "the device has no local memory");
	}
	ASSERT_EQ(0, buf_create(self->c.fd, &b, 65536, DRM_DAMF_BO_LOCAL, 0));
	job_fill(&self->c.jobs, 0, b.va, 4096, 0x7777);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	ASSERT_EQ(0, res.error);
	ASSERT_EQ(0, reset_now(self->reset));
	s = list_of(&self->c, 1);
	EXPECT_EQ(-EIO, submit(self->c.fd, &s));
	/* the CPU may still touch it, without a signal */
	memset(b.map, 1, b.size);
	buf_free(self->c.fd, &b);
	ASSERT_EQ(0, buf_create(self->c.fd, &b, 65536, DRM_DAMF_BO_LOCAL, 0));
	EXPECT_TRUE(is_filled(&b, 0, 65536 / 4, 0));
	job_fill(&self->c.jobs, 0, b.va, 4096, 0x8888);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
	ASSERT_EQ(0, buf_from_device(self->c.fd, &b));
	EXPECT_TRUE(is_filled(&b, 0, 4096, 0x8888));
	buf_free(self->c.fd, &b);
}

struct mapper {
	int fd;
	__u32 handle;
	atomic_bool ended;
	unsigned int mapped;
};

static void *map_in_vain(void *arg)
{
	struct mapper *m = arg;
	__u64 va;
	int i;

	for (i = 0; i < 50; i++)
		m->mapped += vm_map(m->fd, m->handle, 0, &va) != -EIO;
	atomic_store(&m->ended, true);
	return NULL;
}

/*
 * A mapping of memory that is lost fails, and until it has been taken back,
 * for which the job on the engine has to end, it is at an address that can be
 * guessed. Nobody else may take it back meanwhile.
 */
TEST_F(reset, map_lost)
{
	struct mapper m = { .fd = self->c.fd };
	unsigned int unmapped = 0;
	struct busy busy;
	pthread_t t;
	__u64 seqno, va;

	if (!self->c.info.local_size) {
		ASSERT_EQ(0, reset_now(self->reset));
		SKIP(return, "the device has no local memory");
	}
	ASSERT_EQ(0, busy_init(&self->c, &busy, 500));
	ASSERT_EQ(0, bo_create(self->c.fd, 65536, DRM_DAMF_BO_LOCAL, &m.handle));
	ASSERT_EQ(0, vm_map(self->c.fd, m.handle, 0, &va));
	ASSERT_EQ(0, vm_unmap(self->c.fd, va));
	ASSERT_EQ(0, reset_now(self->reset));
	ASSERT_EQ(0, busy_submit(&self->c, &busy, self->c.queue, &seqno));
	ASSERT_EQ(0, pthread_create(&t, NULL, map_in_vain, &m));
	while (!atomic_load(&m.ended))
		unmapped += vm_unmap(self->c.fd, va) != -EINVAL;
	ASSERT_EQ(0, pthread_join(t, NULL));
	EXPECT_EQ(0, m.mapped);
	EXPECT_EQ(0, unmapped);
	busy_fini(&self->c, &busy);
}

TEST_HARNESS_MAIN
