/* See engine.h: requests in, effects out. Fetches are in flight.c, watches in watch.c. */
#include "daemon/core/engine.h"

#include "base/mem.h"
#include "daemon/core/admission.h"
#include "daemon/core/call.h"
#include "daemon/core/drop.h"
#include "daemon/core/flight.h"
#include "daemon/core/permit.h"
#include "daemon/core/waiter.h"

#include <assert.h>
#include <errno.h>

#define MAX_WAITERS 16384
#define MAX_WATCHES 65536
#define MAX_CALLS 1024
#define MAX_TRACKERS 1024 /* a drop is a line to each of them */
#define WATCH_BUCKETS 4096
#define TICK_MAX 256	  /* entries that a tick looks at; the next one comes at once */
#define PINNED_PARTS 2	  /* of the memory, watches keep one at most */
#define REFUSAL_GUARD_S 5 /* not= renews a key at most once in this time */
#define OVERLOADED_MS 1000
#define SHUTTING_DOWN_MS 2000
#define READY_AFTER_FAILURES 3

int engine_configure(struct engine *e, const struct engine_config *config)
{
	int result = limiter_configure(&e->limiter, config->budget, config->budget_window_ms);

	if (result < 0)
		return result;
	e->config = *config;
	e->lookup_min_ttl_ms = config->audit ? INT64_MAX : config->freshness.min_ttl_ms;
	e->quota.max[QUOTA_CONNECTIONS] = config->max_clients;
	e->quota.max[QUOTA_WAITERS] = MAX_WAITERS;
	e->quota.max[QUOTA_CALLS] = MAX_CALLS;
	e->quota.max[QUOTA_WATCHES] = MAX_WATCHES;
	e->quota.max[QUOTA_TRACKERS] = MAX_TRACKERS;
	e->quota.max[QUOTA_PINNED_BYTES] = config->max_memory / PINNED_PARTS;
	cache_limit(&e->cache, config->max_memory);
	return 0;
}

static int init(struct engine *e, const struct engine_config *config,
		const struct hash_key *hash_key, uint64_t seed)
{
	e->random.state = seed;
	e->wake_at = MONO_NEVER;
	e->answered_at.ms = INT64_MIN;
	e->room = MAX_RUNNING;
	list_init(&e->wanted);
	list_init(&e->callers);
	list_init(&e->calls);
	list_init(&e->answered);
	list_init(&e->flights);
	list_init(&e->pushes);
	list_init(&e->judged);
	if (quota_init(&e->quota) < 0 || map_init(&e->watches, WATCH_BUCKETS) < 0 ||
	    cache_init(&e->cache, config->max_memory, hash_key, &e->quota) < 0 ||
	    limiter_init(&e->limiter, config->budget, config->budget_window_ms) < 0)
		return -ENOMEM;
	return engine_configure(e, config);
}

int engine_new(const struct engine_config *config, const struct hash_key *hash_key, uint64_t seed,
	       struct engine **ret)
{
	struct engine *e = mem_zalloc(sizeof(*e));
	int result;

	if (!e)
		return -ENOMEM;
	result = init(e, config, hash_key, seed);
	if (result < 0) {
		engine_free(e);
		return result;
	}
	*ret = e;
	return 0;
}

/* Clients have gone, so a demand has no waiter and no watcher left. */
static void free_demands(struct engine *e)
{
	list_for_each_safe (it, &e->wanted) {
		struct demand *d = container_of(it, struct demand, node);

		cache_discharge(&e->cache, cache_account(&e->cache, d->entry), mem_footprint(d));
		d->entry->demand = NULL;
		mem_free(d);
	}
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	free_demands(e);
	cache_deinit(&e->cache);
	map_deinit(&e->watches);
	limiter_deinit(&e->limiter);
	heap_deinit(&e->timers);
	heap_deinit(&e->renewals);
	quota_deinit(&e->quota);
	mem_free(e);
}

static enum submission fail(enum code code, int64_t retry_ms, struct reply *ret)
{
	*ret = reply_error(code, retry_ms, NULL);
	return SUBMIT_REPLIED;
}

/* Remembers the use, and how far apart uses are. */
static inline void touch(struct engine *e, struct entry *entry, struct mono now)
{
	int64_t gap_ms = mono_diff_ms(now, entry->last_use);

	if (entry->frequency && gap_ms >= RHYTHM_GAP_MS)
		rhythm_used(&e->rhythm, &entry->beat, entry->frequency, gap_ms);
	entry->last_use = now;
	entry->frequency += entry->frequency != UINT8_MAX;
}

