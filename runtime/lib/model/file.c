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

/* The directory of a path, allocated; NULL: out of memory. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static int open_failed(const char *path, struct damf_error *err)
{
	return damf_error_set(err, -errno,
			      "%s: cannot write it: %s; name a place that can be written to", path,
			      strerror(errno));
}

/*
 * Calls make() with names beside the one to be until one is free. temp is
 * the name if all went well, else NULL: it isn't ours to remove.
 */
static int find_name(struct damf_out *out, int (*make)(struct damf_out *out, mode_t mode),
		     mode_t mode, struct damf_error *err)
{
	unsigned int i;
	int r = -1;

	for (i = 0; r < 0 && i < 1000; i++) {
		free(out->temp);
		if (asprintf(&out->temp, "%s.%d-%u.tmp", out->path, (int)getpid(), i) < 0) {
			out->temp = NULL;
			return damf_error_set(err, -ENOMEM, "%s: no memory", out->path);
		}
		r = make(out, mode);
		if (r < 0 && errno != EEXIST)
			break;
	}
	if (r >= 0)
		return r;
	r = open_failed(out->path, err);
	free(out->temp);
	out->temp = NULL;
	return r;
}

static int make_file(struct damf_out *out, mode_t mode)
{
	return open(out->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
}

/* The way that needs no capability to give a file without a name one. */
static int make_link(struct damf_out *out, mode_t mode)
{
	char fd[64];

	(void)mode;
	snprintf(fd, sizeof(fd), "/proc/self/fd/%d", fileno(out->f));
	return linkat(AT_FDCWD, fd, AT_FDCWD, out->temp, AT_SYMLINK_FOLLOW);
}

/* Without a name where that can be, and given one later. */
static int open_unnamed(const char *path, mode_t mode)
{
	char *dir = parent_of(path);
	int fd = -1;

	if (dir && !access("/proc/self/fd", X_OK))
		fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
	free(dir);
	return fd;
}

/* old: the file that is to be replaced, or NULL. */
static int open_new(struct damf_out *out, const struct stat *old, struct damf_error *err)
{
	mode_t mode = old ? old->st_mode & 0777 : 0666;
	int fd = open_unnamed(out->path, mode), r;

	if (fd < 0)
		fd = find_name(out, make_file, mode, err);
	if (fd < 0)
		return fd;
	if (old)
		fchmod(fd, mode);	/* whatever the umask; a wish on some file systems */
	out->f = fdopen(fd, "w");
	if (out->f)
		return 0;
	r = open_failed(out->path, err);
	close(fd);
	return r;
}

int damf_out_open(struct damf_out *out, const char *path, struct damf_error *err)
{
	struct stat st;
	bool there;
	int r = 0;

	memset(out, 0, sizeof(*out));
	/* A link is followed, so that it stays one. */
	out->path = realpath(path, NULL);
	if (!out->path)
		out->path = strdup(path);
	if (!out->path)
		return damf_error_set(err, -ENOMEM, "%s: no memory", path);
	there = !stat(path, &st);
	out->at_once = there && !S_ISREG(st.st_mode);
	if (out->at_once) {
		out->f = fopen(path, "we");
		if (!out->f)
			r = open_failed(path, err);
	} else if (there && access(path, W_OK)) {
		r = open_failed(path, err);	/* replacing it is writing it */
	} else {
		r = open_new(out, there ? &st : NULL, err);
	}
	if (r)
		damf_out_abort(out);
	return r;
}

static void sync_dir(const char *path)
{
	char *dir = parent_of(path);
	int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(dir);
}

/* All of it on the disk; 0 or -errno. */
static int finish_writing(struct damf_out *out)
{
	bool before = ferror(out->f);

	errno = 0;
	if (!fflush(out->f) && !before && (out->at_once || !fsync(fileno(out->f))))
		return 0;
	/* Of a write that failed before, errno is gone: the next one has it again. */
	if (!errno && write(fileno(out->f), "", 1) == 1)
		errno = EIO;
	return -errno;
}

int damf_out_commit(struct damf_out *out, struct damf_error *err)
{
	int r = finish_writing(out);

	if (r)
		damf_error_set(err, r, "%s: cannot write it: %s", out->path, strerror(-r));
	else if (!out->at_once && !out->temp)
		r = find_name(out, make_link, 0, err);
	if (fclose(out->f) && !r)
		r = damf_error_set(err, -errno, "%s: cannot write it: %s", out->path,
				   strerror(errno));
	out->f = NULL;
	if (!r && out->temp) {
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
