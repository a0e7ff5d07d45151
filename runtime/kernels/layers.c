// SPDX-License-Identifier: MIT
/* Every layer but attention: cut into items, run and counted. */
#include <string.h>

#include "exec.h"

/* Between rows of inner activations, so that they don't fall into one cache set. */
#define FFN_GAP		16
/*
 * Both products are one item where the inner activations of a block of rows
 * stay in the second cache, and the block is large enough for what reading
 * the weights once more costs.
 */
#define FFN_CACHED	(640u << 10)
#define FFN_ROWS_LEAST	48

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t list_items(size_t rows)
{
	return (rows + DAMF_LIST_ROWS - 1) / DAMF_LIST_ROWS;
}

#define FOR_ITEM_ROWS(row, item, rows) \
	for (size_t row = (item) * DAMF_LIST_ROWS; \
	     row < min_size((rows), ((item) + 1) * DAMF_LIST_ROWS); row++)

/* ---- Linear and feed-forward --------------------------------------------- */

static int linear_rows(struct damf_exec *ex, const struct damf_linear_args *a, size_t row,
		       size_t rows)
{
	const struct damf_seg seg = {
		.x = a->x + row * a->ldx, .ldx = a->ldx, .w = a->w, .in = a->in, .k = a->in,
	};
	const struct damf_gemm g = {
		.seg = &seg, .nseg = 1, .rows = rows, .col1 = a->out, .bias = a->bias,
		.act = a->act, .residual = a->residual ? a->residual + row * a->ldr : NULL,
		.ldr = a->ldr, .y = a->y + row * a->ldy, .ldy = a->ldy,
	};
	size_t n = rows * a->out;
	int rc = damf_run_gemms(ex, &g, 1);

	if (rc)
		return rc;
	damf_count_mat(ex, rows, a->in, a->out, a->w, a->bias);
	DAMF_COUNT(ex, exps, a->act == DAMF_K_NONE ? 0 : n);
	DAMF_COUNT_F32(ex, read_activations, rows * a->in + (a->residual ? n : 0));
	DAMF_COUNT_F32(ex, write_activations, n);
	return 0;
}

int damf_linear_f32(struct damf_exec *ex, const struct damf_linear_args *a)
{
	size_t block = damf_block_rows(a->scratchpad, a->in);

	for (size_t row = 0; row < a->rows; row += block) {
		int rc = linear_rows(ex, a, row, min_size(a->rows - row, block));

		if (rc)
			return rc;
	}
	return 0;
}

static size_t inner_stride(const struct damf_ffn_args *a)
{
	return ((a->inner + 15) & ~(size_t)15) + FFN_GAP;
}

static size_t ffn_block(const struct damf_ffn_args *a)
{
	return damf_block_rows(a->scratchpad, a->width + a->inner);
}

size_t damf_ffn_scratch(const struct damf_par *par, const struct damf_ffn_args *a)
{
	(void)par;
	return min_size(a->rows, ffn_block(a)) * inner_stride(a) * sizeof(float);
}

/* Both products of some rows. */
struct ffn {
	struct damf_seg up, down;
	struct damf_gemm first, second;
};

static void ffn_set(struct ffn *f, const struct damf_ffn_args *a, size_t row, size_t rows,
		    float *inner)
{
	size_t ld = inner_stride(a);

	f->up = (struct damf_seg) {
		.x = a->x + row * a->ldx, .ldx = a->ldx, .w = a->w1, .in = a->width, .k = a->width,
	};
	f->down = (struct damf_seg) {
		.x = inner, .ldx = ld, .w = a->w2, .in = a->inner, .k = a->inner,
	};
	f->first = (struct damf_gemm) {
		.seg = &f->up, .nseg = 1, .rows = rows, .col1 = a->inner, .bias = a->b1,
		.act = DAMF_K_GELU, .y = inner, .ldy = ld,
	};
	f->second = (struct damf_gemm) {
		.seg = &f->down, .nseg = 1, .rows = rows, .col1 = a->out, .bias = a->b2,
		.y = a->y + row * a->ldy, .ldy = a->ldy,
	};
}

