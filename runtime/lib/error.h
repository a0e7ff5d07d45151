/* SPDX-License-Identifier: MIT */
#ifndef DAMF_ERROR_H
#define DAMF_ERROR_H

#include "damf.h"

/*
 * Fills *err, if there is one, with a negative errno and one line without
 * newline that names the thing and the remedy, and returns that errno, so
 * that a caller can say: return damf_error_set(err, -EINVAL, "...").
 */
int damf_error_set(struct damf_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* DAMF_ERROR_H */
