// SPDX-License-Identifier: MIT
/*
 * What jobs did, as the kernels counted it, and what that would take on the
 * modelled engine: its arithmetic and its memory work at the same time, so
 * the slower of the two counts.
 */
#include <endian.h>

#include "work.h"

/* The models' constants; Documentation/hardware.rst explains them. */
#define JOB_CYCLES	64u	/* to fetch, check and start a job */
#define EXP_MACS	8u	/* an exponential, erf or tanh costs as much as */
#define DIV_MACS	4u	/* a division or square root */
#define SHIFT_ADDS_MAC	4u	/* shift-and-adds in the place of one MAC */

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static uint64_t mac_equivalents(const struct damf_counts *c)
{
	return c->static_macs + c->dynamic_macs + EXP_MACS * c->exps + DIV_MACS * c->divs +
	       div_up(c->shift_adds, SHIFT_ADDS_MAC);
}

static uint64_t bytes_moved(const struct damf_counts *c)
{
	return c->read_weights + c->read_activations + c->read_intermediates +
	       c->write_activations + c->write_intermediates;
}

/* a * b / 1000, with 128 bits between. */
static uint64_t femto_to_pico(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b / 1000);
}

void damf_counters_job(const struct damf_work *w, uint64_t page_walks, struct damf_counters *out)
{
	const struct damf_counts *c = &w->counts;
	uint64_t macs = mac_equivalents(c), bytes = bytes_moved(c);
	uint64_t compute = div_up(macs, w->cfg->macs_per_cycle);
	uint64_t memory = div_up(bytes, w->cfg->bytes_per_cycle);

	*out = (struct damf_counters) {
		.static_macs = htole64(c->static_macs),
		.dynamic_macs = htole64(c->dynamic_macs),
		.shift_adds = htole64(c->shift_adds),
		.exps = htole64(c->exps),
		.divs = htole64(c->divs),
		.read_weights = htole64(c->read_weights),
		.read_activations = htole64(c->read_activations),
		.read_intermediates = htole64(c->read_intermediates),
		.write_activations = htole64(c->write_activations),
		.write_intermediates = htole64(c->write_intermediates),
		.page_walks = htole64(page_walks),
		.cycles = htole64(JOB_CYCLES + (compute > memory ? compute : memory)),
		.energy_pj = htole64(femto_to_pico(macs, w->cfg->energy_mac_fj) +
				     femto_to_pico(bytes, w->cfg->energy_byte_fj)),
		.jobs = htole64(1),
	};
}

void damf_counters_add(struct damf_counters *sum, const struct damf_counters *job)
{
	__le64 *to = (__le64 *)sum;
	const __le64 *from = (const __le64 *)job;
	size_t i;

	for (i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] = htole64(le64toh(to[i]) + le64toh(from[i]));
}
