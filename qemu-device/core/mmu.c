// SPDX-License-Identifier: MIT
/*
 * Page-table walks, and translations cached until they are flushed. The cache
 * is direct-mapped and grows with use; entries that aren't valid are never
 * cached, so that new mappings need no flush.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define TLB_MIN		256u
#define TLB_MAX		65536u
#define TLB_ALL		(1u << 20)	/* entries of all contexts */

/* ---- The cache ----------------------------------------------------------- */

static uint64_t tag_of(uint64_t va, bool large)
{
	return (va >> (large ? DAMF_LARGE_SHIFT : DAMF_PAGE_SHIFT)) << 2 | (large ? 2 : 0) | 1;
}

static struct damf_tlb_entry *tlb_slot(const struct damf_tlb *tlb, uint64_t tag)
{
	return &tlb->v[(tag * 0x9e3779b97f4a7c15ull) >> 32 & (tlb->cap - 1)];
}

/* The leaf of va, or 0. */
static uint64_t tlb_find(const struct damf_tlb *tlb, uint64_t va)
{
	unsigned int large;

	for (large = 0; tlb->cap && large < 2; large++) {
		uint64_t tag = tag_of(va, large);
		const struct damf_tlb_entry *e = tlb_slot(tlb, tag);

		if (e->tag == tag)
			return e->pte;
	}
	return 0;
}

/* Four times the size, if all contexts together may have as much. */
static void tlb_grow(struct damf_context *ctx)
{
	struct damf_tlb old = ctx->tlb, new = { .cap = old.cap ? 4 * old.cap : TLB_MIN };
	uint32_t i;

	ctx->tlb.conflicts = 0;
	if (new.cap > TLB_MAX || ctx->core->tlb_entries - old.cap + new.cap > TLB_ALL)
		return;
	new.v = calloc(new.cap, sizeof(*new.v));
	if (!new.v)
		return;
	for (i = 0; i < old.cap; i++)
		if (old.v[i].tag)
			*tlb_slot(&new, old.v[i].tag) = old.v[i];
	free(old.v);
	ctx->tlb = new;
	ctx->core->tlb_entries += new.cap - old.cap;
}

static void tlb_add(struct damf_context *ctx, uint64_t va, uint64_t pte)
{
	uint64_t tag = tag_of(va, pte & DAMF_PTE_LARGE);
	struct damf_tlb_entry *e;

	if (!ctx->tlb.cap || ctx->tlb.conflicts > ctx->tlb.cap / 4)
		tlb_grow(ctx);
	if (!ctx->tlb.cap)
		return;
	e = tlb_slot(&ctx->tlb, tag);
	ctx->tlb.conflicts += e->tag && e->tag != tag;
	*e = (struct damf_tlb_entry) { tag, pte };
}

void damf_mmu_flush(struct damf_context *ctx, uint64_t start, uint64_t len)
{
	uint32_t i;

	for (i = 0; i < ctx->tlb.cap; i++) {
		struct damf_tlb_entry *e = &ctx->tlb.v[i];
		unsigned int shift = e->tag & 2 ? DAMF_LARGE_SHIFT : DAMF_PAGE_SHIFT;
		uint64_t va = e->tag >> 2 << shift;

		if (!len || (va < start + len && start < va + (1ull << shift)))
			e->tag = 0;
	}
}

/* ---- Walks --------------------------------------------------------------- */

static int fault(struct damf_fail *fail, uint64_t va, uint16_t access)
{
	fail->status = DAMF_ST_PAGE_FAULT;
	fail->access = access;
	fail->addr = va;
	return -1;
}

static int read_pte(struct damf_context *ctx, uint64_t table, unsigned int i, uint64_t *pte,
		    struct damf_fail *fail)
{
	struct damf_core *core = ctx->core;
	uint64_t at = table + 8 * i;
	__le64 raw;

	ctx->walks++;
	if (core->ops->dma_read(core->opaque, at, &raw, sizeof(raw))) {
		fail->status = DAMF_ST_DMA_ERROR;
		fail->access = DAMF_ACCESS_WALK;
		fail->addr = at;
		return -1;
	}
	*pte = le64toh(raw);
	return 0;
}

static bool is_leaf(uint64_t pte, unsigned int level)
{
	return !level || (level == 1 && (pte & DAMF_PTE_LARGE));
}

