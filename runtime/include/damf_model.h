/* SPDX-License-Identifier: MIT */
/*
 * Models and sessions: from text to numbers. Part of damf.h, which includes
 * this file; include that one.
 */
#ifndef DAMF_MODEL_H
#define DAMF_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "damf.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* ---- Models -------------------------------------------------------------- */

/*
 * A model: configuration, tokenizer and weights of a Hugging Face directory,
 * checked and packed. It holds no file open. Threads: it doesn't change once
 * opened, so any number of threads and sessions may share it.
 */
struct damf_model;

enum damf_attention {
	DAMF_ATTENTION_AUTO = 0,	/* what the directory was made for, else mhsa */
	DAMF_ATTENTION_MHSA = 1,	/* exact softmax */
	DAMF_ATTENTION_FOLD = 2,	/* DAMF in its folded form */
	DAMF_ATTENTION_SHIFT = 3,	/* DAMF in powers of two, a shift a pair of tokens */
	DAMF_ATTENTION_FOLDSHIFT = 4,	/* folded, in powers of two */
	DAMF_ATTENTION_SOFTFOLD = 5,	/* softmax of scores of rank 1, interpolated */
};

/* Of matrices and tables of embeddings. */
enum damf_dtype {
	DAMF_DTYPE_AUTO = 0,		/* what a packed directory has, else f32 */
	DAMF_DTYPE_F32 = 1,
	DAMF_DTYPE_BF16 = 2,
	DAMF_DTYPE_INT8 = 3,		/* with factors */
};

/* What activations become where matrices are int8. */
enum damf_xtype {
	DAMF_XTYPE_AUTO = 0,		/* what a packed directory says, else int8 */
	DAMF_XTYPE_INT8 = 1,
	DAMF_XTYPE_INT16 = 2,
};

#define DAMF_MODEL_NO_WEIGHTS	(1u << 0)	/* configuration and tokenizer only */

struct damf_model_options {
	size_t size;			/* sizeof(struct damf_model_options) */
	enum damf_attention attention;
	uint32_t flags;			/* DAMF_MODEL_* */
	enum damf_dtype dtype;
	enum damf_xtype xtype;		/* AUTO unless the dtype is int8 */
	uint32_t threads;		/* that read, pack and check weights; 0: as for a device */
};

/*
 * Opens the model in a directory. opt may be NULL. An attention or a dtype
 * that the directory doesn't have is made in memory, where that can be done
 * (Documentation/model-format.rst). A packed directory is mapped: who replaces
 * its file does so by rename, since one that gets shorter meanwhile ends the
 * process with SIGBUS.
 *
 * -ENOENT: no such directory or file; -EINVAL: a file is malformed, or says
 * something that this library doesn't do, or an option can't be had of it;
 * -ENOMEM; another -errno from reading. Nothing is opened partly.
 */
int damf_model_open(const char *dir, const struct damf_model_options *opt,
		    struct damf_model **model, struct damf_error *err);
/* One more owner; returns model. */
struct damf_model *damf_model_ref(struct damf_model *model);
/* One owner less; the last one frees it. NULL is allowed. */
void damf_model_unref(struct damf_model *model);

struct damf_model_info {
	size_t size;
	uint32_t layers, width, heads, inner;	/* width: numbers of an embedding */
	uint32_t vocab, positions, types;
	uint32_t labels;			/* of the classifier, 0: it has none */
	uint32_t max_length;			/* tokens of a text, special ones included */
	uint32_t normalize;			/* 1: embeddings have length 1 */
	uint32_t numerics;			/* version of the arithmetic */
	uint32_t trained;			/* 1: for the attention in use */
	uint64_t parameters;
	uint64_t weight_bytes;			/* packed, in memory or in the file that is mapped */
	char attention[16];			/* "mhsa", "fold", "shift", "foldshift", "softfold", "mixed" */
	char pooling[16];			/* "mean", "cls" */
	/* the file and key that each came from */
	char attention_from[96], pooling_from[96], normalize_from[96], max_length_from[96];
	char tokenizer[384];			/* its file and flags */
	uint32_t rank, order;			/* the largest of a head; 0: none has one */
	char dtype[8];				/* "f32", "bf16", "int8" */
	char xtype[8];				/* "int8", "int16"; "" unless dtype is int8 */
	char form[16];				/* "packed", "plain"; "" if it is no DAMF directory */
};
/* info->size is set by the caller. */
void damf_model_get_info(const struct damf_model *model, struct damf_model_info *info);
/* Warning i, from 0: what a user should know of the model; NULL behind the last. */
const char *damf_model_warning(const struct damf_model *model, unsigned int i);
/* Name of label i of the classifier; NULL behind the last. */
const char *damf_model_label(const struct damf_model *model, unsigned int i);

