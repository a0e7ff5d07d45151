// SPDX-License-Identifier: MIT
/*
 * Sessions on the tiny model: against the float64 reference, the same bits on
 * every backend and in every batch, and what happens when the device goes.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/lib/backend.h"
#include "../../runtime/lib/session/session.h"
#include "model_fixture.h"
#include "ref.h"

enum { TEXTS = 24, WIDTH = 48, LABELS = 3 };

static char text_data[TEXTS][96];
static struct damf_text texts[TEXTS];

/* Text i has i % 17 letters apart: ids worked out without the tokenizer. */
static void make_texts(void)
{
	unsigned int i, k;

	for (i = 0; i < TEXTS; i++) {
		for (k = 0; k < i % 17; k++) {
			text_data[i][2 * k] = (char)('a' + (i * 7 + k * 3) % 26);
			text_data[i][2 * k + 1] = ' ';
		}
		texts[i] = (struct damf_text){ .text = text_data[i], .len = 2 * k };
	}
}

static int setup(void **state)
{
	(void)state;
	tiny_make(&tiny, LABELS, 3);
	tiny_write(&tiny);
	make_texts();
	return 0;
}

static struct damf_model *open_model(enum damf_attention attention)
{
	struct damf_model_options opt = { .size = sizeof(opt), .attention = attention };
	struct damf_model *m;
	struct damf_error err;

	if (damf_model_open(fix_dir(), &opt, &m, &err))
		fail_msg("%s", err.text);
	return m;
}

static struct damf_session *open_session(enum damf_attention attention,
					 struct damf_session_options opt)
{
	struct damf_model *m = open_model(attention);
	struct damf_session *s;
	struct damf_error err;

	opt.size = sizeof(opt);
	if (damf_session_create(m, &opt, &s, &err))
		fail_msg("%s", err.text);
	damf_model_unref(m);	/* the session is an owner */
	return s;
}

static void run(struct damf_session *s, float *out, struct damf_text_result *results)
{
	struct damf_error err;

	if (damf_session_run(s, texts, TEXTS, out, results, &err))
		fail_msg("%s", err.text);
}

/* ---- The reference ------------------------------------------------------------------ */

void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a,
	     const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
	     double *work, const int *lwork, int *info);

static struct ref_mat matrix(const char *name, unsigned int layer, uint32_t rows, uint32_t cols)
{
	return ref_from_f32(tiny_get(&tiny, name, layer), cols, rows, cols);
}

/* An HF Linear holds [out][in]. */
static struct ref_mat transposed(const char *name, unsigned int layer, uint32_t in, uint32_t out)
{
	const float *src = tiny_get(&tiny, name, layer);
	float *t = malloc((size_t)in * out * sizeof(*t));
	struct ref_mat m;
	uint32_t i, j;

	for (i = 0; i < in; i++)
		for (j = 0; j < out; j++)
			t[i * out + j] = src[j * in + i];
	m = ref_from_f32(t, out, in, out);
	free(t);
	return m;
}

struct affine {
	struct ref_mat w, b;
};

static struct affine affine(const char *name, unsigned int layer, uint32_t in, uint32_t out)
{
	char full[96];
	struct affine a;

	snprintf(full, sizeof(full), "%s.weight", name);
	a.w = transposed(full, layer, in, out);
	snprintf(full, sizeof(full), "%s.bias", name);
	a.b = matrix(full, layer, 1, out);
	return a;
}

static void affine_free(struct affine *a)
{
	ref_free(&a->w);
	ref_free(&a->b);
}

/* u_1, v_1 of each head by LAPACK from the dense matrix of its scores. */
static struct affine reference_pq(unsigned int layer)
{
	enum { D = WIDTH + 1, HEADS = 4, HW = WIDTH / HEADS };
	const float *wq = tiny_get(&tiny, "attention.self.query.weight", layer);
	const float *bq = tiny_get(&tiny, "attention.self.query.bias", layer);
	const float *wk = tiny_get(&tiny, "attention.self.key.weight", layer);
	const float *bk = tiny_get(&tiny, "attention.self.key.bias", layer);
	static double a[D * D], u[D * D], vt[D * D], s[D], work[8192];
	const int n = D, lwork = 8192;
	struct affine pq = { ref_new(WIDTH, 2 * HEADS), ref_new(1, 2 * HEADS) };
	int h, i, j, k, info;

