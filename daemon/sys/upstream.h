/* Clerk's Backend API over HTTP: the only owner of libcurl.
 *
 * One multi handle, driven by raw libevent events; nothing here blocks, name resolution included
 * (curl's threads). Connections are kept and shared; over TLS they speak HTTP/2 where BAPI does.
 * Each fetch ends in exactly one call of `done`, from the event loop, unless it was cancelled.
 */
#pragma once

#include "base/secret.h"
#include "base/span.h"
#include "daemon/core/answer.h"

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct upstream;

/* Strings are copied. */
struct upstream_config {
	const char *api_url; /* without a slash at its end */
	const char *api_version;
	const char *ca_file; /* PEM, the only CAs to trust; NULL: the system's */
	const char *user_agent;
	int64_t connect_timeout_ms, request_timeout_ms;
	size_t max_connections;
	size_t max_answer; /* bytes of a body */
};

/* `flight` is what upstream_fetch() was given. The answer is borrowed for the call, which may fetch
 * and cancel, but not free the upstream. */
typedef void upstream_done_fn(void *arg, void *flight, const struct answer *answer);

/* Once in a process, before anything else here; gives curl our allocator. SIGPIPE must be ignored
 * by then. 0, -ENOMEM, or -ENOTSUP: this libcurl has no TLS or would block to resolve names. */
int upstream_global_init(void);
void upstream_global_deinit(void);

/* 0 or -ENOMEM. */
int upstream_new(struct event_base *base, const struct upstream_config *config,
		 const struct secret *key, upstream_done_fn *done, void *arg,
		 struct upstream **ret);

/* Cancels all; `done` is not called any more. */
void upstream_free(struct upstream *u);

/* Asks for a token. `template` empty: the plain session token; `expires_in_s` 0: as Clerk likes.
 * `flight` names the fetch; if it is under way already this is one more request for it. `fresh`: on
 * a connection of its own, others may be dead. `done` is never called from within.
 * 0, -ENOMEM, or -EINVAL: a name that must not get into a URL. */
int upstream_fetch(struct upstream *u, void *flight, struct span session, struct span template,
		   uint64_t expires_in_s, bool fresh);

/* Forgets all requests of that name; nothing happens if there is none. */
void upstream_cancel(struct upstream *u, void *flight);

/* For the fetches that come, on new connections; those under way go on as they began. 0 or -ENOMEM
 * (nothing changes). */
int upstream_configure(struct upstream *u, const struct upstream_config *config,
		       const struct secret *key);
