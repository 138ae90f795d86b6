/* One HTTP exchange with BAPI, whose bodies are streamed both ways: the part of relay that has to
 * do with libcurl, of which it is an owner.
 *
 * Exchanges have connections of their own, so that whoever reads or sends slowly takes none from
 * token fetches. They speak HTTP/1.1, where a body that is not taken stops one connection: over
 * HTTP/2 libcurl (7.88) lets a stream that is paused hold up all others of its connection, and
 * BAPI send 32 MiB that somebody must keep.
 *
 * Between the two sides stand two buffers of EXCHANGE_BUFFER bytes. Callbacks come from the event
 * loop, never from within a function of this file, and may call any. An exchange ends with `over`,
 * or with exchange_free(), which is called after it in any case.
 */
#pragma once

#include "base/secret.h"
#include "daemon/core/passage.h"
#include "daemon/sys/upstream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXCHANGE_BUFFER 32768 /* bytes each way */
#define EXCHANGE_IDLE 6	      /* times request_timeout: nothing has moved for so long */
#define EXCHANGE_NO_BODY (-1)
#define EXCHANGE_CHUNKED (-2)

struct event_base;
struct exchange;
struct exchanges;

/* Borrowed for the call. What must not be passed on is left out here. */
struct exchange_request {
	struct span method, target;
	const struct httpfield *fields;
	size_t n_fields;
	int64_t body_len; /* or one of the above */
	bool add_key;
	bool is_brief; /* all of it must be over within request_timeout */
};

/* Borrowed for the callback. */
struct exchange_head {
	int status;
	const struct httpfield *fields; /* those that are passed on */
	size_t n_fields;
	int64_t body_len; /* -1: not known */
	struct span content_type, cache_control, date, retry_after;
};

struct exchange_callbacks {
	void (*head)(void *arg, const struct exchange_head *head);
	size_t (*body)(void *arg, struct span data); /* how much was taken */
	void (*room)(void *arg);
	void (*over)(void *arg, enum transport transport);
};

/* 0 or -ENOMEM. */
int exchanges_new(struct event_base *base, const struct upstream_config *config,
		  const struct secret *key, struct exchanges **ret);

/* All exchanges must have been freed. */
void exchanges_free(struct exchanges *s);

/* For those that come. 0 or -ENOMEM (nothing changes). */
int exchanges_configure(struct exchanges *s, const struct upstream_config *config,
			const struct secret *key);

/* Makes one, which does nothing yet but take of a body what it has room for. `callbacks` stay the
 * caller's. 0, -ENOMEM, or -EINVAL: nothing that may be passed on. */
int exchange_new(struct exchanges *s, const struct exchange_request *request,
		 const struct exchange_callbacks *callbacks, void *arg, struct exchange **ret);
void exchange_free(struct exchange *x);

/* Sends it. 0 or -ENOMEM. */
int exchange_begin(struct exchange *x);

size_t exchange_push(struct exchange *x, struct span data);
void exchange_push_end(struct exchange *x);
void exchange_resume(struct exchange *x);
