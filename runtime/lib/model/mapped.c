// SPDX-License-Identifier: MIT
/*
 * Weights in a packed file: used where the file is mapped, after every tensor
 * has been checked. Its size is, too: a mapping beyond the end of a file kills
 * who reads there.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "backend_par.h"
#include "damf_kernels.h"
#include "error.h"
#include "model.h"

#define NOT_FINITE "holds what is not a finite number"

#define SLICE (1u << 19)	/* elements */

/* Numbers that a thread looks at. */
struct slice {
	const struct damf_st_tensor *t;
	const char *at;
	uint64_t n;
};

struct mapper {
	const struct damf_source *src;
	struct damf_error *err;
	struct slice *slices;
	size_t n, room;
	atomic_size_t bad;	/* the first one with what isn't finite; n: none yet */
};

static int bad(const struct damf_walk *walk, const struct damf_st_tensor *t, const char *what)
{
	const struct mapper *map = walk->ctx;

	return damf_error_set(map->err, -EINVAL,
			      "%s: tensor \"%.100s\" %s: the model was converted wrongly, convert the original one again",
			      map->src->set.files[0]->path, t->name, what);
}

/* A tensor of exactly this type and shape; where it begins. */
static int find(const struct damf_walk *walk, const char *name, const char *dtype,
		unsigned int rank, const uint64_t *shape, const struct damf_st_tensor **t,
		const void **at)
{
	const struct mapper *map = walk->ctx;
	const struct damf_st_file *file;
	int r = damf_source_need(map->src, name, rank, shape, &file, t, map->err);

	if (r)
		return r;
	if (strcmp((*t)->dtype->name, dtype))
		return damf_error_set(map->err, -EINVAL,
				      "%s: tensor \"%.100s\" is of type %s, not %s: the model was converted wrongly, convert the original one again",
				      file->path, (*t)->name, (*t)->dtype->name, dtype);
	if ((*t)->offset % 64)
		return bad(walk, *t, "does not begin at a multiple of 64 bytes");
	*at = (const char *)walk->m->blocks[DAMF_FILE].base + (*t)->offset;
	return 0;
}

/* ---- Contents ------------------------------------------------------------------ */

static int note_slice(struct mapper *map, const struct slice *slice)
{
	struct slice *slices;

	if (map->n == map->room) {
		map->room = map->room ? 2 * map->room : 128;
		slices = realloc(map->slices, map->room * sizeof(*slices));
		if (!slices)
			return damf_error_set(map->err, -ENOMEM, "no memory for a model");
		map->slices = slices;
	}
	map->slices[map->n++] = *slice;
	return 0;
}

/* Of a tensor that holds numbers all are to be looked at. */
static int note_finite(const struct damf_walk *walk, const struct damf_st_tensor *t, const void *at)
{
	struct slice slice = { .t = t, .at = at };
	uint64_t done;
	int r = 0;

	for (done = 0; t->dtype->bits > 8 && done < t->elems && !r; done += slice.n) {
		slice.at = (const char *)at + done * (t->dtype->bits / 8);
		slice.n = t->elems - done < SLICE ? t->elems - done : SLICE;
		r = note_slice(walk->ctx, &slice);
	}
	return r;
}

static void look(void *arg, size_t i, unsigned int worker)
{
	struct mapper *map = arg;
	const struct slice *s = &map->slices[i];
	size_t bad = atomic_load(&map->bad);

	(void)worker;
	if (i > bad || (s->t->dtype->bits == 32 ? damf_finite_f32(s->at, s->n) :
						  damf_finite_bf16(s->at, s->n)) == s->n)
		return;
	while (i < bad && !atomic_compare_exchange_weak(&map->bad, &bad, i))
		;
}

/* Every page of the file is read here: by several threads, as much as memory gives. */
static int check_finite(const struct damf_walk *walk)
{
	struct mapper *map = walk->ctx;
	struct damf_par *par;
	int r = damf_par_new(&par, walk->m->load.threads, map->err);

	if (r)
		return r;
	atomic_init(&map->bad, map->n);
	par->run(par, look, map, map->n);
	damf_pool_free(par);
	if (map->bad == map->n)
		return 0;
	return bad(walk, map->slices[map->bad].t, NOT_FINITE);
}

/* The factors of int8. */
static int map_scales(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t n)
{
	const uint64_t shape[] = { n };
	const struct damf_st_tensor *t;
	const void *at;
	char full[192];
	uint32_t i;
	int r;

	snprintf(full, sizeof(full), "%s%s", name, DAMF_ST_SCALE);
	r = find(walk, full, "F32", 1, shape, &t, &at);
	if (!r && damf_finite_f32(at, n) < n)
		r = bad(walk, t, NOT_FINITE);
	for (i = 0; i < n && !r; i++)
		if (!(((const float *)at)[i] > 0))
			r = bad(walk, t, "holds a factor that is not above 0");
	if (!r)
		w->scales = t->offset;
	return r;
}

unsigned int damf_panel_shape(unsigned int type, uint32_t in, uint32_t out, uint64_t *shape)
{
	shape[0] = (out + DAMF_PANEL - 1ull) / DAMF_PANEL;
	shape[1] = type == DAMF_TYPE_I8 ? (in + 3ull) / 4 : in;
	shape[2] = DAMF_PANEL;
	shape[3] = 4;
	return type == DAMF_TYPE_I8 ? 4 : 3;
}

/* ---- Tensors --------------------------------------------------------------------- */

static const char *const type_names[] = {
	[DAMF_TYPE_F32] = "F32", [DAMF_TYPE_I8] = "I8", [DAMF_TYPE_BF16] = "BF16",
};

