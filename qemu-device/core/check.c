// SPDX-License-Identifier: MIT
/*
 * Every field of a job, in the order of struct damf_job: first each on its
 * own, then shapes against each other, then addresses. What is found first is
 * what the completion names.
 */
#include <endian.h>
#include <math.h>
#include <string.h>

#include "work.h"

struct symbols {
	uint64_t value[DAMF_SYMS];	/* 0: not bound yet */
};

int damf_fail_set(struct damf_fail *fail, unsigned int status, size_t field)
{
	fail->status = (uint16_t)status;
	fail->field = (uint16_t)field;
	return -1;
}

int damf_list_check(uint64_t list, uint32_t count, uint32_t first, uint64_t counters,
		    struct damf_fail *fail)
{
	uint64_t size = sizeof(struct damf_job), csize = sizeof(struct damf_counters);

	if (!count)
		return damf_fail_set(fail, DAMF_ST_BAD_FIELD, offsetof(struct damf_sqe, count));
	if (count > DAMF_MAX_JOBS)
		return damf_fail_set(fail, DAMF_ST_BAD_LIMIT, offsetof(struct damf_sqe, count));
	if (first > count)
		return damf_fail_set(fail, DAMF_ST_BAD_FIELD, offsetof(struct damf_sqe, first));
	if (list % 64 || list >= DAMF_VA_END || DAMF_VA_END - list < count * size)
		return damf_fail_set(fail, DAMF_ST_BAD_FIELD, offsetof(struct damf_sqe, list));
	if (counters % 8 || counters >= DAMF_VA_END || DAMF_VA_END - counters < count * csize)
		return damf_fail_set(fail, DAMF_ST_BAD_FIELD, offsetof(struct damf_sqe, counters));
	return 0;
}

static int check_header(const struct damf_job *job, struct damf_fail *fail)
{
	if (le16toh(job->opcode) > DAMF_OP_LAST)
		return damf_fail_set(fail, DAMF_ST_BAD_OPCODE, offsetof(struct damf_job, opcode));
	if (le16toh(job->version) != DAMF_JOB_VERSION)
		return damf_fail_set(fail, DAMF_ST_BAD_VERSION, offsetof(struct damf_job, version));
	if (le32toh(job->size) != sizeof(*job))
		return damf_fail_set(fail, DAMF_ST_BAD_VERSION, offsetof(struct damf_job, size));
	if (job->flags)
		return damf_fail_set(fail, DAMF_ST_BAD_FIELD, offsetof(struct damf_job, flags));
	if (job->reserved)
		return damf_fail_set(fail, DAMF_ST_BAD_FIELD, offsetof(struct damf_job, reserved));
	return 0;
}

static bool param_valid(unsigned int n, uint32_t value)
{
	float f;

	switch (n) {
	case DAMF_P_EPS:
		memcpy(&f, &value, sizeof(f));
		return isfinite(f) && !signbit(f);
	case DAMF_P_ACT:
		return value <= DAMF_ACT_TANH;
	case DAMF_P_POOL:
		return value <= DAMF_POOL_CLS;
	case DAMF_P_XTYPE:
		return !value || value == DAMF_TYPE_I8 || value == DAMF_TYPE_I16;
	default:
		return true;
	}
}

static int check_params(const struct damf_job *job, uint32_t used, struct damf_fail *fail)
{
	unsigned int n;

	for (n = 0; n < DAMF_JOB_PARAMS; n++) {
		uint32_t value = le32toh(job->param[n]);
		bool known = n < 32 && (used >> n & 1);

		if (known ? !param_valid(n, value) : value != 0)
			return damf_fail_set(fail, DAMF_ST_BAD_FIELD, DAMF_FIELD_PARAM(n));
	}
	return 0;
}

/* ---- One descriptor ------------------------------------------------------ */

