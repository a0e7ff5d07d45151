// SPDX-License-Identifier: MIT
/*
 * Every field of a head, spoilt in turn in every mode: the completion names
 * it. What each may hold is told here from the specification's table.
 */
#include <string.h>

#include "jobs.h"

#define INDEX	1	/* the spoilt job comes after a good one */
#define STRIDE	192	/* of the table in the job */
#define BOTH	13	/* the case that has weights for every mode */
#define MODES	5

#define H(member)	((unsigned int)offsetof(struct damf_head, member))
#define ALL_FLAGS	0xfu
#define ONE		0x3f800000u
#define HALF		0x3f000000u
#define NAN_BITS	0x7fc00000u
#define INF_BITS	0xff800000u
#define TINY		1u	/* the smallest of all */

struct bench {
	struct fake *f;
	struct fake_ring ring;
	struct job_case c;
	uint64_t va;
	struct damf_head good;	/* of head 1, in some mode */
};

/* Head 1 of a job is put in the place of the one that is there. */
static void bench_open(struct bench *b, unsigned int which)
{
	struct damf_job jobs[2] = { { .version = 1, .size = sizeof(struct damf_job) } };

	memset(b, 0, sizeof(*b));
	b->f = fake_ready(&b->ring);
	job_case_build(b->f, &b->c, which);
	jobs[INDEX] = b->c.job;
	b->va = job_list(b->f, jobs, 2, NULL);
}

static struct damf_head *head_of(struct bench *b, unsigned int h)
{
	return (struct damf_head *)((char *)b->c.host[DAMF_T_HEADS] + h * STRIDE);
}

static struct damf_cqe run(struct bench *b)
{
	struct damf_sqe sqe = fake_exec(1, b->va, 2);

	return fake_run(b->f, &b->ring, &sqe);
}

/* Runs with a field of head @h replaced, for which @named is blamed; it's put right after. */
static void expect_named(struct bench *b, unsigned int h, unsigned int offset, unsigned int size,
			 uint32_t value, unsigned int status, unsigned int named)
{
	struct damf_head *head = head_of(b, h), old = *head;
	uint64_t addr = b->c.job.tensor[DAMF_T_HEADS].addr + h * STRIDE + named;
	unsigned int field = 1024 + 128 * h + named;
	struct damf_cqe cqe;

	memcpy((char *)head + offset, &value, size);
	cqe = run(b);
	*head = old;
	if (cqe.status == DAMF_ST_OK && status == DAMF_ST_OK)
		return;
	if (cqe.status != status || cqe.field != field || cqe.index != INDEX ||
	    cqe.fault_addr != addr)
		fail_msg("mode %u, byte %u = %#x: status %u, field %u, wanted status %u, field %u",
			 old.mode, offset, value, cqe.status, cqe.field, status, field);
}

static void expect(struct bench *b, unsigned int h, unsigned int offset, unsigned int size,
		   uint32_t value, unsigned int status)
{
	expect_named(b, h, offset, size, value, status, offset);
}

#define BAD(member, size, value)	expect(b, 1, H(member), size, value, DAMF_ST_BAD_FIELD)
#define BAD_DATA(member, size, value)	expect(b, 1, H(member), size, value, DAMF_ST_BAD_DATA)
#define FINE(member, size, value)	expect(b, 1, H(member), size, value, DAMF_ST_OK)

/* What a mode may have, as the specification's table says. */
static const struct rule {
	unsigned int flags, rank, order;	/* the highest */
} rules[MODES] = {
	[DAMF_MODE_MHSA] = { DAMF_HEAD_BAND | DAMF_HEAD_SINKS, 0, 0 },
	[DAMF_MODE_SHIFT] = { DAMF_HEAD_BAND | DAMF_HEAD_SINKS, 1, 1 },
	[DAMF_MODE_FOLD] = { ALL_FLAGS, 256, 4 },
	[DAMF_MODE_FOLDSHIFT] = { ALL_FLAGS, 1, 4 },
	[DAMF_MODE_SOFTFOLD] = { DAMF_HEAD_SCALE | DAMF_HEAD_BAND | DAMF_HEAD_SINKS, 1, 0 },
};

/* A valid head 1: 9 columns of q, 10 of v, of p and q one each of four. */
static struct damf_head make_head(unsigned int mode)
{
	struct damf_head h = { .mode = (uint16_t)mode, .d_v = 10, .v_col = 10 };

