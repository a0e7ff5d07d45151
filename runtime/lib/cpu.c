// SPDX-License-Identifier: MIT
/*
 * Backend "cpu": the engine of the device's core on buffers of this process.
 * A thread of the device's has them run, so that a submission never waits.
 * Queues are taken by priority, then in turn. A list runs on all threads; but
 * those of a queue whose lists are independent run side by side, one a thread,
 * while there are as many. Work of others for the threads comes before the
 * next list.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend_core.h"
#include "backend_par.h"
#include "backend_ranges.h"
#include "damf_hw.h"

/* The first page is left out, so that address 0 is never valid. */
#define VA_BEGIN DAMF_LARGE_SIZE

struct chore {
	struct chore *next;
	damf_work_fn *fn;
	void *arg;
	size_t n, begun, ended;
};

struct engine {
	struct damf_direct *direct;
	struct cpu_queue *queue;	/* its list is on this engine */
};

struct cpu_device {
	struct damf_par *par;
	struct damf_core_config cfg;
	struct engine *engines;		/* [1 + threads]: of all threads, of each alone */
	pthread_t worker;

	pthread_mutex_t lock;		/* guards what follows */
	pthread_cond_t work;		/* something to do, nothing is active, or quit */
	pthread_cond_t idle;		/* a list has ended, or a chore */
	struct damf_ranges space;
	struct cpu_queue *queues;	/* in turn */
	struct chore *chores, **chores_end;	/* with items that nobody has begun */
	unsigned int active;		/* lists and items that run now */
	bool apart;			/* each thread takes what is next */
	bool quit;
	uint64_t submits, completions;
};

struct cpu_queue {
	struct damf_queue *base;
	struct cpu_queue *next;
	uint64_t submitted, begun;	/* seqnos */
	unsigned int running;		/* lists */
};

static void *cpu_translate(void *opaque, uint64_t va, uint64_t len, bool write)
{
	struct cpu_device *cpu = opaque;
	void *host;

	pthread_mutex_lock(&cpu->lock);
	host = damf_ranges_translate(&cpu->space, va, len, write);
	pthread_mutex_unlock(&cpu->lock);
	return host;
}

/* The next queue to serve, NULL: none; cpu->lock is held. */
static struct cpu_queue **next_queue(struct cpu_device *cpu)
{
	struct cpu_queue **at, **best = NULL;

	for (at = &cpu->queues; *at; at = &(*at)->next)
		if ((*at)->begun < (*at)->submitted &&
		    (!best || (*at)->base->priority > (*best)->base->priority))
			best = at;
	return best;
}

/* The same, moved to the end of its turn. */
static struct cpu_queue *pick_queue(struct cpu_device *cpu)
{
	struct cpu_queue **at, **best = next_queue(cpu), *q;

	if (!best)
		return NULL;
	q = *best;
	*best = q->next;
	for (at = best; *at; at = &(*at)->next)
		;
	*at = q;
	q->next = NULL;
	return q;
}

/* Whether the next queue's lists, with what runs already, give each thread
 * one; cpu->lock is held. */
static bool enough_lists(struct cpu_device *cpu)
{
	struct cpu_queue **next = next_queue(cpu);

	return next && (*next)->base->independent &&
	       (*next)->submitted - (*next)->begun + cpu->active >= cpu->par->threads;
}

/* Called and left with cpu->lock held. */
static void run_list(struct cpu_device *cpu, struct engine *engine, struct cpu_queue *q)
{
	const struct damf_list *l = &damf_queue_slot(q->base, ++q->begun)->list;
	struct damf_list_result result = { 0 };
	struct damf_completion c = { 0 };
	uint64_t seqno = q->begun;

	engine->queue = q;
	q->running++;
	pthread_mutex_unlock(&cpu->lock);
	c.start_ns = damf_now_ns();
	damf_direct_run(engine->direct, l->list, l->count, l->first, l->counters, &result);
	c.end_ns = damf_now_ns();
	c.error = damf_status_errno(result.status);
	c.status = result.status;
	c.field = result.field;
	c.index = result.index;
	c.fault_addr = result.fault_addr;
	c.cycles = result.cycles;
	pthread_mutex_lock(&cpu->lock);
	cpu->completions++;
	damf_queue_complete(q->base, seqno, &c);
	q->running--;
	engine->queue = NULL;
	pthread_cond_broadcast(&cpu->idle);
}

