// SPDX-License-Identifier: MIT
/* The modelled machine: cycles and energy of counts, worked out by hand. */
#include <string.h>

#include "fake.h"
#include "work.h"

static struct damf_core_config cfg;

static struct damf_counters model(const struct damf_counts *counts, unsigned int xtype)
{
	static struct damf_work w;
	struct damf_counters c;

	damf_core_config_init(&cfg);
	memset(&w, 0, sizeof(w));
	w.cfg = &cfg;
	w.counts = *counts;
	w.job.param[DAMF_P_XTYPE] = xtype;
	damf_counters_job(&w, 7, &c);
	return c;
}

static void every_kind(void **state)
{
	const struct damf_counts counts = {
		.static_macs = 1000, .dynamic_macs = 24, .exps = 10, .divs = 5, .shift_adds = 3,
		.read_weights = 4000, .read_activations = 1000, .write_activations = 500,
		.read_intermediates = 64, .write_intermediates = 32,
	};
	struct damf_counters c = model(&counts, 0);

	(void)state;
	/* lanes: (4 (1024 + 80 + 20) + 3) / 4096, memory: 5500 / 64 */
	assert_int_equal(c.cycles, 64 + 86);
	/* 4710400 + 414000 + 131500 + 690 + 5500 * 162500 + 96 * 12500 fJ */
	assert_int_equal(c.energy_pj, 900206);
	assert_int_equal(c.page_walks, 7);
	assert_int_equal(c.jobs, 1);
	assert_int_equal(c.static_macs, 1000);
	assert_int_equal(c.write_intermediates, 32);
}

static void narrow_products(void **state)
{
	const struct damf_counts counts = { .static_macs = 10000000, .int8_macs = 8000000 };
	struct damf_counters i8 = model(&counts, DAMF_TYPE_I8), i16 = model(&counts, DAMF_TYPE_I16);

	(void)state;
	/* 16e6 and 24e6 quarters over 4096 */
	assert_int_equal(i8.cycles, 64 + 3907);
	assert_int_equal(i16.cycles, 64 + 5860);
	assert_int_equal(i8.energy_pj, 9200000 + 2400000);
	assert_int_equal(i16.energy_pj, 9200000 + 4800000);
	assert_int_equal(i8.int8_macs, 8000000);
}

/* What spills is of the scratchpad and of memory, what doesn't costs no bandwidth. */
static void spilled(void **state)
{
	struct damf_counts counts = { .read_intermediates = 1000, .write_intermediates = 1000 };
	struct damf_counters c = model(&counts, 0);

	(void)state;
	assert_int_equal(c.cycles, 64);
	assert_int_equal(c.energy_pj, 25000);
	counts.spills = 2000;
	c = model(&counts, 0);
	assert_int_equal(c.cycles, 64 + 32);
	assert_int_equal(c.energy_pj, 25000 + 325000);
	assert_int_equal(c.spills, 2000);
}

/* 2^53 MACs take more fJ than 64 bits hold. */
static void large(void **state)
{
	const struct damf_counts counts = { .static_macs = 1ull << 53 };
	struct damf_counters c = model(&counts, 0);

	(void)state;
	assert_int_equal(c.cycles, 64 + (1ull << 43));
	assert_int_equal(c.energy_pj, 41433116571808563);
}

static void registers(void **state)
{
	struct damf_core_config set;
	struct fake *f;

	(void)state;
	damf_core_config_init(&set);
	set.scratchpad = 1 << 16;
	set.energy_mac = 1;
	set.energy_int8 = 2;
	set.energy_shift = 3;
	set.energy_exp = 4;
	set.energy_div = 5;
	set.energy_scratch = 6;
	set.energy_memory = 7;
	f = fake_new_config(&set);
	assert_int_equal(fake_read64(f, DAMF_REG_SCRATCHPAD), 65536);
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(fake_read32(f, DAMF_REG_ENERGY_MAC + 4 * i), 1 + i);
	assert_int_equal(fake_read32(f, DAMF_REG_NUMERICS), DAMF_NUMERICS_VERSION);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind), cmocka_unit_test(narrow_products),
		cmocka_unit_test(spilled), cmocka_unit_test(large), cmocka_unit_test(registers),
	};

	return cmocka_run_group_tests_name("core: machine", tests, NULL, NULL);
}
