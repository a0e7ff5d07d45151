// SPDX-License-Identifier: MIT
/* Conversion: files in both forms, what they hold, and what is refused. */
#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/lib/model/model.h"
#include "model_fixture.h"

static int setup(void **state)
{
	(void)state;
	tiny_make(&tiny, 2, 1);
	tiny_write(&tiny);
	return 0;
}

/* ---- Files ---------------------------------------------------------------------------- */

static const char *target(const char *name)
{
	static char path[2][160];
	static unsigned int next;
	char *to = path[next++ % 2];

	snprintf(to, sizeof(path[0]), "%s/%s", fix_dir(), name);
	return to;
}

static struct damf_conversion *convert(const char *from, const char *to,
				       struct damf_convert_options opt)
{
	struct damf_conversion *c;
	struct damf_error err;

	opt.size = sizeof(opt);
	if (damf_convert(from, to, &opt, &c, &err))
		fail_msg("%s", err.text);
	return c;
}

static void convert_only(const char *from, const char *to, struct damf_convert_options opt)
{
	damf_conversion_free(convert(from, to, opt));
}

static struct damf_model *open_as(const char *dir, struct damf_model_options opt)
{
	struct damf_model *m;
	struct damf_error err;

	opt.size = sizeof(opt);
	if (damf_model_open(dir, &opt, &m, &err))
		fail_msg("%s", err.text);
	return m;
}

/* Every tensor of a model with its bytes, in one order. */
struct pieces {
	struct { const void *at; size_t len; struct damf_weight w; } piece[128];
	size_t n;
};

static int add_piece(const struct damf_walk *walk, const struct damf_weight *w, size_t len)
{
	struct pieces *p = walk->ctx;
	const char *base = walk->m->blocks[w->place].base;

	assert_true(p->n + 2 <= COUNT(p->piece));
	assert_int_equal(w->at % 64, 0);
	p->piece[p->n].at = base + w->at;
	p->piece[p->n].w = *w;
	p->piece[p->n++].len = len;
	if (w->scales) {
		assert_int_equal(w->scales % 64, 0);
		p->piece[p->n].at = base + w->scales;
		p->piece[p->n].w = *w;
		p->piece[p->n++].len = 4ul * (w->layout == DAMF_LAYOUT_ROWS ? w->rows : w->cols);
	}
	return 0;
}

static int vector_piece(const struct damf_walk *walk, struct damf_weight *w, const char *name,
			uint32_t n)
{
	(void)name;
	return add_piece(walk, w, 4ul * n);
}

static int table_piece(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		       uint32_t rows, uint32_t cols)
{
	(void)name;
	return add_piece(walk, w, (size_t)rows * cols * damf_type_size(w->type));
}

static int matrix_piece(const struct damf_walk *walk, struct damf_weight *w, const char *name,
			uint32_t in, uint32_t out)
{
	size_t k = w->type == DAMF_TYPE_I8 ? (in + 3) / 4 * 4 : in;

	(void)name;
	return add_piece(walk, w, (out + 31) / 32 * 32 * k * damf_type_size(w->type));
}

static int pq_piece(const struct damf_walk *walk, struct damf_dense *pq, uint32_t layer)
{
	(void)layer;
	matrix_piece(walk, &pq->w, "", pq->w.rows, pq->w.cols);
	return vector_piece(walk, &pq->b, "", pq->b.cols);
}

static int heads_piece(const struct damf_walk *walk, struct damf_weight *w, uint32_t layer)
{
	(void)layer;
	return add_piece(walk, w, w->rows * sizeof(struct damf_head));
}

static void same_weights(struct damf_model *a, struct damf_model *b)
{
	struct pieces all[2] = { { .n = 0 } };
	struct damf_walk walk = {
		.vector = vector_piece, .table = table_piece, .matrix = matrix_piece,
		.pq = pq_piece, .heads = heads_piece,
	};
	size_t i;

	for (i = 0; i < 2; i++) {
		walk.m = i ? b : a;
		walk.ctx = &all[i];
		damf_walk_model(&walk);
	}
	assert_int_equal(all[0].n, all[1].n);
	for (i = 0; i < all[0].n; i++) {
		assert_int_equal(all[0].piece[i].len, all[1].piece[i].len);
		assert_int_equal(all[0].piece[i].w.type, all[1].piece[i].w.type);
		assert_memory_equal(all[0].piece[i].at, all[1].piece[i].at, all[0].piece[i].len);
	}
}

