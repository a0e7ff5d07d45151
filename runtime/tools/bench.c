// SPDX-License-Identifier: MIT
/* damf bench: times, measured. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define SECONDS		0.5	/* unless it is told how many runs */
#define RUNS_LEAST	5
#define RUNS_MOST	1000000u

static const struct cli_command kinds[] = {
	{ "attention", "one attention layer", bench_attention },
	{ "gemm", "one product of activations with a weight", bench_gemm },
	{ "model", "a batch of texts, or all lines of a file", bench_model },
	{ "tokenizer", "the token ids of all lines of a file", bench_tokenizer },
	{ NULL, NULL, NULL },
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return 0.5 * (v[(n - 1) / 2] + v[n / 2]);
}

static bool enough(const struct bench_times *t, uint32_t runs, double start)
{
	if (runs)
		return t->runs == runs;
	return t->runs == RUNS_MOST ||
	       (t->runs >= RUNS_LEAST && cli_seconds() - start > SECONDS);
}

int bench_measure(struct bench_times *t, uint32_t runs, int (*run)(void *arg), void *arg)
{
	size_t room = runs ? runs : RUNS_MOST;
	double begin, first;
	int r = 0;

	*t = (struct bench_times){ .ms = malloc(room * sizeof(*t->ms)) };
	if (!t->ms)
		return cli_error(CLI_FAILURE, "no memory for the times of %zu runs", room);
	for (first = cli_seconds(); !r && !enough(t, runs, first); t->runs++) {
		cli_progress("runs", t->runs, room);
		begin = cli_seconds();
		r = run(arg);
		t->ms[t->runs] = (cli_seconds() - begin) * 1e3;
	}
	cli_progress("runs", 1, 1);
	if (r)
		return r;
	t->median = bench_median(t->ms, t->runs);
	t->least = t->ms[0];
	t->most = t->ms[t->runs - 1];
	return 0;
}

void bench_times_free(struct bench_times *t)
{
	free(t->ms);
}

void bench_set_times(json_t *o, const struct bench_times *t)
{
	cli_set_count(o, "runs", t->runs);
	json_object_set_new(o, "median_ms", json_real(t->median));
	json_object_set_new(o, "min_ms", json_real(t->least));
	json_object_set_new(o, "max_ms", json_real(t->most));
}

static int help(void)
{
	printf("usage: damf bench attention|gemm|model|tokenizer [OPTION...]\n\n"
	       "The time of\n\n");
	cli_print_commands(kinds);
	printf("\nas median, least and most of several runs, once all is warm. model runs\n"
	       "sessions of the library; attention and gemm call its CPU kernels, with nothing in\n"
	       "between. Without a name it is model. damf bench NAME --help tells the options.\n");
	return CLI_OK;
}

int cmd_bench(int argc, char **argv)
{
	const struct cli_command *c;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return help();
	if (argc < 2 || *argv[1] == '-')
		return bench_model(argc, argv);
	c = cli_find_command(kinds, argv[1]);
	if (c)
		return c->run(argc - 1, argv + 1);
	return cli_error(CLI_USAGE, "bench \"%s\": it must be attention, gemm, model or tokenizer", argv[1]);
}
