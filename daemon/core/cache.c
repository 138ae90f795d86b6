/* See cache.h. */
#include "daemon/core/cache.h"

#include "base/mem.h"
#include "daemon/core/demand.h"
#include "daemon/core/eviction.h"

#include <assert.h>
#include <errno.h>

/* The table is made for the memory bound: chains of one or two with tokens of a KiB. */
#define BYTES_PER_BUCKET 2048
#define SLACK ((size_t)64 << 10) /* runs are used in part */
#define TRIM_WORK 32		 /* evictions in one call */
#define FREE_WORK 32768		 /* buckets passed in one call */
#define FREE_ENTRY_WORK 64	 /* what freeing an entry costs, in buckets */
#define FREE_PAGES_WORK 16	 /* bytes that go back to the kernel, likewise */
#define COMPACTION_WORK 16	 /* what emptying a run costs, in evictions */
#define ID_AT 4			 /* in the claims, behind " id=" */
#define ID_LEN 16
#define EXP_AT (ID_AT + ID_LEN + 5) /* behind " exp=" */
#define CLAIMS_ROOM (EXP_AT + FORMAT_U64_ROOM)
#define EVICTION_TRIES 4
#define CACHE_LINE 64
#define PREFETCH_LINES 16 /* most of an entry with a usual token, of some 900 bytes */

static_assert(offsetof(struct entry, bytes) <= 88, "there may be a million of them");

int cache_init(struct cache *c, size_t max_bytes, const struct hash_key *hash_key,
	       struct quota *quota)
{
	*c = (struct cache){
		.hash_key = *hash_key,
		.quota = quota,
		.max_bytes = max_bytes,
	};
	if (map_init(&c->map, max_bytes / BYTES_PER_BUCKET) < 0)
		return -ENOMEM;
	c->beside = mem_footprint(c->map.buckets);
	return 0;
}

static uint64_t hash_session(const struct cache *c, struct span session)
{
	return hash_bytes(&c->hash_key, session);
}

uint64_t entry_token_id(const struct entry *e)
{
	struct span text = entry_token_text(e);
	uint64_t id = 0;

	text = span_of(text.ptr + e->token_len + ID_AT, ID_LEN);
	(void)span_parse_hex64(text, &id); /* we wrote it */
	return id;
}

uint64_t entry_token_exp_s(const struct entry *e)
{
	struct span text = entry_token_text(e);
	size_t at = e->token_len + EXP_AT;
	uint64_t exp_s = 0;

	(void)span_parse_u64(span_of(text.ptr + at, text.len - at), UINT64_MAX, &exp_s);
	return exp_s;
}

static bool has_key(const struct entry *e, const struct key *key)
{
	return e->expires_in_s == key->expires_in_s && span_equal(entry_session(e), key->session) &&
	       span_equal(entry_template(e), key->template);
}

struct entry *cache_find(const struct cache *c, const struct key *key)
{
	struct map_node *n = map_chain(&c->map, hash_session(c, key->session));

	for (; n; n = n->next) {
		struct entry *e = container_of(n, struct entry, chain);

		if (has_key(e, key))
			return e;
	}
	return NULL;
}

uint64_t cache_hash_text(const struct cache *c, struct span text)
{
	const char *space = memchr(text.ptr, ' ', text.len);
	size_t session_len = space ? (size_t)(space - text.ptr) : 0;
	uint64_t hash;

	if (session_len == 0 || session_len > WIRE_NAME_MAX)
		return 0;
	hash = hash_session(c, span_of(text.ptr, session_len));
	__builtin_prefetch(&c->map.buckets[hash & c->map.mask]);
	return hash;
}

void cache_prefetch(const struct cache *c, uint64_t hash)
{
	const char *entry = (const char *)map_chain(&c->map, hash);

#pragma GCC unroll 16
	for (size_t line = 0; line < PREFETCH_LINES; line++)
		__builtin_prefetch(entry + line * CACHE_LINE);
	/* gcc takes what only prefetches for a pure function, and drops calls of it */
	__asm__ volatile("");
}

struct entry *cache_find_text(const struct cache *c, struct span text, uint64_t hash)
{
	for (struct map_node *n = map_chain(&c->map, hash); n; n = n->next) {
		struct entry *e = container_of(n, struct entry, chain);

		if (e->key_len == text.len && e->expires_in_s == 0 &&
		    memcmp(e->bytes, text.ptr, text.len) == 0)
			return e;
	}
	return NULL;
}

static bool evict_one(struct cache *c, const struct entry *keep)
{
	struct entry *victim = eviction_choose(c, keep);

	if (!victim)
		return false;
	c->evictions++;
	cache_remove(c, victim);
	return true;
}

