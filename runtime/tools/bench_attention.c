// SPDX-License-Identifier: MIT
/* damf bench attention: one layer of a sequence, projections included. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define RANGE	2.6	/* of p times that of q: the median of trained heads */
#define BOUND	1e-4f	/* of softfold's error */

struct attention {
	struct bench_kernel k;
	uint32_t hidden, heads;
	double range, bound;
	struct damf_k_head *head;	/* [heads], owned */
	int32_t offsets[2];
};

static const enum damf_k_mode modes[] = {
	[DAMF_ATTENTION_MHSA] = DAMF_K_MHSA, [DAMF_ATTENTION_FOLD] = DAMF_K_FOLD,
	[DAMF_ATTENTION_SHIFT] = DAMF_K_SHIFT, [DAMF_ATTENTION_FOLDSHIFT] = DAMF_K_FOLDSHIFT,
	[DAMF_ATTENTION_SOFTFOLD] = DAMF_K_SOFTFOLD,
};

static const char *const names[] = {
	[DAMF_ATTENTION_MHSA] = "mhsa", [DAMF_ATTENTION_FOLD] = "fold",
	[DAMF_ATTENTION_SHIFT] = "shift", [DAMF_ATTENTION_FOLDSHIFT] = "foldshift",
	[DAMF_ATTENTION_SOFTFOLD] = "softfold",
};

static int help(void)
{
	printf("usage: damf bench attention [OPTION...]\n\n"
	       "An attention layer with biases on one sequence of made-up numbers, projections\n"
	       "included, by the CPU's kernel: damf_attention_f32().\n\n"
	       "  --attention MODE       mhsa (exact softmax, the default), fold (DAMF), shift or\n"
	       "                         foldshift (DAMF in powers of two), softfold\n"
	       "  --hidden D             columns of X and Y (default: 768)\n"
	       "  --heads H              heads, of which D must be a multiple (default: 12)\n"
	       "  --range R              of a head's p times that of its q, over the tokens\n"
	       "                         (default: 2.6)\n"
	       "  --bound E              softfold's bound of the error (default: 1e-4)\n"
	       BENCH_HELP_KERNEL);
	return CLI_OK;
}

static int positive(const char *name, const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	if (*end || end == text || !(*out > 0.0) || !(*out <= 1e6))
		return cli_error(CLI_USAGE, "%s %s: it must be a number above 0, up to 1000000",
				 name, text);
	return 0;
}

static int option(struct attention *t, int c, char **argv)
{
	switch (c) {
	case 'a':
		return cli_attention("--attention", optarg, &t->k.o.attention);
	case 'd' + 256:
		return cli_number("--hidden", optarg, 1, 16384, &t->hidden);
	case 'h' + 256:
		return cli_number("--heads", optarg, 1, 1024, &t->heads);
	case 'r' + 256:
		return positive("--range", optarg, &t->range);
	case 'b' + 256:
		return positive("--bound", optarg, &t->bound);
	default:
		return bench_kernel_option(&t->k, c, argv);
	}
}

static int parse(struct attention *t, int argc, char **argv)
{
	static const struct option options[] = {
		BENCH_OPT_KERNEL,
		{ "attention", required_argument, NULL, 'a' },
		{ "hidden", required_argument, NULL, 'd' + 256 },
		{ "heads", required_argument, NULL, 'h' + 256 },
		{ "range", required_argument, NULL, 'r' + 256 },
		{ "bound", required_argument, NULL, 'b' + 256 }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		r = option(t, c, argv);
		if (r)
			return r;
	}
	if (!t->k.o.help && t->hidden % t->heads)
		return cli_error(CLI_USAGE, "--hidden %u: it must be a multiple of the %u heads",
				 t->hidden, t->heads);
	return bench_kernel_check(&t->k, argc, argv);
}

/* ---- The layer --------------------------------------------------------------- */

static void fill_head(const struct attention *t, uint32_t h)
{
	uint32_t width = t->hidden / t->heads;
	struct damf_k_head *head = &t->head[h];

	*head = (struct damf_k_head){
		.mode = modes[t->k.o.attention], .d_v = width, .v_col = (size_t)h * width,
	};
	if (head->mode == DAMF_K_MHSA) {
		head->d_qk = width;
		head->qk_col = head->v_col;
		head->scale = 1.0f / sqrtf((float)width);
		return;
	}
	head->p_col = h;
	head->q_col = t->heads + h;
	head->rank = 1;
	head->order = head->mode == DAMF_K_SOFTFOLD ? 0 : 1;
	head->coef[0] = head->mode == DAMF_K_SOFTFOLD ? (float)t->bound : 1.0f;
	head->coef[1] = head->mode == DAMF_K_SOFTFOLD ? 0.0f : 1.0f;
}

