// SPDX-License-Identifier: MIT
/* Page tables: sizes, faults, and translations that live until flushed. */
#include <string.h>

#include "jobs.h"

#define VA	0x40200000ull	/* of what the tests map by hand */
#define BYTES	6000u		/* across a page boundary */

static struct damf_job copy_job(uint64_t from, uint64_t to, uint32_t bytes)
{
	struct damf_job job = { .opcode = DAMF_OP_COPY, .version = 1, .size = sizeof(job) };
	const struct damf_tensor t = { .type = DAMF_TYPE_BYTES, .rows = 1, .cols = bytes,
				       .stride = bytes };

	job.tensor[DAMF_T_X] = job.tensor[DAMF_T_Y] = t;
	job.tensor[DAMF_T_X].addr = from;
	job.tensor[DAMF_T_Y].addr = to;
	return job;
}

static struct damf_cqe run_copy(struct fake *f, struct fake_ring *ring, uint64_t from, uint64_t to,
				uint32_t bytes)
{
	struct damf_job job = copy_job(from, to, bytes);
	struct damf_sqe sqe = fake_exec(1, job_list(f, &job, 1, NULL), 1);

	return fake_run(f, ring, &sqe);
}

static void expect_fault(struct fake *f, struct fake_ring *ring, struct damf_cqe cqe,
			 uint64_t addr, unsigned int access)
{
	struct damf_sqe nop = { .context = 1 };
	struct damf_admin_sqe resume = fake_context_cmd(DAMF_ADMIN_RESUME_CONTEXT, 1);

	if (cqe.status != DAMF_ST_PAGE_FAULT || cqe.fault_addr != addr || cqe.access != access)
		fail_msg("status %u, address %#llx, access %u; wanted a fault at %#llx, access %u",
			 cqe.status, (unsigned long long)cqe.fault_addr, cqe.access,
			 (unsigned long long)addr, access);
	assert_int_equal(cqe.index, 0);
	/* the context is stopped until it's resumed */
	assert_int_equal(fake_run(f, ring, &nop).status, DAMF_ST_CTX_STOPPED);
	assert_int_equal(fake_admin(f, &resume).status, DAMF_ST_OK);
	assert_int_equal(fake_run(f, ring, &nop).status, DAMF_ST_OK);
}

static void flush(struct fake *f, uint64_t addr, uint64_t length)
{
	struct damf_admin_sqe cmd = fake_context_cmd(DAMF_ADMIN_FLUSH, 1);

	cmd.addr[0] = addr;
	cmd.length = length;
	assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_OK);
}

/* Pages that lie apart on the bus, in the order of the addresses. */
static void scattered_pages(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	unsigned char *from;
	uint64_t src = fake_va(f, BYTES, (void **)&from), a, b;
	unsigned int i;

	(void)state;
	for (i = 0; i < BYTES; i++)
		from[i] = (unsigned char)(i * 31 >> 3);
	b = fake_alloc(f, 4096, 4096);
	a = fake_alloc(f, 3 * 4096, 4096) + 8192;
	fake_map(f, 1, VA, a, 4096, 0);
	fake_map(f, 1, VA + 4096, b, 4096, 0);
	assert_int_equal(run_copy(f, &ring, src, VA + 100, BYTES).status, DAMF_ST_OK);
	assert_memory_equal(fake_at(f, a + 100), from, 4096 - 100);
	assert_memory_equal(fake_at(f, b), from + 4096 - 100, BYTES - (4096 - 100));
	fake_free(f);
}

static void large_pages(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_counters *c;
	struct damf_job job;
	struct damf_sqe sqe;
	uint64_t src = fake_va(f, BYTES, NULL);

	(void)state;
	memset(f->bus + (2 << 20), 0x11, 65536);
	fake_map_page(f, 1, 0x80000000, (2ull << 20) | DAMF_PTE_VALID | DAMF_PTE_LARGE);
	fake_map_page(f, 1, 0x80200000, (2ull << 20) | DAMF_PTE_VALID | DAMF_PTE_LARGE |
		      DAMF_PTE_LOCAL);
	job = copy_job(src, 0x80200000 + 300000, BYTES);
	memset(f->local + (2 << 20) + 300000, 0x22, BYTES);
	sqe = fake_exec(1, job_list(f, &job, 1, NULL), 1);
	sqe.counters = fake_va(f, sizeof(*c), (void **)&c);
	assert_int_equal(fake_run(f, &ring, &sqe).status, DAMF_ST_OK);
	assert_memory_equal(f->local + (2 << 20) + 300000, fake_at(f, *fake_pte(f, 1, src, 0) &
			    DAMF_PTE_ADDR), 4096);
	/* job, two pages of X and one of counters: 3 entries each; Y: 2 */
	assert_int_equal(c->page_walks, 4 * 3 + 2);
	/* all cached now */
	assert_int_equal(fake_run(f, &ring, &sqe).status, DAMF_ST_OK);
	assert_int_equal(c->page_walks, 0);
	fake_free(f);
}

