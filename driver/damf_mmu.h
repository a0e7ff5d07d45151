/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __DAMF_MMU_H__
#define __DAMF_MMU_H__

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include <drm/drm_mm.h>

#include <damf_hw.h>

struct damf_bo;
struct damf_device;
struct drm_device;
struct drm_file;

/**
 * struct damf_table - a page table
 * @link: in a list of tables to free
 * @entries: DAMF_PT_ENTRIES of them
 * @dma: their bus address
 * @used: entries that are valid
 * @child: tables that entries point to; NULL in a table of the last level
 */
struct damf_table {
	struct list_head link;
	__le64 *entries;
	dma_addr_t dma;
	unsigned int used;
	struct damf_table **child;
};

/**
 * struct damf_vm - the address space of a client
 * @ref: held by the file, by queues and so by lists
 * @damf: device
 * @link: in &damf_device.vms
 * @lock: protects addresses and tables
 * @mm: allocator of addresses
 * @mapped: bytes mapped
 * @local_maps: mappings of local memory
 * @root: root table, NULL once the device is unbound
 * @context: id of the context, 0: there is none yet
 * @live: the device has the context; see damf_admin_set()
 * @emit_lock: held while lists are put into rings, and while the context is
 *	       stopped and lists are put in anew; taken within reset_sem
 * @recover: stops the context and starts it again
 * @lost: local memory that the client has mapped has lost its contents, if it
 *	  has any
 * @busy_ns: time that lists were on the engine
 * @cycles: modelled cycles of lists
 */
struct damf_vm {
	struct kref ref;
	struct damf_device *damf;
	struct list_head link;

	struct mutex lock; /* mm, mapped, local_maps, root and what is below it */
	struct drm_mm mm;
	u64 mapped;
	unsigned int local_maps;
	struct damf_table *root;

	unsigned int context;
	bool live;
	struct mutex emit_lock; /* what goes into rings, and when */
	struct work_struct recover;
	bool lost;

	atomic64_t busy_ns;
	atomic64_t cycles;
};

/* Whether what a client has in local memory is gone. */
static inline bool damf_vm_is_lost(struct damf_vm *vm)
{
	return READ_ONCE(vm->lost) && READ_ONCE(vm->local_maps);
}

/* damf_mmu.c */
struct damf_vm *damf_vm_create(struct damf_device *damf);
struct damf_vm *damf_vm_get(struct damf_vm *vm);
void damf_vm_put(struct damf_vm *vm);
void damf_vm_close(struct damf_vm *vm);
int damf_vm_start(struct damf_vm *vm);
int damf_vm_send_create(struct damf_vm *vm);
void damf_vms_unbind(struct damf_device *damf);
int damf_ioctl_vm_map(struct drm_device *dev, void *data, struct drm_file *file);
int damf_ioctl_vm_unmap(struct drm_device *dev, void *data, struct drm_file *file);

/* damf_table.c */
struct damf_table *damf_table_create(struct damf_device *damf, bool is_last);
void damf_tables_free(struct damf_device *damf, struct list_head *tables);
void damf_table_free_tree(struct damf_device *damf, struct damf_table *table);
int damf_table_map(struct damf_vm *vm, u64 va, struct damf_bo *bo, u64 offset, u64 size,
		   u64 bits);
void damf_table_unmap(struct damf_vm *vm, u64 *start, u64 *end, struct list_head *tables);

#endif /* __DAMF_MMU_H__ */
