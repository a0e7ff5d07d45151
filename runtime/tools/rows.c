// SPDX-License-Identifier: MIT
/* Writing results: npy, a JSON object a line, or a table for people. */
#include <endian.h>
#include <string.h>

#include "cli.h"

/* https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0 */
static void write_npy(FILE *f, const struct cli_run *run, uint32_t width)
{
	char head[128];
	size_t i, len;
	uint32_t bits;

	memset(head, ' ', sizeof(head));
	memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);	/* 118 bytes of text follow */
	len = (size_t)snprintf(head + 10, sizeof(head) - 10,
			       "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %u), }",
			       run->n, width);
	head[10 + len] = ' ';
	head[sizeof(head) - 1] = '\n';
	fwrite(head, 1, sizeof(head), f);
	for (i = 0; i < run->n * width; i++) {
		memcpy(&bits, &run->out[i], sizeof(bits));
		bits = htole32(bits);
		fwrite(&bits, sizeof(bits), 1, f);
	}
}

static void write_jsonl(FILE *f, const struct cli_run *run, uint32_t width)
{
	size_t i, j;

	for (i = 0; i < run->n; i++) {
		json_t *text = json_stringn(run->texts[i].text, run->texts[i].len);

		fprintf(f, "{\"line\": %zu, \"text\": ", i + 1);
		json_dumpf(text, f, JSON_ENCODE_ANY);
		fprintf(f, ", \"tokens\": %u, \"truncated\": %s, \"embedding\": [",
			run->results[i].tokens,
			run->results[i].tokens < run->results[i].full ? "true" : "false");
		for (j = 0; j < width; j++)
			fprintf(f, "%s%.9g", j ? ", " : "", (double)run->out[i * width + j]);
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

static void write_table(FILE *f, const struct cli_run *run, uint32_t width)
{
	uint32_t j, shown = width < 6 ? width : 6;
	size_t i;

	fprintf(f, "%5s %6s  first %u of %u numbers, text\n", "line", "tokens", shown, width);
	for (i = 0; i < run->n; i++) {
		fprintf(f, "%5zu %5u%c ", i + 1, run->results[i].tokens,
			run->results[i].tokens < run->results[i].full ? '+' : ' ');
		for (j = 0; j < shown; j++)
			fprintf(f, " %8.5f", (double)run->out[i * width + j]);
		fputs("  ", f);
		write_short(f, &run->texts[i], 40);
		fputc('\n', f);
	}
}

void cli_write_rows(FILE *f, enum cli_format format, const struct cli_run *run, uint32_t width)
{
	if (format == CLI_NPY)
		write_npy(f, run, width);
	else if (format == CLI_JSONL)
		write_jsonl(f, run, width);
	else
		write_table(f, run, width);
}
