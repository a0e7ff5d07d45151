// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "jobs_data.h"

#define K	40
#define N	37
#define VOCAB	11
#define EPS	1e-5f

static void layer_norm(const struct job_case *c, double *x, double *y)
{
	double mean = 0, var = 0;
	uint32_t i;

	for (i = 0; i < D; i++)
		mean += x[i] / D;
	for (i = 0; i < D; i++)
		var += (x[i] - mean) * (x[i] - mean) / D;
	for (i = 0; i < D; i++)
		y[i] = (x[i] - mean) / sqrt(var + (double)EPS) * job_at(c, DAMF_T_GAMMA, 0, i) +
		       job_at(c, DAMF_T_BETA, 0, i);
}

static double gelu(double x)
{
	return x * 0.5 * erfc(-x / sqrt(2));
}

/* ---- Cases --------------------------------------------------------------- */

static void copy(struct fake *f, struct job_case *c)
{
	unsigned int r, i;

	job_tensor(f, c, DAMF_T_X, DAMF_TYPE_BYTES, 5, 101, 131);
	job_tensor(f, c, DAMF_T_Y, DAMF_TYPE_BYTES, 5, 101, 101);
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

	job_tensor(f, c, DAMF_T_Y, DAMF_TYPE_I32, 3, 17, 68);
	c->job.param[DAMF_P_PATTERN] = pattern;
	for (i = 0; i < 3 * 17; i++)
		memcpy(c->bytes + 4 * i, &pattern, 4);
	c->nbytes = 4 * 3 * 17;
}

static void counters(struct fake *f, struct job_case *c)
{
	/* of a context in which nothing has run: all zero */
	job_tensor(f, c, DAMF_T_Y, DAMF_TYPE_BYTES, 1, 128, 128);
	memset(c->host[DAMF_T_Y], 0x55, 128);
	c->nbytes = 128;
}

static void embed(struct fake *f, struct job_case *c, bool typed)
{
	static const int32_t ids[T] = { 3, 10, 0, 3, 7, 1, 2 }, types[T] = { 0, 1, 1, 0, 0, 1, 0 };
	double x[D];
	uint32_t s, i;
	int32_t t;

	job_table(f, c, DAMF_T_X, ids, T);
	job_output(f, c, T, D);
	job_table(f, c, DAMF_T_OFFSETS, job_offsets, B + 1);
	if (typed)
		job_table(f, c, DAMF_T_R, types, T);
	job_rows(f, c, DAMF_T_GAMMA, 1, D, 1);
	job_rows(f, c, DAMF_T_BETA, 1, D, 2);
	job_embeddings(f, c, DAMF_T_W, VOCAB, 3);
	job_embeddings(f, c, DAMF_T_B, 8, 4);
	job_embeddings(f, c, DAMF_T_W2, 2, 5);
	job_eps(c, EPS);
	for (s = 0; s < B; s++)
		for (t = job_offsets[s]; t < job_offsets[s + 1]; t++) {
			for (i = 0; i < D; i++)
				x[i] = job_embedding(c, DAMF_T_W, ids[t], i) +
				       job_embedding(c, DAMF_T_B, t - job_offsets[s], i) +
				       job_embedding(c, DAMF_T_W2, typed ? types[t] : 0, i);
			layer_norm(c, x, job_row(c, t));
		}
}

static void linear(struct fake *f, struct job_case *c, unsigned int act, bool residual)
{
	double x[D];
	uint32_t t, n;

	job_rows(f, c, DAMF_T_X, T, D, 6);
	job_output(f, c, T, N);
	if (residual)
		job_rows(f, c, DAMF_T_R, T, N, 7);
	job_packed(f, c, DAMF_T_W, D, N, 8);
	if (act)
		job_rows(f, c, DAMF_T_B, 1, N, 9);
	c->job.param[DAMF_P_ACT] = act;
	for (t = 0; t < T; t++) {
		double *y = job_row(c, t);

		job_input(c, t, x);
		job_project(c, x, DAMF_T_W, DAMF_T_B, y);
		for (n = 0; n < N; n++) {
			y[n] = act == DAMF_ACT_GELU ? gelu(y[n]) :
			       act == DAMF_ACT_TANH ? tanh(y[n]) : y[n];
			y[n] += residual ? job_at(c, DAMF_T_R, t, n) : 0;
		}
	}
}

