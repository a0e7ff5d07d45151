// SPDX-License-Identifier: MIT
/*
 * 100,000 things that a hostile guest does, from a fixed seed (another with
 * DAMF_SEED), in 500 lives of the device.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"
#include "hostile.h"

#define LIVES	500
#define BYTES	1200	/* of each: some six a deed */

static uint32_t seed = 20240717;

static uint8_t next_byte(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return (uint8_t)(seed >> 11);
}

static void hostile(void **state)
{
	const char *env = getenv("DAMF_SEED");
	static uint8_t data[BYTES];
	unsigned int life, i;

	(void)state;
	if (env)
		seed = (uint32_t)strtoul(env, NULL, 0) | 1;
	print_message("DAMF_SEED=%u\n", seed);
	for (life = 0; life < LIVES; life++) {
		for (i = 0; i < BYTES; i++)
			data[i] = next_byte();
		hostile_run(data, sizeof(data));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(hostile) };

	return cmocka_run_group_tests_name("core: hostile guest", tests, NULL, NULL);
}
