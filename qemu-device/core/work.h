/* SPDX-License-Identifier: MIT */
/*
 * One layer job on its way through the device: read and checked (check.c,
 * tables.c), its tensors brought in (view.c), computed (engine.c), its results
 * written (view.c). The same for the device and for the CPU backend.
 */
#ifndef DAMF_WORK_H
#define DAMF_WORK_H

#include <stdatomic.h>

#include "arena.h"
#include "damf_core.h"
#include "damf_hw.h"
#include "damf_kernels.h"
#include "space.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the device core computes on little-endian memory in place: a little-endian host is needed"
#endif

/* What the device offers; also in registers. */
#define DAMF_MAX_JOBS		4096u
#define DAMF_MAX_ROWS		65536u
#define DAMF_MAX_SEQS		65536u
#define DAMF_MAX_WIDTH		16384u
#define DAMF_MAX_HEADS		256u
#define DAMF_MAX_LENGTH		32768u
#define DAMF_MAX_TENSOR		(1ull << 30)
#define DAMF_MAX_WORK		(3ull << 30)	/* default of the configuration */
#define DAMF_OPCODES		((2ull << DAMF_OP_LAST) - 1)
#define DAMF_TYPES		((1ull << DAMF_TYPE_F32) | (1ull << DAMF_TYPE_I32) | \
				 (1ull << DAMF_TYPE_BYTES) | (1ull << DAMF_TYPE_I8) | \
				 (1ull << DAMF_TYPE_BF16))
#define DAMF_MODES		((1ull << DAMF_MODE_MHSA) | (1ull << DAMF_MODE_FOLD) | \
				 (1ull << DAMF_MODE_SHIFT) | (1ull << DAMF_MODE_FOLDSHIFT) | \
				 (1ull << DAMF_MODE_SOFTFOLD))

/* Byte offsets that completions name. */
#define DAMF_FIELD_PARAM(n)	(offsetof(struct damf_job, param) + 4 * (n))
#define DAMF_FIELD_TENSOR(slot, member) \
	(offsetof(struct damf_job, tensor) + sizeof(struct damf_tensor) * (slot) + \
	 offsetof(struct damf_tensor, member))
#define DAMF_FIELD_HEAD(h, member) \
	(sizeof(struct damf_job) + sizeof(struct damf_head) * (h) + \
	 offsetof(struct damf_head, member))

/* A descriptor that has been checked. span: bytes from the first to the last. */
struct damf_tens {
	uint64_t addr, stride, row_bytes, span;
	uint64_t scales, scales_span;	/* of I8, else 0 */
	uint32_t rows, cols;
	unsigned int type, elem;	/* elem: bytes of an element */
	bool used;
};

/* Tensor bytes as kernels see them: in place, or a private copy. */
struct damf_view {
	void *ptr;
	uint64_t stride;		/* bytes from row to row */
	struct damf_pieces out;		/* of a private output: where it goes */
	bool private_out;
};

struct damf_work {
	/* set by the owner, once */
	struct damf_space *space;
	struct damf_arena *arena;
	const struct damf_isa *isa;
	struct damf_par *par;
	const struct damf_core_config *cfg;
	atomic_uint *stop;
	_Atomic uint64_t *progress;

	/* of the job at hand */
	struct damf_job job;		/* the private copy */
	unsigned int opcode;
	struct damf_tens t[DAMF_JOB_TENSORS];
	struct damf_view view[DAMF_JOB_TENSORS];
	int32_t *offsets, *ids, *types;	/* private copies of tables, checked */
	float *scales[DAMF_JOB_TENSORS]; /* of I8: of columns, or of the rows that are viewed */
	uint32_t longest;		/* sequence of offsets */
	struct damf_k_head heads[DAMF_MAX_HEADS];
	struct damf_attention_args attention;
	struct damf_ffn_args ffn;
	void *scratch;
	size_t scratch_size;
	struct damf_pieces counters_out;/* where the job's counters go */
	struct damf_counts counts;
	int rc;				/* of the kernel */
};

/*
 * Reads job @index of the list at @list, checks it and all its tables, and
 * makes its tensors ready. @counters is the address of its counters, or 0;
 * @totals what the COUNTERS job writes. 0, or -1 with fail filled in.
 */
