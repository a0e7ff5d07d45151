/* SPDX-License-Identifier: MIT */
/* Included with ISA and VW (and VEC_NEON) defined, as the kernels are. */
#include "vec_table.h"
#include "vmath.h"

INLINE vf load(const float *x, size_t i, size_t n)
{
	return i + VW <= n ? v_load(x + i) : v_load_n(x + i, n - i, 0.0f);
}

INLINE void store(float *y, size_t i, size_t n, vf v)
{
	if (i + VW <= n)
		v_store(y + i, v);
	else
		v_store_n(y + i, v, n - i);
}

#define UNARY(name, expr) \
static void each_##name(const float *x, float *y, size_t n) \
{ \
	for (size_t i = 0; i < n; i += VW) { \
		vf v = load(x, i, n); \
\
		store(y, i, n, expr); \
	} \
}

UNARY(exp, v_exp(v))
UNARY(exp_down, v_exp_down(v))
UNARY(gelu, v_gelu(v))
UNARY(tanh, v_tanh(v))
UNARY(abs, v_abs(v))
UNARY(broadcast, ((void)v, v_set1(x[0])))

#define BINARY(name, expr) \
static void each_##name(const float *a, const float *b, float *y, size_t n) \
{ \
	for (size_t i = 0; i < n; i += VW) { \
		vf v = load(a, i, n), w = load(b, i, n); \
\
		store(y, i, n, expr); \
	} \
}

BINARY(max, v_max(v, w))
BINARY(min, v_min(v, w))
BINARY(if_less, v_if_less(v, w, w, v))
BINARY(if_nan, v_if_nan(v, w, v))

static void each_select(const int32_t *m, const float *a, const float *b, float *y, size_t n)
{
	for (size_t i = 0; i < n; i += VW)
		store(y, i, n, v_select((vi)load((const float *)m, i, n), load(a, i, n),
					load(b, i, n)));
}

static void each_fma(const float *a, const float *b, const float *c, float *y, size_t n)
{
	for (size_t i = 0; i < n; i += VW)
		store(y, i, n, v_fma(load(a, i, n), load(b, i, n), load(c, i, n)));
}

#define NAME_(isa)	vec_##isa
#define NAME(isa)	NAME_(isa)
#define STRING_(isa)	#isa
#define STRING(isa)	STRING_(isa)

const struct vec_table NAME(ISA) = {
	.name = STRING(ISA),
	.unary = {
		[VEC_EXP] = each_exp, [VEC_EXP_DOWN] = each_exp_down, [VEC_GELU] = each_gelu,
		[VEC_TANH] = each_tanh,
		[VEC_ABS] = each_abs, [VEC_BROADCAST] = each_broadcast,
	},
	.max = each_max,
	.min = each_min,
	.if_less = each_if_less,
	.if_nan = each_if_nan,
	.select = each_select,
	.fma = each_fma,
};
