// SPDX-License-Identifier: MIT
/*
 * The admin queue. Commands run in order; one that must not complete while a
 * job is on the engine (flush, abort, stop) is begun again once it is off, and
 * later ones go on meanwhile.
 */
#include <endian.h>
#include <string.h>

#include "device.h"

#define WAIT (~0u)	/* not a status: try again when the engine is free */

struct command {
	unsigned int opcode, queue, context, log2, vector, priority;
	uint64_t addr[3], length;
};

typedef unsigned int (*command_fn)(struct damf_core *core, const struct command *c,
				   struct damf_fail *fail);

#define BAD(status, member) \
	(damf_fail_set(fail, DAMF_ST_##status, offsetof(struct damf_admin_sqe, member)), \
	 (unsigned int)DAMF_ST_##status)

/* ---- Contexts ------------------------------------------------------------ */

static unsigned int create_context(struct damf_core *core, const struct command *c,
				   struct damf_fail *fail)
{
	if (!c->context || c->context > core->cfg.max_contexts)
		return BAD(BAD_CONTEXT, context);
	if (damf_context_get(core, c->context))
		return BAD(BUSY, context);
	if (c->addr[0] & ~DAMF_PTE_ADDR)
		return BAD(BAD_FIELD, addr[0]);
	return damf_context_new(core, c->context, c->addr[0]) ? DAMF_ST_OK : DAMF_ST_NO_RESOURCES;
}

static unsigned int destroy_context(struct damf_core *core, const struct command *c,
				    struct damf_fail *fail)
{
	struct damf_context *ctx = damf_context_get(core, c->context);

	if (!ctx)
		return BAD(BAD_CONTEXT, context);
	if (ctx->queues)
		return BAD(BUSY, context);
	damf_context_free(ctx);
	return DAMF_ST_OK;
}

static unsigned int flush(struct damf_core *core, const struct command *c, struct damf_fail *fail)
{
	struct damf_context *ctx = damf_context_get(core, c->context);

	if (!ctx)
		return BAD(BAD_CONTEXT, context);
	if (c->addr[0] % DAMF_PAGE_SIZE || c->addr[0] >= DAMF_VA_END || (!c->length && c->addr[0]))
		return BAD(BAD_FIELD, addr[0]);
	if (c->length % DAMF_PAGE_SIZE || c->length > DAMF_VA_END - c->addr[0])
		return BAD(BAD_FIELD, length);
	if (damf_engine_in(core, ctx))
		return WAIT;
	damf_mmu_flush(ctx, c->addr[0], c->length);
	return DAMF_ST_OK;
}

static unsigned int abort_context(struct damf_core *core, const struct command *c,
				  struct damf_fail *fail)
{
	struct damf_context *ctx = damf_context_get(core, c->context);
	unsigned int id;

	if (!ctx)
		return BAD(BAD_CONTEXT, context);
	ctx->stopped = true;
	if (damf_engine_in(core, ctx)) {
		ctx->generation++;
		atomic_store(&core->stop, 1);
		return WAIT;
	}
	for (id = 1; id <= core->cfg.max_queues; id++)
		if (core->queues[id] && core->queues[id]->ctx == ctx)
			damf_queue_abort(core, core->queues[id]);
	return DAMF_ST_OK;
}

static unsigned int resume_context(struct damf_core *core, const struct command *c,
				   struct damf_fail *fail)
{
	struct damf_context *ctx = damf_context_get(core, c->context);

	if (!ctx)
		return BAD(BAD_CONTEXT, context);
	ctx->stopped = false;
	return DAMF_ST_OK;
}

static unsigned int read_counters(struct damf_core *core, const struct command *c,
				  struct damf_fail *fail)
{
	struct damf_context *ctx = damf_context_get(core, c->context);

	if (!ctx)
		return BAD(BAD_CONTEXT, context);
	if (c->addr[0] % 8)
		return BAD(BAD_FIELD, addr[0]);
	if (!core->ops->dma_write(core->opaque, c->addr[0], &ctx->totals, sizeof(ctx->totals)))
		return DAMF_ST_OK;
	fail->access = DAMF_ACCESS_WRITE;
	fail->addr = c->addr[0];
	return DAMF_ST_DMA_ERROR;
}

/* ---- Queues -------------------------------------------------------------- */

/* Whether [addr, addr + len) is aligned and does not wrap. */
static bool range_ok(uint64_t addr, uint64_t len)
{
	return !(addr % 64) && addr <= UINT64_MAX - len;
}

static unsigned int create_queue(struct damf_core *core, const struct command *c,
				 struct damf_fail *fail)
{
	struct damf_ioq q = {
		.id = c->queue, .priority = c->priority,
		.ctx = damf_context_get(core, c->context),
		.ring = { .sq = c->addr[0], .cq = c->addr[1], .shared = c->addr[2],
			  .log2 = c->log2, .vector = c->vector },
	};

	if (!c->queue || c->queue > core->cfg.max_queues || damf_queue_get(core, c->queue))
		return BAD(BAD_QUEUE, queue);
	if (!q.ctx)
		return BAD(BAD_CONTEXT, context);
	if (c->log2 < DAMF_RING_MIN_LOG2)
		return BAD(BAD_FIELD, log2);
	if (c->log2 > DAMF_RING_MAX_LOG2)
		return BAD(BAD_LIMIT, log2);
	if (c->vector >= core->cfg.num_vectors)
		return BAD(BAD_LIMIT, vector);
	if (c->priority > DAMF_PRIORITY_HIGH)
		return BAD(BAD_FIELD, priority);
	if (!range_ok(q.ring.sq, sizeof(struct damf_sqe) << c->log2))
		return BAD(BAD_FIELD, addr[0]);
	if (!range_ok(q.ring.cq, sizeof(struct damf_cqe) << c->log2))
		return BAD(BAD_FIELD, addr[1]);
	if (!range_ok(q.ring.shared, sizeof(struct damf_queue_shared)))
		return BAD(BAD_FIELD, addr[2]);
	return damf_ioq_create(core, &q);
}

/* Takes its job off the engine; WAIT as long as that takes. */
static unsigned int quiesce(struct damf_core *core, struct damf_ioq *q)
{
	if (core->run.busy && core->run.q == q) {
		q->stopping = true;
		atomic_store(&core->stop, 1);
		return WAIT;
	}
	if (q->state == DAMF_QUEUE_LIVE) {
		q->state = DAMF_QUEUE_STOPPED;
		damf_queue_end(core, q);
		/* Its memory may go away after this: the last word on its rings. */
		if (damf_ring_signal(core, &q->ring))
			damf_queue_error(core, q, "its indices can't be read");
	}
	return DAMF_ST_OK;
}

static unsigned int stop_queue(struct damf_core *core, const struct command *c,
			       struct damf_fail *fail)
{
	struct damf_ioq *q = damf_queue_get(core, c->queue);

	return q ? quiesce(core, q) : BAD(BAD_QUEUE, queue);
}

static unsigned int destroy_queue(struct damf_core *core, const struct command *c,
				  struct damf_fail *fail)
{
	struct damf_ioq *q = damf_queue_get(core, c->queue);
	unsigned int status;

	if (!q)
		return BAD(BAD_QUEUE, queue);
	status = quiesce(core, q);
	if (status == DAMF_ST_OK)
		damf_ioq_free(core, q);
	return status;
}

static unsigned int nop(struct damf_core *core, const struct command *c, struct damf_fail *fail)
{
	(void)core, (void)c, (void)fail;
	return DAMF_ST_OK;
}

/* ---- Dispatch ------------------------------------------------------------ */

#define USES_QUEUE	(1u << 0)
#define USES_CONTEXT	(1u << 1)
#define USES_RING	(1u << 2)	/* log2, vector, priority, addr[1], addr[2] */
#define USES_ADDR	(1u << 3)
#define USES_LENGTH	(1u << 4)

static const struct {
	command_fn fn;
	unsigned int uses;
} commands[] = {
	[DAMF_ADMIN_NOP] = { nop, 0 },
	[DAMF_ADMIN_CREATE_CONTEXT] = { create_context, USES_CONTEXT | USES_ADDR },
	[DAMF_ADMIN_DESTROY_CONTEXT] = { destroy_context, USES_CONTEXT },
	[DAMF_ADMIN_FLUSH] = { flush, USES_CONTEXT | USES_ADDR | USES_LENGTH },
	[DAMF_ADMIN_ABORT_CONTEXT] = { abort_context, USES_CONTEXT },
	[DAMF_ADMIN_RESUME_CONTEXT] = { resume_context, USES_CONTEXT },
	[DAMF_ADMIN_CREATE_QUEUE] = { create_queue,
				      USES_QUEUE | USES_CONTEXT | USES_RING | USES_ADDR },
	[DAMF_ADMIN_STOP_QUEUE] = { stop_queue, USES_QUEUE },
	[DAMF_ADMIN_DESTROY_QUEUE] = { destroy_queue, USES_QUEUE },
	[DAMF_ADMIN_READ_COUNTERS] = { read_counters, USES_CONTEXT | USES_ADDR },
};

/* What a command does not use is zero. */
static unsigned int check_unused(const struct damf_admin_sqe *sqe, unsigned int uses,
				 struct damf_fail *fail)
{
	if (sqe->flags)
		return BAD(BAD_FIELD, flags);
	if (!(uses & USES_QUEUE) && sqe->queue)
		return BAD(BAD_FIELD, queue);
	if (!(uses & USES_CONTEXT) && sqe->context)
		return BAD(BAD_FIELD, context);
	if (!(uses & USES_RING) && sqe->log2)
		return BAD(BAD_FIELD, log2);
	if (!(uses & USES_RING) && sqe->vector)
		return BAD(BAD_FIELD, vector);
	if (!(uses & USES_RING) && sqe->priority)
		return BAD(BAD_FIELD, priority);
	if (sqe->reserved0)
		return BAD(BAD_FIELD, reserved0);
	if (!(uses & USES_ADDR) && sqe->addr[0])
		return BAD(BAD_FIELD, addr[0]);
	if (!(uses & USES_RING) && sqe->addr[1])
		return BAD(BAD_FIELD, addr[1]);
	if (!(uses & USES_RING) && sqe->addr[2])
		return BAD(BAD_FIELD, addr[2]);
	if (!(uses & USES_LENGTH) && sqe->length)
		return BAD(BAD_FIELD, length);
	return sqe->reserved1 ? BAD(BAD_FIELD, reserved1) : (unsigned int)DAMF_ST_OK;
}

static unsigned int execute(struct damf_core *core, const struct damf_admin_sqe *sqe,
			    struct damf_fail *fail)
{
	const struct command c = {
		.opcode = le16toh(sqe->opcode), .queue = le16toh(sqe->queue),
		.context = le16toh(sqe->context), .log2 = le16toh(sqe->log2),
		.vector = le16toh(sqe->vector), .priority = le16toh(sqe->priority),
		.addr = { le64toh(sqe->addr[0]), le64toh(sqe->addr[1]), le64toh(sqe->addr[2]) },
		.length = le64toh(sqe->length),
	};
	unsigned int status;

	if (c.opcode >= sizeof(commands) / sizeof(commands[0]))
		return BAD(BAD_OPCODE, opcode);
	status = check_unused(sqe, commands[c.opcode].uses, fail);
	return status ? status : commands[c.opcode].fn(core, &c, fail);
}

static void complete(struct damf_core *core, const struct damf_admin_sqe *sqe, unsigned int status,
		     const struct damf_fail *fail)
{
	uint64_t now = core->ops->now_ns(core->opaque);
	struct damf_cqe cqe = {
		.cookie = sqe->cookie,
		.start_ns = htole64(now),
		.end_ns = htole64(now),
		.fault_addr = htole64(fail->addr),
		.field = htole16(fail->field),
		.context = sqe->context,
		.status = htole16((uint16_t)status),
		.access = htole16(fail->access),
	};

	if (damf_ring_complete(core, &core->admin, &cqe))
		damf_core_fatal(core, DAMF_ST_DMA_ERROR, "an admin completion can't be written");
}

/* The engine is free: the rest of the first command that waited for that. */
static void end_waiting(struct damf_core *core)
{
	struct damf_admin_sqe sqe = core->waiting[0];
	struct damf_fail fail = { 0 };

	core->nwaiting--;
	memmove(core->waiting, core->waiting + 1, core->nwaiting * sizeof(sqe));
	complete(core, &sqe, execute(core, &sqe, &fail), &fail);
}

bool damf_admin_step(struct damf_core *core)
{
	struct damf_admin_sqe sqe;
	struct damf_fail fail = { 0 };
	unsigned int status;
	int r;

	if (!core->ready)
		return false;
	if (core->nwaiting && !core->run.busy) {
		end_waiting(core);
		return true;
	}
	if (core->nwaiting == DAMF_MAX_WAITING)
		return false;
	r = damf_ring_fetch(core, &core->admin, &sqe);
	if (r < 0)
		damf_core_fatal(core, DAMF_ST_BAD_QUEUE,
				"the admin queue's indices or memory make no sense");
	if (r <= 0)
		return false;
	status = execute(core, &sqe, &fail);
	/* Others go on meanwhile: an abort must get past a flush that waits. */
	if (status == WAIT)
		core->waiting[core->nwaiting++] = sqe;
	else
		complete(core, &sqe, status, &fail);
	return true;
}

void damf_admin_serve(struct damf_core *core)
{
	unsigned int steps = 0;

	while (steps++ < DAMF_STEPS && damf_admin_step(core))
		;
}
