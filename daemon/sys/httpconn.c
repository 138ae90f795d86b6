/* A connection of the HTTP server's, run by events: see httpconn.h. */
#include "daemon/sys/httpconn.h"

#include "base/mem.h"
#include "daemon/sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MS 1000
#define DRAIN_MS 1000
#define LINGER_MAX (1024 * 1024) /* bytes */
#define OUT_MAX (HTTP_OUT_MAX + HTTP_OUT_HIGH)

const struct httphead *http_head(const struct http_exchange *x)
{
	return x->head;
}

void *http_peer(const struct http_exchange *x)
{
	return x->peer;
}

void http_set_data(struct http_exchange *x, void *data)
{
	x->data = data;
}

void *http_data(const struct http_exchange *x)
{
	return x->data;
}

/* From inside of its run it is looked at anyway. */
void http_touch(struct http_exchange *x)
{
	if (!x->is_running)
		event_active(&x->event, EV_TIMEOUT, 0);
}

void http_collect(struct http_exchange *x, size_t max)
{
	x->intake = INTAKE_COLLECT;
	x->body_max = max;
	x->body = BUF_INIT(max);
	x->has_news = httpbody_is_done(&x->rest);
	http_touch(x);
}

void http_stream(struct http_exchange *x)
{
	x->intake = INTAKE_STREAM;
	x->body = BUF_INIT(HTTP_BODY_ROOM + HTTP_IN_MAX);
	x->has_news = httpbody_is_done(&x->rest);
	http_touch(x);
}

struct span http_body(const struct http_exchange *x, bool *ret_end)
{
	if (ret_end)
		*ret_end = httpbody_is_done(&x->rest);
	return buf_span(&x->body);
}

void http_consume(struct http_exchange *x, size_t len)
{
	buf_consume(&x->body, len);
	if (!httpbody_is_done(&x->rest))
		http_touch(x); /* there is room for what was not read */
}

static bool wants_body(const struct http_exchange *x)
{
	if (x->intake == INTAKE_NONE || httpbody_is_done(&x->rest))
		return false;
	if (!x->keeps && (x->intake == INTAKE_SKIP || x->answered == ANSWER_WHOLE))
		return false; /* no request comes behind it */
	return x->intake != INTAKE_STREAM || buf_len(&x->body) < HTTP_BODY_ROOM;
}

static bool wants_input(const struct http_exchange *x)
{
	switch (x->state) {
	case HTTP_HEAD:
		return buf_len(&x->out) == 0;
	case HTTP_EXCHANGE:
		return wants_body(x);
	default:
		return false;
	}
}

/* An orderly end would say that all has been said. */
static void cut_unframed(struct http_exchange *x)
{
	if (x->unframed && (x->answered == ANSWER_BEGUN || buf_len(&x->out)))
		http_cut(x);
}

void http_exchange_free(struct http_exchange *x)
{
	struct http_server *s = x->owner;

	(void)event_del(&x->event);
	cut_unframed(x);
	if (x->head && x->answered != ANSWER_WHOLE && s->handler->gone)
		s->handler->gone(s->arg, x);
	(void)close(event_get_fd(&x->event));
	if (s->handler->disconnected)
		s->handler->disconnected(s->arg, x->peer);
	heap_remove(&s->timers, &x->timer);
	list_unlink(&x->node);
	s->count--;
	mem_free(x->held);
	buf_deinit(&x->in);
	buf_deinit(&x->body);
	buf_deinit(&x->out);
	mem_free(x);
}

/* It is over without the handler, whom nobody waits for any more. */
static void give_up(struct http_exchange *x, int status, const char *text)
{
	bool may_answer = x->answered == ANSWER_OWED;

	if (x->answered != ANSWER_WHOLE && x->owner->handler->gone)
		x->owner->handler->gone(x->owner->arg, x);
	x->answered = ANSWER_OWED;
	if (may_answer)
		http_refuse(x, status, text);
	else
		http_abort(x);
	x->answered = ANSWER_WHOLE;
}

static void linger(struct http_exchange *x)
{
	x->state = shutdown(event_get_fd(&x->event), SHUT_WR) < 0 ? HTTP_DEAD : HTTP_LINGER;
	x->body_max = LINGER_MAX;
	x->unread = true;
}

/* Both ways are through. */
static void finish(struct http_exchange *x)
{
	mem_free(x->held);
	x->held = NULL;
	x->head = NULL;
	x->data = NULL;
	buf_deinit(&x->body);
	x->state = HTTP_HEAD;
	x->intake = INTAKE_NONE;
	x->answered = ANSWER_OWED;
	x->bare = x->unframed = x->awaits_continue = x->has_news = x->awaits_room = false;
	x->progress = true;
	list_unlink(&x->node);
	list_append(&x->owner->all, &x->node);
	if (!x->keeps || x->owner->is_draining)
		linger(x);
}

