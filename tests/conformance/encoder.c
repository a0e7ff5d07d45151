// SPDX-License-Identifier: MIT
/*
 * A whole encoder as one list: two layers, pooled and normalised, checked
 * after every job, each on what the job before it gave. And what has no
 * arithmetic: nop, copy, fill, counters.
 */
#include <math.h>
#include <string.h>

#include "conf.h"

enum { LAYERS = 2, WORDS = 40, POSITIONS = 70 };

struct dense {
	struct conf_tensor w, b;
};

struct encoder_layer {
	struct conf_tensor heads, gamma1, beta1, gamma2, beta2;
	struct dense q, k, v, o, pq, in, out;
	struct conf_tensor attended, normed, fed, y;
};

struct encoder {
	uint32_t width, nheads, inner;
	bool fold;
	const struct conf_batch *batch;
	struct ref_head ref_heads[12];
	struct conf_tensor ids, offsets, word, position, type, gamma, beta, x;
	struct encoder_layer layer[LAYERS];
	struct conf_tensor pooled, y;
};

static struct dense dense(struct conf *c, uint32_t in, uint32_t out)
{
	return (struct dense){ conf_weight(c, in, out, CONF_RANDOM),
			       conf_in(c, 1, out, CONF_RANDOM) };
}

static void make_heads(struct conf *c, struct encoder *e, struct encoder_layer *l)
{
	uint32_t d = e->width / e->nheads;
	float scale = 1.0f / sqrtf((float)d);

	l->heads = conf_bytes(c, e->nheads, sizeof(struct damf_head), sizeof(struct damf_head));
	for (uint32_t h = 0; h < e->nheads; h++) {
		struct damf_head *head = (struct damf_head *)l->heads.map + h;

		*head = (struct damf_head){ .mode = DAMF_MODE_MHSA, .d_qk = (uint16_t)d,
					    .d_v = (uint16_t)d, .qk_col = h * d, .v_col = h * d,
					    .scale = conf_bits(scale) };
		if (e->fold)
			*head = (struct damf_head){ .mode = DAMF_MODE_FOLD, .d_v = (uint16_t)d,
						    .v_col = h * d, .p_col = h,
						    .q_col = e->nheads + h, .rank = 1, .order = 1,
						    .coef = { conf_bits(1.0f), conf_bits(1.0f) } };
		e->ref_heads[h] = ref_head_of(head);
	}
}

static void make_layer(struct conf *c, struct encoder *e, struct encoder_layer *l)
{
	uint32_t d = e->width, t = e->batch->tokens;

	make_heads(c, e, l);
	l->q = dense(c, d, d);
	l->k = dense(c, d, d);
	l->v = dense(c, d, d);
	l->o = dense(c, d, d);
	l->pq = dense(c, d, 2 * e->nheads);
	l->in = dense(c, d, e->inner);
	l->out = dense(c, e->inner, d);
	l->gamma1 = conf_in(c, 1, d, CONF_ONES);
	l->beta1 = conf_in(c, 1, d, CONF_RANDOM);
	l->gamma2 = conf_in(c, 1, d, CONF_ONES);
	l->beta2 = conf_in(c, 1, d, CONF_RANDOM);
	l->attended = conf_out(c, t, d);
	l->normed = conf_out(c, t, d);
	l->fed = conf_out(c, t, d);
	l->y = conf_out(c, t, d);
}

static void make_encoder(struct conf *c, struct encoder *e)
{
	int32_t id[128];

	for (uint32_t t = 0; t < e->batch->tokens; t++)
		id[t] = (int32_t)conf_below(c, WORDS);
	e->ids = conf_i32(c, e->batch->tokens, id);
	e->offsets = conf_offsets(c, e->batch);
	e->word = conf_table(c, WORDS, e->width);
	e->position = conf_table(c, POSITIONS, e->width);
	e->type = conf_table(c, 1, e->width);
	e->gamma = conf_in(c, 1, e->width, CONF_ONES);
	e->beta = conf_in(c, 1, e->width, CONF_ZERO);
	e->x = conf_out(c, e->batch->tokens, e->width);
	for (int i = 0; i < LAYERS; i++)
		make_layer(c, e, &e->layer[i]);
	e->pooled = conf_out(c, e->batch->seqs, e->width);
	e->y = conf_out(c, e->batch->seqs, e->width);
}