static bool in_block(const struct damf_block *b, const void *p)
{
	return (const char *)p >= (char *)b->base && (const char *)p < (char *)b->base + b->size;
}

/* A packed file holds what opening the original makes, and is used where it lies. */
static void test_packed(void **state)
{
	enum damf_attention mode;
	enum damf_dtype dtype;
	char name[32];

	(void)state;
	for (mode = DAMF_ATTENTION_MHSA; mode <= DAMF_ATTENTION_SOFTFOLD; mode++) {
		for (dtype = DAMF_DTYPE_F32; dtype <= DAMF_DTYPE_INT8; dtype++) {
			struct damf_model *fly, *m;
			const char *to;

			snprintf(name, sizeof(name), "packed-%d-%d", mode, dtype);
			to = target(name);
			convert_only(fix_dir(), to, (struct damf_convert_options){
				.attention = mode, .dtype = dtype });
			fly = open_as(fix_dir(), (struct damf_model_options){
				.attention = mode, .dtype = dtype });
			m = open_as(to, (struct damf_model_options){ 0 });
			same_weights(m, fly);
			assert_true(in_block(&m->blocks[DAMF_FILE], damf_model_at(m, &m->word)));
			assert_int_equal(m->layers[0].v.w.place, DAMF_FILE);
			assert_int_equal(fly->blocks[DAMF_FILE].size, 0);
			damf_model_unref(m);
			damf_model_unref(fly);
		}
	}
}

/* Whatever the calling thread's rounding mode is, which stays. */
static void test_rounding_mode(void **state)
{
	struct damf_model_options opt = { .attention = DAMF_ATTENTION_FOLD,
					  .dtype = DAMF_DTYPE_INT8 };
	static const int modes[] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
	struct damf_model *want = open_as(fix_dir(), opt), *m;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(modes); i++) {
		assert_int_equal(fesetround(modes[i]), 0);
		m = open_as(fix_dir(), opt);
		assert_int_equal(fegetround(), modes[i]);
		fesetround(FE_TONEAREST);
		same_weights(m, want);
		damf_model_unref(m);
	}
	damf_model_unref(want);
}

/* int8 is integers in range, whose products with the factors are near the weights. */
static void test_int8(void **state)
{
	struct damf_model *m = open_as(fix_dir(), (struct damf_model_options){
		.dtype = DAMF_DTYPE_INT8 });
	const struct damf_weight *w = &m->layers[1].in.w;
	const float *want = tiny_get(&tiny, "intermediate.dense.weight", 1);
	const int8_t *q = damf_model_at(m, w);
	const float *t = (const float *)((char *)m->blocks[w->place].base + w->scales);
	uint32_t n, k;

	(void)state;
	assert_int_equal(w->type, DAMF_TYPE_I8);
	for (n = 0; n < w->cols; n++) {
		float most = 0;

		for (k = 0; k < w->rows; k++)
			most = fmaxf(most, fabsf(want[n * w->rows + k]));
		assert_true(t[n] == most / 127);
		for (k = 0; k < w->rows; k++) {
			int x = q[(n / 32 * ((w->rows + 3) / 4) + k / 4) * 128 + n % 32 * 4 + k % 4];

			assert_true(abs(x) <= 127);
			assert_true(fabs((double)x * t[n] - want[n * w->rows + k]) <=
				    0.5001 * t[n]);
		}
	}
	damf_model_unref(m);
}

static void same_files(const char *a, const char *b)
{
	size_t n[2];
	unsigned char *data[2] = { fix_read(a, &n[0]), fix_read(b, &n[1]) };

	assert_int_equal(n[0], n[1]);
	assert_memory_equal(data[0], data[1], n[0]);
	free(data[0]);
	free(data[1]);
}

