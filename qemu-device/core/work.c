// SPDX-License-Identifier: MIT
/* A job from its address to its results; see work.h. */
#include <string.h>

#include "work.h"

/* The counters' bytes are written at commit: where to is settled before. */
static int open_counters(struct damf_work *w, uint64_t addr, struct damf_fail *fail)
{
	memset(&w->counters_out, 0, sizeof(w->counters_out));
	if (!addr)
		return 0;
	return damf_space_pieces(w->space, w->arena, addr, sizeof(struct damf_counters),
				 &w->counters_out, fail);
}

int damf_work_prepare(struct damf_work *w, uint64_t list, uint32_t index, uint64_t counters,
		      const struct damf_counters *totals, struct damf_fail *fail)
{
	uint64_t job = list + (uint64_t)index * sizeof(w->job);

	damf_arena_reset(w->arena);
	memset(fail, 0, sizeof(*fail));
	w->rc = 0;
	if (damf_space_read(w->space, job, &w->job, sizeof(w->job), fail) ||
	    damf_check_job(w, fail) || damf_check_tables(w, fail) ||
	    damf_engine_setup(w, fail))
		return -1;
	if (open_counters(w, counters ? counters + index * sizeof(*totals) : 0, fail))
		return -1;
	/* Nothing is written, not even in place, before every address is known. */
	if (w->opcode == DAMF_OP_COUNTERS)
		memcpy(w->view[DAMF_T_Y].ptr, totals, sizeof(*totals));
	return 0;
}

int damf_work_commit(struct damf_work *w, const struct damf_counters *done, struct damf_fail *fail)
{
	memset(fail, 0, sizeof(*fail));
	if (damf_view_commit(w, DAMF_T_Y, fail))
		return -1;
	return damf_space_write(w->space, &w->counters_out, done, fail);
}
