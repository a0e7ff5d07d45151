// SPDX-License-Identifier: MIT
/* Many threads with a queue each, on one device and on several. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lowlayer.h"

#define THREADS	4
#define ROUNDS	60
#define PAGE	4096u

struct user {
	struct low *l;
	unsigned int number;
	pthread_t thread;
	char failed[600];
};

static int user_fail(struct user *u, const char *what, const char *why)
{
	snprintf(u->failed, sizeof(u->failed), "%s: %s", what, why);
	return -1;
}

/* Fills a page of its own buffer and copies it; another pattern each round. */
static int one_round(struct user *u, struct damf_queue *queue, unsigned int round)
{
	struct low *l = u->l;
	struct damf_completion done = { .size = sizeof(done) };
	uint32_t pattern = u->number << 16 | round, words[2 * PAGE / 4], i;
	struct damf_list list = low_list(l, 2 * u->number, 2);
	struct damf_buffer *buf;
	struct damf_error err;

	if (damf_buffer_create(l->dev, (1 + round % 3) * 2 * PAGE, 0, &buf, &err))
		return user_fail(u, "buffer", err.text);
	low_fill(l, 2 * u->number, damf_buffer_va(buf), PAGE / 4, pattern);
	low_copy(l, 2 * u->number + 1, damf_buffer_va(buf), damf_buffer_va(buf) + PAGE, 4);
	if (damf_buffer_to_device(l->jobs, 2 * u->number * sizeof(struct damf_job),
				  2 * sizeof(struct damf_job), &err))
		return user_fail(u, "sync", err.text);
	if (damf_queue_submit(queue, &list, NULL, &err))
		return user_fail(u, "submit", err.text);
	if (damf_queue_wait(queue, -1, &done, &err))
		return user_fail(u, "wait", err.text);
	if (done.error)
		return user_fail(u, "list", done.text);
	if (damf_buffer_from_device(buf, 0, 2 * PAGE, &err))
		return user_fail(u, "sync", err.text);
	memcpy(words, damf_buffer_map(buf), sizeof(words));
	damf_buffer_free(buf);
	for (i = 0; i < 2 * PAGE / 4; i++)
		if (words[i] != pattern)
			return user_fail(u, "data", "wrong word");
	return 0;
}

static void *user_main(void *arg)
{
	struct user *u = arg;
	struct damf_queue *queue;
	struct damf_error err;
	unsigned int round;

	if (damf_queue_create(u->l->dev, u->number % 3, 4, &queue, &err)) {
		user_fail(u, "queue", err.text);
		return NULL;
	}
	for (round = 0; round < ROUNDS; round++)
		if (one_round(u, queue, round))
			break;
	damf_queue_free(queue);
	return NULL;
}

static void run_users(struct low **l, struct user *users)
{
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		users[i] = (struct user){ .l = l[i], .number = i };
		assert_int_equal(pthread_create(&users[i].thread, NULL, user_main, &users[i]), 0);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(users[i].thread, NULL);
	for (i = 0; i < THREADS; i++)
		assert_string_equal(users[i].failed, "");
}

static void test_threads_one_device(void **state)
{
	struct low *l = *state, *all[THREADS] = { l, l, l, l };
	struct user users[THREADS];
	struct damf_device_stats s0 = { .size = sizeof(s0) }, s1 = s0;

	/* The accelerator's counts are of all its clients. */
	assert_int_equal(damf_device_get_stats(l->dev, &s0, &l->err), 0);
	run_users(all, users);
	assert_int_equal(damf_device_get_stats(l->dev, &s1, &l->err), 0);
	assert_int_equal(s1.completions - s0.completions, THREADS * ROUNDS);
	assert_int_equal(s1.submits_direct - s0.submits_direct, l->device ? 0 : THREADS * ROUNDS);
	assert_int_equal(s1.submits_ioctl - s0.submits_ioctl, l->ioctl ? THREADS * ROUNDS : 0);
	assert_int_equal(s1.submits_uring - s0.submits_uring,
			 l->device && !l->ioctl ? THREADS * ROUNDS : 0);
}

static void test_threads_many_devices(void **state)
{
	struct low *l = *state, *all[THREADS] = { l };
	struct user users[THREADS];
	void *s;
	int i;

	for (i = 1; i < THREADS; i++) {
		s = (void *)(uintptr_t)l->backend;
		assert_int_equal(low_setup(&s), 0);
		all[i] = s;
	}
	run_users(all, users);
	for (i = 1; i < THREADS; i++) {
		s = all[i];
		low_teardown(&s);
	}
}

/* Lists wait on six queues of three priorities at once. */
static void test_queues_of_one_thread(void **state)
{
	struct low *l = *state;
	struct damf_queue *queues[6];
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_list list;
	const uint32_t *words = damf_buffer_map(l->data);
	unsigned int i, k;

	for (i = 0; i < 6; i++) {
		assert_int_equal(damf_queue_create(l->dev, i % 3, 4, &queues[i], &l->err), 0);
		low_fill(l, i, damf_buffer_va(l->data) + i * PAGE, PAGE / 4, i + 100);
	}
	for (k = 0; k < 4; k++)
		for (i = 0; i < 6; i++) {
			list = low_list(l, i, 1);
			assert_int_equal(damf_queue_submit(queues[i], &list, NULL, &l->err), 0);
		}
	for (i = 0; i < 6; i++) {
		for (k = 1; k <= 4; k++) {
			assert_int_equal(damf_queue_wait(queues[i], -1, &done, &l->err), 0);
			assert_int_equal(done.error, 0);
			assert_int_equal(done.seqno, k);
		}
		damf_queue_free(queues[i]);
		assert_int_equal(words[i * PAGE / 4], i + 100);
		assert_int_equal(words[(i + 1) * PAGE / 4 - 1], i + 100);
	}
}

int low_thread_tests(const char *backend)
{
#define T(fn) { .name = #fn, .test_func = fn, .setup_func = low_setup, \
		.teardown_func = low_teardown, .initial_state = (void *)(uintptr_t)backend }
	const struct CMUnitTest tests[] = {
		T(test_threads_one_device), T(test_threads_many_devices),
		T(test_queues_of_one_thread),
	};
#undef T

	return cmocka_run_group_tests_name(backend, tests, NULL, NULL);
}