/* It is in no heap, and found no more. Returns by how much less is resident. */
static size_t free_doomed(struct cache *c, struct entry *e)
{
	size_t size = slab_footprint_of(e), resident = c->slab.resident;

	c->bytes -= size;
	quota_release(c->quota, cache_account(c, e), QUOTA_CACHE_BYTES, size);
	slab_free(&c->slab, e);
	return resident - c->slab.resident;
}

static void free_some_doomed(struct cache *c)
{
	for (size_t work = 0; c->doomed_at <= c->doomed.mask; work++) {
		struct map_node **chain = &c->doomed.buckets[c->doomed_at];
		struct entry *e;

		if (work >= FREE_WORK)
			return;
		if (!*chain) {
			c->doomed_at++;
			continue;
		}
		e = container_of(*chain, struct entry, chain);
		*chain = e->chain.next;
		work += FREE_ENTRY_WORK + free_doomed(c, e) / FREE_PAGES_WORK;
	}
	c->beside -= mem_footprint(c->doomed.buckets);
	map_deinit(&c->doomed);
}

static size_t held(const struct cache *c)
{
	return c->bytes + c->beside;
}

bool cache_make_room(struct cache *c, size_t size, const struct entry *keep)
{
	/* Far beyond a bound that was made smaller, who needs room does not wait for all that has
	 * to go, but for as much as it needs. */
	size_t bound = c->is_behind && held(c) > c->max_bytes ? held(c) : c->max_bytes;
	unsigned tries = EVICTION_TRIES;

	while (c->doomed.buckets && held(c) + size > bound)
		free_some_doomed(c);
	while (held(c) + size > bound && tries)
		tries -= !evict_one(c, keep);
	return held(c) + size <= bound;
}

void cache_charge(struct cache *c, struct account *account, size_t size)
{
	c->beside += size;
	if (account)
		quota_charge(c->quota, account, QUOTA_CACHE_BYTES, size);
}

void cache_discharge(struct cache *c, struct account *account, size_t size)
{
	c->beside -= size;
	if (account)
		quota_release(c->quota, account, QUOTA_CACHE_BYTES, size);
}

int cache_reserve(struct cache *c, struct heap *heap, size_t count)
{
	size_t before = mem_footprint(heap->nodes);
	int result = heap_reserve(heap, count);

	c->beside += mem_footprint(heap->nodes) - before;
	return result;
}

/* A block and, by its real size, the room for it; `keep` (may be NULL) stays. */
static struct entry *new_block(struct cache *c, size_t size, const struct entry *keep)
{
	struct entry *e = slab_alloc(&c->slab, size);

	if (e && !cache_make_room(c, slab_footprint_of(e), keep)) {
		slab_free(&c->slab, e);
		return NULL;
	}
	return e;
}

struct account *cache_account(const struct cache *c, const struct entry *e)
{
	return c->quota->accounts[e->account];
}

static void charge(struct cache *c, struct entry *e, struct account *owner)
{
	size_t size = slab_footprint_of(e);

	c->bytes += size;
	c->tokens += e->token_len != 0;
	quota_charge(c->quota, owner, QUOTA_CACHE_BYTES, size);
}

static void discharge(struct cache *c, struct entry *e)
{
	size_t size = slab_footprint_of(e);

	c->bytes -= size;
	c->tokens -= e->token_len != 0;
	quota_release(c->quota, cache_account(c, e), QUOTA_CACHE_BYTES, size);
}

static void bury_later(struct cache *c, struct entry *e)
{
	e->chain.next = c->graveyard;
	c->graveyard = &e->chain;
}

static size_t key_text_len(const struct key *key)
{
	return key->session.len + 1 + (key->template.len ? key->template.len : 1);
}

static void write_key(struct entry *e, const struct key *key)
{
	struct span template = key->template.len ? key->template : SPAN_LITERAL(WIRE_NO_TEMPLATE);
	char *to = mempcpy(e->bytes, key->session.ptr, key->session.len);

	*to++ = ' ';
	memcpy(to, template.ptr, template.len);
	e->session_len = (uint8_t)key->session.len;
	e->key_len = (uint16_t)key_text_len(key);
	e->expires_in_s = (uint32_t)key->expires_in_s;
}

/* Of a block with so much text in it. */
static size_t block_size(size_t text_len)
{
	size_t size = offsetof(struct entry, bytes) + text_len;

	return size > sizeof(struct entry) ? size : sizeof(struct entry);
}

/* What holds no token goes first, lest made-up templates push out good ones. */
static bool goes_before(const struct entry *a, const struct entry *b)
{
	if (!a->token_len != !b->token_len)
		return !a->token_len;
	return a->last_use.ms < b->last_use.ms;
}

