// SPDX-License-Identifier: MIT
/* Turns, priorities, restart, and commands that come while a job runs. */
#include <string.h>

#include "jobs.h"

#define LIST 5

/* A list of fills, each of its own word. */
struct fills {
	uint32_t *words;
	uint64_t list;
};

static struct damf_job fill_job(uint64_t va, uint32_t pattern)
{
	struct damf_job job = { .opcode = DAMF_OP_FILL, .version = 1, .size = sizeof(job) };

	job.param[DAMF_P_PATTERN] = pattern;
	job.tensor[DAMF_T_Y] = (struct damf_tensor) { .addr = va, .type = DAMF_TYPE_I32, .rows = 1,
						      .cols = 1, .stride = 4 };
	return job;
}

static struct fills make_fills(struct fake *f, uint32_t base)
{
	struct damf_job jobs[LIST];
	struct fills s;
	uint64_t va = fake_va(f, 4 * LIST, (void **)&s.words);
	unsigned int i;

	for (i = 0; i < LIST; i++)
		jobs[i] = fill_job(va + 4 * i, base + i);
	s.list = job_list(f, jobs, LIST, NULL);
	return s;
}

static unsigned int done(const struct fills *s)
{
	unsigned int i = 0;

	while (i < LIST && s->words[i])
		i++;
	return i;
}

/* One job: next, run, commit. */
static void one_job(struct fake *f)
{
	assert_true(damf_core_next(f->core));
	damf_core_run(f->core);
	damf_core_commit(f->core);
}

static void add_queue(struct fake *f, struct fake_ring *ring, unsigned int id, unsigned int ctx,
		      unsigned int priority)
{
	assert_int_equal(fake_create_queue(f, ring, id, ctx, id, priority).status, DAMF_ST_OK);
}

/* Two queues of one priority: a job of one, a job of the other. */
static void round_robin(void **state)
{
	struct fake_ring a, b;
	struct fake *f = fake_ready(&a);
	struct fills one = make_fills(f, 100), two = make_fills(f, 200);
	struct damf_sqe s1 = fake_exec(1, one.list, LIST), s2 = fake_exec(1, two.list, LIST);
	unsigned int i;

	(void)state;
	add_queue(f, &b, 2, 1, DAMF_PRIORITY_NORMAL);
	fake_push(f, &a, &s1);
	fake_push(f, &b, &s2);
	for (i = 1; i <= LIST; i++) {
		one_job(f);
		one_job(f);
		assert_int_equal(done(&one), i);
		assert_int_equal(done(&two), i);
	}
	fake_free(f);
}

/* A higher priority comes between the jobs of a list, which then goes on. */
static void priorities(void **state)
{
	struct fake_ring a, b;
	struct fake *f = fake_ready(&a);
	struct fills one = make_fills(f, 100), two = make_fills(f, 200);
	struct damf_sqe s1 = fake_exec(1, one.list, LIST), s2 = fake_exec(1, two.list, LIST);
	struct damf_cqe cqe;
	unsigned int i;

	(void)state;
	add_queue(f, &b, 2, 1, DAMF_PRIORITY_HIGH);
	fake_push(f, &a, &s1);
	one_job(f);
	fake_push(f, &b, &s2);
	for (i = 0; i < LIST; i++)
		one_job(f);
	assert_int_equal(done(&one), 1);
	assert_int_equal(done(&two), LIST);
	fake_drive(f);
	assert_int_equal(done(&one), LIST);
	assert_true(fake_pop(f, &a, &cqe));
	assert_int_equal(cqe.index, LIST);
	fake_free(f);
}

/* Resumed at a job, a list does that one and those after it. */
static void restart(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_counters *c;
	uint64_t counters = fake_va(f, LIST * sizeof(*c), (void **)&c);
	unsigned int first, i;

	(void)state;
	for (first = 0; first <= LIST; first++) {
		struct fills s = make_fills(f, 100);
		struct damf_sqe sqe = fake_exec(1, s.list, LIST);
		struct damf_cqe cqe;

		memset(c, 0, LIST * sizeof(*c));
		sqe.first = first;
		sqe.flags = DAMF_SQE_REPLAYABLE;
		sqe.counters = counters;
		cqe = fake_run(f, &ring, &sqe);
		assert_int_equal(cqe.status, DAMF_ST_OK);
		assert_int_equal(cqe.index, LIST);
		for (i = 0; i < LIST; i++) {
			assert_int_equal(s.words[i], i < first ? 0 : 100 + i);
			assert_int_equal(c[i].jobs, i >= first);
		}
	}
	fake_free(f);
}

