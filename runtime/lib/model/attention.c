// SPDX-License-Identifier: MIT
/* Which attention a model's heads have: the tables of its layers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "damf_core.h"
#include "error.h"
#include "model.h"

#define NOT_TRAINED \
	"DAMF attention in a model that was trained with softmax: accuracy falls; train it for DAMF, or use --attention mhsa"

struct chooser {
	struct damf_model *m;
	const struct damf_source *src;
	struct damf_error *err;
};

static unsigned int wanted(const struct damf_model *m)
{
	return damf_attention_mode(m->load.attention);
}

/* ---- Tables that the directory has ------------------------------------------------ */

static int no_table(const struct chooser *c, const char *name, const char *what)
{
	return damf_error_set(c->err, -EINVAL,
			      "%s: %s \"%s\": the model was not converted whole, convert the original one again",
			      c->src->set.files[0]->path, what, name);
}

/* A bias tells how many columns its weight has, in either form. */
static int read_columns(const struct chooser *c, const char *name, uint32_t most, uint32_t *n)
{
	const struct damf_st_file *file;
	const struct damf_st_tensor *t = damf_source_find(c->src, name, &file);

	if (!t)
		return no_table(c, name, "there is no tensor");
	if (t->rank != 1 || !t->shape[0] || t->shape[0] > most)
		return no_table(c, name, "a wrong shape of tensor");
	*n = (uint32_t)t->shape[0];
	return 0;
}

static int read_npq(const struct chooser *c, uint32_t layer, uint32_t *npq)
{
	char name[64];

	*npq = 0;
	snprintf(name, sizeof(name), DAMF_ST_PQ_WEIGHT, layer);
	if (!damf_source_has(c->src, name))
		return 0;
	snprintf(name, sizeof(name), DAMF_ST_PQ_BIAS, layer);
	return read_columns(c, name, UINT32_MAX, npq);
}

/* Q and K may have columns of the exact heads alone. */
static int read_nqk(const struct chooser *c, uint32_t layer, uint32_t *nqk)
{
	char name[96];

	*nqk = 0;
	snprintf(name, sizeof(name), "encoder.layer.%u.attention.self.key.weight", layer);
	if (!damf_source_has(c->src, name))
		return 0;
	snprintf(name, sizeof(name), "encoder.layer.%u.attention.self.query.weight", layer);
	if (!damf_source_has(c->src, name))
		return 0;
	snprintf(name, sizeof(name), "encoder.layer.%u.attention.self.query.bias", layer);
	return read_columns(c, name, c->m->config.width, nqk);
}

static int need_exact(const struct chooser *c, uint32_t layer)
{
	if (c->m->layers[layer].nqk)
		return 0;
	return damf_error_set(c->err, -EINVAL,
			      "%s: layer %u has no query and key, which mhsa needs: they were dropped when it was converted, use the original model",
			      c->src->set.files[0]->path, layer);
}

static int need_all_exact(const struct chooser *c, uint32_t layer)
{
	const struct damf_layer_weights *l = &c->m->layers[layer];

	if (!l->nqk || l->nqk == c->m->config.width)
		return need_exact(c, layer);
	return damf_error_set(c->err, -EINVAL,
			      "%s: layer %u has query and key of some heads only, mhsa needs them of all: use the original model",
			      c->src->set.files[0]->path, layer);
}

static int check_table(const struct chooser *c, uint32_t layer)
{
	const struct damf_config *config = &c->m->config;
	const struct damf_layer_weights *l = &c->m->layers[layer];
	struct damf_heads_summary s = { 0 };
	char field[48];
	unsigned int status;

	damf_heads_add(&s, l->table, config->heads);
	if (s.modes >> DAMF_MODE_MHSA & 1 && need_exact(c, layer))
		return -EINVAL;
	if (s.modes & ~(1u << DAMF_MODE_MHSA) && !l->npq)
		return damf_error_set(c->err, -EINVAL,
				      "%s: layer %u has heads with scores of low rank, but no u and v: the model was converted wrongly, convert the original one again",
				      c->src->set.files[0]->path, layer);
	status = damf_core_check_heads(l->table, config->heads, l->nqk, config->width, l->npq, field,
				       sizeof(field));
	if (!status)
		return 0;
	return damf_error_set(c->err, -EINVAL,
			      "%s: layer %u: %s is not allowed in a table of heads (%s): the model was converted wrongly, convert the original one again",
			      c->src->set.files[0]->path, layer, field, damf_status_name(status));
}

static int read_table(const struct chooser *c, uint32_t layer)
{
	const uint64_t shape[] = { c->m->config.heads, sizeof(struct damf_head) };
	const struct damf_st_tensor *t;
	const struct damf_st_file *file;
	char name[64];
	int r;

	snprintf(name, sizeof(name), DAMF_ST_HEADS, layer);
	r = damf_source_need(c->src, name, 2, shape, &file, &t, c->err);
	if (r)
		return r;
	if (strcmp(t->dtype->name, "U8"))
		return no_table(c, name, "a wrong type of tensor");
	r = damf_st_read(file, t, c->m->layers[layer].table, c->err);
	if (!r)
		r = read_npq(c, layer, &c->m->layers[layer].npq);
	if (!r)
		r = read_nqk(c, layer, &c->m->layers[layer].nqk);
	return r ? r : check_table(c, layer);
}

/* ---- Tables that are made --------------------------------------------------------- */

