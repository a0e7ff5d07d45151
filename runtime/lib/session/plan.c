// SPDX-License-Identifier: MIT
/*
 * Plans: the list of layer jobs of a batch. It depends on the shape alone, so
 * it is recorded once a shape and slot.
 */
#include <endian.h>
#include <string.h>

#include "engine.h"

struct recorder {
	const struct damf_engine *e;
	const struct damf_flight *slot;
	struct damf_job *next;
	uint32_t tokens, seqs;
};

uint32_t damf_plan_jobs(const struct damf_engine *e)
{
	const struct damf_model *m = e->c.model;
	uint32_t body = 1 + 4 * m->config.layers;

	if (e->c.task == DAMF_TASK_CLASSIFY)
		return body + 4;
	return body + (m->pooling.normalize ? 2 : 1);
}

/* ---- Jobs and tensors -------------------------------------------------------- */

static struct damf_job *job(struct recorder *r, unsigned int opcode)
{
	struct damf_job *j = r->next++;

	memset(j, 0, sizeof(*j));
	j->opcode = htole16((uint16_t)opcode);
	j->version = htole16(DAMF_JOB_VERSION);
	j->size = htole32(sizeof(*j));
	return j;
}

static void set_float(struct damf_job *j, unsigned int param, float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	j->param[param] = htole32(bits);
}

static void set(struct damf_job *j, unsigned int slot, uint64_t addr, uint32_t rows,
		uint32_t cols, unsigned int type)
{
	j->tensor[slot] = (struct damf_tensor){
		.addr = htole64(addr), .stride = htole64((uint64_t)cols * 4),
		.rows = htole32(rows), .cols = htole32(cols),
		.type = htole16((uint16_t)type), .layout = htole16(DAMF_LAYOUT_ROWS),
	};
}

static void set_weight(const struct recorder *r, struct damf_job *j, unsigned int slot,
		       const struct damf_weight *w)
{
	uint64_t va = damf_buffer_va(r->e->weights[w->place]);

	j->tensor[slot] = (struct damf_tensor){
		.addr = htole64(va + w->at), .scales = htole64(w->scales ? va + w->scales : 0),
		.stride = htole64(w->stride), .rows = htole32(w->rows), .cols = htole32(w->cols),
		.type = htole16(w->type), .layout = htole16(w->layout),
	};
}

static void set_dense(const struct recorder *r, struct damf_job *j, unsigned int slot,
		      const struct damf_dense *d)
{
	set_weight(r, j, slot, &d->w);
	set_weight(r, j, slot + 1, &d->b);
}

/* What activations become: of a job with matrices of int8. */
static void set_xtype(const struct recorder *r, struct damf_job *j)
{
	const struct damf_model *m = r->e->c.model;
	unsigned int type = m->xtype == DAMF_XTYPE_INT16 ? DAMF_TYPE_I16 : DAMF_TYPE_I8;

	if (m->dtype == DAMF_DTYPE_INT8)
		j->param[DAMF_P_XTYPE] = htole32(type);
}

static void set_io(const struct recorder *r, struct damf_job *j, unsigned int slot, uint64_t at,
		   uint32_t rows)
{
	set(j, slot, damf_buffer_va(r->slot->io) + at, rows, 1, DAMF_TYPE_I32);
}

static void set_hidden(const struct recorder *r, struct damf_job *j, unsigned int slot,
		       unsigned int which)
{
	set(j, slot, damf_buffer_va(r->slot->work) + r->e->at.hidden[which], r->tokens,
	    r->e->c.model->config.width, DAMF_TYPE_F32);
}

static void set_pooled(const struct recorder *r, struct damf_job *j, unsigned int slot,
		       unsigned int which, uint32_t cols)
{
	set(j, slot, damf_buffer_va(r->slot->work) + r->e->at.pooled[which], r->seqs, cols,
	    DAMF_TYPE_F32);
}

static void set_out(const struct recorder *r, struct damf_job *j)
{
	set(j, DAMF_T_Y, damf_buffer_va(r->slot->io) + r->e->at.out, r->seqs, r->e->width,
	    DAMF_TYPE_F32);
}

/* ---- The encoder --------------------------------------------------------------- */

static void record_embed(struct recorder *r)
{
	const struct damf_model *m = r->e->c.model;
	struct damf_job *j = job(r, DAMF_OP_EMBED);

	set_float(j, DAMF_P_EPS, m->config.eps);
	set_io(r, j, DAMF_T_X, r->e->at.ids, r->tokens);
	set_io(r, j, DAMF_T_R, r->e->at.types, r->tokens);
	set_io(r, j, DAMF_T_OFFSETS, r->e->at.offsets, r->seqs + 1);
	set_weight(r, j, DAMF_T_GAMMA, &m->gamma);
	set_weight(r, j, DAMF_T_BETA, &m->beta);
	set_weight(r, j, DAMF_T_W, &m->word);
	set_weight(r, j, DAMF_T_B, &m->position);
	set_weight(r, j, DAMF_T_W2, &m->type);
	set_hidden(r, j, DAMF_T_Y, 0);
}

static void record_add_norm(struct recorder *r, unsigned int x, unsigned int residual,
			    unsigned int y, const struct damf_weight *gamma,
			    const struct damf_weight *beta)
{
	struct damf_job *j = job(r, DAMF_OP_ADD_NORM);

	set_float(j, DAMF_P_EPS, r->e->c.model->config.eps);
	set_hidden(r, j, DAMF_T_X, x);
	set_hidden(r, j, DAMF_T_R, residual);
	set_hidden(r, j, DAMF_T_Y, y);
	set_weight(r, j, DAMF_T_GAMMA, gamma);
	set_weight(r, j, DAMF_T_BETA, beta);
}

