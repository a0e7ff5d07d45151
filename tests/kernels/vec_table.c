// SPDX-License-Identifier: MIT
#include "damf_kernels.h"
#include "vec_table.h"

static const struct vec_table *const tables[] = {
	&vec_generic,
#ifdef __x86_64__
	&vec_avx2, &vec_avx512,
#elif defined(__aarch64__)
	&vec_neon,
#endif
};

size_t vec_tables(const struct vec_table **out, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]) && n < room; i++) {
		if (damf_isa_by_name(tables[i]->name))
			out[n++] = tables[i];
	}
	return n;
}
