// SPDX-License-Identifier: MIT
/*
 * Weights: from the files into one block, packed as the device reads them, so
 * that bringing a model to a device is one copy. A packed file is that block
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

struct loader {
	const struct damf_source *src;
	struct damf_error *err;
	float *raw;		/* a tensor before it is packed */
	uint64_t raw_elems;
};

static struct loader *loader_of(const struct damf_walk *walk)
{
	return walk->ctx;
}

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

/* ---- Reading -------------------------------------------------------------- */

/* Room for a tensor that is packed from there; it stays for the next one. */
static float *room(struct loader *l, uint64_t elems)
{
	if (elems > l->raw_elems) {
		free(l->raw);
		l->raw = malloc(elems * sizeof(float));
		l->raw_elems = l->raw ? elems : 0;
	}
	if (!l->raw)
		damf_error_set(l->err, -ENOMEM, "no memory for a tensor of %llu MiB",
			       (unsigned long long)(elems >> 18));
	return l->raw;
}

static float *scales_at(const struct damf_model *m, const struct damf_weight *w)
{
	return (float *)((char *)m->blocks[w->place].base + w->scales);
}

static int read_vector(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		       uint32_t n)
{
	struct loader *l = loader_of(walk);

	return damf_source_read(l->src, name, n, 0, damf_model_at(walk->m, w), l->err);
}

/* bf16 has the range of f32, but its largest number is a little smaller. */
static int check_bf16(struct loader *l, const uint16_t *x, uint64_t n, const char *name)
{
	uint64_t i = damf_finite_bf16(x, n);

	if (i == n)
		return 0;
	return damf_error_set(l->err, -EINVAL,
			      "tensor \"%.100s\": element %llu is too large for bf16: use --dtype f32",
			      name, (unsigned long long)i);
}

static int read_table(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t rows, uint32_t cols)
{
	struct loader *l = loader_of(walk);
	uint64_t n = (uint64_t)rows * cols, i;
	void *to = damf_model_at(walk->m, w);
	float *raw;
	int r;

	if (w->type == DAMF_TYPE_F32)
		return damf_source_read(l->src, name, rows, cols, to, l->err);
	raw = room(l, n);
	r = raw ? damf_source_read(l->src, name, rows, cols, raw, l->err) : -ENOMEM;
	if (r)
		return r;
	if (w->type == DAMF_TYPE_BF16) {
		damf_row_bf16(to, raw, n);
		return check_bf16(l, to, n, name);
	}
	for (i = 0; i < rows; i++)
		scales_at(walk->m, w)[i] = damf_row_i8((int8_t *)to + i * cols, raw + i * cols, cols);
	return 0;
}

static int read_matrix(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		       uint32_t in, uint32_t out)
{
	struct loader *l = loader_of(walk);
	float *raw = room(l, (uint64_t)in * out);
	void *to = damf_model_at(walk->m, w);
	int r = raw ? damf_source_read_matrix(l->src, name, out, in, raw, l->err) : -ENOMEM;

	if (r)
		return r;
	switch (w->type) {
	case DAMF_TYPE_BF16:
		damf_pack_bf16(to, raw, in, in, out);
		return check_bf16(l, to, damf_packed_elems(in, out), name);
	case DAMF_TYPE_I8:
		damf_pack_i8(to, scales_at(walk->m, w), raw, in, in, out);
		return 0;
	default:
		damf_pack_f32(to, raw, in, in, out);
		return 0;
	}
}

static int fuse(const struct damf_walk *walk, struct damf_dense *pq, uint32_t layer)
{
	struct damf_model *m = walk->m;
	struct loader *l = loader_of(walk);
	struct damf_fuse_args args = {
		.heads = m->config.heads, .width = m->config.width,
		.rank = pq->w.cols / (2 * m->config.heads), .errors = m->load.keep_fused,
	};
	struct damf_fused f;
	int r = damf_fuse_layer(l->src, layer, &args, &f, l->err);

	if (r)
		return r;
	damf_pack_f32(damf_model_at(m, &pq->w), f.weight, m->config.width, m->config.width,
		      pq->w.cols);
	memcpy(damf_model_at(m, &pq->b), f.bias, pq->b.cols * sizeof(float));
	if (m->fused)
		m->fused[layer] = f;
	else
		damf_fused_free(&f);
	return 0;
}

static int read_pq(const struct damf_walk *walk, struct damf_dense *pq, uint32_t layer)
{
	struct loader *l = loader_of(walk);
	uint32_t d = walk->m->config.width, n = pq->w.cols;
	char name[64];
	float *raw;
	int r;

	if (walk->m->on_the_fly)
		return fuse(walk, pq, layer);
	snprintf(name, sizeof(name), DAMF_ST_PQ_WEIGHT, layer);
	raw = room(l, (uint64_t)d * n);
	r = raw ? damf_source_read_matrix(l->src, name, n, d, raw, l->err) : -ENOMEM;
	if (r)
		return r;
	damf_pack_f32(damf_model_at(walk->m, &pq->w), raw, d, d, n);
	snprintf(name, sizeof(name), DAMF_ST_PQ_BIAS, layer);
	return damf_source_read(l->src, name, n, 0, damf_model_at(walk->m, &pq->b), l->err);
}

static int fill_heads(const struct damf_walk *walk, struct damf_weight *w, uint32_t layer)
{
	memcpy(damf_model_at(walk->m, w), walk->m->layers[layer].table, w->rows * w->stride);
	return 0;
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
	static const struct damf_walk place = {
		.vector = place_vector, .table = place_table, .matrix = place_matrix,
		.pq = place_pq, .heads = damf_place_heads,
	};
	static const struct damf_walk read = {
		.vector = read_vector, .table = read_table, .matrix = read_matrix,
		.pq = read_pq, .heads = fill_heads,
	};
	struct loader l = { .src = src, .err = err };
	struct damf_walk walk = place;
	int r;

	walk.m = m;
	damf_walk_model(&walk);
	r = allocate(m, err);
	walk = read;
	walk.m = m;
	walk.ctx = &l;
	if (!r)
		r = damf_walk_model(&walk);
	free(l.raw);
	return r;
}

static int map_all(struct damf_model *m, const struct damf_source *src, struct damf_error *err)
{
	const struct damf_walk walk = { .m = m };
	uint32_t i;
	int r = damf_model_map_weights(m, src, err);

	if (!r)
		r = allocate(m, err);
	for (i = 0; i < m->config.layers && !r; i++)
		r = fill_heads(&walk, &m->layers[i].heads, i);
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