	for (h = 0; h < HEADS; h++) {
		memset(a, 0, sizeof(a));
		for (k = h * HW; k < (h + 1) * HW; k++)
			for (j = 0; j < D; j++)
				for (i = 0; i < D; i++)
					a[i + j * D] += (double)(i < WIDTH ? wq[k * WIDTH + i] : bq[k]) *
							(j < WIDTH ? wk[k * WIDTH + j] : bk[k]);
		dgesvd_("A", "A", &n, &n, a, &n, s, u, &n, vt, &n, work, &lwork, &info);
		assert_int_equal(info, 0);
		for (i = 0; i < D; i++) {
			struct ref_mat *to = i < WIDTH ? &pq.w : &pq.b;
			size_t row = i < WIDTH ? (size_t)i * 2 * HEADS : 0;

			to->v[row + (size_t)h] = s[0] * u[i];
			to->v[row + HEADS + (size_t)h] = vt[i * D];
		}
	}
	return pq;
}

static void reference_attention(unsigned int layer, bool fold, const struct ref_batch *batch,
				const struct ref_mat *x, struct ref_mat *y)
{
	struct affine q = affine("attention.self.query", layer, WIDTH, WIDTH);
	struct affine k = affine("attention.self.key", layer, WIDTH, WIDTH);
	struct affine v = affine("attention.self.value", layer, WIDTH, WIDTH);
	struct affine o = affine("attention.output.dense", layer, WIDTH, WIDTH);
	struct affine pq = reference_pq(layer);
	struct ref_head heads[4];
	struct ref_attention a = {
		.batch = *batch, .heads = heads, .nheads = 4,
		.wq = &q.w, .bq = &q.b, .wk = &k.w, .bk = &k.b, .wv = &v.w, .bv = &v.b,
		.wo = &o.w, .bo = &o.b, .wpq = &pq.w, .bpq = &pq.b, .guard = 0,
	};
	unsigned int h;

	for (h = 0; h < 4; h++)
		heads[h] = (struct ref_head){
			.mode = fold ? REF_FOLD : REF_MHSA, .d_qk = 12, .d_v = 12, .qk_col = 12 * h,
			.v_col = 12 * h, .p_col = h, .q_col = 4 + h, .rank = 1, .order = 1,
			.coef = { 1, 1 }, .scale = 1 / sqrt(12),
		};
	ref_attention(&a, x, y);
	affine_free(&q);
	affine_free(&k);
	affine_free(&v);
	affine_free(&o);
	affine_free(&pq);
}

static void reference_norm(const char *name, unsigned int layer, const struct ref_mat *x,
			   const struct ref_mat *r, struct ref_mat *y)
{
	char full[96];
	struct ref_mat gamma, beta;

	snprintf(full, sizeof(full), "%s.weight", name);
	gamma = matrix(full, layer, 1, WIDTH);
	snprintf(full, sizeof(full), "%s.bias", name);
	beta = matrix(full, layer, 1, WIDTH);
	ref_add_norm(x, r, &gamma, &beta, 1e-12, y);
	ref_free(&gamma);
	ref_free(&beta);
}

static void reference_layer(unsigned int layer, bool fold, const struct ref_batch *batch,
			    struct ref_mat *x)
{
	struct affine in = affine("intermediate.dense", layer, WIDTH, 80);
	struct affine out = affine("output.dense", layer, 80, WIDTH);
	struct ref_mat a = ref_new(x->rows, WIDTH), b = ref_new(x->rows, WIDTH);

