/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * DAMF accelerator: the hardware interface.
 *
 * The single source of the layout of registers, rings, page tables, jobs and
 * counters, included by the driver, the device, the runtime and the tests.
 * Documentation/hardware.rst is the specification: it says what each field
 * means and in which order things happen; this file says where they lie.
 *
 * Everything in memory is little-endian. Reserved fields are written as zero
 * and checked to be zero.
 */
#ifndef _UAPI_DAMF_HW_H_
#define _UAPI_DAMF_HW_H_

#include <linux/types.h>

#ifdef __KERNEL__
#include <linux/build_bug.h>
#else
#include <assert.h>
#endif

#if defined(__KERNEL__) || defined(__cplusplus) || __STDC_VERSION__ >= 201112L
#define DAMF_HW_ASSERT(cond)		static_assert(cond, #cond)
#else /* C99 */
#define DAMF_HW_ASSERT(cond)		extern char damf_hw_assert[(cond) ? 1 : -1]
#endif

/* ---- PCI identity ------------------------------------------------------ */

#define DAMF_PCI_VENDOR_ID		0x1af4
#define DAMF_PCI_DEVICE_ID		0x10f2
#define DAMF_PCI_CLASS			0x120000 /* processing accelerator */

#define DAMF_BAR_REGS			0 /* registers and doorbell pages */
#define DAMF_BAR_LOCAL			2 /* local memory, 64-bit prefetchable */
#define DAMF_BAR_MSIX			4 /* MSI-X table and pending bits */

/* ---- BAR0: registers --------------------------------------------------- */
/*
 * A 32-bit register takes aligned 32-bit accesses. A 64-bit register takes an
 * aligned 64-bit access or two 32-bit ones, low half first. Other accesses
 * read as all ones and are ignored on write.
 */
