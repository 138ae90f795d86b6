/* An origin that keeps what it is sent, byte for byte, and answers when it has read enough: the
 * stand-in for BAPI where bytes on the wire matter. It runs in the loop of the test.
 */
#pragma once

#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <sys/socket.h>

#define ORIGIN_HEAD_MAX 8192
#define ORIGIN_CHUNK 65536
#define ORIGIN_CONNS 64

struct origin {
	struct evconnlistener *listener;
	unsigned port;
	struct bufferevent *conns[ORIGIN_CONNS]; /* NULL: closed */
	size_t n_conns, n_open, n_requests;
	char head[ORIGIN_HEAD_MAX]; /* of the last request, with what of its body came along */
	size_t received;	    /* bytes of its body, in the framing that it came in */
	size_t answer_at;	    /* bytes of a body that are waited for */
	const char *answer;	    /* NULL: none */
	size_t answer_body;	    /* bytes of 'x' that follow it */
	size_t sent;		    /* of them */
	bool cuts;		    /* closes after the answer */
	bool answered;		    /* this request */
};

static inline void origin_drop(struct origin *o, struct bufferevent *conn)
{
	for (size_t i = 0; i < o->n_conns; i++)
		if (o->conns[i] == conn)
			o->conns[i] = NULL;
	bufferevent_free(conn);
	o->n_open--;
}

static inline void origin_more(struct bufferevent *conn, void *arg)
{
	struct origin *o = arg;
	static char text[ORIGIN_CHUNK];
	size_t len = o->answer_body - o->sent;

	memset(text, 'x', sizeof(text));
	if (!o->answered)
		return;
	if (len > sizeof(text))
		len = sizeof(text);
	(void)bufferevent_write(conn, text, len);
	o->sent += len;
	if (len || !o->cuts)
		return;
	origin_drop(o, conn);
}

static inline void origin_readable(struct bufferevent *conn, void *arg)
{
	struct origin *o = arg;
	struct evbuffer *in = bufferevent_get_input(conn);
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);

	if (o->answered && end.pos >= 0)
		o->answered = false; /* the next request */
	if (!o->answered && o->received == 0 && !*o->head) {
		if (end.pos < 0)
			return;
		o->n_requests++;
		o->received = evbuffer_get_length(in) - (size_t)end.pos - 4;
		(void)evbuffer_remove(in, o->head, sizeof(o->head) - 1);
	} else {
		o->received += evbuffer_get_length(in);
	}
	(void)evbuffer_drain(in, evbuffer_get_length(in));
	if (o->answered || o->received < o->answer_at || !o->answer)
		return;
	o->answered = true;
	(void)bufferevent_write(conn, o->answer, strlen(o->answer));
}

static inline void origin_event(struct bufferevent *conn, short what, void *arg)
{
	struct origin *o = arg;

	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		origin_drop(o, conn);
}

static inline void origin_accept(struct evconnlistener *listener, evutil_socket_t fd,
				 struct sockaddr *address, int len, void *arg)
{
	struct origin *o = arg;
	struct bufferevent **at = NULL;
	struct bufferevent *conn =
	    bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

	(void)address;
	(void)len;
	assert_non_null(conn);
	for (size_t i = 0; i < o->n_conns && !at; i++)
		at = o->conns[i] ? NULL : &o->conns[i];
	if (!at)
		at = &o->conns[o->n_conns++];
	assert_true(o->n_conns < ORIGIN_CONNS);
	*at = conn;
	o->n_open++;
	bufferevent_setcb(conn, origin_readable, origin_more, origin_event, o);
	(void)bufferevent_enable(conn, EV_READ | EV_WRITE);
}

static inline void origin_start(struct origin *o, struct event_base *base)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	o->listener = evconnlistener_new_bind(base, origin_accept, o, LEV_OPT_CLOSE_ON_FREE, -1,
					      (struct sockaddr *)&address, len);
	assert_non_null(o->listener);
	assert_int_equal(
	    getsockname(evconnlistener_get_fd(o->listener), (struct sockaddr *)&address, &len), 0);
	o->port = ntohs(address.sin_port);
}

static inline void origin_stop(struct origin *o)
{
	for (size_t i = 0; i < o->n_conns; i++)
		if (o->conns[i])
			origin_drop(o, o->conns[i]);
	evconnlistener_free(o->listener);
}

/* For the next request. */
static inline void origin_expect(struct origin *o, size_t answer_at, const char *answer,
				 size_t answer_body)
{
	memset(o->head, 0, sizeof(o->head));
	o->received = o->sent = 0;
	o->answered = false;
	o->answer_at = answer_at;
	o->answer = answer;
	o->answer_body = answer_body;
}
