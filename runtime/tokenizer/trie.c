// SPDX-License-Identifier: MIT
#include "trie.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Most positions to look at for one node's children, before they go to the end. */
#define SEARCH_LIMIT 512

/* Most nodes: indices stay far from INT32_MAX. */
#define MAX_NODES (1 << 29)

/* Keys [begin, end) share their first @depth bytes, which lead to @node. */
struct task {
	size_t begin, end, depth;
	int32_t node;
};

struct builder {
	struct damf_trie_node *nodes;
	int32_t size;
	int32_t low;	/* positions below it are not searched any more */
	int32_t end;	/* positions from it on are all free */
	const struct damf_trie_key *keys;
	struct task *tasks;
	size_t n_tasks, max_tasks;
};

static int compare_keys(const void *a, const void *b)
{
	const struct damf_trie_key *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int d = n ? memcmp(x->text, y->text, n) : 0;

	if (d)
		return d;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return (x->value > y->value) - (x->value < y->value);
}

static int grow_nodes(struct builder *b, int32_t need)
{
	struct damf_trie_node *nodes;
	int32_t size = b->size, i;

	if (need <= size)
		return 0;
	if (need > MAX_NODES)
		return -ENOMEM;
	size = size < need / 2 ? need : size * 2;
	nodes = realloc(b->nodes, (size_t)size * sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	for (i = b->size; i < size; i++)
		nodes[i] = (struct damf_trie_node){ .base = 0, .check = -1, .value = -1 };
	b->nodes = nodes;
	b->size = size;
	return 0;
}

static int push_task(struct builder *b, struct task task)
{
	struct task *tasks;

	if (b->n_tasks == b->max_tasks) {
		b->max_tasks = b->max_tasks ? 2 * b->max_tasks : 256;
		tasks = realloc(b->tasks, b->max_tasks * sizeof(*tasks));
		if (!tasks)
			return -ENOMEM;
		b->tasks = tasks;
	}
	b->tasks[b->n_tasks++] = task;
	return 0;
}

static int fits(const struct builder *b, int32_t base, const unsigned char *bytes, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (base + bytes[i] < b->end && b->nodes[base + bytes[i]].check >= 0)
			return 0;
	return 1;
}

/* Base at which all of a node's children find free places. The root is never one. */
static int32_t find_base(struct builder *b, const unsigned char *bytes, int n)
{
	int32_t at, tried = 0;

	while (b->low < b->end && b->nodes[b->low].check >= 0)
		b->low++;
	at = b->low > bytes[0] ? b->low : bytes[0] + 1;
	for (; at < b->end; at++) {
		if (fits(b, at - bytes[0], bytes, n))
			return at - bytes[0];
		if (++tried == SEARCH_LIMIT) {
			/* Crowded here: don't look at all of it again. */
			b->low += SEARCH_LIMIT / 8;
			break;
		}
	}
	return b->end;
}

/* Give the node of a task its value and its children. */
static int place_children(struct builder *b, struct task task)
{
	unsigned char bytes[256];
	size_t i, start;
	int32_t base;
	int n = 0, k, ret;

	while (task.begin < task.end && b->keys[task.begin].len == task.depth)
		b->nodes[task.node].value = b->keys[task.begin++].value;
	for (i = task.begin; i < task.end; i++) {
		unsigned char c = (unsigned char)b->keys[i].text[task.depth];

		if (!n || bytes[n - 1] != c)
			bytes[n++] = c;
	}
	if (!n)
		return 0;
	base = find_base(b, bytes, n);
	ret = grow_nodes(b, base + 256);
	if (ret)
		return ret;
	b->nodes[task.node].base = base;
	if (b->end <= base + bytes[n - 1])
		b->end = base + bytes[n - 1] + 1;
	for (k = 0, i = task.begin; k < n; k++) {
		for (start = i; i < task.end; i++)
			if ((unsigned char)b->keys[i].text[task.depth] != bytes[k])
				break;
		b->nodes[base + bytes[k]].check = task.node;
		ret = push_task(b, (struct task){ start, i, task.depth + 1, base + bytes[k] });
		if (ret)
			return ret;
	}
	return 0;
}

int damf_trie_build(struct damf_trie *t, struct damf_trie_key *keys, size_t n)
{
	struct builder b = { .low = 1, .end = 1, .keys = keys };
	int ret;

	*t = (struct damf_trie){ 0 };
	if (n)
		qsort(keys, n, sizeof(*keys), compare_keys);
	ret = grow_nodes(&b, 512);
	if (!ret)
		ret = push_task(&b, (struct task){ 0, n, 0, DAMF_TRIE_ROOT });
	while (!ret && b.n_tasks)
		ret = place_children(&b, b.tasks[--b.n_tasks]);
	free(b.tasks);
	t->nodes = b.nodes;
	t->size = b.size;
	return ret;
}

int32_t damf_trie_repeated(const struct damf_trie_key *keys, size_t n)
{
	size_t i;

	for (i = 1; i < n; i++)
		if (keys[i].len == keys[i - 1].len &&
		    !memcmp(keys[i].text, keys[i - 1].text, keys[i].len))
			return keys[i].value;
	return -1;
}

void damf_trie_free(struct damf_trie *t)
{
	free(t->nodes);
	*t = (struct damf_trie){ 0 };
}

int32_t damf_trie_find(const struct damf_trie *t, const char *text, size_t len)
{
	int32_t node = DAMF_TRIE_ROOT;
	size_t i;

	for (i = 0; i < len && node >= 0; i++)
		node = damf_trie_step(t, node, (unsigned char)text[i]);
	return node;
}