/* ---- Conversion ---------------------------------------------------------- */

#define DAMF_CONVERT_PLAIN	(1u << 0)	/* the plain form, as for training; else packed */
#define DAMF_CONVERT_DROP_EXACT	(1u << 1)	/* without the query and key that no head needs */

struct damf_convert_options {
	size_t size;			/* sizeof(struct damf_convert_options) */
	enum damf_attention attention;	/* AUTO: what the source was made for, else fold */
	enum damf_dtype dtype;		/* AUTO: f32 */
	enum damf_xtype xtype;		/* AUTO: int8, if the dtype is */
	uint32_t rank;			/* of the scores, 0: 1; beyond 1 for fold only */
	uint32_t order;			/* of the series of exp, 0: 1; beyond 1 for fold and foldshift */
	uint32_t flags;			/* DAMF_CONVERT_* */
};

/* What a conversion did. */
struct damf_conversion;

/*
 * Writes the model in from once more to the directory to, for DAMF attention:
 * a model.safetensors that any reader of the format opens, and the other
 * files of the model. opt may be NULL. The directory is made if it isn't
 * there; a model in it (config.json, or weights as we read them) is refused
 * with -EEXIST. conversion may be NULL.
 */
int damf_convert(const char *from, const char *to, const struct damf_convert_options *opt,
		 struct damf_conversion **conversion, struct damf_error *err);
void damf_conversion_free(struct damf_conversion *conversion);

struct damf_conversion_info {
	size_t size;
	uint32_t layers, heads;
	uint32_t rank, order;			/* as in struct damf_model_info, and what follows */
	uint32_t trained;
	char attention[16], dtype[8], xtype[8], form[16];
	uint64_t parameters_before, parameters_after; /* that attention uses, in all layers */
	uint64_t bytes;				/* of the new weights */
};
/* info->size is set by the caller. */
void damf_conversion_get_info(const struct damf_conversion *conversion,
			      struct damf_conversion_info *info);

/* NaN where it isn't known: the source has tables of its own and no singular values. */
struct damf_conversion_head {
	size_t size;
	double share;				/* of the singular values that the rank keeps */
	double l_ms;				/* eq. 9: 1 - s_1 / sum of s_k */
	double error;				/* of the scores: norm of the difference to the norm */
	double largest_error;			/* the largest difference to the largest score */
	uint64_t parameters_before, parameters_after; /* of its scores */
};
/* head->size is set by the caller; -ERANGE: there is no such layer or head. */
int damf_conversion_get_head(const struct damf_conversion *conversion, uint32_t layer,
			     uint32_t head, struct damf_conversion_head *out);

/* ---- Sessions ------------------------------------------------------------ */

/*
 * A session: a model on a device, with texts in flight. Threads: one at a
 * time may use it. What it computes on the CPU, tokenizing included, is done
 * by as many threads as were asked for; the caller's sleeps meanwhile.
 *
 * A stream of texts: submit until -EAGAIN (max_texts) or until there is no
 * more text; poll damf_session_eventfd(), with whatever else one waits for;
 * damf_session_wait() with timeout 0 until -ETIME; from the beginning. Memory
 * stays that of max_texts, and results come in the order of the submissions.
 */
struct damf_session;

enum damf_task {
	DAMF_TASK_EMBED = 0,		/* pooled, normalised if the model says so */
	DAMF_TASK_CLASSIFY = 1,		/* probabilities of the labels */
};

#define DAMF_SESSION_PARSE_SPECIAL (1u << 0) /* "[SEP]" in a text is that token; not for
					      * untrusted text */
#define DAMF_SESSION_NO_FAILOVER (1u << 1) /* losing the device is an error */

