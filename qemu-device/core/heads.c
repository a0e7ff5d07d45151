// SPDX-License-Identifier: MIT
/* The table of heads of an attention job: read once, every field checked. */
#include <endian.h>
#include <math.h>
#include <string.h>

#include "work.h"

#define F32_ONE 0x3f800000u

#define BAD(status, member) \
	bad_head(w, h, DAMF_ST_BAD_##status, offsetof(struct damf_head, member), fail)

static int bad_head(const struct damf_work *w, uint32_t h, unsigned int status, size_t offset,
		    struct damf_fail *fail)
{
	const struct damf_tens *t = &w->t[DAMF_T_HEADS];

	fail->addr = t->addr + h * t->stride + offset;
	return damf_fail_set(fail, status,
			     sizeof(struct damf_job) + h * sizeof(struct damf_head) + offset);
}

/* Columns [first, first + n) of a tensor of cols columns, n at least 1. */
static bool columns_ok(uint64_t first, uint64_t n, uint64_t cols)
{
	return n && first + n <= cols;
}

/* The first word that isn't zero, of n at words; n if there is none. */
static unsigned int first_set(const __le32 *words, unsigned int n)
{
	unsigned int i = 0;

	while (i < n && !words[i])
		i++;
	return i;
}

static float f32_of(__le32 word)
{
	uint32_t bits = le32toh(word);
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

/* The first word that isn't a finite number, of n at words; n if there is none. */
static unsigned int first_infinite(const __le32 *words, unsigned int n)
{
	unsigned int i = 0;

	while (i < n && isfinite(f32_of(words[i])))
		i++;
	return i;
}

/* What the modes may have: flags, and the highest rank and order. */
static const struct mode_rule {
	uint16_t flags, rank, order;
} rules[] = {
	[DAMF_MODE_MHSA] = { DAMF_HEAD_BAND | DAMF_HEAD_SINKS, 0, 0 },
	[DAMF_MODE_SHIFT] = { DAMF_HEAD_BAND | DAMF_HEAD_SINKS, 1, 1 },
	[DAMF_MODE_FOLD] = { DAMF_HEAD_CENTRED | DAMF_HEAD_SCALE | DAMF_HEAD_BAND |
			     DAMF_HEAD_SINKS, DAMF_K_RANK, DAMF_MAX_ORDER },
	[DAMF_MODE_FOLDSHIFT] = { DAMF_HEAD_CENTRED | DAMF_HEAD_SCALE | DAMF_HEAD_BAND |
				  DAMF_HEAD_SINKS, 1, DAMF_MAX_ORDER },
	[DAMF_MODE_SOFTFOLD] = { DAMF_HEAD_SCALE | DAMF_HEAD_BAND | DAMF_HEAD_SINKS, 1, 0 },
};

/* The weights that the mode needs are there. */
static int check_weights(const struct damf_work *w, unsigned int mode, struct damf_fail *fail)
{
	unsigned int slot = mode == DAMF_MODE_MHSA ? DAMF_T_WQ : DAMF_T_WPQ;

	if (w->t[slot].used)
		return 0;
	return damf_fail_set(fail, DAMF_ST_BAD_FIELD, DAMF_FIELD_TENSOR(slot, type));
}

static int check_columns(const struct damf_work *w, const struct damf_head *head, uint32_t h,
			 struct damf_fail *fail)
{
	uint32_t rank = le16toh(head->rank), npq = w->t[DAMF_T_WPQ].cols;

	if (le16toh(head->mode) == DAMF_MODE_MHSA) {
		if (!head->d_qk)
			return BAD(DATA, d_qk);
		if (!columns_ok(le32toh(head->qk_col), le16toh(head->d_qk), w->t[DAMF_T_WQ].cols))
			return BAD(DATA, qk_col);
		if (head->p_col)
			return BAD(FIELD, p_col);
		return head->q_col ? BAD(FIELD, q_col) : 0;
	}
	if (head->d_qk)
		return BAD(FIELD, d_qk);
	if (head->qk_col)
		return BAD(FIELD, qk_col);
	if (!columns_ok(le32toh(head->p_col), rank, npq))
		return BAD(DATA, p_col);
	return columns_ok(le32toh(head->q_col), rank, npq) ? 0 : BAD(DATA, q_col);
}

static int check_order(const struct damf_work *w, const struct damf_head *head, uint32_t h,
		       struct damf_fail *fail)
{
	const struct mode_rule *rule = &rules[le16toh(head->mode)];
	unsigned int rank = le16toh(head->rank), order = le16toh(head->order);

	if (rank > rule->rank || (rule->rank && !rank))
		return BAD(FIELD, rank);
	if (order > rule->order || (rule->order && !order) || (rank > 1 && order > 1))
		return BAD(FIELD, order);
	return 0;
}

static int check_scale(const struct damf_work *w, const struct damf_head *head, uint32_t h,
		       struct damf_fail *fail)
{
	float scale = f32_of(head->scale);
	bool ok;

	if (le16toh(head->mode) == DAMF_MODE_MHSA)
		ok = isfinite(scale);
	else if (le16toh(head->flags) & DAMF_HEAD_SCALE)
		ok = isfinite(scale) && scale != 0.0f;
	else
		ok = !head->scale;
	return ok ? 0 : BAD(FIELD, scale);
}

/* Coefficients of the polynomial, or the bound of the error; the rest is 0. */
static int check_coef(const struct damf_work *w, const struct damf_head *head, uint32_t h,
		      struct damf_fail *fail)
{
	unsigned int mode = le16toh(head->mode), n = le16toh(head->order) + 1u, i;
	float bound = f32_of(head->coef[0]);

	if (mode == DAMF_MODE_MHSA)
		n = 0;
	if (mode == DAMF_MODE_SOFTFOLD && !(bound >= 0x1p-20f && bound <= 0.5f))
		return BAD(FIELD, coef[0]);
	i = first_infinite(head->coef, n);
	if (i < n)
		return BAD(FIELD, coef[i]);
	for (i = 0; mode == DAMF_MODE_SHIFT && i < n; i++)
		if (le32toh(head->coef[i]) != F32_ONE)
			return BAD(FIELD, coef[i]);
	i = n + first_set(head->coef + n, 5 - n);
	return i < 5 ? BAD(FIELD, coef[i]) : 0;
}

/* Sinks and band: finite with their flag, 0 without. */
static int check_static(const struct damf_work *w, const struct damf_head *head, uint32_t h,
			struct damf_fail *fail)
{
	unsigned int flags = le16toh(head->flags), n = 2 * DAMF_BAND_RADIUS + 1, i;

	i = flags & DAMF_HEAD_SINKS ? first_infinite(head->sink, 2) : first_set(head->sink, 2);
	if (i < 2)
		return BAD(FIELD, sink[i]);
	i = flags & DAMF_HEAD_BAND ? first_infinite(head->band, n) : first_set(head->band, n);
	if (i < n)
		return BAD(FIELD, band[i]);
	i = first_set(head->reserved, 2);
	return i < 2 ? BAD(FIELD, reserved[i]) : 0;
}

static int check_head(const struct damf_work *w, const struct damf_head *head, uint32_t h,
		      struct damf_fail *fail)
{
	unsigned int mode = le16toh(head->mode);

	if (mode >= 64 || !(DAMF_MODES >> mode & 1))
		return BAD(FIELD, mode);
	if (le16toh(head->flags) & ~rules[mode].flags)
		return BAD(FIELD, flags);
	if (!head->d_v)
		return BAD(DATA, d_v);
	if (!columns_ok(le32toh(head->v_col), le16toh(head->d_v), w->t[DAMF_T_WV].cols))
		return BAD(DATA, v_col);
	if (check_weights(w, mode, fail) || check_order(w, head, h, fail) ||
	    check_columns(w, head, h, fail) || check_scale(w, head, h, fail) ||
	    check_coef(w, head, h, fail))
		return -1;
	return check_static(w, head, h, fail);
}

static void take_head(struct damf_k_head *k, const struct damf_head *head)
{
	unsigned int i;

	*k = (struct damf_k_head) {
		.mode = (enum damf_k_mode)le16toh(head->mode),
		.flags = le16toh(head->flags),
		.d_qk = le16toh(head->d_qk),
		.d_v = le16toh(head->d_v),
		.qk_col = le32toh(head->qk_col),
		.v_col = le32toh(head->v_col),
		.p_col = le32toh(head->p_col),
		.q_col = le32toh(head->q_col),
		.rank = le16toh(head->rank),
		.order = le16toh(head->order),
		.scale = f32_of(head->scale),
		.sink = { f32_of(head->sink[0]), f32_of(head->sink[1]) },
	};
	for (i = 0; i < 5; i++)
		k->coef[i] = f32_of(head->coef[i]);
	for (i = 0; i < 2 * DAMF_BAND_RADIUS + 1; i++)
		k->band[i] = f32_of(head->band[i]);
}

/* Every column of WV belongs to exactly one head. */
static int check_cover(const struct damf_work *w, uint32_t n, struct damf_fail *fail)
{
	uint32_t h, g, nv = w->t[DAMF_T_WV].cols;
	uint64_t sum = 0;

	for (h = 0; h < n; h++) {
		const struct damf_k_head *a = &w->heads[h];

		for (g = 0; g < h; g++)
			if (a->v_col < w->heads[g].v_col + w->heads[g].d_v &&
			    w->heads[g].v_col < a->v_col + a->d_v)
				return BAD(DATA, v_col);
		sum += a->d_v;
	}
	if (sum == nv)
		return 0;
	h = n - 1;
	return BAD(DATA, d_v);
}

int damf_check_heads(struct damf_work *w, struct damf_fail *fail)
{
	uint32_t h, n = w->t[DAMF_T_HEADS].rows;
	struct damf_head *copy = damf_arena_array(w->arena, n, sizeof(*copy));

	if (!copy)
		return damf_fail_set(fail, DAMF_ST_NO_RESOURCES, 0);
	if (damf_tensor_read(w, DAMF_T_HEADS, copy, fail))
		return -1;
	for (h = 0; h < n; h++) {
		if (check_head(w, &copy[h], h, fail))
			return -1;
		take_head(&w->heads[h], &copy[h]);
	}
	return check_cover(w, n, fail);
}
