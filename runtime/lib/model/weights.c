// SPDX-License-Identifier: MIT
/*
 * Weights: from the files into one block (reader.c), packed as the device reads
 * them, so that bringing a model to a device is one copy. A packed file is that block
 * already, and is mapped (mapped.c) unless another type is asked for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "damf_kernels.h"
#include "error.h"
#include "model.h"

#define ALIGN(n) (((uint64_t)(n) + 63) / 64 * 64)

/* ---- Placing -------------------------------------------------------------- */

static uint64_t take(struct damf_model *m, uint64_t bytes)
{
	uint64_t at = m->blocks[DAMF_OWN].size;

	m->blocks[DAMF_OWN].size += ALIGN(bytes);
	return at;
}

static void place_rows(struct damf_model *m, struct damf_weight *w, uint32_t rows, uint32_t cols,
		       unsigned int type)
{
	uint64_t stride = (uint64_t)cols * damf_type_size(type);

	m->parameters += (uint64_t)rows * cols;
	*w = (struct damf_weight){
		.at = take(m, rows * stride), .rows = rows, .cols = cols, .stride = stride,
		.type = (uint16_t)type, .layout = DAMF_LAYOUT_ROWS, .place = DAMF_OWN,
	};
	if (type == DAMF_TYPE_I8)
		w->scales = take(m, (uint64_t)rows * sizeof(float));
}

static void place_panels(struct damf_model *m, struct damf_weight *w, uint32_t in, uint32_t out,
			 unsigned int type)
{
	m->parameters += (uint64_t)in * out;
	*w = (struct damf_weight){
		.at = take(m, damf_packed_size((enum damf_k_type)type, in, out)),
		.rows = in, .cols = out, .type = (uint16_t)type,
		.layout = DAMF_LAYOUT_PANEL32, .place = DAMF_OWN,
	};
	if (type == DAMF_TYPE_I8)
		w->scales = take(m, (uint64_t)out * sizeof(float));
}

static int place_vector(const struct damf_walk *walk, struct damf_weight *w, const char *name,
			uint32_t n)
{
	(void)name;
	place_rows(walk->m, w, 1, n, DAMF_TYPE_F32);
	return 0;
}

static int place_table(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		       uint32_t rows, uint32_t cols)
{
	(void)name;
	place_rows(walk->m, w, rows, cols, damf_type_of(walk->m->dtype));
	return 0;
}

static int place_matrix(const struct damf_walk *walk, struct damf_weight *w, const char *name,
			uint32_t in, uint32_t out)
{
	(void)name;
	place_panels(walk->m, w, in, out, damf_type_of(walk->m->dtype));
	return 0;
}

static int place_pq(const struct damf_walk *walk, struct damf_dense *pq, uint32_t layer)
{
	uint32_t n = walk->m->layers[layer].npq;

	place_panels(walk->m, &pq->w, walk->m->config.width, n, DAMF_TYPE_F32);
	place_rows(walk->m, &pq->b, 1, n, DAMF_TYPE_F32);
	return 0;
}

int damf_place_heads(const struct damf_walk *walk, struct damf_weight *w, uint32_t layer)
{
	(void)layer;
	*w = (struct damf_weight){
		.at = take(walk->m, walk->m->config.heads * sizeof(struct damf_head)),
		.rows = walk->m->config.heads, .cols = sizeof(struct damf_head),
		.stride = sizeof(struct damf_head), .type = DAMF_TYPE_BYTES,
		.layout = DAMF_LAYOUT_ROWS, .place = DAMF_OWN,
	};
	return 0;
}

void damf_fill_heads(const struct damf_model *m, const struct damf_weight *w, uint32_t layer)
{
	memcpy(damf_model_at(m, w), m->layers[layer].table, w->rows * w->stride);
}

/* ---- The model --------------------------------------------------------------- */

static int allocate(struct damf_model *m, struct damf_error *err)
{
	struct damf_block *own = &m->blocks[DAMF_OWN];

	own->size = (own->size + DAMF_PAGE_SIZE - 1) & ~(DAMF_PAGE_SIZE - 1);
	own->base = damf_pages_alloc(own->size);
	if (own->base)
		return 0;
	return damf_error_set(err, -ENOMEM, "no memory for a model of %llu MiB",
			      (unsigned long long)(own->size >> 20));
}

static int read_all(struct damf_model *m, const struct damf_source *src, struct damf_error *err)
{
	const struct damf_walk place = {
		.m = m, .vector = place_vector, .table = place_table, .matrix = place_matrix,
		.pq = place_pq, .heads = damf_place_heads,
	};
	int r;

	damf_walk_model(&place);
	r = allocate(m, err);
	return r ? r : damf_read_weights(m, src, err);
}

static int map_all(struct damf_model *m, const struct damf_source *src, struct damf_error *err)
{
	uint32_t i;
	int r = damf_model_map_weights(m, src, err);

	if (!r)
		r = allocate(m, err);
	for (i = 0; i < m->config.layers && !r; i++)
		damf_fill_heads(m, &m->layers[i].heads, i);
	return r;
}

const char *damf_dtype_name(enum damf_dtype dtype)
{
	return dtype == DAMF_DTYPE_INT8 ? "int8" : dtype == DAMF_DTYPE_BF16 ? "bf16" : "f32";
}

const char *damf_xtype_name(enum damf_xtype xtype)
{
	return xtype == DAMF_XTYPE_INT16 ? "int16" : xtype == DAMF_XTYPE_INT8 ? "int8" : "";
}

/* Which types there are to be. */
static int choose_types(struct damf_model *m, const struct damf_source *src,
			struct damf_error *err)
{
	const char *path = src->set.files[0]->path;

	m->dtype = m->load.dtype ? m->load.dtype : src->dtype;
	if (src->dtype == DAMF_DTYPE_INT8 && m->dtype != src->dtype)
		return damf_error_set(err, -EINVAL,
				      "%s: its matrices are int8: for %s take the model that it was converted from",
				      path, damf_dtype_name(m->dtype));
	if (m->load.xtype && m->dtype != DAMF_DTYPE_INT8)
		return damf_error_set(err, -EINVAL,
				      "%s: the type of activations can be chosen for int8 matrices, these are %s: leave --xtype out, or use --dtype int8",
				      path, damf_dtype_name(m->dtype));
	m->xtype = m->load.xtype ? m->load.xtype : src->xtype;
	if (m->dtype == DAMF_DTYPE_INT8 && !m->xtype)
		m->xtype = DAMF_XTYPE_INT8;
	return 0;
}

int damf_model_load_weights(struct damf_model *m, const char *dir, struct damf_error *err)
{
	struct damf_source src;
	int r = damf_source_open(dir, &src, err);

	if (r)
		return r;
	m->converted = src.converted;
	m->packed = src.packed;
	m->classify = damf_source_has(&src, "classifier.weight") && m->config.labels;
	r = choose_types(m, &src, err);
	if (!r)
		r = damf_model_choose_attention(m, &src, err);
	if (!r && m->load.keep_fused && m->on_the_fly) {
		m->fused = calloc(m->config.layers, sizeof(*m->fused));
		if (!m->fused)
			r = damf_error_set(err, -ENOMEM, "no memory for a model");
	}
	if (!r && !m->load.no_weights)
		r = m->packed && m->dtype == src.dtype ? map_all(m, &src, err) :
							  read_all(m, &src, err);
	damf_source_close(&src);
	return r;
}
