/* Requests that are Clerk's to answer: passed through to BAPI as they are, streamed both ways.
 *
 * Each takes one place in the budget that token fetches go by, and waits for its turn as they do;
 * GET /v1/jwks takes none, and is answered from memory where that is fresh enough. What is changed
 * on the way: fields that concern one connection (RFC 9110, 7.6.1) stay behind both ways, Host and
 * the framing are each side's own, and who has no key gets the daemon's. It goes nowhere but to
 * api_url, and follows no redirect. A session that a request may have changed is dropped before its
 * answer is seen, and where none is seen.
 *
 * No callback is called from within a function of this file, but each from the event loop; they may
 * call any. A relay ends with exactly one call of `end` or `failed`, or with relay_cancel(), and is
 * gone then.
 */
#pragma once

#include "base/instant.h"
#include "base/span.h"
#include "daemon/core/engine.h"
#include "daemon/core/passage.h" /* struct relay_failure */

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct relay;
struct relays;
struct upstream_config;

#define RELAY_NO_BODY (-1)
#define RELAY_CHUNKED (-2) /* a body whose length is not known */

/* All is borrowed for the call of relay_start(). */
struct relay_request {
	struct span method; /* a token of RFC 9110, in any case as it came */
	struct span target; /* path and query, from its first slash on */
	const struct httpfield *fields;
	size_t n_fields;
	int64_t body_len; /* of bytes, or one of the above */
	bool add_key;	  /* the caller has none: Authorization is the daemon's */
};

/* Borrowed for the callback. `fields` has no Content-Length and nothing of the connection. */
struct relay_head {
	int status; /* 200 to 599: what comes before it (1xx) stays here */
	const struct httpfield *fields;
	size_t n_fields;
	int64_t body_len; /* as Clerk declares it, also where none follows (HEAD, 304); -1: it
			     doesn't */
};

struct relay_callbacks {
	void (*head)(void *arg, const struct relay_head *head);

	/* Returns how many bytes were taken; the others come again after relay_resume(). */
	size_t (*body)(void *arg, struct span data);

	/* relay_push() takes more than it last did. */
	void (*room)(void *arg);

	void (*end)(void *arg);

	/* Before `head`: to be told to the caller. After it: the answer breaks off. */
	void (*failed)(void *arg, const struct relay_failure *failure);
};

/* `settle` carries out the engine's effects, but where a function says that there are some. 0 or
 * -ENOMEM. */
int relays_new(struct event_base *base, struct engine *engine, const struct upstream_config *config,
	       const struct secret *key, void (*settle)(void *arg), void *arg, struct relays **ret);

/* Cancels all. The engine and the clients must still be there. */
void relays_free(struct relays *r);

/* For those that come; those under way go on as they began. What is remembered of another Clerk is
 * forgotten. 0 or -ENOMEM (nothing changes). */
int relays_configure(struct relays *r, const struct upstream_config *config,
		     const struct secret *key);

/* Begins one for that client; `arg` goes to the callbacks, which stay the caller's. 0, -ENOMEM, or
 * -EINVAL: nothing that may be passed on (a method, target or field with bytes that have no place
 * there, an absolute URL). Effects. */
int relay_start(struct relays *r, struct mono now, struct client *client,
		const struct relay_request *request, const struct relay_callbacks *callbacks,
		void *arg, struct relay **ret);

/* More of the request's body. Returns how much of it was taken, 0 where there is no room: then
 * `room` is called when there is. */
size_t relay_push(struct relay *r, struct span data);

/* The body is complete; not needed without one. */
void relay_push_end(struct relay *r);

/* The caller takes more of the answer. */
void relay_resume(struct relay *r);

/* The caller has gone. No callback is called any more. Effects. */
void relay_cancel(struct relay *r);