static void ffn(struct fake *f, struct job_case *c)
{
	double x[D], inner[K];
	uint32_t t, k;

	job_rows(f, c, DAMF_T_X, T, D, 10);
	job_output(f, c, T, N);
	job_packed(f, c, DAMF_T_W, D, K, 11);
	job_rows(f, c, DAMF_T_B, 1, K, 12);
	job_packed(f, c, DAMF_T_W2, K, N, 13);
	job_rows(f, c, DAMF_T_B2, 1, N, 14);
	for (t = 0; t < T; t++) {
		job_input(c, t, x);
		job_project(c, x, DAMF_T_W, DAMF_T_B, inner);
		for (k = 0; k < K; k++)
			inner[k] = gelu(inner[k]);
		job_project(c, inner, DAMF_T_W2, DAMF_T_B2, job_row(c, t));
	}
}

static void add_norm(struct fake *f, struct job_case *c, bool residual)
{
	double x[D];
	uint32_t t, i;

	job_rows(f, c, DAMF_T_X, T, D, 15);
	job_output(f, c, T, D);
	if (residual)
		job_rows(f, c, DAMF_T_R, T, D, 16);
	job_rows(f, c, DAMF_T_GAMMA, 1, D, 17);
	job_rows(f, c, DAMF_T_BETA, 1, D, 18);
	job_eps(c, EPS);
	for (t = 0; t < T; t++) {
		job_input(c, t, x);
		for (i = 0; i < D; i++)
			x[i] += residual ? job_at(c, DAMF_T_R, t, i) : 0;
		layer_norm(c, x, job_row(c, t));
	}
}

static void pool(struct fake *f, struct job_case *c, unsigned int kind)
{
	uint32_t s, i;
	int32_t t;

	job_rows(f, c, DAMF_T_X, T, D, 19);
	job_output(f, c, B, D);
	job_table(f, c, DAMF_T_OFFSETS, job_offsets, B + 1);
	c->job.param[DAMF_P_POOL] = kind;
	for (s = 0; s < B; s++)
		for (i = 0; i < D; i++) {
			int32_t from = job_offsets[s], to = job_offsets[s + 1];
			bool first = kind == DAMF_POOL_CLS && to > from;
			double sum = 0;

			for (t = from; t < (first ? from + 1 : to); t++)
				sum += job_at(c, DAMF_T_X, t, i);
			if (kind == DAMF_POOL_MEAN && to > from)
				sum /= to - from;
			job_row(c, s)[i] = sum;
		}
}

static void rows_op(struct fake *f, struct job_case *c, bool softmax)
{
	double x[D], sum;
	uint32_t t, i;

	job_rows(f, c, DAMF_T_X, T, D, 20);
	job_output(f, c, T, D);
	if (!softmax)
		job_eps(c, 1e-12f);
	for (t = 0; t < T; t++) {
		job_input(c, t, x);
		for (sum = 0, i = 0; i < D; i++)
			sum += softmax ? exp(x[i]) : x[i] * x[i];
		for (i = 0; i < D; i++)
			job_row(c, t)[i] = softmax ? exp(x[i]) / sum : x[i] / sqrt(sum);
	}
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
	case 11: job_attention(f, c, 0); break;
	case 12: job_attention(f, c, 3); break;
	case 13: job_attention(f, c, 2); break;
	case 14: pool(f, c, DAMF_POOL_MEAN); break;
	case 15: rows_op(f, c, false); break;
	case 16: rows_op(f, c, true); break;
	case 17: embed(f, c, true); break;
	case 18: embed(f, c, false); break;
	case 19: linear(f, c, DAMF_ACT_NONE, true); break;
	case 20: linear(f, c, DAMF_ACT_GELU, false); break;
	case 21: linear(f, c, DAMF_ACT_TANH, true); break;
	case 22: ffn(f, c); break;
	case 23: job_attention(f, c, 0); break;
	case 24: job_attention(f, c, 2); break;
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
			double got = job_at(c, DAMF_T_Y, r, i), want = c->expect[r * c->cols + i];

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
