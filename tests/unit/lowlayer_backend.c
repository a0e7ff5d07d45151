// SPDX-License-Identifier: MIT
/* Buffers, queues, lists and their errors, on one backend. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "lowlayer.h"

#define PAGE 4096u

static bool readable(struct damf_queue *queue, int timeout_ms)
{
	struct pollfd p = { .fd = damf_queue_eventfd(queue), .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1;
}

static void test_info(void **state)
{
	struct low *l = *state;
	struct damf_device_info info = { .size = sizeof(info) };
	struct {
		size_t size;
		char backend[16];
	} old = { .size = sizeof(old) };

	assert_int_equal(damf_device_get_info(l->dev, &info, &l->err), 0);
	assert_string_equal(info.backend, l->device ? "device" : l->backend);
	assert_string_equal(info.submit, !l->device ? "direct" :
			    l->ioctl ? "ioctl" : "io_uring");
	assert_true(info.reason[0]);
	assert_true(!info.isa[0] == l->device);
	assert_true(!info.path[0] == !l->device);
	assert_int_equal(info.hw_version, DAMF_HW_VERSION);
	assert_true(info.max_jobs >= 256 && info.max_rows && info.max_width && info.max_heads);
	assert_true(info.opcodes & (1u << DAMF_OP_FILL));
	assert_true(info.types & (1u << DAMF_TYPE_F32));
	/* a caller that was built when the struct was smaller */
	assert_int_equal(damf_device_get_info(l->dev, (struct damf_device_info *)&old, &l->err), 0);
	assert_string_equal(old.backend, info.backend);
}

static void test_buffers(void **state)
{
	struct low *l = *state;
	struct damf_buffer *a, *b;
	const char *map;
	size_t i;

	assert_int_equal(damf_buffer_create(l->dev, 1, 0, &a, &l->err), 0);
	assert_int_equal(damf_buffer_create(l->dev, 3 * PAGE + 1, DAMF_BUFFER_LOCAL, &b, &l->err), 0);
	assert_int_equal(damf_buffer_size(a), PAGE);
	assert_int_equal(damf_buffer_size(b), 4 * PAGE);
	assert_true((uintptr_t)damf_buffer_map(a) % PAGE == 0 && damf_buffer_map(a));
	assert_true(damf_buffer_va(a) % PAGE == 0 && damf_buffer_va(a));
	assert_true(damf_buffer_va(b) % PAGE == 0 && damf_buffer_va(b) != damf_buffer_va(a));
	map = damf_buffer_map(b);
	for (i = 0; i < 4 * PAGE; i++)
		assert_int_equal(map[i], 0);
	assert_int_equal(damf_buffer_to_device(b, PAGE, 3 * PAGE, &l->err), 0);
	assert_int_equal(damf_buffer_to_device(b, PAGE, 3 * PAGE + 1, &l->err), -EINVAL);
	assert_int_equal(damf_buffer_from_device(b, UINT64_MAX, 2, &l->err), -EINVAL);
	damf_buffer_free(a);
	damf_buffer_free(b);
	damf_buffer_free(NULL);
	assert_int_equal(damf_buffer_create(l->dev, 0, 0, &a, &l->err), -EINVAL);
	assert_int_equal(damf_buffer_create(l->dev, UINT64_MAX, 0, &a, &l->err), -EINVAL);
	assert_int_equal(damf_buffer_create(l->dev, PAGE, 1u << 31, &a, &l->err), -EINVAL);
	assert_null(a);
}

/* Local memory that was used and freed comes back zeroed. */
static void test_local(void **state)
{
	struct low *l = *state;
	struct damf_device_info info = { .size = sizeof(info) };
	struct damf_buffer *b;
	uint64_t before;
	int k;

	assert_int_equal(damf_device_get_info(l->dev, &info, &l->err), 0);
	before = info.local_free;
	for (k = 0; k < 2; k++) {
		assert_int_equal(damf_buffer_create(l->dev, 3u << 20, DAMF_BUFFER_LOCAL, &b,
						    &l->err), 0);
		assert_int_equal(*(int *)damf_buffer_map(b), 0);
		low_fill(l, 0, damf_buffer_va(b), 1024, 7);
		assert_int_equal(low_run(l, 0, 1).error, 0);
		assert_int_equal(*(int *)damf_buffer_map(b), 7);
		assert_int_equal(damf_device_get_info(l->dev, &info, &l->err), 0);
		if (before)
			assert_int_equal(info.local_free, before - (3u << 20));
		damf_buffer_free(b);
	}
	assert_int_equal(damf_device_get_info(l->dev, &info, &l->err), 0);
	assert_int_equal(info.local_free, before);
	if (!before)
		return;
	assert_int_equal(damf_buffer_create(l->dev, info.local_size + 1, DAMF_BUFFER_LOCAL, &b,
					    &l->err), -ENOSPC);
	assert_contains(l->err.text, "local memory has no room");
}