static void begin(struct http_exchange *x)
{
	const struct httphead *head = &x->owner->head;
	struct span *input = &x->owner->input;

	x->owner->head_text = span_of(input->ptr, head->size);
	*input = span_of(input->ptr + head->size, input->len - head->size);
	x->state = HTTP_EXCHANGE;
	x->is_new = false;
	x->head = head;
	x->rest = httpbody_of(head);
	x->keeps = head->keep_alive && !x->owner->config.closes;
	x->bare = span_is(head->method, "HEAD");
	x->awaits_continue = head->expects_continue && !httpbody_is_done(&x->rest);
}

/* Keeps the head beyond this wake. */
static void hold(struct http_exchange *x)
{
	struct span text = x->owner->head_text;
	struct http_held *held = mem_alloc(sizeof(*held) + text.len);

	if (!held) {
		x->state = HTTP_DEAD; /* without memory for it there is none for its answer */
		return;
	}
	memcpy(held->text, text.ptr, text.len);
	(void)httphead_parse(span_of(held->text, text.len), &held->head); /* as before */
	x->held = held;
	x->head = &held->head;
}

static void refuse_head(struct http_exchange *x, enum httphead_result result)
{
	static const struct {
		int status;
		const char *text;
	} refusals[] = {
		[HTTPHEAD_TOO_LONG] = { 431, "the head is too long\n" },
		[HTTPHEAD_BAD] = { 400, "no HTTP/1.1 request\n" },
		[HTTPHEAD_VERSION] = { 505, "HTTP/1.1 only\n" },
		[HTTPHEAD_EXPECTATION] = { 417, "100-continue only\n" },
	};

	x->state = HTTP_EXCHANGE;
	http_refuse(x, refusals[result].status, refusals[result].text);
}

/* Within a line nothing can be said that could not before: who sends it byte by
 * byte doesn't have it parsed as often. */
static bool has_new_line(struct http_exchange *x)
{
	struct span input = x->owner->input;
	size_t seen = x->seen;

	x->seen = input.len;
	return seen == 0 || input.len >= HTTPHEAD_MAX ||
	       (input.len > seen && memchr(input.ptr + seen, '\n', input.len - seen));
}

/* True if there is more to do. */
static bool take_head(struct http_exchange *x)
{
	struct http_server *s = x->owner;
	enum httphead_result result;

	if (buf_len(&x->out) || s->input.len == 0 || !has_new_line(x))
		return false;
	result = httphead_parse(s->input, &s->head);
	x->seen = result == HTTPHEAD_INCOMPLETE ? s->input.len : 0;
	if (result == HTTPHEAD_INCOMPLETE)
		return false;
	if (result != HTTPHEAD_DONE) {
		refuse_head(x, result);
		return true;
	}
	begin(x);
	s->handler->request(s->arg, x);
	if (x->state == HTTP_EXCHANGE && x->answered != ANSWER_WHOLE)
		hold(x);
	return true;
}

/* False if it is too long, or there is no memory for it. */
static bool keep_data(struct http_exchange *x, struct span data)
{
	x->progress |= x->intake == INTAKE_STREAM;
	x->has_news = true;
	if (x->intake != INTAKE_SKIP)
		return buf_append(&x->body, data.ptr, data.len) == 0;
	x->body_max -= data.len < x->body_max ? data.len : x->body_max;
	return x->body_max > 0;
}

static void take_body(struct http_exchange *x)
{
	struct span *input = &x->owner->input;
	enum httpbody_result result = HTTPBODY_DATA;
	struct span data;

	if (x->intake == INTAKE_COLLECT && !x->head->is_chunked && x->rest.left > x->body_max) {
		give_up(x, 413, "the body is too long\n");
		return;
	}
	if (x->intake != INTAKE_SKIP)
		http_continue(x);
	while (result == HTTPBODY_DATA && wants_body(x)) {
		result = httpbody_next(&x->rest, input, &data);
		if (result == HTTPBODY_DATA && !keep_data(x, data)) {
			give_up(x, 413, "the body is too long\n");
			return;
		}
	}
	x->has_news |= result == HTTPBODY_DONE;
	if (result == HTTPBODY_BAD)
		give_up(x, 400, "no HTTP/1.1 body\n");
	else if (result == HTTPBODY_MORE && x->has_ended)
		x->state = HTTP_DEAD;
}

