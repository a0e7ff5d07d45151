// SPDX-License-Identifier: MIT
/*
 * Matrix products of OpenBLAS and oneDNN at their best: Y = X W + b with W
 * brought into the form they like beforehand.
 *
 * gemm PEER M K N SECONDS DIR: DIR has x.bin [M][K], w.bin [N][K] and b.bin [N],
 * f32. Prints the median in ms, and writes y.bin. Threads: OPENBLAS_NUM_THREADS
 * and OMP_NUM_THREADS. PEER: openblas; onednn or onednn-matmul (inner_product or
 * matmul); onednn-int8, onednn-int8-matmul: W is integers already when the clock
 * starts, with a factor for each column, and so is X, with one for all. With
 * -reorder behind that, X is f32 and becomes integers by oneDNN's reorder each
 * time; its factor is known beforehand, so that nothing has to look for it.
 */
#include <cblas.h>
#include <dnnl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if DNNL_VERSION_MAJOR != 2
#error "oneDNN 2 is needed: libdnnl-dev of Debian 12"
#endif

#define RUNS	100000

struct gemm {
	long m, k, n;
	float *x, *w, *b, *y;
};

static void fail(const char *what)
{
	fprintf(stderr, "gemm: %s\n", what);
	exit(1);
}

static void must(dnnl_status_t status, const char *what)
{
	if (status != dnnl_success)
		fail(what);
}

static void *get(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 64) / 64 * 64);

	return p ? p : (fail("no memory"), NULL);
}

static float *load(const char *dir, const char *name, size_t n)
{
	float *to = get(n * sizeof(*to));
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (!f || fread(to, sizeof(*to), n, f) != n)
		fail(path);
	fclose(f);
	return to;
}

/* ---- OpenBLAS ---------------------------------------------------------------- */

static void run_openblas(const struct gemm *g, const void *state)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)g->m, (int)g->n, (int)g->k, 1.0f,
		    g->x, (int)g->k, state, (int)g->n, 0.0f, g->y, (int)g->n);
}

/* [K][N]; the sum is added after the time was taken. */
static void *open_openblas(const struct gemm *g)
{
	float *w = get((size_t)g->k * g->n * sizeof(*w));

	for (long i = 0; i < g->n; i++)
		for (long j = 0; j < g->k; j++)
			w[j * g->n + i] = g->w[i * g->k + j];
	return w;
}

static void add_bias(const struct gemm *g)
{
	for (long i = 0; i < g->m; i++)
		for (long j = 0; j < g->n; j++)
			g->y[i * g->n + j] += g->b[j];
}

/* ---- oneDNN -------------------------------------------------------------------- */

struct onednn {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t primitive;
	dnnl_exec_arg_t args[4];
	/* or NULL: X into integers */
	dnnl_primitive_t quantise;
	dnnl_exec_arg_t quantise_args[2];
};

static dnnl_memory_t memory(const struct onednn *o, const dnnl_memory_desc_t *desc, void *data)
{
	dnnl_memory_t m;

	must(dnnl_memory_create(&m, desc, o->engine, data), "dnnl_memory_create");
	return m;
}

static dnnl_memory_desc_t matrix(long rows, long cols, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
	dnnl_dims_t dims = { rows, cols };
	dnnl_memory_desc_t desc;

	must(dnnl_memory_desc_init_by_tag(&desc, 2, dims, type, tag), "memory");
	return desc;
}

/* The weight into the layout that the primitive has chosen. */
static dnnl_memory_t reorder(const struct onednn *o, dnnl_memory_t from)
{
	const dnnl_memory_desc_t *to = dnnl_primitive_desc_query_md(o->desc, dnnl_query_weights_md, 0);
	dnnl_memory_t m = memory(o, to, get(dnnl_memory_desc_get_size(to)));
	const dnnl_memory_desc_t *source;
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t primitive;

	must(dnnl_memory_get_memory_desc(from, &source), "weight");
	must(dnnl_reorder_primitive_desc_create(&desc, source, o->engine, to, o->engine, NULL),
	     "reorder");
	must(dnnl_primitive_create(&primitive, desc), "reorder");
	dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, m } };

	must(dnnl_primitive_execute(primitive, o->stream, 2, args), "reorder");
	must(dnnl_stream_wait(o->stream), "reorder");
	return m;
}

