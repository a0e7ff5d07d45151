// SPDX-License-Identifier: MIT
/* u and v of heads, judged by LAPACK and float64, and what a conversion tells of them. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "../../runtime/lib/model/model.h"
#include "model_fixture.h"

void dgesvd_(const char *jobu, const char *jobvt, const int *m, const int *n, double *a,
	     const int *lda, double *s, double *u, const int *ldu, double *vt, const int *ldvt,
	     double *work, const int *lwork, int *info);

enum { D = 49, HW = 12 };	/* width of the tiny model with the bias, of a head */

/* The dense [W_Q; b_Q] [W_K; b_K]^T of a head, column-major, and its singular values. */
static void dense_scores(const struct damf_fuse_args *w, unsigned int head, double *a, double *s)
{
	double m[D * D], u[1], vt[1], work[4096];
	const int n = D, one = 1, lwork = 4096;
	int i, j, k, info;

	for (j = 0; j < D; j++) {
		for (i = 0; i < D; i++) {
			double sum = 0;

			for (k = 0; k < HW; k++) {
				int row = (int)head * HW + k;
				double q = i < D - 1 ? w->wq[row * (D - 1) + i] : w->bq[row];
				double p = j < D - 1 ? w->wk[row * (D - 1) + j] : w->bk[row];

				sum += q * p;
			}
			a[i + j * D] = sum;
		}
	}
	memcpy(m, a, sizeof(m));
	dgesvd_("N", "N", &n, &n, m, &n, s, u, &one, vt, &one, work, &lwork, &info);
	assert_int_equal(info, 0);
}

static double entry(const struct damf_fused *f, unsigned int row, int i)
{
	return i < D - 1 ? f->weight[row * (D - 1) + (unsigned int)i] : f->bias[row];
}

/* What u and v of a head leave over of an entry of the scores. */
static double left_over(const struct damf_fused *f, unsigned int h, const double *a, int i, int j)
{
	double d = a[i + j * D];
	unsigned int k;

	for (k = 0; k < f->rank; k++)
		d -= entry(f, h * f->rank + k, i) * entry(f, (f->heads + h) * f->rank + k, j);
	return d;
}

/*
 * The best of its rank: what it leaves over has a squared norm of the sum of
 * the squares of the other singular values (Eckart and Young).
 */
static void check_head(const struct damf_fused *f, unsigned int h, const struct damf_fuse_args *w)
{
	double a[D * D], s[D], rest = 0, left = 0, all = 0, most = 0, most_left = 0;
	int i, j;

	dense_scores(w, h, a, s);
	for (i = 0; i < HW; i++) {
		assert_true(fabs(f->singular[h * HW + (unsigned int)i] - s[i]) < 1e-5 * s[0]);
		all += s[i] * s[i];
		rest += i < (int)f->rank ? 0 : s[i] * s[i];
	}
	for (j = 0; j < D; j++) {
		for (i = 0; i < D; i++) {
			double d = left_over(f, h, a, i, j);

			left += d * d;
			most = fmax(most, fabs(a[i + j * D]));
			most_left = fmax(most_left, fabs(d));
		}
	}
	assert_true(fabs(left - rest) < 1e-5 * (rest + 1e-5 * all));
	assert_true(fabs(f->error[h].frobenius - sqrt(left / all)) < 1e-9);
	assert_true(fabs(f->error[h].largest - most_left / most) < 1e-9);
	if (f->rank == HW)	/* nothing is left but rounding to f32 */
		assert_true(most_left < 1e-6 * most);
}

static void test_fusion(void **state)
{
	struct damf_fuse_args w = { .heads = 4, .width = D - 1, .errors = true };
	struct damf_fused f;
	struct damf_error err;
	unsigned int h, rank;

	(void)state;
	w.wq = tiny_get(&tiny, "attention.self.query.weight", 1);
	w.bq = tiny_get(&tiny, "attention.self.query.bias", 1);
	w.wk = tiny_get(&tiny, "attention.self.key.weight", 1);
	w.bk = tiny_get(&tiny, "attention.self.key.bias", 1);
	for (rank = 1; rank <= HW; rank++) {
		w.rank = rank;
		assert_int_equal(damf_fuse(&w, &f, &err), 0);
		for (h = 0; h < 4; h++)
			check_head(&f, h, &w);
		damf_fused_free(&f);
	}
}

/* A head of zeros, and one whose columns depend on each other. */
static void test_fusion_singular(void **state)
{
	float w[16 * 16] = { 0 }, b[16] = { 0 };
	const struct damf_fuse_args a = { w, b, w, b, .heads = 2, .width = 16, .rank = 3,
					  .errors = true };
	struct damf_fused f;
	struct damf_error err;
	unsigned int i;

	(void)state;
	for (i = 0; i < 8 * 16; i++)	/* the first of two heads: equal rows */
		w[i] = (float)(i % 16) - 4;
	assert_int_equal(damf_fuse(&a, &f, &err), 0);
	assert_true(f.singular[0] > 1 && f.singular[1] < 1e-3f * f.singular[0]);
	for (i = 0; i < 8; i++)
		assert_true(f.singular[8 + i] == 0);
	for (i = 0; i < 12 * 16; i++)
		assert_true(isfinite(f.weight[i]));
	assert_true(f.error[0].largest < 1e-6 && f.error[1].largest == 0);
	damf_fused_free(&f);
}

static void test_report(void **state)
{
	struct damf_conversion_info info = { .size = sizeof(info) };
	struct damf_conversion_head head = { .size = sizeof(head) };
	struct damf_conversion *c;
	const struct damf_fuse_args w = {
		.heads = 4, .width = D - 1,
		.wq = tiny_get(&tiny, "attention.self.query.weight", 1),
		.bq = tiny_get(&tiny, "attention.self.query.bias", 1),
		.wk = tiny_get(&tiny, "attention.self.key.weight", 1),
		.bk = tiny_get(&tiny, "attention.self.key.bias", 1),
	};
	double a[D * D], s[D], sum = 0, rest = 0;
	struct damf_error err;
	int i;

	(void)state;
	assert_int_equal(damf_convert(fix_dir(), fix_path("reported"), NULL, &c, &err), 0);
	dense_scores(&w, 2, a, s);
	for (i = 0; i < HW; i++) {
		sum += s[i];
		rest += i ? s[i] * s[i] : 0;
	}
	assert_int_equal(damf_conversion_get_head(c, 1, 2, &head), 0);
	assert_true(fabs(head.share - s[0] / sum) < 1e-6);
	assert_true(fabs(head.l_ms - (1 - s[0] / sum)) < 1e-6);
	assert_true(fabs(head.error - sqrt(rest / (rest + s[0] * s[0]))) < 1e-6);
	assert_int_equal(head.parameters_before, 2 * HW * D);
	assert_int_equal(head.parameters_after, 2 * D);
	assert_int_equal(damf_conversion_get_head(c, 2, 0, &head), -ERANGE);
	assert_int_equal(damf_conversion_get_head(c, 0, 4, &head), -ERANGE);
	damf_conversion_get_info(c, &info);
	assert_string_equal(info.attention, "fold");
	assert_string_equal(info.form, "packed");
	assert_int_equal(info.trained, 0);
	assert_int_equal(info.parameters_before, 2 * 4 * 48 * 49);
	assert_int_equal(info.parameters_after, 2 * (2 * 48 * 49 + 8 * 49));
	damf_conversion_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fusion), cmocka_unit_test(test_fusion_singular),
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests_name("fusion", tests, tiny_setup, tiny_teardown);
}
