// SPDX-License-Identifier: GPL-2.0-only
/* What is io_uring's own: rings of all kinds, entries, cancelling, dying. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

#define BATCH 64

/* ---- Rings of all kinds -------------------------------------------------- */

FIXTURE(kinds)
{
	struct client c;
	struct ring ring;
};

FIXTURE_VARIANT(kinds)
{
	unsigned int setup, sqe;
};

FIXTURE_VARIANT_ADD(kinds, plain)
{
	.setup = 0,
};

FIXTURE_VARIANT_ADD(kinds, sqpoll)
{
	.setup = IORING_SETUP_SQPOLL,
};

FIXTURE_VARIANT_ADD(kinds, defer_taskrun)
{
	.setup = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
};

FIXTURE_VARIANT_ADD(kinds, async)
{
	.sqe = IOSQE_ASYNC,
};

FIXTURE_SETUP(kinds)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	ASSERT_EQ(0, ring_init(&self->ring, BATCH, variant->setup));
}

FIXTURE_TEARDOWN(kinds)
{
	ring_fini(&self->ring);
	client_fini(&self->c);
}

/* Many in one system call: all of them end, each once, with its own result. */
TEST_F(kinds, batch)
{
	struct drm_damf_submit s[BATCH];
	struct drm_damf_result res;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe cqe;
	unsigned int i, round;
	__u64 seen;

	for (i = 0; i < BATCH; i++) {
		job_fill(&self->c.jobs, i, self->c.data.va + i * PAGE, 16, i);
		if (i % 8 == 7)
			job_init(&self->c.jobs, i, DAMF_OP_NOP)->flags = 1;
	}
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	for (round = 0; round < 4; round++) {
		for (i = 0; i < BATCH; i++) {
			s[i] = list_of(&self->c, 1);
			s[i].list += i * sizeof(struct damf_job);
			sqe = ring_prep(&self->ring, self->c.fd, &s[i], i);
			ASSERT_NE(NULL, sqe);
			sqe->flags |= variant->sqe;
		}
		ASSERT_EQ(BATCH, ring_enter(&self->ring));
		for (seen = 0; ~seen; seen |= 1ull << cqe.user_data) {
			ASSERT_EQ(0, ring_wait(&self->ring, &cqe, WAIT_NS));
			ASSERT_EQ(0, seen & 1ull << cqe.user_data);
			EXPECT_EQ(cqe.user_data % 8 == 7 ? -EINVAL : 0, cqe.res);
		}
		for (i = 0; i < BATCH; i++) {
			ASSERT_EQ(0, result(self->c.fd, s[i].queue, s[i].seqno, 0, &res));
			EXPECT_EQ(i % 8 == 7 ? -EINVAL : 0, res.error);
		}
	}
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	for (i = 0; i < BATCH; i++) {
		EXPECT_TRUE(is_filled(&self->c.data, i * PAGE, 16, i % 8 == 7 ? 0 : i));
	}
}

/* ---- Entries ------------------------------------------------------------- */

FIXTURE(uring)
{
	struct client c;
	struct ring ring;
	struct drm_damf_submit s;
	struct io_uring_cqe cqe;
};

FIXTURE_SETUP(uring)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	ASSERT_EQ(0, ring_init(&self->ring, 8, 0));
	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	self->s = list_of(&self->c, 1);
}

FIXTURE_TEARDOWN(uring)
{
	ring_fini(&self->ring);
	client_fini(&self->c);
}

/* Runs what has been prepared: the command's result. */
static int complete(struct ring *ring)
{
	struct io_uring_cqe cqe;
	int r = ring_enter(ring);

	if (r != 1)
		return r < 0 ? r : -EIO;
	r = ring_wait(ring, &cqe, WAIT_NS);
	return r ? r : cqe.res;
}

