// SPDX-License-Identifier: MIT
/* Comparing outputs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

/* A record of a dump: lengths, then name and bytes. */
struct record {
	uint32_t name, size;
};

struct golden {
	char *bytes;
	size_t size, at;	/* at: behind the record that was looked up last */
	size_t records, used;
};

/* Whether a record lies at a place, and if so what it is. */
static bool record_at(const struct golden *g, size_t at, struct record *r)
{
	if (g->size - at < sizeof(*r))
		return false;
	memcpy(r, g->bytes + at, sizeof(*r));
	return (uint64_t)r->name + r->size <= g->size - at - sizeof(*r);
}

struct golden *conf_golden_open(const char *path)
{
	struct golden *g = calloc(1, sizeof(*g));
	FILE *f = fopen(path, "rb");
	struct record r;
	long size;

	if (!g || !f || fseek(f, 0, SEEK_END) || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) ||
	    !(g->bytes = malloc((size_t)size + 1)) ||
	    fread(g->bytes, 1, (size_t)size, f) != (size_t)size) {
		perror(path);
		exit(2);
	}
	fclose(f);
	g->size = (size_t)size;
	for (size_t at = 0; at < g->size; at += sizeof(r) + r.name + r.size) {
		if (!record_at(g, at, &r)) {
			fprintf(stderr, "%s is cut short: dump it again\n", path);
			exit(2);
		}
		g->records++;
	}
	return g;
}

size_t conf_golden_close(struct golden *g)
{
	size_t unused = g->records - g->used;

	free(g->bytes);
	free(g);
	return unused;
}

/* The next record of a name: records of the same name are in order. */
static const char *golden_find(struct golden *g, const char *name, uint32_t *size)
{
	size_t at = g->at;
	struct record r;

	for (size_t i = 0; i < g->records; i++) {
		if (at == g->size)
			at = 0;
		record_at(g, at, &r);
		at += sizeof(r) + r.name + r.size;
		if (r.name == strlen(name) && !memcmp(g->bytes + at - r.size - r.name, name, r.name)) {
			g->at = at;
			g->used++;
			*size = r.size;
			return g->bytes + at - r.size;
		}
	}
	return NULL;
}

static void compare_golden(struct conf *c, const char *name, const void *bytes, size_t size)
{
	uint32_t other = 0;
	const char *golden = golden_find(c->golden, name, &other);
	size_t at = 0;

	if (!golden || other != size)
		conf_fail("%s: not in the golden file, which another version wrote", name);
	while (at < size && ((const char *)bytes)[at] == golden[at])
		at++;
	if (at < size)
		conf_fail("%s: differs from the golden file from byte %zu of %zu on", name, at, size);
}

void conf_record(struct conf *c, const char *what, const void *bytes, size_t size)
{
	char name[200];
	struct record head;

	snprintf(name, sizeof(name), "%s: %s", c->name, what);
	for (size_t i = 0; i < size; i++)
		c->hash = (c->hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
	if (c->dump) {
		head = (struct record){ (uint32_t)strlen(name), (uint32_t)size };
		if (fwrite(&head, sizeof(head), 1, c->dump) != 1 ||
		    fwrite(name, 1, head.name, c->dump) != head.name ||
		    fwrite(bytes, 1, size, c->dump) != size)
			conf_fail("cannot write the dump: disk full?");
	}
	if (c->golden)
		compare_golden(c, name, bytes, size);
}

static void compare_reference(struct conf *c, const struct conf_tensor *t,
			      const struct ref_mat *want)
{
	double sum = 0.0, largest = 0.0, rms;

	assert_int_equal(want->rows, t->rows);
	assert_int_equal(want->cols, t->cols);
	for (uint32_t i = 0; i < t->rows; i++) {
		for (uint32_t j = 0; j < t->cols; j++) {
			size_t o = (size_t)i * t->cols + j;
			double got = *conf_at(t, i, j), error = fabs(got - want->v[o]);
			double tolerance = ref_tolerance(want, o);

			if (!(error <= tolerance))
				conf_fail("%s: [%u][%u] is %.9g, the reference %.12g +- %.3g",
					 c->name, i, j, got, want->v[o], tolerance);
			c->worst = fmax(c->worst, error / tolerance);
			largest = fmax(largest, error);
			sum += want->v[o] * want->v[o];
		}
	}
	rms = sqrt(sum / ((double)t->rows * t->cols));
	printf("# %s: max error %.2e, of rms %.2e\n", c->name, largest, rms);
}

/* Nothing is written between the rows. */
static void check_gaps(struct conf *c, const struct conf_tensor *t)
{
	for (uint32_t i = 0; i < t->rows; i++) {
		for (uint32_t j = t->cols; j < t->stride / 4; j++) {
			if (conf_bits(*conf_at(t, i, j)) != CONF_CANARY)
				conf_fail("%s: wrote behind row %u", c->name, i);
		}
	}
}

void conf_check(struct conf *c, const struct conf_tensor *t, struct ref_mat *want)
{
	size_t row = 4ul * t->cols;
	char *dense = malloc(t->rows * row + 1);

	assert_non_null(dense);
	check_gaps(c, t);
	if (want && want->v) {
		compare_reference(c, t, want);
		ref_free(want);
	}
	for (uint32_t i = 0; i < t->rows; i++)
		memcpy(dense + i * row, conf_at(t, i, 0), row);
	conf_record(c, "output", dense, t->rows * row);
	free(dense);
}
