/* Deadlines, the earliest first: a 4-ary heap of intrusive nodes.
 *
 * A node carries a tag, so that its owner's type is known when it comes up; it costs no memory
 * that the alignment would not take anyway. Finding what is due costs only what is due.
 */
#pragma once

#include "base/instant.h"

#include <stddef.h>

#define HEAP_NOWHERE UINT32_MAX

struct heap_node {
	struct mono at;
	uint32_t slot; /* HEAP_NOWHERE: in no heap */
	uint32_t tag;  /* the owner's */
};

struct heap {
	struct heap_node **nodes;
	size_t count, size;
};

#define HEAP_NODE(kind)                                                                            \
	((struct heap_node){ .at = MONO_NEVER, .slot = HEAP_NOWHERE, .tag = (kind) })

void heap_deinit(struct heap *h);

/* Forgets all nodes; what they are in is the caller's to know. */
void heap_clear(struct heap *h);

/* Makes room for one node more than are in it, so that the next heap_set() of a new node cannot
 * fail. 0 or -ENOMEM. */
int heap_reserve(struct heap *h, size_t count);

/* Sets a node's deadline, putting it in if it is in no heap (room must have been reserved). */
void heap_set(struct heap *h, struct heap_node *node, struct mono at);
void heap_remove(struct heap *h, struct heap_node *node);

/* `fresh` takes the place and the deadline of `old`. */
void heap_replace(struct heap *h, struct heap_node *old, struct heap_node *fresh);

static inline struct heap_node *heap_first(const struct heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}
