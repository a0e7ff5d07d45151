// SPDX-License-Identifier: MIT
/* A model's weights as a file: in the form that a device reads, or as they were. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "model.h"

/* Tensors to be written, and the names of those that are ours. */
struct list {
	struct damf_st_out *outs;
	char **names;
	size_t n, room;
	float *const *singular;
};

static int no_memory(struct damf_error *err)
{
	return damf_error_set(err, -ENOMEM, "no memory to write a model");
}

static int grow(struct list *l)
{
	size_t room = l->room ? 2 * l->room : 256;
	struct damf_st_out *outs;
	char **names;

	if (l->n < l->room)
		return 0;
	outs = realloc(l->outs, room * sizeof(*outs));
	if (outs)
		l->outs = outs;
	names = realloc(l->names, room * sizeof(*names));
	if (names)
		l->names = names;
	if (!outs || !names)
		return -ENOMEM;
	l->room = room;
	return 0;
}

/* Adds *out under a name of ours, or under its own if name is NULL. */
static int add(struct list *l, const struct damf_st_out *out, const char *name)
{
	char *copy = NULL;

	if (grow(l) || (name && !(copy = strdup(name))))
		return -ENOMEM;
	l->names[l->n] = copy;
	l->outs[l->n] = *out;
	if (copy)
		l->outs[l->n].name = copy;
	l->n++;
	return 0;
}

static int add_data(struct list *l, const char *name, const char *dtype, unsigned int rank,
		    const uint64_t *shape, const void *data)
{
	struct damf_st_out out = { .dtype = damf_st_dtype(dtype), .rank = rank, .data = data };

	memcpy(out.shape, shape, rank * sizeof(*shape));
	return add(l, &out, name);
}

static int add_table(struct list *l, const char *format, uint32_t layer, const char *dtype,
		     uint64_t rows, uint64_t cols, const void *data)
{
	const uint64_t shape[] = { rows, cols };
	char name[64];

	snprintf(name, sizeof(name), format, layer);
	return add_data(l, name, dtype, cols ? 2 : 1, shape, data);
}

/* What both forms have of a layer's attention. */
static int add_heads(struct list *l, const struct damf_model *m, uint32_t layer)
{
	const struct damf_config *c = &m->config;
	int r = add_table(l, DAMF_ST_HEADS, layer, "U8", c->heads, sizeof(struct damf_head),
			  m->layers[layer].table);

	if (!r && l->singular[layer])
		r = add_table(l, DAMF_ST_SINGULAR, layer, "F32", c->heads, c->width / c->heads,
			      l->singular[layer]);
	return r;
}

static void release(struct list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->names[i]);
	free(l->names);
	free(l->outs);
}

/* ---- Packed -------------------------------------------------------------------- */

static const char *type_name(unsigned int type)
{
	return type == DAMF_TYPE_I8 ? "I8" : type == DAMF_TYPE_BF16 ? "BF16" : "F32";
}

static int pack_scales(const struct damf_walk *walk, const struct damf_weight *w,
		       const char *name, uint64_t n)
{
	const char *base = walk->m->blocks[w->place].base;
	char full[192];

	if (w->type != DAMF_TYPE_I8)
		return 0;
	snprintf(full, sizeof(full), "%s%s", name, DAMF_ST_SCALE);
	return add_data(walk->ctx, full, "F32", 1, &n, base + w->scales);
}

static int pack_vector(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		       uint32_t n)
{
	const uint64_t shape[] = { n };

	return add_data(walk->ctx, name, "F32", 1, shape, damf_model_at(walk->m, w));
}

static int pack_table(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t rows, uint32_t cols)
{
	const uint64_t shape[] = { rows, cols };
	int r = add_data(walk->ctx, name, type_name(w->type), 2, shape,
			 damf_model_at(walk->m, w));

	return r ? r : pack_scales(walk, w, name, rows);
}

static int pack_matrix(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		       uint32_t in, uint32_t out)
{
	uint64_t shape[4];
	char full[192];
	unsigned int rank = damf_panel_shape(w->type, in, out, shape);
	int r;

	snprintf(full, sizeof(full), "%s%s", name, DAMF_ST_PANEL);
	r = add_data(walk->ctx, full, type_name(w->type), rank, shape,
		     damf_model_at(walk->m, w));
	return r ? r : pack_scales(walk, w, name, out);
}

