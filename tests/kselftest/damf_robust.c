// SPDX-License-Identifier: GPL-2.0-only
/* Closing, forking, running out of contexts, and threads that race. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

FIXTURE(robust)
{
	struct client c;
	char before[1024];
};

FIXTURE_SETUP(robust)
{
	self->c.fd = -1;
	SETUP_COUNTED(&self->c, self->before);
}

FIXTURE_TEARDOWN(robust)
{
	TEARDOWN_COUNTED(&self->c, self->before);
}

/* ---- Closing ------------------------------------------------------------- */

/* The file goes while a list is on the engine and more wait behind it. */
TEST_F(robust, closed_in_flight)
{
	struct drm_damf_result res;
	struct client other;
	struct busy busy;
	__u64 seqno, start;
	int i, j;

	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, client_init(&other));
		ASSERT_EQ(0, busy_init(&other, &busy, 2000));
		for (j = 0; j < 4; j++) {
			ASSERT_EQ(0, busy_submit(&other, &busy, other.queue, &seqno));
		}
		/* the first of them */
		ASSERT_EQ(-ETIME, result(other.fd, other.queue, seqno - 3, 20 * MS, &res));
		munmap(busy.data.map, busy.data.size);
		munmap(busy.jobs.map, busy.jobs.size);
		munmap(other.data.map, other.data.size);
		munmap(other.jobs.map, other.jobs.size);
		start = now_ns();
		ASSERT_EQ(0, close(other.fd));
		/* whoever closes doesn't wait for all of that */
		EXPECT_LT(now_ns() - start, 4ull * SECOND);
	}
}

/* Each of these is held by what has not ended yet. */
TEST_F(robust, taken_away_in_flight)
{
	struct drm_damf_result res;
	struct busy busy;
	__u64 seqno;

	ASSERT_EQ(0, busy_init(&self->c, &busy, 500));
	ASSERT_EQ(0, busy_submit(&self->c, &busy, self->c.queue, &seqno));
	ASSERT_EQ(0, bo_close(self->c.fd, busy.data.handle));
	ASSERT_EQ(0, bo_close(self->c.fd, busy.jobs.handle));
	ASSERT_EQ(0, munmap(busy.data.map, busy.data.size));
	ASSERT_EQ(0, munmap(busy.jobs.map, busy.jobs.size));
	ASSERT_EQ(0, result(self->c.fd, self->c.queue, seqno, WAIT_NS, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(busy.count, res.index);
	EXPECT_EQ(0, vm_unmap(self->c.fd, busy.data.va));
	EXPECT_EQ(0, vm_unmap(self->c.fd, busy.jobs.va));
}

/* A child has the same file: it may use it, and its end ends nothing. */
TEST_F(robust, fork)
{
	struct drm_damf_result res;
	int status;
	pid_t pid;

	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 1);
	job_fill(&self->c.jobs, 1, self->c.data.va + PAGE, 16, 2);
	ASSERT_EQ(0, run(&self->c, 1, &res));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (run(&self->c, 2, &res) || res.error ||
		    !is_filled(&self->c.data, PAGE, 16, 2))
			_exit(1);
		close(self->c.fd);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(is_filled(&self->c.data, PAGE, 16, 2));
	ASSERT_EQ(0, result(self->c.fd, self->c.queue, 2, 0, &res));
	ASSERT_EQ(0, run(&self->c, 1, &res));
	EXPECT_EQ(0, res.error);
}

static void child_dies_busy(void)
{
	struct client c;
	struct busy busy;
	__u64 seqno;

	if (client_init(&c) || busy_init(&c, &busy, 2000) ||
	    busy_submit(&c, &busy, c.queue, &seqno))
		_exit(1);
	kill(getpid(), SIGKILL);
}

TEST_F(robust, killed_in_flight)
{
	int i, status;
	pid_t pid;

	for (i = 0; i < 5; i++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			child_dies_busy();
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

/* ---- Contexts have an end ------------------------------------------------ */

#define MAX_FILES 4200	/* more contexts than any device has */

/* A client without a queue: of those there may be fewer than contexts. */
static int client_without_queue(struct client *c)
{
	int r;

	*c = (struct client){ .fd = damf_open() };
	if (c->fd < 0)
		return c->fd;
	r = buf_create(c->fd, &c->jobs, PAGE, 0, 0);
	if (!r)
		r = buf_create(c->fd, &c->data, PAGE, 0, 0);
	if (r)
		client_fini(c);
	return r;
}

/* With a queue for as long as that takes. */
static int works(struct client *c, __u32 pattern)
{
	int r = queue_create(c->fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &c->queue);

	if (!r)
		r = client_works(c, pattern);
	if (!r)
		r = queue_destroy(c->fd, c->queue);
	c->queue = 0;
	return r;
}

/* As many clients as can have worked; then one goes, one comes. */
TEST_F_TIMEOUT(robust, contexts, 120)
{
	struct rlimit limit = { MAX_FILES + 64, MAX_FILES + 64 };
	struct client *c = calloc(MAX_FILES, sizeof(*c));
	unsigned int n, i;
	int r = 0;

	ASSERT_NE(NULL, c);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		SKIP(return, "may not open that many files");
	for (n = 0; n < MAX_FILES; n++) {
		ASSERT_EQ(0, client_without_queue(&c[n]));
		r = works(&c[n], n + 1);
		if (r)
			break;
	}
	EXPECT_EQ(-ENOSPC, r);
	ASSERT_LT(1, n);
	/* all of those go on, the last one when there is room for it */
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, works(&c[i], ~i)) TH_LOG("client %u of %u", i, n);
	}
	EXPECT_EQ(-ENOSPC, works(&c[n], 77));
	client_fini(&c[0]);
	EXPECT_EQ(0, works(&c[n], 78));
	for (i = 1; i <= n; i++)
		client_fini(&c[i]);
	free(c);
}

/* Opening and closing alone costs nothing that stays. */
TEST_F(robust, open_close)
{
	int i, fd;

	for (i = 0; i < 1000; i++) {
		fd = damf_open();
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, close(fd));
	}
}