#define DAMF_REG_MAGIC			0x000 /* RO 32: DAMF_MAGIC */
#define DAMF_REG_VERSION		0x004 /* RO 32: DAMF_VERSION() */
#define DAMF_REG_FEATURES		0x008 /* RO 64: offered DAMF_FEATURE_* */
#define DAMF_REG_FEATURES_ACCEPTED	0x010 /* RW 64: while not enabled */
#define DAMF_REG_OPCODES		0x018 /* RO 64: bit n: job opcode n */
#define DAMF_REG_TYPES			0x020 /* RO 64: bit n: tensor type n */
#define DAMF_REG_MODES			0x028 /* RO 64: bit n: attention mode n */
#define DAMF_REG_MAX_QUEUES		0x030 /* RO 32: I/O queues, ids 1..n */
#define DAMF_REG_MAX_CONTEXTS		0x034 /* RO 32: contexts, ids 1..n */
#define DAMF_REG_MAX_RING_LOG2		0x038 /* RO 32: log2 of ring entries */
#define DAMF_REG_MAX_JOBS		0x03c /* RO 32: jobs in a list */
#define DAMF_REG_MAX_ROWS		0x040 /* RO 32: tokens in a batch */
#define DAMF_REG_MAX_SEQS		0x044 /* RO 32: sequences in a batch */
#define DAMF_REG_MAX_WIDTH		0x048 /* RO 32: columns of a tensor */
#define DAMF_REG_MAX_HEADS		0x04c /* RO 32: heads of an attention job */
#define DAMF_REG_MAX_LENGTH		0x050 /* RO 32: tokens in a sequence */
#define DAMF_REG_NUM_VECTORS		0x054 /* RO 32: MSI-X vectors */
#define DAMF_REG_LOCAL_SIZE		0x058 /* RO 64: bytes behind BAR2 */
#define DAMF_REG_MAX_TENSOR		0x060 /* RO 64: bytes of one tensor */
#define DAMF_REG_VA_BITS		0x068 /* RO 32: width of a virtual address */
#define DAMF_REG_DB_OFFSET		0x06c /* RO 32: BAR0 offset of doorbell page 0 */
#define DAMF_REG_TIME			0x070 /* RO 64: ns, the clock of completions */
#define DAMF_REG_CLOCK_HZ		0x078 /* RO 64: modelled engine clock */
#define DAMF_REG_MACS_PER_CYCLE		0x080 /* RO 32: timing model */
#define DAMF_REG_BYTES_PER_CYCLE	0x084 /* RO 32: timing model */
#define DAMF_REG_CTRL			0x088 /* RW 32: DAMF_CTRL_* */
#define DAMF_REG_STATUS			0x08c /* RO 32: DAMF_STATUS_* */
#define DAMF_REG_FATAL			0x090 /* RO 32: status code of a fatal error */
#define DAMF_REG_RESETS			0x094 /* RO 32: resets since power on */
#define DAMF_REG_ADMIN_SQ		0x098 /* RW 64: while not enabled */
#define DAMF_REG_ADMIN_CQ		0x0a0 /* RW 64: while not enabled */
#define DAMF_REG_ADMIN_SHARED		0x0a8 /* RW 64: while not enabled */
#define DAMF_REG_ADMIN_LOG2		0x0b0 /* RW 32: while not enabled */
#define DAMF_REG_ACTIVE			0x0b4 /* RO 32: queue << 16 | context on the engine */
#define DAMF_REG_PROGRESS		0x0b8 /* RO 64: tiles the engine has finished */
#define DAMF_REG_STAT_DOORBELLS		0x0c0 /* RO 64: doorbell writes since power on */
#define DAMF_REG_STAT_IRQS		0x0c8 /* RO 64: interrupts raised since power on */
#define DAMF_REG_STAT_JOBS		0x0d0 /* RO 64: layer jobs finished since power on */
#define DAMF_REG_PREEMPT_US		0x0d8 /* RO 32: bound on the time to preempt, 0: one job */
#define DAMF_REG_NUMERICS		0x0dc /* RO 32: version of the arithmetic */
#define DAMF_REG_SCRATCHPAD		0x0e0 /* RO 64: bytes of the scratchpad */
#define DAMF_REG_ENERGY_MAC		0x0e8 /* RO 32: fJ of an f32 multiply-add */
#define DAMF_REG_ENERGY_INT8		0x0ec /* RO 32: fJ of an int8 multiply-add */
#define DAMF_REG_ENERGY_SHIFT		0x0f0 /* RO 32: fJ of a shift and add */
#define DAMF_REG_ENERGY_EXP		0x0f4 /* RO 32: fJ of an exponential */
#define DAMF_REG_ENERGY_DIV		0x0f8 /* RO 32: fJ of a division */
#define DAMF_REG_ENERGY_SCRATCH		0x0fc /* RO 32: fJ of a byte of the scratchpad */
#define DAMF_REG_ENERGY_MEMORY		0x100 /* RO 32: fJ of a byte of memory */
#define DAMF_REGS_END			0x108

#define DAMF_MAGIC			0x464d4144u /* "DAMF" in memory order */
#define DAMF_VERSION(major, minor)	(((__u32)(major) << 16) | (minor))
#define DAMF_VERSION_MAJOR(v)		((v) >> 16)
#define DAMF_VERSION_MINOR(v)		((v) & 0xffff)
#define DAMF_HW_VERSION			DAMF_VERSION(1, 1)

#define DAMF_FEATURE_EVENT_IDX		(1ull << 0) /* doorbell and interrupt suppression */
#define DAMF_FEATURE_LOCAL_MEMORY	(1ull << 1) /* BAR2 is there */
#define DAMF_FEATURE_PRIORITY		(1ull << 2) /* queue priorities are honoured */
#define DAMF_FEATURES_KNOWN		(DAMF_FEATURE_EVENT_IDX | \
					 DAMF_FEATURE_LOCAL_MEMORY | \
					 DAMF_FEATURE_PRIORITY)

#define DAMF_CTRL_ENABLE		(1u << 0)
#define DAMF_CTRL_RESET			(1u << 1) /* reads as one until the reset is done */

