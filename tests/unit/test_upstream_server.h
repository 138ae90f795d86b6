/* An HTTP server that does what it is told, good or bad, in the loop of the test.
 *
 * Each complete request gets `answer`, and then what `after` says happens to the connection.
 */
#pragma once

#include "base/span.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNS_MAX 64
#define REQUEST_MAX 2048
#define DATE "Tue, 14 Nov 2023 22:13:20 GMT"

#define OK_ANSWER                                                                                  \
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: " DATE                         \
	"\r\nCF-Ray: ray-1\r\nContent-Length: 2\r\n\r\n{}"

enum after {
	KEEP,
	CLOSE,
	RESET,
	FLOOD, /* header lines, then body, without an end */
};

struct server {
	struct evconnlistener *listener;
	struct bufferevent *conns[CONNS_MAX];
	size_t n_conns, n_open, max_open, n_requests;
	unsigned port;
	const char *answer; /* NULL: none */
	enum after after;
	size_t flood; /* bytes */
	char last[REQUEST_MAX];
};

static inline void server_drop(struct server *s, struct bufferevent *conn)
{
	for (size_t i = 0; i < s->n_conns; i++) {
		if (s->conns[i] == conn) {
			bufferevent_free(conn);
			s->conns[i] = NULL;
			s->n_open--;
		}
	}
}

static inline void server_flood(struct server *s, struct bufferevent *conn)
{
	struct evbuffer *out = bufferevent_get_output(conn);
	static const char line[] = "X-Flood: 0123456789012345678901234567890123456789\r\n";

	for (size_t sent = 0; sent < s->flood; sent += sizeof(line) - 1)
		evbuffer_add(out, line, sizeof(line) - 1);
}

static inline void server_answer(struct server *s, struct bufferevent *conn)
{
	struct linger linger = { .l_onoff = 1 };

	if (s->answer)
		(void)bufferevent_write(conn, s->answer, strlen(s->answer));
	if (s->after == FLOOD)
		server_flood(s, conn);
	if (s->after == RESET)
		assert_int_equal(setsockopt(bufferevent_getfd(conn), SOL_SOCKET, SO_LINGER, &linger,
					    sizeof(linger)),
				 0);
	if (s->after == CLOSE && s->answer) /* flushes */
		(void)evbuffer_write(bufferevent_get_output(conn), bufferevent_getfd(conn));
	if (s->after == CLOSE || s->after == RESET)
		server_drop(s, conn);
}

/* A request is complete with its head and as much as Content-Length says, here 26 or 0. */
static inline void server_on_readable(struct bufferevent *conn, void *arg)
{
	struct server *s = arg;
	struct evbuffer *in = bufferevent_get_input(conn);
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	struct evbuffer_ptr has_body = evbuffer_search(in, "Content-Length: 2", 17, NULL);
	size_t len;

	if (end.pos < 0)
		return;
	len = (size_t)end.pos + 4 + (has_body.pos >= 0 ? 26 : 0);
	if (evbuffer_get_length(in) < len)
		return;
	assert_true(len < REQUEST_MAX);
	(void)evbuffer_remove(in, s->last, len);
	s->last[len] = '\0';
	s->n_requests++;
	server_answer(s, conn);
}

static inline void server_on_event(struct bufferevent *conn, short what, void *arg)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		server_drop(arg, conn);
}

static inline void server_on_accept(struct evconnlistener *listener, evutil_socket_t fd,
				    struct sockaddr *address, int len, void *arg)
{
	struct server *s = arg;
	struct bufferevent *conn =
	    bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);

	(void)address;
	(void)len;
	assert_non_null(conn);
	assert_true(s->n_conns < CONNS_MAX);
	s->conns[s->n_conns++] = conn;
	if (++s->n_open > s->max_open)
		s->max_open = s->n_open;
	bufferevent_setcb(conn, server_on_readable, NULL, server_on_event, s);
	(void)bufferevent_enable(conn, EV_READ | EV_WRITE);
}

static inline void server_start(struct server *s, struct event_base *base)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	s->listener = evconnlistener_new_bind(base, server_on_accept, s, LEV_OPT_CLOSE_ON_FREE, -1,
					      (struct sockaddr *)&address, len);
	assert_non_null(s->listener);
	assert_int_equal(
	    getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&address, &len), 0);
	s->port = ntohs(address.sin_port);
	s->answer = OK_ANSWER;
}

static inline void server_stop(struct server *s)
{
	for (size_t i = 0; i < s->n_conns; i++)
		if (s->conns[i])
			server_drop(s, s->conns[i]);
	evconnlistener_free(s->listener);
}

/* A server for one connection at a time, in a process of its own: its memory must not run out. */
static inline pid_t server_fork(unsigned *ret_port)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
				   "Content-Length: 2\r\n\r\n{}";
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	char request[REQUEST_MAX];
	pid_t pid;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(listen(listener, 10), 0);
	*ret_port = ntohs(address.sin_port);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (pid == 0) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			_exit(1);
		if (read(fd, request, sizeof(request)) > 0 && write(fd, text, sizeof(text) - 1) < 0)
			_exit(1);
		(void)close(fd);
	}
	(void)close(listener);
	return pid;
}
