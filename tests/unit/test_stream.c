// SPDX-License-Identifier: MIT
/*
 * Sessions with streams of texts: order, back-pressure, errors and lost
 * devices in the middle, threads, and pages that processes share.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../runtime/lib/backend.h"
#include "../../runtime/lib/session/session.h"
#include "model_fixture.h"

enum { WIDTH = 48, GROUP = 40, GROUPS = 60, TEXTS = GROUP * GROUPS, LIMIT = 3 * GROUP };

static char text_data[TEXTS][64];
static struct damf_text texts[TEXTS];
static float expected[TEXTS][WIDTH], out[TEXTS][WIDTH];

static struct damf_session *open_on(const char *dir, struct damf_session_options opt)
{
	struct damf_session *s;
	struct damf_model *m;
	struct damf_error err;

	opt.size = sizeof(opt);
	if (damf_model_open(dir, NULL, &m, &err) || damf_session_create(m, &opt, &s, &err))
		fail_msg("%s", err.text);
	damf_model_unref(m);
	return s;
}

static struct damf_session *open_session(struct damf_session_options opt)
{
	return open_on(fix_dir(), opt);
}

/* Text by text: what the others are measured by. */
static void run_alone(void)
{
	struct damf_session *s = open_session((struct damf_session_options){ .backend = "cpu" });
	struct damf_error err;
	unsigned int i;

	for (i = 0; i < TEXTS; i++)
		if (damf_session_run(s, &texts[i], 1, expected[i], NULL, &err))
			fail_msg("%s", err.text);
	damf_session_free(s);
}

static int setup(void **state)
{
	unsigned int i, k;

	tiny_setup(state);
	for (i = 0; i < TEXTS; i++) {
		for (k = 0; k < i * 7 % 31; k++) {
			text_data[i][2 * k] = (char)('a' + (i * 5 + k * 3) % 26);
			text_data[i][2 * k + 1] = ' ';
		}
		texts[i] = (struct damf_text){ .text = text_data[i], .len = 2 * k };
	}
	run_alone();
	return 0;
}

static int submit(struct damf_session *s, unsigned int group, uint64_t *ticket)
{
	return damf_session_submit(s, texts + group * GROUP, GROUP, out[group * GROUP], NULL,
				   ticket, NULL);
}

/* ---- Streams ------------------------------------------------------------------------ */

/* All groups as the header says; the device goes when lose results were taken. */
static void stream(struct damf_session *s, unsigned int lose)
{
	struct pollfd fd = { .fd = damf_session_eventfd(s), .events = POLLIN };
	unsigned int sent = 0, taken = 0, refused = 0;
	struct damf_error err;
	uint64_t ticket;
	int r;

	memset(out, 0xff, sizeof(out));
	while (taken < GROUPS) {
		for (r = 0; sent < GROUPS && !(r = submit(s, sent, &ticket)); sent++)
			assert_int_equal(ticket, sent + 1);
		if (sent < GROUPS)
			assert_int_equal(r, -EAGAIN);
		refused += r == -EAGAIN;
		assert_true(sent - taken <= LIMIT / GROUP);
		assert_int_equal(poll(&fd, 1, 60000), 1);
		while (!(r = damf_session_wait(s, 0, &ticket, &err))) {
			assert_int_equal(ticket, ++taken);
			assert_memory_equal(out[(taken - 1) * GROUP], expected[(taken - 1) * GROUP],
					    GROUP * sizeof(out[0]));
			if (taken == lose)
				assert_int_equal(damf_device_lose(s->engine->dev), 0);
		}
		assert_true(r == -ETIME || (r == -ENOENT && taken == sent));
	}
	assert_true(refused > 0);
}