TEST_F(uring, cmd_op)
{
	const __u32 bad[] = {
		0, 1, ~0u, DRM_IOCTL_DAMF_RESULT, DRM_IOCTL_DAMF_DEV_QUERY, DRM_IOCTL_VERSION,
		DRM_IOCTL_DAMF_SUBMIT + 1, DRM_IOCTL_DAMF_SUBMIT ^ 1u << 31,
		DRM_IOCTL_DAMF_SUBMIT ^ 1u << 16,
	};
	struct io_uring_sqe *sqe;
	unsigned int i;
	int r;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		sqe = ring_prep(&self->ring, self->c.fd, &self->s, 0);
		sqe->cmd_op = bad[i];
		r = complete(&self->ring);
		EXPECT_TRUE(r == -ENOTTY || r == -EOPNOTSUPP || r == -EINVAL)
			TH_LOG("cmd_op %x: %d", bad[i], r);
	}
	EXPECT_EQ(0, self->s.seqno);
}

TEST_F(uring, address)
{
	const __u64 bad[] = { 0, 1, 0xffff888000000000ull, ~0ull };
	struct io_uring_sqe *sqe;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		sqe = ring_prep(&self->ring, self->c.fd, &self->s, 0);
		sqe->addr = bad[i];
		EXPECT_EQ(-EFAULT, complete(&self->ring)) TH_LOG("case %u", i);
	}
}

/* Who can't be told the number of the list is told nevertheless that it has ended. */
TEST_F(uring, read_only_struct)
{
	struct drm_damf_submit *s;

	s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, s);
	*s = self->s;
	ASSERT_EQ(0, mprotect(s, PAGE, PROT_READ));
	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 0x0123);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	ring_prep(&self->ring, self->c.fd, s, 0);
	EXPECT_EQ(0, complete(&self->ring));
	EXPECT_EQ(0, s->seqno);
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	EXPECT_TRUE(is_filled(&self->c.data, 0, 16, 0x0123));
	ring_prep(&self->ring, self->c.fd, &self->s, 0);
	EXPECT_EQ(0, complete(&self->ring));
	EXPECT_EQ(2, self->s.seqno);
}

/* What this command has no use for is zero, so that it may get a use. */
TEST_F(uring, entry_fields)
{
	const size_t bytes[] = {
		offsetof(struct io_uring_sqe, __pad1),
		offsetof(struct io_uring_sqe, uring_cmd_flags) + 3,
		offsetof(struct io_uring_sqe, len),
		offsetof(struct io_uring_sqe, addr3),
		offsetof(struct io_uring_sqe, __pad2),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bytes); i++) {
		unsigned char *sqe = (void *)ring_prep(&self->ring, self->c.fd, &self->s, 0);

		sqe[bytes[i]] = 0x40;
		EXPECT_EQ(-EINVAL, complete(&self->ring)) TH_LOG("case %u", i);
	}
	EXPECT_EQ(0, self->s.seqno);
}

/* Counted as what it is. */
TEST_F(uring, stats)
{
	struct drm_damf_stats before, after;
	int i;

	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_STATS, &before, sizeof(before)));
	for (i = 0; i < 5; i++) {
		self->s = list_of(&self->c, 1);
		ring_prep(&self->ring, self->c.fd, &self->s, 0);
		ASSERT_EQ(0, complete(&self->ring));
	}
	ASSERT_EQ(0, damf_query(self->c.fd, DRM_DAMF_QUERY_STATS, &after, sizeof(after)));
	EXPECT_EQ(before.submits_uring + 5, after.submits_uring);
	EXPECT_EQ(before.submits_ioctl, after.submits_ioctl);
	EXPECT_EQ(before.completions + 5, after.completions);
}

/* The struct and its syncs are the caller's again once it is queued. */
TEST_F(uring, struct_reused)
{
	struct drm_damf_submit *s;
	struct drm_damf_sync *sync;
	struct hold hold;
	__u32 held;
	char *p;

	SETUP_HOLD(&hold);
	ASSERT_EQ(0, hold_syncobj(&hold, self->c.fd, &held));
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	s = (struct drm_damf_submit *)p;
	sync = (struct drm_damf_sync *)(p + PAGE / 2);
	*s = self->s;
	*sync = sync_wait(held, 0);
	set_syncs(s, sync, 1);
	ring_prep(&self->ring, self->c.fd, s, 7);
	ASSERT_EQ(1, ring_enter(&self->ring));
	ASSERT_EQ(-ETIME, ring_wait(&self->ring, &self->cqe, 20 * MS));
	EXPECT_EQ(1, s->seqno);
	ASSERT_EQ(0, munmap(p, PAGE));
	ASSERT_EQ(0, hold_release(&hold));
	ASSERT_EQ(0, ring_wait(&self->ring, &self->cqe, WAIT_NS));
	EXPECT_EQ(0, self->cqe.res);
	EXPECT_EQ(7, self->cqe.user_data);
	hold_fini(&hold);
}