static void dense_slots(struct damf_job *job, unsigned int w, const struct dense *d)
{
	conf_slot(job, w, &d->w);
	conf_slot(job, w + 1, &d->b);
}

static void norm_job(struct conf *c, const struct conf_tensor *x, const struct conf_tensor *r,
		     const struct conf_tensor *gamma, const struct conf_tensor *beta,
		     const struct conf_tensor *y)
{
	struct damf_job *job = conf_job(c, DAMF_OP_ADD_NORM);

	job->param[DAMF_P_EPS] = conf_bits(1e-12f);
	conf_slot(job, DAMF_T_X, x);
	conf_slot(job, DAMF_T_R, r);
	conf_slot(job, DAMF_T_GAMMA, gamma);
	conf_slot(job, DAMF_T_BETA, beta);
	conf_slot(job, DAMF_T_Y, y);
}

static void layer_jobs(struct conf *c, const struct encoder *e, const struct encoder_layer *l,
		       const struct conf_tensor *x)
{
	struct damf_job *job = conf_job(c, DAMF_OP_ATTENTION);

	conf_slot(job, DAMF_T_X, x);
	conf_slot(job, DAMF_T_Y, &l->attended);
	conf_slot(job, DAMF_T_OFFSETS, &e->offsets);
	conf_slot(job, DAMF_T_HEADS, &l->heads);
	if (!e->fold) {
		dense_slots(job, DAMF_T_WQ, &l->q);
		dense_slots(job, DAMF_T_WK, &l->k);
	} else {
		dense_slots(job, DAMF_T_WPQ, &l->pq);
	}
	dense_slots(job, DAMF_T_WV, &l->v);
	dense_slots(job, DAMF_T_WO, &l->o);
	norm_job(c, &l->attended, x, &l->gamma1, &l->beta1, &l->normed);
	job = conf_job(c, DAMF_OP_FFN);
	conf_slot(job, DAMF_T_X, &l->normed);
	conf_slot(job, DAMF_T_Y, &l->fed);
	dense_slots(job, DAMF_T_W, &l->in);
	dense_slots(job, DAMF_T_W2, &l->out);
	norm_job(c, &l->fed, &l->normed, &l->gamma2, &l->beta2, &l->y);
}

static void encoder_jobs(struct conf *c, const struct encoder *e)
{
	struct damf_job *job = conf_job(c, DAMF_OP_EMBED);

	job->param[DAMF_P_EPS] = conf_bits(1e-12f);
	conf_slot(job, DAMF_T_X, &e->ids);
	conf_slot(job, DAMF_T_Y, &e->x);
	conf_slot(job, DAMF_T_OFFSETS, &e->offsets);
	conf_slot(job, DAMF_T_GAMMA, &e->gamma);
	conf_slot(job, DAMF_T_BETA, &e->beta);
	conf_slot(job, DAMF_T_W, &e->word);
	conf_slot(job, DAMF_T_B, &e->position);
	conf_slot(job, DAMF_T_W2, &e->type);
	for (int i = 0; i < LAYERS; i++)
		layer_jobs(c, e, &e->layer[i], i ? &e->layer[i - 1].y : &e->x);
	job = conf_job(c, DAMF_OP_POOL);
	job->param[DAMF_P_POOL] = DAMF_POOL_MEAN;
	conf_slot(job, DAMF_T_X, &e->layer[LAYERS - 1].y);
	conf_slot(job, DAMF_T_OFFSETS, &e->offsets);
	conf_slot(job, DAMF_T_Y, &e->pooled);
	job = conf_job(c, DAMF_OP_NORMALIZE);
	job->param[DAMF_P_EPS] = conf_bits(1e-12f);
	conf_slot(job, DAMF_T_X, &e->pooled);
	conf_slot(job, DAMF_T_Y, &e->y);
}

