/* See copies.h.
 *
 * While a token is in a slot its own count is too high by SLOT_SHARE, and the references that were
 * taken through the slot are counted there. Whoever empties the slot settles: takes SLOT_SHARE off
 * and adds the slot's count. So the token's count can't come to nothing before.
 */
#include "client/copies.h"

#include "base/mem.h"

#include <errno.h>

#define LINE_SIZE 64
#define BYTES_PER_SLOT 128 /* an eighth of a usual token, so that buckets are hardly ever full */
#define GROUP 4		   /* buckets that share out a session's copies */
#define BUCKETS_MIN 16
#define BUCKETS_MAX ((size_t)1 << 22)
#define SWEEP_MAX 512 /* buckets in a call */
#define ROOM_MAX 64   /* buckets that are looked at for room */

#define SLOT_SHARE (UINT32_C(1) << 30)
#define ONE (UINT64_C(1) << 48) /* a reference, in a slot */
#define TOKEN_MASK (ONE - 1)
#define COUNT_MANY 16384 /* moved to the token's own count: far from 65536, where it would wrap */

_Static_assert(sizeof(struct copies_bucket) == LINE_SIZE, "a bucket is a cache line");

static struct clerktoken_token *token_of(uint64_t word)
{
	return (struct clerktoken_token *)(uintptr_t)(word & TOKEN_MASK);
}

static uint32_t count_of(uint64_t word)
{
	return (uint32_t)(word >> 48);
}

/* ---- hashing */

struct hashes {
	uint64_t session, key;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *from, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, from, size);
	return word;
}

/* The last 8 bytes, or all where there are fewer; bytes may be read twice. */
static uint64_t load_end(struct span s)
{
	if (s.len >= 8)
		return load(s.ptr + s.len - 8, 8);
	if (s.len >= 4)
		return load(s.ptr, 4) << 32 | load(s.ptr + s.len - 4, 4);
	if (s.len == 0)
		return 0;
	return load(s.ptr, 1) << 16 | load(s.ptr + s.len / 2, 1) << 8 | load(s.ptr + s.len - 1, 1);
}

static uint64_t hash(uint64_t h, struct span s)
{
	static const uint64_t odd = 0x9e3779b97f4a7c15;

	h ^= mix(s.len + 1, odd);
	for (size_t i = 0; i + 8 < s.len; i += 8)
		h = mix(h ^ load(s.ptr + i, 8), odd);
	return mix(h ^ load_end(s), odd);
}

static struct hashes hash_key(const struct token_key *key)
{
	uint64_t session = hash(0, key->session);

	return (struct hashes){ session, hash(session ^ key->expires_in_s, key->template) };
}

static uint32_t tag_of(struct hashes hashes)
{
	return (uint32_t)(hashes.key >> 32);
}

/* The first bucket of the session's group. */
static struct copies_bucket *group_of(const struct copies *c, uint64_t session_hash)
{
	return &c->buckets[session_hash & c->mask & ~(size_t)(GROUP - 1)];
}

static struct copies_bucket *bucket_of(const struct copies *c, struct hashes hashes)
{
	return group_of(c, hashes.session) + (hashes.key & (GROUP - 1));
}

/* ---- stamps */

/* Both only grow, so the sum is the same only where neither has. */
static uint32_t stamp_of(const struct copies *c, const struct copies_bucket *bucket)
{
	return atomic_load_explicit(&c->forgets, memory_order_acquire) +
	       atomic_load_explicit(&bucket->drops, memory_order_acquire);
}

uint32_t copies_stamp(const struct copies *c, const struct token_key *key)
{
	return stamp_of(c, bucket_of(c, hash_key(key)));
}

static bool has_ended(const struct clerktoken_token *token, uint32_t stamp, struct mono now)
{
	return token->stamp != stamp || mono_is_due(token->end_of_reuse, now);
}

/* ---- slots */

/* Moves what the slot has counted to the token's own count. The caller holds a reference. */
static void unburden(_Atomic uint64_t *slot, struct clerktoken_token *token)
{
	uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

	while (token_of(word) == token && count_of(word) >= COUNT_MANY) {
		uint32_t count = count_of(word);

		/* First there, then not here any more: in between it is counted twice. */
		atomic_fetch_add_explicit(&token->refs, count, memory_order_relaxed);
		if (atomic_compare_exchange_weak_explicit(
			slot, &word, word & TOKEN_MASK, memory_order_acq_rel, memory_order_relaxed))
			return;
		atomic_fetch_sub_explicit(&token->refs, count, memory_order_relaxed);
	}
}

