// SPDX-License-Identifier: MIT
/* The engine without the device: lists on a flat address space. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

struct damf_direct {
	struct damf_space space;	/* first: the work's space is this */
	const struct damf_direct_ops *ops;
	void *opaque;
	struct damf_core_config cfg;
	struct damf_arena arena;
	struct damf_counters totals;
	struct damf_work work;
	atomic_uint stop;
};

static int direct_map(struct damf_space *s, uint64_t va, uint64_t len, bool write,
		      struct damf_piece *piece, struct damf_fail *fail)
{
	struct damf_direct *d = (struct damf_direct *)s;
	void *host = d->ops->translate(d->opaque, va, len, write);

	if (!host) {
		fail->status = DAMF_ST_PAGE_FAULT;
		fail->access = write ? DAMF_ACCESS_WRITE : DAMF_ACCESS_READ;
		fail->addr = va;
		return -1;
	}
	*piece = (struct damf_piece) { .host = host, .len = len };
	return 0;
}

struct damf_direct *damf_direct_new(const struct damf_core_config *cfg,
				    const struct damf_direct_ops *ops, void *opaque,
				    char *err, size_t errlen)
{
	struct damf_direct *d;

	if (damf_config_check(cfg, err, errlen))
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d) {
		snprintf(err, errlen, "no memory for the engine");
		return NULL;
	}
	d->space.map = direct_map;
	d->ops = ops;
	d->opaque = opaque;
	d->cfg = *cfg;
	d->work.space = &d->space;
	d->work.stop = &d->stop;
	if (damf_config_work(&d->cfg, &d->work, &d->arena, err, errlen)) {
		free(d);
		return NULL;
	}
	return d;
}

void damf_direct_free(struct damf_direct *d)
{
	if (!d)
		return;
	damf_arena_trim(&d->arena, 0);
	free(d);
}

void damf_direct_stop(struct damf_direct *d)
{
	atomic_store(&d->stop, 1);
}

/* One job; its cycles are added to the result. */
static int run_job(struct damf_direct *d, uint64_t list, uint32_t index, uint64_t counters,
		   struct damf_list_result *result, struct damf_fail *fail)
{
	struct damf_counters done;

	if (damf_work_prepare(&d->work, list, index, counters, &d->totals, fail))
		return -1;
	damf_work_run(&d->work);
	if (d->work.rc || atomic_load(&d->stop))
		return damf_fail_set(fail, DAMF_ST_ABORTED, 0);
	damf_counters_job(&d->work, 0, &done);
	if (damf_work_commit(&d->work, &done, fail))
		return -1;
	damf_counters_add(&d->totals, &done);
	result->cycles += done.cycles;
	return 0;
}

void damf_direct_run(struct damf_direct *d, uint64_t list, uint32_t count, uint32_t first,
		     uint64_t counters, struct damf_list_result *result)
{
	struct damf_fail fail = { 0 };

	memset(result, 0, sizeof(*result));
	atomic_store(&d->stop, 0);
	result->index = DAMF_INDEX_NONE;
	if (!damf_list_check(list, count, first, counters, &fail)) {
		result->index = first;
		while (result->index < count &&
		       !run_job(d, list, result->index, counters, result, &fail))
			result->index++;
	}
	result->status = fail.status;
	result->field = fail.field;
	result->access = fail.access;
	result->fault_addr = fail.addr;
	damf_arena_trim(&d->arena, DAMF_IDLE_WORK);
}
