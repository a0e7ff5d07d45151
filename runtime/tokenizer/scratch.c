// SPDX-License-Identifier: MIT
/* Working memory of a thread. */
#include "tok_internal.h"

#include <errno.h>
#include <stdlib.h>

int damf_tok_reserve(void **array, size_t *max, size_t used, size_t need, size_t size)
{
	size_t want = used + need;
	void *p;

	if (want <= *max)
		return 0;
	want += want / 2 + 64;
	p = realloc(*array, want * size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*max = want;
	return 0;
}

struct damf_tok_scratch *damf_tok_scratch_new(void)
{
	struct damf_tok_scratch *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	/* An array that is never NULL: places in it can be computed before it holds anything. */
	if (damf_tok_reserve((void **)&s->ids, &s->ids_max, 0, 1, sizeof(*s->ids))) {
		damf_tok_scratch_free(s);
		return NULL;
	}
	return s;
}

void damf_tok_scratch_free(struct damf_tok_scratch *s)
{
	if (!s)
		return;
	free(s->norm);
	free(s->marks);
	free(s->pending);
	free(s->ids);
	free(s);
}
