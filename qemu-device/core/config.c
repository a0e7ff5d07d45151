// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "config.h"

#define MAX_QUEUES	1024u
#define MAX_CONTEXTS	4096u
#define MAX_VECTORS	2048u

void damf_core_config_init(struct damf_core_config *cfg)
{
	*cfg = (struct damf_core_config) {
		.size = sizeof(*cfg),
		.max_queues = 16,
		.max_contexts = 64,
		.num_vectors = 17,
		.clock_hz = 1000000000,
		.macs_per_cycle = 1024,
		.bytes_per_cycle = 64,
		.scratchpad = 4ull << 20,
		.energy_mac = 4600,
		.energy_int8 = 300,
		.energy_shift = 230,
		.energy_exp = 41400,
		.energy_div = 26300,
		.energy_scratch = 12500,
		.energy_memory = 162500,
		.max_work = DAMF_MAX_WORK,
	};
}

#define CHECK(cond, ...) do { \
	if (!(cond)) { \
		snprintf(err, errlen, __VA_ARGS__); \
		return -1; \
	} \
} while (0)

int damf_config_check(const struct damf_core_config *cfg, char *err, size_t errlen)
{
	CHECK(cfg->size == sizeof(*cfg), "the configuration is of another version of the core");
	CHECK(cfg->max_queues && cfg->max_queues <= MAX_QUEUES,
	      "%u queues: it must be 1 to %u", cfg->max_queues, MAX_QUEUES);
	CHECK(cfg->max_contexts && cfg->max_contexts <= MAX_CONTEXTS,
	      "%u contexts: it must be 1 to %u", cfg->max_contexts, MAX_CONTEXTS);
	CHECK(cfg->num_vectors && cfg->num_vectors <= MAX_VECTORS,
	      "%u vectors: it must be 1 to %u", cfg->num_vectors, MAX_VECTORS);
	CHECK(cfg->local_size % DAMF_LARGE_SIZE == 0 && cfg->local_size < 1ull << 52,
	      "local memory of %llu bytes: it must be a multiple of 2 MiB",
	      (unsigned long long)cfg->local_size);
	CHECK(!cfg->local_size || (cfg->local && (uintptr_t)cfg->local % DAMF_PAGE_SIZE == 0),
	      "local memory must be given, page aligned");
	CHECK(cfg->clock_hz && cfg->macs_per_cycle && cfg->bytes_per_cycle,
	      "clock, MACs and bytes a cycle must not be 0");
	CHECK(cfg->scratchpad >= DAMF_CORE_SCRATCHPAD_MIN,
	      "a scratchpad of %llu bytes: it must be at least %u",
	      (unsigned long long)cfg->scratchpad, DAMF_CORE_SCRATCHPAD_MIN);
	CHECK(cfg->max_work, "the limit of working memory must not be 0");
	return 0;
}

static struct damf_par inline_par = { .threads = 1 };

int damf_config_work(const struct damf_core_config *cfg, struct damf_work *w,
		     struct damf_arena *arena, char *err, size_t errlen)
{
	char why[160] = "";

	w->isa = damf_isa_get(why, sizeof(why));
	CHECK(w->isa, "no compute kernels: %s", why);
	w->par = cfg->par ? cfg->par : &inline_par;
	w->cfg = cfg;
	w->arena = arena;
	arena->limit = cfg->max_work;
	return 0;
}
