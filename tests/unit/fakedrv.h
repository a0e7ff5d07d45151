/* SPDX-License-Identifier: MIT */
/*
 * A driver of the accelerator inside the test: open() of FAKEDRV_NODE gives a
 * client of it, ioctl() and io_uring_submit() of that client end here. Lists
 * are run by the engine of the device's core. It ends commands late and out
 * of order, and interrupts and delays results, as a real one may.
 */
#ifndef FAKEDRV_H
#define FAKEDRV_H

#include <stdbool.h>

/* For the functions that stand in the place of a library's. */
#define FAKEDRV_SHOWN __attribute__((visibility("default")))

#define FAKEDRV_NODE "/dev/null"	/* any device node that is always there */

struct fakedrv {
	bool no_uring;		/* commands are refused, as by a driver that has none */
	bool gone;		/* pulled out: everything fails with ENODEV */
	unsigned int eintr;	/* one result of so many is interrupted, 0: none */
	unsigned int late;	/* one io_uring command of so many ends before its list, 0: none */
	/* what clients hold, and what they did */
	int clients, buffers, maps, queues, syncobjs;
	unsigned int submits_ioctl, submits_uring;
};

extern struct fakedrv fakedrv;

struct drm_damf_submit;

/* For fakedrv_uring.c: a submission by io_uring, 0 or a negative errno; and
 * a number that is another each time. */
int fakedrv_command(int fd, struct drm_damf_submit *s);
unsigned int fakedrv_tick(void);

#endif /* FAKEDRV_H */
