/* SPDX-License-Identifier: MIT */
/* Groups of tests; each returns the number of failures. */
#ifndef DAMF_TEST_QEMU_H
#define DAMF_TEST_QEMU_H

int device_tests(void);
int hostile_tests(void);
int busy_tests(void);

#endif /* DAMF_TEST_QEMU_H */
