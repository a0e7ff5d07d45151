// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "fake.h"

/* ---- What the core asks of its host -------------------------------------- */

static bool bus_ok(const struct fake *f, uint64_t addr, uint64_t len)
{
	if (addr > FAKE_BUS || len > FAKE_BUS - addr)
		return false;
	return addr + len <= f->bad_from || addr >= f->bad_to;
}

static int dma_read(void *opaque, uint64_t addr, void *buf, uint64_t len)
{
	struct fake *f = opaque;

	if (!bus_ok(f, addr, len))
		return -1;
	memcpy(buf, f->bus + addr, len);
	return 0;
}

static int dma_write(void *opaque, uint64_t addr, const void *buf, uint64_t len)
{
	struct fake *f = opaque;

	if (!bus_ok(f, addr, len))
		return -1;
	memcpy(f->bus + addr, buf, len);
	return 0;
}

static void barrier(void *opaque)
{
	struct fake *f = opaque;

	if (f->on_barrier)
		f->on_barrier(f, f->barrier_arg);
}

static void irq(void *opaque, unsigned int vector)
{
	struct fake *f = opaque;

	assert_true(vector < f->cfg.num_vectors);
	if (vector < FAKE_VECTORS)
		f->irqs[vector]++;
}

static uint64_t now_ns(void *opaque)
{
	struct fake *f = opaque;

	return f->now += 10;
}

static void kick(void *opaque)
{
	struct fake *f = opaque;

	f->kicks++;
}

static void guest_error(void *opaque, const char *msg)
{
	struct fake *f = opaque;

	assert_non_null(msg);
	f->errors++;
}

static const struct damf_host_ops ops = {
	.dma_read = dma_read, .dma_write = dma_write, .barrier = barrier, .irq = irq,
	.now_ns = now_ns, .kick = kick, .guest_error = guest_error,
};

/* ---- Life ---------------------------------------------------------------- */

struct fake *fake_new_config(const struct damf_core_config *cfg)
{
	struct fake *f = calloc(1, sizeof(*f));
	char err[200] = "";

	f->bus = calloc(1, FAKE_BUS);
	f->local = aligned_alloc(4096, FAKE_LOCAL);
	memset(f->local, 0, FAKE_LOCAL);
	f->cfg = *cfg;
	f->cfg.local = f->local;
	f->bump = 4096;		/* address 0 stays unused */
	f->next_va = 1 << 30;
	f->core = damf_core_new(&f->cfg, &ops, f, err, sizeof(err));
	if (!f->core)
		fail_msg("%s", err);
	return f;
}

struct fake *fake_new(void)
{
	struct damf_core_config cfg;

	damf_core_config_init(&cfg);
	cfg.max_queues = FAKE_QUEUES;
	cfg.max_contexts = FAKE_CONTEXTS;
	cfg.num_vectors = FAKE_VECTORS;
	cfg.local_size = FAKE_LOCAL;
	return fake_new_config(&cfg);
}

struct fake *fake_enabled(void)
{
	struct fake *f = fake_new();

	fake_enable(f, fake_read64(f, DAMF_REG_FEATURES));
	assert_int_equal(fake_read32(f, DAMF_REG_STATUS), DAMF_STATUS_READY);
	return f;
}

struct fake *fake_ready(struct fake_ring *ring)
{
	struct fake *f = fake_enabled();
	struct damf_cqe cqe = fake_create_context(f, 1);

	assert_int_equal(cqe.status, DAMF_ST_OK);
	cqe = fake_create_queue(f, ring, 1, 1, 1, DAMF_PRIORITY_NORMAL);
	assert_int_equal(cqe.status, DAMF_ST_OK);
	return f;
}

void fake_free(struct fake *f)
{
	damf_core_free(f->core);
	free(f->bus);
	free(f->local);
	free(f);
}

uint32_t fake_read32(struct fake *f, uint64_t reg)
{
	return (uint32_t)damf_core_read(f->core, reg, 4);
}

uint64_t fake_read64(struct fake *f, uint64_t reg)
{
	return damf_core_read(f->core, reg, 8);
}