int damf_work_prepare(struct damf_work *w, uint64_t list, uint32_t index, uint64_t counters,
		      const struct damf_counters *totals, struct damf_fail *fail);
/* Computes; touches no memory but views and scratch. */
void damf_work_run(struct damf_work *w);
/*
 * Writes the results, then @done, the job's counters, if they were asked for.
 * 0, or -1 with fail filled in.
 */
int damf_work_commit(struct damf_work *w, const struct damf_counters *done, struct damf_fail *fail);

/* Whether a list of jobs and its counters lie within the address space. */
int damf_list_check(uint64_t list, uint32_t count, uint32_t first, uint64_t counters,
		    struct damf_fail *fail);

/* check.c: every field of w->job on its own and between slots; fills w->t. */
int damf_check_job(struct damf_work *w, struct damf_fail *fail);
int damf_fail_set(struct damf_fail *fail, unsigned int status, size_t field);

/* tables.c: reads offsets, ids, heads and factors once, and checks the copies. */
int damf_check_tables(struct damf_work *w, struct damf_fail *fail);
/* scales.c: the factors of all I8 weights, and of the rows of I8 tables that are used. */
int damf_check_scales(struct damf_work *w, struct damf_fail *fail);
/* heads.c */
int damf_check_heads(struct damf_work *w, struct damf_fail *fail);

/* view.c */
int damf_view_open(struct damf_work *w, unsigned int slot, bool write, struct damf_fail *fail);
/*
 * Of a table of rows, those that @ids name (renumbered if copied, as tables of
 * I8 always are), or the first.
 */
int damf_view_open_rows(struct damf_work *w, unsigned int slot, int32_t *ids, uint64_t n,
			struct damf_fail *fail);
int damf_view_commit(struct damf_work *w, unsigned int slot, struct damf_fail *fail);
/* Rows of a table, packed, into buf. */
int damf_tensor_read(struct damf_work *w, unsigned int slot, void *buf, struct damf_fail *fail);

/* engine.c: the arguments of the kernel, and its scratch. */
int damf_engine_setup(struct damf_work *w, struct damf_fail *fail);

/* counters.c: what one job did, with the timing and energy models. */
void damf_counters_job(const struct damf_work *w, uint64_t page_walks, struct damf_counters *out);
void damf_counters_add(struct damf_counters *sum, const struct damf_counters *job);

/* slots.c: the rules of an opcode's slots */
enum damf_sym {
	DAMF_SYM_1,		/* one */
	DAMF_SYM_T,		/* tokens, or rows of any kind */
	DAMF_SYM_B,		/* sequences */
	DAMF_SYM_B1,		/* sequences + 1 */
	DAMF_SYM_D,		/* widths */
	DAMF_SYM_K,
	DAMF_SYM_N,
	DAMF_SYM_PQ,
	DAMF_SYM_H,		/* heads */
	DAMF_SYM_V,		/* rows of tables of embeddings */
	DAMF_SYM_V2,
	DAMF_SYM_V3,
	DAMF_SYM_R,		/* free rows and columns */
	DAMF_SYM_C,
	DAMF_SYM_128,		/* bytes of a struct */
	DAMF_SYMS,
};

#define DAMF_SLOT_OUT		(1u << 0)
#define DAMF_SLOT_OPTIONAL	(1u << 1)
#define DAMF_SLOT_TABLE		(1u << 2)	/* read once, aligned to 4 */
#define DAMF_SLOT_ALIGN8	(1u << 3)
#define DAMF_SLOT_ALIGN1	(1u << 4)
#define DAMF_SLOT_WEIGHT	(1u << 5)	/* F32, BF16 or I8 */

struct damf_slot_rule {
	uint8_t slot, flags, type, layout;
	uint8_t rows, cols;	/* enum damf_sym */
	uint8_t needs;		/* 1 + the slot that must be used if this one is */
	const char *name;
};

struct damf_op_rule {
	const char *name;
	uint32_t params;	/* bit n: parameter n is used */
	const struct damf_slot_rule *slots; /* by slot; ends with a NULL name */
};

/* NULL if the opcode is not known. */
const struct damf_op_rule *damf_op_rule(unsigned int opcode);

#endif /* DAMF_WORK_H */
