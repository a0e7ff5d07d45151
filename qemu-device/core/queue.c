// SPDX-License-Identifier: MIT
/* One I/O queue: its entries, from fetch to completion, a job at a time. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

struct damf_ioq *damf_queue_get(struct damf_core *core, unsigned int id)
{
	return id && id <= core->cfg.max_queues ? core->queues[id] : NULL;
}

unsigned int damf_ioq_create(struct damf_core *core, const struct damf_ioq *init)
{
	struct damf_ioq *q = malloc(sizeof(*q));

	if (!q)
		return DAMF_ST_NO_RESOURCES;
	*q = *init;
	if (damf_ring_init(core, &q->ring)) {
		free(q);
		return DAMF_ST_DMA_ERROR;
	}
	q->state = DAMF_QUEUE_LIVE;
	q->ctx->queues++;
	core->queues[q->id] = q;
	return DAMF_ST_OK;
}

void damf_ioq_free(struct damf_core *core, struct damf_ioq *q)
{
	q->ctx->queues--;
	core->queues[q->id] = NULL;
	free(q);
}

void damf_queue_error(struct damf_core *core, struct damf_ioq *q, const char *why)
{
	damf_core_guest_error(core, "queue %u is in error: %s", q->id, why);
	q->state = DAMF_QUEUE_ERROR;
	q->active = false;
	damf_core_irq(core, 0);
}

/* ---- Completion ---------------------------------------------------------- */

static void complete(struct damf_core *core, struct damf_ioq *q, const struct damf_fail *fail,
		     uint32_t index)
{
	struct damf_cqe cqe = {
		.cookie = q->sqe.cookie,
		.start_ns = htole64(q->start_ns),
		.end_ns = htole64(core->ops->now_ns(core->opaque)),
		.fault_addr = htole64(fail->addr),
		.cycles = htole64(q->cycles),
		.index = htole32(index),
		.field = htole16(fail->field),
		.context = htole16((uint16_t)q->ctx->id),
		.status = htole16(fail->status),
		.access = htole16(fail->access),
	};

	q->active = false;
	if (fail->status == DAMF_ST_PAGE_FAULT) {
		q->ctx->stopped = true;
		damf_core_guest_error(core, "page fault: context %u, address 0x%llx, queue %u, job %u",
				      q->ctx->id, (unsigned long long)fail->addr, q->id, index);
	}
	if (damf_ring_complete(core, &q->ring, &cqe))
		damf_queue_error(core, q, "a completion can't be written");
}

static void complete_status(struct damf_core *core, struct damf_ioq *q, unsigned int status)
{
	const struct damf_fail fail = { .status = (uint16_t)status };

	complete(core, q, &fail, q->index);
}

void damf_queue_end(struct damf_core *core, struct damf_ioq *q)
{
	if (q->active)
		complete_status(core, q, DAMF_ST_ABORTED);
}

/* ---- Entries ------------------------------------------------------------- */

