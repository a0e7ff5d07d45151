// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "define.h"
#include "tally.h"

static uint64_t seed = 1;

uint32_t random_u32(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 32);
}

/* About -1 to 1. */
float random_f32(void)
{
	return (float)((int32_t)random_u32() >> 8) * 0x1p-23f;
}

/* ---- Memory -------------------------------------------------------------- */

static void *take(struct problem *p, size_t size)
{
	void *m = malloc(size + !size);

	assert_non_null(m);
	assert_true(p->blocks < BLOCKS);
	p->block[p->blocks++] = m;
	return m;
}

/* rows of ld elements each, of which the last has no gap behind it. */
static float *random_rows(struct problem *p, size_t rows, size_t cols, size_t ld)
{
	size_t n = rows ? (rows - 1) * ld + cols : 0;
	float *m = take(p, n * sizeof(*m));

	for (size_t i = 0; i < n; i++)
		m[i] = random_f32();
	return m;
}

static struct damf_mat kind = { .type = DAMF_K_F32 };

void problem_kind(enum damf_k_type type, enum damf_k_type xtype)
{
	kind = (struct damf_mat) { .type = type, .xtype = xtype };
}

/* Bytes of n elements of weights, and of their factors. */
static uint64_t kind_bytes(size_t n, size_t factors)
{
	return kind.type == DAMF_K_I8 ? n + 4 * factors : kind.type == DAMF_K_BF16 ? 2 * n : 4 * n;
}

struct damf_mat problem_weight(struct problem *p, size_t in, size_t out)
{
	float *plain = random_rows(p, out, in, in), *scales = NULL;
	void *w = take(p, damf_packed_size(kind.type, in, out));

	if (kind.type == DAMF_K_F32) {
		damf_pack_f32(w, plain, in, in, out);
	} else if (kind.type == DAMF_K_BF16) {
		damf_pack_bf16(w, plain, in, in, out);
	} else {
		scales = take(p, out * sizeof(*scales));
		damf_pack_i8(w, scales, plain, in, in, out);
	}
	return (struct damf_mat) {
		.data = w, .scales = scales, .type = kind.type, .xtype = kind.xtype,
	};
}

/* A table whose rows are ld elements apart. */
static struct damf_mat random_table(struct problem *p, size_t rows, size_t width, size_t ld)
{
	float *plain = random_rows(p, rows, width, ld), *scales = NULL;
	void *t = plain;

	if (kind.type == DAMF_K_BF16)
		t = take(p, rows * ld * sizeof(uint16_t));
	if (kind.type == DAMF_K_I8) {
		t = take(p, rows * ld);
		scales = take(p, rows * sizeof(*scales));
	}
	for (size_t r = 0; r < rows; r++) {
		if (kind.type == DAMF_K_BF16)
			damf_row_bf16((uint16_t *)t + r * ld, plain + r * ld, width);
		if (kind.type == DAMF_K_I8)
			scales[r] = damf_row_i8((int8_t *)t + r * ld, plain + r * ld, width);
	}
	return (struct damf_mat) { .data = t, .scales = scales, .type = kind.type };
}

static const float *input(struct problem *p, size_t rows, size_t cols, size_t ld)
{
	p->x = random_rows(p, rows, cols, ld);
	p->x_elems = rows ? (rows - 1) * ld + cols : 0;
	return p->x;
}

static float *output(struct problem *p, size_t rows, size_t cols, size_t ld)
{
	p->rows = rows;
	p->cols = cols;
	p->ldy = ld;
	p->y = random_rows(p, rows, ld, ld);
	problem_clear(p);
	return p->y;
}

void problem_clear(const struct problem *p)
{
	for (size_t i = 0; i < p->rows * p->ldy; i++)
		((uint32_t *)p->y)[i] = CANARY;
}

void problem_free(struct problem *p)
{
	while (p->blocks)
		free(p->block[--p->blocks]);
}

static size_t no_scratch(const struct damf_par *par, const struct problem *p)
{
	(void)par;
	(void)p;
	return 0;
}

