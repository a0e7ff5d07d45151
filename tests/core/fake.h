/* SPDX-License-Identifier: MIT */
/*
 * A host for the core that a test drives by hand: flat bus memory, counted
 * interrupts, a page-table builder, and a small driver for the rings. One
 * thread: the test itself runs the engine, so that it can act between the
 * steps of a job.
 */
#ifndef DAMF_TEST_FAKE_H
#define DAMF_TEST_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "damf_core.h"
#include "damf_hw.h"

#define FAKE_BUS	(4ull << 20)	/* bytes of bus memory, from address 0 */
#define FAKE_LOCAL	(4ull << 20)
#define FAKE_VECTORS	5
#define FAKE_QUEUES	4
#define FAKE_CONTEXTS	4
#define FAKE_LOG2	3

struct fake_ring {
	uint64_t sq, cq, shared;	/* bus addresses */
	unsigned int log2, queue;
	uint32_t tail, head;
};

struct fake {
	uint8_t *bus, *local;
	uint64_t bump;			/* bus memory handed out so far */
	uint64_t bad_from, bad_to;	/* bus addresses that refuse access */
	uint64_t now, features;		/* features: those accepted */
	unsigned int irqs[FAKE_VECTORS], kicks, errors;
	struct damf_core_config cfg;
	struct damf_core *core;
	struct fake_ring admin;
	uint64_t roots[FAKE_CONTEXTS + 1];
	uint64_t next_va;
	void (*on_barrier)(struct fake *f, void *arg);
	void *barrier_arg;
};

/* A core that is not enabled; one that is; one with context 1 and queue 1. */
struct fake *fake_new(void);
struct fake *fake_new_config(const struct damf_core_config *cfg);
struct fake *fake_enabled(void);
struct fake *fake_ready(struct fake_ring *ring);
void fake_free(struct fake *f);

uint32_t fake_read32(struct fake *f, uint64_t reg);
uint64_t fake_read64(struct fake *f, uint64_t reg);
void fake_write32(struct fake *f, uint64_t reg, uint32_t value);
void fake_write64(struct fake *f, uint64_t reg, uint64_t value);

/* Zeroed bus memory. */
uint64_t fake_alloc(struct fake *f, uint64_t size, uint64_t align);
void *fake_at(struct fake *f, uint64_t bus);

/* Page tables: one leaf; a run of 4 KiB pages; raw access to the entry of va. */
void fake_map_page(struct fake *f, unsigned int ctx, uint64_t va, uint64_t pte);
void fake_map(struct fake *f, unsigned int ctx, uint64_t va, uint64_t bus, uint64_t size,
	      uint64_t flags);
__le64 *fake_pte(struct fake *f, unsigned int ctx, uint64_t va, unsigned int level);
/* Fresh bus memory at a fresh address of context 1. */
uint64_t fake_va(struct fake *f, uint64_t size, void **host);

/* Sets up the rings in memory; enables the device with them as admin rings. */
void fake_ring_init(struct fake *f, struct fake_ring *ring, unsigned int queue, unsigned int log2);
void fake_enable(struct fake *f, uint64_t features);

/* The engine until there is nothing more to do; the number of jobs. */
unsigned int fake_drive(struct fake *f);

/* An entry into the ring; the doorbell too, if the event index wants it. */
bool fake_push(struct fake *f, struct fake_ring *ring, const void *entry);
void fake_doorbell(struct fake *f, const struct fake_ring *ring);
/* The next completion; cq_head and cq_event are moved on. */
bool fake_pop(struct fake *f, struct fake_ring *ring, struct damf_cqe *cqe);
struct damf_queue_shared *fake_shared(struct fake *f, const struct fake_ring *ring);

/* An admin command, driven to its end; the completion. */
struct damf_cqe fake_admin(struct fake *f, const struct damf_admin_sqe *cmd);
struct damf_cqe fake_create_context(struct fake *f, unsigned int ctx);
struct damf_cqe fake_create_queue(struct fake *f, struct fake_ring *ring, unsigned int queue,
				  unsigned int ctx, unsigned int vector, unsigned int priority);
struct damf_admin_sqe fake_context_cmd(unsigned int opcode, unsigned int ctx);
struct damf_admin_sqe fake_queue_cmd(unsigned int opcode, unsigned int queue);

struct damf_sqe fake_exec(unsigned int ctx, uint64_t list, uint32_t count);
/* Pushes an entry, drives it to its end, and takes its completion. */
struct damf_cqe fake_run(struct fake *f, struct fake_ring *ring, const struct damf_sqe *sqe);

#endif /* DAMF_TEST_FAKE_H */
