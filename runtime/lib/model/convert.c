// SPDX-License-Identifier: MIT
/* Conversion: a model's files once more, for DAMF attention. */
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend.h"
#include "error.h"
#include "file.h"
#include "model.h"

struct damf_conversion {
	struct damf_model *m;		/* as the new directory has it */
	float **singular;		/* [layers], NULL: not known */
	bool plain;			/* the form */
	uint64_t bytes;
};

struct job {
	const char *from, *to;
	struct damf_convert_options opt;
	struct damf_source src;
	struct damf_conversion *c;
	struct damf_error *err;
};

/* ---- Options ------------------------------------------------------------------ */

static int check_options(const struct damf_convert_options *o, struct damf_error *err)
{
	if ((unsigned int)o->attention > DAMF_ATTENTION_SOFTFOLD ||
	    (unsigned int)o->dtype > DAMF_DTYPE_INT8 || (unsigned int)o->xtype > DAMF_XTYPE_INT16 ||
	    o->flags & ~(DAMF_CONVERT_PLAIN | DAMF_CONVERT_DROP_EXACT))
		return damf_error_set(err, -EINVAL,
				      "conversion options: attention %u, dtype %u, xtype %u or flags 0x%x are not known",
				      (unsigned int)o->attention, (unsigned int)o->dtype,
				      (unsigned int)o->xtype, o->flags);
	if (o->flags & DAMF_CONVERT_PLAIN && o->dtype > DAMF_DTYPE_F32)
		return damf_error_set(err, -EOPNOTSUPP,
				      "dtype %s with the plain form: it keeps the original weights, only the packed form has other types",
				      damf_dtype_name(o->dtype));
	if (o->xtype && o->dtype != DAMF_DTYPE_INT8)
		return damf_error_set(err, -EOPNOTSUPP,
				      "xtype %s with dtype %s: activations become integers where the matrices are int8 only",
				      damf_xtype_name(o->xtype), damf_dtype_name(o->dtype));
	return 0;
}

/* Those that depend on what the source is. */
static int check_source(struct job *j, const struct damf_model *source)
{
	const struct damf_convert_options *o = &j->opt;
	uint32_t rank = o->rank ? o->rank : 1, order = o->order ? o->order : 1;
	unsigned int mode;

	if (source->packed)
		return damf_error_set(j->err, -EOPNOTSUPP,
				      "%s: it is packed already: convert the directory that it was made of", j->from);
	if (source->converted && (o->rank || o->order))
		return damf_error_set(j->err, -EOPNOTSUPP,
				      "%s: it has been converted already, its tables of heads say which rank and order: convert the original model for others",
				      j->from);
	if (source->converted)
		return 0;
	if (j->opt.attention == DAMF_ATTENTION_AUTO)
		j->opt.attention = DAMF_ATTENTION_FOLD;
	mode = damf_attention_mode(j->opt.attention);
	if (mode == DAMF_MODE_MHSA && (o->rank || o->order))
		return damf_error_set(j->err, -EOPNOTSUPP,
				      "a rank or an order with mhsa: its scores are exact");
	return damf_heads_allowed(mode, rank, order,
				  source->config.width / source->config.heads, j->err);
}

static int check_drop(const struct job *j)
{
	uint32_t i;

	if (!(j->opt.flags & DAMF_CONVERT_DROP_EXACT))
		return 0;
	for (i = 0; i < j->c->m->config.layers; i++)
		if (!j->c->m->layers[i].exact)
			return 0;
	return damf_error_set(j->err, -EOPNOTSUPP,
			      "%s: query and key can't be dropped, heads of all layers are mhsa and need them",
			      j->from);
}

/* ---- The source ---------------------------------------------------------------- */

/* What could not be opened later is not converted now. */
static int load(struct job *j)
{
	struct damf_load probe = { .no_weights = true }, whole;
	struct damf_model *source;
	int r = damf_model_load(j->from, &probe, &source, j->err);

	if (!r)
		r = check_source(j, source);
	damf_model_unref(source);
	if (r)
		return r;
	whole = (struct damf_load){
		.attention = j->opt.attention, .dtype = j->opt.dtype, .xtype = j->opt.xtype,
		.rank = j->opt.rank, .order = j->opt.order, .keep_fused = true,
		.keep_exact = !(j->opt.flags & DAMF_CONVERT_DROP_EXACT),
	};
	r = damf_model_load(j->from, &whole, &j->c->m, j->err);
	return r ? r : check_drop(j);
}

