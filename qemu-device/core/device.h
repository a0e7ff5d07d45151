/* SPDX-License-Identifier: MIT */
/*
 * The device around the engine: queues, contexts, registers. Everything here
 * is guarded by the host's lock; only struct damf_work, its arena and the
 * atomics are used by damf_core_run() without it.
 */
#ifndef DAMF_DEVICE_H
#define DAMF_DEVICE_H

#include "config.h"

#define DAMF_FEATURES	(DAMF_FEATURE_EVENT_IDX | DAMF_FEATURE_PRIORITY)
#define DAMF_PRIORITIES	3

/* Steps without a job before the engine thread lets go of the lock. */
#define DAMF_STEPS	256
/* Admin commands that wait for the job on the engine. */
#define DAMF_MAX_WAITING 32

/* ---- A pair of rings (ring.c) -------------------------------------------- */

struct damf_ring {
	uint64_t sq, cq, shared;	/* bus addresses */
	unsigned int log2, vector;
	uint32_t sq_head, sq_tail;	/* sq_tail as last read */
	uint32_t cq_tail, cq_signalled;
	uint32_t promised;		/* completions that are yet to come, of fetched entries */
	bool poll;			/* there may be entries that no doorbell will tell of */
	bool signal;			/* completions since cq_event was last looked at */
};

/* Takes over zeroed rings; 0, or -1 if the bus refuses. */
int damf_ring_init(struct damf_core *core, struct damf_ring *ring);
/* The next entry: 1, 0 if there is none (or no room to complete it), -1 if
 * the indices or the memory make no sense. */
int damf_ring_fetch(struct damf_core *core, struct damf_ring *ring, void *entry);
/* Fills in phase and sq_head; a slot is free, since fetch saw to it. 0 or -1. */
int damf_ring_complete(struct damf_core *core, struct damf_ring *ring, struct damf_cqe *cqe);
/* Raises the interrupt of the completions since the last call, if it's wanted. */
int damf_ring_signal(struct damf_core *core, struct damf_ring *ring);
/* Reads sq_tail; 0 or -1. */
int damf_ring_update_tail(struct damf_core *core, struct damf_ring *ring);

/* ---- Contexts (mmu.c) ----------------------------------------- */

struct damf_tlb_entry {
	uint64_t tag, pte;		/* tag 0: empty */
};

struct damf_tlb {
	struct damf_tlb_entry *v;
	uint32_t cap, conflicts;	/* cap: a power of two, or 0 */
};

struct damf_context {
	struct damf_space space;	/* first: a space is turned into its context */
	struct damf_core *core;
	unsigned int id, queues;	/* queues: bound to it */
	uint64_t root;
	struct damf_tlb tlb;
	uint64_t walks;			/* page-table entries read */
	uint32_t generation;		/* jobs of an older one commit nothing */
	bool stopped;
	struct damf_counters totals;
};

struct damf_context *damf_context_get(struct damf_core *core, unsigned int id);
struct damf_context *damf_context_new(struct damf_core *core, unsigned int id, uint64_t root);
void damf_context_free(struct damf_context *ctx);
/* Forgets translations of [start, start + len); len 0: all. */
void damf_mmu_flush(struct damf_context *ctx, uint64_t start, uint64_t len);

/* ---- Queues (queue.c) ---------------------------------------------------- */

struct damf_ioq {
	unsigned int id, priority;
	enum damf_queue_state state;
	struct damf_ring ring;
	struct damf_context *ctx;
	uint64_t progress;		/* tiles of jobs that have ended */

	bool active;			/* an entry is being worked on */
	struct damf_sqe sqe;		/* its private copy */
	uint32_t index;			/* the job it is at */
	uint64_t start_ns, cycles;

	bool aborting;			/* entries before abort_to are given up */
	uint32_t abort_to;
	bool stopping;			/* the job on the engine is to be dropped */
};

struct damf_ioq *damf_queue_get(struct damf_core *core, unsigned int id);
/* A status. */
unsigned int damf_ioq_create(struct damf_core *core, const struct damf_ioq *init);
void damf_ioq_free(struct damf_core *core, struct damf_ioq *q);
/* Works on one entry as far as the next job for the engine: true, if there is one. */
bool damf_queue_step(struct damf_core *core, struct damf_ioq *q);
/* The engine has finished the queue's job. */
void damf_queue_commit(struct damf_core *core, struct damf_ioq *q);
/* Completes what the driver has submitted so far with ABORTED. */
void damf_queue_abort(struct damf_core *core, struct damf_ioq *q);
/* Completes the entry at work, if any, with ABORTED. */
void damf_queue_end(struct damf_core *core, struct damf_ioq *q);
void damf_queue_error(struct damf_core *core, struct damf_ioq *q, const char *why);

/* ---- The device ---------------------------------------------------------- */

/* What damf_core_run() is at. */
struct damf_run {
	bool busy;			/* between next and commit */
	bool orphan;			/* a reset came: nothing is committed */
	bool job;			/* false: nothing to do, the lock is let go */
	struct damf_ioq *q;		/* whose job it is, NULL if it has none any more */
	uint32_t generation;
	uint64_t walks, progress;	/* of the job: page walks; tiles before it */
};

struct damf_regs {
	uint64_t features, admin_sq, admin_cq, admin_shared;
	uint32_t admin_log2;
	uint32_t latch_at, latch;	/* high half of the 64-bit register last read */
};

struct damf_core {
	struct damf_core_config cfg;
	const struct damf_host_ops *ops;
	void *opaque;

	struct damf_regs regs;
	bool ready, fatal, enable_pending;
	uint32_t fatal_code, resets;
	uint64_t stat_doorbells, stat_irqs, stat_jobs;

	struct damf_ring admin;
	struct damf_admin_sqe waiting[DAMF_MAX_WAITING]; /* for the engine, in order */
	unsigned int nwaiting;

	struct damf_context **contexts;	/* by id, from 1 */
	struct damf_ioq **queues;	/* by id, from 1 */
	unsigned int turn[DAMF_PRIORITIES]; /* the queue served last */
	uint64_t tlb_entries;		/* of all contexts */

	struct damf_run run;
	struct damf_work work;
	struct damf_arena arena;
	atomic_uint stop;
	_Atomic uint64_t progress;
};

/* core.c */
void damf_core_fatal(struct damf_core *core, unsigned int code, const char *why);
void damf_core_guest_error(struct damf_core *core, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void damf_core_irq(struct damf_core *core, unsigned int vector);
uint64_t damf_core_features(const struct damf_core *core);
/* Sets the device up by its registers, now or when the last run has ended. */
void damf_core_enable(struct damf_core *core);

/* admin.c: one command, or the rest of one that waited; false if there is none. */
bool damf_admin_step(struct damf_core *core);
/* Commands as they come while a job is on the engine. */
void damf_admin_serve(struct damf_core *core);

/* sched.c */
void damf_signal_all(struct damf_core *core);
/* Whether the engine is at a job of this context. */
bool damf_engine_in(const struct damf_core *core, const struct damf_context *ctx);

#endif /* DAMF_DEVICE_H */