	reference_attention(layer, fold, batch, x, &a);
	reference_norm("attention.output.LayerNorm", layer, &a, x, &b);
	ref_ffn(&b, &in.w, &in.b, &out.w, &out.b, &a);
	reference_norm("output.LayerNorm", layer, &a, &b, x);
	affine_free(&in);
	affine_free(&out);
	ref_free(&a);
	ref_free(&b);
}

/* The encoder's output for one sequence. */
static struct ref_mat reference_encode(const int32_t *ids, const int32_t *types, int32_t n, bool fold)
{
	const int32_t offsets[] = { 0, n };
	struct ref_mat word = matrix("embeddings.word_embeddings.weight", 0, TINY_VOCAB, WIDTH);
	struct ref_mat position = matrix("embeddings.position_embeddings.weight", 0, 40, WIDTH);
	struct ref_mat type = matrix("embeddings.token_type_embeddings.weight", 0, 2, WIDTH);
	struct ref_mat gamma = matrix("embeddings.LayerNorm.weight", 0, 1, WIDTH);
	struct ref_mat beta = matrix("embeddings.LayerNorm.bias", 0, 1, WIDTH);
	struct ref_mat x = ref_new((size_t)n, WIDTH);
	struct ref_embed e = {
		.ids = ids, .types = types, .batch = { offsets, 1 }, .word = &word,
		.position = &position, .type = &type, .gamma = &gamma, .beta = &beta, .eps = 1e-12,
	};
	unsigned int i;

	ref_embed(&e, &x);
	for (i = 0; i < tiny.layers; i++)
		reference_layer(i, fold, &e.batch, &x);
	ref_free(&word);
	ref_free(&position);
	ref_free(&type);
	ref_free(&gamma);
	ref_free(&beta);
	return x;
}

static int32_t ids_of(const struct damf_text *t, int32_t *ids)
{
	int32_t n = 0;
	size_t i;

	ids[n++] = TINY_CLS;
	for (i = 0; i < t->len; i += 2)
		ids[n++] = TINY_A + t->text[i] - 'a';
	ids[n++] = TINY_SEP;
	return n;
}

static void check_embeddings(const float *out, bool fold)
{
	int32_t ids[64], n;
	unsigned int i, j;

	for (i = 0; i < TEXTS; i++) {
		struct ref_mat x, pooled = ref_new(1, WIDTH), y = ref_new(1, WIDTH);
		int32_t offsets[2] = { 0 };

		n = ids_of(&texts[i], ids);
		offsets[1] = n;
		x = reference_encode(ids, NULL, n, fold);
		ref_pool_mean(&x, &(struct ref_batch){ offsets, 1 }, &pooled);
		ref_normalize(&pooled, 1e-12, &y);
		for (j = 0; j < WIDTH; j++)
			if (!(fabs(out[i * WIDTH + j] - y.v[j]) < 1e-5))
				fail_msg("text %u, number %u: %.9g, reference %.9g", i, j,
					 (double)out[i * WIDTH + j], y.v[j]);
		ref_free(&x);
		ref_free(&pooled);
		ref_free(&y);
	}
}

/* ---- Tests -------------------------------------------------------------------------- */

static void test_reference(void **state)
{
	static const char *const backends[] = { "cpu", "sim" };
	struct damf_text_result results[TEXTS];
	float out[TEXTS * WIDTH], first[TEXTS * WIDTH];
	unsigned int b, mode, i;

	(void)state;
	for (mode = DAMF_ATTENTION_MHSA; mode <= DAMF_ATTENTION_FOLD; mode++) {
		for (b = 0; b < 2; b++) {
			struct damf_session *s = open_session((enum damf_attention)mode,
				(struct damf_session_options){ .backend = backends[b] });

			assert_int_equal(damf_session_width(s), WIDTH);
			run(s, out, results);
			if (!b)
				memcpy(first, out, sizeof(out));
			assert_memory_equal(out, first, sizeof(out));
			damf_session_free(s);
		}
		check_embeddings(first, mode == DAMF_ATTENTION_FOLD);
		for (i = 0; i < TEXTS; i++) {
			assert_int_equal(results[i].tokens, 2 + i % 17);
			assert_int_equal(results[i].full, 2 + i % 17);
		}
	}
}

