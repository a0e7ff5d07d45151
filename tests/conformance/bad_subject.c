// SPDX-License-Identifier: MIT
/* The jobs that are spoilt, and how they are run. */
#include <string.h>

#include "bad.h"

static const struct conf_batch batch = { 3, ROWS, { 0, 2, 2, 6 } };

const struct bad_subject bad_subjects[BAD_SUBJECTS] = {
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

static struct conf_tensor make_tensor(struct conf *c, const struct bad_shape *s)
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

static void add_fill(struct conf *c, struct conf_tensor *t)
{
	struct damf_job *job = conf_job(c, DAMF_OP_FILL);

	*t = conf_out(c, 1, 1);
	t->type = DAMF_TYPE_I32;
	job->param[DAMF_P_PATTERN] = 0x600d600d;
	conf_slot(job, DAMF_T_Y, t);
}

struct bad_list bad_make(struct conf *c, const struct bad_subject *s, const char *name)
{
	struct bad_list l;

	conf_begin(c, name, false);
	add_fill(c, &l.before);
	l.job = conf_job(c, s->opcode);
	for (const struct bad_shape *k = s->slots; k->kind; k++) {
		l.t[k->slot] = make_tensor(c, k);
		conf_slot(l.job, k->slot, &l.t[k->slot]);
	}
	if (s->params & 1 << DAMF_P_EPS && s->opcode != DAMF_OP_FILL)
		l.job->param[DAMF_P_EPS] = conf_bits(1e-12f);
	add_fill(c, &l.after);
	return l;
}

void bad_expect(struct conf *c, const struct bad_list *l, unsigned int statuses,
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

void bad_expect_field(struct conf *c, const struct bad_list *l, unsigned int field,
		      const char *what)
{
	bad_expect(c, l, MASK(DAMF_ST_BAD_FIELD), field, field, what);
}