#define DAMF_STATUS_READY		(1u << 0)
#define DAMF_STATUS_FATAL		(1u << 1)

/* ---- BAR0: one doorbell page a queue, page 0 is the admin queue's -------- */

#define DAMF_DB_PAGE_SIZE		0x1000
#define DAMF_DB_SQ			0x00 /* WO 32: the new sq_tail; the one in memory counts */
#define DAMF_DB_CQ			0x08 /* WO 32: the new cq_head; the one in memory counts */
#define DAMF_DB_PROGRESS		0x10 /* RO 64: tiles finished for this queue */
#define DAMF_DB_INDEX			0x18 /* RO 32: index of the job it is at */
#define DAMF_DB_STATE			0x1c /* RO 32: enum damf_queue_state */

enum damf_queue_state {
	DAMF_QUEUE_NONE		= 0,
	DAMF_QUEUE_LIVE		= 1,
	DAMF_QUEUE_STOPPED	= 2, /* by the admin command */
	DAMF_QUEUE_ERROR	= 3, /* its indices or memory made no sense */
};

/* ---- Rings --------------------------------------------------------------- */

#define DAMF_RING_MIN_LOG2		1
#define DAMF_RING_MAX_LOG2		12

/*
 * The indices of one queue, in host memory, 64-byte aligned; each half is
 * written by one side only. All are free-running 32-bit counts: the slot is
 * the count modulo the ring's size, the phase bit the complement of bit
 * log2(size) of the count (so a first pass writes phase 1).
 */
struct damf_queue_shared {
	/* written by the driver */
	__le32 sq_tail;		/* entries written */
	__le32 cq_head;		/* completions consumed */
	__le32 cq_event;	/* interrupt when completion number cq_event is written */
	__le32 reserved0[13];
	/* written by the device */
	__le32 sq_head;		/* entries fetched */
	__le32 cq_tail;		/* completions written */
	__le32 sq_event;	/* ring the doorbell when entry number sq_event is written */
	__le32 reserved1[13];
};

DAMF_HW_ASSERT(sizeof(struct damf_queue_shared) == 128);

/*
 * Whether moving an index from @old to @new passes @event, in 32-bit
 * wrap-around arithmetic: the entry whose number is @event is among those
 * added. Used by the driver for sq_event, by the device for cq_event.
 */
static inline int damf_need_event(__u32 event, __u32 new_idx, __u32 old_idx)
{
	return (__u32)(new_idx - event - 1) < (__u32)(new_idx - old_idx);
}

enum damf_sq_opcode {
	DAMF_SQ_NOP	= 0, /* completes in order, does nothing */
	DAMF_SQ_EXEC	= 1, /* run a list of layer jobs */
};

#define DAMF_SQE_REPLAYABLE		(1u << 0) /* may be run again from its start */

/* one entry of an I/O submission ring */
struct damf_sqe {
	__le16 opcode;		/* enum damf_sq_opcode */
	__le16 flags;		/* DAMF_SQE_* */
	__le16 context;		/* must be the queue's */
	__le16 reserved0;
	__le32 count;		/* jobs in the list, 1..MAX_JOBS */
	__le32 first;		/* index to begin at, for a resumed list */
	__le64 cookie;		/* returned in the completion */
	__le64 list;		/* virtual address of struct damf_job[count], 64-byte aligned */
	__le64 counters;	/* virtual address of struct damf_counters[count], or 0 */
	__le64 reserved1[3];
};

DAMF_HW_ASSERT(sizeof(struct damf_sqe) == 64);

