// SPDX-License-Identifier: MIT
/*
 * What kernels count is what the definition does, counted operation by
 * operation and element by element, with scratchpads of all sizes; and no bit
 * of a result depends on the scratchpad.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "par_pool.h"
#include "tally.h"

static struct damf_par *pool;

static void run(const struct problem *p, struct damf_counts *counts)
{
	_Atomic uint64_t progress = 0;
	struct damf_exec ex = {
		.isa = damf_isa_by_name("generic"), .par = pool, .counts = counts,
		.progress = &progress,
	};
	size_t size = p->scratch(ex.par, p);

	ex.scratch = aligned_alloc(64, (size + 64) & ~(size_t)63);
	ex.scratch_size = size;
	assert_non_null(ex.scratch);
	problem_clear(p);
	assert_int_equal(p->run(&ex, p), 0);
	free(ex.scratch);
}

static void compare(const struct problem *p, const struct damf_counts *got, size_t room)
{
	static const char *const names[] = {
		"static_macs", "dynamic_macs", "shift_adds", "exps", "divs", "read_weights",
		"read_activations", "read_intermediates", "write_activations",
		"write_intermediates", "int8_macs", "spills",
	};
	const uint64_t *a = (const uint64_t *)got, *b = (const uint64_t *)&tally;

	for (size_t i = 0; i < sizeof(*got) / sizeof(*a); i++) {
		if (a[i] != b[i])
			fail_msg("%s, scratchpad %zu: %s is %llu, done were %llu", p->name, room,
				 names[i], (unsigned long long)a[i], (unsigned long long)b[i]);
	}
}

static void *copy_output(const struct problem *p)
{
	size_t size = p->rows * p->ldy * sizeof(float);
	void *copy = malloc(size + 1);

	assert_non_null(copy);
	return memcpy(copy, p->y, size);
}

/* Not-a-number may be any. */
static void same_output(const struct problem *p, const float *want)
{
	for (size_t i = 0; i < p->rows * p->ldy; i++) {
		if (memcmp(&p->y[i], &want[i], sizeof(float)) && (p->y[i] == p->y[i] ||
								  want[i] == want[i]))
			fail_msg("%s: element %zu is %a, must be %a", p->name, i, p->y[i], want[i]);
	}
}

static void check(struct problem *p, size_t room, const float *want)
{
	struct damf_counts counts = { 0 };

	if (p->scratchpad)
		*p->scratchpad = room;
	run(p, &counts);
	same_output(p, want);
	problem_clear(p);
	memset(&tally, 0, sizeof(tally));
	p->tally(p);
	same_output(p, want);
	compare(p, &counts, room);
}

/* All kinds of jobs and weights, each with one of the scratchpads. */
static void jobs(void **state)
{
	/* some rows at once; the default; all that there is; rows one by one */
	static const size_t rooms[] = { 20000, 0, 1 << 30, 64 };
	struct problem p;

	(void)state;
	for (size_t n = 0; problem_make(&p, n); n++) {
		float *want;

		if (p.rows > 500 && n % 4) {	/* long ones with weights in f32 alone */
			problem_free(&p);
			continue;
		}
		run(&p, NULL);
		want = copy_output(&p);
		check(&p, rooms[(n + n / 4) % 4], want);
		free(want);
		problem_free(&p);
	}
}

/* Where groups end: a scratchpad a little larger takes in one sequence more. */
static void groups(void **state)
{
	static const int32_t offsets[] = { 0, 3, 3, 9, 10, 14, 21, 22, 27, 31, 31, 33, 40 };
	const struct damf_k_head heads[] = {
		{ .mode = DAMF_K_MHSA, .d_qk = 3, .d_v = 4, .scale = 0.5f },
		{ .mode = DAMF_K_SOFTFOLD, .d_v = 3, .v_col = 4, .rank = 1, .q_col = 1,
		  .coef = { 1e-3f }, .flags = DAMF_K_SINKS },
		{ .mode = DAMF_K_FOLD, .d_v = 2, .v_col = 7, .rank = 2, .q_col = 1, .order = 1,
		  .coef = { 1, 1 }, .flags = DAMF_K_BAND, .band = { 1, 2 } },
		{ .mode = DAMF_K_FOLD, .d_v = 1, .v_col = 9, .rank = 1, .q_col = 2, .order = 3,
		  .coef = { 1, 1, 0.5f, 0.1f } },
	};
	const struct attention_layout l = {
		.name = "groups", .width = 9, .heads = 4, .out = 11, .nqk = 3, .nv = 10, .npq = 3,
	};
	struct problem p;
	float *want;

	(void)state;
	problem_heads(&p, heads, &l, offsets, sizeof(offsets) / sizeof(offsets[0]) - 1);
	run(&p, NULL);
	want = copy_output(&p);
	for (size_t room = 1000; room < 40000; room += 156)
		check(&p, room, want);
	free(want);
	problem_free(&p);
}

static int make_pool(void **state)
{
	(void)state;
	pool = damf_pool_new(2);
	return pool ? 0 : -1;
}

static int free_pool(void **state)
{
	(void)state;
	damf_pool_free(pool);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(jobs), cmocka_unit_test(groups) };

	return cmocka_run_group_tests_name("counts", tests, make_pool, free_pool);
}
