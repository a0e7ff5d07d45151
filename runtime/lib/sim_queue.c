// SPDX-License-Identifier: MIT
/* Rings of the device in this process: admin commands, lists, completions. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define RING_ENTRY 64u

static uint64_t pages(uint64_t size)
{
	return (size + DAMF_PAGE_SIZE - 1) & ~(DAMF_PAGE_SIZE - 1);
}

int damf_sim_rings_alloc(struct sim_device *sim, unsigned int log2, struct sim_rings *rings)
{
	uint64_t size = pages((uint64_t)RING_ENTRY << log2);

	rings->log2 = log2;
	if (!damf_sim_mem_alloc(sim, size, &rings->sq) && !damf_sim_mem_alloc(sim, size, &rings->cq) &&
	    !damf_sim_mem_alloc(sim, DAMF_PAGE_SIZE, &rings->shared))
		return 0;
	damf_sim_rings_free(sim, rings);
	return -ENOMEM;
}

void damf_sim_rings_free(struct sim_device *sim, struct sim_rings *rings)
{
	damf_sim_mem_free(sim, &rings->sq);
	damf_sim_mem_free(sim, &rings->cq);
	damf_sim_mem_free(sim, &rings->shared);
}

static struct damf_queue_shared *shared_of(const struct sim_rings *rings)
{
	return rings->shared.host;
}

/*
 * Puts one entry in the ring; whether the doorbell must be rung. Both sides
 * touch the rings under sim->lock, so that the barriers of the specification
 * (after the entry, after the tail, after the phase, after cq_event) are not
 * needed: the lock is them all.
 */
static bool ring_push(struct sim_rings *rings, const void *entry)
{
	struct damf_queue_shared *shared = shared_of(rings);
	uint32_t mask = (1u << rings->log2) - 1, old = rings->sq_tail;

	memcpy((char *)rings->sq.host + (old & mask) * RING_ENTRY, entry, RING_ENTRY);
	shared->sq_tail = htole32(++rings->sq_tail);
	return damf_need_event(le32toh(shared->sq_event), rings->sq_tail, old);
}

static const struct damf_cqe *ring_head(const struct sim_rings *rings)
{
	uint32_t mask = (1u << rings->log2) - 1;

	return (const struct damf_cqe *)rings->cq.host + (rings->cq_head & mask);
}

/* Whether the next completion has been written, by its phase bit. */
static bool ring_ready(const struct sim_rings *rings)
{
	uint32_t phase = !((rings->cq_head >> rings->log2) & 1);

	return (le32toh(ring_head(rings)->phase) & 1) == phase;
}

/* Takes the next completion, if there is one. */
static bool ring_pop(struct sim_rings *rings, struct damf_cqe *cqe)
{
	if (!ring_ready(rings))
		return false;
	*cqe = *ring_head(rings);
	rings->cq_head++;
	return true;
}

/* Tells the device what was consumed and asks for an interrupt at the next. */
static void ring_arm(struct sim_rings *rings)
{
	struct damf_queue_shared *shared = shared_of(rings);

	shared->cq_head = htole32(rings->cq_head);
	shared->cq_event = htole32(rings->cq_head);
}

static void ring_doorbell(struct sim_device *sim, unsigned int queue, uint32_t tail)
{
	damf_core_write(sim->core, sim->db_offset + (uint64_t)queue * DAMF_DB_PAGE_SIZE +
			DAMF_DB_SQ, tail, 4);
}

/* ---- Admin queue --------------------------------------------------------- */

/* Both locks are held. */
static int admin_locked(struct sim_device *sim, const struct damf_admin_sqe *cmd)
{
	struct damf_cqe cqe;

	if (!sim->dead) {
		ring_arm(&sim->admin);
		if (ring_push(&sim->admin, cmd))
			ring_doorbell(sim, 0, sim->admin.sq_tail);
	}
	while (!sim->dead) {
		if (ring_pop(&sim->admin, &cqe))
			return le16toh(cqe.status);
		pthread_cond_wait(&sim->admin_cond, &sim->lock);
	}
	return -ENODEV;
}

