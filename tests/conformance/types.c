// SPDX-License-Identifier: MIT
/* Weights and tables of embeddings, of every type. */
#include <string.h>

#include "conf.h"

static size_t element(unsigned int type)
{
	return type == DAMF_TYPE_I8 ? 1 : type == DAMF_TYPE_BF16 ? 2 : 4;
}

/* Rows of a packed weight, with those that fill it up. */
static size_t padded_rows(const struct conf_tensor *w)
{
	return w->type == DAMF_TYPE_I8 ? (w->rows + 3ul) / 4 * 4 : w->rows;
}

static size_t place(const struct conf_tensor *w, uint32_t k, uint32_t n)
{
	size_t rows = padded_rows(w);

	if (w->type == DAMF_TYPE_I8)
		return (n / 32 * (rows / 4) + k / 4) * 128 + n % 32 * 4 + k % 4;
	return (n / 32 * rows + k) * 32 + n % 32;
}

/* From plain to numbers of the type. */
static const void *make_typed(const struct conf_tensor *w)
{
	if (w->type == DAMF_TYPE_I8)
		ref_quantise_columns(w->plain, w->cols, w->rows, w->cols, w->typed, w->scales);
	for (size_t i = 0; w->type == DAMF_TYPE_BF16 && i < (size_t)w->rows * w->cols; i++)
		((uint16_t *)w->typed)[i] = ref_to_bf16(w->plain[i]);
	return w->typed ? w->typed : w->plain;
}

void conf_repack(const struct conf_tensor *w)
{
	const char *from = make_typed(w);
	size_t size = element(w->type);

	for (uint32_t k = 0; k < w->rows; k++) {
		for (uint32_t n = 0; n < w->cols; n++, from += size)
			memcpy((char *)w->map + place(w, k, n) * size, from, size);
	}
}

static void take_scales(struct conf *c, struct conf_tensor *t, uint32_t n)
{
	if (t->type == DAMF_TYPE_I8)
		t->scales = conf_take(c, 4ull * n, &t->scales_va);
}

struct conf_tensor conf_weight(struct conf *c, uint32_t rows, uint32_t cols, enum conf_data data)
{
	struct conf_tensor t = {
		.rows = rows, .cols = cols, .type = c->type, .xtype = c->xtype,
		.layout = DAMF_LAYOUT_PANEL32,
	};
	size_t n = (size_t)rows * cols;
	uint64_t size = (cols + 31) / 32 * padded_rows(&t) * 32 * element(t.type);
	float scale = 1.0f;

	/* a power of two near 1/sqrt(rows) */
	while (scale * scale * (float)rows > 2.0f)
		scale *= 0.5f;
	t.map = conf_take(c, size, &t.va);
	memset(t.map, 0, size);
	take_scales(c, &t, cols);
	t.plain = conf_take_plain(c, 4 * n);
	if (t.type != DAMF_TYPE_F32)
		t.typed = conf_take_plain(c, n * element(t.type));
	for (size_t i = 0; i < n; i++)
		t.plain[i] = scale * conf_number(c, data, i);
	conf_repack(&t);
	return t;
}

struct conf_tensor conf_table(struct conf *c, uint32_t rows, uint32_t cols)
{
	struct conf_tensor plain, t;
	size_t size;

	if (c->type == DAMF_TYPE_F32)
		return conf_in(c, rows, cols, CONF_RANDOM);
	plain = t = conf_in(c, rows, cols, CONF_RANDOM);
	t.type = c->type;
	size = element(t.type);
	t.stride = size * (cols + conf_below(c, 4));
	t.map = conf_take(c, rows * t.stride, &t.va);
	take_scales(c, &t, rows);
	for (uint32_t r = 0; r < rows; r++) {
		char *row = (char *)t.map + r * t.stride;

		if (t.type == DAMF_TYPE_I8)
			ref_quantise_rows(conf_at(&plain, r, 0), cols, 1, cols, (int8_t *)row,
					  &t.scales[r]);
		for (uint32_t i = 0; t.type == DAMF_TYPE_BF16 && i < cols; i++) {
			uint16_t h = ref_to_bf16(*conf_at(&plain, r, i));

			memcpy(row + 2 * i, &h, 2);
		}
	}
	return t;
}

struct ref_mat conf_ref(const struct conf_tensor *t)
{
	bool packed = t->layout == DAMF_LAYOUT_PANEL32;
	size_t ld = packed ? t->cols : t->stride / element(t->type);
	int32_t top = t->xtype == DAMF_TYPE_I16 ? REF_TOP_I16 : REF_TOP_I8;

	if (t->type == DAMF_TYPE_BF16)
		return ref_from_bf16(packed ? t->typed : t->map, ld, t->rows, t->cols);
	if (t->type == DAMF_TYPE_I8 && packed)
		return ref_from_i8(t->typed, ld, t->scales, t->rows, t->cols, top);
	if (t->type == DAMF_TYPE_I8)
		return ref_from_i8_table(t->map, ld, t->scales, t->rows, t->cols);
	return ref_from_f32(packed ? t->plain : t->map, ld, t->rows, t->cols);
}

