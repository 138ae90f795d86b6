/* See flight.h.
 *
 * Two queues: of callers, a ring of users who take turns, and of renewals, the most urgent first.
 * Callers go first and may use the whole budget; renewals leave a part of it to them. Both wait
 * for the same three: the budget, the breaker, and a bound on how much is under way.
 */
#include "daemon/core/flight.h"

#include "base/mem.h"
#include "daemon/core/renewal.h"
#include "daemon/core/waiter.h"

#include <assert.h>

#define MAX_RUNNING 1024
#define RESTART_GAP_MS 250
#define CALLERS_PARTS 10 /* a tenth of the budget is kept for callers */
#define WATCHED_FIRST_MS (INT64_C(86400) * MS_PER_S)
#define RETRY_HINT_MS 1000

struct demand *demand_obtain(struct engine *e, struct entry *entry)
{
	struct demand *d = entry->demand;

	if (d)
		return d;
	if (cache_reserve(&e->cache, &e->timers, e->waiters + e->demands + 1) < 0 ||
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
	list_init(&d->queue_node);
	list_init(&d->effect_node);
	entry->demand = d;
	list_append(&e->wanted, &d->node);
	e->demands++;
	return d;
}

void demand_release(struct engine *e, struct demand *d)
{
	struct entry *entry = d->entry;

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

static struct mono needed_by(const struct engine *e, const struct demand *d)
{
	const struct entry *entry = d->entry;
	struct mono at = entry->token_len
			     ? mono_add_ms(entry->expires_at, -e->config.freshness.min_ttl_ms)
			     : entry->timer.at; /* foreseen, or never */

	return list_is_empty(&d->watchers) ? at : mono_add_ms(at, -WATCHED_FIRST_MS);
}

void flight_enqueue(struct engine *e, struct demand *d, struct account *account)
{
	d->state = FLIGHT_QUEUED;
	d->account = account;
	if (!account) {
		heap_set(&e->renewals, &d->timer, needed_by(e, d));
		return;
	}
	list_append(&account->queued, &d->queue_node);
	if (account->queued_count++ == 0)
		list_append(&e->callers, &account->queue_node);
	e->queued++;
}

static void dequeue(struct engine *e, struct demand *d)
{
	struct account *account = d->account;

	d->state = FLIGHT_IDLE;
	d->account = NULL;
	if (!account) {
		heap_remove(&e->renewals, &d->timer);
		return;
	}
	list_unlink(&d->queue_node);
	list_unlink(&account->queue_node);
	if (--account->queued_count)
		list_append(&e->callers, &account->queue_node); /* the others' turn */
	e->queued--;
	quota_forget(&e->quota, account);
}

static struct demand *first_caller(const struct engine *e)
{
	struct account *a = container_of(list_first(&e->callers), struct account, queue_node);

	return container_of(list_first(&a->queued), struct demand, queue_node);
}

/* How many callers' fetches go before the next one of that user, all taking turns. */
static size_t turns_before(const struct engine *e, const struct account *account)
{
	size_t own = account->queued_count;
	size_t ahead = own;

	list_for_each (it, &e->callers) {
		struct account *other = container_of(it, struct account, queue_node);

		if (other != account)
			ahead += other->queued_count < own + 1 ? other->queued_count : own + 1;
	}
	return ahead + (e->renewals.count < own + 1 ? e->renewals.count : own + 1);
}

bool flight_is_refused(struct engine *e, struct mono now, const struct demand *d,
		       const struct account *account, struct mono deadline, struct reply *ret)
{
	int64_t wait_ms = breaker_wait_ms(&e->breaker, now);
	struct mono when;

	if (d->state == FLIGHT_RUNNING || d->state == FLIGHT_RETRY || d->account)
		return false;
	if (wait_ms > 0) {
		*ret = reply_error(e->breaker.reason, wait_ms, NULL);
		return true;
	}
	when = limiter_when(&e->limiter, now, turns_before(e, account), 0);
	if (mono_diff_ms(deadline, when) > 0 || mono_is_due(when, now))
		return false;
	*ret = reply_error(CODE_RATE_LIMITED, mono_diff_ms(when, now), NULL);
	return true;
}

void flight_request(struct engine *e, struct demand *d, struct account *account)
{
	if (d->state == FLIGHT_IDLE) {
		d->attempts = 0;
		d->not_refused = false;
		flight_enqueue(e, d, account);
	} else if (d->state == FLIGHT_QUEUED && !d->account && account) {
		dequeue(e, d);
		flight_enqueue(e, d, account);
	}
}

static void add_effect(struct engine *e, struct demand *d)
{
	list_unlink(&d->effect_node);
	list_append(&e->flights, &d->effect_node);
}

static void send(struct engine *e, struct mono now, struct demand *d)
{
	bool for_caller = d->account;

	e->renewals_turn = for_caller;
	dequeue(e, d);
	d->state = FLIGHT_RUNNING;
	d->sent_at = now;
	d->attempts++;
	d->wants_fetch = true;
	add_effect(e, d);
	e->running++;
	e->stats.fetches++;
	*(for_caller ? &e->stats.fetches_for_callers : &e->stats.fetches_for_renewal) += 1;
	e->stats.retries += d->attempts > 1;
	limiter_take(&e->limiter, now);
	breaker_sent(&e->breaker);
}

void flight_retry_at(struct engine *e, struct demand *d, struct mono at)
{
	d->state = FLIGHT_RETRY;
	heap_set(&e->timers, &d->timer, at);
}

void flight_restart(struct engine *e, struct mono now, struct demand *d)
{
	struct reply stopping = reply_error(CODE_SHUTTING_DOWN, RETRY_HINT_MS, NULL);
	struct waiter *first;

	if (d->state == FLIGHT_QUEUED) {
		return; /* it has not been asked for yet */
	} else if (d->state == FLIGHT_RUNNING) {
		assert(!d->wants_fetch); /* effects are drained between calls */
		d->wants_cancel = true;
		add_effect(e, d);
		e->running--;
		e->stats.cancelled++;
		breaker_abandoned(&e->breaker, now);
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
	first = container_of(d->waiters.next, struct waiter, node);
	flight_request(e, d, list_is_empty(&d->waiters) ? NULL : first->account);
}

void flight_retry_due(struct engine *e, struct demand *d)
{
	struct waiter *first = container_of(d->waiters.next, struct waiter, node);

	heap_remove(&e->timers, &d->timer);
	flight_enqueue(e, d, list_is_empty(&d->waiters) ? NULL : first->account);
}

/* Does what is planned for it, and sets when to look again. */
static void plan(struct engine *e, struct mono now, struct entry *entry)
{
	struct mono at;
	enum renewal renewal = renewal_plan(e, now, entry, &at);
	struct demand *d;

	cache_arm(&e->cache, entry, at);
	if (e->stopping || renewal != RENEWAL_NOW)
		return;
	d = demand_obtain(e, entry);
	if (d)
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
		plan(e, now, hollow);
	else
		cache_remove(&e->cache, entry);
}

static void forget(struct engine *e, struct mono now, struct entry *entry)
{
	struct demand *d = entry->demand;

	if (d && d->state == FLIGHT_QUEUED && !d->account && list_is_empty(&d->watchers)) {
		dequeue(e, d); /* too late for a renewal */
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
		plan(e, now, entry);
}

void flight_refuse_queued(struct engine *e, struct mono now, const struct reply *reply)
{
	while (!list_is_empty(&e->callers)) {
		struct demand *d = first_caller(e);

		dequeue(e, d);
		waiters_fail(e, now, d, reply);
		if (!list_is_empty(&d->watchers))
			flight_enqueue(e, d, NULL);
		demand_release(e, d);
	}
}

static void fail(struct engine *e, struct mono now, struct demand *d, const struct reply *reply)
{
	if (d->state == FLIGHT_QUEUED)
		dequeue(e, d);
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

/* Callers go first, and may use the whole budget; but while they come without end, the renewals are
 * as one more user among them, or nobody's token would be renewed. */
static bool is_callers_turn(const struct engine *e)
{
	return !list_is_empty(&e->callers) && !(e->renewals_turn && e->renewals.count);
}

/* The next to be sent, or NULL; wake_at is when there may be one. */
static struct demand *next_to_send(struct engine *e, struct mono now)
{
	size_t reserve;
	struct mono when;

	e->wake_at = MONO_NEVER;
	if (e->running >= MAX_RUNNING || e->stopping ||
	    (list_is_empty(&e->callers) && e->renewals.count == 0) || !breaker_lets(e, now))
		return NULL;
	reserve = list_is_empty(&e->callers) ? e->limiter.limit / CALLERS_PARTS : 0;
	when = limiter_when(&e->limiter, now, 0, reserve);
	if (!mono_is_due(when, now)) {
		e->wake_at = when;
		return NULL;
	}
	if (is_callers_turn(e))
		return first_caller(e);
	return e->renewals.count ? container_of(heap_first(&e->renewals), struct demand, timer)
				 : NULL;
}

void flight_dispatch(struct engine *e, struct mono now)
{
	struct demand *d;

	while ((d = next_to_send(e, now)))
		send(e, now, d);
}
