// SPDX-License-Identifier: MIT
/*
 * Heads of mode foldshift: terms whose sums over tokens and whose mix are
 * shifts and adds of integers. All such heads of a sequence are in one round,
 * since their vectors have one exponent.
 */
#include "attention.h"

static bool is_ours(const struct att *t, size_t head)
{
	return t->a->heads[head].mode == DAMF_K_FOLDSHIFT;
}

void damf_att_carve_foldshift(struct att *t, struct damf_carve *c, unsigned int threads)
{
	t->powers = 1;
	for (size_t h = 0; h < t->a->nheads; h++)
		t->powers += is_ours(t, h) ? t->a->heads[h].order : 0;
	t->fs_terms = damf_carve(c, t->nfoldshift, sizeof(*t->fs_terms));
	t->fs_most = damf_carve(c, t->nseq * att_panels(t->a->width), sizeof(*t->fs_most));
	t->fs_a = damf_carve(c, t->tokens * t->powers, sizeof(*t->fs_a));
	t->fs_right = damf_carve(c, t->tokens * t->nfoldshift, sizeof(*t->fs_right));
	t->fs_z = damf_carve(c, t->nseq, sizeof(*t->fs_z));
	t->fs_scores = damf_carve(c, threads * 2 * t->longest, sizeof(*t->fs_scores));
	t->fs_sums = damf_carve(c, threads * t->powers * DAMF_PANEL_COLS, sizeof(*t->fs_sums));
}

/* ---- Coefficients -------------------------------------------------------- */

/* The heads of this mode that come before, and columns of a that they have. */
static size_t place_of(const struct att *t, size_t head, size_t *powers)
{
	size_t n = 0;

	*powers = 1;
	for (size_t h = 0; h < head; h++) {
		if (!is_ours(t, h))
			continue;
		*powers += t->a->heads[h].order;
		n++;
	}
	return n;
}

static void head_item(void *arg, size_t item, unsigned int worker)
{
	const struct att_round *r = arg;
	const struct att *t = r->t;
	size_t i = item / r->nheads, h = item % r->nheads, n, a;
	const struct damf_k_head *head = &t->a->heads[h];
	const struct att_seq *s = &t->seq[r->seq + i];
	struct att_unit *u = att_unit(t, r->seq + i, h);
	float *scores = t->fs_scores + worker * 2 * t->longest;
	const struct damf_shift_scores prepare = {
		.p = att_pq(t, s, head->p_col), .q = att_pq(t, s, head->q_col), .len = s->len,
		.g = head->flags & DAMF_K_SCALE ? head->scale : 1.0f,
		.centred = head->flags & DAMF_K_CENTRED, .p_hat = scores,
		.q_prime = scores + t->longest,
	};
	struct damf_foldshift f = {
		.p = prepare.p_hat, .q = prepare.q_prime, .len = s->len, .order = head->order,
		.c = head->coef, .centred = prepare.centred, .scale = head->flags & DAMF_K_SCALE,
		.lda = t->powers, .ldr = t->nfoldshift,
		.b = (int32_t *)(r->part[i].mix) + u->mix, .ldb = r->part[i].nmix,
	};

	if (!is_ours(t, h))
		return;
	n = place_of(t, h, &a);
	f.a = t->fs_a + s->from * t->powers + a;
	f.right = t->fs_right + s->from * t->nfoldshift + n;
	t->ex->isa->shift_prepare(&prepare);
	u->finite = damf_foldshift_begin(t->ex->isa, &f);
	r->tau[u->row] = (float)s->len;
	for (size_t k = 1; k <= head->order; k++)
		r->tau[u->row + k] = (float)f.sigma[k] * 0x1p-12f;
	for (size_t m = 0; n == 0 && m < s->len; m++)
		t->fs_a[(s->from + m) * t->powers] = 1;
}

/* ---- Sums over tokens ---------------------------------------------------- */

