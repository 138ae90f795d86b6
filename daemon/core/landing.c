/* What each outcome of a fetch means: a token in the cache, an answer to those who wait, another
 * attempt, or a reason to wait. */

#include "daemon/core/admission.h"
#include "daemon/core/backoff.h"
#include "daemon/core/drop.h"
#include "daemon/core/flight.h"
#include "daemon/core/waiter.h"

#include <assert.h>

#define MAX_ATTEMPTS 3
#define RETRY_BASE_MS 200
#define RETRY_MAX_MS 2000
#define RECHECK_MS 300
#define RENEWAL_BASE_MS 1000
#define RENEWAL_MAX_MS 30000
#define OUTAGE_MAX_MS 2500 /* where more keys fail, the breaker makes the attempts one */
#define LEAST_GAIN_MS 2000 /* lives are counted in whole seconds */
#define RETRY_HINT_MS 1000

/* When a renewal that failed is worth trying again: with all others as soon as the breaker lets one
 * through, else after a pause of its own. */
static struct mono next_try(struct engine *e, struct mono now, struct entry *entry, int64_t max_ms)
{
	int64_t delay = backoff_ms(RENEWAL_BASE_MS, max_ms, entry->failures);

	if (e->breaker.state != BREAKER_CLOSED)
		return mono_add_ms(now, breaker_wait_ms(&e->breaker, now));
	if (entry->failures < UINT8_MAX)
		entry->failures++;
	return mono_add_ms(now, delay / 2 + random_below(&e->random, delay / 2));
}

/* No attempt is left: the waiters are told, and the next renewal is set, at most `max_ms` away. */
static void give_up(struct engine *e, struct mono now, struct demand *d, const struct reply *error,
		    int64_t max_ms)
{
	struct entry *entry = d->entry;
	bool valid = entry_is_valid(entry, now, 0);
	struct mono again = next_try(e, now, entry, max_ms);

	if (valid)
		entry->flags |= ENTRY_FAILING;
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
	again = mono_add_ms(now, delay);
	if (d->attempts < MAX_ATTEMPTS && !e->stopping && breaker_wait_ms(&e->breaker, now) == 0 &&
	    !mono_is_due(waiters_last_deadline(d), again)) {
		flight_retry_at(e, d, again);
		return;
	}
	error = reply_error(o->code, hint, o->text);
	give_up(e, now, d, &error, OUTAGE_MAX_MS);
}

/* Those whose time will be over by then are told at once. */
static void fail_hasty(struct engine *e, struct mono now, struct demand *d, struct mono then,
		       const struct reply *error)
{
	list_for_each_safe (it, &d->waiters) {
		struct waiter *w = container_of(it, struct waiter, node);

		if (mono_is_due(w->timer.at, then))
			waiter_fail(e, now, w, error);
	}
}

/* Whoever can't wait as long as Clerk wants is told at once; the others keep their place. */
static void throttled(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	struct reply stopping = reply_error(CODE_RATE_LIMITED, RETRY_HINT_MS, o->text);

	e->stats.throttled++;
	limiter_throttle(&e->limiter, now, d->sent_at, o->retry_after_ms);
	if (e->stopping) {
		give_up(e, now, d, &stopping, RENEWAL_MAX_MS);
		return;
	}
	if (list_is_empty(&d->waiters) && entry_is_valid(d->entry, now, 0))
		d->entry->flags |= ENTRY_FAILING;
	flight_resume(e, d);
	admission_review(e, now);
}

/* With Clerk's words, which stay the outcome's. */
static struct reply refused(const struct outcome *o, int64_t retry_ms)
{
	struct reply error = reply_error(o->code, retry_ms, o->text);

	error.refusal = buf_span(&o->refusal);
	return error;
}

/* A session just made may not be known everywhere yet: asked again before that is believed, whether
 * anybody waits as long or not. */
static void recheck(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	struct mono again = mono_add_ms(now, RECHECK_MS + random_below(&e->random, RECHECK_MS));
	struct reply error = refused(o, mono_diff_ms(again, now));

	d->rechecked = true;
	fail_hasty(e, now, d, again, &error);
	flight_retry_at(e, d, again);
}

/* Clerk has none, and says so: an answer, not an outage. */
static void definite(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	struct entry *entry = d->entry;
	struct reply error = refused(o, e->config.negative_ttl_ms);

	limiter_accepted(&e->limiter, d->sent_at);
	if (o->code == CODE_NOT_FOUND && !d->rechecked && !entry->token_len && !e->stopping) {
		recheck(e, now, d, o);
		return;
	}
	/* Our request is at fault, not the session: what is in hand is as good as it was. */
	if (o->code == CODE_REJECTED && entry_is_valid(entry, now, 0)) {
		give_up(e, now, d, &error, RENEWAL_MAX_MS);
		return;
	}
	if (entry->token_len)
		drop_note(e, entry_session(entry), entry_template(entry));
	d->entry = cache_store_negative(&e->cache, entry, o->code, error.refusal,
					mono_add_ms(now, e->config.negative_ttl_ms));
	waiters_fail(e, now, d, &error);
	watches_gone(e, d, o->code);
	demand_release(e, d);
}

