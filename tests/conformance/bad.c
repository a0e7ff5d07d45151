// SPDX-License-Identifier: MIT
/*
 * Bad jobs: each field of each job is spoilt in turn, and the status must
 * name the job and the field. What is valid is told here once more, from the
 * comments of damf_hw.h.
 */
#include <math.h>
#include <string.h>

#include "conf.h"

#define MASK(status)		(1u << (status))
#define PARAM(i)		(16u + 4 * (i))
#define SLOT(i)			(256u + 48 * (i))
#define FIELD(slot, member)	(SLOT(slot) + (unsigned int)offsetof(struct damf_tensor, member))

/* The jobs that are spoilt: valid, with every slot in use. */
enum { ROWS = 6, WIDTH = 24, INNER = 40, VOCAB = 10, PLACES = 8, KINDS = 2, HEADS = 2 };
static const struct conf_batch batch = { 3, ROWS, { 0, 2, 2, 6 } };

struct shape {
	unsigned int slot;
	uint32_t rows, cols;
	char kind;		/* x: input, w: weight, y: output, b: bytes, i, t, o: tables of i32 */
	bool may_be_none;
};

struct subject {
	unsigned int opcode;
	const char *name;
	struct shape slots[DAMF_JOB_TENSORS + 1];	/* ends with a kind of 0 */
	unsigned int params;				/* bit i: param[i] is used */
};

static const struct subject subjects[] = {
	{ DAMF_OP_NOP, "nop", { { 0 } }, 0 },
	{ DAMF_OP_COPY, "copy", {
		{ DAMF_T_X, ROWS, 64, 'b', false }, { DAMF_T_Y, ROWS, 64, 'B', false } }, 0 },
	{ DAMF_OP_FILL, "fill", { { DAMF_T_Y, ROWS, WIDTH, 'I', false } }, 1 << DAMF_P_PATTERN },
	{ DAMF_OP_COUNTERS, "counters", { { DAMF_T_Y, 1, 128, 'B', false } }, 0 },
	{ DAMF_OP_EMBED, "embed", {
		{ DAMF_T_X, ROWS, 1, 'i', false }, { DAMF_T_Y, ROWS, WIDTH, 'y', false },
		{ DAMF_T_OFFSETS, 4, 1, 'o', false }, { DAMF_T_R, ROWS, 1, 't', true },
		{ DAMF_T_GAMMA, 1, WIDTH, 'x', false }, { DAMF_T_BETA, 1, WIDTH, 'x', false },
		{ DAMF_T_W, VOCAB, WIDTH, 'x', false }, { DAMF_T_B, PLACES, WIDTH, 'x', false },
		{ DAMF_T_W2, KINDS, WIDTH, 'x', false } }, 1 << DAMF_P_EPS },
	{ DAMF_OP_LINEAR, "linear", {
		{ DAMF_T_X, ROWS, WIDTH, 'x', false }, { DAMF_T_Y, ROWS, INNER, 'y', false },
		{ DAMF_T_R, ROWS, INNER, 'x', true }, { DAMF_T_W, WIDTH, INNER, 'w', false },
		{ DAMF_T_B, 1, INNER, 'x', true } }, 1 << DAMF_P_ACT },
	{ DAMF_OP_FFN, "ffn", {
		{ DAMF_T_X, ROWS, WIDTH, 'x', false }, { DAMF_T_Y, ROWS, WIDTH, 'y', false },
		{ DAMF_T_W, WIDTH, INNER, 'w', false }, { DAMF_T_B, 1, INNER, 'x', false },
		{ DAMF_T_W2, INNER, WIDTH, 'w', false }, { DAMF_T_B2, 1, WIDTH, 'x', false } }, 0 },
	{ DAMF_OP_ADD_NORM, "add_norm", {
		{ DAMF_T_X, ROWS, WIDTH, 'x', false }, { DAMF_T_Y, ROWS, WIDTH, 'y', false },
		{ DAMF_T_R, ROWS, WIDTH, 'x', true }, { DAMF_T_GAMMA, 1, WIDTH, 'x', false },
		{ DAMF_T_BETA, 1, WIDTH, 'x', false } }, 1 << DAMF_P_EPS },
	{ DAMF_OP_ATTENTION, "attention", {
		{ DAMF_T_X, ROWS, WIDTH, 'x', false }, { DAMF_T_Y, ROWS, WIDTH, 'y', false },
		{ DAMF_T_OFFSETS, 4, 1, 'o', false }, { DAMF_T_HEADS, HEADS, 128, 'h', false },
		{ DAMF_T_WQ, WIDTH, WIDTH, 'w', false }, { DAMF_T_BQ, 1, WIDTH, 'x', true },
		{ DAMF_T_WK, WIDTH, WIDTH, 'w', false }, { DAMF_T_BK, 1, WIDTH, 'x', true },
		{ DAMF_T_WV, WIDTH, WIDTH, 'w', false }, { DAMF_T_BV, 1, WIDTH, 'x', true },
		{ DAMF_T_WO, WIDTH, WIDTH, 'w', false }, { DAMF_T_BO, 1, WIDTH, 'x', true },
		{ DAMF_T_WPQ, WIDTH, 2, 'w', false }, { DAMF_T_BPQ, 1, 2, 'x', true } }, 0 },
	{ DAMF_OP_POOL, "pool", {
		{ DAMF_T_X, ROWS, WIDTH, 'x', false }, { DAMF_T_Y, 3, WIDTH, 'y', false },
		{ DAMF_T_OFFSETS, 4, 1, 'o', false } }, 1 << DAMF_P_POOL },
	{ DAMF_OP_NORMALIZE, "normalize", {
		{ DAMF_T_X, ROWS, WIDTH, 'x', false }, { DAMF_T_Y, ROWS, WIDTH, 'y', false } },
		1 << DAMF_P_EPS },
	{ DAMF_OP_SOFTMAX, "softmax", {
		{ DAMF_T_X, ROWS, WIDTH, 'x', false }, { DAMF_T_Y, ROWS, WIDTH, 'y', false } }, 0 },
};
#define NSUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

