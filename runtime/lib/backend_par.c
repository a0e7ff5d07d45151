// SPDX-License-Identifier: MIT
/*
 * How many threads an engine gets. They are a pool of its own and not those of
 * OpenMP, which spin while they wait: where other processes want the same
 * CPUs, that made a batch twelve times slower.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend_par.h"
#include "error.h"

#define MAX_THREADS 512u

/* The first number of OMP_NUM_THREADS, which may be a list; 0: it isn't set,
 * or is nothing that OpenMP would take. */
static unsigned int omp_threads(void)
{
	const char *text = getenv("OMP_NUM_THREADS");
	unsigned long n;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || (*end && *end != ',' && *end != ' '))
		return 0;
	return n < MAX_THREADS ? (unsigned int)n : MAX_THREADS;
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
	unsigned int n = omp_threads(), quota;

	if (n)
		return n;
	n = affinity_cpus();
	quota = quota_cpus();
	if (quota && quota < n)
		n = quota;
	if (n > MAX_THREADS)
		n = MAX_THREADS;
	return n ? n : 1;
}

int damf_par_new(struct damf_par **par, unsigned int threads, struct damf_error *err)
{
	if (threads > MAX_THREADS)
		return damf_error_set(err, -EINVAL, "%u threads: at most %u are possible",
				      threads, MAX_THREADS);
	if (!threads)
		threads = default_threads();
	*par = damf_pool_new(threads);
	return *par ? 0 : damf_error_set(err, -EAGAIN, "cannot start %u threads: ask for fewer",
					 threads);
}