enum damf_admin_opcode {
	DAMF_ADMIN_NOP			= 0,
	DAMF_ADMIN_CREATE_CONTEXT	= 1, /* context, addr[0]: page-table root */
	DAMF_ADMIN_DESTROY_CONTEXT	= 2, /* context; no queue may be bound to it */
	DAMF_ADMIN_FLUSH		= 3, /* context, addr[0]: start, length (0: all) */
	DAMF_ADMIN_ABORT_CONTEXT	= 4, /* context */
	DAMF_ADMIN_RESUME_CONTEXT	= 5, /* context: leave the stopped state */
	DAMF_ADMIN_CREATE_QUEUE		= 6, /* all but length; addr[0..2]: sq, cq, shared */
	DAMF_ADMIN_STOP_QUEUE		= 7, /* queue */
	DAMF_ADMIN_DESTROY_QUEUE	= 8, /* queue, which is stopped first */
	DAMF_ADMIN_READ_COUNTERS	= 9, /* context, addr[0]: struct damf_counters */
};

enum damf_priority {
	DAMF_PRIORITY_LOW	= 0,
	DAMF_PRIORITY_NORMAL	= 1,
	DAMF_PRIORITY_HIGH	= 2,
};

/* one entry of the admin submission ring */
struct damf_admin_sqe {
	__le16 opcode;		/* enum damf_admin_opcode */
	__le16 flags;		/* 0 */
	__le16 queue;
	__le16 context;
	__le16 log2;		/* of the ring's entries */
	__le16 vector;		/* MSI-X vector of the completions */
	__le16 priority;	/* enum damf_priority */
	__le16 reserved0;
	__le64 cookie;
	__le64 addr[3];
	__le64 length;
	__le64 reserved1;
};

DAMF_HW_ASSERT(sizeof(struct damf_admin_sqe) == 64);

/* one entry of any completion ring; phase is written last */
struct damf_cqe {
	__le64 cookie;
	__le64 start_ns;	/* when the first job began, 0 if none did */
	__le64 end_ns;		/* when the last result was written */
	__le64 fault_addr;	/* the virtual (or bus) address of a fault */
	__le64 cycles;		/* modelled */
	__le32 index;		/* jobs done: where a resumed list begins, the bad one */
	__le16 field;		/* byte offset of the bad field in its struct */
	__le16 context;
	__le32 sq_head;		/* entries fetched when this was written */
	__le16 status;		/* enum damf_status */
	__le16 access;		/* enum damf_access, of a fault */
	__le32 reserved;
	__le32 phase;		/* bit 0 */
};

DAMF_HW_ASSERT(sizeof(struct damf_cqe) == 64);

/* damf_cqe.index where the fault is the entry's own: field is of struct damf_sqe */
#define DAMF_INDEX_NONE			0xffffffffu

enum damf_status {
	DAMF_ST_OK		= 0,
	DAMF_ST_BAD_OPCODE	= 1, /* unknown, or not offered */
	DAMF_ST_BAD_VERSION	= 2, /* job version or size not known */
	DAMF_ST_BAD_FIELD	= 3, /* field names it */
	DAMF_ST_BAD_LIMIT	= 4, /* beyond a limit register; field names it */
	DAMF_ST_BAD_DATA	= 5, /* a table's contents: id, offset or head */
	DAMF_ST_OVERLAP		= 6, /* an output overlaps an input; field names the output */
	DAMF_ST_BAD_CONTEXT	= 7, /* no such context, or not the queue's */
	DAMF_ST_BAD_QUEUE	= 8, /* no such queue, or in use */
	DAMF_ST_PAGE_FAULT	= 9, /* the context is stopped */
	DAMF_ST_CTX_STOPPED	= 10, /* an earlier fault stopped the context */
	DAMF_ST_ABORTED		= 11, /* by an admin command or a reset */
	DAMF_ST_DMA_ERROR	= 12, /* the bus refused an access */
	DAMF_ST_MEM_ERROR	= 13, /* uncorrectable error in local memory */
	DAMF_ST_NO_RESOURCES	= 14, /* the device could not allocate working memory */
	DAMF_ST_BUSY		= 15, /* the object is in use */
	DAMF_ST_INTERNAL	= 16,
};

enum damf_access {
	DAMF_ACCESS_READ	= 0,
	DAMF_ACCESS_WRITE	= 1,
	DAMF_ACCESS_WALK	= 2, /* reading a page-table entry */
};

