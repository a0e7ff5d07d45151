// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../backend.h"
#include "engine.h"
#include "error.h"

#define DEFAULT_FLIGHT 2

/* Every tensor begins on a line of 64 bytes. */
static uint64_t take(uint64_t *size, uint64_t bytes)
{
	uint64_t at = *size;

	*size += (bytes + 63) / 64 * 64;
	return at;
}

static void lay_out(struct damf_engine *e)
{
	struct damf_slot_layout *at = &e->at;
	const struct damf_config *c = &e->c.model->config;
	uint64_t t = e->c.max_tokens, b = e->c.max_seqs;
	uint64_t widest = e->width > c->width ? e->width : c->width;
	unsigned int i;

	at->ids = take(&at->io_size, t * sizeof(int32_t));
	at->types = take(&at->io_size, t * sizeof(int32_t));
	at->offsets = take(&at->io_size, (b + 1) * sizeof(int32_t));
	at->out = take(&at->io_size, b * e->width * sizeof(float));
	at->counters = take(&at->io_size, e->jobs * sizeof(struct damf_counters));
	for (i = 0; i < 3; i++)
		at->hidden[i] = take(&at->work_size, t * c->width * sizeof(float));
	for (i = 0; i < 2; i++)
		at->pooled[i] = take(&at->work_size, b * widest * sizeof(float));
	at->list_size = (uint64_t)e->jobs * sizeof(struct damf_job);
}

/* ---- Limits of the device --------------------------------------------------------- */

static int beyond(const struct damf_engine *e, const char *what, uint64_t have, uint64_t limit,
		  const char *remedy, struct damf_error *err)
{
	return damf_error_set(err, -EOPNOTSUPP, "%s: %s %llu, but this device takes %llu: %s",
			      e->info.backend, what, (unsigned long long)have,
			      (unsigned long long)limit, remedy);
}

static int cannot(const struct damf_engine *e, const char *what, const char *kind,
		  struct damf_error *err)
{
	return damf_error_set(err, -EOPNOTSUPP, "%s: this device does not do %s %s: use another backend",
			      e->info.backend, what, kind);
}

/* Modes of heads and types of weights. */
static int check_kinds(struct damf_engine *e, struct damf_error *err)
{
	const struct damf_model *m = e->c.model;
	uint64_t lacking = damf_model_heads(m).modes & ~e->info.modes;

	if (lacking)
		return cannot(e, damf_mode_name((unsigned int)__builtin_ctzll(lacking)),
			      "attention", err);
	if (!(e->info.types >> damf_type_of(m->dtype) & 1))
		return cannot(e, damf_dtype_name(m->dtype), "weights", err);
	return 0;
}

static int check_limits(struct damf_engine *e, struct damf_error *err)
{
	static const char other[] = "use another backend or a smaller model";
	const struct damf_model *m = e->c.model;
	const struct damf_config *c = &m->config;
	uint32_t widest = c->inner > c->width ? c->inner : c->width, i;

	for (i = 0; i < c->layers; i++)
		if (widest < m->layers[i].npq)
			widest = m->layers[i].npq;
	if (e->jobs > e->info.max_jobs)
		return beyond(e, "a list of jobs of", e->jobs, e->info.max_jobs, other, err);
	if (widest > e->info.max_width)
		return beyond(e, "a width of", widest, e->info.max_width, other, err);
	if (c->heads > e->info.max_heads)
		return beyond(e, "attention heads:", c->heads, e->info.max_heads, other, err);
	if (m->word.rows * m->word.stride > e->info.max_tensor)
		return beyond(e, "a word table of", m->word.rows * m->word.stride,
			      e->info.max_tensor, other, err);
	if (e->c.max_tokens > e->info.max_rows)
		return beyond(e, "tokens of a batch:", e->c.max_tokens, e->info.max_rows,
			      "use a smaller maximum length or batch", err);
	if (e->c.max_seqs > e->info.max_seqs)
		return beyond(e, "texts of a batch:", e->c.max_seqs, e->info.max_seqs,
			      "use a smaller batch", err);
	return check_kinds(e, err);
}

