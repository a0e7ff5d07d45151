// SPDX-License-Identifier: MIT
/* Tables of heads: made for a model, made into another mode, told of. */
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "error.h"
#include "model.h"

#define MAX_RANK	256u	/* of a table of heads */
#define STATIC_TERMS	(DAMF_HEAD_BAND | DAMF_HEAD_SINKS)

static const char *const mode_names[] = {
	[DAMF_MODE_MHSA] = "mhsa", [DAMF_MODE_SHIFT] = "shift", [DAMF_MODE_FOLD] = "fold",
	[DAMF_MODE_FOLDSHIFT] = "foldshift", [DAMF_MODE_SOFTFOLD] = "softfold",
};

const char *damf_mode_name(unsigned int mode)
{
	return mode < sizeof(mode_names) / sizeof(mode_names[0]) ? mode_names[mode] : "unknown";
}

unsigned int damf_attention_mode(enum damf_attention attention)
{
	switch (attention) {
	case DAMF_ATTENTION_FOLD:
		return DAMF_MODE_FOLD;
	case DAMF_ATTENTION_SHIFT:
		return DAMF_MODE_SHIFT;
	case DAMF_ATTENTION_FOLDSHIFT:
		return DAMF_MODE_FOLDSHIFT;
	case DAMF_ATTENTION_SOFTFOLD:
		return DAMF_MODE_SOFTFOLD;
	default:
		return DAMF_MODE_MHSA;
	}
}

int damf_heads_allowed(unsigned int mode, uint32_t rank, uint32_t order, uint32_t head_width,
		       struct damf_error *err)
{
	bool series = mode == DAMF_MODE_FOLD || mode == DAMF_MODE_FOLDSHIFT;

	if (rank > head_width)
		return damf_error_set(err, -EOPNOTSUPP,
				      "rank %u: the scores of a head have rank %u at most, its width",
				      rank, head_width);
	if (rank > MAX_RANK)
		return damf_error_set(err, -EOPNOTSUPP, "rank %u: a device takes ranks up to %u", rank,
				      MAX_RANK);
	if (order > DAMF_MAX_ORDER)
		return damf_error_set(err, -EOPNOTSUPP, "order %u: the series has orders 1 to %u", order,
				      DAMF_MAX_ORDER);
	if (rank > 1 && order > 1)
		return damf_error_set(err, -EOPNOTSUPP,
				      "rank %u with order %u: a rank above 1 is defined for order 1 only",
				      rank, order);
	if (rank > 1 && mode != DAMF_MODE_FOLD)
		return damf_error_set(err, -EOPNOTSUPP, "rank %u with %s: only fold has a rank above 1",
				      rank, damf_mode_name(mode));
	if (order > 1 && !series)
		return damf_error_set(err, -EOPNOTSUPP,
				      "order %u with %s: only fold and foldshift have an order above 1",
				      order, damf_mode_name(mode));
	return 0;
}

static __le32 f32_bits(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return htole32(bits);
}

static float root_scale(const struct damf_config *c)
{
	return (float)(1 / sqrt((double)(c->width / c->heads)));
}

/* ---- The parts of a head that a mode has ------------------------------------- */

static void set_exact(struct damf_head *head, const struct damf_config *c, uint32_t h)
{
	uint32_t n = c->width / c->heads;

	head->d_qk = htole16((uint16_t)n);
	head->qk_col = htole32(h * n);
	head->scale = f32_bits(root_scale(c));
}

/*
 * The series of exp to an order. The paper's own form, of order 1, has no
 * scale but 1 / A_max. A longer one stands for softmax: its scores are divided
 * by the root of the head's width, and q is centred, which softmax can't tell
 * and which keeps the arguments of the series small.
 */
static void set_series(struct damf_head *head, const struct damf_config *c, uint32_t order)
{
	float coef = 1;
	uint32_t k;

	head->order = htole16((uint16_t)order);
	for (k = 0; k <= order; k++) {
		head->coef[k] = f32_bits(coef);
		coef /= (float)(k + 1);
	}
	if (order > 1) {
		head->flags |= htole16(DAMF_HEAD_SCALE | DAMF_HEAD_CENTRED);
		head->scale = f32_bits(root_scale(c));
	}
}

static void set_softmax(struct damf_head *head, const struct damf_config *c)
{
	head->flags |= htole16(DAMF_HEAD_SCALE);
	head->scale = f32_bits(root_scale(c));
	head->coef[0] = f32_bits(DAMF_SOFTFOLD_BOUND);
}

