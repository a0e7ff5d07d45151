/* SPDX-License-Identifier: MIT */
/*
 * Between the layers, which are plain C, and the kernels, which are compiled
 * once for each instruction set. How work is cut into items follows from
 * shapes and the number of threads, and no bit of a result depends on it.
 */
#ifndef DAMF_ISA_H
#define DAMF_ISA_H

#include <stdbool.h>

#include "damf_kernels.h"
#include "integers.h"

#define DAMF_PANEL_COLS		32	/* of PANEL32 */
#define DAMF_QUAD		4	/* int8: inputs of one output that lie together */
/* keys that lie together: a multiple of the rows of every tile */
#define DAMF_KEY_GROUP		24
#define DAMF_TOKEN_CHUNK	128	/* tokens summed before their sum is added */
/* Items of matrix products: */
#define DAMF_ROW_BLOCK		96	/* rows, at most */
#define DAMF_ROW_STEP		4	/* what all but the last block's rows are a multiple of */
#define DAMF_KC			3072	/* of k, f32 and bf16, at a time; a multiple of 4 */
#define DAMF_PANEL_BLOCK	12	/* panels, where sums wait for more of k */
#define DAMF_PANELS_MOST	48	/* where they don't */
#define DAMF_ITEMS		2	/* of a product for each thread, if there is more than one: */
#define DAMF_ROWS_LEAST		24	/* cut into rows first, */
#define DAMF_PANELS_LEAST	4	/* then into panels */
#define DAMF_ITEM_MACS		(1u << 28) /* how long it may take until a stop is seen */
#define DAMF_LIST_ROWS		64	/* rows, one by one, that are one item */

/* A row whose largest magnitude is below this is all zeros as integers. */
#define DAMF_QUANT_MIN		0x1p-100f

/* Folded weights are uniform unless D_m exceeds this part of its terms' magnitudes. */
#define DAMF_FOLD_GUARD		0x1p-20f
#define DAMF_NODES		61	/* of softfold, at most */

/*
 * A range of k: rows of x by rows of a packed weight. All I8 ones of a product
 * are of one weight and come first; what they take of a row of the product is
 * one row that is quantised.
 */
struct damf_seg {
	const float *x; size_t ldx;	/* row 0 of the product, first k */
	bool turned;			/* x has a row for each k; weights of f32 only */
	struct damf_mat w;
	size_t in;			/* rows of all of the weight */
	size_t first, k;		/* those that count */
};

/* Columns of a panel that a matrix of so many has. */
static inline size_t damf_panel_cols(size_t cols, size_t panel)
{
	size_t left = cols - panel * DAMF_PANEL_COLS;

	return left < DAMF_PANEL_COLS ? left : DAMF_PANEL_COLS;
}

struct damf_gemm;

/* One tile of a product that is complete: [rows][32], the columns of a panel. */
struct damf_tile {
	size_t row, rows, panel;
	float *v;
};

/* bias + sum over the segments of x w, columns [col0, col1) of it. */
struct damf_gemm {
	const struct damf_seg *seg;
	size_t nseg;
	size_t rows, col0, col1;
	const float *bias;		/* or NULL */
	const float *scale;		/* or NULL: factors of the bias, a row */
	size_t scale_step;
	/* or NULL: rows to begin with, in the place of the bias; col0 is 0 */
	const float *start; size_t lds;
	/* where tiles go; NULL: the rest of this, as damf_linear_args has it, from col0 on */
	void (*sink)(const struct damf_gemm *g, const struct damf_tile *t);
	void *opaque;
	enum damf_k_act act;
	const float *residual; size_t ldr;
	float *y; size_t ldy;
};

/* Segments of int8, which come first. */
static inline size_t damf_int_segs(const struct damf_gemm *g)
{
	size_t n = 0;

	while (n < g->nseg && g->seg[n].w.type == DAMF_K_I8)
		n++;
	return n;
}

/* Parts of k that a segment of f32 or bf16 is worked on in. */
static inline size_t damf_seg_parts(const struct damf_seg *s)
{
	return (s->k + DAMF_KC - 1) / DAMF_KC;
}

/* How often an item goes over its outputs: once for all of int8, once for each part. */
static inline size_t damf_gemm_passes(const struct damf_gemm *g)
{
	size_t ints = damf_int_segs(g), n = ints ? 1 : 0;

	for (size_t i = ints; i < g->nseg; i++)
		n += damf_seg_parts(&g->seg[i]);
	return n;
}

