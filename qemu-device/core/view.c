// SPDX-License-Identifier: MIT
/*
 * Tensors as kernels see them. What lies together in memory of this process
 * (local memory, a buffer of the CPU backend) is used in place; the rest is
 * copied: inputs before the job, outputs after it. A copy is packed, so that
 * bytes between the rows of an output are never written.
 */
#include <string.h>

#include "work.h"

/* A tensor as runs of bytes: @n runs of @len bytes, @step apart. */
struct runs {
	uint64_t n, len, step;
};

static struct runs runs_of(const struct damf_work *w, unsigned int slot)
{
	const struct damf_tens *t = &w->t[slot];

	if (!t->stride || t->stride == t->row_bytes)
		return (struct runs) { 1, t->span, 0 };
	return (struct runs) { t->rows, t->row_bytes, t->stride };
}

static int no_memory(struct damf_fail *fail)
{
	return damf_fail_set(fail, DAMF_ST_NO_RESOURCES, 0);
}

int damf_tensor_read(struct damf_work *w, unsigned int slot, void *buf, struct damf_fail *fail)
{
	struct runs r = runs_of(w, slot);
	uint64_t i;

	for (i = 0; i < r.n; i++)
		if (damf_space_read(w->space, w->t[slot].addr + i * r.step,
				    (char *)buf + i * r.len, r.len, fail))
			return -1;
	return 0;
}

static int output_pieces(struct damf_work *w, unsigned int slot, struct damf_fail *fail)
{
	struct runs r = runs_of(w, slot);
	uint64_t i;

	for (i = 0; i < r.n; i++)
		if (damf_space_pieces(w->space, w->arena, w->t[slot].addr + i * r.step, r.len,
				      &w->view[slot].out, fail))
			return -1;
	return 0;
}

/* In place, if the bytes lie together and kernels can take the address. */
static bool open_direct(struct damf_work *w, unsigned int slot, bool write)
{
	const struct damf_tens *t = &w->t[slot];
	void *host = damf_space_direct(w->space, t->addr, t->span, write);

	if (!host || (uintptr_t)host % 4)
		return false;
	w->view[slot].ptr = host;
	w->view[slot].stride = t->stride;
	return true;
}

int damf_view_open(struct damf_work *w, unsigned int slot, bool write, struct damf_fail *fail)
{
	const struct damf_tens *t = &w->t[slot];
	struct damf_view *v = &w->view[slot];
	struct runs r = runs_of(w, slot);

	memset(v, 0, sizeof(*v));
	if (!t->used || open_direct(w, slot, write))
		return 0;
	v->ptr = damf_arena_array(w->arena, r.n, r.len);
	if (!v->ptr)
		return no_memory(fail);
	v->stride = t->row_bytes;
	v->private_out = write;
	return write ? output_pieces(w, slot, fail) : damf_tensor_read(w, slot, v->ptr, fail);
}

/*
 * A table may be of hundreds of megabytes where a job needs a few rows of it:
 * if it can't be used in place, those rows alone are copied, in the order of
 * @ids, which then count from 0. Without @ids it's the first n rows.
 */
int damf_view_open_rows(struct damf_work *w, unsigned int slot, int32_t *ids, uint64_t n,
			struct damf_fail *fail)
{
	const struct damf_tens *t = &w->t[slot];
	struct damf_view *v = &w->view[slot];
	uint64_t i;

	if (t->rows <= n)
		return damf_view_open(w, slot, false, fail);
	memset(v, 0, sizeof(*v));
	/* factors of I8 are those of a copy's rows */
	if (t->type != DAMF_TYPE_I8 && open_direct(w, slot, false))
		return 0;
	v->ptr = damf_arena_array(w->arena, n, t->row_bytes);
	if (!v->ptr)
		return no_memory(fail);
	v->stride = t->row_bytes;
	for (i = 0; i < n; i++) {
		uint64_t row = ids ? (uint64_t)ids[i] : i;

		if (damf_space_read(w->space, t->addr + row * t->stride,
				    (char *)v->ptr + i * t->row_bytes, t->row_bytes, fail))
			return -1;
		if (ids)
			ids[i] = (int32_t)i;
	}
	return 0;
}

int damf_view_commit(struct damf_work *w, unsigned int slot, struct damf_fail *fail)
{
	const struct damf_view *v = &w->view[slot];

	if (!w->t[slot].used || !v->private_out)
		return 0;
	return damf_space_write(w->space, &v->out, v->ptr, fail);
}
