// SPDX-License-Identifier: GPL-2.0-only
/* What a list waits for and what it signals, by ioctl and by io_uring alike. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

#define FOR_SUBMIT DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT

FIXTURE(sync)
{
	struct client c;
	struct path path;
	struct hold hold;
	__u32 held, binary, timeline;
};

FIXTURE_VARIANT(sync)
{
	bool uring;
};

FIXTURE_VARIANT_ADD(sync, ioctl)
{
	.uring = false,
};

FIXTURE_VARIANT_ADD(sync, uring)
{
	.uring = true,
};

FIXTURE_SETUP(sync)
{
	self->c.fd = -1;
	SETUP_HOLD(&self->hold);
	SETUP_CLIENT(&self->c);
	ASSERT_EQ(0, path_init(&self->path, &self->c, variant->uring));
	ASSERT_EQ(0, hold_syncobj(&self->hold, self->c.fd, &self->held));
	ASSERT_EQ(0, syncobj_create(self->c.fd, &self->binary));
	ASSERT_EQ(0, syncobj_create(self->c.fd, &self->timeline));
	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 0x5afe);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
}

FIXTURE_TEARDOWN(sync)
{
	hold_fini(&self->hold);
	path_fini(&self->path);
	client_fini(&self->c);
}

/* Submits the list with syncs. */
static int submit_with(struct path *path, struct drm_damf_submit *s, struct drm_damf_sync *syncs,
		       unsigned int count)
{
	*s = list_of(path->c, 1);
	set_syncs(s, syncs, count);
	return path_submit(path, s);
}

static bool is_pending(struct client *c, struct drm_damf_submit *s)
{
	struct drm_damf_result res;

	return result(c->fd, s->queue, s->seqno, 20 * MS, &res) == -ETIME;
}

TEST_F(sync, signal_binary)
{
	struct drm_damf_sync sync = sync_signal(self->binary, 0);
	struct drm_damf_submit s;
	struct drm_damf_result res;
	int status;

	ASSERT_EQ(0, submit_with(&self->path, &s, &sync, 1));
	EXPECT_EQ(0, syncobj_wait(self->c.fd, self->binary, 0, WAIT_NS, 0));
	/* signalled means ended */
	EXPECT_EQ(0, result(self->c.fd, s.queue, s.seqno, 0, &res));
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	EXPECT_TRUE(is_filled(&self->c.data, 0, 16, 0x5afe));
	ASSERT_EQ(0, path_wait(&self->path, &s, &res));
	ASSERT_EQ(0, syncobj_status(self->c.fd, self->binary, &status));
	EXPECT_EQ(1, status);
}

TEST_F(sync, wait_binary)
{
	struct drm_damf_sync syncs[2] = {
		sync_wait(self->held, 0), sync_signal(self->binary, 0),
	};
	struct drm_damf_submit s;
	struct drm_damf_result res;

	ASSERT_EQ(0, submit_with(&self->path, &s, syncs, 2));
	EXPECT_TRUE(is_pending(&self->c, &s));
	EXPECT_EQ(-ETIME, syncobj_wait(self->c.fd, self->binary, 0, 0, 0));
	EXPECT_TRUE(is_filled(&self->c.data, 0, 16, 0));
	ASSERT_EQ(0, hold_release(&self->hold));
	ASSERT_EQ(0, path_wait(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(0, syncobj_wait(self->c.fd, self->binary, 0, WAIT_NS, 0));
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	EXPECT_TRUE(is_filled(&self->c.data, 0, 16, 0x5afe));
}

/* Several points at once, and each is there when its list has ended. */
TEST_F(sync, signal_timeline)
{
	struct drm_damf_sync sync[2] = { sync_wait(self->held, 0) };
	struct drm_damf_submit s[5];
	struct drm_damf_result res;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		sync[1] = sync_signal(self->timeline, 10 * (i + 1));
		ASSERT_EQ(0, submit_with(&self->path, &s[i], sync, 2));
	}
	EXPECT_EQ(-ETIME, syncobj_wait(self->c.fd, self->timeline, 10, 20 * MS, 0));
	EXPECT_EQ(-ETIME, syncobj_wait(self->c.fd, self->timeline, 50, 0, 0));
	/* beyond the last: nobody has promised that */
	EXPECT_EQ(-EINVAL, syncobj_wait(self->c.fd, self->timeline, 51, 0, 0));
	ASSERT_EQ(0, hold_release(&self->hold));
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0, syncobj_wait(self->c.fd, self->timeline, 10 * i + 1, WAIT_NS, 0));
		EXPECT_EQ(0, syncobj_wait(self->c.fd, self->timeline, 10 * (i + 1), WAIT_NS, 0));
		EXPECT_EQ(0, result(self->c.fd, s[i].queue, s[i].seqno, 0, &res));
	}
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, path_wait(&self->path, &s[i], &res));
		EXPECT_EQ(0, res.error);
	}
}

