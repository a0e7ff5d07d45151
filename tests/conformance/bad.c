// SPDX-License-Identifier: MIT
/* Jobs with a bad field, and the suite of all bad jobs. */
#include <math.h>
#include <string.h>

#include "bad.h"

static bool is_output(const struct bad_shape *s)
{
	return strchr("yBI", s->kind);
}

static void run_valid(struct conf *c, const struct conf_case *k)
{
	struct bad_list l = bad_make(c, &bad_subjects[k->p[0]], k->name);

	conf_run(c);
	assert_int_equal(conf_bits(*conf_at(&l.after, 0, 0)), 0x600d600d);
}

static void run_header(struct conf *c, const struct conf_case *k)
{
	static const uint16_t opcodes[] = { DAMF_OP_LAST + 1, 64, 0xffff };
	static const uint16_t versions[] = { 0, 2, 0xffff };
	static const uint32_t sizes[] = { 0, 64, 1023, 1025, 2048, 0xffffffff };
	const struct bad_subject *s = &bad_subjects[k->p[0]];
	struct bad_list l;

	for (unsigned int i = 0; i < 3; i++) {
		l = bad_make(c, s, k->name);
		l.job->opcode = opcodes[i];
		bad_expect(c, &l, MASK(DAMF_ST_BAD_OPCODE), 0, 0, "opcode");
		l = bad_make(c, s, k->name);
		l.job->version = versions[i];
		bad_expect(c, &l, MASK(DAMF_ST_BAD_VERSION), 2, 2, "version");
	}
	for (unsigned int i = 0; i < 6; i++) {
		l = bad_make(c, s, k->name);
		l.job->size = sizes[i];
		bad_expect(c, &l, MASK(DAMF_ST_BAD_VERSION), 4, 4, "size");
	}
	for (unsigned int bit = 0; bit < 32; bit += 5) {
		l = bad_make(c, s, k->name);
		l.job->flags = 1u << bit;
		bad_expect_field(c, &l, 8, "flags");
		l = bad_make(c, s, k->name);
		l.job->reserved = 1u << bit;
		bad_expect_field(c, &l, 12, "reserved");
	}
}

static void run_params(struct conf *c, const struct conf_case *k)
{
	static const float epsilons[] = { -1.0f, NAN, INFINITY };
	const struct bad_subject *s = &bad_subjects[k->p[0]];
	struct bad_list l;

	for (unsigned int i = 0; i < DAMF_JOB_PARAMS; i++) {
		if (s->params & (i < 32 ? 1u << i : 0))
			continue;
		l = bad_make(c, s, k->name);
		l.job->param[i] = 1u << i % 32;
		bad_expect_field(c, &l, PARAM(i), "unused parameter");
	}
	for (unsigned int i = 0; s->params & 1 << DAMF_P_EPS && i < 3; i++) {
		l = bad_make(c, s, k->name);
		l.job->param[DAMF_P_EPS] = conf_bits(epsilons[i]);
		bad_expect_field(c, &l, PARAM(DAMF_P_EPS), "eps");
	}
	if (s->params & 1 << DAMF_P_ACT) {
		l = bad_make(c, s, k->name);
		l.job->param[DAMF_P_ACT] = DAMF_ACT_TANH + 1;
		bad_expect_field(c, &l, PARAM(DAMF_P_ACT), "act");
	}
	if (s->params & 1 << DAMF_P_POOL) {
		l = bad_make(c, s, k->name);
		l.job->param[DAMF_P_POOL] = DAMF_POOL_CLS + 1;
		bad_expect_field(c, &l, PARAM(DAMF_P_POOL), "pool");
	}
}

