/* The requests of an asynchronous connection, from the call that makes one to the event that ends
 * it. No I/O and no clock.
 *
 * A request has a number, which is its id for the caller and its tag on each connection on which it
 * is asked. Numbers are never used again, so that a late answer finds nobody. `place` is the list
 * that a request stands in: to be asked, asked, or resting (a watch between two tokens). Beside
 * that it stands in the list of news when it has an event for the caller; a watch has at most one
 * there, the latest. A request is gone once its last event was taken, so that what a caller doesn't
 * take is bounded too.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "client/own.h"

/* A power of two: a number's place is told by its lowest bits. */
#define PENDING_MAX CLERKTOKEN_ASYNC_MAX

struct pending {
	struct request request; /* its names are those below */
	bool derives_wait;	/* from the deadline */
	bool is_watching; /* a watch that has had its first answer; it has no deadline any more */
	bool is_on_wire;  /* it was asked on the connection that there is now */
	bool is_asked;	  /* and waits for the answer */
	bool is_outdated; /* a watch: there is a newer token since it was asked */
	uint8_t sends;
	struct own_ticket ticket; /* a GET's */
	uint64_t token_id;	  /* a watch: of the token that the caller has */
	struct mono asked;	  /* when it was last asked */
	struct heap_node due;	  /* its end; of a watch that rests, when it is asked again */
	struct list place, news;
	struct clerktoken_event event;
	char session[WIRE_NAME_MAX], template[WIRE_NAME_MAX];
};

struct pendings {
	struct pending **slots; /* PENDING_MAX */
	size_t count;
	uint64_t last_number;
	struct heap due;
	struct list queue, asked, resting, news;
};

/* 0 or -ENOMEM. */
int pendings_init(struct pendings *all);
void pendings_deinit(struct pendings *all);

/* Copies the request to the end of the queue. 0, -ENOMEM, or -ENOBUFS: there are PENDING_MAX. */
int pendings_add(struct pendings *all, const struct request *request, struct mono deadline,
		 struct pending **ret);

/* Ends it without an event. */
void pendings_remove(struct pendings *all, struct pending *p);

/* NULL: none, or no longer. */
struct pending *pendings_find(const struct pendings *all, uint64_t number);

/* The watch of that key that isn't over, or NULL; the template as on the wire. */
struct pending *pendings_find_watch(const struct pendings *all, struct span session,
				    struct span template);

/* Moves it to the end of one of the lists of places. */
void pending_move(struct pending *p, struct list *place);

/* The event in it is for the caller now. A last one ends the request. */
void pendings_tell(struct pendings *all, struct pending *p, bool is_over);

/* What was asked goes before what is to be asked; what rests goes behind it. */
void pendings_ask_all_again(struct pendings *all);

/* Takes the next event; false if there is none. */
bool pendings_take_event(struct pendings *all, struct clerktoken_event *ret);

static inline struct pending *pending_at(struct list *place)
{
	return container_of(place, struct pending, place);
}