/* ---- Virtual addresses and page tables ----------------------------------- */
/*
 * 39-bit addresses, three levels of 512 eight-byte entries (root: 1 GiB an
 * entry, middle: 2 MiB, last: 4 KiB). Tables lie in host memory, 4 KiB
 * aligned. A leaf is an entry of the last level, or one of the middle level
 * with LARGE set.
 */
#define DAMF_VA_BITS			39
#define DAMF_VA_END			(1ull << DAMF_VA_BITS)
#define DAMF_PAGE_SHIFT			12
#define DAMF_PAGE_SIZE			(1ull << DAMF_PAGE_SHIFT)
#define DAMF_LARGE_SHIFT		21
#define DAMF_LARGE_SIZE			(1ull << DAMF_LARGE_SHIFT)
#define DAMF_PT_ENTRIES			512
#define DAMF_PT_SHIFT(level)		(12 + 9 * (level)) /* level 0 is the last */

#define DAMF_PTE_VALID			(1ull << 0)
#define DAMF_PTE_READONLY		(1ull << 1) /* leaf only */
#define DAMF_PTE_LOCAL			(1ull << 2) /* leaf only: an offset in local memory */
#define DAMF_PTE_LARGE			(1ull << 3) /* middle level only */
#define DAMF_PTE_ADDR			0x000ffffffffff000ull
#define DAMF_PTE_RESERVED		(~(DAMF_PTE_VALID | DAMF_PTE_READONLY | \
					   DAMF_PTE_LOCAL | DAMF_PTE_LARGE | DAMF_PTE_ADDR))

/* ---- Layer jobs ---------------------------------------------------------- */

enum damf_type {
	DAMF_TYPE_NONE	= 0, /* the slot is not used: every field is zero */
	DAMF_TYPE_F32	= 1,
	DAMF_TYPE_I32	= 2,
	DAMF_TYPE_BYTES	= 3, /* plain bytes: copy, fill, tables of structs */
	DAMF_TYPE_I8	= 4, /* with scales */
	DAMF_TYPE_I16	= 5, /* with scales */
	DAMF_TYPE_BF16	= 6,
};

enum damf_layout {
	DAMF_LAYOUT_ROWS	= 0, /* row-major, rows stride bytes apart */
	DAMF_LAYOUT_PANEL32	= 1, /* packed weights, see below */
};

/*
 * PANEL32 holds a matrix of rows (inputs, k) x cols (outputs, n) as
 * ceil(cols / 32) panels, each rows x 32 elements, k-major: element (k, n) is
 * at ((n / 32) * rows + k) * 32 + n % 32. Columns past the end are zero. The
 * width is part of the format and depends on no instruction set. stride is 0.
 *
 * In I8 four inputs of one output lie together, and rows past the end, up to
 * R, the next multiple of 4, are zero: element (k, n) is at
 * ((n / 32) * (R / 4) + k / 4) * 128 + n % 32 * 4 + k % 4.
 */
#define DAMF_PANEL			32

struct damf_tensor {
	__le64 addr;		/* virtual; aligned to 64 for tensors of numbers, 4 for tables */
	__le64 scales;		/* I8: virtual, f32 factors of columns (ROWS: of rows); else 0 */
	__le64 stride;		/* bytes from row to row, a multiple of the element */
	__le32 rows;
	__le32 cols;
	__le16 type;		/* enum damf_type */
	__le16 layout;		/* enum damf_layout */
	__le32 reserved0;
	__le64 reserved1;
};

DAMF_HW_ASSERT(sizeof(struct damf_tensor) == 48);

#define DAMF_JOB_PARAMS			60
#define DAMF_JOB_TENSORS		16
#define DAMF_JOB_VERSION		1

/*
 * One layer job. Which parameters and slots an opcode uses is told below and
 * in the specification; all others are zero.
 */