static bool is_output(const struct shape *s)
{
	return strchr("yBI", s->kind);
}

/* Head 0 is exact, head 1 folded: so every weight is needed. */
static struct conf_tensor make_heads(struct conf *c)
{
	struct conf_tensor t = conf_bytes(c, HEADS, 128, 128);
	struct damf_head *h = t.map;

	h[0] = (struct damf_head){ .mode = DAMF_MODE_MHSA, .d_qk = 12, .d_v = 12,
				   .scale = conf_bits(0.25f) };
	h[1] = (struct damf_head){ .mode = DAMF_MODE_FOLD, .d_v = 12, .v_col = 12, .q_col = 1,
				   .rank = 1, .order = 1,
				   .coef = { conf_bits(1.0f), conf_bits(1.0f) } };
	return t;
}

static struct conf_tensor make_tensor(struct conf *c, const struct shape *s)
{
	struct conf_tensor t;

	switch (s->kind) {
	case 'w':
		return conf_weight(c, s->rows, s->cols, CONF_RANDOM);
	case 'b':
	case 'B':
		return conf_bytes(c, s->rows, s->cols, s->cols);
	case 'h':
		return make_heads(c);
	case 'o':
		return conf_offsets(c, &batch);
	case 'i':
	case 't':
		t = conf_i32(c, s->rows, NULL);
		for (uint32_t i = 0; i < s->rows; i++)
			((int32_t *)t.map)[i] = (int32_t)conf_below(c, s->kind == 'i' ? VOCAB : KINDS);
		return t;
	default:
		t = conf_in(c, s->rows, s->cols, CONF_RANDOM);
		if (s->kind == 'I')
			t.type = DAMF_TYPE_I32;
		return t;
	}
}

/* A list of a good job, the subject, and a good job. tables: of the subject. */
struct list {
	struct damf_job *job;
	struct conf_tensor t[DAMF_JOB_TENSORS];
	struct conf_tensor before, after;
};

static void add_fill(struct conf *c, struct conf_tensor *t)
{
	struct damf_job *job = conf_job(c, DAMF_OP_FILL);

	*t = conf_out(c, 1, 1);
	t->type = DAMF_TYPE_I32;
	job->param[DAMF_P_PATTERN] = 0x600d600d;
	conf_slot(job, DAMF_T_Y, t);
}