#define BAD(status, member) \
	damf_fail_set(fail, DAMF_ST_BAD_##status, DAMF_FIELD_TENSOR(slot, member))

/* A slot that is not used: every field is zero. */
static int check_unused(const struct damf_tensor *t, unsigned int slot, struct damf_fail *fail)
{
	if (t->addr)
		return BAD(FIELD, addr);
	if (t->scales)
		return BAD(FIELD, scales);
	if (t->stride)
		return BAD(FIELD, stride);
	if (t->rows)
		return BAD(FIELD, rows);
	if (t->cols)
		return BAD(FIELD, cols);
	if (t->type)
		return BAD(FIELD, type);
	if (t->layout)
		return BAD(FIELD, layout);
	if (t->reserved0)
		return BAD(FIELD, reserved0);
	return t->reserved1 ? BAD(FIELD, reserved1) : 0;
}

static uint64_t alignment(const struct damf_slot_rule *rule)
{
	if (rule->flags & DAMF_SLOT_ALIGN1)
		return 1;
	if (rule->flags & DAMF_SLOT_ALIGN8)
		return 8;
	return rule->flags & DAMF_SLOT_TABLE ? 4 : 64;
}

static unsigned int element(unsigned int type)
{
	switch (type) {
	case DAMF_TYPE_BYTES:
	case DAMF_TYPE_I8:
		return 1;
	case DAMF_TYPE_BF16:
		return 2;
	default:
		return 4;
	}
}

static bool type_valid(const struct damf_slot_rule *rule, unsigned int type)
{
	if (type == rule->type)
		return true;
	return (rule->flags & DAMF_SLOT_WEIGHT) &&
	       (type == DAMF_TYPE_BF16 || type == DAMF_TYPE_I8);
}

/* The largest value of a shape; 0 where it is given by others alone. */
static uint64_t limit_of(unsigned int sym)
{
	switch (sym) {
	case DAMF_SYM_T:
	case DAMF_SYM_R:
		return DAMF_MAX_ROWS;
	case DAMF_SYM_B:
		return DAMF_MAX_SEQS;
	case DAMF_SYM_B1:
		return DAMF_MAX_SEQS + 1;
	case DAMF_SYM_D:
	case DAMF_SYM_K:
	case DAMF_SYM_N:
	case DAMF_SYM_PQ:
		return DAMF_MAX_WIDTH;
	case DAMF_SYM_H:
		return DAMF_MAX_HEADS;
	case DAMF_SYM_V:
	case DAMF_SYM_V2:
	case DAMF_SYM_V3:
		return INT32_MAX;
	default:
		return UINT32_MAX;
	}
}

/* DAMF_ST_OK, or what is wrong with a dimension on its own. */
static unsigned int dim_status(unsigned int sym, uint64_t value)
{
	if (!value || (sym == DAMF_SYM_1 && value != 1) || (sym == DAMF_SYM_128 && value != 128) ||
	    (sym == DAMF_SYM_B1 && value < 2))
		return DAMF_ST_BAD_FIELD;
	return value > limit_of(sym) ? DAMF_ST_BAD_LIMIT : DAMF_ST_OK;
}

static int check_dims(const struct damf_tensor *d, const struct damf_slot_rule *rule,
		      struct damf_tens *t, struct damf_fail *fail)
{
	unsigned int status, slot = rule->slot;

	t->rows = le32toh(d->rows);
	t->cols = le32toh(d->cols);
	status = dim_status(rule->rows, t->rows);
	if (status)
		return damf_fail_set(fail, status, DAMF_FIELD_TENSOR(slot, rows));
	status = dim_status(rule->cols, t->cols);
	if (status)
		return damf_fail_set(fail, status, DAMF_FIELD_TENSOR(slot, cols));
	t->type = le16toh(d->type);
	t->elem = element(t->type);
	if (!type_valid(rule, t->type))
		return BAD(FIELD, type);
	if (le16toh(d->layout) != rule->layout)
		return BAD(FIELD, layout);
	if (d->reserved0)
		return BAD(FIELD, reserved0);
	return d->reserved1 ? BAD(FIELD, reserved1) : 0;
}

/* Bytes that it takes, none of the arithmetic overflowing. */
static int check_span(const struct damf_slot_rule *rule, struct damf_tens *t,
		      struct damf_fail *fail)
{
	unsigned int slot = rule->slot, elem = t->elem;
	/* inputs of I8 lie four together */
	uint64_t rows = t->type == DAMF_TYPE_I8 ? (t->rows + 3ull) & ~3ull : t->rows;

	if (rule->layout == DAMF_LAYOUT_PANEL32) {
		if (t->stride)
			return BAD(FIELD, stride);
		/* both at most MAX_WIDTH: no overflow */
		t->row_bytes = rows * DAMF_PANEL * elem;
		t->span = (t->cols + DAMF_PANEL - 1ull) / DAMF_PANEL * t->row_bytes;
		return t->span > DAMF_MAX_TENSOR ? BAD(LIMIT, rows) : 0;
	}
	t->row_bytes = (uint64_t)t->cols * elem;
	if (t->row_bytes > DAMF_MAX_TENSOR)
		return BAD(LIMIT, cols);
	if (t->stride % elem || t->stride < t->row_bytes)
		return BAD(FIELD, stride);
	if (t->stride > DAMF_MAX_TENSOR)
		return BAD(LIMIT, stride);
	/* stride < 2^31 and rows < 2^32: no overflow */
	t->span = (t->rows - 1ull) * t->stride + t->row_bytes;
	return t->span > DAMF_MAX_TENSOR ? BAD(LIMIT, rows) : 0;
}

/* Factors: of columns, or of a table's rows. */
static int check_scales(const struct damf_tensor *d, const struct damf_slot_rule *rule,
			struct damf_tens *t, struct damf_fail *fail)
{
	unsigned int slot = rule->slot;

	if (t->type != DAMF_TYPE_I8)
		return d->scales ? BAD(FIELD, scales) : 0;
	t->scales = le64toh(d->scales);
	t->scales_span = 4ull * (rule->layout == DAMF_LAYOUT_PANEL32 ? t->cols : t->rows);
	if (t->scales % 64 || t->scales >= DAMF_VA_END ||
	    DAMF_VA_END - t->scales < t->scales_span)
		return BAD(FIELD, scales);
	return 0;
}

static int check_tensor(const struct damf_tensor *d, const struct damf_slot_rule *rule,
			struct damf_tens *t, struct damf_fail *fail)
{
	unsigned int slot = rule->slot;

	t->used = true;
	t->addr = le64toh(d->addr);
	t->stride = le64toh(d->stride);
	if (t->addr % alignment(rule) || t->addr >= DAMF_VA_END)
		return BAD(FIELD, addr);
	if (check_dims(d, rule, t, fail) || check_span(rule, t, fail) ||
	    check_scales(d, rule, t, fail))
		return -1;
	return DAMF_VA_END - t->addr < t->span ? BAD(FIELD, addr) : 0;
}

static int check_slots(struct damf_work *w, const struct damf_op_rule *op, struct damf_fail *fail)
{
	const struct damf_slot_rule *rule = op->slots;
	unsigned int slot;

	memset(w->t, 0, sizeof(w->t));
	for (slot = 0; slot < DAMF_JOB_TENSORS; slot++) {
		const struct damf_tensor *d = &w->job.tensor[slot];

		bool known = rule->name && rule->slot == slot;

		if (!known || ((rule->flags & DAMF_SLOT_OPTIONAL) && !d->type)) {
			if (check_unused(d, slot, fail))
				return -1;
		} else if (check_tensor(d, rule, &w->t[slot], fail)) {
			return -1;
		}
		rule += known;
	}
	return 0;
}

/* ---- Between slots ------------------------------------------------------- */

/* The first slot that has a shape gives it; others must agree. */
static bool bind(struct symbols *syms, unsigned int sym, uint64_t value)
{
	if (sym == DAMF_SYM_B1) {
		sym = DAMF_SYM_B;
		value--;
	}
	if (!syms->value[sym])
		syms->value[sym] = value;
	return syms->value[sym] == value;
}

static int check_shapes(const struct damf_work *w, const struct damf_op_rule *op,
			struct damf_fail *fail)
{
	const struct damf_slot_rule *rule;
	struct symbols syms = { { 0 } };

	for (rule = op->slots; rule->name; rule++) {
		const struct damf_tens *t = &w->t[rule->slot];
		unsigned int slot = rule->slot;

		if (!t->used)
			continue;
		if (!bind(&syms, rule->rows, t->rows))
			return BAD(FIELD, rows);
		if (!bind(&syms, rule->cols, t->cols))
			return BAD(FIELD, cols);
		if (rule->needs && !w->t[rule->needs - 1].used)
			return BAD(FIELD, type);
	}
	return 0;
}

static bool overlap(const struct damf_tens *out, const struct damf_tens *in)
{
	uint64_t end = out->addr + out->span;

	return (out->addr < in->addr + in->span && in->addr < end) ||
	       (out->addr < in->scales + in->scales_span && in->scales < end);
}

static int check_overlap(const struct damf_work *w, const struct damf_op_rule *op,
			 struct damf_fail *fail)
{
	const struct damf_slot_rule *out, *in;

	for (out = op->slots; out->name; out++) {
		if (!(out->flags & DAMF_SLOT_OUT))
			continue;
		for (in = op->slots; in->name; in++)
			if (in != out && w->t[in->slot].used &&
			    overlap(&w->t[out->slot], &w->t[in->slot]))
				return damf_fail_set(fail, DAMF_ST_OVERLAP,
						     DAMF_FIELD_TENSOR(out->slot, addr));
	}
	return 0;
}

/* WQ and WK come together. */
static int check_pair(const struct damf_work *w, struct damf_fail *fail)
{
	unsigned int slot = DAMF_T_WK;

	if (w->opcode == DAMF_OP_ATTENTION && w->t[DAMF_T_WQ].used != w->t[DAMF_T_WK].used)
		return BAD(FIELD, type);
	return 0;
}

/* XTYPE says what meets I8 weights, if there are any. */
static int check_xtype(const struct damf_work *w, const struct damf_op_rule *op,
		       struct damf_fail *fail)
{
	const struct damf_slot_rule *rule;
	bool i8 = false;

	if (!(op->params >> DAMF_P_XTYPE & 1))
		return 0;
	for (rule = op->slots; rule->name; rule++)
		i8 |= w->t[rule->slot].type == DAMF_TYPE_I8;
	if (i8 == (w->job.param[DAMF_P_XTYPE] != 0))
		return 0;
	return damf_fail_set(fail, DAMF_ST_BAD_FIELD, DAMF_FIELD_PARAM(DAMF_P_XTYPE));
}

int damf_check_job(struct damf_work *w, struct damf_fail *fail)
{
	const struct damf_op_rule *op;

	if (check_header(&w->job, fail))
		return -1;
	w->opcode = le16toh(w->job.opcode);
	op = damf_op_rule(w->opcode);
	if (check_params(&w->job, op->params, fail) || check_slots(w, op, fail) ||
	    check_shapes(w, op, fail) || check_pair(w, fail) || check_xtype(w, op, fail) ||
	    check_overlap(w, op, fail))
		return -1;
	return 0;
}