/* Past its due time without a fetch under way, and none planned: this use asks for one. */
static void renew_on_use(struct engine *e, struct mono now, struct entry *entry)
{
	bool planned = entry->timer.at.ms > now.ms && entry->timer.at.ms < entry->expires_at.ms;

	if (planned || e->stopping || (entry->demand && entry->demand->state != FLIGHT_IDLE))
		return;
	flight_plan(e, now, entry);
	flight_dispatch(e, now);
}

struct get {
	struct key key;
	int64_t min_ttl_ms, wait_ms;
	bool has_not;
	uint64_t not_id;
};

static struct get get_of(const struct engine *e, const struct request *r)
{
	return (struct get){
		.key = { r->session, r->template, r->expires_in_s },
		.min_ttl_ms = r->has_min_ttl ? (int64_t)r->min_ttl_s * MS_PER_S
					     : e->config.freshness.min_ttl_ms,
		.wait_ms = r->has_wait ? (int64_t)r->wait_ms : e->config.default_wait_ms,
		.has_not = r->has_not,
		.not_id = r->not_id,
	};
}

/* True if the caller was refused with this very token and it has not been renewed for that
 * already. */
static bool must_renew(const struct entry *entry, struct mono now, const struct get *get)
{
	bool guarded = entry->refused_s && now.ms / MS_PER_S - entry->refused_s < REFUSAL_GUARD_S;

	return get->has_not && entry_token_id(entry) == get->not_id && !guarded;
}

/* True if *ret_reply is the answer, from memory. The road of every hit. */
static bool get_cached(struct engine *e, struct mono now, struct entry *entry,
		       const struct get *get, struct reply *ret)
{
	int64_t ttl_ms = mono_diff_ms(entry->expires_at, now);

	if (!entry->token_len || ttl_ms <= 0 || ttl_ms < get->min_ttl_ms ||
	    must_renew(entry, now, get))
		return false;
	touch(e, entry, now);
	e->stats.hits++;
	if (ttl_ms <= entry->lead_ms || entry->flags & ENTRY_FAILING)
		renew_on_use(e, now, entry);
	*ret = (struct reply){ .type = REPLY_TOKEN, .token = entry_view(entry, now, SOURCE_CACHE) };
	return true;
}

uint64_t engine_hash(const struct engine *e, struct span args)
{
	return cache_hash_text(&e->cache, args);
}

void engine_prefetch(const struct engine *e, uint64_t hash)
{
	cache_prefetch(&e->cache, hash);
}

/* What is in the cache was checked when it came in, so an unchecked text that is found is a key. */
bool engine_lookup(struct engine *e, struct mono now, struct span args, uint64_t hash,
		   struct token_view *ret)
{
	struct entry *entry = cache_find_text(&e->cache, args, hash);
	int64_t ttl_ms;

	if (!entry || !entry->token_len || entry->flags & ENTRY_FAILING)
		return false;
	ttl_ms = mono_diff_ms(entry->expires_at, now);
	if (ttl_ms <= entry->lead_ms || ttl_ms < e->lookup_min_ttl_ms)
		return false;
	touch(e, entry, now);
	e->stats.gets++;
	e->stats.hits++;
	ret->text = entry_token_text(entry);
	ret->ttl_ms = ttl_ms;
	ret->reuse_ms = ttl_ms - entry->lead_ms;
	ret->state = TOKEN_FRESH;
	ret->source = SOURCE_CACHE;
	return true;
}

/* True if no fetch can bring what is asked for, or none may be made. */
static bool get_is_refused(struct engine *e, struct mono now, const struct entry *entry,
			   const struct get *get, struct reply *ret)
{
	int64_t lifetime_ms = -1;

	if (entry && entry->code != CODE_OK && !mono_is_due(entry->expires_at, now)) {
		(void)fail(entry->code, mono_diff_ms(entry->expires_at, now), ret);
		ret->refusal = entry_refusal(entry);
		return true;
	}
	if (e->stopping) {
		(void)fail(CODE_SHUTTING_DOWN, SHUTTING_DOWN_MS, ret);
		return true;
	}
	if (get->key.expires_in_s)
		lifetime_ms = (int64_t)get->key.expires_in_s * MS_PER_S;
	else if (entry && entry->token_len)
		lifetime_ms = mono_diff_ms(entry->expires_at, entry->fetched_at);
	if (lifetime_ms >= 0 && lifetime_ms < get->min_ttl_ms) {
		(void)fail(CODE_SHORT_LIVED, RETRY_NEVER, ret);
		return true;
	}
	return false;
}

