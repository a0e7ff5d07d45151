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

struct gemms {
	const struct damf_isa *isa;
	const struct damf_gemm *g;
	size_t n;
};

static size_t first_panel(const struct damf_gemm *g)
{
	return g->col0 / DAMF_PANEL_COLS;
}

static size_t end_panel(const struct damf_gemm *g)
{
	return (g->col1 + DAMF_PANEL_COLS - 1) / DAMF_PANEL_COLS;
}

static size_t row_items(const struct damf_gemm *g)
{
	return (g->rows + DAMF_ROW_BLOCK - 1) / DAMF_ROW_BLOCK;
}

static size_t gemm_items(const struct damf_gemm *g)
{
	size_t panels = end_panel(g) - first_panel(g);

	return row_items(g) * ((panels + DAMF_PANEL_BLOCK - 1) / DAMF_PANEL_BLOCK);
}

static void gemm_item(void *arg, size_t item, unsigned int worker)
{
	const struct gemms *all = arg;
	const struct damf_gemm *g = all->g;
	size_t row, panel, rows, panels;

	while (item >= gemm_items(g))
		item -= gemm_items(g++);
	row = item % row_items(g) * DAMF_ROW_BLOCK;
	panel = first_panel(g) + item / row_items(g) * DAMF_PANEL_BLOCK;
	rows = g->rows - row < DAMF_ROW_BLOCK ? g->rows - row : DAMF_ROW_BLOCK;
	panels = end_panel(g) - panel;
	if (panels > DAMF_PANEL_BLOCK)
		panels = DAMF_PANEL_BLOCK;
	(void)worker;
	all->isa->gemm(g, row, rows, panel, panels);
}

int damf_run_gemms(const struct damf_exec *ex, const struct damf_gemm *g, size_t n)
{
	struct gemms all = { ex->isa, g, n };
	size_t items = 0;

	for (size_t i = 0; i < n; i++)
		items += gemm_items(&g[i]);
	return damf_run_items(ex, gemm_item, &all, items);
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