/* From hidden 0 to hidden 0; no output overlaps an input, so each job may be restarted. */
static void record_layer(struct recorder *r, const struct damf_layer_weights *l)
{
	struct damf_job *j = job(r, DAMF_OP_ATTENTION);

	set_hidden(r, j, DAMF_T_X, 0);
	set_hidden(r, j, DAMF_T_Y, 1);
	set_io(r, j, DAMF_T_OFFSETS, r->e->at.offsets, r->seqs + 1);
	set_weight(r, j, DAMF_T_HEADS, &l->heads);
	set_xtype(r, j);
	if (l->pq.w.rows)
		set_dense(r, j, DAMF_T_WPQ, &l->pq);
	if (l->q.w.rows) {
		set_dense(r, j, DAMF_T_WQ, &l->q);
		set_dense(r, j, DAMF_T_WK, &l->k);
	}
	set_dense(r, j, DAMF_T_WV, &l->v);
	set_dense(r, j, DAMF_T_WO, &l->o);
	record_add_norm(r, 1, 0, 2, &l->gamma1, &l->beta1);
	j = job(r, DAMF_OP_FFN);
	set_xtype(r, j);
	set_hidden(r, j, DAMF_T_X, 2);
	set_hidden(r, j, DAMF_T_Y, 1);
	set_dense(r, j, DAMF_T_W, &l->in);
	set_dense(r, j, DAMF_T_W2, &l->out);
	record_add_norm(r, 1, 2, 0, &l->gamma2, &l->beta2);
}

/* ---- What follows it ------------------------------------------------------------ */

static struct damf_job *record_pool(struct recorder *r, unsigned int kind)
{
	struct damf_job *j = job(r, DAMF_OP_POOL);

	j->param[DAMF_P_POOL] = htole32(kind);
	set_hidden(r, j, DAMF_T_X, 0);
	set_io(r, j, DAMF_T_OFFSETS, r->e->at.offsets, r->seqs + 1);
	return j;
}

static void record_embedding(struct recorder *r)
{
	const struct damf_model *m = r->e->c.model;
	struct damf_job *j = record_pool(r, m->pooling.cls ? DAMF_POOL_CLS : DAMF_POOL_MEAN);

	if (!m->pooling.normalize) {
		set_out(r, j);
		return;
	}
	set_pooled(r, j, DAMF_T_Y, 0, m->config.width);
	j = job(r, DAMF_OP_NORMALIZE);
	set_float(j, DAMF_P_EPS, 1e-12f);	/* as PyTorch's normalize */
	set_pooled(r, j, DAMF_T_X, 0, m->config.width);
	set_out(r, j);
}

static void record_linear(struct recorder *r, unsigned int x, unsigned int y,
			  const struct damf_dense *d, unsigned int act)
{
	struct damf_job *j = job(r, DAMF_OP_LINEAR);

	j->param[DAMF_P_ACT] = htole32(act);
	set_xtype(r, j);
	set_pooled(r, j, DAMF_T_X, x, d->w.rows);
	set_dense(r, j, DAMF_T_W, d);
	set_pooled(r, j, DAMF_T_Y, y, d->w.cols);
}

static void record_classifier(struct recorder *r)
{
	const struct damf_model *m = r->e->c.model;
	struct damf_job *j = record_pool(r, DAMF_POOL_CLS);

	set_pooled(r, j, DAMF_T_Y, 0, m->config.width);
	record_linear(r, 0, 1, &m->pooler, DAMF_ACT_TANH);
	record_linear(r, 1, 0, &m->classifier, DAMF_ACT_NONE);
	j = job(r, DAMF_OP_SOFTMAX);
	set_pooled(r, j, DAMF_T_X, 0, m->classifier.w.cols);
	set_out(r, j);
}

/* ---- The cache ------------------------------------------------------------------- */

static unsigned int choose(const struct damf_flight *slot, uint32_t tokens, uint32_t seqs, bool *hit)
{
	unsigned int i, oldest = 0;

	for (i = 0; i < DAMF_PLANS; i++) {
		*hit = slot->plans[i].tokens == tokens && slot->plans[i].seqs == seqs;
		if (*hit)
			return i;
		if (slot->plans[i].used < slot->plans[oldest].used)
			oldest = i;
	}
	return oldest;
}

static void record(struct recorder *r)
{
	uint32_t i;

	record_embed(r);
	for (i = 0; i < r->e->c.model->config.layers; i++)
		record_layer(r, &r->e->c.model->layers[i]);
	if (r->e->c.task == DAMF_TASK_CLASSIFY)
		record_classifier(r);
	else
		record_embedding(r);
}

int damf_plan_get(struct damf_engine *e, struct damf_flight *slot, uint32_t tokens, uint32_t seqs,
		  uint64_t *list, struct damf_error *err)
{
	struct recorder r = { .e = e, .slot = slot, .tokens = tokens, .seqs = seqs };
	struct damf_plan *plan;
	unsigned int which;
	uint64_t at;
	bool hit;

	which = choose(slot, tokens, seqs, &hit);
	plan = &slot->plans[which];
	at = which * e->at.list_size;
	plan->used = ++e->lists;
	*list = damf_buffer_va(slot->lists) + at;
	if (hit) {
		e->plan_hits++;
		return 0;
	}
	r.next = (struct damf_job *)((char *)damf_buffer_map(slot->lists) + at);
	record(&r);
	plan->tokens = tokens;
	plan->seqs = seqs;
	e->plans++;
	return damf_buffer_to_device(slot->lists, at, e->at.list_size, err);
}