static void test_fill_and_copy(void **state)
{
	struct low *l = *state;
	uint64_t va = damf_buffer_va(l->data);
	const uint32_t *words = damf_buffer_map(l->data);
	struct damf_completion done;
	size_t i;

	low_fill(l, 0, va, 256 * 1024, 0xdeadbeef);
	low_copy(l, 1, va, va + (2u << 20), 1024);
	done = low_run(l, 0, 2);
	assert_int_equal(done.error, 0);
	assert_int_equal(done.status, DAMF_ST_OK);
	assert_int_equal(done.index, 2);
	assert_string_equal(done.text, "");
	assert_true(done.start_ns && done.end_ns >= done.start_ns);
	for (i = 0; i < 256 * 1024; i++)
		assert_true(words[i] == 0xdeadbeef && words[i + (512u << 10)] == 0xdeadbeef);
	assert_int_equal(words[256 * 1024], 0);
}

static void test_counters(void **state)
{
	struct low *l = *state;
	struct damf_list list = low_list(l, 0, 2);
	struct damf_completion done = { .size = sizeof(done) };
	const struct damf_counters *c = damf_buffer_map(l->data);
	uint64_t va = damf_buffer_va(l->data);

	low_fill(l, 0, va + PAGE, 1024, 1);
	low_fill(l, 1, va + PAGE, 2048, 1);
	list.counters = va;
	assert_int_equal(damf_buffer_to_device(l->jobs, 0, 2048, &l->err), 0);
	assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), 0);
	assert_int_equal(damf_queue_wait(l->queue, -1, &done, &l->err), 0);
	assert_int_equal(damf_buffer_from_device(l->data, 0, PAGE, &l->err), 0);
	assert_int_equal(done.error, 0);
	assert_int_equal(c[0].write_activations, 4096);
	assert_int_equal(c[1].write_activations, 8192);
	assert_int_equal(c[0].jobs, 1);
	assert_int_equal(c[0].cycles + c[1].cycles, done.cycles);
}

static void test_first(void **state)
{
	struct low *l = *state;
	struct damf_list list = low_list(l, 0, 3);
	struct damf_completion done = { .size = sizeof(done) };
	const uint32_t *words = damf_buffer_map(l->data);
	unsigned int i;

	for (i = 0; i < 3; i++)
		low_fill(l, i, damf_buffer_va(l->data) + i * PAGE, 16, i + 1);
	list.first = 1;
	assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), 0);
	assert_int_equal(damf_queue_wait(l->queue, -1, &done, &l->err), 0);
	assert_int_equal(done.error, 0);
	assert_int_equal(words[0], 0);
	assert_int_equal(words[PAGE / 4], 2);
	assert_int_equal(words[2 * PAGE / 4], 3);
}

/* Lists on one queue: completions in order, the queue full, the eventfd. */
static void test_order_and_full(void **state)
{
	struct low *l = *state;
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_list list = low_list(l, 0, 1);
	uint64_t seqno, i;
	int r;

	low_fill(l, 0, damf_buffer_va(l->data), 256 * 1024, 3);
	assert_false(readable(l->queue, 0));
	assert_int_equal(damf_queue_wait(l->queue, 0, &done, &l->err), -ENOENT);
	for (i = 1; i <= 8; i++) {
		assert_int_equal(damf_queue_submit(l->queue, &list, &seqno, &l->err), 0);
		assert_int_equal(seqno, i);
	}
	r = damf_queue_submit(l->queue, &list, &seqno, &l->err);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(l->err.code, -EAGAIN);
	assert_contains(l->err.text, "full");
	for (i = 1; i <= 20; i++) {
		do {	/* readable too early is allowed, never is not */
			assert_true(readable(l->queue, 10000));
			r = damf_queue_wait(l->queue, 0, &done, &l->err);
		} while (r == -ETIME);
		assert_int_equal(r, 0);
		assert_int_equal(done.seqno, i);
		assert_int_equal(done.error, 0);
		if (i <= 12)
			assert_int_equal(damf_queue_submit(l->queue, &list, &seqno, &l->err), 0);
	}
	assert_int_equal(damf_queue_wait(l->queue, -1, &done, &l->err), -ENOENT);
	assert_false(readable(l->queue, 0));
}

