// SPDX-License-Identifier: MIT
/* Rings: events, phase, back-pressure, indices and entries that make no sense. */
#include <string.h>

#include "jobs.h"

static struct damf_sqe nop(uint64_t cookie)
{
	return (struct damf_sqe) { .opcode = DAMF_SQ_NOP, .context = 1, .cookie = cookie };
}

static uint32_t queue_state(struct fake *f, unsigned int queue)
{
	return fake_read32(f, fake_read32(f, DAMF_REG_DB_OFFSET) + queue * DAMF_DB_PAGE_SIZE +
			   DAMF_DB_STATE);
}

/* Many times around, in batches of every size. */
static void wrap(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	uint64_t sent = 0, seen = 0;
	unsigned int round, i;
	struct damf_cqe cqe;

	(void)state;
	for (round = 0; round < 200; round++) {
		unsigned int batch = 1 + round % (1 << FAKE_LOG2);

		for (i = 0; i < batch; i++) {
			struct damf_sqe sqe = nop(sent++);

			fake_push(f, &ring, &sqe);
		}
		fake_drive(f);
		while (fake_pop(f, &ring, &cqe)) {
			assert_int_equal(cqe.cookie, seen++);
			assert_int_equal(cqe.status, DAMF_ST_OK);
			assert_int_equal(cqe.sq_head, seen);
		}
		assert_int_equal(seen, sent);
		assert_int_equal(fake_shared(f, &ring)->sq_head, sent);
		assert_int_equal(fake_shared(f, &ring)->cq_tail, sent);
	}
	fake_free(f);
}

/* The 32-bit counts themselves wrap: events around zero. */
static void event_arithmetic(void **state)
{
	(void)state;
	assert_true(damf_need_event(0, 1, 0));
	assert_false(damf_need_event(1, 1, 0));
	assert_true(damf_need_event(0xffffffff, 0, 0xffffffff));
	assert_true(damf_need_event(0, 2, 0xfffffffe));
	assert_false(damf_need_event(5, 2, 0xfffffffe));
	assert_false(damf_need_event(0xfffffff0, 2, 0xfffffffe));
}

/* An idle queue wants a doorbell, a busy one does not. */
static void doorbells_suppressed(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_job job = { .version = 1, .size = sizeof(job) };
	struct damf_sqe sqe = fake_exec(1, job_list(f, &job, 1, NULL), 1);
	uint64_t before = fake_read64(f, DAMF_REG_STAT_DOORBELLS);
	struct damf_cqe cqe;
	unsigned int i;

	(void)state;
	assert_true(fake_push(f, &ring, &sqe));
	assert_true(damf_core_next(f->core));
	/* the first is on the engine: the rest is found without */
	for (i = 0; i < 5; i++)
		assert_false(fake_push(f, &ring, &sqe));
	damf_core_run(f->core);
	damf_core_commit(f->core);
	assert_int_equal(fake_drive(f), 5);
	for (i = 0; i < 6; i++)
		assert_true(fake_pop(f, &ring, &cqe));
	assert_int_equal(fake_read64(f, DAMF_REG_STAT_DOORBELLS), before + 1);
	assert_true(fake_push(f, &ring, &sqe));
	fake_drive(f);
	fake_free(f);
}

struct late {
	struct fake_ring *ring;
	bool done;
};

/* The driver, at the worst moment: sq_event is out, the tail not yet looked at. */
static void add_late(struct fake *f, void *arg)
{
	struct late *late = arg;
	struct damf_sqe sqe = nop(7);

	if (late->done || fake_shared(f, late->ring)->sq_event != late->ring->tail)
		return;
	late->done = true;
	memcpy((char *)fake_at(f, late->ring->sq) + 64 * late->ring->tail, &sqe, sizeof(sqe));
	fake_shared(f, late->ring)->sq_tail = ++late->ring->tail;
}

/* An entry that comes while the device arms the event is found without a doorbell. */
static void no_lost_entry(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct late late = { .ring = &ring };
	struct damf_sqe sqe = nop(6);
	struct damf_cqe cqe;

	(void)state;
	f->barrier_arg = &late;
	f->on_barrier = add_late;
	assert_int_equal(fake_run(f, &ring, &sqe).status, DAMF_ST_OK);
	assert_true(late.done);
	assert_true(fake_pop(f, &ring, &cqe));
	assert_int_equal(cqe.cookie, 7);
	fake_free(f);
}

