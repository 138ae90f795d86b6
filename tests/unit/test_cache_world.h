/* A cache with three users for the tests of it, and what must be true of it at any time. */
#pragma once

#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/core/demand.h"

#include <stdio.h>

#define TOKEN_MAX 65536
#define MEDIUM 1000 /* bytes of a usual token */

struct world {
	struct quota quota;
	struct cache cache;
	struct account *users[3];
	struct mono now;
	char names[2][WIRE_NAME_MAX];
	size_t held;
};

static char token_bytes[TOKEN_MAX];
static struct demand somebody;
#define WANTED (&somebody)

static inline void fill_random(struct unit_random *random, void *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((unsigned char *)to)[i] = (unsigned char)unit_random(random);
}

static inline struct world *world_of(size_t max_bytes)
{
	struct unit_random random = { 7 };
	struct hash_key hash_key;
	static struct world w;

	fill_random(&random, &hash_key, sizeof(hash_key));
	memset(token_bytes, 'T', sizeof(token_bytes));
	w = (struct world){ .held = mem_held() };
	assert_int_equal(quota_init(&w.quota), 0);
	assert_int_equal(cache_init(&w.cache, max_bytes, &hash_key, &w.quota), 0);
	for (size_t i = 0; i < 3; i++) {
		w.users[i] = quota_account(&w.quota, (uid_t)(1000 + i));
		quota_charge(&w.quota, w.users[i], QUOTA_CONNECTIONS, 1);
	}
	return &w;
}

static inline void world_end(struct world *w)
{
	cache_deinit(&w->cache);
	quota_deinit(&w->quota);
	assert_int_equal(mem_held(), w->held);
}

static inline struct key key_of(struct world *w, size_t session, size_t template)
{
	int s = snprintf(w->names[0], WIRE_NAME_MAX, "sess_%zu", session);
	int t = template ? snprintf(w->names[1], WIRE_NAME_MAX, "t%zu", template) : 0;

	return (struct key){ span_of(w->names[0], (size_t)s), span_of(w->names[1], (size_t)t), 0 };
}

static inline struct entry *obtain(struct world *w, size_t session, size_t user)
{
	struct key key = key_of(w, session, 1);

	return cache_obtain(&w->cache, &key, w->users[user]);
}

static inline struct entry *find(struct world *w, size_t session)
{
	struct key key = key_of(w, session, 1);

	return cache_find(&w->cache, &key);
}

/* As the engine does it: stored, and due at its end. */
static inline struct entry *store(struct world *w, struct entry *e, size_t len)
{
	struct token token = { .jwt = span_of(token_bytes, len),
			       .id = len,
			       .fetched_at = w->now,
			       .expires_at = mono_add_ms(w->now, 60000) };
	struct entry *stored = cache_store(&w->cache, e, &token);

	if (stored)
		cache_arm(&w->cache, stored, token.expires_at);
	else if (entry_is_empty(e) && !e->demand)
		cache_remove(&w->cache, e);
	return stored;
}

static inline void use(struct world *w, struct entry *e)
{
	e->last_use = w->now;
	e->frequency += e->frequency != UINT8_MAX;
}

/* A miss as the engine sees it: from the first ask to the answer, somebody wants it. */
static inline bool fetch(struct world *w, size_t session, size_t user, size_t len)
{
	struct entry *e = obtain(w, session, user), *stored;

	if (!e)
		return false;
	use(w, e);
	e->demand = WANTED;
	stored = store(w, e, len);
	e = stored ? stored : e;
	e->demand = NULL;
	if (stored)
		assert_int_equal(find(w, session)->token_len, len);
	else if (entry_is_empty(e))
		cache_remove(&w->cache, e);
	cache_bury(&w->cache);
	return stored != NULL;
}

static inline struct entry *fetched(struct world *w, size_t session, size_t user, size_t len)
{
	assert_true(fetch(w, session, user, len));
	return find(w, session);
}

/* Makes a full cache in which one entry alone is what the test is about. */
static inline void fill(struct world *w, size_t user, size_t from, size_t count, uint8_t frequency)
{
	for (size_t i = 0; i < count; i++) {
		fetched(w, from + i, user, MEDIUM)->frequency = frequency;
		w->now.ms++;
	}
}

static inline size_t left_of(struct world *w, size_t from, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += find(w, from + i) != NULL;
	return n;
}

struct sums {
	struct world *w;
	size_t bytes, tokens, count;
	size_t by_user[3];
};

static inline void add_up(void *arg, struct entry *e)
{
	struct sums *sums = arg;
	struct cache *c = &sums->w->cache;
	size_t size = slab_footprint_of(e);

	sums->bytes += size;
	sums->tokens += e->token_len != 0;
	sums->count++;
	sums->by_user[sums->w->quota.accounts[e->account]->uid - 1000] += size;
	if (e->timer.slot != HEAP_NOWHERE)
		assert_ptr_equal(c->timers.nodes[e->timer.slot], &e->timer);
	else
		assert_true(entry_is_empty(e));
}

static inline void assert_consistent(struct world *w)
{
	struct sums sums = { .w = w };

	cache_visit_all(&w->cache, add_up, &sums);
	assert_int_equal(w->cache.bytes, sums.bytes);
	assert_int_equal(w->cache.tokens, sums.tokens);
	assert_int_equal(w->cache.map.count, sums.count);
	assert_true(w->cache.timers.count <= sums.count);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(w->users[i]->held[QUOTA_CACHE_BYTES], sums.by_user[i]);
	assert_true(w->cache.bytes <= w->cache.max_bytes);
}
