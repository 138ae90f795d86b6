/* What each outcome of a fetch means: a token in the cache, an answer to those who wait, another
 * attempt, or a reason to wait. */

#include "daemon/core/backoff.h"
#include "daemon/core/drop.h"
#include "daemon/core/flight.h"
#include "daemon/core/waiter.h"

#include <assert.h>

#define MAX_ATTEMPTS 3
#define RETRY_BASE_MS 200
#define RETRY_MAX_MS 2000
#define RECHECK_MS 300 /* a session just made may not be known everywhere yet */
#define RENEWAL_BASE_MS 1000
#define RENEWAL_MAX_MS 30000
#define SLOWEST_DECAY 32
#define SLOWEST_MAX_MS 10000 /* more was a suspend, or help to nobody */
#define LEAST_GAIN_MS 2000   /* lives are counted in whole seconds */
#define RETRY_HINT_MS 1000

/* No attempt is left: the waiters are told, and when a renewal is worth trying again is set. */
static void give_up(struct engine *e, struct mono now, struct demand *d, const struct reply *error)
{
	struct entry *entry = d->entry;
	bool valid = entry_is_valid(entry, now, 0);
	int64_t delay = backoff_ms(RENEWAL_BASE_MS, RENEWAL_MAX_MS, entry->failures);
	struct mono again = mono_add_ms(now, delay / 2 + random_below(&e->random, delay / 2));

	if (valid)
		entry->flags |= ENTRY_FAILING;
	if (entry->failures < UINT8_MAX)
		entry->failures++;
	waiters_fail(e, now, d, error);
	if (valid || !list_is_empty(&d->watchers))
		cache_arm(&e->cache, entry, valid ? mono_min(again, entry->expires_at) : again);
	demand_release(e, d);
}

static void transient(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	int64_t delay =
	    random_below(&e->random, backoff_ms(RETRY_BASE_MS, RETRY_MAX_MS, d->attempts));
	int64_t hint = o->retry_after_ms > 0 ? o->retry_after_ms : RETRY_HINT_MS;
	struct mono again;
	struct reply error;

	if (o->retry_after_ms > delay)
		delay = o->retry_after_ms;
	if (o->code != CODE_OVERLOADED) /* our own want of memory is no fault of Clerk's */
		breaker_failed(&e->breaker, now, CODE_UNAVAILABLE, &e->random);
	else
		breaker_abandoned(&e->breaker, now);
	again = mono_add_ms(now, delay);
	if (d->attempts < MAX_ATTEMPTS && !e->stopping && breaker_wait_ms(&e->breaker, now) == 0 &&
	    !mono_is_due(waiters_last_deadline(d), again)) {
		flight_retry_at(e, d, again);
		return;
	}
	error = reply_error(o->code, hint, o->text);
	give_up(e, now, d, &error);
}

/* Whoever can't wait as long as Clerk wants is told at once; the others keep their place. */
static void throttled(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	struct mono when;
	struct reply error;
	struct account *account;

	e->stats.throttled++;
	limiter_throttle(&e->limiter, now, o->retry_after_ms);
	breaker_succeeded(&e->breaker);
	when = limiter_when(&e->limiter, now, 0, 0);
	error = reply_error(CODE_RATE_LIMITED, mono_diff_ms(when, now), o->text);
	if (e->stopping || mono_is_due(waiters_last_deadline(d), when)) {
		give_up(e, now, d, &error);
		return;
	}
	list_for_each_safe (it, &d->waiters) {
		struct waiter *w = container_of(it, struct waiter, node);

		if (mono_is_due(w->timer.at, when))
			waiter_fail(e, now, w, &error);
	}
	account = container_of(list_first(&d->waiters), struct waiter, node)->account;
	flight_enqueue(e, d, account);
}

/* Clerk has none, and says so: an answer, not an outage. */
static void definite(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	struct entry *entry = d->entry;
	struct mono again = mono_add_ms(now, RECHECK_MS + random_below(&e->random, RECHECK_MS));
	struct reply error = reply_error(o->code, e->config.negative_ttl_ms, o->text);

	breaker_succeeded(&e->breaker);
	if (o->code == CODE_NOT_FOUND && d->attempts == 1 && !entry->token_len && !e->stopping &&
	    !mono_is_due(waiters_last_deadline(d), again)) {
		flight_retry_at(e, d, again);
		return;
	}
	if (entry->token_len)
		drop_note(e, entry_session(entry), entry_template(entry));
	cache_store_negative(&e->cache, entry, o->code,
			     mono_add_ms(now, e->config.negative_ttl_ms));
	waiters_fail(e, now, d, &error);
	watches_gone(e, d, o->code);
	demand_release(e, d);
}

static void answer_waiters(struct engine *e, struct demand *d, const struct token_view *view)
{
	struct reply reply = { .type = REPLY_TOKEN, .token = *view };
	struct reply error = reply_error(CODE_SHORT_LIVED, RETRY_NEVER, NULL);

	list_for_each_safe (it, &d->waiters) {
		struct waiter *w = container_of(it, struct waiter, node);

		waiter_answer(e, w, view->ttl_ms >= w->min_ttl_ms ? &reply : &error);
	}
}