/* The largest magnitude of a panel of X. */
static void most_item(void *arg, size_t item, unsigned int worker)
{
	const struct att_round *r = arg;
	const struct att *t = r->t;
	size_t panels = att_panels(t->a->width), panel = item % panels;
	const struct att_seq *s = &t->seq[r->seq + item / panels];

	(void)worker;
	t->fs_most[item] = t->ex->isa->largest(t->x + s->from * t->a->ldx + panel * DAMF_PANEL_COLS,
					       t->a->ldx, s->len, damf_panel_cols(t->a->width, panel));
}

/* Of all panels of a sequence of the round. */
static struct damf_fixed fixed_x(const struct att_round *r, size_t i)
{
	const struct att *t = r->t;
	size_t panels = att_panels(t->a->width);
	uint32_t most = 0;

	for (size_t panel = 0; panel < panels; panel++) {
		uint32_t n = t->fs_most[i * panels + panel];

		most = n > most ? n : most;
	}
	return damf_fixed_of(most, DAMF_FIXED_X);
}

/* One panel of columns of X of one sequence, for all heads. */
static void sums_item(void *arg, size_t item, unsigned int worker)
{
	const struct att_round *r = arg;
	const struct att *t = r->t;
	size_t panels = att_panels(t->a->width), i = item / panels, panel = item % panels, a = 1;
	const struct att_seq *s = &t->seq[r->seq + i];
	struct damf_fixed x = fixed_x(r, i);
	const struct damf_shift_sums sums = {
		.x = t->x + s->from * t->a->ldx, .ldx = t->a->ldx, .len = s->len,
		.width = t->a->width, .to = (float)x.to, .a = t->fs_a + s->from * t->powers,
		.na = t->powers, .out = t->fs_sums + worker * t->powers * DAMF_PANEL_COLS,
	};

	t->ex->isa->shift_token_sums(&sums, panel);
	for (size_t h = 0; h < r->nheads; h++) {
		const struct att_unit *u = att_unit(t, r->seq + i, h);

		for (size_t k = 0; is_ours(t, h) && k <= t->a->heads[h].order; k++)
			damf_foldshift_term(&x, k, sums.out + (k ? a++ : 0) * DAMF_PANEL_COLS,
					    damf_panel_cols(t->a->width, panel),
					    r->x + (u->row + k) * t->a->width +
					    panel * DAMF_PANEL_COLS);
	}
}

static int sum_tokens(struct att_round *r)
{
	const struct damf_exec *ex = r->t->ex;
	size_t panels = r->nseq * att_panels(r->t->a->width);
	int rc = damf_run_items(ex, head_item, r, r->nseq * r->nheads);

	if (!rc)
		rc = damf_run_items(ex, most_item, r, panels);
	return rc ? rc : damf_run_items(ex, sums_item, r, panels);
}

/* ---- The mix ------------------------------------------------------------- */

/* The vectors of one sequence become integers. */
static void fixed_item(void *arg, size_t i, unsigned int worker)
{
	const struct att_round *r = arg;
	const struct att *t = r->t;
	const struct att_part *part = &r->part[i];
	size_t rows = att_panels(t->a->out) * part->nmix;
	struct damf_fixed *z = &t->fs_z[r->seq + i];
	uint32_t most = 0;

	(void)worker;
	for (size_t n = 0; n < rows; n++) {
		uint32_t m = t->ex->isa->largest(part->vec + n * DAMF_PANEL_COLS, 0, 1,
						 damf_panel_cols(t->a->out, n / part->nmix));

		most = m > most ? m : most;
	}
	*z = damf_fixed_of(most, DAMF_FIXED_Z);
	for (size_t n = 0; n < rows; n++)
		damf_fixed_z(z, part->vec + n * DAMF_PANEL_COLS,
			     damf_panel_cols(t->a->out, n / part->nmix));
	for (size_t h = 0; h < r->nheads; h++) {
		if (is_ours(t, h) && !att_unit(t, r->seq + i, h)->finite)
			z->back = __builtin_nanf("");
	}
}

