// SPDX-License-Identifier: MIT
/*
 * Every field of every kind of job, spoilt in turn: the completion names job
 * and field. What each field may hold is told here from the specification.
 */
#include <math.h>
#include <string.h>

#include "jobs.h"

#define INDEX	1	/* the spoilt job comes after a good one */
#define TENSOR(slot) (256u + 48u * (slot))
#define FIELD(slot, member) (TENSOR(slot) + (unsigned int)offsetof(struct damf_tensor, member))

struct bench {
	struct fake *f;
	struct fake_ring ring;
	struct job_case c;
	struct damf_job *list;
	uint64_t va;
	unsigned int tried;
};

static void bench_open(struct bench *b, unsigned int which)
{
	struct damf_job jobs[2] = { { .version = 1, .size = sizeof(struct damf_job) } };

	b->f = fake_ready(&b->ring);
	job_case_build(b->f, &b->c, which);
	jobs[INDEX] = b->c.job;
	b->va = job_list(b->f, jobs, 2, (void **)&b->list);
}

static struct damf_cqe run(struct bench *b)
{
	struct damf_admin_sqe resume = fake_context_cmd(DAMF_ADMIN_RESUME_CONTEXT, 1);
	struct damf_sqe sqe = fake_exec(1, b->va, 2);
	struct damf_cqe cqe = fake_run(b->f, &b->ring, &sqe);

	if (cqe.status == DAMF_ST_PAGE_FAULT)
		fake_admin(b->f, &resume);
	b->tried++;
	return cqe;
}

/* Runs with @size bytes at @offset of the job replaced; it's put right after. */
static struct damf_cqe spoil(struct bench *b, unsigned int offset, unsigned int size, uint64_t value)
{
	struct damf_cqe cqe;

	memcpy((char *)&b->list[INDEX] + offset, &value, size);
	cqe = run(b);
	b->list[INDEX] = b->c.job;
	return cqe;
}

static void expect(struct bench *b, unsigned int offset, unsigned int size, uint64_t value,
		   unsigned int status)
{
	struct damf_cqe cqe = spoil(b, offset, size, value);
	char name[64];

	if (cqe.status != status || cqe.field != offset || cqe.index != INDEX)
		fail_msg("%s, %s = %#llx: status %u, field %u, job %u; wanted status %u, field %u",
			 b->c.name, damf_job_field_name(b->c.opcode, offset, name, sizeof(name)),
			 (unsigned long long)value, cqe.status, cqe.field, cqe.index, status,
			 offset);
}

static bool used(const struct job_case *c, unsigned int slot)
{
	return c->job.tensor[slot].type != DAMF_TYPE_NONE;
}

static unsigned int used_params(unsigned int opcode)
{
	switch (opcode) {
	case DAMF_OP_FILL:
		return 1 << DAMF_P_PATTERN;
	case DAMF_OP_LINEAR:
		return 1 << DAMF_P_ACT | 1 << DAMF_P_XTYPE;
	case DAMF_OP_FFN:
	case DAMF_OP_ATTENTION:
		return 1 << DAMF_P_XTYPE;
	case DAMF_OP_POOL:
		return 1 << DAMF_P_POOL;
	case DAMF_OP_EMBED:
	case DAMF_OP_ADD_NORM:
	case DAMF_OP_NORMALIZE:
		return 1 << DAMF_P_EPS;
	default:
		return 0;
	}
}

static void header(struct bench *b)
{
	unsigned int i, bit;

	for (i = DAMF_OP_LAST + 1; i <= 0xffff; i += 1021)
		expect(b, 0, 2, i, DAMF_ST_BAD_OPCODE);
	expect(b, 2, 2, 0, DAMF_ST_BAD_VERSION);
	expect(b, 2, 2, 2, DAMF_ST_BAD_VERSION);
	expect(b, 4, 4, 0, DAMF_ST_BAD_VERSION);
	expect(b, 4, 4, 1028, DAMF_ST_BAD_VERSION);
	for (bit = 0; bit < 32; bit++) {
		expect(b, 8, 4, 1u << bit, DAMF_ST_BAD_FIELD);
		expect(b, 12, 4, 1u << bit, DAMF_ST_BAD_FIELD);
	}
	for (i = 0; i < DAMF_JOB_PARAMS; i++)
		if (i >= 32 || !(used_params(b->c.opcode) >> i & 1))
			expect(b, 16 + 4 * i, 4, 1u << i % 32, DAMF_ST_BAD_FIELD);
}