/* ---- Threads that race --------------------------------------------------- */

#define RACERS	8
#define SHARED	16
#define RACE_MS	2000

struct race {
	struct client *c;
	atomic_bool stop;
	atomic_uint handles[SHARED], queues[SHARED];
	atomic_ullong vas[SHARED];
	atomic_ulong done, broken;
};

/* Any answer is fine as long as it is one that can be explained. */
static void judge(struct race *race, int r)
{
	switch (r) {
	case 0:
	case -EINVAL:
	case -ENOENT:
	case -ENOSPC:
	case -ENOMEM:
	case -EAGAIN:
	case -ETIME:
		atomic_fetch_add(&race->done, 1);
		break;
	default:
		fprintf(stderr, "# racing: %d\n", r);
		atomic_fetch_add(&race->broken, 1);
	}
}

static int race_submit(struct race *race, __u32 x)
{
	struct drm_damf_submit s = list_of(race->c, 1 + x % 4);
	struct drm_damf_result res;
	int r;

	s.queue = atomic_load(&race->queues[x / 4 % SHARED]);
	/* lists in their own memory, or in memory that comes and goes */
	if (x & 1 << 20)
		s.list = atomic_load(&race->vas[x / 64 % SHARED]) & ~63ull;
	if (x & 1 << 21)
		s.counters = atomic_load(&race->vas[x / 1024 % SHARED]) & ~63ull;
	r = submit(race->c->fd, &s);
	if (!r && x & 1 << 22)
		r = result(race->c->fd, s.queue, s.seqno, (x >> 23) * 1000, &res);
	return r;
}

static void race_once(struct race *race, __u32 x)
{
	unsigned int i = x / 8 % SHARED, j = x / 128 % SHARED;
	int fd = race->c->fd;
	__u32 name = 0;
	__u64 va = 0;

	switch (x % 8) {
	case 0:
		judge(race, bo_create(fd, (1 + x / 4096 % 64) * PAGE,
				      x >> 31 ? DRM_DAMF_BO_LOCAL : 0, &name));
		name = atomic_exchange(&race->handles[i], name);
		judge(race, bo_close(fd, name));
		break;
	case 1:
		judge(race, vm_map(fd, atomic_load(&race->handles[i]), x >> 31, &va));
		va = atomic_exchange(&race->vas[j], va);
		judge(race, vm_unmap(fd, va));
		break;
	case 2:
		judge(race, queue_create(fd, x >> 31, NULL, &name));
		name = atomic_exchange(&race->queues[i], name);
		judge(race, queue_destroy(fd, name));
		break;
	case 3:
		judge(race, bo_sync(fd, atomic_load(&race->handles[i]), 1 + x / 4096 % 3, PAGE));
		judge(race, bo_offset(fd, atomic_load(&race->handles[j]), &va));
		break;
	case 4:
		judge(race, vm_unmap(fd, atomic_load(&race->vas[i])));
		judge(race, bo_close(fd, atomic_load(&race->handles[j])));
		break;
	default:
		judge(race, race_submit(race, x / 8));
	}
}

static void *racer(void *arg)
{
	static atomic_uint number;
	struct race *race = arg;
	__u32 state = 0x9e3779b9u * (1 + atomic_fetch_add(&number, 1));

	while (!atomic_load(&race->stop))
		race_once(race, next_random(&state));
	return NULL;
}

/* All on one file, with the same few buffers, addresses and queues. */
TEST_F(robust, race)
{
	struct race race = { .c = &self->c };
	pthread_t t[RACERS];
	struct client other;
	unsigned int i;

	for (i = 0; i < JOBS; i++)
		job_fill(&self->c.jobs, i, self->c.data.va + i * PAGE, 1024, i);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	ASSERT_EQ(0, client_init(&other));
	for (i = 0; i < RACERS; i++) {
		ASSERT_EQ(0, pthread_create(&t[i], NULL, racer, &race));
	}
	/* meanwhile another client works as if nothing were */
	for (i = 0; i < RACE_MS / 20; i++) {
		struct drm_damf_result res;

		job_fill(&other.jobs, 0, other.data.va, 1024, i);
		EXPECT_EQ(0, run(&other, 1, &res));
		EXPECT_EQ(0, res.error);
		EXPECT_TRUE(is_filled(&other.data, 0, 1024, i));
		sleep_ms(20);
	}
	atomic_store(&race.stop, true);
	for (i = 0; i < RACERS; i++) {
		ASSERT_EQ(0, pthread_join(t[i], NULL));
	}
	EXPECT_EQ(0, race.broken);
	EXPECT_LT(100, race.done);
	client_fini(&other);
}

TEST_HARNESS_MAIN
