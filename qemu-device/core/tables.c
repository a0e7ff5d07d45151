// SPDX-License-Identifier: MIT
/*
 * Tables that kernels trust: offsets of sequences, token ids, type ids. Each
 * is read once into a private copy, and the copy is checked, since the client
 * can write to the original all the while.
 */
#include <endian.h>

#include "work.h"

static int bad_entry(const struct damf_work *w, unsigned int slot, uint64_t i,
		     struct damf_fail *fail)
{
	fail->addr = w->t[slot].addr + i * w->t[slot].stride;
	return damf_fail_set(fail, DAMF_ST_BAD_DATA, DAMF_FIELD_TENSOR(slot, addr));
}

static int32_t *read_table(struct damf_work *w, unsigned int slot, struct damf_fail *fail)
{
	int32_t *copy = damf_arena_array(w->arena, w->t[slot].rows, sizeof(*copy));

	if (!copy) {
		damf_fail_set(fail, DAMF_ST_NO_RESOURCES, 0);
		return NULL;
	}
	return damf_tensor_read(w, slot, copy, fail) ? NULL : copy;
}

/* From 0 to T, never falling, no sequence too long. */
static int check_offsets(struct damf_work *w, uint32_t tokens, struct damf_fail *fail)
{
	uint32_t i, len, seqs = w->t[DAMF_T_OFFSETS].rows - 1;

	w->offsets = read_table(w, DAMF_T_OFFSETS, fail);
	if (!w->offsets)
		return -1;
	w->longest = 0;
	if (w->offsets[0])
		return bad_entry(w, DAMF_T_OFFSETS, 0, fail);
	for (i = 1; i <= seqs; i++) {
		if (w->offsets[i] < w->offsets[i - 1] || (uint32_t)w->offsets[i] > tokens)
			return bad_entry(w, DAMF_T_OFFSETS, i, fail);
		len = (uint32_t)(w->offsets[i] - w->offsets[i - 1]);
		if (len > DAMF_MAX_LENGTH)
			return bad_entry(w, DAMF_T_OFFSETS, i, fail);
		if (len > w->longest)
			w->longest = len;
	}
	if ((uint32_t)w->offsets[seqs] != tokens)
		return bad_entry(w, DAMF_T_OFFSETS, seqs, fail);
	return 0;
}

/* Each an index of a table of @rows rows. */
static int32_t *read_ids(struct damf_work *w, unsigned int slot, uint32_t rows,
			 struct damf_fail *fail)
{
	int32_t *ids = read_table(w, slot, fail);
	uint32_t i;

	for (i = 0; ids && i < w->t[slot].rows; i++) {
		if (ids[i] < 0 || (uint32_t)ids[i] >= rows) {
			bad_entry(w, slot, i, fail);
			return NULL;
		}
	}
	return ids;
}

/* The first sequence that the position table has too few rows for. */
static int check_positions(struct damf_work *w, struct damf_fail *fail)
{
	uint32_t rows = w->t[DAMF_T_B].rows, i = 1;

	if (w->longest <= rows)
		return 0;
	while ((uint32_t)(w->offsets[i] - w->offsets[i - 1]) <= rows)
		i++;
	return bad_entry(w, DAMF_T_OFFSETS, i, fail);
}

static int check_embed(struct damf_work *w, struct damf_fail *fail)
{
	w->ids = read_ids(w, DAMF_T_X, w->t[DAMF_T_W].rows, fail);
	if (!w->ids)
		return -1;
	if (check_offsets(w, w->t[DAMF_T_X].rows, fail) || check_positions(w, fail))
		return -1;
	if (!w->t[DAMF_T_R].used)
		return 0;
	w->types = read_ids(w, DAMF_T_R, w->t[DAMF_T_W2].rows, fail);
	return w->types ? 0 : -1;
}

static int check_op(struct damf_work *w, struct damf_fail *fail)
{
	switch (w->opcode) {
	case DAMF_OP_EMBED:
		return check_embed(w, fail);
	case DAMF_OP_POOL:
		return check_offsets(w, w->t[DAMF_T_X].rows, fail);
	case DAMF_OP_ATTENTION:
		if (check_offsets(w, w->t[DAMF_T_X].rows, fail))
			return -1;
		return damf_check_heads(w, fail);
	default:
		return 0;
	}
}

int damf_check_tables(struct damf_work *w, struct damf_fail *fail)
{
	w->offsets = w->ids = w->types = NULL;
	if (check_op(w, fail))
		return -1;
	return damf_check_scales(w, fail);
}
