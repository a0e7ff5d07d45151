// SPDX-License-Identifier: MIT
/* Memory of the device in this process: its bus, its page tables, buffers. */
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static uint64_t natural_align(uint64_t size)
{
	return size >= DAMF_LARGE_SIZE ? DAMF_LARGE_SIZE : DAMF_PAGE_SIZE;
}

int damf_sim_mem_alloc(struct sim_device *sim, uint64_t size, struct sim_mem *mem)
{
	int r;

	mem->size = size;
	mem->host = damf_pages_alloc(size);
	if (!mem->host)
		return -ENOMEM;
	r = damf_ranges_add(&sim->bus, size, natural_align(size), mem->host, false, &mem->bus);
	if (r) {
		damf_pages_free(mem->host, size);
		mem->host = NULL;
	}
	return r;
}

void damf_sim_mem_free(struct sim_device *sim, struct sim_mem *mem)
{
	if (!mem->host)
		return;
	damf_ranges_remove(&sim->bus, mem->bus);
	damf_pages_free(mem->host, mem->size);
	mem->host = NULL;
}

struct sim_table *damf_sim_table_new(struct sim_device *sim)
{
	struct sim_table *table = calloc(1, sizeof(*table));

	if (table && damf_sim_mem_alloc(sim, DAMF_PAGE_SIZE, &table->mem)) {
		free(table);
		return NULL;
	}
	return table;
}

void damf_sim_table_free(struct sim_device *sim, struct sim_table *table, int level)
{
	int i;

	if (!table)
		return;
	for (i = 0; level && i < DAMF_PT_ENTRIES; i++)
		damf_sim_table_free(sim, table->child[i], level - 1);
	damf_sim_mem_free(sim, &table->mem);
	free(table);
}

static unsigned int pt_index(uint64_t va, int level)
{
	return (va >> DAMF_PT_SHIFT(level)) & (DAMF_PT_ENTRIES - 1);
}

static void pt_write(struct sim_table *table, unsigned int i, uint64_t pte)
{
	((__le64 *)table->mem.host)[i] = htole64(pte);
}

/* The table below entry i, made if it isn't there. */
static struct sim_table *pt_child(struct sim_device *sim, struct sim_table *table, unsigned int i)
{
	if (!table->child[i]) {
		table->child[i] = damf_sim_table_new(sim);
		if (table->child[i])
			pt_write(table, i, table->child[i]->mem.bus | DAMF_PTE_VALID);
	}
	return table->child[i];
}

/* Writes one leaf for va; the bytes that it maps, or 0 without memory. */
static uint64_t map_leaf(struct sim_device *sim, uint64_t va, uint64_t addr, uint64_t size,
			 uint64_t flags)
{
	struct sim_table *mid = pt_child(sim, sim->root, pt_index(va, 2)), *last;
	unsigned int i = pt_index(va, 1);

	if (!mid)
		return 0;
	/* A table that is there already is kept: the device may have read it. */
	if (!((va | addr) & (DAMF_LARGE_SIZE - 1)) && size >= DAMF_LARGE_SIZE && !mid->child[i]) {
		pt_write(mid, i, addr | flags | DAMF_PTE_LARGE);
		return DAMF_LARGE_SIZE;
	}
	last = pt_child(sim, mid, i);
	if (!last)
		return 0;
	pt_write(last, pt_index(va, 0), addr | flags);
	return DAMF_PAGE_SIZE;
}

static void unmap_range(struct sim_device *sim, uint64_t va, uint64_t size)
{
	uint64_t end = va + size;

	while (va < end) {
		struct sim_table *mid = sim->root->child[pt_index(va, 2)];
		unsigned int i = pt_index(va, 1);

		if (mid && mid->child[i]) {
			pt_write(mid->child[i], pt_index(va, 0), 0);
			va += DAMF_PAGE_SIZE;
			continue;
		}
		if (mid)
			pt_write(mid, i, 0);
		va = (va | (DAMF_LARGE_SIZE - 1)) + 1;
	}
}

