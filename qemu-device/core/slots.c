// SPDX-License-Identifier: MIT
/* The tensors and parameters of every opcode, as the specification has them. */
#include "work.h"

#define F32(slot_, name_, rows_, cols_, flags_) { \
	.slot = DAMF_T_##slot_, .name = name_, .type = DAMF_TYPE_F32, \
	.layout = DAMF_LAYOUT_ROWS, .rows = DAMF_SYM_##rows_, .cols = DAMF_SYM_##cols_, \
	.flags = flags_ }
#define PACKED(slot_, name_, rows_, cols_, flags_) { \
	.slot = DAMF_T_##slot_, .name = name_, .type = DAMF_TYPE_F32, \
	.layout = DAMF_LAYOUT_PANEL32, .rows = DAMF_SYM_##rows_, .cols = DAMF_SYM_##cols_, \
	.flags = DAMF_SLOT_WEIGHT | (flags_) }
#define BIAS(slot_, of_, name_, cols_) { \
	.slot = DAMF_T_##slot_, .name = name_, .type = DAMF_TYPE_F32, \
	.layout = DAMF_LAYOUT_ROWS, .rows = DAMF_SYM_1, .cols = DAMF_SYM_##cols_, \
	.flags = DAMF_SLOT_OPTIONAL, .needs = 1 + DAMF_T_##of_ }
#define TABLE(slot_, name_, rows_, flags_) { \
	.slot = DAMF_T_##slot_, .name = name_, .type = DAMF_TYPE_I32, \
	.layout = DAMF_LAYOUT_ROWS, .rows = DAMF_SYM_##rows_, .cols = DAMF_SYM_1, \
	.flags = DAMF_SLOT_TABLE | (flags_) }
#define OTHER(slot_, name_, type_, rows_, cols_, flags_) { \
	.slot = DAMF_T_##slot_, .name = name_, .type = DAMF_TYPE_##type_, \
	.layout = DAMF_LAYOUT_ROWS, .rows = DAMF_SYM_##rows_, .cols = DAMF_SYM_##cols_, \
	.flags = flags_ }
#define END { .name = NULL }

#define OUT DAMF_SLOT_OUT
#define OPT DAMF_SLOT_OPTIONAL

static const struct damf_slot_rule nop_slots[] = { END };

static const struct damf_slot_rule copy_slots[] = {
	OTHER(X, "X", BYTES, R, C, DAMF_SLOT_ALIGN1),
	OTHER(Y, "Y", BYTES, R, C, OUT | DAMF_SLOT_ALIGN1),
	END
};

static const struct damf_slot_rule fill_slots[] = {
	OTHER(Y, "Y", I32, R, C, OUT | DAMF_SLOT_TABLE),
	END
};

static const struct damf_slot_rule counters_slots[] = {
	OTHER(Y, "Y", BYTES, 1, 128, OUT | DAMF_SLOT_ALIGN8),
	END
};

static const struct damf_slot_rule embed_slots[] = {
	TABLE(X, "ids", T, 0),
	F32(Y, "Y", T, D, OUT),
	TABLE(OFFSETS, "offsets", B1, 0),
	TABLE(R, "type ids", T, OPT),
	F32(GAMMA, "gamma", 1, D, 0),
	F32(BETA, "beta", 1, D, 0),
	F32(W, "word table", V, D, DAMF_SLOT_WEIGHT),
	F32(B, "position table", V2, D, DAMF_SLOT_WEIGHT),
	F32(W2, "type table", V3, D, DAMF_SLOT_WEIGHT),
	END
};

static const struct damf_slot_rule linear_slots[] = {
	F32(X, "X", T, K, 0),
	F32(Y, "Y", T, N, OUT),
	F32(R, "R", T, N, OPT),
	PACKED(W, "W", K, N, 0),
	BIAS(B, W, "B", N),
	END
};

static const struct damf_slot_rule ffn_slots[] = {
	F32(X, "X", T, D, 0),
	F32(Y, "Y", T, N, OUT),
	PACKED(W, "W", D, K, 0),
	F32(B, "B", 1, K, 0),
	PACKED(W2, "W2", K, N, 0),
	F32(B2, "B2", 1, N, 0),
	END
};

static const struct damf_slot_rule add_norm_slots[] = {
	F32(X, "X", T, D, 0),
	F32(Y, "Y", T, D, OUT),
	F32(R, "R", T, D, OPT),
	F32(GAMMA, "gamma", 1, D, 0),
	F32(BETA, "beta", 1, D, 0),
	END
};

static const struct damf_slot_rule attention_slots[] = {
	F32(X, "X", T, D, 0),
	F32(Y, "Y", T, D, OUT),
	TABLE(OFFSETS, "offsets", B1, 0),
	OTHER(HEADS, "heads", BYTES, H, 128, DAMF_SLOT_TABLE),
	PACKED(WQ, "WQ", D, K, OPT),
	BIAS(BQ, WQ, "BQ", K),
	PACKED(WK, "WK", D, K, OPT),
	BIAS(BK, WK, "BK", K),
	PACKED(WV, "WV", D, N, 0),
	BIAS(BV, WV, "BV", N),
	PACKED(WO, "WO", N, D, 0),
	BIAS(BO, WO, "BO", D),
	PACKED(WPQ, "WPQ", D, PQ, OPT),
	BIAS(BPQ, WPQ, "BPQ", PQ),
	END
};

static const struct damf_slot_rule pool_slots[] = {
	F32(X, "X", T, D, 0),
	F32(Y, "Y", B, D, OUT),
	TABLE(OFFSETS, "offsets", B1, 0),
	END
};

static const struct damf_slot_rule rows_slots[] = {
	F32(X, "X", T, D, 0),
	F32(Y, "Y", T, D, OUT),
	END
};

#define PARAM(p) (1u << DAMF_P_##p)

static const struct damf_op_rule rules[] = {
	[DAMF_OP_NOP] = { "nop", 0, nop_slots },
	[DAMF_OP_COPY] = { "copy", 0, copy_slots },
	[DAMF_OP_FILL] = { "fill", PARAM(PATTERN), fill_slots },
	[DAMF_OP_COUNTERS] = { "counters", 0, counters_slots },
	[DAMF_OP_EMBED] = { "embed", PARAM(EPS), embed_slots },
	[DAMF_OP_LINEAR] = { "linear", PARAM(ACT) | PARAM(XTYPE), linear_slots },
	[DAMF_OP_FFN] = { "ffn", PARAM(XTYPE), ffn_slots },
	[DAMF_OP_ADD_NORM] = { "add-norm", PARAM(EPS), add_norm_slots },
	[DAMF_OP_ATTENTION] = { "attention", PARAM(XTYPE), attention_slots },
	[DAMF_OP_POOL] = { "pool", PARAM(POOL), pool_slots },
	[DAMF_OP_NORMALIZE] = { "normalize", PARAM(EPS), rows_slots },
	[DAMF_OP_SOFTMAX] = { "softmax", 0, rows_slots },
};

const struct damf_op_rule *damf_op_rule(unsigned int opcode)
{
	return opcode <= DAMF_OP_LAST ? &rules[opcode] : NULL;
}
