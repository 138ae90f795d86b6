/* See conn.h. */
#include "daemon/sys/conn.h"

#include "base/mem.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/peer.h"
#include "proto/frame.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_TIMEOUT_MS 10000  /* for the rest of a line */
#define WRITE_TIMEOUT_MS 30000 /* for a client to read anything */
#define DISCARD_READS 16

static struct buf *conn_out(struct conn *conn)
{
	bool direct = conn == conn->owner->current && buf_len(&conn->out) == 0;

	return direct ? &conn->owner->out : &conn->out;
}

void conn_dirty(struct conn *conn)
{
	if (list_is_empty(&conn->dirty_node))
		list_append(&conn->owner->dirty, &conn->dirty_node);
}

void conn_kill(struct conn *conn)
{
	conn->state = CONN_DEAD;
	conn_dirty(conn);
}

/* Bytes that wait for the client. */
static size_t waiting(const struct conn *conn)
{
	size_t shared = conn == conn->owner->current ? buf_len(&conn->owner->out) : 0;

	return buf_len(&conn->out) + shared + conn->held;
}

/* Keeps the sum of what waits. */
static void count_buffered(struct conn *conn)
{
	size_t now = conn->out.size + conn->held;

	conn->owner->buffered = conn->owner->buffered - conn->counted + now;
	conn->counted = (uint32_t)now;
}

/* Nothing is held for it, and nothing is to be done about it: an idle client between requests. */
static bool is_quiet(const struct conn *conn)
{
	return conn->state == CONN_OPEN && conn->pending_count == 0 && conn->events == EV_READ &&
	       !conn->in.ptr && !conn->out.ptr && list_is_empty(&conn->dirty_node);
}

/* How many more requests may be taken: a largest reply to each fits beside all that is promised. */
static size_t room(const struct conn *conn)
{
	size_t max_reply = conn->owner->max_reply;
	size_t promised = waiting(conn) + conn->pending_count * max_reply;
	size_t fit = promised < CONN_OUT_MAX ? (CONN_OUT_MAX - promised) / max_reply : 0;
	size_t slots =
	    conn->pending_count < CONN_MAX_PENDING ? CONN_MAX_PENDING - conn->pending_count : 0;

	if (conn->owner->buffered > CONN_ALL_OUT_MAX && waiting(conn) > 0)
		return 0;
	return fit < slots ? fit : slots;
}

static bool write_reply(struct conn *conn, const struct reply *reply)
{
	if (reply_write(conn_out(conn), reply) == 0)
		return true;
	conn_kill(conn); /* no memory for an answer: better none than a wrong one */
	return false;
}

static void pending_free(struct pending *p)
{
	list_unlink(&p->node);
	p->conn->pending_count--;
	p->conn->untagged -= p->tag_len == 0;
	buf_deinit(&p->held);
	mem_free(p);
}

static struct pending *pending_new(struct conn *conn, struct span tag)
{
	struct pending *p = mem_alloc(sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct pending){ .conn = conn,
			       .tag_len = tag.len,
			       .held = BUF_INIT(conn->owner->max_reply) };
	if (tag.len)
		memcpy(p->tag, tag.ptr, tag.len);
	list_append(&conn->pendings, &p->node);
	conn->pending_count++;
	conn->untagged += tag.len == 0;
	return p;
}

/* Lets go what was held back by an untagged request that is answered now. */
static void release_held(struct conn *conn)
{
	list_for_each_safe (it, &conn->pendings) {
		struct pending *p = container_of(it, struct pending, node);
		struct span held = buf_span(&p->held);

		if (p->tag_len)
			continue;
		if (p->waiter)
			return;
		if (buf_append(conn_out(conn), held.ptr, held.len) < 0)
			conn_kill(conn);
		conn->held -= (uint32_t)held.len;
		pending_free(p);
	}
}

static bool is_first_untagged(const struct pending *p)
{
	list_for_each (it, &p->conn->pendings) {
		const struct pending *other = container_of(it, struct pending, node);

		if (other->tag_len == 0)
			return other == p;
	}
	return true;
}

static void hold(struct pending *p, const struct reply *reply)
{
	if (reply_write(&p->held, reply) < 0)
		conn_kill(p->conn);
	p->conn->held += (uint32_t)buf_len(&p->held);
}

void conn_answer(struct pending *p, const struct reply *reply)
{
	struct conn *conn = p->conn;
	struct reply tagged = *reply;

	p->waiter = NULL;
	tagged.tag = span_of(p->tag, p->tag_len);
	conn_dirty(conn);
	if (p->tag_len == 0 && !is_first_untagged(p)) {
		hold(p, &tagged);
		return;
	}
	(void)write_reply(conn, &tagged);
	pending_free(p);
	release_held(conn);
}

/* The answer to a request that did not have to wait; behind an untagged one that does, it waits
 * with it. */
