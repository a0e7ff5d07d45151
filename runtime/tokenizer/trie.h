/* SPDX-License-Identifier: MIT */
/*
 * A set of byte strings, each with a number, for longest-prefix matching.
 *
 * It is a double array: the child of node s by byte c is at base[s] + c, and
 * belongs to s if its check says so. A step is two loads, whatever the size.
 */
#ifndef DAMF_TOK_TRIE_H
#define DAMF_TOK_TRIE_H

#include <stddef.h>
#include <stdint.h>

struct damf_trie_node {
	int32_t base;	/* where the children are */
	int32_t check;	/* parent, -1: free */
	int32_t value;	/* number of the string that ends here, -1: none */
};

struct damf_trie {
	struct damf_trie_node *nodes;
	int32_t size;	/* nodes, free ones included */
};

struct damf_trie_key {
	const char *text;
	size_t len;
	int32_t value;
};

#define DAMF_TRIE_ROOT 0

/*
 * Build from @n keys, which are sorted in place. Of equal keys the one with
 * the greatest value counts. Returns 0 or -ENOMEM; @t needs damf_trie_free()
 * in either case.
 */
int damf_trie_build(struct damf_trie *t, struct damf_trie_key *keys, size_t n);

/* Value of a key that stands twice among keys that damf_trie_build() has sorted, or -1. */
int32_t damf_trie_repeated(const struct damf_trie_key *keys, size_t n);

void damf_trie_free(struct damf_trie *t);

/* Child of @node by byte @c, or -1. Any node may be asked for any byte. */
static inline int32_t damf_trie_step(const struct damf_trie *t, int32_t node, unsigned char c)
{
	int32_t next = t->nodes[node].base + c;

	return t->nodes[next].check == node ? next : -1;
}

/* Node at the end of a string, or -1 if no key begins with it. */
int32_t damf_trie_find(const struct damf_trie *t, const char *text, size_t len);

#endif /* DAMF_TOK_TRIE_H */
