/* See metrics.h.
 *
 * HEAD -> ANSWER -> LINGER: the head is read, the answer written, and what still comes thrown away
 * until the client closes; a close with input unread would be a reset, which may take the answer
 * with it.
 */
#include "daemon/sys/metrics.h"

#include "base/list.h"
#include "base/mem.h"
#include "daemon/core/engine.h"
#include "daemon/core/httphead.h"
#include "daemon/core/openmetrics.h"
#include "daemon/core/setting.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/listener.h"
#include "daemon/sys/log.h"
#include "daemon/sys/process.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_MAX (64 * 1024) /* bytes */
#define ANSWER_MAX (OPENMETRICS_MAX + 512)

enum state {
	STATE_HEAD,
	STATE_ANSWER,
	STATE_LINGER,
};

struct metrics {
	struct event_base *base;
	struct engine *engine;
	struct listener *listener;
	struct list conns; /* the oldest first */
	size_t count;
	struct buf body; /* of the answer that is being made */
};

struct scrape {
	struct metrics *owner;
	struct list node;
	enum state state;
	struct event io, deadline;
	struct buf in, out;
	size_t thrown_away;
};

struct answer_text {
	const char *status;
	const char *type;
	const char *field; /* one more, or "" */
	struct span body;
};

static const char plain[] = "text/plain; charset=utf-8";

static void scrape_free(struct scrape *s)
{
	(void)event_del(&s->deadline);
	(void)event_del(&s->io);
	(void)close(event_get_fd(&s->io));
	list_unlink(&s->node);
	s->owner->count--;
	buf_deinit(&s->in);
	buf_deinit(&s->out);
	mem_free(s);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	scrape_free(arg);
}

static struct answer_text refusal(const char *status, const char *field, const char *text)
{
	return (struct answer_text){ status, plain, field, span_str(text) };
}

static struct answer_text numbers(struct metrics *m, struct span accept)
{
	enum openmetrics_format format = openmetrics_choose(accept);
	struct mono now = clock_boot();

	process_tell(m->engine, now);
	if (openmetrics_write(m->engine, now, format, &m->body) < 0)
		return refusal("503 Service Unavailable", "", "out of memory\n");
	return (struct answer_text){ "200 OK", openmetrics_content_type(format), "Vary: Accept\r\n",
				     buf_span(&m->body) };
}

static struct answer_text readiness(const struct metrics *m)
{
	if (engine_is_ready(m->engine))
		return refusal("200 OK", "", "ready\n");
	return refusal("503 Service Unavailable", "",
		       "not ready: Clerk can't be used now; clerk-token doctor says why\n");
}

static struct answer_text answer_to(struct metrics *m, enum httphead_result result,
				    const struct httphead *head)
{
	if (result == HTTPHEAD_TOO_LONG)
		return refusal("431 Request Header Fields Too Large", "", "too long\n");
	if (result != HTTPHEAD_DONE)
		return refusal("400 Bad Request", "", "no HTTP/1 request\n");
	if (!span_is(head->method, "GET") && !span_is(head->method, "HEAD"))
		return refusal("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "GET or HEAD\n");
	if (span_is(head->path, "/metrics"))
		return numbers(m, head->accept);
	if (span_is(head->path, "/livez"))
		return refusal("200 OK", "", "live\n");
	if (span_is(head->path, "/readyz"))
		return readiness(m);
	return refusal("404 Not Found", "", "there are /metrics, /livez and /readyz\n");
}

static int write_answer(struct buf *to, const struct answer_text *a, bool with_body)
{
	const char *const parts[] = { "HTTP/1.1 ",
				      a->status,
				      "\r\n",
				      a->field,
				      "Content-Type: ",
				      a->type,
				      "\r\nCache-Control: no-store\r\nConnection: close\r\n"
				      "Content-Length: " };
	int result = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && result == 0; i++)
		result = buf_append_str(to, parts[i]);
	result = result ? result : buf_append_u64(to, a->body.len);
	result = result ? result : buf_append_str(to, "\r\n\r\n");
	if (result == 0 && with_body)
		result = buf_append(to, a->body.ptr, a->body.len);
	return result;
}

static void on_io(evutil_socket_t fd, short what, void *arg);

/* Waits for input, or for room to write. 0 or -ENOMEM. */
static int wait_for(struct scrape *s, short what)
{
	evutil_socket_t fd = event_get_fd(&s->io);

	(void)event_del(&s->io);
	(void)event_assign(&s->io, s->owner->base, fd, (short)(what | EV_PERSIST), on_io, s);
	return event_add(&s->io, NULL) < 0 ? -ENOMEM : 0;
}