static const int32_t *take_offsets(struct problem *p, const int32_t *offsets, size_t seqs)
{
	return memcpy(take(p, (seqs + 1) * sizeof(*offsets)), offsets,
		      (seqs + 1) * sizeof(*offsets));
}

/* ---- Linear and feed-forward --------------------------------------------- */

static int run_linear(struct damf_exec *ex, const struct problem *p)
{
	return damf_linear_f32(ex, &p->a.linear);
}

static void define_linear(const struct problem *p)
{
	def_linear(&p->a.linear);
}

static void tally_linear_problem(const struct problem *p)
{
	tally_linear(&p->a.linear);
}

void problem_linear(struct problem *p, size_t rows, size_t in, size_t out, enum damf_k_act act,
		    bool bias, bool residual)
{
	size_t n = rows * out;

	*p = (struct problem) {
		.run = run_linear, .define = define_linear, .tally = tally_linear_problem,
		.scratch = no_scratch, .scratchpad = &p->a.linear.scratchpad,
	};
	snprintf(p->name, sizeof(p->name), "linear %zu x %zu x %zu act %d%s%s", rows, in, out, act,
		 bias ? " bias" : "", residual ? " residual" : "");
	p->a.linear = (struct damf_linear_args) {
		.x = input(p, rows, in, in + 1), .ldx = in + 1, .rows = rows, .in = in, .out = out,
		.w = problem_weight(p, in, out), .bias = bias ? random_rows(p, 1, out, out) : NULL,
		.residual = residual ? random_rows(p, rows, out, out + 5) : NULL, .ldr = out + 5,
		.act = act, .y = output(p, rows, out, out + 3), .ldy = out + 3,
	};
	p->counts = (struct damf_counts) {
		.static_macs = rows * in * out, .exps = act ? n : 0,
		.int8_macs = kind.type == DAMF_K_I8 ? rows * in * out : 0,
		.read_weights = kind_bytes(in * out, out) + (bias ? 4 * out : 0),
		.read_activations = 4 * (rows * in + (residual ? n : 0)),
		.write_activations = 4 * n,
	};
}

static int run_ffn(struct damf_exec *ex, const struct problem *p)
{
	return damf_ffn_f32(ex, &p->a.ffn);
}

static void define_ffn(const struct problem *p)
{
	def_ffn(&p->a.ffn);
}

static void tally_ffn_problem(const struct problem *p)
{
	tally_ffn(&p->a.ffn);
}

static size_t scratch_ffn(const struct damf_par *par, const struct problem *p)
{
	return damf_ffn_scratch(par, &p->a.ffn);
}

static void make_ffn(struct problem *p, size_t rows, size_t width, size_t inner, size_t out)
{
	size_t passes = (rows + 1023) / 1024;

	*p = (struct problem) {
		.run = run_ffn, .define = define_ffn, .tally = tally_ffn_problem,
		.scratch = scratch_ffn, .scratchpad = &p->a.ffn.scratchpad,
	};
	snprintf(p->name, sizeof(p->name), "ffn %zu: %zu, %zu, %zu", rows, width, inner, out);
	p->a.ffn = (struct damf_ffn_args) {
		.x = input(p, rows, width, width), .ldx = width, .rows = rows, .width = width,
		.inner = inner, .out = out,
		.w1 = problem_weight(p, width, inner), .b1 = random_rows(p, 1, inner, inner),
		.w2 = problem_weight(p, inner, out), .b2 = random_rows(p, 1, out, out),
		.y = output(p, rows, out, out + 1), .ldy = out + 1,
	};
	p->counts = (struct damf_counts) {
		.static_macs = rows * inner * (width + out), .exps = rows * inner,
		.int8_macs = kind.type == DAMF_K_I8 ? rows * inner * (width + out) : 0,
		.read_weights = passes * (kind_bytes(width * inner, inner) + 4 * inner +
					  kind_bytes(inner * out, out) + 4 * out),
		.read_activations = 4 * rows * width, .write_activations = 4 * rows * out,
		.read_intermediates = 4 * rows * inner, .write_intermediates = 4 * rows * inner,
	};
}

/* ---- Row by row ---------------------------------------------------------- */