struct damf_job {
	__le16 opcode;		/* enum damf_opcode */
	__le16 version;		/* DAMF_JOB_VERSION */
	__le32 size;		/* sizeof(struct damf_job) */
	__le32 flags;		/* 0 */
	__le32 reserved;
	__le32 param[DAMF_JOB_PARAMS];
	struct damf_tensor tensor[DAMF_JOB_TENSORS];
};

DAMF_HW_ASSERT(sizeof(struct damf_job) == 1024);

/*
 * T = tokens of the batch, B = sequences, d = width. Tensors are f32 and
 * ROWS unless said otherwise; weights are PANEL32 (inputs x outputs) and F32,
 * BF16 or I8, each as its descriptor says; so are the tables of EMBED, in ROWS.
 */
enum damf_opcode {
	DAMF_OP_NOP		= 0,
	DAMF_OP_COPY		= 1,	/* X bytes [rows, cols] -> Y of the same shape */
	DAMF_OP_FILL		= 2,	/* PATTERN -> Y (I32) */
	DAMF_OP_COUNTERS	= 3,	/* the context's totals -> Y (bytes, 1 x 128) */
	DAMF_OP_EMBED		= 4,	/* IDS -> word + position + type, layer norm -> Y [T, d] */
	DAMF_OP_LINEAR		= 5,	/* act(X W + bias) (+ R) -> Y */
	DAMF_OP_FFN		= 6,	/* gelu(X W + bias) W2 + bias2 -> Y */
	DAMF_OP_ADD_NORM	= 7,	/* layer norm(X + R) -> Y; R optional */
	DAMF_OP_ATTENTION	= 8,	/* the attention layer with its projections -> Y [T, d] */
	DAMF_OP_POOL		= 9,	/* mean or first token of each sequence -> Y [B, d] */
	DAMF_OP_NORMALIZE	= 10,	/* each row divided by its L2 norm */
	DAMF_OP_SOFTMAX		= 11,	/* of each row */
	DAMF_OP_LAST		= DAMF_OP_SOFTMAX,
};

/* parameters: index into damf_job.param; EPS is the bit pattern of an f32 */
enum damf_param {
	DAMF_P_EPS	= 0,	/* EMBED, ADD_NORM, NORMALIZE */
	DAMF_P_ACT	= 1,	/* LINEAR: enum damf_act */
	DAMF_P_POOL	= 2,	/* POOL: enum damf_pool */
	DAMF_P_PATTERN	= 3,	/* FILL */
	DAMF_P_XTYPE	= 4,	/* LINEAR, FFN, ATTENTION: of activations for I8 weights */
};

enum damf_act {
	DAMF_ACT_NONE	= 0,
	DAMF_ACT_GELU	= 1,	/* exact: x Phi(x), by erf */
	DAMF_ACT_TANH	= 2,
};

enum damf_pool {
	DAMF_POOL_MEAN	= 0,
	DAMF_POOL_CLS	= 1,
};

/* tensor slots */
enum damf_slot {
	DAMF_T_X	= 0,	/* input; EMBED: ids, I32 [T, 1] */
	DAMF_T_Y	= 1,	/* output */
	DAMF_T_OFFSETS	= 2,	/* I32 [B + 1, 1]: first token of each sequence, then T */
	DAMF_T_R	= 3,	/* residual; EMBED: type ids, I32 [T, 1], optional (0) */
	DAMF_T_GAMMA	= 4,	/* [1, d] */
	DAMF_T_BETA	= 5,	/* [1, d] */
	DAMF_T_W	= 6,	/* LINEAR, FFN: first weight; EMBED: word table [V, d] ROWS */
	DAMF_T_B	= 7,	/* its bias [1, n]; EMBED: position table [P, d] ROWS */
	DAMF_T_W2	= 8,	/* FFN: second weight; EMBED: type table [types, d] ROWS */
	DAMF_T_B2	= 9,	/* its bias [1, n] */
	/* ATTENTION */
	DAMF_T_HEADS	= 3,	/* bytes [heads, 128], struct damf_head, stride >= 128 */
	DAMF_T_WQ	= 4,	/* [d, nqk], optional with its bias if no head needs them */
	DAMF_T_BQ	= 5,
	DAMF_T_WK	= 6,	/* [d, nqk] */
	DAMF_T_BK	= 7,
	DAMF_T_WV	= 8,	/* [d, nv] */
	DAMF_T_BV	= 9,
	DAMF_T_WO	= 10,	/* [nv, d] */
	DAMF_T_BO	= 11,
	DAMF_T_WPQ	= 12,	/* [d, npq]: columns u and v of heads with scores of low rank */
	DAMF_T_BPQ	= 13,
};