void fake_write32(struct fake *f, uint64_t reg, uint32_t value)
{
	damf_core_write(f->core, reg, value, 4);
}

void fake_write64(struct fake *f, uint64_t reg, uint64_t value)
{
	damf_core_write(f->core, reg, value, 8);
}

/* ---- Memory -------------------------------------------------------------- */

uint64_t fake_alloc(struct fake *f, uint64_t size, uint64_t align)
{
	uint64_t at = (f->bump + align - 1) & ~(align - 1);

	assert_true(at + size <= FAKE_BUS);
	f->bump = at + size;
	memset(f->bus + at, 0, size);
	return at;
}

void *fake_at(struct fake *f, uint64_t bus)
{
	assert_true(bus < FAKE_BUS);
	return f->bus + bus;
}

__le64 *fake_pte(struct fake *f, unsigned int ctx, uint64_t va, unsigned int level)
{
	uint64_t table = f->roots[ctx];
	unsigned int at;

	for (at = 2; at > level; at--) {
		__le64 *pte = (__le64 *)fake_at(f, table) +
			(va >> DAMF_PT_SHIFT(at) & (DAMF_PT_ENTRIES - 1));

		if (!*pte)
			*pte = fake_alloc(f, 4096, 4096) | DAMF_PTE_VALID;
		table = *pte & DAMF_PTE_ADDR;
	}
	return (__le64 *)fake_at(f, table) + (va >> DAMF_PT_SHIFT(level) & (DAMF_PT_ENTRIES - 1));
}

void fake_map_page(struct fake *f, unsigned int ctx, uint64_t va, uint64_t pte)
{
	*fake_pte(f, ctx, va, pte & DAMF_PTE_LARGE ? 1 : 0) = pte;
}

void fake_map(struct fake *f, unsigned int ctx, uint64_t va, uint64_t bus, uint64_t size,
	      uint64_t flags)
{
	uint64_t at;

	for (at = 0; at < size; at += DAMF_PAGE_SIZE)
		fake_map_page(f, ctx, va + at, (bus + at) | flags | DAMF_PTE_VALID);
}

uint64_t fake_va(struct fake *f, uint64_t size, void **host)
{
	uint64_t pages = (size + DAMF_PAGE_SIZE - 1) & ~(DAMF_PAGE_SIZE - 1);
	uint64_t va = f->next_va, bus = fake_alloc(f, pages, DAMF_PAGE_SIZE);

	f->next_va += pages + DAMF_PAGE_SIZE;
	fake_map(f, 1, va, bus, pages, 0);
	if (host)
		*host = fake_at(f, bus);
	return va;
}

/* ---- Rings --------------------------------------------------------------- */

void fake_ring_init(struct fake *f, struct fake_ring *ring, unsigned int queue, unsigned int log2)
{
	*ring = (struct fake_ring) { .log2 = log2, .queue = queue };
	ring->sq = fake_alloc(f, 64u << log2, 64);
	ring->cq = fake_alloc(f, 64u << log2, 64);
	ring->shared = fake_alloc(f, sizeof(struct damf_queue_shared), 64);
}

void fake_enable(struct fake *f, uint64_t features)
{
	f->features = features;
	fake_ring_init(f, &f->admin, 0, FAKE_LOG2);
	fake_write64(f, DAMF_REG_FEATURES_ACCEPTED, features);
	fake_write64(f, DAMF_REG_ADMIN_SQ, f->admin.sq);
	fake_write64(f, DAMF_REG_ADMIN_CQ, f->admin.cq);
	fake_write64(f, DAMF_REG_ADMIN_SHARED, f->admin.shared);
	fake_write32(f, DAMF_REG_ADMIN_LOG2, f->admin.log2);
	fake_write32(f, DAMF_REG_CTRL, DAMF_CTRL_ENABLE);
}

unsigned int fake_drive(struct fake *f)
{
	unsigned int n;

	for (n = 0; damf_core_next(f->core); n++) {
		damf_core_run(f->core);
		damf_core_commit(f->core);
		assert_true(n < 100000);
	}
	return n;
}

struct damf_queue_shared *fake_shared(struct fake *f, const struct fake_ring *ring)
{
	return fake_at(f, ring->shared);
}

