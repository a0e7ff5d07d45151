// SPDX-License-Identifier: MIT
/*
 * Many processes submit at once while others are killed.
 *
 * usage: damf-stress [SECONDS [PROCESSES]]
 *
 * Each process keeps a few lists in flight: every list fills a block with a
 * pattern of its own and copies it, and the copy is checked word by word. Each
 * second one process, in turn, is killed with SIGKILL and another one started
 * in its place. Half of them submit by io_uring, half by ioctl.
 *
 * Exits with 0 if every list of every process that was not killed had the
 * right result.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "damf.h"
#include "damf_hw.h"

#define DEPTH 4			/* lists in flight of one process */
#define BLOCK (64u << 10)	/* bytes that a list fills, and copies */
#define MAX_PROCESSES 64

/* What the processes share with the parent. */
struct shared {
	volatile bool stop;
	volatile uint64_t lists[MAX_PROCESSES];
};

struct worker {
	struct damf_device *dev;
	struct damf_buffer *jobs, *data;
	struct damf_queue *queue;
	struct damf_error err;
	uint32_t patterns[DEPTH];
	uint64_t submitted, done;
};

static struct damf_job *job_init(struct worker *w, unsigned int i, unsigned int opcode)
{
	struct damf_job *job = (struct damf_job *)damf_buffer_map(w->jobs) + i;

	memset(job, 0, sizeof(*job));
	job->opcode = (uint16_t)opcode;
	job->version = DAMF_JOB_VERSION;
	job->size = sizeof(*job);
	return job;
}

/* A block as one row of words (fill) or of bytes (copy). */
static struct damf_tensor block(uint64_t va, unsigned int type, uint32_t cols)
{
	return (struct damf_tensor){
		.addr = va, .stride = BLOCK, .rows = 1, .cols = cols,
		.type = (uint16_t)type, .layout = DAMF_LAYOUT_ROWS,
	};
}

/* Slot s has two jobs and two blocks: filled, and copied to. */
static int submit(struct worker *w)
{
	unsigned int s = (unsigned int)(w->submitted % DEPTH);
	uint64_t va = damf_buffer_va(w->data) + s * 2ull * BLOCK;
	struct damf_list list = {
		.size = sizeof(list), .count = 2, .flags = DAMF_LIST_REPLAYABLE,
		.list = damf_buffer_va(w->jobs) + s * 2 * sizeof(struct damf_job),
	};
	struct damf_job *job;
	uint64_t seqno;

	w->patterns[s] = (uint32_t)(w->submitted * 2654435761u) ^ (uint32_t)getpid();
	job = job_init(w, 2 * s, DAMF_OP_FILL);
	job->param[DAMF_P_PATTERN] = w->patterns[s];
	job->tensor[DAMF_T_Y] = block(va, DAMF_TYPE_I32, BLOCK / 4);
	job = job_init(w, 2 * s + 1, DAMF_OP_COPY);
	job->tensor[DAMF_T_X] = block(va, DAMF_TYPE_BYTES, BLOCK);
	job->tensor[DAMF_T_Y] = block(va + BLOCK, DAMF_TYPE_BYTES, BLOCK);
	if (damf_buffer_to_device(w->jobs, 2 * s * sizeof(*job), 2 * sizeof(*job), &w->err) ||
	    damf_queue_submit(w->queue, &list, &seqno, &w->err))
		return -1;
	w->submitted++;
	return 0;
}

static int check(struct worker *w)
{
	unsigned int s = (unsigned int)(w->done % DEPTH);
	struct damf_completion done = { .size = sizeof(done) };
	uint64_t offset = (s * 2ull + 1) * BLOCK;
	const uint32_t *words;

	if (damf_queue_wait(w->queue, -1, &done, &w->err))
		return -1;
	if (done.error || done.seqno != w->done + 1) {
		snprintf(w->err.text, sizeof(w->err.text), "list %llu: error %d: %.200s",
			 (unsigned long long)w->done + 1, done.error, done.text);
		return -1;
	}
	if (damf_buffer_from_device(w->data, offset, BLOCK, &w->err))
		return -1;
	words = (const uint32_t *)((const char *)damf_buffer_map(w->data) + offset);
	for (unsigned int i = 0; i < BLOCK / 4; i++) {
		if (words[i] != w->patterns[s]) {
			snprintf(w->err.text, sizeof(w->err.text),
				 "list %llu: word %u is %08x, not %08x",
				 (unsigned long long)w->done + 1, i, words[i], w->patterns[s]);
			return -1;
		}
	}
	w->done++;
	return 0;
}

static int work(struct worker *w, struct shared *shared, unsigned int slot)
{
	struct damf_device_options opt = {
		.size = sizeof(opt),
		.path = slot % 2 ? DAMF_SUBMIT_IOCTL : DAMF_SUBMIT_URING,
	};

	if (damf_device_open("device", &opt, &w->dev, &w->err) ||
	    damf_buffer_create(w->dev, 2 * DEPTH * sizeof(struct damf_job), DAMF_BUFFER_READONLY,
			       &w->jobs, &w->err) ||
	    damf_buffer_create(w->dev, 2ull * DEPTH * BLOCK, slot % 4 < 2 ? DAMF_BUFFER_LOCAL : 0,
			       &w->data, &w->err) ||
	    damf_queue_create(w->dev, DAMF_PRIORITY_NORMAL, 0, &w->queue, &w->err))
		return -1;
	while (!shared->stop || w->done < w->submitted) {
		if (!shared->stop && w->submitted - w->done < DEPTH) {
			if (submit(w))
				return -1;
			continue;
		}
		if (check(w))
			return -1;
		shared->lists[slot]++;
	}
	damf_queue_free(w->queue);
	damf_buffer_free(w->data);
	damf_buffer_free(w->jobs);
	damf_device_close(w->dev);
	return 0;
}

static pid_t start(struct shared *shared, unsigned int slot)
{
	struct worker w = { .submitted = 0 };
	pid_t pid = fork();

	if (pid)
		return pid;
	if (work(&w, shared, slot)) {
		fprintf(stderr, "damf-stress: process %d: %s\n", getpid(), w.err.text);
		_exit(1);
	}
	_exit(0);
}

/* Takes a process away in the middle of what it does. Returns false if it
 * had ended before, which it never does by itself. */
static bool kill_one(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status);
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? (unsigned int)atoi(argv[1]) : 60;
	unsigned int count = argc > 2 ? (unsigned int)atoi(argv[2]) : 16;
	unsigned int killed = 0, failed = 0;
	pid_t pids[MAX_PROCESSES];
	uint64_t lists = 0;
	struct shared *shared;

	if (!seconds || !count || count > MAX_PROCESSES) {
		fprintf(stderr, "usage: damf-stress [SECONDS [PROCESSES up to %d]]\n",
			MAX_PROCESSES);
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("damf-stress: mmap");
		return 1;
	}
	for (unsigned int i = 0; i < count; i++)
		pids[i] = start(shared, i);
	for (; killed < seconds; killed++) {
		unsigned int slot = killed % count;

		nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
		if (!kill_one(pids[slot]))
			failed++;
		pids[slot] = start(shared, slot);
	}
	shared->stop = true;
	for (unsigned int i = 0; i < count; i++) {
		int status;

		waitpid(pids[i], &status, 0);
		failed += status != 0;
		lists += shared->lists[i];
	}
	printf("%u processes, %u killed, %u failed, %llu lists\n", count, killed, failed,
	       (unsigned long long)lists);
	return failed || !lists;
}
