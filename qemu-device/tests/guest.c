// SPDX-License-Identifier: MIT
#include <string.h>

#include "guest.h"

#define PORT_DEVFN	(2 << 3)

/* Bridge and device registers of PCI that are used here. */
enum {
	CFG_COMMAND = 0x04, CFG_STATUS = 0x06, CFG_BAR0 = 0x10, CFG_BUSES = 0x18,
	CFG_MEMORY = 0x20, CFG_PREFETCH = 0x24, CFG_PREFETCH_HIGH = 0x28, CFG_CAPS = 0x34,
	CMD_MEMORY_MASTER = 0x06,
	CAP_MSIX = 0x11, CAP_EXPRESS = 0x10,
};

uint32_t guest_config(struct guest *g, unsigned int offset, unsigned int size)
{
	return qtest_config_read(g->q, 1, 0, offset, size);
}

void guest_config_set(struct guest *g, unsigned int offset, unsigned int size, uint32_t value)
{
	qtest_config_write(g->q, 1, 0, offset, size, value);
}

unsigned int guest_find_cap(struct guest *g, unsigned int id)
{
	unsigned int at = guest_config(g, CFG_CAPS, 1);

	while (at && guest_config(g, at, 1) != id)
		at = guest_config(g, at + 1, 1);
	return at;
}

void guest_setup_bus(struct guest *g)
{
	qtest_config_write(g->q, 0, PORT_DEVFN, CFG_BUSES, 4, 0x00010100);
	qtest_config_write(g->q, 0, PORT_DEVFN, CFG_MEMORY, 4, 0xeff0e000);
	qtest_config_write(g->q, 0, PORT_DEVFN, CFG_PREFETCH, 4, 0xfbf0f000);
	qtest_config_write(g->q, 0, PORT_DEVFN, CFG_PREFETCH_HIGH, 4, 0);
	qtest_config_write(g->q, 0, PORT_DEVFN, CFG_PREFETCH_HIGH + 4, 4, 0);
	qtest_config_write(g->q, 0, PORT_DEVFN, CFG_COMMAND, 2, CMD_MEMORY_MASTER);
}

void guest_setup_device(struct guest *g)
{
	guest_config_set(g, CFG_BAR0, 4, (uint32_t)GUEST_REGS);
	guest_config_set(g, CFG_BAR0 + 4, 4, 0);
	guest_config_set(g, CFG_BAR0 + 8, 4, (uint32_t)GUEST_LOCAL);
	guest_config_set(g, CFG_BAR0 + 12, 4, 0);
	guest_config_set(g, CFG_BAR0 + 16, 4, (uint32_t)GUEST_MSIX);
	guest_config_set(g, CFG_COMMAND, 2, CMD_MEMORY_MASTER);
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t entry = GUEST_MSIX + 16 * i;

		qtest_write(g->q, entry, 4, GUEST_MSI + 4 * i);
		qtest_write(g->q, entry + 4, 4, 0);
		qtest_write(g->q, entry + 8, 4, 0x1000 + i);
		qtest_write(g->q, entry + 12, 4, 0);
	}
	guest_config_set(g, g->msix + 2, 2, 0x8000);
}

void guest_start(struct guest *g, const char *properties)
{
	memset(g, 0, sizeof(*g));
	g->q = qtest_start(properties);
	guest_setup_bus(g);
	g->msix = guest_find_cap(g, CAP_MSIX);
	g->express = guest_find_cap(g, CAP_EXPRESS);
	assert_true(g->msix && g->express);
	guest_setup_device(g);
}

void guest_end(struct guest *g)
{
	qtest_end(g->q);
}

void guest_slot_power(struct guest *g, bool on)
{
	unsigned int at = qtest_config_read(g->q, 0, PORT_DEVFN, CFG_CAPS, 1);

	while (qtest_config_read(g->q, 0, PORT_DEVFN, at, 1) != CAP_EXPRESS)
		at = qtest_config_read(g->q, 0, PORT_DEVFN, at + 1, 1);
	/* slot control: power controller and power indicator */
	qtest_config_write(g->q, 0, PORT_DEVFN, at + 0x18, 2, on ? 0x0100 : 0x0700);
}

static void device_del(struct guest *g)
{
	assert_non_null(strstr(qtest_qmp(g->q, "{\"execute\": \"device_del\", \"arguments\": "
					 "{\"id\": \"damf0\"}}"), "return"));
}