/* ---- Cases: what is refused ---------------------------------------------- */

/* One linear job must fail like this. */
static void expect(struct conf *c, unsigned int status, size_t field, const char *what)
{
	conf_submit(c);
	if (!c->done.error || c->done.status != status || c->done.field != field)
		conf_fail("%s, %s: error %d, status %u, field %u (%s); wanted status %u, field %zu",
			  c->name, what, c->done.error, c->done.status, c->done.field, c->done.text,
			  status, field);
	conf_record(c, what, &c->done.status, sizeof(c->done.status));
}

#define PARAM	(offsetof(struct damf_job, param) + 4 * DAMF_P_XTYPE)
#define FIELD(slot, member) (offsetof(struct damf_job, tensor[slot]) + \
			     offsetof(struct damf_tensor, member))

static struct damf_job *linear(struct conf *c, struct conf_tensor *w)
{
	struct conf_tensor x = conf_in(c, 5, 24, CONF_RANDOM), y = conf_out(c, 5, 40);
	struct damf_job *job = conf_job(c, DAMF_OP_LINEAR);

	*w = conf_weight(c, 24, 40, CONF_RANDOM);
	conf_slot(job, DAMF_T_X, &x);
	conf_slot(job, DAMF_T_W, w);
	conf_slot(job, DAMF_T_Y, &y);
	return job;
}

static void run_bad_xtype(struct conf *c, const struct conf_case *k)
{
	struct conf_tensor w;
	struct damf_job *job = linear(c, &w);
	bool i8 = k->type == DAMF_TYPE_I8;

	conf_run(c);
	job->param[DAMF_P_XTYPE] = i8 ? 0 : DAMF_TYPE_I8;
	expect(c, DAMF_ST_BAD_FIELD, PARAM, i8 ? "no XTYPE" : "XTYPE without I8");
	job->param[DAMF_P_XTYPE] = DAMF_TYPE_F32;
	expect(c, DAMF_ST_BAD_FIELD, PARAM, "XTYPE of F32");
}

static void run_bad_factors(struct conf *c, const struct conf_case *k)
{
	static const uint32_t bad[] = { 0, 0x80000000, 0xbf800000, 0x7f800000, 0x7fc00000 };
	struct conf_tensor w;
	struct damf_job *job = linear(c, &w);

	(void)k;
	for (size_t i = 0; i < 5; i++) {
		float old = w.scales[39];

		memcpy(&w.scales[39], &bad[i], 4);
		expect(c, DAMF_ST_BAD_DATA, FIELD(DAMF_T_W, scales), "factor");
		w.scales[39] = old;
	}
	job->tensor[DAMF_T_W].scales += 32;
	expect(c, DAMF_ST_BAD_FIELD, FIELD(DAMF_T_W, scales), "address of factors");
	job->tensor[DAMF_T_W].scales -= 32;
	job->tensor[DAMF_T_Y].addr = w.scales_va;
	expect(c, DAMF_ST_OVERLAP, FIELD(DAMF_T_Y, addr), "output over factors");
}

static void add_bad(struct conf_suite *s)
{
	conf_add(s, run_bad_xtype, "bad types f32");
	conf_add(s, run_bad_xtype, "bad types bf16")->type = DAMF_TYPE_BF16;
	for (unsigned int i = 0; i < 2; i++) {
		struct conf_case *k = conf_add(s, i ? run_bad_factors : run_bad_xtype,
					       i ? "bad types factors" : "bad types int8");

		k->type = DAMF_TYPE_I8;
		k->xtype = DAMF_TYPE_I8;
	}
}

/* ---- Cases: those that have weights, again ------------------------------- */

static bool has_weights(const struct conf_case *k)
{
	static const char *const names[] = {
		"linear ", "ffn ", "embed ", "attention ", "encoder ", "sequences ", "poison ",
		"rows ", "heads, ", "drawn ",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strncmp(k->name, names[i], strlen(names[i])))
			return true;
	}
	return false;
}

void conf_add_types(struct conf_suite *s)
{
	static const struct {
		const char *name;
		uint16_t type, xtype;
	} types[] = {
		{ "int8", DAMF_TYPE_I8, DAMF_TYPE_I8 }, { "bf16", DAMF_TYPE_BF16, 0 },
		{ "int8 by int16", DAMF_TYPE_I8, DAMF_TYPE_I16 },
	};
	size_t count = s->count, next = 0;

	/* a type each, in turn */
	for (size_t i = 0; i < count; i++) {
		struct conf_case of = s->cases[i], *k;
		size_t t = next % 3;

		if (!has_weights(&of))
			continue;
		next++;
		k = conf_add(s, of.run, "%s, %s", of.name, types[t].name);
		memcpy(k->p, of.p, sizeof(k->p));
		k->type = types[t].type;
		k->xtype = types[t].xtype;
	}
	add_bad(s);
}
