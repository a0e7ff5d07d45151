// SPDX-License-Identifier: MIT
/* Which instruction set is used. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isa.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

/* Of one compiled in: its table, and whether this machine runs it. */
struct built {
	const struct damf_isa *isa;
	bool (*runs)(void);
	const char *asked;	/* the reason, if the environment named it */
};

static bool runs_always(void)
{
	return true;
}

#ifdef __x86_64__
/* Also what compilers take for granted where they may use these. */
static bool runs_avx2(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

/* Compilers have no name for it in common. */
static bool runs_avxvnni(void)
{
	unsigned int a, b, c, d;

	return runs_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
}

static bool runs_avx512(void)
{
	return runs_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool runs_avx512vnni(void)
{
	return runs_avx512() && __builtin_cpu_supports("avx512vnni");
}
#endif

/* From the slowest to the fastest. */
static const struct built all[] = {
	{ &damf_isa_generic, runs_always, "DAMF_ISA=generic" },
#ifdef __x86_64__
	{ &damf_isa_avx2, runs_avx2, "DAMF_ISA=avx2" },
	{ &damf_isa_avxvnni, runs_avxvnni, "DAMF_ISA=avxvnni" },
	{ &damf_isa_avx512, runs_avx512, "DAMF_ISA=avx512" },
	{ &damf_isa_avx512vnni, runs_avx512vnni, "DAMF_ISA=avx512vnni" },
#elif defined(__aarch64__)
	{ &damf_isa_neon, runs_always, "DAMF_ISA=neon" },
#endif
};

#define ALL (sizeof(all) / sizeof(all[0]))

static const char *const names[] = {
	"generic", "avx2", "avxvnni", "avx512", "avx512vnni", "neon",
};

static const char *asked_name(void)
{
	const char *name = getenv("DAMF_ISA");

	return name && *name ? name : NULL;
}

/* What is there, in one line. */
static void complain(const char *name, char *err, size_t errlen)
{
	bool known = false;
	char here[64] = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		known |= !strcmp(name, names[i]);
	for (size_t i = 0; i < ALL; i++) {
		size_t at = strlen(here);

		if (all[i].runs())
			snprintf(here + at, sizeof(here) - at, "%s%s", at ? ", " : "",
				 all[i].isa->name);
	}
	snprintf(err, errlen, "DAMF_ISA=%.40s: %s; there is %s", name,
		 known ? "this machine doesn't run it" : "no such instruction set", here);
}

const struct damf_isa *damf_isa_by_name(const char *name)
{
	for (size_t i = 0; i < ALL; i++) {
		if (!strcmp(name, all[i].isa->name))
			return all[i].runs() ? all[i].isa : NULL;
	}
	return NULL;
}

const struct damf_isa *damf_isa_get(char *err, size_t errlen)
{
	const char *name = asked_name();
	const struct damf_isa *isa = NULL;

	if (name) {
		isa = damf_isa_by_name(name);
		if (!isa)
			complain(name, err, errlen);
		return isa;
	}
	for (size_t i = 0; i < ALL; i++) {
		if (all[i].runs())
			isa = all[i].isa;
	}
	return isa;
}

const char *damf_isa_name(const struct damf_isa *isa)
{
	return isa->name;
}

const char *damf_isa_reason(const struct damf_isa *isa)
{
	const char *name = asked_name();

	for (size_t i = 0; i < ALL; i++) {
		if (all[i].isa == isa && name && !strcmp(name, isa->name))
			return all[i].asked;
	}
	return isa->found;
}
