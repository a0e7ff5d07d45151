/* SPDX-License-Identifier: MIT */
/*
 * All kernels, for the instruction set of the file that includes this. It
 * says, before: ISA (the suffix), VW (lanes of a register), MR and NV (rows
 * and registers of a tile), QR and QV (the same of integers), ISA_FOUND (why
 * it is there).
 */
#include "attend.h"
#include "shift.h"
#include "weights.h"

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
	.softfold = softfold,
	.range = row_range,
	.band = band,
	.sink = sink,
	.largest = largest,
	.fixed_row = fixed_row,
	.shift_sums = shift_sums,
	.shift_out = shift_out,
	.shift_prepare = shift_prepare,
	.shift_token_sums = shift_token_sums,
	.shift_mix = shift_mix,
	.mean = mean_row,
	.norm = norm_row,
	.add = add_rows,
	.add_table = add_table,
	.normalize = normalize_row,
	.softmax = softmax_row,
};