/* The session's entry that nobody asks for and that was not used for the longest time. */
static bool make_room_in_session(struct cache *c, struct span session)
{
	struct entry *oldest = NULL;
	size_t count = 0;

	for (struct map_node *n = map_chain(&c->map, hash_session(c, session)); n; n = n->next) {
		struct entry *e = container_of(n, struct entry, chain);

		if (!span_equal(entry_session(e), session))
			continue;
		count++;
		if (!e->demand && (!oldest || goes_before(e, oldest)))
			oldest = e;
	}
	if (count < CACHE_MAX_PER_SESSION)
		return true;
	if (oldest)
		cache_remove(c, oldest);
	return oldest;
}

struct entry *cache_obtain(struct cache *c, const struct key *key, struct account *owner)
{
	struct entry *e = cache_find(c, key);
	size_t size = block_size(key_text_len(key));

	assert(key->session.len <= WIRE_NAME_MAX && key->template.len <= WIRE_NAME_MAX);
	if (e)
		return e;
	if (!make_room_in_session(c, key->session) ||
	    cache_reserve(c, &c->timers, c->map.count + 1) < 0)
		return NULL;
	e = new_block(c, size, NULL);
	if (!e)
		return NULL;
	*e = (struct entry){ .timer = HEAP_NODE(0),
			     .expires_at = { INT64_MIN },
			     .account = owner->index,
			     .epoch = c->eviction.epoch };
	write_key(e, key);
	map_add(&c->map, hash_session(c, key->session), &e->chain);
	charge(c, e, owner);
	return e;
}

/* A new block for the same key, with room for a token and what stands behind it, in the place of
 * the old one, which is buried later. */
static struct entry *replace(struct cache *c, struct entry *old, size_t token_len, size_t tail_len)
{
	struct span key = entry_key_text(old);
	struct entry *e = new_block(c, block_size(key.len + token_len + tail_len), old);

	if (!e)
		return NULL;
	memcpy(e, old, block_size(key.len));
	e->token_len = (uint32_t)token_len;
	e->tail_len = (uint16_t)tail_len;
	map_replace(&c->map, hash_session(c, entry_session(e)), &old->chain, &e->chain);
	if (old->timer.slot != HEAP_NOWHERE)
		heap_replace(&c->timers, &old->timer, &e->timer);
	old->demand = NULL;
	charge(c, e, cache_account(c, old));
	discharge(c, old);
	bury_later(c, old);
	return e;
}

/* What stands behind the JWT: " id=ID exp=UNIX". */
static size_t write_claims(char *to, const struct token *token)
{
	char *at = mempcpy(to, " id=", ID_AT);

	at = format_hex64(at, token->id);
	at = mempcpy(at, " exp=", 5);
	return (size_t)(format_u64(at, token->exp_s) - to);
}

struct entry *cache_store(struct cache *c, struct entry *old, const struct token *token)
{
	char claims[CLAIMS_ROOM];
	size_t claims_len = write_claims(claims, token);
	struct entry *e = replace(c, old, token->jwt.len, claims_len);

	if (!e)
		return NULL;
	e->code = CODE_OK;
	e->flags = 0;
	e->failures = 0;
	e->fetched_at = token->fetched_at;
	e->expires_at = token->expires_at;
	memcpy(mempcpy(e->bytes + e->key_len, token->jwt.ptr, token->jwt.len), claims, claims_len);
	return e;
}

void cache_empty(struct cache *c, struct entry *e)
{
	struct span token = entry_token_text(e);

	explicit_bzero((char *)token.ptr, token.len);
	c->tokens -= e->token_len != 0;
	e->token_len = 0;
	e->tail_len = 0;
	e->code = CODE_OK;
	e->flags = 0;
	e->expires_at = (struct mono){ INT64_MIN };
	heap_remove(&c->timers, &e->timer);
}

struct entry *cache_hollow(struct cache *c, struct entry *old)
{
	struct entry *e;

	assert(!old->demand);
	if (held(c) + block_size(entry_key_text(old).len) > c->max_bytes)
		return NULL;
	e = replace(c, old, 0, 0);
	if (e)
		e->flags = 0;
	return e;
}

struct entry *cache_store_negative(struct cache *c, struct entry *old, enum code code,
				   struct span refusal, struct mono until)
{
	struct entry *e = refusal.len ? replace(c, old, 0, refusal.len) : NULL;
	bool has_room = e;

	e = e ? e : old;
	cache_empty(c, e);
	if (has_room) {
		memcpy(e->bytes + e->key_len, refusal.ptr, refusal.len);
		e->tail_len = (uint16_t)refusal.len;
	}
	e->code = (uint8_t)code;
	e->expires_at = until;
	cache_arm(c, e, until);
	return e;
}

void cache_arm(struct cache *c, struct entry *e, struct mono at)
{
	heap_set(&c->timers, &e->timer, at);
}

void cache_remove(struct cache *c, struct entry *e)
{
	assert(!e->demand);
	map_remove(&c->map, hash_session(c, entry_session(e)), &e->chain);
	heap_remove(&c->timers, &e->timer);
	discharge(c, e);
	bury_later(c, e);
}