static void tell_handler(struct http_exchange *x)
{
	const struct http_handler *handler = x->owner->handler;
	bool is_due = x->intake == INTAKE_STREAM ||
		      (x->intake == INTAKE_COLLECT && httpbody_is_done(&x->rest));

	if (x->has_news && is_due) {
		x->has_news = false;
		handler->body(x->owner->arg, x);
	}
	if (x->state == HTTP_EXCHANGE && x->awaits_room && buf_len(&x->out) < HTTP_OUT_HIGH / 2) {
		x->awaits_room = false;
		handler->writable(x->owner->arg, x);
	}
}

/* True if there is more to do. */
static bool go_on(struct http_exchange *x)
{
	if (wants_body(x))
		take_body(x);
	if (x->state == HTTP_EXCHANGE && x->answered != ANSWER_WHOLE)
		tell_handler(x);
	if (x->state != HTTP_EXCHANGE)
		return false;
	if (x->answered != ANSWER_WHOLE || (x->keeps && !httpbody_is_done(&x->rest)))
		return wants_body(x) && x->owner->input.len > 0;
	if (buf_len(&x->out))
		return false;
	finish(x);
	return true;
}

static bool step(struct http_exchange *x)
{
	switch (x->state) {
	case HTTP_HEAD:
		return take_head(x);
	case HTTP_EXCHANGE:
		return go_on(x);
	default:
		return false;
	}
}

/* Reads once, behind what is there already. */
static void receive(struct http_exchange *x)
{
	struct http_server *s = x->owner;
	ssize_t n =
	    recv(event_get_fd(&x->event), s->in + s->input.len, HTTP_READ_SIZE, MSG_DONTWAIT);

	if (n > 0) {
		s->input.len += (size_t)n;
		x->unread = n == HTTP_READ_SIZE || x->end_is_near;
	} else if (n == 0) {
		x->has_ended = true;
		x->unread = false;
	} else if (errno == EAGAIN) {
		x->unread = false;
	} else if (errno != EINTR) {
		x->state = HTTP_DEAD;
	}
}

static void throw_away(struct http_exchange *x)
{
	char *scrap = x->owner->in;
	ssize_t n = 0;

	while (x->body_max > 0) {
		n = recv(event_get_fd(&x->event), scrap, HTTP_READ_SIZE, MSG_DONTWAIT);
		if (n <= 0)
			break;
		explicit_bzero(scrap, (size_t)n); /* a request behind it has its key, too */
		x->body_max -= (size_t)n < x->body_max ? (size_t)n : x->body_max;
	}
	x->unread = n < 0 && errno == EINTR;
	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		x->state = HTTP_DEAD;
}

/* True if the client has closed its socket, not just said that it has no more
 * to say. */
static bool has_hung_up(const struct http_exchange *x)
{
	struct pollfd pollfd = { .fd = event_get_fd(&x->event) };

	return poll(&pollfd, 1, 0) == 1 && pollfd.revents & (POLLHUP | POLLERR);
}

static enum http_phase phase_of(const struct http_exchange *x)
{
	if (x->state == HTTP_LINGER)
		return PHASE_LINGER;
	if (buf_len(&x->out))
		return PHASE_WRITE;
	if (x->state == HTTP_HEAD)
		return buf_len(&x->in) ? PHASE_HEAD : PHASE_IDLE;
	return wants_body(x) ? PHASE_BODY : PHASE_NONE;
}

/* The heap is told of a deadline only if that comes earlier than what it has.
 */
static void set_deadline(struct http_exchange *x, struct mono now)
{
	struct http_server *s = x->owner;
	const struct http_config *c = &s->config;
	const int64_t limits[] = {
		[PHASE_IDLE] = s->is_draining ? DRAIN_MS : c->idle_ms,
		[PHASE_HEAD] = s->is_draining ? DRAIN_MS : c->head_ms,
		[PHASE_BODY] = c->body_ms,
		[PHASE_WRITE] = c->write_ms,
		[PHASE_LINGER] = LINGER_MS,
	};
	enum http_phase phase = phase_of(x);

	if (phase == x->phase && !x->progress)
		return;
	x->phase = phase;
	x->progress = false;
	x->deadline = phase == PHASE_NONE ? MONO_NEVER : mono_add_ms(now, limits[phase]);
	if (x->deadline.ms < (x->timer.slot == HEAP_NOWHERE ? MONO_NEVER : x->timer.at).ms)
		heap_set(&s->timers, &x->timer, x->deadline);
}

static void on_event(evutil_socket_t fd, short what, void *arg);

/* Edges, not levels: a socket that is not read does not report itself again and
 * again. What was there before comes as an edge, too. */
