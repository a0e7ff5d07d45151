// SPDX-License-Identifier: MIT
/* Cases of every layer job but attention. */
#include <string.h>

#include "conf.h"

static const uint32_t widths[] = { 1, 24, 33, 100, 384, 768 };
#define NWIDTHS (sizeof(widths) / sizeof(widths[0]))

static struct ref_mat *optional(struct ref_mat *m)
{
	return m->v ? m : NULL;
}

static struct ref_mat ref_if(bool wanted, const struct conf_tensor *t)
{
	return wanted ? conf_ref(t) : (struct ref_mat){ 0 };
}

/* ---- linear: rows, in, out, act, bias | residual << 1, data ---- */

static void run_linear(struct conf *c, const struct conf_case *k)
{
	struct conf_tensor x = conf_in(c, k->p[0], k->p[1], (enum conf_data)k->p[5]);
	struct conf_tensor w = conf_weight(c, k->p[1], k->p[2], CONF_RANDOM);
	struct conf_tensor b = conf_in(c, 1, k->p[2], CONF_RANDOM);
	struct conf_tensor r = conf_in(c, k->p[0], k->p[2], (enum conf_data)k->p[5]);
	struct conf_tensor y = conf_out(c, k->p[0], k->p[2]);
	struct damf_job *job = conf_job(c, DAMF_OP_LINEAR);
	bool bias = k->p[4] & 1, residual = k->p[4] & 2;
	struct ref_mat want = { 0 };

	job->param[DAMF_P_ACT] = k->p[3];
	conf_slot(job, DAMF_T_X, &x);
	conf_slot(job, DAMF_T_W, &w);
	if (bias)
		conf_slot(job, DAMF_T_B, &b);
	if (residual)
		conf_slot(job, DAMF_T_R, &r);
	conf_slot(job, DAMF_T_Y, &y);
	conf_run(c);
	assert_true(conf_counters(c, 0)->static_macs == (uint64_t)k->p[0] * k->p[1] * k->p[2]);
	if (c->reference) {
		static const enum ref_act acts[] = { REF_ACT_NONE, REF_ACT_GELU, REF_ACT_TANH };
		struct ref_mat mx = conf_ref(&x), mw = conf_ref(&w);
		struct ref_mat mb = ref_if(bias, &b), mr = ref_if(residual, &r);

		want = ref_new(y.rows, y.cols);
		ref_linear(&mx, &mw, optional(&mb), acts[k->p[3]], optional(&mr), &want);
		ref_free(&mx);
		ref_free(&mw);
		ref_free(&mb);
		ref_free(&mr);
	}
	conf_check(c, &y, &want);
}

static void add_linear(struct conf_suite *s, const unsigned int *p)
{
	static const char *const acts[] = { "none", "gelu", "tanh" };
	struct conf_case *k = conf_add(s, run_linear, "linear %ux%ux%u %s%s%s %s", p[0], p[1], p[2],
				       acts[p[3]], p[4] & 1 ? " bias" : "",
				       p[4] & 2 ? " residual" : "", conf_data_names[p[5]]);

	memcpy(k->p, p, 6 * sizeof(*p));
}

static void add_linears(struct conf_suite *s)
{
	static const unsigned int rows[] = { 1, 11, 12, 13, 37 };

	for (unsigned int i = 0; i < NWIDTHS; i++) {
		for (unsigned int j = 0; j < NWIDTHS; j++)
			add_linear(s, (unsigned int[]){ rows[(i + j) % 5], widths[i], widths[j],
							(i + j) % 3, (i + 2 * j) % 4, CONF_RANDOM });
	}
	for (unsigned int act = 0; act < 3; act++) {
		for (unsigned int data = 0; data < CONF_DATA_END; data++)
			add_linear(s, (unsigned int[]){ 13, 100, 65, act, data % 4, data });
	}
	add_linear(s, (unsigned int[]){ 7, 384, 1536, DAMF_ACT_GELU, 1, CONF_RANDOM });
	add_linear(s, (unsigned int[]){ 150, 64, 31, DAMF_ACT_NONE, 3, CONF_MIXED });
}

/* ---- feed-forward: rows, width, inner, out, data ---- */

/*
 * With int8 weights the reference takes H as the same product in a job of its
 * own gives it, and Y is to the bit.
 */
