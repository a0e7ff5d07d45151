// SPDX-License-Identifier: MIT
/* The device as a driver sees it, in QEMU: bus, registers, rings, interrupts,
 * resets, stopping and unplugging. */
#include <string.h>

#include "guest.h"
#include "test_qemu.h"

static void ready(struct guest *g, const char *properties)
{
	guest_start(g, properties);
	guest_enable(g);
	guest_make_context(g);
	guest_make_queue(g);
}

static void check_filled(struct guest *g, uint64_t at, uint32_t words, uint32_t pattern)
{
	for (uint32_t i = 0; i < words; i++)
		assert_int_equal(qtest_read(g->q, at + 4 * i, 4), pattern);
	assert_int_not_equal(qtest_read(g->q, at + 4 * words, 4), pattern);
}

static void run_a_fill(struct guest *g, uint32_t pattern)
{
	struct damf_job job = guest_fill(GUEST_DATA_OUT, 100, pattern);
	struct damf_cqe cqe = guest_run(g, &job, 1);

	assert_int_equal(cqe.status, DAMF_ST_OK);
	assert_int_equal(cqe.index, 1);
	check_filled(g, GUEST_DATA_OUT, 100, pattern);
}

static void test_identity(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "local-mem=16M,queues=5,contexts=7");
	assert_int_equal(guest_config(&g, 0, 4), DAMF_PCI_DEVICE_ID << 16 | DAMF_PCI_VENDOR_ID);
	assert_int_equal(guest_config(&g, 8, 4) >> 8, DAMF_PCI_CLASS);
	assert_int_equal(guest_config(&g, 0x10, 4) & 0xf, 0x4);	/* 64-bit */
	assert_int_equal(guest_config(&g, 0x18, 4) & 0xf, 0xc);	/* and prefetchable */
	assert_int_not_equal(guest_find_cap(&g, 0x01), 0);	/* power management */
	assert_int_equal(guest_config(&g, g.msix + 2, 2) & 0x7ff, 6 - 1);
	assert_int_not_equal(guest_config(&g, g.express + 4, 4) & 1 << 28, 0); /* FLR */
	assert_int_equal(guest_reg32(&g, DAMF_REG_MAGIC), DAMF_MAGIC);
	assert_int_equal(guest_reg32(&g, DAMF_REG_VERSION), DAMF_HW_VERSION);
	assert_int_equal(guest_reg32(&g, DAMF_REG_MAX_QUEUES), 5);
	assert_int_equal(guest_reg32(&g, DAMF_REG_MAX_CONTEXTS), 7);
	assert_int_equal(guest_reg32(&g, DAMF_REG_NUM_VECTORS), 6);
	assert_true(guest_reg64(&g, DAMF_REG_LOCAL_SIZE) == 16 << 20);
	assert_true(guest_reg64(&g, DAMF_REG_FEATURES) & DAMF_FEATURE_LOCAL_MEMORY);
	guest_end(&g);
}

/* Two halves make a 64-bit register; accesses of other sizes read as ones. */
static void test_access_sizes(void **state)
{
	struct guest g;
	uint64_t sq = 0x123456789abc0000ull;

	(void)state;
	guest_start(&g, "");
	guest_set32(&g, DAMF_REG_ADMIN_SQ, (uint32_t)sq);
	guest_set32(&g, DAMF_REG_ADMIN_SQ + 4, (uint32_t)(sq >> 32));
	assert_true(guest_reg64(&g, DAMF_REG_ADMIN_SQ) == sq);
	assert_int_equal(guest_reg32(&g, DAMF_REG_ADMIN_SQ + 4), sq >> 32);
	assert_int_equal(qtest_read(g.q, GUEST_REGS + DAMF_REG_MAGIC, 1), 0xff);
	assert_int_equal(qtest_read(g.q, GUEST_REGS + DAMF_REG_MAGIC, 2), 0xffff);
	assert_int_equal(qtest_read(g.q, GUEST_REGS + DAMF_REG_MAGIC + 2, 4), 0xffffffff);
	assert_true(qtest_read(g.q, GUEST_REGS + DAMF_REG_VERSION, 8) == UINT64_MAX);
	qtest_write(g.q, GUEST_REGS + DAMF_REG_ADMIN_SQ, 2, 0);
	assert_true(guest_reg64(&g, DAMF_REG_ADMIN_SQ) == sq);
	assert_int_equal(guest_reg32(&g, DAMF_REGS_END + 4), 0xffffffff);
	guest_end(&g);
}

