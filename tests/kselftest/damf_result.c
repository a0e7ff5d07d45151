// SPDX-License-Identifier: GPL-2.0-only
/* Waiting for results: times, signals, and how long they are kept. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

#define KEPT 1024	/* results of a queue */

/* A list that waits for a fence, so that it surely has not ended. */
FIXTURE(result)
{
	struct client c;
	struct hold hold;
	struct drm_damf_submit held;
};

FIXTURE_SETUP(result)
{
	struct drm_damf_sync sync;
	__u32 handle;

	self->c.fd = -1;
	SETUP_HOLD(&self->hold);
	SETUP_CLIENT(&self->c);
	ASSERT_EQ(0, hold_syncobj(&self->hold, self->c.fd, &handle));
	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 0x123);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	self->held = list_of(&self->c, 1);
	sync = sync_wait(handle, 0);
	set_syncs(&self->held, &sync, 1);
	ASSERT_EQ(0, submit(self->c.fd, &self->held));
}

FIXTURE_TEARDOWN(result)
{
	hold_fini(&self->hold);
	client_fini(&self->c);
}

static int wait_held(struct client *c, __s64 timeout_ns)
{
	struct drm_damf_result res;

	return result(c->fd, c->queue, 1, timeout_ns, &res);
}

TEST_F(result, not_ended)
{
	const __s64 timeouts[] = { 1, 1000, MS, 50 * MS, 300 * MS };
	unsigned int i;
	__u64 start;

	start = now_ns();
	EXPECT_EQ(-ETIME, wait_held(&self->c, 0));
	/* whoever waits for the list waits until vgem's fence gives up by itself */
	EXPECT_LT(now_ns() - start, 5ull * SECOND);
	for (i = 0; i < ARRAY_SIZE(timeouts); i++) {
		start = now_ns();
		EXPECT_EQ(-ETIME, wait_held(&self->c, timeouts[i]));
		EXPECT_GE((__s64)(now_ns() - start), timeouts[i]);
	}
	ASSERT_EQ(0, hold_release(&self->hold));
	EXPECT_EQ(0, wait_held(&self->c, WAIT_NS));
	EXPECT_EQ(0, wait_held(&self->c, 0));
}

static void on_alarm(int sig)
{
}

/*
 * A signal each so many microseconds, without SA_RESTART; 0: no more. One
 * alone might come before the wait has begun.
 */
static void set_alarm(suseconds_t us)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval t = { .it_interval.tv_usec = us, .it_value.tv_usec = us };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

/* For ever, or so long that it can't be told from it. */
TEST_F(result, interrupted)
{
	const __s64 timeouts[] = { -1, INT64_MIN, INT64_MAX, INT64_MAX - 1, 100 * SECOND };
	unsigned int i;

	set_alarm(200000);
	for (i = 0; i < ARRAY_SIZE(timeouts); i++) {
		EXPECT_EQ(-EINTR, wait_held(&self->c, timeouts[i]))
			TH_LOG("timeout %lld", (long long)timeouts[i]);
	}
	set_alarm(0);
	ASSERT_EQ(0, hold_release(&self->hold));
	for (i = 0; i < ARRAY_SIZE(timeouts); i++) {
		EXPECT_EQ(0, wait_held(&self->c, timeouts[i]));
	}
}

struct waiter {
	struct client *c;
	int r;
};

static void *wait_forever(void *arg)
{
	struct waiter *w = arg;

	w->r = wait_held(w->c, -1);
	return NULL;
}

/* All who wait are woken. */
TEST_F(result, waiters)
{
	struct waiter w[8];
	pthread_t t[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		w[i] = (struct waiter){ .c = &self->c, .r = 1 };
		ASSERT_EQ(0, pthread_create(&t[i], NULL, wait_forever, &w[i]));
	}
	sleep_ms(100);
	ASSERT_EQ(0, hold_release(&self->hold));
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ASSERT_EQ(0, pthread_join(t[i], NULL));
		EXPECT_EQ(0, w[i].r);
	}
}

/* Whoever waits while the queue goes away must not wait for ever. */
TEST_F(result, queue_destroyed)
{
	struct waiter w = { .c = &self->c, .r = 1 };
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, wait_forever, &w));
	sleep_ms(100);
	EXPECT_EQ(0, queue_destroy(self->c.fd, self->c.queue));
	ASSERT_EQ(0, pthread_join(t, NULL));
	EXPECT_TRUE(w.r == 0 || w.r == -ENOENT) TH_LOG("%d", w.r);
	EXPECT_EQ(-ENOENT, wait_held(&self->c, 0));
}

/* ---- How long results are kept ------------------------------------------- */

FIXTURE(kept)
{
	struct client c;
};

FIXTURE_SETUP(kept)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
}

FIXTURE_TEARDOWN(kept)
{
	client_fini(&self->c);
}

TEST_F_TIMEOUT(kept, last_1024, 60)
{
	struct drm_damf_result res;
	struct drm_damf_submit s;
	__u64 seqno;

	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
	job_init(&self->c.jobs, 1, DAMF_OP_NOP);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	/* of one or of two jobs, so that results can be told apart */
	for (seqno = 1; seqno <= KEPT + 50; seqno++) {
		s = list_of(&self->c, 1 + seqno % 2);
		ASSERT_EQ(0, submit(self->c.fd, &s));
		ASSERT_EQ(seqno, s.seqno);
		if (seqno % 16 == 0) {
			ASSERT_EQ(0, result(self->c.fd, s.queue, seqno, WAIT_NS, &res));
		}
	}
	ASSERT_EQ(0, result(self->c.fd, s.queue, KEPT + 50, WAIT_NS, &res));
	for (seqno = 1; seqno <= 50; seqno++) {
		EXPECT_EQ(-ENOENT, result(self->c.fd, s.queue, seqno, 0, &res));
	}
	for (; seqno <= KEPT + 50; seqno++) {
		ASSERT_EQ(0, result(self->c.fd, s.queue, seqno, 0, &res));
		ASSERT_EQ(1 + seqno % 2, res.index);
	}
	EXPECT_EQ(-ENOENT, result(self->c.fd, s.queue, seqno, 0, &res));
}

TEST_HARNESS_MAIN
