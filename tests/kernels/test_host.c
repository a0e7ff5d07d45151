// SPDX-License-Identifier: MIT
/* What instruction set is taken, and the pool of threads. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cases.h"
#include "par_pool.h"

static void best_is_taken(void **state)
{
	const struct damf_isa *isa;

	(void)state;
	unsetenv("DAMF_ISA");
	isa = damf_isa_get(NULL, 0);
	assert_non_null(isa);
	assert_ptr_equal(isa, damf_isa_by_name(damf_isa_name(isa)));
	assert_non_null(strstr(damf_isa_reason(isa), "ound"));
	setenv("DAMF_ISA", "", 1);
	assert_ptr_equal(damf_isa_get(NULL, 0), isa);
}

static void environment_decides(void **state)
{
	const struct damf_isa *isa;
	char err[200] = "";

	(void)state;
	setenv("DAMF_ISA", "generic", 1);
	isa = damf_isa_get(err, sizeof(err));
	assert_non_null(isa);
	assert_string_equal(damf_isa_name(isa), "generic");
	assert_string_equal(damf_isa_reason(isa), "DAMF_ISA=generic");
	assert_string_equal(err, "");
	setenv("DAMF_ISA", "sse9", 1);
	assert_null(damf_isa_get(err, sizeof(err)));
	assert_non_null(strstr(err, "DAMF_ISA=sse9: no such instruction set; there is generic"));
	assert_null(strchr(err, '\n'));
	assert_null(damf_isa_get(NULL, 0));
#ifdef __x86_64__
	setenv("DAMF_ISA", "neon", 1);
	assert_null(damf_isa_get(err, sizeof(err)));
	assert_non_null(strstr(err, "this machine doesn't run it"));
#endif
	unsetenv("DAMF_ISA");
	assert_null(damf_isa_by_name("sse9"));
}

struct items {
	atomic_uint done[1000];
	unsigned int threads;
	atomic_uint workers;	/* a bit each */
	pthread_t caller;
	atomic_uint of_caller;
};

static void item(void *arg, size_t i, unsigned int worker)
{
	struct items *t = arg;

	atomic_fetch_add(&t->done[i], 1);
	atomic_fetch_or(&t->workers, 1u << worker);
	/* the caller works too, as worker 0 */
	if (pthread_equal(pthread_self(), t->caller))
		atomic_fetch_add(&t->of_caller, worker != 0);
	else
		atomic_fetch_add(&t->of_caller, worker == 0);
}

static void pool_does_all(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 3, 7, 1000 };

	(void)state;
	for (unsigned int threads = 1; threads <= 4; threads++) {
		struct damf_par *par = damf_pool_new(threads);

		assert_non_null(par);
		assert_int_equal(par->threads, threads);
		for (unsigned int round = 0; round < 300; round++) {
			static struct items t;
			size_t n = counts[round % 6];

			memset(&t, 0, sizeof(t));
			t.caller = pthread_self();
			par->run(par, item, &t, n);
			for (size_t i = 0; i < 1000; i++)
				assert_int_equal(t.done[i], i < n);
			assert_true(t.workers < 1u << threads);
			assert_int_equal(t.of_caller, 0);
		}
		damf_pool_free(par);
	}
}

/* Both items are at work at once, or this never ends. */
static void meet(void *arg, size_t i, unsigned int worker)
{
	atomic_uint *there = arg;

	(void)i;
	(void)worker;
	atomic_fetch_add(there, 1);
	while (atomic_load(there) < 2)
		sched_yield();
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Threads look for the next call for a moment only, and are woken after that. */
static void pool_sleeps(void **state)
{
	static const struct timespec idle = { .tv_nsec = 200000000 };
	struct damf_par *par = damf_pool_new(2);

	(void)state;
	assert_non_null(par);
	for (int i = 0; i < 3; i++) {
		atomic_uint there = 0;
		double before;

		par->run(par, meet, &there, 2);
		before = cpu_seconds();
		nanosleep(&idle, NULL);
		assert_true(cpu_seconds() - before < 0.05);
	}
	damf_pool_free(par);
}

static void pool_of_nothing(void **state)
{
	(void)state;
	assert_null(damf_pool_new(0));
	damf_pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(best_is_taken), cmocka_unit_test(environment_decides),
		cmocka_unit_test(pool_does_all), cmocka_unit_test(pool_sleeps),
		cmocka_unit_test(pool_of_nothing),
	};

	return cmocka_run_group_tests_name("kernels: host", tests, NULL, NULL);
}
