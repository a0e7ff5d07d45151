// SPDX-License-Identifier: MIT
/* The report as text, whose tables and headings are those of reStructuredText. */
#include <string.h>

#include "report.h"

static void heading(const char *text, char line)
{
	printf("\n%s\n", text);
	for (size_t i = 0; i < strlen(text); i++)
		putchar(line);
	fputs("\n\n", stdout);
}

static double millions(uint64_t n)
{
	return (double)n * 1e-6;
}

/* ---- Table II ------------------------------------------------------------------ */

static void measured_row(struct report_table *t, const char *name, const struct report_result *m)
{
	uint64_t macs = m->static_macs + m->dynamic_macs;

	if (!m->offered) {
		report_row(t, "%s|measured: %s|not offered", name, report_modes[m->shape.mode]);
		return;
	}
	report_row(t, "%s|measured: %s|%.2f|%.2f|%.2f|%.2f%%|%.2f", name, report_modes[m->shape.mode],
		   (double)m->parameters * sizeof(float) / 1048576, millions(m->dynamic_macs),
		   millions(macs), 100.0 * (double)m->dynamic_macs / (double)macs,
		   millions(m->shift_adds));
}

static void figures_row(struct report_table *t, const char *name, const char *what,
			const struct report_figures *f)
{
	report_row(t, "%s|%s|%.2f|%.2f|%.2f|%.2f%%", name, what, f->params, f->dynamic, f->macs,
		   f->ratio);
}

static void print_ratios(void)
{
	const struct report_model *base = &report_models[0], *small = &report_models[3];
	const struct report_model *damf = &report_models[4];
	double one_head = report_paper_count(damf, REPORT_LENGTH).dynamic;

	printf("\nTimes fewer, by the paper's figures: parameters 2 d / (d + 1) = %.3f (printed: 1.99). Dynamic\n"
	       "MACs %.2f / %.2f = %.0f, and %.2f / %.2f = %.0f against BERT-small, the abstract's figure (%.0f and\n"
	       "%.0f before rounding). MACs in all %.2f / %.2f = %.2f; the printed 2.21 is %.2f / %.2f, of\n"
	       "BERT-small, in which there is no DAMF.\n",
	       2.0 * base->hidden / (base->hidden + 1), base->printed.dynamic,
	       damf->printed.dynamic, base->printed.dynamic / damf->printed.dynamic,
	       small->printed.dynamic, damf->printed.dynamic,
	       small->printed.dynamic / damf->printed.dynamic,
	       report_paper_count(base, REPORT_LENGTH).dynamic / one_head,
	       report_paper_count(small, REPORT_LENGTH).dynamic / one_head, base->printed.macs,
	       damf->printed.macs, base->printed.macs / damf->printed.macs, base->printed.macs,
	       small->printed.macs);
}

static void print_table2(const struct report *r)
{
	struct report_table t = { .cells = NULL };

	heading("Table II: one attention layer at 128 tokens", '=');
	printf("Parameters are bytes in f32 over 2^20, operations are over 10^6. The paper's count is not\n"
	       "even-handed: of dynamic MACs it has Q K^T and one more product a pair and head, but\n"
	       "not A' V; of DAMF it has the dynamic MACs, and u and v, of one head. What is measured are the\n"
	       "counters of a job with random weights and no biases: all heads, all products.\n\n");
	report_row(&t, "Model|Figures|Param.|Dyn. MACs|MACs|Dyn. ratio|Shift-adds");
	for (size_t i = 0; i < REPORT_MODELS; i++) {
		const struct report_model *m = &report_models[i];
		struct report_figures f = report_paper_count(m, REPORT_LENGTH);

		figures_row(&t, m->name, "printed", &m->printed);
		figures_row(&t, m->name, "the paper's count", &f);
		for (size_t k = 0; k < (m->damf ? 2 : 1); k++)
			measured_row(&t, m->name, &r->table2[i][k]);
	}
	report_table_end(&t);
	print_ratios();
}

/* ---- Figure 5 ------------------------------------------------------------------- */

static void print_figure5(const struct report *r)
{
	uint32_t d = report_models[0].hidden, w = d / report_models[0].heads;
	double exact = report_paper_words(REPORT_LENGTH, d, w, false);
	double damf = report_paper_words(REPORT_LENGTH, d, w, true);
	struct report_table t = { .cells = NULL };

	heading("Figure 5: memory access of one head", '=');
	printf("Printed: %.2f times less than BERT-base. The paper doesn't say what it counts; words of\n"
	       "(W_Q, W_K, W_V, Q, K, V, A, A') against (W_V, u, v, V, A', p, q) give it: %.0f / %.0f =\n"
	       "%.3f. By the same rule as measured: what is read of weights and what is put aside,\n"
	       "without W_O, its input and its output.\n\n", REPORT_FIGURE5, exact, damf, exact / damf);
	report_row(&t, "One head|Words|Times less");
	for (size_t i = 0; i < REPORT_MODES; i++) {
		const struct report_result *h = &r->head[i];

		if (!h->offered)
			report_row(&t, "%s|not offered", report_modes[i]);
		else
			report_row(&t, "%s|%.0f|%.2f", report_modes[i], report_measured_words(h),
				   report_measured_words(&r->head[0]) / report_measured_words(h));
	}
	report_table_end(&t);
}

/* ---- Layers ----------------------------------------------------------------------- */

