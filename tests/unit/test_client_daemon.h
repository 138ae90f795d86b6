/* A daemon for the tests of the client, in threads of the test: what it does with a request is told
 * by the session that is asked for. See answer().
 */
#pragma once

#include "base/span.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DAEMON_CONNECTIONS_MAX 256
#define LINE_SIZE 1200

struct daemon_connection {
	struct daemon *daemon;
	pthread_t thread;
	int fd; /* -1: ended */
	bool tracks;
};

struct daemon {
	char directory[32];
	char path[64];
	int listener;
	bool is_running;
	pthread_t thread;
	pthread_mutex_t mutex;	/* over what follows */
	pthread_cond_t changed; /* the watcher */
	struct daemon_connection connections[DAEMON_CONNECTIONS_MAX];
	unsigned accepted, requests;
	unsigned long renewed;	   /* the number of what WATCH is answered with; 0: as GET */
	int watcher;		   /* the latest connection on which WATCH was answered, or -1 */
	unsigned trackers;	   /* connections that track */
	unsigned tracks;	   /* how often that was asked for */
	const char *refuses_track; /* the end of its answer to TRACK; NULL: it agrees */
	unsigned long tokens;	   /* the number of the latest token of sess_keep and the like */
	unsigned held;		   /* requests for sess_held that wait */
	bool lets_go;		   /* they needn't wait any more */
	char last[LINE_SIZE];
};

static void die(const char *what)
{
	perror(what);
	abort();
}

