// SPDX-License-Identifier: MIT
/* Reading files and JSON members, with an error line for whatever is wrong. */
#include "tok_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Larger than any vocabulary; keeps a wrong file from filling memory. */
#define MAX_FILE ((off_t)256 << 20)

int damf_tok_fail(struct damf_tok_load *l, int code, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!l->err || !l->errlen)
		return code;
	n = snprintf(l->err, l->errlen, "%s: ", l->path);
	if (n < 0 || (size_t)n >= l->errlen)
		return code;
	va_start(ap, fmt);
	vsnprintf(l->err + n, l->errlen - (size_t)n, fmt, ap);
	va_end(ap);
	/* Names in files can hold anything; the caller was promised one line. */
	for (n = 0; l->err[n]; n++)
		if ((unsigned char)l->err[n] < ' ' || l->err[n] == 0x7F)
			l->err[n] = '?';
	return code;
}

static int read_all(int fd, char *data, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t n = read(fd, data + *len, size - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		*len += (size_t)n;
	}
	data[*len] = '\0';
	return 0;
}

static int read_fd(struct damf_tok_load *l, int fd, char **data, size_t *len)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return damf_tok_fail(l, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return damf_tok_fail(l, -EINVAL, "not a regular file");
	if (st.st_size > MAX_FILE)
		return damf_tok_fail(l, -EINVAL, "larger than %lld MiB, not a tokenizer's file",
				     (long long)(MAX_FILE >> 20));
	*data = malloc((size_t)st.st_size + 1);
	if (!*data)
		return damf_tok_fail(l, -ENOMEM, "out of memory");
	ret = read_all(fd, *data, (size_t)st.st_size, len);
	if (ret) {
		free(*data);
		*data = NULL;
		return damf_tok_fail(l, ret, "%s", strerror(-ret));
	}
	return 0;
}

int damf_tok_read_file(struct damf_tok_load *l, char **data, size_t *len)
{
	/* O_NONBLOCK: opening a FIFO would wait for a writer. */
	int fd = open(l->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int ret;

	*data = NULL;
	if (fd < 0) {
		ret = -errno;
		return damf_tok_fail(l, ret, "%s", strerror(-ret));
	}
	ret = read_fd(l, fd, data, len);
	close(fd);
	return ret;
}

int damf_tok_parse_json(struct damf_tok_load *l, const char *data, size_t len, size_t flags,
			json_t **out)
{
	json_error_t e;

	*out = json_loadb(data, len, JSON_REJECT_DUPLICATES | flags, &e);
	if (!*out)
		return damf_tok_fail(l, -EINVAL, "not valid JSON, line %d: %s", e.line, e.text);
	if (!json_is_object(*out)) {
		json_decref(*out);
		*out = NULL;
		return damf_tok_fail(l, -EINVAL, "not a JSON object");
	}
	return 0;
}

int damf_tok_read_json(struct damf_tok_load *l, size_t flags, json_t **out)
{
	size_t len;
	char *data;
	int ret = damf_tok_read_file(l, &data, &len);

	*out = NULL;
	if (ret)
		return ret;
	ret = damf_tok_parse_json(l, data, len, flags, out);
	free(data);
	return ret;
}

int damf_tok_get_object(struct damf_tok_load *l, json_t *in, const char *key, json_t **out)
{
	*out = json_object_get(in, key);
	if (json_is_object(*out))
		return 0;
	return damf_tok_fail(l, -EINVAL, "'%s' is not an object", key);
}

int damf_tok_get_string(struct damf_tok_load *l, json_t *in, const char *key, const char **out)
{
	*out = json_string_value(json_object_get(in, key));
	if (*out)
		return 0;
	return damf_tok_fail(l, -EINVAL, "'%s' is not a string", key);
}

int damf_tok_get_bool(struct damf_tok_load *l, json_t *in, const char *key, int missing, int *out)
{
	json_t *v = json_object_get(in, key);

	if (missing >= 0 && (!v || json_is_null(v)))
		*out = missing;
	else if (json_is_boolean(v))
		*out = json_is_true(v);
	else
		return damf_tok_fail(l, -EINVAL, "'%s' is neither true nor false", key);
	return 0;
}

int damf_tok_get_int(struct damf_tok_load *l, json_t *in, const char *key,
		     int64_t min, int64_t max, int64_t *out)
{
	json_t *v = json_object_get(in, key);

	*out = json_integer_value(v);
	if (json_is_integer(v) && *out >= min && *out <= max)
		return 0;
	return damf_tok_fail(l, -EINVAL, "'%s' is not an integer from %lld to %lld", key,
			     (long long)min, (long long)max);
}
