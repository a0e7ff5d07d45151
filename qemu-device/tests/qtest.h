/* SPDX-License-Identifier: MIT */
/*
 * A client of QEMU's qtest and QMP protocols: a machine without a processor,
 * whose place the test takes. A test fails if QEMU ends before it should.
 */
#ifndef DAMF_QTEST_H
#define DAMF_QTEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct qtest;

/* Starts QEMU ($DAMF_QEMU, else build/qemu/qemu-system-x86_64) with a q35
 * machine, a PCI Express root port, and "-device damf,bus=rp0,id=damf0" with
 * more properties. */
struct qtest *qtest_start(const char *properties);
/* Asks it to quit; it must do so with status 0. */
void qtest_end(struct qtest *q);
/* Runs QEMU with these properties until it ends, which it must with an error
 * that contains text. */
void qtest_expect_refusal(const char *properties, const char *text);

uint64_t qtest_read(struct qtest *q, uint64_t addr, unsigned int size);	/* 1, 2, 4 or 8 */
void qtest_write(struct qtest *q, uint64_t addr, unsigned int size, uint64_t value);
void qtest_memread(struct qtest *q, uint64_t addr, void *buf, size_t size);
void qtest_memwrite(struct qtest *q, uint64_t addr, const void *buf, size_t size);
/* Configuration space, by ports 0xcf8 and 0xcfc. */
uint32_t qtest_config_read(struct qtest *q, unsigned int bus, unsigned int devfn,
			   unsigned int offset, unsigned int size);
void qtest_config_write(struct qtest *q, unsigned int bus, unsigned int devfn,
			unsigned int offset, unsigned int size, uint32_t value);

/* Sends a command, {"execute": ...}; returns the line of the answer, which
 * the next command overwrites. */
const char *qtest_qmp(struct qtest *q, const char *command);
/* Waits for an event of this name, since the last command was sent. */
void qtest_qmp_event(struct qtest *q, const char *name);

/* Sleeps for a millisecond; fails the test when a minute is over. */
void qtest_wait(unsigned int *rounds, const char *what);

#endif /* DAMF_QTEST_H */