int damf_sim_admin(struct sim_device *sim, const struct damf_admin_sqe *cmd)
{
	int status;

	pthread_mutex_lock(&sim->admin_lock);
	pthread_mutex_lock(&sim->lock);
	status = admin_locked(sim, cmd);
	pthread_mutex_unlock(&sim->lock);
	pthread_mutex_unlock(&sim->admin_lock);
	return status;
}

/* ---- Completions --------------------------------------------------------- */

static void complete(struct sim_device *sim, struct sim_queue *q, const struct damf_cqe *cqe)
{
	struct damf_completion c = {
		.status = le16toh(cqe->status),
		.field = le16toh(cqe->field),
		.index = le32toh(cqe->index),
		.fault_addr = le64toh(cqe->fault_addr),
		.start_ns = le64toh(cqe->start_ns),
		.end_ns = le64toh(cqe->end_ns),
		.cycles = le64toh(cqe->cycles),
	};

	c.error = damf_status_errno(c.status);
	if (c.status == DAMF_ST_PAGE_FAULT)
		sim->stopped = true;
	q->ended++;
	sim->stats.completions++;
	damf_queue_complete(q->base, le64toh(cqe->cookie), &c);
}

static void service_queue(struct sim_device *sim, struct sim_queue *q)
{
	struct damf_cqe cqe;

	/* Looked at again once armed: what came between raised no interrupt. */
	do {
		while (ring_pop(&q->rings, &cqe))
			complete(sim, q, &cqe);
		ring_arm(&q->rings);
	} while (ring_ready(&q->rings));
}

void damf_sim_service_irqs(struct sim_device *sim)
{
	uint64_t pending = sim->irqs_pending;
	unsigned int i;

	sim->irqs_pending = 0;
	if (!pending)
		return;
	if (pending & 1)
		pthread_cond_broadcast(&sim->admin_cond);
	for (i = 1; i <= SIM_MAX_QUEUES; i++) {
		struct sim_queue *q = sim->queues[i];

		if (q && (pending & (1ull << q->vector)))
			service_queue(sim, q);
	}
}

void damf_sim_die(struct sim_device *sim)
{
	unsigned int i;

	if (sim->dead)
		return;
	sim->dead = true;
	atomic_store(&sim->dev->lost, true);
	damf_core_reset(sim->core, false);
	for (i = 1; i <= SIM_MAX_QUEUES; i++)
		if (sim->queues[i])
			damf_queue_fail(sim->queues[i]->base, -ENODEV);
	pthread_cond_broadcast(&sim->admin_cond);
}

/* ---- I/O queues ---------------------------------------------------------- */

static unsigned int log2_of(unsigned int n)
{
	unsigned int log2 = 0;

	while ((1u << log2) < n)
		log2++;
	return log2;
}

/* Takes an id and memory for the rings; 0 or a negative errno. */
static int queue_prepare(struct sim_device *sim, struct sim_queue *q)
{
	unsigned int i = 1;
	int r = -ENOSPC;

	pthread_mutex_lock(&sim->lock);
	while (i <= SIM_MAX_QUEUES && sim->queues[i])
		i++;
	if (i <= SIM_MAX_QUEUES)
		r = damf_sim_rings_alloc(sim, log2_of(q->base->entries), &q->rings);
	if (!r) {
		q->id = i;
		q->vector = 1 + (i - 1) % (sim->cfg.num_vectors - 1);
		sim->queues[i] = q;
		ring_arm(&q->rings);
	}
	pthread_mutex_unlock(&sim->lock);
	return r;
}

static void queue_forget(struct sim_device *sim, struct sim_queue *q)
{
	pthread_mutex_lock(&sim->lock);
	sim->queues[q->id] = NULL;
	damf_sim_rings_free(sim, &q->rings);
	pthread_mutex_unlock(&sim->lock);
	free(q);
}