/* False once the other side has gone. */
static bool put(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool put_text(int fd, const char *text)
{
	return put(fd, text, strlen(text));
}

static bool put_token(int fd, const char *head, unsigned long id, const char *tail)
{
	char line[LINE_SIZE];

	(void)snprintf(line, sizeof(line),
		       "%s aa.%lu.cc id=%016lx exp=2000000000 ttl=60000 reuse=1000 state=fresh%s\n",
		       head, id, id, tail);
	return put_text(fd, line);
}

static bool put_bytewise(int fd, const char *text)
{
	for (; *text; text++) {
		if (!put(fd, text, 1))
			return false;
	}
	return true;
}

static void put_for_ever(int fd, const char *text)
{
	while (put_text(fd, text))
		;
}

/* Each time another token, to be handed out for so long. */
static bool put_next(struct daemon *d, int fd, const char *head, unsigned reuse_ms)
{
	char line[LINE_SIZE];
	unsigned long number;

	pthread_mutex_lock(&d->mutex);
	number = ++d->tokens;
	pthread_mutex_unlock(&d->mutex);
	(void)snprintf(line, sizeof(line),
		       "%s aa.%lu.cc id=%016lx exp=2000000000 ttl=60000 reuse=%u state=fresh\n",
		       head, number, number, reuse_ms);
	return put_text(fd, line);
}

/* A token that is made when it is asked for, and sent when the test says so. */
static bool put_held(struct daemon *d, int fd, const char *head)
{
	char line[LINE_SIZE];

	pthread_mutex_lock(&d->mutex);
	(void)snprintf(line, sizeof(line),
		       "%s aa.%lu.cc id=%016lx exp=2000000000 ttl=60000 reuse=50000\n", head,
		       d->tokens + 1, d->tokens + 1);
	d->tokens++;
	d->held++;
	pthread_cond_broadcast(&d->changed);
	while (!d->lets_go)
		(void)pthread_cond_wait(&d->changed, &d->mutex);
	pthread_mutex_unlock(&d->mutex);
	return put_text(fd, line);
}

static bool answer_keep(struct daemon *d, int fd, const char *tag, const char *session)
{
	char head[64];

	(void)snprintf(head, sizeof(head), "%s OK", tag);
	if (strcmp(session, "sess_held") == 0)
		return put_held(d, fd, head);
	return put_next(d, fd, head, strcmp(session, "sess_keep_short") == 0 ? 30 : 50000);
}

/* The number behind the session's name: "sess_ok7" is 7. */
static unsigned long number_of(const char *session)
{
	return strtoul(session + strcspn(session, "0123456789"), NULL, 10);
}

/* `tag` is "#N". False: the connection is to be closed. */
static bool answer(int fd, const char *tag, const char *session)
{
	char head[64];

	(void)snprintf(head, sizeof(head), "%s OK", tag);
	if (strncmp(session, "sess_ok", 7) == 0)
		return put_token(fd, head, number_of(session), " src=cache");
	if (strcmp(session, "sess_slow") == 0)
		return put_token(fd, head, 5, " src=clerk new=field");
	if (strcmp(session, "sess_last") == 0)
		return put_token(fd, head, 1, " src=cache") && false;
	if (strcmp(session, "sess_close") == 0)
		return false;
	if (strcmp(session, "sess_half") == 0)
		return put_text(fd, "#1 OK aa.bb") && false;
	if (strcmp(session, "sess_silent") == 0)
		return true;
	if (strcmp(session, "sess_untagged") == 0)
		return put_token(fd, "OK", 1, " src=cache");
	if (strcmp(session, "sess_other") == 0)
		return put_token(fd, "#999 OK", 1, " src=cache");
	if (strcmp(session, "sess_garbage") == 0)
		return put_text(fd, "HTTP/1.1 400 Bad Request\r\n");
	if (strcmp(session, "sess_binary") == 0)
		return put(fd, "\0\1\377\n", 4);
	if (strcmp(session, "sess_extra") == 0)
		return put_token(fd, head, 1, " src=cache") && put_text(fd, "#1 OK a.b");
	if (strcmp(session, "sess_noise") == 0)
		return put_text(fd, "* NEWS from the future\n* DROP sess_x *\n") &&
		       put_token(fd, head, 1, " src=cache");
	if (strcmp(session, "sess_refuse") == 0)
		return put_text(fd, "ERR overloaded retry=70 too many clients\n") && false;
	if (strcmp(session, "sess_stopping") == 0)
		return put_text(fd, tag) && put_text(fd, " ERR shutting_down retry=2000 later\n") &&
		       false;
	if (strcmp(session, "sess_missing") == 0)
		return put_text(fd, tag) && put_text(fd, " ERR not_found retry=9000 no such\n");
	if (strcmp(session, "sess_future") == 0)
		return put_text(fd, tag) && put_text(fd, " ERR odd_code retry=never no such\n");
	if (strcmp(session, "sess_drip") == 0) {
		(void)snprintf(head, sizeof(head), "%s OK a.b.c id=00000000000000aa exp=1 ttl=5\n",
			       tag);
		return put_bytewise(fd, head);
	}
	if (strcmp(session, "sess_huge") == 0)
		put_for_ever(fd, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	if (strcmp(session, "sess_pushes") == 0)
		put_for_ever(fd, "* NEWS on and on and on and on and on and on and on\n");
	return false;
}

/* Answers WATCH; whoever has seen the answer pushes to this connection. */
static bool answer_watch(struct daemon_connection *c, const char *tag, const char *session)
{
	bool is_open;

	char renewed[32];

	pthread_mutex_lock(&c->daemon->mutex);
	(void)snprintf(renewed, sizeof(renewed), "sess_ok%lu", c->daemon->renewed);
	is_open = answer(c->fd, tag, c->daemon->renewed ? renewed : session);
	if (is_open)
		c->daemon->watcher = c->fd;
	pthread_cond_broadcast(&c->daemon->changed);
	pthread_mutex_unlock(&c->daemon->mutex);
	return is_open;
}

/* Whoever has seen the answer to TRACK is told of drops. */
static bool answer_track(struct daemon_connection *c, const char *tag)
{
	struct daemon *d = c->daemon;
	char line[LINE_SIZE];
	bool is_open;

	pthread_mutex_lock(&d->mutex);
	(void)snprintf(line, sizeof(line), "%s %s\n", tag,
		       d->refuses_track ? d->refuses_track : "OK");
	is_open = put_text(c->fd, line);
	if (is_open && !d->refuses_track && !c->tracks) {
		c->tracks = true;
		d->trackers++;
	}
	d->tracks++;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->mutex);
	return is_open;
}

/* Notes a line "#N VERB [SESSION ...]" and answers it. */
static bool take_request(struct daemon_connection *c, struct span line)
{
	struct daemon *d = c->daemon;
	struct span rest = line, tag, verb, session = SPAN_NONE;
	char tag_text[40], session_text[130];
	bool is_first;

	pthread_mutex_lock(&d->mutex);
	(void)snprintf(d->last, sizeof(d->last), "%.*s", (int)line.len, line.ptr);
	is_first = d->requests++ == 0;
	(void)span_split(&rest, ' ', &tag);
	if (!span_split(&rest, ' ', &verb))
		die("a request without a verb");
	(void)span_split(&rest, ' ', &session);
	(void)snprintf(tag_text, sizeof(tag_text), "%.*s", (int)tag.len, tag.ptr);
	(void)snprintf(session_text, sizeof(session_text), "%.*s", (int)session.len, session.ptr);
	pthread_mutex_unlock(&d->mutex);
	if (span_is(verb, "PING"))
		return put_text(c->fd, tag_text) && put_text(c->fd, " OK pong\n");
	if (span_is(verb, "STATS"))
		return put_text(c->fd, tag_text) && put_text(c->fd, " OK {\"tokens\": 3}\n");
	if (span_is(verb, "WHY"))
		return put_text(c->fd, tag_text) &&
		       put_text(c->fd, " OK allowed because=no_rules admin=no\n");
	if (span_is(verb, "DROP") || span_is(verb, "FLUSH"))
		return put_text(c->fd, tag_text) && put_text(c->fd, " OK dropped=3\n");
	if (span_is(verb, "UNWATCH"))
		return put_text(c->fd, tag_text) && put_text(c->fd, " OK\n");
	if (span_is(verb, "TRACK"))
		return answer_track(c, tag_text);
	if (strncmp(session_text, "sess_keep", 9) == 0 || strcmp(session_text, "sess_held") == 0)
		return answer_keep(d, c->fd, tag_text, session_text);
	if (span_is(verb, "WATCH"))
		return answer_watch(c, tag_text, session_text);
	if (strcmp(session_text, "sess_restart") == 0)
		return answer(c->fd, tag_text, is_first ? "sess_stopping" : "sess_ok");
	return answer(c->fd, tag_text, session_text);
}

static void *serve(void *argument)
{
	struct daemon_connection *c = argument;
	char input[LINE_SIZE];
	size_t len = 0;
	bool is_open = true;

	while (is_open) {
		ssize_t n = recv(c->fd, input + len, sizeof(input) - len, 0);
		const char *lf;

		if (n <= 0)
			break;
		len += (size_t)n;
		while (is_open && (lf = memchr(input, '\n', len))) {
			size_t line = (size_t)(lf - input);

			is_open = take_request(c, span_of(input, line));
			len -= line + 1;
			memmove(input, lf + 1, len);
		}
	}
	pthread_mutex_lock(&c->daemon->mutex);
	if (c->daemon->watcher == c->fd)
		c->daemon->watcher = -1;
	c->daemon->trackers -= c->tracks;
	c->tracks = false;
	(void)close(c->fd);
	c->fd = -1;
	pthread_mutex_unlock(&c->daemon->mutex);
	return NULL;
}

static void *accept_all(void *argument)
{
	struct daemon *d = argument;

	for (;;) {
		int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);
		struct daemon_connection *c;

		if (fd < 0)
			return NULL;
		pthread_mutex_lock(&d->mutex);
		if (d->accepted == DAEMON_CONNECTIONS_MAX)
			die("too many connections");
		c = &d->connections[d->accepted++];
		*c = (struct daemon_connection){ .daemon = d, .fd = fd };
		if (pthread_create(&c->thread, NULL, serve, c) != 0)
			die("pthread_create");
		pthread_mutex_unlock(&d->mutex);
	}
}