/* Those of this conversion, or of the one that made the source. */
static int take_singular(struct job *j, uint32_t layer)
{
	const struct damf_model *m = j->c->m;
	uint32_t d = m->config.width, heads = m->config.heads;
	const struct damf_st_file *file;
	char name[64];
	float *s;

	snprintf(name, sizeof(name), DAMF_ST_SINGULAR, layer);
	if (!m->fused && (m->on_the_fly || !damf_source_find(&j->src, name, &file)))
		return 0;
	s = malloc(d * sizeof(*s));
	j->c->singular[layer] = s;
	if (!s)
		return damf_error_set(j->err, -ENOMEM, "%s: no memory", j->from);
	if (!m->fused)
		return damf_source_read(&j->src, name, heads, d / heads, s, j->err);
	memcpy(s, m->fused[layer].singular, d * sizeof(*s));
	return 0;
}

static int take_all_singular(struct job *j)
{
	uint32_t i, layers = j->c->m->config.layers;
	int r = 0;

	j->c->singular = calloc(layers, sizeof(*j->c->singular));
	if (!j->c->singular)
		return damf_error_set(j->err, -ENOMEM, "%s: no memory", j->from);
	for (i = 0; i < layers && !r; i++)
		r = take_singular(j, i);
	return r;
}

/* ---- The new directory ----------------------------------------------------------- */

static const char *base_name(const char *path, size_t *len)
{
	size_t end = strlen(path), at;

	while (end > 1 && path[end - 1] == '/')
		end--;
	for (at = end; at && path[at - 1] != '/'; at--)
		;
	*len = end - at;
	return path + at;
}

static void set_text(json_t *m, const char *key, const char *value)
{
	json_object_set_new(m, key, json_string(value));
}

/* What the original's metadata say, and what the file is now. */
static json_t *make_metadata(const struct job *j)
{
	const struct damf_model *m = j->c->m;
	const struct damf_heads_summary heads = damf_model_heads(m);
	json_t *all = json_object();
	const char *name;
	size_t f, len;

	for (f = 0; f < j->src.set.n; f++)
		if (j->src.set.files[f]->metadata)
			json_object_update(all, j->src.set.files[f]->metadata);
	set_text(all, DAMF_ST_VERSION_KEY, DAMF_ST_VERSION);
	set_text(all, DAMF_ST_FORM_KEY, j->c->plain ? "plain" : "packed");
	set_text(all, DAMF_ST_DTYPE_KEY, damf_dtype_name(m->dtype));
	if (m->xtype)
		set_text(all, DAMF_ST_XTYPE_KEY, damf_xtype_name(m->xtype));
	set_text(all, DAMF_ST_ATTENTION_KEY, damf_heads_name(&heads));
	set_text(all, DAMF_ST_TRAINED_KEY, m->trained ? "true" : "false");
	if (!json_object_get(all, DAMF_ST_SOURCE_KEY)) {
		name = base_name(j->from, &len);
		json_object_set_new(all, DAMF_ST_SOURCE_KEY, json_stringn_nocheck(name, len));
	}
	return all;
}

static int write_weights(struct job *j)
{
	char *path = damf_path(j->to, "model.safetensors");
	json_t *metadata = make_metadata(j);
	struct damf_conversion *c = j->c;
	struct stat st;
	int r;

	if (!path || !metadata)
		r = damf_error_set(j->err, -ENOMEM, "%s: no memory", j->to);
	else if (c->plain)
		r = damf_emit_plain(c->m, &j->src, c->singular,
				    j->opt.flags & DAMF_CONVERT_DROP_EXACT, path, metadata, j->err);
	else
		r = damf_emit_packed(c->m, c->singular, path, metadata, j->err);
	if (!r && !stat(path, &st))
		c->bytes = (uint64_t)st.st_size;
	json_decref(metadata);
	free(path);
	return r;
}

/*
 * The configuration last: a directory without it is no model, and what is
 * left of an attempt that was killed doesn't stop the next one.
 */
static int convert(struct job *j)
{
	int r = damf_copy_target(j->to, j->err);	/* before the work */

	if (!r)
		r = load(j);
	if (!r)
		r = damf_source_open(j->from, &j->src, j->err);
	if (!r)
		r = take_all_singular(j);
	if (!r)
		r = damf_copy_make_dir(j->to, j->err);
	if (!r)
		r = damf_copy_others(j->from, j->to, j->err);
	if (!r)
		r = write_weights(j);
	return r ? r : damf_copy_file(j->from, j->to, "config.json", j->err);
}

