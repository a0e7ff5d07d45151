// SPDX-License-Identifier: MIT
/* The backend: opening it, and running lists. */
#include <stdlib.h>
#include <string.h>

#include "conf.h"

#define DATA_SIZE	(32ull << 20)
#define LOCAL_SIZE	(4ull << 20)
#define LISTS_SIZE	(CONF_JOBS * (sizeof(struct damf_job) + sizeof(struct damf_counters)))

static bool open_device(struct conf *c, struct damf_error *err)
{
	struct damf_device_options opt = {
		.size = sizeof(opt),
		.threads = c->threads, .local_size = 16 << 20,
		.path = strcmp(c->submit, "ioctl") ? DAMF_SUBMIT_URING : DAMF_SUBMIT_IOCTL,
	};

	return !damf_device_open(c->backend, &opt, &c->dev, err) &&
		!damf_buffer_create(c->dev, DATA_SIZE, 0, &c->data, err) &&
		!damf_buffer_create(c->dev, LOCAL_SIZE, DAMF_BUFFER_LOCAL, &c->local, err) &&
		!damf_buffer_create(c->dev, LISTS_SIZE, 0, &c->lists, err) &&
		!damf_queue_create(c->dev, DAMF_PRIORITY_NORMAL, 0, &c->queue, err);
}

/* Falling back to another path would pass for the one asked for. */
static bool path_is_right(struct conf *c)
{
	struct damf_device_info info = { .size = sizeof(info) };
	struct damf_error err;

	if (damf_device_get_info(c->dev, &info, &err)) {
		fprintf(stderr, "conformance: %s\n", err.text);
		return false;
	}
	if (strcmp(info.backend, c->backend)) {
		fprintf(stderr, "conformance: asked for %s, got %s\n", c->backend, info.backend);
		return false;
	}
	if (!strcmp(c->backend, "device") &&
	    strcmp(info.submit, strcmp(c->submit, "ioctl") ? "io_uring" : "ioctl")) {
		fprintf(stderr, "conformance: asked for submission by %s, got %s: %s\n", c->submit,
			info.submit, info.reason);
		return false;
	}
	return true;
}

bool conf_open(struct conf *c)
{
	struct damf_error err;

	if (!open_device(c, &err)) {
		fprintf(stderr, "conformance: %s\n", err.text);
		conf_close(c);
		return false;
	}
	if (!path_is_right(c)) {
		conf_close(c);
		return false;
	}
	c->type = DAMF_TYPE_F32;
	conf_begin(c, "", false);
	return true;
}

void conf_close(struct conf *c)
{
	while (c->nplain)
		free(c->plain[--c->nplain]);
	if (c->queue)
		damf_queue_free(c->queue);
	damf_buffer_free(c->lists);
	damf_buffer_free(c->local);
	damf_buffer_free(c->data);
	if (c->dev)
		damf_device_close(c->dev);
	c->queue = NULL;
	c->lists = c->local = c->data = NULL;
	c->dev = NULL;
}

void conf_begin(struct conf *c, const char *name, bool local)
{
	c->name = name;
	c->arena = local ? c->local : c->data;
	c->used = 0;
	c->njobs = 0;
	while (c->nplain)
		free(c->plain[--c->nplain]);
	c->seed = 1;
	/* a case's numbers don't depend on the cases before it */
	for (const char *s = name; *s; s++)
		c->seed = c->seed * 1099511628211u + (unsigned char)*s;
	memset(damf_buffer_map(c->lists), 0, LISTS_SIZE);
}

struct damf_job *conf_job(struct conf *c, unsigned int opcode)
{
	struct damf_job *job = (struct damf_job *)damf_buffer_map(c->lists) + c->njobs++;

	assert_true(c->njobs <= CONF_JOBS);
	job->opcode = (uint16_t)opcode;
	job->version = DAMF_JOB_VERSION;
	job->size = sizeof(*job);
	if (opcode == DAMF_OP_LINEAR || opcode == DAMF_OP_FFN || opcode == DAMF_OP_ATTENTION)
		job->param[DAMF_P_XTYPE] = c->xtype;
	return job;
}

void conf_slot(struct damf_job *job, unsigned int slot, const struct conf_tensor *t)
{
	job->tensor[slot] = (struct damf_tensor){
		.addr = t->va, .scales = t->scales_va, .rows = t->rows, .cols = t->cols, .type = t->type,
		.layout = t->layout, .stride = t->layout == DAMF_LAYOUT_PANEL32 ? 0 : t->stride,
	};
}

static uint64_t counters_offset(void)
{
	return CONF_JOBS * sizeof(struct damf_job);
}

const struct damf_counters *conf_counters(struct conf *c, unsigned int job)
{
	const char *base = damf_buffer_map(c->lists);

	return (const struct damf_counters *)(base + counters_offset()) + job;
}

static void sync(struct conf *c, int (*how)(struct damf_buffer *, uint64_t, uint64_t,
					    struct damf_error *))
{
	struct damf_error err;

	if (how(c->lists, 0, LISTS_SIZE, &err) ||
	    (c->used && how(c->arena, 0, c->used, &err)))
		conf_fail("%s", err.text);
}

void conf_submit(struct conf *c)
{
	struct damf_list list = {
		.size = sizeof(list), .count = c->njobs, .flags = DAMF_LIST_REPLAYABLE,
		.list = damf_buffer_va(c->lists),
		.counters = damf_buffer_va(c->lists) + counters_offset(),
	};
	struct damf_error err;
	uint64_t seqno;

	sync(c, damf_buffer_to_device);
	c->done = (struct damf_completion){ .size = sizeof(c->done) };
	if (damf_queue_submit(c->queue, &list, &seqno, &err) ||
	    damf_queue_wait(c->queue, -1, &c->done, &err))
		conf_fail("%s: %s", c->name, err.text);
	sync(c, damf_buffer_from_device);
}

void conf_run(struct conf *c)
{
	conf_submit(c);
	if (c->done.error || c->done.status)
		conf_fail("%s: status %u, job %u, field %u: %s", c->name, c->done.status,
			 c->done.index, c->done.field, c->done.text);
	assert_int_equal(c->done.index, c->njobs);
	for (unsigned int i = 0; i < c->njobs; i++) {
		const struct damf_counters *k = conf_counters(c, i);

		assert_int_equal(k->jobs, 1);
		/* page walks, and what follows from them, are the device's own */
		conf_record(c, "counters", k, offsetof(struct damf_counters, page_walks));
	}
}