static void bury(struct cache *c)
{
	while (c->graveyard) {
		struct entry *e = container_of(c->graveyard, struct entry, chain);

		c->graveyard = e->chain.next;
		slab_free(&c->slab, e);
	}
}

/* An entry moves to another block, and all that points to it follows. */
static void relocate(void *arg, void *from, void *to)
{
	struct cache *c = arg;
	struct entry *old = from, *e = to;

	memcpy(e, old, slab_footprint_of(old));
	map_replace(&c->map, hash_session(c, entry_session(e)), &old->chain, &e->chain);
	if (e->timer.slot != HEAP_NOWHERE)
		heap_replace(&c->timers, &old->timer, &e->timer);
	if (e->demand)
		e->demand->entry = e;
}

static bool is_over(const struct cache *c)
{
	return held(c) > c->max_bytes || c->slab.resident + c->beside > c->max_bytes + SLACK;
}

/* Within the bound by what is resident, too, or a bounded amount of work nearer to it. */
static void trim(struct cache *c)
{
	size_t work = 0;

	c->is_behind = false;
	while (is_over(c)) {
		if (work >= TRIM_WORK) {
			c->is_behind = true;
			return;
		}
		if (slab_compact(&c->slab, relocate, c)) {
			work += COMPACTION_WORK;
			continue;
		}
		if (!evict_one(c, NULL))
			return;
		bury(c);
		work++;
	}
}

void cache_bury(struct cache *c)
{
	bury(c);
	if (!c->doomed.buckets)
		trim(c);
}

static uint64_t hash_node(const void *arg, const struct map_node *node)
{
	return hash_session(arg, entry_session(container_of(node, const struct entry, chain)));
}

void cache_limit(struct cache *c, size_t max_bytes)
{
	size_t before = mem_footprint(c->map.buckets);

	/* Without memory for it the table is as good as before. */
	(void)map_resize(&c->map, max_bytes / BYTES_PER_BUCKET, hash_node, c);
	c->beside += mem_footprint(c->map.buckets) - before;
	c->eviction.hand &= c->map.mask;
	c->max_bytes = max_bytes;
	c->is_behind = is_over(c);
}

/* Takes the table away with all that is in it, but what is wanted. 1 if that can't be. */
static int doom(struct cache *c, const struct list *demands)
{
	struct map fresh;

	if (c->doomed.buckets || map_init(&fresh, c->map.mask + 1) < 0)
		return 1;
	c->beside += mem_footprint(fresh.buckets);
	c->doomed = c->map;
	c->doomed_at = 0;
	c->map = fresh;
	list_for_each (it, demands) {
		struct entry *e = container_of(it, struct demand, node)->entry;
		uint64_t hash = hash_session(c, entry_session(e));

		cache_empty(c, e);
		map_remove(&c->doomed, hash, &e->chain);
		map_add(&c->map, hash, &e->chain);
	}
	heap_clear(&c->timers); /* of those that stay, none has a deadline */
	c->tokens = 0;
	return 0;
}

static void forget(void *arg, struct entry *e)
{
	if (e->demand)
		cache_empty(arg, e);
	else
		cache_remove(arg, e);
}

void cache_forget_all(struct cache *c, const struct list *demands)
{
	/* Without memory, or with the little that has come since the last time: at once. */
	if (doom(c, demands))
		cache_visit_all(c, forget, c);
}

void cache_work(struct cache *c)
{
	bury(c);
	if (c->doomed.buckets)
		free_some_doomed(c);
	if (!c->doomed.buckets)
		trim(c);
}

static void visit_chain(struct map_node *n, const struct span *session, cache_visit_fn *visit,
			void *arg)
{
	while (n) {
		struct entry *e = container_of(n, struct entry, chain);

		n = n->next;
		if (!session || span_equal(entry_session(e), *session))
			visit(arg, e);
	}
}

void cache_visit_session(struct cache *c, struct span session, cache_visit_fn *visit, void *arg)
{
	visit_chain(map_chain(&c->map, hash_session(c, session)), &session, visit, arg);
}

void cache_visit_all(struct cache *c, cache_visit_fn *visit, void *arg)
{
	for (size_t i = 0; i <= c->map.mask; i++)
		visit_chain(c->map.buckets[i], NULL, visit, arg);
}

static void bury_one(void *arg, struct entry *e)
{
	cache_remove(arg, e);
}

void cache_deinit(struct cache *c)
{
	if (c->map.buckets)
		cache_visit_all(c, bury_one, c);
	bury(c);
	while (c->doomed.buckets)
		free_some_doomed(c);
	map_deinit(&c->map);
	heap_deinit(&c->timers);
	slab_deinit(&c->slab);
}