/* Starts, or starts again at the same path. */
static void daemon_run(struct daemon *d)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", d->path);
	d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (d->listener < 0 ||
	    bind(d->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(d->listener, 64) < 0)
		die("listen");
	if (pthread_create(&d->thread, NULL, accept_all, d) != 0)
		die("pthread_create");
	d->is_running = true;
}

static void daemon_stop(struct daemon *d)
{
	if (!d->is_running)
		return;
	d->is_running = false;
	(void)unlink(d->path);
	(void)shutdown(d->listener, SHUT_RDWR);
	(void)pthread_join(d->thread, NULL);
	(void)close(d->listener);
	pthread_mutex_lock(&d->mutex);
	for (unsigned i = 0; i < d->accepted; i++) {
		if (d->connections[i].fd >= 0)
			(void)shutdown(d->connections[i].fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&d->mutex);
	for (unsigned i = 0; i < d->accepted; i++)
		(void)pthread_join(d->connections[i].thread, NULL);
	d->accepted = 0;
}

static struct daemon *daemon_new(void)
{
	struct daemon *d = calloc(1, sizeof(*d));

	if (!d)
		die("calloc");
	(void)snprintf(d->directory, sizeof(d->directory), "/tmp/test_client_XXXXXX");
	if (!mkdtemp(d->directory))
		die("mkdtemp");
	(void)snprintf(d->path, sizeof(d->path), "%s/socket", d->directory);
	(void)pthread_mutex_init(&d->mutex, NULL);
	(void)pthread_cond_init(&d->changed, NULL);
	d->watcher = -1;
	return d;
}

static void daemon_free(struct daemon *d)
{
	daemon_stop(d);
	(void)rmdir(d->directory);
	free(d);
}

/* Waits until a WATCH has come, and sends it a line. */
static inline void daemon_push(struct daemon *d, const char *line)
{
	pthread_mutex_lock(&d->mutex);
	while (d->watcher < 0)
		(void)pthread_cond_wait(&d->changed, &d->mutex);
	if (!put_text(d->watcher, line))
		die("push");
	pthread_mutex_unlock(&d->mutex);
}

/* From now on this is the token of whatever is watched. */
static inline void daemon_renew(struct daemon *d, unsigned long number)
{
	pthread_mutex_lock(&d->mutex);
	d->renewed = number;
	pthread_mutex_unlock(&d->mutex);
}

/* Waits until somebody tracks, and sends those that do a text. NULL: closes the connections of
 * those that do now. */
static inline void daemon_tell(struct daemon *d, const char *text)
{
	pthread_mutex_lock(&d->mutex);
	while (text && d->trackers == 0)
		(void)pthread_cond_wait(&d->changed, &d->mutex);
	for (unsigned i = 0; i < d->accepted; i++) {
		if (!d->connections[i].tracks)
			continue;
		if (text)
			(void)send(d->connections[i].fd, text, strlen(text),
				   MSG_DONTWAIT | MSG_NOSIGNAL);
		else
			(void)shutdown(d->connections[i].fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&d->mutex);
}

static inline void daemon_await_held(struct daemon *d)
{
	pthread_mutex_lock(&d->mutex);
	while (d->held == 0)
		(void)pthread_cond_wait(&d->changed, &d->mutex);
	pthread_mutex_unlock(&d->mutex);
}

static inline void daemon_let_go(struct daemon *d)
{
	pthread_mutex_lock(&d->mutex);
	d->lets_go = true;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->mutex);
}

static inline unsigned daemon_tracks(struct daemon *d)
{
	unsigned tracks;

	pthread_mutex_lock(&d->mutex);
	tracks = d->tracks;
	pthread_mutex_unlock(&d->mutex);
	return tracks;
}

static inline unsigned daemon_accepted(struct daemon *d)
{
	unsigned accepted;

	pthread_mutex_lock(&d->mutex);
	accepted = d->accepted;
	pthread_mutex_unlock(&d->mutex);
	return accepted;
}

/* The latest request line; compares its front. */
static inline bool daemon_heard(struct daemon *d, const char *front)
{
	bool heard;

	pthread_mutex_lock(&d->mutex);
	heard = strncmp(d->last, front, strlen(front)) == 0;
	pthread_mutex_unlock(&d->mutex);
	return heard;
}

/* How many requests came since the last time this was asked. */
static inline unsigned daemon_requests(struct daemon *d)
{
	unsigned requests;

	pthread_mutex_lock(&d->mutex);
	requests = d->requests;
	d->requests = 0;
	pthread_mutex_unlock(&d->mutex);
	return requests;
}
