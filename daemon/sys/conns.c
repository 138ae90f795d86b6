/* See conns.h. */
#include "daemon/sys/conns.h"

#include "base/mem.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/conn.h"
#include "daemon/sys/log.h"
#include "daemon/sys/peer.h"
#include "daemon/sys/requests.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATS_MAX 8192
#define OUT_KEPT 65536

void conns_settle(struct conns *c, struct mono now)
{
	struct list *first;

	do {
		if (engine_has_effects(c->engine))
			c->callbacks.drain(c->callbacks.arg);
		while ((first = list_first(&c->dirty))) {
			list_unlink(first);
			conn_settle(container_of(first, struct conn, dirty_node), now);
		}
	} while (engine_has_effects(c->engine));
	buf_wipe(&c->out, OUT_KEPT); /* a token may be no more */
	c->stirred = false;
	c->callbacks.settled(c->callbacks.arg);
}

void conns_take_turns(struct conns *c)
{
	struct mono now;

	if (c->n_turns == 0 && !c->stirred)
		return;
	now = clock_boot();
	requests_prefetch(c, c->asks, c->n_asks);
	for (size_t i = 0; i < c->n_turns; i++)
		if (c->turns[i].conn)
			conn_take_turn(c->turns[i].conn, now, &c->turns[i]);
	c->n_turns = c->n_asks = c->in_len = 0;
	if (c->stirred)
		conns_settle(c, now);
}

void conns_accept(struct conns *c, int fd)
{
	static const char overloaded[] = "ERR overloaded retry=1000 too many connections\n";
	int result = conn_new(c, fd);
	struct peer peer;

	if (result == 0)
		return;
	engine_note_error(c->engine, CODE_OVERLOADED);
	log_event(LOG_WARNING, MESSAGE_CLIENT_REFUSED, "connection refused",
		  log_text("reason", result > 0 ? "limit of connections" : strerror(-result)),
		  peer_get(fd, false, false, clock_boot(), &peer) == 0
		      ? log_number("uid", peer.who.uid)
		      : log_text("uid", NULL));
	peer_deinit(&peer);
	(void)send(fd, overloaded, sizeof(overloaded) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)close(fd);
}

static void push_drop(struct conns *c, const struct key *key)
{
	struct reply push = {
		.type = PUSH_DROP,
		.session = key->session,
		.template = key->template,
	};

	list_for_each (it, &c->trackers) {
		struct conn *conn = container_of(it, struct conn, track_node);

		if (conn->client.admin ||
		    engine_client_may(c->engine, &conn->client, key->session, key->template))
			conn_push(conn, &push);
	}
}

/* What it may have may be less than before: copies that it keeps are not to be used any more. */
static void judge_again(struct conn *conn)
{
	static const struct reply push = { .type = PUSH_DROP,
					   .session = SPAN_LITERAL(WIRE_ANY),
					   .template = SPAN_LITERAL(WIRE_ANY) };
	bool had_all = conn->client.grant.scope == ACCESS_ALL;

	if (conn_judge(conn) < 0)
		conn_kill(conn);
	if (conn->client.tracks && !(had_all && conn->client.grant.scope == ACCESS_ALL))
		conn_push(conn, &push);
}

static void take_access(struct conns *c, const struct access *access)
{
	engine_set_access(c->engine, access);
	c->names_groups = access && access->names_groups;
	c->names_units = access && access->names_units;
}

void conns_set_access(struct conns *c, const struct access *access)
{
	take_access(c, access);
	list_for_each (it, &c->all)
		judge_again(container_of(it, struct conn, node));
}

void conns_effect(struct conns *c, const struct effect *effect)
{
	struct conn *conn;

	switch (effect->type) {
	case EFFECT_PUSH:
		conn = container_of(effect->watch->client, struct conn, client);
		list_append(&conn->news, &effect->watch->effect_node);
		conn_dirty(conn);
		break;
	case EFFECT_DROPPED:
		push_drop(c, &effect->key);
		break;
	default:
		break;
	}
}

struct mono conns_next_deadline(const struct conns *c)
{
	struct heap_node *first = heap_first(&c->timeouts);

	return first ? first->at : MONO_NEVER;
}

void conns_tick(struct conns *c, struct mono now)
{
	struct heap_node *first;

	while ((first = heap_first(&c->timeouts)) && mono_is_due(first->at, now)) {
		heap_remove(&c->timeouts, first);
		conn_kill(container_of(first, struct conn, timeout));
	}
}

void conns_drain(struct conns *c)
{
	conns_take_turns(c); /* what was read is answered */
	list_for_each (it, &c->all) {
		struct conn *conn = container_of(it, struct conn, node);

		if (conn->state == CONN_OPEN)
			conn->state = CONN_DRAINING;
		conn_dirty(conn);
	}
}

size_t conns_count(const struct conns *c)
{
	return c->count;
}

void conns_set_max_reply(struct conns *c, size_t max_reply)
{
	size_t fit = CONN_OUT_MAX / max_reply;

	c->max_reply = max_reply;
	c->room = fit < CONN_MAX_PENDING ? fit : CONN_MAX_PENDING;
}

void conns_set_audit(struct conns *c, bool audit)
{
	c->audit = audit;
}

int conns_new(struct event_base *base, struct engine *engine, size_t max_reply,
	      const struct access *access, const struct conns_callbacks *callbacks,
	      struct conns **ret)
{
	struct conns *c = mem_zalloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->base = base;
	c->engine = engine;
	c->callbacks = *callbacks;
	conns_set_max_reply(c, max_reply);
	take_access(c, access);
	c->out = BUF_INIT(CONN_OUT_MAX + CONN_OUT_SLACK);
	c->stats = BUF_INIT(STATS_MAX);
	list_init(&c->all);
	list_init(&c->dirty);
	list_init(&c->trackers);
	*ret = c;
	return 0;
}

void conns_free(struct conns *c)
{
	if (!c)
		return;
	list_for_each_safe (it, &c->all)
		conn_free(container_of(it, struct conn, node));
	heap_deinit(&c->timeouts);
	buf_deinit(&c->out);
	buf_deinit(&c->stats);
	mem_free(c);
}
