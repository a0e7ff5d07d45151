// SPDX-License-Identifier: MIT
/* Every admin command, and every field of each spoilt. */
#include <string.h>

#include "fake.h"

#define AT(member) ((unsigned int)offsetof(struct damf_admin_sqe, member))

static struct damf_cqe create(struct fake *f, unsigned int queue, unsigned int offset,
			      unsigned int size, uint64_t value)
{
	struct damf_admin_sqe cmd = fake_queue_cmd(DAMF_ADMIN_CREATE_QUEUE, queue);
	struct fake_ring ring;

	fake_ring_init(f, &ring, queue, FAKE_LOG2);
	cmd.context = 1;
	cmd.log2 = FAKE_LOG2;
	cmd.vector = 1;
	cmd.priority = DAMF_PRIORITY_NORMAL;
	cmd.addr[0] = ring.sq;
	cmd.addr[1] = ring.cq;
	cmd.addr[2] = ring.shared;
	memcpy((char *)&cmd + offset, &value, size);
	return fake_admin(f, &cmd);
}

static void create_queue(void **state)
{
	static const struct {
		unsigned int offset, size;
		uint64_t value;
		unsigned int status;
	} cases[] = {
		{ AT(flags), 2, 1, DAMF_ST_BAD_FIELD },
		{ AT(queue), 2, 0, DAMF_ST_BAD_QUEUE },
		{ AT(queue), 2, 1, DAMF_ST_BAD_QUEUE }, /* in use */
		{ AT(queue), 2, FAKE_QUEUES + 1, DAMF_ST_BAD_QUEUE },
		{ AT(queue), 2, 0xffff, DAMF_ST_BAD_QUEUE },
		{ AT(context), 2, 0, DAMF_ST_BAD_CONTEXT },
		{ AT(context), 2, 2, DAMF_ST_BAD_CONTEXT },
		{ AT(context), 2, 0xffff, DAMF_ST_BAD_CONTEXT },
		{ AT(log2), 2, 0, DAMF_ST_BAD_FIELD },
		{ AT(log2), 2, 13, DAMF_ST_BAD_LIMIT },
		{ AT(log2), 2, 0xffff, DAMF_ST_BAD_LIMIT },
		{ AT(vector), 2, FAKE_VECTORS, DAMF_ST_BAD_LIMIT },
		{ AT(vector), 2, 0xffff, DAMF_ST_BAD_LIMIT },
		{ AT(priority), 2, 3, DAMF_ST_BAD_FIELD },
		{ AT(reserved0), 2, 1, DAMF_ST_BAD_FIELD },
		{ AT(addr), 8, 0x1001, DAMF_ST_BAD_FIELD },
		{ AT(addr), 8, ~63ull, DAMF_ST_BAD_FIELD },
		{ AT(addr) + 8, 8, 0x1020, DAMF_ST_BAD_FIELD },
		{ AT(addr) + 8, 8, ~63ull, DAMF_ST_BAD_FIELD },
		{ AT(addr) + 16, 8, 0x1008, DAMF_ST_BAD_FIELD },
		{ AT(addr) + 16, 8, ~63ull, DAMF_ST_BAD_FIELD },
		{ AT(length), 8, 4096, DAMF_ST_BAD_FIELD },
		{ AT(reserved1), 8, 1, DAMF_ST_BAD_FIELD },
	};
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct damf_cqe cqe = create(f, 2, cases[i].offset, cases[i].size, cases[i].value);

		if (cqe.status != cases[i].status || cqe.field != cases[i].offset)
			fail_msg("case %zu: status %u, field %u", i, cqe.status, cqe.field);
	}
	/* shared indices where no memory is */
	assert_int_equal(create(f, 2, AT(addr) + 16, 8, FAKE_BUS).status, DAMF_ST_DMA_ERROR);
	assert_int_equal(create(f, 2, AT(cookie), 8, 0x2002).status, DAMF_ST_OK);
	fake_free(f);
}

