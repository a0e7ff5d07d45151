// SPDX-License-Identifier: MIT
/* The reference itself, against values worked out by hand or from tables. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ref.h"

#define GUARD	0x1p-20

static void near(double got, double want, double tolerance)
{
	if (fabs(got - want) <= tolerance)
		return;
	print_error("got %.17g, want %.17g\n", got, want);
	fail();
}

static void test_activations(void **state)
{
	/* Phi(1) and tanh(1) as tables print them */
	const float x[] = { 1, -1, 0 }, w[] = { 1 };
	const double gelu[] = { 0.841344746068543, -0.158655253931457, 0 };
	const double tanhs[] = { 0.761594155955765, -0.761594155955765, 0 };
	struct ref_mat mx = ref_from_f32(x, 1, 3, 1), mw = ref_from_f32(w, 1, 1, 1);
	struct ref_mat y = ref_new(3, 1);

	(void)state;
	ref_linear(&mx, &mw, NULL, REF_ACT_GELU, NULL, &y);
	for (int i = 0; i < 3; i++)
		near(y.v[i], gelu[i], 1e-14);
	ref_linear(&mx, &mw, NULL, REF_ACT_TANH, NULL, &y);
	for (int i = 0; i < 3; i++)
		near(y.v[i], tanhs[i], 1e-14);
	ref_free(&mx);
	ref_free(&mw);
	ref_free(&y);
}

static void test_linear(void **state)
{
	const float x[] = { 1, 2, 3, 4 }, w[] = { 1, 0, 2, 1, -1, 3 }, b[] = { 10, 20, 30 };
	const float r[] = { 1, 1, 1, 2, 2, 2 };
	const double want[] = { 14, 19, 39, 19, 18, 50 };
	struct ref_mat mx = ref_from_f32(x, 2, 2, 2), mw = ref_from_f32(w, 3, 2, 3);
	struct ref_mat mb = ref_from_f32(b, 3, 1, 3), mr = ref_from_f32(r, 3, 2, 3);
	struct ref_mat y = ref_new(2, 3);

	(void)state;
	ref_linear(&mx, &mw, &mb, REF_ACT_NONE, &mr, &y);
	for (int i = 0; i < 6; i++)
		near(y.v[i], want[i], 0);
	ref_free(&mx);
	ref_free(&mw);
	ref_free(&mb);
	ref_free(&mr);
	ref_free(&y);
}

static void test_norms(void **state)
{
	/* mean 2.5, variance 1.25 */
	const float x[] = { 1, 2, 3, 4 }, g[] = { 1, 1, 1, 2 }, b[] = { 0, 0, 0, 1 };
	struct ref_mat mx = ref_from_f32(x, 4, 1, 4), mg = ref_from_f32(g, 4, 1, 4);
	struct ref_mat mb = ref_from_f32(b, 4, 1, 4), y = ref_new(1, 4);

	(void)state;
	ref_add_norm(&mx, NULL, &mg, &mb, 0.0, &y);
	near(y.v[0], -1.5 / sqrt(1.25), 1e-14);
	near(y.v[3], 2 * 1.5 / sqrt(1.25) + 1, 1e-14);
	ref_normalize(&mx, 1e-12, &y);
	near(y.v[1], 2 / sqrt(30), 1e-15);
	ref_normalize(&mx, 100, &y);
	near(y.v[1], 0.02, 1e-15);
	ref_free(&mx);
	ref_free(&mg);
	ref_free(&mb);
	ref_free(&y);
}

static void test_softmax(void **state)
{
	struct ref_mat x = ref_new(1, 3), y = ref_new(1, 3);

	(void)state;
	x.v[1] = log(2);
	x.v[2] = log(5);
	ref_softmax(&x, &y);
	near(y.v[0], 0.125, 1e-15);
	near(y.v[1], 0.25, 1e-15);
	near(y.v[2], 0.625, 1e-15);
	ref_free(&x);
	ref_free(&y);
}

static void test_pool(void **state)
{
	const float x[] = { 1, 10, 3, 30, 5, 50 };
	const int32_t offsets[] = { 0, 2, 2, 3 };
	const struct ref_batch batch = { offsets, 3 };
	const double mean[] = { 2, 20, 0, 0, 5, 50 }, first[] = { 1, 10, 0, 0, 5, 50 };
	struct ref_mat mx = ref_from_f32(x, 2, 3, 2), y = ref_new(3, 2);

	(void)state;
	ref_pool_mean(&mx, &batch, &y);
	for (int i = 0; i < 6; i++)
		near(y.v[i], mean[i], 1e-14);
	ref_pool_first(&mx, &batch, &y);
	for (int i = 0; i < 6; i++)
		near(y.v[i], first[i], 0);
	ref_free(&mx);
	ref_free(&y);
}

