/* SPDX-License-Identifier: MIT */
/*
 * A model on one device: its weights there, and batches in flight. All a
 * session needs of a device, so that it can be given up for another one.
 */
#ifndef DAMF_ENGINE_H
#define DAMF_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "damf.h"
#include "damf_hw.h"
#include "../model/model.h"

/* What an engine is made for. */
struct damf_engine_config {
	struct damf_model *model;	/* lives longer */
	struct damf_device_options device;
	enum damf_task task;
	uint32_t max_tokens, max_seqs;	/* of a batch */
	uint32_t slots;			/* batches in flight, 0: as many as suit the device */
};

#define DAMF_MAX_FLIGHT	64	/* batches */
#define DAMF_PLANS 8	/* kept a slot; a list of jobs takes 50 KiB */

/* A list of jobs, recorded for a shape. */
struct damf_plan {
	uint32_t tokens, seqs;		/* tokens 0: none */
	uint64_t used;			/* when last, in lists */
};

/* Memory of one batch in flight. */
struct damf_flight {
	struct damf_buffer *io, *work, *lists;
	struct damf_plan plans[DAMF_PLANS];
};

/* Offsets in the buffers of a slot. */
struct damf_slot_layout {
	uint64_t ids, types, offsets, out, counters, io_size;
	uint64_t hidden[3], pooled[2], work_size;
	uint64_t list_size;
};

struct damf_engine {
	struct damf_engine_config c;
	struct damf_device_info info;
	struct damf_device *dev;
	struct damf_queue *queue;
	struct damf_buffer *weights[DAMF_PLACES];	/* NULL: nothing lies there */
	struct damf_flight *slots;
	struct damf_slot_layout at;
	uint32_t width;			/* of a result */
	uint32_t jobs;			/* of a list */
	uint32_t first, used;		/* slots in flight: a ring */
	uint64_t counted_ns;		/* engine_ns covers the time up to here */
	uint64_t lists, plans, plan_hits;
};

/* name: as for damf_device_open(). */
int damf_engine_open(const struct damf_engine_config *c, const char *name,
		     struct damf_engine **engine, struct damf_error *err);
void damf_engine_close(struct damf_engine *e);

/* Whether an error says that the device can't be relied on any more. */
bool damf_engine_gave_up(const struct damf_engine *e, int error);

struct damf_engine_batch {
	const int32_t *ids, *types;	/* [tokens] */
	const int32_t *offsets;		/* [seqs + 1] */
	uint32_t tokens, seqs;
};

bool damf_engine_full(const struct damf_engine *e);
int damf_engine_submit(struct damf_engine *e, const struct damf_engine_batch *b,
		       struct damf_error *err);

struct damf_engine_result {
	const float *out;			/* [seqs][width]; until the next submission */
	const struct damf_counters *counters;	/* [jobs] */
	uint64_t engine_ns;			/* of the list, less what earlier ones share */
};

/*
 * The next batch in order. -ETIME: none yet, -ENOENT: none in flight; any
 * other error is that of the batch, which is out of flight then.
 */
int damf_engine_wait(struct damf_engine *e, int64_t timeout_ns, struct damf_engine_result *r,
		     struct damf_error *err);

/* plan.c */
/* Jobs that a list has. */
uint32_t damf_plan_jobs(const struct damf_engine *e);
/* Where the list for a shape is in the slot, recorded if need be. */
int damf_plan_get(struct damf_engine *e, struct damf_flight *slot, uint32_t tokens, uint32_t seqs,
		  uint64_t *list, struct damf_error *err);

#endif /* DAMF_ENGINE_H */
