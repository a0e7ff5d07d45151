// SPDX-License-Identifier: MIT
#include "tokenizer_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NAMES 16

static char dir[64];
static char names[MAX_NAMES][64];
static size_t n_names;

const char *fixture_dir(void)
{
	if (!dir[0]) {
		strcpy(dir, "/tmp/damf-tokenizer.XXXXXX");
		assert_non_null(mkdtemp(dir));
	}
	return dir;
}

const char *fixture_path(const char *name)
{
	static char path[1200];

	snprintf(path, sizeof(path), "%s/%s", fixture_dir(), name);
	return path;
}

static void remember(const char *name)
{
	size_t i;

	for (i = 0; i < n_names; i++)
		if (!strcmp(names[i], name))
			return;
	assert_true(n_names < MAX_NAMES && strlen(name) < sizeof(names[0]));
	strcpy(names[n_names++], name);
}

void fixture_write(const char *name, const void *data, size_t len)
{
	const char *path = fixture_path(name);
	FILE *f;

	if (!data) {
		assert_true(!unlink(path) || errno == ENOENT);
		return;
	}
	remember(name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

void fixture_write_text(const char *name, const char *text)
{
	fixture_write(name, text, text ? strlen(text) : 0);
}

void fixture_remove(void)
{
	size_t i;

	for (i = 0; i < n_names; i++)
		unlink(fixture_path(names[i]));
	n_names = 0;
	if (dir[0])
		rmdir(dir);
	dir[0] = '\0';
}

struct damf_tokenizer *fixture_open(const char *path)
{
	struct damf_tokenizer *t;
	char err[256];

	if (damf_tokenizer_open(path, &t, err, sizeof(err)))
		fail_msg("%s", err);
	assert_string_equal(err, "");
	return t;
}

struct damf_tokenizer *fixture_from_vocab(const char *path, const struct damf_tokenizer_opts *o)
{
	struct damf_tokenizer *t;
	char err[256];

	if (damf_tokenizer_from_vocab(path, o, &t, err, sizeof(err)))
		fail_msg("%s", err);
	assert_string_equal(err, "");
	return t;
}
