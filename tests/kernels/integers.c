// SPDX-License-Identifier: MIT
/*
 * The integer parts of shift and foldshift on many layers: every instruction
 * set, the definition and the reference, equal in every bit. Then prints what
 * was covered; what was not is a failure too.
 *
 * usage: integers [LAYERS [FIRST]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "int_layer.h"
#include "isa.h"

/* What a run of so many layers must have met. */
#define ENOUGH	10000

static const char *const isa_names[] = {
	"generic", "avx2", "avxvnni", "avx512", "avx512vnni", "neon",
};

#define ISAS	(sizeof(isa_names) / sizeof(isa_names[0]))

struct covered {
	uint64_t layers, ragged, sequences, empty, single, longer, heads, centred, scaled, order[5];
	uint64_t data[5][INT_DATA_END];
	uint64_t scores, sums, not_finite;
};

static void cover(struct covered *c, const struct int_layer *l, const struct int_result *r)
{
	c->layers++;
	c->ragged += l->seqs > 1;
	c->heads += l->heads;
	for (size_t i = 0; i < l->seqs; i++) {
		c->sequences++;
		c->empty += l->len[i] == 0;
		c->single += l->len[i] == 1;
		c->longer += l->len[i] > 32;
		c->scores += (uint64_t)l->len[i] * l->len[i] * l->heads;
		c->sums += l->len[i] * (l->terms * l->width);
		c->not_finite += l->len[i] && !r->exponent[3 * i + 2];
	}
	for (size_t h = 0; h < l->heads; h++) {
		c->order[l->head[h].order]++;
		c->centred += l->head[h].centred;
		c->scaled += l->head[h].scale;
	}
	c->data[0][l->data_p]++;
	c->data[1][l->data_q]++;
	c->data[2][l->data_v]++;
	c->data[3][l->data_x]++;
	c->data[4][l->data_z]++;
}

/* 0, or that nothing of it was met. */
static int line(const char *what, uint64_t n)
{
	printf("  %-44s %12llu%s\n", what, (unsigned long long)n, n ? "" : "  <-- none");
	return !n;
}

static int report(const struct covered *c)
{
	const struct def_seen *s = &def_seen;
	int missing = 0;

	missing += line("layers", c->layers);
	missing += line("  of more than one sequence", c->ragged);
	missing += line("sequences", c->sequences);
	missing += line("  empty", c->empty);
	missing += line("  of one token", c->single);
	missing += line("  of more than 32", c->longer);
	missing += line("  with a number that isn't finite", c->not_finite);
	missing += line("heads", c->heads);
	missing += line("  centred", c->centred);
	missing += line("  with a scale", c->scaled);
	for (size_t k = 1; k <= 4; k++)
		printf("  of order %zu %46llu\n", k, (unsigned long long)c->order[k]);
	missing += line("scores of shift", c->scores);
	missing += line("products of foldshift", c->sums);
	missing += line("powers of two at the window's edge", s->edge_kept);
	missing += line("powers of two just below it", s->edge_lost);
	missing += line("denominators of shift that are 0", s->zero_den);
	missing += line("denominators of foldshift below 2^12", s->small_den);
	missing += line("denominators of foldshift with I_d = 12", s->unshifted);
	missing += line("quotients halfway between integers", s->ties);
	missing += line("integers limited to their largest", s->clamped);
	missing += line("integers of the largest magnitude", s->largest);
	missing += line("sets of numbers below 2^-100", s->tiny);
	printf("  %-20s %9s %9s %9s %9s %9s\n", "layers by data", "p", "q", "V", "X", "Z");
	for (size_t d = 0; d < INT_DATA_END; d++) {
		printf("  %-20s", int_data_names[d]);
		for (size_t i = 0; i < 5; i++) {
			printf(" %9llu", (unsigned long long)c->data[i][d]);
			missing += !c->data[i][d];
		}
		putchar('\n');
	}
	return missing;
}

/* False, with a message, if somebody has other bits. */
static bool judge(uint64_t n, struct covered *c)
{
	struct int_layer l;
	struct int_result want, got;
	const char *what = NULL, *who = "the reference";

	int_layer_make(&l, n);
	want = int_result_new(&l);
	int_layer_define(&l, &want);
	got = int_result_new(&l);
	int_layer_reference(&l, &got);
	what = int_result_differs(&l, &got, &want);
	int_result_free(&got);
	for (size_t i = 0; i < ISAS && !what; i++) {
		const struct damf_isa *isa = damf_isa_by_name(isa_names[i]);

		if (!isa)
			continue;
		who = isa_names[i];
		got = int_result_new(&l);
		int_layer_kernels(&l, isa, &got);
		what = int_result_differs(&l, &got, &want);
		int_result_free(&got);
	}
	if (what)
		printf("layer %llu: %s of %s differs from the definition\n", (unsigned long long)n,
		       what, who);
	else
		cover(c, &l, &want);
	int_result_free(&want);
	int_layer_free(&l);
	return !what;
}

int main(int argc, char **argv)
{
	uint64_t layers = argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
	struct covered covered = { 0 };
	int missing;

	for (uint64_t n = first; n < first + layers; n++) {
		if (!judge(n, &covered))
			return 1;
	}
	printf("equal in every bit: the definition, the reference");
	for (size_t i = 0; i < ISAS; i++)
		printf("%s%s", damf_isa_by_name(isa_names[i]) ? ", " : "",
		       damf_isa_by_name(isa_names[i]) ? isa_names[i] : "");
	putchar('\n');
	missing = report(&covered);
	if (layers >= ENOUGH && missing) {
		printf("%d of the above never happened\n", missing);
		return 1;
	}
	return 0;
}
