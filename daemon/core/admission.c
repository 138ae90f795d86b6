/* See admission.h. */
#include "daemon/core/admission.h"

#include "daemon/core/call.h"
#include "daemon/core/flight.h"
#include "daemon/core/queue.h"
#include "daemon/core/waiter.h"

/* How many fetches go before it, if that user wants it too. */
static size_t turns_before(const struct engine *e, const struct demand *d,
			   const struct account *account)
{
	size_t joined = SIZE_MAX;
	size_t own = queue_turns_before(e, account, account->queued_count);

	if (d->state == FLIGHT_QUEUED && d->place.account)
		joined = queue_turns_before_it(e, &d->place);
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

bool admission_refuses_call(struct engine *e, struct mono now, struct account *account,
			    struct mono admit_by, struct reply *ret)
{
	struct mono when;

	limiter_note_user(&e->limiter, now, account->uid);
	when =
	    limiter_turn(&e->limiter, now, queue_turns_before(e, account, account->queued_count));
	if (mono_is_due(when, admit_by))
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

static void take_out(struct engine *e, struct place *place)
{
	if (place->is_call)
		queue_remove_call(e, container_of(place, struct call, place));
	else
		queue_remove(e, container_of(place, struct demand, place));
}

static void review_call(struct engine *e, struct mono now, struct call *call, struct mono when)
{
	struct reply error;

	if (mono_is_due(when, call->admit_by)) {
		queue_add_call(e, call, call->account);
		return;
	}
	error = no_room(e, now, call->account, when);
	call_refuse(e, call, &error);
}

/* Its turn will be then; it is in no queue now. */
static void review(struct engine *e, struct mono now, struct place *place, struct mono when)
{
	struct demand *d;

	if (place->is_call) {
		review_call(e, now, container_of(place, struct call, place), when);
		return;
	}
	d = container_of(place, struct demand, place);
	refuse_impatient(e, now, d, when);
	flight_resume(e, d);
}

void admission_review(struct engine *e, struct mono now)
{
	struct lineup line = limiter_line(&e->limiter, now);
	struct list order;
	struct list *first;
	struct place *place;

	list_init(&order);
	while ((place = queue_first(e, true))) {
		queue_turn(e, place->account);
		take_out(e, place);
		list_append(&order, &place->node);
	}
	while ((first = list_first(&order))) {
		list_unlink(first);
		review(e, now, container_of(first, struct place, node),
		       limiter_line_turn(&e->limiter, now, &line));
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

struct place *admission_first_caller(struct engine *e, struct mono now, bool calls_too)
{
	struct place *place;
	struct demand *d;

	while ((place = queue_first(e, calls_too)) && !place->is_call) {
		d = container_of(place, struct demand, place);
		if (!is_hopeless(now, d))
			break;
		refuse_late(e, now, d);
	}
	return place;
}
