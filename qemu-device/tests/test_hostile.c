// SPDX-License-Identifier: MIT
/* A guest that does everything wrong: the device says so, stays usable, and
 * QEMU lives. */
#include <string.h>

#include "guest.h"
#include "test_qemu.h"

static void ready(struct guest *g)
{
	guest_start(g, "queues=4,contexts=4,local-mem=2M");
	guest_enable(g);
	guest_make_context(g);
	guest_make_queue(g);
}

/* Reset, set up again, and run something. */
static void recover(struct guest *g)
{
	struct damf_job job = guest_fill(GUEST_DATA_OUT, 4, 0xabcdabcd);
	unsigned int rounds = 0;

	guest_set32(g, DAMF_REG_CTRL, DAMF_CTRL_RESET);
	while (guest_reg32(g, DAMF_REG_CTRL) & DAMF_CTRL_RESET)
		qtest_wait(&rounds, "the end of a reset");
	guest_enable(g);
	guest_make_context(g);
	guest_make_queue(g);
	assert_int_equal(guest_run(g, &job, 1).status, DAMF_ST_OK);
	assert_int_equal(qtest_read(g->q, GUEST_DATA_OUT, 4), 0xabcdabcd);
}

static uint32_t queue_state(struct guest *g, unsigned int queue)
{
	return guest_reg32(g, guest_reg32(g, DAMF_REG_DB_OFFSET) + queue * DAMF_DB_PAGE_SIZE +
			   DAMF_DB_STATE);
}

static void test_tails(void **state)
{
	static const uint32_t tails[] = { 17, 1000, 0x7fffffff, 0x80000000, 0xffffffff };
	struct guest g;

	(void)state;
	ready(&g);
	for (unsigned int i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		unsigned int rounds = 0;

		assert_int_equal(queue_state(&g, 1), DAMF_QUEUE_LIVE);
		qtest_write(g.q, g.io.shared, 4, tails[i]);
		guest_ring(&g, &g.io);
		while (queue_state(&g, 1) == DAMF_QUEUE_LIVE)
			qtest_wait(&rounds, "the queue to stop");
		assert_int_equal(queue_state(&g, 1), DAMF_QUEUE_ERROR);
		assert_false(guest_has_completion(&g, &g.io));
		recover(&g);
	}
	guest_end(&g);
}

static void test_consumer_index(void **state)
{
	struct damf_sqe nop = { .opcode = DAMF_SQ_NOP, .context = 1 };
	unsigned int rounds = 0;
	struct guest g;

	(void)state;
	ready(&g);
	/* completions consumed that have not been written */
	qtest_write(g.q, g.io.shared + offsetof(struct damf_queue_shared, cq_head), 4, 5);
	guest_put(&g, &g.io, &nop);
	guest_ring(&g, &g.io);
	while (queue_state(&g, 1) == DAMF_QUEUE_LIVE)
		qtest_wait(&rounds, "the queue to stop");
	assert_int_equal(queue_state(&g, 1), DAMF_QUEUE_ERROR);
	recover(&g);
	guest_end(&g);
}

/* Rings in the device's own registers, in its MSI-X table, in nothing. */
static void test_ring_addresses(void **state)
{
	static const uint64_t places[] = {
		GUEST_REGS, GUEST_REGS + 0x1000, GUEST_MSIX, 0xc0000000, 0xfffffffffffff000, 64,
	};
	struct guest g;

	(void)state;
	ready(&g);
	for (unsigned int i = 0; i < 3 * sizeof(places) / sizeof(places[0]); i++) {
		struct damf_sqe nop = { .opcode = DAMF_SQ_NOP, .context = 1 };
		struct damf_admin_sqe sqe = {
			.opcode = DAMF_ADMIN_CREATE_QUEUE, .context = 1, .queue = 2,
			.log2 = GUEST_LOG2, .vector = 1, .priority = DAMF_PRIORITY_HIGH,
			.addr = { GUEST_RINGS + 0x20000, GUEST_RINGS + 0x21000,
				  GUEST_RINGS + 0x22000 },
		};
		struct guest_queue bad = { .id = 2, .sq = GUEST_RINGS + 0x20000,
					   .shared = GUEST_RINGS + 0x22000 };

		sqe.addr[i % 3] = places[i / 3];
		guest_admin(&g, &sqe);
		guest_put(&g, &bad, &nop);
		guest_ring(&g, &bad);
		recover(&g);
	}
	guest_end(&g);
}

/* An interrupt's message that is a write to the device's own doorbell. */
static void test_interrupt_into_registers(void **state)
{
	struct damf_job job = guest_fill(GUEST_DATA_OUT, 4, 1);
	struct guest g;

	(void)state;
	ready(&g);
	qtest_write(g.q, GUEST_MSIX + 16, 4,
		    GUEST_REGS + guest_reg32(&g, DAMF_REG_DB_OFFSET) + DAMF_DB_PAGE_SIZE);
	for (int i = 0; i < 5; i++)
		assert_int_equal(guest_run(&g, &job, 1).status, DAMF_ST_OK);
	qtest_write(g.q, GUEST_MSIX + 16, 4, GUEST_REGS + DAMF_REG_CTRL);
	qtest_write(g.q, GUEST_MSIX + 16 + 8, 4, DAMF_CTRL_RESET);
	for (int i = 0; i < 5; i++)
		assert_int_equal(guest_run(&g, &job, 1).status, DAMF_ST_OK);
	guest_end(&g);
}