/* By the plain form it's the same packed file, tables, u, v and singular values kept. */
static void test_two_steps(void **state)
{
	const struct damf_convert_options plain = { .rank = 0, .order = 2,
						    .flags = DAMF_CONVERT_PLAIN };
	const struct damf_convert_options packed = { .order = 2, .dtype = DAMF_DTYPE_BF16 };
	struct damf_model *a, *b;

	(void)state;
	convert_only(fix_dir(), target("plain"), plain);
	convert_only(target("plain"), target("second"),
		     (struct damf_convert_options){ .dtype = DAMF_DTYPE_BF16 });
	convert_only(fix_dir(), target("first"), packed);
	/* where it came from is told by its metadata, and the plain one's are kept */
	same_files("first/model.safetensors", "second/model.safetensors");
	same_files("first/config.json", "second/config.json");
	a = open_as(target("plain"), (struct damf_model_options){ .dtype = DAMF_DTYPE_BF16 });
	b = open_as(target("second"), (struct damf_model_options){ 0 });
	same_weights(a, b);
	damf_model_unref(a);
	damf_model_unref(b);
	/* a plain one of a plain one, in another mode */
	convert_only(target("plain"), target("third"), (struct damf_convert_options){
		.attention = DAMF_ATTENTION_FOLDSHIFT, .flags = DAMF_CONVERT_PLAIN });
	a = open_as(target("third"), (struct damf_model_options){ 0 });
	b = open_as(target("plain"), (struct damf_model_options){
		.attention = DAMF_ATTENTION_FOLDSHIFT });
	same_weights(a, b);
	damf_model_unref(a);
	damf_model_unref(b);
}

/* Exact attention of a converted model is that of the original. */
static void test_exact_kept(void **state)
{
	struct damf_model *exact = open_as(fix_dir(), (struct damf_model_options){ 0 }), *m;

	(void)state;
	convert_only(fix_dir(), target("kept"), (struct damf_convert_options){ .size = 0 });
	m = open_as(target("kept"), (struct damf_model_options){ .attention = DAMF_ATTENTION_MHSA });
	same_weights(exact, m);
	assert_null(damf_model_warning(m, 0));
	damf_model_unref(m);
	damf_model_unref(exact);
}

static void cannot(const char *dir, struct damf_model_options opt, const char *words)
{
	struct damf_model *m;
	struct damf_error err;

	opt.size = sizeof(opt);
	assert_int_equal(damf_model_open(dir, &opt, &m, &err), -EINVAL);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" lacks \"%s\"", err.text, words);
}

static void test_drop_exact(void **state)
{
	const struct damf_convert_options drop = { .flags = DAMF_CONVERT_DROP_EXACT };
	const struct damf_convert_options drop_plain = {
		.flags = DAMF_CONVERT_DROP_EXACT | DAMF_CONVERT_PLAIN };
	struct damf_model *fold = open_as(fix_dir(), (struct damf_model_options){
		.attention = DAMF_ATTENTION_FOLD });
	const char *dirs[2];
	size_t i;

	(void)state;
	dirs[0] = target("dropped");
	dirs[1] = target("dropped-plain");
	convert_only(fix_dir(), dirs[0], drop);
	convert_only(fix_dir(), dirs[1], drop_plain);
	for (i = 0; i < 2; i++) {
		struct damf_model *m = open_as(dirs[i], (struct damf_model_options){ 0 });

		same_weights(m, fold);
		damf_model_unref(m);
		cannot(dirs[i], (struct damf_model_options){ .attention = DAMF_ATTENTION_MHSA },
		       "layer 0 has no query and key");
	}
	damf_model_unref(fold);
}

/* ---- Tables ------------------------------------------------------------------ */