static void faults(void **state)
{
	const uint64_t ok = DAMF_PTE_VALID, beyond = FAKE_LOCAL;
	const struct {
		unsigned int level;
		uint64_t pte;
		unsigned int access;
		bool write;
	} cases[] = {
		{ 0, 0, DAMF_ACCESS_READ, false },
		{ 0, 0, DAMF_ACCESS_WRITE, true },
		{ 1, 0, DAMF_ACCESS_READ, false },
		{ 2, 0, DAMF_ACCESS_WRITE, true },
		{ 0, 0x5000, DAMF_ACCESS_READ, false },
		{ 0, 0x5000 | ok | DAMF_PTE_READONLY, DAMF_ACCESS_WRITE, true },
		{ 0, 0x5000 | ok | 1 << 4, DAMF_ACCESS_WALK, false },
		{ 0, 0x5000 | ok | 1ull << 52, DAMF_ACCESS_WALK, false },
		{ 0, 0x5000 | ok | 1ull << 63, DAMF_ACCESS_WALK, true },
		{ 0, 0x5000 | ok | DAMF_PTE_LARGE, DAMF_ACCESS_WALK, false },
		{ 0, beyond | ok | DAMF_PTE_LOCAL, DAMF_ACCESS_WALK, false },
		{ 0, 0xffffffffff000 | ok | DAMF_PTE_LOCAL, DAMF_ACCESS_WALK, true },
		{ 1, 0x5000 | ok | DAMF_PTE_READONLY, DAMF_ACCESS_WALK, false },
		{ 1, 0x5000 | ok | DAMF_PTE_LOCAL, DAMF_ACCESS_WALK, false },
		{ 1, 0x5000 | ok | DAMF_PTE_LARGE, DAMF_ACCESS_WALK, false },
		{ 1, beyond | ok | DAMF_PTE_LARGE | DAMF_PTE_LOCAL, DAMF_ACCESS_WALK, false },
		{ 2, 0x200000 | ok | DAMF_PTE_LARGE, DAMF_ACCESS_WALK, false },
		{ 2, 0x5000 | ok | DAMF_PTE_LOCAL, DAMF_ACCESS_WALK, true },
		{ 2, 0x5000 | ok | DAMF_PTE_READONLY, DAMF_ACCESS_WALK, true },
	};
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	uint64_t good = fake_va(f, BYTES, NULL);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t va = 0x1000000000 + i * (1ull << 30);
		bool write = cases[i].write;

		*fake_pte(f, 1, va, cases[i].level) = cases[i].pte;
		expect_fault(f, &ring, write ? run_copy(f, &ring, good, va, 64) :
			     run_copy(f, &ring, va, good, 64), va, cases[i].access);
	}
	/* the second page of two */
	fake_map(f, 1, VA, fake_alloc(f, 4096, 4096), 4096, 0);
	expect_fault(f, &ring, run_copy(f, &ring, VA + 16, good, BYTES), VA + 4096, DAMF_ACCESS_READ);
	/* the list itself */
	expect_fault(f, &ring, fake_run(f, &ring, &(struct damf_sqe) { .opcode = DAMF_SQ_EXEC,
		     .context = 1, .count = 1, .list = 0x2000000000 }), 0x2000000000, DAMF_ACCESS_READ);
	fake_free(f);
}