/* A command with one field set that it has no use for. */
static void unused_fields(void **state)
{
	static const struct {
		unsigned int opcode;
		bool queue, context, addr, length;
	} uses[] = {
		{ DAMF_ADMIN_NOP, false, false, false, false },
		{ DAMF_ADMIN_CREATE_CONTEXT, false, true, true, false },
		{ DAMF_ADMIN_DESTROY_CONTEXT, false, true, false, false },
		{ DAMF_ADMIN_FLUSH, false, true, true, true },
		{ DAMF_ADMIN_ABORT_CONTEXT, false, true, false, false },
		{ DAMF_ADMIN_RESUME_CONTEXT, false, true, false, false },
		{ DAMF_ADMIN_STOP_QUEUE, true, false, false, false },
		{ DAMF_ADMIN_DESTROY_QUEUE, true, false, false, false },
		{ DAMF_ADMIN_READ_COUNTERS, false, true, true, false },
	};
	static const struct {
		unsigned int offset, size;
	} fields[] = {
		{ AT(flags), 2 }, { AT(queue), 2 }, { AT(context), 2 }, { AT(log2), 2 },
		{ AT(vector), 2 }, { AT(priority), 2 }, { AT(reserved0), 2 }, { AT(addr), 8 },
		{ AT(addr) + 8, 8 }, { AT(addr) + 16, 8 }, { AT(length), 8 }, { AT(reserved1), 8 },
	};
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(uses) / sizeof(uses[0]); i++)
		for (k = 0; k < sizeof(fields) / sizeof(fields[0]); k++) {
			struct damf_admin_sqe cmd = { .opcode = uses[i].opcode };
			unsigned int at = fields[k].offset;
			struct damf_cqe cqe;

			if ((at == AT(queue) && uses[i].queue) ||
			    (at == AT(context) && uses[i].context) ||
			    (at == AT(addr) && uses[i].addr) ||
			    (at == AT(length) && uses[i].length))
				continue;
			((unsigned char *)&cmd)[at + fields[k].size - 1] = 0x80;
			cqe = fake_admin(f, &cmd);
			if (cqe.status != DAMF_ST_BAD_FIELD || cqe.field != at)
				fail_msg("opcode %u, field %u: status %u, field %u",
					 uses[i].opcode, at, cqe.status, cqe.field);
		}
	fake_free(f);
}

static unsigned int status_of(struct fake *f, unsigned int opcode, unsigned int ctx,
			      uint64_t addr, uint64_t length)
{
	struct damf_admin_sqe cmd = fake_context_cmd(opcode, ctx);

	cmd.addr[0] = addr;
	cmd.length = length;
	return fake_admin(f, &cmd).status;
}

static void contexts(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	static const unsigned int commands[] = {
		DAMF_ADMIN_DESTROY_CONTEXT, DAMF_ADMIN_FLUSH, DAMF_ADMIN_ABORT_CONTEXT,
		DAMF_ADMIN_RESUME_CONTEXT, DAMF_ADMIN_READ_COUNTERS,
	};
	static const unsigned int absent[] = { 0, 2, FAKE_CONTEXTS + 1, 0xffff };
	size_t i, k;

	(void)state;
	for (i = 0; i < 5; i++)
		for (k = 0; k < 4; k++)
			assert_int_equal(status_of(f, commands[i], absent[k], 0, 0),
					 DAMF_ST_BAD_CONTEXT);
	assert_int_equal(status_of(f, DAMF_ADMIN_CREATE_CONTEXT, 0, 0x1000, 0), DAMF_ST_BAD_CONTEXT);
	assert_int_equal(status_of(f, DAMF_ADMIN_CREATE_CONTEXT, FAKE_CONTEXTS + 1, 0x1000, 0),
			 DAMF_ST_BAD_CONTEXT);
	assert_int_equal(status_of(f, DAMF_ADMIN_CREATE_CONTEXT, 1, 0x1000, 0), DAMF_ST_BUSY);
	assert_int_equal(status_of(f, DAMF_ADMIN_CREATE_CONTEXT, 2, 0x1008, 0), DAMF_ST_BAD_FIELD);
	assert_int_equal(status_of(f, DAMF_ADMIN_CREATE_CONTEXT, 2, 1ull << 52, 0), DAMF_ST_BAD_FIELD);
	/* a root that isn't there is found out by the first walk */
	assert_int_equal(status_of(f, DAMF_ADMIN_CREATE_CONTEXT, 2, FAKE_BUS, 0), DAMF_ST_OK);
	assert_int_equal(status_of(f, DAMF_ADMIN_DESTROY_CONTEXT, 2, 0, 0), DAMF_ST_OK);
	assert_int_equal(status_of(f, DAMF_ADMIN_DESTROY_CONTEXT, 1, 0, 0), DAMF_ST_BUSY);
	fake_admin(f, &(struct damf_admin_sqe) { .opcode = DAMF_ADMIN_DESTROY_QUEUE, .queue = 1 });
	assert_int_equal(status_of(f, DAMF_ADMIN_DESTROY_CONTEXT, 1, 0, 0), DAMF_ST_OK);
	assert_int_equal(status_of(f, DAMF_ADMIN_DESTROY_CONTEXT, 1, 0, 0), DAMF_ST_BAD_CONTEXT);
	fake_free(f);
}

