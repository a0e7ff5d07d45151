// SPDX-License-Identifier: MIT
/* Models: opening a directory, and what it tells of itself. */
#include <errno.h>
#include <fenv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend.h"
#include "damf_kernels.h"
#include "error.h"
#include "model.h"

void damf_model_warn(struct damf_model *m, const char *fmt, ...)
{
	va_list ap;

	if (m->n_warnings == DAMF_MAX_WARNINGS)
		return;
	va_start(ap, fmt);
	if (vasprintf(&m->warnings[m->n_warnings], fmt, ap) >= 0)
		m->n_warnings++;
	va_end(ap);
}

static int check_dir(const char *dir, struct damf_error *err)
{
	struct stat st;

	if (stat(dir, &st))
		return damf_error_set(err, -errno,
				      "%s: there is no such model directory (%s): name one that holds config.json and model.safetensors",
				      dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return damf_error_set(err, -ENOTDIR,
				      "%s: it is a file: name the directory that holds config.json and model.safetensors",
				      dir);
	return 0;
}

static int open_tokenizer(struct damf_model *m, const char *dir, struct damf_error *err)
{
	char text[sizeof(err->text)];
	size_t ids;
	int r = damf_tokenizer_open(dir, &m->tok, text, sizeof(text));

	if (r)
		return damf_error_set(err, r, "%s", text);
	ids = damf_tokenizer_vocab_size(m->tok);
	if (ids > m->config.vocab)
		return damf_error_set(err, -EINVAL,
				      "%s: the tokenizer has ids up to %zu, \"vocab_size\" of config.json is %u: the two are not of one model",
				      dir, ids - 1, m->config.vocab);
	return 0;
}

/* As Sentence Transformers does: its own limit, within the positions. */
static void choose_length(struct damf_model *m)
{
	uint32_t told = m->pooling.max_length;

	m->max_length = m->config.positions;
	snprintf(m->max_length_from, sizeof(m->max_length_from),
		 "config.json, max_position_embeddings");
	if (!told)
		return;
	if (told > m->config.positions) {
		damf_model_warn(m, "max_seq_length %u of sentence_bert_config.json is beyond the %u positions of the model, which count",
				told, m->config.positions);
		return;
	}
	m->max_length = told;
	snprintf(m->max_length_from, sizeof(m->max_length_from), "%s",
		 m->pooling.max_length_from);
}

static int open_parts(struct damf_model *m, const char *dir, struct damf_error *err)
{
	int r = check_dir(dir, err);

	if (!r)
		r = damf_config_read(dir, &m->config, err);
	if (!r)
		r = damf_pooling_read(dir, m->config.width, &m->pooling, err);
	if (!r)
		r = open_tokenizer(m, dir, err);
	if (r)
		return r;
	choose_length(m);
	if (m->pooling.lower_case)
		damf_model_warn(m, "do_lower_case of sentence_bert_config.json is not followed: the tokenizer's own setting counts");
	if (m->pooling.prompt)
		damf_model_warn(m, "the default prompt of config_sentence_transformers.json is not added: put it before each text");
	return damf_model_load_weights(m, dir, err);
}

/*
 * What is computed on the way is of the same bits whatever the calling
 * thread's rounding mode is, which comes back.
 */
int damf_model_load(const char *dir, const struct damf_load *load, struct damf_model **out,
		    struct damf_error *err)
{
	struct damf_model *m = calloc(1, sizeof(*m));
	fenv_t env;
	int r;

	*out = NULL;
	if (!m)
		return damf_error_set(err, -ENOMEM, "%s: no memory", dir);
	atomic_init(&m->refs, 1);
	m->load = *load;
	fegetenv(&env);
	fesetenv(FE_DFL_ENV);
	r = open_parts(m, dir, err);
	fesetenv(&env);
	if (r) {
		damf_model_unref(m);
		return r;
	}
	*out = m;
	return 0;
}

int damf_model_open(const char *dir, const struct damf_model_options *opt,
		    struct damf_model **out, struct damf_error *err)
{
	DAMF_KEEP_ERRNO();
	struct damf_model_options o = { .size = sizeof(o) };
	struct damf_load load;

	*out = NULL;
	if (opt && damf_struct_in(&o, sizeof(o), opt))
		return damf_error_set(err, -E2BIG,
				      "model options of size %zu, this library knows %zu bytes: set size to sizeof(struct damf_model_options)",
				      opt->size, sizeof(o));
	if ((unsigned int)o.attention > DAMF_ATTENTION_SOFTFOLD ||
	    (unsigned int)o.dtype > DAMF_DTYPE_INT8 || (unsigned int)o.xtype > DAMF_XTYPE_INT16 ||
	    o.flags & ~DAMF_MODEL_NO_WEIGHTS)
		return damf_error_set(err, -EINVAL,
				      "model options: attention %u, dtype %u, xtype %u or flags 0x%x are not known",
				      (unsigned int)o.attention, (unsigned int)o.dtype,
				      (unsigned int)o.xtype, o.flags);
	load = (struct damf_load){
		.attention = o.attention, .dtype = o.dtype, .xtype = o.xtype,
		.no_weights = o.flags & DAMF_MODEL_NO_WEIGHTS, .threads = o.threads,
	};
	return damf_model_load(dir, &load, out, err);
}

struct damf_model *damf_model_ref(struct damf_model *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

static void free_layers(struct damf_model *m)
{
	uint32_t i;

	for (i = 0; m->layers && i < m->config.layers; i++)
		free(m->layers[i].table);
	for (i = 0; m->fused && i < m->config.layers; i++)
		damf_fused_free(&m->fused[i]);
	free(m->layers);
	free(m->fused);
}

void damf_model_unref(struct damf_model *m)
{
	DAMF_KEEP_ERRNO();
	unsigned int i;

	if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (i = 0; i < m->n_warnings; i++)
		free(m->warnings[i]);
	free_layers(m);
	damf_tokenizer_free(m->tok);
	damf_config_free(&m->config);
	for (i = 0; i < DAMF_PLACES; i++)
		damf_pages_free(m->blocks[i].base, m->blocks[i].size);
	free(m);
}

#define COPY(to, from) snprintf(to, sizeof(to), "%s", from)

static uint64_t weight_bytes(const struct damf_model *m)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < DAMF_PLACES; i++)
		sum += m->blocks[i].base ? m->blocks[i].size : 0;
	return sum;
}

