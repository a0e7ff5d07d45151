// SPDX-License-Identifier: MIT
/*
 * Every kernel on every instruction set and 1 to 3 threads, against the
 * definition in scalar C, to the bit.
 */
#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "par_pool.h"

#define GUARD	256	/* bytes behind the scratch */

static const char *const isas[] = { "generic", "avx2", "avx512", "neon" };
#define ISAS (sizeof(isas) / sizeof(isas[0]))

static struct damf_par *pools[4];

/* Runs a problem with scratch of just the size that it asks for. */
static int run_with(const struct problem *p, const char *isa, unsigned int threads,
		    struct damf_counts *counts, atomic_uint *stop)
{
	_Atomic uint64_t progress = 0;
	struct damf_exec ex = {
		.isa = damf_isa_by_name(isa), .par = pools[threads], .counts = counts,
		.stop = stop, .progress = &progress,
	};
	size_t size = p->scratch(ex.par, p), room = (size + GUARD + 63) & ~(size_t)63;
	unsigned char *scratch = aligned_alloc(64, room);
	int rc;

	assert_non_null(scratch);
	memset(scratch, 0xff, room);	/* not a number, wherever it is read unwritten */
	ex.scratch = scratch;
	ex.scratch_size = size;
	problem_clear(p);
	rc = p->run(&ex, p);
	for (size_t i = size; i < room; i++)
		assert_int_equal(scratch[i], 0xff);
	free(scratch);
	if (!rc && p->rows)
		assert_true(progress > 0);
	return rc;
}

static void check_output(const struct problem *p, const float *want, const char *isa,
			 unsigned int threads)
{
	for (size_t r = 0; r < p->rows; r++) {
		for (size_t i = 0; i < p->ldy; i++) {
			const float *got = &p->y[r * p->ldy + i];
			const float *w = &want[r * p->ldy + i];

			if (!memcmp(got, w, sizeof(*got)))
				continue;
			if (i >= p->cols || !isnan(*got) || !isnan(*w))
				fail_msg("%s, %s, %u threads: [%zu][%zu] is %a, must be %a",
					 p->name, isa, threads, r, i, *got, *w);
		}
	}
}

static void check_counts(const struct problem *p, const struct damf_counts *got)
{
	const uint64_t *a = (const uint64_t *)got, *b = (const uint64_t *)&p->counts;

	for (size_t i = 0; i < sizeof(*got) / sizeof(*a); i++) {
		if (a[i] != b[i])
			fail_msg("%s: counter %zu is %llu, must be %llu", p->name, i,
				 (unsigned long long)a[i], (unsigned long long)b[i]);
	}
}

static float *output_copy(const struct problem *p)
{
	size_t size = p->rows * p->ldy * sizeof(float);
	float *copy = malloc(size + !size);

	assert_non_null(copy);
	return memcpy(copy, p->y, size);
}

static void by_definition(void **state)
{
	struct problem p;

	(void)state;
	for (size_t n = 0; problem_make(&p, n); n++) {
		float *want;

		problem_clear(&p);
		p.define(&p);
		want = output_copy(&p);
		for (size_t i = 0; i < ISAS; i++) {
			for (unsigned int threads = 1; threads <= 3; threads++) {
				struct damf_counts counts = { 0 };

				if (!damf_isa_by_name(isas[i]))
					continue;
				assert_int_equal(run_with(&p, isas[i], threads, &counts, NULL), 0);
				check_output(&p, want, isas[i], threads);
				check_counts(&p, &counts);
			}
		}
		free(want);
		problem_free(&p);
	}
}

/* A caller that rounds towards zero changes nothing, and gets its rounding back. */
static void any_environment(void **state)
{
	struct problem p;

	(void)state;
	for (size_t n = 0; problem_make(&p, n); n++) {
		float *want;

		if (p.rows > 500) {
			problem_free(&p);
			continue;
		}
		assert_int_equal(run_with(&p, "generic", 1, NULL, NULL), 0);
		want = output_copy(&p);
		for (size_t i = 0; i < ISAS; i++) {
			if (!damf_isa_by_name(isas[i]))
				continue;
			fesetround(FE_TOWARDZERO);
			assert_int_equal(run_with(&p, isas[i], 2, NULL, NULL), 0);
			assert_int_equal(fegetround(), FE_TOWARDZERO);
			fesetround(FE_TONEAREST);
			check_output(&p, want, isas[i], 2);
		}
		free(want);
		problem_free(&p);
	}
}

