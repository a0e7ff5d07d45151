// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "define.h"
#include "tally.h"

#define LANES	16
#define CHUNK	128

/* ---- Elementary functions ------------------------------------------------ */

static float polynomial(const float *c, size_t n, float x)
{
	float p = c[0];

	for (size_t i = 1; i < n; i++)
		p = fmaf(p, x, c[i]);
	return p;
}

static float exp_core(float x, float low)
{
	static const float c[] = {
		0x1.6a23e4p-10f, 0x1.123a20p-7f, 0x1.5558f2p-5f, 0x1.555492p-3f, 0x1.fffffcp-2f,
		1.0f, 1.0f,
	};
	float n = fmaf(x, 0x1.715476p+0f, 0x1.8p+23f) - 0x1.8p+23f;
	float r = fmaf(n, -0x1.7f7d1cp-20f, fmaf(n, -0x1.62e4p-1f, x)) + low;

	return ldexpf(polynomial(c, 7, r), (int)n);
}

float def_exp(float x)
{
	tally.exps++;
	if (isnan(x))
		return x;
	if (x < -0x1.5d589ep+6f)
		return 0.0f;
	return x > 0x1.62e42ep+6f ? INFINITY : exp_core(x, 0.0f);
}

float def_gelu(float x)
{
	static const float small[] = {
		0x1.a95612p-14f, -0x1.352704p-10f, 0x1.46bf12p-7f, -0x1.1057fcp-4f, 0x1.988452p-2f,
	};
	static const float c[] = {
		-0x1.1e453ep-11f, -0x1.3a0b66p-15f, 0x1.03cee2p-8f, -0x1.c7cf6ap-10f,
		-0x1.d8ce98p-6f, 0x1.764782p-4f, -0x1.1e04b8p-3f, 0x1.c20d30p-4f, 0x1.754a76p-2f,
	};
	float t = fabsf(x), s = t * t, h = 0.0f;

	tally.exps++;
	if (isnan(x))
		return x;
	if (t < 0.75f)
		return x * fmaf(polynomial(small, 5, s), x, 0.5f);
	if (t < 0x1.a4ae0ep+3f)
		h = polynomial(c, 9, (t - 3.0f) / (t + 3.0f)) *
			exp_core(s * -0.5f, fmaf(t, t, -s) * -0.5f);
	return (x > 0.0f ? x : 0.0f) - h;
}

float def_tanh(float x)
{
	static const float c[] = {
		-0x1.75e1b4p-8f, 0x1.522696p-6f, -0x1.b83c5ap-5f, 0x1.11071ap-3f, -0x1.555532p-2f,
	};
	float t = fabsf(x), z;

	tally.exps++;
	if (isnan(x))
		return x;
	if (t > 9.25f)
		t = 9.25f;
	z = t * t;
	return copysignf(t < 0.625f ? fmaf(polynomial(c, 5, z) * z, t, t) :
			 1.0f - 2.0f / (exp_core(t + t, 0.0f) + 1.0f), x);
}

static float activation(float x, enum damf_k_act act)
{
	return act == DAMF_K_GELU ? def_gelu(x) : act == DAMF_K_TANH ? def_tanh(x) : x;
}

/* ---- Sums ---------------------------------------------------------------- */

static float tree(float *lane)
{
	for (size_t w = LANES / 2; w; w /= 2) {
		for (size_t i = 0; i < w; i++)
			lane[i] += lane[i + w];
	}
	return lane[0];
}

float def_sum(const float *x, size_t n)
{
	float lane[LANES] = { 0 };

	for (size_t i = 0; i < (n + LANES - 1) / LANES * LANES; i++)
		lane[i % LANES] += i < n ? x[i] : 0.0f;
	return tree(lane);
}

static float sum_squares(const float *x, size_t n)
{
	float lane[LANES] = { 0 };

	for (size_t i = 0; i < n; i++)
		lane[i % LANES] = fmaf(x[i], x[i], lane[i % LANES]);
	return tree(lane);
}

