// SPDX-License-Identifier: MIT
/* The table of heads as the reference takes it. */
#include <string.h>

#include "damf_hw.h"
#include "ref.h"

static double float_of(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

struct ref_head ref_head_of(const struct damf_head *h)
{
	struct ref_head r = {
		.mode = (enum ref_mode)h->mode, .flags = h->flags, .d_qk = h->d_qk, .d_v = h->d_v,
		.qk_col = h->qk_col, .v_col = h->v_col, .p_col = h->p_col, .q_col = h->q_col,
		.rank = h->rank, .order = h->order, .scale = float_of(h->scale),
		.sink = { float_of(h->sink[0]), float_of(h->sink[1]) },
	};

	for (int k = 0; k <= REF_ORDER; k++)
		r.coef[k] = float_of(h->coef[k]);
	for (int o = 0; o <= 2 * REF_RADIUS; o++)
		r.band[o] = float_of(h->band[o]);
	return r;
}