struct damf_session_options {
	size_t size;			/* sizeof(struct damf_session_options) */
	const char *backend;		/* as for damf_device_open(), NULL: "auto" */
	enum damf_submit_path path;
	uint32_t threads;		/* "cpu", "sim", and after losing a device; 0: all */
	enum damf_task task;
	uint32_t flags;			/* DAMF_SESSION_* */
	uint32_t max_length;		/* tokens of a text, 0: what the model says */
	uint32_t max_seqs;		/* texts of a batch, 0: 32 */
	uint32_t max_tokens;		/* tokens of a batch, 0: 1024; at least max_length are taken */
	uint32_t in_flight;		/* batches on the device at once, 0: 2, on the CPU 2 a thread */
	uint32_t max_texts;		/* submitted and not taken back, 0: no limit */
};

/*
 * Opens the device and brings the weights there. opt may be NULL. The session
 * is an owner of the model.
 */
int damf_session_create(struct damf_model *model, const struct damf_session_options *opt,
			struct damf_session **session, struct damf_error *err);
/* Cancels what is in flight. NULL is allowed. */
void damf_session_free(struct damf_session *session);
/* Numbers of a result: the width of an embedding, or the count of labels. */
uint32_t damf_session_width(const struct damf_session *session);

/* UTF-8, not terminated; pair: a second text, or NULL. */
struct damf_text {
	const char *text;
	size_t len;
	const char *pair;
	size_t pair_len;
};

struct damf_text_result {
	uint32_t tokens;		/* that were used, special ones included */
	uint32_t full;			/* that the whole text has; more than tokens: cut */
};

/*
 * Queues n texts and returns when they are tokenized; they may be freed then.
 * Row i of out, damf_session_width() floats, is for text i, results[i] tells
 * of its tokens; both belong to the session until damf_session_wait() has
 * given the ticket back; results may be NULL. The numbers of a text depend
 * on nothing but the text and the model.
 *
 * -EILSEQ: a text is not UTF-8; -EINVAL: an option leaves no room for it, or
 * a pair for a model that takes none; -EAGAIN: with these there would be more
 * than max_texts in flight, take a result first (if there are none in flight
 * any number is taken). Nothing is queued then, and what is in flight goes on.
 */
int damf_session_submit(struct damf_session *session, const struct damf_text *texts, size_t n,
			float *out, struct damf_text_result *results, uint64_t *ticket,
			struct damf_error *err);
/*
 * Takes the next submission that is done, in order. timeout_ns: 0: don't
 * wait, negative: for ever. -ETIME: none yet; -ENOENT: none in flight. Any
 * other error is that of the submission *ticket, whose results are void.
 */
int damf_session_wait(struct damf_session *session, int64_t timeout_ns, uint64_t *ticket,
		      struct damf_error *err);
/* Readable when damf_session_wait() may have something to do; the same for
 * the session's life, and kept by it. */
int damf_session_eventfd(const struct damf_session *session);
/* Submits, and waits for it; nothing else may be in flight. */
int damf_session_run(struct damf_session *session, const struct damf_text *texts, size_t n,
		     float *out, struct damf_text_result *results, struct damf_error *err);

struct damf_session_stats {
	size_t size;
	char backend[16], path[64], submit[16], reason[160], isa[16];	/* now in use */
	char failover_reason[256];	/* why the device was given up, or "" */
	uint64_t failovers;
	uint64_t texts, tokens, truncated;	/* submitted */
	uint64_t lists, jobs;		/* done; lists run again count once */
	uint64_t plans, plan_hits;	/* recorded; used again */
	uint64_t static_macs, dynamic_macs, exps, divs;
	uint64_t read_weights, read_activations, read_intermediates;
	uint64_t write_activations, write_intermediates;
	uint64_t cycles, energy_pj;	/* of the device's models */
	/* of all devices that the session had, as far as they could still tell */
	uint64_t submits_ioctl, submits_uring, submits_direct, doorbells, doorbells_saved;
	uint64_t interrupts, timeouts, resets;
	uint64_t shift_adds, int8_macs, spills, page_walks;
	uint64_t engine_ns;		/* in which lists ran, by the device's clock */
};
/* stats->size is set by the caller. */
void damf_session_get_stats(struct damf_session *session, struct damf_session_stats *stats);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* DAMF_MODEL_H */
