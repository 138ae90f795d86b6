/* The engine's state, for the files that make it up: engine.c (requests), admission.c,
 * flight.c, queue.c and landing.c (fetches), waiter.c, watch.c, stats.c (the numbers). */
#pragma once

#include "daemon/core/breaker.h"
#include "daemon/core/busy.h"
#include "daemon/core/cache.h"
#include "daemon/core/engine.h"
#include "daemon/core/latency.h"
#include "daemon/core/limiter.h"
#include "daemon/core/quota.h"
#include "daemon/core/skew.h"
#include "daemon/core/stats.h"

/* What engine.timers holds beside the entries' own deadlines. */
enum timer_tag {
	TIMER_WAITER,
	TIMER_DEMAND,
	TIMER_CALL,
};

#define MAX_RUNNING 1024 /* requests to Clerk */

struct engine {
	struct engine_config config;
	int64_t lookup_min_ttl_ms;   /* what engine_lookup() wants of a token */
	const struct access *access; /* NULL: no rules */
	struct quota quota;
	struct cache cache;
	struct limiter limiter;
	struct breaker breaker;
	struct rhythm rhythm;
	int64_t load;	     /* of the budget, smoothed, in millionths */
	struct mono load_at; /* when it was looked at */
	struct random random;
	struct stats stats;
	struct process_facts process;

	struct heap timers;   /* waiters, retries */
	struct heap renewals; /* queued fetches that nobody waits for, the most urgent first */
	struct list callers;  /* ring of accounts with something queued that somebody waits for */
	size_t queued;	      /* of fetches and calls in all accounts */
	bool was_crowded;     /* when they were last looked at */
	size_t running;	      /* requests under way */
	size_t unanswered;    /* of them at most so many were sent since Clerk last answered */
	size_t room;	      /* how many may be under way: what waits for a connection waits in our
				 queues, where it has a place and a deadline */
	struct mono answered_at;
	struct demand *probe; /* that the breaker waits for, or NULL */
	struct list calls;    /* struct call.node: those that wait, by their coming */
	size_t calling;	      /* those that were admitted, and are not over */
	struct list wanted;   /* struct demand.node: all */
	size_t demands;	      /* how many: what the heaps must have room for */
	struct map watches;   /* by client and session */
	size_t waiters;
	struct mono wake_at; /* when the queues can move */
	struct latency latency;
	int64_t slowest_ms; /* that Clerk has lately been */
	int64_t usual_ms;   /* that it usually takes; 0: not known */
	struct skew skew;
	struct mono key_since;
	const char *clerk_reason; /* of Clerk's last failure, a static text; NULL: none yet */
	const char *clerk_detail; /* the same, as the HTTP library says it, or NULL */
	unsigned unusable;	  /* answers without a usable token, in a row */
	bool stopping;

	struct list answered; /* struct waiter.node: EFFECT_REPLY */
	struct list flights;  /* struct demand.effect_node: EFFECT_CANCEL, EFFECT_FETCH */
	struct list pushes;   /* struct watch.effect_node: EFFECT_PUSH */
	struct list judged;   /* struct call.node: EFFECT_ADMITTED, EFFECT_REFUSED */
	bool has_dropped;     /* EFFECT_DROPPED */
	struct key dropped;
	char dropped_names[2 * WIRE_NAME_MAX];

	struct busy busy; /* what STATS has seen of the keys */
};

/* How many there may be in engine.timers, as things are. */
static inline size_t timers_wanted(const struct engine *e)
{
	return e->waiters + e->demands + e->quota.held[QUOTA_CALLS];
}

/* watch.c: a watch of that demand, not established yet; NULL: no memory, or no room. */
struct watch *watch_new(struct engine *e, struct client *client, struct demand *d);

/* Its demand's release is the caller's. */
void watch_free(struct engine *e, struct watch *w);

/* The client's watch of that key, or NULL. */
struct watch *watch_find(const struct engine *e, const struct client *client,
			 const struct key *key);

/* That waiter's answer decides about the watch, if no other's has. */
void watch_await(struct watch *w, struct waiter *waiter);
void watch_answered(struct engine *e, struct waiter *waiter, bool with_token);

/* The client knows the token that is there now. */
void watch_establish(struct watch *w);

/* There will be no token for it any more. */
void watch_gone(struct engine *e, struct watch *w, enum code code);

/* To all watches of a demand: there is another token; there will be none. */
void watches_tell(struct engine *e, struct demand *d);
void watches_gone(struct engine *e, struct demand *d, enum code code);

/* The entry has another size: who can't keep that is told that the watch has ended. */
void watches_pin(struct engine *e, struct demand *d);
