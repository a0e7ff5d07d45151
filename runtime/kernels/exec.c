// SPDX-License-Identifier: MIT
#include <errno.h>

#include "exec.h"

/*
 * Round to nearest, nothing flushed to zero, nothing trapped: libraries and
 * callers may have left anything. What was there comes back, flags included.
 */
#if defined(__x86_64__)
#include <xmmintrin.h>

static unsigned long env_enter(void)
{
	unsigned int old = _mm_getcsr();

	_mm_setcsr(0x1f80);
	return old;
}

static void env_leave(unsigned long old)
{
	_mm_setcsr((unsigned int)old);
}
#elif defined(__aarch64__)
static unsigned long env_enter(void)
{
	unsigned long old, zero = 0;

	__asm__ volatile("mrs %0, fpcr" : "=r"(old));
	__asm__ volatile("msr fpcr, %0" : : "r"(zero) : "memory");
	return old;
}

static void env_leave(unsigned long old)
{
	__asm__ volatile("msr fpcr, %0" : : "r"(old) : "memory");
}
#else
#include <fenv.h>

static unsigned long env_enter(void)
{
	int old = fegetround();

	fesetround(FE_TONEAREST);
	return (unsigned long)old;
}

static void env_leave(unsigned long old)
{
	fesetround((int)old);
}
#endif

struct call {
	const struct damf_exec *ex;
	void (*fn)(void *arg, size_t item, unsigned int worker);
	void *arg;
};

static bool stopped(const struct damf_exec *ex)
{
	return ex->stop && atomic_load_explicit(ex->stop, memory_order_relaxed);
}

static void run_item(void *arg, size_t item, unsigned int worker)
{
	const struct call *c = arg;
	unsigned long env;

	if (stopped(c->ex))
		return;
	env = env_enter();
	c->fn(c->arg, item, worker);
	env_leave(env);
	if (c->ex->progress)
		atomic_fetch_add_explicit(c->ex->progress, 1, memory_order_relaxed);
}

unsigned int damf_threads(const struct damf_par *par)
{
	return par && par->run && par->threads ? par->threads : 1;
}

int damf_run_items(const struct damf_exec *ex,
		   void (*fn)(void *arg, size_t item, unsigned int worker), void *arg, size_t n)
{
	struct call c = { ex, fn, arg };

	if (ex->par && ex->par->run) {
		ex->par->run(ex->par, run_item, &c, n);
	} else {
		for (size_t i = 0; i < n; i++)
			run_item(&c, i, 0);
	}
	return stopped(ex) ? -ECANCELED : 0;
}

static size_t ceil_div(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t damf_block_of(size_t rows, size_t blocks)
{
	size_t n = ceil_div(rows, blocks ? blocks : 1);

	return ceil_div(n, DAMF_ROW_STEP) * DAMF_ROW_STEP;
}

/* Panels that an item of so many rows may have. */
static size_t most_panels(const struct damf_gemm *g, size_t rows)
{
	size_t k = 1, n = damf_gemm_passes(g) > 1 ? DAMF_PANEL_BLOCK : DAMF_PANELS_MOST;

	for (size_t i = 0; i < g->nseg; i++)
		k += g->seg[i].k;
	return min_size(n, DAMF_ITEM_MACS / (rows * k * DAMF_PANEL_COLS) + 1);
}

/* How a product is cut into items: blocks of rows, and groups of panels of about one size. */
struct cut {
	size_t first, panels;
	size_t rows, blocks, groups;
};

/* Blocks of rows: as many for each thread as for any other. */
static size_t row_blocks(size_t rows, unsigned int threads)
{
	size_t n = ceil_div(rows, DAMF_ROW_BLOCK);
	size_t most = min_size(threads * DAMF_ITEMS, ceil_div(rows, DAMF_ROWS_LEAST));

	if (threads < 2)
		return n;
	n = n < most ? most : n;
	return n > threads ? ceil_div(n, threads) * threads : n;
}

/*
 * Few and large, since each item of int8 makes integers of its rows anew, but
 * enough for all threads to end together.
 */
static struct cut cut_gemm(const struct damf_gemm *g, unsigned int threads)
{
	struct cut c = { .first = g->col0 / DAMF_PANEL_COLS };
	size_t want = 1;

	c.panels = ceil_div(g->col1, DAMF_PANEL_COLS) - c.first;
	c.rows = damf_block_of(g->rows, row_blocks(g->rows, threads));
	if (!c.rows)
		return c;
	c.blocks = ceil_div(g->rows, c.rows);
	if (threads > 1)
		want = min_size(ceil_div(threads * DAMF_ITEMS, c.blocks),
				ceil_div(c.panels, DAMF_PANELS_LEAST));
	c.groups = ceil_div(c.panels, most_panels(g, c.rows));
	if (want > c.groups)
		c.groups = want;
	return c;
}

struct gemms {
	const struct damf_isa *isa;
	const struct damf_gemm *g;
	unsigned int threads;
};

static void gemm_item(void *arg, size_t item, unsigned int worker)
{
	const struct gemms *all = arg;
	const struct damf_gemm *g = all->g;
	struct cut c = cut_gemm(g, all->threads);
	size_t row, group, from, to;

	while (item >= c.blocks * c.groups) {
		item -= c.blocks * c.groups;
		c = cut_gemm(++g, all->threads);
	}
	row = item % c.blocks * c.rows;
	group = item / c.blocks;
	from = group * c.panels / c.groups;
	to = (group + 1) * c.panels / c.groups;
	(void)worker;
	all->isa->gemm(g, row, min_size(g->rows - row, c.rows), c.first + from, to - from);
}

int damf_run_gemms(const struct damf_exec *ex, const struct damf_gemm *g, size_t n)
{
	struct gemms all = { ex->isa, g, damf_threads(ex->par) };
	size_t items = 0;

	for (size_t i = 0; i < n; i++) {
		struct cut c = cut_gemm(&g[i], all.threads);

		items += c.blocks * c.groups;
	}
	return damf_run_items(ex, gemm_item, &all, items);
}

void damf_gemm_rows(const struct damf_isa *isa, const struct damf_gemm *g)
{
	size_t panels = ceil_div(g->col1, DAMF_PANEL_COLS), n;

	for (size_t i = 0; i < panels; i += n) {
		n = min_size(panels - i, most_panels(g, g->rows));
		isa->gemm(g, 0, g->rows, i, n);
	}
}

void *damf_carve(struct damf_carve *c, size_t n, size_t elem)
{
	size_t at = c->used;

	c->used += (n * elem + 63) & ~(size_t)63;
	return c->base ? c->base + at : NULL;
}

void damf_count_macs(const struct damf_exec *ex, uint64_t n, struct damf_mat w)
{
	DAMF_COUNT(ex, static_macs, n);
	DAMF_COUNT(ex, int8_macs, w.type == DAMF_K_I8 ? n : 0);
}

void damf_count_mat(const struct damf_exec *ex, size_t rows, size_t in, size_t out,
		    struct damf_mat w, const float *bias)
{
	damf_count_macs(ex, (uint64_t)rows * in * out, w);
	DAMF_COUNT(ex, read_weights, damf_type_bytes(w.type, (uint64_t)in * out));
	DAMF_COUNT_F32(ex, read_weights, (bias ? out : 0) + (w.type == DAMF_K_I8 ? out : 0));
}
