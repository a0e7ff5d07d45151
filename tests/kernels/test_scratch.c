// SPDX-License-Identifier: MIT
/* What the largest jobs of a usual width take of memory. */
#include <stdio.h>
#include <stdlib.h>

#include "cases.h"

#define WIDTH	1024
#define HEADS	256

/* All tokens in one sequence, in short ones, and one a sequence. */
static size_t scratch(enum damf_k_mode mode, size_t rank, size_t len, size_t tokens)
{
	static struct damf_k_head heads[HEADS];
	size_t seqs = tokens / len, bytes;
	int32_t *offsets = malloc((seqs + 1) * sizeof(*offsets));
	struct damf_attention_args a = {
		.offsets = offsets, .seqs = seqs, .width = WIDTH, .out = WIDTH, .heads = heads,
		.nheads = HEADS, .nqk = WIDTH, .nv = WIDTH, .npq = 2 * rank,
	};

	assert_non_null(offsets);
	for (size_t i = 0; i <= seqs; i++)
		offsets[i] = (int32_t)(i * len);
	for (size_t h = 0; h < HEADS; h++)
		heads[h] = (struct damf_k_head) {
			.mode = mode, .flags = DAMF_K_BAND | DAMF_K_SINKS, .d_qk = WIDTH / HEADS,
			.d_v = WIDTH / HEADS, .v_col = h * WIDTH / HEADS, .rank = rank,
			.order = rank > 1 ? 1 : 4,
		};
	bytes = damf_attention_scratch(NULL, &a);
	free(offsets);
	return bytes;
}

static void bounded(void **state)
{
	static const struct {
		enum damf_k_mode mode;
		size_t rank;
	} kinds[] = {
		{ DAMF_K_MHSA, 0 }, { DAMF_K_FOLD, 1 }, { DAMF_K_FOLD, 256 },
		{ DAMF_K_SOFTFOLD, 1 },
	};
	static const size_t lengths[] = { 32768, 2048, 128, 8, 1 };
	size_t most = 0;

	(void)state;
	for (size_t k = 0; k < 4; k++) {
		for (size_t l = 0; l < 5; l++) {
			size_t bytes = scratch(kinds[k].mode, kinds[k].rank, lengths[l], 32768);

			/* X and Y may be as large as 128 MiB each, and there are 3 GiB */
			assert_true(bytes <= (l ? (size_t)256 : (size_t)1024) << 20);
			most = bytes > most ? bytes : most;
		}
	}
	printf("# the largest job takes %zu MiB\n", most >> 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bounded) };

	return cmocka_run_group_tests_name("scratch", tests, NULL, NULL);
}
