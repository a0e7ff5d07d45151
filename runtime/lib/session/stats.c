// SPDX-License-Identifier: MIT
/* What a session has done, over all devices that it had. */
#include <endian.h>
#include <string.h>

#include "../backend.h"
#include "session.h"

void damf_session_count(struct damf_session *s, const struct damf_engine_result *result)
{
	const struct damf_counters *c = result->counters;
	struct damf_session_stats *to = &s->stats;
	uint32_t i;

	to->lists++;
	to->engine_ns += result->engine_ns;
	for (i = 0; i < s->engine->jobs; i++, c++) {
		to->jobs += le64toh(c->jobs);
		to->static_macs += le64toh(c->static_macs);
		to->dynamic_macs += le64toh(c->dynamic_macs);
		to->exps += le64toh(c->exps);
		to->divs += le64toh(c->divs);
		to->read_weights += le64toh(c->read_weights);
		to->read_activations += le64toh(c->read_activations);
		to->read_intermediates += le64toh(c->read_intermediates);
		to->write_activations += le64toh(c->write_activations);
		to->write_intermediates += le64toh(c->write_intermediates);
		to->cycles += le64toh(c->cycles);
		to->energy_pj += le64toh(c->energy_pj);
		to->shift_adds += le64toh(c->shift_adds);
		to->int8_macs += le64toh(c->int8_macs);
		to->spills += le64toh(c->spills);
		to->page_walks += le64toh(c->page_walks);
	}
}

void damf_session_keep_stats(struct damf_session *s, struct damf_session_stats *to)
{
	struct damf_device_stats d = { .size = sizeof(d) };

	if (!s->engine)
		return;
	to->plans += s->engine->plans;
	to->plan_hits += s->engine->plan_hits;
	if (damf_device_get_stats(s->engine->dev, &d, NULL))
		return;		/* a lost device can't tell any more */
	to->submits_ioctl += d.submits_ioctl;
	to->submits_uring += d.submits_uring;
	to->submits_direct += d.submits_direct;
	to->doorbells += d.doorbells;
	to->doorbells_saved += d.doorbells_saved;
	to->interrupts += d.interrupts;
	to->timeouts += d.timeouts;
	to->resets += d.resets;
}

void damf_session_get_stats(struct damf_session *s, struct damf_session_stats *stats)
{
	DAMF_KEEP_ERRNO();
	struct damf_session_stats now = s->stats;

	now.size = sizeof(now);
	if (s->engine) {
		const struct damf_device_info *i = &s->engine->info;

		memcpy(now.backend, i->backend, sizeof(now.backend));
		memcpy(now.path, i->path, sizeof(now.path));
		memcpy(now.submit, i->submit, sizeof(now.submit));
		memcpy(now.reason, i->reason, sizeof(now.reason));
		memcpy(now.isa, i->isa, sizeof(now.isa));
		damf_session_keep_stats(s, &now);
	}
	damf_struct_out(stats, &now, sizeof(now));
}
