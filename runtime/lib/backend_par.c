// SPDX-License-Identifier: MIT
/* Threads for the kernels, by OpenMP. */
#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend_par.h"
#include "error.h"

#define MAX_THREADS 512u

/*
 * One call of run(). The counter and the gate also order memory: what the
 * caller wrote before is seen by whoever passes the gate, and what the workers
 * wrote is seen by the caller. (OpenMP promises as much; this says it in C11,
 * which thread checkers understand.)
 */
struct par_call {
	void (*fn)(void *arg, size_t item, unsigned int worker);
	void *arg;
	size_t n;
	atomic_size_t next;
	atomic_uint ended;
};

/* Calls begun, by any thread. Not in the call, which lies where the caller's
 * stack had something else before: to look there is to have passed already. */
static atomic_uint gate;

static __attribute__((noinline)) void par_work(struct par_call *call, unsigned int worker)
{
	size_t item;

	atomic_load_explicit(&gate, memory_order_acquire);
	while ((item = atomic_fetch_add_explicit(&call->next, 1, memory_order_acq_rel)) < call->n)
		call->fn(call->arg, item, worker);
	atomic_fetch_add_explicit(&call->ended, 1, memory_order_release);
}

/* Not watched by thread checkers: the pointer passes through OpenMP's own
 * start of a region, whose ordering they don't see. */
static __attribute__((no_sanitize("thread"), noinline))
void par_region(struct par_call *call, int threads)
{
#pragma omp parallel num_threads(threads) default(none) firstprivate(call)
	par_work(call, (unsigned int)omp_get_thread_num());
}

static void par_run(struct damf_par *par, void (*fn)(void *arg, size_t item, unsigned int worker),
		    void *arg, size_t n)
{
	struct par_call call;
	size_t threads = par->threads < n ? par->threads : n;
	size_t item;

	if (threads <= 1) {
		for (item = 0; item < n; item++)
			fn(arg, item, 0);
		return;
	}
	call.fn = fn;
	call.arg = arg;
	call.n = n;
	atomic_store_explicit(&call.ended, 0, memory_order_relaxed);
	atomic_store_explicit(&call.next, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&gate, 1, memory_order_release);
	par_region(&call, (int)threads);
	atomic_load_explicit(&call.ended, memory_order_acquire);
}

/* CPUs that the cgroup's quota amounts to, rounded up; 0: no quota. */
static unsigned int quota_cpus(void)
{
	unsigned long long quota, period;
	unsigned int n = 0;
	FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%llu %llu", &quota, &period) == 2 && period)
		n = (unsigned int)((quota + period - 1) / period);
	fclose(f);
	return n;
}

static unsigned int affinity_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	return (unsigned int)CPU_COUNT(&set);
}

static unsigned int default_threads(void)
{
	unsigned int n = (unsigned int)omp_get_max_threads();
	unsigned int cpus = affinity_cpus(), quota = quota_cpus();

	if (omp_in_parallel())
		return 1;
	if (!getenv("OMP_NUM_THREADS")) {
		if (cpus && cpus < n)
			n = cpus;
		if (quota && quota < n)
			n = quota;
	}
	if (n > MAX_THREADS)
		n = MAX_THREADS;
	return n ? n : 1;
}

int damf_par_init(struct damf_par *par, unsigned int threads, struct damf_error *err)
{
	if (threads > MAX_THREADS)
		return damf_error_set(err, -EINVAL, "%u threads: at most %u are possible",
				      threads, MAX_THREADS);
	*par = (struct damf_par){
		.threads = threads ? threads : default_threads(),
		.run = par_run,
	};
	return 0;
}