/* These three: 0 to go on, negative to close. */
static int send_answer(struct scrape *s)
{
	while (buf_len(&s->out)) {
		ssize_t len = send(event_get_fd(&s->io), s->out.ptr + s->out.start,
				   buf_len(&s->out), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (len < 0 && errno == EAGAIN)
			return wait_for(s, EV_WRITE);
		if (len < 0)
			return -errno;
		buf_consume(&s->out, (size_t)len);
	}
	s->state = STATE_LINGER;
	if (shutdown(event_get_fd(&s->io), SHUT_WR) < 0)
		return -errno;
	return wait_for(s, EV_READ);
}

static int read_head(struct scrape *s)
{
	char *to = buf_reserve(&s->in, HTTPHEAD_MAX - buf_len(&s->in));
	enum httphead_result result;
	struct answer_text answer;
	struct httphead head;
	ssize_t len;

	if (!to)
		return -ENOMEM;
	len = recv(event_get_fd(&s->io), to, HTTPHEAD_MAX - buf_len(&s->in), MSG_DONTWAIT);
	if (len < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (len == 0)
		return -ECONNRESET; /* half a head is no request */
	buf_commit(&s->in, (size_t)len);
	result = httphead_parse(buf_span(&s->in), &head);
	if (result == HTTPHEAD_INCOMPLETE)
		return 0;
	buf_reset(&s->owner->body);
	answer = answer_to(s->owner, result, &head);
	s->state = STATE_ANSWER;
	if (write_answer(&s->out, &answer, !span_is(head.method, "HEAD")) < 0)
		return -ENOMEM;
	return send_answer(s);
}

static int throw_away(struct scrape *s)
{
	char bytes[4096];
	ssize_t len = recv(event_get_fd(&s->io), bytes, sizeof(bytes), MSG_DONTWAIT);

	if (len < 0)
		return errno == EAGAIN ? 0 : -errno;
	s->thrown_away += (size_t)len;
	return len == 0 || s->thrown_away > LINGER_MAX ? -ECONNRESET : 0;
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	static int (*const steps[])(struct scrape *) = {
		[STATE_HEAD] = read_head,
		[STATE_ANSWER] = send_answer,
		[STATE_LINGER] = throw_away,
	};
	struct scrape *s = arg;

	(void)fd;
	(void)what;
	if (steps[s->state](s) < 0)
		scrape_free(s);
}

static void on_accept(void *arg, int fd)
{
	static const struct timeval deadline = { .tv_sec = METRICS_DEADLINE_MS / 1000 };
	struct metrics *m = arg;
	struct scrape *s;

	if (m->count == METRICS_CONNECTIONS_MAX)
		scrape_free(container_of(list_first(&m->conns), struct scrape, node));
	s = mem_zalloc(sizeof(*s));
	if (!s) {
		(void)close(fd);
		return;
	}
	*s = (struct scrape){ .owner = m,
			      .in = BUF_INIT(HTTPHEAD_MAX),
			      .out = BUF_INIT(ANSWER_MAX) };
	list_append(&m->conns, &s->node);
	m->count++;
	(void)event_assign(&s->io, m->base, fd, EV_READ | EV_PERSIST, on_io, s);
	(void)evtimer_assign(&s->deadline, m->base, on_deadline, s);
	if (event_add(&s->io, NULL) < 0 || evtimer_add(&s->deadline, &deadline) < 0)
		scrape_free(s);
}

int metrics_new(struct event_base *base, struct engine *engine, const struct config *config,
		struct metrics **ret)
{
	const char *path = setting_socket_of(span_str(config->metrics)).ptr;
	const struct listener_config listener = {
		.path = path ? path : config->metrics,
		.mode = config->socket_mode,
		.group = config->socket_group,
	};
	char text[LISTENER_ERROR_SIZE];
	struct metrics *m;
	int result;

	*ret = NULL;
	if (!config->metrics)
		return 0;
	m = mem_zalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	*m = (struct metrics){ .base = base, .engine = engine, .body = BUF_INIT(OPENMETRICS_MAX) };
	list_init(&m->conns);
	result = listener_new(base, &listener, on_accept, m, text, &m->listener);
	if (result < 0) {
		log_error("[listen] metrics: %s", text);
		metrics_free(m);
		return result;
	}
	*ret = m;
	return 0;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	listener_free(m->listener);
	list_for_each_safe (it, &m->conns)
		scrape_free(container_of(it, struct scrape, node));
	buf_deinit(&m->body);
	mem_free(m);
}