static void answer_waiters(struct engine *e, struct mono now, struct demand *d,
			   const struct token_view *view)
{
	struct reply reply = { .type = REPLY_TOKEN, .token = *view };
	struct reply error = reply_error(CODE_SHORT_LIVED, RETRY_NEVER, NULL);

	list_for_each_safe (it, &d->waiters) {
		struct waiter *w = container_of(it, struct waiter, node);

		waiter_answer(e, now, w, view->ttl_ms >= w->min_ttl_ms ? &reply : &error);
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

	limiter_accepted(&e->limiter, d->sent_at);
	if (mono_is_due(token.expires_at, now)) {
		give_up(e, now, d, &error, RENEWAL_MAX_MS);
		return;
	}
	e->stats.tokens++;
	if (brings_nothing(d, now, &token))
		landed_same(e, now, d);
	else
		entry = landed_new(e, d, &token, o->lifetime_ms);
	if (!entry) {
		give_up(e, now, d, &no_room, RENEWAL_MAX_MS);
		return;
	}
	view = entry_view(entry, now, SOURCE_CLERK);
	answer_waiters(e, now, d, &view);
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
	error = refused(o, breaker_wait_ms(&e->breaker, now));
	give_up(e, now, d, &error, RENEWAL_MAX_MS);
}

static void malformed(struct engine *e, struct mono now, struct demand *d, const struct outcome *o)
{
	struct reply error = reply_error(o->code, RETRY_HINT_MS, o->text);

	limiter_accepted(&e->limiter, d->sent_at);
	give_up(e, now, d, &error, RENEWAL_MAX_MS);
}

/* For the operator. That there is no such session is no failure. */
static void note_reason(struct engine *e, const struct outcome *o)
{
	if (o->kind == OUTCOME_MALFORMED)
		e->unusable++;
	else if (o->kind == OUTCOME_TOKEN || o->kind == OUTCOME_DEFINITE)
		e->unusable = 0;
	if (o->kind != OUTCOME_TOKEN && (o->kind != OUTCOME_DEFINITE || o->code == CODE_REJECTED)) {
		e->clerk_reason = o->text ? o->text : code_text(o->code);
		e->clerk_detail = o->detail;
	}
}

static void clerk_works(struct engine *e)
{
	breaker_succeeded(&e->breaker);
	e->probe = NULL; /* from now on it is a request like any other */
}

/* A failure that shows nothing of Clerk is none to the breaker: our own want of memory or of a
 * connection, a key that is no longer ours. What was overdue was counted then. */
static void inform_breaker(struct engine *e, struct mono now, struct demand *d,
			   const struct outcome *o)
{
	bool was_probe = flight_was_probe(e, d);

	if (o->kind == OUTCOME_KEY_REFUSED && d->sent_at.ms >= e->key_since.ms)
		breaker_failed(&e->breaker, now, CODE_UNAUTHORIZED, was_probe, &e->random);
	else if (o->kind == OUTCOME_TRANSIENT && o->code != CODE_OVERLOADED && !d->overdue)
		breaker_failed(&e->breaker, now, CODE_UNAVAILABLE, was_probe, &e->random);
	else if (o->kind != OUTCOME_TRANSIENT && o->kind != OUTCOME_KEY_REFUSED)
		clerk_works(e);
	else if (was_probe)
		breaker_abandoned(&e->breaker, now, &e->random);
	if (o->kind == OUTCOME_TRANSIENT)
		d->overdue = false;
}

/* Clerk has answered: how long it took. Which of two requests it was is not known, but an answer
 * sooner after the second than any was lately is not likely to be the first's. None can take longer
 * than a request may: the host was suspended. */
static void note_answer(struct engine *e, struct mono now, const struct demand *d,
			const struct outcome *o)
{
	int64_t took_ms = mono_diff_ms(now, d->sent_at);
	int64_t second_ms = mono_diff_ms(now, d->second_at);

	if (d->sent_again && second_ms <= e->slowest_ms)
		took_ms = second_ms;
	e->answered_at = now;
	e->room =
	    o->is_exclusive && e->config.max_connections ? e->config.max_connections : MAX_RUNNING;
	if (e->config.request_timeout_ms && took_ms > e->config.request_timeout_ms)
		return;
	histogram_note(&e->stats.answered, took_ms);
	latency_note(&e->latency, now, took_ms);
	e->slowest_ms = latency_slowest_ms(&e->latency);
	e->usual_ms = latency_usual_ms(&e->latency);
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
	assert(d->state == FLIGHT_RUNNING);
	inform_breaker(e, now, d, outcome);
	note_reason(e, outcome);
	if (outcome->kind != OUTCOME_TRANSIENT)
		note_answer(e, now, d, outcome);
	flight_ended(e, d, outcome->kind != OUTCOME_TRANSIENT);
	if (d->copies && outcome->kind != OUTCOME_TRANSIENT)
		flight_cancel(e, d);
	if (!d->copies) /* else the other one decides */
		conclude[outcome->kind](e, now, d, outcome);
	flight_dispatch(e, now);
}
