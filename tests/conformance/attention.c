// SPDX-License-Identifier: MIT
/* Cases of the attention layer: heads of both modes, alone and mixed. */
#include <math.h>
#include <string.h>

#include "conf.h"

/* How scores of folded heads are made awkward. */
enum trick {
	TRICK_NONE,
	TRICK_NO_SCORES,	/* p = q = 0 */
	TRICK_ALL_NEGATIVE,	/* every score is -1: D is 0 */
	TRICK_NEAR_ZERO,	/* scores near -1: D is near 0 */
	TRICK_ONE_LOUD,		/* one token's q is far above the others' */
	TRICK_END,
};
static const char *const trick_names[TRICK_END] = {
	"", " no scores", " all negative", " D near zero", " one loud token",
};

enum { HEADS_MHSA, HEADS_FOLD, HEADS_MIXED };
static const char *const kinds[] = { "mhsa", "fold", "mixed" };

/* p: batch, width, heads, d_qk, d_v, kind, data, trick */
static bool is_fold(const struct conf_case *k, unsigned int h)
{
	return k->p[5] == HEADS_FOLD || (k->p[5] == HEADS_MIXED && h % 3 == 1);
}

/* Heads in a shuffled order of columns, so that none is where its number says. */
static void make_heads(const struct conf_case *k, struct damf_head *heads)
{
	for (unsigned int h = 0; h < k->p[2]; h++) {
		struct damf_head *head = &heads[h];
		unsigned int other = k->p[2] - 1 - h;
		float scale = 1.0f / sqrtf((float)k->p[3]);

		*head = (struct damf_head){ .d_v = (uint16_t)k->p[4], .v_col = h * k->p[4] };
		if (is_fold(k, h)) {
			head->mode = DAMF_MODE_FOLD;
			head->p_col = 2 * other + 1;
			head->q_col = 2 * other;
			head->rank = 1;
			head->order = 1;
			head->coef[0] = head->coef[1] = conf_bits(1.0f);
		} else {
			head->mode = DAMF_MODE_MHSA;
			head->d_qk = (uint16_t)k->p[3];
			head->qk_col = other * k->p[3];
			head->scale = conf_bits(scale);
		}
	}
}

static void play_trick(const struct conf_case *k, struct conf_layer *l)
{
	for (uint32_t i = 0; i < l->wpq.cols; i++) {
		bool is_p = i & 1;

		for (uint32_t j = 0; j < l->wpq.rows; j++) {
			float *w = &l->wpq.plain[j * l->wpq.cols + i];

			if (k->p[7] == TRICK_NO_SCORES || k->p[7] == TRICK_ALL_NEGATIVE)
				*w = 0.0f;
			else if (k->p[7] == TRICK_NEAR_ZERO)
				*w *= is_p ? 1e-4f : 0.0f;
		}
		if (k->p[7] == TRICK_NO_SCORES)
			*conf_at(&l->bpq, 0, i) = 0.0f;
		else if (k->p[7] != TRICK_ONE_LOUD)
			*conf_at(&l->bpq, 0, i) = is_p ? -1.0f : 1.0f;
	}
	if (k->p[7] == TRICK_ONE_LOUD) {
		for (uint32_t j = 0; j < l->x.cols; j++)
			*conf_at(&l->x, l->x.rows / 2, j) *= 1000.0f;
	}
	conf_repack(&l->wpq);
}

/* By the exact layer's own formulas: projections, and products of two activations. */
static void check_mhsa_macs(struct conf *c, const struct conf_case *k)
{
	const struct conf_batch *b = &conf_batches[k->p[0]];
	uint64_t d = k->p[1], nqk = k->p[2] * k->p[3], nv = k->p[2] * k->p[4], pairs = 0;

	for (uint32_t i = 0; i < b->seqs; i++) {
		uint64_t len = (uint64_t)(b->offsets[i + 1] - b->offsets[i]);

		pairs += len * len;
	}
	assert_true(conf_counters(c, 0)->static_macs == b->tokens * d * (2 * nqk + 2 * nv));
	assert_true(conf_counters(c, 0)->dynamic_macs >= pairs * (nqk + nv));
}

static void run_attention(struct conf *c, const struct conf_case *k)
{
	struct damf_head heads[CONF_HEADS];
	struct conf_layer l = {
		.batch = &conf_batches[k->p[0]], .width = k->p[1], .nheads = k->p[2],
		.nqk = k->p[2] * k->p[3], .nv = k->p[2] * k->p[4], .npq = 2 * k->p[2],
		.data = (enum conf_data)k->p[6],
	};

	make_heads(k, heads);
	conf_layer_make(c, &l, heads);
	if (k->p[7])
		play_trick(k, &l);
	conf_layer_run(c, &l);
	if (k->p[5] == HEADS_MHSA)
		check_mhsa_macs(c, k);
	conf_layer_check(c, &l);
}

static void add(struct conf_suite *s, const unsigned int *p)
{
	struct conf_case *k = conf_add(s, run_attention, "attention %s batch %u width %u heads %u"
				       " d_qk %u d_v %u %s%s", kinds[p[5]], p[0], p[1], p[2], p[3],
				       p[4], conf_data_names[p[6]], trick_names[p[7]]);

	memcpy(k->p, p, sizeof(k->p));
}

void conf_add_attention(struct conf_suite *s)
{
	static const unsigned int shapes[][4] = { /* width, heads, d_qk, d_v */
		{ 1, 1, 1, 1 }, { 24, 1, 24, 24 }, { 33, 3, 7, 11 }, { 48, 2, 24, 24 },
		{ 100, 4, 25, 33 }, { 288, 12, 24, 24 }, { 384, 12, 32, 32 },
	};

	for (unsigned int kind = HEADS_MHSA; kind <= HEADS_MIXED; kind++) {
		for (unsigned int i = 0; i < 7; i++) {
			const unsigned int *p = shapes[i];

			for (unsigned int b = 0; b < CONF_BATCHES; b++) {
				if (p[0] > 100 && (b + i + kind) % 3)
					continue;
				add(s, (unsigned int[]){ b, p[0], p[1], p[2], p[3], kind,
							 CONF_RANDOM, TRICK_NONE });
			}
		}
		add(s, (unsigned int[]){ 2, 768, 12, 64, 64, kind, CONF_RANDOM, TRICK_NONE });
		for (unsigned int data = 1; data < CONF_DATA_END; data++)
			add(s, (unsigned int[]){ 2 + data % 4, 48, 4, 12, 12, kind, data,
						 TRICK_NONE });
	}
	for (unsigned int trick = 1; trick < TRICK_END; trick++) {
		add(s, (unsigned int[]){ 2, 48, 2, 24, 24, HEADS_FOLD, CONF_RANDOM, trick });
		add(s, (unsigned int[]){ 4, 100, 3, 33, 33, HEADS_MIXED, CONF_RANDOM, trick });
	}
}