static void params(struct bench *b)
{
	unsigned int uses = used_params(b->c.opcode);

	if (uses & 1 << DAMF_P_EPS) {
		expect(b, 16, 4, 0x80000000, DAMF_ST_BAD_FIELD); /* -0 */
		expect(b, 16, 4, 0xbf800000, DAMF_ST_BAD_FIELD); /* -1 */
		expect(b, 16, 4, 0x7f800000, DAMF_ST_BAD_FIELD); /* infinity */
		expect(b, 16, 4, 0x7fc00000, DAMF_ST_BAD_FIELD); /* NaN */
	}
	if (uses & 1 << DAMF_P_ACT)
		expect(b, 20, 4, 3, DAMF_ST_BAD_FIELD);
	if (uses & 1 << DAMF_P_POOL)
		expect(b, 24, 4, 2, DAMF_ST_BAD_FIELD);
	if (uses & 1 << DAMF_P_XTYPE) {
		expect(b, 32, 4, DAMF_TYPE_F32, DAMF_ST_BAD_FIELD);
		expect(b, 32, 4, DAMF_TYPE_BF16, DAMF_ST_BAD_FIELD);
		expect(b, 32, 4, 0x104, DAMF_ST_BAD_FIELD);
		/* there if a weight is I8, and not else */
		expect(b, 32, 4, b->c.xtype ? 0 : DAMF_TYPE_I8, DAMF_ST_BAD_FIELD);
		expect(b, 32, 4, b->c.xtype ? 0 : DAMF_TYPE_I16, DAMF_ST_BAD_FIELD);
	}
}

static void unused_slot(struct bench *b, unsigned int slot)
{
	static const struct {
		unsigned int offset, size;
	} fields[] = { { 0, 8 }, { 8, 8 }, { 16, 8 }, { 24, 4 }, { 28, 4 }, { 32, 2 }, { 34, 2 },
		       { 36, 4 }, { 40, 8 } };
	bool optional = (b->c.opcode == DAMF_OP_LINEAR && (slot == DAMF_T_R || slot == DAMF_T_B)) ||
		(b->c.opcode == DAMF_OP_EMBED && slot == DAMF_T_R) ||
		(b->c.opcode == DAMF_OP_ADD_NORM && slot == DAMF_T_R) ||
		(b->c.opcode == DAMF_OP_ATTENTION && slot < 14);
	unsigned int i;

	for (i = 0; i < 9; i++)
		/* a type makes an optional slot used: then its shape is what's wrong */
		if (!optional || fields[i].offset != 32)
			expect(b, TENSOR(slot) + fields[i].offset, fields[i].size,
			       1ull << (8 * fields[i].size - 1), DAMF_ST_BAD_FIELD);
}

/* Tables of embeddings may have any number of rows. */
static bool long_table(const struct bench *b, unsigned int slot)
{
	return b->c.opcode == DAMF_OP_EMBED && slot >= DAMF_T_W;
}

/* Weights and tables of embeddings may be of other types. */
static bool weight(const struct bench *b, unsigned int slot)
{
	return b->c.job.tensor[slot].layout == DAMF_LAYOUT_PANEL32 || long_table(b, slot);
}

static void types(struct bench *b, unsigned int slot)
{
	const struct damf_tensor *t = &b->c.job.tensor[slot];
	unsigned int i;

	for (i = 0; i < 9; i++) {
		bool valid = weight(b, slot) &&
			     (i == DAMF_TYPE_F32 || i == DAMF_TYPE_I8 || i == DAMF_TYPE_BF16);

		if (i != t->type && !valid)
			expect(b, FIELD(slot, type), 2, i ? i : 0x100, DAMF_ST_BAD_FIELD);
	}
	if (t->type != DAMF_TYPE_I8) {
		expect(b, FIELD(slot, scales), 8, 64, DAMF_ST_BAD_FIELD);
		return;
	}
	expect(b, FIELD(slot, scales), 8, t->scales + 4, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, scales), 8, t->scales + 32, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, scales), 8, DAMF_VA_END, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, scales), 8, ~63ull, DAMF_ST_BAD_FIELD);
	if (t->layout == DAMF_LAYOUT_PANEL32 ? t->cols > 16 : t->rows > 16)
		expect(b, FIELD(slot, scales), 8, DAMF_VA_END - 64, DAMF_ST_BAD_FIELD);
}

