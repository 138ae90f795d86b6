/* What is known of each key: its token, or that Clerk has none, or only that somebody asks.
 *
 * An entry is one block: the header, the key, the token. Its key is (session, template,
 * expires_in). Both texts stand in it as they do on the wire, "SESSION TEMPLATE" and "JWT id=ID
 * exp=UNIX": a GET without options is found by its text, and its answer is that of the entry and
 * what changes with time. Entries are found by their session alone, so that all templates of a
 * session stand in one chain, which DROP walks; the number of entries a session is bounded, and so
 * the chain is. Every entry that holds something has a deadline in `timers`: its renewal or the end
 * of its life.
 *
 * The sum of the blocks, of the tables that they are found by, and of what others hold because of
 * them, never passes `max_bytes`; eviction.h says what goes to make room. Neither
 * does what is resident, but for a constant: where holes would make it more, cache_bury() moves
 * entries together, or evicts.
 *
 * What is removed is wiped and freed by cache_bury() only, when nothing borrows from it any more.
 * What takes longer, forgetting all or keeping a smaller bound, is done by cache_work(), a bounded
 * part in each call.
 */
#pragma once

#include "base/hash.h"
#include "base/heap.h"
#include "base/slab.h"
#include "daemon/core/quota.h"
#include "daemon/core/rhythm.h"
#include "proto/wire.h"

#define CACHE_MAX_PER_SESSION 64

struct demand;

struct key {
	struct span session, template; /* template empty: the plain session token */
	uint64_t expires_in_s;	       /* 0: the template's own */
};

enum entry_flag {
	ENTRY_FAILING = 1, /* its renewal is failing */
};

/* Small, and without a hole: there may be a million of them. */
struct entry {
	struct map_node chain;
	struct heap_node timer;
	struct demand *demand;	/* NULL: nobody waits, nobody watches, no fetch */
	struct mono fetched_at; /* before its request was sent */
	struct mono expires_at; /* of the token; of the negative answer */
	struct mono last_use;
	uint32_t lead_ms;      /* the renewal is due so long before expires_at */
	uint32_t expires_in_s; /* part of the key */
	uint32_t refused_s;    /* when it was renewed for not=, in seconds of boot time; 0: never */
	uint32_t token_len;    /* of the JWT; 0: no token */
	uint16_t account;      /* who is charged */
	uint16_t key_len;      /* of the key's text */
	uint16_t tail_len;     /* of what stands behind the JWT; without one, behind the key */
	uint8_t session_len;
	uint8_t code;	   /* CODE_OK, or the negative answer */
	uint8_t flags;	   /* enum entry_flag */
	uint8_t frequency; /* uses, saturating; fades with time */
	uint8_t failures;  /* of its renewal, in a row */
	uint8_t epoch;	   /* up to which its frequency has faded */
	struct beat beat;  /* the rhythm of its uses */
	char bytes[];	   /* session, space, template; then JWT, its claims; or a refusal */
};

/* See eviction.h. */
struct eviction {
	size_t hand;   /* a bucket of the map */
	size_t chosen; /* in this epoch */
	uint8_t epoch;
};

struct cache {
	struct map map;
	struct heap timers;
	struct slab slab; /* the entries */
	struct hash_key hash_key;
	struct eviction eviction;
	struct quota *quota;
	struct map_node *graveyard;
	struct map doomed; /* what cache_forget_all() took out, up to `doomed_at` freed */
	size_t doomed_at;
	bool is_behind;		 /* over a bound that was made smaller */
	size_t bytes, max_bytes; /* the former of the entries' blocks */
	size_t beside;		 /* bytes that count against the bound, too: cache_charge() */
	size_t tokens;		 /* entries with a token */
	uint64_t evictions;
};

int cache_init(struct cache *c, size_t max_bytes, const struct hash_key *hash_key,
	       struct quota *quota);

/* Another bound; what is beyond it goes, by cache_work(). All entries find new places in the table
 * where that makes it another size. */
void cache_limit(struct cache *c, size_t max_bytes);

/* What others hold because of the cache, those who wait for and watch entries above all, counts
 * against its bound, and against a user (NULL: nobody's). cache_make_room() is true if so many
 * bytes more fit, after what had to go has gone; `keep` (may be NULL) stays. */
bool cache_make_room(struct cache *c, size_t size, const struct entry *keep);
void cache_charge(struct cache *c, struct account *account, size_t size);
void cache_discharge(struct cache *c, struct account *account, size_t size);

/* heap_reserve(), counted. */
int cache_reserve(struct cache *c, struct heap *heap, size_t count);

/* Whom an entry is charged to. */
struct account *cache_account(const struct cache *c, const struct entry *e);

