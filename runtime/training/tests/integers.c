// SPDX-License-Identifier: MIT
/*
 * Integers of heads in powers of two, as libdamf makes them, for another
 * implementation to be held against.
 *
 * usage: integers shift|foldshift LEN COLS ORDER CENTRED SCALE G C0 .. C4
 *
 * stdin, as f32: p[LEN] q[LEN] x[LEN][COLS], and for foldshift z[ORDER+1][COLS];
 * x is V for shift. stdout, a line of integers for each name:
 *   shift		fixed sum den num
 *   foldshift	a b right sigma sums fixed z out
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "damf_kernels.h"
#include "integers.h"
#include "isa.h"

#define PANEL 32

struct input {
	size_t len, cols, order;
	bool centred, scale, folded;
	float g, c[DAMF_MAX_POWER + 1];
	float *p, *q, *x, *z;
};

static void die(const char *message)
{
	fprintf(stderr, "integers: %s\n", message);
	exit(1);
}

static void *room(size_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		die("out of memory");
	return p;
}

static float *read_floats(size_t n)
{
	float *x = room(n, sizeof(*x));

	if (fread(x, sizeof(*x), n, stdin) != n)
		die("input ends early");
	return x;
}

static size_t number(const char *text, size_t most)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || end == text || n > most)
		die("a number is out of range");
	return n;
}

static struct input read_input(char **arg)
{
	struct input in = { .folded = !strcmp(arg[0], "foldshift") };

	in.len = number(arg[1], 32768);
	in.cols = number(arg[2], PANEL);
	in.order = number(arg[3], DAMF_MAX_POWER);
	in.centred = number(arg[4], 1);
	in.scale = number(arg[5], 1);
	in.g = strtof(arg[6], NULL);
	for (int k = 0; k <= DAMF_MAX_POWER; k++)
		in.c[k] = strtof(arg[7 + k], NULL);
	in.p = read_floats(in.len);
	in.q = read_floats(in.len);
	in.x = read_floats(in.len * in.cols);
	in.z = in.folded ? read_floats((in.order + 1) * in.cols) : NULL;
	return in;
}

static void show32(const char *name, const int32_t *x, size_t ld, size_t rows, size_t cols)
{
	printf("%s", name);
	for (size_t i = 0; i < rows * cols; i++)
		printf(" %" PRId32, x[i / cols * ld + i % cols]);
	putchar('\n');
}

static void show64(const char *name, const int64_t *x, size_t ld, size_t rows, size_t cols)
{
	printf("%s", name);
	for (size_t i = 0; i < rows * cols; i++)
		printf(" %" PRId64, x[i / cols * ld + i % cols]);
	putchar('\n');
}

static struct damf_fixed fixed_of(const struct damf_isa *isa, const float *x, size_t cols,
				  size_t rows, int bits)
{
	struct damf_fixed f = damf_fixed_of(isa->largest(x, cols, rows, cols), bits);

	if (!f.finite)
		die("input isn't finite");
	return f;
}

/* Sums over the keys, without what all queries have in common. */
static void shift(const struct input *in, const struct damf_isa *isa)
{
	struct damf_shift_head h = {
		.p = in->p, .q = in->q, .len = in->len, .d_v = in->cols, .v = in->x,
		.ldv = in->cols, .ldf = PANEL, .fixed = room(in->len * PANEL, 4),
		.sum = room(in->cols, 8),
	};
	int64_t *scratch = room(PANEL * (1 + PANEL), 8), *den = room(in->len, 8);
	int64_t *num = room(in->len * in->cols, 8);
	float *o = room(PANEL * in->cols, 4);

	damf_shift_begin(isa, &h);
	for (size_t m = 0, n; m < in->len; m += n) {
		n = in->len - m < PANEL ? in->len - m : PANEL;
		damf_shift_queries(isa, &h, m, n, scratch, o, in->cols);
		memcpy(den + m, scratch, n * sizeof(*den));
		for (size_t i = 0; i < n; i++)
			memcpy(num + (m + i) * in->cols, scratch + PANEL + i * PANEL,
			       in->cols * sizeof(*num));
	}
	printf("exponent %d\n", h.scale.exponent);
	show32("fixed", h.fixed, PANEL, in->len, in->cols);
	show64("sum", h.sum, in->cols, 1, in->cols);
	show64("den", den, 1, in->len, 1);
	show64("num", num, in->cols, in->len, in->cols);
	free(scratch);
	free(den);
	free(num);
	free(o);
	free(h.fixed);
	free(h.sum);
}

