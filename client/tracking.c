/* See tracking.h. */
#include "client/tracking.h"

#include "client/client.h"
#include "client/clock.h"

#include <errno.h>

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 60000
#define LASTED_MS PAUSE_MAX_MS /* a connection that has lasted so long was a good one */
#define RECEIVES_MAX 16	       /* in a look: who is that far behind had better forget all */

static int64_t coarse_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t); /* it exists */
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void tracking_init(struct tracking *t, uint32_t era)
{
	struct timespec tick;

	(void)clock_getres(CLOCK_MONOTONIC_COARSE, &tick); /* it exists */
	*t = (struct tracking){
		.tick_ms = (int64_t)tick.tv_sec * MS_PER_S + tick.tv_nsec / 1000000 + 1,
		.retry_at = { INT64_MIN },
		.pause_ms = PAUSE_MIN_MS,
	};
	atomic_init(&t->era, era);
}

void tracking_deinit(struct tracking *t, uint32_t era)
{
	if (t->era == era)
		conn_close(t->conn);
	else if (!t->busy)
		conn_abandon(t->conn);
}

static bool claim(struct tracking *t)
{
	return !atomic_load_explicit(&t->busy, memory_order_relaxed) &&
	       !atomic_exchange_explicit(&t->busy, true, memory_order_acquire);
}

static void release(struct tracking *t)
{
	atomic_store_explicit(&t->busy, false, memory_order_release);
}

/* Off before the stamps are spoilt, on after: what was stamped in between is never kept. */
static void turn(struct clerktoken_client *client, bool on)
{
	struct tracking *t = &client->tracking;

	if (!on)
		atomic_store(&t->on, false);
	copies_forget(&client->copies);
	if (on)
		atomic_store(&t->on, true);
}

static void lose(struct clerktoken_client *client, struct mono now)
{
	struct tracking *t = &client->tracking;

	conn_close(t->conn);
	t->conn = NULL;
	turn(client, false);
	if (mono_diff_ms(now, t->opened) > LASTED_MS)
		t->pause_ms = PAUSE_MIN_MS;
}

/* ---- what the daemon says */

static void take_drop(struct clerktoken_client *client, const struct reply *push)
{
	if (span_is(push->session, WIRE_ANY))
		copies_forget(&client->copies);
	else
		copies_drop(&client->copies, push->session);
}

/* 0, or negative: the connection is of no use. */
static int take(struct clerktoken_client *client, int next, const struct reply *reply)
{
	if (next == LINK_PUSH) {
		if (reply->type == PUSH_DROP)
			take_drop(client, reply);
		return 0;
	}
	if (next != LINK_ANSWER || reply->type != REPLY_DONE || client->tracking.on)
		return -EBADMSG;
	turn(client, true);
	return 0;
}

/* Takes all that has come. 0, or negative: the connection is of no use. */
static int receive(struct clerktoken_client *client)
{
	struct conn *conn = client->tracking.conn;
	int receives = 0;

	if (!conn_is_ours(conn))
		return -EBADF;
	for (;;) {
		struct reply reply;
		int next = link_next(&conn->link, &reply);
		int result;

		if (next == LINK_WANTS_INPUT) {
			result =
			    receives++ < RECEIVES_MAX ? conn_receive(conn, LINK_CHUNK) : -ENOBUFS;
			if (result == -EAGAIN)
				return 0;
		} else {
			result = take(client, next, &reply);
		}
		if (result < 0)
			return result;
	}
}

/* Both clocks are read before the connection, so what is told of the time is true of what was
 * taken from it. */
static struct mono look(struct clerktoken_client *client, int64_t tick_ns)
{
	struct tracking *t = &client->tracking;
	struct mono now = clock_boot();

	if (t->conn && receive(client) < 0)
		lose(client, now);
	copies_sweep(&client->copies, now, now.ms - t->looked_ms);
	atomic_store_explicit(&t->looked_ms, now.ms, memory_order_release);
	atomic_store_explicit(&t->tick_ns, tick_ns, memory_order_release);
	return now;
}

/* Between two ticks, or where another thread is looking. */
bool tracking_is_current(struct clerktoken_client *client, struct mono *ret_now)
{
	struct tracking *t = &client->tracking;
	int64_t tick_ns;

	if (!atomic_load_explicit(&t->on, memory_order_relaxed) ||
	    atomic_load_explicit(&t->era, memory_order_relaxed) != era_now(&client->era))
		return false;
	tick_ns = coarse_ns();
	if (atomic_load_explicit(&t->tick_ns, memory_order_acquire) == tick_ns) {
		ret_now->ms =
		    atomic_load_explicit(&t->looked_ms, memory_order_acquire) + t->tick_ms;
		return true;
	}
	if (claim(t)) {
		*ret_now = look(client, tick_ns);
		release(t);
		return true;
	}
	*ret_now = clock_boot();
	return ret_now->ms - atomic_load_explicit(&t->looked_ms, memory_order_acquire) <=
	       TRACKING_BLIND_MS;
}

/* ---- opening */

static int ask(struct conn *conn)
{
	static const struct request request = { .verb = VERB_TRACK, .on = true };
	int result = link_ask(&conn->link, &request);

	return result == 0 ? conn_send(conn) : result;
}

static void open_if_due(struct clerktoken_client *client)
{
	struct tracking *t = &client->tracking;
	struct mono now = clock_boot();

	if (!mono_is_due(t->retry_at, now))
		return;
	t->opened = now;
	t->retry_at = mono_add_ms(now, t->pause_ms);
	t->pause_ms = t->pause_ms * 2 < PAUSE_MAX_MS ? t->pause_ms * 2 : PAUSE_MAX_MS;
	t->socket = clerktoken_socket(client);
	if (conn_open(t->socket, 0, t->era, &t->conn) == 0 && ask(t->conn) < 0)
		lose(client, now);
}

/* In a child: what another thread of the parent was at work on is in no known state, and left. */
static void inherit(struct clerktoken_client *client, uint32_t era)
{
	struct tracking *t = &client->tracking;
	uint32_t old = atomic_load(&t->era);

	if (old == 0 || old == era || !atomic_compare_exchange_strong(&t->era, &old, 0))
		return; /* another thread of the child is at it, or has done it */
	turn(client, false);
	if (!t->busy)
		conn_abandon(t->conn);
	t->conn = NULL;
	t->retry_at.ms = INT64_MIN;
	t->pause_ms = PAUSE_MIN_MS;
	release(t);
	atomic_store(&t->era, era);
}

void tracking_start(struct clerktoken_client *client)
{
	struct tracking *t = &client->tracking;
	uint32_t era = era_now(&client->era);

	if (t->era != era)
		inherit(client, era);
	if (t->era != era || t->on || !claim(t))
		return;
	if (t->conn)
		(void)look(client, coarse_ns());
	else
		open_if_due(client);
	release(t);
}

const char *tracking_socket(struct clerktoken_client *client)
{
	struct tracking *t = &client->tracking;

	return t->era == era_now(&client->era) && t->on ? t->socket : NULL;
}
