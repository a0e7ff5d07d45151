// SPDX-License-Identifier: GPL-2.0-only
/* Lists of jobs and what comes of them, by ioctl and by io_uring alike. */
#include <errno.h>
#include <string.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

FIXTURE(submit)
{
	struct client c;
	struct path path;
};

FIXTURE_VARIANT(submit)
{
	bool uring;
};

FIXTURE_VARIANT_ADD(submit, ioctl)
{
	.uring = false,
};

FIXTURE_VARIANT_ADD(submit, uring)
{
	.uring = true,
};

FIXTURE_SETUP(submit)
{
	self->c.fd = -1;
	SETUP_CLIENT(&self->c);
	ASSERT_EQ(0, path_init(&self->path, &self->c, variant->uring));
}

FIXTURE_TEARDOWN(submit)
{
	path_fini(&self->path);
	client_fini(&self->c);
}

TEST_F(submit, nop)
{
	struct drm_damf_submit s = list_of(&self->c, JOBS);
	struct drm_damf_result res;
	unsigned int i;

	for (i = 0; i < JOBS; i++)
		job_init(&self->c.jobs, i, DAMF_OP_NOP);
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(1, s.seqno);
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(DAMF_ST_OK, res.status);
	EXPECT_EQ(JOBS, res.index);
	EXPECT_EQ(0, res.field);
	EXPECT_EQ(0, res.fault_addr);
	EXPECT_EQ(0, res.access);
	EXPECT_NE(0, res.start_ns);
	EXPECT_GE(res.end_ns, res.start_ns);
	EXPECT_GE(res.cycles, 64 * JOBS);
}

TEST_F(submit, fill)
{
	struct drm_damf_submit s = list_of(&self->c, 2);
	struct drm_damf_result res;

	job_fill(&self->c.jobs, 0, self->c.data.va, 4096, 0xcafe0001);
	job_fill(&self->c.jobs, 1, self->c.data.va + 16384, 100, 0xcafe0002);
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_TRUE(is_filled(&self->c.data, 0, 4096, 0xcafe0001));
	EXPECT_TRUE(is_filled(&self->c.data, 16384, 100, 0xcafe0002));
	EXPECT_TRUE(is_filled(&self->c.data, 16384 + 400, 1000, 0));
}

TEST_F(submit, copy)
{
	struct drm_damf_submit s = list_of(&self->c, 1);
	unsigned char *data = self->c.data.map;
	struct drm_damf_result res;
	unsigned int i;

	for (i = 0; i < 10007; i++)
		data[3 + i] = (unsigned char)(i * 31 + i / 251);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.data));
	job_copy(&self->c.jobs, 0, self->c.data.va + 65537, self->c.data.va + 3, 10007);
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(0, data[65536]);
	EXPECT_EQ(0, data[65537 + 10007]);
	for (i = 0; i < 10007; i++) {
		ASSERT_EQ((unsigned char)(i * 31 + i / 251), data[65537 + i]);
	}
}

/*
 * Hundreds of lists, many at once. Each overwrites what the one before it has
 * written, and keeps a copy: so each copy tells the order.
 */
TEST_F(submit, in_order)
{
	enum { LISTS = 600, WINDOW = 16 };
	struct drm_damf_submit s[LISTS];
	struct drm_damf_result res;
	__u64 end_ns = 0;
	unsigned int i, done = 0;

	for (i = 0; i < WINDOW; i++) {
		job_fill(&self->c.jobs, 2 * i, self->c.data.va, 16, 0);
		job_copy(&self->c.jobs, 2 * i + 1, self->c.data.va + (i + 1) * PAGE,
			 self->c.data.va, 64);
	}
	for (i = 0; done < LISTS; ) {
		if (i < LISTS && i - done < WINDOW) {
			struct damf_job *job = (struct damf_job *)self->c.jobs.map + i % WINDOW * 2;

			job->param[DAMF_P_PATTERN] = 1000 + i;
			s[i] = list_of(&self->c, 2);
			s[i].list += i % WINDOW * 2 * sizeof(*job);
			ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
			ASSERT_EQ(0, path_submit(&self->path, &s[i]));
			ASSERT_EQ(i + 1, s[i].seqno);
			i++;
			continue;
		}
		ASSERT_EQ(0, path_wait(&self->path, &s[done], &res));
		ASSERT_EQ(0, res.error);
		ASSERT_EQ(2, res.index);
		ASSERT_GE(res.start_ns, end_ns);
		end_ns = res.end_ns;
		ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
		ASSERT_TRUE(is_filled(&self->c.data, (done % WINDOW + 1) * PAGE, 16, 1000 + done));
		done++;
	}
}

