/* SPDX-License-Identifier: MIT */
/* damf report: one attention layer on a device, what it counts, and what the paper counts. */
#ifndef DAMF_REPORT_H
#define DAMF_REPORT_H

#include "cli.h"

#define REPORT_MODES	5

/* By enum damf_mode; by enum damf_type, NULL where weights can't be that. */
extern const char *const report_modes[REPORT_MODES];
const char *report_type_name(unsigned int type);

/* One sequence, one layer, random weights without biases. */
struct report_shape {
	uint32_t length, hidden, heads, head_width;
	unsigned int mode, type;	/* enum damf_mode, enum damf_type of the weights */
};

struct report_result {
	struct report_shape shape;
	bool offered;			/* else the device has no such mode or type */
	uint64_t parameters;		/* elements of the weights */
	uint64_t static_macs, dynamic_macs, int8_macs, shift_adds, exps, divs;
	uint64_t read_weights, read_activations, read_intermediates;
	uint64_t write_activations, write_intermediates, spills, page_walks;
	uint64_t cycles, energy_pj;
	double seconds;			/* of the modelled clock */
	double took;			/* of ours */
};

struct report_machine {
	struct damf_device *dev;
	struct damf_queue *queue;
	struct damf_device_info info;
};

/* Each returns 0, or an exit code after an error message. */
int report_open(struct report_machine *m, const struct cli_options *o);
int report_run(const struct report_machine *m, const struct report_shape *shape,
	       struct report_result *result);
void report_close(struct report_machine *m);

static inline uint64_t report_operations(const struct report_result *r)
{
	return r->static_macs + r->dynamic_macs + r->shift_adds;
}

/* Bytes between the machine and memory, and all that parts read and write. */
static inline uint64_t report_memory(const struct report_result *r)
{
	return r->read_weights + r->read_activations + r->write_activations + r->spills;
}

/* ---- The paper's figures -------------------------------------------------- */

struct report_figures {
	double params, dynamic, macs, ratio;	/* M, M, M, % */
};

/* A row of the paper's table II. */
struct report_model {
	const char *name;
	uint32_t hidden, heads;
	bool damf;
	struct report_figures printed;
};

#define REPORT_MODELS	5
#define REPORT_LENGTH	128u	/* of table II and figure 5 */
#define REPORT_FIGURE5	2.71	/* as printed */

extern const struct report_model report_models[REPORT_MODELS];

/* As the paper counts, at a length. */
struct report_figures report_paper_count(const struct report_model *m, uint32_t length);
/* Words moved for one head: of BERT-base (exact), or of DAMF. */
double report_paper_words(uint32_t length, uint32_t hidden, uint32_t head_width, bool damf);
/* The same words as counted: what is read of weights and put aside, without those of W_O. */
double report_measured_words(const struct report_result *one_head);

/* ---- All of it -------------------------------------------------------------- */

#define REPORT_LENGTHS	9	/* of the sweep: 32 to 8,192 */

struct report {
	struct damf_device_info info;
	struct report_result table2[REPORT_MODELS][2];	/* DAMF: fold and shift */
	struct report_result head[REPORT_MODES];	/* one head, for figure 5 */
	struct report_result layer[REPORT_MODES][3];	/* f32, bf16, int8 */
	struct report_result sweep[REPORT_MODES][REPORT_LENGTHS];
	size_t lengths;					/* of the sweep */
};

json_t *report_json(const struct report *r);
json_t *report_result_json(const struct report_result *r);
/* Text whose tables are those of reStructuredText; a whole page if page. */
void report_print(const struct report *r, bool page);
void report_print_result(const struct report_result *r, size_t n);
/* SVGs into a directory, by gnuplot. 0, or an exit code after an error message. */
int report_plot(const struct report *r, const char *dir);

/* ---- Tables ------------------------------------------------------------------- */

struct report_table {
	char **cells;
	size_t cols, n, room;
	bool failed;		/* out of memory: nothing is printed */
};

/* A row, its cells separated by '|'; the first row is the head. */
void report_row(struct report_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees it. */
void report_table_end(struct report_table *t);

#endif /* DAMF_REPORT_H */