#define BAD(status, member) \
	damf_fail_set(fail, DAMF_ST_BAD_##status, offsetof(struct damf_sqe, member))

static int check_nop(const struct damf_sqe *sqe, struct damf_fail *fail)
{
	if (sqe->flags)
		return BAD(FIELD, flags);
	if (sqe->count)
		return BAD(FIELD, count);
	if (sqe->first)
		return BAD(FIELD, first);
	if (sqe->list)
		return BAD(FIELD, list);
	return sqe->counters ? BAD(FIELD, counters) : 0;
}

static int check_entry(const struct damf_ioq *q, struct damf_fail *fail)
{
	const struct damf_sqe *sqe = &q->sqe;
	unsigned int opcode = le16toh(sqe->opcode), i;

	if (opcode > DAMF_SQ_EXEC)
		return BAD(OPCODE, opcode);
	if (le16toh(sqe->flags) & ~DAMF_SQE_REPLAYABLE)
		return BAD(FIELD, flags);
	if (le16toh(sqe->context) != q->ctx->id)
		return BAD(CONTEXT, context);
	if (sqe->reserved0)
		return BAD(FIELD, reserved0);
	for (i = 0; i < 3; i++)
		if (sqe->reserved1[i])
			return BAD(FIELD, reserved1[i]);
	if (opcode == DAMF_SQ_NOP)
		return check_nop(sqe, fail);
	return damf_list_check(le64toh(sqe->list), le32toh(sqe->count), le32toh(sqe->first),
			       le64toh(sqe->counters), fail);
}

/* Whether the entry just fetched is among those that an abort gave up. */
static bool given_up(struct damf_ioq *q)
{
	if (!q->aborting)
		return false;
	if ((int32_t)(q->abort_to - q->ring.sq_head) <= 0)
		q->aborting = false;
	return (int32_t)(q->abort_to - q->ring.sq_head) >= 0;
}

/* Fetches an entry, if there is one, and completes it at once if it's bad. */
static void take_entry(struct damf_core *core, struct damf_ioq *q)
{
	struct damf_fail fail = { 0 };
	int r = damf_ring_fetch(core, &q->ring, &q->sqe);

	if (r < 0)
		damf_queue_error(core, q, "its indices or memory make no sense");
	if (r <= 0)
		return;
	q->active = true;
	q->index = DAMF_INDEX_NONE;
	q->start_ns = q->cycles = 0;
	if (given_up(q))
		complete_status(core, q, DAMF_ST_ABORTED);
	else if (q->ctx->stopped)
		complete_status(core, q, DAMF_ST_CTX_STOPPED);
	else if (check_entry(q, &fail))
		complete(core, q, &fail, DAMF_INDEX_NONE);
	else if (le16toh(q->sqe.opcode) == DAMF_SQ_NOP)
		complete_status(core, q, DAMF_ST_OK);
	else
		q->index = le32toh(q->sqe.first);
}

void damf_queue_abort(struct damf_core *core, struct damf_ioq *q)
{
	damf_queue_end(core, q);
	if (q->state != DAMF_QUEUE_LIVE)
		return;
	if (damf_ring_update_tail(core, &q->ring)) {
		damf_queue_error(core, q, "its tail makes no sense");
		return;
	}
	q->abort_to = q->ring.sq_tail;
	q->aborting = q->abort_to != q->ring.sq_head;
	q->ring.poll = true;
	/* What a full completion ring leaves over is given up when it has room. */
	while (q->aborting && q->state == DAMF_QUEUE_LIVE && q->ring.poll)
		take_entry(core, q);
}

/* ---- Jobs ---------------------------------------------------------------- */

/* Makes the next job ready; false if the entry has been completed instead. */
static bool begin_job(struct damf_core *core, struct damf_ioq *q)
{
	uint64_t walks = q->ctx->walks;
	struct damf_fail fail = { 0 };

	if (q->ctx->stopped) {
		complete_status(core, q, DAMF_ST_CTX_STOPPED);
		return false;
	}
	if (q->index == le32toh(q->sqe.count)) {
		complete_status(core, q, DAMF_ST_OK);
		return false;
	}
	if (!q->start_ns)
		q->start_ns = core->ops->now_ns(core->opaque);
	core->work.space = &q->ctx->space;
	if (damf_work_prepare(&core->work, le64toh(q->sqe.list), q->index,
			      le64toh(q->sqe.counters), &q->ctx->totals, &fail)) {
		complete(core, q, &fail, q->index);
		return false;
	}
	core->run = (struct damf_run) {
		.q = q, .generation = q->ctx->generation, .walks = q->ctx->walks - walks,
		.progress = atomic_load(&core->progress),
	};
	return true;
}

bool damf_queue_step(struct damf_core *core, struct damf_ioq *q)
{
	if (!q->active)
		take_entry(core, q);
	return q->active && begin_job(core, q);
}

void damf_queue_commit(struct damf_core *core, struct damf_ioq *q)
{
	struct damf_counters done;
	struct damf_fail fail;

	q->progress += atomic_load(&core->progress) - core->run.progress;
	/* Given up: the command that did so completes the entry. */
	if (core->work.rc || q->stopping || q->state != DAMF_QUEUE_LIVE ||
	    core->run.generation != q->ctx->generation)
		return;
	damf_counters_job(&core->work, core->run.walks, &done);
	if (damf_work_commit(&core->work, &done, &fail)) {
		complete(core, q, &fail, q->index);
		return;
	}
	core->stat_jobs++;
	damf_counters_add(&q->ctx->totals, &done);
	q->cycles += le64toh(done.cycles);
	if (++q->index == le32toh(q->sqe.count))
		complete_status(core, q, DAMF_ST_OK);
}
