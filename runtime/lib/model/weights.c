// SPDX-License-Identifier: MIT
/*
 * Weights: from the files into one arena, packed as the device reads them, so
 * that bringing a model to a device is one copy.
 */
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "damf_hw.h"
#include "damf_kernels.h"
#include "error.h"
#include "model.h"

#define ALIGN(n) (((uint64_t)(n) + 63) / 64 * 64)

struct loader {
	struct damf_model *m;
	const struct damf_source *src;
	struct damf_error *err;
	bool place;		/* first pass: places only, nothing is read */
	float *raw;		/* room for the largest weight of a layer, unpacked */
	char prefix[64];	/* of names, ends with a dot or is empty */
};

/* ---- Placing -------------------------------------------------------------- */

static void place(struct loader *l, struct damf_weight *w, uint32_t rows, uint32_t cols,
		  unsigned int type, unsigned int layout)
{
	uint64_t elem = type == DAMF_TYPE_BYTES ? 1 : 4, elems = (uint64_t)rows * cols;
	bool packed = layout == DAMF_LAYOUT_PANEL32;

	*w = (struct damf_weight){
		.at = l->m->arena_size, .rows = rows, .cols = cols,
		.stride = packed ? 0 : cols * elem,
		.type = (uint16_t)type, .layout = (uint16_t)layout,
	};
	l->m->arena_size += ALIGN((packed ? damf_packed_elems(rows, cols) : elems) * elem);
	if (type == DAMF_TYPE_F32)
		l->m->parameters += elems;
}

static void *address(const struct loader *l, const struct damf_weight *w)
{
	return (char *)l->m->arena + w->at;
}

static int read_named(struct loader *l, const char *name, uint32_t rows, uint32_t cols, float *dst)
{
	char full[192];

	snprintf(full, sizeof(full), "%s%s", l->prefix, name);
	return damf_source_read(l->src, full, rows, cols, dst, l->err);
}

/* ---- One tensor ------------------------------------------------------------ */

static int vector(struct loader *l, struct damf_weight *w, const char *name, uint32_t n)
{
	if (l->place) {
		place(l, w, 1, n, DAMF_TYPE_F32, DAMF_LAYOUT_ROWS);
		return 0;
	}
	return read_named(l, name, n, 0, address(l, w));
}

static int table(struct loader *l, struct damf_weight *w, const char *name, uint32_t rows,
		 uint32_t cols)
{
	if (l->place) {
		place(l, w, rows, cols, DAMF_TYPE_F32, DAMF_LAYOUT_ROWS);
		return 0;
	}
	return read_named(l, name, rows, cols, address(l, w));
}

/* NAME.weight [out, in] and NAME.bias [out] */
static int dense(struct loader *l, struct damf_dense *d, const char *name, uint32_t in,
		 uint32_t out)
{
	char full[96];
	int r;

	if (l->place) {
		place(l, &d->w, in, out, DAMF_TYPE_F32, DAMF_LAYOUT_PANEL32);
		place(l, &d->b, 1, out, DAMF_TYPE_F32, DAMF_LAYOUT_ROWS);
		return 0;
	}
	snprintf(full, sizeof(full), "%s.weight", name);
	r = read_named(l, full, out, in, l->raw);
	if (r)
		return r;
	damf_pack_f32(address(l, &d->w), l->raw, in, in, out);
	snprintf(full, sizeof(full), "%s.bias", name);
	return read_named(l, full, out, 0, address(l, &d->b));
}

static int norm(struct loader *l, struct damf_weight *gamma, struct damf_weight *beta,
		const char *name)
{
	char full[96];
	int r;

	snprintf(full, sizeof(full), "%s.weight", name);
	r = vector(l, gamma, full, l->m->config.width);
	snprintf(full, sizeof(full), "%s.bias", name);
	return r ? r : vector(l, beta, full, l->m->config.width);
}

/* ---- Attention -------------------------------------------------------------- */

static __le32 f32_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return htole32(bits);
}

