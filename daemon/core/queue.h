/* Fetches, and calls of others (call.h), that wait for their turn: who goes first.
 *
 * Callers, always: a ring of users who take turns, each with a queue of its own, in the order in
 * which they came, but what Clerk has been asked for already, in vain, before what it has not. Then
 * what nobody waits for: watched keys, by when their token is no longer good for a caller; then all
 * others, by how soon and how surely they are needed: what may not be used at all stands a window
 * behind what surely is.
 *
 * A watched key whose time has come takes a place in the queue of who watches it, so that callers
 * without end don't end its tokens.
 */
#pragma once

#include "daemon/core/state.h"

/* Puts an idle fetch in the queue of that user, or of renewals (NULL). */
void queue_add(struct engine *e, struct demand *d, struct account *account);

/* Takes it out, idle. The account goes if that was the last that it held. */
void queue_remove(struct engine *e, struct demand *d);

/* That user had its turn. */
void queue_turn(struct engine *e, struct account *account);

/* The same for a call, which is always a caller's. */
void queue_add_call(struct engine *e, struct call *call, struct account *account);
void queue_remove_call(struct engine *e, struct call *call);

/* The first of all callers', calls among them or not; the same, a fetch; the first of all renewals.
 * NULL if there is none. */
struct place *queue_first(const struct engine *e, bool calls_too);
struct demand *queue_first_caller(const struct engine *e);
struct demand *queue_first_renewal(const struct engine *e);

/* How many go before the one that has `own` of that user's before it. */
size_t queue_turns_before(const struct engine *e, const struct account *account, size_t own);

/* How many go before that one, which is a caller's; far back, as if it were its user's last: what
 * is asked for costs no walk through all that is queued. */
size_t queue_turns_before_it(const struct engine *e, const struct place *place);

/* It is watched now, or no longer, or has lost its token. */
void queue_reorder(struct engine *e, struct demand *d);

/* Moves the watched keys whose time has come to their watchers' queues, at the pace of renewals.
 * Returns when there will be more to move. */
struct mono queue_promote(struct engine *e, struct mono now, size_t reserve);