TEST_F(sync, wait_timeline)
{
	struct drm_damf_sync first[2] = {
		sync_wait(self->held, 0), sync_signal(self->timeline, 7),
	};
	struct drm_damf_sync second = sync_wait(self->timeline, 7);
	struct drm_damf_submit a, b;
	struct drm_damf_result ra, rb;
	__u32 queue;

	ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &queue));
	ASSERT_EQ(0, submit_with(&self->path, &a, first, 2));
	b = list_of(&self->c, 1);
	b.queue = queue;
	set_syncs(&b, &second, 1);
	ASSERT_EQ(0, path_submit(&self->path, &b));
	EXPECT_TRUE(is_pending(&self->c, &b));
	ASSERT_EQ(0, hold_release(&self->hold));
	ASSERT_EQ(0, path_wait(&self->path, &b, &rb));
	ASSERT_EQ(0, path_wait(&self->path, &a, &ra));
	EXPECT_EQ(0, ra.error);
	EXPECT_EQ(0, rb.error);
	EXPECT_GE(rb.start_ns, ra.end_ns);
	/* a point that has passed is no reason to wait */
	second = sync_wait(self->timeline, 3);
	ASSERT_EQ(0, submit_with(&self->path, &a, &second, 1));
	ASSERT_EQ(0, path_wait(&self->path, &a, &ra));
	EXPECT_EQ(0, ra.error);
}

struct waiter {
	int fd, r;
	__u32 handle;
	__u64 point;
};

static void *wait_for_submit(void *arg)
{
	struct waiter *w = arg;

	w->r = syncobj_wait(w->fd, w->handle, w->point, WAIT_NS, FOR_SUBMIT);
	return NULL;
}

/* Somebody waits already when the list that will signal comes. */
TEST_F(sync, wait_before_submit)
{
	struct waiter w[2] = {
		{ .fd = self->c.fd, .r = 1, .handle = self->binary },
		{ .fd = self->c.fd, .r = 1, .handle = self->timeline, .point = 4 },
	};
	struct drm_damf_sync syncs[2] = {
		sync_signal(self->binary, 0), sync_signal(self->timeline, 4),
	};
	struct drm_damf_submit s;
	struct drm_damf_result res;
	pthread_t t[2];
	int i;

	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_create(&t[i], NULL, wait_for_submit, &w[i]));
	}
	sleep_ms(100);
	EXPECT_EQ(1, w[0].r);
	EXPECT_EQ(1, w[1].r);
	ASSERT_EQ(0, submit_with(&self->path, &s, syncs, 2));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pthread_join(t[i], NULL));
		EXPECT_EQ(0, w[i].r);
	}
	ASSERT_EQ(0, path_wait(&self->path, &s, &res));
}

/*
 * Three queues, submitted last to first as far as fences allow: data goes
 * through all of them in the order that the fences say.
 */
TEST_F(sync, queues)
{
	enum { QUEUES = 3 };
	struct drm_damf_submit s[QUEUES];
	struct drm_damf_result res[QUEUES];
	__u32 queue[QUEUES];
	unsigned int i;
	__u64 va = self->c.data.va;

	for (i = 0; i < QUEUES; i++) {
		struct drm_damf_sync syncs[2] = {
			i ? sync_wait(self->timeline, i) : sync_wait(self->held, 0),
			sync_signal(self->timeline, i + 1),
		};

		ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &queue[i]));
		if (i)
			job_copy(&self->c.jobs, i, va + i * PAGE, va + (i - 1) * PAGE, PAGE);
		else
			job_fill(&self->c.jobs, 0, va, PAGE / 4, 0xf00d);
		ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
		s[i] = list_of(&self->c, 1);
		s[i].queue = queue[i];
		s[i].list += i * sizeof(struct damf_job);
		set_syncs(&s[i], syncs, 2);
		ASSERT_EQ(0, path_submit(&self->path, &s[i]));
	}
	EXPECT_TRUE(is_pending(&self->c, &s[QUEUES - 1]));
	ASSERT_EQ(0, hold_release(&self->hold));
	for (i = 0; i < QUEUES; i++) {
		ASSERT_EQ(0, path_wait(&self->path, &s[i], &res[i]));
		EXPECT_EQ(0, res[i].error);
		if (i) {
			EXPECT_GE(res[i].start_ns, res[i - 1].end_ns);
		}
	}
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	EXPECT_TRUE(is_filled(&self->c.data, 0, QUEUES * PAGE / 4, 0xf00d));
}