static int heads(struct loader *l, struct damf_layer_weights *lw)
{
	const struct damf_config *c = &l->m->config;
	uint32_t h, n = c->width / c->heads;
	struct damf_head *head;

	if (l->place) {
		place(l, &lw->heads, c->heads, sizeof(struct damf_head), DAMF_TYPE_BYTES,
		      DAMF_LAYOUT_ROWS);
		return 0;
	}
	head = address(l, &lw->heads);
	for (h = 0; h < c->heads; h++, head++) {
		memset(head, 0, sizeof(*head));
		head->d_v = htole16((uint16_t)n);
		head->v_col = htole32(h * n);
		if (l->m->attention == DAMF_ATTENTION_MHSA) {
			head->mode = htole16(DAMF_MODE_MHSA);
			head->d_qk = htole16((uint16_t)n);
			head->qk_col = htole32(h * n);
			head->scale = f32_bits((float)(1 / sqrt((double)n)));
		} else {
			head->mode = htole16(DAMF_MODE_FOLD);
			head->p_col = htole32(h);
			head->q_col = htole32(c->heads + h);
			head->rank = htole16(1);
			head->order = htole16(1);
			head->coef[0] = f32_bits(1.0f);
			head->coef[1] = f32_bits(1.0f);
		}
	}
	return 0;
}

static int fused(struct loader *l, struct damf_dense *pq, uint32_t layer)
{
	const struct damf_config *c = &l->m->config;
	struct damf_fused f = { 0 };
	char name[64];
	int r;

	if (l->place) {
		place(l, &pq->w, c->width, 2 * c->heads, DAMF_TYPE_F32, DAMF_LAYOUT_PANEL32);
		place(l, &pq->b, 1, 2 * c->heads, DAMF_TYPE_F32, DAMF_LAYOUT_ROWS);
		return 0;
	}
	if (l->src->converted) {
		snprintf(name, sizeof(name), DAMF_ST_PQ_WEIGHT, layer);
		r = damf_source_read(l->src, name, 2 * c->heads, c->width, l->raw, l->err);
		if (r)
			return r;
		damf_pack_f32(address(l, &pq->w), l->raw, c->width, c->width, 2 * c->heads);
		snprintf(name, sizeof(name), DAMF_ST_PQ_BIAS, layer);
		return damf_source_read(l->src, name, 2 * c->heads, 0, address(l, &pq->b), l->err);
	}
	r = damf_fuse_layer(l->src, layer, c->heads, c->width, &f, l->err);
	if (r)
		return r;
	damf_pack_f32(address(l, &pq->w), f.weight, c->width, c->width, 2 * c->heads);
	memcpy(address(l, &pq->b), f.bias, 2ull * c->heads * sizeof(float));
	damf_fused_free(&f);
	return 0;
}

static int attention(struct loader *l, struct damf_layer_weights *lw, uint32_t layer)
{
	uint32_t d = l->m->config.width;
	int r = heads(l, lw);

	if (!r && l->m->attention == DAMF_ATTENTION_MHSA) {
		r = dense(l, &lw->q, "attention.self.query", d, d);
		if (!r)
			r = dense(l, &lw->k, "attention.self.key", d, d);
	} else if (!r) {
		r = fused(l, &lw->pq, layer);
	}
	if (!r)
		r = dense(l, &lw->v, "attention.self.value", d, d);
	return r ? r : dense(l, &lw->o, "attention.output.dense", d, d);
}

/* ---- The model --------------------------------------------------------------- */

static int embeddings(struct loader *l)
{
	struct damf_model *m = l->m;
	uint32_t d = m->config.width;
	int r;

	snprintf(l->prefix, sizeof(l->prefix), "embeddings.");
	r = table(l, &m->word, "word_embeddings.weight", m->config.vocab, d);
	if (!r)
		r = table(l, &m->position, "position_embeddings.weight", m->config.positions, d);
	if (!r)
		r = table(l, &m->type, "token_type_embeddings.weight", m->config.types, d);
	return r ? r : norm(l, &m->gamma, &m->beta, "LayerNorm");
}

