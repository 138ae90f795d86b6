/* See flow.h.
 *
 * There is one connection, registered in an epoll descriptor of our own: the caller's loop watches
 * that one, whatever becomes of the connection. It is connected while something is to be asked or
 * watched. Whenever it breaks, what has had no answer is put back into the queue, and the same
 * happens in the child of a fork(), whose copy of the connection is abandoned.
 *
 * A line doesn't tell when it was sent. An answer came after its question, and after the socket was
 * last seen empty, at `quiet`: the ttl counts from the later of both. A loop may have waited for
 * long when a watch's push comes, so a push says only that there is a new token, and the token is
 * asked for: then it is no older than its answer took.
 */
#include "client/flow.h"

#include "base/mem.h"
#include "client/failure.h"
#include "client/token.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READS_MAX 16 /* in one dispatch, so that the caller's loop has its turn */
#define WATCH_PAUSE_MIN_MS 100
#define LASTED_MS 100 /* a connection that has lasted so long was a good one */

/* Ends of requests */

static void clear_event(struct pending *p)
{
	clerktoken_token_unref(p->event.token);
	p->event.token = NULL;
	p->event.error = CLERKTOKEN_OK;
}

/* p->event.failure was filled in. */
static void tell_failure(struct clerktoken_async *a, struct pending *p, bool is_over)
{
	clear_event(p);
	p->event.error = p->event.failure.error;
	if (p->request.verb == VERB_DROP)
		own_drop(a->client, &p->request); /* it may have been carried out */
	pendings_tell(&a->all, p, is_over);
}

static void fail_system(struct clerktoken_async *a, struct pending *p, int result, bool is_over)
{
	(void)failure_set_system(&p->event.failure, result, clerktoken_socket(a->client));
	tell_failure(a, p, is_over);
}

static void fail_reply(struct clerktoken_async *a, struct pending *p, const struct reply *reply,
		       bool is_over)
{
	(void)failure_set_reply(&p->event.failure, reply);
	tell_failure(a, p, is_over);
}

/* For the caller a watch that has begun goes on: it is asked again, after a while. */
static void ask_later(struct clerktoken_async *a, struct pending *p, struct mono now,
		      int64_t pause_ms)
{
	if (pause_ms < WATCH_PAUSE_MIN_MS)
		pause_ms = WATCH_PAUSE_MIN_MS;
	pending_move(p, &a->all.resting);
	heap_set(&a->all.due, &p->due, mono_add_ms(now, pause_ms));
}

static void fail_memory(struct clerktoken_async *a, struct pending *p, struct mono now)
{
	fail_system(a, p, -ENOMEM, !p->is_watching);
	if (p->is_watching)
		ask_later(a, p, now, 0);
}

/* The connection */

static int watch_socket(const struct clerktoken_async *a, int operation, uint32_t events)
{
	struct epoll_event event = { .events = events };

	return epoll_ctl(a->epoll, operation, a->conn->fd, &event) < 0 ? -errno : 0;
}

static uint32_t interest(const struct clerktoken_async *a)
{
	return EPOLLIN | (a->is_blocked ? EPOLLOUT : 0U);
}

static void close_conn(struct clerktoken_async *a)
{
	if (a->conn && conn_is_ours(a->conn))
		(void)watch_socket(a, EPOLL_CTL_DEL, 0); /* a child may hold the socket open */
	conn_close(a->conn);
	a->conn = NULL;
	a->is_blocked = false;
}

static void pause_before_connecting(struct clerktoken_async *a, struct mono now)
{
	if (a->pause_ms == 0)
		a->pause_ms = SYNC_PAUSE_MIN_MS;
	a->retry_at = mono_add_ms(now, sync_draw_pause_ms(&a->pause_ms));
}

/* After a broken connection: a daemon that is being restarted may be asked again, a few times. */
static bool may_ask_again(const struct clerktoken_async *a, const struct pending *p, int result)
{
	if (p->is_watching)
		return true;
	return result == -ECONNRESET && a->client->has_worked && p->sends < SYNC_SENDS_MAX;
}

static void lose_conn(struct clerktoken_async *a, struct mono now, int result)
{
	close_conn(a);
	list_for_each_safe (it, &a->all.asked) {
		if (!may_ask_again(a, pending_at(it), result))
			fail_system(a, pending_at(it), result, true);
	}
	pendings_ask_all_again(&a->all);
	a->absence = 0;
	if (mono_diff_ms(now, a->opened) < LASTED_MS) {
		pause_before_connecting(a, now);
	} else {
		a->pause_ms = 0;
		a->retry_at = now;
	}
}

