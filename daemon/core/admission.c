/* See admission.h. */
#include "daemon/core/admission.h"

#include "daemon/core/flight.h"
#include "daemon/core/queue.h"
#include "daemon/core/waiter.h"

/* How many fetches go before it, if that user wants it too. */
static size_t turns_before(const struct engine *e, const struct demand *d,
			   const struct account *account)
{
	size_t joined = SIZE_MAX;
	size_t own = queue_turns_before(e, account, account->queued_count);

	if (d->state == FLIGHT_QUEUED && d->account)
		joined = queue_turns_before_it(e, d);
	return joined < own ? joined : own;
}

/* The error for who can't be served in time, there being room from `when` on. */
static struct reply no_room(struct engine *e, struct mono now, struct account *account,
			    struct mono when)
{
	when = limiter_hint(&e->limiter, now, &account->hints, when);
	return reply_error(CODE_RATE_LIMITED, mono_diff_ms(when, now), NULL);
}

struct mono admission_send_by(const struct engine *e, struct mono now, struct mono deadline)
{
	return mono_max(now, mono_add_ms(deadline, -e->usual_ms - 1));
}

bool admission_refuses(struct engine *e, struct mono now, const struct demand *d,
		       struct account *account, struct mono send_by, struct reply *ret)
{
	int64_t wait_ms = breaker_wait_ms(&e->breaker, now);
	struct mono when;

	if (d->state == FLIGHT_RETRY ||
	    (d->state == FLIGHT_RUNNING && (!d->overdue || wait_ms <= 0)))
		return false;
	if (wait_ms > 0) {
		*ret = reply_error(e->breaker.reason, wait_ms, NULL);
		return true;
	}
	limiter_note_user(&e->limiter, now, account->uid);
	when = limiter_turn(&e->limiter, now, turns_before(e, d, account));
	if (mono_is_due(when, send_by))
		return false;
	*ret = no_room(e, now, account, when);
	return true;
}

/* Who can't wait until then is told. */
static void refuse_impatient(struct engine *e, struct mono now, struct demand *d, struct mono when)
{
	list_for_each_safe (it, &d->waiters) {
		struct waiter *w = container_of(it, struct waiter, node);
		struct reply error;

		if (mono_is_due(when, w->send_by) || mono_is_due(when, now))
			continue;
		error = no_room(e, now, w->account, when);
		waiter_fail(e, now, w, &error);
	}
}

void admission_review(struct engine *e, struct mono now)
{
	struct lineup line = limiter_line(&e->limiter, now);
	struct list order;
	struct list *first;
	struct demand *d;

	list_init(&order);
	while ((d = queue_first_caller(e))) {
		queue_turn(e, d->account);
		queue_remove(e, d);
		list_append(&order, &d->queue_node);
	}
	while ((first = list_first(&order))) {
		d = container_of(first, struct demand, queue_node);
		list_unlink(first);
		refuse_impatient(e, now, d, limiter_line_turn(&e->limiter, now, &line));
		flight_resume(e, d);
		limiter_line_up(&e->limiter, &line, e->queued - line.count);
	}
}

/* Nobody would be there any more when Clerk answers. One that it was asked for already goes on. */
static bool is_hopeless(struct mono now, const struct demand *d)
{
	return d->attempts == 0 && list_is_empty(&d->watchers) &&
	       !mono_is_due(now, waiters_send_by(d));
}

/* Who waits for it is told when there will be room for one more. */
static void refuse_late(struct engine *e, struct mono now, struct demand *d)
{
	queue_remove(e, d);
	list_for_each_safe (it, &d->waiters) {
		struct waiter *w = container_of(it, struct waiter, node);
		size_t ahead = queue_turns_before(e, w->account, w->account->queued_count);
		struct reply error =
		    no_room(e, now, w->account, limiter_turn(&e->limiter, now, ahead));

		waiter_fail(e, now, w, &error);
	}
	flight_resume(e, d);
}

struct demand *admission_first_caller(struct engine *e, struct mono now)
{
	struct demand *d;

	while ((d = queue_first_caller(e)) && is_hopeless(now, d))
		refuse_late(e, now, d);
	return d;
}
