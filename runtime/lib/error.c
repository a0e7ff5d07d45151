// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "error.h"

const char *damf_version(void)
{
	return DAMF_VERSION_STRING;
}

int damf_error_set(struct damf_error *err, int code, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;
	char *p;

	if (!err)
		return code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	/* Names out of files can hold anything; the caller was promised one line. */
	for (p = err->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	errno = saved;
	return code;
}
