/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __DAMF_DEVICE_H__
#define __DAMF_DEVICE_H__

#include <linux/atomic.h>
#include <linux/idr.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/semaphore.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <drm/drm_device.h>
#include <drm/drm_mm.h>
#include <drm/drm_print.h>

#include <damf_hw.h>

/* Results of a queue that are kept, and so the most that may be in flight. */
#define DAMF_RESULTS		1024

/**
 * struct damf_caps - what the registers tell, read once
 * @version: DAMF_REG_VERSION
 * @max_queues: I/O queues
 * @max_contexts: contexts
 * @max_entries: entries of a queue that clients may ask for
 * @max_jobs: layer jobs in a list
 * @max_rows: tokens in a batch
 * @max_seqs: sequences in a batch
 * @max_width: columns of a tensor
 * @max_heads: heads of an attention job
 * @max_length: tokens in a sequence
 * @num_vectors: MSI-X vectors
 * @db_offset: offset in BAR 0 of doorbell page 0
 * @features: features accepted
 * @opcodes: layer job opcodes
 * @types: tensor types
 * @modes: attention modes
 * @max_tensor: bytes of a tensor
 * @clock_hz: modelled clock
 * @local_size: bytes of local memory
 * @scratchpad: bytes of the modelled scratchpad
 * @macs_per_cycle: modelled lanes
 * @bytes_per_cycle: modelled bandwidth of memory
 * @energy_mac: modelled energy of an f32 multiply-add, in fJ
 * @energy_int8: modelled energy of an int8 multiply-add, in fJ
 * @energy_shift: modelled energy of a shift and add, in fJ
 * @energy_exp: modelled energy of an exponential, in fJ
 * @energy_div: modelled energy of a division, in fJ
 * @energy_scratch: modelled energy of a byte of the scratchpad, in fJ
 * @energy_memory: modelled energy of a byte of memory, in fJ
 * @numerics: version of the arithmetic
 */
struct damf_caps {
	u32 version;
	u32 max_queues;
	u32 max_contexts;
	u32 max_entries;
	u32 max_jobs;
	u32 max_rows;
	u32 max_seqs;
	u32 max_width;
	u32 max_heads;
	u32 max_length;
	u32 num_vectors;
	u32 db_offset;
	u64 features;
	u64 opcodes;
	u64 types;
	u64 modes;
	u64 max_tensor;
	u64 clock_hz;
	u64 local_size;
	u64 scratchpad;
	u32 macs_per_cycle;
	u32 bytes_per_cycle;
	u32 energy_mac;
	u32 energy_int8;
	u32 energy_shift;
	u32 energy_exp;
	u32 energy_div;
	u32 energy_scratch;
	u32 energy_memory;
	u32 numerics;
};

/**
 * struct damf_admin - the admin queue
 * @lock: protects all of it; taken in the interrupt handler
 * @mem: memory of rings and indices
 * @dma: its bus address
 * @sq: submission ring
 * @cq: completion ring
 * @shared: indices
 * @sq_tail: entries written
 * @cq_head: completions consumed
 * @cookie: of the last command
 * @error: why no command can be sent now: 0, -EAGAIN in a reset, -ENODEV
 * @waiting: commands on their way, struct damf_admin_wait
 * @slots: commands that may still be sent. The device puts those that wait
 *	   for its engine aside and can hold only so many, and an abort must
 *	   always find room
 */
struct damf_admin {
	spinlock_t lock; /* all of it */
	void *mem;
	dma_addr_t dma;
	struct damf_admin_sqe *sq;
	struct damf_cqe *cq;
	struct damf_queue_shared *shared;
	u32 sq_tail;
	u32 cq_head;
	u64 cookie;
	int error;
	struct list_head waiting;
	struct semaphore slots;
};

/**
 * struct damf_vector - an MSI-X vector
 * @damf: the device
 * @index: number of the vector; 0 is the admin queue's
 * @irq: Linux interrupt number
 * @lock: protects @queues, and a queue on it from being freed
 * @queues: queues that complete by it, by &damf_queue.vector_link
 */
struct damf_vector {
	struct damf_device *damf;
	unsigned int index;
	int irq;
	spinlock_t lock; /* queues */
	struct list_head queues;
};

/**
 * struct damf_stats - counts for DRM_DAMF_QUERY_STATS
 * @submits_ioctl: lists that came by ioctl
 * @submits_uring: lists that came by io_uring
 * @completions: lists that ended
 * @doorbells: doorbells rung for I/O queues
 * @doorbells_saved: submissions that needed none
 * @interrupts: interrupts taken for I/O queues
 * @timeouts: lists that ran out of time
 * @resets: resets of the device
 */
struct damf_stats {
	atomic64_t submits_ioctl;
	atomic64_t submits_uring;
	atomic64_t completions;
	atomic64_t doorbells;
	atomic64_t doorbells_saved;
	atomic64_t interrupts;
	atomic64_t timeouts;
	atomic64_t resets;
};

