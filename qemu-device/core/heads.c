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

static int check_mhsa(const struct damf_work *w, const struct damf_head *head, uint32_t h,
		      struct damf_fail *fail)
{
	uint32_t bits = le32toh(head->scale);
	float scale;

	if (!w->t[DAMF_T_WQ].used)
		return damf_fail_set(fail, DAMF_ST_BAD_FIELD, DAMF_FIELD_TENSOR(DAMF_T_WQ, type));
	if (!columns_ok(le32toh(head->qk_col), le16toh(head->d_qk), w->t[DAMF_T_WQ].cols))
		return head->d_qk ? BAD(DATA, qk_col) : BAD(DATA, d_qk);
	if (head->p_col)
		return BAD(FIELD, p_col);
	if (head->q_col)
		return BAD(FIELD, q_col);
	if (head->rank)
		return BAD(FIELD, rank);
	if (head->order)
		return BAD(FIELD, order);
	memcpy(&scale, &bits, sizeof(scale));
	if (!isfinite(scale))
		return BAD(FIELD, scale);
	if (first_set(head->coef, 5) < 5)
		return BAD(FIELD, coef[first_set(head->coef, 5)]);
	return 0;
}

/* Eq. 14 of the method: rank 1, order 1, coefficients (1, 1), g = 1 / A_max. */
static int check_fold(const struct damf_work *w, const struct damf_head *head, uint32_t h,
		      struct damf_fail *fail)
{
	unsigned int i;

	if (!w->t[DAMF_T_WPQ].used)
		return damf_fail_set(fail, DAMF_ST_BAD_FIELD, DAMF_FIELD_TENSOR(DAMF_T_WPQ, type));
	if (head->d_qk)
		return BAD(FIELD, d_qk);
	if (head->qk_col)
		return BAD(FIELD, qk_col);
	if (le16toh(head->rank) != 1)
		return BAD(FIELD, rank);
	if (le16toh(head->order) != 1)
		return BAD(FIELD, order);
	if (!columns_ok(le32toh(head->p_col), 1, w->t[DAMF_T_WPQ].cols))
		return BAD(DATA, p_col);
	if (!columns_ok(le32toh(head->q_col), 1, w->t[DAMF_T_WPQ].cols))
		return BAD(DATA, q_col);
	if (head->scale)
		return BAD(FIELD, scale);
	for (i = 0; i < 5; i++)
		if (le32toh(head->coef[i]) != (i < 2 ? F32_ONE : 0))
			return BAD(FIELD, coef[i]);
	return 0;
}

static int check_head(const struct damf_work *w, const struct damf_head *head, uint32_t h,
		      struct damf_fail *fail)
{
	unsigned int mode = le16toh(head->mode), i;

	if (mode >= 64 || !(DAMF_MODES >> mode & 1))
		return BAD(FIELD, mode);
	if (head->flags)
		return BAD(FIELD, flags);
	if (!columns_ok(le32toh(head->v_col), le16toh(head->d_v), w->t[DAMF_T_WV].cols))
		return head->d_v ? BAD(DATA, v_col) : BAD(DATA, d_v);
	if (mode == DAMF_MODE_MHSA ? check_mhsa(w, head, h, fail) : check_fold(w, head, h, fail))
		return -1;
	i = first_set(head->sink, 2);
	if (i < 2)
		return BAD(FIELD, sink[i]);
	i = first_set(head->band, 2 * DAMF_BAND_RADIUS + 1);
	if (i < 2 * DAMF_BAND_RADIUS + 1)
		return BAD(FIELD, band[i]);
	i = first_set(head->reserved, 2);
	return i < 2 ? BAD(FIELD, reserved[i]) : 0;
}

static void take_head(struct damf_k_head *k, const struct damf_head *head)
{
	uint32_t bits = le32toh(head->scale);

	*k = (struct damf_k_head) {
		.mode = le16toh(head->mode) == DAMF_MODE_MHSA ? DAMF_K_MHSA : DAMF_K_FOLD,
		.d_qk = le16toh(head->d_qk),
		.d_v = le16toh(head->d_v),
		.qk_col = le32toh(head->qk_col),
		.v_col = le32toh(head->v_col),
		.p_col = le32toh(head->p_col),
		.q_col = le32toh(head->q_col),
	};
	memcpy(&k->scale, &bits, sizeof(k->scale));
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