static void test_admin_ring_in_registers(void **state)
{
	struct guest g;

	(void)state;
	ready(&g);
	for (unsigned int reg = DAMF_REG_ADMIN_SQ; reg <= DAMF_REG_ADMIN_SHARED; reg += 8) {
		guest_set32(&g, DAMF_REG_CTRL, DAMF_CTRL_RESET);
		guest_set64(&g, DAMF_REG_ADMIN_SQ, g.admin.sq);
		guest_set64(&g, DAMF_REG_ADMIN_CQ, g.admin.cq);
		guest_set64(&g, DAMF_REG_ADMIN_SHARED, g.admin.shared);
		guest_set32(&g, DAMF_REG_ADMIN_LOG2, GUEST_LOG2);
		guest_set64(&g, reg, GUEST_REGS + 0x1000);
		guest_set32(&g, DAMF_REG_CTRL, DAMF_CTRL_ENABLE);
		guest_set32(&g, guest_reg32(&g, DAMF_REG_DB_OFFSET) + DAMF_DB_SQ, 1);
		recover(&g);
	}
	guest_end(&g);
}

static void test_page_faults(void **state)
{
	struct guest g;
	struct damf_sqe sqe = { .opcode = DAMF_SQ_EXEC, .context = 1, .count = 1 };
	struct damf_job job = guest_fill(DAMF_VA_END - 0x100000, 4, 1);
	struct damf_cqe cqe;

	(void)state;
	ready(&g);
	cqe = guest_run(&g, &job, 1);
	assert_int_equal(cqe.status, DAMF_ST_PAGE_FAULT);
	assert_true(cqe.fault_addr == DAMF_VA_END - 0x100000);
	assert_int_equal(cqe.index, 0);
	/* the context has stopped, and says so */
	job = guest_fill(GUEST_DATA_OUT, 4, 1);
	assert_int_equal(guest_run(&g, &job, 1).status, DAMF_ST_CTX_STOPPED);
	recover(&g);

	sqe.list = 0x123456000;
	guest_put(&g, &g.io, &sqe);
	guest_ring(&g, &g.io);
	cqe = guest_take(&g, &g.io);
	assert_int_equal(cqe.status, DAMF_ST_PAGE_FAULT);
	assert_true((cqe.fault_addr & ~0xfffull) == 0x123456000);
	recover(&g);

	/* tables that lie nowhere, or have bits that mean nothing */
	for (uint64_t entry = 1; entry; entry <<= 3) {
		qtest_write(g.q, GUEST_TABLES + 0x1000 + 8 * (GUEST_DATA_OUT >> 21), 8,
			    entry | DAMF_PTE_VALID);
		guest_run(&g, &job, 1);
		recover(&g);
	}
	guest_end(&g);
}

static uint64_t seed = 1;

static uint32_t random32(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 32);
}

/* Jobs of any bytes: each gets a completion. */
static void test_random_jobs(void **state)
{
	struct guest g;

	(void)state;
	ready(&g);
	for (int round = 0; round < 300; round++) {
		struct damf_job job = guest_fill(GUEST_DATA_OUT, 4, 1);
		unsigned char *bytes = (void *)&job;
		struct damf_cqe cqe;

		for (unsigned int n = random32() % 4 + 1; n; n--) {
			if (random32() % 4)
				bytes[random32() % sizeof(job)] = (unsigned char)random32();
			else
				job.opcode = (uint16_t)(random32() % (DAMF_OP_LAST + 2));
		}
		cqe = guest_run(&g, &job, 1);
		if (cqe.status == DAMF_ST_PAGE_FAULT || cqe.status == DAMF_ST_CTX_STOPPED)
			recover(&g);
	}
	recover(&g);
	guest_end(&g);
}

/* Entries of any bytes, in both kinds of ring. */
static void test_random_entries(void **state)
{
	struct guest g;

	(void)state;
	ready(&g);
	for (int round = 0; round < 150; round++) {
		struct damf_sqe sqe = { .opcode = DAMF_SQ_EXEC, .context = 1, .count = 1,
					.list = GUEST_DATA_LIST };
		struct damf_admin_sqe admin = { .opcode = (uint16_t)(random32() % 11) };

		for (unsigned int n = random32() % 3 + 1; n; n--) {
			((unsigned char *)&sqe)[random32() % 64] = (unsigned char)random32();
			((unsigned char *)&admin)[2 + random32() % 62] = (unsigned char)random32();
		}
		guest_put(&g, &g.io, &sqe);
		guest_ring(&g, &g.io);
		guest_put(&g, &g.admin, &admin);
		guest_ring(&g, &g.admin);
		guest_take(&g, &g.admin);
		recover(&g);
	}
	guest_end(&g);
}

static void test_random_registers(void **state)
{
	struct guest g;

	(void)state;
	ready(&g);
	for (int round = 0; round < 5000; round++) {
		unsigned int size = 1u << random32() % 4, span = random32() % 4 ? 0x100 : 0x6000;
		uint64_t addr = GUEST_REGS + random32() % span;
		uint64_t value = (uint64_t)random32() << 32 | random32();

		if (random32() % 2)
			qtest_read(g.q, addr, size);
		else
			qtest_write(g.q, addr, size, size == 8 ? value :
				    value & ((1ull << 8 * size) - 1));
	}
	recover(&g);
	guest_end(&g);
}

int hostile_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tails),
		cmocka_unit_test(test_consumer_index),
		cmocka_unit_test(test_ring_addresses),
		cmocka_unit_test(test_interrupt_into_registers),
		cmocka_unit_test(test_admin_ring_in_registers),
		cmocka_unit_test(test_page_faults),
		cmocka_unit_test(test_random_jobs),
		cmocka_unit_test(test_random_entries),
		cmocka_unit_test(test_random_registers),
	};

	return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
