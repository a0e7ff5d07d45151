// SPDX-License-Identifier: GPL-2.0-only
/* Layer jobs. The device is little-endian, and so is every host of it. */
#include <errno.h>
#include <string.h>

#include "damf_test.h"

#define ROW 16384u	/* bytes of a row, as many as every device takes */

struct damf_job *job_init(struct buf *jobs, unsigned int i, unsigned int opcode)
{
	struct damf_job *job = (struct damf_job *)jobs->map + i;

	memset(job, 0, sizeof(*job));
	job->opcode = (__u16)opcode;
	job->version = DAMF_JOB_VERSION;
	job->size = sizeof(*job);
	return job;
}

/* bytes: less than a row, or a multiple of it. */
static struct damf_tensor tensor(__u64 va, unsigned int type, __u32 bytes, __u32 element)
{
	__u32 row = bytes < ROW ? bytes : ROW;

	return (struct damf_tensor){
		.addr = va,
		.stride = row,
		.rows = bytes / row,
		.cols = row / element,
		.type = (__u16)type,
		.layout = DAMF_LAYOUT_ROWS,
	};
}

void job_fill(struct buf *jobs, unsigned int i, __u64 va, __u32 words, __u32 pattern)
{
	struct damf_job *job = job_init(jobs, i, DAMF_OP_FILL);

	job->param[DAMF_P_PATTERN] = pattern;
	job->tensor[DAMF_T_Y] = tensor(va, DAMF_TYPE_I32, 4 * words, 4);
}

void job_copy(struct buf *jobs, unsigned int i, __u64 to, __u64 from, __u32 bytes)
{
	struct damf_job *job = job_init(jobs, i, DAMF_OP_COPY);

	job->tensor[DAMF_T_X] = tensor(from, DAMF_TYPE_BYTES, bytes, 1);
	job->tensor[DAMF_T_Y] = tensor(to, DAMF_TYPE_BYTES, bytes, 1);
}

bool is_filled(const struct buf *b, __u64 offset, __u32 words, __u32 pattern)
{
	const __u32 *w = (const __u32 *)((const char *)b->map + offset);
	__u32 i;

	for (i = 0; i < words; i++)
		if (w[i] != pattern)
			return false;
	return true;
}

/* ---- Keeping the engine busy --------------------------------------------- */

#define BUSY_BLOCK	(16u << 20)	/* so large that a list of them can last */
#define BUSY_JOBS	4u
#define BUSY_PROBES	5

/* How long a few jobs take. */
static int busy_probe(struct client *c, struct busy *b, __u64 *ns)
{
	struct drm_damf_result res;
	__u64 seqno;
	int r;

	b->count = BUSY_JOBS;
	r = busy_submit(c, b, c->queue, &seqno);
	if (!r)
		r = result(c->fd, c->queue, seqno, WAIT_NS, &res);
	if (r || res.error)
		return r ? r : res.error;
	*ns = res.end_ns - res.start_ns;
	return 0;
}

/*
 * That says how many are needed. The least of several counts: an engine that
 * somebody else's work keeps waiting takes longer, and a list that is counted
 * by that would be over too soon.
 */
static int busy_measure(struct client *c, struct busy *b, unsigned int ms)
{
	__u64 least = WAIT_NS, ns, count;
	int i, r;

	for (i = 0; i < BUSY_PROBES; i++) {
		r = busy_probe(c, b, &ns);
		if (r)
			return r;
		least = ns < least ? ns : least;
	}
	count = (__u64)ms * MS * BUSY_JOBS / (least + 1) + 1;
	b->count = count < c->info.max_jobs ? (unsigned int)count : c->info.max_jobs;
	return 0;
}

int busy_init(struct client *c, struct busy *b, unsigned int ms)
{
	unsigned int i;
	int r;

	*b = (struct busy){ 0 };
	r = buf_create(c->fd, &b->jobs, c->info.max_jobs * sizeof(struct damf_job), 0, 0);
	if (!r)
		r = buf_create(c->fd, &b->data, 2 * BUSY_BLOCK, 0, 0);
	if (!r) {
		for (i = 0; i < c->info.max_jobs; i++)
			job_copy(&b->jobs, i, b->data.va + BUSY_BLOCK, b->data.va, BUSY_BLOCK);
		r = buf_to_device(c->fd, &b->jobs);
	}
	if (!r)
		r = busy_measure(c, b, ms);
	if (r)
		busy_fini(c, b);
	return r;
}

void busy_fini(struct client *c, struct busy *b)
{
	buf_free(c->fd, &b->data);
	buf_free(c->fd, &b->jobs);
}

int busy_submit(struct client *c, struct busy *b, __u32 queue, __u64 *seqno)
{
	struct drm_damf_submit s = {
		.queue = queue,
		.list = b->jobs.va,
		.count = b->count,
	};
	int r = submit(c->fd, &s);

	*seqno = s.seqno;
	return r;
}
