// SPDX-License-Identifier: MIT
/* An attention layer: its tensors, its job, and what the reference says of it. */
#include <string.h>

#include "conf.h"

void conf_layer_make(struct conf *c, struct conf_layer *l, const struct damf_head *heads)
{
	uint32_t d = l->width;

	l->x = conf_in(c, l->batch->tokens, d, l->data);
	l->offsets = conf_offsets(c, l->batch);
	l->heads = conf_bytes(c, l->nheads, sizeof(*heads), sizeof(*heads) + 32);
	for (uint32_t h = 0; h < l->nheads; h++) {
		memcpy((char *)l->heads.map + h * l->heads.stride, &heads[h], sizeof(*heads));
		l->ref[h] = ref_head_of(&heads[h]);
		l->mhsa |= heads[h].mode == DAMF_MODE_MHSA;
		l->pq |= heads[h].mode != DAMF_MODE_MHSA;
	}
	if (l->nqk) {
		l->wq = conf_weight(c, d, l->nqk, CONF_RANDOM);
		l->bq = conf_in(c, 1, l->nqk, CONF_RANDOM);
		l->wk = conf_weight(c, d, l->nqk, CONF_RANDOM);
		l->bk = conf_in(c, 1, l->nqk, CONF_RANDOM);
	}
	l->wv = conf_weight(c, d, l->nv, CONF_RANDOM);
	l->bv = conf_in(c, 1, l->nv, CONF_RANDOM);
	l->wo = conf_weight(c, l->nv, d, CONF_RANDOM);
	l->bo = conf_in(c, 1, d, CONF_RANDOM);
	if (l->npq) {
		l->wpq = conf_weight(c, d, l->npq, CONF_RANDOM);
		l->bpq = conf_in(c, 1, l->npq, CONF_RANDOM);
	}
	l->y = conf_out(c, l->batch->tokens, d);
}

void conf_layer_run(struct conf *c, const struct conf_layer *l)
{
	struct damf_job *job = conf_job(c, DAMF_OP_ATTENTION);

	conf_slot(job, DAMF_T_X, &l->x);
	conf_slot(job, DAMF_T_Y, &l->y);
	conf_slot(job, DAMF_T_OFFSETS, &l->offsets);
	conf_slot(job, DAMF_T_HEADS, &l->heads);
	if (l->mhsa) {
		conf_slot(job, DAMF_T_WQ, &l->wq);
		conf_slot(job, DAMF_T_BQ, &l->bq);
		conf_slot(job, DAMF_T_WK, &l->wk);
		conf_slot(job, DAMF_T_BK, &l->bk);
	}
	conf_slot(job, DAMF_T_WV, &l->wv);
	conf_slot(job, DAMF_T_BV, &l->bv);
	conf_slot(job, DAMF_T_WO, &l->wo);
	conf_slot(job, DAMF_T_BO, &l->bo);
	if (l->pq) {
		conf_slot(job, DAMF_T_WPQ, &l->wpq);
		conf_slot(job, DAMF_T_BPQ, &l->bpq);
	}
	conf_run(c);
}

/* Tensors that the layer hasn't are empty. */
static struct ref_mat take(const struct conf_tensor *t)
{
	return t->map ? conf_ref(t) : (struct ref_mat){ 0 };
}

/* The layer as the reference takes it. */
struct taken {
	struct ref_mat x, wq, bq, wk, bk, wv, bv, wo, bo, wpq, bpq;
	struct ref_attention a;
};

static void take_layer(const struct conf_layer *l, struct taken *t)
{
	*t = (struct taken){
		.x = take(&l->x), .wq = take(&l->wq), .bq = take(&l->bq), .wk = take(&l->wk),
		.bk = take(&l->bk), .wv = take(&l->wv), .bv = take(&l->bv), .wo = take(&l->wo),
		.bo = take(&l->bo), .wpq = take(&l->wpq), .bpq = take(&l->bpq),
	};
	t->a = (struct ref_attention){
		.batch = conf_ref_batch(l->batch), .heads = l->ref, .nheads = l->nheads,
		.guard = CONF_FOLD_GUARD,
		.wq = &t->wq, .bq = &t->bq, .wk = &t->wk, .bk = &t->bk, .wv = &t->wv,
		.bv = &t->bv, .wo = &t->wo, .bo = &t->bo, .wpq = &t->wpq, .bpq = &t->bpq,
	};
}

static void give_back(struct taken *t)
{
	struct ref_mat *all[] = { &t->x, &t->wq, &t->bq, &t->wk, &t->bk, &t->wv, &t->bv, &t->wo,
				  &t->bo, &t->wpq, &t->bpq };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ref_free(all[i]);
}

struct ref_mat conf_layer_want(const struct conf_layer *l)
{
	struct ref_mat y = ref_new(l->y.rows, l->y.cols);
	struct taken t;

	take_layer(l, &t);
	ref_attention(&t.a, &t.x, &y);
	give_back(&t);
	return y;
}

/* One counter of the job. */
static void check_count(struct conf *c, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		conf_fail("%s: counts %llu %s, the reference %llu", c->name,
			  (unsigned long long)got, what, (unsigned long long)want);
}

void conf_layer_counts(struct conf *c, const struct conf_layer *l)
{
	const struct damf_counters *got = conf_counters(c, 0);
	struct ref_counts want;
	struct taken t;

	take_layer(l, &t);
	want = ref_count_attention(&t.a, &t.x);
	give_back(&t);
	check_count(c, "static MACs", got->static_macs, want.static_macs);
	check_count(c, "int8 MACs", got->int8_macs, want.int8_macs);
	check_count(c, "dynamic MACs", got->dynamic_macs, want.dynamic_macs);
	check_count(c, "shifts and adds", got->shift_adds, want.shift_adds);
	check_count(c, "exponentials", got->exps, want.exps);
	check_count(c, "divisions", got->divs, want.divs);
}

void conf_layer_check(struct conf *c, const struct conf_layer *l)
{
	struct ref_mat want = { 0 };

	if (c->reference) {
		conf_layer_counts(c, l);
		want = conf_layer_want(l);
	}
	conf_check(c, &l->y, &want);
}
