/* SPDX-License-Identifier: MIT */
/* Lines of any number, from a file or a pipe, through a session to their results. */
#ifndef DAMF_STREAM_H
#define DAMF_STREAM_H

#include "cli.h"

/* ---- Lines -------------------------------------------------------------------- */

#define CLI_LINES 512	/* of a block: sorted by length among each other */

/* Lines that were read together, and what became of them. */
struct cli_block {
	char *data;			/* owned */
	size_t room, size, used, seen;	/* bytes; that are of its lines; looked at */
	bool open;			/* it takes more lines */
	size_t first;			/* number of its first line, from 1 */
	size_t n;
	size_t at[CLI_LINES];		/* where each begins in data */
	struct damf_text lines[CLI_LINES];

	size_t texts_n;
	struct damf_text texts[2 * CLI_LINES];
	size_t line[2 * CLI_LINES];	/* number of the line of each text */
	struct damf_text_result results[2 * CLI_LINES];
	float *out;			/* [texts_n][width], owned */
	size_t out_room;		/* texts */
};

/* A file or standard input on the way. */
struct cli_lines {
	const char *name;		/* for messages */
	int fd;
	bool close, eof;
	char *rest;			/* read behind the last block, owned */
	size_t rest_len;
	size_t line;			/* the last one that was taken */
	size_t empty, first_empty;
};

enum cli_got {
	CLI_DRY,	/* there is no more for now */
	CLI_FULL,	/* the block takes no more */
	CLI_END,	/* there is no more at all */
};

/* 0, or an exit code after an error message, as all of these. */
int cli_lines_open(struct cli_lines *l, const char *path);
void cli_lines_close(struct cli_lines *l);
/*
 * Reads lines into a block, which goes on where it was if it is open. It
 * doesn't wait: CLI_DRY, poll the descriptor. After an error the block has the
 * lines before it.
 */
int cli_lines_read(struct cli_lines *l, struct cli_block *b, enum cli_got *got);
/* The block takes no more lines: from here on they can be used. */
int cli_lines_cut(struct cli_lines *l, struct cli_block *b);
void cli_block_free(struct cli_block *b);

/* ---- Through a session ----------------------------------------------------------- */

/* A line of the text of which something is told at the end. */
struct cli_cut {
	size_t line;			/* 0: none */
	uint32_t tokens, full;
};

#define CLI_BLOCKS 3	/* that are read, run or written at once */

/*
 * Texts on their way from lines to results, in order and in constant memory:
 * what is read ahead of the results is CLI_BLOCKS blocks at most. A block goes
 * as it is when the input has no more for now and nothing runs.
 */
struct cli_stream {
	/* set by the caller */
	struct damf_session *session;
	struct cli_lines *lines;
	/*
	 * Makes the block's texts of its lines; NULL: each line is one. 0 or an exit
	 * code; texts before the error are run.
	 */
	int (*texts)(void *arg, struct cli_block *b);
	/* Takes the results of a block. 0 or an exit code. */
	int (*take)(void *arg, const struct cli_block *b);
	void *arg;
	/* the rest is set by the run */
	struct cli_block blocks[CLI_BLOCKS];
	size_t sent, taken;		/* blocks */
	bool end;			/* no line is left */
	int code;			/* why, if it isn't the end of the text */
	uint64_t done;			/* texts */
	struct cli_cut cut;		/* the first */
	double seconds;			/* from the first submission to the last result */
};

/*
 * Runs all lines. Tells once of empty lines (if told to), of texts that were
 * cut, and of a lost device. 0 or an exit code after an error message.
 */
int cli_stream_run(struct cli_stream *s, bool note_empty);
/* After the session is freed. */
void cli_stream_free(struct cli_stream *s);

/* ---- Rows ------------------------------------------------------------------------ */

enum cli_format { CLI_NPY, CLI_JSONL, CLI_TABLE };

/*
 * Embeddings on their way out. The head of an npy holds their number: it is
 * put right in the end where that can be, else rows wait in a temporary file.
 */
struct cli_rows {
	FILE *to, *spool;		/* spool: NULL or the temporary file, owned */
	enum cli_format format;
	uint32_t width;
	size_t n;			/* so far */
};

/* rewrites: a position in the file can be written once more. */
int cli_rows_begin(struct cli_rows *w, bool rewrites);
/* Whoever commits or flushes the file hears of what could not be written there. */
int cli_rows_add(struct cli_rows *w, const struct cli_block *b);
int cli_rows_end(struct cli_rows *w);
/* Forgets them; harmless after the end. */
void cli_rows_abort(struct cli_rows *w);

#endif /* DAMF_STREAM_H */
