// SPDX-License-Identifier: MIT
/* The accelerator's backend on the driver inside the test (fakedrv.h). */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>

#include "fakedrv.h"
#include "lowlayer.h"

#define DEVICE	"device:" FAKEDRV_NODE
#define IOCTL	"ioctl:" FAKEDRV_NODE

static int setup(void **state)
{
	fakedrv = (struct fakedrv){ 0 };
	return low_setup(state);
}

static int teardown(void **state)
{
	low_teardown(state);
	assert_int_equal(fakedrv.clients, 0);
	if (!fakedrv.gone) {
		assert_int_equal(fakedrv.buffers + fakedrv.maps, 0);
		assert_int_equal(fakedrv.queues + fakedrv.syncobjs, 0);
	}
	return 0;
}

static void test_fallback(void **state)
{
	struct low *l = *state;
	struct damf_device_info info = { .size = sizeof(info) };
	struct damf_device *dev;

	assert_int_equal(damf_device_get_info(l->dev, &info, &l->err), 0);
	assert_string_equal(info.submit, "io_uring");
	fakedrv.no_uring = true;
	assert_int_equal(damf_device_open(DEVICE, NULL, &dev, &l->err), 0);
	assert_int_equal(damf_device_get_info(dev, &info, &l->err), 0);
	assert_string_equal(info.submit, "ioctl");
	assert_contains(info.reason, "takes no io_uring commands");
	damf_device_close(dev);
}

/* Many lists whose commands end late, out of order, or before their lists. */
static void test_disorder(void **state)
{
	struct low *l = *state;
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_list list = low_list(l, 0, 1);
	struct pollfd p = { .fd = damf_queue_eventfd(l->queue), .events = POLLIN };
	uint64_t sent = 0, got = 0, seqno;
	int r;

	fakedrv.eintr = 5;
	fakedrv.late = 3;
	low_fill(l, 0, damf_buffer_va(l->data), 16, 1);
	while (got < 300) {
		while (sent < 300 && !damf_queue_submit(l->queue, &list, &seqno, &l->err))
			assert_int_equal(seqno, ++sent);
		assert_int_equal(poll(&p, 1, 10000), 1);
		while (!(r = damf_queue_wait(l->queue, 0, &done, &l->err))) {
			assert_int_equal(done.seqno, ++got);
			assert_int_equal(done.error, 0);
		}
		assert_true(r == -ETIME || r == -ENOENT);
	}
	assert_int_equal(damf_queue_wait(l->queue, 1000, &done, &l->err), -ENOENT);
}

static void test_gone(void **state)
{
	struct low *l = *state;
	struct damf_device_info info = { .size = sizeof(info) };
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_list list = low_list(l, 0, 1);
	struct damf_buffer *b;
	unsigned int i, lost = 0;

	low_fill(l, 0, damf_buffer_va(l->data), 16, 1);
	for (i = 0; i < 5; i++)
		assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), 0);
	fakedrv.gone = true;
	for (i = 1; i <= 5; i++) {
		assert_int_equal(damf_queue_wait(l->queue, -1, &done, &l->err), 0);
		assert_int_equal(done.seqno, i);
		if (!done.error)	/* it had ended before */
			continue;
		assert_int_equal(done.error, -ENODEV);
		assert_contains(done.text, "lost");
		lost++;
	}
	assert_true(lost);
	assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), -ENODEV);
	assert_contains(l->err.text, "lost");
	assert_int_equal(damf_buffer_create(l->dev, 1, 0, &b, &l->err), -ENODEV);
	assert_int_equal(damf_buffer_from_device(l->data, 0, 1, &l->err), -ENODEV);
	assert_int_equal(damf_device_get_info(l->dev, &info, &l->err), -ENODEV);
}

/* Gone when nothing was in flight: the submission is the first to see it. */
static void test_gone_at_submit(void **state)
{
	struct low *l = *state;
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_list list = low_list(l, 0, 1);
	struct damf_queue *queue;

	low_fill(l, 0, damf_buffer_va(l->data), 16, 1);
	fakedrv.gone = true;
	assert_int_equal(damf_queue_submit(l->queue, &list, NULL, &l->err), -ENODEV);
	assert_int_equal(damf_queue_wait(l->queue, 0, &done, &l->err), -ENOENT);
	assert_int_equal(damf_queue_create(l->dev, 1, 4, &queue, &l->err), -ENODEV);
}

static bool uring_allowed(void)
{
	struct io_uring ring;

	if (io_uring_queue_init(2, &ring, 0))
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

#define T(fn, backend) { .name = #fn, .test_func = fn, .setup_func = setup, \
		.teardown_func = teardown, .initial_state = (void *)(uintptr_t)(backend) }

static int uring_tests(void)
{
	const struct CMUnitTest tests[] = {
		T(test_fallback, DEVICE), T(test_disorder, DEVICE), T(test_gone, DEVICE),
		T(test_gone_at_submit, DEVICE),
	};
	int failed;

	if (!uring_allowed()) {
		print_message("ok 1 - io_uring # SKIP it is not allowed here\n");
		return 0;
	}
	failed = cmocka_run_group_tests_name("uring", tests, NULL, NULL);
	fakedrv = (struct fakedrv){ .eintr = 7, .late = 4 };
	return failed + low_backend_tests(DEVICE) + low_thread_tests(DEVICE);
}

static int ioctl_tests(void)
{
	const struct CMUnitTest tests[] = {
		T(test_disorder, IOCTL), T(test_gone, IOCTL), T(test_gone_at_submit, IOCTL),
	};
	int failed = cmocka_run_group_tests_name("ioctl", tests, NULL, NULL);

	fakedrv = (struct fakedrv){ .eintr = 7 };
	return failed + low_backend_tests(IOCTL) + low_thread_tests(IOCTL);
}

int low_driver_tests(void)
{
	return uring_tests() + ioctl_tests();
}
