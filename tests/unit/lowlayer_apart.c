// SPDX-License-Identifier: MIT
/* Independent lists on the CPU: side by side, one a thread. */
#include "../../runtime/lib/backend.h"
#include "lowlayer.h"

enum { LISTS = 32, JOBS = 8, REGION = LOW_DATA_SIZE / LISTS, ROUNDS = 200 };

static uint64_t region(struct low *l, unsigned int i)
{
	return damf_buffer_va(l->data) + (uint64_t)i * REGION;
}

/* List i fills its region again and again, at last with first + i. */
static void make_lists(struct low *l, unsigned int first)
{
	unsigned int i, k;

	for (i = 0; i < LISTS; i++)
		for (k = 0; k < JOBS; k++)
			low_fill(l, i * JOBS + k, region(l, i), REGION / 4, first + i + JOBS - 1 - k);
}

static struct damf_queue *create(struct low *l, bool independent)
{
	struct damf_queue *queue;

	assert_int_equal(damf_queue_create(l->dev, DAMF_PRIORITY_NORMAL, LISTS, &queue, &l->err), 0);
	if (independent)
		damf_queue_independent(queue);
	return queue;
}

/* Lists from to to - 1. */
static void submit(struct low *l, struct damf_queue *queue, unsigned int from, unsigned int to)
{
	struct damf_list list;

	for (; from < to; from++) {
		list = low_list(l, from * JOBS, JOBS);
		assert_int_equal(damf_queue_submit(queue, &list, NULL, &l->err), 0);
	}
}

/* The next n lists in order of submission, all well. */
static void take(struct low *l, struct damf_queue *queue, struct damf_completion *done,
		 unsigned int n)
{
	uint64_t before = queue->taken;
	unsigned int i;

	for (i = 0; i < n; i++) {
		done[i] = (struct damf_completion){ .size = sizeof(*done) };
		assert_int_equal(damf_queue_wait(queue, -1, &done[i], &l->err), 0);
		assert_int_equal(done[i].error, 0);
		assert_int_equal(done[i].index, JOBS);
		assert_int_equal(done[i].seqno, before + i + 1);
	}
}

static void check_regions(struct low *l, unsigned int first)
{
	const uint32_t *words = damf_buffer_map(l->data);
	unsigned int i;

	for (i = 0; i < LOW_DATA_SIZE / 4; i++)
		if (words[i] != first + i / (REGION / 4))
			fail_msg("word %u is %u", i, words[i]);
}

static bool overlap(const struct damf_completion *a, const struct damf_completion *b)
{
	return a->start_ns < b->end_ns && b->start_ns < a->end_ns;
}

/* How many of the n lists ran while the one before did. */
static unsigned int overlaps(const struct damf_completion *done, unsigned int n)
{
	unsigned int i, found = 0;

	for (i = 1; i < n; i++)
		found += overlap(&done[i - 1], &done[i]);
	return found;
}

/* How the machine is used decides when threads meet: in one of many rounds they do. */
static void test_side_by_side(void **state)
{
	struct low *l = *state;
	struct damf_completion done[LISTS];
	struct damf_queue *queue = create(l, true);
	unsigned int round, found = 0;

	for (round = 0; round < ROUNDS && !found; round++) {
		make_lists(l, round * 100);
		submit(l, queue, 0, LISTS);
		take(l, queue, done, LISTS);
		check_regions(l, round * 100);
		found = overlaps(done, LISTS);
	}
	assert_true(found > 0);
	damf_queue_free(queue);
}

/* Lists of a queue that isn't independent may need what those before them wrote. */
static void test_one_by_one(void **state)
{
	struct low *l = *state;
	struct damf_completion done[LISTS];
	struct damf_queue *queue = create(l, false);
	unsigned int round;

	for (round = 0; round < 5; round++) {
		make_lists(l, round * 100);
		submit(l, queue, 0, LISTS);
		take(l, queue, done, LISTS);
		check_regions(l, round * 100);
		assert_int_equal(overlaps(done, LISTS), 0);
	}
	damf_queue_free(queue);
}

/* They get their turn between independent ones, and the engine for themselves. */
static void test_mixed(void **state)
{
	enum { HALF = LISTS / 2 };
	struct low *l = *state;
	struct damf_completion a[HALF], b[HALF];
	struct damf_queue *apart = create(l, true), *alone = create(l, false);
	unsigned int round, i, k;

	for (round = 0; round < 5; round++) {
		make_lists(l, round * 100);
		submit(l, apart, 0, HALF);
		submit(l, alone, HALF, LISTS);
		take(l, alone, b, HALF);
		take(l, apart, a, HALF);
		check_regions(l, round * 100);
		for (i = 0; i < HALF; i++)
			for (k = 0; k < HALF; k++)
				assert_false(overlap(&a[i], &b[k]));
	}
	damf_queue_free(apart);
	damf_queue_free(alone);
}

static void test_free_in_flight(void **state)
{
	enum { HALF = LISTS / 2 };
	struct low *l = *state;
	struct damf_completion done[HALF];
	struct damf_queue *queues[2];
	unsigned int round;

	make_lists(l, 0);
	for (round = 0; round < 40; round++) {
		queues[0] = create(l, true);
		queues[1] = create(l, true);
		submit(l, queues[0], 0, HALF);
		submit(l, queues[1], HALF, LISTS);
		take(l, queues[0], done, round % 4);
		damf_queue_free(queues[0]);
		if (round % 2)		/* the other one's are not hurt */
			take(l, queues[1], done, HALF);
		damf_queue_free(queues[1]);
	}
	/* nor those that come later */
	make_lists(l, 77);
	queues[0] = create(l, true);
	submit(l, queues[0], 0, HALF);
	take(l, queues[0], done, HALF);
	submit(l, queues[0], HALF, LISTS);
	take(l, queues[0], done, HALF);
	check_regions(l, 77);
	damf_queue_free(queues[0]);
}

/* A list that fails tells so in its place, and those beside it are well. */
static void test_bad_list(void **state)
{
	struct low *l = *state;
	struct damf_completion done[LISTS];
	struct damf_queue *queue = create(l, true);
	unsigned int i;

	make_lists(l, 0);
	low_job(l, 5 * JOBS + 3, 999);
	submit(l, queue, 0, LISTS);
	for (i = 0; i < LISTS; i++) {
		done[i] = (struct damf_completion){ .size = sizeof(*done) };
		assert_int_equal(damf_queue_wait(queue, -1, &done[i], &l->err), 0);
		assert_int_equal(done[i].status, i == 5 ? DAMF_ST_BAD_OPCODE : 0);
		assert_int_equal(done[i].index, i == 5 ? 3 : JOBS);
	}
	damf_queue_free(queue);
}

int low_apart_tests(void)
{
#define T(fn) { .name = #fn, .test_func = fn, .setup_func = low_setup, \
		.teardown_func = low_teardown, .initial_state = (void *)(uintptr_t)"cpu" }
	const struct CMUnitTest tests[] = {
		T(test_side_by_side), T(test_one_by_one), T(test_mixed),
		T(test_free_in_flight), T(test_bad_list),
	};
#undef T

	return cmocka_run_group_tests_name("cpu, independent lists", tests, NULL, NULL);
}