/* Of products that may be long: whether to give up, and what is left undone shows nowhere. */
static inline bool damf_stopped(atomic_uint *stop)
{
	return stop && atomic_load_explicit(stop, memory_order_relaxed);
}

/* Up to 32 queries of one head of one sequence. */
struct damf_mhsa {
	const float *q;			/* [d_qk][32]: a query a lane */
	const float *k;			/* groups of 24 keys, each [.][24] */
	size_t kgroup;			/* elements from group to group */
	const float *v; size_t ldv;	/* [len][d_v] */
	size_t len, d_qk, d_v, queries;
	float scale;
	float *p;			/* scratch, [len][32] */
	float *o; size_t ldo;
	atomic_uint *stop;		/* of struct damf_exec: looked at between tiles */
};

/* Sums over the tokens of one sequence: out[r] = sum over n of coef[r][n] x[n]. */
struct damf_sums {
	const float *x; size_t ldx;
	size_t len, width;
	const float *coef; size_t ldc, ncoef; /* [ncoef][ldc]; NULL: one, and it is 1 */
	float *const *out;		/* where each row goes */
};

/* The terms that one head has in one sequence, its sink apart. */
struct damf_terms {
	const struct damf_k_head *head;
	const float *p, *q; size_t ldpq; /* [rank][len] */
	size_t len;
	/* a row a term, ld elements apart, written up to a multiple of 16: */
	size_t ld;
	float *coef;			/* of tokens; of fold from term 1 on */
	float *mix;			/* of queries */
	float *tau;			/* a term */
	/* softfold */
	size_t nodes;
	bool tokens;			/* the nodes are the tokens */
	float p_low, p_high, q_low, q_high; /* over the sequence, p with its scale */
};

/* Weights of neighbours: o[m] += band[i + 7] v[m + i] for m in [first, end). */
struct damf_band {
	const float *band;
	const float *v;			/* [len][width] */
	float *o;			/* likewise */
	size_t ld, len, width, first, end;
};

/* A row of a table of embeddings. */
struct damf_row {
	const void *data;
	float scale;			/* I8 */
	enum damf_k_type type;
};

struct damf_isa {
	const char *name, *found;
	void (*gemm)(const struct damf_gemm *g, size_t row, size_t rows, size_t panel,
		     size_t panels);
	void (*mhsa)(const struct damf_mhsa *m);
	void (*sums)(const struct damf_sums *s, size_t panel, size_t panels);
	void (*fold)(const struct damf_terms *f);
	void (*softfold)(const struct damf_terms *f);
	/* the least and the largest x * scale, passing over what is not a number */
	void (*range)(const float *x, size_t n, float scale, float *low, float *high);
	void (*band)(const struct damf_band *b);
	/* y = last * a1 + first * a0 */
	void (*sink)(const float *first, const float *last, const float a[2], size_t width,
		     float *y);
	/* heads in powers of two */
	uint32_t (*largest)(const float *x, size_t ldx, size_t rows, size_t cols);
	void (*fixed_row)(const float *x, size_t cols, float to, int32_t *y);
	void (*shift_sums)(const struct damf_shift *s);
	void (*shift_out)(const struct damf_shift_out *s);
	void (*shift_prepare)(const struct damf_shift_scores *s);
	void (*shift_token_sums)(const struct damf_shift_sums *s, size_t panel);
	void (*shift_mix)(const struct damf_shift_mix *s);
	void (*mean)(const float *sum, size_t len, size_t width, float *y);
	/* one row; y holds the row and is replaced */
	void (*norm)(float *y, size_t width, const float *gamma, const float *beta, float eps);
	void (*add)(float *y, const float *a, const float *b, size_t width);
	void (*add_table)(float *y, const struct damf_row *row, size_t width, bool add);
	void (*normalize)(const float *x, size_t width, float eps, float *y);
	void (*softmax)(const float *x, size_t width, float *y);
};

extern const struct damf_isa damf_isa_generic, damf_isa_avx2, damf_isa_avxvnni,
	damf_isa_avx512, damf_isa_avx512vnni, damf_isa_neon;

#endif /* DAMF_ISA_H */
