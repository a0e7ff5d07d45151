// SPDX-License-Identifier: MIT
#include <math.h>
#include <string.h>

#include "jobs_data.h"

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
	job_rows(f, c, DAMF_T_X, T, D, 21);
	job_output(f, c, T, D);
	job_table(f, c, DAMF_T_OFFSETS, job_offsets, B + 1);
	job_tensor(f, c, DAMF_T_HEADS, DAMF_TYPE_BYTES, HEADS, 128, 192);
	if (qk) {
		job_packed(f, c, DAMF_T_WQ, D, NQK, 22);
		job_rows(f, c, DAMF_T_BQ, 1, NQK, 23);
		job_packed(f, c, DAMF_T_WK, D, NQK, 24);
		job_rows(f, c, DAMF_T_BK, 1, NQK, 25);
	}
	job_packed(f, c, DAMF_T_WV, D, NV, 26);
	job_rows(f, c, DAMF_T_BV, 1, NV, 27);
	job_packed(f, c, DAMF_T_WO, NV, D, 28);
	job_rows(f, c, DAMF_T_BO, 1, D, 29);
	if (pq) {
		job_packed(f, c, DAMF_T_WPQ, D, NPQ, 30);
		job_rows(f, c, DAMF_T_BPQ, 1, NPQ, 31);
	}
}

void job_attention(struct fake *f, struct job_case *c, unsigned int folds)
{
	static struct activations a;
	bool qk = folds != 3, pq = folds;
	uint32_t t, h, s;
	double x[D];

	attention_tensors(f, c, qk, pq);
	for (t = 0; t < T; t++) {
		job_input(c, t, x);
		if (qk) {
			job_project(c, x, DAMF_T_WQ, DAMF_T_BQ, a.q[t]);
			job_project(c, x, DAMF_T_WK, DAMF_T_BK, a.k[t]);
		}
		job_project(c, x, DAMF_T_WV, DAMF_T_BV, a.v[t]);
		if (pq)
			job_project(c, x, DAMF_T_WPQ, DAMF_T_BPQ, a.pq[t]);
	}
	for (h = 0; h < HEADS; h++) {
		put_head(c, h, folds >> h & 1);
		for (s = 0; s < B; s++)
			attend(&a, h, folds >> h & 1, job_offsets[s], job_offsets[s + 1]);
	}
	for (t = 0; t < T; t++)
		job_project(c, a.out[t], DAMF_T_WO, DAMF_T_BO, job_row(c, t));
}
