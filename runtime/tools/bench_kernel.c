// SPDX-License-Identifier: MIT
/* damf bench attention, gemm: weights, memory and threads, and the measuring. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/par_pool.h"
#include "bench.h"

#define ALIGN	64

int bench_kernel_option(struct bench_kernel *k, int c, char **argv)
{
	switch (c) {
	case 'L':
		return cli_number("--length", optarg, 1, 32768, &k->length);
	case 'R':
		return cli_number("--repeat", optarg, 1, 100000, &k->repeat);
	case 'C':
		return cli_number("--cold", optarg, 1, 1000, &k->cold);
	case 'D':
		k->dump = optarg;
		return 0;
	default:
		return cli_option(&k->o, c, argv);
	}
}

int bench_kernel_check(struct bench_kernel *k, int argc, char **argv)
{
	int r = k->o.help ? 0 : cli_no_argument(argc, argv);

	if (!r && !k->o.help && k->o.xtype && k->o.dtype != DAMF_DTYPE_INT8)
		r = cli_error(CLI_USAGE, "--xtype: leave it out, or use --dtype int8");
	return r;
}

/* Zeroed, so that all of it is there before anything is measured. */
static void *get(size_t bytes)
{
	size_t size = (bytes + ALIGN) / ALIGN * ALIGN;
	void *p = aligned_alloc(ALIGN, size);

	return p ? memset(p, 0, size) : NULL;
}

static int no_memory(void)
{
	return cli_error(CLI_FAILURE, "no memory for the layers: make them smaller or fewer");
}

int bench_kernel_open(struct bench_kernel *k, uint32_t in, uint32_t out)
{
	char err[256];
	size_t i;

	k->seed = BENCH_SEED;
	k->in = in;
	k->out = out;
	k->exec.isa = damf_isa_get(err, sizeof(err));
	if (!k->exec.isa)
		return cli_error(CLI_USAGE, "%s", err);
	k->exec.par = damf_pool_new(k->o.threads);
	if (!k->exec.par)
		return cli_error(CLI_FAILURE, "cannot start %u threads", k->o.threads);
	k->exec.counts = &k->counts;
	k->x = get((size_t)k->length * in * sizeof(float));
	k->y = get((size_t)k->cold * k->length * out * sizeof(float));
	k->layers = calloc(k->cold, sizeof(*k->layers));
	if (!k->x || !k->y || !k->layers)
		return no_memory();
	for (i = 0; i < (size_t)k->length * in; i++)
		k->x[i] = cli_random(&k->seed);
	return 0;
}

static void free_weight(struct bench_weight *w)
{
	free(w->plain);
	free(w->bias);
	free(w->packed);
	free(w->scales);
}

void bench_kernel_close(struct bench_kernel *k)
{
	uint32_t i;

	for (i = 0; k->layers && i < k->cold; i++)
		for (unsigned int j = 0; j < k->layers[i].weights; j++)
			free_weight(&k->layers[i].weight[j]);
	free(k->layers);
	free(k->x);
	free(k->y);
	free(k->exec.scratch);
	if (k->exec.par)
		damf_pool_free(k->exec.par);
}

/* ---- Weights ----------------------------------------------------------------- */

int bench_add_weight(struct bench_kernel *k, uint32_t layer, const char *name, uint32_t in,
		     uint32_t out, double deviation)
{
	struct bench_layer *l = &k->layers[layer];
	struct bench_weight *w = &l->weight[l->weights++];
	/* x has deviation 1 / sqrt(3), and so has what cli_random() gives */
	float most = (float)(3.0 * deviation / sqrt(in));
	size_t i;

	*w = (struct bench_weight){ .name = name, .in = in, .out = out };
	w->plain = get((size_t)in * out * sizeof(float));
	w->bias = get(out * sizeof(float));
	if (!w->plain || !w->bias)
		return no_memory();
	for (i = 0; i < (size_t)in * out; i++)
		w->plain[i] = most * cli_random(&k->seed);
	for (i = 0; i < out; i++)
		w->bias[i] = 0.1f * cli_random(&k->seed);
	return 0;
}

