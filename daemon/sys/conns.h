/* The set of clients' connections, each of which is a `struct conn`.
 *
 * A wake of the loop is one read for each connection that has sent something, then the requests in
 * what they sent, then one write for each: most of the time that an answer from memory takes is
 * spent waiting for memory, and what is looked up together waits together. The bytes pass through
 * two buffers that all connections share, and only what is left over (half a line, what the client
 * doesn't read) stays with the connection. An idle one holds neither.
 */
#pragma once

#include "base/instant.h"
#include "daemon/core/engine.h"

#include <stdbool.h>

struct event_base;
struct conns;

struct conns_callbacks {
	/* Carries out the engine's effects (conns_effect() those that are ours). */
	void (*drain)(void *arg);
	/* All is quiet again: deadlines may have changed. */
	void (*settled)(void *arg);
	void *arg;
};

/* `max_reply`: bytes of the longest reply line. `access`: as for conns_set_access(). 0 or -ENOMEM.
 */
int conns_new(struct event_base *base, struct engine *engine, size_t max_reply,
	      const struct access *access, const struct conns_callbacks *callbacks,
	      struct conns **ret);

/* Closes all. */
void conns_free(struct conns *c);

/* A longer or shorter longest reply, after a reload. */
void conns_set_max_reply(struct conns *c, size_t max_reply);

/* Whether each token that is handed out is reported. The engine must be configured so, too. Call
 * conns_set_access() afterwards: it finds out who has connected. */
void conns_set_audit(struct conns *c, bool audit);

/* Other rules of access, which stay the caller's (NULL: none), for the engine, too. Who has
 * connected already is judged by them: call engine_enforce() when all clients have been, then
 * conns_settle(). */
void conns_set_access(struct conns *c, const struct access *access);

/* Takes over an accepted socket; where it can't be served, says so on it and closes it. */
void conns_accept(struct conns *c, int fd);

/* Answers what has been read in this wake: to be called at its end. */
void conns_take_turns(struct conns *c);

/* EFFECT_PUSH, EFFECT_DROPPED. Nothing is written to a socket yet, and no connection
 * goes away. */
void conns_effect(struct conns *c, const struct effect *effect);

/* Writes what effects have left, closes what is to be closed, until all is quiet: to be called
 * after each entry into the engine that did not come from here. */
void conns_settle(struct conns *c, struct mono now);

/* Deadlines of half-sent lines and of clients that don't read. */
struct mono conns_next_deadline(const struct conns *c);
void conns_tick(struct conns *c, struct mono now); /* then conns_settle() */

/* No more requests are read; connections close as their answers have left: call conns_settle(). */
void conns_drain(struct conns *c);

size_t conns_count(const struct conns *c);