/* Whether a valid entry has only bits that its level knows. */
static bool well_formed(const struct damf_context *ctx, uint64_t pte, unsigned int level)
{
	uint64_t size = pte & DAMF_PTE_LARGE ? DAMF_LARGE_SIZE : DAMF_PAGE_SIZE;
	uint64_t addr = pte & DAMF_PTE_ADDR;

	if (pte & DAMF_PTE_RESERVED)
		return false;
	if ((pte & DAMF_PTE_LARGE) && (level != 1 || addr % DAMF_LARGE_SIZE))
		return false;
	if (!is_leaf(pte, level))
		return !(pte & (DAMF_PTE_READONLY | DAMF_PTE_LOCAL));
	if (!(pte & DAMF_PTE_LOCAL))
		return true;
	return (ctx->core->regs.features & DAMF_FEATURE_LOCAL_MEMORY) &&
	       addr <= ctx->core->cfg.local_size - size;
}

static int walk(struct damf_context *ctx, uint64_t va, bool write, uint64_t *leaf,
		struct damf_fail *fail)
{
	uint64_t table = ctx->root, pte;
	unsigned int level;

	for (level = 2; ; level--) {
		unsigned int i = va >> DAMF_PT_SHIFT(level) & (DAMF_PT_ENTRIES - 1);

		if (read_pte(ctx, table, i, &pte, fail))
			return -1;
		if (!(pte & DAMF_PTE_VALID))
			return fault(fail, va, write ? DAMF_ACCESS_WRITE : DAMF_ACCESS_READ);
		if (!well_formed(ctx, pte, level))
			return fault(fail, va, DAMF_ACCESS_WALK);
		if (is_leaf(pte, level))
			break;
		table = pte & DAMF_PTE_ADDR;
	}
	tlb_add(ctx, va, pte);
	*leaf = pte;
	return 0;
}

static int context_map(struct damf_space *s, uint64_t va, uint64_t len, bool write,
		       struct damf_piece *piece, struct damf_fail *fail)
{
	struct damf_context *ctx = (struct damf_context *)s;
	uint64_t pte, size, addr;

	if (va >= DAMF_VA_END)
		return fault(fail, va, write ? DAMF_ACCESS_WRITE : DAMF_ACCESS_READ);
	pte = tlb_find(&ctx->tlb, va);
	if (!pte && walk(ctx, va, write, &pte, fail))
		return -1;
	if (write && (pte & DAMF_PTE_READONLY))
		return fault(fail, va, DAMF_ACCESS_WRITE);
	size = pte & DAMF_PTE_LARGE ? DAMF_LARGE_SIZE : DAMF_PAGE_SIZE;
	addr = (pte & DAMF_PTE_ADDR) + va % size;
	*piece = (struct damf_piece) { .len = size - va % size };
	if (piece->len > len)
		piece->len = len;
	if (pte & DAMF_PTE_LOCAL)
		piece->host = (char *)ctx->core->cfg.local + addr;
	else
		piece->bus = addr;
	return 0;
}

static int context_read(struct damf_space *s, uint64_t bus, void *buf, uint64_t len)
{
	struct damf_core *core = ((struct damf_context *)s)->core;

	return core->ops->dma_read(core->opaque, bus, buf, len);
}

static int context_write(struct damf_space *s, uint64_t bus, const void *buf, uint64_t len)
{
	struct damf_core *core = ((struct damf_context *)s)->core;

	return core->ops->dma_write(core->opaque, bus, buf, len);
}

static void mmu_init(struct damf_context *ctx, uint64_t root)
{
	ctx->space = (struct damf_space) { context_map, context_read, context_write };
	ctx->root = root;
}

/* ---- Contexts ------------------------------------------------------------ */

struct damf_context *damf_context_get(struct damf_core *core, unsigned int id)
{
	return id && id <= core->cfg.max_contexts ? core->contexts[id] : NULL;
}

struct damf_context *damf_context_new(struct damf_core *core, unsigned int id, uint64_t root)
{
	struct damf_context *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		return NULL;
	ctx->core = core;
	ctx->id = id;
	mmu_init(ctx, root);
	core->contexts[id] = ctx;
	return ctx;
}

void damf_context_free(struct damf_context *ctx)
{
	ctx->core->contexts[ctx->id] = NULL;
	ctx->core->tlb_entries -= ctx->tlb.cap;
	free(ctx->tlb.v);
	free(ctx);
}
