/* SPDX-License-Identifier: MIT */
/* Inside sessions: texts on their way through batches to results. */
#ifndef DAMF_SESSION_H
#define DAMF_SESSION_H

#include "engine.h"

/* Texts that were submitted together. */
struct damf_group {
	struct damf_group *next;
	uint64_t ticket;
	float *out;			/* the caller's, [texts][width] */
	size_t texts;
	size_t batches;			/* not done yet */
	struct damf_error err;		/* code 0: none */
};

/* Some of them that run together. Kept until its results are delivered, so
 * that it can be run again. */
struct damf_batch {
	struct damf_batch *next;
	struct damf_group *group;
	struct damf_engine_batch in;	/* arrays below */
	size_t *rows;			/* [seqs]: rows of the group's out */
};

/* A queue of batches or groups is singly linked, in order. */
struct damf_session {
	struct damf_model *model;	/* we are one of its owners */
	struct damf_engine_config config;
	struct damf_engine *engine;	/* NULL: broken */
	uint32_t flags, max_length;
	size_t max_texts, texts;	/* in flight; max_texts 0: no limit */
	int poll_fd;			/* epoll: outlives the queue's own eventfd */
	int broken_fd;			/* eventfd, readable from the start: watched when broken */
	struct damf_tok_scratch **scratch;	/* [scratches], one a thread */
	unsigned int scratches;

	struct damf_group *groups, **groups_end;
	struct damf_batch *batches, **batches_end;	/* those in flight first */
	struct damf_batch *unsent;	/* the first that isn't in flight, or NULL */
	uint64_t tickets;
	struct damf_error broken;	/* code 0: it isn't */
	struct damf_session_stats stats; /* what devices given up have added to is in here */
};

/* A tokenized text. */
struct damf_item {
	size_t row;
	size_t at;		/* first of its ids in the chunk */
	uint32_t tokens;
};

#define DAMF_CHUNK 32	/* texts */

/* Texts that one thread tokenizes. */
struct damf_chunk {
	int32_t *ids, *types;
	size_t used, room;
	uint64_t truncated;
	int error;		/* of text bad, at byte bad_at */
	size_t bad, bad_at;
};

struct damf_tokens {
	struct damf_item *items;	/* of each text */
	struct damf_chunk *chunks;	/* [n]; text i is in chunk i / DAMF_CHUNK */
	size_t n;
	uint64_t tokens, truncated;
};

/* tokens.c; nothing is to be freed after an error. */
int damf_tokens_make(struct damf_session *s, const struct damf_text *texts, size_t n,
		     struct damf_text_result *results, struct damf_tokens *to,
		     struct damf_error *err);
void damf_tokens_free(struct damf_tokens *t);

/* batch.c: tokenizes texts and appends a group and its batches, or nothing. */
int damf_session_add(struct damf_session *s, const struct damf_text *texts, size_t n, float *out,
		     struct damf_text_result *results, struct damf_error *err);
void damf_batch_free(struct damf_batch *b);

/* stats.c */
void damf_session_count(struct damf_session *s, const struct damf_engine_result *result);
/* Adds what a device has counted to what is kept of all devices. */
void damf_session_keep_stats(struct damf_session *s, struct damf_session_stats *to);

#endif /* DAMF_SESSION_H */
