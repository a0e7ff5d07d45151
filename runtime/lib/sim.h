/* SPDX-License-Identifier: MIT */
/*
 * Backend "sim": the whole device in this process, with a small driver for
 * it. One context, one address space; a bus of host memory made of ranges.
 *
 * Locks: admin_lock (one admin command at a time) before lock, which is the
 * host's lock of damf_core.h and guards everything else here.
 */
#ifndef DAMF_SIM_H
#define DAMF_SIM_H

#include "backend.h"
#include "backend_ranges.h"
#include "damf_core.h"
#include "damf_hw.h"
#include "damf_kernels.h"

#define SIM_CONTEXT	1	/* the only one */
#define SIM_MAX_QUEUES	64
#define SIM_ADMIN_LOG2	3

/* Host memory that the device reaches at a bus address. */
struct sim_mem {
	void *host;
	uint64_t bus, size;
};

struct sim_table {
	struct sim_mem mem;		/* 512 entries */
	struct sim_table *child[DAMF_PT_ENTRIES];
};

/* Both rings of a queue, and this side's counts. */
struct sim_rings {
	struct sim_mem sq, cq, shared;
	unsigned int log2;
	uint32_t sq_tail, cq_head;
};

struct sim_queue {
	struct damf_queue *base;
	struct sim_rings rings;
	unsigned int id, vector;
	uint64_t ended;			/* completions seen */
};

struct sim_device {
	struct damf_device *dev;
	struct damf_par *par;
	struct damf_core_config cfg;
	pthread_mutex_t admin_lock;

	pthread_mutex_t lock;
	pthread_cond_t kicked_cond;	/* for the engine thread */
	pthread_cond_t admin_cond;	/* an admin command may have ended */
	pthread_t engine;
	bool running, quit, kicked, dead;
	bool stopped;			/* a fault has stopped the context */
	bool context;			/* the context exists */
	struct damf_core *core;
	struct damf_ranges bus, va, local;
	void *local_map;
	struct sim_table *root;
	struct sim_rings admin;
	struct sim_queue *queues[SIM_MAX_QUEUES + 1];	/* by id, from 1 */
	uint64_t irqs_pending;		/* bit n: vector n */
	uint64_t db_offset;
	struct damf_device_stats stats;
};

/* sim_mmu.c; sim->lock is held */
int damf_sim_mem_alloc(struct sim_device *sim, uint64_t size, struct sim_mem *mem);
void damf_sim_mem_free(struct sim_device *sim, struct sim_mem *mem);
struct sim_table *damf_sim_table_new(struct sim_device *sim);
void damf_sim_table_free(struct sim_device *sim, struct sim_table *table, int level);

/* sim_mmu.c */
int damf_sim_buffer_create(struct damf_buffer *buf, struct damf_error *err);
void damf_sim_buffer_destroy(struct damf_buffer *buf);

/* sim_queue.c; sim->lock is held */
int damf_sim_rings_alloc(struct sim_device *sim, unsigned int log2, struct sim_rings *rings);
void damf_sim_rings_free(struct sim_device *sim, struct sim_rings *rings);
void damf_sim_service_irqs(struct sim_device *sim);
void damf_sim_die(struct sim_device *sim);

/* sim_queue.c: an admin command and its end; enum damf_status or -ENODEV */
int damf_sim_admin(struct sim_device *sim, const struct damf_admin_sqe *cmd);
int damf_sim_queue_create(struct damf_queue *queue, struct damf_error *err);
void damf_sim_queue_destroy(struct damf_queue *queue);
int damf_sim_submit(struct damf_queue *queue, struct damf_inflight *slot, struct damf_error *err);

#endif /* DAMF_SIM_H */
