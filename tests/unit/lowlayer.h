/* SPDX-License-Identifier: MIT */
/* What the tests of the low layer share: jobs, lists, and a group of tests
 * that is run once a backend. */
#ifndef LOWLAYER_H
#define LOWLAYER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "damf.h"
#include "damf_hw.h"

/* A device with one buffer for jobs and one for data. */
struct low {
	const char *backend;		/* cpu, sim, device[:node] or ioctl[:node] */
	bool device;			/* the accelerator itself */
	bool ioctl;			/* without io_uring */
	struct damf_device *dev;
	struct damf_buffer *jobs, *data;
	struct damf_queue *queue;
	struct damf_error err;
};

#define LOW_DATA_SIZE (4u << 20)

/* Set-up and tear-down of cmocka; the initial state names the backend. */
int low_setup(void **state);
int low_teardown(void **state);

/* Job i of the jobs buffer, cleared and with its header. */
struct damf_job *low_job(struct low *l, unsigned int i, unsigned int opcode);
/* Writes words of pattern at va. */
void low_fill(struct low *l, unsigned int i, uint64_t va, uint32_t words, uint32_t pattern);
/* Copies rows of 1024 bytes. */
void low_copy(struct low *l, unsigned int i, uint64_t from, uint64_t to, uint32_t rows);

/* A list of count jobs of the jobs buffer from job i on. */
struct damf_list low_list(struct low *l, unsigned int i, uint32_t count);
/* Submits it and takes its completion. */
struct damf_completion low_run(struct low *l, unsigned int i, uint32_t count);

#define assert_contains(text, part) low_assert_contains(text, part, __FILE__, __LINE__)
void low_assert_contains(const char *text, const char *part, const char *file, int line);

/* Groups of tests; each returns the number of failures. */
int low_backend_tests(const char *backend);
int low_thread_tests(const char *backend);
int low_apart_tests(void);
int low_device_tests(void);
int low_driver_tests(void);

#endif /* LOWLAYER_H */
