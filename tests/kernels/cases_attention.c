// SPDX-License-Identifier: MIT
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "define.h"
#include "tally.h"

static int run(struct damf_exec *ex, const struct problem *p)
{
	return damf_attention_f32(ex, &p->a.attention);
}

static void define(const struct problem *p)
{
	def_attention(&p->a.attention);
}

static void tally_problem(const struct problem *p)
{
	tally_attention(&p->a.attention);
}

static size_t scratch(const struct damf_par *par, const struct problem *p)
{
	return damf_attention_scratch(par, &p->a.attention);
}

static float *numbers(struct problem *p, size_t n)
{
	float *m = malloc(n * sizeof(*m) + !n);

	assert_non_null(m);
	assert_true(p->blocks < BLOCKS);
	p->block[p->blocks++] = m;
	for (size_t i = 0; i < n; i++)
		m[i] = random_f32();
	return m;
}

/* A job with these heads, all tensors random. */
void problem_heads(struct problem *p, const struct damf_k_head *heads,
		   const struct attention_layout *l, const int32_t *offsets, size_t seqs)
{
	struct damf_attention_args *a = &p->a.attention;
	size_t tokens = (size_t)offsets[seqs];

	*p = (struct problem) {
		.run = run, .define = define, .tally = tally_problem, .scratch = scratch,
		.scratchpad = &p->a.attention.scratchpad,
	};
	snprintf(p->name, sizeof(p->name), "attention %s %zu tokens: %zu, %zu heads, %zu", l->name,
		 tokens, l->width, l->heads, l->out);
	p->x_elems = tokens * (l->width + 1);
	p->x = numbers(p, p->x_elems);
	p->rows = tokens;
	p->cols = l->out;
	p->ldy = l->out + 1;
	p->y = numbers(p, tokens * p->ldy);
	*a = (struct damf_attention_args) {
		.x = p->x, .ldx = l->width + 1, .seqs = seqs, .width = l->width, .out = l->out,
		.offsets = memcpy(numbers(p, seqs + 1), offsets, (seqs + 1) * sizeof(*offsets)),
		.heads = memcpy(numbers(p, l->heads * sizeof(*heads) / 4), heads,
				l->heads * sizeof(*heads)),
		.nheads = l->heads, .nqk = l->nqk, .nv = l->nv, .npq = l->npq,
		.y = p->y, .ldy = p->ldy,
	};
	if (a->nqk) {
		a->wq = problem_weight(p, l->width, a->nqk);
		a->wk = problem_weight(p, l->width, a->nqk);
	}
	a->wv = problem_weight(p, l->width, a->nv);
	a->wo = problem_weight(p, a->nv, l->out);
	if (a->npq)
		a->wpq = problem_weight(p, l->width, a->npq);
	if (l->bias) {
		a->bq = a->nqk ? numbers(p, a->nqk) : NULL;
		a->bk = a->nqk ? numbers(p, a->nqk) : NULL;
		a->bv = numbers(p, a->nv);
		a->bo = numbers(p, l->out);
		a->bpq = a->npq ? numbers(p, a->npq) : NULL;
	}
	problem_clear(p);
	problem_count_attention(p);
}

/* Heads whose columns are not in their order; two folded ones share p. */
void problem_attention(struct problem *p, const struct attention_shape *s,
		       const int32_t *offsets, size_t seqs)
{
	static const char *const kinds[] = { "mhsa", "fold", "mixed" };
	struct damf_k_head heads[16] = { 0 };
	struct attention_layout l = {
		.name = kinds[s->kind], .width = s->width, .heads = s->heads, .out = s->out,
		.nv = s->heads * s->d_v, .bias = s->bias,
	};

	assert_true(s->heads <= 16);
	for (size_t h = 0; h < s->heads; h++) {
		size_t other = s->heads - 1 - h;
		bool fold = s->kind == ALL_FOLD || (s->kind == MIXED && h % 3 == 1);

		heads[h] = (struct damf_k_head) { .d_v = s->d_v, .v_col = other * s->d_v };
		if (fold) {
			heads[h].mode = DAMF_K_FOLD;
			heads[h].rank = heads[h].order = 1;
			heads[h].coef[0] = heads[h].coef[1] = 1.0f;
			heads[h].p_col = h == 4 ? 1 : h;
			heads[h].q_col = s->heads + other;
			l.npq = 2 * s->heads;
		} else {
			heads[h].mode = DAMF_K_MHSA;
			heads[h].d_qk = s->d_qk;
			heads[h].qk_col = h * s->d_qk;
			heads[h].scale = 1.0f / sqrtf((float)s->d_qk);
			l.nqk = s->heads * s->d_qk;
		}
	}
	problem_heads(p, heads, &l, offsets, seqs);
}
