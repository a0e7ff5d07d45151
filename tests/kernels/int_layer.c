// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "int_layer.h"

const char *const int_data_names[INT_DATA_END] = {
	"random", "all zero", "one side", "largest magnitude", "subnormal", "all exponents",
	"powers of two", "window's edge", "root of two", "one loud", "ties", "around 2^-100",
	"not finite",
};

static uint64_t next(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static size_t below(uint64_t *state, size_t n)
{
	return (size_t)(next(state) >> 33) % n;
}

static float from_bits(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

/* About -1 to 1. */
static float uniform(uint64_t *state)
{
	return (float)((int64_t)(next(state) >> 40) - (1 << 23)) * 0x1p-23f;
}

static float number(uint64_t *state, enum int_data data, size_t i, size_t some)
{
	uint32_t bits = (uint32_t)next(state), sign = bits & 0x80000000;

	switch (data) {
	case INT_ZERO:
		return from_bits(sign);
	case INT_ONE_SIDE: /* of one magnitude, mostly: denominators of 0, or near it */
		return some & 1 && !(bits & 15) ? -0.5f : -1.0f;
	case INT_LARGEST:
		return from_bits(sign | 0x7f7fffff);
	case INT_SUBNORMAL:
		return from_bits(sign | (bits & (0x7fffff >> some % 23)));
	case INT_WILD:
		return from_bits((bits & 0x7f800000) == 0x7f800000 ? bits ^ 0x40000000 : bits);
	case INT_POWERS:
		return from_bits(sign | (127 - bits % 16) << 23);
	case INT_EDGE: /* with fractions around the root of 2 */
		return from_bits(sign | (127 - (bits & 3 ? 10 + bits % 4 : 0)) << 23 |
				 (0x3504f0 + bits / 64 % 8));
	case INT_ROOT:
		return from_bits(sign | (127 - bits % 3) << 23 | (0x3504f2 + bits / 64 % 4));
	case INT_LOUD:
		return uniform(state) * (i == some ? 0x1p13f : 1.0f);
	case INT_TIES: /* halves of the unit of the largest, which comes first */
		return i ? (float)(int32_t)(bits % 65536 - 32768) * 0.5f :
			32767.0f + (float)(some % 4) * 0.25f;
	case INT_TINY: /* one of them 2^-100, or next to it */
		return i == some ? from_bits(0x0d800000 - bits % 2) : uniform(state) * 0x1p-101f;
	case INT_NOT_FINITE:
		return bits % 64 ? uniform(state) : from_bits(sign | 0x7f800000 | bits / 64 % 2);
	default:
		return uniform(state);
	}
}

static void fill(uint64_t *state, float *x, size_t n, enum int_data data)
{
	size_t some = n ? below(state, n) + next(state) % 2 * n : 0;

	for (size_t i = 0; i < n; i++)
		x[i] = number(state, data, i, some);
}

/* Half of them random, not many broken. */
static enum int_data pick(uint64_t *state)
{
	enum int_data data = (enum int_data)below(state, 2 * INT_DATA_END);

	if (data == INT_NOT_FINITE && next(state) % 8)
		data = INT_RANDOM;
	return data < INT_DATA_END ? data : INT_RANDOM;
}

static void make_head(uint64_t *state, struct int_head *h)
{
	static const float known[][3] = { { 1, 1, 0 }, { 0.25f, 1, 1 }, { 1, 2, 1 }, { 0, 1, 1 } };
	size_t which = below(state, 8);
	uint64_t flags = next(state);

	*h = (struct int_head) { .order = 1 + below(state, 4), .c = { 1, 1 }, .g = 1.0f,
				 .centred = flags & 1, .scale = flags >> 1 & 1 };
	if (which < 4)
		memcpy(h->c, known[which], sizeof(known[which]));
	for (size_t k = 0; which >= 4 && k <= h->order; k++) {
		enum int_data data = which == 7 ? INT_WILD : which == 6 ? INT_POWERS : INT_RANDOM;

		h->c[k] = number(state, data, k, 0) * (next(state) % 8 ? 1.0f : 0.0f);
	}
	for (size_t k = h->order + 1; k < 5; k++)
		h->c[k] = 0.0f;
	if (h->scale)
		h->g = number(state, flags & 4 ? INT_WILD : INT_RANDOM, 0, 0);
}

/* Mostly short ones; now and then one of more than some tiles, or none at all. */
static size_t length(uint64_t *state)
{
	size_t kind = below(state, 1024);

	return kind == 0 ? 100 + below(state, 200) : kind < 32 ? 17 + below(state, 60) :
		kind < 192 ? 0 : kind < 384 ? 1 : 2 + below(state, 7);
}

static void shape(uint64_t *state, struct int_layer *l)
{
	l->seqs = 1 + below(state, INT_SEQS);
	for (size_t i = 0; i < l->seqs; i++) {
		l->from[i] = l->tokens;
		l->len[i] = length(state);
		l->tokens += l->len[i];
	}
	l->heads = 1 + below(state, INT_HEADS);
	for (size_t h = 0; h < l->heads; h++) {
		make_head(state, &l->head[h]);
		l->terms += l->head[h].order + 1;
	}
	l->d_v = 1 + below(state, next(state) % 16 ? 6 : 70);
	l->width = 1 + below(state, next(state) % 16 ? 12 : 70);
	l->cols = 1 + below(state, next(state) % 16 ? 12 : 70);
}

static void *allocate(size_t size)
{
	void *p = calloc(size + !size, 1);

	if (!p)
		abort();
	return p;
}

void int_layer_make(struct int_layer *l, uint64_t n)
{
	uint64_t state = n * 0x2545f4914f6cdd1du + 1;
	size_t scores, v, x, z;
	float *at;

	*l = (struct int_layer) { 0 };
	shape(&state, l);
	scores = l->heads * l->tokens;
	v = scores * l->d_v;
	x = l->tokens * l->width;
	z = l->seqs * l->terms * l->cols;
	at = l->memory = allocate((2 * scores + v + x + z) * sizeof(*at));
	l->p = at;
	l->q = l->p + scores;
	l->v = l->q + scores;
	l->x = l->v + v;
	l->z = l->x + x;
	l->data_p = pick(&state);
	l->data_q = pick(&state);
	l->data_v = pick(&state);
	l->data_x = pick(&state);
	l->data_z = pick(&state);
	fill(&state, l->p, scores, l->data_p);
	fill(&state, l->q, scores, l->data_q);
	/* scores that are all negative, with their largest magnitude */
	if (l->data_p == INT_ONE_SIDE && l->data_q == INT_ONE_SIDE) {
		for (size_t i = 0; i < scores; i++)
			l->q[i] = -l->q[i];
	}
	fill(&state, l->v, v, l->data_v);
	fill(&state, l->x, x, l->data_x);
	fill(&state, l->z, z, l->data_z);
}

void int_layer_free(struct int_layer *l)
{
	free(l->memory);
}

struct int_result int_result_new(const struct int_layer *l)
{
	size_t scores = l->heads * l->tokens, sums = l->seqs * l->terms * l->width;
	size_t longs = scores * (1 + l->d_v) + sums + l->seqs * l->terms + l->tokens * l->cols +
		3 * l->seqs;
	struct int_result r = { .size = longs * sizeof(int64_t) +
				(scores * l->d_v + sums) * sizeof(float) };

	r.den = r.memory = allocate(r.size);
	r.num = r.den + scores;
	r.sums = r.num + scores * l->d_v;
	r.sigma = r.sums + sums;
	r.mix = r.sigma + l->seqs * l->terms;
	r.exponent = r.mix + l->tokens * l->cols;
	r.out = (float *)(r.exponent + 3 * l->seqs);
	r.rows = r.out + scores * l->d_v;
	return r;
}

void int_result_free(struct int_result *r)
{
	free(r->memory);
}

const char *int_result_differs(const struct int_layer *l, const struct int_result *a,
			       const struct int_result *b)
{
	size_t scores = l->heads * l->tokens, sums = l->seqs * l->terms * l->width;
	const struct {
		const char *name;
		const void *a, *b;
		size_t size;
	} parts[] = {
		{ "D of shift", a->den, b->den, scores * sizeof(int64_t) },
		{ "N of shift", a->num, b->num, scores * l->d_v * sizeof(int64_t) },
		{ "output of shift", a->out, b->out, scores * l->d_v * sizeof(float) },
		{ "sums of foldshift", a->sums, b->sums, sums * sizeof(int64_t) },
		{ "sums of foldshift as f32", a->rows, b->rows, sums * sizeof(float) },
		{ "sigma", a->sigma, b->sigma, l->seqs * l->terms * sizeof(int64_t) },
		{ "mix of foldshift", a->mix, b->mix, l->tokens * l->cols * sizeof(int64_t) },
		{ "exponents", a->exponent, b->exponent, 3 * l->seqs * sizeof(int64_t) },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (memcmp(parts[i].a, parts[i].b, parts[i].size))
			return parts[i].name;
	}
	return NULL;
}

void int_result_no_foldshift(const struct int_layer *l, size_t seq, struct int_result *r)
{
	size_t n = l->terms * l->width;

	memset(r->sums + seq * n, 0, n * sizeof(*r->sums));
	memset(r->rows + seq * n, 0, n * sizeof(*r->rows));
	memset(r->sigma + seq * l->terms, 0, l->terms * sizeof(*r->sigma));
	memset(r->mix + l->from[seq] * l->cols, 0, l->len[seq] * l->cols * sizeof(*r->mix));
	memset(r->exponent + 3 * seq, 0, 2 * sizeof(*r->exponent));
}