static void set_weights_of(struct damf_head *head, const struct damf_config *c, unsigned int mode,
			   uint32_t order)
{
	head->mode = htole16((uint16_t)mode);
	if (mode == DAMF_MODE_SOFTFOLD)
		set_softmax(head, c);
	else
		set_series(head, c, order);
}

void damf_heads_make(struct damf_head *table, const struct damf_config *c, unsigned int mode,
		     uint32_t rank, uint32_t order)
{
	uint32_t h, n = c->width / c->heads;

	memset(table, 0, c->heads * sizeof(*table));
	for (h = 0; h < c->heads; h++, table++) {
		table->d_v = htole16((uint16_t)n);
		table->v_col = htole32(h * n);
		if (mode == DAMF_MODE_MHSA) {
			set_exact(table, c, h);
			continue;
		}
		table->p_col = htole32(h * rank);
		table->q_col = htole32((c->heads + h) * rank);
		table->rank = htole16((uint16_t)rank);
		set_weights_of(table, c, mode, order);
	}
}

/* ---- Another mode ---------------------------------------------------------------- */

static bool series_mode(unsigned int mode)
{
	return mode == DAMF_MODE_FOLD || mode == DAMF_MODE_FOLDSHIFT;
}

/* Whether to has all that from may hold, so that the mode alone changes. */
static bool takes_all(unsigned int from, unsigned int to)
{
	return series_mode(to) && (series_mode(from) || from == DAMF_MODE_SHIFT);
}

static void remake_head(struct damf_head *head, const struct damf_config *c, unsigned int mode,
			uint32_t h)
{
	if (takes_all(le16toh(head->mode), mode)) {
		head->mode = htole16((uint16_t)mode);
		return;
	}
	head->flags &= htole16(STATIC_TERMS);
	head->order = 0;
	head->scale = 0;
	memset(head->coef, 0, sizeof(head->coef));
	if (mode != DAMF_MODE_MHSA) {
		set_weights_of(head, c, mode, 1);
		return;
	}
	head->mode = htole16(DAMF_MODE_MHSA);
	head->rank = 0;
	head->p_col = head->q_col = 0;
	set_exact(head, c, h);
}

int damf_heads_remake(struct damf_head *table, const struct damf_config *c, unsigned int mode,
		      uint32_t which, struct damf_error *err)
{
	uint32_t h;

	for (h = 0; h < c->heads; h++) {
		unsigned int from = le16toh(table[h].mode), rank = le16toh(table[h].rank);

		if (from == mode)
			continue;
		if (from == DAMF_MODE_MHSA)
			return damf_error_set(err, -EINVAL,
					      "layer %u, head %u is mhsa and has no u and v for %s: convert the original model with --mode %s",
					      which, h, damf_mode_name(mode), damf_mode_name(mode));
		if (rank > 1 && mode != DAMF_MODE_FOLD && mode != DAMF_MODE_MHSA)
			return damf_error_set(err, -EINVAL,
					      "layer %u, head %u has scores of rank %u, and %s takes rank 1 only: use fold or convert the original model with --rank 1",
					      which, h, rank, damf_mode_name(mode));
		remake_head(&table[h], c, mode, h);
	}
	return 0;
}

/* ---- Taken together ---------------------------------------------------------------- */

void damf_heads_add(struct damf_heads_summary *s, const struct damf_head *table, uint32_t heads)
{
	uint32_t h;

	for (h = 0; h < heads; h++) {
		uint32_t rank = le16toh(table[h].rank), order = le16toh(table[h].order);
		unsigned int mode = le16toh(table[h].mode);

		s->modes |= 1u << (mode < 31 ? mode : 31);	/* it may not be checked yet */
		if (s->rank < rank)
			s->rank = rank;
		if (s->order < order)
			s->order = order;
	}
}

const char *damf_heads_name(const struct damf_heads_summary *s)
{
	if (!s->modes || s->modes & (s->modes - 1))
		return "mixed";
	return damf_mode_name((unsigned int)__builtin_ctz(s->modes));
}

struct damf_heads_summary damf_model_heads(const struct damf_model *m)
{
	struct damf_heads_summary s = { 0 };
	uint32_t i;

	for (i = 0; i < m->config.layers; i++)
		damf_heads_add(&s, m->layers[i].table, m->config.heads);
	return s;
}