static int map_range(struct sim_device *sim, uint64_t va, uint64_t addr, uint64_t size,
		     uint64_t flags)
{
	uint64_t done, n;

	for (done = 0; done < size; done += n) {
		n = map_leaf(sim, va + done, addr + done, size - done, flags);
		if (!n) {
			unmap_range(sim, va, done);
			return -ENOMEM;
		}
	}
	return 0;
}

static int take_memory(struct sim_device *sim, struct damf_buffer *buf)
{
	struct sim_mem mem;
	int r;

	if (!(buf->flags & DAMF_BUFFER_LOCAL)) {
		r = damf_sim_mem_alloc(sim, buf->size, &mem);
		buf->map = mem.host;
		buf->where = mem.bus;
		return r;
	}
	r = damf_ranges_add(&sim->local, buf->size, natural_align(buf->size), NULL, false,
			   &buf->where);
	if (r)
		return r;
	buf->map = (char *)sim->local_map + buf->where;
	memset(buf->map, 0, buf->size);
	return 0;
}

static void give_memory(struct sim_device *sim, struct damf_buffer *buf)
{
	struct sim_mem mem = { buf->map, buf->where, buf->size };

	if (buf->flags & DAMF_BUFFER_LOCAL)
		damf_ranges_remove(&sim->local, buf->where);
	else
		damf_sim_mem_free(sim, &mem);
}

/* sim->lock is held */
static int create_locked(struct sim_device *sim, struct damf_buffer *buf)
{
	uint64_t flags = DAMF_PTE_VALID;
	int r;

	r = take_memory(sim, buf);
	if (r)
		return r;
	if (buf->flags & DAMF_BUFFER_READONLY)
		flags |= DAMF_PTE_READONLY;
	if (buf->flags & DAMF_BUFFER_LOCAL)
		flags |= DAMF_PTE_LOCAL;
	r = damf_ranges_add(&sim->va, buf->size, natural_align(buf->size), buf->map,
			   buf->flags & DAMF_BUFFER_READONLY, &buf->va);
	if (r)
		goto memory;
	r = map_range(sim, buf->va, buf->where, buf->size, flags);
	if (r)
		goto va;
	return 0;
va:
	damf_ranges_remove(&sim->va, buf->va);
memory:
	give_memory(sim, buf);
	return r;
}

int damf_sim_buffer_create(struct damf_buffer *buf, struct damf_error *err)
{
	struct sim_device *sim = buf->dev->priv;
	uint64_t free_bytes;
	int r;

	pthread_mutex_lock(&sim->lock);
	r = create_locked(sim, buf);
	free_bytes = damf_ranges_free_bytes(&sim->local);
	pthread_mutex_unlock(&sim->lock);
	if (r == -ENOSPC && (buf->flags & DAMF_BUFFER_LOCAL))
		return damf_error_set(err, r,
				      "local memory has no room for %" PRIu64 " bytes (%" PRIu64 " are free): free buffers, or open the device with more",
				      buf->size, free_bytes);
	if (r)
		return damf_error_set(err, r, "no memory for a buffer of %" PRIu64 " bytes",
				      buf->size);
	return 0;
}

void damf_sim_buffer_destroy(struct damf_buffer *buf)
{
	struct sim_device *sim = buf->dev->priv;
	struct damf_admin_sqe flush = {
		.opcode = htole16(DAMF_ADMIN_FLUSH),
		.context = htole16(SIM_CONTEXT),
		.addr[0] = htole64(buf->va),
		.length = htole64(buf->size),
	};

	pthread_mutex_lock(&sim->lock);
	unmap_range(sim, buf->va, buf->size);
	pthread_mutex_unlock(&sim->lock);
	/* The pages go back only when no translation leads to them any more. */
	damf_sim_admin(sim, &flush);
	pthread_mutex_lock(&sim->lock);
	damf_ranges_remove(&sim->va, buf->va);
	give_memory(sim, buf);
	pthread_mutex_unlock(&sim->lock);
}