static void used_slot(struct bench *b, unsigned int slot)
{
	const struct damf_tensor *t = &b->c.job.tensor[slot];
	bool packed = t->layout == DAMF_LAYOUT_PANEL32;
	unsigned int elem = t->type == DAMF_TYPE_BYTES || t->type == DAMF_TYPE_I8 ? 1 :
			    t->type == DAMF_TYPE_BF16 ? 2 : 4;

	expect(b, FIELD(slot, addr), 8, DAMF_VA_END, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, addr), 8, ~63ull, DAMF_ST_BAD_FIELD);
	if (packed || t->rows * t->stride > 64)
		expect(b, FIELD(slot, addr), 8, DAMF_VA_END - 64, DAMF_ST_BAD_FIELD);
	if (t->type == DAMF_TYPE_F32 || weight(b, slot))
		expect(b, FIELD(slot, addr), 8, t->addr + 32, DAMF_ST_BAD_FIELD);
	if (t->type == DAMF_TYPE_I32)
		expect(b, FIELD(slot, addr), 8, t->addr + 2, DAMF_ST_BAD_FIELD);
	types(b, slot);
	expect(b, FIELD(slot, rows), 4, 0, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, cols), 4, 0, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, layout), 2, !packed, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, layout), 2, 2, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, reserved0), 4, 1, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, reserved1), 8, 1ull << 40, DAMF_ST_BAD_FIELD);
	if (t->type == DAMF_TYPE_F32 || weight(b, slot))
		expect(b, FIELD(slot, cols), 4, 16385, DAMF_ST_BAD_LIMIT);
	if (packed) {
		expect(b, FIELD(slot, stride), 8, 4ull * t->cols, DAMF_ST_BAD_FIELD);
		return;
	}
	expect(b, FIELD(slot, stride), 8, (uint64_t)elem * t->cols - 1, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, stride), 8, 0, DAMF_ST_BAD_FIELD);
	expect(b, FIELD(slot, stride), 8, 1ull << 31, DAMF_ST_BAD_LIMIT);
	if (t->rows > 1 && !long_table(b, slot))
		expect(b, FIELD(slot, rows), 4, t->rows + 0x10000, DAMF_ST_BAD_LIMIT);
}

static void each_field(void **state)
{
	static struct bench b;
	unsigned int which, slot, tried = 0;

	(void)state;
	for (which = 0; which < JOB_CASES; which++) {
		memset(&b, 0, sizeof(b));
		bench_open(&b, which);
		assert_int_equal(run(&b).status, DAMF_ST_OK);
		header(&b);
		params(&b);
		for (slot = 0; slot < DAMF_JOB_TENSORS; slot++) {
			if (!used(&b.c, slot))
				unused_slot(&b, slot);
			else
				used_slot(&b, slot);
		}
		assert_int_equal(run(&b).status, DAMF_ST_OK);
		/* by now the context has figures to write */
		if (b.c.opcode != DAMF_OP_COUNTERS)
			job_case_check(b.f, &b.c);
		tried += b.tried;
		fake_free(b.f);
	}
	print_message("%u jobs tried\n", tried);
}

/* A tensor that takes more than MAX_TENSOR from its first byte to its last. */
static void too_large(void **state)
{
	static struct bench b;
	struct damf_cqe cqe;

	(void)state;
	memset(&b, 0, sizeof(b));
	bench_open(&b, 1);
	cqe = spoil(&b, FIELD(DAMF_T_X, stride), 8, 1 << 30);
	assert_int_equal(cqe.status, DAMF_ST_BAD_LIMIT);
	assert_int_equal(cqe.field, FIELD(DAMF_T_X, rows));
	expect(&b, FIELD(DAMF_T_X, cols), 4, (1 << 30) + 1, DAMF_ST_BAD_LIMIT);
	fake_free(b.f);
}

/* One sequence of MAX_LENGTH tokens is fine, one more is not. */
static void too_long(void **state)
{
	struct fake_ring ring;
	struct fake *f = fake_ready(&ring);
	struct damf_job job = { .opcode = DAMF_OP_POOL, .version = 1, .size = sizeof(job) };
	int32_t *offsets;
	uint32_t tokens;

	(void)state;
	job.tensor[DAMF_T_X] = (struct damf_tensor) { .type = DAMF_TYPE_F32, .cols = 1, .stride = 4,
						      .addr = fake_va(f, 4 * 32769, NULL) };
	job.tensor[DAMF_T_Y] = (struct damf_tensor) { .type = DAMF_TYPE_F32, .cols = 1, .stride = 4,
						      .rows = 1, .addr = fake_va(f, 64, NULL) };
	job.tensor[DAMF_T_OFFSETS] = (struct damf_tensor) {
		.type = DAMF_TYPE_I32, .rows = 2, .cols = 1, .stride = 4,
		.addr = fake_va(f, 8, (void **)&offsets) };
	for (tokens = 32768; tokens <= 32769; tokens++) {
		struct damf_sqe sqe;

		job.tensor[DAMF_T_X].rows = tokens;
		offsets[1] = (int32_t)tokens;
		sqe = fake_exec(1, job_list(f, &job, 1, NULL), 1);
		assert_int_equal(fake_run(f, &ring, &sqe).status,
				 tokens == 32768 ? DAMF_ST_OK : DAMF_ST_BAD_DATA);
	}
	fake_free(f);
}