/* ---- Cancelling, by what there is for it ---------------------------------- */

FIXTURE(cancel)
{
	struct client c;
	struct ring ring;
	struct hold hold;
	struct drm_damf_sync wait;
	struct drm_damf_submit s[8];
	char before[1024];
};

FIXTURE_SETUP(cancel)
{
	__u32 handle;

	self->c.fd = -1;
	SETUP_HOLD(&self->hold);
	SETUP_COUNTED(&self->c, self->before);
	ASSERT_EQ(0, ring_init(&self->ring, 8, 0));
	ASSERT_EQ(0, hold_syncobj(&self->hold, self->c.fd, &handle));
	self->wait = sync_wait(handle, 0);
	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 0x77);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
}

/* Whatever has happened. */
FIXTURE_TEARDOWN(cancel)
{
	ring_fini(&self->ring);
	client_fini(&self->c);
	hold_fini(&self->hold);
	EXPECT_COUNTS(self->before);
}

/* Puts a few commands in flight that won't end by themselves. */
static int put_in_flight(struct client *c, struct ring *ring, struct drm_damf_submit s[4],
			 struct drm_damf_sync *wait)
{
	struct io_uring_cqe cqe;
	int i, r;

	for (i = 0; i < 4; i++) {
		s[i] = list_of(c, 1);
		set_syncs(&s[i], wait, 1);
		if (!ring_prep(ring, c->fd, &s[i], i))
			return -EOVERFLOW;
	}
	r = ring_enter(ring);
	if (r != 4)
		return r < 0 ? r : -EIO;
	r = ring_wait(ring, &cqe, 20 * MS);
	return r == -ETIME ? 0 : -EPROTO;
}

/* The ring goes; the lists stay the queue's and end as if nothing had been. */
TEST_F(cancel, ring_closed)
{
	struct drm_damf_result res;
	int i;

	ASSERT_EQ(0, put_in_flight(&self->c, &self->ring, self->s, &self->wait));
	ring_fini(&self->ring);
	sleep_ms(200);
	EXPECT_EQ(-ETIME, result(self->c.fd, self->c.queue, 1, 0, &res));
	ASSERT_EQ(0, hold_release(&self->hold));
	for (i = 1; i <= 4; i++) {
		ASSERT_EQ(0, result(self->c.fd, self->c.queue, i, WAIT_NS, &res));
		EXPECT_EQ(0, res.error);
	}
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	EXPECT_TRUE(is_filled(&self->c.data, 0, 16, 0x77));
}

/* The queue goes: all commands end, and say why. */
TEST_F(cancel, queue_destroyed)
{
	struct io_uring_cqe cqe;
	int i;

	ASSERT_EQ(0, put_in_flight(&self->c, &self->ring, self->s, &self->wait));
	ASSERT_EQ(0, queue_destroy(self->c.fd, self->c.queue));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, ring_wait(&self->ring, &cqe, WAIT_NS));
		EXPECT_EQ(-ECANCELED, cqe.res);
	}
	EXPECT_EQ(-ETIME, ring_wait(&self->ring, &cqe, 20 * MS));
}

/* The file goes first, the ring still holds it. */
TEST_F(cancel, file_closed)
{
	struct io_uring_cqe cqe;
	int i;

	ASSERT_EQ(0, put_in_flight(&self->c, &self->ring, self->s, &self->wait));
	/* not to be held by these either */
	munmap(self->c.data.map, self->c.data.size);
	munmap(self->c.jobs.map, self->c.jobs.size);
	close(self->c.fd);
	self->c.fd = -1;
	ASSERT_EQ(0, hold_release(&self->hold));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, ring_wait(&self->ring, &cqe, WAIT_NS));
		EXPECT_EQ(0, cqe.res);
	}
}

