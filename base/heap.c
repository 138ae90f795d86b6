/* See heap.h. Four children a node: half the levels, and the children share a cache line. */
#include "base/heap.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define HEAP_ARITY 4
#define HEAP_MIN_SIZE 64

void heap_deinit(struct heap *h)
{
	mem_free_plain(h->nodes);
	*h = (struct heap){ 0 };
}

void heap_clear(struct heap *h)
{
	h->count = 0;
}

int heap_reserve(struct heap *h, size_t count)
{
	size_t size = h->size ? h->size : HEAP_MIN_SIZE;
	struct heap_node **nodes;

	if (count <= h->size)
		return 0;
	if (count >= HEAP_NOWHERE)
		return -ENOMEM;
	while (size < count)
		size *= 2;
	nodes = mem_alloc(size * sizeof(struct heap_node *));
	if (!nodes)
		return -ENOMEM;
	if (h->count)
		memcpy(nodes, h->nodes, h->count * sizeof(struct heap_node *));
	mem_free_plain(h->nodes); /* there may be a million of them, and they tell nothing */
	h->nodes = nodes;
	h->size = size;
	return 0;
}

static void put(struct heap *h, size_t slot, struct heap_node *node)
{
	h->nodes[slot] = node;
	node->slot = (uint32_t)slot;
}

static void rise(struct heap *h, size_t slot, struct heap_node *node)
{
	while (slot > 0) {
		size_t parent = (slot - 1) / HEAP_ARITY;

		if (h->nodes[parent]->at.ms <= node->at.ms)
			break;
		put(h, slot, h->nodes[parent]);
		slot = parent;
	}
	put(h, slot, node);
}

static void sink(struct heap *h, size_t slot, struct heap_node *node)
{
	for (;;) {
		size_t child = slot * HEAP_ARITY + 1;
		size_t end = child + HEAP_ARITY < h->count ? child + HEAP_ARITY : h->count;
		size_t least = child;

		if (child >= h->count)
			break;
		while (++child < end)
			if (h->nodes[child]->at.ms < h->nodes[least]->at.ms)
				least = child;
		if (h->nodes[least]->at.ms >= node->at.ms)
			break;
		put(h, slot, h->nodes[least]);
		slot = least;
	}
	put(h, slot, node);
}

void heap_set(struct heap *h, struct heap_node *node, struct mono at)
{
	struct mono was = node->at;

	node->at = at;
	if (node->slot == HEAP_NOWHERE) {
		assert(h->count < h->size);
		rise(h, h->count++, node);
	} else if (at.ms < was.ms) {
		rise(h, node->slot, node);
	} else {
		sink(h, node->slot, node);
	}
}

void heap_remove(struct heap *h, struct heap_node *node)
{
	size_t slot = node->slot;
	struct heap_node *last;

	if (slot == HEAP_NOWHERE)
		return;
	node->slot = HEAP_NOWHERE;
	last = h->nodes[--h->count];
	if (last == node)
		return;
	if (slot > 0 && h->nodes[(slot - 1) / HEAP_ARITY]->at.ms > last->at.ms)
		rise(h, slot, last);
	else
		sink(h, slot, last);
}

void heap_replace(struct heap *h, struct heap_node *old, struct heap_node *fresh)
{
	assert(old->slot != HEAP_NOWHERE);
	fresh->at = old->at;
	put(h, old->slot, fresh);
	old->slot = HEAP_NOWHERE;
}