int damf_convert(const char *from, const char *to, const struct damf_convert_options *opt,
		 struct damf_conversion **out, struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct job j = { .from = from, .to = to, .opt = { .size = sizeof(j.opt) }, .err = err };
	int r;

	if (out)
		*out = NULL;
	if (opt && damf_struct_in(&j.opt, sizeof(j.opt), opt))
		return damf_error_set(err, -E2BIG,
				      "conversion options of size %zu, this library knows %zu bytes: set size to sizeof(struct damf_convert_options)",
				      opt->size, sizeof(j.opt));
	r = check_options(&j.opt, err);
	if (r)
		return r;
	j.c = calloc(1, sizeof(*j.c));
	if (!j.c)
		return damf_error_set(err, -ENOMEM, "%s: no memory", from);
	j.c->plain = j.opt.flags & DAMF_CONVERT_PLAIN;
	r = convert(&j);
	damf_source_close(&j.src);
	if (r || !out)
		damf_conversion_free(j.c);
	else
		*out = j.c;
	return r;
}

void damf_conversion_free(struct damf_conversion *c)
{
	DAMF_KEEP_ERRNO();
	uint32_t i;

	if (!c)
		return;
	for (i = 0; c->singular && i < c->m->config.layers; i++)
		free(c->singular[i]);
	free(c->singular);
	damf_model_unref(c->m);
	free(c);
}

/* ---- What it did ------------------------------------------------------------------- */

#define COPY(to, from) snprintf(to, sizeof(to), "%s", from)

/* That attention uses: what is kept beside it doesn't count. */
static uint64_t attention_parameters(const struct damf_model *m)
{
	uint64_t d = m->config.width, sum = 0;
	uint32_t i;

	for (i = 0; i < m->config.layers; i++) {
		struct damf_heads_summary s = { 0 };

		damf_heads_add(&s, m->layers[i].table, m->config.heads);
		sum += (s.modes >> DAMF_MODE_MHSA & 1 ? 4 : 2) * d * (d + 1) +
		       m->layers[i].npq * (d + 1);
	}
	return sum;
}

void damf_conversion_get_info(const struct damf_conversion *c, struct damf_conversion_info *info)
{
	const struct damf_model *m = c->m;
	const struct damf_heads_summary heads = damf_model_heads(m);
	uint64_t d = m->config.width;
	struct damf_conversion_info i = {
		.size = sizeof(i), .layers = m->config.layers, .heads = m->config.heads,
		.rank = heads.rank, .order = heads.order, .trained = m->trained,
		.parameters_before = m->config.layers * 4 * d * (d + 1),
		.parameters_after = attention_parameters(m), .bytes = c->bytes,
	};

	COPY(i.attention, damf_heads_name(&heads));
	COPY(i.dtype, damf_dtype_name(m->dtype));
	COPY(i.xtype, damf_xtype_name(m->xtype));
	COPY(i.form, c->plain ? "plain" : "packed");
	damf_struct_out(info, &i, sizeof(i));
}

static void take_shares(const float *s, uint32_t n, uint32_t rank, struct damf_conversion_head *h)
{
	double sum = 0, kept = 0;
	uint32_t k;

	for (k = 0; k < n; k++) {
		sum += (double)s[k];
		kept += k < rank ? (double)s[k] : 0;
	}
	h->share = sum > 0 ? kept / sum : 1;
	h->l_ms = sum > 0 ? 1 - (double)s[0] / sum : 0;
}

int damf_conversion_get_head(const struct damf_conversion *c, uint32_t layer, uint32_t head,
			     struct damf_conversion_head *out)
{
	const struct damf_model *m = c->m;
	uint64_t d = m->config.width, n = d / m->config.heads;
	struct damf_conversion_head h = {
		.size = sizeof(h), .share = NAN, .l_ms = NAN, .error = NAN, .largest_error = NAN,
		.parameters_before = 2 * n * (d + 1),
	};
	uint32_t rank;

	if (layer >= m->config.layers || head >= m->config.heads)
		return -ERANGE;
	rank = le16toh(m->layers[layer].table[head].rank);
	h.parameters_after = rank ? 2 * rank * (d + 1) : h.parameters_before;
	if (!rank)	/* mhsa */
		rank = (uint32_t)n;
	if (c->singular[layer])
		take_shares(c->singular[layer] + head * n, (uint32_t)n, rank, &h);
	if (m->fused) {
		h.error = m->fused[layer].error[head].frobenius;
		h.largest_error = m->fused[layer].error[head].largest;
	}
	damf_struct_out(out, &h, sizeof(h));
	return 0;
}