static struct conf_tensor hidden_job(struct conf *c, const struct conf_tensor *x,
				     const struct conf_tensor *w, const struct conf_tensor *b)
{
	struct conf_tensor h = conf_out(c, x->rows, w->cols);
	struct damf_job *job = conf_job(c, DAMF_OP_LINEAR);

	job->param[DAMF_P_ACT] = DAMF_ACT_GELU;
	conf_slot(job, DAMF_T_X, x);
	conf_slot(job, DAMF_T_W, w);
	conf_slot(job, DAMF_T_B, b);
	conf_slot(job, DAMF_T_Y, &h);
	return h;
}

static void run_ffn(struct conf *c, const struct conf_case *k)
{
	struct conf_tensor x = conf_in(c, k->p[0], k->p[1], (enum conf_data)k->p[4]);
	struct conf_tensor w1 = conf_weight(c, k->p[1], k->p[2], CONF_RANDOM);
	struct conf_tensor b1 = conf_in(c, 1, k->p[2], CONF_RANDOM);
	struct conf_tensor w2 = conf_weight(c, k->p[2], k->p[3], CONF_RANDOM);
	struct conf_tensor b2 = conf_in(c, 1, k->p[3], CONF_RANDOM);
	struct conf_tensor y = conf_out(c, k->p[0], k->p[3]), hidden = y;
	struct damf_job *job = conf_job(c, DAMF_OP_FFN);
	bool int8 = c->type == DAMF_TYPE_I8;
	struct ref_mat want = { 0 };

	conf_slot(job, DAMF_T_X, &x);
	conf_slot(job, DAMF_T_W, &w1);
	conf_slot(job, DAMF_T_B, &b1);
	conf_slot(job, DAMF_T_W2, &w2);
	conf_slot(job, DAMF_T_B2, &b2);
	conf_slot(job, DAMF_T_Y, &y);
	if (int8)
		hidden = hidden_job(c, &x, &w1, &b1);
	conf_run(c);
	assert_true(conf_counters(c, 0)->static_macs ==
		    (uint64_t)k->p[0] * k->p[2] * (k->p[1] + k->p[3]));
	if (c->reference) {
		struct ref_mat mx = conf_ref(&x), mw1 = conf_ref(&w1), mb1 = conf_ref(&b1);
		struct ref_mat mw2 = conf_ref(&w2), mb2 = conf_ref(&b2), mh = conf_ref(&hidden);

		want = ref_new(y.rows, y.cols);
		if (int8)
			ref_linear(&mh, &mw2, &mb2, REF_ACT_NONE, NULL, &want);
		else
			ref_ffn(&mx, &mw1, &mb1, &mw2, &mb2, &want);
		ref_free(&mh);
		ref_free(&mx);
		ref_free(&mw1);
		ref_free(&mb1);
		ref_free(&mw2);
		ref_free(&mb2);
	}
	conf_check(c, &y, &want);
}

static void add_ffn(struct conf_suite *s, const unsigned int *p)
{
	struct conf_case *k = conf_add(s, run_ffn, "ffn %ux%ux%ux%u %s", p[0], p[1], p[2], p[3],
				       conf_data_names[p[4]]);

	memcpy(k->p, p, 5 * sizeof(*p));
}

static void add_ffns(struct conf_suite *s)
{
	add_ffn(s, (unsigned int[]){ 5, 1, 1, 1, CONF_RANDOM });
	add_ffn(s, (unsigned int[]){ 13, 24, 96, 24, CONF_RANDOM });
	add_ffn(s, (unsigned int[]){ 37, 33, 100, 33, CONF_RANDOM });
	add_ffn(s, (unsigned int[]){ 84, 100, 31, 65, CONF_RANDOM });
	add_ffn(s, (unsigned int[]){ 9, 384, 1536, 384, CONF_RANDOM });
	add_ffn(s, (unsigned int[]){ 3, 768, 3072, 768, CONF_RANDOM });
	for (unsigned int data = 1; data < CONF_DATA_END; data++)
		add_ffn(s, (unsigned int[]){ 12, 48, 192, 48, data });
}

/* ---- add and norm: rows, width, residual, data ---- */

