/* A small, strict HTTP/1.1 server (RFC 9112), for what the daemon serves beside its socket.
 *
 * A connection is one exchange at a time: the next request is looked at when the answer to the last
 * one has left. What two readers could understand in different ways (see core/httphead.h) is
 * refused, and the connection closed. Every wait for the client has its deadline, connections,
 * heads and collected bodies have their maximum, and what is kept is wiped.
 *
 * The handler is told of a request when its head is there, and then
 *   answers at once or later                http_answer()
 *   has the body collected first            http_collect(), then body(), then as above
 *   or takes it in pieces as they come      http_stream(), then body() whenever there is more
 * and may write the answer in pieces, too   http_begin(), http_write(), http_end()
 *
 * None of the functions calls the handler back, so that they may be called from anywhere. An
 * exchange is over with http_answer(), http_end() or http_abort(), or when gone() has been called;
 * then it is not to be used any more. A handler that has not answered yet is either still inside
 * request() or body(), or it must be able to hear gone().
 */
#pragma once

#include "daemon/core/httphead.h"
#include "daemon/sys/listener.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_PIECE_MAX 65536 /* bytes, of http_write() */

struct http_exchange;
struct http_server;

struct http_config {
	const char *address; /* as in struct listener_config, as are the next four */
	mode_t mode;
	const char *group;
	const int *sockets;
	size_t n_sockets;
	size_t max_connections;
	bool closes; /* after each answer */
	/* How long a client is waited for: to begin a request; from the first byte of its head to
	 * the last; for its body, all of it if it is collected, or the next piece; to read anything
	 * of an answer. */
	int64_t idle_ms, head_ms, body_ms, write_ms;
};

/* `arg` is http_server_new()'s. All but request() may be NULL if what they tell can't happen. */
struct http_handler {
	/* A new connection: *ret_peer stays with it. Anything but 0: it is closed. Where this is
	 * NULL peers are NULL. */
	int (*connected)(void *arg, int fd, void **ret_peer);
	void (*disconnected)(void *arg, void *peer);

	void (*request)(void *arg, struct http_exchange *x);

	/* After http_collect(): all of the body is there. After http_stream(): more of it. */
	void (*body)(void *arg, struct http_exchange *x); /* see http_body() */

	/* http_write() had no room, and has now. */
	void (*writable)(void *arg, struct http_exchange *x);

	/* The client has gone, was too slow, or what it sent was no body: nobody waits any more. */
	void (*gone)(void *arg, struct http_exchange *x);

	/* After http_server_stop(): the last connection has gone. */
	void (*drained)(void *arg);
};

/* Listens. `handler` stays the caller's. 0 or negative errno, and why in `ret_text`. */
int http_server_new(struct event_base *base, const struct http_config *config,
		    const struct http_handler *handler, void *arg,
		    char ret_text[LISTENER_ERROR_SIZE], struct http_server **ret);

/* Closes all; gone() is called where an answer is owed. NULL is accepted. */
void http_server_free(struct http_server *s);

/* Accepts no more, closes what is idle, and the others after their answer; who has connected and
 * not asked yet has a second for it. */
void http_server_stop(struct http_server *s);

size_t http_server_count(const struct http_server *s); /* connections */

/* The request. Borrowed until the handler returns; then ask again. */
const struct httphead *http_head(const struct http_exchange *x);

void *http_peer(const struct http_exchange *x);

/* What the handler keeps with an exchange; NULL at first. */
void http_set_data(struct http_exchange *x, void *data);
void *http_data(const struct http_exchange *x);

/* All of the body, of `max` bytes at most; a longer one is answered with 413, and gone(). body() is
 * called in any case, also when there is none. */
void http_collect(struct http_exchange *x, size_t max);

/* The body in pieces: body() is called whenever there is more of it, or the end. What is not
 * consumed stays, and no more than HTTP_PIECE_MAX is read ahead. */
void http_stream(struct http_exchange *x);

/* What there is of the body, borrowed until it is consumed. *ret_end: nothing comes behind it;
 * NULL: that is known. */
struct span http_body(const struct http_exchange *x, bool *ret_end);
void http_consume(struct http_exchange *x, size_t len);

/* Everything is borrowed for the call. The server itself writes the status line, Date, Connection,
 * and Content-Length or Transfer-Encoding, and leaves out the body where there must be none. */
struct http_answer {
	int status;
	struct span fields; /* whole lines, "Name: value\r\n" each */
	struct span body;
	bool close; /* the connection afterwards */
};

void http_answer(struct http_exchange *x, const struct http_answer *answer);

/* An answer in pieces, whose body is so many bytes, or HTTP_UNKNOWN; answer->body is not used. */
#define HTTP_UNKNOWN (-1)
void http_begin(struct http_exchange *x, const struct http_answer *answer, int64_t length);

/* A piece of the body, of HTTP_PIECE_MAX bytes at most. False: there is no room for it now, nothing
 * of it was taken; wait for writable(). */
bool http_write(struct http_exchange *x, struct span piece);
void http_end(struct http_exchange *x);

/* What was begun can't be finished: the connection is cut, so that the client knows. */
void http_abort(struct http_exchange *x);
