// SPDX-License-Identifier: MIT
/*
 * Weights from files that hold them in another form: read, looked at and packed
 * into the model's block by several threads. The walk only notes what there is
 * to do, in parts of like size; the threads take them.
 */
#include <errno.h>
#include <fenv.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend_par.h"
#include "damf_kernels.h"
#include "error.h"
#include "model.h"

#define TABLE_PARTS	16		/* at least, so that threads end at about one time */
#define TABLE_ELEMS	(1u << 20)	/* at most, of a part */

struct hand;

struct part {
	int (*read)(struct hand *hand, const struct part *part);
	struct damf_weight *w;
	struct damf_dense *pq;
	uint32_t layer;
	uint32_t rows, cols;	/* of the tensor; of a matrix: in, out */
	uint32_t first, n;	/* rows of a table that are read */
	char name[128];
};

/* What a thread works with. */
struct hand {
	struct reader *reader;
	float *raw;		/* a tensor before it is packed */
	uint64_t raw_elems;
	size_t bad;		/* the first part that failed, and why */
	struct damf_error err;
};

struct reader {
	struct damf_model *m;
	const struct damf_source *src;
	struct part *parts;
	size_t n, room;
	struct hand *hands;	/* [threads] */
	atomic_size_t bad;	/* parts behind it are left out */
};

/* ---- Parts ----------------------------------------------------------------- */

/* Room for a tensor that is packed from there; it stays for the next one. */
static float *room(struct hand *h, uint64_t elems)
{
	if (elems > h->raw_elems) {
		free(h->raw);
		h->raw = malloc(elems * sizeof(float));
		h->raw_elems = h->raw ? elems : 0;
	}
	if (!h->raw)
		damf_error_set(&h->err, -ENOMEM, "no memory for a tensor of %llu MiB",
			       (unsigned long long)(elems >> 18));
	return h->raw;
}

static float *scales_at(const struct damf_model *m, const struct damf_weight *w)
{
	return (float *)((char *)m->blocks[w->place].base + w->scales);
}

static int read_vector(struct hand *h, const struct part *p)
{
	return damf_source_read(h->reader->src, p->name, p->cols, 0,
				damf_model_at(h->reader->m, p->w), &h->err);
}

/* bf16 has the range of f32, but its largest number is a little smaller. */
static int check_bf16(struct hand *h, const struct part *p, const uint16_t *x, uint64_t n)
{
	uint64_t i = damf_finite_bf16(x, n);

	if (i == n)
		return 0;
	return damf_error_set(&h->err, -EINVAL,
			      "tensor \"%.100s\": element %llu is too large for bf16: use --dtype f32",
			      p->name, (unsigned long long)(i + (uint64_t)p->first * p->cols));
}

static int read_table(struct hand *h, const struct part *p)
{
	struct damf_model *m = h->reader->m;
	uint64_t cols = p->cols, n = p->n * cols, i;
	char *to = (char *)damf_model_at(m, p->w) + p->first * p->w->stride;
	float *raw = p->w->type == DAMF_TYPE_F32 ? (float *)to : room(h, n);
	int r = raw ? damf_source_read_rows(h->reader->src, p->name, p->rows, p->cols, p->first,
					    p->n, raw, &h->err) : -ENOMEM;

	if (r || p->w->type == DAMF_TYPE_F32)
		return r;
	if (p->w->type == DAMF_TYPE_BF16) {
		damf_row_bf16((uint16_t *)to, raw, n);
		return check_bf16(h, p, (uint16_t *)to, n);
	}
	for (i = 0; i < p->n; i++)
		scales_at(m, p->w)[p->first + i] = damf_row_i8((int8_t *)to + i * cols,
							       raw + i * cols, cols);
	return 0;
}

static int read_matrix(struct hand *h, const struct part *p)
{
	struct damf_model *m = h->reader->m;
	uint32_t in = p->rows, out = p->cols;
	float *raw = room(h, (uint64_t)in * out);
	void *to = damf_model_at(m, p->w);
	int r = raw ? damf_source_read_matrix(h->reader->src, p->name, out, in, raw, &h->err) :
		      -ENOMEM;

	if (r)
		return r;
	switch (p->w->type) {
	case DAMF_TYPE_BF16:
		damf_pack_bf16(to, raw, in, in, out);
		return check_bf16(h, p, to, damf_packed_elems(in, out));
	case DAMF_TYPE_I8:
		damf_pack_i8(to, scales_at(m, p->w), raw, in, in, out);
		return 0;
	default:
		damf_pack_f32(to, raw, in, in, out);
		return 0;
	}
}

static int fuse(struct hand *h, const struct part *p)
{
	struct damf_model *m = h->reader->m;
	struct damf_fuse_args args = {
		.heads = m->config.heads, .width = m->config.width,
		.rank = p->cols / (2 * m->config.heads), .errors = m->load.keep_fused,
	};
	struct damf_fused f;
	int r = damf_fuse_layer(h->reader->src, p->layer, &args, &f, &h->err);

	if (r)
		return r;
	damf_pack_f32(damf_model_at(m, &p->pq->w), f.weight, m->config.width, m->config.width,
		      p->cols);
	memcpy(damf_model_at(m, &p->pq->b), f.bias, p->cols * sizeof(float));
	if (m->fused)
		m->fused[p->layer] = f;
	else
		damf_fused_free(&f);
	return 0;
}

