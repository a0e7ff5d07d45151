// SPDX-License-Identifier: MIT
/*
 * Lines of a stream, a block at a time: memory is that of a block, whatever
 * the length of the text. Lines end with a line feed, perhaps with a carriage
 * return before it, and are UTF-8.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tokenizer/unicode.h"
#include "stream.h"

#define CHUNK	65536u		/* bytes read at once */
#define FULL	(1u << 20)	/* bytes of a block, but for its last line */

int cli_lines_open(struct cli_lines *l, const char *path)
{
	bool is_stdin = !strcmp(path, "-");

	*l = (struct cli_lines){ .name = cli_input_name(path), .fd = STDIN_FILENO };
	if (!is_stdin)
		l->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (l->fd < 0)
		return cli_error(CLI_INPUT, "%s: cannot open it: %s", path, strerror(errno));
	l->close = !is_stdin;
	if (is_stdin && isatty(STDIN_FILENO))
		cli_note("reading lines from the terminal, end with Ctrl-D");
	return 0;
}

void cli_lines_close(struct cli_lines *l)
{
	if (l->close)
		close(l->fd);
	free(l->rest);
	*l = (struct cli_lines){ .fd = -1 };
}

void cli_block_free(struct cli_block *b)
{
	free(b->data);
	free(b->out);
	*b = (struct cli_block){ .n = 0 };
}

static int grow(struct cli_lines *l, struct cli_block *b, size_t more)
{
	size_t room = b->room ? b->room : CHUNK;
	char *data;

	while (room - b->size < more)
		room *= 2;
	if (room == b->room)
		return 0;
	data = realloc(b->data, room);
	if (!data)
		return cli_error(CLI_FAILURE, "%s: no memory to read it", l->name);
	b->data = data;
	b->room = room;
	return 0;
}

/* A line of len bytes, from where the last one ended; its end included it has taken. */
static int add_line(struct cli_lines *l, struct cli_block *b, size_t len, size_t taken)
{
	const char *line = b->data + b->used;
	size_t bad;

	l->line++;
	if (len && line[len - 1] == '\r')
		len--;
	bad = damf_utf8_check(line, len);
	if (bad < len)
		return cli_error(CLI_INPUT,
				 "%s:%zu: byte %zu of the line (0x%02x) is not UTF-8: convert the text to UTF-8 first",
				 l->name, l->line, bad + 1, (unsigned char)line[bad]);
	if (!len && !l->empty++)
		l->first_empty = l->line;
	b->lines[b->n].len = len;
	b->at[b->n++] = b->used;
	b->used += taken;
	return 0;
}

static bool is_full(const struct cli_block *b)
{
	return b->n == CLI_LINES || (b->n && b->used >= FULL);
}

/* Takes the lines that have been read as a whole, until the block is full. */
static int take_lines(struct cli_lines *l, struct cli_block *b)
{
	const char *end;
	size_t len;
	int r = 0;

	while (!r && !is_full(b)) {
		end = memchr(b->data + b->seen, '\n', b->size - b->seen);
		if (!end) {
			b->seen = b->size;
			if (!l->eof || b->used == b->size)
				break;
			end = b->data + b->size;	/* the last one has no line feed */
		}
		len = (size_t)(end - b->data) - b->used;
		r = add_line(l, b, len, len + (end < b->data + b->size));
		b->seen = b->used;
	}
	return r;
}

/* Whether a read would not wait. */
static bool ready(const struct cli_lines *l)
{
	struct pollfd fd = { .fd = l->fd, .events = POLLIN };

	return poll(&fd, 1, 0) != 0;
}

static int read_more(struct cli_lines *l, struct cli_block *b)
{
	int r = grow(l, b, CHUNK);
	ssize_t n;

	if (r)
		return r;
	do
		n = read(l->fd, b->data + b->size, CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return cli_error(CLI_INPUT, "%s: cannot read it: %s", l->name, strerror(errno));
	l->eof = !n;
	b->size += (size_t)n;
	return 0;
}

static int begin(struct cli_lines *l, struct cli_block *b)
{
	int r;

	b->n = b->size = b->used = b->seen = 0;
	b->first = l->line + 1;
	r = grow(l, b, l->rest_len + 1);
	if (r)
		return r;
	if (l->rest_len)
		memcpy(b->data, l->rest, l->rest_len);
	b->size = l->rest_len;
	l->rest_len = 0;
	b->open = true;
	return 0;
}

int cli_lines_read(struct cli_lines *l, struct cli_block *b, enum cli_got *got)
{
	int r = b->open ? 0 : begin(l, b);

	while (!r) {
		r = take_lines(l, b);
		*got = is_full(b) ? CLI_FULL : CLI_END;
		if (r || is_full(b) || (l->eof && b->used == b->size))
			break;
		*got = CLI_DRY;
		if (!ready(l))
			break;
		r = read_more(l, b);
	}
	return r;
}

int cli_lines_cut(struct cli_lines *l, struct cli_block *b)
{
	size_t i, len = b->size - b->used;

	for (i = 0; i < b->n; i++)
		b->lines[i].text = b->data + b->at[i];
	b->open = false;
	l->rest_len = 0;
	free(l->rest);
	l->rest = len ? malloc(len) : NULL;
	if (!len)
		return 0;
	if (!l->rest)
		return cli_error(CLI_FAILURE, "%s: no memory to read it", l->name);
	memcpy(l->rest, b->data + b->used, len);
	l->rest_len = len;
	return 0;
}