static void answer_now(struct conn *conn, const struct reply *reply)
{
	struct pending *p;

	if (reply->tag.len || conn->untagged == 0) {
		(void)write_reply(conn, reply);
		return;
	}
	p = pending_new(conn, SPAN_NONE);
	if (p)
		hold(p, reply);
	else
		conn_kill(conn);
}

static void update_tracking(struct conn *conn)
{
	if (conn->client.tracks && list_is_empty(&conn->track_node))
		list_append(&conn->owner->trackers, &conn->track_node);
	else if (!conn->client.tracks)
		list_unlink(&conn->track_node);
}

static void submit(struct conn *conn, struct mono now, const struct request *request)
{
	struct conns *c = conn->owner;
	struct waiter *waiter;
	struct pending *p;
	struct reply reply;

	if (engine_submit(c->engine, now, &conn->client, request, &c->stats, &reply, &waiter) ==
	    SUBMIT_REPLIED) {
		reply.tag = request->tag;
		answer_now(conn, &reply);
		if (request->verb == VERB_TRACK)
			update_tracking(conn);
	} else if ((p = pending_new(conn, request->tag))) {
		p->waiter = waiter;
		waiter->cookie = p;
	} else {
		engine_abandon(c->engine, waiter);
		conn_kill(conn);
	}
	if (engine_has_effects(c->engine))
		c->callbacks.drain(c->callbacks.arg);
}

static void refuse(struct conn *conn, struct span tag, const struct request_error *error)
{
	struct reply reply = reply_error(error->code, RETRY_NEVER, error->text);

	reply.tag = tag;
	answer_now(conn, &reply);
	if (error->close)
		conn->state = CONN_DRAINING;
}

/* True if the line is a GET whose answer lies ready, which is most of them. */
static bool answer_at_once(struct conn *conn, struct mono now, struct span line)
{
	static const char get[] = { 'G', 'E', 'T', ' ' };
	struct token_view token;

	if (line.len <= sizeof(get) || memcmp(line.ptr, get, sizeof(get)) != 0 || conn->untagged ||
	    !engine_lookup(conn->owner->engine, now,
			   span_of(line.ptr + sizeof(get), line.len - sizeof(get)), &token))
		return false;
	if (reply_write_token(conn_out(conn), &token) < 0)
		conn_kill(conn); /* no memory for an answer: better none than a wrong one */
	return true;
}

/* Kept out of the loop of those, whose registers it would take. */
__attribute__((noinline)) static void take_request(struct conn *conn, struct mono now,
						   struct span line)
{
	struct request request;
	struct request_error error;

	conn->owner->stirred = true;
	if (request_parse(line, &request, &error) < 0)
		refuse(conn, request.tag, &error);
	else
		submit(conn, now, &request);
}

/* Takes requests off the input while there is room for their answers. False when it stopped for
 * another reason than the end of the input. */
static bool take_lines(struct conn *conn, struct mono now, struct span *input)
{
	static const struct request_error too_long = { CODE_TOO_LONG, NULL, true };
	struct span line;

	bool owes = conn->pending_count || conn->out.ptr;
	size_t lines = owes ? room(conn) : conn->owner->room;

	for (; lines && conn->state == CONN_OPEN; lines--) {
		enum frame_result result = frame_next(input, WIRE_REQUEST_MAX, &line);

		if (result == FRAME_INCOMPLETE)
			return true;
		if (result == FRAME_TOO_LONG)
			refuse(conn, SPAN_NONE, &too_long);
		else if (!answer_at_once(conn, now, line))
			take_request(conn, now, line);
	}
	return false;
}

