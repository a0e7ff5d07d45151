/* SPDX-License-Identifier: MIT */
/*
 * All kernels, for the instruction set of the file that includes this. It
 * says, before: ISA (the suffix), VW (lanes of a register), MR and NV (rows
 * and registers of a tile), ISA_FOUND (why it is there).
 */
#include "attend.h"

#define ELEMENTWISE(name, expr) \
static void each_##name(const float *x, float *y, size_t n) \
{ \
	for (size_t i = 0; i < n; i += VW) { \
		vf v = row_load(x, i, n, 0.0f); \
\
		row_store(y, i, n, expr); \
	} \
}

ELEMENTWISE(exp, v_exp(v))
ELEMENTWISE(gelu, v_gelu(v))
ELEMENTWISE(tanh, v_tanh(v))
ELEMENTWISE(sqrt, v_sqrt(v))

static void each_fma(const float *a, const float *b, const float *c, float *y, size_t n)
{
	for (size_t i = 0; i < n; i += VW)
		row_store(y, i, n, v_fma(row_load(a, i, n, 0.0f), row_load(b, i, n, 0.0f),
					 row_load(c, i, n, 0.0f)));
}

#define NAME_(isa)	damf_isa_##isa
#define NAME(isa)	NAME_(isa)
#define STRING_(isa)	#isa
#define STRING(isa)	STRING_(isa)

const struct damf_isa NAME(ISA) = {
	.name = STRING(ISA),
	.found = ISA_FOUND,
	.gemm = gemm,
	.mhsa = mhsa,
	.sums = sums,
	.fold = fold,
	.mean = mean_row,
	.norm = norm_row,
	.add = add_rows,
	.normalize = normalize_row,
	.softmax = softmax_row,
	.exp = each_exp,
	.gelu = each_gelu,
	.tanh = each_tanh,
	.sqrt = each_sqrt,
	.fma = each_fma,
};