static struct list make_list(struct conf *c, const struct subject *s, const char *name)
{
	struct list l;

	conf_begin(c, name, false);
	add_fill(c, &l.before);
	l.job = conf_job(c, s->opcode);
	for (const struct shape *k = s->slots; k->kind; k++) {
		l.t[k->slot] = make_tensor(c, k);
		conf_slot(l.job, k->slot, &l.t[k->slot]);
	}
	if (s->params & 1 << DAMF_P_EPS && s->opcode != DAMF_OP_FILL)
		l.job->param[DAMF_P_EPS] = conf_bits(1e-12f);
	add_fill(c, &l.after);
	return l;
}

/* Runs it; the job in the middle must fail in one of these ways, at a field
 * in [first, last]. */
static void expect(struct conf *c, const struct list *l, unsigned int statuses,
		   unsigned int first, unsigned int last, const char *what)
{
	const struct damf_completion *d = &c->done;

	conf_submit(c);
	if (!d->error || d->status >= 32 || !(MASK(d->status) & statuses) || d->index != 1 ||
	    d->field < first || d->field > last)
		conf_fail("%s, %s: error %d, status %u, job %u, field %u (%s); wanted a status of"
			 " mask 0x%x, job 1, a field in %u..%u", c->name, what, d->error, d->status,
			 d->index, d->field, d->text, statuses, first, last);
	if (!d->text[0])
		conf_fail("%s, %s: no text", c->name, what);
	/* what came before it is done, what comes after is not */
	assert_int_equal(conf_bits(*conf_at(&l->before, 0, 0)), 0x600d600d);
	assert_int_equal(conf_bits(*conf_at(&l->after, 0, 0)), CONF_CANARY);
	conf_record(c, what, &d->status, sizeof(d->status));
	conf_record(c, what, &d->field, sizeof(d->field));
}

static void expect_field(struct conf *c, const struct list *l, unsigned int field, const char *what)
{
	expect(c, l, MASK(DAMF_ST_BAD_FIELD), field, field, what);
}

static void run_valid(struct conf *c, const struct conf_case *k)
{
	struct list l = make_list(c, &subjects[k->p[0]], k->name);

	conf_run(c);
	assert_int_equal(conf_bits(*conf_at(&l.after, 0, 0)), 0x600d600d);
}

static void run_header(struct conf *c, const struct conf_case *k)
{
	static const uint16_t opcodes[] = { DAMF_OP_LAST + 1, 64, 0xffff };
	static const uint16_t versions[] = { 0, 2, 0xffff };
	static const uint32_t sizes[] = { 0, 64, 1023, 1025, 2048, 0xffffffff };
	const struct subject *s = &subjects[k->p[0]];
	struct list l;

	for (unsigned int i = 0; i < 3; i++) {
		l = make_list(c, s, k->name);
		l.job->opcode = opcodes[i];
		expect(c, &l, MASK(DAMF_ST_BAD_OPCODE), 0, 0, "opcode");
		l = make_list(c, s, k->name);
		l.job->version = versions[i];
		expect(c, &l, MASK(DAMF_ST_BAD_VERSION), 2, 2, "version");
	}
	for (unsigned int i = 0; i < 6; i++) {
		l = make_list(c, s, k->name);
		l.job->size = sizes[i];
		expect(c, &l, MASK(DAMF_ST_BAD_VERSION), 4, 4, "size");
	}
	for (unsigned int bit = 0; bit < 32; bit += 5) {
		l = make_list(c, s, k->name);
		l.job->flags = 1u << bit;
		expect_field(c, &l, 8, "flags");
		l = make_list(c, s, k->name);
		l.job->reserved = 1u << bit;
		expect_field(c, &l, 12, "reserved");
	}
}