static int pack_weight(const struct bench_kernel *k, struct bench_weight *w)
{
	static const enum damf_k_type types[] = {
		[DAMF_DTYPE_F32] = DAMF_K_F32, [DAMF_DTYPE_BF16] = DAMF_K_BF16,
		[DAMF_DTYPE_INT8] = DAMF_K_I8,
	};
	enum damf_k_type type = types[k->o.dtype];

	w->packed = get(damf_packed_size(type, w->in, w->out));
	w->scales = type == DAMF_K_I8 ? get(w->out * sizeof(float)) : NULL;
	if (!w->packed || (type == DAMF_K_I8 && !w->scales))
		return no_memory();
	w->mat = (struct damf_mat){
		.data = w->packed, .scales = w->scales, .type = type,
		.xtype = k->o.xtype == DAMF_XTYPE_INT16 ? DAMF_K_I16 : DAMF_K_I8,
	};
	if (type == DAMF_K_I8)
		damf_pack_i8(w->packed, w->scales, w->plain, w->in, w->in, w->out);
	else if (type == DAMF_K_BF16)
		damf_pack_bf16(w->packed, w->plain, w->in, w->in, w->out);
	else
		damf_pack_f32(w->packed, w->plain, w->in, w->in, w->out);
	if (!k->dump) {
		free(w->plain);
		w->plain = NULL;
	}
	return 0;
}

int bench_pack(struct bench_kernel *k)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < k->cold && !r; i++)
		for (unsigned int j = 0; j < k->layers[i].weights && !r; j++)
			r = pack_weight(k, &k->layers[i].weight[j]);
	return r;
}

/* ---- Measuring ---------------------------------------------------------------- */

static int run_all(void *arg)
{
	struct bench_kernel *k = arg;
	uint32_t i;
	int r = 0;

	k->counts = (struct damf_counts){ 0 };
	for (i = 0; i < k->cold && !r; i++)
		r = k->call(k, i);
	return r ? cli_error(CLI_FAILURE, "a kernel gave up: %s", strerror(-r)) : 0;
}

static size_t weight_bytes(const struct bench_layer *l)
{
	size_t sum = 0;

	for (unsigned int j = 0; j < l->weights; j++)
		sum += damf_packed_size(l->weight[j].mat.type, l->weight[j].in, l->weight[j].out);
	return sum;
}

static void of_one_layer(struct bench_times *t, uint32_t layers)
{
	t->median /= layers;
	t->least /= layers;
	t->most /= layers;
}

static void set_figures(json_t *o, const struct bench_kernel *k, const struct bench_times *t)
{
	static const char *const types[] = {
		[DAMF_DTYPE_F32] = "f32", [DAMF_DTYPE_BF16] = "bf16", [DAMF_DTYPE_INT8] = "int8",
	};

	cli_set_text(o, "isa", damf_isa_name(k->exec.isa));
	cli_set_count(o, "numerics", DAMF_NUMERICS_VERSION);
	cli_set_text(o, "dtype", types[k->o.dtype]);
	if (k->o.dtype == DAMF_DTYPE_INT8)
		cli_set_text(o, "xtype", k->o.xtype == DAMF_XTYPE_INT16 ? "int16" : "int8");
	cli_set_count(o, "length", k->length);
	cli_set_count(o, "threads", k->o.threads);
	cli_set_count(o, "cold", k->cold);
	bench_set_times(o, t);
	cli_set_count(o, "macs", (k->counts.static_macs + k->counts.dynamic_macs) / k->cold);
	cli_set_count(o, "weight_bytes", weight_bytes(&k->layers[0]));
}

static void print(const char *title, const struct bench_kernel *k, const struct bench_times *t)
{
	double macs = (double)(k->counts.static_macs + k->counts.dynamic_macs) / k->cold;

	printf("%s, %u tokens, %s, %u thread%s, %u layer%s, %u runs\n", title, k->length,
	       damf_isa_name(k->exec.isa), k->o.threads, k->o.threads == 1 ? "" : "s", k->cold,
	       k->cold == 1 ? "" : "s in turn", t->runs);
	printf("median %.4f ms, least %.4f, most %.4f; %.2f M MACs, %.2f G MACs/s; %.2f MB of weights, %.2f GB/s\n",
	       t->median, t->least, t->most, macs * 1e-6, macs / t->median * 1e-6,
	       (double)weight_bytes(&k->layers[0]) * 1e-6,
	       (double)weight_bytes(&k->layers[0]) / t->median * 1e-6);
}

int bench_kernel_run(struct bench_kernel *k, const char *title, json_t *figures)
{
	struct bench_times times = { 0 };
	int r = 0;

	k->exec.scratch_size = k->scratch ? k->scratch(k) : 0;
	k->exec.scratch = get(k->exec.scratch_size);
	if (!k->exec.scratch || !figures)
		r = no_memory();
	if (!r)
		r = run_all(k);
	if (!r)
		r = bench_measure(&times, k->repeat, run_all, k);
	if (!r) {
		of_one_layer(&times, k->cold);
		set_figures(figures, k, &times);
		if (k->dump)
			r = bench_dump(k, figures);
	}
	if (!r && k->o.json)
		r = cli_print_json(json_incref(figures));
	else if (!r)
		print(title, k, &times);
	bench_times_free(&times);
	json_decref(figures);
	return r;
}