void guest_unplug(struct guest *g)
{
	guest_slot_power(g, true);
	device_del(g);
	guest_slot_power(g, false);
	qtest_qmp_event(g->q, "DEVICE_DELETED");
}

void guest_unplug_off(struct guest *g)
{
	device_del(g);
	qtest_qmp_event(g->q, "DEVICE_DELETED");
}

uint32_t guest_reg32(struct guest *g, unsigned int reg)
{
	return (uint32_t)qtest_read(g->q, GUEST_REGS + reg, 4);
}

uint64_t guest_reg64(struct guest *g, unsigned int reg)
{
	return qtest_read(g->q, GUEST_REGS + reg, 8);
}

void guest_set32(struct guest *g, unsigned int reg, uint32_t value)
{
	qtest_write(g->q, GUEST_REGS + reg, 4, value);
}

void guest_set64(struct guest *g, unsigned int reg, uint64_t value)
{
	qtest_write(g->q, GUEST_REGS + reg, 8, value);
}

static void clear(struct guest *g, uint64_t addr, size_t size)
{
	static const char zero[0x2000];

	for (size_t at = 0; at < size; at += sizeof(zero))
		qtest_memwrite(g->q, addr + at, zero,
			       size - at < sizeof(zero) ? size - at : sizeof(zero));
}

static void make_rings(struct guest *g, struct guest_queue *q, unsigned int id)
{
	*q = (struct guest_queue){
		.id = id, .sq = GUEST_RINGS + 0x10000 * id, .cq = GUEST_RINGS + 0x10000 * id + 0x1000,
		.shared = GUEST_RINGS + 0x10000 * id + 0x2000,
	};
	clear(g, q->sq, 0x3000);
}

void guest_enable(struct guest *g)
{
	unsigned int rounds = 0;

	make_rings(g, &g->admin, 0);
	guest_set64(g, DAMF_REG_FEATURES_ACCEPTED, guest_reg64(g, DAMF_REG_FEATURES));
	guest_set64(g, DAMF_REG_ADMIN_SQ, g->admin.sq);
	guest_set64(g, DAMF_REG_ADMIN_CQ, g->admin.cq);
	guest_set64(g, DAMF_REG_ADMIN_SHARED, g->admin.shared);
	guest_set32(g, DAMF_REG_ADMIN_LOG2, GUEST_LOG2);
	guest_set32(g, DAMF_REG_CTRL, DAMF_CTRL_ENABLE);
	while (!(guest_reg32(g, DAMF_REG_STATUS) & DAMF_STATUS_READY))
		qtest_wait(&rounds, "READY");
}

void guest_put(struct guest *g, struct guest_queue *q, const void *sqe)
{
	qtest_memwrite(g->q, q->sq + 64 * (q->tail % (1 << GUEST_LOG2)), sqe, 64);
	q->tail++;
	qtest_write(g->q, q->shared + offsetof(struct damf_queue_shared, sq_tail), 4, q->tail);
}

void guest_ring(struct guest *g, struct guest_queue *q)
{
	uint32_t at = guest_reg32(g, DAMF_REG_DB_OFFSET) + q->id * DAMF_DB_PAGE_SIZE;

	guest_set32(g, at + DAMF_DB_SQ, q->tail);
}

bool guest_has_completion(struct guest *g, struct guest_queue *q)
{
	uint64_t at = q->cq + 64 * (q->head % (1 << GUEST_LOG2));
	uint32_t phase = (uint32_t)qtest_read(g->q, at + offsetof(struct damf_cqe, phase), 4);

	return (phase & 1) == (~(q->head >> GUEST_LOG2) & 1);
}

struct damf_cqe guest_take(struct guest *g, struct guest_queue *q)
{
	struct damf_cqe cqe;
	unsigned int rounds = 0;

	while (!guest_has_completion(g, q))
		qtest_wait(&rounds, "a completion");
	qtest_memread(g->q, q->cq + 64 * (q->head % (1 << GUEST_LOG2)), &cqe, sizeof(cqe));
	q->head++;
	/* the interrupt is wanted for the next one */
	qtest_write(g->q, q->shared + offsetof(struct damf_queue_shared, cq_head), 4, q->head);
	qtest_write(g->q, q->shared + offsetof(struct damf_queue_shared, cq_event), 4, q->head);
	return cqe;
}