/* ---- Types --------------------------------------------------------------- */

static float bf16_value(uint16_t h)
{
	uint32_t bits = (uint32_t)h << 16;
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* A row as integers of at most top, and what they stand for. */
float def_quantise(const float *x, size_t n, float top, int32_t *q)
{
	float max = 0.0f;

	memset(q, 0, n * sizeof(*q));
	for (size_t i = 0; i < n; i++) {
		if (!isfinite(x[i]))
			return NAN;
		max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
	}
	if (max < 0x1p-100f)
		return 0.0f;
	for (size_t i = 0; i < n; i++) {
		float scaled = x[i] * (top / max);

		q[i] = (int32_t)lrint((double)scaled);
	}
	return max / top;
}

static float qdot(float start, const float *x, struct damf_mat w, size_t rows, size_t col,
		  size_t k0, size_t n)
{
	const int8_t *data = w.data;
	int32_t *q = malloc((n + 1) * sizeof(*q));
	size_t panel = (rows + 3) / 4 * 4 * 32;
	int64_t sum = 0;
	float scale;

	if (!q)
		abort();
	scale = def_quantise(x, n, w.xtype == DAMF_K_I16 ? 32767.0f : 127.0f, q);
	for (size_t i = 0; i < n; i++) {
		sum += (int64_t)q[i] * data[col / 32 * panel + (k0 + i) / 4 * 128 + col % 32 * 4 +
					    (k0 + i) % 4];
		tally.static_macs++;
		tally.int8_macs++;
	}
	free(q);
	return fmaf((float)sum, scale * w.scales[col], start);
}

/* start, and x[i] times rows k0 + i of column col of a packed weight of rows rows. */
float def_dot(float start, const float *x, struct damf_mat w, size_t rows, size_t col, size_t k0,
	      size_t n)
{
	size_t at = (col / 32 * rows + k0) * 32 + col % 32;
	const uint16_t *half = w.data;
	const float *data = w.data;

	if (w.type == DAMF_K_I8)
		return qdot(start, x, w, rows, col, k0, n);
	for (size_t i = 0; i < n; i++, at += 32)
		start = STATIC_FMA(x[i], w.type == DAMF_K_BF16 ? bf16_value(half[at]) : data[at],
				   start);
	return start;
}

/* Element i of row r of a table. */
static float table_value(const struct damf_mat *t, size_t ld, size_t r, size_t i)
{
	if (t->type == DAMF_K_I8)
		return (float)((const int8_t *)t->data)[r * ld + i] * t->scales[r];
	if (t->type == DAMF_K_BF16)
		return bf16_value(((const uint16_t *)t->data)[r * ld + i]);
	return ((const float *)t->data)[r * ld + i];
}

void def_token_sum(const float *x, size_t ldx, size_t len, const float *coef, size_t width,
		   float *y)
{
	for (size_t j = 0; j < width; j++) {
		y[j] = 0.0f;
		for (size_t first = 0; first < len; first += CHUNK) {
			float part = 0.0f;

			for (size_t n = first; n < len && n < first + CHUNK; n++)
				part = coef ? DYNAMIC_FMA(coef[n], x[n * ldx + j], part) :
					part + x[n * ldx + j];
			y[j] += part;
		}
	}
}

/* ---- Layers -------------------------------------------------------------- */

void def_linear(const struct damf_linear_args *a)
{
	for (size_t r = 0; r < a->rows; r++) {
		for (size_t j = 0; j < a->out; j++) {
			float v = def_dot(a->bias ? a->bias[j] : 0.0f, a->x + r * a->ldx, a->w,
					  a->in, j, 0, a->in);

			v = activation(v, a->act);
			a->y[r * a->ldy + j] = a->residual ? v + a->residual[r * a->ldr + j] : v;
		}
	}
}

void def_ffn(const struct damf_ffn_args *a)
{
	float *inner = malloc(a->rows * a->inner * sizeof(*inner));
	const struct damf_linear_args up = {
		.x = a->x, .ldx = a->ldx, .rows = a->rows, .in = a->width, .out = a->inner,
		.w = a->w1, .bias = a->b1, .act = DAMF_K_GELU, .y = inner, .ldy = a->inner,
	};
	const struct damf_linear_args down = {
		.x = inner, .ldx = a->inner, .rows = a->rows, .in = a->inner, .out = a->out,
		.w = a->w2, .bias = a->b2, .y = a->y, .ldy = a->ldy,
	};

	if (!inner)
		abort();
	def_linear(&up);
	def_linear(&down);
	free(inner);
}

static void norm(float *y, size_t n, const float *gamma, const float *beta, float eps)
{
	float mean = DIVIDE(def_sum(y, n), (float)n), rstd;

	for (size_t i = 0; i < n; i++)
		y[i] -= mean;
	rstd = DIVIDE(1.0f, ROOT(DIVIDE(sum_squares(y, n), (float)n) + eps));
	for (size_t i = 0; i < n; i++)
		y[i] = fmaf(y[i] * rstd, gamma[i], beta[i]);
}

void def_add_norm(const struct damf_add_norm_args *a)
{
	for (size_t r = 0; r < a->rows; r++) {
		float *y = a->y + r * a->ldy;

		for (size_t i = 0; i < a->width; i++)
			y[i] = a->r ? a->x[r * a->ldx + i] + a->r[r * a->ldr + i] :
				a->x[r * a->ldx + i];
		norm(y, a->width, a->gamma, a->beta, a->eps);
	}
}

void def_embed(const struct damf_embed_args *a)
{
	for (size_t b = 0; b < a->seqs; b++) {
		for (int32_t t = a->offsets[b]; t < a->offsets[b + 1]; t++) {
			size_t id = (size_t)a->ids[t], at = (size_t)(t - a->offsets[b]);
			size_t type = a->type_ids ? (size_t)a->type_ids[t] : 0;
			float *y = a->y + (size_t)t * a->ldy;

			for (size_t i = 0; i < a->width; i++)
				y[i] = (table_value(&a->word, a->ld_word, id, i) +
					table_value(&a->position, a->ld_position, at, i)) +
				       table_value(&a->type, a->ld_type, type, i);
			norm(y, a->width, a->gamma, a->beta, a->eps);
		}
	}
}

void def_pool(const struct damf_pool_args *a)
{
	for (size_t b = 0; b < a->seqs; b++) {
		size_t from = (size_t)a->offsets[b], len = (size_t)a->offsets[b + 1] - from;
		const float *x = a->x + from * a->ldx;
		float *y = a->y + b * a->ldy;

		if (len && a->kind == DAMF_K_POOL_CLS) {
			memcpy(y, x, a->width * sizeof(*y));
			continue;
		}
		def_token_sum(x, a->ldx, len, NULL, a->width, y);
		for (size_t i = 0; len && i < a->width; i++)
			y[i] = DIVIDE(y[i], (float)len);
	}
}

void def_normalize(const float *x, size_t width, float eps, float *y)
{
	float norm = ROOT(sum_squares(x, width)), d = norm <= eps ? eps : norm;

	for (size_t i = 0; i < width; i++)
		y[i] = DIVIDE(x[i], d);
}

void def_softmax(const float *x, size_t width, float *y)
{
	float max = -INFINITY, inverse;

	for (size_t i = 0; i < width; i++)
		max = x[i] > max ? x[i] : max;
	for (size_t i = 0; i < width; i++)
		y[i] = def_exp(x[i] - max);
	inverse = DIVIDE(1.0f, def_sum(y, width));
	for (size_t i = 0; i < width; i++)
		y[i] *= inverse;
}