static const struct ref_head paper = {
	.mode = REF_FOLD, .d_v = 1, .rank = 1, .order = 1, .coef = { 1, 1 },
};

/* Both ways; each must give want. */
static void heads_give(const struct ref_head *h, const double *p, const double *q, const double *v,
		       size_t len, const double *want, double tolerance)
{
	double out[16];

	for (int way = 0; way < 2; way++) {
		if (way)
			ref_head_folded(h, p, q, v, len, GUARD, out);
		else
			ref_head_direct(h, p, q, v, len, GUARD, out);
		for (size_t i = 0; i < len * h->d_v; i++)
			near(out[i], want[i], tolerance);
	}
}

/* A = (1 -1; 2 -2), A_max = 2: weights (3 1)/4 and (4 0)/4. */
static void test_fold_by_hand(void **state)
{
	const double p[] = { 1, 2 }, q[] = { 1, -1 }, v[] = { 1, 5 }, want[] = { 2, 1 };

	(void)state;
	heads_give(&paper, p, q, v, 2, want, 1e-15);
}

static void test_fold_degenerate(void **state)
{
	const double zero[] = { 0, 0 }, minus[] = { -1, -1 }, one[] = { 1, 1 }, v[] = { 1, 5 };
	const double uniform[] = { 3, 3 }, last[] = { 5 };

	(void)state;
	/* no scores, and a denominator of 0: uniform; one token: its value */
	heads_give(&paper, zero, one, v, 2, uniform, 0);
	heads_give(&paper, minus, one, v, 2, uniform, 0);
	heads_give(&paper, minus, one, v + 1, 1, last, 0);
	heads_give(&paper, one, one, v + 1, 1, last, 0);
}

/* A = (2; 1) (1 -1), mean of q 2 taken off; centred: D is L whatever p. */
static void test_centred_by_hand(void **state)
{
	const double p[] = { 2, 1 }, q[] = { 3, 1 }, v[] = { 1, 5 };
	/* A_max = 2: weights (4 0)/4 and (3 1)/4 */
	const double want[] = { 1, 2 };
	/* scale 1/4: 1 + (1/2 -1/2; 1/4 -1/4): weights (6 2)/8 and (5 3)/8 */
	const double scaled[] = { 2, 2.5 };
	struct ref_head h = paper;

	(void)state;
	h.flags = REF_CENTRED;
	heads_give(&h, p, q, v, 2, want, 1e-15);
	h.flags = REF_CENTRED | REF_SCALE;
	h.scale = 0.25;
	heads_give(&h, p, q, v, 2, scaled, 1e-15);
}

/* (1 + x)^2 = 1 + 2 x + x^2 and (1 + x)^3 - x^3 / 2 on x = (1 0; -1 0). */
static void test_orders_by_hand(void **state)
{
	const double p[] = { 1, -1 }, q[] = { 1, 0 }, v[] = { 1, 11 };
	/* weights 4 1; 0 1, then 7.5 1; 0.5 1 */
	const double square[] = { 3, 11 }, cube[] = { 18.5 / 8.5, 11.5 / 1.5 };
	struct ref_head h = {
		.mode = REF_FOLD, .flags = REF_SCALE, .d_v = 1, .rank = 1, .order = 2, .scale = 1,
		.coef = { 1, 2, 1 },
	};

	(void)state;
	heads_give(&h, p, q, v, 2, square, 1e-15);
	h.order = 3;
	h.coef[1] = h.coef[2] = 3;
	h.coef[3] = 0.5;
	heads_give(&h, p, q, v, 2, cube, 1e-14);
}

/*
 * Ranks: p = (1 2; 3 0), q = (1 -1; 0 1), row a token. Scores (-1 2; 3 0),
 * A_max = 3 * 1 + 2 * 1 = 5: weights (4 7)/11 and (8 5)/13.
 */
static void test_rank_by_hand(void **state)
{
	const double p[] = { 1, 2, 3, 0 }, q[] = { 1, -1, 0, 1 }, v[] = { 0, 1 };
	const double want[] = { 7.0 / 11, 5.0 / 13 };
	struct ref_head h = paper;

	(void)state;
	h.rank = 2;
	heads_give(&h, p, q, v, 2, want, 1e-15);
}

