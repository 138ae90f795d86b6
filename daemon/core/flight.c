/* See flight.h.
 *
 * Callers and renewals (queue.h) wait for the same three: the budget, the breaker, and a bound on
 * how much is under way, which is low while nothing is answered: a Clerk that takes requests and is
 * silent gets few of them. Callers may use the whole budget; renewals leave a part of it to them,
 * and go at a pace.
 */
#include "daemon/core/flight.h"

#include "base/mem.h"
#include "daemon/core/admission.h"
#include "daemon/core/call.h"
#include "daemon/core/queue.h"
#include "daemon/core/renewal.h"
#include "daemon/core/waiter.h"

#include <assert.h>

#define UNANSWERED_TIMES 4 /* as many as there may be connections */
#define OVERDUE_MIN_MS 1000
#define OVERDUE_TIMES 3 /* as long as the slowest that Clerk has lately been */
#define PROBE_MS 1500
#define RESTART_GAP_MS 250
#define CALLERS_PARTS 10 /* a tenth of what is allowed is kept for callers, one at least */
#define RETRY_HINT_MS 1000

struct demand *demand_obtain(struct engine *e, struct entry *entry)
{
	struct demand *d = entry->demand;

	if (d)
		return d;
	if (cache_reserve(&e->cache, &e->timers, timers_wanted(e) + 1) < 0 ||
	    cache_reserve(&e->cache, &e->renewals, e->demands + 1) < 0)
		return NULL;
	d = mem_zalloc(sizeof(*d));
	if (!d || !cache_make_room(&e->cache, mem_footprint(d), entry)) {
		mem_free(d);
		return NULL;
	}
	cache_charge(&e->cache, cache_account(&e->cache, entry), mem_footprint(d));
	d->entry = entry;
	d->timer = HEAP_NODE(TIMER_DEMAND);
	list_init(&d->waiters);
	list_init(&d->watchers);
	list_init(&d->place.node);
	list_init(&d->effect_node);
	entry->demand = d;
	list_append(&e->wanted, &d->node);
	e->demands++;
	return d;
}

/* It was a caller's, and nobody waits for it any more, nor has Clerk been asked. What is left to
 * do is a renewal, of which next_renewal() decides; a watched key without a token keeps its place.
 */
static void withdraw(struct engine *e, struct demand *d)
{
	bool has_token = d->entry->token_len;

	if (!has_token && !list_is_empty(&d->watchers))
		return;
	queue_remove(e, d);
	if (has_token)
		queue_add(e, d, NULL);
}

void demand_release(struct engine *e, struct demand *d)
{
	struct entry *entry = d->entry;

	if (list_is_empty(&d->waiters) && d->state == FLIGHT_QUEUED && d->place.account)
		withdraw(e, d);
	if (d->state != FLIGHT_IDLE || !list_is_empty(&d->waiters) || !list_is_empty(&d->watchers))
		return;
	cache_discharge(&e->cache, cache_account(&e->cache, entry), mem_footprint(d));
	entry->demand = NULL;
	d->entry = NULL;
	list_unlink(&d->node);
	e->demands--;
	if (entry_is_empty(entry) && entry->timer.slot == HEAP_NOWHERE)
		cache_remove(&e->cache, entry);
	if (!d->wants_cancel) /* else engine_pop() frees it */
		mem_free(d);
}

/* True if that user's queue would bring it sooner than the one it is in. */
static bool is_sooner_in(const struct engine *e, const struct demand *d,
			 const struct account *account)
{
	return account && account != d->place.account &&
	       (!d->place.account || queue_turns_before(e, account, account->queued_count) <
					 queue_turns_before_it(e, &d->place));
}

static void set_overdue(struct engine *e, struct demand *d)
{
	int64_t after_ms = OVERDUE_TIMES * e->slowest_ms;

	if (d->overdue && e->breaker.state != BREAKER_CLOSED)
		after_ms = 0;
	else if (e->probe == d)
		after_ms = PROBE_MS;
	else if (after_ms < OVERDUE_MIN_MS)
		after_ms = OVERDUE_MIN_MS;
	if (after_ms < e->config.request_timeout_ms)
		heap_set(&e->timers, &d->timer,
			 mono_add_ms(d->sent_again ? d->second_at : d->sent_at, after_ms));
}

static void begin(struct demand *d)
{
	d->attempts = 0;
	d->not_refused = d->rechecked = false;
}

void flight_request(struct engine *e, struct demand *d, struct account *account)
{
	if (d->state == FLIGHT_IDLE) {
		begin(d);
		queue_add(e, d, account);
	} else if (d->state == FLIGHT_QUEUED && is_sooner_in(e, d, account)) {
		queue_remove(e, d);
		queue_add(e, d, account);
	} else if (d->state == FLIGHT_RUNNING && d->timer.slot == HEAP_NOWHERE && account) {
		set_overdue(e, d); /* it is: now there is somebody to send it again for */
	}
}

