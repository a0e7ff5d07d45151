// SPDX-License-Identifier: MIT
/*
 * Every kernel on every instruction set and 1 to 3 threads, against the
 * definition in scalar C, to the bit.
 */
#include <errno.h>
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "isa.h"
#include "par_pool.h"

#define GUARD	256	/* bytes behind the scratch */

static const char *const isas[] = {
	"generic", "avx2", "avxvnni", "avx512", "avx512vnni", "neon",
};
#define ISAS (sizeof(isas) / sizeof(isas[0]))

static struct damf_par *pools[4];

/* of weights, beside f32 */
static const enum damf_k_type kinds[][2] = {
	{ DAMF_K_BF16 }, { DAMF_K_I8, DAMF_K_I8 }, { DAMF_K_I8, DAMF_K_I16 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Runs a problem with scratch of just the size that it asks for. */
static int run_with(const struct problem *p, const char *isa, unsigned int threads,
		    struct damf_counts *counts, atomic_uint *stop)
{
	_Atomic uint64_t progress = 0;
	struct damf_exec ex = {
		.isa = damf_isa_by_name(isa), .par = pools[threads], .counts = counts,
		.stop = stop, .progress = &progress,
	};
	size_t size = p->scratch(ex.par, p), room = (size + GUARD + 63) & ~(size_t)63;
	unsigned char *scratch = aligned_alloc(64, room);
	int rc;

	assert_non_null(scratch);
	memset(scratch, 0xff, room);	/* not a number, wherever it is read unwritten */
	ex.scratch = scratch;
	ex.scratch_size = size;
	problem_clear(p);
	rc = p->run(&ex, p);
	for (size_t i = size; i < room; i++)
		assert_int_equal(scratch[i], 0xff);
	free(scratch);
	if (!rc && p->rows)
		assert_true(progress > 0);
	return rc;
}

static void check_output(const struct problem *p, const float *want, const char *isa,
			 unsigned int threads)
{
	for (size_t r = 0; r < p->rows; r++) {
		for (size_t i = 0; i < p->ldy; i++) {
			const float *got = &p->y[r * p->ldy + i];
			const float *w = &want[r * p->ldy + i];

			if (!memcmp(got, w, sizeof(*got)))
				continue;
			if (i >= p->cols || !isnan(*got) || !isnan(*w))
				fail_msg("%s, %s, %u threads: [%zu][%zu] is %a, must be %a",
					 p->name, isa, threads, r, i, *got, *w);
		}
	}
}

static void check_counts(const struct problem *p, const struct damf_counts *got)
{
	const uint64_t *a = (const uint64_t *)got, *b = (const uint64_t *)&p->counts;

	for (size_t i = 0; i < sizeof(*got) / sizeof(*a); i++) {
		if (a[i] != b[i])
			fail_msg("%s: counter %zu is %llu, must be %llu", p->name, i,
				 (unsigned long long)a[i], (unsigned long long)b[i]);
	}
}

static float *output_copy(const struct problem *p)
{
	size_t size = p->rows * p->ldy * sizeof(float);
	float *copy = malloc(size + !size);

	assert_non_null(copy);
	return memcpy(copy, p->y, size);
}

static void by_definition(void **state)
{
	struct problem p;

	(void)state;
	for (size_t n = 0; problem_make(&p, n); n++) {
		float *want;

		problem_clear(&p);
		p.define(&p);
		want = output_copy(&p);
		for (size_t i = 0; i < ISAS; i++) {
			for (unsigned int threads = 1; threads <= 3; threads++) {
				struct damf_counts counts = { 0 };

				if (!damf_isa_by_name(isas[i]))
					continue;
				assert_int_equal(run_with(&p, isas[i], threads, &counts, NULL), 0);
				check_output(&p, want, isas[i], threads);
				check_counts(&p, &counts);
			}
		}
		free(want);
		problem_free(&p);
	}
}

/* A caller that rounds towards zero changes nothing, and gets its rounding back. */
static void any_environment(void **state)
{
	struct problem p;

	(void)state;
	for (size_t n = 0; problem_make(&p, n); n++) {
		float *want;

		if (p.rows > 500) {
			problem_free(&p);
			continue;
		}
		assert_int_equal(run_with(&p, "generic", 1, NULL, NULL), 0);
		want = output_copy(&p);
		for (size_t i = 0; i < ISAS; i++) {
			if (!damf_isa_by_name(isas[i]))
				continue;
			fesetround(FE_TOWARDZERO);
			assert_int_equal(run_with(&p, isas[i], 2, NULL, NULL), 0);
			assert_int_equal(fegetround(), FE_TOWARDZERO);
			fesetround(FE_TONEAREST);
			check_output(&p, want, isas[i], 2);
		}
		free(want);
		problem_free(&p);
	}
}

static void stop_is_obeyed(void **state)
{
	atomic_uint stop = 1;
	struct problem p;

	(void)state;
	for (size_t n = 0; problem_make(&p, n); n++) {
		struct damf_counts counts = { 0 };

		/* an empty batch may be done before the flag is looked at */
		if (p.rows && p.x_elems)
			assert_int_equal(run_with(&p, "generic", 2, &counts, &stop), -ECANCELED);
		for (size_t i = 0; i < p.rows * p.ldy; i++)
			assert_int_equal(((uint32_t *)p.y)[i], CANARY);
		problem_free(&p);
	}
}

/* Nor is an item of a long sequence and a wide head carried to its end. */
static void stop_is_seen_in_items(void **state)
{
	enum { KEYS = 24, COLS = 40, LANES = 32 };
	static float q[2 * LANES], k[2 * KEYS], v[KEYS * COLS], p[KEYS * LANES], o[LANES * COLS];
	static int32_t fixed[KEYS * 2 * LANES];
	static int64_t den[LANES], num[LANES * 2 * LANES];
	atomic_uint stop = 1;
	const struct damf_mhsa m = {
		.q = q, .k = k, .kgroup = 2 * KEYS, .v = v, .ldv = COLS, .len = KEYS, .d_qk = 2,
		.d_v = COLS, .queries = LANES, .scale = 1, .p = p, .o = o, .ldo = COLS,
		.stop = &stop,
	};
	const struct damf_shift s = {
		.p = q, .q = k, .len = KEYS, .queries = LANES, .unit = 4096, .v = fixed,
		.ldv = 2 * LANES, .den = den, .num = num, .stop = &stop,
	};

	(void)state;
	for (size_t i = 0; i < LANES; i++)
		q[i] = k[i] = 1;
	for (size_t i = 0; i < KEYS * COLS; i++)
		v[i] = 1;
	for (size_t i = 0; i < ISAS; i++) {
		const struct damf_isa *isa = damf_isa_by_name(isas[i]);

		if (!isa)
			continue;
		isa->mhsa(&m);
		isa->shift_sums(&s);
		assert_true(o[0] == 0 && den[0] == 0);
	}
}

/* A sequence alone, and behind others of which one has a NaN: the same bits. */
static void alone_as_in_batch(struct problem *p)
{
	static const int32_t alone[] = { 0, 37 };
	struct problem one = *p;
	float *want, *got;

	one.a.attention.offsets = alone;
	one.a.attention.seqs = 1;
	one.a.attention.x += 5 * p->a.attention.ldx;
	one.rows = 37;
	p->x[3] = NAN;
	p->x[70 * p->a.attention.ldx] = INFINITY;
	assert_int_equal(run_with(p, "generic", 2, NULL, NULL), 0);
	for (size_t j = 0; j < p->cols; j++)
		assert_true(isnan(p->y[j]) && isnan(p->y[4 * p->ldy + j]));
	want = output_copy(p);
	for (size_t k = 0; k < ISAS; k++) {
		if (!damf_isa_by_name(isas[k]))
			continue;
		assert_int_equal(run_with(&one, isas[k], 1, NULL, NULL), 0);
		got = output_copy(&one);
		assert_memory_equal(got, want + 5 * p->ldy, 37 * p->ldy * sizeof(*got));
		free(got);
	}
	free(want);
}

static void batch_is_invisible(void **state)
{
	static const int32_t offsets[] = { 0, 5, 5, 42, 43, 80 };
	static const struct attention_shape shapes[] = {
		{ ALL_MHSA, 40, 3, 9, 14, 35, true }, { ALL_FOLD, 40, 3, 9, 14, 35, true },
		{ MIXED, 40, 5, 9, 14, 35, true },
	};

	(void)state;
	for (size_t i = 0; i <= KINDS; i++) {
		bool there = true;

		for (size_t k = 0; there; k++) {
			struct problem p;

			if (i)
				problem_kind(kinds[i - 1][0], kinds[i - 1][1]);
			if (k < 3)
				problem_attention(&p, &shapes[k], offsets, 5);
			else
				there = problem_table(&p, k - 3, offsets, 5);
			problem_kind(DAMF_K_F32, 0);
			if (!there)
				break;
			alone_as_in_batch(&p);
			problem_free(&p);
		}
	}
}

static void check_defined(const struct problem *p, unsigned int threads)
{
	float *want;

	problem_clear(p);
	p->define(p);
	want = output_copy(p);
	for (size_t i = 0; i < ISAS; i++) {
		if (!damf_isa_by_name(isas[i]))
			continue;
		assert_int_equal(run_with(p, isas[i], threads, NULL, NULL), 0);
		check_output(p, want, isas[i], threads);
	}
	free(want);
}

/* Few rows, few panels, a short k, and what is just beyond. */
static void thin_products(void **state)
{
	static const size_t ins[] = { 1, 63, 64, 65, 128, 129, 200 };
	static const size_t outs[] = { 31, 32, 33, 64, 65, 97, 160 };

	(void)state;
	for (size_t i = 0; i < 7 * 7; i++) {
		for (size_t rows = 1; rows <= 14; rows += rows < 5 ? 1 : 8) {
			struct problem p;

			problem_linear(&p, rows, ins[i % 7], outs[i / 7],
				       i % 3 ? DAMF_K_NONE : DAMF_K_GELU, i & 1, i % 5 == 4);
			check_defined(&p, 1);
			problem_free(&p);
		}
	}
}

/* More of everything than is worked on at once: keys, columns of V, tokens, terms. */
static void blocks_of_attention(void **state)
{
	static const int32_t offsets[] = { 0, 1, 131, 431, 431, 463 };
	static const struct attention_shape shapes[] = {
		{ ALL_MHSA, 37, 2, 17, 150, 33, true }, { ALL_FOLD, 100, 16, 1, 3, 40, true },
		{ MIXED, 64, 4, 2, 32, 35, false },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct problem p;

		problem_attention(&p, &shapes[i / 2], offsets, 5);
		if (i & 1) { /* in sequences that have others beside them */
			p.x[3 * p.a.attention.ldx] = NAN;
			p.x[440 * p.a.attention.ldx] = -INFINITY;
		}
		check_defined(&p, 1 + (unsigned int)i % 3);
		problem_free(&p);
	}
}

/* Numbers of all magnitudes, where sums cancel and results are subnormal. */
static void wild_numbers(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		struct problem p;
		float *want;

		problem_linear(&p, 3, 29, 37, round % 3, true, round & 1);
		for (size_t i = 0; i < p.x_elems; i++) {
			/* exponents of a narrow range, at any place */
			uint32_t base = round * 12 + 1, bits = random_u32();

			bits = (bits & 0x807fffff) | (base + bits % 11) << 23;
			memcpy(&p.x[i], &bits, sizeof(bits));
		}
		problem_clear(&p);
		p.define(&p);
		want = output_copy(&p);
		for (size_t i = 0; i < ISAS; i++) {
			if (!damf_isa_by_name(isas[i]))
				continue;
			assert_int_equal(run_with(&p, isas[i], 1, NULL, NULL), 0);
			check_output(&p, want, isas[i], 1);
		}
		free(want);
		problem_free(&p);
	}
}

enum { ZEROS, NOT_A_NUMBER, INFINITE, TOO_SMALL, SMALLEST, TIES, LARGEST, MINUS_ZEROS, TINY, ODD };

static float odd_number(size_t row, size_t k)
{
	float sign = random_u32() & 1 ? -1.0f : 1.0f;

	switch (row) {
	case ZEROS:
		return 0.0f;
	case NOT_A_NUMBER:
		return k == 5 ? NAN : random_f32();
	case INFINITE:
		return k == 6 ? -INFINITY : random_f32();
	case TOO_SMALL:
		return sign * 0x1.fffffep-101f;
	case SMALLEST:
		return k == 7 ? -0x1p-100f : random_f32() * 0x1p-100f;
	case TIES:
		return k == 8 ? 127.0f : sign * ((float)(random_u32() % 126) + 0.5f);
	case LARGEST:
		return k % 3 ? sign * 0x1.fffffep127f : random_f32() * 0x1p127f;
	case MINUS_ZEROS:
		return -0.0f;
	default:
		return sign * 0x1p-149f;
	}
}

/* Rows that have no integers, and those whose integers are at an edge. */
static void odd_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct problem p;
		size_t in = 29;

		problem_kind(kinds[i][0], kinds[i][1]);
		problem_linear(&p, ODD, in, 33, DAMF_K_NONE, true, false);
		problem_kind(DAMF_K_F32, 0);
		for (size_t r = 0; r < ODD; r++) {
			for (size_t k = 0; k < in; k++)
				p.x[r * p.a.linear.ldx + k] = odd_number(r, k);
		}
		check_defined(&p, 1);
		/* a row's trouble is its own, and all of it */
		for (size_t j = 0; j < p.cols; j++) {
			assert_true(isnan(p.y[NOT_A_NUMBER * p.ldy + j]));
			if (p.a.linear.w.type == DAMF_K_I8)
				assert_true(isnan(p.y[INFINITE * p.ldy + j]));
			for (size_t r = TOO_SMALL; r < ODD; r++)
				assert_false(isnan(p.y[r * p.ldy + j]) && r != LARGEST);
			if (p.a.linear.w.type == DAMF_K_I8)
				assert_true(p.y[TOO_SMALL * p.ldy + j] == p.a.linear.bias[j]);
		}
		problem_free(&p);
	}
}

