// SPDX-License-Identifier: MIT
/* What happens to the device happens while its engine computes. */
#include <string.h>

#include "guest.h"
#include "test_qemu.h"

enum { JOBS = 100, ROWS = 512, WIDTH = 512 };

#define X	(GUEST_DATA + 0x100000)
#define W	(GUEST_DATA + 0x200000)
#define Y	(GUEST_DATA + 0x300000)

static struct damf_tensor matrix(uint64_t va, unsigned int layout)
{
	return (struct damf_tensor){
		.addr = va, .rows = ROWS, .cols = WIDTH, .type = DAMF_TYPE_F32,
		.layout = (uint16_t)layout,
		.stride = layout == DAMF_LAYOUT_PANEL32 ? 0 : 4 * WIDTH,
	};
}

/* Sets the device up and gives it a list that keeps it busy for a while. */
static void busy(struct guest *g)
{
	struct damf_job job = {
		.opcode = DAMF_OP_LINEAR, .version = DAMF_JOB_VERSION, .size = sizeof(job),
	};
	struct damf_sqe sqe = {
		.opcode = DAMF_SQ_EXEC, .context = 1, .count = JOBS, .list = GUEST_DATA_LIST,
	};
	unsigned int rounds = 0;

	guest_enable(g);
	guest_make_context(g);
	guest_make_queue(g);
	job.tensor[DAMF_T_X] = matrix(X, DAMF_LAYOUT_ROWS);
	job.tensor[DAMF_T_W] = matrix(W, DAMF_LAYOUT_PANEL32);
	job.tensor[DAMF_T_Y] = matrix(Y, DAMF_LAYOUT_ROWS);
	for (unsigned int i = 0; i < JOBS; i++)
		qtest_memwrite(g->q, GUEST_DATA_LIST + i * sizeof(job), &job, sizeof(job));
	qtest_write(g->q, Y, 8, UINT64_MAX);
	guest_put(g, &g->io, &sqe);
	guest_ring(g, &g->io);
	while (qtest_read(g->q, Y, 8) == UINT64_MAX)
		qtest_wait(&rounds, "the first job");
	assert_false(guest_has_completion(g, &g->io));
}

/* Nothing writes the output any more. */
static void expect_silence(struct guest *g)
{
	unsigned int rounds = 0;

	qtest_write(g->q, Y, 8, 0x5151515151515151);
	while (rounds < 200)
		qtest_wait(&rounds, "nothing");
	assert_true(qtest_read(g->q, Y, 8) == 0x5151515151515151);
	assert_false(guest_has_completion(g, &g->io));
}

static void expect_alive(struct guest *g)
{
	struct damf_job job = guest_fill(GUEST_DATA_OUT, 4, 0x11223344);

	guest_enable(g);
	guest_make_context(g);
	guest_make_queue(g);
	assert_int_equal(guest_run(g, &job, 1).status, DAMF_ST_OK);
}

static void test_reset(void **state)
{
	unsigned int rounds = 0;
	struct guest g;

	(void)state;
	guest_start(&g, "");
	busy(&g);
	guest_set32(&g, DAMF_REG_CTRL, DAMF_CTRL_RESET);
	while (guest_reg32(&g, DAMF_REG_CTRL) & DAMF_CTRL_RESET)
		qtest_wait(&rounds, "the end of the reset");
	expect_silence(&g);
	expect_alive(&g);
	guest_end(&g);
}

static void test_function_reset(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "");
	busy(&g);
	guest_config_set(&g, g.express + 8, 2, 0x8000);
	guest_setup_device(&g);
	expect_silence(&g);
	expect_alive(&g);
	guest_end(&g);
}

static void test_abort(void **state)
{
	struct damf_admin_sqe sqe = { .opcode = DAMF_ADMIN_ABORT_CONTEXT, .context = 1 };
	struct damf_cqe cqe;
	struct guest g;

	(void)state;
	guest_start(&g, "");
	busy(&g);
	assert_int_equal(guest_admin(&g, &sqe), DAMF_ST_OK);
	cqe = guest_take(&g, &g.io);
	assert_int_equal(cqe.status, DAMF_ST_ABORTED);
	assert_true(cqe.index < JOBS);
	expect_silence(&g);
	guest_end(&g);
}

static void test_unmastered(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "");
	busy(&g);
	guest_config_set(&g, 4, 2, 2);	/* memory, but no bus master */
	expect_silence(&g);
	guest_config_set(&g, 4, 2, 6);
	guest_set32(&g, DAMF_REG_CTRL, DAMF_CTRL_RESET);
	expect_alive(&g);
	guest_end(&g);
}

/* Stopped, it changes nothing; running again, it goes on to the end. */
static void test_stop_and_go(void **state)
{
	unsigned int rounds = 0;
	struct damf_cqe cqe;
	struct guest g;

	(void)state;
	guest_start(&g, "");
	busy(&g);
	qtest_qmp(g.q, "{\"execute\": \"stop\"}");
	expect_silence(&g);
	qtest_qmp(g.q, "{\"execute\": \"cont\"}");
	while (qtest_read(g.q, Y, 8) == 0x5151515151515151)
		qtest_wait(&rounds, "the next job");
	cqe = guest_take(&g, &g.io);
	assert_int_equal(cqe.status, DAMF_ST_OK);
	assert_int_equal(cqe.index, JOBS);
	guest_end(&g);
}

static void test_removed(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "");
	busy(&g);
	assert_non_null(strstr(qtest_qmp(g.q, "{\"execute\": \"qom-set\", \"arguments\": "
					 "{\"path\": \"/machine/peripheral/damf0\","
					 " \"property\": \"removed\", \"value\": true}}"),
			       "return"));
	expect_silence(&g);
	/* the guest sees that the slot is empty, and switches it off */
	guest_slot_power(&g, false);
	guest_unplug_off(&g);
	guest_end(&g);
}

static void test_unplugged(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "");
	busy(&g);
	guest_unplug(&g);
	expect_silence(&g);
	guest_end(&g);
}

/* QEMU ends while the engine is at work. */
static void test_quit(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "");
	busy(&g);
	guest_end(&g);
}

int busy_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_function_reset),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_unmastered),
		cmocka_unit_test(test_stop_and_go),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_unplugged),
		cmocka_unit_test(test_quit),
	};

	return cmocka_run_group_tests_name("busy", tests, NULL, NULL);
}