static void add_effect(struct engine *e, struct demand *d)
{
	list_unlink(&d->effect_node);
	list_append(&e->flights, &d->effect_node);
}

static bool has_room(const struct engine *e)
{
	size_t most = UNANSWERED_TIMES * e->config.max_connections;

	return e->running < e->room &&
	       (most == 0 || e->unanswered < most || e->breaker.state != BREAKER_CLOSED);
}

static void ask_clerk(struct engine *e, struct mono now, struct demand *d, bool for_caller)
{
	d->copies++;
	d->wants_fetch = true;
	add_effect(e, d);
	e->running++;
	e->unanswered++;
	e->stats.fetches++;
	*(for_caller ? &e->stats.fetches_for_callers : &e->stats.fetches_for_renewal) += 1;
	limiter_take(&e->limiter, now);
}

static void send(struct engine *e, struct mono now, struct demand *d)
{
	bool for_caller = d->place.account;
	const struct account *user =
	    for_caller ? d->place.account : cache_account(&e->cache, d->entry);

	limiter_note_user(&e->limiter, now, user->uid);
	if (for_caller)
		queue_turn(e, d->place.account);
	else
		limiter_take_pace(&e->limiter);
	queue_remove(e, d);
	d->state = FLIGHT_RUNNING;
	d->sent_at = now;
	d->overdue = d->sent_again = false;
	d->attempts++;
	e->stats.retries += d->attempts > 1;
	ask_clerk(e, now, d, for_caller);
	if (breaker_sent(&e->breaker))
		e->probe = d;
	set_overdue(e, d);
}

bool flight_was_probe(struct engine *e, const struct demand *d)
{
	if (e->probe != d)
		return false;
	e->probe = NULL;
	return true;
}

void flight_ended(struct engine *e, struct demand *d, bool answered)
{
	e->running--;
	if (answered)
		e->unanswered = 0;
	else if (e->unanswered)
		e->unanswered--;
	if (--d->copies)
		return;
	heap_remove(&e->timers, &d->timer);
	d->state = FLIGHT_IDLE;
}

void flight_cancel(struct engine *e, struct demand *d)
{
	assert(!d->wants_fetch); /* effects are drained between calls */
	d->wants_cancel = true;
	add_effect(e, d);
	e->stats.cancelled++;
	while (d->copies)
		flight_ended(e, d, false);
}

/* A caller who can wait as long as Clerk may take, or a watcher. */
static bool is_worth_sending_again(struct engine *e, struct mono now, const struct demand *d)
{
	bool in_time = !mono_is_due(waiters_last_deadline(d), mono_add_ms(now, e->slowest_ms)) ||
		       !list_is_empty(&d->watchers);

	return in_time && !d->sent_again && !e->stopping && has_room(e) &&
	       mono_is_due(limiter_turn(&e->limiter, now, 0), now);
}

static void send_again(struct engine *e, struct mono now, struct demand *d)
{
	d->sent_again = true;
	d->second_at = now;
	e->stats.retries++;
	ask_clerk(e, now, d, !list_is_empty(&d->waiters));
	set_overdue(e, d);
}

/* What the breaker learns of it. One silent request counts as one failure, once; a second one, on
 * another connection, leaves no doubt. */
static void note_silence(struct engine *e, struct mono now, struct demand *d)
{
	bool was_probe = flight_was_probe(e, d);
	struct reply error;

	if (was_probe || (!d->overdue && d->sent_at.ms >= e->answered_at.ms)) {
		d->overdue = true;
		e->clerk_reason = "Clerk did not answer in time";
		breaker_failed(&e->breaker, now, CODE_UNAVAILABLE, was_probe, &e->random);
	} else if (d->sent_again && d->second_at.ms >= e->answered_at.ms) {
		breaker_hangs(&e->breaker, now, &e->random);
	}
	if (!was_probe)
		return;
	error = reply_error(e->breaker.reason, breaker_wait_ms(&e->breaker, now), NULL);
	waiters_fail(e, now, d, &error);
}

/* It was sent long ago: Clerk hangs, or its connection does. There is a second request, on another
 * connection; if Clerk is known to hang, a probe takes its place when one is due. Until then it is
 * still listened to, as Clerk may just be slow. */
static void flight_overdue(struct engine *e, struct mono now, struct demand *d)
{
	int64_t wait_ms;

	heap_remove(&e->timers, &d->timer);
	note_silence(e, now, d);
	if (e->stopping || (list_is_empty(&d->waiters) && list_is_empty(&d->watchers)))
		return;
	wait_ms = breaker_wait_ms(&e->breaker, now);
	if (wait_ms > 0) {
		heap_set(&e->timers, &d->timer, mono_add_ms(now, wait_ms));
	} else if (e->breaker.state != BREAKER_CLOSED) {
		flight_cancel(e, d);
		flight_resume(e, d);
	} else if (is_worth_sending_again(e, now, d)) {
		send_again(e, now, d);
	}
}