/* ---- Memory ------------------------------------------------------------------------ */

/* In local memory if it has room. */
static int create_local(struct damf_engine *e, uint64_t size, unsigned int flags,
			struct damf_buffer **buf, struct damf_error *err)
{
	int r = -ENOMEM;

	if (e->info.local_size)
		r = damf_buffer_create(e->dev, size, flags | DAMF_BUFFER_LOCAL, buf, err);
	if (r == -ENOMEM || r == -ENOSPC)
		r = damf_buffer_create(e->dev, size, flags, buf, err);
	return r;
}

/* Where the engine computes in this process it takes them from where they are. */
static int upload(struct damf_engine *e, const struct damf_block *block, struct damf_buffer **buf,
		  struct damf_error *err)
{
	int r = damf_buffer_import(e->dev, block->base, block->size, buf, err);

	if (r != -EOPNOTSUPP)
		return r;
	r = create_local(e, block->size, DAMF_BUFFER_READONLY, buf, err);
	if (r)
		return r;
	memcpy(damf_buffer_map(*buf), block->base, block->size);
	return damf_buffer_to_device(*buf, 0, block->size, err);
}

static int upload_all(struct damf_engine *e, struct damf_error *err)
{
	const struct damf_block *blocks = e->c.model->blocks;
	int i, r = 0;

	for (i = 0; i < DAMF_PLACES && !r; i++)
		if (blocks[i].base)
			r = upload(e, &blocks[i], &e->weights[i], err);
	return r;
}

/* What both sides touch is in system memory: it stays there when the device goes. */
static int create_slot(struct damf_engine *e, struct damf_flight *slot, struct damf_error *err)
{
	int r = damf_buffer_create(e->dev, e->at.io_size, 0, &slot->io, err);

	if (!r)
		r = damf_buffer_create(e->dev, DAMF_PLANS * e->at.list_size, DAMF_BUFFER_READONLY,
				       &slot->lists, err);
	return r ? r : create_local(e, e->at.work_size, 0, &slot->work, err);
}

/* On the CPU each thread may have a batch, and the next one waits for it. */
static uint32_t default_slots(const struct damf_engine *e)
{
	unsigned int slots = 2 * damf_device_threads(e->dev);

	return slots < DEFAULT_FLIGHT ? DEFAULT_FLIGHT :
	       slots > DAMF_MAX_FLIGHT ? DAMF_MAX_FLIGHT : slots;
}

static int set_up(struct damf_engine *e, struct damf_error *err)
{
	uint32_t i;
	int r;

	e->info.size = sizeof(e->info);
	r = damf_device_get_info(e->dev, &e->info, err);
	if (!r)
		r = check_limits(e, err);
	if (!r)
		r = upload_all(e, err);
	if (!e->c.slots)
		e->c.slots = default_slots(e);
	if (!r)
		r = damf_queue_create(e->dev, DAMF_PRIORITY_NORMAL, e->c.slots, &e->queue, err);
	if (!r)
		damf_queue_independent(e->queue);	/* each has a slot's memory */
	e->slots = calloc(e->c.slots, sizeof(*e->slots));
	if (!r && !e->slots)
		r = damf_error_set(err, -ENOMEM, "no memory for %u batches", e->c.slots);
	for (i = 0; i < e->c.slots && !r; i++)
		r = create_slot(e, &e->slots[i], err);
	return r;
}

int damf_engine_open(const struct damf_engine_config *c, const char *name,
		     struct damf_engine **out, struct damf_error *err)
{
	struct damf_engine *e = calloc(1, sizeof(*e));
	int r;

	*out = NULL;
	if (!e)
		return damf_error_set(err, -ENOMEM, "no memory for a session");
	e->c = *c;
	e->width = c->task == DAMF_TASK_CLASSIFY ? c->model->classifier.w.cols :
						   c->model->config.width;
	e->jobs = damf_plan_jobs(e);
	lay_out(e);
	r = damf_device_open(name, &c->device, &e->dev, err);
	if (!r)
		r = set_up(e, err);
	if (r) {
		damf_engine_close(e);
		return r;
	}
	*out = e;
	return 0;
}

