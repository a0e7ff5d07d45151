// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of three levels. A table is linked when the first entry below it
 * is written and unlinked when the last one is cleared, so that what a client
 * maps and unmaps leaves nothing behind.
 */
#include <linux/dma-mapping.h>
#include <linux/scatterlist.h>

#include "damf_device.h"
#include "damf_gem.h"
#include "damf_mmu.h"

#define DAMF_LEVEL_ROOT		2
#define DAMF_LEVEL_LARGE	1
#define DAMF_SPAN(level)	(1ull << DAMF_PT_SHIFT(level)) /* of an entry */

static unsigned int damf_index(u64 va, int level)
{
	return va >> DAMF_PT_SHIFT(level) & (DAMF_PT_ENTRIES - 1);
}

/**
 * damf_table_create() - allocate a table
 * @damf: device
 * @is_last: it will have leaves only
 *
 * Return: the table, empty, or NULL.
 */
struct damf_table *damf_table_create(struct damf_device *damf, bool is_last)
{
	struct damf_table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	if (!table)
		return NULL;
	INIT_LIST_HEAD(&table->link);
	if (!is_last) {
		table->child = kcalloc(DAMF_PT_ENTRIES, sizeof(*table->child), GFP_KERNEL);
		if (!table->child)
			goto err_free;
	}
	table->entries = dma_alloc_coherent(damf->drm.dev, DAMF_PAGE_SIZE, &table->dma,
					    GFP_KERNEL);
	if (!table->entries)
		goto err_free;
	atomic64_inc(&damf->counts.tables);
	return table;

err_free:
	kfree(table->child);
	kfree(table);
	return NULL;
}

static void damf_table_free(struct damf_device *damf, struct damf_table *table)
{
	dma_free_coherent(damf->drm.dev, DAMF_PAGE_SIZE, table->entries, table->dma);
	kfree(table->child);
	kfree(table);
	atomic64_dec(&damf->counts.tables);
}

/**
 * damf_tables_free() - free tables that the device knows no more
 * @damf: device
 * @tables: list of them
 */
void damf_tables_free(struct damf_device *damf, struct list_head *tables)
{
	struct damf_table *table, *next;

	list_for_each_entry_safe(table, next, tables, link)
		damf_table_free(damf, table);
}

/**
 * damf_table_free_tree() - free a table and those below it
 * @damf: device
 * @table: table of any level; there are three, so this ends
 */
void damf_table_free_tree(struct damf_device *damf, struct damf_table *table)
{
	unsigned int i;

	for (i = 0; table->child && i < DAMF_PT_ENTRIES; i++)
		if (table->child[i])
			damf_table_free_tree(damf, table->child[i]);
	damf_table_free(damf, table);
}

static void damf_table_set(struct damf_table *table, unsigned int i, u64 entry)
{
	if (!table->entries[i])
		table->used++;
	WRITE_ONCE(table->entries[i], cpu_to_le64(entry));
}

static void damf_table_clear(struct damf_table *table, unsigned int i)
{
	WRITE_ONCE(table->entries[i], 0);
	table->used--;
}

/* The table with the entry of va at a level; made if it isn't there. */
static struct damf_table *damf_table_make(struct damf_vm *vm, u64 va, int level)
{
	struct damf_table *table = vm->root, *child;
	int at;

	for (at = DAMF_LEVEL_ROOT; at > level; at--) {
		unsigned int i = damf_index(va, at);

		child = table->child[i];
		if (!child) {
			child = damf_table_create(vm->damf, at == 1);
			if (!child)
				return NULL;
			table->child[i] = child;
			/* Zeroes before the entry that leads to them. */
			dma_wmb();
			damf_table_set(table, i, child->dma | DAMF_PTE_VALID);
		}
		table = child;
	}
	return table;
}

/* The largest step at va: one entry of 2 MiB or of 4 KiB. */
static int damf_step_level(u64 va, u64 addr, u64 len)
{
	bool aligned = !((va | addr) & (DAMF_LARGE_SIZE - 1));

	return aligned && len >= DAMF_LARGE_SIZE ? DAMF_LEVEL_LARGE : 0;
}

/* Maps what is contiguous on the bus, or in local memory. */
static int damf_map_span(struct damf_vm *vm, u64 va, u64 addr, u64 len, u64 bits)
{
	struct damf_table *table = NULL;
	u64 step, large;
	int level;

	for (; len; va += step, addr += step, len -= step) {
		level = damf_step_level(va, addr, len);
		step = DAMF_SPAN(level);
		/* The last level's table serves for 2 MiB. */
		if (level || !table || !(va & (DAMF_LARGE_SIZE - 1)))
			table = damf_table_make(vm, va, level);
		if (!table)
			return -ENOMEM;
		large = level ? DAMF_PTE_LARGE : 0;
		damf_table_set(table, damf_index(va, level), addr | bits | large | DAMF_PTE_VALID);
		if (level)
			table = NULL;
	}
	return 0;
}

