// SPDX-License-Identifier: MIT
/* Registers, enable, reset, and accesses that are no register's. */
#include <string.h>

#include "fake.h"

#define ONES (~0ull)

static void identification(void **state)
{
	struct fake *f = fake_new();

	(void)state;
	assert_int_equal(fake_read32(f, DAMF_REG_MAGIC), DAMF_MAGIC);
	assert_int_equal(fake_read32(f, DAMF_REG_VERSION), DAMF_HW_VERSION);
	assert_int_equal(fake_read64(f, DAMF_REG_FEATURES), DAMF_FEATURES_KNOWN);
	assert_int_equal(fake_read64(f, DAMF_REG_OPCODES), (1 << (DAMF_OP_LAST + 1)) - 1);
	assert_int_equal(fake_read64(f, DAMF_REG_TYPES), 1 << DAMF_TYPE_F32 | 1 << DAMF_TYPE_I32 |
			 1 << DAMF_TYPE_BYTES | 1 << DAMF_TYPE_I8 | 1 << DAMF_TYPE_BF16);
	assert_int_equal(fake_read64(f, DAMF_REG_MODES), 1 << DAMF_MODE_MHSA | 1 << DAMF_MODE_FOLD |
			 1 << DAMF_MODE_SHIFT | 1 << DAMF_MODE_FOLDSHIFT | 1 << DAMF_MODE_SOFTFOLD);
	assert_int_equal(fake_read32(f, DAMF_REG_MAX_QUEUES), FAKE_QUEUES);
	assert_int_equal(fake_read32(f, DAMF_REG_MAX_CONTEXTS), FAKE_CONTEXTS);
	assert_int_equal(fake_read32(f, DAMF_REG_NUM_VECTORS), FAKE_VECTORS);
	assert_int_equal(fake_read64(f, DAMF_REG_LOCAL_SIZE), FAKE_LOCAL);
	assert_int_equal(fake_read32(f, DAMF_REG_VA_BITS), 39);
	assert_int_equal(fake_read32(f, DAMF_REG_STATUS), 0);
	assert_true(fake_read64(f, DAMF_REG_TIME) < fake_read64(f, DAMF_REG_TIME));
	fake_free(f);
}

static void without_local_memory(void **state)
{
	struct damf_core_config cfg;
	struct fake *f;

	(void)state;
	damf_core_config_init(&cfg);
	f = fake_new_config(&cfg);
	assert_int_equal(fake_read64(f, DAMF_REG_FEATURES),
			 DAMF_FEATURES_KNOWN & ~DAMF_FEATURE_LOCAL_MEMORY);
	fake_enable(f, DAMF_FEATURE_LOCAL_MEMORY);
	assert_int_equal(fake_read32(f, DAMF_REG_STATUS), DAMF_STATUS_FATAL);
	fake_free(f);
}

/* What isn't a register's access reads as ones and changes nothing. */
static void other_accesses(void **state)
{
	struct fake *f = fake_new();
	uint64_t bar = damf_core_bar_size(&f->cfg), at;
	unsigned int size;

	(void)state;
	for (size = 0; size <= 16; size++)
		for (at = 0; at < DAMF_REGS_END + 16; at++) {
			uint64_t value = damf_core_read(f->core, at, size);

			if ((size != 4 && size != 8) || at % size || at >= DAMF_REGS_END)
				assert_true(value == ONES);
		}
	assert_true(damf_core_read(f->core, DAMF_REG_MAGIC, 8) == ONES);
	assert_true(damf_core_read(f->core, DAMF_REG_CTRL, 8) == ONES);
	damf_core_write(f->core, DAMF_REG_CTRL, DAMF_CTRL_ENABLE, 8);
	damf_core_write(f->core, DAMF_REG_CTRL + 1, DAMF_CTRL_ENABLE, 4);
	damf_core_write(f->core, DAMF_REG_ADMIN_SQ, 0x1234, 1);
	assert_int_equal(fake_read64(f, DAMF_REG_ADMIN_SQ), 0);
	assert_int_equal(fake_read32(f, DAMF_REG_STATUS), 0);
	for (at = 0; at < bar; at += 4) {
		damf_core_read(f->core, at, 4);
		damf_core_read(f->core, at, 8);
		if (at != DAMF_REG_CTRL)
			damf_core_write(f->core, at, 0, 4);
	}
	assert_true(damf_core_read(f->core, bar, 8) == ONES);
	assert_true(damf_core_read(f->core, ~7ull, 8) == ONES);
	damf_core_write(f->core, ~7ull, 1, 8);
	assert_int_equal(fake_read32(f, DAMF_REG_MAGIC), DAMF_MAGIC);
	fake_free(f);
}