/* A daemon that was there and is not will come back, and one that is busy will listen: that is for
 * the deadlines to judge. All else is told at once; a watch is told once and goes on. */
static void fail_to_connect(struct clerktoken_async *a, struct mono now, int result)
{
	bool is_passing = result == -ETIMEDOUT || (sync_is_absent(result) && a->client->has_worked);

	a->absence = result;
	pause_before_connecting(a, now);
	if (is_passing)
		return;
	list_for_each_safe (it, &a->all.queue) {
		struct pending *p = pending_at(it);

		if (!p->is_watching || !a->is_told)
			fail_system(a, p, result, !p->is_watching);
	}
	a->is_told = true;
}

int flow_open(struct clerktoken_async *a)
{
	if (a->epoll < 0)
		a->epoll = epoll_create1(EPOLL_CLOEXEC);
	return a->epoll < 0 ? -errno : 0;
}

static void connect_now(struct clerktoken_async *a, struct mono now)
{
	int result = flow_open(a);

	if (result == 0)
		result = conn_open(clerktoken_socket(a->client), 0, a->era, &a->conn);
	if (result == 0) {
		result = watch_socket(a, EPOLL_CTL_ADD, interest(a));
		if (result < 0)
			close_conn(a);
	}
	if (result < 0) {
		fail_to_connect(a, now, result);
		return;
	}
	a->opened = a->quiet = now;
	a->room = LINK_CHUNK;
	a->absence = 0;
	a->is_told = false;
}

/* In a child, whose epoll descriptor is a copy too: is it still that one? Adding what is there
 * already fails, and leaves it as it is, which matters: the parent goes on with the same set. */
static bool has_own_epoll(const struct clerktoken_async *a)
{
	int result;

	if (!a->conn || !conn_is_ours(a->conn))
		return false;
	result = watch_socket(a, EPOLL_CTL_ADD, 0);
	if (result == 0)
		(void)watch_socket(a, EPOLL_CTL_DEL, 0); /* somebody else's: as it was */
	return result == -EEXIST;
}

static void abandon(struct clerktoken_async *a)
{
	if (has_own_epoll(a))
		(void)close(a->epoll); /* nothing was written */
	conn_abandon(a->conn);
	a->conn = NULL;
	a->is_blocked = false;
	a->epoll = -1;
}

struct mono flow_enter(struct clerktoken_async *a)
{
	uint32_t era = era_now(&a->client->era);
	struct mono now = clock_boot();

	if (a->era != era) {
		abandon(a);
		pendings_ask_all_again(&a->all);
		list_for_each (it, &a->all.queue)
			pending_at(it)->ticket = (struct own_ticket){ 0 };
		a->era = era;
		a->retry_at = now;
	} else if (a->conn && !conn_is_ours(a->conn)) {
		lose_conn(a, now, -ECONNRESET);
	}
	return now;
}

/* Asking */

static void ask(struct clerktoken_async *a, struct pending *p, struct mono now)
{
	if (p->derives_wait && !p->is_watching)
		sync_set_wait(&p->request, (int)mono_diff_ms(p->due.at, now));
	if (link_ask_as(&a->conn->link, &p->request, p->event.id) < 0) {
		fail_memory(a, p, now);
		return;
	}
	p->asked = now;
	p->sends += p->sends < SYNC_SENDS_MAX;
	p->is_on_wire = p->is_asked = true;
	p->is_outdated = false;
	pending_move(p, &a->all.asked);
}

static void set_blocked(struct clerktoken_async *a, bool is_blocked)
{
	if (a->is_blocked == is_blocked)
		return;
	a->is_blocked = is_blocked;
	(void)watch_socket(a, EPOLL_CTL_MOD, interest(a)); /* else each dispatch tries */
}

void flow_ask(struct clerktoken_async *a, struct mono now)
{
	struct list *first;
	int result = 0;

	if (!a->conn && !list_is_empty(&a->all.queue) && mono_is_due(a->retry_at, now))
		connect_now(a, now);
	while (a->conn && result == 0) {
		while ((first = list_first(&a->all.queue)) && link_has_room(&a->conn->link))
			ask(a, pending_at(first), now);
		result = conn_send(a->conn);
		if (!first)
			break;
	}
	if (!a->conn)
		return;
	if (result < 0 && result != -EAGAIN)
		lose_conn(a, now, -ECONNRESET);
	else
		set_blocked(a, result < 0);
}