/* Up to 32 tokens of one sequence, 32 columns. */
static void mix_item(void *arg, size_t item, unsigned int worker)
{
	const struct att_round *r = arg;
	const struct att *t = r->t;
	size_t panels = att_panels(t->a->out), panel = item % panels, first;
	const struct att_seq *s = att_block(t, t->seq[r->seq].qfirst + item / panels, &first);
	const struct att_part *part = &r->part[s - t->seq - r->seq];
	int64_t out[DAMF_PANEL_COLS * DAMF_PANEL_COLS] __attribute__((aligned(64)));
	const struct damf_shift_mix mix = {
		.tokens = s->len - first < DAMF_PANEL_COLS ? s->len - first : DAMF_PANEL_COLS,
		.heads = t->nfoldshift, .terms = t->fs_terms,
		.b = (const int32_t *)part->mix + first * part->nmix, .ldb = part->nmix,
		.right = t->fs_right + (s->from + first) * t->nfoldshift, .ldr = t->nfoldshift,
		.z = (const int32_t *)part->vec + panel * part->nmix * DAMF_PANEL_COLS,
		.ldz = DAMF_PANEL_COLS, .out = out,
	};
	float *y = t->y + (s->from + first) * t->a->ldy + panel * DAMF_PANEL_COLS;

	(void)worker;
	t->ex->isa->shift_mix(&mix);
	for (size_t m = 0; m < mix.tokens; m++) {
		for (size_t j = 0; j < damf_panel_cols(t->a->out, panel); j++)
			y[m * t->a->ldy + j] += (float)out[m * DAMF_PANEL_COLS + j] *
				t->fs_z[s - t->seq].back;
	}
}

static int mix(struct att_round *r)
{
	const struct att *t = r->t;
	const struct att_seq *last = &t->seq[r->seq + r->nseq - 1];
	size_t blocks = last->qfirst + att_panels(last->len) - t->seq[r->seq].qfirst;
	int rc = damf_run_items(t->ex, fixed_item, r, r->nseq);

	return rc ? rc : damf_run_items(t->ex, mix_item, r, blocks * att_panels(t->a->out));
}

/* ---- All of it ----------------------------------------------------------- */

static void count_head(const struct att *t, const struct damf_k_head *head, uint64_t len)
{
	uint64_t k = head->order, d = t->a->width, out = t->a->out;

	/* into S_k and sigma_k; into D and N, and the quotient into the sum */
	DAMF_COUNT(t->ex, shift_adds, len * (k * (d + 1) + (k + 1) * (1 + out) + out));
	DAMF_COUNT(t->ex, divs, head->flags & DAMF_K_CENTRED ? 1 : 0);
	/* p and q, a, b and I_d, and Z, which becomes integers */
	DAMF_COUNT_F32(t->ex, read_intermediates, len * (2 + k + (k + 1) + 1) + 2 * (k + 1) * out);
	DAMF_COUNT_F32(t->ex, write_intermediates,
		       len * (k + (k + 1) + 1) + k * d + (k + 1) + (k + 1) * out);
}

static void count(const struct att *t)
{
	for (size_t i = 0; i < t->nseq; i++) {
		uint64_t len = t->seq[i].len, width = t->a->width;

		/* S_0, which all heads share; Y without these heads, and with them */
		DAMF_COUNT(t->ex, shift_adds, len * width);
		DAMF_COUNT_F32(t->ex, read_activations, 2 * len * width);
		DAMF_COUNT_F32(t->ex, read_intermediates, len * t->a->out);
		DAMF_COUNT_F32(t->ex, write_intermediates, width + len * t->a->out);
		for (size_t h = 0; h < t->a->nheads; h++) {
			if (is_ours(t, h))
				count_head(t, &t->a->heads[h], len);
		}
	}
	damf_att_count_vectors(t, true);
}

int damf_att_foldshift(struct att *t)
{
	struct att_round r = att_rounds(t, true);
	size_t n = 0;
	int rc = 0;

	for (size_t h = 0; h < t->a->nheads; h++) {
		if (is_ours(t, h))
			t->fs_terms[n++] = (uint8_t)(1 + t->a->heads[h].order);
	}
	while (!rc && damf_att_round(&r)) {
		rc = sum_tokens(&r);
		if (!rc)
			rc = damf_att_vectors(&r);
		if (!rc)
			rc = mix(&r);
	}
	if (rc)
		return rc;
	count(t);
	return 0;
}
