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

/* A = (1 -1; 2 -2), A_max = 2: weights (3 1)/4 and (4 0)/4. */
static void test_damf_by_hand(void **state)
{
	const double p[] = { 1, 2 }, q[] = { 1, -1 }, v[] = { 1, 5 };
	double out[2];

	(void)state;
	ref_damf_direct(p, q, v, 2, 1, 1e-6, out);
	near(out[0], 2, 1e-15);
	near(out[1], 1, 1e-15);
	ref_damf_folded(p, q, v, 2, 1, 1e-6, out);
	near(out[0], 2, 1e-15);
	near(out[1], 1, 1e-15);
}

static void test_damf_degenerate(void **state)
{
	const double zero[] = { 0, 0 }, minus[] = { -1, -1 }, one[] = { 1, 1 }, v[] = { 1, 5 };
	double out[2];

	(void)state;
	/* no scores, and a denominator of 0: uniform; one token: its value */
	ref_damf_direct(zero, one, v, 2, 1, 1e-6, out);
	near(out[0], 3, 0);
	ref_damf_direct(minus, one, v, 2, 1, 1e-6, out);
	near(out[1], 3, 0);
	ref_damf_folded(minus, one, v, 2, 1, 1e-6, out);
	near(out[1], 3, 0);
	ref_damf_direct(minus, one, v + 1, 1, 1, 1e-6, out);
	near(out[0], 5, 0);
	ref_damf_folded(one, one, v + 1, 1, 1, 1e-6, out);
	near(out[0], 5, 0);
}

static double uniform(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (double)(int64_t)*seed / 9223372036854775808.0;
}

/* The folded form is eq. 14: to 1e-12 wherever D is not lost in rounding. */
static void test_damf_folds(void **state)
{
	enum { L = 61, D = 24 };
	double p[L], q[L], v[L * D], a[L * D], b[L * D];
	uint64_t seed = 1;

	(void)state;
	for (int round = 0; round < 50; round++) {
		double shift = round % 5 - 2.0;

		for (int i = 0; i < L; i++) {
			p[i] = uniform(&seed) + shift;
			q[i] = uniform(&seed) * 3 - shift / 2;
		}
		for (int i = 0; i < L * D; i++)
			v[i] = uniform(&seed);
		ref_damf_direct(p, q, v, L, D, 1e-3, a);
		ref_damf_folded(p, q, v, L, D, 1e-3, b);
		for (int i = 0; i < L * D; i++)
			near(b[i], a[i], 1e-12);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_activations),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_norms),
		cmocka_unit_test(test_softmax),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_damf_by_hand),
		cmocka_unit_test(test_damf_degenerate),
		cmocka_unit_test(test_damf_folds),
		cmocka_unit_test(test_attention),
	};

	return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