static void test_stream(void **state)
{
	static const struct damf_session_options options[] = {
		{ .backend = "cpu", .threads = 1, .max_texts = LIMIT },
		{ .backend = "cpu", .threads = 3, .max_texts = LIMIT, .max_seqs = 7, .in_flight = 4 },
		{ .backend = "sim", .threads = 2, .max_texts = LIMIT },
	};
	struct damf_session_stats stats = { .size = sizeof(stats) };
	unsigned int i;

	(void)state;
	for (i = 0; i < COUNT(options); i++) {
		struct damf_session *s = open_session(options[i]);

		stream(s, 0);
		damf_session_get_stats(s, &stats);
		assert_int_equal(stats.texts, TEXTS);
		assert_int_equal(stats.failovers, 0);
		damf_session_free(s);
	}
}

/* Nothing lost, nothing doubled, nothing out of order. */
static void test_device_lost(void **state)
{
	static const unsigned int moments[] = { 1, 17, GROUPS - 1 };
	struct damf_session_stats stats = { .size = sizeof(stats) };
	unsigned int i;

	(void)state;
	for (i = 0; i < COUNT(moments); i++) {
		struct damf_session *s = open_session((struct damf_session_options){
			.backend = "sim", .max_texts = LIMIT });

		stream(s, moments[i]);
		damf_session_get_stats(s, &stats);
		assert_int_equal(stats.failovers, 1);
		damf_session_free(s);
	}
}

static void test_limit(void **state)
{
	struct damf_session *s = open_session((struct damf_session_options){
		.backend = "cpu", .max_texts = GROUP + 1 });
	struct damf_error err;
	uint64_t ticket;

	(void)state;
	/* more than the limit, while nothing else is in flight */
	assert_int_equal(damf_session_submit(s, texts, 2 * GROUP, out[0], NULL, &ticket, &err), 0);
	assert_int_equal(damf_session_submit(s, texts, 1, out[0], NULL, &ticket, &err), -EAGAIN);
	assert_non_null(strstr(err.text, "80 texts are in flight"));
	assert_int_equal(damf_session_wait(s, -1, &ticket, &err), 0);
	assert_memory_equal(out, expected, 2 * GROUP * sizeof(out[0]));
	/* up to it, and one beyond */
	assert_int_equal(submit(s, 0, &ticket), 0);
	assert_int_equal(damf_session_submit(s, texts + GROUP, 2, out[GROUP], NULL, &ticket, &err),
			 -EAGAIN);
	assert_int_equal(damf_session_submit(s, texts + GROUP, 1, out[GROUP], NULL, &ticket, &err), 0);
	assert_int_equal(damf_session_wait(s, -1, &ticket, &err), 0);
	assert_int_equal(damf_session_wait(s, -1, &ticket, &err), 0);
	assert_int_equal(ticket, 3);
	damf_session_free(s);
}

/* A submission that is refused leaves those before and behind it alone. */
static void test_bad_text(void **state)
{
	struct damf_session *s = open_session((struct damf_session_options){
		.backend = "cpu", .threads = 3 });
	const struct damf_text bad = { .text = "a\xff", .len = 2 };
	struct damf_text some[TEXTS];
	struct damf_error err;
	uint64_t ticket;
	unsigned int i;

	(void)state;
	memcpy(some, texts, sizeof(some));
	for (i = 777; i < TEXTS; i += 100)	/* in many chunks: the first is told */
		some[i] = bad;
	for (i = 0; i < 5; i++) {
		assert_int_equal(submit(s, i, &ticket), 0);
		assert_int_equal(damf_session_submit(s, some, TEXTS, out[0], NULL, &ticket, &err),
				 -EILSEQ);
		assert_string_equal(err.text, "text 777 is not UTF-8 at byte 1: convert it");
	}
	for (i = 0; i < 5; i++) {
		assert_int_equal(damf_session_wait(s, -1, &ticket, &err), 0);
		assert_int_equal(ticket, i + 1);
	}
	assert_memory_equal(out, expected, 5 * GROUP * sizeof(out[0]));
	damf_session_free(s);
}

static void test_free_in_flight(void **state)
{
	static const char *const backends[] = { "cpu", "sim" };
	unsigned int i, k;
	uint64_t ticket;

	(void)state;
	for (i = 0; i < 20; i++) {
		struct damf_session *s = open_session((struct damf_session_options){
			.backend = backends[i % 2], .threads = 1 + i % 3 });

		for (k = 0; k < i; k++)
			assert_int_equal(submit(s, k, &ticket), 0);
		damf_session_free(s);
	}
}