static int layer(struct loader *l, uint32_t i)
{
	struct damf_layer_weights *lw = &l->m->layers[i];
	uint32_t d = l->m->config.width, inner = l->m->config.inner;
	int r;

	snprintf(l->prefix, sizeof(l->prefix), "encoder.layer.%u.", i);
	r = attention(l, lw, i);
	if (!r)
		r = norm(l, &lw->gamma1, &lw->beta1, "attention.output.LayerNorm");
	if (!r)
		r = dense(l, &lw->in, "intermediate.dense", d, inner);
	if (!r)
		r = dense(l, &lw->out, "output.dense", inner, d);
	return r ? r : norm(l, &lw->gamma2, &lw->beta2, "output.LayerNorm");
}

/* The classifier and the pooler below it, where there is one. */
static int head(struct loader *l)
{
	struct damf_model *m = l->m;
	int r;

	l->prefix[0] = '\0';
	if (!damf_source_has(l->src, "classifier.weight") || !m->config.labels)
		return 0;
	r = dense(l, &m->pooler, "pooler.dense", m->config.width, m->config.width);
	return r ? r : dense(l, &m->classifier, "classifier", m->config.width, m->config.labels);
}

static int pass(struct loader *l)
{
	uint32_t i;
	int r = embeddings(l);

	for (i = 0; i < l->m->config.layers && !r; i++)
		r = layer(l, i);
	return r ? r : head(l);
}

static int fill(struct loader *l)
{
	const struct damf_config *c = &l->m->config;
	uint64_t widest = c->inner > c->width ? c->inner : c->width;
	int r;

	if (widest < c->labels)
		widest = c->labels;
	if (widest < 2 * c->heads)
		widest = 2 * c->heads;
	l->raw = malloc(widest * c->width * sizeof(float));
	l->m->arena = damf_pages_alloc(l->m->arena_size);
	if (l->raw && l->m->arena)
		r = pass(l);
	else
		r = damf_error_set(l->err, -ENOMEM, "no memory for a model of %llu MiB",
				   (unsigned long long)(l->m->arena_size >> 20));
	free(l->raw);
	return r;
}

static int load(struct loader *l)
{
	struct damf_model *m = l->m;
	int r;

	m->layers = calloc(m->config.layers, sizeof(*m->layers));
	if (!m->layers)
		return damf_error_set(l->err, -ENOMEM, "no memory for a model");
	l->place = true;
	r = pass(l);
	m->arena_size = (m->arena_size + DAMF_PAGE_SIZE - 1) & ~(DAMF_PAGE_SIZE - 1);
	l->place = false;
	return r ? r : fill(l);
}

/* Which attention there is to be, and what has to be said about it. */
static void choose_attention(struct damf_model *m, const struct damf_source *src)
{
	const char *trained = NULL;
	size_t i;

	for (i = 0; i < src->set.n && !trained; i++)
		trained = damf_st_metadata(src->set.files[i], DAMF_ST_TRAINED_KEY);
	if (m->attention == DAMF_ATTENTION_AUTO) {
		m->attention = src->converted ? DAMF_ATTENTION_FOLD : DAMF_ATTENTION_MHSA;
		snprintf(m->attention_from, sizeof(m->attention_from), src->converted ?
			 "the directory was converted to it" : "default: the directory was not converted");
	} else {
		snprintf(m->attention_from, sizeof(m->attention_from), "asked for%s",
			 m->attention == DAMF_ATTENTION_FOLD && !src->converted ?
			 ", converted on the fly" : "");
	}
	m->trained = m->attention == DAMF_ATTENTION_MHSA ||
		     (src->converted && trained && !strcmp(trained, "true"));
	if (!m->trained)
		damf_model_warn(m, "%s", DAMF_NOT_TRAINED);
}

int damf_model_load_weights(struct damf_model *m, const char *dir, struct damf_error *err)
{
	struct damf_source src;
	struct loader l = { .m = m, .src = &src, .err = err };
	int r = damf_source_open(dir, &src, err);

	if (r)
		return r;
	choose_attention(m, &src);
	if (!m->no_weights)
		r = load(&l);
	damf_source_close(&src);
	return r;
}
