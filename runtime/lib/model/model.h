/* SPDX-License-Identifier: MIT */
/* Inside models: what one is, for the files that load, convert and run it. */
#ifndef DAMF_MODEL_INTERNAL_H
#define DAMF_MODEL_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "model_config.h"
#include "damf.h"
#include "damf_hw.h"
#include "damf_tokenizer.h"
#include "safetensors.h"

/* Where weights lie: in memory of our own, or in the mapping of a packed file. */
enum damf_place { DAMF_OWN, DAMF_FILE, DAMF_PLACES };

/* A tensor in one of them; its bytes are what the device reads. */
struct damf_weight {
	uint64_t at;		/* offset, a multiple of 64 */
	uint64_t scales;	/* I8: offset of its factors, else 0 */
	uint64_t stride;	/* bytes from row to row; 0 for PANEL32 */
	uint32_t rows, cols;	/* rows 0: it isn't there */
	uint16_t type, layout;	/* enum damf_type, enum damf_layout */
	uint16_t place;		/* enum damf_place */
};

struct damf_dense {
	struct damf_weight w, b;
};

struct damf_layer_weights {
	struct damf_head *table;		/* [heads], owned; what heads holds */
	uint32_t npq;				/* columns of pq */
	uint32_t nqk;				/* of q and of k that the files have, 0: none */
	bool exact;				/* a head needs q and k */

	struct damf_weight heads;		/* struct damf_head[heads] */
	struct damf_dense q, k, v, o, pq;	/* rows 0: no head needs them */
	struct damf_weight gamma1, beta1;
	struct damf_dense in, out;
	struct damf_weight gamma2, beta2;
};

#define DAMF_MAX_WARNINGS 8

struct damf_block {
	void *base;
	uint64_t size;
};

/* What a model is opened for; conversions ask for more than the interface has. */
struct damf_load {
	enum damf_attention attention;
	enum damf_dtype dtype;
	enum damf_xtype xtype;
	bool no_weights;
	uint32_t rank, order;		/* of tables that are made; 0: 1 */
	bool keep_exact;		/* q and k, whether a head needs them or not */
	bool keep_fused;		/* what u and v were made of */
	uint32_t threads;		/* that read, 0: all */
};

struct damf_model {
	atomic_uint refs;
	struct damf_config config;
	struct damf_pooling pooling;
	struct damf_tokenizer *tok;
	uint32_t max_length;
	char max_length_from[96];

	struct damf_load load;
	bool converted;			/* its directory has tables of heads */
	bool packed;			/* and is of the packed form */
	bool on_the_fly;		/* u and v come from query and key */
	char attention_from[96];
	bool trained;			/* for the attention in use */
	enum damf_dtype dtype;		/* never AUTO */
	enum damf_xtype xtype;		/* AUTO unless dtype is int8 */
	char *warnings[DAMF_MAX_WARNINGS];
	unsigned int n_warnings;

	struct damf_block blocks[DAMF_PLACES];
	uint64_t parameters;
	bool classify;			/* it has a classifier and names for its labels */
	struct damf_weight word, position, type, gamma, beta;
	struct damf_layer_weights *layers;
	struct damf_dense pooler, classifier;	/* rows 0: there is none */
	struct damf_fused *fused;		/* [layers] if they were to be kept */
};

/* model.c: damf_model_open() with more to ask for. */
int damf_model_load(const char *dir, const struct damf_load *load, struct damf_model **model,
		    struct damf_error *err);
