/* SPDX-License-Identifier: MIT */
/* What the JSON files of a model directory say. */
#ifndef DAMF_CONFIG_H
#define DAMF_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "damf.h"

/* config.json */
struct damf_config {
	uint32_t layers, width, heads, inner;
	uint32_t vocab, positions, types;
	float eps;			/* of layer norm */
	uint32_t labels;		/* 0: it names none */
	char **label;			/* [labels], owned */
	bool multi_label;		/* problem_type: not a softmax over labels */
};

int damf_config_read(const char *dir, struct damf_config *c, struct damf_error *err);
void damf_config_free(struct damf_config *c);

/* modules.json, the pooling module's config.json, sentence_bert_config.json,
 * config_sentence_transformers.json */
struct damf_pooling {
	bool cls;			/* else the mean */
	bool normalize;
	bool lower_case;		/* do_lower_case, which we don't follow */
	bool prompt;			/* texts get a prompt, which we don't add */
	uint32_t max_length;		/* 0: not told */
	char pooling_from[96], normalize_from[96], max_length_from[96];
};

int damf_pooling_read(const char *dir, uint32_t width, struct damf_pooling *p,
		      struct damf_error *err);

#endif /* DAMF_CONFIG_H */
