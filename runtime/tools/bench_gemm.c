// SPDX-License-Identifier: MIT
/* damf bench gemm: Y = act(X W + b), as LINEAR computes it. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

struct gemm {
	struct bench_kernel k;
	uint32_t in, out;
	enum damf_k_act act;
};

static int help(void)
{
	printf("usage: damf bench gemm [OPTION...]\n\n"
	       "Y = act(X W + b) of made-up numbers, by the CPU's kernel: damf_linear_f32(). With int8,\n"
	       "X is f32 and becomes integers within it.\n\n"
	       "  --in N                 columns of X (default: 768)\n"
	       "  --out N                columns of Y (default: 768)\n"
	       "  --act none|gelu        applied to Y (default: none)\n"
	       BENCH_HELP_KERNEL);
	return CLI_OK;
}

static int choose_act(struct gemm *g, const char *text)
{
	if (strcmp(text, "none") && strcmp(text, "gelu"))
		return cli_error(CLI_USAGE, "--act %s: it must be none or gelu", text);
	g->act = *text == 'g' ? DAMF_K_GELU : DAMF_K_NONE;
	return 0;
}

static int parse(struct gemm *g, int argc, char **argv)
{
	static const struct option options[] = {
		BENCH_OPT_KERNEL,
		{ "in", required_argument, NULL, 'I' },
		{ "out", required_argument, NULL, 'O' },
		{ "act", required_argument, NULL, 'A' }, { 0 },
	};
	int c, r;

	while ((c = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		if (c == 'I')
			r = cli_number("--in", optarg, 1, 16384, &g->in);
		else if (c == 'O')
			r = cli_number("--out", optarg, 1, 16384, &g->out);
		else if (c == 'A')
			r = choose_act(g, optarg);
		else
			r = bench_kernel_option(&g->k, c, argv);
		if (r)
			return r;
	}
	return bench_kernel_check(&g->k, argc, argv);
}

static int call(struct bench_kernel *k, uint32_t layer)
{
	const struct gemm *g = k->data;
	const struct bench_weight *w = &k->layers[layer].weight[0];
	struct damf_linear_args a = {
		.x = k->x, .ldx = k->in, .rows = k->length, .in = w->in, .out = w->out,
		.w = w->mat, .bias = w->bias, .act = g->act,
		.y = k->y + (size_t)layer * k->length * k->out, .ldy = k->out,
	};

	return damf_linear_f32(&k->exec, &a);
}

static int measure(struct gemm *g)
{
	struct bench_kernel *k = &g->k;
	char title[80];
	uint32_t i;
	int r = bench_kernel_open(k, g->in, g->out);

	for (i = 0; i < k->cold && !r; i++)
		r = bench_add_weight(k, i, "w", g->in, g->out, 1.0);
	if (!r)
		r = bench_pack(k);
	if (r)
		return r;
	k->call = call;
	k->data = g;
	snprintf(title, sizeof(title), "gemm %u x %u%s", g->in, g->out, g->act ? " with GELU" : "");
	return bench_kernel_run(k, title, json_pack("{s:s, s:i, s:i, s:s}", "kernel", "gemm", "in",
						    (int)g->in, "out", (int)g->out, "act",
						    g->act ? "gelu" : "none"));
}

int bench_gemm(int argc, char **argv)
{
	struct gemm g = { .k = BENCH_KERNEL_DEFAULTS, .in = 768, .out = 768 };
	int r = parse(&g, argc, argv);

	if (r || g.k.o.help)
		return r ? r : help();
	r = measure(&g);
	bench_kernel_close(&g.k);
	return r;
}