/* Every tensor of every job beside every other: shapes must agree. */
static void shapes(void **state)
{
	static struct bench b;
	unsigned int which, slot;

	(void)state;
	for (which = 4; which < JOB_CASES; which++) {
		memset(&b, 0, sizeof(b));
		bench_open(&b, which);
		for (slot = 0; slot < DAMF_JOB_TENSORS; slot++) {
			const struct damf_tensor *t = &b.c.job.tensor[slot];
			struct damf_cqe cqe;

			if (!used(&b.c, slot) || t->cols < 2 || t->cols == 128)
				continue;
			cqe = spoil(&b, FIELD(slot, cols), 4, t->cols - 1);
			/* of two that disagree, the one in the higher slot is named */
			assert_int_equal(cqe.index, INDEX);
			if (b.c.opcode == DAMF_OP_ATTENTION && cqe.status == DAMF_ST_BAD_DATA)
				continue;
			assert_int_equal(cqe.status, DAMF_ST_BAD_FIELD);
			assert_true((cqe.field - 256u) / 48 >= slot);
			assert_true((cqe.field - 256) % 48 == 24 || (cqe.field - 256) % 48 == 28);
		}
		fake_free(b.f);
	}
}

/* An output must not touch an input, not by a byte. */
static void overlaps(void **state)
{
	static struct bench b;
	unsigned int which, slot;

	(void)state;
	for (which = 1; which < JOB_CASES; which++) {
		memset(&b, 0, sizeof(b));
		bench_open(&b, which);
		for (slot = 0; slot < DAMF_JOB_TENSORS; slot++)
			if (slot != DAMF_T_Y && used(&b.c, slot)) {
				const struct damf_tensor *t = &b.c.job.tensor[slot];

				expect(&b, FIELD(DAMF_T_Y, addr), 8, t->addr, DAMF_ST_OVERLAP);
				if (t->scales)
					expect(&b, FIELD(DAMF_T_Y, addr), 8, t->scales,
					       DAMF_ST_OVERLAP);
			}
		fake_free(b.f);
	}
}

/* ---- What tables hold ---------------------------------------------------- */

static void expect_data(struct bench *b, unsigned int slot, unsigned int i, int32_t value,
			unsigned int named)
{
	int32_t *table = b->c.host[slot], old = table[i];
	struct damf_cqe cqe;

	table[i] = value;
	cqe = run(b);
	if (cqe.status != DAMF_ST_BAD_DATA || cqe.field != FIELD(slot, addr) ||
	    cqe.index != INDEX || cqe.fault_addr != b->c.job.tensor[slot].addr + 4 * named)
		fail_msg("%s, slot %u, [%u] = %d: status %u, field %u, address %#llx", b->c.name,
			 slot, i, value, cqe.status, cqe.field, (unsigned long long)cqe.fault_addr);
	table[i] = old;
}

static void offsets(struct bench *b)
{
	expect_data(b, DAMF_T_OFFSETS, 0, 1, 0);
	expect_data(b, DAMF_T_OFFSETS, 0, -1, 0);
	expect_data(b, DAMF_T_OFFSETS, 1, -1, 1);
	expect_data(b, DAMF_T_OFFSETS, 1, 4, 2);
	expect_data(b, DAMF_T_OFFSETS, 2, 8, 2);
	expect_data(b, DAMF_T_OFFSETS, 3, 6, 3);
	expect_data(b, DAMF_T_OFFSETS, 3, 8, 3);
	expect_data(b, DAMF_T_OFFSETS, 3, INT32_MIN, 3);
}

static void tables(void **state)
{
	static struct bench b;
	unsigned int which;

	(void)state;
	for (which = 4; which < JOB_CASES; which++) {
		memset(&b, 0, sizeof(b));
		bench_open(&b, which);
		if (used(&b.c, DAMF_T_OFFSETS) && b.c.opcode != DAMF_OP_LINEAR)
			offsets(&b);
		if (b.c.opcode == DAMF_OP_EMBED) {
			expect_data(&b, DAMF_T_X, 2, 11, 2);
			expect_data(&b, DAMF_T_X, 6, -1, 6);
			expect_data(&b, DAMF_T_X, 6, INT32_MIN, 6);
			if (used(&b.c, DAMF_T_R))
				expect_data(&b, DAMF_T_R, 1, 2, 1);
			/* too few positions for the sequence that ends at offsets[3] */
			b.list[INDEX].tensor[DAMF_T_B].rows = 3;
			assert_int_equal(run(&b).fault_addr,
					 b.c.job.tensor[DAMF_T_OFFSETS].addr + 12);
		}
		fake_free(b.f);
	}
}