/* Each queue counts for itself. */
TEST_F(submit, seqno)
{
	struct drm_damf_result res;
	struct drm_damf_submit s;
	__u32 second;
	unsigned int i;

	ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &second));
	job_init(&self->c.jobs, 0, DAMF_OP_NOP);
	for (i = 1; i <= 5; i++) {
		s = list_of(&self->c, 1);
		ASSERT_EQ(0, path_run(&self->path, &s, &res));
		EXPECT_EQ(i, s.seqno);
	}
	for (i = 1; i <= 3; i++) {
		s = list_of(&self->c, 1);
		s.queue = second;
		ASSERT_EQ(0, path_run(&self->path, &s, &res));
		EXPECT_EQ(i, s.seqno);
	}
}

/* ---- Lists that go on where others have ended ---------------------------- */

TEST_F(submit, first)
{
	struct drm_damf_submit s = list_of(&self->c, 4);
	struct drm_damf_result res;
	unsigned int i;

	for (i = 0; i < 4; i++)
		job_fill(&self->c.jobs, i, self->c.data.va + i * PAGE, 16, 100 + i);
	s.first = 2;
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(4, res.index);
	EXPECT_TRUE(is_filled(&self->c.data, 0, 2 * PAGE / 4, 0));
	EXPECT_TRUE(is_filled(&self->c.data, 2 * PAGE, 16, 102));
	EXPECT_TRUE(is_filled(&self->c.data, 3 * PAGE, 16, 103));
}

/* All of it is done already. */
TEST_F(submit, first_is_count)
{
	struct drm_damf_submit s = list_of(&self->c, 1);
	struct drm_damf_result res;

	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 1);
	s.first = 1;
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(1, res.index);
	EXPECT_TRUE(is_filled(&self->c.data, 0, 16, 0));
}

TEST_F(submit, replayable)
{
	struct drm_damf_submit s = list_of(&self->c, 1);
	struct drm_damf_result res;

	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 7);
	s.flags = DRM_DAMF_SUBMIT_REPLAYABLE;
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_TRUE(is_filled(&self->c.data, 0, 16, 7));
}

TEST_F(submit, max_jobs)
{
	const unsigned int n = self->c.info.max_jobs;
	struct drm_damf_submit s = list_of(&self->c, n);
	struct drm_damf_result res;
	struct buf b;
	unsigned int i;

	ASSERT_EQ(0, buf_create(self->c.fd, &b, n * sizeof(struct damf_job), 0, 0));
	for (i = 0; i < n; i++)
		job_init(&b, i, DAMF_OP_NOP);
	job_fill(&b, n - 1, self->c.data.va, 16, 0x600d);
	ASSERT_EQ(0, buf_to_device(self->c.fd, &b));
	s.list = b.va;
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(n, res.index);
	EXPECT_TRUE(is_filled(&self->c.data, 0, 16, 0x600d));
	buf_free(self->c.fd, &b);
}

/* ---- Counters ------------------------------------------------------------ */

TEST_F(submit, counters)
{
	struct drm_damf_submit s = list_of(&self->c, 3);
	struct damf_counters *at = (struct damf_counters *)((char *)self->c.data.map + 65536);
	struct damf_counters c[4];
	struct drm_damf_result res;
	unsigned int i;

	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 1);
	job_fill(&self->c.jobs, 1, self->c.data.va, 4096, 2);
	job_copy(&self->c.jobs, 2, self->c.data.va + 32768, self->c.data.va, 16384);
	s.counters = self->c.data.va + 65536;
	s.first = 1;
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	ASSERT_EQ(0, res.error);
	memcpy(c, at, sizeof(c));
	/* done before, and past the end: nothing is written */
	EXPECT_EQ(0, c[0].jobs);
	EXPECT_EQ(0, c[3].jobs);
	for (i = 1; i < 3; i++) {
		EXPECT_EQ(1, c[i].jobs);
		EXPECT_EQ(16384, c[i].write_activations);
		EXPECT_EQ(i == 2 ? 16384 : 0, c[i].read_activations);
		EXPECT_EQ(0, c[i].static_macs + c[i].dynamic_macs + c[i].exps);
		EXPECT_GE(c[i].cycles, 64);
		EXPECT_NE(0, c[i].energy_pj);
	}
	EXPECT_EQ(c[1].cycles + c[2].cycles, res.cycles);
}