static void test_fill(void **state)
{
	struct guest g;

	(void)state;
	ready(&g, "");
	for (uint32_t i = 1; i <= 40; i++)	/* twice round the ring */
		run_a_fill(&g, i * 0x01010101);
	guest_end(&g);
}

static void test_local_memory(void **state)
{
	struct damf_job job = guest_fill(GUEST_LOCAL_VA + 0x1000, 64, 0xfeedf00d);
	struct guest g;

	(void)state;
	ready(&g, "local-mem=16M");
	qtest_write(g.q, GUEST_LOCAL + 0x3000, 8, 0x0123456789abcdefull);
	assert_true(qtest_read(g.q, GUEST_LOCAL + 0x3000, 8) == 0x0123456789abcdefull);
	assert_int_equal(guest_run(&g, &job, 1).status, DAMF_ST_OK);
	check_filled(&g, GUEST_LOCAL + 0x1000, 64, 0xfeedf00d);
	guest_end(&g);
}

static void test_interrupts(void **state)
{
	struct guest g;
	struct damf_sqe nop = { .opcode = DAMF_SQ_NOP, .context = 1 };
	unsigned int rounds = 0;

	(void)state;
	ready(&g, "");
	guest_clear_msi(&g);
	run_a_fill(&g, 1);
	assert_int_equal(guest_msi(&g, 1), 0x1001);
	assert_int_equal(guest_msi(&g, 0), 0);

	/* masked: the pending bit is set, and the message sent when unmasked */
	guest_clear_msi(&g);
	qtest_write(g.q, GUEST_MSIX + 16 + 12, 4, 1);
	run_a_fill(&g, 2);
	assert_int_equal(guest_msi(&g, 1), 0);
	qtest_write(g.q, GUEST_MSIX + 16 + 12, 4, 0);
	assert_int_equal(guest_msi(&g, 1), 0x1001);

	/* not wanted before completion number head + 2 */
	guest_clear_msi(&g);
	qtest_write(g.q, g.io.shared + offsetof(struct damf_queue_shared, cq_event), 4,
		    g.io.head + 2);
	guest_put(&g, &g.io, &nop);
	guest_put(&g, &g.io, &nop);
	guest_ring(&g, &g.io);
	g.io.head++;
	while (!guest_has_completion(&g, &g.io))
		qtest_wait(&rounds, "the second nop");
	assert_int_equal(guest_msi(&g, 1), 0);
	guest_put(&g, &g.io, &nop);
	guest_ring(&g, &g.io);
	g.io.head++;
	while (!guest_has_completion(&g, &g.io))
		qtest_wait(&rounds, "the third nop");
	assert_int_equal(guest_msi(&g, 1), 0x1001);
	guest_end(&g);
}

