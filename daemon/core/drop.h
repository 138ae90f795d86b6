/* Forgetting tokens: a session's, or all.
 *
 * A token that was fetched before a drop is never served after it. What is in the cache is wiped; a
 * fetch under way is given up, and if anybody waits for it, another one starts, whose token is
 * newer than the drop. Clients that track are told.
 */
#pragma once

#include "daemon/core/state.h"

/* What a DROP names; how many tokens there were. */
uint64_t drop_session(struct engine *e, struct mono now, const struct request *request);

/* Everything. However much, it takes no longer than for the keys that somebody wants now: the rest
 * is freed by and by. */
uint64_t drop_all(struct engine *e, struct mono now);

/* EFFECT_DROPPED, with WIRE_ANY for all. */
void drop_note(struct engine *e, struct span session, struct span template);