static int run_add_norm(struct damf_exec *ex, const struct problem *p)
{
	return damf_add_norm_f32(ex, &p->a.add_norm);
}

static void define_add_norm(const struct problem *p)
{
	def_add_norm(&p->a.add_norm);
}

static void tally_add_norm_problem(const struct problem *p)
{
	tally_add_norm(&p->a.add_norm);
}

static void make_add_norm(struct problem *p, size_t rows, size_t width, bool residual)
{
	*p = (struct problem) {
		.run = run_add_norm, .define = define_add_norm,
		.tally = tally_add_norm_problem, .scratch = no_scratch,
	};
	snprintf(p->name, sizeof(p->name), "add-norm %zu x %zu%s", rows, width,
		 residual ? " residual" : "");
	p->a.add_norm = (struct damf_add_norm_args) {
		.x = input(p, rows, width, width + 2), .ldx = width + 2,
		.r = residual ? random_rows(p, rows, width, width + 7) : NULL, .ldr = width + 7,
		.rows = rows, .width = width, .gamma = random_rows(p, 1, width, width),
		.beta = random_rows(p, 1, width, width), .eps = 1e-12f,
		.y = output(p, rows, width, width + 1), .ldy = width + 1,
	};
	p->counts = (struct damf_counts) {
		.divs = 4 * rows, .read_weights = 4 * 2 * width,
		.read_activations = 4 * (residual ? 2 : 1) * rows * width,
		.write_activations = 4 * rows * width,
	};
}

static int run_normalize(struct damf_exec *ex, const struct problem *p)
{
	return damf_normalize_f32(ex, p->a.rows.x, p->a.rows.ldx, p->a.rows.rows, p->a.rows.width,
				  p->a.rows.eps, p->a.rows.y, p->a.rows.ldy);
}

static void define_normalize(const struct problem *p)
{
	for (size_t r = 0; r < p->a.rows.rows; r++)
		def_normalize(p->a.rows.x + r * p->a.rows.ldx, p->a.rows.width, p->a.rows.eps,
			      p->a.rows.y + r * p->a.rows.ldy);
}

static int run_softmax(struct damf_exec *ex, const struct problem *p)
{
	return damf_softmax_f32(ex, p->a.rows.x, p->a.rows.ldx, p->a.rows.rows, p->a.rows.width,
				p->a.rows.y, p->a.rows.ldy);
}

static void define_softmax(const struct problem *p)
{
	for (size_t r = 0; r < p->a.rows.rows; r++)
		def_softmax(p->a.rows.x + r * p->a.rows.ldx, p->a.rows.width,
			    p->a.rows.y + r * p->a.rows.ldy);
}

static void tally_rows(const struct problem *p, int softmax)
{
	for (size_t r = 0; r < p->a.rows.rows; r++)
		tally_row(p->a.rows.x + r * p->a.rows.ldx, p->a.rows.width, p->a.rows.eps, softmax,
			  p->a.rows.y + r * p->a.rows.ldy);
}

static void tally_softmax(const struct problem *p)
{
	tally_rows(p, 1);
}

static void tally_normalize(const struct problem *p)
{
	tally_rows(p, 0);
}

static void make_rows(struct problem *p, size_t rows, size_t width, bool softmax)
{
	*p = (struct problem) {
		.run = softmax ? run_softmax : run_normalize,
		.define = softmax ? define_softmax : define_normalize,
		.tally = softmax ? tally_softmax : tally_normalize, .scratch = no_scratch,
	};
	snprintf(p->name, sizeof(p->name), "%s %zu x %zu", softmax ? "softmax" : "normalize",
		 rows, width);
	p->a.rows.x = input(p, rows, width, width + 3);
	p->a.rows.ldx = width + 3;
	p->a.rows.rows = rows;
	p->a.rows.width = width;
	p->a.rows.eps = 1e-12f;
	p->a.rows.y = output(p, rows, width, width + 1);
	p->a.rows.ldy = width + 1;
	p->counts = (struct damf_counts) {
		.exps = softmax ? rows * width : 0, .divs = softmax ? rows : rows * (width + 1),
		.read_activations = 4 * rows * width, .write_activations = 4 * rows * width,
	};
}

