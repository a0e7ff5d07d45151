// SPDX-License-Identifier: MIT
/* Fetching and putting back, and every layer but attention. */
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally.h"

struct damf_counts tally;

struct block {
	struct block *next;
	max_align_t memory[];
};

static struct block *blocks;

void *tally_new(size_t n, size_t size)
{
	struct block *b = calloc(1, sizeof(*b) + n * size + 1);

	if (!b)
		abort();
	b->next = blocks;
	blocks = b;
	return b->memory;
}

void tally_free(void)
{
	while (blocks) {
		struct block *next = blocks->next;

		free(blocks);
		blocks = next;
	}
}

float *tally_get(uint64_t *kind, const float *x, size_t ld, size_t rows, size_t cols)
{
	float *copy = x ? tally_new(rows * cols, sizeof(*copy)) : NULL;

	for (size_t i = 0; x && i < rows * cols; i++) {
		copy[i] = x[i / cols * ld + i % cols];
		*kind += sizeof(*x);
	}
	return copy;
}

void tally_put(uint64_t *kind, const float *x, size_t ld, size_t rows, size_t cols, float *to,
	       size_t ldt)
{
	for (size_t i = 0; i < rows * cols; i++) {
		to[i / cols * ldt + i % cols] = x[i / cols * ld + i % cols];
		*kind += sizeof(*x);
	}
}

size_t tally_element(enum damf_k_type type)
{
	return type == DAMF_K_I8 ? 1 : type == DAMF_K_BF16 ? 2 : 4;
}

size_t tally_place(enum damf_k_type type, size_t in, size_t k, size_t n)
{
	if (type == DAMF_K_I8)
		return n / 32 * ((in + 3) / 4) * 128 + k / 4 * 128 + n % 32 * 4 + k % 4;
	return (n / 32 * in + k) * 32 + n % 32;
}

/* Factors that are not fetched, and elements but integers, are not a number. */
struct damf_mat tally_get_mat(const struct damf_mat *w, size_t in, size_t out, struct part part)
{
	size_t element = tally_element(w->type), room = (out + 31) / 32 * 32 * ((in + 3) / 4 * 4);
	char *copy = memset(tally_new(room, element), 0xff, room * element);
	float *factors = w->scales ? memset(tally_new(out, sizeof(*factors)), 0xff,
					    out * sizeof(*factors)) : NULL;
	struct damf_mat m = { copy, factors, w->type, w->xtype };

	for (size_t k = part.row; k < part.row + part.rows; k++) {
		for (size_t j = part.col; j < part.col + part.cols; j++) {
			size_t at = element * tally_place(w->type, in, k, j);

			memcpy(copy + at, (const char *)w->data + at, element);
			tally.read_weights += element;
		}
	}
	for (size_t j = part.col; factors && j < part.col + part.cols; j++) {
		factors[j] = w->scales[j];
		tally.read_weights += part.known ? 0 : sizeof(*factors);
	}
	return m;
}

struct damf_mat tally_get_row(const struct damf_mat *t, size_t ld, size_t row, size_t width)
{
	size_t element = tally_element(t->type);
	char *copy = tally_new(width, element);
	struct damf_mat m = { copy, NULL, t->type, t->xtype };

	memcpy(copy, (const char *)t->data + element * row * ld, element * width);
	tally.read_weights += element * width;
	if (t->scales)
		m.scales = tally_get(&tally.read_weights, t->scales + row, 0, 1, 1);
	return m;
}

size_t tally_room(size_t scratchpad)
{
	return scratchpad ? scratchpad : 4 << 20;
}

size_t tally_block(size_t scratchpad, size_t row)
{
	size_t rows = tally_room(scratchpad) / 4 / row;

	return rows > 1024 ? 1024 : rows ? rows : 1;
}

/* ---- Linear and feed-forward --------------------------------------------- */

static void linear_block(const struct damf_linear_args *a, size_t row, size_t rows)
{
	struct damf_linear_args in = *a;
	float *y = tally_new(rows * a->out, sizeof(*y));

	in.rows = rows;
	in.x = tally_get(&tally.read_activations, a->x + row * a->ldx, a->ldx, rows, a->in);
	in.ldx = a->in;
	in.w = tally_get_mat(&a->w, a->in, a->out, (struct part) { 0, a->in, 0, a->out, 0 });
	in.bias = tally_get(&tally.read_weights, a->bias, 0, 1, a->out);
	in.residual = tally_get(&tally.read_activations,
				a->residual ? a->residual + row * a->ldr : NULL, a->ldr, rows,
				a->out);
	in.ldr = a->out;
	in.y = y;
	in.ldy = a->out;
	def_linear(&in);
	tally_put(&tally.write_activations, y, a->out, rows, a->out, a->y + row * a->ldy, a->ldy);
}

void tally_linear(const struct damf_linear_args *a)
{
	size_t block = tally_block(a->scratchpad, a->in);

	for (size_t row = 0; row < a->rows; row += block)
		linear_block(a, row, a->rows - row < block ? a->rows - row : block);
	tally_free();
}