/* Joins the fetch of that key, or starts one. */
static enum submission get_waiting(struct engine *e, struct mono now, struct client *client,
				   struct entry *entry, const struct get *get,
				   struct reply *ret_reply, struct waiter **ret_waiter)
{
	struct mono deadline = mono_add_ms(now, get->wait_ms);
	struct mono send_by = admission_send_by(e, now, deadline);
	struct demand *d = demand_obtain(e, entry);
	struct waiter *w;

	if (!d) {
		if (entry_is_empty(entry))
			cache_remove(&e->cache, entry);
		return fail(CODE_OVERLOADED, OVERLOADED_MS, ret_reply);
	}
	if (admission_refuses(e, now, d, client->account, send_by, ret_reply)) {
		if (entry_is_valid(entry, now, get->min_ttl_ms))
			*ret_reply =
			    (struct reply){ .type = REPLY_TOKEN,
					    .token = entry_view(entry, now, SOURCE_CACHE) };
		demand_release(e, d);
		return SUBMIT_REPLIED;
	}
	w = waiter_new(e, client, d, get->min_ttl_ms, send_by, deadline);
	if (!w) {
		demand_release(e, d);
		return fail(CODE_OVERLOADED, OVERLOADED_MS, ret_reply);
	}
	w->since = now;
	e->stats.waits++;
	touch(e, entry, now);
	flight_request(e, d, client->account);
	d->not_refused |= get->has_not && entry->token_len && entry_token_id(entry) == get->not_id;
	*ret_waiter = w;
	return SUBMIT_PENDING;
}

static enum submission get(struct engine *e, struct mono now, struct client *client,
			   const struct get *get, struct reply *ret_reply,
			   struct waiter **ret_waiter)
{
	struct entry *entry = cache_find(&e->cache, &get->key);

	e->stats.gets++;
	if (entry && get_cached(e, now, entry, get, ret_reply))
		return SUBMIT_REPLIED;
	if (get_is_refused(e, now, entry, get, ret_reply))
		return SUBMIT_REPLIED;
	if (!entry)
		entry = cache_obtain(&e->cache, &get->key, client->account);
	if (!entry)
		return fail(CODE_OVERLOADED, OVERLOADED_MS, ret_reply);
	return get_waiting(e, now, client, entry, get, ret_reply, ret_waiter);
}

/* As GET, and if it is answered with a token, the watch stands. */
static enum submission watch(struct engine *e, struct mono now, struct client *client,
			     const struct get *g, struct reply *ret_reply,
			     struct waiter **ret_waiter)
{
	enum submission submission = get(e, now, client, g, ret_reply, ret_waiter);
	struct entry *entry = cache_find(&e->cache, &g->key);
	struct watch *w = watch_find(e, client, &g->key);
	struct demand *d;

	if (submission == SUBMIT_REPLIED && ret_reply->type != REPLY_TOKEN)
		return SUBMIT_REPLIED;
	if (!w) {
		d = demand_obtain(e, entry);
		w = d ? watch_new(e, client, d) : NULL;
	}
	if (!w) {
		if (submission == SUBMIT_PENDING)
			engine_abandon(e, *ret_waiter);
		else if (d)
			demand_release(e, d);
		return fail(CODE_OVERLOADED, OVERLOADED_MS, ret_reply);
	}
	if (submission == SUBMIT_PENDING)
		watch_await(w, *ret_waiter);
	else
		watch_establish(w);
	return submission;
}

static enum submission unwatch(struct engine *e, struct client *client, const struct key *key,
			       struct reply *ret)
{
	struct watch *w = watch_find(e, client, key);

	if (w)
		engine_watch_end(e, w);
	*ret = (struct reply){ .type = REPLY_DONE };
	return SUBMIT_REPLIED;
}

static enum submission stats(struct engine *e, struct mono now, struct buf *scratch,
			     struct reply *ret)
{
	buf_reset(scratch);
	if (stats_write(e, now, scratch) < 0)
		return fail(CODE_OVERLOADED, OVERLOADED_MS, ret);
	*ret = (struct reply){ .type = REPLY_TEXT, .text = buf_span(scratch) };
	return SUBMIT_REPLIED;
}

