// SPDX-License-Identifier: MIT
/*
 * What Yang et al. print in table II and figure 5, and the counts that give
 * those figures. Theirs are not even-handed: dynamic MACs are Q K^T and one
 * more L^2 a head, without A' V; those of DAMF, like its u and v, are of one
 * head only.
 */
#include "damf_hw.h"
#include "report.h"

#define MEGABYTE	1048576.0	/* of parameters, in f32 */
#define MILLION		1e6		/* of MACs */

const struct report_model report_models[REPORT_MODELS] = {
	{ "BERT-base", 768, 12, false, { 9.00, 12.78, 314.77, 4.06 } },
	{ "SkipBERT", 768, 12, false, { 9.00, 12.78, 314.77, 4.06 } },
	{ "BERT-PKD", 768, 12, false, { 9.00, 12.78, 314.77, 4.06 } },
	{ "BERT-small", 512, 8, false, { 4.00, 8.52, 142.74, 5.97 } },
	{ "BERT+DAMF", 768, 12, true, { 4.51, 0.03, 153.39, 0.02 } },
};

struct report_figures report_paper_count(const struct report_model *m, uint32_t length)
{
	double l = length, d = m->hidden, h = m->heads;
	double params = m->damf ? 2 * d * d + 2 * d : 4 * d * d;
	double fixed = m->damf ? 2 * l * d * d + 2 * h * l * d : 4 * l * d * d;
	double dynamic = m->damf ? 2 * l * l : h * l * l * (d / h + 1);

	return (struct report_figures){
		.params = params * sizeof(float) / MEGABYTE, .dynamic = dynamic / MILLION,
		.macs = (fixed + dynamic) / MILLION, .ratio = 100 * dynamic / (fixed + dynamic),
	};
}

/* W_Q, W_K, W_V, Q, K, V, A, A' against W_V, u, v, V, A', p, q. */
double report_paper_words(uint32_t length, uint32_t hidden, uint32_t head_width, bool damf)
{
	double l = length, d = hidden, w = head_width;

	return damf ? d * w + 2 * d + l * w + l * l + 2 * l : 3 * d * w + 3 * l * w + 2 * l * l;
}

double report_measured_words(const struct report_result *r)
{
	const struct report_shape *s = &r->shape;
	double all = (double)s->heads * s->head_width, words;

	words = (double)(r->read_weights + r->write_intermediates) / sizeof(float);
	words -= all * s->hidden;		/* W_O */
	/* outputs of tokens, of which folded heads have none */
	if (s->mode == DAMF_MODE_MHSA || s->mode == DAMF_MODE_SHIFT)
		words -= all * s->length;
	/* the layer's output, to which these heads are added at the end */
	if (s->mode == DAMF_MODE_FOLDSHIFT)
		words -= (double)s->length * s->hidden;
	return words;
}