/* Largest less smallest of one output of a weight over the tokens. */
static double range_of(const struct bench_kernel *k, const float *row)
{
	double least = INFINITY, most = -INFINITY, sum;
	uint32_t i, j;

	for (i = 0; i < k->length; i++) {
		const float *x = k->x + (size_t)i * k->in;

		for (sum = 0.0, j = 0; j < k->in; j++)
			sum += (double)x[j] * (double)row[j];
		least = sum < least ? sum : least;
		most = sum > most ? sum : most;
	}
	return most - least;
}

/* One token has no range. */
static void scale_ranges(const struct attention *t, const struct bench_weight *w)
{
	double goal = sqrt(t->range), range;
	uint32_t i, j;

	for (i = 0; i < w->out; i++) {
		float *row = w->plain + (size_t)i * w->in;

		range = range_of(&t->k, row);
		for (j = 0; j < w->in && range > 0.0; j++)
			row[j] = (float)((double)row[j] * (goal / range));
	}
}

static int add_weights(struct attention *t, uint32_t layer)
{
	struct bench_kernel *k = &t->k;
	uint32_t d = t->hidden;
	int r;

	r = bench_add_weight(k, layer, "v", d, d, 1.0);
	if (!r)
		r = bench_add_weight(k, layer, "o", d, d, 1.0);
	if (!r && k->o.attention == DAMF_ATTENTION_MHSA) {
		r = bench_add_weight(k, layer, "q", d, d, 1.0);
		return r ? r : bench_add_weight(k, layer, "k", d, d, 1.0);
	}
	if (!r)
		r = bench_add_weight(k, layer, "pq", d, 2 * t->heads, 1.0);
	if (!r)
		scale_ranges(t, &k->layers[layer].weight[2]);
	return r;
}

static struct damf_attention_args args_of(struct bench_kernel *k, uint32_t layer)
{
	struct attention *t = k->data;
	const struct bench_weight *w = k->layers[layer].weight;
	struct damf_attention_args a = {
		.x = k->x, .ldx = t->hidden, .offsets = t->offsets, .seqs = 1,
		.width = t->hidden, .out = t->hidden, .heads = t->head, .nheads = t->heads,
		.nv = t->hidden, .wv = w[0].mat, .bv = w[0].bias, .wo = w[1].mat, .bo = w[1].bias,
		.y = k->y + (size_t)layer * k->length * t->hidden, .ldy = t->hidden,
	};

	if (k->o.attention == DAMF_ATTENTION_MHSA) {
		a.nqk = t->hidden;
		a.wq = w[2].mat;
		a.bq = w[2].bias;
		a.wk = w[3].mat;
		a.bk = w[3].bias;
	} else {
		a.npq = w[2].out;
		a.wpq = w[2].mat;
		a.bpq = w[2].bias;
	}
	return a;
}

static size_t scratch(struct bench_kernel *k)
{
	struct damf_attention_args a = args_of(k, 0);

	return damf_attention_scratch(k->exec.par, &a);
}

static int call(struct bench_kernel *k, uint32_t layer)
{
	struct damf_attention_args a = args_of(k, layer);

	return damf_attention_f32(&k->exec, &a);
}

/* ---- Measuring ---------------------------------------------------------------- */

static json_t *figures_of(const struct attention *t)
{
	json_t *o = json_pack("{s:s, s:s, s:i, s:i}", "kernel", "attention", "attention",
			      names[t->k.o.attention], "hidden", (int)t->hidden, "heads",
			      (int)t->heads);

	if (o && t->k.o.attention != DAMF_ATTENTION_MHSA)
		json_object_set_new(o, "range", json_real(t->range));
	if (o && t->k.o.attention == DAMF_ATTENTION_SOFTFOLD)
		json_object_set_new(o, "bound", json_real(t->bound));
	return o;
}

static int measure(struct attention *t)
{
	struct bench_kernel *k = &t->k;
	char title[80];
	uint32_t i;
	int r = bench_kernel_open(k, t->hidden, t->hidden);

	for (i = 0; i < k->cold && !r; i++)
		r = add_weights(t, i);
	if (!r)
		r = bench_pack(k);
	t->head = calloc(t->heads, sizeof(*t->head));
	if (!r && !t->head)
		r = cli_error(CLI_FAILURE, "no memory for %u heads", t->heads);
	if (r)
		return r;
	for (i = 0; i < t->heads; i++)
		fill_head(t, i);
	t->offsets[1] = (int32_t)k->length;
	k->scratch = scratch;
	k->call = call;
	k->data = t;
	snprintf(title, sizeof(title), "attention %s, %u x %u heads", names[k->o.attention],
		 t->hidden, t->heads);
	return bench_kernel_run(k, title, figures_of(t));
}

int bench_attention(int argc, char **argv)
{
	struct attention t = {
		.k = BENCH_KERNEL_DEFAULTS, .hidden = 768, .heads = 12, .range = RANGE,
		.bound = BOUND,
	};
	int r;

	t.k.o.attention = DAMF_ATTENTION_MHSA;
	r = parse(&t, argc, argv);
	if (r || t.k.o.help)
		return r ? r : help();
	r = measure(&t);
	bench_kernel_close(&t.k);
	free(t.head);
	return r;
}
