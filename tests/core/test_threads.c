// SPDX-License-Identifier: MIT
/*
 * The engine on a thread of its own, as hosts run it: lists, aborts, flushes
 * and resets come at any moment. Under TSan this is the proof that nothing but
 * the atomics is shared without the lock.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "jobs.h"

struct machine {
	struct fake *f;
	struct fake_ring ring;
	pthread_mutex_t lock;
	pthread_t thread;
	unsigned int jobs;
	bool quit;
};

static void *engine(void *arg)
{
	struct machine *m = arg;

	pthread_mutex_lock(&m->lock);
	while (!m->quit) {
		if (!damf_core_next(m->f->core)) {
			pthread_mutex_unlock(&m->lock);
			sched_yield();
			pthread_mutex_lock(&m->lock);
			continue;
		}
		pthread_mutex_unlock(&m->lock);
		damf_core_run(m->f->core);
		pthread_mutex_lock(&m->lock);
		damf_core_commit(m->f->core);
		m->jobs++;
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

static void machine_start(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	m->f = fake_ready(&m->ring);
	pthread_mutex_init(&m->lock, NULL);
	assert_int_equal(pthread_create(&m->thread, NULL, engine, m), 0);
}

static void machine_stop(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
	m->quit = true;
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	pthread_mutex_destroy(&m->lock);
	fake_free(m->f);
}

static struct damf_cqe wait_for(struct machine *m, struct fake_ring *ring)
{
	struct damf_cqe cqe;
	bool found;

	do {
		sched_yield();
		pthread_mutex_lock(&m->lock);
		found = fake_pop(m->f, ring, &cqe);
		pthread_mutex_unlock(&m->lock);
	} while (!found);
	return cqe;
}

static void push(struct machine *m, struct fake_ring *ring, const void *entry)
{
	pthread_mutex_lock(&m->lock);
	fake_push(m->f, ring, entry);
	pthread_mutex_unlock(&m->lock);
}

static struct damf_cqe command(struct machine *m, unsigned int opcode)
{
	struct damf_admin_sqe cmd = fake_context_cmd(opcode, 1);

	push(m, &m->f->admin, &cmd);
	return wait_for(m, &m->f->admin);
}

static uint64_t make_list(struct machine *m, struct job_case *c)
{
	struct damf_job jobs[32];
	unsigned int i;

	job_case_build(m->f, c, 8);
	for (i = 0; i < 32; i++)
		jobs[i] = c->job;
	return job_list(m->f, jobs, 32, NULL);
}

static void aborts_and_flushes(void **state)
{
	static struct job_case c;
	struct machine m;
	struct damf_sqe sqe;
	unsigned int round, i;

	(void)state;
	machine_start(&m);
	pthread_mutex_lock(&m.lock);
	sqe = fake_exec(1, make_list(&m, &c), 32);
	pthread_mutex_unlock(&m.lock);
	for (round = 0; round < 100; round++) {
		for (i = 0; i < 3; i++)
			push(&m, &m.ring, &sqe);
		for (i = 0; i < round; i++)
			sched_yield();
		assert_int_equal(command(&m, DAMF_ADMIN_FLUSH).status, DAMF_ST_OK);
		assert_int_equal(command(&m, DAMF_ADMIN_ABORT_CONTEXT).status, DAMF_ST_OK);
		for (i = 0; i < 3; i++) {
			struct damf_cqe cqe = wait_for(&m, &m.ring);

			assert_true(cqe.status == DAMF_ST_OK || cqe.status == DAMF_ST_ABORTED);
			assert_int_equal(cqe.status == DAMF_ST_OK, cqe.index == 32);
		}
		assert_int_equal(command(&m, DAMF_ADMIN_RESUME_CONTEXT).status, DAMF_ST_OK);
	}
	push(&m, &m.ring, &sqe);
	assert_int_equal(wait_for(&m, &m.ring).status, DAMF_ST_OK);
	job_case_check(m.f, &c);
	machine_stop(&m);
}

static void resets(void **state)
{
	static struct job_case c;
	struct machine m;
	struct damf_sqe sqe;
	uint64_t list;
	unsigned int round, i;
	uint32_t status;

	(void)state;
	machine_start(&m);
	pthread_mutex_lock(&m.lock);
	list = make_list(&m, &c);
	pthread_mutex_unlock(&m.lock);
	for (round = 0; round < 60; round++) {
		struct damf_admin_sqe create = fake_context_cmd(DAMF_ADMIN_CREATE_CONTEXT, 1);
		struct damf_admin_sqe queue = fake_queue_cmd(DAMF_ADMIN_CREATE_QUEUE, 1);

		sqe = fake_exec(1, list, 32);
		push(&m, &m.ring, &sqe);
		for (i = 0; i < round; i++)
			sched_yield();
		pthread_mutex_lock(&m.lock);
		fake_write32(m.f, DAMF_REG_CTRL, DAMF_CTRL_RESET);
		fake_enable(m.f, DAMF_FEATURES_KNOWN);
		pthread_mutex_unlock(&m.lock);
		do {
			pthread_mutex_lock(&m.lock);
			status = fake_read32(m.f, DAMF_REG_STATUS);
			pthread_mutex_unlock(&m.lock);
		} while (!status);
		assert_int_equal(status, DAMF_STATUS_READY);
		create.addr[0] = m.f->roots[1];
		push(&m, &m.f->admin, &create);
		assert_int_equal(wait_for(&m, &m.f->admin).status, DAMF_ST_OK);
		pthread_mutex_lock(&m.lock);
		fake_ring_init(m.f, &m.ring, 1, FAKE_LOG2);
		pthread_mutex_unlock(&m.lock);
		queue.context = 1;
		queue.log2 = m.ring.log2;
		queue.addr[0] = m.ring.sq;
		queue.addr[1] = m.ring.cq;
		queue.addr[2] = m.ring.shared;
		push(&m, &m.f->admin, &queue);
		assert_int_equal(wait_for(&m, &m.f->admin).status, DAMF_ST_OK);
	}
	push(&m, &m.ring, &sqe);
	assert_int_equal(wait_for(&m, &m.ring).status, DAMF_ST_OK);
	job_case_check(m.f, &c);
	machine_stop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aborts_and_flushes), cmocka_unit_test(resets),
	};

	return cmocka_run_group_tests_name("core: threads", tests, NULL, NULL);
}