/* Sends from `from`. 0, 1 where the socket is full, or negative errno. */
static int send_some(struct conn *conn, struct buf *from)
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

	while (conn->state != CONN_DEAD && conn->untagged == 0 && waiting(conn) == 0 &&
	       (first = list_first(&conn->news))) {
		struct watch *watch = container_of(first, struct watch, effect_node);

		list_unlink(first);
		if (!engine_watch_read(e, now, watch, &push))
			continue;
		if (write_reply(conn, &push))
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

static void wait_for(struct conn *conn, short events)
{
	evutil_socket_t fd = conn->event.ev_fd;

	if (events == conn->events)
		return;
	(void)event_del(&conn->event); /* it may be active though it waits for nothing */
	conn->events = (uint8_t)events;
	(void)event_assign(&conn->event, conn->owner->base, fd, (short)(events | EV_PERSIST),
			   on_event, conn);
	if (events && event_add(&conn->event, NULL) < 0)
		conn_kill(conn);
}

/* The one place that decides what a connection waits for. */
static void rearm(struct conn *conn, struct mono now)
{
	bool takes = conn->state == CONN_OPEN && room(conn) > 0;
	bool writes = buf_len(&conn->out) > 0;

	set_timeout(conn, now);
	count_buffered(conn);
	wait_for(conn,
		 (short)((takes && !conn->has_lines ? EV_READ : 0) | (writes ? EV_WRITE : 0)));
	if (takes && conn->has_lines)
		event_active(&conn->event, EV_READ, 0); /* in its turn; the others first */
}

static void keep_rest(struct conn *conn, struct span rest)
{
	buf_reset(&conn->in);
	if (conn->state == CONN_OPEN && buf_append(&conn->in, rest.ptr, rest.len) < 0)
		conn_kill(conn);
	buf_trim(&conn->in);
}

/* Works on what has come: `len` bytes in the shared buffer, the first `kept` of them the
 * connection's own from before. */
static void work(struct conn *conn, struct mono now, size_t kept, size_t len)
{
	struct conns *c = conn->owner;
	struct span input = span_of(c->in, len);

	c->current = conn;
	conn->has_lines = !take_lines(conn, now, &input);
	flush(conn);
	c->current = NULL;
	if (input.len < len && conn->timeout.slot != HEAP_NOWHERE)
		heap_remove(&c->timeouts, &conn->timeout); /* a line was whole in time */
	if (kept || input.len)
		keep_rest(conn, input);
	if (!list_is_empty(&conn->news) || conn->state != CONN_OPEN)
		conn_dirty(conn);
}

static void conn_read(struct conn *conn, struct mono now)
{
	struct conns *c = conn->owner;
	size_t kept = buf_len(&conn->in);
	ssize_t n;

	if (kept)
		memcpy(c->in, conn->in.ptr + conn->in.start, kept);
	if (conn->has_lines) {
		work(conn, now, kept, kept);
		return;
	}
	n = recv(conn->event.ev_fd, c->in + kept, CONN_READ_SIZE, MSG_DONTWAIT);
	if (n > 0) {
		work(conn, now, kept, kept + (size_t)n);
	} else if (n == 0) {
		conn->state = CONN_DRAINING; /* a line without its end is none */
		conn_dirty(conn);
	} else if (errno != EAGAIN && errno != EINTR) {
		conn_kill(conn);
	}
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	struct conns *c = conn->owner;
	struct mono now = clock_boot();

	(void)fd;
	c->stirred = false;
	if (what & EV_WRITE)
		conn_dirty(conn);
	if (what & EV_READ && conn->state == CONN_OPEN)
		conn_read(conn, now);
	if (!c->stirred && is_quiet(conn))
		return; /* hits only: no deadline has changed, nobody else is concerned */
	if (list_is_empty(&conn->dirty_node))
		rearm(conn, now);
	conns_settle(c, now);
}

/* What the client sent beyond what we followed would turn our answer into a reset (unix(7)). */
static void discard_input(struct conn *conn)
{
	for (size_t i = 0; i < DISCARD_READS; i++)
		if (recv(conn->event.ev_fd, conn->owner->in, CONN_READ_SIZE, MSG_DONTWAIT) <= 0)
			return;
}

void conn_free(struct conn *conn)
{
	struct conns *c = conn->owner;

	list_for_each_safe (it, &conn->pendings) {
		struct pending *p = container_of(it, struct pending, node);

		if (p->waiter)
			engine_abandon(c->engine, p->waiter);
		pending_free(p);
	}
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

static void init_buffers(struct conns *c, struct conn *conn)
{
	conn->in = BUF_INIT(sizeof(c->in));
	conn->out = BUF_INIT(CONN_OUT_MAX + CONN_OUT_SLACK);
}

int conn_new(struct conns *c, int fd)
{
	struct peer peer;
	struct conn *conn;
	int result = peer_get(fd, &peer);

	if (result < 0)
		return result;
	if (heap_reserve(&c->timeouts, c->count + 1) < 0)
		return -ENOMEM;
	conn = mem_zalloc(sizeof(*conn));
	if (!conn)
		return -ENOMEM;
	result = engine_client_init(c->engine, &conn->client, peer.uid, peer.gid, peer.pid);
	if (result) {
		mem_free(conn);
		return result;
	}
	conn->owner = c;
	conn->timeout = HEAP_NODE(0);
	list_init(&conn->dirty_node);
	list_init(&conn->track_node);
	list_init(&conn->pendings);
	list_init(&conn->news);
	init_buffers(c, conn);
	list_append(&c->all, &conn->node);
	c->count++;
	(void)event_assign(&conn->event, c->base, fd, EV_READ | EV_PERSIST, on_event, conn);
	rearm(conn, clock_boot());
	return 0;
}

void conn_push(struct conn *conn, const struct reply *push)
{
	conn_dirty(conn);
	/* One that doesn't read loses its connection, and with it must forget all. */
	if (waiting(conn) > CONN_OUT_MAX)
		conn_kill(conn);
	else if (conn->state != CONN_DEAD)
		(void)write_reply(conn, push);
}