static float float_of(__le32 bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static void test_order(void **state)
{
	static const float series[] = { 1, 1, 0.5f, 0x1.555556p-3f, 0x1.555556p-5f };
	struct damf_model *m;
	unsigned int k;

	(void)state;
	convert_only(fix_dir(), target("order"), (struct damf_convert_options){ .order = 4 });
	m = open_as(target("order"), (struct damf_model_options){ 0 });
	assert_int_equal(m->layers[1].table[3].order, 4);
	assert_int_equal(m->layers[1].table[3].flags, DAMF_HEAD_SCALE | DAMF_HEAD_CENTRED);
	assert_true(float_of(m->layers[1].table[3].scale) == (float)(1 / sqrt(12)));
	for (k = 0; k < 5; k++)
		assert_true(float_of(m->layers[1].table[3].coef[k]) == series[k]);
	damf_model_unref(m);
}

/* ---- Refused ------------------------------------------------------------------------------ */

static void refused(const char *from, struct damf_convert_options opt, int code, const char *words)
{
	const char *to = target("refused");
	struct damf_conversion *c;
	struct damf_error err;

	opt.size = sizeof(opt);
	assert_int_equal(damf_convert(from, to, &opt, &c, &err), code);
	assert_null(c);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" lacks \"%s\"", err.text, words);
	assert_int_equal(access(to, F_OK), -1);
}

#define OPT(...) (struct damf_convert_options){ __VA_ARGS__ }

static void test_refused(void **state)
{
	(void)state;
	refused(fix_dir(), OPT(.rank = 13), -EOPNOTSUPP, "rank 12 at most");
	refused(fix_dir(), OPT(.order = 5), -EOPNOTSUPP, "orders 1 to 4");
	refused(fix_dir(), OPT(.rank = 2, .order = 2), -EOPNOTSUPP, "rank 2 with order 2");
	refused(fix_dir(), OPT(.rank = 2, .attention = DAMF_ATTENTION_SOFTFOLD), -EOPNOTSUPP,
		"rank 2 with softfold");
	refused(fix_dir(), OPT(.rank = 2, .attention = DAMF_ATTENTION_FOLDSHIFT), -EOPNOTSUPP,
		"rank 2 with foldshift");
	refused(fix_dir(), OPT(.order = 2, .attention = DAMF_ATTENTION_SHIFT), -EOPNOTSUPP,
		"order 2 with shift");
	refused(fix_dir(), OPT(.rank = 1, .attention = DAMF_ATTENTION_MHSA), -EOPNOTSUPP, "mhsa");
	refused(fix_dir(), OPT(.dtype = DAMF_DTYPE_INT8, .flags = DAMF_CONVERT_PLAIN), -EOPNOTSUPP,
		"int8 with the plain form");
	refused(fix_dir(), OPT(.xtype = DAMF_XTYPE_INT16), -EOPNOTSUPP, "int16");
	refused(fix_dir(), OPT(.attention = DAMF_ATTENTION_MHSA, .flags = DAMF_CONVERT_DROP_EXACT),
		-EOPNOTSUPP, "can't be dropped");
	refused(fix_dir(), OPT(.flags = 4), -EINVAL, "flags 0x4");
	convert_only(fix_dir(), target("again"), OPT(.size = 0));
	refused(target("again"), OPT(.size = 0), -EOPNOTSUPP, "packed already");
	convert_only(fix_dir(), target("again-plain"), OPT(.flags = DAMF_CONVERT_PLAIN));
	refused(target("again-plain"), OPT(.rank = 2), -EOPNOTSUPP, "converted already");
}

/* A target with a model is left as it is, one that can't be made leaves nothing. */
static void test_targets(void **state)
{
	struct damf_error err;

	(void)state;
	convert_only(fix_dir(), target("there"), OPT(.size = 0));
	assert_int_equal(damf_convert(fix_dir(), target("there"), NULL, NULL, &err), -EEXIST);
	assert_true(damf_convert(fix_dir(), "/nowhere/at/all", NULL, NULL, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packed), cmocka_unit_test(test_int8),
		cmocka_unit_test(test_rounding_mode),
		cmocka_unit_test(test_two_steps), cmocka_unit_test(test_exact_kept),
		cmocka_unit_test(test_drop_exact), cmocka_unit_test(test_order),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_targets),
	};

	return cmocka_run_group_tests_name("conversion", tests, setup, tiny_teardown);
}