void damf_model_get_info(const struct damf_model *m, struct damf_model_info *info)
{
	const struct damf_heads_summary heads = damf_model_heads(m);
	struct damf_model_info i = {
		.size = sizeof(i),
		.layers = m->config.layers, .width = m->config.width,
		.heads = m->config.heads, .inner = m->config.inner,
		.vocab = m->config.vocab, .positions = m->config.positions,
		.types = m->config.types,
		.labels = m->classifier.w.cols,
		.max_length = m->max_length,
		.normalize = m->pooling.normalize,
		.numerics = DAMF_NUMERICS_VERSION,
		.trained = m->trained,
		.parameters = m->parameters,
		.weight_bytes = weight_bytes(m),
		.rank = heads.rank, .order = heads.order,
	};

	COPY(i.attention, damf_heads_name(&heads));
	COPY(i.dtype, damf_dtype_name(m->dtype));
	COPY(i.xtype, damf_xtype_name(m->xtype));
	COPY(i.form, !m->converted ? "" : m->packed ? "packed" : "plain");
	COPY(i.pooling, m->pooling.cls ? "cls" : "mean");
	COPY(i.attention_from, m->attention_from);
	COPY(i.pooling_from, m->pooling.pooling_from);
	COPY(i.normalize_from, m->pooling.normalize_from);
	COPY(i.max_length_from, m->max_length_from);
	COPY(i.tokenizer, damf_tokenizer_describe(m->tok));
	damf_struct_out(info, &i, sizeof(i));
}

const char *damf_model_warning(const struct damf_model *m, unsigned int i)
{
	return i < m->n_warnings ? m->warnings[i] : NULL;
}

const char *damf_model_label(const struct damf_model *m, unsigned int i)
{
	return i < m->classifier.w.cols ? m->config.label[i] : NULL;
}