	if (mode == DAMF_MODE_MHSA) {
		h.d_qk = 9;
		h.qk_col = 9;
		h.scale = ONE;
		return h;
	}
	h.p_col = 1;
	h.q_col = 3;
	h.rank = 1;
	h.order = rules[mode].order ? 1 : 0;
	h.coef[0] = mode == DAMF_MODE_SOFTFOLD ? HALF : ONE;
	h.coef[1] = mode == DAMF_MODE_SOFTFOLD ? 0 : ONE;
	return h;
}

static bool offered(const struct bench *b, unsigned int mode)
{
	return fake_read64(b->f, DAMF_REG_MODES) >> mode & 1;
}

/* ---- Field by field ------------------------------------------------------ */

static void values(struct bench *b)
{
	BAD_DATA(d_v, 2, 0);
	BAD_DATA(v_col, 4, 11);
	BAD_DATA(v_col, 4, 0xffffffff);
	BAD_DATA(v_col, 4, 9);	/* overlaps head 0 */
	BAD_DATA(d_v, 2, 9);	/* leaves a column out */
	BAD(reserved[0], 4, 1);
	BAD(reserved[1], 4, 1u << 31);
}

static void flags(struct bench *b, unsigned int mode)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		if (!(rules[mode].flags >> i & 1))
			BAD(flags, 2, 1u << i);
		else if (1u << i != DAMF_HEAD_SCALE || mode == DAMF_MODE_MHSA)
			FINE(flags, 2, 1u << i);
		else
			/* its g is 0 */
			expect_named(b, 1, H(flags), 2, 1u << i, DAMF_ST_BAD_FIELD, H(scale));
	}
}

/* SCALE asks for a g that is not 0, and a g for SCALE. */
static void scale(struct bench *b, unsigned int mode)
{
	struct damf_head *head = head_of(b, 1);

	BAD(scale, 4, NAN_BITS);
	BAD(scale, 4, INF_BITS);
	if (mode == DAMF_MODE_MHSA) {
		FINE(scale, 4, 0);
		FINE(scale, 4, 0xbf800000);
		return;
	}
	BAD(scale, 4, ONE);
	BAD(scale, 4, 0x80000000);
	if (!(rules[mode].flags & DAMF_HEAD_SCALE))
		return;
	head->flags = DAMF_HEAD_SCALE;
	head->scale = ONE;
	FINE(scale, 4, TINY);
	FINE(scale, 4, 0xbf800000);
	BAD(scale, 4, 0);
	BAD(scale, 4, 0x80000000);
	BAD(scale, 4, NAN_BITS);
	BAD(scale, 4, INF_BITS);
	*head = b->good;
}

static void columns(struct bench *b, unsigned int mode)
{
	if (mode == DAMF_MODE_MHSA) {
		BAD_DATA(d_qk, 2, 0);
		BAD_DATA(qk_col, 4, 10);
		BAD_DATA(qk_col, 4, 0xffffffff);
		BAD(p_col, 4, 1);
		BAD(q_col, 4, 1);
		return;
	}
	BAD(d_qk, 2, 1);
	BAD(qk_col, 4, 1);
	BAD_DATA(p_col, 4, 4);
	BAD_DATA(p_col, 4, 0xffffffff);
	BAD_DATA(q_col, 4, 4);
	BAD_DATA(q_col, 4, 0xffffffff);
	FINE(p_col, 4, 3);	/* columns may be shared */
}

static void rank_and_order(struct bench *b, unsigned int mode)
{
	const struct rule *r = &rules[mode];
	struct damf_head *head = head_of(b, 1);
	unsigned int i;

	BAD(rank, 2, r->rank + 1);
	BAD(rank, 2, 0xffff);
	if (r->rank)
		BAD(rank, 2, 0);
	BAD(order, 2, r->order + 1);
	BAD(order, 2, 0xffff);
	if (r->order)
		BAD(order, 2, 0);
	for (i = 2; i <= r->order; i++)
		FINE(order, 2, i);
	if (r->rank < 2)
		return;
	BAD_DATA(q_col, 4, 4);
	BAD_DATA(p_col, 4, 4);
	head->p_col = head->q_col = 0;
	for (i = 2; i <= 4; i++)
		FINE(rank, 2, i);
	head->rank = 4;
	BAD(order, 2, 2);
	BAD_DATA(q_col, 4, 1);
	BAD_DATA(p_col, 4, 1);
	*head = b->good;
}