static int make_tables(const struct chooser *c)
{
	struct damf_model *m = c->m;
	unsigned int mode = wanted(m);
	uint32_t rank = m->load.rank ? m->load.rank : 1, order = m->load.order ? m->load.order : 1;
	uint32_t i;
	int r = damf_heads_allowed(mode, rank, order, m->config.width / m->config.heads, c->err);

	if (r)
		return r;
	m->on_the_fly = mode != DAMF_MODE_MHSA;
	for (i = 0; i < m->config.layers; i++) {
		damf_heads_make(m->layers[i].table, &m->config, mode, rank, order);
		m->layers[i].npq = m->on_the_fly ? 2 * rank * m->config.heads : 0;
	}
	return 0;
}

/* Makes the tables that were read into those of another mode; whether it changed any. */
static int remake_tables(const struct chooser *c, bool *changed)
{
	struct damf_model *m = c->m;
	size_t size = m->config.heads * sizeof(struct damf_head);
	struct damf_head *before = malloc(size);
	uint32_t i;
	int r = before ? 0 : damf_error_set(c->err, -ENOMEM, "no memory for a model");

	*changed = false;
	for (i = 0; i < m->config.layers && !r; i++) {
		memcpy(before, m->layers[i].table, size);
		if (wanted(m) == DAMF_MODE_MHSA)
			r = need_all_exact(c, i);
		if (!r)
			r = damf_heads_remake(m->layers[i].table, &m->config, wanted(m), i, c->err);
		if (!r)
			r = check_table(c, i);
		if (!r && memcmp(before, m->layers[i].table, size))
			*changed = true;
	}
	free(before);
	return r;
}

/* ---- What there is to say -------------------------------------------------------- */

static void tell(struct damf_model *m, const char *from)
{
	snprintf(m->attention_from, sizeof(m->attention_from), "%s", from);
}

/* Training for fold holds for foldshift, too, which rounds it. */
static bool exchangeable(unsigned int modes)
{
	return modes && !(modes & ~(1u << DAMF_MODE_FOLD | 1u << DAMF_MODE_FOLDSHIFT));
}

static void judge(struct damf_model *m, const struct damf_source *src,
		  const struct damf_heads_summary *was, bool changed)
{
	bool softmax = was->modes == 1u << DAMF_MODE_MHSA || !src->trained;
	unsigned int mode = wanted(m);

	if (!changed)
		m->trained = src->trained;
	else if (softmax)
		m->trained = mode == DAMF_MODE_MHSA;
	else
		m->trained = exchangeable(was->modes | 1u << mode);
	if (m->trained)
		return;
	if (softmax)
		damf_model_warn(m, "%s", NOT_TRAINED);
	else
		damf_model_warn(m, "%s attention in a model that was trained for %s: accuracy falls; train it for %s, or leave --attention out",
				damf_mode_name(mode), damf_heads_name(was), damf_mode_name(mode));
}

static int choose_converted(const struct chooser *c)
{
	struct damf_model *m = c->m;
	struct damf_heads_summary was;
	bool changed = false;
	uint32_t i;
	int r = 0;

	if (m->load.rank || m->load.order)
		return damf_error_set(c->err, -EINVAL,
				      "%s: it has been converted already, its tables of heads say which rank and order: convert the original model for others",
				      c->src->set.files[0]->path);
	for (i = 0; i < m->config.layers && !r; i++)
		r = read_table(c, i);
	if (r)
		return r;
	was = damf_model_heads(m);
	tell(m, "the directory's tables of heads");
	if (m->load.attention != DAMF_ATTENTION_AUTO) {
		/* nothing but its original tensors is used then */
		if (was.modes == 1u << DAMF_MODE_MHSA && !m->packed && wanted(m) != DAMF_MODE_MHSA) {
			tell(m, "asked for, converted on the fly");
			r = make_tables(c);
			changed = true;
		} else {
			tell(m, "asked for");
			r = remake_tables(c, &changed);
		}
	}
	if (!r)
		judge(m, c->src, &was, changed);
	return r;
}

static int choose_plain(const struct chooser *c)
{
	struct damf_model *m = c->m;
	int r = make_tables(c);

	if (r)
		return r;
	if (m->load.attention == DAMF_ATTENTION_AUTO)
		tell(m, "default: the directory was not converted");
	else
		tell(m, m->on_the_fly ? "asked for, converted on the fly" : "asked for");
	m->trained = !m->on_the_fly;
	if (!m->trained)
		damf_model_warn(m, "%s", NOT_TRAINED);
	return 0;
}

/* A plain model that lacks query or key is told of by the tensor that is missing. */
static int prepare(const struct chooser *c)
{
	struct damf_model *m = c->m;
	uint32_t i;

	m->layers = calloc(m->config.layers, sizeof(*m->layers));
	for (i = 0; m->layers && i < m->config.layers; i++) {
		m->layers[i].table = calloc(m->config.heads, sizeof(struct damf_head));
		if (!m->layers[i].table)
			break;
		m->layers[i].nqk = m->config.width;
	}
	if (!m->layers || i < m->config.layers)
		return damf_error_set(c->err, -ENOMEM, "no memory for a model");
	return 0;
}

int damf_model_choose_attention(struct damf_model *m, const struct damf_source *src,
				struct damf_error *err)
{
	const struct chooser c = { m, src, err };
	uint32_t i;
	int r = prepare(&c);

	if (!r)
		r = m->converted ? choose_converted(&c) : choose_plain(&c);
	for (i = 0; i < m->config.layers && !r; i++) {
		struct damf_layer_weights *l = &m->layers[i];
		struct damf_heads_summary s = { 0 };

		damf_heads_add(&s, l->table, m->config.heads);
		l->exact = s.modes >> DAMF_MODE_MHSA & 1 || (m->load.keep_exact && l->nqk);
		if (s.modes == 1u << DAMF_MODE_MHSA)
			l->npq = 0;
	}
	return r;
}
