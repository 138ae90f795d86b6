/* See http.h: the server, its connections' deadlines, and how many there are. What a connection
 * does is in httpconn.c, what it answers in httpanswer.c. */
#include "daemon/sys/http.h"

#include "base/mem.h"
#include "daemon/sys/clock.h"
#include "daemon/sys/httpconn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

void http_arm(struct http_server *s, struct mono now)
{
	const struct heap_node *first = heap_first(&s->timers);
	struct timeval tv;
	int64_t ms;

	if (!first || first->at.ms >= s->armed_at.ms)
		return;
	ms = mono_diff_ms(first->at, now);
	ms = ms < 0 ? 0 : ms;
	tv.tv_sec = ms / MS_PER_S;
	tv.tv_usec = ms % MS_PER_S * 1000;
	if (evtimer_add(&s->timer, &tv) == 0)
		s->armed_at = first->at;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;
	struct mono now = clock_boot();
	struct heap_node *first;

	(void)fd;
	(void)what;
	s->armed_at = MONO_NEVER;
	while ((first = heap_first(&s->timers)) && mono_is_due(first->at, now)) {
		struct http_exchange *x = container_of(first, struct http_exchange, timer);

		heap_remove(&s->timers, first);
		if (mono_is_due(x->deadline, now))
			http_expire(x);
		else if (x->deadline.ms != MONO_NEVER.ms)
			heap_set(&s->timers, first, x->deadline);
	}
	http_arm(s, now);
}

/* The one that has been quiet the longest, and owes its client nothing, makes room. */
static bool make_room(struct http_server *s)
{
	list_for_each (it, &s->all) {
		struct http_exchange *x = container_of(it, struct http_exchange, node);

		if (x->state != HTTP_EXCHANGE || x->answered == ANSWER_WHOLE) {
			http_exchange_free(x);
			return true;
		}
	}
	return false;
}

static void on_accept(void *arg, int fd)
{
	static const char refusal[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
				      "Content-Length: 0\r\nConnection: close\r\n\r\n";
	struct http_server *s = arg;
	struct http_exchange *x = NULL;
	int on = 1;

	if (s->count < s->config.max_connections || make_room(s))
		x = http_exchange_new(s, fd);
	if (x) {
		/* Not for Unix sockets, which don't know it. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		http_settle(x, clock_boot());
		return;
	}
	(void)send(fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)close(fd);
}

int http_server_new(struct event_base *base, const struct http_config *config,
		    const struct http_handler *handler, void *arg,
		    char ret_text[LISTENER_ERROR_SIZE], struct http_server **ret)
{
	const struct listener_config listener = {
		.path = config->address,
		.mode = config->mode,
		.group = config->group,
		.sockets = config->sockets,
		.n_sockets = config->n_sockets,
	};
	struct http_server *s = mem_zalloc(sizeof(*s));
	int result;

	if (!s) {
		ret_text[0] = '\0';
		return -ENOMEM;
	}
	s->base = base;
	s->config = *config;
	s->handler = handler;
	s->arg = arg;
	s->armed_at = MONO_NEVER;
	s->out = BUF_INIT(HTTP_OUT_MAX);
	list_init(&s->all);
	(void)evtimer_assign(&s->timer, base, on_timer, s);
	result = listener_new(base, &listener, on_accept, s, ret_text, &s->listener);
	if (result < 0) {
		http_server_free(s);
		return result;
	}
	*ret = s;
	return 0;
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	listener_free(s->listener);
	list_for_each_safe (it, &s->all)
		http_exchange_free(container_of(it, struct http_exchange, node));
	(void)evtimer_del(&s->timer);
	heap_deinit(&s->timers);
	buf_deinit(&s->out);
	mem_free(s);
}

void http_server_stop(struct http_server *s)
{
	struct mono now = clock_boot();

	listener_free(s->listener);
	s->listener = NULL;
	s->is_draining = true;
	list_for_each_safe (it, &s->all)
		http_drain(container_of(it, struct http_exchange, node), now);
}

size_t http_server_count(const struct http_server *s)
{
	return s->count;
}