void flight_retry_at(struct engine *e, struct demand *d, struct mono at)
{
	d->state = FLIGHT_RETRY;
	heap_set(&e->timers, &d->timer, at);
}

void flight_restart(struct engine *e, struct mono now, struct demand *d)
{
	struct reply stopping = reply_error(CODE_SHUTTING_DOWN, RETRY_HINT_MS, NULL);

	if (d->state == FLIGHT_QUEUED && !d->place.account && list_is_empty(&d->watchers)) {
		queue_remove(e, d); /* a renewal of what is no more */
	} else if (d->state == FLIGHT_QUEUED) {
		queue_reorder(e, d); /* it has not been asked for yet */
		return;
	} else if (d->state == FLIGHT_RUNNING) {
		flight_cancel(e, d);
		if (flight_was_probe(e, d))
			breaker_abandoned(&e->breaker, now, &e->random);
	} else if (d->state == FLIGHT_RETRY) {
		heap_remove(&e->timers, &d->timer);
	}
	d->state = FLIGHT_IDLE;
	if (e->stopping)
		waiters_fail(e, now, d, &stopping);
	if (list_is_empty(&d->waiters) && list_is_empty(&d->watchers))
		return;
	if (!mono_is_due(d->restart_at, now)) {
		flight_retry_at(e, d, d->restart_at);
		return;
	}
	/* A thousand DROPs of a key in a row are not a thousand fetches. */
	d->restart_at = mono_add_ms(now, RESTART_GAP_MS);
	begin(d);
	flight_resume(e, d);
}

void flight_resume(struct engine *e, struct demand *d)
{
	struct waiter *first = container_of(d->waiters.next, struct waiter, node);

	if (!list_is_empty(&d->waiters))
		queue_add(e, d, first->account);
	else if (!list_is_empty(&d->watchers) || d->entry->token_len || d->rechecked)
		queue_add(e, d, NULL);
	else
		demand_release(e, d);
}

void flight_timer_due(struct engine *e, struct mono now, struct demand *d)
{
	if (d->state == FLIGHT_RUNNING) {
		flight_overdue(e, now, d);
		return;
	}
	heap_remove(&e->timers, &d->timer);
	d->state = FLIGHT_IDLE;
	flight_resume(e, d);
}

void flight_plan(struct engine *e, struct mono now, struct entry *entry)
{
	struct mono at;
	enum renewal renewal = renewal_plan(e, now, entry, &at);
	struct demand *d;

	cache_arm(&e->cache, entry, at);
	if (e->stopping || renewal != RENEWAL_NOW)
		return;
	d = demand_obtain(e, entry);
	if (!d)
		return; /* no memory: the next use tries again */
	d->chance = renewal_chance(e, now, entry);
	flight_request(e, d, NULL);
}

/* It holds nothing any more, and nobody wants it now: it may be worth knowing a while longer. */
static void keep(struct engine *e, struct mono now, struct entry *entry)
{
	struct entry *hollow = entry;

	if (mono_is_due(renewal_keep_until(entry), now)) {
		rhythm_lost(&e->rhythm, &entry->beat, entry->frequency,
			    mono_diff_ms(now, entry->last_use));
		hollow = NULL;
	} else if (entry->code != CODE_OK || e->stopping || entry->expires_at.ms == INT64_MIN) {
		hollow = NULL;
	} else if (entry->token_len) {
		hollow = cache_hollow(&e->cache, entry);
	}
	if (hollow)
		flight_plan(e, now, hollow);
	else
		cache_remove(&e->cache, entry);
}

static void forget(struct engine *e, struct mono now, struct entry *entry)
{
	struct demand *d = entry->demand;

	if (d && d->state == FLIGHT_QUEUED && !d->place.account && list_is_empty(&d->watchers)) {
		queue_remove(e, d); /* too late for a renewal */
		demand_release(e, d);
		d = NULL;
	}
	if (!d) {
		keep(e, now, entry);
		return;
	}
	cache_empty(&e->cache, entry);
	if (!list_is_empty(&d->watchers))
		flight_request(e, d, NULL);
}

void flight_entry_due(struct engine *e, struct mono now, struct entry *entry)
{
	if (mono_is_due(entry->expires_at, now))
		forget(e, now, entry);
	else
		flight_plan(e, now, entry);
}

void flight_refuse_queued(struct engine *e, struct mono now, const struct reply *reply)
{
	struct demand *d;

	while ((d = queue_first_caller(e))) {
		queue_remove(e, d);
		waiters_fail(e, now, d, reply);
		if (!list_is_empty(&d->watchers))
			queue_add(e, d, NULL);
		demand_release(e, d);
	}
}

