// SPDX-License-Identifier: MIT
/* Models and sessions as the subcommands use them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int cli_open_model(const struct cli_options *o, uint32_t flags, struct damf_model **model)
{
	struct damf_model_options opt = {
		.size = sizeof(opt), .attention = o->attention, .flags = flags,
		.dtype = o->dtype, .xtype = o->xtype, .threads = o->threads,
	};
	struct damf_error err;
	const char *warning;
	unsigned int i;
	int r = damf_model_open(o->model, &opt, model, &err);

	if (r)
		return cli_error(r == -ENOMEM ? CLI_FAILURE : CLI_INPUT, "%s", err.text);
	for (i = 0; (warning = damf_model_warning(*model, i)); i++)
		cli_note("%s", warning);
	return 0;
}

int cli_session_exit(int r)
{
	switch (r) {
	case -EINVAL:
		return CLI_USAGE;
	case -ENOMEM:
		return CLI_FAILURE;
	default:
		return CLI_DEVICE;
	}
}

int cli_open_session(const struct cli_options *o, struct damf_model *model, enum damf_task task,
		     struct damf_session **session)
{
	struct damf_session_options opt = {
		.size = sizeof(opt), .backend = o->backend, .path = o->submit,
		.threads = o->threads, .task = task, .flags = DAMF_SESSION_PARSE_SPECIAL,
		.max_length = o->max_length, .max_seqs = o->batch, .max_tokens = o->list_tokens,
	};
	struct damf_error err;
	int r = damf_session_create(model, &opt, session, &err);

	return r ? cli_error(cli_session_exit(r), "%s", err.text) : 0;
}

/* ---- What it took ---------------------------------------------------------------- */

json_t *cli_stats(struct damf_session *session, const struct damf_model *model, double seconds)
{
	struct damf_session_stats s = { .size = sizeof(s) };
	struct damf_model_info m = { .size = sizeof(m) };
	json_t *o = json_object();

	damf_session_get_stats(session, &s);
	damf_model_get_info(model, &m);
	json_object_set_new(o, "backend", json_string(s.backend));
	json_object_set_new(o, "device", json_string(s.path));
	json_object_set_new(o, "submit", json_string(s.submit));
	json_object_set_new(o, "reason", json_string(s.reason));
	json_object_set_new(o, "isa", json_string(s.isa));
	json_object_set_new(o, "attention", json_string(m.attention));
	json_object_set_new(o, "dtype", json_string(m.dtype));
	json_object_set_new(o, "xtype", json_string(m.xtype));
	cli_set_count(o, "numerics", m.numerics);
	json_object_set_new(o, "seconds", json_real(seconds));
	cli_set_count(o, "sentences", s.texts);
	cli_set_count(o, "tokens", s.tokens);
	cli_set_count(o, "truncated", s.truncated);
	cli_set_count(o, "lists", s.lists);
	cli_set_count(o, "jobs", s.jobs);
	cli_set_count(o, "plans", s.plans);
	cli_set_count(o, "plan_hits", s.plan_hits);
	cli_set_count(o, "macs", s.static_macs + s.dynamic_macs);
	cli_set_count(o, "static_macs", s.static_macs);
	cli_set_count(o, "dynamic_macs", s.dynamic_macs);
	cli_set_count(o, "int8_macs", s.int8_macs);
	cli_set_count(o, "shift_adds", s.shift_adds);
	cli_set_count(o, "exponentials", s.exps);
	cli_set_count(o, "divisions", s.divs);
	cli_set_count(o, "read_weights", s.read_weights);
	cli_set_count(o, "read_activations", s.read_activations);
	cli_set_count(o, "read_intermediates", s.read_intermediates);
	cli_set_count(o, "write_activations", s.write_activations);
	cli_set_count(o, "write_intermediates", s.write_intermediates);
	cli_set_count(o, "spills", s.spills);
	cli_set_count(o, "page_walks", s.page_walks);
	cli_set_count(o, "cycles", s.cycles);
	cli_set_count(o, "energy_pj", s.energy_pj);
	cli_set_count(o, "engine_ns", s.engine_ns);
	cli_set_count(o, "submits_uring", s.submits_uring);
	cli_set_count(o, "submits_ioctl", s.submits_ioctl);
	cli_set_count(o, "submits_direct", s.submits_direct);
	cli_set_count(o, "doorbells", s.doorbells);
	cli_set_count(o, "doorbells_saved", s.doorbells_saved);
	cli_set_count(o, "interrupts", s.interrupts);
	cli_set_count(o, "timeouts", s.timeouts);
	cli_set_count(o, "resets", s.resets);
	cli_set_count(o, "failovers", s.failovers);
	json_object_set_new(o, "failover_reason", json_string(s.failover_reason));
	return o;
}

int cli_print_json(json_t *value)
{
	int bad = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

	json_decref(value);
	putchar('\n');
	if (cli_flush())
		return CLI_FAILURE;
	return bad ? cli_error(CLI_FAILURE, "no memory to print JSON") : CLI_OK;
}