/* The next item of the first chore, which is its caller's; called and left
 * with cpu->lock held. */
static void run_item(struct cpu_device *cpu, unsigned int number)
{
	struct chore *c = cpu->chores;
	size_t item = c->begun++;

	if (c->begun == c->n)
		cpu->chores = c->next;
	if (!cpu->chores)
		cpu->chores_end = &cpu->chores;
	pthread_mutex_unlock(&cpu->lock);
	c->fn(c->arg, item, number);
	pthread_mutex_lock(&cpu->lock);
	if (++c->ended == c->n)
		pthread_cond_broadcast(&cpu->idle);
}

/* What one thread does while they work apart; cpu->lock is held. False: there
 * is nothing for it now. */
static bool run_next(struct cpu_device *cpu, unsigned int number)
{
	struct cpu_queue *q;

	if (!cpu->chores && !enough_lists(cpu))
		return false;
	cpu->active++;
	if (cpu->chores) {
		run_item(cpu, number);
	} else {
		q = pick_queue(cpu);
		run_list(cpu, &cpu->engines[1 + number], q);
	}
	if (!--cpu->active)
		pthread_cond_broadcast(&cpu->work);
	return true;
}

/*
 * One thread's part, until none has anything to do. They end it together: who
 * went earlier would not be there for the next list.
 */
static void work_apart(void *arg, size_t item, unsigned int number)
{
	struct cpu_device *cpu = arg;

	(void)item;
	pthread_mutex_lock(&cpu->lock);
	while (cpu->apart) {
		if (run_next(cpu, number))
			continue;
		if (cpu->active) {
			pthread_cond_wait(&cpu->work, &cpu->lock);
		} else {
			cpu->apart = false;
			pthread_cond_broadcast(&cpu->work);
		}
	}
	pthread_mutex_unlock(&cpu->lock);
}

static void *worker(void *arg)
{
	struct cpu_device *cpu = arg;
	struct cpu_queue *q;

	pthread_mutex_lock(&cpu->lock);
	while (!cpu->quit) {
		if (cpu->chores || enough_lists(cpu)) {
			cpu->apart = true;
			pthread_mutex_unlock(&cpu->lock);
			cpu->par->run(cpu->par, work_apart, cpu, cpu->par->threads);
			pthread_mutex_lock(&cpu->lock);
		} else if ((q = pick_queue(cpu))) {
			run_list(cpu, &cpu->engines[0], q);
		} else {
			pthread_cond_wait(&cpu->work, &cpu->lock);
		}
	}
	pthread_mutex_unlock(&cpu->lock);
	return NULL;
}

static void cpu_release(struct cpu_device *cpu)
{
	unsigned int i;

	for (i = 0; cpu->engines && i <= cpu->par->threads; i++)
		damf_direct_free(cpu->engines[i].direct);
	free(cpu->engines);
	damf_pool_free(cpu->par);
	damf_ranges_fini(&cpu->space);
	pthread_cond_destroy(&cpu->idle);
	pthread_cond_destroy(&cpu->work);
	pthread_mutex_destroy(&cpu->lock);
	free(cpu);
}

