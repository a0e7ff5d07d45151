// SPDX-License-Identifier: MIT
#include <string.h>

#include "hostile.h"
#include "jobs.h"

#define REGIONS 40

struct region {
	uint64_t bus, size;
};

struct hostile {
	const uint8_t *data;
	size_t size, at;
	struct fake *f;
	struct fake_ring ring[2];
	uint64_t list;
	struct region region[REGIONS];
	unsigned int regions;
	bool busy;
};

static uint64_t take(struct hostile *h, unsigned int bytes)
{
	uint64_t value = 0;

	while (bytes--) {
		value <<= 8;
		if (h->at < h->size)
			value |= h->data[h->at++];
	}
	return value;
}

/* ---- A guest that is in order, to begin with ----------------------------- */

static uint64_t bus_of(struct fake *f, const void *host)
{
	return (uint64_t)((const uint8_t *)host - f->bus);
}

static void add_region(struct hostile *h, uint64_t bus, uint64_t size)
{
	assert_true(h->regions < REGIONS);
	h->region[h->regions++] = (struct region) { bus, size };
}

static void add_rings(struct hostile *h, const struct fake_ring *ring)
{
	add_region(h, ring->shared, sizeof(struct damf_queue_shared));
	add_region(h, ring->sq, 64u << ring->log2);
}

/* The tables of a job, and the factors of its I8 tensors. */
static void add_tables(struct hostile *h, const struct job_case *c)
{
	unsigned int slot;

	if (c->opcode == DAMF_OP_ATTENTION)
		add_region(h, bus_of(h->f, c->host[DAMF_T_HEADS]), 2 * 192);
	if (c->opcode == DAMF_OP_EMBED || c->opcode == DAMF_OP_POOL)
		add_region(h, bus_of(h->f, c->host[DAMF_T_OFFSETS]), 16);
	for (slot = 0; slot < DAMF_JOB_TENSORS; slot++) {
		const struct damf_tensor *t = &c->job.tensor[slot];

		if (c->scales[slot])
			add_region(h, bus_of(h->f, c->scales[slot]),
				   4 * (t->layout == DAMF_LAYOUT_PANEL32 ? t->cols : t->rows));
	}
}

static void set_up(struct hostile *h)
{
	static struct job_case c;
	struct damf_job jobs[JOB_CASES];
	void *host;
	unsigned int i;

	h->f = fake_ready(&h->ring[0]);
	fake_create_queue(h->f, &h->ring[1], 2, 1, 2, DAMF_PRIORITY_HIGH);
	for (i = 0; i < JOB_CASES; i++) {
		job_case_build(h->f, &c, i);
		jobs[i] = c.job;
		add_tables(h, &c);
	}
	h->list = job_list(h->f, jobs, JOB_CASES, &host);
	/* twice, to be hit more often */
	for (i = 0; i < 2; i++)
		add_region(h, bus_of(h->f, host), sizeof(jobs));
	add_region(h, bus_of(h->f, fake_pte(h->f, 1, 1 << 30, 0)), 256 * 8);
	add_region(h, bus_of(h->f, fake_pte(h->f, 1, 1 << 30, 1)), 8);
	add_region(h, bus_of(h->f, fake_pte(h->f, 1, 1 << 30, 2)), 8);
	add_rings(h, &h->ring[0]);
	add_rings(h, &h->ring[1]);
	add_rings(h, &h->f->admin);
}

/* ---- What it may do ------------------------------------------------------ */

/* Values that are near the edges of something, more often than not. */
static uint64_t odd_value(struct hostile *h, uint64_t old)
{
	unsigned int how = (unsigned int)take(h, 1);

	switch (how & 7) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return 1ull << (how >> 3) * 2;
	case 3:
		return old + 1;
	case 4:
		return old - 1;
	case 5:
		return old ^ 1ull << (how >> 3);
	case 6:
		return take(h, 8);
	default:
		return how >> 3;
	}
}

static void poke(struct hostile *h)
{
	const struct region *r = &h->region[take(h, 1) % h->regions];
	unsigned int size = 1u << take(h, 1) % 4;
	uint64_t at = r->bus + take(h, 2) % r->size / size * size, value = 0;

	if (at + size > FAKE_BUS)
		return;
	memcpy(&value, h->f->bus + at, size);
	value = odd_value(h, value);
	memcpy(h->f->bus + at, &value, size);
}

static void access_register(struct hostile *h)
{
	uint64_t at = take(h, 1) & 1 ? take(h, 2) : take(h, 1);
	unsigned int how = (unsigned int)take(h, 1), size = how & 1 ? 8 : how & 2 ? 2 : 4;

	damf_core_read(h->f->core, at, size);
	/* an enable would use rings at addresses of its own: let it */
	damf_core_write(h->f->core, at, odd_value(h, 0), size);
}

static void push_raw(struct hostile *h, struct fake_ring *ring)
{
	uint8_t entry[64];
	unsigned int i;

	for (i = 0; i < sizeof(entry); i++)
		entry[i] = (uint8_t)take(h, 1);
	fake_push(h->f, ring, entry);
}