/* Each job of a layer, on the input that the backend gave it. */
static void check_layer(struct conf *c, const struct encoder *e, const struct encoder_layer *l,
			const struct conf_tensor *input)
{
	struct ref_mat wq = conf_ref(&l->q.w), bq = conf_ref(&l->q.b), wk = conf_ref(&l->k.w);
	struct ref_mat bk = conf_ref(&l->k.b), wv = conf_ref(&l->v.w), bv = conf_ref(&l->v.b);
	struct ref_mat wo = conf_ref(&l->o.w), bo = conf_ref(&l->o.b), wpq = conf_ref(&l->pq.w);
	struct ref_mat bpq = conf_ref(&l->pq.b), wi = conf_ref(&l->in.w), bi = conf_ref(&l->in.b);
	struct ref_mat wf = conf_ref(&l->out.w), bf = conf_ref(&l->out.b);
	struct ref_mat g1 = conf_ref(&l->gamma1), b1 = conf_ref(&l->beta1);
	struct ref_mat g2 = conf_ref(&l->gamma2), b2 = conf_ref(&l->beta2);
	struct ref_mat x = conf_ref(input), attended = conf_ref(&l->attended);
	struct ref_mat normed = conf_ref(&l->normed), fed = conf_ref(&l->fed);
	struct ref_mat a = ref_new(x.rows, x.cols), n = ref_new(x.rows, x.cols);
	struct ref_mat f = ref_new(x.rows, x.cols), y = ref_new(x.rows, x.cols);
	struct ref_mat *all[] = { &wq, &bq, &wk, &bk, &wv, &bv, &wo, &bo, &wpq, &bpq, &wi, &bi,
				  &wf, &bf, &g1, &b1, &g2, &b2, &x, &attended, &normed, &fed };
	struct ref_attention layer = {
		.batch = conf_ref_batch(e->batch), .heads = e->ref_heads, .nheads = e->nheads,
		.wq = &wq, .bq = &bq, .wk = &wk, .bk = &bk, .wv = &wv, .bv = &bv, .wo = &wo,
		.bo = &bo, .wpq = &wpq, .bpq = &bpq, .guard = CONF_FOLD_GUARD,
	};

	ref_attention(&layer, &x, &a);
	ref_add_norm(&attended, &x, &g1, &b1, 1e-12f, &n);
	ref_ffn(&normed, &wi, &bi, &wf, &bf, &f);
	ref_add_norm(&fed, &normed, &g2, &b2, 1e-12f, &y);
	conf_check(c, &l->attended, &a);
	conf_check(c, &l->normed, &n);
	conf_check(c, &l->fed, &f);
	conf_check(c, &l->y, &y);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		ref_free(all[i]);
}

static struct ref_mat ref_embedded(const struct encoder *e)
{
	struct ref_mat w = conf_ref(&e->word), p = conf_ref(&e->position), t = conf_ref(&e->type);
	struct ref_mat g = conf_ref(&e->gamma), b = conf_ref(&e->beta);
	struct ref_mat y = ref_new(e->x.rows, e->x.cols);
	struct ref_embed a = {
		.ids = e->ids.map, .batch = conf_ref_batch(e->batch), .word = &w, .position = &p,
		.type = &t, .gamma = &g, .beta = &b, .eps = 1e-12f,
	};

	ref_embed(&a, &y);
	ref_free(&w);
	ref_free(&p);
	ref_free(&t);
	ref_free(&g);
	ref_free(&b);
	return y;
}

static void check_by_reference(struct conf *c, const struct encoder *e)
{
	struct ref_batch batch = conf_ref_batch(e->batch);
	struct ref_mat embedded = ref_embedded(e), last = conf_ref(&e->layer[LAYERS - 1].y);
	struct ref_mat given = conf_ref(&e->pooled), y = ref_new(e->y.rows, e->y.cols);
	struct ref_mat pooled = ref_new(e->pooled.rows, e->pooled.cols);

	conf_check(c, &e->x, &embedded);
	for (int i = 0; i < LAYERS; i++)
		check_layer(c, e, &e->layer[i], i ? &e->layer[i - 1].y : &e->x);
	ref_pool_mean(&last, &batch, &pooled);
	ref_normalize(&given, 1e-12f, &y);
	conf_check(c, &e->pooled, &pooled);
	conf_check(c, &e->y, &y);
	ref_free(&last);
	ref_free(&given);
}

static void check_alone(struct conf *c, const struct encoder *e)
{
	conf_check(c, &e->x, NULL);
	for (int i = 0; i < LAYERS; i++) {
		conf_check(c, &e->layer[i].attended, NULL);
		conf_check(c, &e->layer[i].normed, NULL);
		conf_check(c, &e->layer[i].fed, NULL);
		conf_check(c, &e->layer[i].y, NULL);
	}
	conf_check(c, &e->pooled, NULL);
	conf_check(c, &e->y, NULL);
}

