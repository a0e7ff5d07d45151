// SPDX-License-Identifier: MIT
/* Rank correlation and cosine against published and hand-made values. */
#include <math.h>

#include "../../runtime/tools/cli.h"
#include "model_fixture.h"

/* The example of Wikipedia's article: IQ and hours of television, -29/165. */
static void test_published(void **state)
{
	const double iq[] = { 106, 100, 86, 101, 99, 103, 97, 113, 112, 110 };
	const double tv[] = { 7, 27, 2, 50, 28, 29, 20, 12, 6, 17 };
	double rho;

	(void)state;
	assert_int_equal(cli_spearman(iq, tv, 10, &rho), 0);
	assert_true(fabs(rho + 29.0 / 165.0) < 1e-15);
}

/* Ranks 1 2.5 2.5 4 and 1 3 2 4: 4.5 / sqrt(4.5 * 5). */
static void test_ties(void **state)
{
	const double x[] = { 1, 2, 2, 3 }, y[] = { 10, 30, 20, 40 };
	double rho;

	(void)state;
	assert_int_equal(cli_spearman(x, y, 4, &rho), 0);
	assert_true(fabs(rho - 4.5 / sqrt(22.5)) < 1e-15);
}

static void test_ends(void **state)
{
	const double up[] = { 1, 2, 3, 4 }, curve[] = { 1, 10, 100, 1e9 };
	const double down[] = { 4, 3, 2, 1 }, flat[] = { 2, 2, 2, 2 };
	double rho;

	(void)state;
	assert_int_equal(cli_spearman(up, curve, 4, &rho), 0);
	assert_true(fabs(rho - 1) < 1e-15);
	assert_int_equal(cli_spearman(up, down, 4, &rho), 0);
	assert_true(fabs(rho + 1) < 1e-15);
	assert_int_equal(cli_spearman(up, flat, 4, &rho), 0);
	assert_true(isnan(rho));
	assert_int_equal(cli_spearman(up, down, 1, &rho), 0);
	assert_true(isnan(rho));
	assert_int_equal(cli_spearman(up, down, 0, &rho), 0);
	assert_true(isnan(rho));
}

static void test_cosine(void **state)
{
	const float a[] = { 3, 4 }, b[] = { 4, 3 }, zero[] = { 0, 0 };

	(void)state;
	assert_true(fabs(cli_cosine(a, b, 2) - 24.0 / 25.0) < 1e-15);
	assert_true(cli_cosine(a, zero, 2) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published), cmocka_unit_test(test_ties),
		cmocka_unit_test(test_ends), cmocka_unit_test(test_cosine),
	};

	return cmocka_run_group_tests_name("spearman", tests, NULL, fix_teardown);
}
