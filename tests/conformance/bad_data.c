// SPDX-License-Identifier: MIT
/* Jobs whose tables hold what they must not, and whose addresses lead nowhere. */
#include <math.h>
#include <string.h>

#include "bad.h"

static void bad_word(struct conf *c, const struct conf_case *k, unsigned int slot,
		     unsigned int word, int32_t value, const char *what)
{
	struct bad_list l = bad_make(c, &bad_subjects[k->p[0]], k->name);

	((int32_t *)l.t[slot].map)[word] = value;
	bad_expect(c, &l, MASK(DAMF_ST_BAD_DATA) | MASK(DAMF_ST_BAD_LIMIT), SLOT(slot),
		   SLOT(slot) + 47, what);
}

void bad_run_tables(struct conf *c, const struct conf_case *k)
{
	const struct bad_subject *s = &bad_subjects[k->p[0]];

	for (const struct bad_shape *t = s->slots; t->kind; t++) {
		if (t->kind == 'o') {
			bad_word(c, k, t->slot, 0, 1, "first offset");
			bad_word(c, k, t->slot, 0, -1, "first offset");
			bad_word(c, k, t->slot, 1, -1, "negative offset");
			bad_word(c, k, t->slot, 2, 1, "falling offsets");
			bad_word(c, k, t->slot, 2, ROWS + 1, "offset past the end");
			bad_word(c, k, t->slot, 3, ROWS - 1, "last offset");
			bad_word(c, k, t->slot, 3, ROWS + 1, "last offset");
			bad_word(c, k, t->slot, 3, INT32_MAX, "last offset");
			bad_word(c, k, t->slot, 3, INT32_MIN, "last offset");
		} else if (t->kind == 'i' || t->kind == 't') {
			int32_t end = t->kind == 'i' ? VOCAB : KINDS;

			bad_word(c, k, t->slot, 0, end, "id past the end");
			bad_word(c, k, t->slot, ROWS - 1, -1, "negative id");
			bad_word(c, k, t->slot, 3, INT32_MIN, "negative id");
			bad_word(c, k, t->slot, 3, INT32_MAX, "id past the end");
		}
	}
}

/* A sequence longer than there are positions. */
void bad_run_positions(struct conf *c, const struct conf_case *k)
{
	struct bad_list l = bad_make(c, &bad_subjects[k->p[0]], k->name);

	l.job->tensor[DAMF_T_B].rows = 3;
	bad_expect(c, &l, MASK(DAMF_ST_BAD_DATA) | MASK(DAMF_ST_BAD_LIMIT), SLOT(0), SLOT(16) - 1,
		   "positions");
}

