/* conn.h: one connection of a client. */
#ifndef SANDBOX_CONN_H
#define SANDBOX_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <event2/util.h>

#include "answer.h"
#include "http.h"
#include "text.h"

struct bufferevent;
struct event;
struct server;

enum conn_state {
	CONN_HEAD,	/* reading the head of a request */
	CONN_BODY,	/* reading a body of known length */
	CONN_CHUNK,	/* reading the size line of a chunk */
	CONN_CHUNK_END, /* reading a chunk and the line end after it */
	CONN_TRAILER,	/* reading the lines after the last chunk */
	CONN_READY,	/* a request is complete */
	CONN_WAIT,	/* its answer is delayed */
	CONN_STUCK,	/* it hangs, on purpose */
	CONN_FLUSH,	/* closes as soon as the output has left */
	CONN_LINGER,	/* has sent its end, and discards what still comes */
	CONN_DEAD,	/* to be freed */
};

struct conn {
	LIST_ENTRY(conn) link;
	struct server *server;
	struct bufferevent *bev;
	struct event *timer; /* NULL until first used */
	enum conn_state state;
	bool secure;
	bool close; /* after the exchange at hand */
	bool linger;
	bool exchange;	/* the app was asked, and not yet told that it is over */
	size_t scanned; /* bytes of the input in which no end of the head was found */
	char *head;	/* holds the strings of `request` */
	struct http_request request;
	struct text body;
	size_t chunk; /* bytes of the chunk at hand */
	struct answer answer;
};

/* Takes the accepted socket. 0, or -ENOMEM with the socket closed. */
int conn_start(struct server *server, evutil_socket_t fd, bool secure);

/* Ends the connection at once, whatever its state. */
void conn_free(struct conn *conn);

#endif
