/* SPDX-License-Identifier: MIT */
/*
 * libdamf: run transformer encoders with DAMF or exact attention on the DAMF
 * accelerator, on its model in this process, or on the CPU, with the same
 * numbers on each.
 *
 * Every call that can fail returns 0 or a negative errno (or a count where
 * said) and fills the struct damf_error it is given, which may be NULL.
 * Objects are opaque. A free function takes NULL. There is no global state
 * but the choice of instruction set. The library never prints, never aborts,
 * and leaves errno, signals, locale and the floating-point environment of
 * the caller alone.
 */
#ifndef DAMF_H
#define DAMF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)	/* the rest of the library is hidden */
#endif

#define DAMF_VERSION_STRING "0.1.0"

/* One line that names the thing and the remedy. */
struct damf_error {
	int code;		/* negative errno */
	char text[508];
};

const char *damf_version(void);

/* ==== Low layer: device, buffer, address space, queue, submission ========= */

/*
 * A device: one client of the accelerator ("device"), of the device model in
 * this process ("sim"), or of the CPU engine ("cpu"); all three run the same
 * lists of layer jobs (damf_hw.h).
 *
 * Threads: a device, its buffers and queues may be used by several threads,
 * but one queue by one thread at a time.
 */
struct damf_device;
struct damf_buffer;
struct damf_queue;

enum damf_submit_path { DAMF_SUBMIT_URING = 0, DAMF_SUBMIT_IOCTL = 1 };

struct damf_device_options {
	size_t size;			/* sizeof(struct damf_device_options) */
	enum damf_submit_path path;	/* "device" only; uring falls back to ioctl where not allowed */
	unsigned int threads;		/* "cpu", "sim": 0: as many as cores allowed */
	uint64_t local_size;		/* "sim": local memory, 0: 256 MiB */
};

/*
 * name: "auto" (the accelerator if there is a usable one, else the CPU),
 * "device" (the first one), "device:/dev/accel/accelN", "sim" or "cpu".
 * opt may be NULL.
 */
int damf_device_open(const char *name, const struct damf_device_options *opt,
		     struct damf_device **dev, struct damf_error *err);
/* Buffers and queues of it have been freed before. */
void damf_device_close(struct damf_device *dev);

struct damf_device_info {
	size_t size;
	char backend[16];		/* "device", "sim", "cpu" */
	char path[64];			/* node, or "" */
	char submit[16];		/* "io_uring", "ioctl", "direct" */
	char reason[160];		/* why this backend and this path */
	char isa[16];			/* kernels in use; "" for "device" */
	uint32_t hw_version, max_jobs, max_rows, max_seqs, max_width, max_heads, max_length;
	uint64_t features, opcodes, types, modes, local_size, local_free, max_tensor, clock_hz;
	uint32_t numerics;		/* version of the arithmetic */
	/* the modelled machine: lanes, bytes of memory a cycle, fJ of each kind of operation
	 * and of a byte, bytes of scratchpad */
	uint32_t macs_per_cycle, bytes_per_cycle;
	uint32_t energy_mac, energy_int8, energy_shift, energy_exp, energy_div;
	uint32_t energy_scratch, energy_memory;
	uint64_t scratchpad;
};
/* info->size is set by the caller. */
int damf_device_get_info(struct damf_device *dev, struct damf_device_info *info,
			 struct damf_error *err);

struct damf_device_stats {
	size_t size;
	uint64_t submits_ioctl, submits_uring, submits_direct, completions;
	uint64_t doorbells, doorbells_saved, interrupts, timeouts, resets;
};
int damf_device_get_stats(struct damf_device *dev, struct damf_device_stats *stats,
			  struct damf_error *err);

#define DAMF_BUFFER_LOCAL	(1u << 0)	/* in local memory; no meaning on "cpu" */
#define DAMF_BUFFER_READONLY	(1u << 1)	/* the device may not write */

/* A buffer of at least size bytes, zeroed, CPU-mapped and mapped in the
 * client's address space, for its life. */
int damf_buffer_create(struct damf_device *dev, uint64_t size, unsigned int flags,
		       struct damf_buffer **buf, struct damf_error *err);
/* Nothing in flight uses it. */
void damf_buffer_free(struct damf_buffer *buf);
void *damf_buffer_map(struct damf_buffer *buf);		/* page aligned */
uint64_t damf_buffer_va(const struct damf_buffer *buf);	/* device address, page aligned */
uint64_t damf_buffer_size(const struct damf_buffer *buf);
/* After the CPU wrote, before a submission. */
int damf_buffer_to_device(struct damf_buffer *buf, uint64_t offset, uint64_t size,
			  struct damf_error *err);
/* After a completion, before the CPU reads. */
int damf_buffer_from_device(struct damf_buffer *buf, uint64_t offset, uint64_t size,
			    struct damf_error *err);

/* priority: enum damf_priority of damf_hw.h; entries: lists in flight, 0: default */
int damf_queue_create(struct damf_device *dev, unsigned int priority, unsigned int entries,
		      struct damf_queue **queue, struct damf_error *err);
/* Waits for what is in flight, or cancels it. */
void damf_queue_free(struct damf_queue *queue);
/* Readable when a completion can be taken, now and then before: poll() it,
 * then damf_queue_wait() with timeout 0 tells. Kept by the queue. */
int damf_queue_eventfd(struct damf_queue *queue);

#define DAMF_LIST_REPLAYABLE	(1u << 0)

struct damf_list {
	size_t size;
	uint64_t list;		/* device address of struct damf_job[count] */
	uint64_t counters;	/* device address of struct damf_counters[count], or 0 */
	uint32_t count, first;
	uint32_t flags;		/* DAMF_LIST_* */
};
/* Queues a list; *seqno numbers it on its queue, from 1. -EAGAIN: the queue
 * is full, take a completion first. -ENODEV: the device is lost. */
int damf_queue_submit(struct damf_queue *queue, const struct damf_list *list,
		      uint64_t *seqno, struct damf_error *err);

struct damf_completion {
	size_t size;
	uint64_t seqno;
	int error;		/* 0 or negative errno; -ENODEV: the device is lost */
	uint16_t status;	/* enum damf_status */
	uint16_t field;
	uint32_t index;
	uint64_t fault_addr, start_ns, end_ns, cycles;
	char text[200];		/* if error: which job and field, and what is wrong */
};
/* Takes the next completion, in order of submission. timeout_ns: 0: don't
 * wait, negative: for ever. -ETIME: none yet; -ENOENT: nothing in flight. */
int damf_queue_wait(struct damf_queue *queue, int64_t timeout_ns,
		    struct damf_completion *done, struct damf_error *err);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

/* ==== Models and sessions ================================================= */

#include "damf_model.h"

#endif /* DAMF_H */