static void push_exec(struct hostile *h)
{
	unsigned int how = (unsigned int)take(h, 1);
	struct damf_sqe sqe = fake_exec(1, h->list, JOB_CASES);

	sqe.first = how % JOB_CASES;
	sqe.count = sqe.first + 1 + how % 3;
	if (sqe.count > JOB_CASES)
		sqe.count = JOB_CASES;
	fake_push(h->f, &h->ring[how & 1], &sqe);
}

static void push_admin(struct hostile *h)
{
	unsigned int how = (unsigned int)take(h, 1);
	/* often to resume or to create: a stopped guest does no harm */
	static const uint8_t opcodes[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 5, 6, 5, 6, 5, 3 };
	struct damf_admin_sqe cmd = { .opcode = opcodes[how % 16] };

	if (cmd.opcode == DAMF_ADMIN_STOP_QUEUE || cmd.opcode == DAMF_ADMIN_DESTROY_QUEUE ||
	    cmd.opcode == DAMF_ADMIN_CREATE_QUEUE)
		cmd.queue = 1 + (how >> 6 & 1);
	if (cmd.opcode != DAMF_ADMIN_STOP_QUEUE && cmd.opcode != DAMF_ADMIN_DESTROY_QUEUE &&
	    cmd.opcode != DAMF_ADMIN_NOP)
		cmd.context = 1;
	if (cmd.opcode == DAMF_ADMIN_CREATE_CONTEXT)
		cmd.addr[0] = h->f->roots[1];
	if (cmd.opcode == DAMF_ADMIN_CREATE_QUEUE) {
		struct fake_ring *r = &h->ring[how >> 6 & 1];

		r->tail = r->head = 0;
		memset(fake_at(h->f, r->shared), 0, sizeof(struct damf_queue_shared));
		memset(fake_at(h->f, r->cq), 0, 64u << r->log2);
		cmd.log2 = r->log2;
		cmd.addr[0] = r->sq;
		cmd.addr[1] = r->cq;
		cmd.addr[2] = r->shared;
	}
	fake_push(h->f, &h->f->admin, &cmd);
}

static void step(struct hostile *h)
{
	if (h->busy) {
		damf_core_run(h->f->core);
		damf_core_commit(h->f->core);
		h->busy = false;
	} else {
		h->busy = damf_core_next(h->f->core);
	}
}

/* A device that is dead for good is taken for a new one. */
static void revive(struct hostile *h)
{
	if (h->busy || (fake_read32(h->f, DAMF_REG_STATUS) & DAMF_STATUS_READY))
		return;
	fake_free(h->f);
	h->regions = 0;
	set_up(h);
}

static void act(struct hostile *h)
{
	unsigned int op = (unsigned int)take(h, 1), i;
	struct damf_cqe cqe;

	if (op & 64)
		revive(h);
	switch (op % 16) {
	case 0:
		access_register(h);
		break;
	case 1:
		push_raw(h, op & 16 ? &h->ring[0] : &h->f->admin);
		break;
	case 2:
	case 3:
		push_admin(h);
		break;
	case 4:
	case 5:
	case 6:
		push_exec(h);
		break;
	case 7:
		if (op & 16)
			damf_core_reset(h->f->core, op & 32);
		break;
	case 8:
		h->f->bad_from = op & 16 ? take(h, 3) % FAKE_BUS : 0;
		h->f->bad_to = op & 16 ? h->f->bad_from + 8192 : 0;
		break;
	case 9:
		while (fake_pop(h->f, &h->ring[op >> 4 & 1], &cqe) && h->at < h->size)
			;
		while (fake_pop(h->f, &h->f->admin, &cqe))
			;
		break;
	case 10:
		fake_doorbell(h->f, &h->ring[op >> 4 & 1]);
		break;
	case 11:
		for (i = 0; i < 20; i++)
			step(h);
		break;
	case 12:
		step(h);
		break;
	default:
		poke(h);
		break;
	}
}

/* What is left over ends by itself, and a reset makes a device of it again. */
static void wind_up(struct hostile *h)
{
	unsigned int i;

	for (i = 0; i < 2000; i++)
		step(h);
	damf_core_reset(h->f->core, true);
	while (h->busy)
		step(h);
	h->f->bad_to = 0;
	h->f->bump = 4096;
	fake_enable(h->f, DAMF_FEATURES_KNOWN);
	assert_int_equal(fake_read32(h->f, DAMF_REG_STATUS), DAMF_STATUS_READY);
	assert_int_equal(fake_create_context(h->f, 1).status, DAMF_ST_OK);
	assert_int_equal(fake_create_queue(h->f, &h->ring[0], 1, 1, 1, 1).status, DAMF_ST_OK);
	assert_int_equal(fake_run(h->f, &h->ring[0], &(struct damf_sqe) { .context = 1 }).status,
			 DAMF_ST_OK);
	fake_free(h->f);
}

void hostile_run(const uint8_t *data, size_t size)
{
	struct hostile h = { .data = data, .size = size };

	set_up(&h);
	while (h.at < h.size)
		act(&h);
	wind_up(&h);
}