static void test_admin_errors(void **state)
{
	static const struct {
		struct damf_admin_sqe sqe;
		unsigned int status;
	} wrong[] = {
		{ { .opcode = 77 }, DAMF_ST_BAD_OPCODE },
		{ { .opcode = DAMF_ADMIN_NOP, .flags = 1 }, DAMF_ST_BAD_FIELD },
		{ { .opcode = DAMF_ADMIN_NOP, .reserved1 = 1 }, DAMF_ST_BAD_FIELD },
		{ { .opcode = DAMF_ADMIN_CREATE_CONTEXT, .context = 1, .addr = { GUEST_TABLES } },
		  DAMF_ST_BUSY },
		{ { .opcode = DAMF_ADMIN_DESTROY_CONTEXT, .context = 1 }, DAMF_ST_BUSY },
		{ { .opcode = DAMF_ADMIN_DESTROY_CONTEXT, .context = 9 }, DAMF_ST_BAD_CONTEXT },
		{ { .opcode = DAMF_ADMIN_DESTROY_CONTEXT, .context = 0 }, DAMF_ST_BAD_CONTEXT },
		{ { .opcode = DAMF_ADMIN_DESTROY_CONTEXT, .context = 0xffff }, DAMF_ST_BAD_CONTEXT },
		{ { .opcode = DAMF_ADMIN_FLUSH, .context = 9 }, DAMF_ST_BAD_CONTEXT },
		{ { .opcode = DAMF_ADMIN_STOP_QUEUE, .queue = 9 }, DAMF_ST_BAD_QUEUE },
		{ { .opcode = DAMF_ADMIN_DESTROY_QUEUE, .queue = 0 }, DAMF_ST_BAD_QUEUE },
		{ { .opcode = DAMF_ADMIN_DESTROY_QUEUE, .queue = 0xffff }, DAMF_ST_BAD_QUEUE },
	};
	struct guest g;

	(void)state;
	ready(&g, "");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct damf_admin_sqe sqe = wrong[i].sqe;

		assert_int_equal(guest_admin(&g, &sqe), wrong[i].status);
	}
	run_a_fill(&g, 3);
	guest_end(&g);
}

static void expect_as_new(struct guest *g)
{
	unsigned int rounds = 0;

	while (guest_reg32(g, DAMF_REG_CTRL) & DAMF_CTRL_RESET)
		qtest_wait(&rounds, "the end of a reset");
	assert_int_equal(guest_reg32(g, DAMF_REG_CTRL), 0);
	assert_int_equal(guest_reg32(g, DAMF_REG_STATUS), 0);
	assert_true(guest_reg64(g, DAMF_REG_ADMIN_SQ) == 0);
	guest_enable(g);
	guest_make_context(g);
	guest_make_queue(g);
	run_a_fill(g, 0x77);
}

static void test_resets(void **state)
{
	struct guest g;

	(void)state;
	ready(&g, "");
	run_a_fill(&g, 4);
	guest_set32(&g, DAMF_REG_CTRL, DAMF_CTRL_RESET);
	expect_as_new(&g);
	assert_int_equal(guest_reg32(&g, DAMF_REG_RESETS), 1);

	guest_config_set(&g, g.express + 8, 2, 0x8000);	/* function level */
	guest_setup_device(&g);
	expect_as_new(&g);
	assert_int_equal(guest_reg32(&g, DAMF_REG_RESETS), 2);

	qtest_qmp(g.q, "{\"execute\": \"system_reset\"}");
	qtest_qmp_event(g.q, "RESET");
	guest_setup_bus(&g);
	guest_setup_device(&g);
	expect_as_new(&g);
	guest_end(&g);
}

/* While the VM is stopped, nothing in its memory changes. */
static void test_stop(void **state)
{
	struct damf_job job = guest_fill(GUEST_DATA_OUT, 8, 0x5105105a);
	struct guest g;
	struct damf_sqe sqe;
	unsigned int rounds = 0;

	(void)state;
	ready(&g, "");
	sqe = guest_exec(&g, &job, 1);
	qtest_qmp(g.q, "{\"execute\": \"stop\"}");
	guest_put(&g, &g.io, &sqe);
	guest_ring(&g, &g.io);
	for (int i = 0; i < 100; i++)
		qtest_wait(&rounds, "nothing");
	assert_false(guest_has_completion(&g, &g.io));
	qtest_qmp(g.q, "{\"execute\": \"cont\"}");
	assert_int_equal(guest_take(&g, &g.io).status, DAMF_ST_OK);
	check_filled(&g, GUEST_DATA_OUT, 8, 0x5105105a);
	guest_end(&g);
}