/* A bad job ends its list there: what came before it is done. */
static void bad_job_in_list(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_job jobs[3];
	uint32_t *words;
	uint64_t va = fake_va(f, 64, (void **)&words);
	unsigned int i;
	struct damf_sqe sqe;
	struct damf_cqe cqe;

	(void)state;
	for (i = 0; i < 3; i++)
		jobs[i] = fill_job(va + 4 * i, 7);
	jobs[1].tensor[DAMF_T_Y].stride = 2;
	sqe = fake_exec(1, job_list(f, jobs, 3, NULL), 3);
	cqe = fake_run(f, &ring, &sqe);
	assert_int_equal(cqe.status, DAMF_ST_BAD_FIELD);
	assert_int_equal(cqe.index, 1);
	assert_int_equal(cqe.field, offsetof(struct damf_job, tensor) + 48 * DAMF_T_Y + 16);
	assert_true(words[0] == 7 && !words[1] && !words[2]);
	/* the context goes on */
	jobs[1] = jobs[0];
	sqe = fake_exec(1, job_list(f, jobs, 3, NULL), 3);
	assert_int_equal(fake_run(f, &ring, &sqe).status, DAMF_ST_OK);
	fake_free(f);
}

/* ---- Commands while a job is on the engine ------------------------------- */

/* A started job of a queue of context 1, and one of context 2 in wait. */
struct scene {
	struct fake *f;
	struct fake_ring a, b;
	struct fills one;
	struct damf_cqe cqe;
};

static void set_scene(struct scene *s)
{
	struct damf_sqe sqe;

	s->f = fake_ready(&s->a);
	assert_int_equal(fake_create_context(s->f, 2).status, DAMF_ST_OK);
	add_queue(s->f, &s->b, 2, 2, DAMF_PRIORITY_NORMAL);
	s->one = make_fills(s->f, 100);
	sqe = fake_exec(1, s->one.list, LIST);
	fake_push(s->f, &s->a, &sqe);
	one_job(s->f);
	/* the second job is on the engine, the next entry in the ring */
	sqe.cookie = 2;
	fake_push(s->f, &s->a, &sqe);
	assert_true(damf_core_next(s->f->core));
	assert_int_equal(fake_read32(s->f, DAMF_REG_ACTIVE), 1 << 16 | 1);
	assert_true(damf_core_busy(s->f->core));
}

static void end_job(struct scene *s)
{
	damf_core_run(s->f->core);
	damf_core_commit(s->f->core);
	assert_false(damf_core_busy(s->f->core));
}

static void push_cmd(struct scene *s, struct damf_admin_sqe cmd)
{
	/* an idle admin queue always asks for its doorbell */
	assert_true(fake_push(s->f, &s->f->admin, &cmd));
}

/* A flush completes after the job that may use old translations, not before. */
static void flush_waits(void **state)
{
	struct scene s;

	(void)state;
	set_scene(&s);
	push_cmd(&s, fake_context_cmd(DAMF_ADMIN_FLUSH, 1));
	assert_false(fake_pop(s.f, &s.f->admin, &s.cqe));
	/* another context's is at once */
	push_cmd(&s, fake_context_cmd(DAMF_ADMIN_FLUSH, 2));
	assert_true(fake_pop(s.f, &s.f->admin, &s.cqe));
	assert_int_equal(s.cqe.cookie, 0x1002);
	damf_core_run(s.f->core);
	assert_false(fake_pop(s.f, &s.f->admin, &s.cqe));
	damf_core_commit(s.f->core);
	assert_true(fake_pop(s.f, &s.f->admin, &s.cqe));
	assert_int_equal(s.cqe.cookie, 0x1001);
	assert_int_equal(done(&s.one), 2);
	fake_drive(s.f);
	assert_int_equal(done(&s.one), LIST);
	fake_free(s.f);
}

/* An abort: the job's results are dropped, its entry and those in the ring end. */
static void abort_running(void **state)
{
	struct damf_sqe sqe = { .context = 1, .cookie = 9 };
	struct scene s;

	(void)state;
	set_scene(&s);
	push_cmd(&s, fake_context_cmd(DAMF_ADMIN_FLUSH, 1));
	push_cmd(&s, fake_context_cmd(DAMF_ADMIN_ABORT_CONTEXT, 1));
	assert_false(fake_pop(s.f, &s.f->admin, &s.cqe));
	end_job(&s);
	/* both commands have ended by now, and both entries */
	assert_true(fake_pop(s.f, &s.f->admin, &s.cqe) && fake_pop(s.f, &s.f->admin, &s.cqe));
	assert_int_equal(s.cqe.status, DAMF_ST_OK);
	assert_true(fake_pop(s.f, &s.a, &s.cqe));
	assert_int_equal(s.cqe.status, DAMF_ST_ABORTED);
	assert_int_equal(s.cqe.index, 1);
	assert_true(fake_pop(s.f, &s.a, &s.cqe));
	assert_int_equal(s.cqe.cookie, 2);
	assert_int_equal(s.cqe.status, DAMF_ST_ABORTED);
	assert_int_equal(s.cqe.index, DAMF_INDEX_NONE);
	assert_int_equal(done(&s.one), 1);
	/* what is submitted later finds the context stopped; others go on */
	assert_int_equal(fake_run(s.f, &s.a, &sqe).status, DAMF_ST_CTX_STOPPED);
	sqe.context = 2;
	assert_int_equal(fake_run(s.f, &s.b, &sqe).status, DAMF_ST_OK);
	push_cmd(&s, fake_context_cmd(DAMF_ADMIN_RESUME_CONTEXT, 1));
	fake_drive(s.f);
	assert_true(fake_pop(s.f, &s.f->admin, &s.cqe));
	/* a list of the aborted client resumes where it was */
	sqe = fake_exec(1, s.one.list, LIST);
	sqe.first = 1;
	assert_int_equal(fake_run(s.f, &s.a, &sqe).status, DAMF_ST_OK);
	assert_int_equal(done(&s.one), LIST);
	fake_free(s.f);
}