/* One interrupt a batch; none for a driver that polls. */
static void interrupts_coalesced(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_cqe cqe;
	unsigned int i;

	(void)state;
	f->irqs[1] = 0;
	for (i = 0; i < 6; i++) {
		struct damf_sqe sqe = nop(i);

		fake_push(f, &ring, &sqe);
	}
	fake_drive(f);
	assert_int_equal(f->irqs[1], 1);
	for (i = 0; i < 6; i++)
		assert_true(fake_pop(f, &ring, &cqe));
	/* far ahead: the driver polls */
	fake_shared(f, &ring)->cq_event = ring.head + 1000;
	fake_run(f, &ring, &(struct damf_sqe) { .context = 1 });
	assert_int_equal(f->irqs[1], 1);
	/* the third from now on */
	fake_shared(f, &ring)->cq_event = ring.head + 2;
	for (i = 0; i < 4; i++) {
		struct damf_sqe sqe = nop(i);

		fake_push(f, &ring, &sqe);
		fake_drive(f);
		assert_int_equal(f->irqs[1], i < 2 ? 1 : 2);
	}
	fake_free(f);
}

static void without_event_index(void **state)
{
	struct fake *f = fake_new();
	struct fake_ring ring;
	struct damf_sqe sqe = nop(0);
	struct damf_cqe cqe;
	unsigned int i;

	(void)state;
	fake_enable(f, 0);
	assert_int_equal(fake_create_context(f, 1).status, DAMF_ST_OK);
	assert_int_equal(fake_create_queue(f, &ring, 1, 1, 2, 0).status, DAMF_ST_OK);
	f->irqs[2] = 0;
	for (i = 0; i < 3; i++) {
		fake_push(f, &ring, &sqe);
		fake_doorbell(f, &ring);
		fake_drive(f);
		assert_true(fake_pop(f, &ring, &cqe));
		assert_int_equal(f->irqs[2], i + 1);
		assert_int_equal(fake_shared(f, &ring)->sq_event, 0);
	}
	fake_free(f);
}

/* A completion ring that nobody empties holds the queue, not the device. */
static void back_pressure(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	const unsigned int size = 1 << FAKE_LOG2;
	struct damf_queue_shared *s = fake_shared(f, &ring);
	struct damf_sqe sqe = nop(0);
	struct damf_cqe cqe;
	unsigned int i;

	(void)state;
	for (i = 0; i < size; i++)
		fake_push(f, &ring, &sqe);
	fake_drive(f);
	assert_int_equal(s->cq_tail, size);
	for (i = 0; i < 3; i++)
		fake_push(f, &ring, &sqe);
	fake_doorbell(f, &ring);
	fake_drive(f);
	assert_int_equal(s->cq_tail, size);
	assert_int_equal(s->sq_head, size);
	assert_int_equal(queue_state(f, 1), DAMF_QUEUE_LIVE);
	/* room for two, told by the doorbell of cq_head */
	assert_true(fake_pop(f, &ring, &cqe) && fake_pop(f, &ring, &cqe));
	fake_write32(f, fake_read32(f, DAMF_REG_DB_OFFSET) + DAMF_DB_PAGE_SIZE + DAMF_DB_CQ,
		     ring.head);
	fake_drive(f);
	assert_int_equal(s->cq_tail, size + 2);
	while (fake_pop(f, &ring, &cqe))
		;
	assert_int_equal(ring.head, size + 2);
	fake_write32(f, fake_read32(f, DAMF_REG_DB_OFFSET) + DAMF_DB_PAGE_SIZE + DAMF_DB_CQ, 0);
	fake_drive(f);
	assert_int_equal(s->cq_tail, size + 3);
	fake_free(f);
}

/* Indices out of range stop the queue alone. */
static void bad_indices(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct fake_ring ring, other;
		struct fake *f = fake_ready(&ring);
		struct damf_sqe sqe = nop(7);
		struct damf_admin_sqe cmd = fake_queue_cmd(DAMF_ADMIN_DESTROY_QUEUE, 1);

		assert_int_equal(fake_create_queue(f, &other, 2, 1, 2, 1).status, DAMF_ST_OK);
		f->irqs[0] = 0;
		switch (i) {
		case 0:
			fake_shared(f, &ring)->sq_tail = (1 << FAKE_LOG2) + 1;
			break;
		case 1:
			fake_shared(f, &ring)->sq_tail = 0xffffffff;
			break;
		case 2:
			fake_shared(f, &ring)->sq_tail = 1;
			fake_shared(f, &ring)->cq_head = 1;
			break;
		default:
			fake_shared(f, &ring)->sq_tail = 1;
			f->bad_from = ring.sq;
			f->bad_to = ring.sq + 64;
			break;
		}
		fake_doorbell(f, &ring);
		fake_drive(f);
		assert_int_equal(queue_state(f, 1), DAMF_QUEUE_ERROR);
		assert_int_equal(f->irqs[0], 1);
		assert_true(f->errors);
		assert_int_equal(fake_run(f, &other, &sqe).status, DAMF_ST_OK);
		assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_OK);
		assert_int_equal(queue_state(f, 1), DAMF_QUEUE_NONE);
		fake_free(f);
	}
}

