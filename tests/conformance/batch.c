// SPDX-License-Identifier: MIT
/*
 * Bits depend on the inputs alone: a sequence gives the same alone as among
 * others, whatever those hold; a row of a linear layer likewise. Not-a-number
 * stays where it belongs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

enum { WIDTH = 48, HEADS = 4, DIM = 12, INNER = 100, MAX_TOKENS = 84 };

/* A small transformer layer, whose weights stay while batches come and go. */
struct fixed {
	struct conf_tensor heads, wq, wk, wv, wo, wpq, w1, b1, w2, b2, gamma, beta;
	uint64_t used;
};

static const struct kind {
	const char *name;
	unsigned int modes[HEADS];
} kinds[] = {
	{ "mhsa", { DAMF_MODE_MHSA, DAMF_MODE_MHSA, DAMF_MODE_MHSA, DAMF_MODE_MHSA } },
	{ "fold", { DAMF_MODE_FOLD, DAMF_MODE_FOLD, DAMF_MODE_FOLD, DAMF_MODE_FOLD } },
	{ "mixed", { DAMF_MODE_FOLD, DAMF_MODE_MHSA, DAMF_MODE_FOLD, DAMF_MODE_MHSA } },
	{ "shift", { DAMF_MODE_SHIFT, DAMF_MODE_SHIFT, DAMF_MODE_SHIFT, DAMF_MODE_SHIFT } },
	{ "foldshift", { DAMF_MODE_FOLDSHIFT, DAMF_MODE_FOLDSHIFT, DAMF_MODE_FOLDSHIFT,
			 DAMF_MODE_FOLDSHIFT } },
	{ "four modes", { DAMF_MODE_FOLDSHIFT, DAMF_MODE_SHIFT, DAMF_MODE_SOFTFOLD,
			  DAMF_MODE_MHSA } },
};
#define KINDS	(sizeof(kinds) / sizeof(kinds[0]))

/* Whether a head of it is exact, or isn't. */
static bool has_mhsa(unsigned int kind, bool mhsa)
{
	bool any = false;

	for (unsigned int h = 0; h < HEADS; h++)
		any |= (kinds[kind].modes[h] == DAMF_MODE_MHSA) == mhsa;
	return any;
}

static void make_heads(struct conf *c, struct fixed *f, unsigned int kind)
{
	f->heads = conf_bytes(c, HEADS, 128, 128);
	for (unsigned int h = 0; h < HEADS; h++) {
		struct damf_head *head = (struct damf_head *)f->heads.map + h;
		unsigned int mode = kinds[kind].modes[h];

		*head = (struct damf_head){ .mode = (uint16_t)mode, .d_v = DIM, .v_col = h * DIM };
		if (mode == DAMF_MODE_MHSA) {
			head->d_qk = DIM;
			head->qk_col = h * DIM;
			head->scale = conf_bits(0.25f);
			continue;
		}
		head->p_col = h;
		head->q_col = HEADS + h;
		head->rank = 1;
		head->order = mode != DAMF_MODE_SOFTFOLD;
		head->coef[0] = conf_bits(head->order ? 1.0f : 1e-3f);
		head->coef[1] = conf_bits(head->order ? 1.0f : 0.0f);
	}
}

static struct fixed make_fixed(struct conf *c, unsigned int kind)
{
	struct fixed f;

	make_heads(c, &f, kind);
	f.wq = conf_weight(c, WIDTH, WIDTH, CONF_RANDOM);
	f.wk = conf_weight(c, WIDTH, WIDTH, CONF_RANDOM);
	f.wv = conf_weight(c, WIDTH, WIDTH, CONF_RANDOM);
	f.wo = conf_weight(c, WIDTH, WIDTH, CONF_RANDOM);
	f.wpq = conf_weight(c, WIDTH, 2 * HEADS, CONF_RANDOM);
	f.w1 = conf_weight(c, WIDTH, INNER, CONF_RANDOM);
	f.b1 = conf_in(c, 1, INNER, CONF_RANDOM);
	f.w2 = conf_weight(c, INNER, WIDTH, CONF_RANDOM);
	f.b2 = conf_in(c, 1, WIDTH, CONF_RANDOM);
	f.gamma = conf_in(c, 1, WIDTH, CONF_RANDOM);
	f.beta = conf_in(c, 1, WIDTH, CONF_RANDOM);
	f.used = c->used;
	return f;
}