void damf_engine_close(struct damf_engine *e)
{
	uint32_t i;

	if (!e)
		return;
	damf_queue_free(e->queue);
	for (i = 0; e->slots && i < e->c.slots; i++) {
		damf_buffer_free(e->slots[i].io);
		damf_buffer_free(e->slots[i].lists);
		damf_buffer_free(e->slots[i].work);
	}
	free(e->slots);
	for (i = 0; i < DAMF_PLACES; i++)
		damf_buffer_free(e->weights[i]);
	damf_device_close(e->dev);
	free(e);
}

bool damf_engine_gave_up(const struct damf_engine *e, int error)
{
	if (e && !strcmp(e->info.backend, "cpu"))
		return false;
	return error == -ENODEV || error == -EIO || error == -ETIMEDOUT || error == -ECANCELED;
}

/* ---- Batches ------------------------------------------------------------------------ */

bool damf_engine_full(const struct damf_engine *e)
{
	return e->used == e->c.slots;
}

static int fill(const struct damf_engine *e, struct damf_flight *slot,
		const struct damf_engine_batch *b, struct damf_error *err)
{
	char *io = damf_buffer_map(slot->io);

	memcpy(io + e->at.ids, b->ids, b->tokens * sizeof(int32_t));
	memcpy(io + e->at.types, b->types, b->tokens * sizeof(int32_t));
	memcpy(io + e->at.offsets, b->offsets, (b->seqs + 1) * sizeof(int32_t));
	/* ids, types and offsets lie first */
	return damf_buffer_to_device(slot->io, 0, e->at.out, err);
}

int damf_engine_submit(struct damf_engine *e, const struct damf_engine_batch *b,
		       struct damf_error *err)
{
	struct damf_flight *slot = &e->slots[(e->first + e->used) % e->c.slots];
	struct damf_list list = {
		.size = sizeof(list), .count = e->jobs, .flags = DAMF_LIST_REPLAYABLE,
		.counters = damf_buffer_va(slot->io) + e->at.counters,
	};
	uint64_t seqno;
	int r = fill(e, slot, b, err);

	if (!r)
		r = damf_plan_get(e, slot, b->tokens, b->seqs, &list.list, err);
	if (!r)
		r = damf_queue_submit(e->queue, &list, &seqno, err);
	if (!r)
		e->used++;
	return r;
}

int damf_engine_wait(struct damf_engine *e, int64_t timeout_ns, struct damf_engine_result *result,
		     struct damf_error *err)
{
	struct damf_completion done = { .size = sizeof(done) };
	struct damf_flight *slot = &e->slots[e->first];
	uint64_t begin;
	int r;

	if (!e->used)		/* a queue that is full of nothing of ours */
		return damf_error_set(err, -ENOENT, "%s: no batch is in flight", e->info.backend);
	r = damf_queue_wait(e->queue, timeout_ns, &done, err);
	if (r)
		return r;
	e->first = (e->first + 1) % e->c.slots;
	e->used--;
	if (done.error)		/* -ETIME is ours: nothing is done yet */
		return damf_error_set(err, done.error == -ETIME ? -ETIMEDOUT : done.error,
				      "%s: %s", e->info.backend, done.text);
	r = damf_buffer_from_device(slot->io, e->at.out, e->at.io_size - e->at.out, err);
	if (r)
		return r;
	result->out = (const float *)((char *)damf_buffer_map(slot->io) + e->at.out);
	result->counters = (const struct damf_counters *)((char *)damf_buffer_map(slot->io) +
							  e->at.counters);
	/* time that lists share counts once: they began in this order */
	begin = done.start_ns > e->counted_ns ? done.start_ns : e->counted_ns;
	result->engine_ns = done.end_ns > begin ? done.end_ns - begin : 0;
	e->counted_ns = begin + result->engine_ns;
	return 0;
}
