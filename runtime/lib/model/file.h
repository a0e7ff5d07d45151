/* SPDX-License-Identifier: MIT */
/* Reading and writing files of a model, with errors that name the file. */
#ifndef DAMF_FILE_H
#define DAMF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "damf.h"

#define DAMF_MAX_JSON	(64u << 20)	/* bytes of a JSON file */

/* "dir/name", allocated; NULL: out of memory. */
char *damf_path(const char *dir, const char *name);

/* Whether there is something of this name, be it a link that leads nowhere
 * or a file that can't be reached: a file that is there is not passed over. */
bool damf_exists(const char *path);
/* Opens a regular file for reading. */
int damf_open_regular(const char *path, int *fd, uint64_t *size, struct damf_error *err);
/* Reads exactly len bytes; an error if the file is shorter. */
int damf_read_at(int fd, const char *path, void *dst, size_t len, uint64_t offset,
		 struct damf_error *err);
/* Reads a whole JSON file that must hold an object or a list; no duplicate keys. */
int damf_read_json(const char *path, json_t **root, struct damf_error *err);

/*
 * A file in the making. What is written appears under its name with
 * damf_out_commit() only; a device or pipe is written to at once. Until then
 * the file has no name where the file system can do that, so that a process
 * that is killed leaves nothing behind. One that replaces another has its
 * permissions.
 */
struct damf_out {
	FILE *f;
	char *path, *temp;	/* temp: its name for the time being, or NULL */
	bool at_once;
};

int damf_out_open(struct damf_out *out, const char *path, struct damf_error *err);
/* After the last write: makes it durable and visible. The struct is done with. */
int damf_out_commit(struct damf_out *out, struct damf_error *err);
/* Forgets it; harmless after a commit. */
void damf_out_abort(struct damf_out *out);

#endif /* DAMF_FILE_H */
