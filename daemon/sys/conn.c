/* See conn.h. */
#include "daemon/sys/conn.h"

#include "base/mem.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/peer.h"
#include "daemon/sys/report.h"
#include "daemon/sys/requests.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_TIMEOUT_MS 10000  /* for the rest of a line */
#define WRITE_TIMEOUT_MS 30000 /* for a client to read anything */
#define DISCARD_READS 64

struct buf *conn_out(struct conn *conn)
{
	bool direct = conn == conn->owner->current && buf_len(&conn->out) == 0;

	return direct ? &conn->owner->out : &conn->out;
}

void conn_dirty(struct conn *conn)
{
	conn->owner->stirred = true;
	if (list_is_empty(&conn->dirty_node))
		list_append(&conn->owner->dirty, &conn->dirty_node);
}

void conn_kill(struct conn *conn)
{
	conn->state = CONN_DEAD;
	conn_dirty(conn);
}

size_t conn_waiting(const struct conn *conn)
{
	size_t shared = conn == conn->owner->current ? buf_len(&conn->owner->out) : 0;

	return buf_len(&conn->out) + shared + conn->held;
}

bool conn_write(struct conn *conn, const struct reply *reply)
{
	if (reply_write(conn_out(conn), reply) == 0)
		return true;
	conn_kill(conn); /* no memory for an answer: better none than a wrong one */
	return false;
}

void conn_audit(const struct conn *conn, struct span session, struct span template,
		const struct reply *reply)
{
	if (conn->owner->audit && (reply->type == REPLY_TOKEN || reply->type == PUSH_TOKEN))
		report_token(&conn->client, conn->unit, session, template, &reply->token);
}

/* Keeps the sum of what waits. */
static void count_buffered(struct conn *conn)
{
	size_t now = conn->out.size + conn->held + conn->pending_count * sizeof(struct pending);

	conn->owner->buffered = conn->owner->buffered - conn->counted + now;
	conn->counted = (uint32_t)now;
}

/* Nothing is held for it, and nothing is to be done about it: an idle client between requests. */
static bool is_quiet(const struct conn *conn)
{
	return !conn->paused && conn->state == CONN_OPEN && conn->pending_count == 0 &&
	       conn->events == EV_READ && !conn->unread && !conn->in.ptr && !conn->out.ptr &&
	       list_is_empty(&conn->dirty_node);
}