/* Totals are of the client, whoever else works. */
TEST_F(submit, totals)
{
	struct damf_counters *total = self->c.data.map;
	struct drm_damf_submit s = list_of(&self->c, 4);
	struct drm_damf_result res;
	struct client other;
	struct damf_job *job;
	unsigned int i;

	ASSERT_EQ(0, client_init(&other));
	job_fill(&other.jobs, 0, other.data.va, 16384, 1);
	ASSERT_EQ(0, run(&other, 1, &res));
	for (i = 0; i < 3; i++)
		job_fill(&self->c.jobs, i, self->c.data.va + PAGE, 256, i);
	job = job_init(&self->c.jobs, 3, DAMF_OP_COUNTERS);
	job->tensor[DAMF_T_Y] = (struct damf_tensor){
		.addr = self->c.data.va, .stride = sizeof(*total), .rows = 1,
		.cols = sizeof(*total), .type = DAMF_TYPE_BYTES,
	};
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	ASSERT_EQ(0, res.error);
	EXPECT_EQ(3, total->jobs);
	EXPECT_EQ(3 * 1024, total->write_activations);
	client_fini(&other);
}

/* ---- Bad jobs ------------------------------------------------------------ */

#define JOB_FIELD(f)	offsetof(struct damf_job, f)
#define SLOT_FIELD(s, f) (offsetof(struct damf_job, tensor) + \
			  (s) * sizeof(struct damf_tensor) + offsetof(struct damf_tensor, f))

/* What to spoil in a job that fills 16 words, and what the device says to it. */
static const struct spoil {
	size_t field, size;
	__u64 flip;
	unsigned int status;
	int error;
} spoils[] = {
	{ JOB_FIELD(opcode), 2, 60, DAMF_ST_BAD_OPCODE, -EOPNOTSUPP },
	{ JOB_FIELD(version), 2, 2, DAMF_ST_BAD_VERSION, -EOPNOTSUPP },
	{ JOB_FIELD(size), 4, 512, DAMF_ST_BAD_VERSION, -EOPNOTSUPP },
	{ JOB_FIELD(flags), 4, 1, DAMF_ST_BAD_FIELD, -EINVAL },
	{ JOB_FIELD(reserved), 4, 1, DAMF_ST_BAD_FIELD, -EINVAL },
	{ JOB_FIELD(param), 4, 1, DAMF_ST_BAD_FIELD, -EINVAL },
	{ SLOT_FIELD(DAMF_T_Y, addr), 8, 2, DAMF_ST_BAD_FIELD, -EINVAL },
	{ SLOT_FIELD(DAMF_T_Y, stride), 8, 1, DAMF_ST_BAD_FIELD, -EINVAL },
	{ SLOT_FIELD(DAMF_T_Y, rows), 4, 1, DAMF_ST_BAD_FIELD, -EINVAL },
	{ SLOT_FIELD(DAMF_T_Y, type), 2, 96, DAMF_ST_BAD_FIELD, -EINVAL },
	{ SLOT_FIELD(DAMF_T_Y, layout), 2, 8, DAMF_ST_BAD_FIELD, -EINVAL },
	{ SLOT_FIELD(DAMF_T_Y, reserved1), 8, 1, DAMF_ST_BAD_FIELD, -EINVAL },
	{ SLOT_FIELD(DAMF_T_W, rows), 4, 1, DAMF_ST_BAD_FIELD, -EINVAL },
};

static void spoil(struct damf_job *job, const struct spoil *how)
{
	unsigned char *at = (unsigned char *)job + how->field;
	size_t i;

	for (i = 0; i < how->size; i++)
		at[i] ^= (unsigned char)(how->flip >> 8 * i);
}