static int map_rows(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		    unsigned int rank, uint32_t rows, uint32_t cols, unsigned int type)
{
	const uint64_t shape[] = { rank == 1 ? cols : rows, cols };
	const struct damf_st_tensor *t;
	const void *at;
	int r = find(walk, name, type_names[type], rank, shape, &t, &at);

	if (!r)
		r = note_finite(walk, t, at);
	if (r)
		return r;
	walk->m->parameters += (uint64_t)rows * cols;
	*w = (struct damf_weight){
		.at = t->offset, .rows = rows, .cols = cols,
		.stride = (uint64_t)cols * damf_type_size(type), .type = (uint16_t)type,
		.layout = DAMF_LAYOUT_ROWS, .place = DAMF_FILE,
	};
	return type == DAMF_TYPE_I8 ? map_scales(walk, w, name, rows) : 0;
}

static bool all_zero(const unsigned char *x, size_t n)
{
	unsigned char any = 0;
	size_t i;

	for (i = 0; i < n; i++)
		any |= x[i];
	return !any;
}

/* Behind the last output of the last panel; steps of a panel are of inputs, in I8 of four. */
static bool outputs_zero(const unsigned char *panels, uint64_t steps, size_t elem, uint32_t out)
{
	const unsigned char *last = panels + (out - 1) / DAMF_PANEL * steps * DAMF_PANEL * elem;
	size_t used = out % DAMF_PANEL * elem;
	uint64_t i;

	for (i = 0; used && i < steps; i++)
		if (!all_zero(last + i * DAMF_PANEL * elem + used, DAMF_PANEL * elem - used))
			return false;
	return true;
}

/* Behind the last input, in I8: of each output's last four. */
static bool inputs_zero(const unsigned char *panels, uint64_t steps, uint32_t in, uint32_t out)
{
	uint64_t n, panel = steps * DAMF_PANEL * 4;

	for (n = 0; in % 4 && n < out; n++)
		if (!all_zero(panels + n / DAMF_PANEL * panel + panel - DAMF_PANEL * 4 +
			      n % DAMF_PANEL * 4 + in % 4, 4 - in % 4))
			return false;
	return true;
}

static int check_padding(const struct damf_walk *walk, const struct damf_st_tensor *t,
			 const void *at, uint32_t in, uint32_t out)
{
	size_t elem = t->dtype->bits == 8 ? 4 : t->dtype->bits / 8;

	if (outputs_zero(at, t->shape[1], elem, out) &&
	    (t->dtype->bits != 8 || inputs_zero(at, t->shape[1], in, out)))
		return 0;
	return bad(walk, t, "has padding that is not zero");
}

static int map_panels(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t in, uint32_t out, unsigned int type)
{
	const struct damf_st_tensor *t;
	uint64_t shape[4];
	const void *at;
	char full[192];
	int r;

	snprintf(full, sizeof(full), "%s%s", name, DAMF_ST_PANEL);
	r = find(walk, full, type_names[type], damf_panel_shape(type, in, out, shape), shape, &t,
		 &at);
	if (!r)
		r = note_finite(walk, t, at);
	if (!r)
		r = check_padding(walk, t, at, in, out);
	if (r)
		return r;
	walk->m->parameters += (uint64_t)in * out;
	*w = (struct damf_weight){
		.at = t->offset, .rows = in, .cols = out, .type = (uint16_t)type,
		.layout = DAMF_LAYOUT_PANEL32, .place = DAMF_FILE,
	};
	return type == DAMF_TYPE_I8 ? map_scales(walk, w, name, out) : 0;
}

static int map_vector(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t n)
{
	return map_rows(walk, w, name, 1, 1, n, DAMF_TYPE_F32);
}

static int map_table(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		     uint32_t rows, uint32_t cols)
{
	return map_rows(walk, w, name, 2, rows, cols, damf_type_of(walk->m->dtype));
}

static int map_matrix(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t in, uint32_t out)
{
	return map_panels(walk, w, name, in, out, damf_type_of(walk->m->dtype));
}

static int map_pq(const struct damf_walk *walk, struct damf_dense *pq, uint32_t layer)
{
	uint32_t n = walk->m->layers[layer].npq;
	char name[64];
	int r;

	snprintf(name, sizeof(name), DAMF_ST_PQ_WEIGHT, layer);
	r = map_panels(walk, &pq->w, name, walk->m->config.width, n, DAMF_TYPE_F32);
	snprintf(name, sizeof(name), DAMF_ST_PQ_BIAS, layer);
	return r ? r : map_vector(walk, &pq->b, name, n);
}

/* ---- The file ---------------------------------------------------------------------- */

static int map_file(struct damf_block *block, const struct damf_st_file *file,
		    struct damf_error *err)
{
	struct stat st;

	if (fstat(file->fd, &st) || (uint64_t)st.st_size != file->size)
		return damf_error_set(err, -EIO,
				      "%s: it changed while it was opened: a model's file is replaced by rename",
				      file->path);
	block->base = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
	if (block->base == MAP_FAILED) {
		block->base = NULL;
		return damf_error_set(err, -errno, "%s: cannot map it: %s", file->path,
				      strerror(errno));
	}
	block->size = file->size;
	return 0;
}

int damf_model_map_weights(struct damf_model *m, const struct damf_source *src,
			   struct damf_error *err)
{
	struct mapper map = { .src = src, .err = err };
	const struct damf_walk walk = {
		.m = m, .ctx = &map, .vector = map_vector, .table = map_table,
		.matrix = map_matrix, .pq = map_pq, .heads = damf_place_heads,
	};
	int r = map_file(&m->blocks[DAMF_FILE], src->set.files[0], err);

	if (!r)
		r = damf_walk_model(&walk);
	if (!r)
		r = check_finite(&walk);
	free(map.slices);
	return r;
}
