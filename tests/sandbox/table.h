/* table.h: a hash table with string keys, for nodes that the caller allocates. */
#ifndef SANDBOX_TABLE_H
#define SANDBOX_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* First member of whatever is put into a table. `key` must live as long as the node. */
struct table_node {
	struct table_node *next;
	uint64_t hash;
	const char *key;
};

struct table {
	struct table_node **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t n_nodes;
	uint64_t seed;
};

/* Makes an empty table; `seed` makes the order of collisions a stranger's guess. */
void table_init(struct table *table, uint64_t seed);

/* Hands every node to `release` and frees the table itself; it is empty and usable afterwards. */
void table_clear(struct table *table, void (*release)(struct table_node *node));

/* The node of that key, or NULL. */
struct table_node *table_find(const struct table *table, const char *key);

/* Adds a node whose key isn't in the table yet. 0, or -ENOMEM: the node remains the caller's. */
int table_insert(struct table *table, struct table_node *node);

/* Calls `keep` for each node; those for which it answers 0 leave the table and go to `release`. */
void table_filter(struct table *table, int (*keep)(struct table_node *node),
		  void (*release)(struct table_node *node));

/* Calls `visit` for each node, in no order. */
void table_each(const struct table *table,
		void (*visit)(const struct table_node *node, void *context), void *context);

#endif
