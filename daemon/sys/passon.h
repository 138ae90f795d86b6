/* An exchange of our HTTP server's that is answered by Clerk: the request goes to a relay, and its
 * answer comes back, each piece as there is room for it.
 *
 * It is over when the answer is, or with passon_gone().
 */
#pragma once

#include "daemon/sys/http.h"
#include "daemon/sys/relay.h"

struct passon;

struct passon_callbacks {
	/* There is no answer of Clerk's: this is to be told instead. */
	void (*failed)(void *arg, struct http_exchange *x, const struct relay_failure *failure);

	/* Carries out the engine's effects. */
	void (*settle)(void *settle_arg);
	void *arg, *settle_arg;
};

/* Begins to pass the exchange on; its data (http_set_data()) is ours then. The body is streamed, if
 * it was not collected (http_collect()). `callbacks` stay the caller's. 0, -ENOMEM, or -EINVAL: no
 * request that may pass; it is as it was then. */
int passon_begin(struct relays *relays, struct client *client, struct http_exchange *x,
		 bool add_key, bool is_collected, const struct passon_callbacks *callbacks);

/* What the server says of an exchange with such data. */
void passon_body(struct passon *p);
void passon_writable(struct passon *p);
void passon_gone(struct passon *p);
