// SPDX-License-Identifier: MIT
/* Writing results: npy, a JSON object a line, or a table for people. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

/* ---- npy ----------------------------------------------------------------------- */

/* https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0 */
static void write_head(FILE *f, size_t n, uint32_t width)
{
	char head[128];
	size_t len;

	memset(head, ' ', sizeof(head));
	memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);	/* 118 bytes of text follow */
	len = (size_t)snprintf(head + 10, sizeof(head) - 10,
			       "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %u), }", n,
			       width);
	head[10 + len] = ' ';
	head[sizeof(head) - 1] = '\n';
	fwrite(head, 1, sizeof(head), f);
}

static void write_numbers(FILE *f, const float *x, size_t n)
{
	uint32_t bits[1024];
	size_t i, done, some;

	for (done = 0; done < n; done += some) {
		some = n - done < 1024 ? n - done : 1024;
		memcpy(bits, x + done, some * sizeof(*bits));
		for (i = 0; i < some; i++)
			bits[i] = htole32(bits[i]);
		fwrite(bits, sizeof(*bits), some, f);
	}
}

void cli_write_npy(FILE *f, const float *x, size_t n, uint32_t width)
{
	write_head(f, n, width);
	write_numbers(f, x, n * width);
}

/* A file without a name. */
static FILE *open_spool(void)
{
	const char *dir = getenv("TMPDIR");
	char *path;
	FILE *f = NULL;
	int fd;

	if (asprintf(&path, "%s/damf-XXXXXX", dir && *dir ? dir : "/var/tmp") < 0)
		return NULL;
	fd = mkstemp(path);
	if (fd >= 0) {
		unlink(path);
		f = fdopen(fd, "w+");
		if (!f)
			close(fd);
	}
	free(path);
	return f;
}

static int spool_failed(void)
{
	return cli_error(CLI_FAILURE,
			 "cannot keep results in a temporary file: %s; set TMPDIR to a place with room",
			 errno ? strerror(errno) : "a write failed");
}

static int copy_spool(const struct cli_rows *w)
{
	char buf[65536];
	size_t n;

	errno = 0;
	if (fflush(w->spool) || ferror(w->spool))
		return spool_failed();
	fseeko(w->spool, 0, SEEK_SET);
	while ((n = fread(buf, 1, sizeof(buf), w->spool)))
		fwrite(buf, 1, n, w->to);
	return ferror(w->spool) ? spool_failed() : 0;
}

/* ---- For people, and lines of JSON ------------------------------------------------ */

static void write_jsonl(FILE *f, const struct cli_block *b, uint32_t width)
{
	size_t i, j;

	for (i = 0; i < b->texts_n; i++) {
		json_t *text = json_stringn(b->texts[i].text, b->texts[i].len);

		fprintf(f, "{\"line\": %zu, \"text\": ", b->line[i]);
		json_dumpf(text, f, JSON_ENCODE_ANY);
		fprintf(f, ", \"tokens\": %u, \"truncated\": %s, \"embedding\": [",
			b->results[i].tokens,
			b->results[i].tokens < b->results[i].full ? "true" : "false");
		for (j = 0; j < width; j++)
			fprintf(f, "%s%.9g", j ? ", " : "", (double)b->out[i * width + j]);
		fputs("]}\n", f);
		json_decref(text);
	}
}

/* At most cols code points of a text, control characters as spaces. */
static void write_short(FILE *f, const struct damf_text *t, unsigned int cols)
{
	unsigned int shown = 0;
	size_t i;

	for (i = 0; i < t->len; i++) {
		unsigned char c = (unsigned char)t->text[i];

		if ((c & 0xc0) != 0x80 && shown++ == cols)
			break;
		fputc(c < 0x20 || c == 0x7f ? ' ' : c, f);
	}
}

static void write_table(FILE *f, const struct cli_block *b, uint32_t width)
{
	uint32_t j, shown = width < 6 ? width : 6;
	size_t i;

	for (i = 0; i < b->texts_n; i++) {
		fprintf(f, "%5zu %5u%c ", b->line[i], b->results[i].tokens,
			b->results[i].tokens < b->results[i].full ? '+' : ' ');
		for (j = 0; j < shown; j++)
			fprintf(f, " %8.5f", (double)b->out[i * width + j]);
		fputs("  ", f);
		write_short(f, &b->texts[i], 40);
		fputc('\n', f);
	}
}

/* ---- All of them --------------------------------------------------------------- */

int cli_rows_begin(struct cli_rows *w, bool rewrites)
{
	if (w->format == CLI_TABLE)
		fprintf(w->to, "%5s %6s  first %u of %u numbers, text\n", "line", "tokens",
			w->width < 6 ? w->width : 6, w->width);
	if (w->format != CLI_NPY)
		return 0;
	if (rewrites) {
		write_head(w->to, 0, w->width);
		return 0;
	}
	w->spool = open_spool();
	return w->spool ? 0 : spool_failed();
}

int cli_rows_add(struct cli_rows *w, const struct cli_block *b)
{
	w->n += b->texts_n;
	if (w->format == CLI_NPY)
		write_numbers(w->spool ? w->spool : w->to, b->out, b->texts_n * w->width);
	else if (w->format == CLI_JSONL)
		write_jsonl(w->to, b, w->width);
	else
		write_table(w->to, b, w->width);
	return w->spool && ferror(w->spool) ? spool_failed() : 0;
}

int cli_rows_end(struct cli_rows *w)
{
	int r = 0;

	if (w->format != CLI_NPY)
		return 0;
	if (!w->spool)
		fseeko(w->to, 0, SEEK_SET);	/* rewind() would forget an error */
	write_head(w->to, w->n, w->width);
	if (w->spool)
		r = copy_spool(w);
	cli_rows_abort(w);
	return r;
}

void cli_rows_abort(struct cli_rows *w)
{
	if (w->spool)
		fclose(w->spool);
	w->spool = NULL;
}