static void ffn_block(const struct damf_ffn_args *a, size_t row, size_t rows)
{
	float *h = tally_new(rows * a->inner, sizeof(*h)), *y = tally_new(rows * a->out, sizeof(*y));
	float *kept = tally_new(rows * a->inner, sizeof(*kept));
	struct damf_linear_args up = {
		.x = tally_get(&tally.read_activations, a->x + row * a->ldx, a->ldx, rows, a->width),
		.ldx = a->width, .rows = rows, .in = a->width, .out = a->inner,
		.w = tally_get_mat(&a->w1, a->width, a->inner,
				   (struct part) { 0, a->width, 0, a->inner, 0 }),
		.bias = tally_get(&tally.read_weights, a->b1, 0, 1, a->inner),
		.act = DAMF_K_GELU, .y = h, .ldy = a->inner,
	};
	struct damf_linear_args down = {
		.rows = rows, .in = a->inner, .out = a->out, .ldx = a->inner,
		.w = tally_get_mat(&a->w2, a->inner, a->out,
				   (struct part) { 0, a->inner, 0, a->out, 0 }),
		.bias = tally_get(&tally.read_weights, a->b2, 0, 1, a->out), .y = y, .ldy = a->out,
	};
	uint64_t before = tally.write_intermediates + tally.read_intermediates;

	def_linear(&up);
	tally_put(&tally.write_intermediates, h, a->inner, rows, a->inner, kept, a->inner);
	down.x = tally_get(&tally.read_intermediates, kept, a->inner, rows, a->inner);
	def_linear(&down);
	tally_put(&tally.write_activations, y, a->out, rows, a->out, a->y + row * a->ldy, a->ldy);
	if (4 * rows * (a->width + a->inner) > tally_room(a->scratchpad))
		tally.spills += tally.write_intermediates + tally.read_intermediates - before;
}

void tally_ffn(const struct damf_ffn_args *a)
{
	size_t block = tally_block(a->scratchpad, a->width + a->inner);

	for (size_t row = 0; row < a->rows; row += block)
		ffn_block(a, row, a->rows - row < block ? a->rows - row : block);
	tally_free();
}

/* ---- Row by row ---------------------------------------------------------- */

void tally_add_norm(const struct damf_add_norm_args *a)
{
	struct damf_add_norm_args in = *a;
	float *y = tally_new(a->rows * a->width, sizeof(*y));

	in.x = tally_get(&tally.read_activations, a->x, a->ldx, a->rows, a->width);
	in.r = tally_get(&tally.read_activations, a->r, a->ldr, a->rows, a->width);
	in.gamma = tally_get(&tally.read_weights, a->gamma, 0, 1, a->width);
	in.beta = tally_get(&tally.read_weights, a->beta, 0, 1, a->width);
	in.ldx = a->width;
	in.ldr = a->width;
	in.y = y;
	in.ldy = a->width;
	def_add_norm(&in);
	tally_put(&tally.write_activations, y, a->width, a->rows, a->width, a->y, a->ldy);
	tally_free();
}

void tally_row(const float *x, size_t width, float eps, int softmax, float *y)
{
	float *in = tally_get(&tally.read_activations, x, 0, 1, width);
	float *out = tally_new(width, sizeof(*out));

	if (softmax)
		def_softmax(in, width, out);
	else
		def_normalize(in, width, eps, out);
	tally_put(&tally.write_activations, out, 0, 1, width, y, 0);
	tally_free();
}

/* ---- Tables -------------------------------------------------------------- */

static int32_t *get_i32(const int32_t *x, size_t n)
{
	int32_t *copy = x ? tally_new(n, sizeof(*copy)) : NULL;

	for (size_t i = 0; x && i < n; i++) {
		copy[i] = x[i];
		tally.read_activations += sizeof(*x);
	}
	return copy;
}

/* A token alone: its three rows, which then are the only ones of their tables. */
static void embed_token(const struct damf_embed_args *a, int32_t id, size_t at, int32_t type,
			float *y)
{
	static const int32_t zero, offsets[2] = { 0, 1 };
	struct damf_embed_args in = *a;

	in.ids = &zero;
	in.type_ids = NULL;
	in.offsets = offsets;
	in.seqs = 1;
	in.word = tally_get_row(&a->word, a->ld_word, (size_t)id, a->width);
	in.position = tally_get_row(&a->position, a->ld_position, at, a->width);
	in.type = tally_get_row(&a->type, a->ld_type, (size_t)type, a->width);
	in.y = tally_new(a->width, sizeof(*in.y));
	def_embed(&in);
	tally_put(&tally.write_activations, in.y, 0, 1, a->width, y, 0);
}

void tally_embed(const struct damf_embed_args *a)
{
	size_t tokens = (size_t)a->offsets[a->seqs];
	struct damf_embed_args in = *a;
	const int32_t *ids = get_i32(a->ids, tokens), *types = get_i32(a->type_ids, tokens);
	const int32_t *offsets = get_i32(a->offsets, a->seqs + 1);

	in.gamma = tally_get(&tally.read_weights, a->gamma, 0, 1, a->width);
	in.beta = tally_get(&tally.read_weights, a->beta, 0, 1, a->width);
	for (size_t b = 0; b < a->seqs; b++) {
		for (int32_t t = offsets[b]; t < offsets[b + 1]; t++)
			embed_token(&in, ids[t], (size_t)(t - offsets[b]), types ? types[t] : 0,
				    a->y + (size_t)t * a->ldy);
	}
	tally_free();
}

void tally_pool(const struct damf_pool_args *a)
{
	const int32_t *offsets = get_i32(a->offsets, a->seqs + 1);

	for (size_t b = 0; b < a->seqs; b++) {
		size_t from = (size_t)offsets[b], len = (size_t)offsets[b + 1] - from;
		size_t taken = a->kind == DAMF_K_POOL_CLS && len ? 1 : len;
		int32_t alone[2] = { 0, (int32_t)taken };
		struct damf_pool_args in = {
			.x = tally_get(&tally.read_activations, a->x + from * a->ldx, a->ldx, taken,
				       a->width),
			.ldx = a->width, .offsets = alone, .seqs = 1, .width = a->width,
			.kind = a->kind, .y = tally_new(a->width, sizeof(float)),
		};

		def_pool(&in);
		tally_put(&tally.write_activations, in.y, 0, 1, a->width, a->y + b * a->ldy, 0);
	}
	tally_free();
}
