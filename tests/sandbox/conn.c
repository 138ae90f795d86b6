/*
 * conn.c: a connection's state machine.
 *
 * Model: bytes in, requests out, one exchange at a time: while one is being answered (delayed,
 * even for ever) the pipelined ones behind it stay in the input buffer, which is bounded. The app
 * decides synchronously; delay and delivery are this file's. Invariants: an exchange that was begun
 * is reported to the app exactly once; only conn_settle, which every callback ends with, frees a
 * connection from inside one.
 */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>

#include "server.h"

/* The input may hold one whole request and part of the next. */
#define CONN_MAX_INPUT (HTTP_MAX_HEAD + 2 * HTTP_MAX_BODY)
#define CONN_MAX_OUTPUT (1u << 20) /* no further request is answered while so much waits */
#define CONN_LINGER_MS 1000
#define CONN_GARBAGE_BYTES 256u

static void conn_run(struct conn *conn);
static void conn_settle(struct conn *conn);

static struct evbuffer *conn_input(const struct conn *conn)
{
	return bufferevent_get_input(conn->bev);
}

static size_t conn_pending(const struct conn *conn)
{
	return evbuffer_get_length(bufferevent_get_output(conn->bev));
}

static void conn_end_exchange(struct conn *conn, int status)
{
	if (conn->exchange) {
		conn->exchange = false;
		conn->server->app.done(conn->server->app.context, &conn->answer, status);
	}
	answer_deinit(&conn->answer);
	text_deinit(&conn->body);
	free(conn->head);
	conn->head = NULL;
}

void conn_free(struct conn *conn)
{
	const struct server_app *app = &conn->server->app;

	conn_end_exchange(conn, 0);
	LIST_REMOVE(conn, link);
	if (conn->timer)
		event_free(conn->timer);
	bufferevent_free(conn->bev);
	free(conn);
	app->note(app->context, SERVER_CLOSED);
}

/* Output */

static void conn_write(struct conn *conn, const void *bytes, size_t length)
{
	if (length > 0 && bufferevent_write(conn->bev, bytes, length) < 0)
		conn->state = CONN_DEAD;
}

static void conn_write_chunked(struct conn *conn)
{
	const struct text *body = &conn->answer.body;
	size_t first = body->length / 3;
	struct text out = { .data = NULL };

	if (first) {
		text_printf(&out, "%zx\r\n", first);
		text_add(&out, body->data, first);
		text_puts(&out, "\r\n");
	}
	if (body->length > first) {
		text_printf(&out, "%zX;part=last\r\n", body->length - first);
		text_add(&out, body->data + first, body->length - first);
		text_puts(&out, "\r\n");
	}
	text_puts(&out, "0\r\n\r\n");
	if (out.failed)
		conn->state = CONN_DEAD;
	conn_write(conn, out.data, out.length);
	text_deinit(&out);
}

static void conn_write_body(struct conn *conn)
{
	const struct answer *answer = &conn->answer;
	size_t length = answer->body.length;

	if (!answer_has_body(answer) || strcmp(conn->request.method, "HEAD") == 0)
		return;
	if (answer->delivery == ANSWER_CHUNKED) {
		conn_write_chunked(conn);
		return;
	}
	if (answer->delivery == ANSWER_HALF || answer->delivery == ANSWER_STALL)
		length /= 2;
	conn_write(conn, answer->body.data, length);
}

static void conn_write_answer(struct conn *conn)
{
	struct text head = { .data = NULL };

	if (conn->answer.body.failed || conn->answer.headers.failed) {
		answer_json(&conn->answer, 500);
		text_deinit(&conn->answer.headers);
	}
	answer_add_head(&conn->answer, conn->close, conn->request.http_1_0, &head);
	if (head.failed)
		conn->state = CONN_DEAD;
	conn_write(conn, head.data, head.length);
	text_deinit(&head);
	conn_write_body(conn);
}

static void conn_write_garbage(struct conn *conn)
{
	unsigned char bytes[CONN_GARBAGE_BYTES];

	/* Every byte value once, and nothing that could be taken for a status line. */
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 167 + 0x80);
	conn_write(conn, bytes, sizeof(bytes));
}