void fake_doorbell(struct fake *f, const struct fake_ring *ring)
{
	uint64_t page = fake_read32(f, DAMF_REG_DB_OFFSET) +
		(uint64_t)ring->queue * DAMF_DB_PAGE_SIZE;

	fake_write32(f, page + DAMF_DB_SQ, ring->tail);
}

bool fake_push(struct fake *f, struct fake_ring *ring, const void *entry)
{
	struct damf_queue_shared *s = fake_shared(f, ring);
	uint32_t old = ring->tail;
	bool rings;

	memcpy((char *)fake_at(f, ring->sq) + 64 * (old & ((1u << ring->log2) - 1)), entry, 64);
	s->sq_tail = ++ring->tail;
	rings = !(f->features & DAMF_FEATURE_EVENT_IDX) || damf_need_event(s->sq_event, ring->tail, old);
	if (rings)
		fake_doorbell(f, ring);
	return rings;
}

bool fake_pop(struct fake *f, struct fake_ring *ring, struct damf_cqe *cqe)
{
	struct damf_cqe *slot = (struct damf_cqe *)fake_at(f, ring->cq) +
		(ring->head & ((1u << ring->log2) - 1));

	if ((slot->phase & 1) == (ring->head >> ring->log2 & 1))
		return false;
	*cqe = *slot;
	fake_shared(f, ring)->cq_head = fake_shared(f, ring)->cq_event = ++ring->head;
	return true;
}

/* ---- A small driver ------------------------------------------------------ */

struct damf_cqe fake_admin(struct fake *f, const struct damf_admin_sqe *cmd)
{
	struct damf_cqe cqe = { 0 };

	fake_push(f, &f->admin, cmd);
	fake_drive(f);
	assert_true(fake_pop(f, &f->admin, &cqe));
	assert_int_equal(cqe.cookie, cmd->cookie);
	return cqe;
}

struct damf_admin_sqe fake_context_cmd(unsigned int opcode, unsigned int ctx)
{
	return (struct damf_admin_sqe) { .opcode = opcode, .context = ctx, .cookie = 0x1000 + ctx };
}

struct damf_admin_sqe fake_queue_cmd(unsigned int opcode, unsigned int queue)
{
	return (struct damf_admin_sqe) { .opcode = opcode, .queue = queue,
					 .cookie = 0x2000 + queue };
}

struct damf_cqe fake_create_context(struct fake *f, unsigned int ctx)
{
	struct damf_admin_sqe cmd = fake_context_cmd(DAMF_ADMIN_CREATE_CONTEXT, ctx);

	f->roots[ctx] = cmd.addr[0] = fake_alloc(f, 4096, 4096);
	return fake_admin(f, &cmd);
}

struct damf_cqe fake_create_queue(struct fake *f, struct fake_ring *ring, unsigned int queue,
				  unsigned int ctx, unsigned int vector, unsigned int priority)
{
	struct damf_admin_sqe cmd = fake_queue_cmd(DAMF_ADMIN_CREATE_QUEUE, queue);

	fake_ring_init(f, ring, queue, FAKE_LOG2);
	cmd.context = ctx;
	cmd.log2 = ring->log2;
	cmd.vector = vector;
	cmd.priority = priority;
	cmd.addr[0] = ring->sq;
	cmd.addr[1] = ring->cq;
	cmd.addr[2] = ring->shared;
	return fake_admin(f, &cmd);
}

struct damf_sqe fake_exec(unsigned int ctx, uint64_t list, uint32_t count)
{
	return (struct damf_sqe) { .opcode = DAMF_SQ_EXEC, .context = ctx, .count = count,
				   .list = list, .cookie = list ^ 0x5a5a };
}

struct damf_cqe fake_run(struct fake *f, struct fake_ring *ring, const struct damf_sqe *sqe)
{
	struct damf_cqe cqe = { 0 };

	fake_push(f, ring, sqe);
	fake_drive(f);
	assert_true(fake_pop(f, ring, &cqe));
	assert_int_equal(cqe.cookie, sqe->cookie);
	return cqe;
}
