/* See requests.h. */
#include "daemon/sys/requests.h"

#include "base/mem.h"
#include "daemon/sys/conn.h"
#include "daemon/sys/process.h"
#include "proto/frame.h"

/* Who reads is answered then, one request at a time. */
static bool is_crowded(const struct conns *c)
{
	return c->buffered > CONN_ALL_OUT_MAX;
}

size_t requests_room(const struct conn *conn)
{
	size_t max_reply = conn->owner->max_reply;
	size_t promised = conn_waiting(conn) + conn->pending_count * max_reply;
	size_t fit = promised < CONN_OUT_MAX ? (CONN_OUT_MAX - promised) / max_reply : 0;
	size_t slots =
	    conn->pending_count < CONN_MAX_PENDING ? CONN_MAX_PENDING - conn->pending_count : 0;

	if (is_crowded(conn->owner))
		slots = conn_waiting(conn) == 0 && slots;
	return fit < slots ? fit : slots;
}

static void pending_free(struct pending *p)
{
	list_unlink(&p->node);
	p->conn->pending_count--;
	p->conn->untagged -= p->tag_len == 0;
	buf_deinit(&p->held);
	mem_free(p);
}

static void on_answer(struct asker *asker, const struct effect *effect);

static struct pending *pending_new(struct conn *conn, struct span tag)
{
	struct pending *p = mem_alloc(sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct pending){ .asker.answer = on_answer,
			       .conn = conn,
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
		conn->held -= (uint32_t)p->held.size;
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
	p->conn->held += (uint32_t)p->held.size;
}

static void answer_late(struct pending *p, const struct reply *reply)
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
	(void)conn_write(conn, &tagged);
	pending_free(p);
	release_held(conn);
}

/* The answer to a request that waited. */
static void on_answer(struct asker *asker, const struct effect *effect)
{
	struct pending *p = container_of(asker, struct pending, asker);

	conn_audit(p->conn, effect->key.session, effect->key.template, &effect->reply);
	answer_late(p, &effect->reply);
}

/* The answer to a request that did not have to wait; behind an untagged one that does, it waits
 * with it. */
static void answer_now(struct conn *conn, const struct reply *reply)
{
	struct pending *p;

	if (reply->tag.len || conn->untagged == 0) {
		(void)conn_write(conn, reply);
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

	if (request->verb == VERB_STATS)
		process_tell(c->engine, now);
	if (engine_submit(c->engine, now, &conn->client, request, &c->stats, &reply, &waiter) ==
	    SUBMIT_REPLIED) {
		reply.tag = request->tag;
		conn_audit(conn, request->session, request->template, &reply);
		answer_now(conn, &reply);
		if (request->verb == VERB_TRACK)
			update_tracking(conn);
	} else if ((p = pending_new(conn, request->tag))) {
		p->waiter = waiter;
		waiter->cookie = &p->asker;
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
	engine_note_error(conn->owner->engine, error->code);
	answer_now(conn, &reply);
	if (error->close)
		conn->state = CONN_DRAINING;
}

static const char get_verb[] = { 'G', 'E', 'T', ' ' };

static struct span get_args(struct span line)
{
	return span_of(line.ptr + sizeof(get_verb), line.len - sizeof(get_verb));
}

static uint64_t look_ahead(const struct engine *engine, struct span line)
{
	if (line.len <= sizeof(get_verb) || memcmp(line.ptr, get_verb, sizeof(get_verb)) != 0)
		return 0;
	return engine_hash(engine, get_args(line));
}

/* How many from the front the client may have, as far as it can tell from unchecked text: what is
 * no key is not found anyway. */
__attribute__((noinline)) static size_t permitted(const struct conn *conn, const struct ask asks[],
						  size_t n)
{
	size_t i;

	for (i = 0; i < n && asks[i].hash; i++) {
		struct span template = get_args(asks[i].line);
		struct span session;

		(void)span_split(&template, ' ', &session);
		if (!engine_client_may(conn->owner->engine, &conn->client, session, template))
			break;
	}
	return i;
}

/* Answers GETs while their answers lie ready, which is most of the time. Returns how many. Kept to
 * itself for the registers, as take_request() is. */
__attribute__((noinline)) static size_t answer_hits(struct conn *conn, struct mono now,
						    const struct ask asks[], size_t n)
{
	struct engine *engine = conn->owner->engine;
	struct buf *out = conn_out(conn);
	struct token_view token;
	size_t i;

	if (conn->untagged)
		return 0;
	if (conn->client.grant.scope != ACCESS_ALL)
		n = permitted(conn, asks, n);
	for (i = 0; i < n && asks[i].hash; i++) {
		if (!engine_lookup(engine, now, get_args(asks[i].line), asks[i].hash, &token))
			break;
		if (reply_write_hit(out, &token) < 0) {
			conn_kill(conn); /* no memory for an answer: better none than a wrong one */
			break;
		}
	}
	return i;
}

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

void requests_look(const struct conns *c, struct turn *turn)
{
	struct span rest = turn->input;
	struct ask *ask = turn->asks;
	struct ask *end = ask + CONN_BATCH;

	for (; ask < end; ask++) {
		turn->result = frame_next(&rest, WIRE_REQUEST_MAX, &ask->line);
		if (turn->result != FRAME_LINE)
			break;
		ask->hash = look_ahead(c->engine, ask->line);
	}
	turn->n = (size_t)(ask - turn->asks);
	turn->input = rest;
}

void requests_prefetch(const struct conns *c, const struct ask asks[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		engine_prefetch(c->engine, asks[i].hash);
}

/* Gives back the lines from `n` on. */
static void put_back(struct turn *turn, size_t n)
{
	const char *end = turn->input.ptr + turn->input.len;

	turn->input = span_of(turn->asks[n].line.ptr, (size_t)(end - turn->asks[n].line.ptr));
	turn->result = FRAME_LINE;
	turn->n = n;
}

static void answer(struct conn *conn, struct mono now, const struct turn *turn)
{
	for (size_t i = 0; i < turn->n && conn->state == CONN_OPEN; i++) {
		i += answer_hits(conn, now, &turn->asks[i], turn->n - i);
		if (i < turn->n && conn->state == CONN_OPEN)
			take_request(conn, now, turn->asks[i].line);
	}
}

bool requests_take(struct conn *conn, struct mono now, struct turn *turn)
{
	static const struct request_error too_long = { CODE_TOO_LONG, NULL, true };
	bool quiet = !conn->pending_count && !conn->out.ptr && !is_crowded(conn->owner);
	size_t lines = quiet ? conn->owner->room : requests_room(conn);

	for (;;) {
		if (turn->n > lines)
			put_back(turn, lines);
		answer(conn, now, turn);
		lines -= turn->n;
		if (turn->result != FRAME_LINE || lines == 0 || conn->state != CONN_OPEN)
			break;
		requests_look(conn->owner, turn);
		requests_prefetch(conn->owner, turn->asks, turn->n);
	}
	if (turn->result == FRAME_TOO_LONG && conn->state == CONN_OPEN)
		refuse(conn, SPAN_NONE, &too_long);
	return turn->result == FRAME_INCOMPLETE;
}

void requests_abandon(struct conn *conn)
{
	list_for_each_safe (it, &conn->pendings) {
		struct pending *p = container_of(it, struct pending, node);

		if (p->waiter)
			engine_abandon(conn->owner->engine, p->waiter);
		pending_free(p);
	}
}
