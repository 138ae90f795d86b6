/* Calls of BAPI that somebody else makes (daemon/sys/relay.h), and that are counted as fetches are,
 * so that the whole host stays inside Clerk's limit.
 *
 * A call waits for its turn among its user's fetches, in the order in which they came, and is
 * admitted or refused; a 429 to it is an objection to all. The breaker has no part in it: what
 * Clerk says of tokens need not hold for the rest, and the caller is told what Clerk says.
 */
#pragma once

#include "daemon/core/state.h"

struct call {
	struct place place;
	struct list node;	/* engine.calls, then engine.judged, then none */
	struct heap_node timer; /* while it waits: when that is over */
	const struct client *client;
	struct account *account; /* charged with it */
	void *cookie;
	struct mono admit_by;
	struct mono sent_at;
	bool is_admitted;
	struct reply refusal; /* of one in engine.judged that is not */
};

/* Whether one more may be under way: what waits for a connection waits in our queues. */
bool call_has_room(const struct engine *e);

/* Its turn has come. */
void call_admit(struct engine *e, struct mono now, struct call *call);

/* It is out of the queue, and told so. */
void call_refuse(struct engine *e, struct call *call, const struct reply *error);

/* It has waited long enough. */
void call_due(struct engine *e, struct mono now, struct call *call);

/* Refuses all that wait. */
void calls_refuse(struct engine *e, const struct reply *error);

/* Refuses those that wait and whose client may call no more. */
void calls_enforce(struct engine *e);

/* EFFECT_ADMITTED or EFFECT_REFUSED. */
void call_pop(struct engine *e, struct effect *ret);