static void run_add_norm(struct conf *c, const struct conf_case *k)
{
	const float eps = 1e-12f;
	struct conf_tensor x = conf_in(c, k->p[0], k->p[1], (enum conf_data)k->p[3]);
	struct conf_tensor r = conf_in(c, k->p[0], k->p[1], (enum conf_data)k->p[3]);
	struct conf_tensor gamma = conf_in(c, 1, k->p[1], CONF_RANDOM);
	struct conf_tensor beta = conf_in(c, 1, k->p[1], CONF_RANDOM);
	struct conf_tensor y = conf_out(c, k->p[0], k->p[1]);
	struct damf_job *job = conf_job(c, DAMF_OP_ADD_NORM);
	struct ref_mat want = { 0 };

	job->param[DAMF_P_EPS] = conf_bits(eps);
	conf_slot(job, DAMF_T_X, &x);
	if (k->p[2])
		conf_slot(job, DAMF_T_R, &r);
	conf_slot(job, DAMF_T_GAMMA, &gamma);
	conf_slot(job, DAMF_T_BETA, &beta);
	conf_slot(job, DAMF_T_Y, &y);
	conf_run(c);
	if (c->reference) {
		struct ref_mat mx = conf_ref(&x), mr = ref_if(k->p[2], &r);
		struct ref_mat mg = conf_ref(&gamma), mb = conf_ref(&beta);

		want = ref_new(y.rows, y.cols);
		ref_add_norm(&mx, optional(&mr), &mg, &mb, eps, &want);
		ref_free(&mx);
		ref_free(&mr);
		ref_free(&mg);
		ref_free(&mb);
	}
	conf_check(c, &y, &want);
}

static void add_add_norms(struct conf_suite *s)
{
	for (unsigned int i = 0; i < NWIDTHS + CONF_DATA_END; i++) {
		unsigned int p[] = { 7 + i, widths[i % NWIDTHS], i & 1,
				     i < NWIDTHS ? CONF_RANDOM : i - NWIDTHS };
		struct conf_case *k = conf_add(s, run_add_norm, "add_norm %ux%u%s %s", p[0], p[1],
					       p[2] ? " residual" : "", conf_data_names[p[3]]);

		memcpy(k->p, p, sizeof(p));
	}
}

/* ---- embedding: batch, width, types ---- */

enum { WORDS = 50, POSITIONS = 70, TYPES = 2 };

static void run_embed(struct conf *c, const struct conf_case *k)
{
	const struct conf_batch *batch = &conf_batches[k->p[0]];
	const float eps = 1e-12f;
	int32_t id[128], type[128];
	struct conf_tensor ids, types, offsets, word, position, kinds, gamma, beta, y;
	struct damf_job *job;
	struct ref_mat want = { 0 };

	for (uint32_t t = 0; t < batch->tokens; t++) {
		id[t] = (int32_t)conf_below(c, WORDS);
		type[t] = k->p[2] ? (int32_t)conf_below(c, TYPES) : 0;
	}
	ids = conf_i32(c, batch->tokens, id);
	types = conf_i32(c, batch->tokens, type);
	offsets = conf_offsets(c, batch);
	word = conf_table(c, WORDS, k->p[1]);
	position = conf_table(c, POSITIONS, k->p[1]);
	kinds = conf_table(c, TYPES, k->p[1]);
	gamma = conf_in(c, 1, k->p[1], CONF_RANDOM);
	beta = conf_in(c, 1, k->p[1], CONF_RANDOM);
	y = conf_out(c, batch->tokens, k->p[1]);
	job = conf_job(c, DAMF_OP_EMBED);
	job->param[DAMF_P_EPS] = conf_bits(eps);
	conf_slot(job, DAMF_T_X, &ids);
	conf_slot(job, DAMF_T_OFFSETS, &offsets);
	if (k->p[2])
		conf_slot(job, DAMF_T_R, &types);
	conf_slot(job, DAMF_T_GAMMA, &gamma);
	conf_slot(job, DAMF_T_BETA, &beta);
	conf_slot(job, DAMF_T_W, &word);
	conf_slot(job, DAMF_T_B, &position);
	conf_slot(job, DAMF_T_W2, &kinds);
	conf_slot(job, DAMF_T_Y, &y);
	conf_run(c);
	if (c->reference) {
		struct ref_mat mw = conf_ref(&word), mp = conf_ref(&position), mt = conf_ref(&kinds);
		struct ref_mat mg = conf_ref(&gamma), mb = conf_ref(&beta);
		struct ref_embed e = {
			.ids = id, .types = type, .batch = conf_ref_batch(batch), .word = &mw,
			.position = &mp, .type = &mt, .gamma = &mg, .beta = &mb, .eps = eps,
		};

		want = ref_new(y.rows, y.cols);
		ref_embed(&e, &want);
		ref_free(&mw);
		ref_free(&mp);
		ref_free(&mt);
		ref_free(&mg);
		ref_free(&mb);
	}
	conf_check(c, &y, &want);
}

static void add_embeds(struct conf_suite *s)
{
	for (unsigned int i = 0; i < CONF_BATCHES * 2; i++) {
		unsigned int p[] = { i % CONF_BATCHES, widths[(i * 5) % NWIDTHS], i & 1 };
		struct conf_case *k = conf_add(s, run_embed, "embed batch %u width %u%s", p[0], p[1],
					       p[2] ? " types" : "");

		memcpy(k->p, p, sizeof(p));
	}
}

