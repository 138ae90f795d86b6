/* The life of a fetch: queued, sent, retried, answered. See demand.h for its states. */
#pragma once

#include "daemon/core/state.h"

/* The entry's demand, made if there is none; NULL: no memory, or no room. */
struct demand *demand_obtain(struct engine *e, struct entry *entry);

/* Frees it if nobody wants the key any more, and the entry too if it holds nothing. */
void demand_release(struct engine *e, struct demand *d);

/* True if Clerk can't be asked for it within a caller's time; *ret says why and when. */
bool flight_is_refused(struct engine *e, struct mono now, const struct demand *d,
		       const struct account *account, struct mono deadline, struct reply *ret);

/* Puts an idle one in the queue of that user, or of renewals (NULL). */
void flight_enqueue(struct engine *e, struct demand *d, struct account *account);

/* Tries again then. */
void flight_retry_at(struct engine *e, struct demand *d, struct mono at);

/* Wants a fetch, for that user, or for a renewal (NULL). Joins the one there is. */
void flight_request(struct engine *e, struct demand *d, struct account *account);

/* Gives up the fetch under way, whose answer must not be used; asks again if anybody waits. */
void flight_restart(struct engine *e, struct mono now, struct demand *d);

/* Sends what may be sent. */
void flight_dispatch(struct engine *e, struct mono now);

/* Answers all queued callers with that error. */
void flight_refuse_queued(struct engine *e, struct mono now, const struct reply *reply);

/* Answers everybody who waits with that error, or with what is in hand; those whose fetch is under
 * way only if `running_too`. */
void flight_fail_all(struct engine *e, struct mono now, const struct reply *reply,
		     bool running_too);

/* The deadlines of a retry, of an entry. */
void flight_retry_due(struct engine *e, struct demand *d);
void flight_entry_due(struct engine *e, struct mono now, struct entry *entry);
