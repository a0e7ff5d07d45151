// SPDX-License-Identifier: MIT
/*
 * golden: the bits of every kernel, held against those of tests/kernels/golden.txt,
 * on each instruction set of the machine. It needs nothing but the C library, so
 * that a cross compiler and an emulator are enough to run it.
 *
 * golden           compares; prints TAP
 * golden --print   prints what the file is to hold, by the generic kernels
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "isa.h"

#ifndef GOLDEN_FILE
#error "say where golden.txt is"
#endif

static const char *const isas[] = {
	"generic", "avx2", "avxvnni", "avx512", "avx512vnni", "neon",
};

/* What cmocka would do for the problems' own checks. */
void _assert_true(const LargestIntegralType ok, const char *const what, const char *const file,
		  const int line)
{
	if (ok)
		return;
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

/* FNV-1a of the output; not-a-numbers count as one. */
static uint64_t hash_of(const struct problem *p)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t r = 0; r < p->rows; r++) {
		for (size_t j = 0; j < p->cols; j++) {
			float f = p->y[r * p->ldy + j];
			uint32_t bits = 0x7fc00000;

			if (!isnan(f))
				memcpy(&bits, &f, sizeof(bits));
			for (int i = 0; i < 32; i += 8)
				h = (h ^ (bits >> i & 0xff)) * 0x100000001b3;
		}
	}
	return h;
}

static uint64_t run(const struct problem *p, const struct damf_isa *isa)
{
	struct damf_counts counts = { 0 };
	struct damf_exec ex = { .isa = isa, .counts = &counts };

	ex.scratch_size = p->scratch(NULL, p);
	ex.scratch = aligned_alloc(64, (ex.scratch_size + 127) & ~(size_t)63);
	if (!ex.scratch)
		abort();
	problem_clear(p);
	if (p->run(&ex, p))
		abort();
	free(ex.scratch);
	return hash_of(p);
}

static int print(void)
{
	const struct damf_isa *isa = damf_isa_by_name("generic");
	struct problem p;

	for (size_t n = 0; problem_make(&p, n); n++) {
		printf("%016llx %s\n", (unsigned long long)run(&p, isa), p.name);
		problem_free(&p);
	}
	return 0;
}

/* One problem against its line, on all instruction sets; which ones differ. */
static unsigned int compare(const struct problem *p, const char *line)
{
	char want[17];
	unsigned int bad = 0;

	for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
		const struct damf_isa *isa = damf_isa_by_name(isas[i]);

		if (!isa)
			continue;
		snprintf(want, sizeof(want), "%016llx", (unsigned long long)run(p, isa));
		if (strncmp(line, want, 16)) {
			printf("# %s, %s: %s, not %.16s\n", isas[i], p->name, want, line);
			bad |= 1u << i;
		}
	}
	return bad;
}

int main(int argc, char **argv)
{
	char line[200];
	unsigned int bad = 0, test = 0;
	struct problem p;
	FILE *f;

	if (argc > 1)
		return strcmp(argv[1], "--print") ? 2 : print();
	f = fopen(GOLDEN_FILE, "r");
	if (!f) {
		perror(GOLDEN_FILE);
		return 1;
	}
	for (size_t n = 0; problem_make(&p, n); n++) {
		if (fgets(line, sizeof(line), f)) {
			bad |= compare(&p, line);
		} else {
			printf("# %s: no line in %s\n", p.name, GOLDEN_FILE);
			bad = ~0u;
		}
		problem_free(&p);
	}
	if (fgets(line, sizeof(line), f)) {
		printf("# no problem for the line %s", line);
		bad = ~0u;
	}
	fclose(f);
	for (size_t i = 0; i < sizeof(isas) / sizeof(isas[0]); i++) {
		if (damf_isa_by_name(isas[i]))
			printf("%sok %u golden bits by %s\n", bad >> i & 1 ? "not " : "", ++test,
			       isas[i]);
	}
	printf("1..%u\n", test);
	return bad != 0;
}