static void test_timeout(void **state)
{
	struct low *l = *state;
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_list list = low_list(l, 0, 64);
	unsigned int i;
	int r;

	for (i = 0; i < 64; i++)
		low_fill(l, i, damf_buffer_va(l->data), LOW_DATA_SIZE / 4, i);
	assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), 0);
	r = damf_queue_wait(l->queue, 0, &done, &l->err);
	while (r == -ETIME)
		r = damf_queue_wait(l->queue, 1000000, &done, &l->err);
	assert_int_equal(r, 0);
	assert_int_equal(done.index, 64);
}

static void test_bad_lists(void **state)
{
	struct low *l = *state;
	struct damf_list list = low_list(l, 0, 1), bad;
	uint64_t seqno;

	bad = list, bad.count = 0;
	assert_int_equal(damf_queue_submit(l->queue, &bad, &seqno, &l->err), -EINVAL);
	bad = list, bad.first = 2;
	assert_int_equal(damf_queue_submit(l->queue, &bad, &seqno, &l->err), -EINVAL);
	bad = list, bad.list += 8;
	assert_int_equal(damf_queue_submit(l->queue, &bad, &seqno, &l->err), -EINVAL);
	bad = list, bad.counters = 4;
	assert_int_equal(damf_queue_submit(l->queue, &bad, &seqno, &l->err), -EINVAL);
	bad = list, bad.flags = 1u << 30;
	assert_int_equal(damf_queue_submit(l->queue, &bad, &seqno, &l->err), -EINVAL);
	bad = list, bad.size = 4;
	assert_int_equal(damf_queue_submit(l->queue, &bad, &seqno, &l->err), -EINVAL);
	/* none of them took a number; this one does, the device refuses it */
	if (!l->device) {
		struct damf_completion done = low_run(l, 0, 1u << 20);

		assert_int_equal(done.status, DAMF_ST_BAD_LIMIT);
		assert_contains(done.text, "the list, field count");
	}
	low_fill(l, 0, damf_buffer_va(l->data), 16, 1);
	assert_int_equal(low_run(l, 0, 1).seqno, l->device ? 1 : 2);
}

/* Each bad job gives its index and field, in numbers and in words. */
static void test_bad_jobs(void **state)
{
	struct low *l = *state;
	uint64_t va = damf_buffer_va(l->data);
	struct damf_completion done;
	struct damf_job *job;

	low_fill(l, 0, va, 16, 1);
	low_fill(l, 1, va, 16, 2);
	low_job(l, 2, 999);
	done = low_run(l, 0, 3);
	assert_int_equal(done.status, DAMF_ST_BAD_OPCODE);
	assert_int_equal(done.index, 2);
	assert_true(done.error < 0);
	assert_contains(done.text, "job 2");
	assert_contains(done.text, "opcode");
	assert_int_equal(*(uint32_t *)damf_buffer_map(l->data), 2);

	low_copy(l, 1, va, va + PAGE, 1);
	job = (struct damf_job *)damf_buffer_map(l->jobs) + 1;
	job->tensor[DAMF_T_Y].stride = 7;
	done = low_run(l, 0, 2);
	assert_int_equal(done.status, DAMF_ST_BAD_FIELD);
	assert_int_equal(done.index, 1);
	assert_int_equal(done.field, offsetof(struct damf_job, tensor[DAMF_T_Y].stride));
	assert_contains(done.text, "job 1");
	assert_contains(done.text, "stride");

	low_copy(l, 0, va, va + 512, 1);
	done = low_run(l, 0, 1);
	assert_int_equal(done.status, DAMF_ST_OVERLAP);
	assert_contains(done.text, "overlaps");

	job = low_job(l, 0, DAMF_OP_FILL);
	job->version = 77;
	done = low_run(l, 0, 1);
	assert_int_equal(done.status, DAMF_ST_BAD_VERSION);
	assert_contains(done.text, "version");
}

static void test_faults(void **state)
{
	struct low *l = *state;
	uint64_t va = damf_buffer_va(l->data), end = va + LOW_DATA_SIZE;
	uint64_t jobs = damf_buffer_va(l->jobs);
	struct damf_completion done;
	struct damf_list list;

	/* a buffer that the device may not write */
	low_copy(l, 0, va, jobs + 16 * PAGE, 1);
	done = low_run(l, 0, 1);
	assert_int_equal(done.status, DAMF_ST_PAGE_FAULT);
	assert_int_equal(done.error, -EFAULT);
	assert_true(done.fault_addr >= jobs + 16 * PAGE && done.fault_addr < jobs + 17 * PAGE);
	assert_contains(done.text, "page fault at address 0x");

	/* past the end of a buffer */
	low_fill(l, 0, end - PAGE, 4096, 1);
	done = low_run(l, 0, 1);
	assert_int_equal(done.status, DAMF_ST_PAGE_FAULT);
	assert_true(done.fault_addr >= end - PAGE && done.fault_addr < end + 3 * PAGE);

	/* a list that is nowhere */
	list = low_list(l, 0, 1);
	list.list = 1ull << 38;
	assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), 0);
	done.size = sizeof(done);
	assert_int_equal(damf_queue_wait(l->queue, -1, &done, &l->err), 0);
	assert_int_equal(done.status, DAMF_ST_PAGE_FAULT);
	assert_true(done.text[0]);

	/* and all is well afterwards */
	low_fill(l, 0, va, 16, 5);
	assert_int_equal(low_run(l, 0, 1).error, 0);
	assert_int_equal(*(uint32_t *)damf_buffer_map(l->data), 5);
}