/* A reference to what is in the slot, or NULL. */
static struct clerktoken_token *borrow(_Atomic uint64_t *slot)
{
	uint64_t word = atomic_fetch_add_explicit(slot, ONE, memory_order_acquire);
	struct clerktoken_token *token = token_of(word);

	if (token && count_of(word) >= COUNT_MANY)
		unburden(slot, token);
	return token;
}

static void give_back(_Atomic uint64_t *slot, struct clerktoken_token *token)
{
	uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

	while (token_of(word) == token && count_of(word) > 0) {
		if (atomic_compare_exchange_weak_explicit(
			slot, &word, word - ONE, memory_order_release, memory_order_relaxed))
			return;
	}
	clerktoken_token_unref(token); /* it was counted there meanwhile */
}

static void settle(struct copies *c, uint64_t word)
{
	struct clerktoken_token *token = token_of(word);

	if (!token)
		return;
	atomic_fetch_sub_explicit(&c->bytes, mem_footprint(token), memory_order_relaxed);
	token_add_refs(token, count_of(word) - SLOT_SHARE);
}

static void empty(struct copies *c, _Atomic uint64_t *slot)
{
	if (atomic_load_explicit(slot, memory_order_relaxed))
		settle(c, atomic_exchange_explicit(slot, 0, memory_order_acq_rel));
}

/* Puts `token` (NULL: nothing) where `old` is, if that is still there. */
static bool replace(struct copies *c, _Atomic uint64_t *slot, struct clerktoken_token *old,
		    struct clerktoken_token *token)
{
	uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);

	while (token_of(word) == old) {
		if (!atomic_compare_exchange_weak_explicit(
			slot, &word, (uintptr_t)token, memory_order_acq_rel, memory_order_relaxed))
			continue;
		settle(c, word);
		return true;
	}
	return false;
}

/* ---- finding */

struct clerktoken_token *copies_find(struct copies *c, const struct token_key *key, struct mono now,
				     int64_t min_ttl_ms, const uint64_t *refused)
{
	struct hashes hashes = hash_key(key);
	struct copies_bucket *bucket = bucket_of(c, hashes);
	uint32_t tag = tag_of(hashes);

	for (size_t i = 0; i < COPIES_WAYS; i++) {
		_Atomic uint64_t *slot = &bucket->slots[i];
		struct clerktoken_token *token;

		if (atomic_load_explicit(&bucket->tags[i], memory_order_relaxed) != tag)
			continue;
		token = borrow(slot);
		if (!token)
			continue;
		if (token_is_for(token, key)) {
			if (has_ended(token, stamp_of(c, bucket), now) ||
			    (refused && token->number == *refused))
				(void)replace(c, slot, token, NULL); /* or somebody else did */
			else if (mono_diff_ms(token->end, now) >= min_ttl_ms)
				return token;
		}
		give_back(slot, token);
	}
	return NULL;
}

/* ---- keeping */

/* What may give way: a slot, and what is in it. */
struct victim {
	_Atomic uint64_t *slot;
	struct clerktoken_token *token; /* only to be compared: it isn't held. NULL: none */
	int64_t rank;			/* the lowest goes */
};

#define RANK_SAME INT64_MIN
#define RANK_EMPTY (INT64_MIN + 1)

/* What has ended is wiped on the way. */
static struct victim judge(struct copies *c, struct copies_bucket *bucket, size_t way,
			   const struct token_key *key, struct mono now)
{
	_Atomic uint64_t *slot = &bucket->slots[way];
	struct victim victim = { .slot = slot, .rank = RANK_EMPTY };
	struct clerktoken_token *token;

	if (!token_of(atomic_load_explicit(slot, memory_order_relaxed)))
		return victim; /* not touched, so that a table hardly used stays out of memory */
	token = borrow(slot);
	if (!token)
		return victim;
	if (key && token_is_for(token, key))
		victim = (struct victim){ slot, token, RANK_SAME };
	else if (!has_ended(token, stamp_of(c, bucket), now))
		victim = (struct victim){ slot, token, token->end_of_reuse.ms };
	else
		(void)replace(c, slot, token, NULL); /* or somebody else did */
	give_back(slot, token);
	return victim;
}

/* What gives way to `key`: another copy of it, else an empty slot, else what ends first; to none
 * (NULL): what ends first, if there is anything. */
