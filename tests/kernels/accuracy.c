// SPDX-License-Identifier: MIT
/*
 * exp, GELU and tanh over all 2^32 arguments: the error against double, and
 * whether every instruction set gives the same bits.
 *
 * usage: accuracy [exp|gelu|tanh]...
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vec_table.h"

#define BLOCK	(1u << 16)

static double ref_gelu(double x)
{
	return isinf(x) && x < 0 ? 0.0 : x * 0.5 * erfc(-x * M_SQRT1_2);
}

static const struct function {
	const char *name;
	enum vec_unary op;
	double (*ref)(double x);
} functions[] = {
	{ "exp", VEC_EXP, exp }, { "gelu", VEC_GELU, ref_gelu }, { "tanh", VEC_TANH, tanh },
};

struct worst {
	double ulp, sum;	/* largest error and the sum of all, where results are normal */
	float at;
	uint64_t normal;
	double tiny;		/* largest error where they are not, in units of 2^-126 */
	float tiny_at;
	uint64_t above[3];	/* errors above 0.5, 1 and 2 units in the last place */
};

static float from_bits(uint32_t u)
{
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

static void judge(struct worst *w, float x, float got, double want)
{
	double error = fabs(got - want);
	int e;

	if (isnan(x) || isinf(want) || fabs(want) > (double)0x1.ffffffp+127) {
		if (isnan(x) ? !isnan(got) : !isinf(got) || (got > 0) != (want > 0)) {
			printf("%a gives %a\n", x, got);
			exit(1);
		}
		return;
	}
	if (fabs(want) < 0x1p-126) {
		if (error * 0x1p126 > w->tiny) {
			w->tiny = error * 0x1p126;
			w->tiny_at = x;
		}
		return;
	}
	frexp(want, &e);
	error = ldexp(error, 24 - e);
	w->normal++;
	w->sum += error;
	for (int i = 0; i < 3; i++)
		w->above[i] += error > (double)(1 << i) / 2.0;
	if (error > w->ulp) {
		w->ulp = error;
		w->at = x;
	}
}

/* Bits are the same, or both are not a number. */
static void compare(const struct function *f, const char *name, const float *x, const float *a,
		    const float *b)
{
	if (!memcmp(a, b, BLOCK * sizeof(*a)))
		return;
	for (size_t i = 0; i < BLOCK; i++) {
		if (memcmp(&a[i], &b[i], sizeof(*a)) && !(isnan(a[i]) && isnan(b[i]))) {
			printf("%s(%a) is %a on %s, else %a\n", f->name, x[i], b[i], name, a[i]);
			exit(1);
		}
	}
}

static void run(const struct function *f)
{
	static float x[BLOCK], y[BLOCK], z[BLOCK];
	const struct vec_table *t[4];
	size_t n = vec_tables(t, 4);
	struct worst w = { 0 };

	for (uint64_t first = 0; first < 1ull << 32; first += BLOCK) {
		for (uint32_t i = 0; i < BLOCK; i++)
			x[i] = from_bits((uint32_t)first + i);
		t[n - 1]->unary[f->op](x, y, BLOCK);
		for (size_t k = 0; k + 1 < n; k++) {
			t[k]->unary[f->op](x, z, BLOCK);
			compare(f, t[k]->name, x, y, z);
		}
		for (uint32_t i = 0; i < BLOCK; i++)
			judge(&w, x[i], y[i], f->ref(x[i]));
	}
	printf("%-5s max %.4f ulp at %a, mean %.4f; above 0.5 ulp %.3g%%, 1 ulp %.3g%%, "
	       "2 ulp %.3g%%; results below 2^-126: off by up to %.4g x 2^-126 at %a; same bits on",
	       f->name, w.ulp, w.at, w.sum / (double)w.normal,
	       100.0 * (double)w.above[0] / (double)w.normal,
	       100.0 * (double)w.above[1] / (double)w.normal,
	       100.0 * (double)w.above[2] / (double)w.normal, w.tiny, w.tiny_at);
	for (size_t k = 0; k < n; k++)
		printf(" %s", t[k]->name);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		int asked = argc < 2;

		for (int k = 1; k < argc; k++)
			asked |= !strcmp(argv[k], functions[i].name);
		if (asked)
			run(&functions[i]);
	}
	return 0;
}