/* p: batch, width, heads, fold, local */
static void run_encoder(struct conf *c, const struct conf_case *k)
{
	struct encoder e = {
		.batch = &conf_batches[k->p[0]], .width = k->p[1], .nheads = k->p[2],
		.inner = 4 * k->p[1], .fold = k->p[3],
	};

	conf_begin(c, k->name, k->p[4]);
	make_encoder(c, &e);
	encoder_jobs(c, &e);
	conf_run(c);
	if (c->reference)
		check_by_reference(c, &e);
	else
		check_alone(c, &e);
}

static void run_plain(struct conf *c, const struct conf_case *k)
{
	struct conf_tensor from, to, filled;
	struct damf_job *job;

	conf_begin(c, k->name, k->p[0]);
	from = conf_bytes(c, 9, 77, 80);
	to = conf_bytes(c, 9, 77, 96);
	filled = conf_out(c, 5, 33);
	for (unsigned int i = 0; i < 9 * 80; i++)
		((unsigned char *)from.map)[i] = (unsigned char)conf_random(c);
	conf_job(c, DAMF_OP_NOP);
	job = conf_job(c, DAMF_OP_COPY);
	conf_slot(job, DAMF_T_X, &from);
	conf_slot(job, DAMF_T_Y, &to);
	job = conf_job(c, DAMF_OP_FILL);
	filled.type = DAMF_TYPE_I32;
	job->param[DAMF_P_PATTERN] = 0xdeadbeef;
	conf_slot(job, DAMF_T_Y, &filled);
	conf_run(c);
	for (unsigned int i = 0; i < 9; i++) {
		const char *row = (char *)to.map + i * 96;

		assert_memory_equal(row, (char *)from.map + i * 80, 77);
		for (unsigned int j = 77; j < 96; j++)
			assert_int_equal(row[j], 0);
	}
	for (unsigned int i = 0; i < 5 * 33; i++)
		assert_int_equal(conf_bits(*conf_at(&filled, i / 33, i % 33)), 0xdeadbeef);
	conf_check(c, &filled, NULL);
	conf_record(c, "copy", to.map, 9 * 96);
}

/* A context's totals grow by what a list did. */
static void run_counters(struct conf *c, const struct conf_case *k)
{
	struct conf_tensor x = conf_in(c, 5, 24, CONF_RANDOM), y = conf_out(c, 5, 40);
	struct conf_tensor w = conf_weight(c, 24, 40, CONF_RANDOM);
	struct conf_tensor before = conf_bytes(c, 1, 128, 128), after = conf_bytes(c, 1, 128, 128);
	const struct damf_counters *a = before.map, *b = after.map;
	struct damf_job *job;

	(void)k;
	job = conf_job(c, DAMF_OP_COUNTERS);
	conf_slot(job, DAMF_T_Y, &before);
	job = conf_job(c, DAMF_OP_LINEAR);
	conf_slot(job, DAMF_T_X, &x);
	conf_slot(job, DAMF_T_W, &w);
	conf_slot(job, DAMF_T_Y, &y);
	job = conf_job(c, DAMF_OP_COUNTERS);
	conf_slot(job, DAMF_T_Y, &after);
	conf_run(c);
	assert_true(b->static_macs - a->static_macs == 5 * 24 * 40);
	assert_true(b->write_activations - a->write_activations >= 4 * 5 * 40);
	assert_true(b->read_weights - a->read_weights >= 4 * 24 * 40);
	assert_true(b->jobs > a->jobs);
	assert_true(b->cycles > a->cycles);
}

void conf_add_encoder(struct conf_suite *s)
{
	static const unsigned int shapes[][4] = { /* batch, width, heads, local */
		{ 2, 48, 2, 0 }, { 4, 120, 5, 0 }, { 5, 48, 4, 1 }, { 1, 384, 12, 0 },
	};

	for (unsigned int i = 0; i < 2; i++) {
		struct conf_case *k = conf_add(s, run_plain, "nop copy fill%s", i ? " local" : "");

		k->p[0] = i;
	}
	conf_add(s, run_counters, "counters");
	for (unsigned int i = 0; i < 8; i++) {
		const unsigned int *p = shapes[i / 2];
		struct conf_case *k = conf_add(s, run_encoder, "encoder %s batch %u width %u"
					       " heads %u%s", i & 1 ? "fold" : "mhsa", p[0], p[1],
					       p[2], p[3] ? " local" : "");

		memcpy(k->p, (unsigned int[]){ p[0], p[1], p[2], i & 1, p[3] },
		       5 * sizeof(unsigned int));
	}
}