static enum submission track(struct engine *e, struct client *client, bool on, struct reply *ret)
{
	if (on && !client->tracks &&
	    quota_take(&e->quota, client->account, QUOTA_TRACKERS, 1, client->admin))
		return fail(CODE_OVERLOADED, OVERLOADED_MS, ret);
	if (!on && client->tracks)
		quota_release(&e->quota, client->account, QUOTA_TRACKERS, 1);
	client->tracks = on;
	*ret = (struct reply){ .type = REPLY_DONE };
	return SUBMIT_REPLIED;
}

static enum submission submit_other(struct engine *e, struct mono now, struct client *client,
				    const struct request *r, struct buf *scratch, struct reply *ret)
{
	struct key key = { r->session, r->template, r->expires_in_s };

	switch (r->verb) {
	case VERB_UNWATCH:
		return unwatch(e, client, &key, ret);
	case VERB_DROP:
		e->stats.drops++;
		*ret = (struct reply){ .type = REPLY_DROPPED, .dropped = drop_session(e, now, r) };
		return SUBMIT_REPLIED;
	case VERB_FLUSH:
		*ret = (struct reply){ .type = REPLY_DROPPED, .dropped = drop_all(e, now) };
		return SUBMIT_REPLIED;
	case VERB_STATS:
		return stats(e, now, scratch, ret);
	case VERB_WHY:
		return permit_explain(e, client, r, scratch, ret);
	case VERB_TRACK:
		return track(e, client, r->on, ret);
	case VERB_PING:
		*ret = (struct reply){ .type = REPLY_TEXT, .text = SPAN_LITERAL("pong") };
		return SUBMIT_REPLIED;
	default:
		*ret = (struct reply){ .type = REPLY_TEXT, .text = span_str(e->config.greeting) };
		return SUBMIT_REPLIED;
	}
}

enum submission engine_submit(struct engine *e, struct mono now, struct client *client,
			      const struct request *request, struct buf *scratch,
			      struct reply *ret_reply, struct waiter **ret_waiter)
{
	enum submission submission;
	struct get g;

	if (!permit_request(e, client, request)) {
		submission = fail(CODE_DENIED, RETRY_NEVER, ret_reply);
	} else if (request->verb > VERB_WATCH) {
		submission = submit_other(e, now, client, request, scratch, ret_reply);
	} else {
		g = get_of(e, request);
		if (request->verb == VERB_GET)
			submission = get(e, now, client, &g, ret_reply, ret_waiter);
		else
			submission = watch(e, now, client, &g, ret_reply, ret_waiter);
		if (submission == SUBMIT_PENDING)
			flight_dispatch(e, now);
	}
	if (submission == SUBMIT_REPLIED && ret_reply->type == REPLY_ERROR)
		e->stats.errors[ret_reply->code]++;
	return submission;
}

void engine_abandon(struct engine *e, struct waiter *w)
{
	struct demand *d = w->demand;

	watch_answered(e, w, false);
	waiter_free(e, w);
	if (d)
		demand_release(e, d);
}

static void waiter_due(struct engine *e, struct mono now, struct waiter *w)
{
	struct reply reply = waiter_timeout_reply(e, now, w);
	struct demand *d = w->demand;

	waiter_answer(e, now, w, &reply);
	demand_release(e, d);
}

void engine_tick(struct engine *e, struct mono now)
{
	struct heap_node *first;

	if (cache_has_work(&e->cache))
		cache_work(&e->cache);
	for (size_t i = 0;
	     i < TICK_MAX && (first = heap_first(&e->cache.timers)) && mono_is_due(first->at, now);
	     i++)
		flight_entry_due(e, now, container_of(first, struct entry, timer));
	while ((first = heap_first(&e->timers)) && mono_is_due(first->at, now)) {
		if (first->tag == TIMER_WAITER)
			waiter_due(e, now, container_of(first, struct waiter, timer));
		else if (first->tag == TIMER_CALL)
			call_due(e, now, container_of(first, struct call, timer));
		else
			flight_timer_due(e, now, container_of(first, struct demand, timer));
	}
	flight_dispatch(e, now);
}

struct mono engine_next_deadline(struct engine *e)
{
	struct heap_node *entry = heap_first(&e->cache.timers);
	struct heap_node *other = heap_first(&e->timers);
	struct mono at = cache_has_work(&e->cache) ? (struct mono){ INT64_MIN } : e->wake_at;

