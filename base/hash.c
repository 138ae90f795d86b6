/* See hash.h. */
#include "base/hash.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#define PAIR (2 * sizeof(uint64_t))

static uint64_t load(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static unsigned __int128 mix(const char *key, const char *data)
{
	uint64_t first = load(key) + load(data);
	uint64_t second = load(key + sizeof(uint64_t)) + load(data + sizeof(uint64_t));

	return (unsigned __int128)first * second;
}

static uint64_t fold(const struct hash_key *key, unsigned __int128 sum, size_t len)
{
	sum = (unsigned __int128)key->low * (uint64_t)sum +
	      (unsigned __int128)key->high * ((uint64_t)(sum >> 64) + len);
	return (uint64_t)(sum >> 64);
}

/* Out of line: its copy would give the longer ones' road a stack frame. */
__attribute__((noinline)) static uint64_t hash_short(const struct hash_key *key, struct span data)
{
	char padded[PAIR] = { 0 };

	if (data.len == 0)
		return fold(key, 0, 0);
	memcpy(padded, data.ptr, data.len);
	return fold(key, mix((const char *)key->word, padded), data.len);
}

uint64_t hash_bytes(const struct hash_key *key, struct span data)
{
	const char *words = (const char *)key->word;
	unsigned __int128 sum = 0;
	size_t at = 0;

	assert(data.len <= HASH_MAX_BYTES);
	if (data.len < PAIR)
		return hash_short(key, data);
	for (; at < data.len - PAIR; at += PAIR)
		sum += mix(words + at, data.ptr + at);
	/* the last pair overlaps the one before where the length is no multiple */
	sum += mix(words + at, data.ptr + data.len - PAIR);
	return fold(key, sum, data.len);
}

static size_t size_for(size_t expected)
{
	size_t size = 16;

	while (size < expected && size < SIZE_MAX / 4 / sizeof(struct map_node *))
		size *= 2;
	return size;
}

int map_init(struct map *m, size_t expected)
{
	size_t size = size_for(expected);

	m->buckets = mem_calloc(size, sizeof(struct map_node *));
	if (!m->buckets)
		return -ENOMEM;
	m->mask = size - 1;
	m->count = 0;
	return 0;
}

void map_deinit(struct map *m)
{
	mem_free_plain(m->buckets); /* pages that were never touched need not be */
	*m = (struct map){ 0 };
}

int map_resize(struct map *m, size_t expected, map_hash_fn *hash, const void *arg)
{
	struct map fresh;

	if (size_for(expected) == m->mask + 1)
		return 0;
	if (map_init(&fresh, expected) < 0)
		return -ENOMEM;
	for (size_t i = 0; i <= m->mask; i++)
		for (struct map_node *n = m->buckets[i], *next; n; n = next) {
			next = n->next;
			map_add(&fresh, hash(arg, n), n);
		}
	map_deinit(m);
	*m = fresh;
	return 0;
}

static struct map_node **find_link(struct map *m, uint64_t hash, struct map_node *node)
{
	struct map_node **link = &m->buckets[hash & m->mask];

	while (*link != node) {
		assert(*link);
		link = &(*link)->next;
	}
	return link;
}

void map_add(struct map *m, uint64_t hash, struct map_node *node)
{
	struct map_node **bucket = &m->buckets[hash & m->mask];

	node->next = *bucket;
	*bucket = node;
	m->count++;
}

void map_remove(struct map *m, uint64_t hash, struct map_node *node)
{
	*find_link(m, hash, node) = node->next;
	node->next = NULL;
	m->count--;
}

void map_replace(struct map *m, uint64_t hash, struct map_node *old, struct map_node *fresh)
{
	struct map_node **link = find_link(m, hash, old);

	fresh->next = old->next;
	*link = fresh;
	old->next = NULL;
}