/* Each field of an entry, spoilt in turn. */
static void bad_entries(void **state)
{
#define AT(member) offsetof(struct damf_sqe, member)
	static const struct {
		unsigned int offset, size;
		uint64_t value;
		unsigned int status;
		bool nop;
	} cases[] = {
		{ AT(opcode), 2, 2, DAMF_ST_BAD_OPCODE, false },
		{ AT(opcode), 2, 0xffff, DAMF_ST_BAD_OPCODE, false },
		{ AT(flags), 2, 2, DAMF_ST_BAD_FIELD, false },
		{ AT(flags), 2, 1, DAMF_ST_BAD_FIELD, true },
		{ AT(context), 2, 2, DAMF_ST_BAD_CONTEXT, false },
		{ AT(context), 2, 0, DAMF_ST_BAD_CONTEXT, true },
		{ AT(reserved0), 2, 1, DAMF_ST_BAD_FIELD, false },
		{ AT(count), 4, 0, DAMF_ST_BAD_FIELD, false },
		{ AT(count), 4, 4097, DAMF_ST_BAD_LIMIT, false },
		{ AT(count), 4, 0xffffffff, DAMF_ST_BAD_LIMIT, false },
		{ AT(count), 4, 1, DAMF_ST_BAD_FIELD, true },
		{ AT(first), 4, 2, DAMF_ST_BAD_FIELD, false },
		{ AT(first), 4, 1, DAMF_ST_BAD_FIELD, true },
		{ AT(list), 8, 32, DAMF_ST_BAD_FIELD, false },
		{ AT(list), 8, DAMF_VA_END, DAMF_ST_BAD_FIELD, false },
		{ AT(list), 8, DAMF_VA_END - 64, DAMF_ST_BAD_FIELD, false },
		{ AT(list), 8, ~63ull, DAMF_ST_BAD_FIELD, false },
		{ AT(list), 8, 64, DAMF_ST_BAD_FIELD, true },
		{ AT(counters), 8, 4, DAMF_ST_BAD_FIELD, false },
		{ AT(counters), 8, DAMF_VA_END - 64, DAMF_ST_BAD_FIELD, false },
		{ AT(counters), 8, 64, DAMF_ST_BAD_FIELD, true },
		{ AT(reserved1), 8, 1, DAMF_ST_BAD_FIELD, false },
		{ AT(reserved1) + 8, 8, 1ull << 63, DAMF_ST_BAD_FIELD, true },
		{ AT(reserved1) + 16, 8, 1, DAMF_ST_BAD_FIELD, false },
	};
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_job job = { .version = 1, .size = sizeof(job) };
	uint64_t list = job_list(f, &job, 1, NULL);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct damf_sqe sqe = cases[i].nop ? nop(i) : fake_exec(1, list, 1);
		struct damf_cqe cqe;

		memcpy((char *)&sqe + cases[i].offset, &cases[i].value, cases[i].size);
		cqe = fake_run(f, &ring, &sqe);
		if (cqe.status != cases[i].status || cqe.field != cases[i].offset)
			fail_msg("case %zu: status %u, field %u", i, cqe.status, cqe.field);
		assert_int_equal(cqe.index, DAMF_INDEX_NONE);
	}
	/* and it goes on as if nothing had been */
	assert_int_equal(fake_run(f, &ring, &(struct damf_sqe) { .context = 1 }).status, DAMF_ST_OK);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrap), cmocka_unit_test(event_arithmetic),
		cmocka_unit_test(doorbells_suppressed), cmocka_unit_test(no_lost_entry),
		cmocka_unit_test(interrupts_coalesced), cmocka_unit_test(without_event_index),
		cmocka_unit_test(back_pressure), cmocka_unit_test(bad_indices),
		cmocka_unit_test(bad_entries),
	};

	return cmocka_run_group_tests_name("core: rings", tests, NULL, NULL);
}