static void run_params(struct conf *c, const struct conf_case *k)
{
	static const float epsilons[] = { -1.0f, NAN, INFINITY };
	const struct subject *s = &subjects[k->p[0]];
	struct list l;

	for (unsigned int i = 0; i < DAMF_JOB_PARAMS; i++) {
		if (s->params & (i < 32 ? 1u << i : 0))
			continue;
		l = make_list(c, s, k->name);
		l.job->param[i] = 1u << i % 32;
		expect_field(c, &l, PARAM(i), "unused parameter");
	}
	for (unsigned int i = 0; s->params & 1 << DAMF_P_EPS && i < 3; i++) {
		l = make_list(c, s, k->name);
		l.job->param[DAMF_P_EPS] = conf_bits(epsilons[i]);
		expect_field(c, &l, PARAM(DAMF_P_EPS), "eps");
	}
	if (s->params & 1 << DAMF_P_ACT) {
		l = make_list(c, s, k->name);
		l.job->param[DAMF_P_ACT] = DAMF_ACT_TANH + 1;
		expect_field(c, &l, PARAM(DAMF_P_ACT), "act");
	}
	if (s->params & 1 << DAMF_P_POOL) {
		l = make_list(c, s, k->name);
		l.job->param[DAMF_P_POOL] = DAMF_POOL_CLS + 1;
		expect_field(c, &l, PARAM(DAMF_P_POOL), "pool");
	}
}

/* Each byte of a slot that isn't used is checked to be zero. */
static void run_unused_slots(struct conf *c, const struct conf_case *k)
{
	const struct subject *s = &subjects[k->p[0]];
	unsigned int used = 0;

	for (const struct shape *t = s->slots; t->kind; t++)
		used |= 1u << t->slot;
	for (unsigned int slot = 0; slot < DAMF_JOB_TENSORS; slot++) {
		if (used & 1u << slot)
			continue;
		for (unsigned int byte = 0; byte < sizeof(struct damf_tensor); byte += 3) {
			struct list l = make_list(c, s, k->name);

			((unsigned char *)&l.job->tensor[slot])[byte] = 1;
			expect(c, &l, MASK(DAMF_ST_BAD_FIELD), SLOT(slot), SLOT(slot) + 47,
			       "unused slot");
		}
	}
}

/* Values that are wrong whatever the other fields hold. */
static const struct spoil {
	const char *what;
	unsigned int offset, size;
	uint64_t value;		/* stored, or, if add, added */
	bool add;
	unsigned int statuses;
} spoils[] = {
	{ "type", offsetof(struct damf_tensor, type), 2, 7, false, MASK(DAMF_ST_BAD_FIELD) },
	{ "type", offsetof(struct damf_tensor, type), 2, 0xffff, false, MASK(DAMF_ST_BAD_FIELD) },
	{ "type", offsetof(struct damf_tensor, type), 2, DAMF_TYPE_I16, false, MASK(DAMF_ST_BAD_FIELD) },
	{ "layout", offsetof(struct damf_tensor, layout), 2, 1, true, MASK(DAMF_ST_BAD_FIELD) },
	{ "layout", offsetof(struct damf_tensor, layout), 2, 2, false, MASK(DAMF_ST_BAD_FIELD) },
	{ "reserved0", offsetof(struct damf_tensor, reserved0), 4, 1, false, MASK(DAMF_ST_BAD_FIELD) },
	{ "reserved1", offsetof(struct damf_tensor, reserved1), 8, 1ull << 63, false,
	  MASK(DAMF_ST_BAD_FIELD) },
	{ "scales", offsetof(struct damf_tensor, scales), 8, 64, false, MASK(DAMF_ST_BAD_FIELD) },
	{ "rows", offsetof(struct damf_tensor, rows), 4, 0, false, MASK(DAMF_ST_BAD_FIELD) },
	{ "cols", offsetof(struct damf_tensor, cols), 4, 0, false, MASK(DAMF_ST_BAD_FIELD) },
	{ "rows", offsetof(struct damf_tensor, rows), 4, 0xffffffff, false,
	  MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_BAD_LIMIT) },
	{ "cols", offsetof(struct damf_tensor, cols), 4, 0xffffffff, false,
	  MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_BAD_LIMIT) },
};

static void spoil(struct damf_tensor *t, const struct spoil *s)
{
	char *at = (char *)t + s->offset;
	uint64_t value = 0;

	memcpy(&value, at, s->size);
	value = s->add ? value + s->value : s->value;
	memcpy(at, &value, s->size);
}

static void run_slots(struct conf *c, const struct conf_case *k)
{
	const struct subject *s = &subjects[k->p[0]];

	for (const struct shape *t = s->slots; t->kind; t++) {
		for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
			const struct spoil *p = &spoils[i];
			struct list l = make_list(c, s, k->name);

			spoil(&l.job->tensor[t->slot], p);
			expect(c, &l, p->statuses, SLOT(t->slot) + p->offset,
			       SLOT(t->slot) + p->offset, p->what);
		}
	}
}