/* Each byte of a slot that isn't used is checked to be zero. */
static void run_unused_slots(struct conf *c, const struct conf_case *k)
{
	const struct bad_subject *s = &bad_subjects[k->p[0]];
	unsigned int used = 0;

	for (const struct bad_shape *t = s->slots; t->kind; t++)
		used |= 1u << t->slot;
	for (unsigned int slot = 0; slot < DAMF_JOB_TENSORS; slot++) {
		if (used & 1u << slot)
			continue;
		for (unsigned int byte = 0; byte < sizeof(struct damf_tensor); byte += 3) {
			struct bad_list l = bad_make(c, s, k->name);

			((unsigned char *)&l.job->tensor[slot])[byte] = 1;
			bad_expect(c, &l, MASK(DAMF_ST_BAD_FIELD), SLOT(slot), SLOT(slot) + 47,
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
	const struct bad_subject *s = &bad_subjects[k->p[0]];

	for (const struct bad_shape *t = s->slots; t->kind; t++) {
		for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
			const struct spoil *p = &spoils[i];
			struct bad_list l = bad_make(c, s, k->name);

			spoil(&l.job->tensor[t->slot], p);
			bad_expect(c, &l, p->statuses, SLOT(t->slot) + p->offset,
				   SLOT(t->slot) + p->offset, p->what);
		}
	}
}

static void run_strides(struct conf *c, const struct conf_case *k)
{
	const struct bad_subject *s = &bad_subjects[k->p[0]];

	for (const struct bad_shape *t = s->slots; t->kind; t++) {
		bool bytes = strchr("bBh", t->kind);
		struct bad_list l = bad_make(c, s, k->name);
		struct damf_tensor *d = &l.job->tensor[t->slot];

		if (t->kind == 'w') {
			d->stride = 128;
			bad_expect_field(c, &l, FIELD(t->slot, stride), "stride of packed weights");
			continue;
		}
		if (!bytes) {
			d->stride += 1;
			bad_expect_field(c, &l, FIELD(t->slot, stride), "unaligned stride");
			l = bad_make(c, s, k->name);
			d = &l.job->tensor[t->slot];
		}
		if (t->rows > 1) {
			d->stride = bytes ? t->cols - 1 : 4ull * t->cols - 4;
			bad_expect_field(c, &l, FIELD(t->slot, stride), "short stride");
			l = bad_make(c, s, k->name);
			d = &l.job->tensor[t->slot];
		}
		d->stride = 1ull << 62;
		bad_expect(c, &l, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_BAD_LIMIT),
			   t->rows > 1 ? FIELD(t->slot, addr) : FIELD(t->slot, stride),
			   FIELD(t->slot, stride) + 7, "huge stride");
	}
}

/* A shape that doesn't fit the others: some shape is named, this one or another. */
static void run_shapes(struct conf *c, const struct conf_case *k)
{
	const struct bad_subject *s = &bad_subjects[k->p[0]];

	for (const struct bad_shape *t = s->slots; t->kind; t++) {
		struct bad_list l = bad_make(c, s, k->name);

		if (s->opcode == DAMF_OP_FILL)
			break;	/* any shape will do */
		l.job->tensor[t->slot].cols -= t->cols > 1 ? 1 : -1;
		bad_expect(c, &l, MASK(DAMF_ST_BAD_FIELD), SLOT(0), SLOT(16) - 1, "columns");
		if (strchr("hx", t->kind) && (s->opcode == DAMF_OP_EMBED || t->kind == 'h') &&
		    t->rows > 1)
			continue;	/* tables have as many rows as they like */
		l = bad_make(c, s, k->name);
		l.job->tensor[t->slot].rows += 1;
		l.job->tensor[t->slot].stride += t->rows == 1 && t->kind != 'w' ? 64 : 0;
		/* one more row may also reach into the next tensor */
		bad_expect(c, &l, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_BAD_DATA) |
			   MASK(DAMF_ST_OVERLAP), SLOT(0), SLOT(16) - 1, "rows");
	}
}

static void run_none(struct conf *c, const struct conf_case *k)
{
	const struct bad_subject *s = &bad_subjects[k->p[0]];

	for (const struct bad_shape *t = s->slots; t->kind; t++) {
		struct bad_list l = bad_make(c, s, k->name);

		memset(&l.job->tensor[t->slot], 0, sizeof(struct damf_tensor));
		if (!t->may_be_none) {
			/* a bias without its weight may be what is named */
			bad_expect(c, &l, MASK(DAMF_ST_BAD_FIELD), SLOT(t->slot),
				   SLOT(t->slot) + (t->kind == 'w' ? 95 : 47), "missing tensor");
			continue;
		}
		conf_run(c);
	}
}

static void run_overlap(struct conf *c, const struct conf_case *k)
{
	const struct bad_subject *s = &bad_subjects[k->p[0]];

	for (const struct bad_shape *t = s->slots; t->kind; t++) {
		struct bad_list l = bad_make(c, s, k->name);
		struct damf_tensor *y = &l.job->tensor[DAMF_T_Y];

		if (is_output(t))
			continue;
		y->addr = l.job->tensor[t->slot].addr;
		bad_expect(c, &l, MASK(DAMF_ST_OVERLAP), SLOT(DAMF_T_Y), SLOT(DAMF_T_Y) + 47,
			   "overlap");
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
		{ "overlap", run_overlap }, { "tables", bad_run_tables },
		{ "alignment", bad_run_unaligned }, { "faults", bad_run_fault },
	};

	for (unsigned int i = 0; i < BAD_SUBJECTS; i++) {
		for (unsigned int j = 0; j < sizeof(kinds) / sizeof(kinds[0]); j++)
			conf_add(s, kinds[j].run, "bad %s %s", bad_subjects[i].name,
				 kinds[j].name)->p[0] = i;
		if (bad_subjects[i].opcode == DAMF_OP_EMBED)
			conf_add(s, bad_run_positions, "bad embed positions")->p[0] = i;
		if (bad_subjects[i].opcode == DAMF_OP_ATTENTION)
			conf_add(s, bad_run_heads, "bad attention heads")->p[0] = i;
	}
}
