// SPDX-License-Identifier: MIT
/* Tables that are read on a terminal and by reStructuredText. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static void add_cell(struct report_table *t, const char *text, size_t len)
{
	char **more = t->cells;

	if (t->n == t->room) {
		more = realloc(t->cells, (t->room + 64) * sizeof(*more));
		if (!more) {
			t->failed = true;
			return;
		}
		t->cells = more;
		t->room += 64;
	}
	t->cells[t->n] = strndup(text, len);
	t->failed |= !t->cells[t->n];
	t->n++;
}

void report_row(struct report_table *t, const char *fmt, ...)
{
	char line[512], *at = line;
	va_list args;
	size_t cols;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	for (cols = 1; !t->failed; cols++) {
		size_t len = strcspn(at, "|");

		add_cell(t, at, len);
		if (!at[len])
			break;
		at += len + 1;
	}
	if (!t->cols)
		t->cols = cols;
	while (t->n % t->cols && !t->failed)	/* the rest of the row stays empty */
		add_cell(t, "", 0);
}

static void print_line(const size_t *width, size_t cols)
{
	for (size_t i = 0; i < cols; i++) {
		for (size_t j = 0; j < width[i]; j++)
			putchar('=');
		fputs(i + 1 < cols ? "  " : "\n", stdout);
	}
}

/* Numbers are set to the right; nothing but spaces is left out at the end of a line. */
static void print_row(char **cells, const size_t *width, size_t cols)
{
	size_t gap = 0;

	for (size_t i = 0; i < cols; i++, gap += 2) {
		const char *text = cells[i];
		int len = (int)strlen(text), fill = (int)width[i] - len;
		bool number = strspn(text, "0123456789.,-%") == strlen(text);

		if (!len) {
			gap += width[i];
			continue;
		}
		gap += number ? (size_t)fill : 0;
		printf("%*s%s", (int)gap, "", text);
		gap = number ? 0 : (size_t)fill;
	}
	putchar('\n');
}

static void print_table(const struct report_table *t)
{
	size_t width[16] = { 0 };

	for (size_t i = 0; i < t->n; i++) {
		size_t len = strlen(t->cells[i]);

		if (len > width[i % t->cols])
			width[i % t->cols] = len;
	}
	print_line(width, t->cols);
	for (size_t i = 0; i < t->n; i += t->cols) {
		print_row(t->cells + i, width, t->cols);
		if (!i)
			print_line(width, t->cols);
	}
	print_line(width, t->cols);
}

void report_table_end(struct report_table *t)
{
	if (t->failed)
		cli_error(CLI_FAILURE, "no memory for a table");
	else
		print_table(t);
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct report_table){ .cells = NULL };
}
