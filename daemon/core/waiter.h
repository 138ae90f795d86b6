/* The requests that wait for a fetch, each with a deadline and a least life of its own. */
#pragma once

#include "daemon/core/state.h"

/* One more who waits for that key, charged to the client. NULL: no memory, or no room. */
struct waiter *waiter_new(struct engine *e, struct client *client, struct demand *d,
			  int64_t min_ttl_ms, struct mono send_by, struct mono deadline);
void waiter_free(struct engine *e, struct waiter *w);

/* The reply is the waiter's: it leaves its demand, whose release is the caller's. */
void waiter_answer(struct engine *e, struct mono now, struct waiter *w, const struct reply *reply);

/* What is in hand is better than an error, if it is what the waiter asked for. */
void waiter_fail(struct engine *e, struct mono now, struct waiter *w, const struct reply *error);
void waiters_fail(struct engine *e, struct mono now, struct demand *d, const struct reply *error);

/* What a waiter gets when its time is over. */
struct reply waiter_timeout_reply(struct engine *e, struct mono now, const struct waiter *w);

/* When the most patient one's time is over; long ago if there is none. */
struct mono waiters_last_deadline(const struct demand *d);

/* When at the latest its fetch is to be sent for one of them; long ago if there is none. */
struct mono waiters_send_by(const struct demand *d);

/* The token of an entry as it is now; whether there is one with so much life left. */
struct token_view entry_view(const struct entry *entry, struct mono now, enum token_source source);
bool entry_is_valid(const struct entry *entry, struct mono now, int64_t min_ttl_ms);