struct ffn_blocks {
	const struct damf_exec *ex;
	const struct damf_ffn_args *a;
	size_t row, rows, block;
};

static void ffn_item(void *arg, size_t item, unsigned int worker)
{
	const struct ffn_blocks *b = arg;
	float *inner = (float *)b->ex->scratch + worker * b->block * inner_stride(b->a);
	size_t at = item * b->block;
	struct ffn f;

	ffn_set(&f, b->a, b->row + at, min_size(b->rows - at, b->block), inner);
	damf_gemm_rows(b->ex->isa, &f.first);
	damf_gemm_rows(b->ex->isa, &f.second);
}

/* Rows of blocks that are one item each; 0 if that doesn't pay. Each thread has room for one. */
static size_t ffn_item_rows(const struct damf_exec *ex, const struct damf_ffn_args *a,
			    size_t rows)
{
	size_t threads = damf_threads(ex->par), even = threads > 1 ? 2 * threads : 1;
	size_t most = min_size(FFN_CACHED / (inner_stride(a) * sizeof(float)), DAMF_ROW_BLOCK);
	size_t n;

	if (most < FFN_ROWS_LEAST)
		return 0;
	n = (rows + most - 1) / most;
	n = damf_block_of(rows, (n + even - 1) / even * even);
	if (threads > 1 && n < FFN_ROWS_LEAST)
		return 0;
	return n * a->inner * (a->width + a->out) > DAMF_ITEM_MACS ? 0 : n;
}

static int ffn_rows(struct damf_exec *ex, const struct damf_ffn_args *a, size_t row, size_t rows)
{
	struct ffn_blocks b = { ex, a, row, rows, ffn_item_rows(ex, a, rows) };
	struct ffn f;
	int rc;

	if (b.block)
		return damf_run_items(ex, ffn_item, &b, (rows + b.block - 1) / b.block);
	ffn_set(&f, a, row, rows, ex->scratch);
	rc = damf_run_gemms(ex, &f.first, 1);
	return rc ? rc : damf_run_gemms(ex, &f.second, 1);
}

int damf_ffn_f32(struct damf_exec *ex, const struct damf_ffn_args *a)
{
	size_t block = ffn_block(a);

	for (size_t row = 0; row < a->rows; row += block) {
		size_t rows = min_size(a->rows - row, block);
		int rc = ffn_rows(ex, a, row, rows);

		if (rc)
			return rc;
		damf_count_mat(ex, rows, a->width, a->inner, a->w1, a->b1);
		damf_count_mat(ex, rows, a->inner, a->out, a->w2, a->b2);
		DAMF_COUNT(ex, exps, rows * a->inner);
		DAMF_COUNT_F32(ex, read_activations, rows * a->width);
		DAMF_COUNT_F32(ex, write_intermediates, rows * a->inner);
		DAMF_COUNT_F32(ex, read_intermediates, rows * a->inner);
		damf_count_spill(ex, a->scratchpad, 4 * rows * (a->width + a->inner),
				 4 * 2 * rows * a->inner);
		DAMF_COUNT_F32(ex, write_activations, rows * a->out);
	}
	return 0;
}

/* ---- Row by row ---------------------------------------------------------- */

/* Mean, variance, root and reciprocal. */
#define NORM_DIVS	4

struct embed {
	const struct damf_isa *isa;
	const struct damf_embed_args *a;
};

/* The sequence a token is in: the last that begins at or before it. */
static size_t seq_of(const int32_t *offsets, size_t seqs, size_t token)
{
	size_t low = 0, high = seqs;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if ((size_t)offsets[mid] <= token)
			low = mid;
		else
			high = mid;
	}
	return low;
}

