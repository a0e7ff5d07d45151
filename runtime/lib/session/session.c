// SPDX-License-Identifier: MIT
/*
 * Sessions: batches go to the device as it has room, results come back in
 * order. When the device is lost, the batches in flight, which are all still
 * here, run on the CPU instead, with the same bits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../backend.h"
#include "session.h"

#define DEFAULT_SEQS	32
#define DEFAULT_TOKENS	1024

/* ---- Devices ------------------------------------------------------------------- */

/* The new queue's eventfd becomes what the session's descriptor waits for. */
static int watch(struct damf_session *s, struct damf_error *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, damf_queue_eventfd(s->engine->queue), &event))
		return damf_error_set(err, -errno, "cannot wait for a queue: %s", strerror(errno));
	return 0;
}

static int open_engine(struct damf_session *s, const char *name, struct damf_error *err)
{
	int r = damf_engine_open(&s->config, name, &s->engine, err);

	if (r)
		return r;
	r = watch(s, err);
	if (r) {
		damf_engine_close(s->engine);
		s->engine = NULL;
	}
	return r;
}

/*
 * Nothing works any more: every submission ends with this error. No queue
 * tells of that, so whoever polls is woken by a descriptor of our own.
 */
static int break_session(struct damf_session *s, const struct damf_error *why,
			 struct damf_error *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, s->broken_fd, &event);
	damf_error_set(&s->broken, why->code, "%s", why->text);
	return damf_error_set(err, why->code, "%s", why->text);
}

/*
 * Gives the device up for the CPU. Everything that isn't delivered runs
 * again there; what was delivered is not in the list any more.
 */
static int fail_over(struct damf_session *s, const struct damf_error *why, struct damf_error *err)
{
	struct damf_error cpu;

	if (s->flags & DAMF_SESSION_NO_FAILOVER)
		return break_session(s, why, err);
	s->stats.failovers++;
	snprintf(s->stats.failover_reason, sizeof(s->stats.failover_reason), "%.250s", why->text);
	damf_session_keep_stats(s, &s->stats);
	damf_engine_close(s->engine);	/* which closes what was watched */
	s->engine = NULL;
	s->unsent = s->batches;
	if (open_engine(s, "cpu", &cpu))
		return break_session(s, &cpu, err);
	return 0;
}

/* ---- Batches ------------------------------------------------------------------- */

/* Sends what the device has room for. Errors of a batch wait in its group. */
static int pump(struct damf_session *s, struct damf_error *err)
{
	struct damf_error why;
	int r;

	while (s->unsent && !damf_engine_full(s->engine)) {
		r = damf_engine_submit(s->engine, &s->unsent->in, &why);
		if (r == -EAGAIN)
			return 0;
		if (r && damf_engine_gave_up(s->engine, r))
			r = fail_over(s, &why, err);
		else if (r)
			r = break_session(s, &why, err);
		else
			s->unsent = s->unsent->next;
		if (r)
			return r;
	}
	return 0;
}

static void deliver(struct damf_session *s, const struct damf_engine_result *result)
{
	const struct damf_batch *b = s->batches;
	uint32_t i, width = s->engine->width;

	for (i = 0; i < b->in.seqs; i++)
		memcpy(b->group->out + b->rows[i] * width, result->out + (size_t)i * width,
		       width * sizeof(float));
	damf_session_count(s, result);
}

static void drop_batch(struct damf_session *s)
{
	struct damf_batch *b = s->batches;

	b->group->batches--;
	s->batches = b->next;
	if (!s->batches)
		s->batches_end = &s->batches;
	damf_batch_free(b);
}

/* Takes one completion. -ETIME: there is none yet. */
static int take(struct damf_session *s, int64_t timeout_ns, struct damf_error *err)
{
	struct damf_engine_result result;
	struct damf_error why;
	int r = damf_engine_wait(s->engine, timeout_ns, &result, &why);

	if (!r) {
		deliver(s, &result);
		drop_batch(s);
		return 0;
	}
	if (r == -ETIME)
		return r;
	if (damf_engine_gave_up(s->engine, r))
		return fail_over(s, &why, err);
	if (!s->batches->group->err.code)	/* the first one tells most */
		s->batches->group->err = why;
	drop_batch(s);
	return 0;
}

