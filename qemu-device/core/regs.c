// SPDX-License-Identifier: MIT
/* BAR0: registers, then a doorbell page for the admin queue and each queue. */
#include <string.h>

#include "device.h"

#define DB_OFFSET	DAMF_DB_PAGE_SIZE
#define ONES		(~0ull)

uint64_t damf_core_bar_size(const struct damf_core_config *cfg)
{
	uint64_t need = DB_OFFSET + (cfg->max_queues + 1ull) * DAMF_DB_PAGE_SIZE, size = 1;

	while (size < need)
		size <<= 1;
	return size;
}

/* ---- Registers ----------------------------------------------------------- */

static uint32_t active(const struct damf_core *core)
{
	const struct damf_run *run = &core->run;

	if (!run->busy || run->orphan || !run->q)
		return 0;
	return run->q->id << 16 | run->q->ctx->id;
}

static uint32_t ctrl(const struct damf_core *core)
{
	return (core->ready || core->fatal || core->enable_pending ? DAMF_CTRL_ENABLE : 0) |
	       (core->run.orphan ? DAMF_CTRL_RESET : 0);
}

static uint32_t status(const struct damf_core *core)
{
	return (core->ready ? DAMF_STATUS_READY : 0) | (core->fatal ? DAMF_STATUS_FATAL : 0);
}

/* A 32-bit register; false if there is none at this offset. */
static bool read32(struct damf_core *core, uint64_t offset, uint32_t *value)
{
	const struct damf_core_config *cfg = &core->cfg;

	switch (offset) {
#define REG(name, expr) case DAMF_REG_##name: *value = (uint32_t)(expr); return true
	REG(MAGIC, DAMF_MAGIC);
	REG(VERSION, DAMF_HW_VERSION);
	REG(MAX_QUEUES, cfg->max_queues);
	REG(MAX_CONTEXTS, cfg->max_contexts);
	REG(MAX_RING_LOG2, DAMF_RING_MAX_LOG2);
	REG(MAX_JOBS, DAMF_MAX_JOBS);
	REG(MAX_ROWS, DAMF_MAX_ROWS);
	REG(MAX_SEQS, DAMF_MAX_SEQS);
	REG(MAX_WIDTH, DAMF_MAX_WIDTH);
	REG(MAX_HEADS, DAMF_MAX_HEADS);
	REG(MAX_LENGTH, DAMF_MAX_LENGTH);
	REG(NUM_VECTORS, cfg->num_vectors);
	REG(VA_BITS, DAMF_VA_BITS);
	REG(DB_OFFSET, DB_OFFSET);
	REG(MACS_PER_CYCLE, cfg->macs_per_cycle);
	REG(BYTES_PER_CYCLE, cfg->bytes_per_cycle);
	REG(CTRL, ctrl(core));
	REG(STATUS, status(core));
	REG(FATAL, core->fatal_code);
	REG(RESETS, core->resets);
	REG(ADMIN_LOG2, core->regs.admin_log2);
	REG(ACTIVE, active(core));
	REG(PREEMPT_US, 0);
	REG(NUMERICS, DAMF_NUMERICS_VERSION);
	REG(ENERGY_MAC, cfg->energy_mac);
	REG(ENERGY_INT8, cfg->energy_int8);
	REG(ENERGY_SHIFT, cfg->energy_shift);
	REG(ENERGY_EXP, cfg->energy_exp);
	REG(ENERGY_DIV, cfg->energy_div);
	REG(ENERGY_SCRATCH, cfg->energy_scratch);
	REG(ENERGY_MEMORY, cfg->energy_memory);
#undef REG
	default:
		return false;
	}
}

static bool read64(struct damf_core *core, uint64_t offset, uint64_t *value)
{
	switch (offset) {
#define REG(name, expr) case DAMF_REG_##name: *value = (expr); return true
	REG(FEATURES, damf_core_features(core));
	REG(FEATURES_ACCEPTED, core->regs.features);
	REG(OPCODES, DAMF_OPCODES);
	REG(TYPES, DAMF_TYPES);
	REG(MODES, DAMF_MODES);
	REG(LOCAL_SIZE, core->cfg.local_size);
	REG(MAX_TENSOR, DAMF_MAX_TENSOR);
	REG(TIME, core->ops->now_ns(core->opaque));
	REG(CLOCK_HZ, core->cfg.clock_hz);
	REG(SCRATCHPAD, core->cfg.scratchpad);
	REG(ADMIN_SQ, core->regs.admin_sq);
	REG(ADMIN_CQ, core->regs.admin_cq);
	REG(ADMIN_SHARED, core->regs.admin_shared);
	REG(PROGRESS, atomic_load(&core->progress));
	REG(STAT_DOORBELLS, core->stat_doorbells);
	REG(STAT_IRQS, core->stat_irqs);
	REG(STAT_JOBS, core->stat_jobs);
#undef REG
	default:
		return false;
	}
}

static uint64_t *writable64(struct damf_core *core, uint64_t offset)
{
	switch (offset) {
	case DAMF_REG_FEATURES_ACCEPTED:
		return &core->regs.features;
	case DAMF_REG_ADMIN_SQ:
		return &core->regs.admin_sq;
	case DAMF_REG_ADMIN_CQ:
		return &core->regs.admin_cq;
	case DAMF_REG_ADMIN_SHARED:
		return &core->regs.admin_shared;
	default:
		return NULL;
	}
}

static bool enabled(const struct damf_core *core)
{
	return ctrl(core) & DAMF_CTRL_ENABLE;
}

