// SPDX-License-Identifier: MIT
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

static bool long_ones;

static struct conf conf = { .backend = "cpu", .submit = "uring", .threads = 2,
			    .hash = 14695981039346656037u };
static unsigned int layers = 2000;	/* of the integer modes */

struct conf_case *conf_add(struct conf_suite *s, void (*run)(struct conf *, const struct conf_case *),
			   const char *name, ...)
{
	struct conf_case *k;
	va_list ap;

	if (s->count == s->room) {
		s->room = s->room ? 2 * s->room : 256;
		s->cases = realloc(s->cases, s->room * sizeof(*s->cases));
		if (!s->cases)
			abort();
	}
	k = &s->cases[s->count++];
	*k = (struct conf_case){ .run = run };
	va_start(ap, name);
	vsnprintf(k->name, sizeof(k->name), name, ap);
	va_end(ap);
	return k;
}

static void run_case(void **state)
{
	const struct conf_case *k = *state;

	conf.type = k->type ? k->type : DAMF_TYPE_F32;
	conf.xtype = k->xtype;
	conf_begin(&conf, k->name, false);
	k->run(&conf, k);
}

static void usage(void)
{
	puts("usage: conformance [--backend cpu|sim|device] [--submit uring|ioctl] [--threads N]\n"
	     "                   [--dump FILE] [--golden FILE] [--no-reference] [--filter TEXT]\n"
	     "                   [--long] [--integers N]\n"
	     "\n"
	     "Runs every layer job on a backend. Outputs are compared with the float64\n"
	     "reference, or, with --golden, bit for bit with what --dump wrote on another\n"
	     "backend. --long runs the long sequences, and nothing else; --integers N tries N\n"
	     "small layers of the integer modes instead of 2,000.");
}

static FILE *open_dump(const char *path)
{
	FILE *f = fopen(path, "wb");

	if (!f) {
		perror(path);
		exit(2);
	}
	return f;
}

/* Returns what to filter by, or NULL. */
static const char *parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend", required_argument, NULL, 'b' },
		{ "submit", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "dump", required_argument, NULL, 'd' },
		{ "golden", required_argument, NULL, 'g' },
		{ "no-reference", no_argument, NULL, 'n' },
		{ "filter", required_argument, NULL, 'f' },
		{ "integers", required_argument, NULL, 'i' },
		{ "long", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *filter = NULL;
	bool reference = true;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'b': conf.backend = optarg; break;
		case 's': conf.submit = optarg; break;
		case 't': conf.threads = (unsigned int)atoi(optarg); break;
		case 'd': conf.dump = open_dump(optarg); break;
		case 'g': conf.golden = conf_golden_open(optarg); break;
		case 'n': reference = false; break;
		case 'f': filter = optarg; break;
		case 'i': layers = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'l': long_ones = true; break;
		case 'h': usage(); exit(0);
		default: usage(); exit(2);
		}
	}
	conf.reference = reference && !conf.golden;
	return filter;
}

/* cmocka's table of the cases that the filter lets through. */
static size_t select_cases(const struct conf_suite *s, const char *filter,
			   struct CMUnitTest *tests)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		if (filter && !strstr(s->cases[i].name, filter))
			continue;
		tests[n++] = (struct CMUnitTest){
			.name = s->cases[i].name, .test_func = run_case,
			.initial_state = &s->cases[i],
		};
	}
	return n;
}

/* A dump that can't be written, or a golden file with more in it, is a failure. */
static int finish_files(bool all)
{
	size_t unused = conf.golden ? conf_golden_close(conf.golden) : 0;
	int failed = 0;

	if (all && unused) {
		fprintf(stderr, "conformance: %zu outputs of the golden file were not compared\n",
			unused);
		failed = 1;
	}
	if (conf.dump && fclose(conf.dump)) {
		perror("conformance: dump");
		failed = 1;
	}
	return failed;
}

static void add_cases(struct conf_suite *suite)
{
	if (long_ones) {
		conf_add_long(suite);
		return;
	}
	conf_add_layers(suite);
	conf_add_attention(suite);
	conf_add_heads(suite);
	conf_add_drawn(suite);
	conf_add_integers(suite, layers);
	conf_add_encoder(suite);
	conf_add_batch(suite);
	conf_add_types(suite);
	conf_add_bad(suite);
}

int main(int argc, char **argv)
{
	const char *filter = parse(argc, argv);
	struct conf_suite suite = { 0 };
	struct CMUnitTest *tests;
	size_t count;
	int failed;

	add_cases(&suite);
	tests = calloc(suite.count + 1, sizeof(*tests));
	if (!tests || !conf_open(&conf))
		return 2;
	count = select_cases(&suite, filter, tests);
	failed = _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
	failed += finish_files(!filter && !failed);
	printf("# %s: hash of all outputs %016llx", conf.backend, (unsigned long long)conf.hash);
	if (conf.reference)
		printf(", largest error %.3f of its bound", conf.worst);
	putchar('\n');
	conf_close(&conf);
	free(tests);
	free(suite.cases);
	return failed != 0;
}
