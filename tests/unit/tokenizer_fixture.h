/* SPDX-License-Identifier: MIT */
/* What the tokenizer's tests share: files in a directory of their own. */
#ifndef TOKENIZER_FIXTURE_H
#define TOKENIZER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "damf_tokenizer.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A directory to write in, made by the first call and removed by fixture_remove(). */
const char *fixture_dir(void);
void fixture_remove(void);

/* Path of a file there; valid until the next call. */
const char *fixture_path(const char *name);

/* Write a file there, or remove it if @data is NULL. */
void fixture_write(const char *name, const void *data, size_t len);
void fixture_write_text(const char *name, const char *text);

/* Open with an assertion that it works. */
struct damf_tokenizer *fixture_open(const char *dir);
struct damf_tokenizer *fixture_from_vocab(const char *path, const struct damf_tokenizer_opts *o);

#endif /* TOKENIZER_FIXTURE_H */