unsigned int guest_admin(struct guest *g, struct damf_admin_sqe *sqe)
{
	struct damf_cqe cqe;

	sqe->cookie = 0xadadadad00000000ull + g->admin.tail;
	guest_put(g, &g->admin, sqe);
	guest_ring(g, &g->admin);
	cqe = guest_take(g, &g->admin);
	assert_true(cqe.cookie == sqe->cookie);
	assert_int_equal(cqe.sq_head, g->admin.tail);
	return cqe.status;
}

/* Root, one middle table, large pages for the data, one for local memory. */
void guest_make_context(struct guest *g)
{
	const uint64_t middle = GUEST_TABLES + 0x1000, middle_local = GUEST_TABLES + 0x2000;
	struct damf_admin_sqe sqe = {
		.opcode = DAMF_ADMIN_CREATE_CONTEXT, .context = 1, .addr = { GUEST_TABLES },
	};

	clear(g, GUEST_TABLES, 0x3000);
	qtest_write(g->q, GUEST_TABLES, 8, middle | DAMF_PTE_VALID);
	qtest_write(g->q, GUEST_TABLES + 8 * (GUEST_LOCAL_VA >> 30), 8,
		    middle_local | DAMF_PTE_VALID);
	for (uint64_t va = GUEST_DATA; va < GUEST_DATA + GUEST_DATA_SIZE; va += DAMF_LARGE_SIZE)
		qtest_write(g->q, middle + 8 * (va >> 21), 8,
			    va | DAMF_PTE_VALID | DAMF_PTE_LARGE);
	qtest_write(g->q, middle_local, 8, DAMF_PTE_VALID | DAMF_PTE_LARGE | DAMF_PTE_LOCAL);
	assert_int_equal(guest_admin(g, &sqe), DAMF_ST_OK);
}

void guest_make_queue(struct guest *g)
{
	struct damf_admin_sqe sqe = {
		.opcode = DAMF_ADMIN_CREATE_QUEUE, .context = 1, .queue = 1, .log2 = GUEST_LOG2,
		.vector = 1, .priority = DAMF_PRIORITY_NORMAL,
	};

	make_rings(g, &g->io, 1);
	sqe.addr[0] = g->io.sq;
	sqe.addr[1] = g->io.cq;
	sqe.addr[2] = g->io.shared;
	assert_int_equal(guest_admin(g, &sqe), DAMF_ST_OK);
}

struct damf_job guest_fill(uint64_t va, uint32_t words, uint32_t pattern)
{
	struct damf_job job = {
		.opcode = DAMF_OP_FILL, .version = DAMF_JOB_VERSION, .size = sizeof(job),
	};

	job.param[DAMF_P_PATTERN] = pattern;
	job.tensor[DAMF_T_Y] = (struct damf_tensor){
		.addr = va, .stride = 4ull * words, .rows = 1, .cols = words,
		.type = DAMF_TYPE_I32, .layout = DAMF_LAYOUT_ROWS,
	};
	return job;
}

struct damf_sqe guest_exec(struct guest *g, const struct damf_job *jobs, unsigned int count)
{
	qtest_memwrite(g->q, GUEST_DATA_LIST, jobs, count * sizeof(*jobs));
	return (struct damf_sqe){
		.opcode = DAMF_SQ_EXEC, .flags = DAMF_SQE_REPLAYABLE, .context = 1, .count = count,
		.cookie = 0x1122334455660000ull + g->io.tail, .list = GUEST_DATA_LIST,
	};
}

struct damf_cqe guest_run(struct guest *g, const struct damf_job *jobs, unsigned int count)
{
	struct damf_sqe sqe = guest_exec(g, jobs, count);
	struct damf_cqe cqe;

	guest_put(g, &g->io, &sqe);
	guest_ring(g, &g->io);
	cqe = guest_take(g, &g->io);
	assert_true(cqe.cookie == sqe.cookie);
	assert_int_equal(cqe.context, 1);
	return cqe;
}

uint32_t guest_msi(struct guest *g, unsigned int vector)
{
	return (uint32_t)qtest_read(g->q, GUEST_MSI + 4 * vector, 4);
}

void guest_clear_msi(struct guest *g)
{
	qtest_write(g->q, GUEST_MSI, 8, 0);
}