/* ---- Embeddings and pooling ---------------------------------------------- */

static int run_embed(struct damf_exec *ex, const struct problem *p)
{
	return damf_embed_f32(ex, &p->a.embed);
}

static void define_embed(const struct problem *p)
{
	def_embed(&p->a.embed);
}

static void tally_embed_problem(const struct problem *p)
{
	tally_embed(&p->a.embed);
}

static const int32_t *random_ids(struct problem *p, size_t n, uint32_t below)
{
	int32_t *ids = take(p, n * sizeof(*ids));

	for (size_t i = 0; i < n; i++)
		ids[i] = (int32_t)(random_u32() % below);
	return ids;
}

static void make_embed(struct problem *p, const int32_t *offsets, size_t seqs, size_t width,
		       bool types)
{
	size_t tokens = (size_t)offsets[seqs];

	*p = (struct problem) {
		.run = run_embed, .define = define_embed, .tally = tally_embed_problem,
		.scratch = no_scratch,
	};
	snprintf(p->name, sizeof(p->name), "embed %zu tokens x %zu%s", tokens, width,
		 types ? " types" : "");
	p->a.embed = (struct damf_embed_args) {
		.ids = random_ids(p, tokens, 50),
		.type_ids = types ? random_ids(p, tokens, 2) : NULL,
		.offsets = take_offsets(p, offsets, seqs), .seqs = seqs, .width = width,
		.word = random_table(p, 50, width, width + 1), .ld_word = width + 1,
		.position = random_table(p, 400, width, width), .ld_position = width,
		.type = random_table(p, 2, width, width + 4), .ld_type = width + 4,
		.gamma = random_rows(p, 1, width, width), .beta = random_rows(p, 1, width, width),
		.eps = 1e-5f, .y = output(p, tokens, width, width + 2), .ldy = width + 2,
	};
	p->x_elems = 50 * width;
	p->counts = (struct damf_counts) {
		.divs = 4 * tokens, .read_weights = kind_bytes(3 * tokens * width, 3 * tokens) + 4 * 2 * width,
		.read_activations = 4 * ((types ? 2 : 1) * tokens + seqs + 1),
		.write_activations = 4 * tokens * width,
	};
}

static int run_pool(struct damf_exec *ex, const struct problem *p)
{
	return damf_pool_f32(ex, &p->a.pool);
}

static void define_pool(const struct problem *p)
{
	def_pool(&p->a.pool);
}

static void tally_pool_problem(const struct problem *p)
{
	tally_pool(&p->a.pool);
}

static void make_pool(struct problem *p, const int32_t *offsets, size_t seqs, size_t width,
		      enum damf_k_pool kind)
{
	size_t tokens = (size_t)offsets[seqs], filled = 0;

	*p = (struct problem) {
		.run = run_pool, .define = define_pool, .tally = tally_pool_problem,
		.scratch = no_scratch,
	};
	snprintf(p->name, sizeof(p->name), "pool %zu tokens x %zu kind %d", tokens, width, kind);
	p->a.pool = (struct damf_pool_args) {
		.x = input(p, tokens, width, width + 1), .ldx = width + 1,
		.offsets = take_offsets(p, offsets, seqs), .seqs = seqs, .width = width,
		.kind = kind, .y = output(p, seqs, width, width + 1), .ldy = width + 1,
	};
	for (size_t i = 0; i < seqs; i++)
		filled += offsets[i] < offsets[i + 1];
	p->counts = (struct damf_counts) {
		.divs = kind == DAMF_K_POOL_MEAN ? filled * width : 0,
		.read_activations =
			4 * (seqs + 1 + (kind == DAMF_K_POOL_MEAN ? tokens : filled) * width),
		.write_activations = 4 * seqs * width,
	};
}

/* ---- The list ------------------------------------------------------------ */

static const int32_t ragged[] = { 0, 3, 3, 10, 11, 11, 60, 109, 141, 141, 441 };
#define RAGGED (sizeof(ragged) / sizeof(ragged[0]) - 1)
static const int32_t nothing[] = { 0, 0, 0 };

