// SPDX-License-Identifier: MIT
/*
 * Which queue is next: the highest priority that has work, and in it each
 * queue in turn, a job at a time. A list that another queue's job came
 * between goes on where it was.
 */
#include "device.h"

static unsigned int priority_of(const struct damf_core *core, const struct damf_ioq *q)
{
	return core->regs.features & DAMF_FEATURE_PRIORITY ? q->priority : 0;
}

static bool has_work(const struct damf_ioq *q)
{
	return q && q->state == DAMF_QUEUE_LIVE && (q->active || q->ring.poll);
}

static struct damf_ioq *next_of(struct damf_core *core, unsigned int priority)
{
	unsigned int n = core->cfg.max_queues, i, id = core->turn[priority];

	for (i = 0; i < n; i++) {
		id = id % n + 1;
		if (has_work(core->queues[id]) &&
		    priority_of(core, core->queues[id]) == priority) {
			core->turn[priority] = id;
			return core->queues[id];
		}
	}
	return NULL;
}

static struct damf_ioq *pick(struct damf_core *core)
{
	unsigned int priority = DAMF_PRIORITIES;
	struct damf_ioq *q = NULL;

	while (!q && priority--)
		q = next_of(core, priority);
	return q;
}

bool damf_engine_in(const struct damf_core *core, const struct damf_context *ctx)
{
	return core->run.busy && core->run.q && core->run.q->ctx == ctx;
}

void damf_signal_all(struct damf_core *core)
{
	unsigned int id;

	if (!core->ready)
		return;
	if (damf_ring_signal(core, &core->admin)) {
		damf_core_fatal(core, DAMF_ST_DMA_ERROR, "the admin rings can't be read");
		return;
	}
	for (id = 1; id <= core->cfg.max_queues; id++) {
		struct damf_ioq *q = core->queues[id];

		if (q && q->state != DAMF_QUEUE_ERROR && damf_ring_signal(core, &q->ring))
			damf_queue_error(core, q, "its indices can't be read");
	}
}

/* Serves the rings until there is a job, or nothing: -1, or too much: 0. */
static int find_job(struct damf_core *core)
{
	unsigned int steps;

	for (steps = 0; steps < DAMF_STEPS && core->ready; steps++) {
		struct damf_ioq *q;

		if (damf_admin_step(core))
			continue;
		q = pick(core);
		if (!q)
			return -1;
		if (damf_queue_step(core, q))
			return 1;
	}
	return core->ready ? 0 : -1;
}

bool damf_core_next(struct damf_core *core)
{
	int found;

	if (core->run.busy || !core->ready)
		return false;
	core->run.q = NULL;
	found = find_job(core);
	damf_signal_all(core);
	/* A fatal error while signalling leaves nothing to run. */
	if (found < 0 || !core->ready) {
		damf_arena_trim(&core->arena, DAMF_IDLE_WORK);
		return false;
	}
	core->run.job = found;
	core->run.busy = true;
	atomic_store(&core->stop, 0);
	return true;
}

void damf_core_run(struct damf_core *core)
{
	if (core->run.job)
		damf_work_run(&core->work);
}

void damf_core_commit(struct damf_core *core)
{
	struct damf_run *run = &core->run;

	run->busy = false;
	if (run->orphan) {
		run->orphan = false;
		if (core->enable_pending)
			damf_core_enable(core);
		return;
	}
	if (run->q)
		damf_queue_commit(core, run->q);
	run->q = NULL;
	damf_admin_serve(core);
	damf_signal_all(core);
}
