// SPDX-License-Identifier: MIT
/* Runs a checked job on the kernels. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "work.h"

#define PTR(slot)	(w->view[DAMF_T_##slot].ptr)
#define MAT(slot)	(mat_of(w, DAMF_T_##slot))
#define LD(slot)	(ld_of(w, DAMF_T_##slot))
#define ROWS(slot)	((size_t)w->t[DAMF_T_##slot].rows)
#define COLS(slot)	((size_t)w->t[DAMF_T_##slot].cols)

#define ALIKE(name)	((unsigned int)DAMF_K_##name == (unsigned int)DAMF_TYPE_##name)
_Static_assert(ALIKE(F32) && ALIKE(BF16) && ALIKE(I8) && ALIKE(I16), "types are numbered alike");

/* Bytes that copy and fill move between two looks at the stop flag. */
#define TILE_BYTES (1u << 20)

static struct damf_mat mat_of(const struct damf_work *w, unsigned int slot)
{
	return (struct damf_mat) {
		.data = w->view[slot].ptr, .scales = w->scales[slot],
		.type = (enum damf_k_type)w->t[slot].type,
		.xtype = (enum damf_k_type)le32toh(w->job.param[DAMF_P_XTYPE]),
	};
}

/* Elements from row to row. */
static size_t ld_of(const struct damf_work *w, unsigned int slot)
{
	return w->t[slot].used ? (size_t)(w->view[slot].stride / w->t[slot].elem) : 0;
}