/* So that a token that is refused again and again is not renewed again and again. */
static void note_refusal(const struct demand *d)
{
	if (d->not_refused)
		d->entry->refused_s = (uint32_t)(d->sent_at.ms / MS_PER_S) + 1;
}

/* A renewal that brought nothing new: asked again later, less and less often. */
static void landed_same(struct engine *e, struct mono now, const struct demand *d)
{
	struct entry *entry = d->entry;
	int64_t delay = backoff_ms(RENEWAL_BASE_MS, RENEWAL_MAX_MS, entry->failures);

	e->stats.same_tokens++;
	entry->flags = 0;
	note_refusal(d);
	if (entry->failures < UINT8_MAX)
		entry->failures++;
	cache_arm(&e->cache, entry, mono_min(mono_add_ms(now, delay), entry->expires_at));
}

/* The token that is there, or one that ends no later. */
static bool brings_nothing(const struct demand *d, struct mono now, const struct token *token)
{
	const struct entry *entry = d->entry;

	return entry_is_valid(entry, now, 0) &&
	       (entry_token_id(entry) == token->id ||
		(!d->not_refused && mono_diff_ms(token->expires_at, entry->expires_at) <
					(list_is_empty(&d->waiters) ? LEAST_GAIN_MS : 1)));
}

static struct entry *landed_new(struct engine *e, struct demand *d, const struct token *token,
				int64_t lifetime_ms)
{
	struct entry *entry = cache_store(&e->cache, d->entry, token);
	int64_t lead_ms;

	if (!entry)
		return NULL;
	d->entry = entry;
	lead_ms = freshness_lead_ms(&e->config.freshness, lifetime_ms, e->slowest_ms, &e->random);
	entry->lead_ms = lead_ms < UINT32_MAX ? (uint32_t)lead_ms : UINT32_MAX;
	note_refusal(d);
	cache_arm(&e->cache, entry, mono_add_ms(entry->expires_at, -(int64_t)entry->lead_ms));
	return entry;
}

static void landed(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	struct token token = {
		.jwt = span_of(o->jwt.ptr, o->jwt.len),
		.id = o->id,
		.exp_s = o->exp_s,
		.fetched_at = d->sent_at,
		.expires_at = mono_add_ms(d->sent_at, o->lifetime_ms),
	};
	struct reply error =
	    reply_error(CODE_BAD_UPSTREAM, RETRY_HINT_MS, "the token expired on its way");
	struct reply no_room = reply_error(CODE_OVERLOADED, RETRY_HINT_MS, NULL);
	struct entry *entry = d->entry;
	struct token_view view;

	limiter_accepted(&e->limiter);
	breaker_succeeded(&e->breaker);
	if (mono_is_due(token.expires_at, now)) {
		give_up(e, now, d, &error);
		return;
	}
	e->stats.tokens++;
	if (brings_nothing(d, now, &token))
		landed_same(e, now, d);
	else
		entry = landed_new(e, d, &token, o->lifetime_ms);
	if (!entry) {
		give_up(e, now, d, &no_room);
		return;
	}
	view = entry_view(entry, now, SOURCE_CLERK);
	answer_waiters(e, d, &view);
	watches_pin(e, d);
	watches_tell(e, d);
	demand_release(e, d);
}

static void key_refused(struct engine *e, struct mono now, struct demand *d,
			const struct outcome *o)
{
	struct reply error;

	if (d->sent_at.ms < e->key_since.ms && !e->stopping) {
		flight_retry_at(e, d, now); /* with the new key */
		return;
	}
	breaker_failed(&e->breaker, now, CODE_UNAUTHORIZED, &e->random);
	error = reply_error(CODE_UNAUTHORIZED, breaker_wait_ms(&e->breaker, now), o->text);
	give_up(e, now, d, &error);
}

static void malformed(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	struct reply error = reply_error(o->code, RETRY_HINT_MS, o->text);

	breaker_succeeded(&e->breaker); /* it answers: no reason to refuse the other keys */
	give_up(e, now, d, &error);
}

void engine_fetched(struct engine *e, struct mono now, struct demand *d,
		    const struct outcome *outcome)
{
	static void (*const conclude[])(struct engine *, struct mono, struct demand *,
					const struct outcome *) = {
		[OUTCOME_TOKEN] = landed,
		[OUTCOME_DEFINITE] = definite,
		[OUTCOME_KEY_REFUSED] = key_refused,
		[OUTCOME_THROTTLED] = throttled,
		[OUTCOME_TRANSIENT] = transient,
		[OUTCOME_MALFORMED] = malformed,
	};
	int64_t took_ms = mono_diff_ms(now, d->sent_at);

	assert(d->state == FLIGHT_RUNNING);
	d->state = FLIGHT_IDLE;
	e->running--;
	e->slowest_ms -= e->slowest_ms / SLOWEST_DECAY;
	if (took_ms > e->slowest_ms)
		e->slowest_ms = took_ms < SLOWEST_MAX_MS ? took_ms : SLOWEST_MAX_MS;
	conclude[outcome->kind](e, now, d, outcome);
	flight_dispatch(e, now);
}
