// SPDX-License-Identifier: MIT
/*
 * How many nodes a softfold head needs in a sequence for its bound, from the
 * ranges of p and q: in double precision, as the definition says.
 */
#include "attention.h"

/* Half-angles of sectors in which the terms of the denominator lie, and the
 * factor of the error's bound that follows. */
static const struct {
	double theta, kappa;
} strips[] = { { 1.6, 5.75 }, { 2.2, 8.82 }, { 2.6, 14.96 }, { 2.9, 33.2 } };

/* Degrees that are offered: those that divide 240, the steps of the table of cosines. */
static const unsigned char degrees[] = {
	1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 16, 20, 24, 30, 40, 48, 60,
};
#define DEGREES (sizeof(degrees) / sizeof(degrees[0]))

/* The least degree that keeps the bound with one strip, as an index; DEGREES if none does. */
static size_t degree(double range, double bound, double theta, double kappa)
{
	double b = 2.0 * theta / range, rho = b + __builtin_sqrt(b * b + 1.0);
	double y = kappa / (rho - 1.0);
	size_t i = 0;

	for (unsigned int n = 1; n <= degrees[DEGREES - 1]; n++) {
		y = y / rho;
		if (n < degrees[i])
			continue;
		if (y <= bound)
			return i;
		i++;
	}
	return DEGREES;
}

static size_t count_nodes(const struct att_unit *u, float bound)
{
	double range = (double)(u->p_high - u->p_low) * (double)(u->q_high - u->q_low);
	float middle = u->p_high + u->p_low;
	size_t best = DEGREES;

	if (!__builtin_isfinite(range) || !__builtin_isfinite(middle))
		return 0;
	if (range == 0.0 || (u->p_high - u->p_low) * 0.5f == 0.0f)
		return 1;
	for (size_t i = 0; i < sizeof(strips) / sizeof(strips[0]); i++) {
		size_t d = degree(range, (double)bound, strips[i].theta, strips[i].kappa);

		best = d < best ? d : best;
	}
	return best < DEGREES ? degrees[best] + 1u : 0;
}

static void nodes_item(void *arg, size_t item, unsigned int worker)
{
	const struct att *t = arg;
	const struct damf_k_head *head = &t->a->heads[item % t->a->nheads];
	const struct att_seq *s = &t->seq[item / t->a->nheads];
	struct att_unit *u = &t->unit[item];

	(void)worker;
	if (head->mode != DAMF_K_SOFTFOLD)
		return;
	t->ex->isa->range(att_pq(t, s, head->p_col), s->len,
			  head->flags & DAMF_K_SCALE ? head->scale : 1.0f, &u->p_low, &u->p_high);
	t->ex->isa->range(att_pq(t, s, head->q_col), s->len, 1.0f, &u->q_low, &u->q_high);
	u->nodes = count_nodes(u, head->coef[0]);
	u->tokens = u->nodes >= s->len;
	if (u->tokens)
		u->nodes = s->len;
}

int damf_att_nodes(struct att *t)
{
	return damf_run_items(t->ex, nodes_item, t, t->nseq * t->a->nheads);
}