static void halves(void **state)
{
	struct fake *f = fake_new();
	uint32_t low;

	(void)state;
	fake_write32(f, DAMF_REG_ADMIN_SQ, 0x89abcdef);
	fake_write32(f, DAMF_REG_ADMIN_SQ + 4, 0x01234567);
	assert_true(fake_read64(f, DAMF_REG_ADMIN_SQ) == 0x0123456789abcdefull);
	/* the high half is of the moment when the low one was read */
	f->now = 0xfffffff0;
	low = fake_read32(f, DAMF_REG_TIME);
	f->now = 0x1fffffff0;
	assert_int_equal(low, 0xfffffffa);
	assert_int_equal(fake_read32(f, DAMF_REG_TIME + 4), 0);
	assert_int_equal(fake_read32(f, DAMF_REG_TIME + 4), 2);
	fake_free(f);
}

/* Enabled with one register wrong: fatal, and a reset makes good. */
static void bad_enable(void **state)
{
	static const struct {
		uint64_t reg, value;
		unsigned int code;
	} cases[] = {
		{ DAMF_REG_FEATURES_ACCEPTED, 1ull << 40, DAMF_ST_BAD_FIELD },
		{ DAMF_REG_ADMIN_SQ, 0x1020, DAMF_ST_BAD_FIELD },
		{ DAMF_REG_ADMIN_CQ, 0x1001, DAMF_ST_BAD_FIELD },
		{ DAMF_REG_ADMIN_SHARED, 0x1008, DAMF_ST_BAD_FIELD },
		{ DAMF_REG_ADMIN_SQ, ~63ull, DAMF_ST_BAD_FIELD },
		{ DAMF_REG_ADMIN_SHARED, FAKE_BUS, DAMF_ST_DMA_ERROR },
		{ DAMF_REG_ADMIN_LOG2, 0, DAMF_ST_BAD_FIELD },
		{ DAMF_REG_ADMIN_LOG2, 13, DAMF_ST_BAD_LIMIT },
		{ DAMF_REG_ADMIN_LOG2, 0xffffffff, DAMF_ST_BAD_LIMIT },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake *f = fake_enabled();

		/* set, all but one, by the first enable: now by hand */
		fake_write32(f, DAMF_REG_CTRL, DAMF_CTRL_RESET);
		fake_write64(f, DAMF_REG_ADMIN_SQ, f->admin.sq);
		fake_write64(f, DAMF_REG_ADMIN_CQ, f->admin.cq);
		fake_write64(f, DAMF_REG_ADMIN_SHARED, f->admin.shared);
		fake_write32(f, DAMF_REG_ADMIN_LOG2, f->admin.log2);
		damf_core_write(f->core, cases[i].reg, cases[i].value,
				cases[i].reg == DAMF_REG_ADMIN_LOG2 ? 4 : 8);
		fake_write32(f, DAMF_REG_CTRL, DAMF_CTRL_ENABLE);
		assert_int_equal(fake_read32(f, DAMF_REG_STATUS), DAMF_STATUS_FATAL);
		assert_int_equal(fake_read32(f, DAMF_REG_FATAL), cases[i].code);
		assert_int_equal(fake_read32(f, DAMF_REG_CTRL), DAMF_CTRL_ENABLE);
		assert_int_equal(fake_drive(f), 0);
		fake_write32(f, DAMF_REG_CTRL, DAMF_CTRL_RESET);
		assert_int_equal(fake_read32(f, DAMF_REG_STATUS), 0);
		assert_int_equal(fake_read32(f, DAMF_REG_FATAL), 0);
		fake_enable(f, 0);
		assert_int_equal(fake_read32(f, DAMF_REG_STATUS), DAMF_STATUS_READY);
		fake_free(f);
	}
}