static void write_ctrl(struct damf_core *core, uint32_t value)
{
	/* An enabled device is disabled by resetting it. */
	if ((value & DAMF_CTRL_RESET) || (enabled(core) && !(value & DAMF_CTRL_ENABLE))) {
		damf_core_reset(core, true);
		return;
	}
	if (!(value & DAMF_CTRL_ENABLE) || enabled(core))
		return;
	/* What is left of the time before the reset ends first. */
	if (core->run.busy)
		core->enable_pending = true;
	else
		damf_core_enable(core);
}

/* ---- Doorbell pages ------------------------------------------------------ */

/* The ring of page @page, or NULL if no queue is there. */
static struct damf_ring *ring_of(struct damf_core *core, uint64_t page)
{
	struct damf_ioq *q;

	if (!page)
		return &core->admin;
	q = page <= core->cfg.max_queues ? core->queues[page] : NULL;
	return q ? &q->ring : NULL;
}

/* The queue's job is on the engine. */
static bool on_engine(const struct damf_core *core, const struct damf_ioq *q)
{
	return core->run.busy && !core->run.orphan && core->run.q == q;
}

static uint64_t queue_progress(const struct damf_core *core, const struct damf_ioq *q)
{
	uint64_t now = on_engine(core, q) ? atomic_load(&core->progress) - core->run.progress : 0;

	return q->progress + now;
}

static uint64_t read_doorbell(struct damf_core *core, uint64_t offset, unsigned int size)
{
	uint64_t page = offset / DAMF_DB_PAGE_SIZE;
	const struct damf_ioq *q = page <= core->cfg.max_queues && page ? core->queues[page] : NULL;
	uint64_t progress = q ? queue_progress(core, q) : 0;

	if (page > core->cfg.max_queues)
		return ONES;
	switch (offset % DAMF_DB_PAGE_SIZE) {
	case DAMF_DB_PROGRESS:
		return size == 8 ? progress : (uint32_t)progress;
	case DAMF_DB_PROGRESS + 4:
		return size == 8 ? ONES : progress >> 32;
	case DAMF_DB_INDEX:
		return size == 8 ? ONES : q && q->active ? q->index : 0;
	case DAMF_DB_STATE:
		if (size == 8)
			return ONES;
		if (!page)
			return core->ready ? DAMF_QUEUE_LIVE : DAMF_QUEUE_NONE;
		return q ? q->state : DAMF_QUEUE_NONE;
	default:
		return ONES;
	}
}

static void write_doorbell(struct damf_core *core, uint64_t offset, unsigned int size)
{
	struct damf_ring *ring = ring_of(core, offset / DAMF_DB_PAGE_SIZE);
	uint64_t reg = offset % DAMF_DB_PAGE_SIZE;

	if (size != 4 || (reg != DAMF_DB_SQ && reg != DAMF_DB_CQ))
		return;
	core->stat_doorbells++;
	if (!core->ready || !ring)
		return;
	ring->poll = true;
	/* A flush or an abort does not wait for the job to end to be seen. */
	if (ring == &core->admin && core->run.busy) {
		damf_admin_serve(core);
		damf_signal_all(core);
	}
	core->ops->kick(core->opaque);
}

/* ---- Accesses ------------------------------------------------------------ */

/* The high half is of the same moment as the low half, if that is read first. */
static bool read_half(struct damf_core *core, uint64_t offset, uint64_t *value)
{
	uint64_t whole;

	if (read64(core, offset, &whole)) {
		core->regs.latch_at = (uint32_t)offset + 4;
		core->regs.latch = (uint32_t)(whole >> 32);
		*value = (uint32_t)whole;
		return true;
	}
	if (!read64(core, offset - 4, &whole))
		return false;
	*value = core->regs.latch_at == offset ? core->regs.latch : (uint32_t)(whole >> 32);
	core->regs.latch_at = 0;
	return true;
}

uint64_t damf_core_read(struct damf_core *core, uint64_t offset, unsigned int size)
{
	uint32_t value32;
	uint64_t value;

	if ((size != 4 && size != 8) || offset % size)
		return ONES;
	if (offset >= DB_OFFSET)
		return read_doorbell(core, offset - DB_OFFSET, size);
	if (size == 8)
		return read64(core, offset, &value) ? value : ONES;
	if (read32(core, offset, &value32))
		return value32;
	return read_half(core, offset, &value) ? value : ONES;
}

static void write_half(struct damf_core *core, uint64_t offset, uint32_t value)
{
	uint64_t *reg = writable64(core, offset);

	if (reg) {
		*reg = (*reg & ~0xffffffffull) | value;
		return;
	}
	reg = writable64(core, offset - 4);
	if (reg)
		*reg = (uint32_t)*reg | (uint64_t)value << 32;
}

void damf_core_write(struct damf_core *core, uint64_t offset, uint64_t value, unsigned int size)
{
	uint64_t *reg;

	if ((size != 4 && size != 8) || offset % size)
		return;
	if (offset >= DB_OFFSET) {
		write_doorbell(core, offset - DB_OFFSET, size);
		return;
	}
	if (size == 4 && offset == DAMF_REG_CTRL) {
		write_ctrl(core, (uint32_t)value);
		return;
	}
	if (enabled(core))
		return;
	reg = writable64(core, offset);
	if (size == 8 && reg)
		*reg = value;
	else if (size == 4 && offset == DAMF_REG_ADMIN_LOG2)
		core->regs.admin_log2 = (uint32_t)value;
	else if (size == 4)
		write_half(core, offset, (uint32_t)value);
}
