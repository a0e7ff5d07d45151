/* SPDX-License-Identifier: MIT */
/*
 * DAMF compute kernels.
 *
 * Pure functions on host memory, used by the device's engine and, through it,
 * by every backend. The bits of a result depend on the inputs alone: not on
 * the instruction set, the number of threads, the batch a sequence is in, nor
 * on what its neighbours hold (Documentation/numerics.rst is the definition).
 *
 * Matrices are row-major f32 with a row stride in elements. Packed weights
 * are in the PANEL32 layout of uapi/damf_hw.h. T = tokens of the batch, B =
 * sequences, d = width. An output never overlaps an input. Arguments are
 * trusted: the caller has checked shapes, offsets (offsets[0] = 0, not
 * falling, offsets[B] = T) and ids.
 *
 * Thread-safe: no global state but the instruction set chosen once.
 */
#ifndef DAMF_KERNELS_H
#define DAMF_KERNELS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define DAMF_NUMERICS_VERSION 2

/* ---- Instruction sets ---- */

struct damf_isa; /* a table of kernels compiled for one instruction set */

/* The best one this machine runs, or the one that DAMF_ISA (generic, avx2,
 * avxvnni, avx512, avx512vnni, neon) names; NULL, with one line in err, if that one is unknown or
 * not supported here. */
const struct damf_isa *damf_isa_get(char *err, size_t errlen);
/* By name; NULL if unknown or not supported by this machine. */
const struct damf_isa *damf_isa_by_name(const char *name);
const char *damf_isa_name(const struct damf_isa *isa);
/* Why it was chosen, one line ("AVX-512F found", "DAMF_ISA=generic"). */
const char *damf_isa_reason(const struct damf_isa *isa);

/* ---- Threads ---- */

/*
 * How the caller lends threads: run() calls fn(arg, item, worker) for every
 * item in [0, n), on any threads in any order, worker in [0, threads) naming
 * the thread's scratch, and returns when all are done. threads = 1 with
 * run = NULL runs inline. The kernels set the floating-point environment
 * (round to nearest, no flushing) inside fn and restore it.
 */
struct damf_par {
	unsigned int threads;
	void (*run)(struct damf_par *par,
		    void (*fn)(void *arg, size_t item, unsigned int worker),
		    void *arg, size_t n);
	void *opaque;
};

/* ---- What the engine did ---- */

struct damf_counts {
	uint64_t static_macs, dynamic_macs, shift_adds, exps, divs;
	uint64_t read_weights, read_activations, read_intermediates;
	uint64_t write_activations, write_intermediates;
	uint64_t int8_macs;	/* those of static_macs whose weight is int8 */
	uint64_t spills;	/* bytes of intermediates beyond the scratchpad */
};

/*
 * What a call works with. stop: set by another thread to give up between
 * tiles (the output is then undefined; the call returns -ECANCELED).
 * progress counts finished tiles. Both may be NULL. scratch holds at least
 * what damf_*_scratch() says for the same arguments, 64-byte aligned.
 */
struct damf_exec {
	const struct damf_isa *isa;
	struct damf_par *par;
	struct damf_counts *counts;	/* added to */
	atomic_uint *stop;
	_Atomic uint64_t *progress;
	void *scratch;
	size_t scratch_size;
};

/* ---- Weights ---- */

/* As enum damf_type. */
enum damf_k_type { DAMF_K_F32 = 1, DAMF_K_I8 = 4, DAMF_K_I16 = 5, DAMF_K_BF16 = 6 };

/* A weight in PANEL32, or the rows of a table. */
struct damf_mat {
	const void *data;		/* NULL: it is left out */
	const float *scales;		/* I8: of columns, of a table's rows; else NULL */
	enum damf_k_type type;		/* F32, BF16 or I8 */
	enum damf_k_type xtype;		/* I8: what activations become, I8 or I16 */
};

static inline struct damf_mat damf_mat_f32(const float *data)
{
	return (struct damf_mat) { .data = data, .type = DAMF_K_F32 };
}

/* ---- Packing ---- */

/*
 * src is [out][in] with row stride ld, as an HF Linear holds a weight; numbers
 * are finite. bf16 is rounded to nearest, ties to even: what is above its
 * largest number becomes infinite. int8 has a factor for each output (scales,
 * [out]), each finite and above 0.
 */
/* Elements of a packed weight of in rows (k) and out columns (n), of f32 and bf16. */
size_t damf_packed_elems(size_t in, size_t out);
/* Bytes of one, of any type. */
size_t damf_packed_size(enum damf_k_type type, size_t in, size_t out);
void damf_pack_f32(float *dst, const float *src, size_t ld, size_t in, size_t out);
void damf_pack_bf16(uint16_t *dst, const float *src, size_t ld, size_t in, size_t out);
void damf_pack_i8(int8_t *dst, float *scales, const float *src, size_t ld, size_t in, size_t out);
/* src: [in][out] with row stride ld. */
void damf_pack_kn_f32(float *dst, const float *src, size_t ld, size_t in, size_t out);

/* Rows of tables, n elements of each. */
void damf_row_bf16(uint16_t *dst, const float *src, size_t n);
/* The row's factor. */
float damf_row_i8(int8_t *dst, const float *src, size_t n);

/* ---- Scratchpad ---- */

/*
 * LINEAR, FFN and ATTENTION are cut into blocks and groups that fit into this
 * many bytes, of which it depends what is counted as read and written.
 */