static void flush_ranges(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);

	(void)state;
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, 0, 0), DAMF_ST_OK);
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, 0x1000, 0x1000), DAMF_ST_OK);
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, 0, DAMF_VA_END), DAMF_ST_OK);
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, 0x1000, 0), DAMF_ST_BAD_FIELD);
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, 0x800, 0x1000), DAMF_ST_BAD_FIELD);
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, 0, 0x800), DAMF_ST_BAD_FIELD);
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, 0x1000, DAMF_VA_END), DAMF_ST_BAD_FIELD);
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, DAMF_VA_END, 0x1000), DAMF_ST_BAD_FIELD);
	assert_int_equal(status_of(f, DAMF_ADMIN_FLUSH, 1, 0x1000, ~0xfffull), DAMF_ST_BAD_FIELD);
	fake_free(f);
}

static void counters(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	uint64_t at = fake_alloc(f, sizeof(struct damf_counters), 64);

	(void)state;
	memset(fake_at(f, at), 0xff, sizeof(struct damf_counters));
	assert_int_equal(status_of(f, DAMF_ADMIN_READ_COUNTERS, 1, at, 0), DAMF_ST_OK);
	assert_int_equal(((struct damf_counters *)fake_at(f, at))->jobs, 0);
	assert_int_equal(status_of(f, DAMF_ADMIN_READ_COUNTERS, 1, at + 4, 0), DAMF_ST_BAD_FIELD);
	assert_int_equal(status_of(f, DAMF_ADMIN_READ_COUNTERS, 1, FAKE_BUS, 0), DAMF_ST_DMA_ERROR);
	fake_free(f);
}

static void queues_and_opcodes(void **state)
{
	static const unsigned int absent[] = { 0, 2, FAKE_QUEUES + 1, 0xffff };
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_admin_sqe cmd;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		cmd = fake_queue_cmd(DAMF_ADMIN_STOP_QUEUE, absent[i]);
		assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_BAD_QUEUE);
		cmd = fake_queue_cmd(DAMF_ADMIN_DESTROY_QUEUE, absent[i]);
		assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_BAD_QUEUE);
	}
	/* stopping twice is fine, and destroying stops */
	cmd = fake_queue_cmd(DAMF_ADMIN_STOP_QUEUE, 1);
	assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_OK);
	assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_OK);
	cmd = fake_queue_cmd(DAMF_ADMIN_DESTROY_QUEUE, 1);
	assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_OK);
	assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_BAD_QUEUE);
	for (i = DAMF_ADMIN_READ_COUNTERS + 1; i <= 0xffff; i += 997) {
		cmd = (struct damf_admin_sqe) { .opcode = i };
		assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_BAD_OPCODE);
	}
	assert_int_equal(fake_create_queue(f, &ring, 1, 1, 0, 2).status, DAMF_ST_OK);
	fake_free(f);
}

/* More commands than the ring has entries, many times over. */
static void admin_wraps(void **state)
{
	struct fake *f = fake_enabled();
	struct damf_admin_sqe cmd = { .opcode = DAMF_ADMIN_NOP };
	unsigned int i;

	(void)state;
	for (i = 0; i < 100; i++) {
		cmd.cookie = i;
		assert_int_equal(fake_admin(f, &cmd).status, DAMF_ST_OK);
	}
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_queue), cmocka_unit_test(unused_fields),
		cmocka_unit_test(contexts), cmocka_unit_test(flush_ranges),
		cmocka_unit_test(counters), cmocka_unit_test(queues_and_opcodes),
		cmocka_unit_test(admin_wraps),
	};

	return cmocka_run_group_tests_name("core: admin commands", tests, NULL, NULL);
}