static void run_strides(struct conf *c, const struct conf_case *k)
{
	const struct subject *s = &subjects[k->p[0]];

	for (const struct shape *t = s->slots; t->kind; t++) {
		bool bytes = strchr("bBh", t->kind);
		struct list l = make_list(c, s, k->name);
		struct damf_tensor *d = &l.job->tensor[t->slot];

		if (t->kind == 'w') {
			d->stride = 128;
			expect_field(c, &l, FIELD(t->slot, stride), "stride of packed weights");
			continue;
		}
		if (!bytes) {
			d->stride += 1;
			expect_field(c, &l, FIELD(t->slot, stride), "unaligned stride");
			l = make_list(c, s, k->name);
			d = &l.job->tensor[t->slot];
		}
		if (t->rows > 1) {
			d->stride = bytes ? t->cols - 1 : 4ull * t->cols - 4;
			expect_field(c, &l, FIELD(t->slot, stride), "short stride");
			l = make_list(c, s, k->name);
			d = &l.job->tensor[t->slot];
		}
		d->stride = 1ull << 62;
		expect(c, &l, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_BAD_LIMIT),
		       t->rows > 1 ? FIELD(t->slot, addr) : FIELD(t->slot, stride),
		       FIELD(t->slot, stride) + 7, "huge stride");
	}
}

/* A shape that doesn't fit the others: some shape is named, this one or another. */
static void run_shapes(struct conf *c, const struct conf_case *k)
{
	const struct subject *s = &subjects[k->p[0]];

	for (const struct shape *t = s->slots; t->kind; t++) {
		struct list l = make_list(c, s, k->name);

		if (s->opcode == DAMF_OP_FILL)
			break;	/* any shape will do */
		l.job->tensor[t->slot].cols -= t->cols > 1 ? 1 : -1;
		expect(c, &l, MASK(DAMF_ST_BAD_FIELD), SLOT(0), SLOT(16) - 1, "columns");
		if (strchr("hx", t->kind) && (s->opcode == DAMF_OP_EMBED || t->kind == 'h') &&
		    t->rows > 1)
			continue;	/* tables have as many rows as they like */
		l = make_list(c, s, k->name);
		l.job->tensor[t->slot].rows += 1;
		l.job->tensor[t->slot].stride += t->rows == 1 && t->kind != 'w' ? 64 : 0;
		/* one more row may also reach into the next tensor */
		expect(c, &l, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_BAD_DATA) |
		       MASK(DAMF_ST_OVERLAP), SLOT(0), SLOT(16) - 1, "rows");
	}
}

static void run_none(struct conf *c, const struct conf_case *k)
{
	const struct subject *s = &subjects[k->p[0]];

	for (const struct shape *t = s->slots; t->kind; t++) {
		struct list l = make_list(c, s, k->name);

		memset(&l.job->tensor[t->slot], 0, sizeof(struct damf_tensor));
		if (!t->may_be_none) {
			/* a bias without its weight may be what is named */
			expect(c, &l, MASK(DAMF_ST_BAD_FIELD), SLOT(t->slot),
			       SLOT(t->slot) + (t->kind == 'w' ? 95 : 47), "missing tensor");
			continue;
		}
		conf_run(c);
	}
}

static void run_overlap(struct conf *c, const struct conf_case *k)
{
	const struct subject *s = &subjects[k->p[0]];

	for (const struct shape *t = s->slots; t->kind; t++) {
		struct list l = make_list(c, s, k->name);
		struct damf_tensor *y = &l.job->tensor[DAMF_T_Y];

		if (is_output(t))
			continue;
		y->addr = l.job->tensor[t->slot].addr;
		expect(c, &l, MASK(DAMF_ST_OVERLAP), SLOT(DAMF_T_Y), SLOT(DAMF_T_Y) + 47, "overlap");
	}
}

/* ---- what tables hold ---- */