static int read_pq(struct hand *h, const struct part *p)
{
	const struct damf_source *src = h->reader->src;
	struct damf_model *m = h->reader->m;
	uint32_t d = m->config.width, n = p->cols;
	char name[64];
	float *raw;
	int r;

	if (m->on_the_fly)
		return fuse(h, p);
	snprintf(name, sizeof(name), DAMF_ST_PQ_WEIGHT, p->layer);
	raw = room(h, (uint64_t)d * n);
	r = raw ? damf_source_read_matrix(src, name, n, d, raw, &h->err) : -ENOMEM;
	if (r)
		return r;
	damf_pack_f32(damf_model_at(m, &p->pq->w), raw, d, d, n);
	snprintf(name, sizeof(name), DAMF_ST_PQ_BIAS, p->layer);
	return damf_source_read(src, name, n, 0, damf_model_at(m, &p->pq->b), &h->err);
}

static int fill_heads(struct hand *h, const struct part *p)
{
	damf_fill_heads(h->reader->m, p->w, p->layer);
	return 0;
}

/* ---- The walk --------------------------------------------------------------- */

static int note(const struct damf_walk *walk, const struct part *part, const char *name)
{
	struct reader *r = walk->ctx;
	struct part *parts;

	if (r->n == r->room) {
		r->room = r->room ? 2 * r->room : 128;
		parts = realloc(r->parts, r->room * sizeof(*parts));
		if (!parts)
			return -ENOMEM;
		r->parts = parts;
	}
	parts = &r->parts[r->n++];
	*parts = *part;
	snprintf(parts->name, sizeof(parts->name), "%s", name);
	return 0;
}

static int note_vector(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		       uint32_t n)
{
	return note(walk, &(struct part){ .read = read_vector, .w = w, .cols = n }, name);
}

static int note_table(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t rows, uint32_t cols)
{
	struct part part = { .read = read_table, .w = w, .rows = rows, .cols = cols };
	uint32_t some = rows / TABLE_PARTS + 1;
	int r = 0;

	if ((uint64_t)some * cols > TABLE_ELEMS)
		some = cols < TABLE_ELEMS ? TABLE_ELEMS / cols : 1;
	for (; part.first < rows && !r; part.first += some) {
		part.n = rows - part.first < some ? rows - part.first : some;
		r = note(walk, &part, name);
	}
	return r;
}

static int note_matrix(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		       uint32_t in, uint32_t out)
{
	return note(walk, &(struct part){ .read = read_matrix, .w = w, .rows = in, .cols = out },
		    name);
}

static int note_pq(const struct damf_walk *walk, struct damf_dense *pq, uint32_t layer)
{
	return note(walk, &(struct part){ .read = read_pq, .pq = pq, .layer = layer,
					  .cols = pq->w.cols }, "");
}

static int note_heads(const struct damf_walk *walk, struct damf_weight *w, uint32_t layer)
{
	return note(walk, &(struct part){ .read = fill_heads, .w = w, .layer = layer }, "");
}

/* ---- All of it ---------------------------------------------------------------- */

/* Parts before one that failed are read all the same: the first error is told. */
static void read_part(void *arg, size_t i, unsigned int worker)
{
	struct reader *r = arg;
	struct hand *h = &r->hands[worker];
	size_t bad = atomic_load(&r->bad);

	if (i > bad)
		return;
	fesetenv(FE_DFL_ENV);
	if (!r->parts[i].read(h, &r->parts[i]))
		return;
	h->bad = i;
	while (i < bad && !atomic_compare_exchange_weak(&r->bad, &bad, i))
		;
}

static int read_parts(struct reader *r, struct damf_par *par, struct damf_error *err)
{
	size_t bad = r->n;
	unsigned int i;
	int code = 0;

	r->hands = calloc(par->threads, sizeof(*r->hands));
	if (!r->hands)
		return damf_error_set(err, -ENOMEM, "no memory for a model");
	atomic_init(&r->bad, r->n);
	for (i = 0; i < par->threads; i++)
		r->hands[i] = (struct hand){ .reader = r, .bad = r->n };
	par->run(par, read_part, r, r->n);
	for (i = 0; i < par->threads; i++) {
		struct hand *h = &r->hands[i];

		if (h->bad < bad) {
			bad = h->bad;
			code = damf_error_set(err, h->err.code, "%s", h->err.text);
		}
		free(h->raw);
	}
	free(r->hands);
	return code;
}

int damf_read_weights(struct damf_model *m, const struct damf_source *src, struct damf_error *err)
{
	struct reader reader = { .m = m, .src = src };
	const struct damf_walk walk = {
		.m = m, .ctx = &reader, .vector = note_vector, .table = note_table,
		.matrix = note_matrix, .pq = note_pq, .heads = note_heads,
	};
	struct damf_par *par;
	int r = damf_par_new(&par, m->load.threads, err);

	if (r)
		return r;
	if (damf_walk_model(&walk))
		r = damf_error_set(err, -ENOMEM, "no memory for a model");
	else
		r = read_parts(&reader, par, err);
	damf_pool_free(par);
	free(reader.parts);
	return r;
}