static int damf_map_sgt(struct damf_vm *vm, u64 va, struct sg_table *sgt, u64 offset, u64 size,
			u64 bits)
{
	struct scatterlist *sg;
	unsigned int i;
	u64 n;
	int ret;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (offset >= sg_dma_len(sg)) {
			offset -= sg_dma_len(sg);
			continue;
		}
		n = min_t(u64, sg_dma_len(sg) - offset, size);
		/* Imported buffers may lie anywhere. */
		if ((sg_dma_address(sg) + offset) & ~DAMF_PTE_ADDR || n & (DAMF_PAGE_SIZE - 1))
			return -EINVAL;
		ret = damf_map_span(vm, va, sg_dma_address(sg) + offset, n, bits);
		if (ret)
			return ret;
		va += n;
		size -= n;
		offset = 0;
		if (!size)
			return 0;
	}
	return -EINVAL;
}

/**
 * damf_table_map() - write entries
 * @vm: address space, locked
 * @va: first address
 * @bo: buffer
 * @offset: in it
 * @size: bytes
 * @bits: of each leaf
 *
 * On failure some entries may have been written: the range is unmapped as if
 * it had been mapped.
 *
 * Return: 0 or a negative errno.
 */
int damf_table_map(struct damf_vm *vm, u64 va, struct damf_bo *bo, u64 offset, u64 size,
		   u64 bits)
{
	struct sg_table *sgt;
	int ret;

	if (bo->local) {
		ret = damf_map_span(vm, va, bo->node.start + offset, size, bits | DAMF_PTE_LOCAL);
	} else {
		sgt = damf_bo_map(bo);
		ret = IS_ERR(sgt) ? PTR_ERR(sgt) : damf_map_sgt(vm, va, sgt, offset, size, bits);
	}
	/* Entries before the doorbell of whoever uses them. */
	dma_wmb();
	return ret;
}

/* What has to be flushed grows by all that a table leads to. */
static void damf_widen(u64 *start, u64 *end, u64 va, u64 span)
{
	*start = min(*start, round_down(va, span));
	*end = max(*end, round_up(va + 1, span));
}

/* Unlinks tables on the way to va that have become empty, from below. */
static void damf_table_prune(struct damf_vm *vm, u64 va, u64 *start, u64 *end,
			     struct list_head *tables)
{
	struct damf_table *root = vm->root, *middle, *last;
	unsigned int i = damf_index(va, 2), j = damf_index(va, 1);

	middle = root->child[i];
	if (!middle)
		return;
	last = middle->child[j];
	if (last && !last->used) {
		damf_table_clear(middle, j);
		middle->child[j] = NULL;
		list_add(&last->link, tables);
		damf_widen(start, end, va, DAMF_SPAN(1));
	}
	if (!middle->used) {
		damf_table_clear(root, i);
		root->child[i] = NULL;
		list_add(&middle->link, tables);
		damf_widen(start, end, va, DAMF_SPAN(2));
	}
}

/* Clears the entry of va, if there is one; returns the bytes looked after. */
static u64 damf_table_clear_at(struct damf_vm *vm, u64 va)
{
	struct damf_table *middle = vm->root->child[damf_index(va, 2)], *last;
	unsigned int i = damf_index(va, 1), j = damf_index(va, 0);

	if (!middle)
		return DAMF_SPAN(2) - (va & (DAMF_SPAN(2) - 1));
	last = middle->child[i];
	if (last) {
		if (last->entries[j])
			damf_table_clear(last, j);
		return DAMF_SPAN(0);
	}
	if (middle->entries[i])
		damf_table_clear(middle, i);
	return DAMF_SPAN(1) - (va & (DAMF_SPAN(1) - 1));
}

/**
 * damf_table_unmap() - clear entries
 * @vm: address space, locked
 * @start: first address; returns that of the range to flush
 * @end: the one behind the last; returns that of the range to flush
 * @tables: returns tables to free after that
 */
void damf_table_unmap(struct damf_vm *vm, u64 *start, u64 *end, struct list_head *tables)
{
	u64 va, next, last = *end;

	for (va = *start; va < last; va = next) {
		next = min(va + damf_table_clear_at(vm, va), last);
		/* Once for each table of the last level. */
		if (next == last || !(next & (DAMF_LARGE_SIZE - 1)))
			damf_table_prune(vm, va, start, end, tables);
	}
	/* Cleared before the command that flushes. */
	dma_wmb();
}