int damf_sim_queue_create(struct damf_queue *queue, struct damf_error *err)
{
	struct sim_device *sim = queue->dev->priv;
	struct sim_queue *q = calloc(1, sizeof(*q));
	struct damf_admin_sqe cmd = { .opcode = htole16(DAMF_ADMIN_CREATE_QUEUE) };
	int r;

	if (!q)
		return damf_error_set(err, -ENOMEM, "no memory for a queue");
	q->base = queue;
	r = queue_prepare(sim, q);
	if (r) {
		free(q);
		return damf_error_set(err, r, "no room for another queue: this device has %u",
				      SIM_MAX_QUEUES);
	}
	cmd.queue = htole16((uint16_t)q->id);
	cmd.context = htole16(SIM_CONTEXT);
	cmd.log2 = htole16((uint16_t)q->rings.log2);
	cmd.vector = htole16((uint16_t)q->vector);
	cmd.priority = htole16((uint16_t)queue->priority);
	cmd.addr[0] = htole64(q->rings.sq.bus);
	cmd.addr[1] = htole64(q->rings.cq.bus);
	cmd.addr[2] = htole64(q->rings.shared.bus);
	r = damf_sim_admin(sim, &cmd);
	if (r) {
		queue_forget(sim, q);
		if (r < 0)
			return damf_error_lost(queue->dev, err);
		return damf_error_set(err, -EIO, "the device refused to create a queue: %s",
				      damf_status_name((unsigned int)r));
	}
	queue->priv = q;
	return 0;
}

void damf_sim_queue_destroy(struct damf_queue *queue)
{
	struct sim_device *sim = queue->dev->priv;
	struct sim_queue *q = queue->priv;
	struct damf_admin_sqe cmd = {
		.opcode = htole16(DAMF_ADMIN_STOP_QUEUE),
		.queue = htole16((uint16_t)q->id),
	};

	damf_sim_admin(sim, &cmd);
	cmd.opcode = htole16(DAMF_ADMIN_DESTROY_QUEUE);
	damf_sim_admin(sim, &cmd);
	queue_forget(sim, q);
}

/* Whether the context was stopped by a fault and nothing of it is in flight. */
static bool may_resume(struct sim_device *sim)
{
	unsigned int i;

	if (!sim->stopped)
		return false;
	for (i = 1; i <= SIM_MAX_QUEUES; i++) {
		struct sim_queue *q = sim->queues[i];

		if (q && q->ended != q->rings.sq_tail)
			return false;
	}
	return true;
}

/* Leaves the stopped state, once what was in flight has come back. */
static void resume_context(struct sim_device *sim)
{
	struct damf_admin_sqe cmd = {
		.opcode = htole16(DAMF_ADMIN_RESUME_CONTEXT),
		.context = htole16(SIM_CONTEXT),
	};

	pthread_mutex_lock(&sim->admin_lock);
	pthread_mutex_lock(&sim->lock);
	if (may_resume(sim)) {
		admin_locked(sim, &cmd);
		sim->stopped = false;
	}
	pthread_mutex_unlock(&sim->lock);
	pthread_mutex_unlock(&sim->admin_lock);
}

static bool is_stopped(struct sim_device *sim)
{
	bool stopped;

	pthread_mutex_lock(&sim->lock);
	stopped = sim->stopped;
	pthread_mutex_unlock(&sim->lock);
	return stopped;
}

int damf_sim_submit(struct damf_queue *queue, struct damf_inflight *slot, struct damf_error *err)
{
	struct sim_device *sim = queue->dev->priv;
	struct sim_queue *q = queue->priv;
	struct damf_sqe sqe = {
		.opcode = htole16(DAMF_SQ_EXEC),
		.context = htole16(SIM_CONTEXT),
		.count = htole32(slot->list.count),
		.first = htole32(slot->list.first),
		.cookie = htole64(slot->seqno),
		.list = htole64(slot->list.list),
		.counters = htole64(slot->list.counters),
	};

	if (slot->list.flags & DAMF_LIST_REPLAYABLE)
		sqe.flags = htole16(DAMF_SQE_REPLAYABLE);
	if (is_stopped(sim))
		resume_context(sim);
	pthread_mutex_lock(&sim->lock);
	if (sim->dead) {
		pthread_mutex_unlock(&sim->lock);
		return damf_error_lost(queue->dev, err);
	}
	sim->stats.submits_direct++;
	if (ring_push(&q->rings, &sqe)) {
		ring_doorbell(sim, q->id, q->rings.sq_tail);
		sim->stats.doorbells++;
	} else {
		sim->stats.doorbells_saved++;
	}
	pthread_mutex_unlock(&sim->lock);
	return 0;
}
