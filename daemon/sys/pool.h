/* Connections to BAPI, shared by the transfers that are under way on them: curl's multi handle on
 * raw libevent events. A part of upstream and exchange, and like them an owner of libcurl.
 *
 * A pool is one curl multi handle: a set of connections, one timer, and the transfers under way on
 * them. curl says which sockets it waits for and how long; libevent tells it what came of that, and
 * only then are finished transfers looked for, so `finished` runs outside of curl. Of a set of
 * pools one is for new transfers. Another takes its place with a new configuration, or when it is
 * worn; the old one ends with its last transfer.
 *
 * A pool is worn when transfers time out one after the other while nothing is answered: over HTTP/2
 * all share a connection, and one that went dead without a word would be used for ever, because a
 * stream that times out does not close it. And it is worn when it had no memory, for curl (7.88)
 * then may keep a connection that it waits for in vain, or divide by zero. If there was none to
 * watch a socket or a timer, nobody would ever tell curl to go on: the pool is broken, and all its
 * transfers are given up.
 */
#pragma once

#include "base/list.h"
#include "daemon/core/answer.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

struct event_base;
struct pool;

/* One request, a part of its owner's. */
struct transfer {
	struct list link; /* the pool's; pool_set_add() sets both */
	struct pool *pool;
	CURL *easy; /* the owner's to make and to clean up */
};

struct pool_set {
	struct event_base *base;
	/* It is out of the pool. It may begin and end others, but not free the set. */
	void (*finished)(struct transfer *t, CURLcode result);
	size_t max_connections;
	struct pool *pool; /* for new transfers */
	struct list pools; /* that one, and those that it replaced */
	unsigned timeouts_in_row;
};

void pool_set_init(struct pool_set *set, struct event_base *base,
		   void (*finished)(struct transfer *t, CURLcode result));

/* All its transfers must have been taken out. */
void pool_set_deinit(struct pool_set *set);

/* New transfers go on new connections, at most so many; those under way go on as they began. 0 or
 * -ENOMEM (nothing changes). */
int pool_set_replace(struct pool_set *set, size_t max_connections);

/* Begins it. `finished` is never called from within. 0 or -ENOMEM. */
int pool_set_add(struct pool_set *set, struct transfer *t);

/* Takes it out before it has finished; nothing happens if it is in none. */
void pool_set_remove(struct transfer *t);

/* As if it had finished with that; a timer of its owner's has run out. */
void pool_set_finish(struct transfer *t, CURLcode result);

/* How it ended, and whether its pool's connections still serve. */
void pool_set_note(struct transfer *t, enum transport transport);

/* The same code for all: what curl's result means, given what became of the request. */
enum transport transfer_transport(const struct transfer *t, CURLcode result);

/* The connection takes one request at a time: HTTP/1. */
bool transfer_is_exclusive(const struct transfer *t);

struct timeval pool_timeval(int64_t ms);
