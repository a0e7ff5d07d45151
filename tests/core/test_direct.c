// SPDX-License-Identifier: MIT
/* Lists without the device: the same jobs, the same answers. */
#include <pthread.h>
#include <string.h>

#include "jobs.h"

/* The flat space is that of the fake's page tables of context 1. */
static void *translate(void *opaque, uint64_t va, uint64_t len, bool write)
{
	struct fake *f = opaque;
	uint64_t at, bus = 0;

	for (at = va & ~0xfffull; at < va + len; at += DAMF_PAGE_SIZE) {
		__le64 pte = *fake_pte(f, 1, at, 0);

		if (!pte || (write && (pte & DAMF_PTE_READONLY)))
			return NULL;
		if (at <= va)
			bus = (pte & DAMF_PTE_ADDR) + va % DAMF_PAGE_SIZE;
	}
	return fake_at(f, bus);
}

static const struct damf_direct_ops ops = { .translate = translate };

static struct damf_direct *direct_new(struct fake *f)
{
	struct damf_core_config cfg;
	struct damf_direct *d;
	char err[100] = "";

	damf_core_config_init(&cfg);
	d = damf_direct_new(&cfg, &ops, f, err, sizeof(err));
	assert_non_null(d);
	return d;
}

static void jobs(void **state)
{
	static struct job_case c;
	struct fake_ring ring;
	unsigned int i;

	(void)state;
	for (i = 0; i < JOB_CASES; i++) {
		struct fake *f = fake_ready(&ring);
		struct damf_direct *d = direct_new(f);
		struct damf_list_result r;
		struct damf_counters *counters;
		uint64_t va = fake_va(f, sizeof(*counters), (void **)&counters);

		job_case_build(f, &c, i);
		damf_direct_run(d, job_list(f, &c.job, 1, NULL), 1, 0, va, &r);
		if (r.status)
			fail_msg("%s: status %u, field %u", c.name, r.status, r.field);
		assert_int_equal(r.index, 1);
		assert_int_equal(r.cycles, counters->cycles);
		job_case_check(f, &c);
		damf_direct_free(d);
		fake_free(f);
	}
}

static void errors(void **state)
{
	static struct job_case c;
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_direct *d = direct_new(f);
	struct damf_list_result r;
	struct damf_job list[2];
	uint64_t va;
	void *host;

	(void)state;
	job_case_build(f, &c, 6);
	list[0] = list[1] = c.job;
	list[1].tensor[DAMF_T_W].reserved0 = 1;
	va = job_list(f, list, 2, &host);
	damf_direct_run(d, va, 2, 0, 0, &r);
	assert_int_equal(r.status, DAMF_ST_BAD_FIELD);
	assert_int_equal(r.index, 1);
	assert_int_equal(r.field, 256 + 48 * DAMF_T_W + 36);
	/* resumed at a good one */
	list[1] = c.job;
	memcpy(host, list, sizeof(list));
	damf_direct_run(d, va, 2, 1, 0, &r);
	assert_int_equal(r.status, DAMF_ST_OK);
	assert_int_equal(r.index, 2);
	damf_direct_run(d, va, 0, 0, 0, &r);
	assert_int_equal(r.status, DAMF_ST_BAD_FIELD);
	assert_int_equal(r.index, DAMF_INDEX_NONE);
	damf_direct_run(d, 0x7000000000, 1, 0, 0, &r);
	assert_int_equal(r.status, DAMF_ST_PAGE_FAULT);
	assert_int_equal(r.fault_addr, 0x7000000000);
	list[0].tensor[DAMF_T_Y].addr = 0x7000000000;
	memcpy(host, list, sizeof(list));
	damf_direct_run(d, va, 1, 0, 0, &r);
	assert_int_equal(r.status, DAMF_ST_PAGE_FAULT);
	assert_int_equal(r.access, DAMF_ACCESS_WRITE);
	damf_direct_free(d);
	fake_free(f);
}

static void *stopper(void *arg)
{
	struct damf_direct *d = arg;
	unsigned int i;

	for (i = 0; i < 200; i++)
		damf_direct_stop(d);
	return NULL;
}

/* Given up or not, by the moment; never anything else. */
static void stop(void **state)
{
	static struct job_case c;
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_direct *d = direct_new(f);
	struct damf_job list[64];
	struct damf_list_result r;
	pthread_t thread;
	uint64_t va;
	unsigned int i;

	(void)state;
	job_case_build(f, &c, 6);
	for (i = 0; i < 64; i++)
		list[i] = c.job;
	va = job_list(f, list, 64, NULL);
	assert_int_equal(pthread_create(&thread, NULL, stopper, d), 0);
	for (i = 0; i < 20; i++) {
		damf_direct_run(d, va, 64, 0, 0, &r);
		if (r.status)
			assert_int_equal(r.status, DAMF_ST_ABORTED);
		assert_int_equal(r.index < 64, r.status == DAMF_ST_ABORTED);
	}
	pthread_join(thread, NULL);
	damf_direct_run(d, va, 64, 0, 0, &r);
	assert_int_equal(r.status, DAMF_ST_OK);
	damf_direct_free(d);
	fake_free(f);
}

static void names(void **state)
{
	char buf[64];
	unsigned int op, at;

	(void)state;
	assert_string_equal(damf_status_name(DAMF_ST_PAGE_FAULT), "PAGE_FAULT");
	assert_string_equal(damf_opcode_name(DAMF_OP_ATTENTION), "attention");
	assert_string_equal(damf_job_field_name(DAMF_OP_LINEAR, 4, buf, sizeof(buf)), "size");
	assert_string_equal(damf_job_field_name(DAMF_OP_LINEAR, 16 + 4, buf, sizeof(buf)),
			    "param[ACT]");
	assert_string_equal(damf_job_field_name(DAMF_OP_LINEAR, 16 + 80, buf, sizeof(buf)),
			    "param[20]");
	assert_string_equal(damf_job_field_name(DAMF_OP_LINEAR, 256 + 48 + 16, buf, sizeof(buf)),
			    "tensor[Y].stride");
	assert_string_equal(damf_job_field_name(DAMF_OP_NOP, 256 + 48 + 24, buf, sizeof(buf)),
			    "tensor[1].rows");
	assert_string_equal(damf_job_field_name(DAMF_OP_ATTENTION, 1024 + 2 * 128 + 6, buf,
						sizeof(buf)), "heads[2].d_v");
	assert_string_equal(damf_job_field_name(DAMF_OP_ATTENTION, 1024 + 60 + 4, buf,
						sizeof(buf)), "heads[0].band[1]");
	for (op = 0; op < 70; op++)
		for (at = 0; at <= 0xffff; at++)
			assert_true(strlen(damf_job_field_name(op, at, buf, sizeof(buf))) > 0);
	for (at = 0; at < 100; at++)
		assert_true(strlen(damf_status_name(at)) > 0 && strlen(damf_opcode_name(at)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs), cmocka_unit_test(errors), cmocka_unit_test(stop),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests_name("core: direct", tests, NULL, NULL);
}
