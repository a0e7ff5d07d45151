// SPDX-License-Identifier: MIT
/* A table of heads outside of a job, checked by the rules of jobs. */
#include <stdio.h>
#include <stdlib.h>

#include "work.h"

/* The table is all that there is, from address 0 on. */
struct host_table {
	struct damf_space space;	/* first: the work's space is this */
	const char *bytes;
};

static int host_map(struct damf_space *s, uint64_t va, uint64_t len, bool write,
		    struct damf_piece *piece, struct damf_fail *fail)
{
	const struct host_table *table = (const struct host_table *)s;

	(void)write;
	(void)fail;
	/* nobody writes to a table */
	*piece = (struct damf_piece) { .host = (char *)table->bytes + va, .len = len };
	return 0;
}

static void set_weight(struct damf_work *w, unsigned int slot, uint32_t cols)
{
	w->t[slot].used = cols != 0;
	w->t[slot].cols = cols;
}

unsigned int damf_core_check_heads(const struct damf_head *heads, uint32_t n, uint32_t nqk,
				   uint32_t nv, uint32_t npq, char *field, size_t len)
{
	struct host_table table = { .space = { .map = host_map }, .bytes = (const char *)heads };
	struct damf_arena arena = { .limit = UINT64_MAX };
	struct damf_work *w = calloc(1, sizeof(*w));
	struct damf_fail fail = { 0 };

	if (!w || !n || n > DAMF_MAX_HEADS) {
		free(w);
		snprintf(field, len, "heads");
		return w ? DAMF_ST_BAD_LIMIT : DAMF_ST_NO_RESOURCES;
	}
	w->space = &table.space;
	w->arena = &arena;
	w->opcode = DAMF_OP_ATTENTION;
	w->t[DAMF_T_HEADS] = (struct damf_tens) {
		.used = true, .rows = n, .cols = sizeof(*heads), .stride = sizeof(*heads),
		.row_bytes = sizeof(*heads), .span = (uint64_t)n * sizeof(*heads),
	};
	set_weight(w, DAMF_T_WQ, nqk);
	set_weight(w, DAMF_T_WK, nqk);
	set_weight(w, DAMF_T_WV, nv);
	set_weight(w, DAMF_T_WPQ, npq);
	if (damf_check_heads(w, &fail))
		damf_job_field_name(DAMF_OP_ATTENTION, fail.field, field, len);
	damf_arena_trim(&arena, 0);
	free(w);
	return fail.status;
}