/* An abort with a full completion ring: entries end as room is made. */
static void abort_full_ring(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	const unsigned int size = 1 << FAKE_LOG2;
	struct damf_admin_sqe abort = fake_context_cmd(DAMF_ADMIN_ABORT_CONTEXT, 1);
	struct damf_sqe sqe = { .context = 1 };
	struct damf_cqe cqe;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2 * size; i++) {
		fake_push(f, &ring, &sqe);
		if (i == size - 1)
			fake_drive(f);
	}
	fake_doorbell(f, &ring);
	assert_int_equal(fake_admin(f, &abort).status, DAMF_ST_OK);
	for (i = 0; i < 2 * size; i++) {
		assert_true(fake_pop(f, &ring, &cqe));
		assert_int_equal(cqe.status, i < size ? DAMF_ST_OK : DAMF_ST_ABORTED);
		fake_write32(f, fake_read32(f, DAMF_REG_DB_OFFSET) + DAMF_DB_PAGE_SIZE + DAMF_DB_CQ,
			     ring.head);
		fake_drive(f);
	}
	fake_push(f, &ring, &sqe);
	fake_drive(f);
	assert_true(fake_pop(f, &ring, &cqe));
	assert_int_equal(cqe.status, DAMF_ST_CTX_STOPPED);
	fake_free(f);
}

static void stop_running(void **state)
{
	struct scene s;
	struct damf_queue_shared *shared;

	(void)state;
	set_scene(&s);
	shared = fake_shared(s.f, &s.a);
	push_cmd(&s, fake_queue_cmd(DAMF_ADMIN_STOP_QUEUE, 1));
	push_cmd(&s, fake_queue_cmd(DAMF_ADMIN_DESTROY_QUEUE, 1));
	push_cmd(&s, fake_context_cmd(DAMF_ADMIN_DESTROY_CONTEXT, 1));
	/* the context is still bound: the queue is not gone yet */
	assert_true(fake_pop(s.f, &s.f->admin, &s.cqe));
	assert_int_equal(s.cqe.status, DAMF_ST_BUSY);
	assert_false(fake_pop(s.f, &s.f->admin, &s.cqe));
	end_job(&s);
	assert_true(fake_pop(s.f, &s.f->admin, &s.cqe) && fake_pop(s.f, &s.f->admin, &s.cqe));
	assert_int_equal(s.cqe.status, DAMF_ST_OK);
	assert_true(fake_pop(s.f, &s.a, &s.cqe));
	assert_int_equal(s.cqe.status, DAMF_ST_ABORTED);
	assert_int_equal(s.cqe.index, 1);
	/* the other entry was never fetched */
	assert_false(fake_pop(s.f, &s.a, &s.cqe));
	assert_int_equal(shared->sq_head, 1);
	assert_int_equal(done(&s.one), 1);
	push_cmd(&s, fake_context_cmd(DAMF_ADMIN_DESTROY_CONTEXT, 1));
	fake_drive(s.f);
	assert_true(fake_pop(s.f, &s.f->admin, &s.cqe));
	assert_int_equal(s.cqe.status, DAMF_ST_OK);
	fake_free(s.f);
}

