// SPDX-License-Identifier: MIT
/* Blocks of lines go round: read, run, their results taken, read again. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "stream.h"

static struct cli_block *block(struct cli_stream *s, size_t i)
{
	return &s->blocks[i % CLI_BLOCKS];
}

/* ---- In ------------------------------------------------------------------------ */

static int make_texts(struct cli_stream *s, struct cli_block *b)
{
	b->texts_n = 0;
	if (s->texts)
		return s->texts(s->arg, b);
	for (; b->texts_n < b->n; b->texts_n++) {
		b->texts[b->texts_n] = b->lines[b->texts_n];
		b->line[b->texts_n] = b->first + b->texts_n;
	}
	return 0;
}

static int make_room(struct cli_block *b, uint32_t width)
{
	if (b->out_room >= b->texts_n)
		return 0;
	free(b->out);
	b->out = calloc(b->texts_n, width * sizeof(*b->out));
	b->out_room = b->out ? b->texts_n : 0;
	return b->out ? 0 : cli_error(CLI_FAILURE, "no memory for the results of %zu texts",
				      b->texts_n);
}

static int text_exit(int r)
{
	return r == -EILSEQ || r == -EINVAL || r == -EOVERFLOW ? CLI_INPUT : cli_session_exit(r);
}

/* The block at hand; one without texts only has its turn. */
static int submit(struct cli_stream *s)
{
	struct cli_block *b = block(s, s->sent);
	struct damf_error err;
	uint64_t ticket;
	int r = cli_lines_cut(s->lines, b);

	if (r)
		return r;
	r = make_texts(s, b);
	if (r) {
		s->code = r;
		s->end = true;
	}
	r = make_room(b, damf_session_width(s->session));
	if (!r && b->texts_n) {
		if (!s->seconds)
			s->seconds = -cli_seconds();
		r = damf_session_submit(s->session, b->texts, b->texts_n, b->out, b->results,
					&ticket, &err);
		if (r)
			r = cli_error(text_exit(r), "%s", err.text);
	}
	s->sent += !r;
	return r;
}

/* Sends what can be had without waiting. */
static int send_lines(struct cli_stream *s)
{
	enum cli_got got;
	int r = 0;

	while (!r && !s->end && s->sent - s->taken < CLI_BLOCKS) {
		s->code = cli_lines_read(s->lines, block(s, s->sent), &got);
		if (s->code || got == CLI_END)
			s->end = true;
		else if (got == CLI_DRY && (s->sent != s->taken || !block(s, s->sent)->n))
			return 0;
		r = submit(s);
	}
	return r;
}

/* ---- Out ----------------------------------------------------------------------- */

static void note_cut(struct cli_stream *s, const struct cli_block *b)
{
	size_t i;

	for (i = 0; i < b->texts_n && !s->cut.line; i++)
		if (b->results[i].tokens < b->results[i].full)
			s->cut = (struct cli_cut){ b->line[i], b->results[i].tokens,
						   b->results[i].full };
}

static int take_block(struct cli_stream *s)
{
	struct cli_block *b = block(s, s->taken++);

	note_cut(s, b);
	s->done += b->texts_n;
	cli_progress("texts", s->done, 0);
	return s->take(s->arg, b);
}

/* Sleeps until there is input, or the session has something to do. */
static void sleep_until(struct cli_stream *s, bool running)
{
	struct pollfd fds[] = {
		{ .fd = s->lines->fd, .events = POLLIN },
		{ .fd = running ? damf_session_eventfd(s->session) : -1, .events = POLLIN },
	};

	poll(fds, 2, -1);
}

/* Takes the next block, or hears of more input. */
static int take_results(struct cli_stream *s)
{
	bool dry = !s->end && s->sent - s->taken < CLI_BLOCKS;
	struct damf_error err;
	uint64_t ticket;
	int r;

	if (s->sent != s->taken && !block(s, s->taken)->texts_n)
		return take_block(s);
	if (dry)
		sleep_until(s, s->sent != s->taken);
	if (s->sent == s->taken)
		return 0;
	r = damf_session_wait(s->session, dry ? 0 : -1, &ticket, &err);
	if (r == -ETIME)
		return 0;
	if (r)
		return cli_error(r == -ENOMEM ? CLI_FAILURE : CLI_DEVICE, "%s", err.text);
	return take_block(s);
}

/* ---- All of it ------------------------------------------------------------------ */

static void tell(const struct cli_stream *s, bool note_empty)
{
	struct damf_session_stats stats = { .size = sizeof(stats) };

	if (note_empty)
		cli_note_empty_lines(s->lines->empty, s->lines->first_empty);
	damf_session_get_stats(s->session, &stats);
	if (s->cut.line)
		cli_note("%llu text%s longer than the limit of tokens and cut (the first is in line %zu: %u of %u tokens used); --max-length N changes it, up to the model's positions",
			 (unsigned long long)stats.truncated, stats.truncated == 1 ? " was" : "s were",
			 s->cut.line, s->cut.tokens, s->cut.full);
	if (stats.failovers)
		cli_note("the device was given up, the CPU did the rest with the same numbers: %s",
			 stats.failover_reason);
}

int cli_stream_run(struct cli_stream *s, bool note_empty)
{
	int r = 0;

	while (!r && (!s->end || s->sent != s->taken)) {
		r = send_lines(s);
		if (!r)
			r = take_results(s);
	}
	cli_progress("texts", 1, 1);
	if (s->seconds)
		s->seconds += cli_seconds();
	if (!r)
		r = s->code;
	if (!r)
		tell(s, note_empty);
	return r;
}

void cli_stream_free(struct cli_stream *s)
{
	size_t i;

	for (i = 0; i < CLI_BLOCKS; i++)
		cli_block_free(&s->blocks[i]);
}
