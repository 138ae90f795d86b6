/* Who wants a key now: those who wait for its fetch, those who watch it, and the fetch itself.
 *
 * A demand belongs to its entry and lives while one of the three is there. There is one fetch per
 * key, whoever asked first; it is the daemon's own, and goes on when they have gone. Where its
 * request is not answered for too long there is a second one, and the first answer counts.
 *
 *     IDLE -> QUEUED -> RUNNING -> IDLE        answered
 *                ^         |
 *                +- RETRY <+                   failed, and worth another attempt
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "daemon/core/cache.h"
#include "proto/reply.h"

/* A place in the queue of a user: a fetch's, or that of a call which somebody else makes. */
struct place {
	struct list node;	 /* account->queued */
	struct account *account; /* NULL: in none */
	bool is_call;
};

enum flight_state {
	FLIGHT_IDLE,
	FLIGHT_QUEUED,	/* for its turn in the budget */
	FLIGHT_RUNNING, /* Clerk was asked; overdue at `timer` */
	FLIGHT_RETRY,	/* until `timer` */
};

struct demand {
	struct entry *entry;
	struct list node;     /* engine.wanted */
	struct list waiters;  /* struct waiter.node */
	struct list watchers; /* struct watch.node */

	enum flight_state state;
	unsigned attempts;
	bool not_refused;    /* fetched because a caller was refused with the last one */
	bool rechecked;	     /* Clerk said once that there is no such session */
	unsigned copies;     /* RUNNING: requests under way, 2 where the first was overdue */
	bool overdue;	     /* the breaker was told of it as a failure */
	bool sent_again;     /* a second request was sent, at second_at */
	struct mono sent_at; /* the first of them */
	struct mono second_at;
	unsigned chance;	/* that a renewal is used, per mille */
	struct mono restart_at; /* not before, after a DROP */
	struct place place;	/* QUEUED: without an account it is in engine.renewals */
	struct heap_node timer; /* RETRY, RUNNING: in engine.timers; a queued renewal: in
				   engine.renewals */

	bool wants_cancel, wants_fetch; /* effects to pop, in this order */
	struct list effect_node;
};

/* A request that waits. */
struct waiter {
	struct list node; /* demand->waiters, then engine.answered */
	struct heap_node timer;
	struct demand *demand; /* NULL: answered */
	struct client *client;
	struct account *account; /* the client's */
	struct watch *watch;	 /* the WATCH that this is the first answer of */
	struct list watch_node;	 /* watch->waiters */
	void *cookie;		 /* the caller's */
	int64_t min_ttl_ms;
	struct mono send_by; /* its fetch, to be answered in time */
	struct mono since;
	struct key key; /* with the reply: borrowed from the entry */
	struct reply reply;
};

/* A key that a client watches. */
struct watch {
	struct map_node chain;	/* engine.watches */
	struct list node;	/* demand->watchers */
	struct list owner_node; /* client->watches */
	struct list effect_node;
	struct demand *demand; /* NULL: gone */
	struct client *client;
	enum code gone;	     /* why it can't be renewed any more */
	struct list waiters; /* struct waiter.watch_node: whose answer may establish it */
	bool established;    /* a first answer was given */
	uint64_t seen_id;    /* of the token that was told last */
	size_t pinned;	     /* bytes of its entry that are charged to its client */
	struct key key;	     /* points into `names` */
	char names[];
};