/* A freed buffer's address is not reached any more. */
static void test_unmapped(void **state)
{
	struct low *l = *state;
	struct damf_buffer *b;
	uint64_t va;
	int k;

	for (k = 0; k < 3; k++) {
		assert_int_equal(damf_buffer_create(l->dev, k ? PAGE : 4u << 20, 0, &b, &l->err), 0);
		va = damf_buffer_va(b);
		low_fill(l, 0, va, 16, 9);
		assert_int_equal(low_run(l, 0, 1).error, 0);
		assert_int_equal(*(uint32_t *)damf_buffer_map(b), 9);
		damf_buffer_free(b);
		assert_int_equal(low_run(l, 0, 1).status, DAMF_ST_PAGE_FAULT);
	}
}

static void test_close_in_flight(void **state)
{
	struct low *l = *state;
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_list list = low_list(l, 0, 256);
	struct damf_queue *queue;
	unsigned int i, k;

	for (i = 0; i < 256; i++)
		low_fill(l, i, damf_buffer_va(l->data), LOW_DATA_SIZE / 4, i);
	for (k = 0; k < 3; k++) {
		assert_int_equal(damf_queue_create(l->dev, k, 4, &queue, &l->err), 0);
		for (i = 0; i < 4; i++)
			assert_int_equal(damf_queue_submit(queue, &list, NULL, &l->err), 0);
		damf_queue_free(queue);
	}
	/* another queue's list is not hurt */
	assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), 0);
	assert_int_equal(damf_queue_create(l->dev, 2, 4, &queue, &l->err), 0);
	assert_int_equal(damf_queue_submit(queue, &list, NULL, &l->err), 0);
	damf_queue_free(queue);
	assert_int_equal(damf_queue_wait(l->queue, -1, &done, &l->err), 0);
	assert_int_equal(done.error, 0);
	assert_int_equal(done.index, 256);
}

static void test_lost(void **state)
{
	struct low *l = *state;
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_list list = low_list(l, 0, 64);
	struct damf_buffer *b;
	unsigned int i;

	for (i = 0; i < 64; i++)
		low_fill(l, i, damf_buffer_va(l->data), LOW_DATA_SIZE / 4, i);
	for (i = 0; i < 4; i++)
		assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), 0);
	assert_int_equal(damf_device_lose(l->dev), 0);
	for (i = 1; i <= 4; i++) {
		assert_true(readable(l->queue, 10000));
		assert_int_equal(damf_queue_wait(l->queue, -1, &done, &l->err), 0);
		assert_int_equal(done.seqno, i);
		assert_int_equal(done.error, -ENODEV);
		assert_contains(done.text, "lost");
	}
	assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), -ENODEV);
	assert_int_equal(damf_buffer_create(l->dev, PAGE, 0, &b, &l->err), -ENODEV);
	assert_contains(l->err.text, "lost");
	assert_int_equal(damf_buffer_from_device(l->data, 0, PAGE, &l->err), -ENODEV);
}

int low_backend_tests(const char *backend)
{
#define T(fn) { .name = #fn, .test_func = fn, .setup_func = low_setup, \
		.teardown_func = low_teardown, .initial_state = (void *)(uintptr_t)backend }
	const struct CMUnitTest tests[] = {
		T(test_info), T(test_buffers), T(test_local), T(test_fill_and_copy),
		T(test_counters), T(test_first), T(test_order_and_full), T(test_timeout),
		T(test_bad_lists), T(test_bad_jobs), T(test_faults), T(test_unmapped),
		T(test_close_in_flight),
	};
	const struct CMUnitTest sim_tests[] = { T(test_lost) };
#undef T
	int failed = cmocka_run_group_tests_name(backend, tests, NULL, NULL);

	if (!strcmp(backend, "sim"))	/* the only one that can be made to lose itself */
		failed += cmocka_run_group_tests_name(backend, sim_tests, NULL, NULL);
	return failed;
}