/* What the bus refuses is not the client's fault: the context goes on. */
static void dma_errors(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	uint64_t good = fake_va(f, BYTES, NULL);
	struct damf_cqe cqe;

	(void)state;
	fake_map(f, 1, VA, FAKE_BUS, 4096, 0);
	cqe = run_copy(f, &ring, VA, good, 64);
	assert_int_equal(cqe.status, DAMF_ST_DMA_ERROR);
	assert_int_equal(cqe.fault_addr, FAKE_BUS);
	assert_int_equal(cqe.access, DAMF_ACCESS_READ);
	cqe = run_copy(f, &ring, good, VA, 64);
	assert_int_equal(cqe.status, DAMF_ST_DMA_ERROR);
	assert_int_equal(cqe.fault_addr, FAKE_BUS);
	assert_int_equal(cqe.access, DAMF_ACCESS_WRITE);
	*fake_pte(f, 1, 0x3000000000, 2) = FAKE_BUS | DAMF_PTE_VALID;
	cqe = run_copy(f, &ring, 0x3000000000, good, 64);
	assert_int_equal(cqe.status, DAMF_ST_DMA_ERROR);
	assert_int_equal(cqe.fault_addr, FAKE_BUS);
	assert_int_equal(cqe.access, DAMF_ACCESS_WALK);
	assert_int_equal(run_copy(f, &ring, good, good + 1024, 64).status, DAMF_ST_OK);
	fake_free(f);
}

/* Old translations are used until the flush, new ones need none. */
static void flush_rules(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	unsigned char *from;
	uint64_t src = fake_va(f, 64, (void **)&from), a = fake_alloc(f, 4096, 4096);
	uint64_t b = fake_alloc(f, 4096, 4096), c = fake_alloc(f, 4096, 4096);

	(void)state;
	memset(from, 0x77, 64);
	expect_fault(f, &ring, run_copy(f, &ring, src, VA, 64), VA, DAMF_ACCESS_WRITE);
	/* not valid before: no flush is needed */
	fake_map(f, 1, VA, a, 4096, 0);
	assert_int_equal(run_copy(f, &ring, src, VA, 64).status, DAMF_ST_OK);
	assert_int_equal(*(unsigned char *)fake_at(f, a), 0x77);
	fake_map(f, 1, VA, b, 4096, 0);
	flush(f, VA + 4096, 4096);
	flush(f, VA, 4096);
	assert_int_equal(run_copy(f, &ring, src, VA, 64).status, DAMF_ST_OK);
	assert_int_equal(*(unsigned char *)fake_at(f, b), 0x77);
	fake_map(f, 1, VA, c, 4096, DAMF_PTE_READONLY);
	flush(f, 0, 0);
	expect_fault(f, &ring, run_copy(f, &ring, src, VA, 64), VA, DAMF_ACCESS_WRITE);
	/* a flush inside a large page drops all of it */
	fake_map_page(f, 1, 0x80000000, (2ull << 20) | DAMF_PTE_VALID | DAMF_PTE_LARGE);
	assert_int_equal(run_copy(f, &ring, src, 0x80000000, 64).status, DAMF_ST_OK);
	*fake_pte(f, 1, 0x80000000, 1) = 0;
	flush(f, 0x80100000, 4096);
	expect_fault(f, &ring, run_copy(f, &ring, src, 0x80000000, 64), 0x80000000,
		     DAMF_ACCESS_WRITE);
	fake_free(f);
}

/* More pages than the cache has room for to begin with. */
static void many_pages(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	const uint32_t size = 1200 * 4096;
	uint64_t page = fake_alloc(f, 4096, 4096), at, src = fake_va(f, 4096, NULL);
	struct damf_cqe cqe;

	(void)state;
	for (at = 0; at < size; at += 4096)
		fake_map(f, 1, 0x2000000000 + at, page, 4096, 0);
	for (at = 0; at < 3; at++) {
		cqe = run_copy(f, &ring, 0x2000000000, 0x2000000000 + size / 2, size / 2);
		assert_int_equal(cqe.status, DAMF_ST_OK);
	}
	flush(f, 0x2000000000, size);
	assert_int_equal(run_copy(f, &ring, src, 0x2000000000, 64).status, DAMF_ST_OK);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scattered_pages), cmocka_unit_test(large_pages),
		cmocka_unit_test(faults), cmocka_unit_test(dma_errors),
		cmocka_unit_test(flush_rules), cmocka_unit_test(many_pages),
	};

	return cmocka_run_group_tests_name("core: MMU", tests, NULL, NULL);
}