static void layer_jobs(struct conf *c, const struct fixed *f, unsigned int kind,
		       const struct conf_tensor *x, const struct conf_tensor *offsets,
		       const struct conf_tensor *mid, const struct conf_tensor *y)
{
	struct damf_job *job = conf_job(c, DAMF_OP_ATTENTION);

	conf_slot(job, DAMF_T_X, x);
	conf_slot(job, DAMF_T_Y, &mid[0]);
	conf_slot(job, DAMF_T_OFFSETS, offsets);
	conf_slot(job, DAMF_T_HEADS, &f->heads);
	if (has_mhsa(kind, true)) {
		conf_slot(job, DAMF_T_WQ, &f->wq);
		conf_slot(job, DAMF_T_WK, &f->wk);
	}
	conf_slot(job, DAMF_T_WV, &f->wv);
	conf_slot(job, DAMF_T_WO, &f->wo);
	if (has_mhsa(kind, false))
		conf_slot(job, DAMF_T_WPQ, &f->wpq);
	job = conf_job(c, DAMF_OP_ADD_NORM);
	job->param[DAMF_P_EPS] = conf_bits(1e-12f);
	conf_slot(job, DAMF_T_X, &mid[0]);
	conf_slot(job, DAMF_T_Y, &mid[1]);
	conf_slot(job, DAMF_T_R, x);
	conf_slot(job, DAMF_T_GAMMA, &f->gamma);
	conf_slot(job, DAMF_T_BETA, &f->beta);
	job = conf_job(c, DAMF_OP_FFN);
	conf_slot(job, DAMF_T_X, &mid[1]);
	conf_slot(job, DAMF_T_Y, &mid[2]);
	conf_slot(job, DAMF_T_W, &f->w1);
	conf_slot(job, DAMF_T_B, &f->b1);
	conf_slot(job, DAMF_T_W2, &f->w2);
	conf_slot(job, DAMF_T_B2, &f->b2);
	job = conf_job(c, DAMF_OP_POOL);
	job->param[DAMF_P_POOL] = DAMF_POOL_MEAN;
	conf_slot(job, DAMF_T_X, &mid[2]);
	conf_slot(job, DAMF_T_OFFSETS, offsets);
	conf_slot(job, DAMF_T_Y, y);
}

/* Runs the layer on a batch whose tokens lie in rows of data; pooled [seqs][WIDTH]. */
static void run_layer(struct conf *c, const struct fixed *f, unsigned int kind,
		      const struct conf_batch *b, const float *data, float *pooled)
{
	struct conf_tensor x, offsets, mid[3], y;

	c->used = f->used;
	c->njobs = 0;
	memset(damf_buffer_map(c->lists), 0, 8 * sizeof(struct damf_job));
	x = conf_in(c, b->tokens, WIDTH, CONF_ZERO);
	for (uint32_t t = 0; t < b->tokens; t++)
		memcpy(conf_at(&x, t, 0), data + (size_t)t * WIDTH, WIDTH * sizeof(float));
	offsets = conf_offsets(c, b);
	for (int i = 0; i < 3; i++)
		mid[i] = conf_out(c, b->tokens, WIDTH);
	y = conf_out(c, b->seqs, WIDTH);
	layer_jobs(c, f, kind, &x, &offsets, mid, &y);
	conf_submit(c);
	if (c->done.error)
		conf_fail("%s: %s", c->name, c->done.text);
	for (uint32_t i = 0; i < b->seqs; i++)
		memcpy(pooled + (size_t)i * WIDTH, conf_at(&y, i, 0), WIDTH * sizeof(float));
}

static void fill(struct conf *c, float *data)
{
	struct conf_tensor t = conf_in(c, MAX_TOKENS, WIDTH, CONF_RANDOM);

	for (uint32_t i = 0; i < MAX_TOKENS; i++)
		memcpy(data + (size_t)i * WIDTH, conf_at(&t, i, 0), WIDTH * sizeof(float));
}

