/*
 * server.c: listeners.
 *
 * Model: a listener accepts and hands each socket to a connection (conn.c), which lives in the
 * server's list until it is over. When accept() fails for want of descriptors or memory, all
 * listeners pause for a moment instead of spinning. One event loop, one thread.
 */
#include "server.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>

#include "conn.h"

#define SERVER_BACKLOG 4096
#define SERVER_RESUME_USECS 50000

static void on_accept(struct evconnlistener *socket, evutil_socket_t fd, struct sockaddr *address,
		      int length, void *context)
{
	struct server_listener *listener = context;

	(void)socket;						  /* the listener says it all; */
	(void)address;						  /* who calls doesn't matter, */
	(void)length;						  /* it is this host */
	(void)conn_start(listener->server, fd, listener->secure); /* it has closed fd on failure */
}

static void on_accept_error(struct evconnlistener *socket, void *context)
{
	struct server *server = ((struct server_listener *)context)->server;
	struct timeval pause = { .tv_usec = SERVER_RESUME_USECS };

	(void)socket; /* what ran out ran out for all of them */
	for (size_t i = 0; i < server->n_listeners; i++)
		(void)evconnlistener_disable(server->listeners[i].socket);
	(void)event_add(server->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short events, void *context)
{
	struct server *server = context;

	(void)fd; /* a timer has neither */
	(void)events;
	for (size_t i = 0; i < server->n_listeners; i++)
		(void)evconnlistener_enable(server->listeners[i].socket);
}

int server_init(struct server *server, struct event_base *base, SSL_CTX *tls,
		const struct server_app *app)
{
	*server = (struct server){ .base = base, .app = *app, .tls = tls };
	LIST_INIT(&server->conns);
	server->resume = evtimer_new(base, on_resume, server);
	return server->resume ? 0 : -ENOMEM;
}

void server_deinit(struct server *server)
{
	for (size_t i = 0; i < server->n_listeners; i++)
		evconnlistener_free(server->listeners[i].socket);
	server->n_listeners = 0;
	while (!LIST_EMPTY(&server->conns))
		conn_free(LIST_FIRST(&server->conns));
	if (server->resume)
		event_free(server->resume);
	server->resume = NULL;
}

static int address_parse(const char *address, uint16_t port, struct sockaddr_storage *ret_address,
			 socklen_t *ret_length)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;

	memset(ret_address, 0, sizeof(*ret_address));
	if (evutil_inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*ret_length = sizeof(*v4);
	} else if (evutil_inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*ret_length = sizeof(*v6);
	} else {
		return -EINVAL;
	}
	return 0;
}

static int bound_port(evutil_socket_t fd, uint16_t *ret_port)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return -errno;
	if (address.ss_family == AF_INET6)
		*ret_port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	else
		*ret_port = ntohs(((struct sockaddr_in *)&address)->sin_port);
	return 0;
}

int server_listen(struct server *server, const char *address, uint16_t port, bool secure,
		  uint16_t *ret_port)
{
	struct sockaddr_storage parsed;
	socklen_t length = 0;

	int r = address_parse(address, port, &parsed, &length);
	if (r < 0)
		return r;
	if (server->n_listeners == SERVER_MAX_LISTENERS)
		return -ENOSPC;

	struct server_listener *listener = &server->listeners[server->n_listeners];
	*listener = (struct server_listener){ .server = server, .secure = secure };
	errno = 0;
	listener->socket = evconnlistener_new_bind(
	    server->base, on_accept, listener,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, SERVER_BACKLOG,
	    (struct sockaddr *)&parsed, (int)length);
	if (!listener->socket)
		return errno ? -errno : -ENOMEM;
	evconnlistener_set_error_cb(listener->socket, on_accept_error);
	server->n_listeners++;
	return bound_port(evconnlistener_get_fd(listener->socket), ret_port);
}

void server_release_stuck(struct server *server)
{
	struct conn *conn = LIST_FIRST(&server->conns);

	while (conn) {
		struct conn *next = LIST_NEXT(conn, link);
		if (conn->state == CONN_STUCK)
			conn_free(conn);
		conn = next;
	}
}
