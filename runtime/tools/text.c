// SPDX-License-Identifier: MIT
/*
 * Reading text: lines end with a line feed, perhaps with a carriage return
 * before it, and everything is UTF-8.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tokenizer/unicode.h"
#include "cli.h"

static int read_all(FILE *f, const char *name, struct cli_text *text)
{
	size_t room = 0, n;
	char *data;

	do {
		if (text->size == room) {
			room = room ? 2 * room : 65536;
			data = realloc(text->data, room);
			if (!data)
				return cli_error(CLI_FAILURE, "%s: no memory to read it", name);
			text->data = data;
		}
		n = fread(text->data + text->size, 1, room - text->size, f);
		text->size += n;
	} while (n);
	if (ferror(f))
		return cli_error(CLI_INPUT, "%s: cannot read it: %s", name, strerror(errno));
	return 0;
}

static int check_utf8(const struct cli_text *text, const char *name)
{
	size_t bad = damf_utf8_check(text->data, text->size), line = 1, start = 0, i;

	if (bad == text->size)
		return 0;
	for (i = 0; i < bad; i++) {
		if (text->data[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	return cli_error(CLI_INPUT,
			 "%s:%zu: byte %zu of the line (0x%02x) is not UTF-8: convert the file to UTF-8 first",
			 name, line, bad - start + 1, (unsigned char)text->data[bad]);
}

/* What follows the last line feed is a line if it isn't empty. */
static int split(struct cli_text *text, const char *name)
{
	const char *p = text->data, *end = text->data + text->size, *stop;
	size_t n = 1, len;

	for (stop = p; stop < end; stop++)
		n += *stop == '\n';
	text->lines = calloc(n, sizeof(*text->lines));
	if (!text->lines)
		return cli_error(CLI_FAILURE, "%s: no memory for its lines", name);
	for (; p < end; p = stop + 1) {
		stop = memchr(p, '\n', (size_t)(end - p));
		if (!stop)
			stop = end;
		len = (size_t)(stop - p);
		if (len && p[len - 1] == '\r')
			len--;
		text->lines[text->n].text = p;
		text->lines[text->n++].len = len;
	}
	return 0;
}

const char *cli_input_name(const char *path)
{
	return strcmp(path, "-") ? path : "standard input";
}

int cli_read_text(const char *path, struct cli_text *text)
{
	bool is_stdin = !strcmp(path, "-");
	const char *name = cli_input_name(path);
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	int r;

	memset(text, 0, sizeof(*text));
	if (!f)
		return cli_error(CLI_INPUT, "%s: cannot open it: %s", path, strerror(errno));
	if (is_stdin && isatty(STDIN_FILENO))
		cli_note("reading lines from the terminal, end with Ctrl-D");
	r = read_all(f, name, text);
	if (!is_stdin)
		fclose(f);
	if (!r)
		r = check_utf8(text, name);
	if (!r)
		r = split(text, name);
	if (r)
		cli_text_free(text);
	return r;
}

void cli_text_free(struct cli_text *text)
{
	free(text->data);
	free(text->lines);
	memset(text, 0, sizeof(*text));
}

void cli_note_empty_lines(size_t n, size_t first)
{
	if (n)
		cli_note("%zu empty line%s, the first is line %zu: taken as [CLS] [SEP], so that results stay line for line",
			 n, n == 1 ? "" : "s", first);
}

bool cli_column(const struct damf_text *line, uint32_t column, const char **at, size_t *len)
{
	const char *p = line->text, *end = p + line->len, *tab;

	for (;; p = tab + 1) {
		tab = memchr(p, '\t', (size_t)(end - p));
		if (!--column) {
			*at = p;
			*len = (size_t)((tab ? tab : end) - p);
			return true;
		}
		if (!tab)
			return false;
	}
}
