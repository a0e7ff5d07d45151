// SPDX-License-Identifier: MIT
/* Every tensor of a model by name and shape, whatever is to be done with it. */
#include <stdio.h>

#include "model.h"

static const char *join(char *full, size_t size, const char *prefix, const char *name,
			const char *suffix)
{
	snprintf(full, size, "%s%s%s", prefix, name, suffix);
	return full;
}

static int dense(const struct damf_walk *walk, struct damf_dense *d, const char *prefix,
		 const char *name, uint32_t in, uint32_t out)
{
	char full[160];
	int r = walk->matrix(walk, &d->w, join(full, sizeof(full), prefix, name, ".weight"), in,
			     out);

	if (r)
		return r;
	return walk->vector(walk, &d->b, join(full, sizeof(full), prefix, name, ".bias"), out);
}

static int norm(const struct damf_walk *walk, struct damf_weight *gamma, struct damf_weight *beta,
		const char *prefix, const char *name)
{
	uint32_t d = walk->m->config.width;
	char full[160];
	int r = walk->vector(walk, gamma, join(full, sizeof(full), prefix, name, ".weight"), d);

	if (r)
		return r;
	return walk->vector(walk, beta, join(full, sizeof(full), prefix, name, ".bias"), d);
}

static int embeddings(const struct damf_walk *walk)
{
	struct damf_model *m = walk->m;
	const struct damf_config *c = &m->config;
	int r;

	r = walk->table(walk, &m->word, "embeddings.word_embeddings.weight", c->vocab, c->width);
	if (!r)
		r = walk->table(walk, &m->position, "embeddings.position_embeddings.weight",
				c->positions, c->width);
	if (!r)
		r = walk->table(walk, &m->type, "embeddings.token_type_embeddings.weight",
				c->types, c->width);
	return r ? r : norm(walk, &m->gamma, &m->beta, "embeddings.", "LayerNorm");
}

static int attention(const struct damf_walk *walk, struct damf_layer_weights *lw, uint32_t i,
		     const char *prefix)
{
	uint32_t d = walk->m->config.width;
	int r = walk->heads(walk, &lw->heads, i);

	if (!r && lw->exact) {
		r = dense(walk, &lw->q, prefix, "attention.self.query", d, lw->nqk);
		if (!r)
			r = dense(walk, &lw->k, prefix, "attention.self.key", d, lw->nqk);
	}
	if (!r && lw->npq)
		r = walk->pq(walk, &lw->pq, i);
	if (!r)
		r = dense(walk, &lw->v, prefix, "attention.self.value", d, d);
	return r ? r : dense(walk, &lw->o, prefix, "attention.output.dense", d, d);
}

static int layer(const struct damf_walk *walk, uint32_t i)
{
	struct damf_layer_weights *lw = &walk->m->layers[i];
	uint32_t d = walk->m->config.width, inner = walk->m->config.inner;
	char prefix[64];
	int r;

	snprintf(prefix, sizeof(prefix), "encoder.layer.%u.", i);
	r = attention(walk, lw, i, prefix);
	if (!r)
		r = norm(walk, &lw->gamma1, &lw->beta1, prefix, "attention.output.LayerNorm");
	if (!r)
		r = dense(walk, &lw->in, prefix, "intermediate.dense", d, inner);
	if (!r)
		r = dense(walk, &lw->out, prefix, "output.dense", inner, d);
	return r ? r : norm(walk, &lw->gamma2, &lw->beta2, prefix, "output.LayerNorm");
}

int damf_walk_model(const struct damf_walk *walk)
{
	struct damf_model *m = walk->m;
	uint32_t i, d = m->config.width;
	int r = embeddings(walk);

	for (i = 0; i < m->config.layers && !r; i++)
		r = layer(walk, i);
	if (r || !m->classify)
		return r;
	r = dense(walk, &m->pooler, "", "pooler.dense", d, d);
	return r ? r : dense(walk, &m->classifier, "", "classifier", d, m->config.labels);
}
