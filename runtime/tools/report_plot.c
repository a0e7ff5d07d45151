// SPDX-License-Identifier: MIT
/* Plots of the sweep by gnuplot. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "report.h"

struct plot {
	const char *file, *title, *axis;
	double (*value)(const struct report_result *r);
};

static double operations(const struct report_result *r)
{
	return (double)report_operations(r);
}

static double memory(const struct report_result *r)
{
	return (double)report_memory(r);
}

static double microseconds(const struct report_result *r)
{
	return r->seconds * 1e6;
}

static const struct plot plots[] = {
	{ "report-macs.svg", "Multiply-adds, shifts and adds of a layer", "operations", operations },
	{ "report-bytes.svg", "Bytes of memory of a layer", "bytes", memory },
	{ "report-time.svg", "Modelled time of a layer", "us", microseconds },
};

/* In quotes, as gnuplot has it. */
static void quote(FILE *f, const char *text)
{
	putc('\'', f);
	for (; *text; text++) {
		if (*text == '\'')
			putc('\'', f);
		putc(*text, f);
	}
	putc('\'', f);
}

static void put_data(FILE *f, const struct report *r, const struct plot *p)
{
	for (size_t m = 0; m < REPORT_MODES; m++) {
		if (!r->sweep[m][0].offered)
			continue;
		fprintf(f, "$m%zu << EOD\n", m);
		for (size_t i = 0; i < r->lengths; i++)
			if (r->sweep[m][i].offered)
				fprintf(f, "%u %.17g\n", r->sweep[m][i].shape.length,
					p->value(&r->sweep[m][i]));
		fputs("EOD\n", f);
	}
}

static void put_plot(FILE *f, const struct report *r, const struct plot *p, const char *dir)
{
	const char *between = "plot ";
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, p->file);
	put_data(f, r, p);
	fputs("set output ", f);
	quote(f, path);
	fprintf(f, "\nset title '%s'\nset ylabel '%s'\n", p->title, p->axis);
	for (size_t m = 0; m < REPORT_MODES; m++) {
		if (!r->sweep[m][0].offered)
			continue;
		fprintf(f, "%s$m%zu with linespoints lw 2 title '%s'", between, m, report_modes[m]);
		between = ", ";
	}
	fputs("\nunset output\n", f);
}

int report_plot(const struct report *r, const char *dir)
{
	int status;
	FILE *f;

	if (mkdir(dir, 0777) && errno != EEXIST)
		return cli_error(CLI_FAILURE, "%s: cannot make it: %s", dir, strerror(errno));
	if (system("command -v gnuplot >/dev/null"))
		return cli_error(CLI_FAILURE,
				 "--plots: gnuplot is not installed (Debian: gnuplot-nox)");
	signal(SIGPIPE, SIG_IGN);	/* its end is told by its status */
	f = popen("exec gnuplot", "w");
	if (!f)
		return cli_error(CLI_FAILURE, "gnuplot cannot be run: %s", strerror(errno));
	fputs("set terminal svg size 720,480 dynamic name 'damf'\n"
	      "set logscale xy\nset format y '10^{%T}'\nset xlabel 'tokens'\n"
	      "set xtics (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)\n"
	      "set xrange [24:11000]\nset key top left\nset grid\n", f);
	for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++)
		put_plot(f, r, &plots[i], dir);
	status = pclose(f);
	return status ? cli_error(CLI_FAILURE, "--plots %s: gnuplot failed", dir) : 0;
}