/* Scores log 2 times (1 2; 2 4): weights (1 2)/3 and (1 4)/5; then static terms. */
static void test_softmax_head_by_hand(void **state)
{
	const double p[] = { 1, 2 }, q[] = { 1, 2 }, v[] = { 1, -1 };
	const double want[] = { -1.0 / 3, -3.0 / 5 };
	/* band: half the one before, twice the next; sinks: 10 first + 1 last */
	const double more[] = { -1.0 / 3 - 2 + 9, -3.0 / 5 + 0.5 + 9 };
	struct ref_head h = {
		.mode = REF_SOFTFOLD, .flags = REF_SCALE, .d_v = 1, .rank = 1, .scale = log(2),
		.coef = { 0x1p-20 }, .sink = { 10, 1 }, .band = { [6] = 0.5, [8] = 2 },
	};

	(void)state;
	heads_give(&h, p, q, v, 2, want, 1e-14);
	h.flags |= REF_BAND | REF_SINKS;
	heads_give(&h, p, q, v, 2, more, 1e-14);
}

static double uniform(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (double)(int64_t)*seed / 9223372036854775808.0;
}

enum { FOLD_L = 61, FOLD_D = 8 };

/* p and q whose ranges and means change with the round. */
static void draw(uint64_t *seed, int round, size_t rank, double *p, double *q, double *v)
{
	double shift = round % 5 - 2.0, loud = round % 7 ? 1.0 : 3.0;

	for (size_t i = 0; i < FOLD_L * rank; i++) {
		p[i] = loud * uniform(seed) + shift;
		q[i] = uniform(seed) * 3 - shift / 2;
	}
	for (size_t i = 0; i < FOLD_L * FOLD_D; i++)
		v[i] = uniform(seed);
	/* two clusters far apart, of any sizes, and V that follows them: steepest for softmax */
	for (size_t i = 0; rank == 1 && round % 4 == 3 && i < FOLD_L; i++) {
		double side = (int)i < round % 60 + 1 ? -1.0 : 1.0;

		q[i] = 3 * side;
		for (size_t j = 0; j < FOLD_D; j++)
			v[i * FOLD_D + j] = side;
	}
}

/* The largest difference of both ways, tried on many heads of one kind. */
static double ways_apart(struct ref_head h, int rounds)
{
	static double p[FOLD_L * 4], q[FOLD_L * 4], v[FOLD_L * FOLD_D];
	static double a[FOLD_L * FOLD_D], b[FOLD_L * FOLD_D];
	uint64_t seed = 1;
	double apart = 0;

	h.d_v = FOLD_D;
	for (int round = 0; round < rounds; round++) {
		draw(&seed, round, h.rank, p, q, v);
		ref_head_direct(&h, p, q, v, FOLD_L, 1e-3, a);
		ref_head_folded(&h, p, q, v, FOLD_L, 1e-3, b);
		for (int i = 0; i < FOLD_L * FOLD_D; i++)
			apart = fmax(apart, fabs(a[i] - b[i]));
	}
	return apart;
}

/* The folded form is the L x L form: to 1e-11 wherever D is not lost in rounding. */
static void test_fold_folds(void **state)
{
	(void)state;
	for (unsigned int flags = 0; flags < 4; flags++) {
		for (size_t order = 1; order <= 4; order++) {
			struct ref_head h = paper;

			h.flags = flags;
			h.scale = 0.25;
			h.order = order;
			for (size_t k = 2; k <= order; k++)
				h.coef[k] = h.coef[k - 1] / (double)k;
			near(ways_apart(h, 50), 0, 1e-11);
		}
		for (size_t rank = 2; rank <= 4; rank++) {
			struct ref_head h = paper;

			h.flags = flags;
			h.scale = 0.1;
			h.rank = rank;
			near(ways_apart(h, 50), 0, 1e-11);
		}
	}
}

/* Interpolation stays within what it promises: |V| is at most 1 here. */
static void test_softfold_bound(void **state)
{
	const double bounds[] = { 0.5, 1e-2, 1e-4, 0x1p-20 };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		double worst = 0;

		for (double scale = 0.03; scale < 3; scale *= 1.3) {
			struct ref_head h = {
				.mode = REF_SOFTFOLD, .flags = REF_SCALE, .rank = 1,
				.scale = scale, .coef = { bounds[i] },
			};
			double apart = ways_apart(h, 60);

			worst = fmax(worst, apart);
			near(apart, 0, bounds[i]);
		}
		print_message("# softfold for %.1g errs by %.2g\n", bounds[i], worst);
	}
}