static struct victim find_victim(struct copies *c, struct copies_bucket *bucket,
				 const struct token_key *key, struct mono now)
{
	struct victim best = { .slot = NULL };

	for (size_t i = 0; i < COPIES_WAYS; i++) {
		struct victim victim = judge(c, bucket, i, key, now);

		if ((key || victim.token) && (!best.slot || victim.rank < best.rank))
			best = victim;
	}
	return best;
}

static struct copies_bucket *next_bucket(struct copies *c)
{
	return &c->buckets[atomic_fetch_add_explicit(&c->hand, 1, memory_order_relaxed) & c->mask];
}

static bool make_room(struct copies *c, size_t size, struct mono now)
{
	for (int i = 0; i < ROOM_MAX; i++) {
		struct victim victim;

		if (atomic_load_explicit(&c->bytes, memory_order_relaxed) + size <= c->max_bytes)
			return true;
		victim = find_victim(c, next_bucket(c), NULL, now);
		if (victim.slot) /* or somebody else takes it */
			(void)replace(c, victim.slot, victim.token, NULL);
	}
	return false;
}

void copies_keep(struct copies *c, struct clerktoken_token *token, uint32_t stamp, struct mono now)
{
	struct token_key key = token_key(token);
	struct hashes hashes = hash_key(&key);
	struct copies_bucket *bucket = bucket_of(c, hashes);
	size_t size = mem_footprint(token);
	struct victim victim;

	token->stamp = stamp;
	if ((uintptr_t)token & ~TOKEN_MASK || has_ended(token, stamp_of(c, bucket), now) ||
	    !make_room(c, size, now))
		return;
	victim = find_victim(c, bucket, &key, now);
	token_add_refs(token, SLOT_SHARE);
	atomic_fetch_add_explicit(&c->bytes, size, memory_order_relaxed);
	if (replace(c, victim.slot, victim.token, token))
		atomic_store_explicit(&bucket->tags[victim.slot - bucket->slots], tag_of(hashes),
				      memory_order_relaxed);
	else
		settle(c, (uintptr_t)token); /* another came in between: as well */
}

/* ---- forgetting */

static void clear(struct copies *c, struct copies_bucket *bucket)
{
	for (size_t i = 0; i < COPIES_WAYS; i++)
		empty(c, &bucket->slots[i]);
}

void copies_drop(struct copies *c, struct span session)
{
	struct copies_bucket *group = group_of(c, hash(0, session));

	for (size_t i = 0; i < GROUP; i++) {
		atomic_fetch_add_explicit(&group[i].drops, 1, memory_order_acq_rel);
		clear(c, &group[i]);
	}
}

void copies_forget(struct copies *c)
{
	atomic_fetch_add_explicit(&c->forgets, 1, memory_order_acq_rel);
	if (atomic_load_explicit(&c->bytes, memory_order_relaxed) == 0)
		return;
	for (size_t i = 0; i <= c->mask; i++)
		clear(c, &c->buckets[i]);
}

void copies_sweep(struct copies *c, struct mono now, int64_t elapsed_ms)
{
	int64_t n = elapsed_ms < COPIES_SWEEP_MS ? elapsed_ms : COPIES_SWEEP_MS;

	n = (n * (int64_t)(c->mask + 1) + COPIES_SWEEP_MS - 1) / COPIES_SWEEP_MS;
	if (n > SWEEP_MAX)
		n = SWEEP_MAX;
	if (atomic_load_explicit(&c->bytes, memory_order_relaxed) == 0)
		return;
	for (; n > 0; n--)
		(void)find_victim(c, next_bucket(c), NULL, now); /* wipes what has ended */
}

/* ---- life */

int copies_init(struct copies *c, size_t max_bytes)
{
	size_t wanted = max_bytes / BYTES_PER_SLOT / COPIES_WAYS;
	size_t n = BUCKETS_MIN;

	while (n < wanted && n < BUCKETS_MAX)
		n *= 2;
	*c = (struct copies){ .mask = n - 1, .max_bytes = max_bytes };
	c->memory = mem_calloc(n + 1, LINE_SIZE); /* one more, so that it can be aligned */
	if (!c->memory)
		return -ENOMEM;
	c->buckets = (struct copies_bucket *)(((uintptr_t)c->memory + LINE_SIZE - 1) &
					      ~(uintptr_t)(LINE_SIZE - 1));
	return 0;
}

void copies_deinit(struct copies *c)
{
	if (!c->memory)
		return;
	copies_forget(c);
	mem_free_plain(c->memory); /* holds nothing any more, and most of it was never touched */
	*c = (struct copies){ 0 };
}
