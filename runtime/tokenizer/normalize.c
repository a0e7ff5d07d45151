// SPDX-License-Identifier: MIT
/*
 * Normalisation: clean, set ideographs apart, strip accents, fold case.
 *
 * Each step of the reference runs over the whole text. Here one pass takes a
 * code point through all of them; only canonical reordering looks further, so
 * code points with a combining class wait in s->pending for the next starter.
 */
#include "bytes.h"
#include "tok_internal.h"
#include "unicode.h"

#include <errno.h>
#include <string.h>

#define HANGUL_BASE 0xAC00
#define HANGUL_COUNT 11172
#define HANGUL_V_COUNT 21
#define HANGUL_T_COUNT 28
#define HANGUL_L 0x1100
#define HANGUL_V 0x1161
#define HANGUL_T 0x11A7

/* From this many waiting code points on, counting sort beats insertion. */
#define SORT_BY_COUNT 24

/* Room for @need more bytes, for what may be read behind them, and for marks of it all. */
static int reserve_norm(struct damf_tok_scratch *s, size_t need)
{
	size_t want = s->norm_len + need + DAMF_TOK_SLACK;

	if (want <= s->norm_max && want / 64 + 2 <= s->marks_max)
		return 0;
	if (damf_tok_reserve((void **)&s->norm, &s->norm_max, 0, want, 1))
		return -ENOMEM;
	return damf_tok_reserve((void **)&s->marks, &s->marks_max, 0, s->norm_max / 64 + 2,
				sizeof(*s->marks));
}

/* Write the marks of the next @n bytes, at most 64, which are not in norm_len yet. */
static inline void put_marks(struct damf_tok_scratch *s, uint64_t begin, uint64_t cut, size_t n)
{
	size_t at = s->norm_len % 64;
	struct damf_marks *m = &s->marks[s->norm_len / 64];

	m->begin |= begin << at;
	m->cut |= cut << at;
	if (at + n < 64)
		return;
	m[1].begin = at ? begin >> (64 - at) : 0;
	m[1].cut = at ? cut >> (64 - at) : 0;
}

static void put(struct damf_tok_scratch *s, uint32_t c, unsigned int flags)
{
	unsigned char *p = s->norm + s->norm_len;
	unsigned int space = flags & DAMF_UC_SPACE, punct = flags & DAMF_UC_PUNCT;
	size_t n = (size_t)(damf_utf8_put(p, c) - p);

	put_marks(s, !space && (punct || s->after_cut), space || punct || s->after_cut, n);
	s->after_cut = space || punct;
	s->norm_len += n;
}

/* Last step: fold case. The caller has reserved DAMF_UC_MAX_BYTES. */
static void emit(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		 uint32_t c, unsigned int flags)
{
	const uint32_t *to;
	uint32_t i;

	if (!t->lower_case || !(flags & DAMF_UC_LOWER)) {
		put(s, c, flags);
		return;
	}
	to = damf_uc_lower_pool + DAMF_UC_LOOKUP(damf_uc_lower, c);
	for (i = 1; i <= to[0]; i++)
		put(s, to[i], damf_uc_flags(to[i]));
}

static void sort_by_insertion(struct damf_pending *p, size_t n)
{
	size_t i, k;

	for (i = 1; i < n; i++) {
		struct damf_pending x = p[i];

		for (k = i; k > 0 && p[k - 1].ccc > x.ccc; k--)
			p[k] = p[k - 1];
		p[k] = x;
	}
}

/* The same for long runs, which hostile text has. @out has room for @n. */
static void sort_by_count(struct damf_pending *p, struct damf_pending *out, size_t n)
{
	size_t place[257] = { 0 }, i;

	for (i = 0; i < n; i++)
		place[p[i].ccc + 1]++;
	for (i = 1; i < 257; i++)
		place[i] += place[i - 1];
	for (i = 0; i < n; i++)
		out[place[p[i].ccc]++] = p[i];
	memcpy(p, out, n * sizeof(*p));
}

static int flush_pending(const struct damf_tokenizer *t, struct damf_tok_scratch *s)
{
	size_t n = s->n_pending, i;

	if (reserve_norm(s, (n + 1) * DAMF_UC_MAX_BYTES))
		return -ENOMEM;
	if (n < SORT_BY_COUNT)
		sort_by_insertion(s->pending, n);
	else
		sort_by_count(s->pending, s->pending + s->pending_max, n);
	for (i = 0; i < n; i++)
		emit(t, s, s->pending[i].c, damf_uc_flags(s->pending[i].c));
	s->n_pending = 0;
	return 0;
}

/* Write out what waits, in canonical order. */
static inline int flush(const struct damf_tokenizer *t, struct damf_tok_scratch *s)
{
	return s->n_pending ? flush_pending(t, s) : 0;
}

static int wait_for_starter(struct damf_tok_scratch *s, uint32_t c, unsigned int ccc)
{
	size_t max = 2 * s->pending_max;

	if (s->n_pending == s->pending_max) {
		if (damf_tok_reserve((void **)&s->pending, &max, max, max + 64,
				     sizeof(*s->pending)))
			return -ENOMEM;
		s->pending_max = max / 2;
	}
	s->pending[s->n_pending++] = (struct damf_pending){ c, ccc };
	return 0;
}

