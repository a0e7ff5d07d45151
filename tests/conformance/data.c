// SPDX-License-Identifier: MIT
/* Memory, and the numbers that go into it. */
#include <stdlib.h>
#include <string.h>

#include "conf.h"

const char *const conf_data_names[CONF_DATA_END] = {
	"random", "zero", "ones", "negative", "huge", "tiny", "mixed", "cancel",
};

const struct conf_batch conf_batches[CONF_BATCHES] = {
	{ 1, 1, { 0, 1 } },
	{ 1, 13, { 0, 13 } },
	{ 4, 11, { 0, 3, 3, 10, 11 } },
	{ 3, 5, { 0, 0, 0, 5 } },
	{ 3, 84, { 0, 17, 82, 84 } },
	{ 9, 37, { 0, 1, 2, 4, 7, 11, 16, 22, 29, 37 } },
};

struct ref_batch conf_ref_batch(const struct conf_batch *b)
{
	return (struct ref_batch){ b->offsets, b->seqs };
}

/* splitmix64 */
uint64_t conf_random(struct conf *c)
{
	uint64_t z = c->seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint32_t conf_below(struct conf *c, uint32_t n)
{
	return (uint32_t)((conf_random(c) >> 32) * n >> 32);
}

uint32_t conf_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

/* Sum of four uniform numbers, scaled to deviation 1: exact in f32. */
static float about_normal(struct conf *c)
{
	uint64_t r = conf_random(c);
	int32_t sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (int32_t)(r >> (16 * i) & 0xffff) - 32768;
	return (float)sum * (1.0f / 37837.0f);
}

static float power_of_two(int exponent)
{
	float f = 1.0f;

	for (; exponent > 0; exponent--)
		f *= 2.0f;
	for (; exponent < 0; exponent++)
		f *= 0.5f;
	return f;
}

float conf_number(struct conf *c, enum conf_data data, size_t i)
{
	float x = about_normal(c);

	switch (data) {
	case CONF_ZERO:
		return 0.0f;
	case CONF_ONES:
		return 1.0f;
	case CONF_NEGATIVE:
		return x > 0.0f ? -x - 0.125f : x - 0.125f;
	case CONF_HUGE:
		return x * 1e8f;
	case CONF_TINY:
		return x * 1e-8f;
	case CONF_MIXED:
		return x * power_of_two((int)conf_below(c, 41) - 20);
	case CONF_CANCEL:
		return (i & 1 ? -1000.0f : 1000.0f) + x * 0.001f;
	default:
		return x;
	}
}

/* Memory of the case: 64-byte aligned, as tensors must be. */
void *conf_take(struct conf *c, uint64_t size, uint64_t *va)
{
	uint64_t at = (c->used + 63) & ~63ull;

	if (at + size > damf_buffer_size(c->arena))
		conf_fail("%s needs more memory than the suite has", c->name);
	c->used = at + size;
	*va = damf_buffer_va(c->arena) + at;
	return (char *)damf_buffer_map(c->arena) + at;
}

/* The same for what is the test's own, which a later case frees. */
void *conf_take_plain(struct conf *c, size_t size)
{
	void *p = malloc(size);

	if (!p || c->nplain == CONF_PLAIN)
		conf_fail("%s: no memory for its weights", c->name);
	c->plain[c->nplain++] = p;
	return p;
}

/* Strides differ from widths, in all but one of four tensors. */
static struct conf_tensor rows_f32(struct conf *c, uint32_t rows, uint32_t cols)
{
	struct conf_tensor t = {
		.rows = rows, .cols = cols, .type = DAMF_TYPE_F32, .layout = DAMF_LAYOUT_ROWS,
	};
	uint64_t size;

	t.stride = 4ull * (cols + conf_below(c, 4));
	size = (uint64_t)rows * t.stride;
	t.map = conf_take(c, size, &t.va);
	for (uint64_t i = 0; i < size / 4; i++)
		((uint32_t *)t.map)[i] = CONF_CANARY;
	return t;
}

float *conf_at(const struct conf_tensor *t, uint32_t row, uint32_t col)
{
	return (float *)((char *)t->map + row * t->stride) + col;
}

struct conf_tensor conf_in(struct conf *c, uint32_t rows, uint32_t cols, enum conf_data data)
{
	struct conf_tensor t = rows_f32(c, rows, cols);

	for (uint32_t i = 0; i < rows; i++) {
		for (uint32_t j = 0; j < cols; j++)
			*conf_at(&t, i, j) = conf_number(c, data, i + j);
	}
	return t;
}

struct conf_tensor conf_out(struct conf *c, uint32_t rows, uint32_t cols)
{
	return rows_f32(c, rows, cols);
}

struct conf_tensor conf_i32(struct conf *c, uint32_t rows, const int32_t *values)
{
	struct conf_tensor t = {
		.rows = rows, .cols = 1, .stride = 4, .type = DAMF_TYPE_I32,
		.layout = DAMF_LAYOUT_ROWS,
	};

	t.map = conf_take(c, 4ull * rows, &t.va);
	if (values)
		memcpy(t.map, values, 4ull * rows);
	return t;
}

struct conf_tensor conf_offsets(struct conf *c, const struct conf_batch *b)
{
	return conf_i32(c, b->seqs + 1, b->offsets);
}

struct conf_tensor conf_bytes(struct conf *c, uint32_t rows, uint32_t cols, uint64_t stride)
{
	struct conf_tensor t = {
		.rows = rows, .cols = cols, .stride = stride, .type = DAMF_TYPE_BYTES,
		.layout = DAMF_LAYOUT_ROWS,
	};

	t.map = conf_take(c, rows * stride, &t.va);
	memset(t.map, 0, rows * stride);
	return t;
}