static void describe(struct onednn *o, const struct gemm *g, bool matmul, dnnl_data_type_t xtype,
		     dnnl_data_type_t wtype, const dnnl_primitive_attr_t attr)
{
	dnnl_memory_desc_t x = matrix(g->m, g->k, xtype, dnnl_ab);
	dnnl_memory_desc_t y = matrix(g->m, g->n, dnnl_f32, dnnl_ab), w, b;
	dnnl_inner_product_desc_t inner;
	dnnl_matmul_desc_t product;
	dnnl_dims_t n = { g->n };

	if (matmul) {
		w = matrix(g->k, g->n, wtype, dnnl_format_tag_any);
		b = matrix(1, g->n, dnnl_f32, dnnl_ab);
		must(dnnl_matmul_desc_init(&product, &x, &w, &b, &y), "matmul");
	} else {
		w = matrix(g->n, g->k, wtype, dnnl_format_tag_any);
		must(dnnl_memory_desc_init_by_tag(&b, 1, n, dnnl_f32, dnnl_a), "bias");
		must(dnnl_inner_product_forward_desc_init(&inner, dnnl_forward_inference, &x, &w,
							  &b, &y), "inner_product");
	}
	must(dnnl_primitive_desc_create(&o->desc, matmul ? (void *)&product : (void *)&inner, attr,
					o->engine, NULL), "no such primitive here");
	must(dnnl_primitive_create(&o->primitive, o->desc), "primitive");
}

/* w: [N][K] of wtype, x: [M][K] of xtype; both stay with the caller */
static struct onednn *open_onednn(const struct gemm *g, bool matmul, dnnl_data_type_t xtype, void *x,
				  dnnl_data_type_t wtype, void *w, float *bias,
				  const float *scales)
{
	struct onednn *o = calloc(1, sizeof(*o));
	dnnl_primitive_attr_t attr;
	dnnl_memory_desc_t plain;

	must(dnnl_engine_create(&o->engine, dnnl_cpu, 0), "engine");
	must(dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags), "stream");
	must(dnnl_primitive_attr_create(&attr), "attributes");
	if (scales)
		must(dnnl_primitive_attr_set_output_scales(attr, g->n, 1 << 1, scales), "scales");
	describe(o, g, matmul, xtype, wtype, attr);
	plain = matmul ? matrix(g->k, g->n, wtype, dnnl_ba) : matrix(g->n, g->k, wtype, dnnl_ab);
	o->args[0] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, memory(o, dnnl_primitive_desc_query_md(
			o->desc, dnnl_query_src_md, 0), x) };
	o->args[1] = (dnnl_exec_arg_t){ DNNL_ARG_WEIGHTS, reorder(o, memory(o, &plain, w)) };
	o->args[2] = (dnnl_exec_arg_t){ DNNL_ARG_BIAS, memory(o, dnnl_primitive_desc_query_md(
			o->desc, dnnl_query_weights_md, 1), bias) };
	o->args[3] = (dnnl_exec_arg_t){ DNNL_ARG_DST, memory(o, dnnl_primitive_desc_query_md(
			o->desc, dnnl_query_dst_md, 0), g->y) };
	return o;
}

static void run_onednn(const struct gemm *g, const void *state)
{
	const struct onednn *o = state;

	(void)g;
	if (o->quantise)
		must(dnnl_primitive_execute(o->quantise, o->stream, 2, o->quantise_args),
		     "execute");
	must(dnnl_primitive_execute(o->primitive, o->stream, 4, o->args), "execute");
	must(dnnl_stream_wait(o->stream), "execute");
}

static float largest(const float *x, size_t n)
{
	float most = 0.0f;

	for (size_t i = 0; i < n; i++)
		most = fmaxf(most, fabsf(x[i]));
	return most;
}

/* X, to which the product's left operand then belongs, comes from f32 each time. */
static void add_quantising(struct onednn *o, const struct gemm *g, float factor)
{
	dnnl_memory_desc_t from = matrix(g->m, g->k, dnnl_f32, dnnl_ab);
	const dnnl_memory_desc_t *to = dnnl_primitive_desc_query_md(o->desc, dnnl_query_src_md, 0);
	const int32_t zero = 128;
	dnnl_primitive_attr_t attr;
	dnnl_primitive_desc_t desc;

	must(dnnl_primitive_attr_create(&attr), "attributes");
	must(dnnl_primitive_attr_set_output_scales(attr, 1, 0, &factor), "factor");
	must(dnnl_primitive_attr_set_zero_points(attr, DNNL_ARG_DST, 1, 0, &zero), "zero");
	must(dnnl_reorder_primitive_desc_create(&desc, &from, o->engine, to, o->engine, attr),
	     "reorder of X");
	must(dnnl_primitive_create(&o->quantise, desc), "reorder of X");
	o->quantise_args[0] = (dnnl_exec_arg_t){ DNNL_ARG_FROM, memory(o, &from, g->x) };
	o->quantise_args[1] = (dnnl_exec_arg_t){ DNNL_ARG_TO, o->args[0].memory };
}