/* More rows, panels and k than are worked on at once, of every type of weight. */
static void cut_products(void **state)
{
	static const struct {
		size_t rows, in, out;
		enum damf_k_act act;
		bool residual;
	} shapes[] = {
		{ 97, 800, 400, DAMF_K_NONE, false }, { 3, 1537, 37, DAMF_K_GELU, true },
		{ 100, 6001, 5, DAMF_K_NONE, true }, { 4, 20, 1600, DAMF_K_NONE, false },
		{ 26, 768, 64, DAMF_K_TANH, false },
	};

	(void)state;
	for (size_t i = 0; i < 5 * (KINDS + 1); i++) {
		size_t n = i / (KINDS + 1), type = i % (KINDS + 1);
		struct problem p;

		if (type)
			problem_kind(kinds[type - 1][0], kinds[type - 1][1]);
		problem_linear(&p, shapes[n].rows, shapes[n].in, shapes[n].out, shapes[n].act,
			       n != 3, shapes[n].residual);
		problem_kind(DAMF_K_F32, 0);
		check_defined(&p, 1 + (unsigned int)(i & 1));
		problem_free(&p);
	}
}

/* The widest sum there is of the largest integers: nothing overflows, for -128 too. */
static void largest_sums(void **state)
{
	static const size_t shapes[][2] = { { 16384, 3 }, { 16381, 1 }, { 513, 33 }, { 512, 32 } };

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		size_t in = shapes[i / 2][0], out = shapes[i / 2][1];
		struct problem p;
		int8_t *w;
		float *scales;

		problem_kind(DAMF_K_I8, i & 1 ? DAMF_K_I16 : DAMF_K_I8);
		problem_linear(&p, 4, in, out, DAMF_K_NONE, false, false);
		problem_kind(DAMF_K_F32, 0);
		w = (int8_t *)p.a.linear.w.data;
		scales = (float *)p.a.linear.w.scales;
		for (size_t k = 0; k < damf_packed_size(DAMF_K_I8, in, out); k++)
			w[k] = k % 128 < 4 ? -128 : 127;
		scales[out - 1] = out > 1 ? 0x1.fffffep127f : 1.0f;
		for (size_t k = 0; k < 4 * p.a.linear.ldx - 1; k++)
			p.x[k] = k / p.a.linear.ldx == 1 ? -3.0f : k / p.a.linear.ldx == 2 ?
				 (k & 1 ? 3.0f : -3.0f) : 3.0f;
		check_defined(&p, 1);
		if (in == 16384 && !(i & 1)) {
			float s = 3.0f / 127.0f * scales[1];

			assert_true(p.y[1] == fmaf(127.0f * 127.0f * 16384.0f, s, 0.0f));
			s = 3.0f / 127.0f * scales[0];
			assert_true(p.y[p.ldy] == fmaf(127.0f * 128.0f * 16384.0f, s, 0.0f));
		}
		problem_free(&p);
	}
}

static int make_pools(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < 4; i++)
		pools[i] = i == 1 ? NULL : damf_pool_new(i);
	return pools[2] && pools[3] ? 0 : -1;
}

static int free_pools(void **state)
{
	(void)state;
	for (unsigned int i = 1; i < 4; i++)
		damf_pool_free(pools[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_definition), cmocka_unit_test(any_environment),
		cmocka_unit_test(stop_is_obeyed), cmocka_unit_test(stop_is_seen_in_items),
		cmocka_unit_test(batch_is_invisible),
		cmocka_unit_test(thin_products), cmocka_unit_test(blocks_of_attention),
		cmocka_unit_test(wild_numbers), cmocka_unit_test(odd_rows),
		cmocka_unit_test(largest_sums), cmocka_unit_test(cut_products),
	};

	return cmocka_run_group_tests_name("kernels", tests, make_pools, free_pools);
}