static void bad_word(struct conf *c, const struct conf_case *k, unsigned int slot,
		     unsigned int word, int32_t value, const char *what)
{
	struct list l = make_list(c, &subjects[k->p[0]], k->name);

	((int32_t *)l.t[slot].map)[word] = value;
	expect(c, &l, MASK(DAMF_ST_BAD_DATA) | MASK(DAMF_ST_BAD_LIMIT), SLOT(slot), SLOT(slot) + 47,
	       what);
}

static void run_tables(struct conf *c, const struct conf_case *k)
{
	const struct subject *s = &subjects[k->p[0]];

	for (const struct shape *t = s->slots; t->kind; t++) {
		if (t->kind == 'o') {
			bad_word(c, k, t->slot, 0, 1, "first offset");
			bad_word(c, k, t->slot, 0, -1, "first offset");
			bad_word(c, k, t->slot, 1, -1, "negative offset");
			bad_word(c, k, t->slot, 2, 1, "falling offsets");
			bad_word(c, k, t->slot, 2, ROWS + 1, "offset past the end");
			bad_word(c, k, t->slot, 3, ROWS - 1, "last offset");
			bad_word(c, k, t->slot, 3, ROWS + 1, "last offset");
			bad_word(c, k, t->slot, 3, INT32_MAX, "last offset");
			bad_word(c, k, t->slot, 3, INT32_MIN, "last offset");
		} else if (t->kind == 'i' || t->kind == 't') {
			int32_t end = t->kind == 'i' ? VOCAB : KINDS;

			bad_word(c, k, t->slot, 0, end, "id past the end");
			bad_word(c, k, t->slot, ROWS - 1, -1, "negative id");
			bad_word(c, k, t->slot, 3, INT32_MIN, "negative id");
			bad_word(c, k, t->slot, 3, INT32_MAX, "id past the end");
		}
	}
}

/* A sequence longer than there are positions. */
static void run_positions(struct conf *c, const struct conf_case *k)
{
	struct list l = make_list(c, &subjects[k->p[0]], k->name);

	l.job->tensor[DAMF_T_B].rows = 3;
	expect(c, &l, MASK(DAMF_ST_BAD_DATA) | MASK(DAMF_ST_BAD_LIMIT), SLOT(0), SLOT(16) - 1,
	       "positions");
}

static void run_heads(struct conf *c, const struct conf_case *k)
{
	static const struct {
		const char *what;
		unsigned int head, offset, size;
		uint32_t value;
	} words[] = {
		{ "mode", 0, offsetof(struct damf_head, mode), 2, 5 },
		{ "mode", 0, offsetof(struct damf_head, mode), 2, 0xffff },
		{ "flags", 0, offsetof(struct damf_head, flags), 2, 1 << 4 },
		{ "flags", 1, offsetof(struct damf_head, flags), 2, 1 << 15 },
		{ "d_qk", 0, offsetof(struct damf_head, d_qk), 2, 0 },
		{ "d_qk", 0, offsetof(struct damf_head, d_qk), 2, WIDTH + 1 },
		{ "d_qk of a folded head", 1, offsetof(struct damf_head, d_qk), 2, 12 },
		{ "d_v", 0, offsetof(struct damf_head, d_v), 2, 0 },
		{ "d_v", 0, offsetof(struct damf_head, d_v), 2, WIDTH + 1 },
		{ "d_v", 1, offsetof(struct damf_head, d_v), 2, 13 },
		{ "qk_col", 0, offsetof(struct damf_head, qk_col), 4, 13 },
		{ "qk_col", 0, offsetof(struct damf_head, qk_col), 4, 0xfffffff8 },
		{ "qk_col of a folded head", 1, offsetof(struct damf_head, qk_col), 4, 1 },
		{ "v_col", 0, offsetof(struct damf_head, v_col), 4, 13 },
		{ "v_col", 1, offsetof(struct damf_head, v_col), 4, 0xffffffff },
		{ "p_col", 1, offsetof(struct damf_head, p_col), 4, 2 },
		{ "p_col", 1, offsetof(struct damf_head, p_col), 4, 0xffffffff },
		{ "p_col of an exact head", 0, offsetof(struct damf_head, p_col), 4, 1 },
		{ "q_col", 1, offsetof(struct damf_head, q_col), 4, 2 },
		{ "q_col of an exact head", 0, offsetof(struct damf_head, q_col), 4, 1 },
		{ "rank", 1, offsetof(struct damf_head, rank), 2, 0 },
		{ "rank", 1, offsetof(struct damf_head, rank), 2, 3 },
		{ "rank of an exact head", 0, offsetof(struct damf_head, rank), 2, 1 },
		{ "order", 1, offsetof(struct damf_head, order), 2, 5 },
		{ "scale", 0, offsetof(struct damf_head, scale), 4, 0x7fc00000 },
		{ "reserved", 0, offsetof(struct damf_head, reserved), 4, 1 },
		{ "reserved", 1, offsetof(struct damf_head, reserved) + 4, 4, 1 },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct list l = make_list(c, &subjects[k->p[0]], k->name);
		unsigned int at = words[i].head * 128 + words[i].offset;

		memcpy((char *)l.t[DAMF_T_HEADS].map + at, &words[i].value, words[i].size);
		/* fields of heads are counted from the end of the job; of a width and a
		 * column that don't fit together either may be named */
		expect(c, &l, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_BAD_DATA),
		       1024 + words[i].head * 128, 1024 + words[i].head * 128 + 127,
		       words[i].what);
	}
}

