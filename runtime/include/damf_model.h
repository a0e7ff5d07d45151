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
	DAMF_ATTENTION_AUTO = 0,	/* fold if the directory was converted to it, else mhsa */
	DAMF_ATTENTION_MHSA = 1,	/* exact softmax */
	DAMF_ATTENTION_FOLD = 2,	/* DAMF in its folded form, rank 1 */
};

#define DAMF_MODEL_NO_WEIGHTS	(1u << 0)	/* configuration and tokenizer only */

struct damf_model_options {
	size_t size;			/* sizeof(struct damf_model_options) */
	enum damf_attention attention;
	uint32_t flags;			/* DAMF_MODEL_* */
};

/*
 * Opens the model in a directory. opt may be NULL. DAMF_ATTENTION_FOLD on a
 * directory that was not converted converts it in memory.
 *
 * -ENOENT: no such directory or file; -EINVAL: a file is malformed, or says
 * something that this library doesn't do; -ENOMEM; another -errno from
 * reading. Nothing is opened partly.
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
	uint64_t weight_bytes;			/* in memory, packed */
	char attention[16];			/* "mhsa", "fold" */
	char pooling[16];			/* "mean", "cls" */
	/* the file and key that each came from */
	char attention_from[96], pooling_from[96], normalize_from[96], max_length_from[96];
	char tokenizer[384];			/* its file and flags */
};
/* info->size is set by the caller. */
void damf_model_get_info(const struct damf_model *model, struct damf_model_info *info);
/* Warning i, from 0: what a user should know of the model; NULL behind the last. */
const char *damf_model_warning(const struct damf_model *model, unsigned int i);
/* Name of label i of the classifier; NULL behind the last. */
const char *damf_model_label(const struct damf_model *model, unsigned int i);

/*
 * Writes a directory like from that also has the tensors of DAMF attention:
 * a model.safetensors that any reader of the format opens, and the other
 * files of the model. The directory is made if it isn't there; a model in it
 * (config.json, or weights as we read them) is refused with -EEXIST.
 */
struct damf_convert_layer {		/* what rank 1 keeps of the scores */
	double share_mean, share_min, share_max; /* of s_1 in the sum of s_k, over the heads */
};
/*
 * layers receives *n entries, to be freed with damf_convert_free(); it may be
 * NULL. The warning is that of damf_model_warning().
 */
int damf_convert(const char *from, const char *to, struct damf_convert_layer **layers, size_t *n,
		 struct damf_error *err);
void damf_convert_free(struct damf_convert_layer *layers);

/* ---- Sessions ------------------------------------------------------------ */

/*
 * A session: a model on a device, with texts in flight. Threads: one at a
 * time may use it.
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
	uint32_t in_flight;		/* batches on the device at once, 0: 2 */
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
 * a pair for a model that takes none. Nothing is queued then.
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
