/* SPDX-License-Identifier: MIT */
/*
 * A guest that does whatever its bytes say: any register, any bytes in rings,
 * page tables, lists and tables, resets and commands at any time. Used with
 * random bytes by the tests and with those of a fuzzer.
 */
#ifndef DAMF_TEST_HOSTILE_H
#define DAMF_TEST_HOSTILE_H

#include <stddef.h>
#include <stdint.h>

/* The device must come through it: no crash, no hang, usable after a reset. */
void hostile_run(const uint8_t *data, size_t size);

#endif /* DAMF_TEST_HOSTILE_H */