static const struct {
	size_t rows, in, out;
	enum damf_k_act act;
	bool bias, residual;
} linears[] = {
	{ 1, 1, 1, DAMF_K_NONE, false, false }, { 5, 7, 33, DAMF_K_NONE, true, false },
	{ 13, 40, 37, DAMF_K_GELU, true, true }, { 49, 300, 70, DAMF_K_TANH, false, true },
	{ 61, 24, 288, DAMF_K_GELU, true, false }, { 1, 513, 300, DAMF_K_NONE, true, true },
	{ 100, 3, 31, DAMF_K_TANH, true, false },
};

static const struct attention_shape attentions[] = {
	{ ALL_MHSA, 1, 1, 1, 1, 1, true }, { ALL_FOLD, 1, 1, 1, 1, 1, true },
	{ ALL_MHSA, 48, 2, 24, 24, 48, true }, { ALL_FOLD, 48, 2, 24, 24, 48, true },
	{ MIXED, 33, 7, 7, 11, 35, true }, { MIXED, 40, 5, 3, 13, 67, false },
	{ ALL_FOLD, 70, 13, 1, 3, 40, false },
};

static const struct attention_shape long_one = { MIXED, 3, 3, 2, 2, 5, true };

static bool make_ragged(struct problem *p, size_t i)
{
	static int32_t many[131], lone[] = { 0, 2100 };

	switch (i) {
	case 0:
		return make_embed(p, ragged, RAGGED, 33, true), true;
	case 1:
		return make_embed(p, ragged, RAGGED, 100, false), true;
	case 2:
		return make_pool(p, ragged, RAGGED, 70, DAMF_K_POOL_MEAN), true;
	case 3:
		return make_pool(p, ragged, RAGGED, 33, DAMF_K_POOL_CLS), true;
	case 4:
		return make_pool(p, nothing, 2, 16, DAMF_K_POOL_MEAN), true;
	case 5:
		return problem_attention(p, &attentions[5], nothing, 2), true;
	case 6: /* more sequences than are worked on at once */
		for (int32_t n = 0; n < 130; n++)
			many[n + 1] = many[n] + n % 4;
		return problem_attention(p, &attentions[4], many, 130), true;
	case 7: /* more tokens */
		return problem_attention(p, &long_one, lone, 1), true;
	}
	return false;
}

static bool make(struct problem *p, size_t i)
{
	size_t n = sizeof(linears) / sizeof(linears[0]);
	static const size_t widths[] = { 1, 16, 37, 384 };

	if (i < n) {
		problem_linear(p, linears[i].rows, linears[i].in, linears[i].out, linears[i].act,
			       linears[i].bias, linears[i].residual);
		return true;
	}
	i -= n;
	n = sizeof(attentions) / sizeof(attentions[0]);
	if (i < n)
		return problem_attention(p, &attentions[i], ragged, RAGGED), true;
	i -= n;
	if (i < 3)
		return make_ffn(p, i == 2 ? 1030 : 1 + 52 * i, 24 - 7 * i, 40 + 60 * (i == 1), 31),
			true;
	i -= 3;
	if (i < 4)
		return make_add_norm(p, i < 2 ? 19 : 150, widths[i], i & 1), true;
	i -= 4;
	if (i < 8)
		return make_rows(p, i < 4 ? 18 : 130, widths[i / 2], i & 1), true;
	i -= 8;
	return i < 8 ? make_ragged(p, i) : problem_make_heads(p, i - 8);
}

/* Each with weights of every type. */
bool problem_make(struct problem *p, size_t i)
{
	static const enum damf_k_type kinds[][2] = {
		{ DAMF_K_F32 }, { DAMF_K_BF16 }, { DAMF_K_I8, DAMF_K_I8 },
		{ DAMF_K_I8, DAMF_K_I16 },
	};
	bool there;

	seed = i / 4 + 1;
	problem_kind(kinds[i % 4][0], kinds[i % 4][1]);
	there = make(p, i / 4);
	if (there)
		snprintf(p->name + strlen(p->name), sizeof(p->name) - strlen(p->name),
			 ", weights %d %d", kind.type, kind.xtype);
	problem_kind(DAMF_K_F32, 0);
	return there;
}