void flow_unwatch(struct clerktoken_async *a, const struct pending *p, struct mono now)
{
	struct request request = p->request;

	if (!a->conn || !p->is_on_wire || request.verb != VERB_WATCH)
		return;
	request.verb = VERB_UNWATCH;
	request.has_min_ttl = request.has_wait = request.has_not = false;
	if (!link_has_room(&a->conn->link) ||
	    link_ask_as(&a->conn->link, &request, ++a->all.last_number) < 0)
		lose_conn(a, now, -ECONNRESET); /* that ends it too */
}

/* Answers */

static void rest(struct clerktoken_async *a, struct pending *p)
{
	heap_remove(&a->all.due, &p->due);
	pending_move(p, p->is_outdated ? &a->all.queue : &a->all.resting);
}

static void take_token(struct clerktoken_async *a, struct pending *p, const struct reply *answer,
		       struct mono now)
{
	enum clerktoken_source source = (enum clerktoken_source)answer->token.source;
	struct token_key key = own_key(&p->request);
	struct clerktoken_token *token;

	if (p->is_watching) {
		source = CLERKTOKEN_SOURCE_PUSH;
		if (p->token_id == answer->token.id)
			return; /* the caller knows it */
	}
	if (token_new_for(&key, &answer->token, mono_max(p->asked, a->quiet), source, &token) < 0) {
		fail_memory(a, p, now);
		return;
	}
	own_keep(a->client, p->ticket, a->conn, token);
	clear_event(p);
	p->token_id = answer->token.id;
	p->event.token = token;
	pendings_tell(&a->all, p, p->request.verb != VERB_WATCH);
}

static int take_watched(struct clerktoken_async *a, struct pending *p, const struct reply *answer,
			struct mono now)
{
	rest(a, p);
	take_token(a, p, answer, now);
	if (p->event.is_over)
		return -ECONNRESET; /* it is not to be watched for nobody */
	p->is_watching = true;
	p->request.has_not = false; /* that token has been replaced */
	return 0;
}

static void take_text(struct clerktoken_async *a, struct pending *p, const struct reply *answer)
{
	if (p->request.verb == VERB_STATS) {
		p->event.text = mem_alloc(answer->text.len + 1);
		if (!p->event.text) {
			fail_system(a, p, -ENOMEM, true);
			return;
		}
		memcpy(p->event.text, answer->text.ptr, answer->text.len);
		p->event.text[answer->text.len] = '\0';
	}
	pendings_tell(&a->all, p, true);
}

/* A watch that was answered before goes on, unless there is no hope. */
static int take_error(struct clerktoken_async *a, struct pending *p, const struct reply *answer,
		      struct mono now)
{
	bool is_over = !p->is_watching || answer->retry_ms == RETRY_NEVER;

	if (answer->code == CODE_SHUTTING_DOWN && (p->is_watching || p->sends < SYNC_SENDS_MAX))
		return -ECONNRESET; /* whoever listens at the socket next may be asked */
	fail_reply(a, p, answer, is_over);
	if (!is_over)
		ask_later(a, p, now, answer->retry_ms);
	return 0;
}

static bool is_expected(enum verb verb, enum reply_type type)
{
	switch (verb) {
	case VERB_GET:
	case VERB_WATCH:
		return type == REPLY_TOKEN;
	case VERB_DROP:
		return type == REPLY_DROPPED;
	default:
		return type == REPLY_TEXT;
	}
}

static int take_answer(struct clerktoken_async *a, const struct reply *answer, struct mono now)
{
	struct pending *p = pendings_find(&a->all, a->conn->link.answered);

	client_has_worked(a->client);
	if (!p || !p->is_asked)
		return 0; /* too late, or cancelled */
	if (answer->type == REPLY_ERROR)
		return take_error(a, p, answer, now);
	if (!is_expected(p->request.verb, answer->type))
		return -EBADMSG;
	p->is_asked = false;
	if (p->request.verb == VERB_WATCH)
		return take_watched(a, p, answer, now);
	if (answer->type == REPLY_TOKEN) {
		take_token(a, p, answer, now);
	} else if (answer->type == REPLY_TEXT) {
		take_text(a, p, answer);
	} else {
		own_drop(a->client, &p->request);
		p->event.dropped = answer->dropped;
		pendings_tell(&a->all, p, true);
	}
	return 0;
}