static void wait_for(struct http_exchange *x, short events)
{
	evutil_socket_t fd = event_get_fd(&x->event);

	if (events == x->events)
		return;
	(void)event_del(&x->event);
	x->events = (uint8_t)events;
	(void)event_assign(&x->event, x->owner->base, fd,
			   (short)(events | EV_CLOSED | EV_PERSIST | EV_ET), on_event, x);
	if (event_add(&x->event, NULL) < 0)
		x->state = HTTP_DEAD;
}

/* What was not looked at stays; the shared buffer is wiped. */
static void keep_rest(struct http_exchange *x, size_t used)
{
	struct http_server *s = x->owner;

	buf_reset(&x->in);
	if (x->state != HTTP_LINGER && buf_append(&x->in, s->input.ptr, s->input.len) < 0)
		x->state = HTTP_DEAD;
	buf_trim(&x->in);
	explicit_bzero(s->in, used);
}

void http_settle(struct http_exchange *x, struct mono now)
{
	struct http_server *s = x->owner;

	if (x->state != HTTP_DEAD) {
		set_deadline(x, now);
		wait_for(x, buf_len(&x->out) ? EV_READ | EV_WRITE : EV_READ);
	}
	if (x->state == HTTP_DEAD) {
		http_exchange_free(x);
		if (s->is_draining && s->count == 0 && s->handler->drained)
			s->handler->drained(s->arg);
	} else if (x->unread && (wants_input(x) || x->state == HTTP_LINGER)) {
		event_active(&x->event, EV_READ, 0); /* in its turn; the others first */
	}
	http_arm(s, now);
}

static void run(struct http_exchange *x)
{
	struct http_server *s = x->owner;
	struct span kept = buf_span(&x->in);
	size_t used;

	if (kept.len)
		memcpy(s->in, kept.ptr, kept.len);
	s->input = span_of(s->in, kept.len);
	x->is_running = true;
	http_flush(x);
	if (x->state == HTTP_EXCHANGE && x->unread && !wants_input(x) && has_hung_up(x))
		x->state = HTTP_DEAD;
	if (x->unread && wants_input(x) && s->input.len <= HTTPHEAD_MAX)
		receive(x);
	used = s->input.len;
	while (step(x))
		;
	if (x->state == HTTP_HEAD && x->has_ended && buf_len(&x->out) == 0)
		x->state = HTTP_DEAD; /* half a head is no request */
	if (x->state == HTTP_LINGER && x->unread)
		throw_away(x);
	keep_rest(x, used);
	x->is_running = false;
	http_settle(x, clock_boot());
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct http_exchange *x = arg;

	(void)fd;
	x->end_is_near |= (what & EV_CLOSED) != 0;
	x->unread |= (what & (EV_READ | EV_CLOSED)) != 0;
	run(x);
}

/* True if something has come that is not answered yet, if only half a head. */
static bool has_input(const struct http_exchange *x)
{
	char byte;

	return buf_len(&x->in) ||
	       recv(event_get_fd(&x->event), &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void http_drain(struct http_exchange *x, struct mono now)
{
	if (x->state != HTTP_HEAD)
		return;
	if (!x->is_new && !has_input(x)) {
		http_exchange_free(x);
		return;
	}
	x->progress = true; /* for another deadline */
	http_settle(x, now);
}

void http_expire(struct http_exchange *x)
{
	x->is_running = true;
	if (x->phase == PHASE_HEAD) {
		x->state = HTTP_EXCHANGE;
		http_refuse(x, 408, "the request took too long\n");
	} else if (x->phase == PHASE_BODY && x->answered != ANSWER_WHOLE) {
		give_up(x, 408, "the request took too long\n");
	} else {
		x->state = HTTP_DEAD;
	}
	run(x);
}

struct http_exchange *http_exchange_new(struct http_server *s, int fd)
{
	struct http_exchange *x = mem_zalloc(sizeof(*x));
	int result;

	if (!x || heap_reserve(&s->timers, s->count + 1) < 0) {
		mem_free(x);
		return NULL;
	}
	result = s->handler->connected ? s->handler->connected(s->arg, fd, &x->peer) : 0;
	if (result) {
		mem_free(x);
		return NULL;
	}
	x->owner = s;
	x->timer = HEAP_NODE(0);
	x->in = BUF_INIT(HTTP_IN_MAX);
	x->out = BUF_INIT(OUT_MAX);
	x->progress = x->is_new = true;
	list_append(&s->all, &x->node);
	s->count++;
	(void)event_assign(&x->event, s->base, fd, EV_READ, on_event, x);
	return x;
}
