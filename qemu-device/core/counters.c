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
#define QUARTERS	4u	/* int8 MACs, or shifts and adds, in the place of one MAC */
#define INT16_QUARTERS	2u	/* quarters that a MAC with an int16 activation takes */

static uint64_t div_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

/* MACs on int8 multipliers: one with an int16 activation takes two. */
static uint64_t int8_products(const struct damf_work *w)
{
	bool wide = le32toh(w->job.param[DAMF_P_XTYPE]) == DAMF_TYPE_I16;

	return w->counts.int8_macs * (wide ? INT16_QUARTERS : 1);
}

static uint64_t f32_macs(const struct damf_counts *c)
{
	return c->static_macs + c->dynamic_macs - c->int8_macs;
}

static uint64_t compute_cycles(const struct damf_work *w)
{
	const struct damf_counts *c = &w->counts;
	uint64_t macs = f32_macs(c) + EXP_MACS * c->exps + DIV_MACS * c->divs;

	return div_up(QUARTERS * macs + int8_products(w) + c->shift_adds,
		      (uint64_t)QUARTERS * w->cfg->macs_per_cycle);
}

static uint64_t memory_bytes(const struct damf_counts *c)
{
	return c->read_weights + c->read_activations + c->write_activations + c->spills;
}

static uint64_t energy_pj(const struct damf_work *w)
{
	const struct damf_core_config *cfg = w->cfg;
	const struct damf_counts *c = &w->counts;
	const uint64_t terms[][2] = {
		{ f32_macs(c), cfg->energy_mac },
		{ int8_products(w), cfg->energy_int8 },
		{ c->shift_adds, cfg->energy_shift },
		{ c->exps, cfg->energy_exp },
		{ c->divs, cfg->energy_div },
		{ c->read_intermediates + c->write_intermediates, cfg->energy_scratch },
		{ memory_bytes(c), cfg->energy_memory },
	};
	unsigned __int128 fj = 0;

	for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++)
		fj += (unsigned __int128)terms[i][0] * terms[i][1];
	return (uint64_t)(fj / 1000);
}

void damf_counters_job(const struct damf_work *w, uint64_t page_walks, struct damf_counters *out)
{
	const struct damf_counts *c = &w->counts;
	uint64_t compute = compute_cycles(w);
	uint64_t memory = div_up(memory_bytes(c), w->cfg->bytes_per_cycle);

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
		.energy_pj = htole64(energy_pj(w)),
		.jobs = htole64(1),
		.int8_macs = htole64(c->int8_macs),
		.spills = htole64(c->spills),
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