/* Takes a row of a table into y, which it begins unless add. */
static void take_row(const struct embed *e, float *y, const struct damf_mat *table, size_t ld,
		     size_t row, bool add)
{
	const struct damf_row r = {
		.data = (const char *)table->data + damf_type_bytes(table->type, row * ld),
		.type = table->type,
		.scale = table->type == DAMF_K_I8 ? table->scales[row] : 1.0f,
	};

	e->isa->add_table(y, &r, e->a->width, add);
}

static void embed_item(void *arg, size_t item, unsigned int worker)
{
	const struct embed *e = arg;
	const struct damf_embed_args *a = e->a;
	size_t tokens = (size_t)a->offsets[a->seqs];

	(void)worker;
	FOR_ITEM_ROWS(t, item, tokens) {
		size_t at = t - (size_t)a->offsets[seq_of(a->offsets, a->seqs, t)];
		size_t type = a->type_ids ? (size_t)a->type_ids[t] : 0;
		float *y = a->y + t * a->ldy;

		take_row(e, y, &a->word, a->ld_word, (size_t)a->ids[t], false);
		take_row(e, y, &a->position, a->ld_position, at, true);
		take_row(e, y, &a->type, a->ld_type, type, true);
		e->isa->norm(y, a->width, a->gamma, a->beta, a->eps);
	}
}

static void count_rows(const struct damf_exec *ex, const struct damf_mat *table, size_t rows,
		       size_t width)
{
	DAMF_COUNT(ex, read_weights, damf_type_bytes(table->type, (uint64_t)rows * width));
	DAMF_COUNT_F32(ex, read_weights, table->type == DAMF_K_I8 ? rows : 0);
}

int damf_embed_f32(struct damf_exec *ex, const struct damf_embed_args *a)
{
	struct embed e = { ex->isa, a };
	size_t tokens = (size_t)a->offsets[a->seqs];
	int rc = damf_run_items(ex, embed_item, &e, list_items(tokens));

	if (rc)
		return rc;
	DAMF_COUNT(ex, divs, NORM_DIVS * tokens);
	count_rows(ex, &a->word, tokens, a->width);
	count_rows(ex, &a->position, tokens, a->width);
	count_rows(ex, &a->type, tokens, a->width);
	DAMF_COUNT_F32(ex, read_weights, 2 * a->width);
	DAMF_COUNT_F32(ex, read_activations, tokens * (a->type_ids ? 2 : 1) + a->seqs + 1);
	DAMF_COUNT_F32(ex, write_activations, tokens * a->width);
	return 0;
}

struct add_norm {
	const struct damf_isa *isa;
	const struct damf_add_norm_args *a;
};

static void add_norm_item(void *arg, size_t item, unsigned int worker)
{
	const struct add_norm *n = arg;
	const struct damf_add_norm_args *a = n->a;

	(void)worker;
	FOR_ITEM_ROWS(row, item, a->rows) {
		const float *x = a->x + row * a->ldx;
		float *y = a->y + row * a->ldy;

		if (a->r)
			n->isa->add(y, x, a->r + row * a->ldr, a->width);
		else
			memcpy(y, x, a->width * sizeof(*y));
		n->isa->norm(y, a->width, a->gamma, a->beta, a->eps);
	}
}

int damf_add_norm_f32(struct damf_exec *ex, const struct damf_add_norm_args *a)
{
	struct add_norm n = { ex->isa, a };
	int rc = damf_run_items(ex, add_norm_item, &n, list_items(a->rows));

	if (rc)
		return rc;
	DAMF_COUNT(ex, divs, NORM_DIVS * a->rows);
	DAMF_COUNT_F32(ex, read_weights, 2 * a->width);
	DAMF_COUNT_F32(ex, read_activations, (a->r ? 2 : 1) * a->rows * a->width);
	DAMF_COUNT_F32(ex, write_activations, a->rows * a->width);
	return 0;
}

struct rows {
	const struct damf_isa *isa;
	const float *x;
	size_t ldx, rows, width;
	float eps;
	float *y;
	size_t ldy;
};