static void test_unplug(void **state)
{
	struct damf_sqe nop = { .opcode = DAMF_SQ_NOP, .context = 1 };
	struct guest g;

	(void)state;
	ready(&g, "");
	for (int i = 0; i < 10; i++)
		guest_put(&g, &g.io, &nop);
	guest_ring(&g, &g.io);
	guest_unplug(&g);
	assert_int_equal(guest_config(&g, 0, 4), 0xffffffff);

	/* another one takes its place */
	assert_non_null(strstr(qtest_qmp(g.q, "{\"execute\": \"device_add\", \"arguments\": "
					 "{\"driver\": \"damf\", \"bus\": \"rp0\","
					 " \"id\": \"damf0\"}}"), "return"));
	guest_slot_power(&g, true);
	guest_setup_device(&g);
	expect_as_new(&g);
	guest_unplug(&g);
	guest_end(&g);
}

static void test_removal(void **state)
{
	struct damf_sqe nop = { .opcode = DAMF_SQ_NOP, .context = 1 };
	struct guest g;

	(void)state;
	ready(&g, "local-mem=16M");
	qtest_write(g.q, GUEST_LOCAL, 4, 5);
	guest_put(&g, &g.io, &nop);
	assert_non_null(strstr(qtest_qmp(g.q, "{\"execute\": \"qom-set\", \"arguments\": "
					 "{\"path\": \"/machine/peripheral/damf0\","
					 " \"property\": \"removed\", \"value\": true}}"),
			       "return"));
	guest_set32(&g, 0x1000 + DAMF_DB_PAGE_SIZE, 1);
	assert_int_equal(guest_config(&g, 0, 4), 0xffffffff);
	assert_int_equal(guest_reg32(&g, DAMF_REG_MAGIC), 0xffffffff);
	assert_int_equal(qtest_read(g.q, GUEST_LOCAL, 4), 0xffffffff);
	assert_false(guest_has_completion(&g, &g.io));
	assert_non_null(strstr(qtest_qmp(g.q, "{\"execute\": \"qom-set\", \"arguments\": "
					 "{\"path\": \"/machine/peripheral/damf0\","
					 " \"property\": \"removed\", \"value\": false}}"),
			       "does not come back"));
	guest_end(&g);
}

static void test_migration_is_refused(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "");
	assert_non_null(strstr(qtest_qmp(g.q, "{\"execute\": \"migrate\", \"arguments\": "
					 "{\"uri\": \"file:/dev/null\"}}"), "damf"));
	guest_end(&g);
}

static void test_properties(void **state)
{
	(void)state;
	qtest_expect_refusal("queues=0", "queues is 0");
	qtest_expect_refusal("queues=1025", "queues is 1025");
	qtest_expect_refusal("contexts=5000", "contexts is 5000");
	qtest_expect_refusal("vectors=3000", "vectors is 3000");
	qtest_expect_refusal("threads=0", "threads is 0");
	qtest_expect_refusal("local-mem=3M", "local-mem is 3145728");
	qtest_expect_refusal("clock-hz=0", "clock");
	qtest_expect_refusal("speed=1", "speed");
}

/* Nothing but the properties differs: fewest of everything still works. */
static void test_smallest(void **state)
{
	struct guest g;

	(void)state;
	ready(&g, "queues=1,contexts=1,vectors=2,threads=1,local-mem=2M");
	run_a_fill(&g, 6);
	guest_end(&g);
}

int device_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_access_sizes),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_local_memory),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_admin_errors),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_unplug),
		cmocka_unit_test(test_removal),
		cmocka_unit_test(test_migration_is_refused),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_smallest),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