/* A reset with a job on the engine: nothing of it is ever written. */
static void reset_running(void **state)
{
	struct scene s;
	unsigned int round;

	(void)state;
	for (round = 0; round < 3; round++) {
		set_scene(&s);
		if (round == 2)
			damf_core_reset(s.f->core, true);
		else
			fake_write32(s.f, DAMF_REG_CTRL, DAMF_CTRL_RESET);
		assert_true(damf_core_busy(s.f->core));
		assert_int_equal(fake_read32(s.f, DAMF_REG_CTRL), DAMF_CTRL_RESET);
		assert_int_equal(fake_read32(s.f, DAMF_REG_ACTIVE), 0);
		/* enabled at once: ready when the old job has left the engine */
		if (round == 1) {
			fake_enable(s.f, DAMF_FEATURES_KNOWN);
			assert_int_equal(fake_read32(s.f, DAMF_REG_STATUS), 0);
			assert_false(damf_core_next(s.f->core));
		}
		end_job(&s);
		assert_int_equal(done(&s.one), 1);
		assert_int_equal(fake_read32(s.f, DAMF_REG_STATUS),
				 round == 1 ? DAMF_STATUS_READY : 0);
		if (round != 1)
			fake_enable(s.f, DAMF_FEATURES_KNOWN);
		assert_int_equal(fake_create_context(s.f, 1).status, DAMF_ST_OK);
		assert_int_equal(fake_create_queue(s.f, &s.a, 1, 1, 1, 1).status, DAMF_ST_OK);
		s.one = make_fills(s.f, 300);
		fake_run(s.f, &s.a, &(struct damf_sqe) { .opcode = DAMF_SQ_EXEC, .context = 1,
			 .count = LIST, .list = s.one.list });
		assert_int_equal(done(&s.one), LIST);
		fake_free(s.f);
	}
}

/* The queue's own memory goes away while its job runs. */
static void queue_breaks_running(void **state)
{
	struct scene s;

	(void)state;
	set_scene(&s);
	s.f->bad_from = s.a.shared;
	s.f->bad_to = s.a.shared + 128;
	end_job(&s);
	fake_drive(s.f);
	s.f->bad_to = 0;
	assert_int_equal(fake_run(s.f, &s.b, &(struct damf_sqe) { .context = 2 }).status,
			 DAMF_ST_OK);
	fake_free(s.f);
}

/* A fault stops the context's other queues too, in the middle of their lists. */
static void fault_stops_all(void **state)
{
	struct fake_ring a, b;
	struct fake *f = fake_ready(&a);
	struct fills one = make_fills(f, 100);
	struct damf_sqe good = fake_exec(1, one.list, LIST), bad = fake_exec(1, 0x1000000000, 1);
	struct damf_cqe cqe;

	(void)state;
	add_queue(f, &b, 2, 1, DAMF_PRIORITY_NORMAL);
	fake_push(f, &a, &good);
	one_job(f);
	one_job(f);
	fake_push(f, &b, &bad);
	fake_drive(f);
	assert_true(fake_pop(f, &b, &cqe));
	assert_int_equal(cqe.status, DAMF_ST_PAGE_FAULT);
	assert_true(fake_pop(f, &a, &cqe));
	assert_int_equal(cqe.status, DAMF_ST_CTX_STOPPED);
	assert_int_equal(cqe.index, done(&one));
	fake_free(f);
}

/* What a job needs beyond the device's working memory. */
static void no_resources(void **state)
{
	struct damf_core_config cfg;
	struct fake_ring ring;
	struct fake *f;
	struct damf_job job;
	struct damf_sqe sqe;
	struct damf_cqe cqe;
	uint64_t va;

	(void)state;
	damf_core_config_init(&cfg);
	cfg.max_work = 65536;
	f = fake_new_config(&cfg);
	fake_enable(f, DAMF_FEATURES_KNOWN & ~DAMF_FEATURE_LOCAL_MEMORY);
	assert_int_equal(fake_create_context(f, 1).status, DAMF_ST_OK);
	assert_int_equal(fake_create_queue(f, &ring, 1, 1, 1, 1).status, DAMF_ST_OK);
	va = fake_va(f, 1 << 17, NULL);
	job = fill_job(va, 1);
	job.tensor[DAMF_T_Y].cols = 1 << 15;
	job.tensor[DAMF_T_Y].stride = 1 << 17;
	sqe = fake_exec(1, job_list(f, &job, 1, NULL), 1);
	cqe = fake_run(f, &ring, &sqe);
	assert_int_equal(cqe.status, DAMF_ST_NO_RESOURCES);
	assert_int_equal(cqe.index, 0);
	job.tensor[DAMF_T_Y].cols = 1 << 10;
	sqe = fake_exec(1, job_list(f, &job, 1, NULL), 1);
	assert_int_equal(fake_run(f, &ring, &sqe).status, DAMF_ST_OK);
	fake_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_robin), cmocka_unit_test(priorities),
		cmocka_unit_test(restart), cmocka_unit_test(bad_job_in_list),
		cmocka_unit_test(flush_waits), cmocka_unit_test(abort_running),
		cmocka_unit_test(abort_full_ring), cmocka_unit_test(stop_running),
		cmocka_unit_test(reset_running), cmocka_unit_test(queue_breaks_running),
		cmocka_unit_test(fault_stops_all), cmocka_unit_test(no_resources),
	};

	return cmocka_run_group_tests_name("core: scheduling", tests, NULL, NULL);
}