/* p: batch, kind */
static void run_alone(struct conf *c, const struct conf_case *k)
{
	static float data[MAX_TOKENS * WIDTH], among[10 * WIDTH], alone[WIDTH];
	const struct conf_batch *b = &conf_batches[k->p[0]];
	struct fixed f = make_fixed(c, k->p[1]);

	fill(c, data);
	run_layer(c, &f, k->p[1], b, data, among);
	for (uint32_t i = 0; i < b->seqs; i++) {
		uint32_t len = (uint32_t)(b->offsets[i + 1] - b->offsets[i]);
		struct conf_batch one = { 1, len, { 0, (int32_t)len } };

		if (!len)
			continue;
		run_layer(c, &f, k->p[1], &one, data + (size_t)b->offsets[i] * WIDTH, alone);
		if (memcmp(alone, among + (size_t)i * WIDTH, sizeof(alone)))
			conf_fail("%s: sequence %u gives other bits alone", c->name, i);
	}
	conf_record(c, "pooled", among, b->seqs * WIDTH * sizeof(float));
}

/* One sequence after another is poisoned; the others don't notice. */
static void run_poison(struct conf *c, const struct conf_case *k)
{
	static const float poisons[] = { NAN, INFINITY, 3e38f };
	static float data[MAX_TOKENS * WIDTH], clean[10 * WIDTH], other[10 * WIDTH];
	const struct conf_batch *b = &conf_batches[k->p[0]];
	struct fixed f = make_fixed(c, k->p[1]);

	fill(c, data);
	run_layer(c, &f, k->p[1], b, data, clean);
	for (uint32_t i = 0; i < b->seqs; i++) {
		float *at = data + (size_t)b->offsets[i] * WIDTH + 5, kept = *at;

		if (b->offsets[i] == b->offsets[i + 1])
			continue;
		*at = poisons[i % 3];
		run_layer(c, &f, k->p[1], b, data, other);
		*at = kept;
		for (uint32_t j = 0; j < b->seqs; j++) {
			if (j != i && memcmp(other + (size_t)j * WIDTH, clean + (size_t)j * WIDTH,
					     WIDTH * sizeof(float)))
				conf_fail("%s: poison in sequence %u reaches %u", c->name, i, j);
		}
		for (uint32_t n = 0; isnan(poisons[i % 3]) && n < WIDTH; n++)
			assert_true(isnan(other[i * WIDTH + n]));
	}
}

/* A row of a linear layer alone, and with a NaN in another row. */
static void run_rows(struct conf *c, const struct conf_case *k)
{
	enum { ROWS = 29, IN = 33, OUT = 70 };
	struct conf_tensor x = conf_in(c, ROWS, IN, CONF_RANDOM), first = x, w, y, one;
	struct damf_job *job;

	(void)k;
	w = conf_weight(c, IN, OUT, CONF_RANDOM);
	y = conf_out(c, ROWS, OUT);
	one = conf_out(c, 1, OUT);
	*conf_at(&x, 7, 20) = NAN;
	job = conf_job(c, DAMF_OP_LINEAR);
	job->param[DAMF_P_ACT] = DAMF_ACT_GELU;
	conf_slot(job, DAMF_T_X, &x);
	conf_slot(job, DAMF_T_W, &w);
	conf_slot(job, DAMF_T_Y, &y);
	conf_submit(c);
	assert_int_equal(c->done.error, 0);
	/* each row in turn takes the place of the first: tensors begin at 64 bytes */
	first.rows = 1;
	for (uint32_t i = 0; i < ROWS; i++) {
		memmove(x.map, conf_at(&x, i, 0), IN * sizeof(float));
		conf_slot(job, DAMF_T_X, &first);
		conf_slot(job, DAMF_T_Y, &one);
		conf_submit(c);
		assert_int_equal(c->done.error, 0);
		for (uint32_t j = 0; i == 7 && j < OUT; j++)
			assert_true(isnan(*conf_at(&one, 0, j)) && isnan(*conf_at(&y, i, j)));
		if (i != 7 && memcmp(conf_at(&one, 0, 0), conf_at(&y, i, 0), OUT * sizeof(float)))
			conf_fail("%s: row %u gives other bits alone", c->name, i);
	}
}

void conf_add_batch(struct conf_suite *s)
{
	conf_add(s, run_rows, "rows alone");
	for (unsigned int kind = 0; kind < KINDS; kind++) {
		for (unsigned int b = 2; b < CONF_BATCHES; b++) {
			struct conf_case *k = conf_add(s, run_alone, "sequences alone %s batch %u",
						       kinds[kind].name, b);

			k->p[0] = b;
			k->p[1] = kind;
			k = conf_add(s, run_poison, "poison %s batch %u", kinds[kind].name, b);
			k->p[0] = b;
			k->p[1] = kind;
		}
	}
}
