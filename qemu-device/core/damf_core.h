/* SPDX-License-Identifier: MIT */
/*
 * The DAMF device in plain C: registers, rings, MMU, validation, engine,
 * counters and timing model, with no dependency on an emulator. A host (the
 * QEMU wrapper, the in-process simulator, a test) gives it memory access and
 * an interrupt line through struct damf_host_ops, and drives it.
 *
 * Locking: the host has one lock (QEMU's big lock, the simulator's mutex).
 * Every function here is called with it held, but for damf_core_run(), which
 * computes without it. One engine thread does, for ever:
 *
 *	lock
 *	while (!quit) {
 *		if (!damf_core_next(core)) {	// takes the next piece of work
 *			wait for kick
 *			continue;
 *		}
 *		unlock; damf_core_run(core); lock
 *		damf_core_commit(core);		// results, completions, interrupts
 *	}
 *	unlock
 *
 * damf_core_next() serves the rings: it reads entries, runs admin commands,
 * translates, copies and checks jobs, and prepares one job for the engine.
 */
#ifndef DAMF_CORE_H
#define DAMF_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct damf_core;
struct damf_par;
struct damf_head;
struct damf_job;
struct damf_counters;

/* Called with the host's lock held, except log. */
struct damf_host_ops {
	/* Bus memory (system memory as the device sees it); 0, or -1 if the bus refuses. */
	int (*dma_read)(void *opaque, uint64_t addr, void *buf, uint64_t len);
	int (*dma_write)(void *opaque, uint64_t addr, const void *buf, uint64_t len);
	/* Order earlier dma_write()s before later ones, and a store before a later load. */
	void (*barrier)(void *opaque);
	/* Raise MSI-X vector; vector < num_vectors of the configuration. */
	void (*irq)(void *opaque, unsigned int vector);
	/* Monotonic clock in ns, the one of DAMF_REG_TIME. */
	uint64_t (*now_ns)(void *opaque);
	/* There may be work: wake the engine thread. */
	void (*kick)(void *opaque);
	/* The guest did something wrong; one line without newline. May be NULL. */
	void (*guest_error)(void *opaque, const char *msg);
};

#define DAMF_CORE_SCRATCHPAD_MIN (64u << 10)

struct damf_core_config {
	size_t size;			/* sizeof(struct damf_core_config) */
	unsigned int max_queues;	/* I/O queues, 1..1024 */
	unsigned int max_contexts;	/* 1..4096 */
	unsigned int num_vectors;	/* 1.. */
	uint64_t local_size;		/* bytes at local, a multiple of 2 MiB; may be 0 */
	void *local;			/* local memory, kept by the host, page aligned */
	struct damf_par *par;		/* threads of the engine, kept by the host */
	/* the modelled machine; energies in fJ (hardware.rst: Timing and energy model) */
	uint64_t clock_hz;
	unsigned int macs_per_cycle, bytes_per_cycle;
	uint64_t scratchpad;		/* bytes, at least DAMF_CORE_SCRATCHPAD_MIN */
	unsigned int energy_mac, energy_int8, energy_shift, energy_exp, energy_div;
	unsigned int energy_scratch, energy_memory;	/* of a byte */
	/* bytes of private copies and scratch that one job may take */
	uint64_t max_work;
};
void damf_core_config_init(struct damf_core_config *cfg);

/* NULL with one line in err if the configuration is not valid. */
struct damf_core *damf_core_new(const struct damf_core_config *cfg,
				const struct damf_host_ops *ops, void *opaque,
				char *err, size_t errlen);
/* The engine thread has ended. */
void damf_core_free(struct damf_core *core);

/* BAR0. size is 4 or 8; any offset: what is not a register reads as ones. */
uint64_t damf_core_read(struct damf_core *core, uint64_t offset, unsigned int size);
void damf_core_write(struct damf_core *core, uint64_t offset, uint64_t value, unsigned int size);
/* Bytes of BAR0, a power of two. */
uint64_t damf_core_bar_size(const struct damf_core_config *cfg);

/* The engine loop, see above. */
bool damf_core_next(struct damf_core *core);
void damf_core_run(struct damf_core *core);
void damf_core_commit(struct damf_core *core);

/*
 * Reset as FLR or power does, without waiting: the running job is told to
 * stop and its results are dropped at commit; everything else is as new when
 * this returns. Counters of DAMF_REG_STAT_* are kept if keep_stats.
 */
void damf_core_reset(struct damf_core *core, bool keep_stats);
/* Whether damf_core_run() may still touch memory: reset has been done, but
 * the run has not yet come to commit. */
bool damf_core_busy(const struct damf_core *core);

/*
 * The engine without the device around it, for the CPU backend: run one list
 * against a flat address space. translate() gives the host address of a
 * range of device addresses (NULL: fault). Same checks, kernels and counters
 * as the device. result is filled as a completion is.
 */
struct damf_direct;
struct damf_direct_ops {
	void *(*translate)(void *opaque, uint64_t va, uint64_t len, bool write);
};
struct damf_list_result {
	uint16_t status, field, access;
	uint32_t index;
	uint64_t fault_addr, cycles;
};
struct damf_direct *damf_direct_new(const struct damf_core_config *cfg,
				    const struct damf_direct_ops *ops, void *opaque,
				    char *err, size_t errlen);
void damf_direct_free(struct damf_direct *d);
/* Not thread-safe: one list at a time. list and counters are device addresses. */
void damf_direct_run(struct damf_direct *d, uint64_t list, uint32_t count, uint32_t first,
		     uint64_t counters, struct damf_list_result *result);
/* From any thread: give up the running list at the next tile (status ABORTED). */
void damf_direct_stop(struct damf_direct *d);

/*
 * A table of heads in memory of this process, checked as that of an attention
 * job with weights of so many columns (nqk, npq 0: they are left out). A
 * status of damf_hw.h; if it isn't OK field receives the field's name.
 */
unsigned int damf_core_check_heads(const struct damf_head *heads, uint32_t n, uint32_t nqk,
				   uint32_t nv, uint32_t npq, char *field, size_t len);

/* For messages: the name of a status, of an opcode, and of the field at a
 * byte offset of struct damf_job ("tensor[Y].stride"). */
const char *damf_status_name(unsigned int status);
const char *damf_opcode_name(unsigned int opcode);
const char *damf_job_field_name(unsigned int opcode, unsigned int offset, char *buf, size_t len);

#endif /* DAMF_CORE_H */