/* Frees all entries; no demand may be left. */
void cache_deinit(struct cache *c);

static inline struct span entry_session(const struct entry *e)
{
	return span_of(e->bytes, e->session_len);
}

/* The key as in a request. */
static inline struct span entry_key_text(const struct entry *e)
{
	return span_of(e->bytes, e->key_len);
}

/* Empty: the plain session token. */
static inline struct span entry_template(const struct entry *e)
{
	struct span name = span_of(e->bytes + e->session_len + 1, e->key_len - e->session_len - 1u);

	return span_is(name, WIRE_NO_TEMPLATE) ? span_of(name.ptr, 0) : name;
}

/* The token as in a reply: JWT id=ID exp=UNIX. */
static inline struct span entry_token_text(const struct entry *e)
{
	return span_of(e->bytes + e->key_len, e->token_len + e->tail_len);
}

/* Of a negative answer: refusal.h; empty where it was not kept. */
static inline struct span entry_refusal(const struct entry *e)
{
	return span_of(e->bytes + e->key_len, e->tail_len);
}

/* Of a token. */
uint64_t entry_token_id(const struct entry *e);
uint64_t entry_token_exp_s(const struct entry *e);

static inline struct key entry_key(const struct entry *e)
{
	return (struct key){ entry_session(e), entry_template(e), e->expires_in_s };
}

/* Neither a token nor a negative answer: a demand can be a reason to keep it, or, while it has a
 * deadline (cache_hollow()), that it is likely to be asked for again. */
static inline bool entry_is_empty(const struct entry *e)
{
	return e->token_len == 0 && e->code == CODE_OK;
}

/* The entry of that key, or NULL. */
struct entry *cache_find(const struct cache *c, const struct key *key);

/* The same by the text of a request without options, "SESSION TEMPLATE", which need not have been
 * checked: what is not a key is not found. In three steps, for texts that come together: with the
 * first taken for all of them, then the second, what the third reads of each comes from memory at
 * the same time, instead of one after the other. */
uint64_t cache_hash_text(const struct cache *c, struct span text);
void cache_prefetch(const struct cache *c, uint64_t hash);
struct entry *cache_find_text(const struct cache *c, struct span text, uint64_t hash);

/* The entry of that key, made empty if there is none. NULL: no memory, or no room. */
struct entry *cache_obtain(struct cache *c, const struct key *key, struct account *owner);

/* What a fetch brought. The token's bytes are copied. */
struct token {
	struct span jwt;
	uint64_t id, exp_s;
	struct mono fetched_at, expires_at;
};

/* Gives the entry that token in place of what it held. It moves: returns its new place, or NULL
 * (and nothing is changed) if there is no memory or no room. The old block is buried later. */
struct entry *cache_store(struct cache *c, struct entry *e, const struct token *token);

/* Forgets what it holds, wiping it in place, so that it can't fail; the entry stays. */
void cache_empty(struct cache *c, struct entry *e);

/* Forgets the token but keeps what is known of the key's uses, in a smaller block, until its
 * deadline, which is as it was. It moves: returns its new place, or NULL (and nothing is changed)
 * if there is no room without something else going, or no memory. It must have no demand. */
struct entry *cache_hollow(struct cache *c, struct entry *e);

/* Remembers that Clerk has no token for it, until then, and its words (may be empty), which are
 * copied. It moves: returns its new place; without memory or room for the words it stays where it
 * is, and does without them. */
struct entry *cache_store_negative(struct cache *c, struct entry *e, enum code code,
				   struct span refusal, struct mono until);

/* Sets when something is to be done about it. */
void cache_arm(struct cache *c, struct entry *e, struct mono at);

/* Takes it out of the cache, to be buried later. Its demand must have been detached. */
void cache_remove(struct cache *c, struct entry *e);

/* Wipes and frees what was removed, and sees to it that what is resident stays within the bound.
 * Entries may move: nothing may point to one. */
void cache_bury(struct cache *c);

/* Forgets all entries; those that somebody wants, `demands` by struct demand.node, are emptied and
 * stay. They are found no more at once, and freed by cache_work(). */
void cache_forget_all(struct cache *c, const struct list *demands);

/* True while there is work that waits; a part of it. As for cache_bury(), nothing may point to an
 * entry. */
static inline bool cache_has_work(const struct cache *c)
{
	return c->doomed.buckets || c->is_behind;
}

void cache_work(struct cache *c);

/* Called for each entry that matches; may remove that entry, no other. */
typedef void cache_visit_fn(void *arg, struct entry *e);
void cache_visit_session(struct cache *c, struct span session, cache_visit_fn *visit, void *arg);
void cache_visit_all(struct cache *c, cache_visit_fn *visit, void *arg);
