// SPDX-License-Identifier: MIT
/* The device as a whole: creation, enable, reset, fatal errors. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

void damf_core_guest_error(struct damf_core *core, const char *fmt, ...)
{
	char msg[200];
	va_list args;

	if (!core->ops->guest_error)
		return;
	va_start(args, fmt);
	vsnprintf(msg, sizeof(msg), fmt, args);
	va_end(args);
	core->ops->guest_error(core->opaque, msg);
}

void damf_core_irq(struct damf_core *core, unsigned int vector)
{
	core->stat_irqs++;
	core->ops->irq(core->opaque, vector);
}

uint64_t damf_core_features(const struct damf_core *core)
{
	return DAMF_FEATURES | (core->cfg.local_size ? DAMF_FEATURE_LOCAL_MEMORY : 0);
}

/* The job on the engine, if there is one, ends as soon as it can, for nothing. */
static void orphan_run(struct damf_core *core)
{
	if (!core->run.busy)
		return;
	core->run.orphan = true;
	atomic_store(&core->stop, 1);
}

void damf_core_fatal(struct damf_core *core, unsigned int code, const char *why)
{
	damf_core_guest_error(core, "fatal: %s", why);
	core->ready = false;
	core->fatal = true;
	core->fatal_code = code;
	orphan_run(core);
	damf_core_irq(core, 0);
}

/* ---- Enable -------------------------------------------------------------- */

static bool ring_ok(uint64_t addr, uint64_t len)
{
	return addr % 64 == 0 && addr <= UINT64_MAX - len;
}

/* DAMF_ST_OK, or what is wrong with the registers. */
static unsigned int check_regs(const struct damf_core *core)
{
	const struct damf_regs *r = &core->regs;

	if (r->features & ~damf_core_features(core))
		return DAMF_ST_BAD_FIELD;
	if (r->admin_log2 < DAMF_RING_MIN_LOG2)
		return DAMF_ST_BAD_FIELD;
	if (r->admin_log2 > DAMF_RING_MAX_LOG2)
		return DAMF_ST_BAD_LIMIT;
	if (!ring_ok(r->admin_sq, sizeof(struct damf_admin_sqe) << r->admin_log2) ||
	    !ring_ok(r->admin_cq, sizeof(struct damf_cqe) << r->admin_log2) ||
	    !ring_ok(r->admin_shared, sizeof(struct damf_queue_shared)))
		return DAMF_ST_BAD_FIELD;
	return DAMF_ST_OK;
}

void damf_core_enable(struct damf_core *core)
{
	const struct damf_regs *r = &core->regs;
	unsigned int status = check_regs(core);

	core->enable_pending = false;
	if (status) {
		damf_core_fatal(core, status, "enabled with features or admin rings that can't be");
		return;
	}
	core->admin = (struct damf_ring) {
		.sq = r->admin_sq, .cq = r->admin_cq, .shared = r->admin_shared,
		.log2 = r->admin_log2,
	};
	if (damf_ring_init(core, &core->admin)) {
		damf_core_fatal(core, DAMF_ST_DMA_ERROR, "the admin rings can't be written");
		return;
	}
	core->ready = true;
	core->ops->kick(core->opaque);
}

/* ---- Reset --------------------------------------------------------------- */

static void free_objects(struct damf_core *core)
{
	unsigned int id;

	for (id = 1; id <= core->cfg.max_queues; id++)
		if (core->queues[id])
			damf_ioq_free(core, core->queues[id]);
	for (id = 1; id <= core->cfg.max_contexts; id++)
		if (core->contexts[id])
			damf_context_free(core->contexts[id]);
}

void damf_core_reset(struct damf_core *core, bool keep_stats)
{
	orphan_run(core);
	free_objects(core);
	memset(&core->regs, 0, sizeof(core->regs));
	memset(&core->admin, 0, sizeof(core->admin));
	memset(core->turn, 0, sizeof(core->turn));
	core->ready = core->fatal = core->enable_pending = false;
	core->nwaiting = 0;
	core->fatal_code = 0;
	core->resets++;
	if (!keep_stats) {
		core->resets = 0;
		core->stat_doorbells = core->stat_irqs = core->stat_jobs = 0;
	}
	core->run.q = NULL;
	if (!core->run.busy)
		damf_arena_trim(&core->arena, DAMF_IDLE_WORK);
}

bool damf_core_busy(const struct damf_core *core)
{
	return core->run.busy;
}

/* ---- Life ---------------------------------------------------------------- */

static bool alloc_tables(struct damf_core *core)
{
	core->queues = calloc(core->cfg.max_queues + 1, sizeof(*core->queues));
	core->contexts = calloc(core->cfg.max_contexts + 1, sizeof(*core->contexts));
	return core->queues && core->contexts;
}

struct damf_core *damf_core_new(const struct damf_core_config *cfg,
				const struct damf_host_ops *ops, void *opaque,
				char *err, size_t errlen)
{
	struct damf_core *core;

	if (damf_config_check(cfg, err, errlen))
		return NULL;
	core = calloc(1, sizeof(*core));
	if (!core) {
		snprintf(err, errlen, "no memory for the device");
		return NULL;
	}
	core->cfg = *cfg;
	core->ops = ops;
	core->opaque = opaque;
	core->work.stop = &core->stop;
	core->work.progress = &core->progress;
	if (!alloc_tables(core)) {
		snprintf(err, errlen, "no memory for the device");
		damf_core_free(core);
		return NULL;
	}
	if (damf_config_work(&core->cfg, &core->work, &core->arena, err, errlen)) {
		damf_core_free(core);
		return NULL;
	}
	return core;
}

void damf_core_free(struct damf_core *core)
{
	if (!core)
		return;
	if (core->queues && core->contexts)
		free_objects(core);
	free(core->queues);
	free(core->contexts);
	damf_arena_trim(&core->arena, 0);
	free(core);
}