/* A text's numbers don't depend on its batch. */
static void test_batches(void **state)
{
	static const uint32_t shapes[][3] = { { 1, 40, 1 }, { 3, 50, 2 }, { 32, 60, 5 }, { 7, 1024, 3 } };
	float first[TEXTS * WIDTH], out[TEXTS * WIDTH];
	struct damf_session_stats stats = { .size = sizeof(stats) };
	unsigned int i;

	(void)state;
	for (i = 0; i < COUNT(shapes); i++) {
		uint64_t begin = damf_now_ns();
		struct damf_session *s = open_session(DAMF_ATTENTION_MHSA,
			(struct damf_session_options){
				.backend = "cpu", .max_seqs = shapes[i][0],
				.max_tokens = shapes[i][1], .in_flight = shapes[i][2] });

		run(s, out, NULL);
		run(s, i ? out : first, NULL);
		assert_memory_equal(out, first, sizeof(out));
		damf_session_get_stats(s, &stats);
		assert_int_equal(stats.texts, 2 * TEXTS);
		assert_int_equal(stats.plans + stats.plan_hits, stats.lists);
		assert_int_equal(stats.jobs, stats.lists * (1 + 4 * 2 + 2));
		assert_true(stats.static_macs > 0 && stats.submits_direct == stats.lists);
		assert_in_range(stats.engine_ns, 1, damf_now_ns() - begin);
		assert_int_equal(stats.failovers, 0);
		damf_session_free(s);
	}
}

static void test_truncation(void **state)
{
	struct damf_text_result results[TEXTS];
	float out[TEXTS * WIDTH], part[WIDTH];
	struct damf_session_stats stats = { .size = sizeof(stats) };
	struct damf_text cut = texts[16];
	struct damf_session *s = open_session(DAMF_ATTENTION_MHSA,
		(struct damf_session_options){ .backend = "cpu", .max_length = 10 });
	struct damf_error err;

	(void)state;
	run(s, out, results);
	assert_int_equal(results[16].tokens, 10);
	assert_int_equal(results[16].full, 18);
	assert_int_equal(results[8].tokens, 10);
	assert_int_equal(results[8].full, 10);
	cut.len = 16;	/* 8 letters */
	assert_int_equal(damf_session_run(s, &cut, 1, part, NULL, &err), 0);
	assert_memory_equal(part, out + 16 * WIDTH, sizeof(part));
	damf_session_get_stats(s, &stats);
	assert_int_equal(stats.truncated, 8);
	damf_session_free(s);
}

/* Pooler and classifier by the reference, on a pair and on a single text. */
static void test_classify(void **state)
{
	struct damf_session *s = open_session(DAMF_ATTENTION_AUTO,
		(struct damf_session_options){ .backend = "sim", .task = DAMF_TASK_CLASSIFY });
	const struct damf_text pair = { .text = "a b", .len = 3, .pair = "c", .pair_len = 1 };
	const int32_t ids[] = { TINY_CLS, TINY_A, TINY_A + 1, TINY_SEP, TINY_A + 2, TINY_SEP };
	const int32_t types[] = { 0, 0, 0, 0, 1, 1 }, offsets[] = { 0, 6 };
	struct affine pooler = affine("pooler.dense", 0, WIDTH, WIDTH);
	struct affine classifier = affine("classifier", 0, WIDTH, LABELS);
	struct ref_mat x = reference_encode(ids, types, 6, false), first = ref_new(1, WIDTH);
	struct ref_mat hidden = ref_new(1, WIDTH), logits = ref_new(1, LABELS), y = ref_new(1, LABELS);
	struct damf_error err;
	float out[LABELS];
	unsigned int i;

	(void)state;
	assert_int_equal(damf_session_width(s), LABELS);
	if (damf_session_run(s, &pair, 1, out, NULL, &err))
		fail_msg("%s", err.text);
	ref_pool_first(&x, &(struct ref_batch){ offsets, 1 }, &first);
	ref_linear(&first, &pooler.w, &pooler.b, REF_ACT_TANH, NULL, &hidden);
	ref_linear(&hidden, &classifier.w, &classifier.b, REF_ACT_NONE, NULL, &logits);
	ref_softmax(&logits, &y);
	for (i = 0; i < LABELS; i++)
		assert_true(fabs(out[i] - y.v[i]) < 1e-5);
	damf_session_free(s);
	affine_free(&pooler);
	affine_free(&classifier);
	ref_free(&x);
	ref_free(&first);
	ref_free(&hidden);
	ref_free(&logits);
	ref_free(&y);
}