static int start_engines(struct cpu_device *cpu, struct damf_error *err)
{
	static const struct damf_direct_ops ops = { .translate = cpu_translate };
	struct damf_core_config cfg = cpu->cfg;
	char text[200] = "no memory";
	unsigned int i;

	cpu->engines = calloc(1 + cpu->par->threads, sizeof(*cpu->engines));
	for (i = 0; cpu->engines && i <= cpu->par->threads; i++) {
		cfg.par = i ? NULL : cpu->par;
		cpu->engines[i].direct = damf_direct_new(&cfg, &ops, cpu, text, sizeof(text));
		if (!cpu->engines[i].direct)
			break;
	}
	if (i <= cpu->par->threads)
		return damf_error_set(err, -ENOMEM, "CPU engine: %s", text);
	return 0;
}

static int cpu_start(struct cpu_device *cpu, struct damf_error *err)
{
	int r;

	damf_core_config_init(&cpu->cfg);
	cpu->cfg.par = cpu->par;
	cpu->cfg.local = NULL;
	cpu->cfg.local_size = 0;
	r = start_engines(cpu, err);
	if (r)
		return r;
	r = damf_thread_start(&cpu->worker, worker, cpu);
	if (r)
		return damf_error_set(err, r, "no thread for the CPU engine: %s", strerror(-r));
	return 0;
}

static int cpu_open(struct damf_device *dev, const char *path,
		    const struct damf_device_options *opt, struct damf_error *err)
{
	struct cpu_device *cpu = calloc(1, sizeof(*cpu));
	int r;

	(void)path;
	if (!cpu)
		return damf_error_set(err, -ENOMEM, "no memory for a device");
	pthread_mutex_init(&cpu->lock, NULL);
	pthread_cond_init(&cpu->work, NULL);
	pthread_cond_init(&cpu->idle, NULL);
	cpu->chores_end = &cpu->chores;
	damf_ranges_init(&cpu->space, VA_BEGIN, DAMF_VA_END, DAMF_PAGE_SIZE);
	r = damf_par_new(&cpu->par, opt->threads, err);
	if (!r)
		r = damf_core_reason(dev, "the CPU was asked for", cpu->par->threads, err);
	if (!r)
		r = cpu_start(cpu, err);
	if (r) {
		cpu_release(cpu);
		return r;
	}
	dev->priv = cpu;
	return 0;
}

static void cpu_close(struct damf_device *dev)
{
	struct cpu_device *cpu = dev->priv;

	pthread_mutex_lock(&cpu->lock);
	cpu->quit = true;
	pthread_cond_signal(&cpu->work);
	pthread_mutex_unlock(&cpu->lock);
	pthread_join(cpu->worker, NULL);
	cpu_release(cpu);
}

static int cpu_info(struct damf_device *dev, struct damf_device_info *info,
		    struct damf_error *err)
{
	struct cpu_device *cpu = dev->priv;

	snprintf(info->submit, sizeof(info->submit), "direct");
	return damf_core_probe_info(&cpu->cfg, info, err);
}

static int cpu_stats(struct damf_device *dev, struct damf_device_stats *stats,
		     struct damf_error *err)
{
	struct cpu_device *cpu = dev->priv;

	(void)err;
	pthread_mutex_lock(&cpu->lock);
	stats->submits_direct = cpu->submits;
	stats->completions = cpu->completions;
	pthread_mutex_unlock(&cpu->lock);
	return 0;
}

/* Gives the memory at buf->map addresses. */
static int cpu_buffer_import(struct damf_buffer *buf, struct damf_error *err)
{
	struct cpu_device *cpu = buf->dev->priv;
	uint64_t align = buf->size >= DAMF_LARGE_SIZE ? DAMF_LARGE_SIZE : DAMF_PAGE_SIZE;
	int r;

	pthread_mutex_lock(&cpu->lock);
	r = damf_ranges_add(&cpu->space, buf->size, align, buf->map,
			   buf->flags & DAMF_BUFFER_READONLY, &buf->va);
	pthread_mutex_unlock(&cpu->lock);
	if (r)
		return damf_error_set(err, r, "no addresses left for a buffer of %" PRIu64 " bytes",
				      buf->size);
	return 0;
}