/* The device names job and field; what is before is done, what is after not. */
TEST_F(submit, bad_jobs)
{
	struct drm_damf_result res;
	struct drm_damf_submit s;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(spoils); i++) {
		for (j = 0; j < 4; j++)
			job_fill(&self->c.jobs, j, self->c.data.va + j * PAGE, 16, 100 * i + j);
		spoil((struct damf_job *)self->c.jobs.map + 2, &spoils[i]);
		memset(self->c.data.map, 0, 4 * PAGE);
		ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.data));
		s = list_of(&self->c, 4);
		ASSERT_EQ(0, path_run(&self->path, &s, &res));
		EXPECT_EQ(spoils[i].error, res.error) TH_LOG("case %u", i);
		EXPECT_EQ(spoils[i].status, res.status) TH_LOG("case %u", i);
		EXPECT_EQ(spoils[i].field, res.field) TH_LOG("case %u", i);
		EXPECT_EQ(2, res.index) TH_LOG("case %u", i);
		EXPECT_TRUE(is_filled(&self->c.data, PAGE, 16, 100 * i + 1));
		EXPECT_TRUE(is_filled(&self->c.data, 2 * PAGE, 2048, 0));
		/* without it, the rest goes on from there */
		job_fill(&self->c.jobs, 2, self->c.data.va + 2 * PAGE, 16, 100 * i + 2);
		s = list_of(&self->c, 4);
		s.first = res.index;
		ASSERT_EQ(0, path_run(&self->path, &s, &res));
		EXPECT_EQ(0, res.error);
		EXPECT_TRUE(is_filled(&self->c.data, 3 * PAGE, 16, 100 * i + 3));
	}
}

TEST_F(submit, overlap)
{
	struct drm_damf_submit s = list_of(&self->c, 1);
	struct drm_damf_result res;

	job_copy(&self->c.jobs, 0, self->c.data.va + 32, self->c.data.va, 64);
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(-EINVAL, res.error);
	EXPECT_EQ(DAMF_ST_OVERLAP, res.status);
	EXPECT_EQ(SLOT_FIELD(DAMF_T_Y, addr), res.field);
	EXPECT_EQ(0, res.index);
}

TEST_F(submit, page_fault)
{
	struct drm_damf_submit s = list_of(&self->c, 2);
	struct drm_damf_result res;

	job_fill(&self->c.jobs, 0, self->c.data.va, 16, 1);
	job_fill(&self->c.jobs, 1, 1ull << 38, 16, 1);
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(-EFAULT, res.error);
	EXPECT_EQ(DAMF_ST_PAGE_FAULT, res.status);
	EXPECT_EQ(1, res.index);
	EXPECT_EQ(DAMF_ACCESS_WRITE, res.access);
	EXPECT_EQ(1ull << 38, res.fault_addr & ~(PAGE - 1));
	s = list_of(&self->c, 1);
	ASSERT_EQ(0, path_run(&self->path, &s, &res));
	EXPECT_EQ(0, res.error);
}

/* Good and bad lists in flight together: each gets its own result. */
TEST_F(submit, mixed)
{
	enum { LISTS = 32 };
	struct drm_damf_submit s[LISTS];
	struct drm_damf_result res;
	unsigned int i;

	for (i = 0; i < LISTS; i++) {
		job_fill(&self->c.jobs, i, self->c.data.va + i * PAGE, 16, i + 1);
		if (i % 3 == 2)
			spoil((struct damf_job *)self->c.jobs.map + i,
			      &spoils[i % ARRAY_SIZE(spoils)]);
	}
	ASSERT_EQ(0, buf_to_device(self->c.fd, &self->c.jobs));
	for (i = 0; i < LISTS; i++) {
		s[i] = list_of(&self->c, 1);
		s[i].list += i * sizeof(struct damf_job);
		ASSERT_EQ(0, path_submit(&self->path, &s[i]));
	}
	for (i = 0; i < LISTS; i++) {
		ASSERT_EQ(0, path_wait(&self->path, &s[i], &res));
		EXPECT_EQ(i % 3 == 2 ? spoils[i % ARRAY_SIZE(spoils)].error : 0, res.error);
		EXPECT_EQ(i % 3 == 2 ? 0 : 1, res.index);
	}
	ASSERT_EQ(0, buf_from_device(self->c.fd, &self->c.data));
	for (i = 0; i < LISTS; i++) {
		EXPECT_TRUE(is_filled(&self->c.data, i * PAGE, 16, i % 3 == 2 ? 0 : i + 1));
	}
}

TEST_HARNESS_MAIN