/* Groups come back in order; the descriptor tells when to look. */
static void test_asynchronous(void **state)
{
	struct damf_session *s = open_session(DAMF_ATTENTION_MHSA,
		(struct damf_session_options){ .backend = "sim", .max_seqs = 4 });
	float expected[TEXTS * WIDTH], out[3][TEXTS * WIDTH];
	struct pollfd fd = { .fd = damf_session_eventfd(s), .events = POLLIN };
	struct damf_error err;
	uint64_t ticket[3], done;
	unsigned int i;
	int r;

	(void)state;
	run(s, expected, NULL);
	assert_int_equal(damf_session_wait(s, 0, &done, &err), -ENOENT);
	for (i = 0; i < 3; i++)
		assert_int_equal(damf_session_submit(s, texts, TEXTS, out[i], NULL, &ticket[i], &err), 0);
	assert_int_equal(damf_session_run(s, texts, 1, out[0], NULL, &err), -EBUSY);
	for (i = 0; i < 3; i++) {
		while ((r = damf_session_wait(s, 0, &done, &err)) == -ETIME)
			assert_true(poll(&fd, 1, 60000) > 0);
		assert_int_equal(r, 0);
		assert_int_equal(done, ticket[i]);
		assert_memory_equal(out[i], expected, sizeof(expected));
	}
	damf_session_free(s);
}

/* The device goes at several moments: the same bits, nothing lost or doubled. */
static void test_failover(void **state)
{
	float expected[TEXTS * WIDTH], out[2][TEXTS * WIDTH];
	struct damf_session_stats stats = { .size = sizeof(stats) };
	struct damf_error err;
	unsigned int moment;
	uint64_t ticket;
	struct damf_session *s = open_session(DAMF_ATTENTION_FOLD,
		(struct damf_session_options){ .backend = "cpu" });

	(void)state;
	run(s, expected, NULL);
	damf_session_free(s);
	for (moment = 0; moment < 3; moment++) {
		s = open_session(DAMF_ATTENTION_FOLD,
			(struct damf_session_options){ .backend = "sim", .max_seqs = 2 });
		memset(out, 0xff, sizeof(out));
		if (moment == 0)	/* before anything is sent */
			damf_device_lose(s->engine->dev);
		assert_int_equal(damf_session_submit(s, texts, TEXTS, out[0], NULL, &ticket, &err), 0);
		assert_int_equal(damf_session_submit(s, texts, TEXTS, out[1], NULL, &ticket, &err), 0);
		if (moment == 1)	/* in flight */
			damf_device_lose(s->engine->dev);
		assert_int_equal(damf_session_wait(s, -1, &ticket, &err), 0);
		assert_int_equal(ticket, 1);
		if (moment == 2)	/* between two groups */
			damf_device_lose(s->engine->dev);
		assert_int_equal(damf_session_wait(s, -1, &ticket, &err), 0);
		assert_int_equal(ticket, 2);
		assert_memory_equal(out[0], expected, sizeof(expected));
		assert_memory_equal(out[1], expected, sizeof(expected));
		damf_session_get_stats(s, &stats);
		assert_int_equal(stats.failovers, 1);
		assert_string_equal(stats.backend, "cpu");
		assert_true(stats.failover_reason[0]);
		assert_int_equal(stats.lists, 2 * TEXTS / 2);
		run(s, out[0], NULL);	/* and it goes on */
		assert_memory_equal(out[0], expected, sizeof(expected));
		damf_session_free(s);
	}
}