/* The layer's heads against the single head, weights that pick columns apart. */
static void test_attention(void **state)
{
	const float x[] = { 1, 1, -1, 2, 3, -2 }, one[] = { 1, 0, 0, 1 };
	const int32_t offsets[] = { 0, 2, 2, 3 };
	struct ref_mat mx = ref_from_f32(x, 2, 3, 2), w = ref_from_f32(one, 2, 2, 2);
	struct ref_mat y = ref_new(3, 2);
	const struct ref_head heads[] = {
		{ .mode = REF_MHSA, .d_qk = 1, .d_v = 1, .qk_col = 1, .v_col = 0, .scale = log(2) },
		{ .mode = REF_FOLD, .d_v = 1, .v_col = 1, .p_col = 0, .q_col = 1, .rank = 1, .order = 1,
		  .coef = { 1, 1 } },
	};
	const struct ref_attention a = {
		.batch = { offsets, 3 }, .heads = heads, .nheads = 2, .guard = 1e-6,
		.wq = &w, .wk = &w, .wv = &w, .wo = &w, .wpq = &w,
	};

	(void)state;
	ref_attention(&a, &mx, &y);
	/* scores log 2 (1 2; 2 4): weights (1 2)/3 and (1 4)/5 on values 1, -1 */
	near(y.v[0], -1.0 / 3, 1e-14);
	near(y.v[2], -3.0 / 5, 1e-14);
	/* A = (1 2; -1 -2), A_max = 2: weights (3 4)/7 and (1 0)/1 on values 1, 2 */
	near(y.v[1], 11.0 / 7, 1e-14);
	near(y.v[3], 1, 1e-14);
	/* a sequence of one token gives its value */
	near(y.v[4], 3, 0);
	near(y.v[5], -2, 0);
	ref_free(&mx);
	ref_free(&w);
	ref_free(&y);
}

/* One sequence of 128 tokens of BERT-base: what the specification prints of it. */
static void test_counts(void **state)
{
	enum { L = 128, D = 768, H = 12 };
	const int32_t offsets[] = { 0, L };
	struct ref_mat x = ref_new(L, D), square = ref_new(D, D), pq = ref_new(D, 2 * H);
	struct ref_head exact[H], fold[H];
	struct ref_attention a = {
		.batch = { offsets, 1 }, .heads = exact, .nheads = H,
		.wq = &square, .wk = &square, .wv = &square, .wo = &square, .wpq = &pq,
	};
	struct ref_counts c;

	(void)state;
	for (size_t h = 0; h < H; h++) {
		exact[h] = (struct ref_head){ .mode = REF_MHSA, .d_qk = 64, .d_v = 64,
					      .qk_col = 64 * h, .v_col = 64 * h };
		fold[h] = (struct ref_head){ .mode = REF_FOLD, .d_v = 64, .v_col = 64 * h,
					     .p_col = h, .q_col = H + h, .rank = 1, .order = 1,
					     .coef = { 1, 1 } };
	}
	/* 4 L D^2 and 2 H L^2 64: 327.16 million */
	c = ref_count_attention(&a, &x);
	assert_true(c.static_macs == 301989888 && c.dynamic_macs == 25165824);
	assert_true(c.exps == H * L * L && c.divs == H * L);
	/* p and q, W_V and W_O of two sums a head; the sums of q X and the mix: 8.26 million */
	a.heads = fold;
	c = ref_count_attention(&a, &x);
	assert_true(c.static_macs == 2359296 + 2 * 1179648);
	assert_true(c.dynamic_macs == 1179648 + 2359296);
	assert_true(c.exps == 0 && c.divs == 3 * H * L);
	ref_free(&x);
	ref_free(&square);
	ref_free(&pq);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_activations),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_norms),
		cmocka_unit_test(test_softmax),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_fold_by_hand),
		cmocka_unit_test(test_fold_degenerate),
		cmocka_unit_test(test_centred_by_hand),
		cmocka_unit_test(test_orders_by_hand),
		cmocka_unit_test(test_rank_by_hand),
		cmocka_unit_test(test_softmax_head_by_hand),
		cmocka_unit_test(test_fold_folds),
		cmocka_unit_test(test_softfold_bound),
		cmocka_unit_test(test_attention),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