/* Sends from `from`. 0, 1 where the socket is full, or negative errno. */
static inline int send_some(struct conn *conn, struct buf *from)
{
	ssize_t n = send(conn->event.ev_fd, from->ptr + from->start, buf_len(from),
			 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (conn->timeout.slot != HEAP_NOWHERE)
		heap_remove(&conn->owner->timeouts,
			    &conn->timeout); /* it reads: its time runs anew */
	buf_consume(from, (size_t)n);
	return buf_len(from) ? 1 : 0;
}

static int flush_shared(struct conn *conn)
{
	struct buf *shared = &conn->owner->out;
	int result = send_some(conn, shared);
	struct span rest = buf_span(shared);

	if (result == 1 && buf_append(&conn->out, rest.ptr, rest.len) < 0)
		result = -ENOMEM;
	buf_reset(shared);
	return result;
}

static void flush(struct conn *conn)
{
	int result = 0;

	if (buf_len(&conn->out)) {
		result = send_some(conn, &conn->out);
		if (result == 0)
			buf_trim(&conn->out);
	} else if (conn == conn->owner->current && buf_len(&conn->owner->out)) {
		result = flush_shared(conn);
	}
	if (result < 0)
		conn_kill(conn);
}

/* The news of watches, the latest only: while nothing else waits for the client, so that one that
 * doesn't read is kept no more than one. A push never overtakes the answer to the WATCH that it
 * belongs to. */
static void write_news(struct conn *conn, struct mono now)
{
	struct engine *e = conn->owner->engine;
	struct list *first;
	struct reply push;

	while (conn->state != CONN_DEAD && conn->untagged == 0 && conn_waiting(conn) == 0 &&
	       (first = list_first(&conn->news))) {
		struct watch *watch = container_of(first, struct watch, effect_node);

		list_unlink(first);
		if (!engine_watch_read(e, now, watch, &push))
			continue;
		conn_audit(conn, push.session, push.template, &push);
		if (conn_write(conn, &push))
			flush(conn);
		if (push.type == PUSH_GONE)
			engine_watch_end(e, watch);
	}
}

static bool is_finished(const struct conn *conn)
{
	return conn->state == CONN_DRAINING && conn->pending_count == 0 && buf_len(&conn->out) == 0;
}

static void on_event(evutil_socket_t fd, short what, void *arg);

/* A client that doesn't read, or stops within a line, has so much time. */
static void set_timeout(struct conn *conn, struct mono now)
{
	struct heap *timeouts = &conn->owner->timeouts;
	bool blocked = buf_len(&conn->out) > 0;
	bool half = buf_len(&conn->in) > 0 && !conn->has_lines;

	if (!blocked && !half)
		heap_remove(timeouts, &conn->timeout);
	else if (conn->timeout.slot == HEAP_NOWHERE)
		heap_set(timeouts, &conn->timeout,
			 mono_add_ms(now, blocked ? WRITE_TIMEOUT_MS : LINE_TIMEOUT_MS));
}

/* Edges, not levels: epoll(7) then need not look again at each socket that it has reported, nor
 * does one that is not read report itself again and again. What was there before comes as an edge
 * too. */
static void wait_for(struct conn *conn, short events)
{
	evutil_socket_t fd = conn->event.ev_fd;

	if (events == conn->events)
		return;
	(void)event_del(&conn->event); /* it may be active though it waits for nothing */
	conn->events = (uint8_t)events;
	(void)event_assign(&conn->event, conn->owner->base, fd,
			   (short)(events | EV_CLOSED | EV_PERSIST | EV_ET), on_event, conn);
	if (event_add(&conn->event, NULL) < 0)
		conn_kill(conn);
}

/* True if the client has closed its socket, not just said that it has no more to say. */
static bool has_hung_up(evutil_socket_t fd)
{
	struct pollfd pollfd = { .fd = fd };

	return poll(&pollfd, 1, 0) == 1 && pollfd.revents & (POLLHUP | POLLERR);
}

/* It is not read, or there is nothing left to read. */
static void conn_look(struct conn *conn)
{
	conn->unread = true;
	if (has_hung_up(conn->event.ev_fd))
		conn_kill(conn); /* and with it what nobody waits for */
}

/* The one place that decides what a connection waits for. */
static void rearm(struct conn *conn, struct mono now)
{
	conn->paused = conn->state != CONN_OPEN || requests_room(conn) == 0;
	set_timeout(conn, now);
	count_buffered(conn);
	wait_for(conn, buf_len(&conn->out) ? EV_READ | EV_WRITE : EV_READ);
	if (conn->paused && conn->unread)
		conn_look(conn);
	else if (!conn->paused && (conn->has_lines || conn->unread))
		event_active(&conn->event, EV_READ, 0); /* in its turn; the others first */
}

static void keep_rest(struct conn *conn, struct span rest)
{
	buf_reset(&conn->in);
	if (conn->state == CONN_OPEN && buf_append(&conn->in, rest.ptr, rest.len) < 0)
		conn_kill(conn);
	buf_trim(&conn->in);
}

void conn_take_turn(struct conn *conn, struct mono now, struct turn *turn)
{
	struct conns *c = conn->owner;
	bool whole = turn->n > 0;

	conn->has_turn = false;
	c->current = conn;
	conn->has_lines = !requests_take(conn, now, turn);
	flush(conn);
	c->current = NULL;
	if (whole && conn->timeout.slot != HEAP_NOWHERE)
		heap_remove(&c->timeouts, &conn->timeout); /* a line was whole in time */
	if (conn->in.ptr || turn->input.len)
		keep_rest(conn, turn->input);
	if (!list_is_empty(&conn->news) || conn->state != CONN_OPEN)
		conn_dirty(conn);
	if (is_quiet(conn))
		return; /* hits only: no deadline has changed, nobody else is concerned */
	c->stirred = true;
	if (list_is_empty(&conn->dirty_node))
		rearm(conn, now);
}

/* `len` bytes at the end of the intake are the connection's. */
static void add_turn(struct conn *conn, size_t len)
{
	struct conns *c = conn->owner;
	struct turn *turn = &c->turns[c->n_turns++];

	turn->conn = conn;
	turn->input = span_of(c->in + c->in_len, len);
	turn->asks = &c->asks[c->n_asks];
	requests_look(c, turn);
	c->n_asks += turn->n;
	c->in_len += len;
	conn->has_turn = true;
	if (c->n_asks > CONN_TURNS - CONN_BATCH || c->n_turns == CONN_TURNS ||
	    c->in_len > sizeof(c->in) - CONN_INPUT_MAX)
		conns_take_turns(c);
}

static void conn_read(struct conn *conn, bool closed)
{
	size_t kept = buf_len(&conn->in);
	char *at = conn->owner->in + conn->owner->in_len;
	ssize_t n = 0;

	if (kept)
		memcpy(at, conn->in.ptr + conn->in.start, kept);
	if (conn->has_lines) {
		conn->unread = true; /* the edge that this may be does not come again */
	} else {
		n = recv(conn->event.ev_fd, at + kept, CONN_READ_SIZE, MSG_DONTWAIT);
		/* Its end is told of once: from now on, until a read finds nothing. */
		conn->unread =
		    n > 0 ? n == CONN_READ_SIZE || closed || conn->unread : n < 0 && errno == EINTR;
	}
	if (n > 0 || conn->has_lines) {
		add_turn(conn, kept + (size_t)n);
	} else if (n == 0) {
		conn->state = CONN_DRAINING; /* a line without its end is none */
		conn->paused = true;
		conn_look(conn);
		conn_dirty(conn);
	} else if (errno == EINTR) {
		conn_dirty(conn);
	} else if (errno != EAGAIN) {
		conn_kill(conn);
	}
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd;
	if (what & EV_WRITE)
		conn_dirty(conn);
	if (!(what & (EV_READ | EV_CLOSED)))
		return;
	if (conn->has_turn)
		conn->unread = true; /* what was read goes first */
	else if (conn->paused)
		conn_look(conn);
	else
		conn_read(conn, what & EV_CLOSED); /* which may be its end */
}

/* What the client sent beyond what we followed would turn our answer into a reset (unix(7)). */
static void discard_input(struct conn *conn)
{
	char scrap[4096];

	for (size_t i = 0; i < DISCARD_READS; i++)
		if (recv(conn->event.ev_fd, scrap, sizeof(scrap), MSG_DONTWAIT) <= 0)
			return;
}

void conn_free(struct conn *conn)
{
	struct conns *c = conn->owner;

	for (size_t i = 0; conn->has_turn && i < c->n_turns; i++)
		if (c->turns[i].conn == conn)
			c->turns[i].conn = NULL;
	requests_abandon(conn);
	engine_client_deinit(c->engine, &conn->client);
	discard_input(conn);
	(void)event_del(&conn->event);
	(void)close(conn->event.ev_fd);
	heap_remove(&c->timeouts, &conn->timeout);
	list_unlink(&conn->node);
	list_unlink(&conn->dirty_node);
	list_unlink(&conn->track_node);
	buf_deinit(&conn->in);
	buf_deinit(&conn->out);
	c->buffered -= conn->counted;
	c->count--;
	mem_free(conn->unit);
	mem_free(conn);
}

void conn_settle(struct conn *conn, struct mono now)
{
	if (conn->state != CONN_DEAD) {
		flush(conn);
		write_news(conn, now);
	}
	if (conn->state == CONN_DEAD || is_finished(conn)) {
		conn_free(conn);
		return;
	}
	rearm(conn, now);
}

static int identify(const struct conn *conn, int fd, struct peer *ret)
{
	const struct conns *c = conn->owner;

	return peer_get(fd, c->names_groups, c->names_units || c->audit, conn->connected_at, ret);
}

/* For the audit. */
static void keep_unit(struct conn *conn, struct peer *peer)
{
	mem_free(conn->unit);
	conn->unit = NULL;
	if (!conn->owner->audit || !peer->who.unit.len)
		return;
	conn->unit = peer->unit;
	peer->unit = NULL;
}

int conn_judge(struct conn *conn)
{
	struct peer peer;
	int result = identify(conn, conn->event.ev_fd, &peer);

	if (result == 0)
		result = engine_client_judge(conn->owner->engine, &conn->client, &peer.who);
	else
		engine_client_forbid(&conn->client);
	keep_unit(conn, &peer);
	peer_deinit(&peer);
	return result;
}

static int admit(struct conn *conn, int fd)
{
	struct peer peer;
	int result = identify(conn, fd, &peer);

	if (result == 0)
		result = engine_client_init(conn->owner->engine, &conn->client, &peer.who);
	if (result == 0)
		keep_unit(conn, &peer);
	peer_deinit(&peer);
	return result;
}

int conn_new(struct conns *c, int fd)
{
	struct mono now = clock_boot();
	struct conn *conn;
	int result;

	if (heap_reserve(&c->timeouts, c->count + 1) < 0)
		return -ENOMEM;
	conn = mem_zalloc(sizeof(*conn));
	if (!conn)
		return -ENOMEM;
	conn->owner = c;
	conn->connected_at = now;
	result = admit(conn, fd);
	if (result) {
		mem_free(conn);
		return result;
	}
	conn->timeout = HEAP_NODE(0);
	list_init(&conn->dirty_node);
	list_init(&conn->track_node);
	list_init(&conn->pendings);
	list_init(&conn->news);
	conn->in = BUF_INIT(CONN_INPUT_MAX);
	conn->out = BUF_INIT(CONN_OUT_MAX + CONN_OUT_SLACK);
	list_append(&c->all, &conn->node);
	c->count++;
	(void)event_assign(&conn->event, c->base, fd, EV_READ | EV_PERSIST, on_event, conn);
	rearm(conn, now);
	return 0;
}

void conn_push(struct conn *conn, const struct reply *push)
{
	struct conns *c = conn->owner;
	size_t waiting = conn_waiting(conn);

	conn_dirty(conn);
	if (conn->state == CONN_DEAD)
		return;
	/* One that doesn't read loses its connection, and with it must forget all. */
	if (waiting > CONN_OUT_MAX || (waiting > 0 && c->buffered > CONN_ALL_OUT_MAX)) {
		conn_kill(conn);
		c->buffered -= conn->counted; /* others may stay for it */
		conn->counted = 0;
	} else if (conn_write(conn, push)) {
		count_buffered(conn);
	}
}