	if (entry)
		at = mono_min(at, entry->at);
	return other ? mono_min(at, other->at) : at;
}

static void pop_flight(struct demand *d, struct effect *ret)
{
	ret->flight = d;
	if (d->wants_cancel) {
		ret->type = EFFECT_CANCEL;
		d->wants_cancel = false;
		if (!d->wants_fetch)
			list_unlink(&d->effect_node);
		if (!d->entry)
			mem_free(d);
		return;
	}
	ret->type = EFFECT_FETCH;
	ret->key = entry_key(d->entry);
	ret->is_second = d->copies > 1;
	d->wants_fetch = false;
	list_unlink(&d->effect_node);
}

static void pop_reply(struct engine *e, struct waiter *w, struct effect *ret)
{
	ret->type = EFFECT_REPLY;
	ret->cookie = w->cookie;
	ret->key = w->key;
	ret->reply = w->reply;
	if (w->reply.type == REPLY_ERROR)
		e->stats.errors[w->reply.code]++;
	waiter_free(e, w);
}

bool engine_has_effects(const struct engine *e)
{
	return !list_is_empty(&e->flights) || !list_is_empty(&e->answered) ||
	       !list_is_empty(&e->pushes) || !list_is_empty(&e->judged) || e->has_dropped ||
	       e->cache.graveyard;
}

void engine_pop(struct engine *e, struct effect *ret)
{
	struct list *first;

	ret->type = EFFECT_NONE;
	if ((first = list_first(&e->flights))) {
		pop_flight(container_of(first, struct demand, effect_node), ret);
	} else if (e->has_dropped) {
		ret->type = EFFECT_DROPPED;
		ret->key = e->dropped;
		e->has_dropped = false;
	} else if ((first = list_first(&e->answered))) {
		pop_reply(e, container_of(first, struct waiter, node), ret);
	} else if ((first = list_first(&e->pushes))) {
		list_unlink(first);
		ret->type = EFFECT_PUSH;
		ret->watch = container_of(first, struct watch, effect_node);
	} else if (!list_is_empty(&e->judged)) {
		call_pop(e, ret);
	} else {
		cache_bury(&e->cache);
	}
}

void engine_stop(struct engine *e, struct mono now)
{
	struct reply error = reply_error(CODE_SHUTTING_DOWN, SHUTTING_DOWN_MS, NULL);

	e->stopping = true;
	flight_fail_all(e, now, &error, false);
	calls_refuse(e, &error);
}

void engine_give_up(struct engine *e, struct mono now)
{
	struct reply error = reply_error(CODE_SHUTTING_DOWN, SHUTTING_DOWN_MS, NULL);

	flight_fail_all(e, now, &error, true);
}

void engine_key_changed(struct engine *e, struct mono now)
{
	breaker_reset(&e->breaker);
	e->probe = NULL;
	e->unusable = 0;
	e->key_since =
	    mono_add_ms(now, 1); /* what was sent in this very moment was with the last */
	flight_dispatch(e, now);
}

void engine_moved(struct engine *e, struct mono now)
{
	(void)drop_all(e, now);
	engine_key_changed(e, now);
}

bool engine_note_clock(struct engine *e, struct wall now, const struct outcome *outcome,
		       struct skew *ret_skew)
{
	if (!outcome->has_clock || !skew_note(&e->skew, now, outcome->clerk_date_s))
		return false;
	*ret_skew = e->skew;
	return true;
}

struct wall engine_clerk_time(const struct engine *e, struct wall now)
{
	return (struct wall){ now.ms - e->skew.s * MS_PER_S };
}

size_t engine_pending(const struct engine *e)
{
	return e->waiters;
}

bool engine_is_ready(const struct engine *e)
{
	return e->breaker.state == BREAKER_CLOSED && e->breaker.failures < READY_AFTER_FAILURES &&
	       e->unusable < READY_AFTER_FAILURES;
}

void engine_note_error(struct engine *e, enum code code)
{
	e->stats.errors[code]++;
}

void engine_note_webhook(struct engine *e, enum webhook_verdict verdict)
{
	e->stats.webhooks++;
	e->stats.webhooks_ended += verdict == WEBHOOK_ENDED;
	e->stats.webhooks_refused += webhook_is_refused(verdict);
}

const struct stats *engine_stats(const struct engine *e)
{
	return &e->stats;
}