static void stop_is_obeyed(void **state)
{
	atomic_uint stop = 1;
	struct problem p;

	(void)state;
	for (size_t n = 0; problem_make(&p, n); n++) {
		struct damf_counts counts = { 0 };

		/* an empty batch may be done before the flag is looked at */
		if (p.rows && p.x_elems)
			assert_int_equal(run_with(&p, "generic", 2, &counts, &stop), -ECANCELED);
		for (size_t i = 0; i < p.rows * p.ldy; i++)
			assert_int_equal(((uint32_t *)p.y)[i], CANARY);
		problem_free(&p);
	}
}

/* A sequence alone, and behind others of which one has a NaN: the same bits. */
static void batch_is_invisible(void **state)
{
	static const int32_t offsets[] = { 0, 5, 5, 42, 43, 80 }, alone[] = { 0, 37 };
	static const struct attention_shape shapes[] = {
		{ ALL_MHSA, 40, 3, 9, 14, 35, true }, { ALL_FOLD, 40, 3, 9, 14, 35, true },
		{ MIXED, 40, 5, 9, 14, 35, true },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct problem p, one;
		float *want, *got;

		problem_attention(&p, &shapes[i], offsets, 5);
		one = p;
		one.a.attention.offsets = alone;
		one.a.attention.seqs = 1;
		one.a.attention.x += 5 * p.a.attention.ldx;
		one.rows = 37;
		p.x[3] = NAN;
		p.x[70 * p.a.attention.ldx] = INFINITY;
		assert_int_equal(run_with(&p, "generic", 2, NULL, NULL), 0);
		for (size_t j = 0; j < p.cols; j++)
			assert_true(isnan(p.y[j]) && isnan(p.y[4 * p.ldy + j]));
		want = output_copy(&p);
		for (size_t k = 0; k < ISAS; k++) {
			if (!damf_isa_by_name(isas[k]))
				continue;
			assert_int_equal(run_with(&one, isas[k], 1, NULL, NULL), 0);
			got = output_copy(&one);
			assert_memory_equal(got, want + 5 * p.ldy, 37 * p.ldy * sizeof(*got));
			free(got);
		}
		free(want);
		problem_free(&p);
	}
}

/* Numbers of all magnitudes, where sums cancel and results are subnormal. */
static void wild_numbers(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		struct problem p;
		float *want;

		problem_linear(&p, 3, 29, 37, round % 3, true, round & 1);
		for (size_t i = 0; i < p.x_elems; i++) {
			/* exponents of a narrow range, at any place */
			uint32_t base = round * 12 + 1, bits = random_u32();

			bits = (bits & 0x807fffff) | (base + bits % 11) << 23;
			memcpy(&p.x[i], &bits, sizeof(bits));
		}
		problem_clear(&p);
		p.define(&p);
		want = output_copy(&p);
		for (size_t i = 0; i < ISAS; i++) {
			if (!damf_isa_by_name(isas[i]))
				continue;
			assert_int_equal(run_with(&p, isas[i], 1, NULL, NULL), 0);
			check_output(&p, want, isas[i], 1);
		}
		free(want);
		problem_free(&p);
	}
}

static int make_pools(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < 4; i++)
		pools[i] = i == 1 ? NULL : damf_pool_new(i);
	return pools[2] && pools[3] ? 0 : -1;
}

static int free_pools(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < 4; i++)
		damf_pool_free(pools[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_definition), cmocka_unit_test(any_environment),
		cmocka_unit_test(stop_is_obeyed), cmocka_unit_test(batch_is_invisible),
		cmocka_unit_test(wild_numbers),
	};

	return cmocka_run_group_tests_name("kernels", tests, make_pools, free_pools);
}