/* Adds a line; forgotten when memory is short or there are too many. */
void damf_model_warn(struct damf_model *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static inline void *damf_model_at(const struct damf_model *m, const struct damf_weight *w)
{
	return (char *)m->blocks[w->place].base + w->at;
}

/* ---- Names of tensors ----------------------------------------------------- */

/* Where the weights of a model are, and how its files spell their names. */
struct damf_source {
	struct damf_st_set set;
	const char *prefix;	/* "" or "bert." */
	bool converted;		/* it has the tensors of DAMF attention */
	bool packed, trained;
	enum damf_dtype dtype;	/* of a packed one's matrices, else F32 */
	enum damf_xtype xtype;
};

int damf_source_open(const char *dir, struct damf_source *src, struct damf_error *err);
void damf_source_close(struct damf_source *src);
/* *file receives the one that holds it; NULL: there is none. */
const struct damf_st_tensor *damf_source_find(const struct damf_source *src, const char *name,
					      const struct damf_st_file **file);
/* Whether a matrix or table of this name is there, in the form that the source has. */
bool damf_source_has(const struct damf_source *src, const char *name);
/* The same as damf_source_find() for one that must be there, of exactly this shape. */
int damf_source_need(const struct damf_source *src, const char *name, unsigned int rank,
		     const uint64_t *shape, const struct damf_st_file **file,
		     const struct damf_st_tensor **tensor, struct damf_error *err);
/* Reads a tensor of exactly this shape (cols 0: rank 1) as f32. */
int damf_source_read(const struct damf_source *src, const char *name, uint32_t rows,
		     uint32_t cols, float *dst, struct damf_error *err);
/* n rows of it, from first on. */
int damf_source_read_rows(const struct damf_source *src, const char *name, uint32_t rows,
			  uint32_t cols, uint32_t first, uint32_t n, float *dst,
			  struct damf_error *err);
/* A matrix [out][in] as f32, in either form; name is that of the plain one. */
int damf_source_read_matrix(const struct damf_source *src, const char *name, uint32_t out,
			    uint32_t in, float *dst, struct damf_error *err);

#define DAMF_ST_VERSION_KEY	"damf.version"
#define DAMF_ST_VERSION		"2"
#define DAMF_ST_FORM_KEY	"damf.form"
#define DAMF_ST_DTYPE_KEY	"damf.dtype"
#define DAMF_ST_XTYPE_KEY	"damf.xtype"
#define DAMF_ST_ATTENTION_KEY	"damf.attention"
#define DAMF_ST_TRAINED_KEY	"damf.trained"
#define DAMF_ST_SOURCE_KEY	"damf.source"
/* printf formats, of the layer */
#define DAMF_ST_HEADS		"damf.layer.%u.heads"		/* U8 [heads, 128] */
#define DAMF_ST_PQ_WEIGHT	"damf.layer.%u.pq.weight"	/* [npq, width] */
#define DAMF_ST_PQ_BIAS		"damf.layer.%u.pq.bias"		/* [npq] */
#define DAMF_ST_SINGULAR	"damf.layer.%u.singular_values"	/* [heads, head width] */

#define DAMF_ST_PANEL		".panel32"
#define DAMF_ST_SCALE		".scale"

/* ---- Tables of heads -------------------------------------------------------- */

/* heads.c */
/* Bound of softfold where a table is made: of max |V|. */
#define DAMF_SOFTFOLD_BOUND	1e-4f

const char *damf_mode_name(unsigned int mode);
/* enum damf_mode of one that is not AUTO. */
unsigned int damf_attention_mode(enum damf_attention attention);
/* Whether a rank and an order go with a mode; one line if not. */
int damf_heads_allowed(unsigned int mode, uint32_t rank, uint32_t order, uint32_t head_width,
		       struct damf_error *err);
/* A table of heads of one kind, as an HF model has them; u of all heads first, then v. */
void damf_heads_make(struct damf_head *table, const struct damf_config *c, unsigned int mode,
		     uint32_t rank, uint32_t order);
/* Makes another mode of each head; which is the layer, for messages. */
int damf_heads_remake(struct damf_head *table, const struct damf_config *c, unsigned int mode,
		      uint32_t which, struct damf_error *err);

/* What heads are, taken together. */
struct damf_heads_summary {
	unsigned int modes;		/* bit n: a head has mode n */
	uint32_t rank, order;		/* the largest */
};
/* Adds the heads of a table. */
void damf_heads_add(struct damf_heads_summary *s, const struct damf_head *table, uint32_t heads);
/* The mode's name, or "mixed". */
const char *damf_heads_name(const struct damf_heads_summary *s);
/* Of all layers of a model. */
struct damf_heads_summary damf_model_heads(const struct damf_model *m);

/* attention.c: the tables of all layers, and what there is to say about them. */
int damf_model_choose_attention(struct damf_model *m, const struct damf_source *src,
				struct damf_error *err);

/* ---- Weights ------------------------------------------------------------------ */

/* walk.c: every tensor of a model, each once and in one order. */
struct damf_walk {
	struct damf_model *m;
	void *ctx;
	/* of one dimension; f32 in any dtype */
	int (*vector)(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t n);
	/* a table of embeddings */
	int (*table)(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		     uint32_t rows, uint32_t cols);
	/* name is that of the plain form, [out, in] */
	int (*matrix)(const struct damf_walk *walk, struct damf_weight *w, const char *name,
		      uint32_t in, uint32_t out);
	/* u and v of a layer with their biases */
	int (*pq)(const struct damf_walk *walk, struct damf_dense *pq, uint32_t layer);
	/* the table of heads of a layer */
	int (*heads)(const struct damf_walk *walk, struct damf_weight *w, uint32_t layer);
};

int damf_walk_model(const struct damf_walk *walk);

/* weights.c: fills the model from the files of dir. */
int damf_model_load_weights(struct damf_model *m, const char *dir, struct damf_error *err);
/* Of a walk: a place for a table of heads in memory of our own. */
int damf_place_heads(const struct damf_walk *walk, struct damf_weight *w, uint32_t layer);
/* What the layer's table of heads holds, there. */
void damf_fill_heads(const struct damf_model *m, const struct damf_weight *w, uint32_t layer);
/* reader.c: fills the places of all weights. */
int damf_read_weights(struct damf_model *m, const struct damf_source *src, struct damf_error *err);
/* mapped.c: all but the tables of heads from a packed file. */
int damf_model_map_weights(struct damf_model *m, const struct damf_source *src,
			   struct damf_error *err);

/* finite.c: how many numbers come before the first that isn't finite; n: all are. */
uint64_t damf_finite_f32(const void *numbers, uint64_t n);
uint64_t damf_finite_bf16(const void *numbers, uint64_t n);

static inline unsigned int damf_type_of(enum damf_dtype dtype)
{
	return dtype == DAMF_DTYPE_INT8 ? DAMF_TYPE_I8 :
	       dtype == DAMF_DTYPE_BF16 ? DAMF_TYPE_BF16 : DAMF_TYPE_F32;
}

static inline unsigned int damf_type_size(unsigned int type)
{
	return type == DAMF_TYPE_I8 ? 1 : type == DAMF_TYPE_BF16 ? 2 : 4;
}

/* Dimensions of a matrix in a packed file; shape has room for 4. */
unsigned int damf_panel_shape(unsigned int type, uint32_t in, uint32_t out, uint64_t *shape);

/* As options and metadata spell them. */
const char *damf_dtype_name(enum damf_dtype dtype);
const char *damf_xtype_name(enum damf_xtype xtype);	/* AUTO: "" */

/* ---- Fusion of Q and K ----------------------------------------------------- */

/* What a rank keeps of one layer's scores; all owned. */
struct damf_fused {
	uint32_t heads, width, head_width, rank;
	float *weight;		/* [2 * heads * rank][width]: s_k u_k of each head, then v_k */
	float *bias;		/* [2 * heads * rank] */
	float *singular;	/* [heads][head_width], falling */
	struct damf_fused_error *error;	/* [heads], NULL: not asked for */
};

/* Of the scores' matrix W_Q W_K^T, what the f32 u and v of a head make of it. */
struct damf_fused_error {
	double frobenius;	/* norm of the difference, relative to that of the matrix */
	double largest;		/* difference, relative to the largest entry */
};

/*
 * fuse.c: per head the singular value decomposition of W_Q W_K^T, biases
 * included. wq, wk: [width][width] as an HF Linear has them; bq, bk: [width].
 */
struct damf_fuse_args {
	const float *wq, *bq, *wk, *bk;
	uint32_t heads, width, rank;
	bool errors;		/* to be measured */
};
int damf_fuse(const struct damf_fuse_args *a, struct damf_fused *f, struct damf_error *err);
/* The same for a layer of a model's files, of which a needs no weights. */
int damf_fuse_layer(const struct damf_source *src, uint32_t layer, const struct damf_fuse_args *a,
		    struct damf_fused *f, struct damf_error *err);
void damf_fused_free(struct damf_fused *f);

/*
 * svd.c, all column-major in double. Every sum has one order and nothing
 * comes from a library, so the bits are the same on every machine.
 */

/* a [rows x cols] -> its orthonormal basis in place, r [cols x cols] upper triangular. */
void damf_qr(double *a, size_t rows, size_t cols, double *r);
/* a [n x n] = u diag(s) v^T by one-sided Jacobi rotations; s falls. a becomes u diag(s). */
void damf_svd(double *a, double *v, double *s, size_t n);

/* ---- Conversion --------------------------------------------------------------- */

/* copy.c: the files of a model beside its weights. */
int damf_copy_file(const char *from, const char *to, const char *name, struct damf_error *err);
int damf_copy_others(const char *from, const char *to, struct damf_error *err);
/* -EEXIST: there is a model at the target. */
int damf_copy_target(const char *to, struct damf_error *err);
int damf_copy_make_dir(const char *path, struct damf_error *err);

/*
 * emit.c: writes the weights in either form. singular: of each layer
 * [heads][head width], or NULL.
 */
int damf_emit_packed(struct damf_model *m, float *const *singular, const char *path,
		     json_t *metadata, struct damf_error *err);
/* The original tensors and those of the model's attention. */
int damf_emit_plain(struct damf_model *m, const struct damf_source *src, float *const *singular,
		    bool drop_exact, const char *path, json_t *metadata, struct damf_error *err);

#endif /* DAMF_MODEL_INTERNAL_H */