/* attention modes: bits of DAMF_REG_MODES and damf_head.mode */
enum damf_mode {
	DAMF_MODE_MHSA		= 0,	/* exact softmax */
	DAMF_MODE_SHIFT		= 1,	/* powers of two, a shift a pair */
	DAMF_MODE_FOLD		= 2,	/* folded, floating point */
	DAMF_MODE_FOLDSHIFT	= 3,	/* folded, powers of two */
	DAMF_MODE_SOFTFOLD	= 4,	/* softmax of rank-1 scores, interpolated */
};

#define DAMF_HEAD_CENTRED	(1u << 0) /* q' = q - mean q */
#define DAMF_HEAD_SCALE		(1u << 1) /* g is the scale given, not 1 / A_max */
#define DAMF_HEAD_BAND		(1u << 2) /* band[] is added */
#define DAMF_HEAD_SINKS		(1u << 3) /* sink[] is added */
#define DAMF_BAND_RADIUS	7
#define DAMF_MAX_ORDER		4

/* one head of an attention job; floats are bit patterns of f32 */
struct damf_head {
	__le16 mode;		/* enum damf_mode */
	__le16 flags;		/* DAMF_HEAD_* */
	__le16 d_qk;		/* width of q and k; 0 unless mode is MHSA */
	__le16 d_v;		/* width of v */
	__le32 qk_col;		/* first column in WQ and WK; 0 unless mode is MHSA */
	__le32 v_col;		/* first column in WV, first row in WO */
	__le32 p_col;		/* first of rank columns of u in WPQ; 0 if mode is MHSA */
	__le32 q_col;		/* first of rank columns of v in WPQ; 0 if mode is MHSA */
	__le16 rank;		/* of the scores; 0 if mode is MHSA */
	__le16 order;		/* K of the polynomial; 1 is eq. 14 */
	__le32 scale;		/* MHSA: factor of the scores, 1/sqrt(d_h); else g if flagged */
	__le32 coef[5];		/* c_0..c_K of the polynomial; SOFTFOLD: the error bound */
	__le32 sink[2];		/* weights of the first and the last token */
	__le32 band[2 * DAMF_BAND_RADIUS + 1]; /* weight of offset o at [o + 7] */
	__le32 reserved[2];
};

DAMF_HW_ASSERT(sizeof(struct damf_head) == 128);

/* ---- Counters ------------------------------------------------------------ */

/* what the engine did, of one job or summed over a context */
struct damf_counters {
	__le64 static_macs;	/* products with weights */
	__le64 dynamic_macs;	/* products of two activations */
	__le64 shift_adds;
	__le64 exps;		/* exponentials, and erf and tanh */
	__le64 divs;		/* divisions and square roots */
	__le64 read_weights;	/* bytes */
	__le64 read_activations;
	__le64 read_intermediates;
	__le64 write_activations;
	__le64 write_intermediates;
	__le64 page_walks;	/* page-table entries read */
	__le64 cycles;		/* of the timing model */
	__le64 energy_pj;	/* of the energy model */
	__le64 jobs;
	__le64 int8_macs;	/* those of static_macs whose weight is I8 */
	__le64 spills;		/* bytes of intermediates that the scratchpad had no room for */
};

DAMF_HW_ASSERT(sizeof(struct damf_counters) == 128);

#endif /* _UAPI_DAMF_HW_H_ */