static void normalize_item(void *arg, size_t item, unsigned int worker)
{
	const struct rows *r = arg;

	(void)worker;
	FOR_ITEM_ROWS(row, item, r->rows)
		r->isa->normalize(r->x + row * r->ldx, r->width, r->eps, r->y + row * r->ldy);
}

int damf_normalize_f32(struct damf_exec *ex, const float *x, size_t ldx, size_t rows,
		       size_t width, float eps, float *y, size_t ldy)
{
	struct rows r = { ex->isa, x, ldx, rows, width, eps, y, ldy };
	int rc = damf_run_items(ex, normalize_item, &r, list_items(rows));

	if (rc)
		return rc;
	DAMF_COUNT(ex, divs, rows * (width + 1));
	DAMF_COUNT_F32(ex, read_activations, rows * width);
	DAMF_COUNT_F32(ex, write_activations, rows * width);
	return 0;
}

static void softmax_item(void *arg, size_t item, unsigned int worker)
{
	const struct rows *r = arg;

	(void)worker;
	FOR_ITEM_ROWS(row, item, r->rows)
		r->isa->softmax(r->x + row * r->ldx, r->width, r->y + row * r->ldy);
}

int damf_softmax_f32(struct damf_exec *ex, const float *x, size_t ldx, size_t rows,
		     size_t width, float *y, size_t ldy)
{
	struct rows r = { ex->isa, x, ldx, rows, width, 0.0f, y, ldy };
	int rc = damf_run_items(ex, softmax_item, &r, list_items(rows));

	if (rc)
		return rc;
	DAMF_COUNT(ex, exps, rows * width);
	DAMF_COUNT(ex, divs, rows);
	DAMF_COUNT_F32(ex, read_activations, rows * width);
	DAMF_COUNT_F32(ex, write_activations, rows * width);
	return 0;
}

/* ---- Pooling ------------------------------------------------------------- */

struct pool {
	const struct damf_isa *isa;
	const struct damf_pool_args *a;
};

static void pool_mean(const struct pool *p, const float *x, size_t len, float *y)
{
	const struct damf_pool_args *a = p->a;
	const struct damf_sums s = {
		.x = x, .ldx = a->ldx, .len = len, .width = a->width, .out = &y,
	};

	p->isa->sums(&s, 0, (a->width + DAMF_PANEL_COLS - 1) / DAMF_PANEL_COLS);
	p->isa->mean(y, len, a->width, y);
}

static void pool_item(void *arg, size_t seq, unsigned int worker)
{
	const struct pool *p = arg;
	const struct damf_pool_args *a = p->a;
	size_t from = (size_t)a->offsets[seq], len = (size_t)a->offsets[seq + 1] - from;
	float *y = a->y + seq * a->ldy;

	(void)worker;
	if (!len)
		memset(y, 0, a->width * sizeof(*y));
	else if (a->kind == DAMF_K_POOL_CLS)
		memcpy(y, a->x + from * a->ldx, a->width * sizeof(*y));
	else
		pool_mean(p, a->x + from * a->ldx, len, y);
}

int damf_pool_f32(struct damf_exec *ex, const struct damf_pool_args *a)
{
	struct pool p = { ex->isa, a };
	size_t tokens = (size_t)a->offsets[a->seqs], filled = 0;
	int rc = damf_run_items(ex, pool_item, &p, a->seqs);

	if (rc)
		return rc;
	for (size_t i = 0; i < a->seqs; i++)
		filled += a->offsets[i] != a->offsets[i + 1];
	if (a->kind == DAMF_K_POOL_MEAN)
		DAMF_COUNT(ex, divs, filled * a->width);
	DAMF_COUNT_F32(ex, read_activations, a->seqs + 1 +
		       (a->kind == DAMF_K_POOL_MEAN ? tokens : filled) * a->width);
	DAMF_COUNT_F32(ex, write_activations, a->seqs * a->width);
	return 0;
}