static void reset_keeps(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	uint64_t doorbells = fake_read64(f, DAMF_REG_STAT_DOORBELLS);
	uint64_t irqs = fake_read64(f, DAMF_REG_STAT_IRQS);

	(void)state;
	assert_true(doorbells >= 2 && irqs >= 2);
	/* registers can't be changed while it is enabled */
	fake_write64(f, DAMF_REG_ADMIN_SQ, 0);
	assert_int_equal(fake_read64(f, DAMF_REG_ADMIN_SQ), f->admin.sq);
	/* to disable is to reset */
	fake_write32(f, DAMF_REG_CTRL, 0);
	assert_int_equal(fake_read32(f, DAMF_REG_STATUS), 0);
	assert_int_equal(fake_read64(f, DAMF_REG_ADMIN_SQ), 0);
	assert_int_equal(fake_read32(f, DAMF_REG_RESETS), 1);
	assert_int_equal(fake_read64(f, DAMF_REG_STAT_DOORBELLS), doorbells);
	/* queues and contexts are gone: a doorbell wakes nobody */
	fake_doorbell(f, &ring);
	assert_int_equal(fake_drive(f), 0);
	fake_enable(f, DAMF_FEATURES_KNOWN);
	assert_int_equal(fake_create_context(f, 1).status, DAMF_ST_OK);
	assert_int_equal(fake_create_queue(f, &ring, 1, 1, 1, 0).status, DAMF_ST_OK);
	/* and power takes the statistics too */
	damf_core_reset(f->core, false);
	assert_int_equal(fake_read64(f, DAMF_REG_STAT_DOORBELLS), 0);
	assert_int_equal(fake_read32(f, DAMF_REG_RESETS), 0);
	fake_free(f);
}

/* The admin rings break: the device says so, and stops. */
static void admin_breaks(void **state)
{
	struct fake *f = fake_enabled();

	(void)state;
	fake_shared(f, &f->admin)->sq_tail = 1000;
	fake_doorbell(f, &f->admin);
	fake_drive(f);
	assert_int_equal(fake_read32(f, DAMF_REG_STATUS), DAMF_STATUS_FATAL);
	assert_int_equal(fake_read32(f, DAMF_REG_FATAL), DAMF_ST_BAD_QUEUE);
	assert_int_equal(f->irqs[0], 1);
	fake_free(f);
	f = fake_enabled();
	f->bad_from = f->admin.cq;
	f->bad_to = f->admin.cq + 64;
	fake_push(f, &f->admin, &(struct damf_admin_sqe) { 0 });
	fake_drive(f);
	assert_int_equal(fake_read32(f, DAMF_REG_FATAL), DAMF_ST_DMA_ERROR);
	fake_free(f);
}

static void bad_config(void **state)
{
	static const struct damf_host_ops ops;
	struct damf_core_config cfg, good;
	char err[100];
	unsigned int i;

	(void)state;
	damf_core_config_init(&good);
	for (i = 0; i < 10; i++) {
		cfg = good;
		switch (i) {
		case 0: cfg.size--; break;
		case 1: cfg.max_queues = 0; break;
		case 2: cfg.max_queues = 1025; break;
		case 3: cfg.max_contexts = 0; break;
		case 4: cfg.num_vectors = 0; break;
		case 5: cfg.local_size = 4096; break;
		case 6: cfg.local_size = 2 << 20; break;
		case 7: cfg.macs_per_cycle = 0; break;
		case 8: cfg.scratchpad = 65535; break;
		default: cfg.max_work = 0; break;
		}
		err[0] = 0;
		assert_null(damf_core_new(&cfg, &ops, NULL, err, sizeof(err)));
		assert_true(err[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(identification), cmocka_unit_test(without_local_memory),
		cmocka_unit_test(other_accesses), cmocka_unit_test(halves),
		cmocka_unit_test(bad_enable), cmocka_unit_test(reset_keeps),
		cmocka_unit_test(admin_breaks), cmocka_unit_test(bad_config),
	};

	return cmocka_run_group_tests_name("core: registers", tests, NULL, NULL);
}