static float param_f32(const struct damf_work *w, unsigned int n)
{
	uint32_t bits = le32toh(w->job.param[n]);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* ---- Views and arguments ------------------------------------------------- */

static int open_embed(struct damf_work *w, struct damf_fail *fail)
{
	if (damf_view_open(w, DAMF_T_Y, true, fail) ||
	    damf_view_open(w, DAMF_T_GAMMA, false, fail) ||
	    damf_view_open(w, DAMF_T_BETA, false, fail) ||
	    damf_view_open_rows(w, DAMF_T_W, w->ids, ROWS(X), fail) ||
	    damf_view_open_rows(w, DAMF_T_B, NULL, w->longest, fail))
		return -1;
	return damf_view_open_rows(w, DAMF_T_W2, w->types, w->types ? ROWS(X) : 1, fail);
}

static int open_slots(struct damf_work *w, struct damf_fail *fail)
{
	const struct damf_slot_rule *rule;

	if (w->opcode == DAMF_OP_EMBED)
		return open_embed(w, fail);
	for (rule = damf_op_rule(w->opcode)->slots; rule->name; rule++) {
		bool out = rule->flags & DAMF_SLOT_OUT;

		/* tables have been read by now */
		if ((rule->flags & DAMF_SLOT_TABLE) && !out)
			continue;
		if (damf_view_open(w, rule->slot, out, fail))
			return -1;
	}
	return 0;
}

static void attention_args(struct damf_work *w)
{
	w->attention = (struct damf_attention_args) {
		.x = PTR(X), .ldx = LD(X), .offsets = w->offsets, .seqs = ROWS(OFFSETS) - 1,
		.width = COLS(X), .out = COLS(Y), .heads = w->heads, .nheads = ROWS(HEADS),
		.nqk = COLS(WQ), .nv = COLS(WV), .npq = COLS(WPQ),
		.wq = MAT(WQ), .bq = PTR(BQ), .wk = MAT(WK), .bk = PTR(BK),
		.wv = MAT(WV), .bv = PTR(BV), .wo = MAT(WO), .bo = PTR(BO),
		.wpq = MAT(WPQ), .bpq = PTR(BPQ), .y = PTR(Y), .ldy = LD(Y),
		.scratchpad = w->cfg->scratchpad,
	};
}

static void ffn_args(struct damf_work *w)
{
	w->ffn = (struct damf_ffn_args) {
		.x = PTR(X), .ldx = LD(X), .rows = ROWS(X), .width = COLS(X), .inner = COLS(W),
		.out = COLS(W2), .w1 = MAT(W), .b1 = PTR(B), .w2 = MAT(W2), .b2 = PTR(B2),
		.y = PTR(Y), .ldy = LD(Y), .scratchpad = w->cfg->scratchpad,
	};
}

int damf_engine_setup(struct damf_work *w, struct damf_fail *fail)
{
	w->scratch = NULL;
	w->scratch_size = 0;
	memset(w->view, 0, sizeof(w->view));
	memset(&w->counts, 0, sizeof(w->counts));
	if (open_slots(w, fail))
		return -1;
	if (w->opcode == DAMF_OP_ATTENTION) {
		attention_args(w);
		w->scratch_size = damf_attention_scratch(w->par, &w->attention);
	} else if (w->opcode == DAMF_OP_FFN) {
		ffn_args(w);
		w->scratch_size = damf_ffn_scratch(w->par, &w->ffn);
	}
	if (!w->scratch_size)
		return 0;
	w->scratch = damf_arena_alloc(w->arena, w->scratch_size);
	return w->scratch ? 0 : damf_fail_set(fail, DAMF_ST_NO_RESOURCES, 0);
}

/* ---- Jobs that no kernel does -------------------------------------------- */

static bool tile_done(struct damf_work *w)
{
	if (w->progress)
		atomic_fetch_add_explicit(w->progress, 1, memory_order_relaxed);
	return w->stop && atomic_load_explicit(w->stop, memory_order_relaxed);
}

/* A row at a time, in tiles; packed tensors are one row. */
static int for_tiles(struct damf_work *w, void (*fn)(struct damf_work *w, uint64_t row,
						     uint64_t at, uint64_t len))
{
	const struct damf_tens *y = &w->t[DAMF_T_Y];
	uint64_t row, at, len, since = 0;

	for (row = 0; row < y->rows; row++) {
		for (at = 0; at < y->row_bytes; at += len) {
			len = y->row_bytes - at;
			if (len > TILE_BYTES)
				len = TILE_BYTES;
			fn(w, row, at, len);
			since += len;
			if (since >= TILE_BYTES) {
				since = 0;
				if (tile_done(w))
					return -ECANCELED;
			}
		}
	}
	tile_done(w);
	return 0;
}

static char *at_row(const struct damf_view *v, uint64_t row, uint64_t at)
{
	return (char *)v->ptr + row * v->stride + at;
}

static void copy_tile(struct damf_work *w, uint64_t row, uint64_t at, uint64_t len)
{
	memcpy(at_row(&w->view[DAMF_T_Y], row, at), at_row(&w->view[DAMF_T_X], row, at), len);
}

static void fill_tile(struct damf_work *w, uint64_t row, uint64_t at, uint64_t len)
{
	int32_t *to = (int32_t *)at_row(&w->view[DAMF_T_Y], row, at);
	uint64_t i;

	for (i = 0; i < len / 4; i++)
		to[i] = (int32_t)le32toh(w->job.param[DAMF_P_PATTERN]);
}

static int run_move(struct damf_work *w)
{
	uint64_t bytes = w->t[DAMF_T_Y].rows * w->t[DAMF_T_Y].row_bytes;
	int rc = for_tiles(w, w->opcode == DAMF_OP_COPY ? copy_tile : fill_tile);

	if (rc)
		return rc;
	w->counts.write_activations += bytes;
	if (w->opcode == DAMF_OP_COPY)
		w->counts.read_activations += bytes;
	return 0;
}

/* The totals were put into the view when the job was prepared. */
static int run_counters(struct damf_work *w)
{
	w->counts.write_activations += sizeof(struct damf_counters);
	tile_done(w);
	return 0;
}

/* ---- Jobs that kernels do ------------------------------------------------ */

static int run_embed(struct damf_work *w, struct damf_exec *ex)
{
	const struct damf_embed_args a = {
		.ids = w->ids, .type_ids = w->types, .offsets = w->offsets,
		.seqs = ROWS(OFFSETS) - 1, .width = COLS(Y),
		.word = MAT(W), .position = MAT(B), .type = MAT(W2),
		.ld_word = LD(W), .ld_position = LD(B), .ld_type = LD(W2),
		.gamma = PTR(GAMMA), .beta = PTR(BETA), .eps = param_f32(w, DAMF_P_EPS),
		.y = PTR(Y), .ldy = LD(Y),
	};

	return damf_embed_f32(ex, &a);
}

static int run_linear(struct damf_work *w, struct damf_exec *ex)
{
	const struct damf_linear_args a = {
		.x = PTR(X), .ldx = LD(X), .rows = ROWS(X), .in = COLS(X), .out = COLS(W),
		.w = MAT(W), .bias = PTR(B), .residual = PTR(R), .ldr = LD(R),
		.act = (enum damf_k_act)le32toh(w->job.param[DAMF_P_ACT]),
		.y = PTR(Y), .ldy = LD(Y), .scratchpad = w->cfg->scratchpad,
	};

	return damf_linear_f32(ex, &a);
}

static int run_add_norm(struct damf_work *w, struct damf_exec *ex)
{
	const struct damf_add_norm_args a = {
		.x = PTR(X), .ldx = LD(X), .r = PTR(R), .ldr = LD(R), .rows = ROWS(X),
		.width = COLS(X), .gamma = PTR(GAMMA), .beta = PTR(BETA),
		.eps = param_f32(w, DAMF_P_EPS), .y = PTR(Y), .ldy = LD(Y),
	};

	return damf_add_norm_f32(ex, &a);
}

static int run_pool(struct damf_work *w, struct damf_exec *ex)
{
	const struct damf_pool_args a = {
		.x = PTR(X), .ldx = LD(X), .offsets = w->offsets, .seqs = ROWS(OFFSETS) - 1,
		.width = COLS(X), .kind = (enum damf_k_pool)le32toh(w->job.param[DAMF_P_POOL]),
		.y = PTR(Y), .ldy = LD(Y),
	};

	return damf_pool_f32(ex, &a);
}

static int run_kernel(struct damf_work *w)
{
	struct damf_exec ex = {
		.isa = w->isa, .par = w->par, .counts = &w->counts, .stop = w->stop,
		.progress = w->progress, .scratch = w->scratch, .scratch_size = w->scratch_size,
	};

	switch (w->opcode) {
	case DAMF_OP_EMBED:
		return run_embed(w, &ex);
	case DAMF_OP_LINEAR:
		return run_linear(w, &ex);
	case DAMF_OP_FFN:
		return damf_ffn_f32(&ex, &w->ffn);
	case DAMF_OP_ADD_NORM:
		return run_add_norm(w, &ex);
	case DAMF_OP_ATTENTION:
		return damf_attention_f32(&ex, &w->attention);
	case DAMF_OP_POOL:
		return run_pool(w, &ex);
	case DAMF_OP_NORMALIZE:
		return damf_normalize_f32(&ex, PTR(X), LD(X), ROWS(X), COLS(X),
					  param_f32(w, DAMF_P_EPS), PTR(Y), LD(Y));
	default:
		return damf_softmax_f32(&ex, PTR(X), LD(X), ROWS(X), COLS(X), PTR(Y), LD(Y));
	}
}

void damf_work_run(struct damf_work *w)
{
	switch (w->opcode) {
	case DAMF_OP_NOP:
		w->rc = 0;
		break;
	case DAMF_OP_COPY:
	case DAMF_OP_FILL:
		w->rc = run_move(w);
		break;
	case DAMF_OP_COUNTERS:
		w->rc = run_counters(w);
		break;
	default:
		w->rc = run_kernel(w);
	}
}
