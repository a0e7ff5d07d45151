// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "par_pool.h"

struct pool;

struct worker {
	struct pool *pool;
	pthread_t thread;
	unsigned int number;
};

struct pool {
	struct damf_par par;	/* first: what the kernels see */
	pthread_mutex_t lock;
	pthread_cond_t begin, end;
	/* under the lock */
	unsigned long round;	/* of calls */
	unsigned int busy;	/* threads that have not ended this round */
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

static void *work(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->pool;
	unsigned long seen = 0;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (p->round == seen && !p->quit)
			pthread_cond_wait(&p->begin, &p->lock);
		if (p->quit)
			break;
		seen = p->round;
		pthread_mutex_unlock(&p->lock);
		take_items(p, w->number);
		pthread_mutex_lock(&p->lock);
		if (!--p->busy)
			pthread_cond_signal(&p->end);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
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
	p->busy = p->started;
	p->round++;
	pthread_cond_broadcast(&p->begin);
	pthread_mutex_unlock(&p->lock);
	take_items(p, 0);
	pthread_mutex_lock(&p->lock);
	while (p->busy)
		pthread_cond_wait(&p->end, &p->lock);
	pthread_mutex_unlock(&p->lock);
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
	pthread_cond_broadcast(&p->begin);
	pthread_mutex_unlock(&p->lock);
	for (unsigned int i = 0; i < p->started; i++)
		pthread_join(p->worker[i].thread, NULL);
	pthread_cond_destroy(&p->end);
	pthread_cond_destroy(&p->begin);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
