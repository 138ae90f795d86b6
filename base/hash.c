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

static unsigned __int128 mix(const uint64_t *key, uint64_t first, uint64_t second)
{
	return (unsigned __int128)(first + key[0]) * (second + key[1]);
}

static unsigned __int128 mix_short(const uint64_t *key, struct span data)
{
	uint64_t words[2] = { 0 };

	memcpy(words, data.ptr, data.len);
	return mix(key, words[0], words[1]);
}

uint64_t hash_bytes(const struct hash_key *key, struct span data)
{
	const char *last;
	const uint64_t *word = key->word;
	unsigned __int128 sum;

	assert(data.len <= HASH_MAX_BYTES);
	if (data.len < PAIR) {
		sum = data.len ? mix_short(word, data) : 0;
	} else {
		last = data.ptr + data.len - PAIR;
		sum = 0;
		for (const char *at = data.ptr; at < last; at += PAIR, word += 2)
			sum += mix(word, load(at), load(at + sizeof(uint64_t)));
		/* the last pair overlaps the one before where the length is no multiple */
		sum += mix(word, load(last), load(last + sizeof(uint64_t)));
	}
	sum = (unsigned __int128)key->low * (uint64_t)sum +
	      (unsigned __int128)key->high * ((uint64_t)(sum >> 64) + data.len);
	return (uint64_t)(sum >> 64);
}

int map_init(struct map *m, size_t expected)
{
	size_t size = 16;

	while (size < expected && size < SIZE_MAX / 4 / sizeof(struct map_node *))
		size *= 2;
	m->buckets = mem_calloc(size, sizeof(struct map_node *));
	if (!m->buckets)
		return -ENOMEM;
	m->mask = size - 1;
	m->count = 0;
	return 0;
}

void map_deinit(struct map *m)
{
	mem_free(m->buckets);
	*m = (struct map){ 0 };
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