/* ---- addresses: a fault stops the context, so each has a client of its own ---- */

static void run_fault(struct conf *c, const struct conf_case *k)
{
	static const struct {
		const char *what;
		uint64_t addr;
		unsigned int statuses;
	} addrs[] = {
		{ "past the end", DAMF_VA_END, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_PAGE_FAULT) },
		{ "past the end", ~63ull, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_PAGE_FAULT) },
		{ "not mapped", DAMF_VA_END - (1 << 20), MASK(DAMF_ST_PAGE_FAULT) },
	};
	const struct subject *s = &subjects[k->p[0]];

	for (const struct shape *t = s->slots; t->kind; t++) {
		for (int i = 0; i < 3; i++) {
			struct conf other = { .backend = c->backend, .submit = c->submit,
					      .threads = c->threads };
			struct list l;

			assert_true(conf_open(&other));
			l = make_list(&other, s, k->name);
			l.job->tensor[t->slot].addr = addrs[i].addr;
			/* a page fault names an address, and need not name a field */
			expect(&other, &l, addrs[i].statuses, 0, FIELD(t->slot, addr),
			       addrs[i].what);
			if (other.done.status == DAMF_ST_PAGE_FAULT)
				assert_true(other.done.fault_addr - addrs[i].addr < 1 << 16);
			conf_close(&other);
		}
	}
}

static void run_unaligned(struct conf *c, const struct conf_case *k)
{
	const struct subject *s = &subjects[k->p[0]];

	for (const struct shape *t = s->slots; t->kind; t++) {
		struct list l = make_list(c, s, k->name);
		uint64_t *addr = (uint64_t *)&l.job->tensor[t->slot].addr;

		if (strchr("bB", t->kind))
			continue;
		*addr += strchr("xyw", t->kind) ? 4 : 1;
		expect_field(c, &l, FIELD(t->slot, addr), "unaligned address");
	}
}

void conf_add_bad(struct conf_suite *s)
{
	static const struct {
		const char *name;
		void (*run)(struct conf *c, const struct conf_case *k);
	} kinds[] = {
		{ "valid", run_valid }, { "header", run_header }, { "params", run_params },
		{ "unused slots", run_unused_slots }, { "slots", run_slots },
		{ "strides", run_strides }, { "shapes", run_shapes }, { "missing", run_none },
		{ "overlap", run_overlap }, { "tables", run_tables },
		{ "alignment", run_unaligned }, { "faults", run_fault },
	};

	for (unsigned int i = 0; i < NSUBJECTS; i++) {
		for (unsigned int j = 0; j < sizeof(kinds) / sizeof(kinds[0]); j++)
			conf_add(s, kinds[j].run, "bad %s %s", subjects[i].name,
				 kinds[j].name)->p[0] = i;
		if (subjects[i].opcode == DAMF_OP_EMBED)
			conf_add(s, run_positions, "bad embed positions")->p[0] = i;
		if (subjects[i].opcode == DAMF_OP_ATTENTION)
			conf_add(s, run_heads, "bad attention heads")->p[0] = i;
	}
}
