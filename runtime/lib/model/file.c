// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "file.h"

char *damf_path(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

bool damf_exists(const char *path)
{
	struct stat st;

	return !lstat(path, &st) || (errno != ENOENT && errno != ENOTDIR);
}

int damf_open_regular(const char *path, int *fd, uint64_t *size, struct damf_error *err)
{
	struct stat st;
	int r;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return damf_error_set(err, -errno, "%s: cannot open it: %s", path, strerror(errno));
	if (fstat(*fd, &st))
		r = damf_error_set(err, -errno, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		r = damf_error_set(err, S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
				   "%s: it is not a regular file", path);
	else
		r = 0;
	if (r) {
		close(*fd);
		*fd = -1;
		return r;
	}
	*size = (uint64_t)st.st_size;
	return 0;
}

int damf_read_at(int fd, const char *path, void *dst, size_t len, uint64_t offset,
		 struct damf_error *err)
{
	char *p = dst;
	ssize_t n;

	while (len) {
		n = pread(fd, p, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return damf_error_set(err, -errno, "%s: cannot read it: %s", path,
					      strerror(errno));
		if (!n)
			return damf_error_set(err, -EIO,
					      "%s: it became shorter while it was read: try again when nobody writes to it",
					      path);
		p += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int damf_read_json(const char *path, json_t **root, struct damf_error *err)
{
	json_error_t json;
	uint64_t size;
	char *text;
	int fd, r;

	*root = NULL;
	r = damf_open_regular(path, &fd, &size, err);
	if (r)
		return r;
	if (size > DAMF_MAX_JSON) {
		close(fd);
		return damf_error_set(err, -EINVAL, "%s: %" PRIu64 " bytes, more than the %u allowed",
				      path, size, DAMF_MAX_JSON);
	}
	text = malloc(size + 1);
	r = text ? damf_read_at(fd, path, text, size, 0, err) :
		   damf_error_set(err, -ENOMEM, "%s: no memory to read it", path);
	close(fd);
	if (!r) {
		*root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &json);
		if (!*root)
			r = damf_error_set(err, -EINVAL, "%s:%d: it is not valid JSON: %s", path,
					   json.line, json.text);
	}
	free(text);
	return r;
}

/* ---- Writing ------------------------------------------------------------- */

static int open_failed(const char *path, struct damf_error *err)
{
	return damf_error_set(err, -errno,
			      "%s: cannot write it: %s; name a place that can be written to", path,
			      strerror(errno));
}

/* A new file beside the one to be, its mode as the umask has it. */
static int open_temp(struct damf_out *out, struct damf_error *err)
{
	unsigned int i;
	int fd = -1, r;

	for (i = 0; fd < 0 && i < 1000; i++) {
		free(out->temp);
		if (asprintf(&out->temp, "%s.%d-%u.tmp", out->path, (int)getpid(), i) < 0) {
			out->temp = NULL;
			return damf_error_set(err, -ENOMEM, "%s: no memory", out->path);
		}
		fd = open(out->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	out->f = fd < 0 ? NULL : fdopen(fd, "w");
	if (out->f)
		return 0;
	r = open_failed(out->path, err);
	if (fd < 0) {		/* it isn't ours to remove */
		free(out->temp);
		out->temp = NULL;
	} else {
		close(fd);
	}
	return r;
}

int damf_out_open(struct damf_out *out, const char *path, struct damf_error *err)
{
	struct stat st;
	int r = 0;

	memset(out, 0, sizeof(*out));
	/* A link is followed, so that it stays one. */
	out->path = realpath(path, NULL);
	if (!out->path)
		out->path = strdup(path);
	if (!out->path)
		return damf_error_set(err, -ENOMEM, "%s: no memory", path);
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		out->f = fopen(path, "we");
		if (!out->f)
			r = open_failed(path, err);
	} else {
		r = open_temp(out, err);
	}
	if (r)
		damf_out_abort(out);
	return r;
}

static int sync_dir(const char *path)
{
	char *dir = strdup(path), *slash;
	int fd, r = -1;

	if (!dir)
		return -1;
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		r = fsync(fd);
		close(fd);
	}
	free(dir);
	return r;
}

int damf_out_commit(struct damf_out *out, struct damf_error *err)
{
	bool bad = fflush(out->f) || ferror(out->f) || (out->temp && fsync(fileno(out->f)));
	int r = 0, code = errno ? errno : EIO;

	if (fclose(out->f) && !bad) {
		bad = true;
		code = errno;
	}
	out->f = NULL;
	if (bad) {
		r = damf_error_set(err, -code, "%s: cannot write it: %s", out->path,
				   strerror(code));
	} else if (out->temp) {
		if (rename(out->temp, out->path)) {
			r = open_failed(out->path, err);
		} else {
			/* The name may come back old after a power cut, never half. */
			sync_dir(out->path);
			free(out->temp);
			out->temp = NULL;
		}
	}
	damf_out_abort(out);
	return r;
}

void damf_out_abort(struct damf_out *out)
{
	if (out->f)
		fclose(out->f);
	if (out->temp) {
		unlink(out->temp);
		free(out->temp);
	}
	free(out->path);
	memset(out, 0, sizeof(*out));
}