static int cpu_buffer_create(struct damf_buffer *buf, struct damf_error *err)
{
	int r;

	buf->map = damf_pages_alloc(buf->size);
	if (!buf->map)
		return damf_error_set(err, -ENOMEM, "no memory for a buffer of %" PRIu64 " bytes",
				      buf->size);
	r = cpu_buffer_import(buf, err);
	if (r)
		damf_pages_free(buf->map, buf->size);
	return r;
}

static void cpu_buffer_destroy(struct damf_buffer *buf)
{
	struct cpu_device *cpu = buf->dev->priv;

	pthread_mutex_lock(&cpu->lock);
	damf_ranges_remove(&cpu->space, buf->va);
	pthread_mutex_unlock(&cpu->lock);
	if (!buf->imported)
		damf_pages_free(buf->map, buf->size);
}

static int cpu_queue_create(struct damf_queue *queue, struct damf_error *err)
{
	struct cpu_device *cpu = queue->dev->priv;
	struct cpu_queue *q = calloc(1, sizeof(*q));

	if (!q)
		return damf_error_set(err, -ENOMEM, "no memory for a queue");
	q->base = queue;
	queue->priv = q;
	pthread_mutex_lock(&cpu->lock);
	q->next = cpu->queues;
	cpu->queues = q;
	pthread_mutex_unlock(&cpu->lock);
	return 0;
}

static void cpu_queue_destroy(struct damf_queue *queue)
{
	struct cpu_device *cpu = queue->dev->priv;
	struct cpu_queue *q = queue->priv, **at;
	unsigned int i;

	pthread_mutex_lock(&cpu->lock);
	for (at = &cpu->queues; *at != q; at = &(*at)->next)
		;
	*at = q->next;
	/* A list that is on an engine is told to give up, and waited for. */
	for (i = 0; i <= cpu->par->threads; i++)
		if (cpu->engines[i].queue == q)
			damf_direct_stop(cpu->engines[i].direct);
	while (q->running)
		pthread_cond_wait(&cpu->idle, &cpu->lock);
	pthread_mutex_unlock(&cpu->lock);
	free(q);
}

static int cpu_submit(struct damf_queue *queue, struct damf_inflight *slot, struct damf_error *err)
{
	struct cpu_device *cpu = queue->dev->priv;
	struct cpu_queue *q = queue->priv;

	(void)err;
	pthread_mutex_lock(&cpu->lock);
	q->submitted = slot->seqno;
	cpu->submits++;
	pthread_cond_broadcast(&cpu->work);
	pthread_mutex_unlock(&cpu->lock);
	return 0;
}

static unsigned int cpu_threads(struct damf_device *dev)
{
	struct cpu_device *cpu = dev->priv;

	return cpu->par->threads;
}

static void cpu_work(struct damf_device *dev, damf_work_fn *fn, void *arg, size_t n)
{
	struct cpu_device *cpu = dev->priv;
	struct chore c = { .fn = fn, .arg = arg, .n = n };

	if (!n)
		return;
	pthread_mutex_lock(&cpu->lock);
	*cpu->chores_end = &c;
	cpu->chores_end = &c.next;
	pthread_cond_broadcast(&cpu->work);
	while (c.ended < n)
		pthread_cond_wait(&cpu->idle, &cpu->lock);
	pthread_mutex_unlock(&cpu->lock);
}

const struct damf_backend damf_backend_cpu = {
	.name = "cpu",
	.open = cpu_open,
	.close = cpu_close,
	.info = cpu_info,
	.stats = cpu_stats,
	.buffer_create = cpu_buffer_create,
	.buffer_destroy = cpu_buffer_destroy,
	.buffer_import = cpu_buffer_import,
	.queue_create = cpu_queue_create,
	.queue_destroy = cpu_queue_destroy,
	.submit = cpu_submit,
	.threads = cpu_threads,
	.work = cpu_work,
};
