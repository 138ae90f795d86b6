/* server.h: listeners and the connections that they accept. */
#ifndef SANDBOX_SERVER_H
#define SANDBOX_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <openssl/ssl.h>

#include "answer.h"
#include "http.h"

struct event;
struct event_base;
struct evconnlistener;
struct conn;
struct server;

#define SERVER_MAX_LISTENERS 16u

enum server_note {
	SERVER_ACCEPTED,  /* a connection was accepted */
	SERVER_CLOSED,	  /* a connection is gone */
	SERVER_HANDSHAKE, /* a TLS handshake is complete */
};

/* Who decides what is answered. All are called from the event loop, never from each other. */
struct server_app {
	void *context;
	/* Fills in the (empty) answer to the request, of which nothing may be kept. */
	void (*handle)(void *context, const struct http_request *request, struct answer *answer);
	/* The exchange of that answer is over: `status` was sent, or 0 for no HTTP answer. */
	void (*done)(void *context, const struct answer *answer, int status);
	void (*note)(void *context, enum server_note note);
};

struct server_listener {
	struct server *server;
	struct evconnlistener *socket;
	bool secure;
};

struct server {
	struct event_base *base;
	struct server_app app;
	SSL_CTX *tls; /* borrowed; NULL without HTTPS */
	struct server_listener listeners[SERVER_MAX_LISTENERS];
	size_t n_listeners;
	struct event *resume; /* turns the listeners on again after accept() ran out of something */
	LIST_HEAD(, conn) conns;
};

/* `base`, `tls` and what `app` points to must outlive the server. 0 or -errno. */
int server_init(struct server *server, struct event_base *base, SSL_CTX *tls,
		const struct server_app *app);

/* Closes the listeners and every connection, as it is. */
void server_deinit(struct server *server);

/* Listens on that numeric loopback address; port 0 takes a free one. 0 with the port in *ret_port,
 * or -errno. */
int server_listen(struct server *server, const char *address, uint16_t port, bool secure,
		  uint16_t *ret_port);

/* Closes the connections that hang or stall, which nothing else on this side would ever end. */
void server_release_stuck(struct server *server);

#endif
