// SPDX-License-Identifier: MIT
#include "report.h"

static void put_counters(json_t *o, const struct report_result *r)
{
	cli_set_count(o, "parameters", r->parameters);
	cli_set_count(o, "static_macs", r->static_macs);
	cli_set_count(o, "dynamic_macs", r->dynamic_macs);
	cli_set_count(o, "int8_macs", r->int8_macs);
	cli_set_count(o, "shift_adds", r->shift_adds);
	cli_set_count(o, "exponentials", r->exps);
	cli_set_count(o, "divisions", r->divs);
	cli_set_count(o, "read_weights", r->read_weights);
	cli_set_count(o, "read_activations", r->read_activations);
	cli_set_count(o, "read_intermediates", r->read_intermediates);
	cli_set_count(o, "write_activations", r->write_activations);
	cli_set_count(o, "write_intermediates", r->write_intermediates);
	cli_set_count(o, "spills", r->spills);
	cli_set_count(o, "page_walks", r->page_walks);
	cli_set_count(o, "memory_bytes", report_memory(r));
	cli_set_count(o, "cycles", r->cycles);
	cli_set_count(o, "energy_pj", r->energy_pj);
	json_object_set_new(o, "seconds", json_real(r->seconds));
	json_object_set_new(o, "took_seconds", json_real(r->took));
}

json_t *report_result_json(const struct report_result *r)
{
	const struct report_shape *s = &r->shape;
	json_t *o = json_object();

	cli_set_text(o, "attention", report_modes[s->mode]);
	cli_set_text(o, "dtype", report_type_name(s->type));
	cli_set_count(o, "length", s->length);
	cli_set_count(o, "hidden", s->hidden);
	cli_set_count(o, "heads", s->heads);
	cli_set_count(o, "head_width", s->head_width);
	json_object_set_new(o, "offered", json_boolean(r->offered));
	if (r->offered)
		put_counters(o, r);
	return o;
}

static json_t *figures(const struct report_figures *f)
{
	return json_pack("{s:f, s:f, s:f, s:f}", "parameters_m", f->params, "dynamic_macs_m",
			 f->dynamic, "macs_m", f->macs, "dynamic_percent", f->ratio);
}

static json_t *table2(const struct report *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < REPORT_MODELS; i++) {
		const struct report_model *m = &report_models[i];
		struct report_figures f = report_paper_count(m, REPORT_LENGTH);
		json_t *o = json_object(), *measured = json_array();

		cli_set_text(o, "model", m->name);
		json_object_set_new(o, "printed", figures(&m->printed));
		json_object_set_new(o, "paper_count", figures(&f));
		for (size_t k = 0; k < (m->damf ? 2 : 1); k++)
			json_array_append_new(measured, report_result_json(&r->table2[i][k]));
		json_object_set_new(o, "measured", measured);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *figure5(const struct report *r)
{
	uint32_t d = report_models[0].hidden, w = d / report_models[0].heads;
	double exact = report_paper_words(REPORT_LENGTH, d, w, false);
	double damf = report_paper_words(REPORT_LENGTH, d, w, true);
	json_t *list = json_array();

	for (size_t i = 0; i < REPORT_MODES; i++) {
		const struct report_result *h = &r->head[i];

		if (h->offered)
			json_array_append_new(list, json_pack("{s:s, s:f, s:f}", "attention",
				report_modes[i], "words", report_measured_words(h), "times_less",
				report_measured_words(&r->head[0]) / report_measured_words(h)));
	}
	return json_pack("{s:f, s:f, s:f, s:f, s:o}", "printed_times_less", REPORT_FIGURE5,
			 "paper_words_exact", exact, "paper_words_damf", damf,
			 "paper_times_less", exact / damf, "measured", list);
}

static json_t *machine(const struct damf_device_info *i)
{
	json_t *o = json_object();

	cli_set_text(o, "backend", i->backend);
	cli_set_text(o, "isa", i->isa);
	cli_set_count(o, "numerics", i->numerics);
	cli_set_machine(o, i);
	return o;
}

json_t *report_json(const struct report *r)
{
	json_t *o = json_object(), *layers = json_array(), *sweep = json_array();

	for (size_t i = 0; i < REPORT_MODES; i++) {
		for (size_t k = 0; k < 3; k++)
			json_array_append_new(layers, report_result_json(&r->layer[i][k]));
		for (size_t k = 0; k < r->lengths; k++)
			json_array_append_new(sweep, report_result_json(&r->sweep[i][k]));
	}
	json_object_set_new(o, "machine", machine(&r->info));
	json_object_set_new(o, "table2", table2(r));
	json_object_set_new(o, "figure5", figure5(r));
	json_object_set_new(o, "layers", layers);
	json_object_set_new(o, "sweep", sweep);
	return o;
}