/* Of a polynomial all its coefficients may be any number; the others are 0. */
static void coefs(struct bench *b, unsigned int mode)
{
	struct damf_head *head = head_of(b, 1);
	unsigned int i, order;

	if (mode == DAMF_MODE_SOFTFOLD) {
		FINE(coef[0], 4, 0x35800000);	/* 2^-20 */
		BAD(coef[0], 4, 0x357fffff);
		FINE(coef[0], 4, HALF);
		BAD(coef[0], 4, HALF + 1);
		BAD(coef[0], 4, 0xbf000000);
	}
	for (order = mode == DAMF_MODE_MHSA || mode == DAMF_MODE_SOFTFOLD ? 0 : 1;
	     order <= rules[mode].order; order++) {
		unsigned int used = mode == DAMF_MODE_MHSA ? 0 : order + 1;

		head->order = (uint16_t)order;
		for (i = 0; i < 5; i++) {
			BAD(coef[i], 4, NAN_BITS);
			BAD(coef[i], 4, INF_BITS);
			if (i >= used || mode == DAMF_MODE_SHIFT)
				BAD(coef[i], 4, TINY);
			else if (mode != DAMF_MODE_SOFTFOLD)
				FINE(coef[i], 4, 0xc0000000);
		}
	}
	*head = b->good;
}

static void static_terms(struct bench *b)
{
	struct damf_head *head = head_of(b, 1);
	unsigned int i;

	for (i = 0; i < 2; i++)
		BAD(sink[i], 4, TINY);
	for (i = 0; i < 15; i++)
		BAD(band[i], 4, TINY);
	head->flags = DAMF_HEAD_SINKS | DAMF_HEAD_BAND;
	for (i = 0; i < 2; i++) {
		FINE(sink[i], 4, 0xc0000000);
		BAD(sink[i], 4, NAN_BITS);
		BAD(sink[i], 4, INF_BITS);
	}
	for (i = 0; i < 15; i++) {
		FINE(band[i], 4, ONE);
		BAD(band[i], 4, NAN_BITS);
		BAD(band[i], 4, INF_BITS);
	}
	head->flags = DAMF_HEAD_SINKS;
	BAD(band[14], 4, ONE);
	head->flags = DAMF_HEAD_BAND;
	BAD(sink[1], 4, ONE);
	*head = b->good;
}

static void each_mode(void **state)
{
	static struct bench b;
	unsigned int mode;

	(void)state;
	bench_open(&b, BOTH);
	for (mode = 0; mode < MODES; mode++) {
		b.good = make_head(mode);
		*head_of(&b, 1) = b.good;
		if (!offered(&b, mode)) {
			expect(&b, 1, H(mode), 2, mode, DAMF_ST_BAD_FIELD);
			continue;
		}
		assert_int_equal(run(&b).status, DAMF_ST_OK);
		values(&b);
		flags(&b, mode);
		columns(&b, mode);
		rank_and_order(&b, mode);
		scale(&b, mode);
		coefs(&b, mode);
		static_terms(&b);
	}
	for (mode = MODES; mode < 0x10000; mode = mode * 2 - 1)
		expect(&b, 0, H(mode), 2, mode, DAMF_ST_BAD_FIELD);
	assert_int_equal(run(&b).status, DAMF_ST_OK);
	fake_free(b.f);
}

/* A mode whose weights are left out. */
static void missing_weights(void **state)
{
	static const unsigned int fold = 12, mhsa = 11;
	static struct bench b;
	unsigned int mode;

	(void)state;
	for (mode = 0; mode < MODES; mode++) {
		unsigned int slot = mode == DAMF_MODE_MHSA ? DAMF_T_WQ : DAMF_T_WPQ;
		struct damf_cqe cqe;

		bench_open(&b, mode == DAMF_MODE_MHSA ? fold : mhsa);
		*head_of(&b, 1) = make_head(mode);
		cqe = run(&b);
		if (!offered(&b, mode)) {
			assert_int_equal(cqe.field, 1024 + 128 + H(mode));
			fake_free(b.f);
			continue;
		}
		assert_int_equal(cqe.status, DAMF_ST_BAD_FIELD);
		assert_int_equal(cqe.field, 256 + 48 * slot + offsetof(struct damf_tensor, type));
		fake_free(b.f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mode), cmocka_unit_test(missing_weights),
	};

	return cmocka_run_group_tests_name("core: heads", tests, NULL, NULL);
}