/* With this option the kernel answers close() with a RST instead of a FIN. */
static void conn_arm_reset(struct conn *conn)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(bufferevent_getfd(conn->bev), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void conn_deliver(struct conn *conn)
{
	int status = conn->answer.status;

	conn->state = conn->close ? CONN_FLUSH : CONN_HEAD;
	switch (conn->answer.delivery) {
	case ANSWER_WHOLE:
	case ANSWER_CHUNKED:
		conn_write_answer(conn);
		break;
	case ANSWER_HALF:
		conn->state = CONN_FLUSH;
		conn_write_answer(conn);
		break;
	case ANSWER_STALL:
		conn->state = CONN_STUCK;
		conn_write_answer(conn);
		return;
	case ANSWER_HANG:
		conn->state = CONN_STUCK;
		return;
	case ANSWER_GARBAGE:
		status = 0;
		conn->state = CONN_FLUSH;
		conn_write_garbage(conn);
		break;
	case ANSWER_CLOSE:
		status = 0;
		conn->state = CONN_FLUSH;
		break;
	case ANSWER_RESET:
		status = 0;
		conn_arm_reset(conn);
		conn->state = CONN_DEAD;
		break;
	}
	conn_end_exchange(conn, status);
}

static void on_timer(evutil_socket_t fd, short events, void *context)
{
	struct conn *conn = context;

	(void)fd; /* a timer has neither */
	(void)events;
	if (conn->state == CONN_WAIT) {
		conn_deliver(conn);
		conn_run(conn);
	} else if (conn->state == CONN_LINGER) {
		conn->state = CONN_DEAD;
	}
	conn_settle(conn);
}

static void conn_set_timer(struct conn *conn, int64_t ms)
{
	struct timeval delay = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (!conn->timer)
		conn->timer = evtimer_new(conn->server->base, on_timer, conn);
	if (!conn->timer || event_add(conn->timer, &delay) < 0)
		conn->state = CONN_DEAD;
}

/* Input: each of these answers whether it got anywhere. */

static bool conn_dispatch(struct conn *conn)
{
	const struct server_app *app = &conn->server->app;

	conn->request.body = conn->body.data ? conn->body.data : "";
	conn->request.body_length = conn->body.length;
	conn->close = !conn->request.keep_alive;
	conn->exchange = true;
	app->handle(app->context, &conn->request, &conn->answer);
	if (conn->answer.delay_ms > 0) {
		conn->state = CONN_WAIT;
		conn_set_timer(conn, conn->answer.delay_ms);
	} else {
		conn_deliver(conn);
	}
	return true;
}

/* Answers a request that never became one: what follows on the connection can't be trusted. */
static bool conn_refuse(struct conn *conn, int status)
{
	conn->request = (struct http_request){ .method = "" };
	conn->answer.status = status;
	answer_content_type(&conn->answer, "text/plain");
	text_printf(&conn->answer.body, "%d %s\n", status, http_reason(status));
	conn->close = true;
	conn->linger = true;
	conn_deliver(conn);
	return true;
}

static bool conn_refuse_body(struct conn *conn)
{
	static const char body[] =
	    "{\"errors\":[{\"message\":\"Request body too large\",\"long_message\":\"The "
	    "request body exceeds the maximum allowed size of 65536 bytes.\",\"code\":"
	    "\"request_body_too_large\"}]}";

	conn->request = (struct http_request){ .method = "" };
	answer_json(&conn->answer, 413);
	text_puts(&conn->answer.body, body);
	conn->close = true;
	conn->linger = true;
	conn_deliver(conn);
	return true;
}

/* Looks for the end of the head, never twice at the same bytes. */
static ev_ssize_t conn_find_head(struct conn *conn)
{
	struct evbuffer *input = conn_input(conn);
	struct evbuffer_ptr start;
	size_t from = conn->scanned > 3 ? conn->scanned - 3 : 0;

	if (evbuffer_ptr_set(input, &start, from, EVBUFFER_PTR_SET) < 0)
		return -1;
	struct evbuffer_ptr end = evbuffer_search(input, "\r\n\r\n", 4, &start);
	conn->scanned = evbuffer_get_length(input);
	return end.pos;
}

static void conn_skip_empty_lines(struct conn *conn)
{
	char two[2];

	/* RFC 9112 section 2.2: an empty line before the request line is to be ignored. */
	while (evbuffer_copyout(conn_input(conn), two, 2) == 2 && memcmp(two, "\r\n", 2) == 0) {
		(void)evbuffer_drain(conn_input(conn), 2);
		conn->scanned = 0;
	}
}

static bool conn_begin_body(struct conn *conn)
{
	const char *expect = http_header_find(&conn->request, "Expect");

	if (conn->request.chunked)
		conn->state = CONN_CHUNK;
	else if (conn->request.content_length)
		conn->state = CONN_BODY;
	else
		conn->state = CONN_READY;
	if (conn->state != CONN_READY && expect && http_has_token(expect, "100-continue"))
		conn_write(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	return true;
}

static bool conn_read_head(struct conn *conn)
{
	conn_skip_empty_lines(conn);
	ev_ssize_t end = conn_find_head(conn);
	if (end < 0 && conn->scanned <= HTTP_MAX_HEAD)
		return false;
	if (end < 0 || (size_t)end + 4 > HTTP_MAX_HEAD)
		return conn_refuse(conn, 431);

	size_t length = (size_t)end + 4;
	conn->scanned = 0;
	conn->head = malloc(length + 1);
	if (!conn->head || evbuffer_remove(conn_input(conn), conn->head, length) != end + 4) {
		conn->state = CONN_DEAD;
		return false;
	}
	conn->head[length] = 0;
	int status = http_parse_head(conn->head, length, &conn->request);
	if (status == 413)
		return conn_refuse_body(conn);
	if (status)
		return conn_refuse(conn, status);
	return conn_begin_body(conn);
}

/* Moves `length` bytes that are known to be there from the input to the body. */
static void conn_take_body(struct conn *conn, size_t length)
{
	struct evbuffer *input = conn_input(conn);
	const unsigned char *bytes = evbuffer_pullup(input, (ev_ssize_t)length);

	if (bytes)
		text_add(&conn->body, bytes, length);
	(void)evbuffer_drain(input, length);
	if (!bytes || conn->body.failed)
		conn->state = CONN_DEAD;
}

static bool conn_read_body(struct conn *conn)
{
	size_t length = conn->request.content_length;

	if (evbuffer_get_length(conn_input(conn)) < length)
		return false;
	conn->state = CONN_READY;
	conn_take_body(conn, length);
	return true;
}

/* A line of the chunked coding, to be freed; NULL with *ret_refuse if it is too long to come. */
static char *conn_read_line(struct conn *conn, bool *ret_refuse)
{
	size_t length = 0;
	char *line = evbuffer_readln(conn_input(conn), &length, EVBUFFER_EOL_CRLF_STRICT);

	*ret_refuse = !line && evbuffer_get_length(conn_input(conn)) > HTTP_MAX_LINE;
	return line;
}

static bool conn_read_chunk_size(struct conn *conn)
{
	bool refuse = false;
	char *line = conn_read_line(conn, &refuse);

	if (refuse)
		return conn_refuse(conn, 400);
	if (!line)
		return false;
	int r = http_parse_chunk_size(line, &conn->chunk);
	free(line);
	if (r < 0)
		return conn_refuse(conn, 400);
	if (conn->body.length + conn->chunk > HTTP_MAX_BODY)
		return conn_refuse_body(conn);
	conn->state = conn->chunk ? CONN_CHUNK_END : CONN_TRAILER;
	return true;
}

static bool conn_read_chunk(struct conn *conn)
{
	char end[2];

	if (evbuffer_get_length(conn_input(conn)) < conn->chunk + 2)
		return false;
	conn->state = CONN_CHUNK;
	conn_take_body(conn, conn->chunk);
	(void)evbuffer_remove(conn_input(conn), end, 2);
	if (memcmp(end, "\r\n", 2) != 0)
		return conn_refuse(conn, 400);
	return true;
}

static bool conn_read_trailer(struct conn *conn)
{
	bool refuse = false;
	char *line = conn_read_line(conn, &refuse);

	if (refuse)
		return conn_refuse(conn, 400);
	if (!line)
		return false;
	if (!*line)
		conn->state = CONN_READY;
	free(line);
	return true;
}

static bool conn_step(struct conn *conn)
{
	switch (conn->state) {
	case CONN_HEAD:
		return conn_read_head(conn);
	case CONN_BODY:
		return conn_read_body(conn);
	case CONN_CHUNK:
		return conn_read_chunk_size(conn);
	case CONN_CHUNK_END:
		return conn_read_chunk(conn);
	case CONN_TRAILER:
		return conn_read_trailer(conn);
	case CONN_READY:
		return conn_dispatch(conn);
	case CONN_FLUSH:
	case CONN_LINGER:
		(void)evbuffer_drain(conn_input(conn), evbuffer_get_length(conn_input(conn)));
		return false;
	default:
		return false;
	}
}

static void conn_run(struct conn *conn)
{
	while (conn_pending(conn) < CONN_MAX_OUTPUT && conn_step(conn))
		;
}

/* The orderly end: close_notify, FIN, and if the client may still be sending, a little patience, as
 * unread bytes would turn the close into a reset that can overtake the answer. */
static void conn_finish(struct conn *conn)
{
	if (conn->secure) {
		(void)SSL_shutdown(bufferevent_openssl_get_ssl(conn->bev)); /* best effort, */
		ERR_clear_error(); /* whose failure is no other connection's business */
	}
	if (!conn->linger) {
		conn->state = CONN_DEAD;
		return;
	}
	(void)shutdown(bufferevent_getfd(conn->bev), SHUT_WR);
	conn->state = CONN_LINGER;
	conn_set_timer(conn, CONN_LINGER_MS);
}

static void conn_settle(struct conn *conn)
{
	if (conn->state == CONN_FLUSH && conn_pending(conn) == 0)
		conn_finish(conn);
	if (conn->state == CONN_DEAD)
		conn_free(conn);
}

static void on_read_or_write(struct bufferevent *bev, void *context)
{
	struct conn *conn = context;

	(void)bev; /* it is conn->bev */
	conn_run(conn);
	conn_settle(conn);
}

static void on_event(struct bufferevent *bev, short events, void *context)
{
	struct conn *conn = context;
	const struct server_app *app = &conn->server->app;

	(void)bev; /* it is conn->bev */
	if (events & BEV_EVENT_CONNECTED) {
		app->note(app->context, SERVER_HANDSHAKE);
		return;
	}
	/* A client that has said its last word still gets what is on its way out; one that goes
	 * while its answer is delayed or stuck counts as gone. */
	bool answered = conn->state == CONN_HEAD || conn->state == CONN_FLUSH;
	if (events & BEV_EVENT_EOF && answered && conn_pending(conn) > 0)
		conn->state = CONN_FLUSH;
	else
		conn->state = CONN_DEAD;
	conn_settle(conn);
}

static struct bufferevent *conn_new_bev(const struct server *server, evutil_socket_t fd,
					bool secure)
{
	if (!secure)
		return bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);

	SSL *ssl = SSL_new(server->tls);
	if (!ssl)
		return NULL;
	struct bufferevent *bev = bufferevent_openssl_socket_new(
	    server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (!bev)
		SSL_free(ssl);
	else
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

int conn_start(struct server *server, evutil_socket_t fd, bool secure)
{
	int on = 1;
	struct conn *conn = calloc(1, sizeof(*conn));
	struct bufferevent *bev = conn ? conn_new_bev(server, fd, secure) : NULL;

	if (!bev) {
		free(conn);
		(void)evutil_closesocket(fd);
		return -ENOMEM;
	}
	/* Halves and chunks must leave when they are written, not when Nagle thinks so. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	conn->server = server;
	conn->bev = bev;
	conn->secure = secure;
	LIST_INSERT_HEAD(&server->conns, conn, link);
	server->app.note(server->app.context, SERVER_ACCEPTED);
	bufferevent_setcb(bev, on_read_or_write, on_read_or_write, on_event, conn);
	bufferevent_setwatermark(bev, EV_READ, 0, CONN_MAX_INPUT);
	(void)bufferevent_enable(bev, EV_READ | EV_WRITE); /* fails only for want of memory */
	return 0;
}
