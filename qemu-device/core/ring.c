// SPDX-License-Identifier: MIT
/*
 * Submission and completion rings. Each index, entry and event is read once
 * and its value checked; what makes no sense breaks the queue, not the device.
 */
#include <endian.h>
#include <string.h>

#include "device.h"

#define ENTRY_SIZE 64u

static int read32(struct damf_core *core, const struct damf_ring *ring, size_t offset,
		  uint32_t *value)
{
	__le32 raw;

	if (core->ops->dma_read(core->opaque, ring->shared + offset, &raw, sizeof(raw)))
		return -1;
	*value = le32toh(raw);
	return 0;
}

static int write32(struct damf_core *core, const struct damf_ring *ring, size_t offset,
		   uint32_t value)
{
	__le32 raw = htole32(value);

	return core->ops->dma_write(core->opaque, ring->shared + offset, &raw, sizeof(raw));
}

#define READ(member, value) \
	read32(core, ring, offsetof(struct damf_queue_shared, member), value)
#define WRITE(member, value) \
	write32(core, ring, offsetof(struct damf_queue_shared, member), value)

static bool has_events(const struct damf_core *core)
{
	return core->regs.features & DAMF_FEATURE_EVENT_IDX;
}

int damf_ring_init(struct damf_core *core, struct damf_ring *ring)
{
	const size_t half = offsetof(struct damf_queue_shared, sq_head);
	static const uint8_t zero[sizeof(struct damf_queue_shared) / 2];

	ring->sq_head = ring->sq_tail = ring->cq_tail = ring->cq_signalled = ring->promised = 0;
	ring->signal = false;
	ring->poll = true;
	return core->ops->dma_write(core->opaque, ring->shared + half, zero, sizeof(zero));
}

int damf_ring_update_tail(struct damf_core *core, struct damf_ring *ring)
{
	uint32_t tail;

	if (READ(sq_tail, &tail) || tail - ring->sq_head > 1u << ring->log2)
		return -1;
	ring->sq_tail = tail;
	return 0;
}

/* 1: a completion has room, 0: it hasn't, -1: cq_head makes no sense. */
static int cq_room(struct damf_core *core, struct damf_ring *ring)
{
	uint32_t head, size = 1u << ring->log2;

	if (READ(cq_head, &head) || ring->cq_tail - head > size)
		return -1;
	return ring->cq_tail + ring->promised - head < size;
}

/*
 * Nothing is there: ask for a doorbell. The tail is looked at once more after
 * the event is out, for a driver that added an entry before it could see it.
 */
static int arm(struct damf_core *core, struct damf_ring *ring)
{
	if (has_events(core)) {
		if (WRITE(sq_event, ring->sq_head))
			return -1;
		core->ops->barrier(core->opaque);
		if (damf_ring_update_tail(core, ring))
			return -1;
	}
	ring->poll = ring->sq_tail != ring->sq_head;
	return 0;
}

int damf_ring_fetch(struct damf_core *core, struct damf_ring *ring, void *entry)
{
	uint32_t mask = (1u << ring->log2) - 1;
	int room;

	if (!ring->poll)
		return 0;
	if (ring->sq_tail == ring->sq_head &&
	    (damf_ring_update_tail(core, ring) ||
	     (ring->sq_tail == ring->sq_head && arm(core, ring))))
		return -1;
	if (ring->sq_tail == ring->sq_head)
		return 0;
	room = cq_room(core, ring);
	if (room <= 0) {
		ring->poll = false;	/* until the doorbell of cq_head */
		return room;
	}
	/* The entry after the index that told of it. */
	core->ops->barrier(core->opaque);
	if (core->ops->dma_read(core->opaque,
				ring->sq + (uint64_t)(ring->sq_head & mask) * ENTRY_SIZE,
				entry, ENTRY_SIZE))
		return -1;
	ring->sq_head++;
	ring->promised++;
	return WRITE(sq_head, ring->sq_head) ? -1 : 1;
}

int damf_ring_complete(struct damf_core *core, struct damf_ring *ring, struct damf_cqe *cqe)
{
	const size_t phase = offsetof(struct damf_cqe, phase);
	uint32_t mask = (1u << ring->log2) - 1;
	uint64_t at = ring->cq + (uint64_t)(ring->cq_tail & mask) * sizeof(*cqe);

	cqe->sq_head = htole32(ring->sq_head);
	cqe->phase = htole32(!(ring->cq_tail >> ring->log2 & 1));
	if (core->ops->dma_write(core->opaque, at, cqe, phase))
		return -1;
	/* Whoever sees the phase sees the rest, and the results before it. */
	core->ops->barrier(core->opaque);
	if (core->ops->dma_write(core->opaque, at + phase, &cqe->phase, sizeof(cqe->phase)))
		return -1;
	ring->cq_tail++;
	ring->promised--;
	ring->signal = true;
	return WRITE(cq_tail, ring->cq_tail);
}

int damf_ring_signal(struct damf_core *core, struct damf_ring *ring)
{
	uint32_t event, old = ring->cq_signalled;

	if (!ring->signal)
		return 0;
	ring->signal = false;
	ring->cq_signalled = ring->cq_tail;
	if (has_events(core)) {
		/* Completions before the event is read: see the driver's side. */
		core->ops->barrier(core->opaque);
		if (READ(cq_event, &event))
			return -1;
		if (!damf_need_event(event, ring->cq_tail, old))
			return 0;
	}
	damf_core_irq(core, ring->vector);
	return 0;
}