/* ---- Threads ------------------------------------------------------------------------ */

static unsigned int count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int n = 0;
	struct dirent *d;

	assert_non_null(dir);
	while ((d = readdir(dir)))
		n += d->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* The caller sleeps while the others, as many as were asked for, tokenize and compute. */
static void test_threads(void **state)
{
	unsigned int n, before = count_threads();
	struct damf_text_result results[TEXTS];
	struct damf_error err;
	unsigned int i;

	(void)state;
	for (n = 1; n <= 4; n++) {
		struct damf_session *s = open_session((struct damf_session_options){
			.backend = "cpu", .threads = n });

		memset(out, 0xff, sizeof(out));
		assert_int_equal(damf_session_run(s, texts, TEXTS, out[0], results, &err), 0);
		assert_int_equal(count_threads(), before + n);
		assert_int_equal(damf_device_threads(s->engine->dev), n);
		assert_int_equal(s->engine->c.slots, 2 * n);
		assert_memory_equal(out, expected, sizeof(out));
		for (i = 0; i < TEXTS; i++)
			assert_int_equal(results[i].full, 2 + i * 7 % 31);
		damf_session_free(s);
	}
}

/* ---- Processes ------------------------------------------------------------------------ */

struct mapping {
	unsigned long rss, pss, dirty;	/* KiB */
};

/* What a process has of a file that it maps. */
static struct mapping mapping_of(pid_t pid, const char *file)
{
	struct mapping m = { 0, 0, 0 };
	char path[64], line[512];
	unsigned long kb;
	bool inside = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strchr(line, '-') && strstr(line, " r"))
			inside = strstr(line, file) != NULL;
		else if (inside && sscanf(line, "Rss: %lu", &kb) == 1)
			m.rss += kb;
		else if (inside && sscanf(line, "Pss: %lu", &kb) == 1)
			m.pss += kb;
		else if (inside && sscanf(line, "Private_Dirty: %lu", &kb) == 1)
			m.dirty += kb;
	}
	fclose(f);
	return m;
}

/* A process that has used the model and keeps it until its input ends. */
static pid_t start_user(const char *dir, int *keep)
{
	int in[2], ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct damf_session *s = open_on(dir, (struct damf_session_options){
			.backend = "cpu", .threads = 1 });

		close(in[1]);
		damf_session_run(s, texts, GROUP, out[0], NULL, NULL);
		if (write(ready[1], "", 1) == 1 && read(in[0], &byte, 1) == 0)
			damf_session_free(s);
		_exit(0);
	}
	close(in[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*keep = in[1];
	return pid;
}

/* Three processes on one packed model: a third of its pages is each one's. */
static void test_shared_pages(void **state)
{
	const struct damf_convert_options opt = CONVERT_OPT(.attention = DAMF_ATTENTION_MHSA);
	const char *dir = fix_path("packed");
	struct damf_error err;
	struct mapping m;
	pid_t pid[3];
	int keep[3];
	unsigned int i;

	(void)state;
	if (damf_convert(fix_dir(), dir, &opt, NULL, &err))
		fail_msg("%s", err.text);
	for (i = 0; i < 3; i++)
		pid[i] = start_user(dir, &keep[i]);
	for (i = 0; i < 3; i++) {
		m = mapping_of(pid[i], "/packed/model.safetensors");
		assert_true(m.rss > 0);
		assert_int_equal(m.dirty, 0);
		assert_true(m.pss <= (m.rss + 2) / 3 + 1);
	}
	for (i = 0; i < 3; i++)
		close(keep[i]);
	for (i = 0; i < 3; i++)
		assert_int_equal(waitpid(pid[i], NULL, 0), pid[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream), cmocka_unit_test(test_device_lost),
		cmocka_unit_test(test_limit), cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_free_in_flight), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_shared_pages),
	};

	return cmocka_run_group_tests_name("stream", tests, setup, tiny_teardown);
}
