/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
#ifndef _UAPI_DAMF_ACCEL_H_
#define _UAPI_DAMF_ACCEL_H_

#include "drm.h"

#if defined(__cplusplus)
extern "C" {
#endif

/**
 * DOC: uAPI of the DAMF accelerator
 *
 * Rules for every struct here:
 *
 * - 64-bit aligned, the same on 32 and 64 bits, no holes; padding and unknown
 *   flags must be zero, otherwise the call fails with EINVAL.
 * - A new field goes at the end and keeps the old behaviour when it is zero.
 * - Arrays are given with the size of their elements, so that elements may
 *   grow in the same way.
 *
 * A file is one client: it has one address space, in which the kernel chooses
 * the addresses, and its queues. What layer jobs look like is told by
 * damf_hw.h; the kernel never reads them.
 *
 * DRM_IOCTL_DAMF_SUBMIT may also be issued through io_uring: an
 * IORING_OP_URING_CMD with cmd_op = DRM_IOCTL_DAMF_SUBMIT and the address of
 * struct drm_damf_submit in sqe->addr; len, uring_cmd_flags and the command's
 * own bytes are zero. It then completes when the list has ended, with 0 or the
 * negative errno of struct drm_damf_result.error; seqno is written back when
 * it is queued.
 */

enum drm_damf_ioctl_id {
	/** @DRM_DAMF_DEV_QUERY: what the device is and can do */
	DRM_DAMF_DEV_QUERY = 0,
	/** @DRM_DAMF_BO_CREATE: create a buffer */
	DRM_DAMF_BO_CREATE,
	/** @DRM_DAMF_BO_MMAP_OFFSET: where to mmap a buffer */
	DRM_DAMF_BO_MMAP_OFFSET,
	/** @DRM_DAMF_BO_SYNC: hand a buffer from the CPU to the device or back */
	DRM_DAMF_BO_SYNC,
	/** @DRM_DAMF_VM_MAP: map a buffer in the client's address space */
	DRM_DAMF_VM_MAP,
	/** @DRM_DAMF_VM_UNMAP: remove a mapping */
	DRM_DAMF_VM_UNMAP,
	/** @DRM_DAMF_QUEUE_CREATE: create a queue */
	DRM_DAMF_QUEUE_CREATE,
	/** @DRM_DAMF_QUEUE_DESTROY: destroy a queue */
	DRM_DAMF_QUEUE_DESTROY,
	/** @DRM_DAMF_SUBMIT: submit a list of layer jobs */
	DRM_DAMF_SUBMIT,
	/** @DRM_DAMF_RESULT: wait for a list and tell how it ended */
	DRM_DAMF_RESULT,
};

/** enum drm_damf_query - what DRM_DAMF_DEV_QUERY tells */
enum drm_damf_query {
	/** @DRM_DAMF_QUERY_INFO: struct drm_damf_info */
	DRM_DAMF_QUERY_INFO = 0,
	/** @DRM_DAMF_QUERY_STATS: struct drm_damf_stats */
	DRM_DAMF_QUERY_STATS,
};

/** struct drm_damf_dev_query - argument of DRM_IOCTL_DAMF_DEV_QUERY */
struct drm_damf_dev_query {
	/** @type: enum drm_damf_query */
	__u32 type;
	/**
	 * @size: bytes at @pointer; returns the bytes that the kernel has. With
	 * @pointer zero nothing else is done. A shorter struct is cut, a longer
	 * one filled with zeros.
	 */
	__u32 size;
	/** @pointer: user address of the struct to fill */
	__u64 pointer;
};

/** struct drm_damf_info - the device, as its registers tell */
struct drm_damf_info {
	/** @hw_version: DAMF_REG_VERSION */
	__u32 hw_version;
	/** @max_queues: queues of the device */
	__u32 max_queues;
	/** @features: feature bits in use */
	__u64 features;
	/** @opcodes: bitmap of layer job opcodes */
	__u64 opcodes;
	/** @types: bitmap of tensor types */
	__u64 types;
	/** @modes: bitmap of attention modes */
	__u64 modes;
	/** @local_size: bytes of local memory */
	__u64 local_size;
	/** @local_free: bytes of it that are free now */
	__u64 local_free;
	/** @max_tensor: bytes of the largest tensor */
	__u64 max_tensor;
	/** @clock_hz: modelled clock */
	__u64 clock_hz;
	/** @max_jobs: jobs in a list */
	__u32 max_jobs;
	/** @max_rows: tokens in a batch */
	__u32 max_rows;
	/** @max_seqs: sequences in a batch */
	__u32 max_seqs;
	/** @max_width: columns of a tensor */
	__u32 max_width;
	/** @max_heads: heads of an attention job */
	__u32 max_heads;
	/** @max_length: tokens of a sequence */
	__u32 max_length;
	/** @va_bits: width of an address */
	__u32 va_bits;
	/** @max_entries: entries of a queue */
	__u32 max_entries;
	/** @scratchpad: bytes of the modelled scratchpad; 0: the device doesn't tell */
	__u64 scratchpad;
	/** @macs_per_cycle: modelled lanes */
	__u32 macs_per_cycle;
	/** @bytes_per_cycle: modelled bandwidth of memory */
	__u32 bytes_per_cycle;
	/** @energy_mac: modelled energy of an f32 multiply-add in fJ, like those below */
	__u32 energy_mac;
	/** @energy_int8: of an int8 multiply-add */
	__u32 energy_int8;
	/** @energy_shift: of a shift and add */
	__u32 energy_shift;
	/** @energy_exp: of an exponential */
	__u32 energy_exp;
	/** @energy_div: of a division */
	__u32 energy_div;
	/** @energy_scratch: of a byte of the scratchpad */
	__u32 energy_scratch;
	/** @energy_memory: of a byte of memory */
	__u32 energy_memory;
	/** @numerics: version of the arithmetic */
	__u32 numerics;
};

/** struct drm_damf_stats - counts since the driver was bound */
struct drm_damf_stats {
	/** @submits_ioctl: lists that came by ioctl */
	__u64 submits_ioctl;
	/** @submits_uring: lists that came by io_uring */
	__u64 submits_uring;
	/** @completions: lists that ended */
	__u64 completions;
	/** @doorbells: doorbell writes to I/O queues */
	__u64 doorbells;
	/** @doorbells_saved: submissions that needed none */
	__u64 doorbells_saved;
	/** @interrupts: interrupts taken for I/O queues */
	__u64 interrupts;
	/** @timeouts: lists that ran out of time */
	__u64 timeouts;
	/** @resets: resets of the device */
	__u64 resets;
};

#define DRM_DAMF_BO_LOCAL	(1 << 0) /* in the device's local memory */

/** struct drm_damf_bo_create - argument of DRM_IOCTL_DAMF_BO_CREATE */
struct drm_damf_bo_create {
	/** @size: bytes; returned rounded up to pages */
	__u64 size;
	/** @flags: DRM_DAMF_BO_* */
	__u32 flags;
	/** @handle: returns the handle; the contents are zero */
	__u32 handle;
};

/** struct drm_damf_bo_mmap_offset - argument of DRM_IOCTL_DAMF_BO_MMAP_OFFSET */
struct drm_damf_bo_mmap_offset {
	/** @handle: buffer */
	__u32 handle;
	/** @pad: 0 */
	__u32 pad;
	/** @offset: returns the offset for mmap() */
	__u64 offset;
};

#define DRM_DAMF_SYNC_TO_DEVICE		(1 << 0) /* the CPU has written */
#define DRM_DAMF_SYNC_FROM_DEVICE	(1 << 1) /* the CPU will read */

/**
 * struct drm_damf_bo_sync - argument of DRM_IOCTL_DAMF_BO_SYNC
 *
 * Needed between writing through mmap and submitting, and between completion
 * and reading, on machines whose DMA isn't coherent or is bounced. It is cheap
 * where there is nothing to do.
 */
struct drm_damf_bo_sync {
	/** @handle: buffer */
	__u32 handle;
	/** @flags: one or both of DRM_DAMF_SYNC_* */
	__u32 flags;
	/** @offset: first byte */
	__u64 offset;
	/** @size: bytes */
	__u64 size;
};

#define DRM_DAMF_MAP_READONLY	(1 << 0) /* the device may not write */

/** struct drm_damf_vm_map - argument of DRM_IOCTL_DAMF_VM_MAP */
struct drm_damf_vm_map {
	/** @handle: buffer; the mapping keeps it alive */
	__u32 handle;
	/** @flags: DRM_DAMF_MAP_* */
	__u32 flags;
	/** @offset: in the buffer, a multiple of 4096 */
	__u64 offset;
	/** @size: bytes, a multiple of 4096; 0: to the end of the buffer */
	__u64 size;
	/** @va: returns the address that the kernel chose */
	__u64 va;
};

/**
 * struct drm_damf_vm_unmap - argument of DRM_IOCTL_DAMF_VM_UNMAP
 *
 * Returns when the device can no longer reach the pages. Lists in flight that
 * use the mapping fault.
 */
struct drm_damf_vm_unmap {
	/** @va: what DRM_IOCTL_DAMF_VM_MAP returned */
	__u64 va;
};

/** enum drm_damf_priority - of a queue */
enum drm_damf_priority {
	/** @DRM_DAMF_PRIORITY_LOW: when nothing else is to do */
	DRM_DAMF_PRIORITY_LOW = 0,
	/** @DRM_DAMF_PRIORITY_NORMAL: the usual one */
	DRM_DAMF_PRIORITY_NORMAL = 1,
	/** @DRM_DAMF_PRIORITY_HIGH: needs CAP_SYS_NICE */
	DRM_DAMF_PRIORITY_HIGH = 2,
};

/** struct drm_damf_queue_create - argument of DRM_IOCTL_DAMF_QUEUE_CREATE */
struct drm_damf_queue_create {
	/** @priority: enum drm_damf_priority */
	__u32 priority;
	/** @entries: lists in flight, a power of two; returns what was given; 0: default */
	__u32 entries;
	/** @flags: 0 */
	__u32 flags;
	/** @id: returns the queue's id in this file, from 1 */
	__u32 id;
};

/** struct drm_damf_queue_destroy - argument of DRM_IOCTL_DAMF_QUEUE_DESTROY */
struct drm_damf_queue_destroy {
	/** @id: queue; what is in flight on it ends with ECANCELED */
	__u32 id;
	/** @pad: 0 */
	__u32 pad;
};

#define DRM_DAMF_SYNC_WAIT	(0 << 0) /* before the list begins */
#define DRM_DAMF_SYNC_SIGNAL	(1 << 0) /* when it has ended */
#define DRM_DAMF_SYNC_TIMELINE	(1 << 1) /* point is used */

/** struct drm_damf_sync - a syncobj to wait for or to signal */
struct drm_damf_sync {
	/** @handle: syncobj */
	__u32 handle;
	/** @flags: DRM_DAMF_SYNC_* */
	__u32 flags;
	/** @point: of a timeline, else 0 */
	__u64 point;
};

#define DRM_DAMF_SUBMIT_REPLAYABLE	(1 << 0) /* may run again after a reset */

#define DRM_DAMF_MAX_SYNCS	64

/** struct drm_damf_submit - argument of DRM_IOCTL_DAMF_SUBMIT */
struct drm_damf_submit {
	/** @queue: queue id */
	__u32 queue;
	/** @flags: DRM_DAMF_SUBMIT_* */
	__u32 flags;
	/** @list: device address of struct damf_job[@count], a multiple of 64 */
	__u64 list;
	/** @counters: device address of struct damf_counters[@count], or 0 */
	__u64 counters;
	/** @count: jobs */
	__u32 count;
	/** @first: index to begin at */
	__u32 first;
	/** @syncs: user address of an array of struct drm_damf_sync, or 0 */
	__u64 syncs;
	/** @sync_count: its elements, at most DRM_DAMF_MAX_SYNCS */
	__u32 sync_count;
	/** @sync_stride: size of an element */
	__u32 sync_stride;
	/** @seqno: returns the number of this list on its queue, from 1 */
	__u64 seqno;
};

/**
 * struct drm_damf_result - argument of DRM_IOCTL_DAMF_RESULT
 *
 * Results are kept for the last 1024 lists of a queue. ENOENT: no such
 * list, or its result is gone. ETIME: it has not ended in time.
 */
struct drm_damf_result {
	/** @queue: queue id */
	__u32 queue;
	/** @flags: 0 */
	__u32 flags;
	/** @seqno: list */
	__u64 seqno;
	/** @timeout_ns: how long to wait from now; 0: don't, negative: for ever */
	__s64 timeout_ns;
	/** @start_ns: returns when the engine began, in the device's clock */
	__u64 start_ns;
	/** @end_ns: returns when it ended */
	__u64 end_ns;
	/** @cycles: returns modelled cycles */
	__u64 cycles;
	/** @fault_addr: returns the address of a fault */
	__u64 fault_addr;
	/** @error: returns 0 or a negative errno */
	__s32 error;
	/** @index: returns jobs done, on error the index of the bad one */
	__u32 index;
	/** @status: returns enum damf_status */
	__u16 status;
	/** @field: returns the byte offset of the bad field */
	__u16 field;
	/** @access: returns enum damf_access of a fault */
	__u16 access;
	/** @pad: 0 */
	__u16 pad;
};

/**
 * DRM_IOCTL_DAMF() - build an ioctl number
 * @access: R, W or WR, as seen by userspace
 * @id: enum drm_damf_ioctl_id without its prefix
 * @type: suffix of the struct
 */
#define DRM_IOCTL_DAMF(access, id, type) \
	DRM_IO ## access(DRM_COMMAND_BASE + DRM_DAMF_ ## id, struct drm_damf_ ## type)

#define DRM_IOCTL_DAMF_DEV_QUERY	DRM_IOCTL_DAMF(WR, DEV_QUERY, dev_query)
#define DRM_IOCTL_DAMF_BO_CREATE	DRM_IOCTL_DAMF(WR, BO_CREATE, bo_create)
#define DRM_IOCTL_DAMF_BO_MMAP_OFFSET	DRM_IOCTL_DAMF(WR, BO_MMAP_OFFSET, bo_mmap_offset)
#define DRM_IOCTL_DAMF_BO_SYNC		DRM_IOCTL_DAMF(WR, BO_SYNC, bo_sync)
#define DRM_IOCTL_DAMF_VM_MAP		DRM_IOCTL_DAMF(WR, VM_MAP, vm_map)
#define DRM_IOCTL_DAMF_VM_UNMAP		DRM_IOCTL_DAMF(WR, VM_UNMAP, vm_unmap)
#define DRM_IOCTL_DAMF_QUEUE_CREATE	DRM_IOCTL_DAMF(WR, QUEUE_CREATE, queue_create)
#define DRM_IOCTL_DAMF_QUEUE_DESTROY	DRM_IOCTL_DAMF(WR, QUEUE_DESTROY, queue_destroy)
#define DRM_IOCTL_DAMF_SUBMIT		DRM_IOCTL_DAMF(WR, SUBMIT, submit)
#define DRM_IOCTL_DAMF_RESULT		DRM_IOCTL_DAMF(WR, RESULT, result)

#if defined(__cplusplus)
}
#endif

#endif /* _UAPI_DAMF_ACCEL_H_ */