/* u8 with a zero at 128, which the bias takes away: what VNNI multiplies. */
static struct onednn *open_int8(const struct gemm *g, bool matmul, bool quantise)
{
	struct onednn *o;

	float top = largest(g->x, (size_t)g->m * g->k), most;
	float *scales = get(g->n * sizeof(*scales)), *bias = get(g->n * sizeof(*bias));
	uint8_t *x = get((size_t)g->m * g->k);
	int8_t *w = get((size_t)g->n * g->k);

	for (long i = 0; i < g->m * g->k; i++)
		x[i] = (uint8_t)(128 + lrintf(g->x[i] * (127.0f / top)));
	for (long i = 0; i < g->n; i++) {
		long sum = 0;

		most = largest(g->w + i * g->k, g->k);
		for (long j = 0; j < g->k; j++) {
			w[i * g->k + j] = (int8_t)lrintf(g->w[i * g->k + j] * (127.0f / most));
			sum += w[i * g->k + j];
		}
		scales[i] = top / 127.0f * (most / 127.0f);
		bias[i] = g->b[i] / scales[i] - 128.0f * (float)sum;
	}
	o = open_onednn(g, matmul, dnnl_u8, x, dnnl_s8, w, bias, scales);
	if (quantise) {
		memset(x, 0, (size_t)g->m * g->k);
		add_quantising(o, g, 127.0f / top);
	}
	return o;
}

/* ---- Measuring ------------------------------------------------------------------ */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double measure(const struct gemm *g, void (*run)(const struct gemm *g, const void *state),
		      const void *state, double seconds)
{
	double *ms = get(RUNS * sizeof(*ms)), start, begin;
	int n = 0;

	run(g, state);
	for (start = now(); n < 3 || (n < RUNS && now() - start < seconds); n++) {
		begin = now();
		run(g, state);
		ms[n] = (now() - begin) * 1e3;
	}
	qsort(ms, n, sizeof(*ms), by_value);
	return 0.5 * (ms[(n - 1) / 2] + ms[n / 2]);
}

static double run_peer(const struct gemm *g, const char *peer, double seconds)
{
	bool matmul = strstr(peer, "matmul");
	double ms;

	if (!strcmp(peer, "openblas")) {
		ms = measure(g, run_openblas, open_openblas(g), seconds);
		add_bias(g);
		return ms;
	}
	if (strstr(peer, "int8"))
		return measure(g, run_onednn, open_int8(g, matmul, strstr(peer, "reorder")), seconds);
	return measure(g, run_onednn, open_onednn(g, matmul, dnnl_f32, g->x, dnnl_f32, g->w, g->b,
						  NULL), seconds);
}

static void save(const struct gemm *g, const char *dir)
{
	size_t n = (size_t)g->m * g->n;
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/y.bin", dir);
	f = fopen(path, "wb");
	if (!f || fwrite(g->y, sizeof(*g->y), n, f) != n || fclose(f))
		fail(path);
}

static void versions(void)
{
	const dnnl_version_t *v = dnnl_version();

	printf("{\"OpenBLAS\": \"%s\", \"oneDNN\": \"%d.%d.%d\"}\n", openblas_get_config(), v->major,
	       v->minor, v->patch);
}

int main(int argc, char **argv)
{
	struct gemm g;

	if (argc == 2 && !strcmp(argv[1], "versions")) {
		versions();
		return 0;
	}
	if (argc != 7)
		fail("usage: gemm PEER M K N SECONDS DIR");
	g = (struct gemm){ .m = atol(argv[2]), .k = atol(argv[3]), .n = atol(argv[4]) };
	g.x = load(argv[6], "x.bin", (size_t)g.m * g.k);
	g.w = load(argv[6], "w.bin", (size_t)g.n * g.k);
	g.b = load(argv[6], "b.bin", (size_t)g.n);
	g.y = get((size_t)g.m * g.n * sizeof(*g.y));
	printf("%.6f\n", run_peer(&g, argv[1], atof(argv[5])));
	save(&g, argv[6]);
	return 0;
}
