// SPDX-License-Identifier: GPL-2.0-only
/* What the driver tells of itself: fdinfo, debugfs, its name. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "../../../kselftest_harness.h"
#include "damf_test.h"

FIXTURE(info)
{
	struct client c;
	char before[1024];
	char text[4096];
};

FIXTURE_SETUP(info)
{
	self->c.fd = -1;
	SETUP_COUNTED(&self->c, self->before);
}

FIXTURE_TEARDOWN(info)
{
	TEARDOWN_COUNTED(&self->c, self->before);
}

static int read_fdinfo(int fd, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -errno;
	n = read(file, text, size - 1);
	close(file);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return 0;
}

/*
 * The value of the first line whose key begins so and whose value ends with
 * unit; -1: there is none.
 */
static long long value_of(const char *text, const char *key, const char *unit)
{
	const char *line, *colon, *end;
	char *rest;
	long long value;

	for (line = text; line && *line; line = end ? end + 1 : NULL) {
		end = strchr(line, '\n');
		if (strncmp(line, key, strlen(key)))
			continue;
		colon = strchr(line, ':');
		if (!colon)
			continue;
		value = strtoll(colon + 1, &rest, 10);
		rest += strspn(rest, " ");
		if (!strncmp(rest, unit, strlen(unit)))
			return value;
	}
	return -1;
}

TEST_F(info, version)
{
	char name[16] = "", desc[64] = "";
	struct drm_version v = {
		.name = name, .name_len = sizeof(name) - 1,
		.desc = desc, .desc_len = sizeof(desc) - 1,
	};

	ASSERT_EQ(0, damf_ioctl(self->c.fd, DRM_IOCTL_VERSION, &v));
	EXPECT_STREQ("damf", name);
	EXPECT_NE(0, desc[0]);
	EXPECT_NE(0, v.version_major + v.version_minor);
}

TEST_F(info, fdinfo)
{
	ASSERT_EQ(0, read_fdinfo(self->c.fd, self->text, sizeof(self->text)));
	EXPECT_NE(NULL, strstr(self->text, "drm-driver:\tdamf\n"));
	EXPECT_NE(NULL, strstr(self->text, "drm-pdev:\t"));
	EXPECT_LE(1, value_of(self->text, "drm-client-id", ""));
	EXPECT_LE(0, value_of(self->text, "drm-engine-", "ns"));
	if (_metadata->exit_code)
		TH_LOG("fdinfo:\n%s", self->text);
}

/* Engine time is that of the client, and grows by what its lists took. */
TEST_F(info, engine_time)
{
	long long before, after, other;
	struct drm_damf_result res;
	struct client idle;
	struct busy busy;
	__u64 seqno;

	ASSERT_EQ(0, client_init(&idle));
	ASSERT_EQ(0, busy_init(&self->c, &busy, 300));
	ASSERT_EQ(0, read_fdinfo(self->c.fd, self->text, sizeof(self->text)));
	before = value_of(self->text, "drm-engine-", "ns");
	ASSERT_LE(0, before);
	ASSERT_EQ(0, busy_submit(&self->c, &busy, self->c.queue, &seqno));
	ASSERT_EQ(0, result(self->c.fd, self->c.queue, seqno, WAIT_NS, &res));
	ASSERT_EQ(0, res.error);
	ASSERT_EQ(0, read_fdinfo(self->c.fd, self->text, sizeof(self->text)));
	after = value_of(self->text, "drm-engine-", "ns");
	EXPECT_EQ(res.end_ns - res.start_ns, (__u64)(after - before));
	ASSERT_EQ(0, read_fdinfo(idle.fd, self->text, sizeof(self->text)));
	other = value_of(self->text, "drm-engine-", "ns");
	EXPECT_EQ(0, other);
	busy_fini(&self->c, &busy);
	client_fini(&idle);
}

/* The sum of all regions' "total", in bytes; -1: there is none. */
static long long memory_of(const char *text)
{
	const char *line = text;
	long long sum = -1, kib;

	while ((line = strstr(line, "drm-total-"))) {
		kib = value_of(line, "drm-total-", "KiB") * 1024;
		if (kib < 0)
			kib = value_of(line, "drm-total-", "MiB") * 1024 * 1024;
		if (kib < 0)
			kib = value_of(line, "drm-total-", "");
		if (kib >= 0)
			sum = (sum < 0 ? 0 : sum) + kib;
		line++;
	}
	return sum;
}

TEST_F(info, memory)
{
	long long before, after;
	__u32 handle, local = 0;

	ASSERT_EQ(0, read_fdinfo(self->c.fd, self->text, sizeof(self->text)));
	before = memory_of(self->text);
	ASSERT_LE(0, before) TH_LOG("fdinfo:\n%s", self->text);
	ASSERT_EQ(0, bo_create(self->c.fd, 3 << 20, 0, &handle));
	if (self->c.info.local_size) {
		ASSERT_EQ(0, bo_create(self->c.fd, 1 << 20, DRM_DAMF_BO_LOCAL, &local));
	}
	ASSERT_EQ(0, read_fdinfo(self->c.fd, self->text, sizeof(self->text)));
	after = memory_of(self->text);
	EXPECT_EQ(before + (local ? 4 << 20 : 3 << 20), after);
	ASSERT_EQ(0, bo_close(self->c.fd, handle));
	if (local) {
		ASSERT_EQ(0, bo_close(self->c.fd, local));
	}
	ASSERT_EQ(0, read_fdinfo(self->c.fd, self->text, sizeof(self->text)));
	EXPECT_EQ(before, memory_of(self->text));
}

/* ---- debugfs ------------------------------------------------------------- */

/* What is made is counted, and what goes is no longer. */
TEST_F(info, counts)
{
	char now[1024];
	struct buf b;
	__u32 queue;

	if (!self->before[0])
		SKIP(return, "needs root and debugfs");
	ASSERT_EQ(0, counts_read(now, sizeof(now)));
	EXPECT_STRNE(self->before, now);
	ASSERT_EQ(0, counts_read(self->text, sizeof(now)));
	ASSERT_EQ(0, buf_create(self->c.fd, &b, PAGE, 0, 0));
	ASSERT_EQ(0, counts_read(now, sizeof(now)));
	EXPECT_STRNE(self->text, now);
	buf_free(self->c.fd, &b);
	EXPECT_EQ(0, counts_wait(self->text));
	ASSERT_EQ(0, queue_create(self->c.fd, DRM_DAMF_PRIORITY_NORMAL, NULL, &queue));
	ASSERT_EQ(0, counts_read(now, sizeof(now)));
	EXPECT_STRNE(self->text, now);
	EXPECT_EQ(0, queue_destroy(self->c.fd, queue));
	EXPECT_EQ(0, counts_wait(self->text));
	client_fini(&self->c);
	EXPECT_EQ(0, counts_wait(self->before));
}

TEST_HARNESS_MAIN
