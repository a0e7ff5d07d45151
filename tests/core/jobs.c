// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "jobs.h"

#define T	7	/* tokens: sequences of 3, 0 and 4 */
#define B	3
#define D	24
#define K	40
#define N	37
#define VOCAB	11
#define EPS	1e-5f

static const int32_t offsets[B + 1] = { 0, 3, 3, 7 };

/* ---- Tensors ------------------------------------------------------------- */

static float noise(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return ((int32_t)(*state >> 8) - (1 << 23)) / (float)(1 << 23);
}

static void tensor(struct fake *f, struct job_case *c, unsigned int slot, unsigned int type,
		   uint32_t rows, uint32_t cols, uint64_t stride)
{
	struct damf_tensor *t = &c->job.tensor[slot];

	*t = (struct damf_tensor) { .type = type, .rows = rows, .cols = cols, .stride = stride };
	t->addr = fake_va(f, (uint64_t)rows * stride, &c->host[slot]);
}

/* f32 rows, some bytes between them. */
static void rows_f32(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
		     uint32_t cols, uint32_t seed)
{
	uint64_t stride = 4 * cols + (rows > 1 ? 12 : 0);
	uint32_t r, i;

	tensor(f, c, slot, DAMF_TYPE_F32, rows, cols, stride);
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

static void packed(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
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

/* A table of embeddings, with some bytes between rows. */
static void embeddings(struct fake *f, struct job_case *c, unsigned int slot, uint32_t rows,
		       uint32_t seed)
{
	unsigned int elem = element(c->type);
	uint32_t r, i;

	tensor(f, c, slot, c->type, rows, D, elem * (D + 3));
	if (c->type == DAMF_TYPE_I8)
		scales(f, c, slot, rows);
	for (r = 0; r < rows; r++)
		for (i = 0; i < D; i++)
			put(c, slot, r * (D + 3) + i, noise(&seed));
}

static double embedding(const struct job_case *c, unsigned int slot, uint32_t r, uint32_t i)
{
	double x = get(c, slot, r * (D + 3) + i);

	return c->type == DAMF_TYPE_I8 ? x * (double)c->scales[slot][r] : x;
}

static void table(struct fake *f, struct job_case *c, unsigned int slot, const int32_t *v,
		  uint32_t n)
{
	tensor(f, c, slot, DAMF_TYPE_I32, n, 1, 4);
	memcpy(c->host[slot], v, 4 * n);
}

static double at(const struct job_case *c, unsigned int slot, uint32_t r, uint32_t i)
{
	return *(float *)((char *)c->host[slot] + r * c->job.tensor[slot].stride + 4 * i);
}

static void eps(struct job_case *c, float value)
{
	memcpy(&c->job.param[DAMF_P_EPS], &value, 4);
}

static double *row_of(struct job_case *c, uint32_t r)
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

/* x W + b, one row; b may be left out. */
static void project(const struct job_case *c, const double *x, unsigned int w, unsigned int b,
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
		y[n] = (c->host[b] ? at(c, b, 0, n) : 0) +
		       sum * (i8 ? scale * (double)c->scales[w][n] : 1);
	}
}

static void input(const struct job_case *c, uint32_t r, double *x)
{
	uint32_t i;

	for (i = 0; i < c->job.tensor[DAMF_T_X].cols; i++)
		x[i] = at(c, DAMF_T_X, r, i);
}

static void layer_norm(const struct job_case *c, double *x, double *y)
{
	double mean = 0, var = 0;
	uint32_t i;

	for (i = 0; i < D; i++)
		mean += x[i] / D;
	for (i = 0; i < D; i++)
		var += (x[i] - mean) * (x[i] - mean) / D;
	for (i = 0; i < D; i++)
		y[i] = (x[i] - mean) / sqrt(var + (double)EPS) * at(c, DAMF_T_GAMMA, 0, i) +
		       at(c, DAMF_T_BETA, 0, i);
}

static double gelu(double x)
{
	return x * 0.5 * erfc(-x / sqrt(2));
}

/* ---- Cases --------------------------------------------------------------- */

static void output(struct fake *f, struct job_case *c, uint32_t rows, uint32_t cols)
{
	rows_f32(f, c, DAMF_T_Y, rows, cols, 99);
	c->rows = rows;
	c->cols = cols;
}

static void copy(struct fake *f, struct job_case *c)
{
	unsigned int r, i;

	tensor(f, c, DAMF_T_X, DAMF_TYPE_BYTES, 5, 101, 131);
	tensor(f, c, DAMF_T_Y, DAMF_TYPE_BYTES, 5, 101, 101);
	for (r = 0; r < 5; r++)
		for (i = 0; i < 101; i++)
			c->bytes[r * 101 + i] = ((unsigned char *)c->host[DAMF_T_X])[r * 131 + i] =
				(unsigned char)(r * 7 + i);
	c->nbytes = 5 * 101;
}

static void fill(struct fake *f, struct job_case *c)
{
	const uint32_t pattern = 0xdeadbeef;
	unsigned int i;

	tensor(f, c, DAMF_T_Y, DAMF_TYPE_I32, 3, 17, 68);
	c->job.param[DAMF_P_PATTERN] = pattern;
	for (i = 0; i < 3 * 17; i++)
		memcpy(c->bytes + 4 * i, &pattern, 4);
	c->nbytes = 4 * 3 * 17;
}

static void counters(struct fake *f, struct job_case *c)
{
	/* of a context in which nothing has run: all zero */
	tensor(f, c, DAMF_T_Y, DAMF_TYPE_BYTES, 1, 128, 128);
	memset(c->host[DAMF_T_Y], 0x55, 128);
	c->nbytes = 128;
}

static void embed(struct fake *f, struct job_case *c, bool typed)
{
	static const int32_t ids[T] = { 3, 10, 0, 3, 7, 1, 2 }, types[T] = { 0, 1, 1, 0, 0, 1, 0 };
	double x[D];
	uint32_t s, i;
	int32_t t;

	table(f, c, DAMF_T_X, ids, T);
	output(f, c, T, D);
	table(f, c, DAMF_T_OFFSETS, offsets, B + 1);
	if (typed)
		table(f, c, DAMF_T_R, types, T);
	rows_f32(f, c, DAMF_T_GAMMA, 1, D, 1);
	rows_f32(f, c, DAMF_T_BETA, 1, D, 2);
	embeddings(f, c, DAMF_T_W, VOCAB, 3);
	embeddings(f, c, DAMF_T_B, 8, 4);
	embeddings(f, c, DAMF_T_W2, 2, 5);
	eps(c, EPS);
	for (s = 0; s < B; s++)
		for (t = offsets[s]; t < offsets[s + 1]; t++) {
			for (i = 0; i < D; i++)
				x[i] = embedding(c, DAMF_T_W, ids[t], i) +
				       embedding(c, DAMF_T_B, t - offsets[s], i) +
				       embedding(c, DAMF_T_W2, typed ? types[t] : 0, i);
			layer_norm(c, x, row_of(c, t));
		}
}

static void linear(struct fake *f, struct job_case *c, unsigned int act, bool residual)
{
	double x[D];
	uint32_t t, n;

	rows_f32(f, c, DAMF_T_X, T, D, 6);
	output(f, c, T, N);
	if (residual)
		rows_f32(f, c, DAMF_T_R, T, N, 7);
	packed(f, c, DAMF_T_W, D, N, 8);
	if (act)
		rows_f32(f, c, DAMF_T_B, 1, N, 9);
	c->job.param[DAMF_P_ACT] = act;
	for (t = 0; t < T; t++) {
		double *y = row_of(c, t);

		input(c, t, x);
		project(c, x, DAMF_T_W, DAMF_T_B, y);
		for (n = 0; n < N; n++) {
			y[n] = act == DAMF_ACT_GELU ? gelu(y[n]) :
			       act == DAMF_ACT_TANH ? tanh(y[n]) : y[n];
			y[n] += residual ? at(c, DAMF_T_R, t, n) : 0;
		}
	}
}

static void ffn(struct fake *f, struct job_case *c)
{
	double x[D], inner[K];
	uint32_t t, k;

	rows_f32(f, c, DAMF_T_X, T, D, 10);
	output(f, c, T, N);
	packed(f, c, DAMF_T_W, D, K, 11);
	rows_f32(f, c, DAMF_T_B, 1, K, 12);
	packed(f, c, DAMF_T_W2, K, N, 13);
	rows_f32(f, c, DAMF_T_B2, 1, N, 14);
	for (t = 0; t < T; t++) {
		input(c, t, x);
		project(c, x, DAMF_T_W, DAMF_T_B, inner);
		for (k = 0; k < K; k++)
			inner[k] = gelu(inner[k]);
		project(c, inner, DAMF_T_W2, DAMF_T_B2, row_of(c, t));
	}
}

static void add_norm(struct fake *f, struct job_case *c, bool residual)
{
	double x[D];
	uint32_t t, i;

	rows_f32(f, c, DAMF_T_X, T, D, 15);
	output(f, c, T, D);
	if (residual)
		rows_f32(f, c, DAMF_T_R, T, D, 16);
	rows_f32(f, c, DAMF_T_GAMMA, 1, D, 17);
	rows_f32(f, c, DAMF_T_BETA, 1, D, 18);
	eps(c, EPS);
	for (t = 0; t < T; t++) {
		input(c, t, x);
		for (i = 0; i < D; i++)
			x[i] += residual ? at(c, DAMF_T_R, t, i) : 0;
		layer_norm(c, x, row_of(c, t));
	}
}

static void pool(struct fake *f, struct job_case *c, unsigned int kind)
{
	uint32_t s, i;
	int32_t t;

	rows_f32(f, c, DAMF_T_X, T, D, 19);
	output(f, c, B, D);
	table(f, c, DAMF_T_OFFSETS, offsets, B + 1);
	c->job.param[DAMF_P_POOL] = kind;
	for (s = 0; s < B; s++)
		for (i = 0; i < D; i++) {
			int32_t from = offsets[s], to = offsets[s + 1];
			double sum = 0;

			for (t = from; t < (kind == DAMF_POOL_CLS && to > from ? from + 1 : to); t++)
				sum += at(c, DAMF_T_X, t, i);
			row_of(c, s)[i] = kind == DAMF_POOL_MEAN && to > from ? sum / (to - from) : sum;
		}
}

static void rows_op(struct fake *f, struct job_case *c, bool softmax)
{
	double x[D], sum;
	uint32_t t, i;

	rows_f32(f, c, DAMF_T_X, T, D, 20);
	output(f, c, T, D);
	if (!softmax)
		eps(c, 1e-12f);
	for (t = 0; t < T; t++) {
		input(c, t, x);
		for (sum = 0, i = 0; i < D; i++)
			sum += softmax ? exp(x[i]) : x[i] * x[i];
		for (i = 0; i < D; i++)
			row_of(c, t)[i] = softmax ? exp(x[i]) / sum : x[i] / sqrt(sum);
	}
}

/* ---- Attention ----------------------------------------------------------- */

#define HEADS	2
#define DV	10
#define DQK	9
#define NV	(HEADS * DV)
#define NQK	(HEADS * DQK)
#define NPQ	(2 * HEADS)

struct activations {
	double q[T][NQK], k[T][NQK], v[T][NV], pq[T][NPQ], out[T][NV];
};

static double score(const struct activations *a, uint32_t h, bool fold, int32_t m, int32_t n)
{
	double s = 0;
	uint32_t i;

	if (fold)
		return a->pq[m][h] * a->pq[n][HEADS + h];
	for (i = 0; i < DQK; i++)
		s += a->q[m][h * DQK + i] * a->k[n][h * DQK + i];
	return s / 3;
}

static void attend(struct activations *a, uint32_t h, bool fold, int32_t from, int32_t to)
{
	double amax = 0, w[T], sum;
	int32_t m, n;
	uint32_t i;

	for (m = from; m < to; m++)
		for (n = from; n < to; n++)
			amax = fmax(amax, fabs(score(a, h, fold, m, n)));
	for (m = from; m < to; m++) {
		for (sum = 0, n = from; n < to; n++) {
			w[n] = score(a, h, fold, m, n);
			w[n] = fold ? amax + w[n] : exp(w[n]);
			sum += w[n];
		}
		for (i = 0; i < DV; i++)
			for (a->out[m][h * DV + i] = 0, n = from; n < to; n++)
				a->out[m][h * DV + i] += w[n] / sum * a->v[n][h * DV + i];
	}
}

static void put_head(struct job_case *c, uint32_t h, bool fold)
{
	const float scale = 1.0f / 3, one = 1;
	struct damf_head *head = (struct damf_head *)((char *)c->host[DAMF_T_HEADS] + h * 192);

	*head = (struct damf_head) { .mode = fold ? DAMF_MODE_FOLD : DAMF_MODE_MHSA, .d_v = DV,
				     .v_col = h * DV };
	if (fold) {
		head->p_col = h;
		head->q_col = HEADS + h;
		head->rank = head->order = 1;
		memcpy(&head->coef[0], &one, 4);
		memcpy(&head->coef[1], &one, 4);
	} else {
		head->d_qk = DQK;
		head->qk_col = h * DQK;
		memcpy(&head->scale, &scale, 4);
	}
}

static void attention_tensors(struct fake *f, struct job_case *c, bool qk, bool pq)
{
	rows_f32(f, c, DAMF_T_X, T, D, 21);
	output(f, c, T, D);
	table(f, c, DAMF_T_OFFSETS, offsets, B + 1);
	tensor(f, c, DAMF_T_HEADS, DAMF_TYPE_BYTES, HEADS, 128, 192);
	if (qk) {
		packed(f, c, DAMF_T_WQ, D, NQK, 22);
		rows_f32(f, c, DAMF_T_BQ, 1, NQK, 23);
		packed(f, c, DAMF_T_WK, D, NQK, 24);
		rows_f32(f, c, DAMF_T_BK, 1, NQK, 25);
	}
	packed(f, c, DAMF_T_WV, D, NV, 26);
	rows_f32(f, c, DAMF_T_BV, 1, NV, 27);
	packed(f, c, DAMF_T_WO, NV, D, 28);
	rows_f32(f, c, DAMF_T_BO, 1, D, 29);
	if (pq) {
		packed(f, c, DAMF_T_WPQ, D, NPQ, 30);
		rows_f32(f, c, DAMF_T_BPQ, 1, NPQ, 31);
	}
}

/* Bit h of @folds: head h is folded. */
static void attention(struct fake *f, struct job_case *c, unsigned int folds)
{
	static struct activations a;
	bool qk = folds != 3, pq = folds;
	uint32_t t, h, s;
	double x[D];

	attention_tensors(f, c, qk, pq);
	for (t = 0; t < T; t++) {
		input(c, t, x);
		if (qk) {
			project(c, x, DAMF_T_WQ, DAMF_T_BQ, a.q[t]);
			project(c, x, DAMF_T_WK, DAMF_T_BK, a.k[t]);
		}
		project(c, x, DAMF_T_WV, DAMF_T_BV, a.v[t]);
		if (pq)
			project(c, x, DAMF_T_WPQ, DAMF_T_BPQ, a.pq[t]);
	}
	for (h = 0; h < HEADS; h++) {
		put_head(c, h, folds >> h & 1);
		for (s = 0; s < B; s++)
			attend(&a, h, folds >> h & 1, offsets[s], offsets[s + 1]);
	}
	for (t = 0; t < T; t++)
		project(c, a.out[t], DAMF_T_WO, DAMF_T_BO, row_of(c, t));
}

void job_case_build(struct fake *f, struct job_case *c, unsigned int which)
{
	static const struct {
		const char *name;
		unsigned int opcode;
	} cases[JOB_CASES] = {
		{ "nop", DAMF_OP_NOP }, { "copy", DAMF_OP_COPY }, { "fill", DAMF_OP_FILL },
		{ "counters", DAMF_OP_COUNTERS }, { "embed", DAMF_OP_EMBED },
		{ "embed without types", DAMF_OP_EMBED }, { "linear", DAMF_OP_LINEAR },
		{ "linear, gelu", DAMF_OP_LINEAR }, { "ffn", DAMF_OP_FFN },
		{ "add-norm", DAMF_OP_ADD_NORM }, { "norm", DAMF_OP_ADD_NORM },
		{ "attention, mhsa", DAMF_OP_ATTENTION }, { "attention, fold", DAMF_OP_ATTENTION },
		{ "attention, both", DAMF_OP_ATTENTION }, { "pool, mean", DAMF_OP_POOL },
		{ "normalize", DAMF_OP_NORMALIZE }, { "softmax", DAMF_OP_SOFTMAX },
		{ "embed, int8", DAMF_OP_EMBED }, { "embed, bf16", DAMF_OP_EMBED },
		{ "linear, int8", DAMF_OP_LINEAR }, { "linear, int8, int16", DAMF_OP_LINEAR },
		{ "linear, bf16", DAMF_OP_LINEAR }, { "ffn, int8", DAMF_OP_FFN },
		{ "attention, int8", DAMF_OP_ATTENTION }, { "attention, bf16", DAMF_OP_ATTENTION },
	};
	static const unsigned int types[JOB_CASES - JOB_TYPED][2] = {
		{ DAMF_TYPE_I8, 0 }, { DAMF_TYPE_BF16, 0 }, { DAMF_TYPE_I8, DAMF_TYPE_I8 },
		{ DAMF_TYPE_I8, DAMF_TYPE_I16 }, { DAMF_TYPE_BF16, 0 },
		{ DAMF_TYPE_I8, DAMF_TYPE_I8 }, { DAMF_TYPE_I8, DAMF_TYPE_I16 },
		{ DAMF_TYPE_BF16, 0 },
	};

	memset(c, 0, sizeof(*c));
	c->name = cases[which].name;
	c->opcode = c->job.opcode = cases[which].opcode;
	c->type = DAMF_TYPE_F32;
	if (which >= JOB_TYPED) {
		c->type = types[which - JOB_TYPED][0];
		c->xtype = types[which - JOB_TYPED][1];
	}
	c->job.param[DAMF_P_XTYPE] = c->xtype;
	c->job.version = DAMF_JOB_VERSION;
	c->job.size = sizeof(c->job);
	switch (which) {
	case 1: copy(f, c); break;
	case 2: fill(f, c); break;
	case 3: counters(f, c); break;
	case 4: embed(f, c, true); break;
	case 5: embed(f, c, false); break;
	case 6: linear(f, c, DAMF_ACT_NONE, true); break;
	case 7: linear(f, c, DAMF_ACT_GELU, false); break;
	case 8: ffn(f, c); break;
	case 9: add_norm(f, c, true); break;
	case 10: add_norm(f, c, false); break;
	case 11: attention(f, c, 0); break;
	case 12: attention(f, c, 3); break;
	case 13: attention(f, c, 2); break;
	case 14: pool(f, c, DAMF_POOL_MEAN); break;
	case 15: rows_op(f, c, false); break;
	case 16: rows_op(f, c, true); break;
	case 17: embed(f, c, true); break;
	case 18: embed(f, c, false); break;
	case 19: linear(f, c, DAMF_ACT_NONE, true); break;
	case 20: linear(f, c, DAMF_ACT_GELU, false); break;
	case 21: linear(f, c, DAMF_ACT_TANH, true); break;
	case 22: ffn(f, c); break;
	case 23: attention(f, c, 0); break;
	case 24: attention(f, c, 2); break;
	default: break;
	}
}

void job_case_check(struct fake *f, const struct job_case *c)
{
	uint32_t r, i;

	(void)f;
	if (c->nbytes)
		assert_memory_equal(c->host[DAMF_T_Y], c->bytes, c->nbytes);
	for (r = 0; r < c->rows; r++)
		for (i = 0; i < c->cols; i++) {
			double got = at(c, DAMF_T_Y, r, i), want = c->expect[r * c->cols + i];

			if (!(fabs(got - want) <= 2e-5 * (1 + fabs(want))))
				fail_msg("%s: Y[%u][%u] is %.9g, not %.9g", c->name, r, i, got,
					 want);
		}
}

uint64_t job_list(struct fake *f, const struct damf_job *jobs, unsigned int n, void **host)
{
	void *at_host;
	uint64_t va = fake_va(f, n * sizeof(*jobs), &at_host);

	memcpy(at_host, jobs, n * sizeof(*jobs));
	if (host)
		*host = at_host;
	return va;
}
