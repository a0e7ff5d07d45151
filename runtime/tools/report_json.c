// SPDX-License-Identifier: MIT
#include "report.h"

static void count(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void text(json_t *o, const char *key, const char *value)
{
	json_object_set_new(o, key, json_string(value));
}

static void put_counters(json_t *o, const struct report_result *r)
{
	count(o, "parameters", r->parameters);
	count(o, "static_macs", r->static_macs);
	count(o, "dynamic_macs", r->dynamic_macs);
	count(o, "int8_macs", r->int8_macs);
	count(o, "shift_adds", r->shift_adds);
	count(o, "exponentials", r->exps);
	count(o, "divisions", r->divs);
	count(o, "read_weights", r->read_weights);
	count(o, "read_activations", r->read_activations);
	count(o, "read_intermediates", r->read_intermediates);
	count(o, "write_activations", r->write_activations);
	count(o, "write_intermediates", r->write_intermediates);
	count(o, "spills", r->spills);
	count(o, "page_walks", r->page_walks);
	count(o, "memory_bytes", report_memory(r));
	count(o, "cycles", r->cycles);
	count(o, "energy_pj", r->energy_pj);
	json_object_set_new(o, "seconds", json_real(r->seconds));
	json_object_set_new(o, "took_seconds", json_real(r->took));
}

json_t *report_result_json(const struct report_result *r)
{
	const struct report_shape *s = &r->shape;
	json_t *o = json_object();

	text(o, "attention", report_modes[s->mode]);
	text(o, "dtype", report_type_name(s->type));
	count(o, "length", s->length);
	count(o, "hidden", s->hidden);
	count(o, "heads", s->heads);
	count(o, "head_width", s->head_width);
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

		text(o, "model", m->name);
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

	text(o, "backend", i->backend);
	text(o, "isa", i->isa);
	count(o, "numerics", i->numerics);
	count(o, "clock_hz", i->clock_hz);
	count(o, "macs_per_cycle", i->macs_per_cycle);
	count(o, "bytes_per_cycle", i->bytes_per_cycle);
	count(o, "scratchpad", i->scratchpad);
	count(o, "energy_mac_fj", i->energy_mac);
	count(o, "energy_int8_fj", i->energy_int8);
	count(o, "energy_shift_fj", i->energy_shift);
	count(o, "energy_exp_fj", i->energy_exp);
	count(o, "energy_div_fj", i->energy_div);
	count(o, "energy_scratch_fj", i->energy_scratch);
	count(o, "energy_memory_fj", i->energy_memory);
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
