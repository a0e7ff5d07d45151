// SPDX-License-Identifier: MIT
/* The files of a model beside its weights, copied from one directory to another. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "file.h"
#include "model.h"

static int copy_bytes(int fd, uint64_t size, const char *path, FILE *f, struct damf_error *err)
{
	char buf[65536];
	uint64_t done, n;
	int r;

	for (done = 0; done < size; done += n) {
		n = size - done < sizeof(buf) ? size - done : sizeof(buf);
		r = damf_read_at(fd, path, buf, n, done, err);
		if (r)
			return r;
		fwrite(buf, 1, n, f);
	}
	return 0;
}

int damf_copy_file(const char *from_dir, const char *to_dir, const char *name,
		   struct damf_error *err)
{
	char *from = damf_path(from_dir, name), *to = damf_path(to_dir, name);
	struct damf_out out;
	uint64_t size;
	int fd = -1, r = 0;

	if (!from || !to)
		r = damf_error_set(err, -ENOMEM, "%s: no memory", name);
	else if (!damf_exists(from))
		goto done;
	if (!r)
		r = damf_open_regular(from, &fd, &size, err);
	if (!r) {
		r = damf_out_open(&out, to, err);
		if (!r) {
			r = copy_bytes(fd, size, from, out.f, err);
			if (r)
				damf_out_abort(&out);
			else
				r = damf_out_commit(&out, err);
		}
		close(fd);
	}
done:
	free(from);
	free(to);
	return r;
}

int damf_copy_make_dir(const char *path, struct damf_error *err)
{
	struct stat st;

	if (!mkdir(path, 0777))
		return 0;
	if (errno == EEXIST && !stat(path, &st)) {
		if (S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	return damf_error_set(err, -errno,
			      "%s: cannot make the directory: %s; name a place that can be written to",
			      path, strerror(errno));
}

/* The configuration of the module of pooling lies in a directory of its own. */
static int copy_modules(const char *from, const char *to, struct damf_error *err)
{
	char *path = damf_path(from, "modules.json");
	json_t *root = NULL, *module;
	size_t i;
	int r = 0;

	if (path && damf_exists(path))
		r = damf_read_json(path, &root, err);
	json_array_foreach(root, i, module) {
		const char *sub = json_string_value(json_object_get(module, "path"));
		char *dir, *file;

		if (r || !sub || !*sub)
			continue;
		dir = damf_path(to, sub);
		file = damf_path(sub, "config.json");
		r = dir && file ? damf_copy_make_dir(dir, err) :
				  damf_error_set(err, -ENOMEM, "%s: no memory", sub);
		if (!r)
			r = damf_copy_file(from, to, file, err);
		free(dir);
		free(file);
	}
	json_decref(root);
	free(path);
	return r;
}

int damf_copy_others(const char *from, const char *to, struct damf_error *err)
{
	static const char *const names[] = {
		"vocab.txt", "tokenizer.json", "tokenizer_config.json",
		"special_tokens_map.json", "added_tokens.json", "modules.json",
		"sentence_bert_config.json", "config_sentence_transformers.json",
	};
	size_t i;
	int r = 0;

	for (i = 0; i < sizeof(names) / sizeof(names[0]) && !r; i++)
		r = damf_copy_file(from, to, names[i], err);
	return r ? r : copy_modules(from, to, err);
}

/* A model in any form: its configuration, or weights that we read. */
int damf_copy_target(const char *to, struct damf_error *err)
{
	static const char *const names[] = {
		"config.json", "model.safetensors", "model.safetensors.index.json",
	};
	char *path;
	size_t i;
	int r = 0;

	for (i = 0; i < sizeof(names) / sizeof(names[0]) && !r; i++) {
		path = damf_path(to, names[i]);
		if (!path)
			r = damf_error_set(err, -ENOMEM, "%s: no memory", to);
		else if (damf_exists(path))
			r = damf_error_set(err, -EEXIST,
					   "%s: there is a model already: name another directory, or remove it",
					   path);
		free(path);
	}
	return r;
}