/* A code point that does not decompose: drop marks, reorder the others. */
static int put_decomposed(const struct damf_tokenizer *t, struct damf_tok_scratch *s, uint32_t c)
{
	unsigned int flags = damf_uc_flags(c), ccc = 0;

	if (flags & DAMF_UC_NFD)
		ccc = DAMF_UC_LOOKUP(damf_uc_ccc, c);
	if (ccc)
		return flags & DAMF_UC_MARK ? 0 : wait_for_starter(s, c, ccc);
	if (flush(t, s))
		return -ENOMEM;
	if (!(flags & DAMF_UC_MARK))
		emit(t, s, c, flags);
	return 0;
}

static int put_hangul(const struct damf_tokenizer *t, struct damf_tok_scratch *s, uint32_t index)
{
	uint32_t trail = index % HANGUL_T_COUNT;

	index /= HANGUL_T_COUNT;
	if (put_decomposed(t, s, HANGUL_L + index / HANGUL_V_COUNT) ||
	    put_decomposed(t, s, HANGUL_V + index % HANGUL_V_COUNT))
		return -ENOMEM;
	return trail ? put_decomposed(t, s, HANGUL_T + trail) : 0;
}

static int put_stripped(const struct damf_tokenizer *t, struct damf_tok_scratch *s, uint32_t c)
{
	const uint32_t *to;
	uint32_t i;

	if (c - HANGUL_BASE < HANGUL_COUNT)
		return put_hangul(t, s, c - HANGUL_BASE);
	to = damf_uc_decomp_pool + DAMF_UC_LOOKUP(damf_uc_decomp, c);
	if (!to[0])
		return put_decomposed(t, s, c);
	for (i = 1; i <= to[0]; i++)
		if (put_decomposed(t, s, to[i]))
			return -ENOMEM;
	return 0;
}

static int put_space(const struct damf_tokenizer *t, struct damf_tok_scratch *s)
{
	if (flush(t, s))
		return -ENOMEM;
	put(s, ' ', DAMF_UC_SPACE);
	return 0;
}

/* Take one code point through all steps. */
static int put_char(const struct damf_tokenizer *t, struct damf_tok_scratch *s, uint32_t c)
{
	unsigned int flags = damf_uc_flags(c);
	int apart = t->split_cjk && flags & DAMF_UC_CJK;

	if (reserve_norm(s, DAMF_UC_MAX_BYTES))
		return -ENOMEM;
	if (!(flags & t->changing)) {
		if (flush(t, s))
			return -ENOMEM;
		put(s, c, flags);
		return 0;
	}
	if (t->clean_text) {
		if (flags & DAMF_UC_DROP)
			return 0;
		if (flags & DAMF_UC_SPACE)
			return put_space(t, s);
	}
	if (apart && put_space(t, s))
		return -ENOMEM;
	if (t->strip_accents) {
		if (put_stripped(t, s, c))
			return -ENOMEM;
	} else {
		emit(t, s, c, flags);
	}
	return apart ? put_space(t, s) : 0;
}

/*
 * Printable ASCII, which is most of most text, many bytes at a time. Returns
 * how many: none if the text goes on with something else.
 */
static size_t put_ascii(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
			const unsigned char *p, size_t len)
{
	struct damf_ascii a = damf_ascii_load(p, len);
	uint64_t begin, before;
	size_t n = a.n;

	if (!n)
		return 0;
	damf_ascii_store(s->norm + s->norm_len, &a, t->lower_case);
	/* Whatever isn't behind a letter begins a word, punctuation anywhere. */
	before = a.letter << 1 | !s->after_cut;
	begin = ~a.space & ~(a.letter & before);
	begin &= ((uint64_t)1 << n) - 1;
	put_marks(s, begin, begin | a.space, n);
	s->after_cut = !(a.letter >> (n - 1) & 1);
	s->norm_len += n;
	return n;
}

unsigned int damf_tok_changing(const struct damf_tokenizer *t)
{
	return (t->clean_text ? DAMF_UC_DROP | DAMF_UC_SPACE : 0) |
		(t->split_cjk ? DAMF_UC_CJK : 0) |
		(t->strip_accents ? DAMF_UC_NFD | DAMF_UC_MARK : 0) |
		(t->lower_case ? DAMF_UC_LOWER : 0);
}

int damf_tok_normalize(const struct damf_tokenizer *t, struct damf_tok_scratch *s,
		       const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;
	size_t n;

	s->norm_len = 0;
	s->n_pending = 0;
	s->after_cut = 1;
	if (reserve_norm(s, len + DAMF_UC_MAX_BYTES))
		return -ENOMEM;
	s->marks[0] = (struct damf_marks){ 0, 0 };
	while (p < end) {
		n = 0;
		if (*p < 0x80) {
			if (flush(t, s) || reserve_norm(s, DAMF_BYTES))
				return -ENOMEM;
			n = put_ascii(t, s, p, (size_t)(end - p));
			p += n;
		}
		if (!n && put_char(t, s, damf_utf8_next(&p)))
			return -ENOMEM;
	}
	if (flush(t, s))
		return -ENOMEM;
	put_marks(s, 1, 1, 1);
	return 0;
}