static void take_push(struct clerktoken_async *a, const struct reply *push)
{
	struct pending *p;

	if (push->type != PUSH_TOKEN && push->type != PUSH_GONE)
		return;
	p = pendings_find_watch(&a->all, push->session, push->template);
	if (!p || !p->is_watching || !p->is_on_wire)
		return;
	p->is_outdated = true;
	if (push->type == PUSH_GONE)
		fail_reply(a, p, push, true);
	else if (!p->is_asked)
		rest(a, p);
}

/* The connection's last words. */
static int take_refusal(struct clerktoken_async *a, const struct reply *refusal)
{
	list_for_each_safe (it, &a->all.asked) {
		if (refusal->code != CODE_SHUTTING_DOWN && !pending_at(it)->is_watching)
			fail_reply(a, pending_at(it), refusal, true);
	}
	return -ECONNRESET;
}

static int take_lines(struct clerktoken_async *a, struct mono now)
{
	int result = 0;

	while (result == 0) {
		struct reply reply;
		int next = link_next(&a->conn->link, &reply);

		if (next == LINK_WANTS_INPUT)
			return 0;
		if (next == LINK_PUSH)
			take_push(a, &reply);
		else if (next == LINK_ANSWER)
			result = take_answer(a, &reply, now);
		else
			result = next == LINK_REFUSAL ? take_refusal(a, &reply) : next;
	}
	return result;
}

/* The socket is empty now. If the link is too, whatever comes next will have come later. */
static void note_quiet(struct clerktoken_async *a, struct mono now)
{
	if (!link_is_quiet(&a->conn->link))
		return;
	a->quiet = now;
	if (!list_is_empty(&a->all.asked))
		return;
	link_rest(&a->conn->link);
	a->room = LINK_CHUNK;
}

static void receive_all(struct clerktoken_async *a, struct mono now)
{
	int result = CONN_FULL;

	for (unsigned reads = 0; result == CONN_FULL && reads < READS_MAX; reads++) {
		int taken;

		result = conn_receive(a->conn, a->room);
		taken = result < 0 ? 0 : take_lines(a, now);
		if (taken < 0)
			result = taken;
		if (result == CONN_FULL && a->room < LINK_CHUNK_MAX)
			a->room *= 2;
	}
	if (result < 0 && result != -EAGAIN)
		lose_conn(a, now, result);
	else if (result != CONN_FULL)
		note_quiet(a, now);
}

/* Deadlines, and watches that were to be asked again. */
static void see_to_what_is_due(struct clerktoken_async *a, struct mono now)
{
	struct heap_node *node;

	while ((node = heap_first(&a->all.due)) && mono_is_due(node->at, now)) {
		struct pending *p = container_of(node, struct pending, due);

		if (p->is_watching) {
			p->is_outdated = true;
			rest(a, p);
			continue;
		}
		flow_unwatch(a, p, now);
		fail_system(a, p, !a->conn && a->absence ? a->absence : -ETIMEDOUT, true);
	}
}

void flow_take(struct clerktoken_async *a, struct mono now)
{
	if (a->conn)
		receive_all(a, now);
	see_to_what_is_due(a, now);
}

struct mono flow_deadline(const struct clerktoken_async *a)
{
	const struct heap_node *first = heap_first(&a->all.due);
	struct mono at = first ? first->at : MONO_NEVER;
	bool is_to_ask = !list_is_empty(&a->all.queue);

	if (a->era != era_now(&a->client->era))
		return (struct mono){ 0 };
	if (a->conn && !a->is_blocked && (is_to_ask || link_output(&a->conn->link).len))
		return (struct mono){ 0 };
	return !a->conn && is_to_ask ? mono_min(at, a->retry_at) : at;
}

void flow_init(struct clerktoken_async *a, struct clerktoken_client *client)
{
	a->client = client_ref(client);
	a->era = era_now(&client->era);
	a->epoll = -1;
}

void flow_deinit(struct clerktoken_async *a)
{
	if (a->era != era_now(&a->client->era))
		abandon(a);
	close_conn(a);
	if (a->epoll >= 0)
		(void)close(a->epoll); /* nothing was written */
	client_unref(a->client);
}