void bad_run_heads(struct conf *c, const struct conf_case *k)
{
	static const struct {
		const char *what;
		unsigned int head, offset, size;
		uint32_t value;
	} words[] = {
		{ "mode", 0, offsetof(struct damf_head, mode), 2, 5 },
		{ "mode", 0, offsetof(struct damf_head, mode), 2, 0xffff },
		{ "flags", 0, offsetof(struct damf_head, flags), 2, 1 << 4 },
		{ "flags", 1, offsetof(struct damf_head, flags), 2, 1 << 15 },
		{ "d_qk", 0, offsetof(struct damf_head, d_qk), 2, 0 },
		{ "d_qk", 0, offsetof(struct damf_head, d_qk), 2, WIDTH + 1 },
		{ "d_qk of a folded head", 1, offsetof(struct damf_head, d_qk), 2, 12 },
		{ "d_v", 0, offsetof(struct damf_head, d_v), 2, 0 },
		{ "d_v", 0, offsetof(struct damf_head, d_v), 2, WIDTH + 1 },
		{ "d_v", 1, offsetof(struct damf_head, d_v), 2, 13 },
		{ "qk_col", 0, offsetof(struct damf_head, qk_col), 4, 13 },
		{ "qk_col", 0, offsetof(struct damf_head, qk_col), 4, 0xfffffff8 },
		{ "qk_col of a folded head", 1, offsetof(struct damf_head, qk_col), 4, 1 },
		{ "v_col", 0, offsetof(struct damf_head, v_col), 4, 13 },
		{ "v_col", 1, offsetof(struct damf_head, v_col), 4, 0xffffffff },
		{ "p_col", 1, offsetof(struct damf_head, p_col), 4, 2 },
		{ "p_col", 1, offsetof(struct damf_head, p_col), 4, 0xffffffff },
		{ "p_col of an exact head", 0, offsetof(struct damf_head, p_col), 4, 1 },
		{ "q_col", 1, offsetof(struct damf_head, q_col), 4, 2 },
		{ "q_col of an exact head", 0, offsetof(struct damf_head, q_col), 4, 1 },
		{ "rank", 1, offsetof(struct damf_head, rank), 2, 0 },
		{ "rank", 1, offsetof(struct damf_head, rank), 2, 3 },
		{ "rank of an exact head", 0, offsetof(struct damf_head, rank), 2, 1 },
		{ "order", 1, offsetof(struct damf_head, order), 2, 5 },
		{ "scale", 0, offsetof(struct damf_head, scale), 4, 0x7fc00000 },
		{ "reserved", 0, offsetof(struct damf_head, reserved), 4, 1 },
		{ "reserved", 1, offsetof(struct damf_head, reserved) + 4, 4, 1 },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct bad_list l = bad_make(c, &bad_subjects[k->p[0]], k->name);
		unsigned int at = words[i].head * 128 + words[i].offset;

		memcpy((char *)l.t[DAMF_T_HEADS].map + at, &words[i].value, words[i].size);
		/* fields of heads are counted from the end of the job; of a width and a
		 * column that don't fit together either may be named */
		bad_expect(c, &l, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_BAD_DATA),
			   1024 + words[i].head * 128, 1024 + words[i].head * 128 + 127,
			   words[i].what);
	}
}

/* ---- addresses: a fault stops the context, so each has a client of its own ---- */

void bad_run_fault(struct conf *c, const struct conf_case *k)
{
	static const struct {
		const char *what;
		uint64_t addr;
		unsigned int statuses;
	} addrs[] = {
		{ "past the end", DAMF_VA_END, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_PAGE_FAULT) },
		{ "past the end", ~63ull, MASK(DAMF_ST_BAD_FIELD) | MASK(DAMF_ST_PAGE_FAULT) },
		{ "not mapped", DAMF_VA_END - (1 << 20), MASK(DAMF_ST_PAGE_FAULT) },
	};
	const struct bad_subject *s = &bad_subjects[k->p[0]];

	for (const struct bad_shape *t = s->slots; t->kind; t++) {
		for (int i = 0; i < 3; i++) {
			struct conf other = { .backend = c->backend, .submit = c->submit,
					      .threads = c->threads };
			struct bad_list l;

			assert_true(conf_open(&other));
			l = bad_make(&other, s, k->name);
			l.job->tensor[t->slot].addr = addrs[i].addr;
			/* a page fault names an address, and need not name a field */
			bad_expect(&other, &l, addrs[i].statuses, 0, FIELD(t->slot, addr),
				   addrs[i].what);
			if (other.done.status == DAMF_ST_PAGE_FAULT)
				assert_true(other.done.fault_addr - addrs[i].addr < 1 << 16);
			conf_close(&other);
		}
	}
}

void bad_run_unaligned(struct conf *c, const struct conf_case *k)
{
	const struct bad_subject *s = &bad_subjects[k->p[0]];

	for (const struct bad_shape *t = s->slots; t->kind; t++) {
		struct bad_list l = bad_make(c, s, k->name);
		uint64_t *addr = (uint64_t *)&l.job->tensor[t->slot].addr;

		if (strchr("bB", t->kind))
			continue;
		*addr += strchr("xyw", t->kind) ? 4 : 1;
		bad_expect_field(c, &l, FIELD(t->slot, addr), "unaligned address");
	}
}
