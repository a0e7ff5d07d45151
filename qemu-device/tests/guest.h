/* SPDX-License-Identifier: MIT */
/* What a driver does, by qtest: the bus, the rings, one context's memory. */
#ifndef DAMF_QTEST_GUEST_H
#define DAMF_QTEST_GUEST_H

#include "damf_hw.h"
#include "qtest.h"

/* Where things lie in the machine. */
#define GUEST_REGS	0xe0000000ull
#define GUEST_MSIX	0xe1000000ull
#define GUEST_LOCAL	0xf0000000ull
#define GUEST_MSI	0x00200000ull	/* vector n writes 0x1000 + n to the n-th word */
#define GUEST_RINGS	0x00300000ull	/* a queue: 64 KiB */
#define GUEST_TABLES	0x00500000ull	/* page tables of context 1 */
#define GUEST_DATA	0x00800000ull	/* mapped one to one in context 1, 4 MiB */
#define GUEST_DATA_SIZE	0x00400000ull
#define GUEST_LOCAL_VA	0x40000000ull	/* the first 2 MiB of local memory */
#define GUEST_DATA_LIST	(GUEST_DATA)
#define GUEST_DATA_OUT	(GUEST_DATA + 0x100000)

#define GUEST_LOG2	4

struct guest_queue {
	uint64_t sq, cq, shared;
	uint32_t tail, head;
	unsigned int id;
};

struct guest {
	struct qtest *q;
	struct guest_queue admin, io;
	unsigned int msix, express;	/* offsets of capabilities */
};

/* Starts QEMU and sets up buses, BARs and MSI-X; the device is not enabled. */
void guest_start(struct guest *g, const char *properties);
void guest_end(struct guest *g);
void guest_setup_bus(struct guest *g);
void guest_setup_device(struct guest *g);

uint32_t guest_reg32(struct guest *g, unsigned int reg);
uint64_t guest_reg64(struct guest *g, unsigned int reg);
void guest_set32(struct guest *g, unsigned int reg, uint32_t value);
void guest_set64(struct guest *g, unsigned int reg, uint64_t value);
uint32_t guest_config(struct guest *g, unsigned int offset, unsigned int size);
void guest_config_set(struct guest *g, unsigned int offset, unsigned int size, uint32_t value);
unsigned int guest_find_cap(struct guest *g, unsigned int id);

/* Enables the device with an empty admin queue. */
void guest_enable(struct guest *g);
/* Runs an admin command; returns its status. */
unsigned int guest_admin(struct guest *g, struct damf_admin_sqe *sqe);
/* Context 1 with its page tables, and I/O queue 1 with vector 1. */
void guest_make_context(struct guest *g);
void guest_make_queue(struct guest *g);

/* Puts an entry into a ring without telling the device. */
void guest_put(struct guest *g, struct guest_queue *q, const void *sqe);
void guest_ring(struct guest *g, struct guest_queue *q);
/* Takes the next completion, waiting for it. */
struct damf_cqe guest_take(struct guest *g, struct guest_queue *q);
bool guest_has_completion(struct guest *g, struct guest_queue *q);

/* Writes a list of fills of words of pattern at va, and an entry to run it. */
struct damf_job guest_fill(uint64_t va, uint32_t words, uint32_t pattern);
struct damf_sqe guest_exec(struct guest *g, const struct damf_job *jobs, unsigned int count);
struct damf_cqe guest_run(struct guest *g, const struct damf_job *jobs, unsigned int count);

/* The guest's part in hotplug: power of the slot; both sides of device_del. */
void guest_slot_power(struct guest *g, bool on);
void guest_unplug(struct guest *g);
/* device_del while the slot is switched off. */
void guest_unplug_off(struct guest *g);

/* The word that vector n writes; 0: it has not been raised since it was cleared. */
uint32_t guest_msi(struct guest *g, unsigned int vector);
void guest_clear_msi(struct guest *g);

#endif /* DAMF_QTEST_GUEST_H */
