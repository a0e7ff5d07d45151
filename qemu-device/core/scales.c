// SPDX-License-Identifier: MIT
/*
 * Factors of I8 tensors, finite and above 0: read once into a private copy,
 * and checked there. Of a table that is longer than what a job takes of it,
 * those of the rows taken, in the order in which the rows are copied.
 */
#include <math.h>
#include <string.h>

#include "work.h"

static int read_scales(struct damf_work *w, unsigned int slot, const int32_t *ids, uint64_t n,
		       struct damf_fail *fail)
{
	const struct damf_tens *t = &w->t[slot];
	uint64_t i;

	w->scales[slot] = damf_arena_array(w->arena, n, sizeof(float));
	if (!w->scales[slot])
		return damf_fail_set(fail, DAMF_ST_NO_RESOURCES, 0);
	if (!ids)
		return damf_space_read(w->space, t->scales, w->scales[slot], n * sizeof(float), fail);
	for (i = 0; i < n; i++)
		if (damf_space_read(w->space, t->scales + (uint64_t)ids[i] * sizeof(float),
				    &w->scales[slot][i], sizeof(float), fail))
			return -1;
	return 0;
}

/* Entry @i of the copy is that of row or column @at. */
static int check_scale(const struct damf_work *w, unsigned int slot, uint64_t i, uint64_t at,
		       struct damf_fail *fail)
{
	float scale = w->scales[slot][i];

	if (isfinite(scale) && scale > 0)
		return 0;
	fail->addr = w->t[slot].scales + at * sizeof(float);
	return damf_fail_set(fail, DAMF_ST_BAD_DATA, DAMF_FIELD_TENSOR(slot, scales));
}

/* The rows that @ids name, or the first n. */
static int table_scales(struct damf_work *w, unsigned int slot, const int32_t *ids, uint64_t n,
			struct damf_fail *fail)
{
	const struct damf_tens *t = &w->t[slot];
	bool all = t->rows <= n;
	uint64_t i;

	if (t->type != DAMF_TYPE_I8)
		return 0;
	if (read_scales(w, slot, all ? NULL : ids, all ? t->rows : n, fail))
		return -1;
	for (i = 0; i < n; i++) {
		uint64_t row = ids ? (uint64_t)ids[i] : i;

		if (check_scale(w, slot, all ? row : i, row, fail))
			return -1;
	}
	return 0;
}

static int weight_scales(struct damf_work *w, unsigned int slot, struct damf_fail *fail)
{
	uint64_t i, n = w->t[slot].cols;

	if (read_scales(w, slot, NULL, n, fail))
		return -1;
	for (i = 0; i < n; i++)
		if (check_scale(w, slot, i, i, fail))
			return -1;
	return 0;
}

int damf_check_scales(struct damf_work *w, struct damf_fail *fail)
{
	uint64_t tokens = w->t[DAMF_T_X].rows;
	unsigned int slot;

	memset(w->scales, 0, sizeof(w->scales));
	if (w->opcode == DAMF_OP_EMBED)
		return table_scales(w, DAMF_T_W, w->ids, tokens, fail) ||
		       table_scales(w, DAMF_T_B, NULL, w->longest, fail) ||
		       table_scales(w, DAMF_T_W2, w->types, w->types ? tokens : 1, fail) ? -1 : 0;
	for (slot = 0; slot < DAMF_JOB_TENSORS; slot++)
		if (w->t[slot].type == DAMF_TYPE_I8 && weight_scales(w, slot, fail))
			return -1;
	return 0;
}