static int pack_pq(const struct damf_walk *walk, struct damf_dense *pq, uint32_t layer)
{
	char name[64];
	int r;

	snprintf(name, sizeof(name), DAMF_ST_PQ_WEIGHT, layer);
	r = pack_matrix(walk, &pq->w, name, pq->w.rows, pq->w.cols);
	snprintf(name, sizeof(name), DAMF_ST_PQ_BIAS, layer);
	return r ? r : pack_vector(walk, &pq->b, name, pq->b.cols);
}

static int pack_heads(const struct damf_walk *walk, struct damf_weight *w, uint32_t layer)
{
	(void)w;
	return add_heads(walk->ctx, walk->m, layer);
}

int damf_emit_packed(struct damf_model *m, float *const *singular, const char *path,
		     json_t *metadata, struct damf_error *err)
{
	struct list l = { .singular = singular };
	const struct damf_walk walk = {
		.m = m, .ctx = &l, .vector = pack_vector, .table = pack_table,
		.matrix = pack_matrix, .pq = pack_pq, .heads = pack_heads,
	};
	int r = damf_walk_model(&walk);

	if (r)
		r = no_memory(err);
	else
		r = damf_st_write_aligned(path, l.outs, l.n, metadata, err);
	release(&l);
	return r;
}

/* ---- Plain --------------------------------------------------------------------- */

static bool ours(const char *name)
{
	return !strncmp(name, "damf.", 5);
}

/* Whether a tensor is a query or key that no head of its layer needs. */
static bool not_needed(const struct damf_model *m, const char *name)
{
	static const char *const parts[] = { "query.weight", "query.bias", "key.weight", "key.bias" };
	unsigned int layer, i;
	int at = 0;

	if (!strncmp(name, "bert.", 5))
		name += 5;
	if (sscanf(name, "encoder.layer.%u.attention.self.%n", &layer, &at) != 1 || !at ||
	    layer >= m->config.layers || m->layers[layer].exact)
		return false;
	for (i = 0; i < 4; i++)
		if (!strcmp(name + at, parts[i]))
			return true;
	return false;
}

static int copy_tensor(struct list *l, const struct damf_st_file *file,
		       const struct damf_st_tensor *t)
{
	struct damf_st_out out = {
		.name = t->name, .dtype = t->dtype, .rank = t->rank, .from = file, .tensor = t,
	};

	memcpy(out.shape, t->shape, sizeof(out.shape));
	return add(l, &out, NULL);
}

static int copy_original(struct list *l, const struct damf_model *m,
			 const struct damf_source *src, bool drop_exact)
{
	size_t f, i;
	int r = 0;

	for (f = 0; f < src->set.n; f++) {
		const struct damf_st_file *file = src->set.files[f];

		for (i = 0; i < file->n && !r; i++) {
			const struct damf_st_tensor *t = &file->tensors[i];

			if (!ours(t->name) && !(drop_exact && not_needed(m, t->name)))
				r = copy_tensor(l, file, t);
		}
	}
	return r;
}

/* u and v, from where they come from. */
static int plain_pq(struct list *l, const struct damf_model *m, const struct damf_source *src,
		    uint32_t layer)
{
	static const char *const formats[] = { DAMF_ST_PQ_WEIGHT, DAMF_ST_PQ_BIAS };
	const struct damf_fused *f = m->fused ? &m->fused[layer] : NULL;
	const struct damf_st_tensor *t;
	const struct damf_st_file *file;
	uint32_t n = m->layers[layer].npq;
	char name[64];
	int i, r = 0;

	if (f) {
		r = add_table(l, formats[0], layer, "F32", n, m->config.width, f->weight);
		return r ? r : add_table(l, formats[1], layer, "F32", n, 0, f->bias);
	}
	for (i = 0; i < 2 && !r; i++) {
		snprintf(name, sizeof(name), formats[i], layer);
		t = damf_source_find(src, name, &file);
		r = t ? copy_tensor(l, file, t) : -EINVAL;
	}
	return r;
}

int damf_emit_plain(struct damf_model *m, const struct damf_source *src, float *const *singular,
		    bool drop_exact, const char *path, json_t *metadata, struct damf_error *err)
{
	struct list l = { .singular = singular };
	uint32_t i;
	int r = copy_original(&l, m, src, drop_exact);

	for (i = 0; i < m->config.layers && !r; i++) {
		r = add_heads(&l, m, i);
		if (!r && m->layers[i].npq)
			r = plain_pq(&l, m, src, i);
	}
	if (r)
		r = no_memory(err);
	else
		r = damf_st_write(path, l.outs, l.n, metadata, err);
	release(&l);
	return r;
}
