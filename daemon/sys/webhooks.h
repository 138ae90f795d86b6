/* Clerk's webhooks: a listener of its own, to stand behind a reverse proxy. A session that has
 * ended is forgotten as by DROP. Whatever its path, a POST is taken for a webhook; nothing that
 * isn't signed has any effect.
 */
#pragma once

#include "daemon/core/config.h"
#include "daemon/core/svix.h"

#define WEBHOOKS_CONNECTIONS_MAX 64

struct activation_sockets;
struct engine;
struct event_base;
struct webhooks;

/* `settle` is called when the engine may have effects. */
struct webhooks_callbacks {
	void (*settle)(void *arg);
	void *arg;
};

/* Serves at what was handed over, or where [listen] webhooks says; *ret is NULL where it is off.
 * `secrets` are moved in. 0 or negative errno, after having said why. */
int webhooks_new(struct event_base *base, struct engine *engine, const struct config *config,
		 const struct activation_sockets *handed, struct svix_secrets *secrets,
		 const struct webhooks_callbacks *callbacks, struct webhooks **ret);
void webhooks_free(struct webhooks *w);

/* Other secrets, which are moved in. `w` may be NULL. */
void webhooks_configure(struct webhooks *w, struct svix_secrets *secrets);
