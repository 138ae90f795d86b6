/* The life of a fetch: queued, sent, retried, answered. See demand.h for its states. */
#pragma once

#include "daemon/core/state.h"

/* The entry's demand, made if there is none; NULL: no memory, or no room. */
struct demand *demand_obtain(struct engine *e, struct entry *entry);

/* Frees it if nobody wants the key any more, and the entry too if it holds nothing. A fetch that
 * was sent goes on; one that only waits for its turn does not. */
void demand_release(struct engine *e, struct demand *d);

/* Does what is planned for an entry now, and sets when to look at it again. */
void flight_plan(struct engine *e, struct mono now, struct entry *entry);

/* Queues an idle one again, for whoever still wants it. */
void flight_resume(struct engine *e, struct demand *d);

/* Tries again then. */
void flight_retry_at(struct engine *e, struct demand *d, struct mono at);

/* Wants a fetch, for that user, or for a renewal (NULL). Joins the one there is, at the better of
 * the two places. */
void flight_request(struct engine *e, struct demand *d, struct account *account);

/* Gives up the fetch under way, whose answer must not be used; asks again if anybody waits. */
void flight_restart(struct engine *e, struct mono now, struct demand *d);

/* One of its requests is over; IDLE if it was the last. */
void flight_ended(struct engine *e, struct demand *d, bool answered);

/* Forgets those that are under way. */
void flight_cancel(struct engine *e, struct demand *d);

/* The breaker need not be told of it any more; true if it was the probe. */
bool flight_was_probe(struct engine *e, const struct demand *d);

/* Sends what may be sent. */
void flight_dispatch(struct engine *e, struct mono now);

/* Answers all queued callers with that error. */
void flight_refuse_queued(struct engine *e, struct mono now, const struct reply *reply);

/* Answers everybody who waits with that error, or with what is in hand; those whose fetch is under
 * way only if `running_too`. */
void flight_fail_all(struct engine *e, struct mono now, const struct reply *reply,
		     bool running_too);

/* The deadlines of a demand, of an entry. */
void flight_timer_due(struct engine *e, struct mono now, struct demand *d);
void flight_entry_due(struct engine *e, struct mono now, struct entry *entry);