#define DAMF_K_SCRATCHPAD	(4u << 20)	/* taken for a scratchpad of 0 */

/* ---- Layers; each returns 0 or -ECANCELED ---- */

enum damf_k_act { DAMF_K_NONE = 0, DAMF_K_GELU = 1, DAMF_K_TANH = 2 };

struct damf_embed_args {
	const int32_t *ids;		/* [T] */
	const int32_t *type_ids;	/* [T] or NULL: all 0 */
	const int32_t *offsets;		/* [B + 1] */
	size_t seqs, width;
	struct damf_mat word, position, type; /* [.][d], rows ld_* elements apart */
	size_t ld_word, ld_position, ld_type;
	const float *gamma, *beta;	/* [d] */
	float eps;
	float *y; size_t ldy;
};
int damf_embed_f32(struct damf_exec *ex, const struct damf_embed_args *a);

struct damf_linear_args {
	const float *x; size_t ldx;
	size_t rows, in, out;
	struct damf_mat w;		/* packed [in x out] */
	const float *bias;		/* [out] or NULL */
	const float *residual; size_t ldr; /* [rows][out] or NULL, added last */
	enum damf_k_act act;
	float *y; size_t ldy;
	size_t scratchpad;
};
int damf_linear_f32(struct damf_exec *ex, const struct damf_linear_args *a);

struct damf_ffn_args {
	const float *x; size_t ldx;
	size_t rows, width, inner, out;
	struct damf_mat w1, w2;		/* packed [width x inner], [inner x out] */
	const float *b1, *b2;		/* [inner], [out] */
	float *y; size_t ldy;
	size_t scratchpad;
};
size_t damf_ffn_scratch(const struct damf_par *par, const struct damf_ffn_args *a);
int damf_ffn_f32(struct damf_exec *ex, const struct damf_ffn_args *a);

struct damf_add_norm_args {
	const float *x; size_t ldx;
	const float *r; size_t ldr;	/* or NULL */
	size_t rows, width;
	const float *gamma, *beta;
	float eps;
	float *y; size_t ldy;
};
int damf_add_norm_f32(struct damf_exec *ex, const struct damf_add_norm_args *a);

/* as enum damf_mode */
enum damf_k_mode {
	DAMF_K_MHSA = 0, DAMF_K_SHIFT = 1, DAMF_K_FOLD = 2, DAMF_K_FOLDSHIFT = 3,
	DAMF_K_SOFTFOLD = 4,
};

/* as DAMF_HEAD_* */
#define DAMF_K_CENTRED	(1u << 0)
#define DAMF_K_SCALE	(1u << 1)
#define DAMF_K_BAND	(1u << 2)
#define DAMF_K_SINKS	(1u << 3)

#define DAMF_K_ORDER	4	/* the highest */
#define DAMF_K_RANK	256
#define DAMF_K_RADIUS	7	/* of a band */

struct damf_k_head {
	enum damf_k_mode mode;
	unsigned int flags;
	size_t d_qk, d_v;		/* d_qk 0 unless MHSA */
	size_t qk_col, v_col;
	size_t p_col, q_col;		/* unless MHSA: rank columns each */
	size_t rank, order;
	float scale;			/* MHSA: of the scores; else g, with SCALE */
	float coef[DAMF_K_ORDER + 1];	/* SOFTFOLD: the error bound */
	float sink[2];
	float band[2 * DAMF_K_RADIUS + 1];
};

struct damf_attention_args {
	const float *x; size_t ldx;	/* [T][d] */
	const int32_t *offsets;		/* [B + 1] */
	size_t seqs, width, out;	/* out: columns of wo and y */
	const struct damf_k_head *heads;
	size_t nheads;
	size_t nqk, nv, npq;		/* columns of wq and wk, of wv, of wpq */
	struct damf_mat wq, wk;		/* packed [d x nqk]; left out if no head is MHSA */
	struct damf_mat wv, wo;		/* packed [d x nv], [nv x out] */
	struct damf_mat wpq;		/* packed [d x npq]; left out if all heads are MHSA */
	const float *bq, *bk, *bv, *bo, *bpq; /* or NULL, each */
	float *y; size_t ldy;		/* [T][out]: concat(heads) W_O + b_O, no residual */
	size_t scratchpad;
};
size_t damf_attention_scratch(const struct damf_par *par, const struct damf_attention_args *a);
int damf_attention_f32(struct damf_exec *ex, const struct damf_attention_args *a);

enum damf_k_pool { DAMF_K_POOL_MEAN = 0, DAMF_K_POOL_CLS = 1 };

struct damf_pool_args {
	const float *x; size_t ldx;	/* [T][d] */
	const int32_t *offsets;
	size_t seqs, width;
	enum damf_k_pool kind;
	float *y; size_t ldy;		/* [B][d]; an empty sequence gives zeros */
};
int damf_pool_f32(struct damf_exec *ex, const struct damf_pool_args *a);

/* y = x / max(|x|_2, eps), a row at a time */
int damf_normalize_f32(struct damf_exec *ex, const float *x, size_t ldx, size_t rows,
		       size_t width, float eps, float *y, size_t ldy);
/* softmax of each row */
int damf_softmax_f32(struct damf_exec *ex, const float *x, size_t ldx, size_t rows,
		     size_t width, float *y, size_t ldy);

#endif /* DAMF_KERNELS_H */