/* Hands the first group back, which is done. */
static int finish(struct damf_session *s, uint64_t *ticket, struct damf_error *err)
{
	struct damf_group *g = s->groups;
	int r = g->err.code;

	if (r)
		damf_error_set(err, r, "%s", g->err.text);
	*ticket = g->ticket;
	s->groups = g->next;
	if (!s->groups)
		s->groups_end = &s->groups;
	s->texts -= g->texts;
	free(g);
	return r;
}

/* Of a broken session: the first group ends with the reason. */
static int finish_broken(struct damf_session *s, uint64_t *ticket, struct damf_error *err)
{
	while (s->groups->batches)
		drop_batch(s);
	s->unsent = s->batches;
	s->groups->err = s->broken;
	return finish(s, ticket, err);
}

/* ---- The interface --------------------------------------------------------------- */

static int check_options(const struct damf_session_options *o, const struct damf_model *m,
			 struct damf_error *err)
{
	if (m->load.no_weights)
		return damf_error_set(err, -EINVAL, "the model was opened without its weights");
	if ((unsigned int)o->task > DAMF_TASK_CLASSIFY ||
	    o->flags & ~(DAMF_SESSION_PARSE_SPECIAL | DAMF_SESSION_NO_FAILOVER))
		return damf_error_set(err, -EINVAL,
				      "session options: task %u or flags 0x%x are not known",
				      (unsigned int)o->task, o->flags);
	if (o->max_length && (o->max_length < 3 || o->max_length > m->config.positions))
		return damf_error_set(err, -EINVAL,
				      "a maximum length of %u: it must be 3 to %u, the positions of this model",
				      o->max_length, m->config.positions);
	if (o->in_flight > DAMF_MAX_FLIGHT || o->max_seqs > 65536 || o->max_tokens > 1u << 24)
		return damf_error_set(err, -EINVAL,
				      "session options: %u batches in flight, %u texts or %u tokens a batch are too many",
				      o->in_flight, o->max_seqs, o->max_tokens);
	if (o->task == DAMF_TASK_EMBED)
		return 0;
	if (!m->classifier.w.rows)
		return damf_error_set(err, -EINVAL,
				      "the model has no classifier: use one made for sequence classification, with id2label in config.json");
	if (m->config.multi_label || m->classifier.w.cols < 2)
		return damf_error_set(err, -EINVAL,
				      "the model's classifier does not choose one of several labels: only that is supported");
	return 0;
}

static void take_options(struct damf_session *s, const struct damf_session_options *o)
{
	struct damf_engine_config *c = &s->config;

	s->flags = o->flags;
	s->max_texts = o->max_texts;
	s->max_length = o->max_length ? o->max_length : s->model->max_length;
	c->model = s->model;
	c->device = (struct damf_device_options){
		.size = sizeof(c->device), .path = o->path, .threads = o->threads,
	};
	c->task = o->task;
	c->max_seqs = o->max_seqs ? o->max_seqs : DEFAULT_SEQS;
	c->max_tokens = o->max_tokens ? o->max_tokens : DEFAULT_TOKENS;
	if (c->max_tokens < s->max_length)
		c->max_tokens = s->max_length;
	c->slots = o->in_flight;
}

static int open_first(struct damf_session *s, const char *backend, struct damf_error *err)
{
	struct damf_error why;
	int r;

	s->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->broken_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->poll_fd < 0 || s->broken_fd < 0)
		return damf_error_set(err, -errno, "no descriptor for a session: %s",
				      strerror(errno));
	r = open_engine(s, backend, &why);
	if (!r)
		return 0;
	/* It may go while the weights are on their way, or not be up to this model. */
	if (!strcmp(backend, "auto") && (damf_engine_gave_up(NULL, r) || r == -EOPNOTSUPP))
		return fail_over(s, &why, err);
	return damf_error_set(err, r, "%s", why.text);
}