static void fail(struct engine *e, struct mono now, struct demand *d, const struct reply *reply)
{
	if (d->state == FLIGHT_QUEUED)
		queue_remove(e, d);
	if (d->state == FLIGHT_RETRY) {
		heap_remove(&e->timers, &d->timer);
		d->state = FLIGHT_IDLE;
	}
	waiters_fail(e, now, d, reply);
	demand_release(e, d);
}

void flight_fail_all(struct engine *e, struct mono now, const struct reply *reply, bool running_too)
{
	list_for_each_safe (it, &e->wanted) {
		struct demand *d = container_of(it, struct demand, node);

		if (d->state != FLIGHT_RUNNING || running_too)
			fail(e, now, d, reply);
	}
}

/* True if the breaker lets one through; else callers are told. */
static bool breaker_lets(struct engine *e, struct mono now)
{
	int64_t wait_ms = breaker_wait_ms(&e->breaker, now);
	struct reply error;

	if (wait_ms <= 0)
		return true;
	error = reply_error(e->breaker.reason, wait_ms, NULL);
	flight_refuse_queued(e, now, &error);
	if (e->renewals.count && e->breaker.state == BREAKER_OPEN)
		e->wake_at = e->breaker.probe_at;
	return false;
}

static size_t callers_share(struct engine *e, struct mono now)
{
	size_t share = limiter_allowed(&e->limiter, now) / CALLERS_PARTS;

	return share ? share : 1;
}

/* Whether it is still worth a call, which was decided when it was queued; *ret_at is when it is to
 * be looked at again if not. */
static bool is_wanted(struct engine *e, struct mono now, const struct demand *d,
		      struct mono *ret_at)
{
	const struct entry *entry = d->entry;

	if (!list_is_empty(&d->watchers) || d->rechecked)
		return true;
	if (entry->expires_at.ms == INT64_MIN)
		return false;
	*ret_at = mono_add_ms(entry->expires_at, -(int64_t)entry->lead_ms);
	if (entry->token_len && !mono_is_due(*ret_at, now))
		return false;
	return renewal_plan(e, now, entry, ret_at) == RENEWAL_NOW;
}

/* The first renewal that is wanted still. */
static struct demand *next_renewal(struct engine *e, struct mono now)
{
	struct demand *d;
	struct mono at;

	while ((d = queue_first_renewal(e)) && !is_wanted(e, now, d, &at)) {
		queue_remove(e, d);
		if (d->entry->timer.slot != HEAP_NOWHERE)
			cache_arm(&e->cache, d->entry, at);
		demand_release(e, d);
	}
	return d;
}

/* The first of callers' places. Where no fetch may be sent, calls go past them, and the other way
 * round. */
static struct place *next_caller(struct engine *e, struct mono now, bool may_fetch)
{
	struct list *first = list_first(&e->calls);
	bool may_call = first && call_has_room(e);

	if (may_fetch)
		return admission_first_caller(e, now, may_call);
	return may_call ? &container_of(first, struct call, node)->place : NULL;
}

/* The next to be sent, or NULL; wake_at is when there may be one. */
static struct place *next_to_send(struct engine *e, struct mono now)
{
	size_t share = callers_share(e, now);
	struct place *caller;
	struct demand *renewal;
	struct mono when;
	bool may_fetch;

	e->wake_at = MONO_NEVER;
	if (e->stopping || (list_is_empty(&e->callers) && e->renewals.count == 0))
		return NULL;
	may_fetch = breaker_lets(e, now) && has_room(e);
	if (may_fetch)
		e->wake_at = queue_promote(e, now, share);
	caller = next_caller(e, now, may_fetch);
	if (!caller && (e->renewals.count == 0 || !may_fetch))
		return NULL;
	if (caller)
		when = limiter_turn(&e->limiter, now, 0);
	else
		when = mono_max(limiter_when(&e->limiter, now, 0, share),
				limiter_pace(&e->limiter, now, share));
	if (mono_is_due(when, now)) {
		renewal = caller ? NULL : next_renewal(e, now);
		return renewal ? &renewal->place : caller;
	}
	e->wake_at = mono_min(e->wake_at, mono_min(when, e->limiter.regrow_at));
	return NULL;
}

void flight_dispatch(struct engine *e, struct mono now)
{
	bool is_crowded = limiter_is_crowded(&e->limiter, now);
	struct place *next;

	if (is_crowded && !e->was_crowded)
		admission_review(e, now);
	e->was_crowded = is_crowded;
	while ((next = next_to_send(e, now))) {
		if (next->is_call)
			call_admit(e, now, container_of(next, struct call, place));
		else
			send(e, now, container_of(next, struct demand, place));
	}
}
