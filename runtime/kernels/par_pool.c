// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "par_pool.h"

/*
 * How long a thread looks for the next call before it sleeps: calls of one
 * plan follow each other within that, and waking takes as long or longer.
 */
#define SPIN_NS		50000
#define SPIN_LOOKS	32	/* between looks at the clock */

struct pool;

struct worker {
	struct pool *pool;
	pthread_t thread;
	unsigned int number;
};

struct pool {
	struct damf_par par;	/* first: what the kernels see */
	bool spins;		/* there is a processor for each thread */
	pthread_mutex_t lock;
	pthread_cond_t begin, end;
	/* written under the lock */
	atomic_ulong round;	/* of calls, and one more to quit */
	atomic_uint busy;	/* threads that are in this round */
	unsigned int asleep;
	bool open;		/* the round has items left, as far as is known */
	bool quit;
	/* of the call at hand */
	void (*fn)(void *arg, size_t item, unsigned int worker);
	void *arg;
	size_t n;
	atomic_size_t next;
	unsigned int started;
	struct worker worker[];
};

static void take_items(struct pool *p, unsigned int number)
{
	size_t item;

	while ((item = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n)
		p->fn(p->arg, item, number);
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static long long clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Whether to look on; *until is 0 at first. */
static bool may_spin(const struct pool *p, long long *until)
{
	if (!p->spins)
		return false;
	if (!*until)
		*until = clock_ns() + SPIN_NS;
	for (int i = 0; i < SPIN_LOOKS; i++)
		relax();
	return clock_ns() < *until;
}

/* Until there is another round than that, which is returned. */
static unsigned long next_round(struct pool *p, unsigned long seen)
{
	long long until = 0;
	unsigned long round;

	while (atomic_load_explicit(&p->round, memory_order_relaxed) == seen &&
	       may_spin(p, &until))
		;
	pthread_mutex_lock(&p->lock);
	p->asleep++;
	while ((round = atomic_load_explicit(&p->round, memory_order_relaxed)) == seen)
		pthread_cond_wait(&p->begin, &p->lock);
	p->asleep--;
	return round;
}

/* A round that is over when a thread comes to it goes without it. */
static void *work(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	unsigned long round = 0;

	for (;;) {
		round = next_round(p, round);	/* the lock is held */
		if (p->quit)
			break;
		if (p->open) {
			atomic_fetch_add_explicit(&p->busy, 1, memory_order_relaxed);
			pthread_mutex_unlock(&p->lock);
			take_items(p, w->number);
			pthread_mutex_lock(&p->lock);
			if (atomic_fetch_sub_explicit(&p->busy, 1, memory_order_relaxed) == 1)
				pthread_cond_signal(&p->end);
		}
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* The lock is held. */
static void begin_round(struct pool *p)
{
	atomic_fetch_add_explicit(&p->round, 1, memory_order_relaxed);
	if (p->asleep)
		pthread_cond_broadcast(&p->begin);
}

static void end_round(struct pool *p)
{
	long long until = 0;

	pthread_mutex_lock(&p->lock);
	p->open = false;
	pthread_mutex_unlock(&p->lock);
	while (atomic_load_explicit(&p->busy, memory_order_relaxed) && may_spin(p, &until))
		;
	pthread_mutex_lock(&p->lock);
	while (atomic_load_explicit(&p->busy, memory_order_relaxed))
		pthread_cond_wait(&p->end, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

static void pool_run(struct damf_par *par,
		     void (*fn)(void *arg, size_t item, unsigned int worker), void *arg, size_t n)
{
	struct pool *p = (struct pool *)par;

	if (n < 2 || !p->started) {
		for (size_t i = 0; i < n; i++)
			fn(arg, i, 0);
		return;
	}
	pthread_mutex_lock(&p->lock);
	p->fn = fn;
	p->arg = arg;
	p->n = n;
	atomic_store_explicit(&p->next, 0, memory_order_relaxed);
	p->open = true;
	begin_round(p);
	pthread_mutex_unlock(&p->lock);
	take_items(p, 0);
	end_round(p);
}

/* Whether no thread has to make room for another of the pool. */
static bool has_processors(unsigned int threads)
{
	cpu_set_t set;

	return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) >= (int)threads;
}

/* They inherit a mask that leaves signals to the threads of the program. */
static bool start_workers(struct pool *p, unsigned int n)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (p->started < n) {
		struct worker *w = &p->worker[p->started];

		w->pool = p;
		w->number = p->started + 1;
		if (pthread_create(&w->thread, NULL, work, w))
			break;
		p->started++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return p->started == n;
}

struct damf_par *damf_pool_new(unsigned int threads)
{
	struct pool *p;

	if (!threads)
		return NULL;
	p = calloc(1, sizeof(*p) + (threads - 1) * sizeof(p->worker[0]));
	if (!p)
		return NULL;
	p->par.threads = threads;
	p->par.run = pool_run;
	p->spins = has_processors(threads);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->begin, NULL);
	pthread_cond_init(&p->end, NULL);
	if (start_workers(p, threads - 1))
		return &p->par;
	damf_pool_free(&p->par);
	return NULL;
}

void damf_pool_free(struct damf_par *par)
{
	struct pool *p = (struct pool *)par;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->quit = true;
	begin_round(p);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->started; i++)
		pthread_join(p->worker[i].thread, NULL);
	pthread_cond_destroy(&p->end);
	pthread_cond_destroy(&p->begin);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
