// SPDX-License-Identifier: MIT
/* Every kind of job through the rings, against float64. */
#include <string.h>

#include "jobs.h"

static void run_case(unsigned int which)
{
	static struct job_case c;
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_counters *counters;
	struct damf_sqe sqe;
	struct damf_cqe cqe;
	unsigned char gap[12];

	job_case_build(f, &c, which);
	sqe = fake_exec(1, job_list(f, &c.job, 1, NULL), 1);
	sqe.counters = fake_va(f, sizeof(*counters), (void **)&counters);
	if (c.rows > 1)
		memcpy(gap, (char *)c.host[DAMF_T_Y] + 4 * c.cols, sizeof(gap));
	cqe = fake_run(f, &ring, &sqe);
	if (cqe.status)
		fail_msg("%s: status %u, field %u", c.name, cqe.status, cqe.field);
	assert_int_equal(cqe.index, 1);
	assert_int_equal(cqe.context, 1);
	assert_true(cqe.start_ns && cqe.end_ns > cqe.start_ns);
	job_case_check(f, &c);
	/* the bytes between rows are not the device's to write */
	if (c.rows > 1)
		assert_memory_equal(gap, (char *)c.host[DAMF_T_Y] + 4 * c.cols, sizeof(gap));
	assert_int_equal(counters->jobs, 1);
	assert_int_equal(counters->cycles, cqe.cycles);
	assert_true(counters->page_walks > 0);
	fake_free(f);
}

static void jobs_in_bus_memory(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < JOB_CASES; i++)
		run_case(i);
}

/* The same tensors behind LOCAL entries: used in place. */
static void jobs_in_local_memory(void **state)
{
	static struct job_case c;
	unsigned int i;

	(void)state;
	for (i = 0; i < JOB_CASES; i++) {
		struct fake_ring ring;
		struct fake *f = fake_ready(&ring);
		struct damf_sqe sqe;
		struct damf_cqe cqe;
		uint64_t va;

		job_case_build(f, &c, i);
		sqe = fake_exec(1, job_list(f, &c.job, 1, NULL), 1);
		for (va = 1 << 30; va < f->next_va; va += DAMF_PAGE_SIZE) {
			__le64 *pte = fake_pte(f, 1, va, 0);

			if (*pte) {
				memcpy(f->local + (*pte & DAMF_PTE_ADDR),
				       f->bus + (*pte & DAMF_PTE_ADDR), DAMF_PAGE_SIZE);
				*pte |= DAMF_PTE_LOCAL;
			}
		}
		if (c.host[DAMF_T_Y])
			c.host[DAMF_T_Y] = f->local + ((uint8_t *)c.host[DAMF_T_Y] - f->bus);
		cqe = fake_run(f, &ring, &sqe);
		if (cqe.status)
			fail_msg("%s: status %u, field %u", c.name, cqe.status, cqe.field);
		job_case_check(f, &c);
		fake_free(f);
	}
}

/* A list of all of them, and what it cost. */
static void one_list_of_all(void **state)
{
	static struct job_case c[JOB_CASES];
	struct damf_job jobs[JOB_CASES];
	struct damf_counters *counters, totals;
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_admin_sqe cmd = fake_context_cmd(DAMF_ADMIN_READ_COUNTERS, 1);
	struct damf_sqe sqe;
	struct damf_cqe cqe;
	uint64_t cycles = 0;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < JOB_CASES; i++) {
		job_case_build(f, &c[i], i);
		jobs[i] = c[i].job;
	}
	/* its figures would be of the jobs before it */
	jobs[3].opcode = DAMF_OP_NOP;
	memset(&jobs[3].tensor, 0, sizeof(jobs[3].tensor));
	sqe = fake_exec(1, job_list(f, jobs, JOB_CASES, NULL), JOB_CASES);
	sqe.counters = fake_va(f, JOB_CASES * sizeof(*counters), (void **)&counters);
	cqe = fake_run(f, &ring, &sqe);
	assert_int_equal(cqe.status, DAMF_ST_OK);
	assert_int_equal(cqe.index, JOB_CASES);
	for (i = 0; i < JOB_CASES; i++) {
		if (i != 3)
			job_case_check(f, &c[i]);
		cycles += counters[i].cycles;
	}
	assert_int_equal(cqe.cycles, cycles);
	/* linear: every product of X and W once */
	assert_int_equal(counters[6].static_macs, 7 * 24 * 37);
	cmd.addr[0] = fake_alloc(f, sizeof(totals), 64);
	assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_OK);
	memcpy(&totals, fake_at(f, cmd.addr[0]), sizeof(totals));
	assert_int_equal(totals.jobs, JOB_CASES);
	for (k = 0; k < sizeof(totals) / 8; k++) {
		uint64_t sum = 0;

		for (i = 0; i < JOB_CASES; i++)
			sum += ((__le64 *)&counters[i])[k];
		assert_int_equal(((__le64 *)&totals)[k], sum);
	}
	assert_int_equal(fake_read64(f, DAMF_REG_STAT_JOBS), JOB_CASES);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_in_bus_memory),
		cmocka_unit_test(jobs_in_local_memory),
		cmocka_unit_test(one_list_of_all),
	};

	return cmocka_run_group_tests_name("core: jobs", tests, NULL, NULL);
}
