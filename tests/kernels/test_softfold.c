// SPDX-License-Identifier: MIT
/*
 * softfold against softmax of rank-1 scores in double precision: its error is
 * within the bound that was asked for, plus that of rounding.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cases.h"
#include "define.h"

#define WIDTH	12	/* p, q, and ten columns of V */
#define D_V	10
#define MOST	400

/* One head, of which X holds p, q and V as they are. */
struct layer {
	float x[MOST * WIDTH], y[MOST * D_V], wpq[WIDTH * 32], wv[WIDTH * 32], wo[D_V * 32];
	size_t len;
	struct damf_k_head head;
};

/*
 * With steep, q is only at its two ends and V tells which: that gives tanh,
 * whose poles are where the bound says the nearest can be.
 */
static void make(struct layer *l, size_t len, float p_range, float q_range, float shift, bool steep)
{
	l->len = len;
	l->head = (struct damf_k_head) {
		.mode = DAMF_K_SOFTFOLD, .d_v = D_V, .q_col = 1, .rank = 1,
	};
	for (size_t i = 0; i < len * WIDTH; i++)
		l->x[i] = random_f32();
	for (size_t n = 0; n < len; n++) {
		float *x = l->x + n * WIDTH;

		/* the ends of the ranges are there */
		x[0] = (n < 2 ? (float)n - 0.5f : x[0] / 2) * p_range + shift;
		x[1] = (n < 2 ? 0.5f - (float)n : x[1] / 2) * q_range - shift;
		for (size_t j = 0; steep && j < D_V; j++)
			x[2 + j] = x[1] > -shift ? 1.0f : -1.0f;
		if (steep)
			x[1] = copysignf(0.5f, x[2]) * q_range - shift;
	}
	for (size_t i = 0; i < WIDTH * 32; i++) {
		l->wpq[i] = i / 32 == i % 32 && i % 32 < 2;
		l->wv[i] = i / 32 == i % 32 + 2;
	}
	for (size_t i = 0; i < D_V * 32; i++)
		l->wo[i] = i / 32 == i % 32;
}

static void run(struct layer *l)
{
	const int32_t offsets[] = { 0, (int32_t)l->len };
	const struct damf_attention_args a = {
		.x = l->x, .ldx = WIDTH, .offsets = offsets, .seqs = 1, .width = WIDTH,
		.out = D_V, .heads = &l->head, .nheads = 1, .nv = D_V, .npq = 2,
		.wv = damf_mat_f32(l->wv), .wo = damf_mat_f32(l->wo), .wpq = damf_mat_f32(l->wpq),
		.y = l->y, .ldy = D_V,
	};
	size_t size = damf_attention_scratch(NULL, &a);
	struct damf_exec ex = { .isa = damf_isa_get(NULL, 0), .scratch_size = size };

	ex.scratch = aligned_alloc(64, (size + 63) & ~(size_t)63);
	assert_non_null(ex.scratch);
	assert_int_equal(damf_attention_f32(&ex, &a), 0);
	free(ex.scratch);
}

/* The largest error relative to max |V|. */
static double worst_error(const struct layer *l)
{
	double worst = 0, most = 0;

	for (size_t n = 0; n < l->len; n++) {
		for (size_t j = 0; j < D_V; j++)
			most = fmax(most, fabs((double)l->x[n * WIDTH + 2 + j]));
	}
	for (size_t m = 0; m < l->len; m++) {
		double p = (double)l->x[m * WIDTH], top = -INFINITY, sum = 0, out[D_V] = { 0 };

		for (size_t n = 0; n < l->len; n++)
			top = fmax(top, p * (double)l->x[n * WIDTH + 1]);
		for (size_t n = 0; n < l->len; n++) {
			double e = exp(p * (double)l->x[n * WIDTH + 1] - top);

			sum += e;
			for (size_t j = 0; j < D_V; j++)
				out[j] += e * (double)l->x[n * WIDTH + 2 + j];
		}
		for (size_t j = 0; j < D_V; j++)
			worst = fmax(worst, fabs((double)l->y[m * D_V + j] - out[j] / sum));
	}
	return worst / most;
}

/* Rounding moves exponents by a few of their last places, and interpolation adds up less than
 * four times what values at nodes are off. */
static double rounding(float p_range, float q_range, float shift)
{
	double size = ((double)p_range / 2 + fabs((double)shift)) * (double)q_range;

	return 4 * (4 + 2 * size) * 0x1p-24;
}

static void within_bounds(void **state)
{
	static const float bounds[] = { 1e-2f, 1e-3f, 1e-4f, 1e-5f, 1e-6f };
	static struct layer l;
	bool seen[62] = { false };
	double worst = 0, part = 0;

	(void)state;
	for (unsigned int i = 0; i < 5 * 81 * 3; i++) {
		float bound = bounds[i % 5], range = (float)(i / 5 % 81) * 0.25f;
		float ratio = i / 405 == 1 ? 8.0f : 1.0f, shift = i / 405 == 2 ? 3.0f : 0.0f;
		float p_range = sqrtf(range) * ratio, q_range = sqrtf(range) / ratio;
		float p[MOST], q[MOST];
		double error, most;

		make(&l, i % 2 ? MOST : 70, p_range, q_range, shift, i / 2 % 2);
		l.head.coef[0] = bound;
		run(&l);
		error = worst_error(&l);
		most = (double)bound + rounding(p_range, q_range, shift);
		if (error > most)
			fail_msg("range %g, bound %g: error %g", range, bound, error);
		for (size_t n = 0; n < l.len; n++) {
			p[n] = l.x[n * WIDTH];
			q[n] = l.x[n * WIDTH + 1];
		}
		seen[def_nodes(p, q, l.len, bound)] = true;
		part = fmax(part, error / most);
		worst = fmax(worst, error);
	}
	printf("# largest error %g, largest part of what is allowed %.3f\n", worst, part);
	/* or else the problems are too easy to show a node that is missing */
	assert_true(part > 0.3);
	for (size_t g = 1; g < 50; g++)
		assert_true(seen[g] || g == 8 || g == 10 || g == 12 || g == 14 || g == 15 ||
			    (g > 17 && g != 21 && g != 25 && g != 31 && g != 41 && g != 49));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(within_bounds) };

	return cmocka_run_group_tests_name("softfold", tests, NULL, NULL);
}