static void layer_rows(struct report_table *ops, struct report_table *bytes,
		       const struct report_result *r)
{
	const struct report_shape *s = &r->shape;
	const char *mode = report_modes[s->mode], *type = report_type_name(s->type);

	if (!r->offered) {
		report_row(ops, "%s|%s|%u|not offered", mode, type, s->length);
		return;
	}
	report_row(ops, "%s|%s|%u|%.3f|%.3f|%.3f|%.3f|%.3f|%.3f", mode, type, s->length,
		   millions(r->static_macs), millions(r->dynamic_macs), millions(r->int8_macs),
		   millions(r->shift_adds), millions(r->exps), millions(r->divs));
	report_row(bytes, "%s|%s|%u|%.3f|%.3f|%.3f|%.3f|%llu|%.1f|%.1f", mode, type, s->length,
		   millions(r->read_weights), millions(r->read_activations + r->write_activations),
		   millions(r->read_intermediates + r->write_intermediates), millions(r->spills),
		   (unsigned long long)r->cycles, r->seconds * 1e6, millions(r->energy_pj));
}

void report_print_result(const struct report_result *r, size_t n)
{
	struct report_table ops = { .cells = NULL }, bytes = { .cells = NULL };

	report_row(&ops, "Attention|Type|Tokens|Static MACs|Dynamic MACs|of them int8|Shift-adds|Exponentials|Divisions");
	report_row(&bytes, "Attention|Type|Tokens|Weights|In, out|Intermediates|Spilled|Cycles|us|uJ");
	for (size_t i = 0; i < n; i++)
		layer_rows(&ops, &bytes, &r[i]);
	printf("Operations, in millions:\n\n");
	report_table_end(&ops);
	printf("\nBytes in millions, cycles, and time and energy of the modelled machine:\n\n");
	report_table_end(&bytes);
}

static void print_machine(const struct damf_device_info *i)
{
	printf("The machine: %u multiply-adds in f32 and %u bytes of memory a cycle of %.0f MHz, a\n"
	       "scratchpad of %.0f KiB; a multiply-add takes %.2f pJ in f32 and %.2f in int8, a shift and add %.2f, an\n"
	       "exponential %.1f, a division %.1f, a byte of the scratchpad %.1f and one of memory %.1f.\n\n",
	       i->macs_per_cycle, i->bytes_per_cycle, (double)i->clock_hz * 1e-6,
	       (double)i->scratchpad / 1024, i->energy_mac * 1e-3, i->energy_int8 * 1e-3,
	       i->energy_shift * 1e-3, i->energy_exp * 1e-3, i->energy_div * 1e-3,
	       i->energy_scratch * 1e-3, i->energy_memory * 1e-3);
}

/* ---- The sweep --------------------------------------------------------------------- */

struct column {
	const char *title;
	double (*value)(const struct report_result *r);
};

static double operations(const struct report_result *r)
{
	return millions(report_operations(r));
}

static double memory(const struct report_result *r)
{
	return millions(report_memory(r));
}

static double microseconds(const struct report_result *r)
{
	return r->seconds * 1e6;
}

static double microjoules(const struct report_result *r)
{
	return millions(r->energy_pj);
}

static void sweep_table(const struct report *r, const struct column *c)
{
	struct report_table t = { .cells = NULL };

	printf("\n%s:\n\n", c->title);
	report_row(&t, "Tokens|%s|%s|%s|%s|%s", report_modes[0], report_modes[1], report_modes[2],
		   report_modes[3], report_modes[4]);
	for (size_t i = 0; i < r->lengths; i++) {
		char cell[REPORT_MODES][32];

		for (size_t m = 0; m < REPORT_MODES; m++) {
			const struct report_result *at = &r->sweep[m][i];

			if (at->offered)
				snprintf(cell[m], sizeof(cell[m]), "%.2f", c->value(at));
			else
				strcpy(cell[m], "-");
		}
		report_row(&t, "%u|%s|%s|%s|%s|%s", r->sweep[0][i].shape.length, cell[0], cell[1],
			   cell[2], cell[3], cell[4]);
	}
	report_table_end(&t);
}

static void print_sweep(const struct report *r, bool page)
{
	static const struct column columns[] = {
		{ "Multiply-adds, shifts and adds, in millions", operations },
		{ "Bytes of memory, in millions", memory },
		{ "Modelled time, in us", microseconds },
		{ "Modelled energy, in uJ", microjoules },
	};

	heading("Length", '=');
	printf("The same layer in f32, from %u to %u tokens.\n", r->sweep[0][0].shape.length,
	       r->sweep[0][r->lengths - 1].shape.length);
	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
		sweep_table(r, &columns[i]);
	if (page)
		printf("\n.. image:: report-macs.svg\n   :alt: operations by length\n\n"
		       ".. image:: report-bytes.svg\n   :alt: bytes of memory by length\n\n"
		       ".. image:: report-time.svg\n   :alt: modelled time by length\n");
}

void report_print(const struct report *r, bool page)
{
	if (page)
		printf(".. SPDX-License-Identifier: MIT\n.. Made by make report.\n\n"
		       "====================\nWhat attention costs\n====================\n\n"
		       "What the engine counted for one attention layer with random weights, beside what\n"
		       "Yang et al., *Hardware Friendly Transformer Optimization with Dynamic Attention Matrix\n"
		       "Fusion*, print. :doc:`hardware` tells of the counters and of the machine that time and\n"
		       "energy are of, :doc:`numerics` what counts.\n");
	else
		printf("Counted by %s, numerics version %u\n", r->info.backend, r->info.numerics);
	print_table2(r);
	print_figure5(r);
	heading("Modes and types: d = 768, 12 heads, 128 tokens", '=');
	print_machine(&r->info);
	report_print_result(r->layer[0], REPORT_MODES * 3);
	print_sweep(r, page);
}