/* ---- pooling: batch, width, kind, data ---- */

static void run_pool(struct conf *c, const struct conf_case *k)
{
	const struct conf_batch *batch = &conf_batches[k->p[0]];
	struct conf_tensor x = conf_in(c, batch->tokens, k->p[1], (enum conf_data)k->p[3]);
	struct conf_tensor offsets = conf_offsets(c, batch);
	struct conf_tensor y = conf_out(c, batch->seqs, k->p[1]);
	struct damf_job *job = conf_job(c, DAMF_OP_POOL);
	struct ref_mat want = { 0 };

	job->param[DAMF_P_POOL] = k->p[2];
	conf_slot(job, DAMF_T_X, &x);
	conf_slot(job, DAMF_T_OFFSETS, &offsets);
	conf_slot(job, DAMF_T_Y, &y);
	conf_run(c);
	if (c->reference) {
		struct ref_mat mx = conf_ref(&x);
		struct ref_batch b = conf_ref_batch(batch);

		want = ref_new(y.rows, y.cols);
		if (k->p[2] == DAMF_POOL_MEAN)
			ref_pool_mean(&mx, &b, &want);
		else
			ref_pool_first(&mx, &b, &want);
		ref_free(&mx);
	}
	conf_check(c, &y, &want);
}

static void add_pools(struct conf_suite *s)
{
	for (unsigned int i = 0; i < 2 * CONF_BATCHES; i++) {
		unsigned int p[] = { i / 2, widths[i % NWIDTHS], i & 1, i % CONF_DATA_END };
		struct conf_case *k = conf_add(s, run_pool, "pool %s batch %u width %u %s",
					       p[2] ? "first" : "mean", p[0], p[1],
					       conf_data_names[p[3]]);

		memcpy(k->p, p, sizeof(p));
	}
}

/* ---- rows: normalize and softmax: rows, width, data ---- */

static void run_normalize(struct conf *c, const struct conf_case *k)
{
	const float eps = 1e-12f;
	struct conf_tensor x = conf_in(c, k->p[0], k->p[1], (enum conf_data)k->p[2]);
	struct conf_tensor y = conf_out(c, k->p[0], k->p[1]);
	struct damf_job *job = conf_job(c, DAMF_OP_NORMALIZE);
	struct ref_mat want = { 0 };

	job->param[DAMF_P_EPS] = conf_bits(eps);
	conf_slot(job, DAMF_T_X, &x);
	conf_slot(job, DAMF_T_Y, &y);
	conf_run(c);
	if (c->reference) {
		struct ref_mat mx = conf_ref(&x);

		want = ref_new(y.rows, y.cols);
		ref_normalize(&mx, eps, &want);
		ref_free(&mx);
	}
	conf_check(c, &y, &want);
}

static void run_softmax(struct conf *c, const struct conf_case *k)
{
	struct conf_tensor x = conf_in(c, k->p[0], k->p[1], (enum conf_data)k->p[2]);
	struct conf_tensor y = conf_out(c, k->p[0], k->p[1]);
	struct damf_job *job = conf_job(c, DAMF_OP_SOFTMAX);
	struct ref_mat want = { 0 };

	conf_slot(job, DAMF_T_X, &x);
	conf_slot(job, DAMF_T_Y, &y);
	conf_run(c);
	if (c->reference) {
		struct ref_mat mx = conf_ref(&x);

		want = ref_new(y.rows, y.cols);
		ref_softmax(&mx, &want);
		ref_free(&mx);
	}
	conf_check(c, &y, &want);
}

static void add_rows(struct conf_suite *s)
{
	for (unsigned int i = 0; i < NWIDTHS + CONF_DATA_END; i++) {
		unsigned int p[] = { 3 + i, widths[i % NWIDTHS],
				     i < NWIDTHS ? CONF_RANDOM : i - NWIDTHS };
		struct conf_case *k;

		k = conf_add(s, run_normalize, "normalize %ux%u %s", p[0], p[1],
			     conf_data_names[p[2]]);
		memcpy(k->p, p, sizeof(p));
		k = conf_add(s, run_softmax, "softmax %ux%u %s", p[0], p[1], conf_data_names[p[2]]);
		memcpy(k->p, p, sizeof(p));
	}
}

void conf_add_layers(struct conf_suite *s)
{
	add_linears(s);
	add_ffns(s);
	add_add_norms(s);
	add_embeds(s);
	add_pools(s);
	add_rows(s);
}
