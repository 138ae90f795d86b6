/* The HTTP front: Clerk's own SDKs, with the daemon as their API's address, get tokens from the
 * cache. A request for a token is answered as Clerk's Backend API would, by the same core as the
 * socket's; all others are passed on to Clerk.
 *
 * At a loopback port the caller must know the daemon's own secret key, and then may have
 * everything; at a Unix socket it is whom the kernel says, the rules of access hold, and it needs
 * no key. Requests that were forwarded, come from a browser, or name another host are refused.
 */
#pragma once

#include "daemon/core/config.h"

#include <stdbool.h>
#include <stddef.h>

#define FRONT_CONNECTIONS_MAX 1024 /* at a port: one more takes the place of an idle one */

struct activation_sockets;
struct engine;
struct event_base;
struct front;
struct keyring;
struct secret;
struct upstream_config;

struct front_callbacks {
	/* The engine may have effects, and its deadlines may have changed. */
	void (*settle)(void *arg);

	/* After front_stop(): the last connection has gone. */
	void (*drained)(void *arg);

	void *arg;
};

/* Serves at what was handed over, or where [listen] http says; a socket has the mode and the group
 * of the clients'. `engine` has been told of the rules of access. 0, *ret being NULL where it is
 * off, or negative errno after having said why. In the other functions NULL is accepted. */
int front_new(struct event_base *base, struct engine *engine, const struct keyring *keys,
	      const struct config *config, const struct activation_sockets *handed,
	      const struct upstream_config *upstream, const struct front_callbacks *callbacks,
	      struct front **ret);
void front_free(struct front *f);

/* What of a configuration can change while it serves, the rules above all, which the engine has
 * been told of: who has connected is judged by them. Call engine_enforce() afterwards. */
void front_configure(struct front *f, const struct config *config);

/* How Clerk is reached, and with which key, by what is passed on from now on. 0 or -ENOMEM. */
int front_connect(struct front *f, const struct upstream_config *upstream,
		  const struct secret *key);

/* Accepts no more, closes connections as their answers have left. */
void front_stop(struct front *f);

size_t front_count(const struct front *f); /* connections */
