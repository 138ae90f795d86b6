/* See waiter.h. */
#include "daemon/core/waiter.h"

#include "base/mem.h"

#define RETRY_HINT_MS 1000

struct waiter *waiter_new(struct engine *e, struct client *client, struct demand *d,
			  int64_t min_ttl_ms, struct mono send_by, struct mono deadline)
{
	struct waiter *w;

	if (cache_reserve(&e->cache, &e->timers, timers_wanted(e) + 1) < 0 ||
	    quota_take(&e->quota, client->account, QUOTA_WAITERS, 1, client->admin))
		return NULL;
	w = mem_zalloc(sizeof(*w));
	if (!w || !cache_make_room(&e->cache, mem_footprint(w), NULL)) {
		mem_free(w);
		quota_release(&e->quota, client->account, QUOTA_WAITERS, 1);
		return NULL;
	}
	cache_charge(&e->cache, client->account, mem_footprint(w));
	w->timer = HEAP_NODE(TIMER_WAITER);
	list_init(&w->watch_node);
	w->demand = d;
	w->client = client;
	w->account = client->account;
	w->min_ttl_ms = min_ttl_ms;
	w->send_by = send_by;
	e->waiters++;
	list_append(&d->waiters, &w->node);
	heap_set(&e->timers, &w->timer, deadline);
	return w;
}

void waiter_free(struct engine *e, struct waiter *w)
{
	list_unlink(&w->node);
	heap_remove(&e->timers, &w->timer);
	e->waiters--;
	cache_discharge(&e->cache, w->account, mem_footprint(w));
	quota_release(&e->quota, w->account, QUOTA_WAITERS, 1);
	mem_free(w);
}

void waiter_answer(struct engine *e, struct mono now, struct waiter *w, const struct reply *reply)
{
	list_unlink(&w->node);
	heap_remove(&e->timers, &w->timer);
	list_append(&e->answered, &w->node);
	watch_answered(e, w, reply->type == REPLY_TOKEN);
	histogram_note(&e->stats.waited, mono_diff_ms(now, w->since));
	w->key = entry_key(w->demand->entry);
	w->demand = NULL;
	w->reply = *reply;
}

struct token_view entry_view(const struct entry *entry, struct mono now, enum token_source source)
{
	int64_t ttl_ms = mono_diff_ms(entry->expires_at, now);
	int64_t reuse_ms = ttl_ms - entry->lead_ms;
	bool failing = entry->flags & ENTRY_FAILING;
	bool renewing = reuse_ms <= 0 && entry->demand && entry->demand->state != FLIGHT_IDLE;

	return (struct token_view){
		.text = entry_token_text(entry),
		.ttl_ms = ttl_ms > 0 ? ttl_ms : 0,
		.reuse_ms = reuse_ms > 0 ? reuse_ms : 0,
		.state = failing    ? TOKEN_STALE
			 : renewing ? TOKEN_DUE
				    : TOKEN_FRESH,
		.source = source,
	};
}

/* What is in hand is better than an error, if it is what the waiter asked for. */
bool entry_is_valid(const struct entry *entry, struct mono now, int64_t min_ttl_ms)
{
	int64_t ttl_ms = mono_diff_ms(entry->expires_at, now);

	return entry->token_len && ttl_ms > 0 && ttl_ms >= min_ttl_ms;
}

void waiter_fail(struct engine *e, struct mono now, struct waiter *w, const struct reply *error)
{
	const struct entry *entry = w->demand->entry;
	struct reply token;

	if (!entry_is_valid(entry, now, w->min_ttl_ms)) {
		waiter_answer(e, now, w, error);
		return;
	}
	token =
	    (struct reply){ .type = REPLY_TOKEN, .token = entry_view(entry, now, SOURCE_CACHE) };
	waiter_answer(e, now, w, &token);
}

void waiters_fail(struct engine *e, struct mono now, struct demand *d, const struct reply *error)
{
	list_for_each_safe (it, &d->waiters)
		waiter_fail(e, now, container_of(it, struct waiter, node), error);
}

struct reply waiter_timeout_reply(struct engine *e, struct mono now, const struct waiter *w)
{
	struct demand *d = w->demand;
	struct mono when;

	if (entry_is_valid(d->entry, now, w->min_ttl_ms))
		return (struct reply){ .type = REPLY_TOKEN,
				       .token = entry_view(d->entry, now, SOURCE_CACHE) };
	when = limiter_turn(&e->limiter, now, 0);
	if (d->state == FLIGHT_QUEUED && !mono_is_due(when, now)) {
		when = limiter_hint(&e->limiter, now, &w->account->hints, when);
		return reply_error(CODE_RATE_LIMITED, mono_diff_ms(when, now), NULL);
	}
	return reply_error(CODE_TIMEOUT, RETRY_HINT_MS, NULL);
}

struct mono waiters_last_deadline(const struct demand *d)
{
	struct mono last = { INT64_MIN };

	list_for_each (it, &d->waiters)
		last = mono_max(last, container_of(it, struct waiter, node)->timer.at);
	return last;
}

struct mono waiters_send_by(const struct demand *d)
{
	struct mono last = { INT64_MIN };

	list_for_each (it, &d->waiters)
		last = mono_max(last, container_of(it, struct waiter, node)->send_by);
	return last;
}