/* One that waits holds up its own queue, and no other. */
TEST_F(sync, other_queue_goes_on)
{
	struct drm_damf_sync sync = sync_wait(self->held, 0);
	struct drm_damf_submit held, behind, other;
	struct drm_damf_result res;

	ASSERT_EQ(0, submit_with(&self->path, &held, &sync, 1));
	behind = list_of(&self->c, 1);
	ASSERT_EQ(0, path_submit(&self->path, &behind));
	other = list_of(&self->c, 1);
	ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &other.queue));
	ASSERT_EQ(0, path_submit(&self->path, &other));
	ASSERT_EQ(0, path_wait(&self->path, &other, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_TRUE(is_pending(&self->c, &held));
	EXPECT_TRUE(is_pending(&self->c, &behind));
	ASSERT_EQ(0, hold_release(&self->hold));
	ASSERT_EQ(0, path_wait(&self->path, &held, &res));
	ASSERT_EQ(0, path_wait(&self->path, &behind, &res));
}

/* Lists that wait for one before them on their queue, and for what they signal. */
TEST_F(sync, same)
{
	struct drm_damf_sync syncs[2] = {
		sync_wait(self->held, 0), sync_signal(self->held, 0),
	};
	struct drm_damf_submit s[4];
	struct drm_damf_result res;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, submit_with(&self->path, &s[i], syncs, 2));
	}
	EXPECT_TRUE(is_pending(&self->c, &s[0]));
	EXPECT_TRUE(is_pending(&self->c, &s[3]));
	ASSERT_EQ(0, hold_release(&self->hold));
	EXPECT_EQ(0, syncobj_wait(self->c.fd, self->held, 0, WAIT_NS, 0));
	EXPECT_EQ(0, result(self->c.fd, s[3].queue, s[3].seqno, 0, &res));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, path_wait(&self->path, &s[i], &res));
		EXPECT_EQ(0, res.error);
	}
}

/* A list that went wrong signals all the same, and its fence says so. */
TEST_F(sync, error)
{
	struct drm_damf_sync sync = sync_signal(self->binary, 0);
	struct drm_damf_submit s;
	struct drm_damf_result res;
	int status;

	job_init(&self->c.jobs, 0, DAMF_OP_NOP)->flags = 1;
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	ASSERT_EQ(0, submit_with(&self->path, &s, &sync, 1));
	EXPECT_EQ(0, syncobj_wait(self->c.fd, self->binary, 0, WAIT_NS, 0));
	ASSERT_EQ(0, path_wait(&self->path, &s, &res));
	EXPECT_EQ(-EINVAL, res.error);
	ASSERT_EQ(0, syncobj_status(self->c.fd, self->binary, &status));
	EXPECT_EQ(-EINVAL, status);
}

/* The fence lives on when queue and file are gone. */
TEST_F(sync, fence_outlives_file)
{
	struct drm_syncobj_handle arg = { 0 };
	struct drm_damf_sync sync;
	struct client other;
	struct path path;
	struct drm_damf_submit s;
	struct drm_damf_result res;
	__u32 handle;

	ASSERT_EQ(0, client_init(&other));
	ASSERT_EQ(0, path_init(&path, &other, variant->uring));
	ASSERT_EQ(0, syncobj_create(other.fd, &handle));
	job_init(&other.jobs, 0, DAMF_OP_NOP);
	ASSERT_EQ(0, buf_to_device(other.fd, &other.jobs));
	sync = sync_signal(handle, 0);
	ASSERT_EQ(0, submit_with(&path, &s, &sync, 1));
	ASSERT_EQ(0, path_wait(&path, &s, &res));
	arg.handle = handle;
	ASSERT_EQ(0, damf_ioctl(other.fd, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &arg));
	path_fini(&path);
	client_fini(&other);
	arg.handle = 0;
	ASSERT_EQ(0, damf_ioctl(self->c.fd, DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE, &arg));
	close(arg.fd);
	EXPECT_EQ(0, syncobj_wait(self->c.fd, arg.handle, 0, WAIT_NS, 0));
	/* and another client's list can wait for it */
	sync = sync_wait(arg.handle, 0);
	ASSERT_EQ(0, submit_with(&self->path, &s, &sync, 1));
	ASSERT_EQ(0, path_wait(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
}

TEST_HARNESS_MAIN