static void test_no_failover(void **state)
{
	struct damf_session *s = open_session(DAMF_ATTENTION_MHSA,
		(struct damf_session_options){ .backend = "sim", .flags = DAMF_SESSION_NO_FAILOVER });
	float out[TEXTS * WIDTH];
	struct damf_error err;
	uint64_t ticket;

	(void)state;
	damf_device_lose(s->engine->dev);
	assert_int_equal(damf_session_submit(s, texts, TEXTS, out, NULL, &ticket, &err), 0);
	assert_int_equal(damf_session_wait(s, -1, &ticket, &err), -ENODEV);
	assert_int_equal(ticket, 1);
	assert_int_equal(damf_session_submit(s, texts, TEXTS, out, NULL, &ticket, &err), -ENODEV);
	assert_int_equal(damf_session_wait(s, -1, &ticket, &err), -ENOENT);
	damf_session_free(s);
}

/* The device goes before or after n submissions: who polls hears of each. */
static void poll_when_broken(bool before, unsigned int n)
{
	struct damf_session *s = open_session(DAMF_ATTENTION_MHSA,
		(struct damf_session_options){ .backend = "sim", .flags = DAMF_SESSION_NO_FAILOVER });
	struct pollfd fd = { .fd = damf_session_eventfd(s), .events = POLLIN };
	float out[3][TEXTS * WIDTH];
	struct damf_error err;
	uint64_t ticket;
	unsigned int i;
	int r;

	if (before)
		damf_device_lose(s->engine->dev);
	for (i = 0; i < n; i++)
		assert_int_equal(damf_session_submit(s, texts, TEXTS, out[i], NULL, &ticket, &err), 0);
	if (!before)
		damf_device_lose(s->engine->dev);
	for (i = 0; i < n; i++) {
		do {
			assert_int_equal(poll(&fd, 1, 10000), 1);
			r = damf_session_wait(s, 0, &ticket, &err);
		} while (r == -ETIME);
		if (r || before)	/* 0: it was done before the device went */
			assert_int_equal(r, -ENODEV);
		assert_int_equal(ticket, i + 1);
	}
	damf_session_free(s);
}

static void test_poll_when_broken(void **state)
{
	(void)state;
	poll_when_broken(false, 3);
	poll_when_broken(true, 1);
}

static void test_errors(void **state)
{
	struct damf_model *m = open_model(DAMF_ATTENTION_AUTO);
	struct damf_session_options opt = { .size = sizeof(opt), .backend = "cpu", .max_length = 41 };
	const struct damf_text bad[] = { texts[1], { .text = "a\xff", .len = 2 } };
	struct damf_session *s;
	struct damf_error err;
	float out[2 * WIDTH];

	(void)state;
	assert_int_equal(damf_session_create(m, &opt, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "40"));
	opt.max_length = 0;
	opt.backend = "gpu";
	assert_int_equal(damf_session_create(m, &opt, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "\"gpu\""));
	opt.backend = "cpu";
	assert_int_equal(damf_session_create(m, &opt, &s, &err), 0);
	assert_int_equal(damf_session_run(s, bad, 2, out, NULL, &err), -EILSEQ);
	assert_non_null(strstr(err.text, "text 1 is not UTF-8 at byte 1"));
	assert_int_equal(damf_session_run(s, bad, 0, out, NULL, &err), -EINVAL);
	assert_int_equal(damf_session_run(s, bad, 1, out, NULL, &err), 0);
	damf_session_free(s);
	damf_session_free(NULL);
	damf_model_unref(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference), cmocka_unit_test(test_batches),
		cmocka_unit_test(test_truncation), cmocka_unit_test(test_classify),
		cmocka_unit_test(test_asynchronous), cmocka_unit_test(test_failover),
		cmocka_unit_test(test_no_failover), cmocka_unit_test(test_poll_when_broken),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests_name("session", tests, setup, tiny_teardown);
}