/* More commands than the queue holds: the rest waits until there is room. */
static int overfill(struct client *c, struct ring *ring, struct drm_damf_submit s[8],
		    struct drm_damf_sync *wait)
{
	__u32 entries = 2;
	int i, r;

	r = queue_create(c->fd, DRM_DAMF_PRIORITY_NORMAL, &entries, &c->queue);
	if (r)
		return r;
	for (i = 0; i < 8; i++) {
		s[i] = list_of(c, 1);
		set_syncs(&s[i], wait, 1);
		if (!ring_prep(ring, c->fd, &s[i], i))
			return -EOVERFLOW;
	}
	r = ring_enter(ring);
	return r == 8 ? 0 : -EIO;
}

TEST_F(cancel, queue_full)
{
	unsigned int seen = 0, numbers = 0;
	struct io_uring_cqe cqe;
	int i;

	ASSERT_EQ(0, overfill(&self->c, &self->ring, self->s, &self->wait));
	ASSERT_EQ(-ETIME, ring_wait(&self->ring, &cqe, 50 * MS));
	ASSERT_EQ(0, hold_release(&self->hold));
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, ring_wait(&self->ring, &cqe, WAIT_NS));
		EXPECT_EQ(0, cqe.res);
		seen |= 1u << cqe.user_data;
	}
	EXPECT_EQ(0xff, seen);
	for (i = 0; i < 8; i++)
		numbers |= 1u << self->s[i].seqno;
	EXPECT_EQ(0x1fe, numbers);
}

/* Those that wait for room as well as those that have it. */
TEST_F(cancel, queue_full_ring_closed)
{
	struct io_uring_cqe cqe;

	ASSERT_EQ(0, overfill(&self->c, &self->ring, self->s, &self->wait));
	ASSERT_EQ(-ETIME, ring_wait(&self->ring, &cqe, 50 * MS));
	ring_fini(&self->ring);
	sleep_ms(200);
	EXPECT_EQ(0, queue_destroy(self->c.fd, self->c.queue));
}

enum death { BY_KILL, BY_EXIT, BY_EXEC };

/* A client of its own that dies with commands in flight. */
static void die(enum death how, int ready)
{
	struct drm_damf_submit s[4];
	struct drm_damf_sync wait;
	struct client c;
	struct ring ring;
	struct hold hold;
	__u32 handle;
	int r;

	r = hold_init(&hold);
	if (!r)
		r = client_init(&c);
	if (!r)
		r = ring_init(&ring, 8, 0);
	if (!r)
		r = hold_syncobj(&hold, c.fd, &handle);
	if (!r) {
		job_init(&c.jobs, 0, DAMF_OP_NOP);
		buf_to_device(c.fd, &c.jobs);
		wait = sync_wait(handle, 0);
		r = put_in_flight(&c, &ring, s, &wait);
	}
	if (write(ready, &r, sizeof(r)) != sizeof(r) || r)
		_exit(1);
	if (how == BY_EXEC)
		execl("/bin/true", "true", (char *)NULL);
	while (how == BY_KILL)
		pause();
	_exit(0);
}

TEST_F(cancel, dead)
{
	const enum death ways[] = { BY_KILL, BY_EXIT, BY_EXEC };
	char before[1024] = "";
	int fds[2], r, status;
	unsigned int i;
	pid_t pid;

	counts_read(before, sizeof(before));
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		ASSERT_EQ(0, pipe(fds));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			die(ways[i], fds[1]);
		close(fds[1]);
		ASSERT_EQ(sizeof(r), read(fds[0], &r, sizeof(r)));
		close(fds[0]);
		EXPECT_EQ(0, r);
		if (ways[i] == BY_KILL)
			kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (before[0]) {
			EXPECT_EQ(0, counts_wait(before)) TH_LOG("way %u", i);
		}
		EXPECT_EQ(0, client_works(&self->c, 1 + i));
	}
}

TEST_HARNESS_MAIN