/* Coefficients of X, and of Z, and by what a query's sum is shifted. */
static struct damf_foldshift coefficients(const struct input *in, const struct damf_isa *isa)
{
	struct damf_shift_scores s = {
		.p = in->p, .q = in->q, .len = in->len, .g = in->g, .centred = in->centred,
		.p_hat = room(in->len, 4), .q_prime = room(in->len, 4),
	};
	size_t terms = in->order + 1;
	struct damf_foldshift f = {
		.p = s.p_hat, .q = s.q_prime, .len = in->len, .order = in->order, .c = in->c,
		.centred = in->centred, .scale = in->scale, .lda = terms, .ldb = terms, .ldr = 1,
		.b = room(in->len * terms, 4), .right = room(in->len, 4),
	};
	int32_t *a = room(in->len * terms, 4);

	for (size_t n = 0; n < in->len; n++)
		a[n * terms] = 1;
	f.a = a + 1;
	isa->shift_prepare(&s);
	if (!damf_foldshift_begin(isa, &f))
		die("scores aren't finite");
	free(s.p_hat);
	free(s.q_prime);
	f.p = f.q = NULL;
	return f;
}

static void mix(const struct input *in, const struct damf_isa *isa, const struct damf_foldshift *f)
{
	size_t terms = in->order + 1;
	struct damf_fixed fz = fixed_of(isa, in->z, in->cols, terms, DAMF_FIXED_Z);
	const uint8_t count = (uint8_t)terms;
	int32_t *panel = room(terms * PANEL, 4), *z = (int32_t *)(void *)in->z;
	const struct damf_shift_mix m = {
		.tokens = in->len, .heads = 1, .terms = &count, .b = f->b, .ldb = terms,
		.right = f->right, .ldr = 1, .z = panel, .ldz = PANEL,
		.out = room(in->len * PANEL, 8),
	};

	damf_fixed_z(&fz, in->z, terms * in->cols);
	for (size_t k = 0; k < terms; k++)
		memcpy(panel + k * PANEL, z + k * in->cols, in->cols * sizeof(*z));
	isa->shift_mix(&m);
	printf("zexponent %d\n", fz.exponent);
	show32("z", panel, PANEL, terms, in->cols);
	show64("out", m.out, PANEL, in->len, in->cols);
	free(panel);
	free(m.out);
}

static void foldshift(const struct input *in, const struct damf_isa *isa)
{
	struct damf_foldshift f = coefficients(in, isa);
	struct damf_fixed fx = fixed_of(isa, in->x, in->cols, in->len, DAMF_FIXED_X);
	size_t terms = in->order + 1;
	const struct damf_shift_sums sums = {
		.x = in->x, .ldx = in->cols, .len = in->len, .width = in->cols,
		.to = (float)fx.to, .a = f.a - 1, .na = terms, .out = room(terms * PANEL, 8),
	};

	isa->shift_token_sums(&sums, 0);
	printf("exponent %d\n", fx.exponent);
	show32("a", f.a - 1, terms, in->len, terms);
	show32("b", f.b, terms, in->len, terms);
	show32("right", f.right, 1, in->len, 1);
	show64("sigma", f.sigma, terms, 1, terms);
	show64("sums", sums.out, PANEL, terms, in->cols);
	mix(in, isa, &f);
	free(f.a - 1);
	free(f.b);
	free(f.right);
	free(sums.out);
}

int main(int argc, char **argv)
{
	char text[256];
	const struct damf_isa *isa = damf_isa_get(text, sizeof(text));
	struct input in;

	if (argc != 13 || (strcmp(argv[1], "shift") && strcmp(argv[1], "foldshift")))
		die("usage: integers shift|foldshift LEN COLS ORDER CENTRED SCALE G C0 .. C4");
	if (!isa)
		die(text);
	in = read_input(argv + 1);
	if (in.folded)
		foldshift(&in, isa);
	else
		shift(&in, isa);
	free(in.p);
	free(in.q);
	free(in.x);
	free(in.z);
	return 0;
}
