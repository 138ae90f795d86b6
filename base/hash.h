/* Keyed hashing, and a hash map of intrusive nodes whose table is sized by its owner.
 *
 * Keys come from clients, so the hash is keyed with a secret of this process: nobody can choose
 * keys that fall into one bucket. The map never grows by itself: it is made for the number of
 * entries that its owner's memory bound admits, its pages become resident as they are touched, and
 * no look-up ever waits for a rehash.
 */
#pragma once

#include "base/span.h"

#define HASH_MAX_BYTES 128
#define HASH_WORDS (HASH_MAX_BYTES / 8)

/* Random, and never shown. */
struct hash_key {
	uint64_t word[HASH_WORDS];
	uint64_t low, high;
};

/* Keyed hashing for tables: NH of 64-bit words (Black et al., "UMAC", 1999), for which whoever
 * doesn't know the key finds no two strings that collide with more than chance, then its 128 bits
 * and the length folded to 64 by a multiplication each. A quarter of SipHash's instructions. `data`
 * has at most HASH_MAX_BYTES. */
uint64_t hash_bytes(const struct hash_key *key, struct span data);

struct map_node {
	struct map_node *next;
};

struct map {
	struct map_node **buckets;
	size_t mask, count;
};

/* Buckets: the power of two at or above `expected`. 0 or -ENOMEM. */
int map_init(struct map *m, size_t expected);
void map_deinit(struct map *m);

/* Makes the table for another number, where that is another size. All nodes find new places: not
 * what a request should wait for. 0, or -ENOMEM, and nothing is changed. */
typedef uint64_t map_hash_fn(const void *arg, const struct map_node *node);
int map_resize(struct map *m, size_t expected, map_hash_fn *hash, const void *arg);

/* The chain in which all nodes of that hash are; the caller compares. */
static inline struct map_node *map_chain(const struct map *m, uint64_t hash)
{
	return m->buckets[hash & m->mask];
}

void map_add(struct map *m, uint64_t hash, struct map_node *node);

/* `node` must be in it. */
void map_remove(struct map *m, uint64_t hash, struct map_node *node);

/* `fresh` takes the place of `old` in its chain. */
void map_replace(struct map *m, uint64_t hash, struct map_node *old, struct map_node *fresh);
