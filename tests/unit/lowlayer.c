// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lowlayer.h"

int low_setup(void **state)
{
	const char *backend = *state;
	struct damf_device_options opt = {
		.size = sizeof(opt),
		.threads = 2,
		.local_size = 8u << 20,
	};
	struct low *l = calloc(1, sizeof(*l));
	char name[100];

	assert_non_null(l);
	l->backend = backend;
	l->ioctl = !strncmp(backend, "ioctl", 5);
	l->device = l->ioctl || !strncmp(backend, "device", 6);
	opt.path = l->ioctl ? DAMF_SUBMIT_IOCTL : DAMF_SUBMIT_URING;
	snprintf(name, sizeof(name), "%s%s", l->ioctl ? "device" : "",
		 backend + (l->ioctl ? 5 : 0));
	if (damf_device_open(name, &opt, &l->dev, &l->err) ||
	    damf_buffer_create(l->dev, 256 * sizeof(struct damf_job), DAMF_BUFFER_READONLY,
			       &l->jobs, &l->err) ||
	    damf_buffer_create(l->dev, LOW_DATA_SIZE, 0, &l->data, &l->err) ||
	    damf_queue_create(l->dev, DAMF_PRIORITY_NORMAL, 8, &l->queue, &l->err)) {
		fprintf(stderr, "%s: %s\n", backend, l->err.text);
		return -1;
	}
	*state = l;
	return 0;
}

int low_teardown(void **state)
{
	struct low *l = *state;

	damf_queue_free(l->queue);
	damf_buffer_free(l->data);
	damf_buffer_free(l->jobs);
	damf_device_close(l->dev);
	free(l);
	return 0;
}

struct damf_job *low_job(struct low *l, unsigned int i, unsigned int opcode)
{
	struct damf_job *job = (struct damf_job *)damf_buffer_map(l->jobs) + i;

	memset(job, 0, sizeof(*job));
	job->opcode = (uint16_t)opcode;
	job->version = DAMF_JOB_VERSION;
	job->size = sizeof(*job);
	return job;
}

void low_fill(struct low *l, unsigned int i, uint64_t va, uint32_t words, uint32_t pattern)
{
	struct damf_job *job = low_job(l, i, DAMF_OP_FILL);

	job->param[DAMF_P_PATTERN] = pattern;
	job->tensor[DAMF_T_Y] = (struct damf_tensor){
		.addr = va, .stride = words * 4ull, .rows = 1, .cols = words,
		.type = DAMF_TYPE_I32, .layout = DAMF_LAYOUT_ROWS,
	};
}

void low_copy(struct low *l, unsigned int i, uint64_t from, uint64_t to, uint32_t rows)
{
	struct damf_job *job = low_job(l, i, DAMF_OP_COPY);
	struct damf_tensor t = {
		.stride = 1024, .rows = rows, .cols = 1024,
		.type = DAMF_TYPE_BYTES, .layout = DAMF_LAYOUT_ROWS,
	};

	t.addr = from;
	job->tensor[DAMF_T_X] = t;
	t.addr = to;
	job->tensor[DAMF_T_Y] = t;
}

struct damf_list low_list(struct low *l, unsigned int i, uint32_t count)
{
	return (struct damf_list){
		.size = sizeof(struct damf_list),
		.list = damf_buffer_va(l->jobs) + i * sizeof(struct damf_job),
		.count = count,
	};
}

struct damf_completion low_run(struct low *l, unsigned int i, uint32_t count)
{
	struct damf_list list = low_list(l, i, count);
	struct damf_completion done = { .size = sizeof(done) };
	uint64_t seqno = 0;

	assert_int_equal(damf_buffer_to_device(l->jobs, 0, damf_buffer_size(l->jobs), &l->err), 0);
	assert_int_equal(damf_buffer_to_device(l->data, 0, LOW_DATA_SIZE, &l->err), 0);
	assert_int_equal(damf_queue_submit(l->queue, &list, &seqno, &l->err), 0);
	assert_int_equal(damf_queue_wait(l->queue, -1, &done, &l->err), 0);
	assert_int_equal(damf_buffer_from_device(l->data, 0, LOW_DATA_SIZE, &l->err), 0);
	assert_true(done.seqno == seqno);
	return done;
}

void low_assert_contains(const char *text, const char *part, const char *file, int line)
{
	if (strstr(text, part))
		return;
	print_error("\"%s\" is not in \"%s\"\n", part, text);
	_fail(file, line);
}
