/*
 * table.c: a chained hash table.
 *
 * Model: FNV-1a over the key with a seed, at most one node per bucket on average, doubling when
 * that is passed. The table owns its buckets, never its nodes: those are handed back by a callback.
 * Limits on how many nodes there may be are the owner's.
 */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MIN_BUCKETS 64u

void table_init(struct table *table, uint64_t seed)
{
	*table = (struct table){ .seed = seed };
}

static uint64_t table_hash(const struct table *table, const char *key)
{
	uint64_t hash = 0xcbf29ce484222325u ^ table->seed;

	for (; *key; key++)
		hash = (hash ^ (unsigned char)*key) * 0x100000001b3u;
	return hash ^ hash >> 29; /* the low bits choose the bucket */
}

static struct table_node **table_bucket(const struct table *table, uint64_t hash)
{
	return &table->buckets[hash & (table->n_buckets - 1)];
}

static int table_grow(struct table *table)
{
	struct table grown = *table;

	grown.n_buckets = table->n_buckets ? table->n_buckets * 2 : TABLE_MIN_BUCKETS;
	grown.buckets = calloc(grown.n_buckets, sizeof(struct table_node *));
	if (!grown.buckets)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_buckets; i++) {
		struct table_node *next = NULL;
		for (struct table_node *node = table->buckets[i]; node; node = next) {
			next = node->next;
			struct table_node **bucket = table_bucket(&grown, node->hash);
			node->next = *bucket;
			*bucket = node;
		}
	}
	free(table->buckets);
	*table = grown;
	return 0;
}

struct table_node *table_find(const struct table *table, const char *key)
{
	if (!table->n_buckets)
		return NULL;
	uint64_t hash = table_hash(table, key);
	struct table_node *node = *table_bucket(table, hash);
	while (node && (node->hash != hash || strcmp(node->key, key) != 0))
		node = node->next;
	return node;
}

int table_insert(struct table *table, struct table_node *node)
{
	if (table->n_nodes >= table->n_buckets) {
		int r = table_grow(table);
		if (r < 0)
			return r;
	}
	node->hash = table_hash(table, node->key);
	struct table_node **bucket = table_bucket(table, node->hash);
	node->next = *bucket;
	*bucket = node;
	table->n_nodes++;
	return 0;
}

void table_filter(struct table *table, int (*keep)(struct table_node *node),
		  void (*release)(struct table_node *node))
{
	for (size_t i = 0; i < table->n_buckets; i++) {
		struct table_node **link = &table->buckets[i];
		while (*link) {
			struct table_node *node = *link;
			if (keep(node)) {
				link = &node->next;
				continue;
			}
			*link = node->next;
			table->n_nodes--;
			release(node);
		}
	}
}

static int table_keep_none(struct table_node *node)
{
	(void)node; /* none is kept, whichever it is */
	return 0;
}

void table_clear(struct table *table, void (*release)(struct table_node *node))
{
	table_filter(table, table_keep_none, release);
	free(table->buckets);
	table_init(table, table->seed);
}

void table_each(const struct table *table,
		void (*visit)(const struct table_node *node, void *context), void *context)
{
	for (size_t i = 0; i < table->n_buckets; i++) {
		for (const struct table_node *node = table->buckets[i]; node; node = node->next)
			visit(node, context);
	}
}
