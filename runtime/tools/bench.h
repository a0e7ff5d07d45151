/* SPDX-License-Identifier: MIT */
/* What the kinds of damf bench share. */
#ifndef DAMF_BENCH_H
#define DAMF_BENCH_H

#include "../kernels/damf_kernels.h"
#include "cli.h"

/* Each takes what stands behind its name. */
int bench_attention(int argc, char **argv);
int bench_gemm(int argc, char **argv);
int bench_model(int argc, char **argv);
int bench_tokenizer(int argc, char **argv);

/* ---- Time ---------------------------------------------------------------- */

struct bench_times {
	double *ms;			/* [runs], owned, rising */
	uint32_t runs;
	double median, least, most;	/* ms */
};

/*
 * Calls run(arg) runs times; runs = 0: for half a second and at least 5 times.
 * run() gives 0 or an exit code, which ends it. Who calls has warmed it up.
 */
int bench_measure(struct bench_times *times, uint32_t runs, int (*run)(void *arg), void *arg);
/* Sorts v. */
double bench_median(double *v, uint32_t n);
void bench_times_free(struct bench_times *times);
/* runs, median_ms, min_ms and max_ms */
void bench_set_times(json_t *o, const struct bench_times *times);

/* ---- Kernels ------------------------------------------------------------- */

#define BENCH_WEIGHTS	4	/* of a layer, at most */
#define BENCH_SEED	1

/* A matrix and a bias of made-up numbers. */
struct bench_weight {
	const char *name;
	uint32_t in, out;
	float *plain;		/* [out][in], owned; not needed once it is packed */
	float *bias;		/* [out], owned */
	void *packed;		/* owned */
	float *scales;		/* [out] of int8, owned */
	struct damf_mat mat;
};

struct bench_layer {
	struct bench_weight weight[BENCH_WEIGHTS];
	unsigned int weights;
};

/* A kernel, what it works with, and its layers, which take turns. */
struct bench_kernel {
	struct cli_options o;
	uint32_t length, repeat, cold;	/* tokens; runs; layers */
	const char *dump;
	uint64_t seed;
	float *x, *y;			/* [length][in], [cold][length][out], owned */
	uint32_t in, out;
	struct bench_layer *layers;	/* [cold], owned */
	struct damf_exec exec;
	struct damf_counts counts;	/* of one run of all layers */
	/* of the kind: */
	size_t (*scratch)(struct bench_kernel *k);	/* NULL: none is needed */
	int (*call)(struct bench_kernel *k, uint32_t layer);
	void *data;
};

#define BENCH_OPT_KERNEL \
	CLI_OPT_HELP, CLI_OPT_JSON, CLI_OPT_TYPES, \
	{ "threads", required_argument, NULL, 't' }, \
	{ "length", required_argument, NULL, 'L' }, \
	{ "repeat", required_argument, NULL, 'R' }, \
	{ "cold", required_argument, NULL, 'C' }, \
	{ "dump", required_argument, NULL, 'D' }

#define BENCH_HELP_KERNEL \
	"  --length N             tokens (default: 128)\n" \
	CLI_HELP_TYPES \
	"  --threads N            threads (default: 1)\n" \
	"  --cold N               N layers with weights of their own take turns; times are of one\n" \
	"                         layer (default: 1, whose weights stay in the cache)\n" \
	"  --repeat N             runs that are measured (default: for half a second)\n" \
	"  --dump DIR             writes x.npy, y.npy and weights.safetensors, and what they\n" \
	"                         mean into the latter's metadata\n" \
	"  --json                 the figures as JSON\n"

#define BENCH_KERNEL_DEFAULTS \
	{ .o = { .dtype = DAMF_DTYPE_F32, .threads = 1 }, .length = 128, .cold = 1 }

/* One of BENCH_OPT_KERNEL, or an error; as cli_option(). */
int bench_kernel_option(struct bench_kernel *k, int c, char **argv);
/* Behind the last option. */
int bench_kernel_check(struct bench_kernel *k, int argc, char **argv);
/* Memory for x, y, layers and threads; x is filled. */
int bench_kernel_open(struct bench_kernel *k, uint32_t in, uint32_t out);
void bench_kernel_close(struct bench_kernel *k);
/* plain and bias of a new weight of the layer, uniform, with the deviation given times 1 / sqrt(in). */
int bench_add_weight(struct bench_kernel *k, uint32_t layer, const char *name, uint32_t in,
		     uint32_t out, double deviation);
/* Packs all that was added. */
int bench_pack(struct bench_kernel *k);
/* Measures, dumps if asked to, and prints; takes figures, which tell the shape. */
int bench_kernel_run(struct bench_kernel *k, const char *title, json_t *figures);

/* x.npy, y.npy and weights.safetensors in k->dump, which is made if need be. */
int bench_dump(const struct bench_kernel *k, const json_t *figures);

#endif /* DAMF_BENCH_H */
