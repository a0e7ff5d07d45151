// SPDX-License-Identifier: MIT
/* The tensors of the jobs, and their arithmetic in float64. */
#include <math.h>
#include <string.h>

#include "jobs_data.h"

const int32_t job_offsets[B + 1] = { 0, 3, 3, 7 };

/* ---- Tensors ------------------------------------------------------------- */

static float noise(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return ((int32_t)(*state >> 8) - (1 << 23)) / (float)(1 << 23);
}

void job_tensor(struct fake *f, struct job_case *c, unsigned int slot, unsigned int type,
		uint32_t rows, uint32_t cols, uint64_t stride)
{
	struct damf_tensor *t = &c->job.tensor[slot];

	*t = (struct damf_tensor) { .type = type, .rows = rows, .cols = cols, .stride = stride };
	t->addr = fake_va(f, (uint64_t)rows * stride, &c->host[slot]);
}

void job_rows(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
	      uint32_t cols, uint32_t seed)
{
	uint64_t stride = 4 * cols + (rows > 1 ? 12 : 0);
	uint32_t r, i;

	job_tensor(f, c, slot, DAMF_TYPE_F32, rows, cols, stride);
	for (r = 0; r < rows; r++)
		for (i = 0; i < cols; i++)
			*(float *)((char *)c->host[slot] + r * stride + 4 * i) = noise(&seed);
}

/* n factors of I8, all different. */
static void scales(struct fake *f, struct job_case *c, unsigned int slot, uint32_t n)
{
	struct damf_tensor *t = &c->job.tensor[slot];
	void *host;
	uint32_t i;

	t->scales = fake_va(f, 4ull * n, &host);
	c->scales[slot] = host;
	for (i = 0; i < n; i++)
		c->scales[slot][i] = (float)(i % 5 + 2) / 2048;
}

/* Element @i, made of a number from -1 to 1. */
static void put(struct job_case *c, unsigned int slot, uint64_t i, float x)
{
	void *host = c->host[slot];
	uint32_t bits;

	switch (c->job.tensor[slot].type) {
	case DAMF_TYPE_I8:
		((int8_t *)host)[i] = (int8_t)(x * 127);
		break;
	case DAMF_TYPE_BF16:
		memcpy(&bits, &x, 4);
		((uint16_t *)host)[i] = (uint16_t)(bits >> 16);
		break;
	default:
		((float *)host)[i] = x;
	}
}

/* What it is, but for the factor of I8. */
static double get(const struct job_case *c, unsigned int slot, uint64_t i)
{
	const void *host = c->host[slot];
	uint32_t bits;
	float x;

	switch (c->job.tensor[slot].type) {
	case DAMF_TYPE_I8:
		return ((const int8_t *)host)[i];
	case DAMF_TYPE_BF16:
		bits = (uint32_t)((const uint16_t *)host)[i] << 16;
		memcpy(&x, &bits, 4);
		return x;
	default:
		return ((const float *)host)[i];
	}
}

static unsigned int element(unsigned int type)
{
	return type == DAMF_TYPE_I8 ? 1 : type == DAMF_TYPE_BF16 ? 2 : 4;
}

static uint64_t place(const struct damf_tensor *t, uint32_t k, uint32_t n)
{
	if (t->type == DAMF_TYPE_I8)
		return ((n / 32) * ((t->rows + 3ull) / 4) + k / 4) * 128 + n % 32 * 4 + k % 4;
	return ((n / 32) * (uint64_t)t->rows + k) * 32 + n % 32;
}

void job_packed(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
		uint32_t cols, uint32_t seed)
{
	struct damf_tensor *t = &c->job.tensor[slot];
	uint32_t k, n, panels = (cols + DAMF_PANEL - 1) / DAMF_PANEL, padded = rows;

	*t = (struct damf_tensor) { .type = c->type, .layout = DAMF_LAYOUT_PANEL32,
				    .rows = rows, .cols = cols };
	if (c->type == DAMF_TYPE_I8) {
		padded = (rows + 3) / 4 * 4;
		scales(f, c, slot, cols);
	}
	t->addr = fake_va(f, (uint64_t)element(c->type) * panels * DAMF_PANEL * padded,
			  &c->host[slot]);
	for (k = 0; k < rows; k++)
		for (n = 0; n < cols; n++)
			put(c, slot, place(t, k, n),
			    noise(&seed) / (c->type == DAMF_TYPE_I8 ? 1 : 4));
}

void job_embeddings(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
		    uint32_t seed)
{
	unsigned int elem = element(c->type);
	uint32_t r, i;

	job_tensor(f, c, slot, c->type, rows, D, elem * (D + 3));
	if (c->type == DAMF_TYPE_I8)
		scales(f, c, slot, rows);
	for (r = 0; r < rows; r++)
		for (i = 0; i < D; i++)
			put(c, slot, r * (D + 3) + i, noise(&seed));
}

double job_embedding(const struct job_case *c, unsigned int slot, uint32_t r, uint32_t i)
{
	double x = get(c, slot, r * (D + 3) + i);

	return c->type == DAMF_TYPE_I8 ? x * (double)c->scales[slot][r] : x;
}

void job_table(struct fake *f, struct job_case *c, unsigned int slot, const int32_t *v,
	       uint32_t n)
{
	job_tensor(f, c, slot, DAMF_TYPE_I32, n, 1, 4);
	memcpy(c->host[slot], v, 4 * n);
}

double job_at(const struct job_case *c, unsigned int slot, uint32_t r, uint32_t i)
{
	return *(float *)((char *)c->host[slot] + r * c->job.tensor[slot].stride + 4 * i);
}

void job_eps(struct job_case *c, float value)
{
	memcpy(&c->job.param[DAMF_P_EPS], &value, 4);
}

double *job_row(struct job_case *c, uint32_t r)
{
	return c->expect + (size_t)r * c->cols;
}

/* A row as integers, as the specification of numbers has it; what they stand for. */
static double quantise(const double *x, uint32_t n, unsigned int xtype, double *q)
{
	float top = xtype == DAMF_TYPE_I16 ? 32767.0f : 127.0f, max = 0;
	uint32_t i;

	for (i = 0; i < n; i++)
		max = fmaxf(max, fabsf((float)x[i]));
	for (i = 0; i < n; i++)
		q[i] = rint((double)((float)x[i] * (top / max)));
	return (double)(max / top);
}

void job_project(const struct job_case *c, const double *x, unsigned int w, unsigned int b,
		 double *y)
{
	const struct damf_tensor *t = &c->job.tensor[w];
	bool i8 = t->type == DAMF_TYPE_I8;
	double q[64], scale = 1;
	uint32_t k, n;

	if (i8)
		scale = quantise(x, t->rows, c->xtype, q);
	for (n = 0; n < t->cols; n++) {
		double sum = 0;

		for (k = 0; k < t->rows; k++)
			sum += (i8 ? q[k] : x[k]) * get(c, w, place(t, k, n));
		y[n] = (c->host[b] ? job_at(c, b, 0, n) : 0) +
		       sum * (i8 ? scale * (double)c->scales[w][n] : 1);
	}
}

void job_input(const struct job_case *c, uint32_t r, double *x)
{
	uint32_t i;

	for (i = 0; i < c->job.tensor[DAMF_T_X].cols; i++)
		x[i] = job_at(c, DAMF_T_X, r, i);
}

void job_output(struct fake *f, struct job_case *c, uint32_t rows, uint32_t cols)
{
	job_rows(f, c, DAMF_T_Y, rows, cols, 99);
	c->rows = rows;
	c->cols = cols;
}