/**
 * struct damf_counts - what clients hold, for debugfs
 * @files: open files
 * @objects: buffers in system memory, imported ones too
 * @local_objects: buffers in local memory
 * @mappings: mappings in address spaces
 * @tables: page tables
 * @pages: pages mapped for DMA
 * @contexts: contexts of the device
 * @queues: queues
 * @lists: lists that have not been freed
 */
struct damf_counts {
	atomic64_t files;
	atomic64_t objects;
	atomic64_t local_objects;
	atomic64_t mappings;
	atomic64_t tables;
	atomic64_t pages;
	atomic64_t contexts;
	atomic64_t queues;
	atomic64_t lists;
};

/**
 * struct damf_device - an accelerator
 * @drm: DRM device
 * @pdev: PCI function
 * @regs: BAR 0
 * @local: BAR 2, or NULL
 * @local_phys: physical address of BAR 2
 * @caps: what the device can do
 * @admin: admin queue
 * @vectors: MSI-X vectors
 * @num_vectors: their number
 * @reset_sem: held for reading by whoever counts on the state of the device,
 *	       for writing while it is reset
 * @resetting: a reset is due or under way
 * @reset_why: why
 * @reset_wait: for the end of it
 * @reset_work: does it
 * @reset_count: resets since a list has ended well
 * @health_work: looks for errors after an interrupt of vector 0
 * @lost: the device is gone or beyond repair: it is not accessed any more
 * @wq: ordered: timeouts, recovery and resets run one at a time
 * @local_lock: protects @local_mm and @local_free
 * @local_mm: allocator of local memory
 * @local_free: bytes of it that are free
 * @queues: queues by the device's id, struct damf_queue
 * @queue_lock: keeps a queue in @queues from being freed
 * @contexts: ids of contexts
 * @vm_lock: protects @vms
 * @vms: all address spaces
 * @bo_lock: protects @bos
 * @bos: all buffers that have memory
 * @stats: counts for clients
 * @counts: counts for debugfs
 */
struct damf_device {
	struct drm_device drm;
	struct pci_dev *pdev;
	void __iomem *regs;
	void __iomem *local;
	resource_size_t local_phys;
	struct damf_caps caps;
	struct damf_admin admin;
	struct damf_vector *vectors;
	unsigned int num_vectors;

	struct rw_semaphore reset_sem;
	bool resetting;
	const char *reset_why;
	wait_queue_head_t reset_wait;
	struct work_struct reset_work;
	atomic_t reset_count;
	struct work_struct health_work;
	bool lost;
	struct workqueue_struct *wq;

	struct mutex local_lock; /* local_mm, local_free */
	struct drm_mm local_mm;
	u64 local_free;

	struct xarray queues;
	struct mutex queue_lock; /* the life of queues */
	struct ida contexts;
	struct mutex vm_lock; /* vms */
	struct list_head vms;
	struct mutex bo_lock; /* bos */
	struct list_head bos;

	struct damf_stats stats;
	struct damf_counts counts;
};

#define to_damf(dev) container_of(dev, struct damf_device, drm)

static inline u32 damf_read(struct damf_device *damf, unsigned int reg)
{
	return readl(damf->regs + reg);
}

static inline u64 damf_read64(struct damf_device *damf, unsigned int reg)
{
	return lo_hi_readq(damf->regs + reg);
}

static inline void damf_write(struct damf_device *damf, unsigned int reg, u32 value)
{
	writel(value, damf->regs + reg);
}

static inline bool damf_lost(struct damf_device *damf)
{
	return READ_ONCE(damf->lost);
}

extern unsigned int damf_timeout_ms;
extern struct pci_driver damf_pci_driver;

/* damf_device.c */
int damf_hw_reset(struct damf_device *damf);
int damf_hw_enable(struct damf_device *damf);
void damf_hw_off(struct damf_device *damf);

/* damf_admin.c */
int damf_admin_alloc(struct damf_device *damf);
void damf_admin_free(struct damf_device *damf);
void damf_admin_start(struct damf_device *damf);
void damf_admin_stop(struct damf_device *damf, int error);
void damf_admin_poll(struct damf_device *damf);
int damf_admin_run(struct damf_device *damf, const struct damf_admin_sqe *cmd,
		   unsigned int timeout_ms, struct work_struct *late);
int damf_admin_set(struct damf_device *damf, const struct damf_admin_sqe *cmd, bool *state,
		   bool value);
int damf_admin_flush(struct damf_device *damf, unsigned int context, u64 start, u64 length,
		     struct work_struct *late);
int damf_status_errno(unsigned int status);

/* damf_recover.c */
void damf_recover_init(struct damf_device *damf);
void damf_reset_schedule(struct damf_device *damf, const char *why);
void damf_reset_wait(struct damf_device *damf);
void damf_lose(struct damf_device *damf);

/* damf_debugfs.c */
void damf_debugfs_init(struct damf_device *damf);

#endif /* __DAMF_DEVICE_H__ */