int damf_session_create(struct damf_model *model, const struct damf_session_options *opt,
			struct damf_session **out, struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_session_options o = { .size = sizeof(o) };
	struct damf_session *s;
	int r;

	*out = NULL;
	if (opt && damf_struct_in(&o, sizeof(o), opt))
		return damf_error_set(err, -E2BIG,
				      "session options of size %zu, this library knows %zu bytes: set size to sizeof(struct damf_session_options)",
				      opt->size, sizeof(o));
	r = check_options(&o, model, err);
	if (r)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return damf_error_set(err, -ENOMEM, "no memory for a session");
	s->poll_fd = s->broken_fd = -1;
	s->groups_end = &s->groups;
	s->batches_end = &s->batches;
	s->model = damf_model_ref(model);
	take_options(s, &o);
	r = open_first(s, o.backend ? o.backend : "auto", err);
	if (r) {
		damf_session_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void damf_session_free(struct damf_session *s)
{
	DAMF_KEEP_ERRNO();
	struct damf_group *g;

	if (!s)
		return;
	damf_engine_close(s->engine);
	while (s->batches)
		drop_batch(s);
	while (s->groups) {
		g = s->groups;
		s->groups = g->next;
		free(g);
	}
	if (s->poll_fd >= 0)
		close(s->poll_fd);
	if (s->broken_fd >= 0)
		close(s->broken_fd);
	while (s->scratches)
		damf_tok_scratch_free(s->scratch[--s->scratches]);
	free(s->scratch);
	damf_model_unref(s->model);
	free(s);
}

uint32_t damf_session_width(const struct damf_session *s)
{
	return s->config.task == DAMF_TASK_CLASSIFY ? s->model->classifier.w.cols :
						      s->model->config.width;
}

int damf_session_eventfd(const struct damf_session *s)
{
	return s->poll_fd;
}

int damf_session_submit(struct damf_session *s, const struct damf_text *texts, size_t n,
			float *out, struct damf_text_result *results, uint64_t *ticket,
			struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	int r;

	if (s->broken.code)
		return damf_error_set(err, s->broken.code, "%s", s->broken.text);
	if (!n)
		return damf_error_set(err, -EINVAL, "no texts to submit");
	if (s->max_texts && s->texts && s->texts + n > s->max_texts)
		return damf_error_set(err, -EAGAIN,
				      "%zu texts are in flight, with %zu more they are beyond the limit of %zu: take results first",
				      s->texts, n, s->max_texts);
	r = damf_session_add(s, texts, n, out, results, err);
	if (r)
		return r;
	*ticket = s->tickets;
	pump(s, NULL);	/* if it breaks, the wait tells */
	return 0;
}

int damf_session_wait(struct damf_session *s, int64_t timeout_ns, uint64_t *ticket,
		      struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	uint64_t end = damf_now_ns() + (uint64_t)(timeout_ns > 0 ? timeout_ns : 0), now;
	int r = 0;

	if (!s->groups)
		return damf_error_set(err, -ENOENT, "no texts are in flight");
	for (;;) {
		if (!s->broken.code)
			pump(s, NULL);
		if (!s->groups->batches)
			return finish(s, ticket, err);
		if (s->broken.code)
			return finish_broken(s, ticket, err);
		r = take(s, timeout_ns, NULL);
		if (r == -ETIME)
			return damf_error_set(err, r, "nothing is done yet");
		if (timeout_ns > 0) {
			now = damf_now_ns();
			timeout_ns = now < end ? (int64_t)(end - now) : 0;
		}
	}
}

int damf_session_run(struct damf_session *s, const struct damf_text *texts, size_t n,
		     float *out, struct damf_text_result *results, struct damf_error *err)
{
	uint64_t ticket;
	int r;

	if (s->groups)
		return damf_error_set(err, -EBUSY, "other texts are in flight: wait for them first");
	r = damf_session_submit(s, texts, n, out, results, &ticket, err);
	return r ? r : damf_session_wait(s, -1, &ticket, err);
}