/* ---- Factors of I8 ------------------------------------------------------- */

static void expect_scale(struct bench *b, unsigned int slot, unsigned int i, float value,
			 bool bad)
{
	float *scale = &b->c.scales[slot][i], old = *scale;
	uint64_t addr = b->c.job.tensor[slot].scales + 4 * i;
	struct damf_cqe cqe;

	*scale = value;
	cqe = run(b);
	if (bad ? cqe.status != DAMF_ST_BAD_DATA || cqe.field != FIELD(slot, scales) ||
		  cqe.index != INDEX || cqe.fault_addr != addr : cqe.status != DAMF_ST_OK)
		fail_msg("%s, slot %u, factor %u = %a: status %u, field %u, address %#llx",
			 b->c.name, slot, i, value, cqe.status, cqe.field,
			 (unsigned long long)cqe.fault_addr);
	*scale = old;
}

/* Ids are 3, 10, 0, 3, 7, 1, 2, sequences of 3 and 4, types 0 and 1. */
static bool row_used(unsigned int slot, unsigned int row)
{
	if (slot == DAMF_T_W)
		return row < 4 || row == 7 || row == 10;
	return slot == DAMF_T_B ? row < 4 : true;
}

static void factors(void **state)
{
	static const float bad[] = { 0.0f, -0.0f, -1.0f, INFINITY, -INFINITY, NAN };
	static struct bench b;
	unsigned int which, slot, i, k;

	(void)state;
	for (which = JOB_TYPED; which < JOB_CASES; which++) {
		memset(&b, 0, sizeof(b));
		bench_open(&b, which);
		for (slot = 0; slot < DAMF_JOB_TENSORS; slot++) {
			const struct damf_tensor *t = &b.c.job.tensor[slot];
			bool packed = t->layout == DAMF_LAYOUT_PANEL32;

			for (i = 0; b.c.scales[slot] && i < (packed ? t->cols : t->rows); i++)
				for (k = 0; k < 6; k++)
					expect_scale(&b, slot, i, bad[k],
						     packed || row_used(slot, i));
			if (b.c.scales[slot])
				expect_scale(&b, slot, 0, 0x1p-149f, false);
		}
		assert_int_equal(run(&b).status, DAMF_ST_OK);
		fake_free(b.f);
	}
}

/* Weights that a head needs are missing. */
static void missing_weights(void **state)
{
	static const struct {
		unsigned int which, weight, bias;
	} cases[] = {
		{ 11, DAMF_T_WK, DAMF_T_BK }, { 11, DAMF_T_WQ, DAMF_T_BQ },
		{ 12, DAMF_T_WPQ, DAMF_T_BPQ },
	};
	static struct bench b;
	unsigned int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct damf_tensor *t;
		struct damf_cqe cqe;

		memset(&b, 0, sizeof(b));
		bench_open(&b, cases[i].which);
		t = b.list[INDEX].tensor;
		memset(&t[cases[i].weight], 0, sizeof(*t));
		cqe = run(&b);
		assert_int_equal(cqe.status, DAMF_ST_BAD_FIELD);
		assert_int_equal(cqe.field, FIELD(cases[i].bias, type));
		memset(&t[cases[i].bias], 0, sizeof(*t));
		cqe = run(&b);
		assert_int_equal(cqe.status, DAMF_ST_BAD_FIELD);
		/* WQ and WK come together */
		assert_int_equal(cqe.field, FIELD(i < 2 ? DAMF_T_WK : DAMF_T_WPQ, type));
		if (i < 2) {
			memset(&t[DAMF_T_WQ], 0, 4 * sizeof(*t));
			assert_int_equal(run(&b).field, FIELD(DAMF_T_WQ, type));
		}
		fake_free(b.f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_field), cmocka_unit_test(shapes), cmocka_unit_test(overlaps),
		cmocka_unit_test(too_large), cmocka_unit_test(too_long),
		cmocka_unit_test(tables), cmocka_unit_test(factors),
		cmocka_unit_test(missing_weights),
	};

	return cmocka_run_group_tests_name("core: fields", tests, NULL, NULL);
}
