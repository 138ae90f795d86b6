/* The physical limit: what a server on a Unix socket costs that does nothing but answer.
 *
 *   floor SOCKET [TOKEN_LENGTH]
 *
 * For each LF that it reads it writes one constant line, as long as the daemon's reply with a token
 * of that length (900); all that one read asked for leaves in one write. No parsing, no look-up, no
 * copying, no time-outs. Writing blocks, so a client that doesn't read its replies stops the
 * server: it is a yardstick, not a server.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "bench.h"
#include "protocol.h"

enum {
	BACKLOG = 4096,
	EVENTS_MAX = 512,
	INPUT_MAX = 64 * 1024,
	LINES_MAX = 512, /* in one write */
};

struct floor {
	int epoll, listener;
	size_t line; /* bytes of one reply */
	char *lines; /* LINES_MAX replies, one after the other */
	char input[INPUT_MAX];
};

static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		bench_die("the socket's path is too long: %s", path);
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(fd, BACKLOG))
		bench_die("%s: %s", path, strerror(errno));
	return fd;
}

static char *constant_lines(size_t token, size_t *ret_line)
{
	static const char fields[] = " id=0123456789abcdef exp=1767229200 ttl=3599000 "
				     "reuse=600000 state=fresh src=cache\n";
	size_t line = 3 + token + strlen(fields);
	char *lines = bench_array(LINES_MAX, line);

	for (char *p = lines; p < lines + LINES_MAX * line; p += line) {
		memcpy(p, "OK ", 3);
		memset(p + 3, 'e', token);
		memcpy(p + 3 + token, fields, strlen(fields));
	}
	*ret_line = line;
	return lines;
}

static void watch(const struct floor *floor, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(floor->epoll, EPOLL_CTL_ADD, fd, &event))
		bench_die("epoll_ctl: %s", strerror(errno));
}

static void accept_all(const struct floor *floor)
{
	int fd;

	while ((fd = accept4(floor->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		watch(floor, fd);
	if (errno != EAGAIN && errno != ECONNABORTED)
		bench_die("accept: %s", strerror(errno));
}

/* Writes n replies; false: the client is gone. */
static bool answer(const struct floor *floor, int fd, size_t n)
{
	while (n) {
		size_t now = n < LINES_MAX ? n : LINES_MAX;

		if (send(fd, floor->lines, now * floor->line, MSG_NOSIGNAL) !=
		    (ssize_t)(now * floor->line))
			return false;
		n -= now;
	}
	return true;
}

static void serve(struct floor *floor, int fd)
{
	ssize_t n = recv(fd, floor->input, INPUT_MAX, MSG_DONTWAIT);
	const char *p = floor->input, *end = floor->input + (n > 0 ? n : 0);
	size_t lines = 0;

	if (n < 0 && errno == EAGAIN)
		return;
	while ((p = memchr(p, '\n', (size_t)(end - p)))) {
		lines++;
		p++;
	}
	if (n <= 0 || !answer(floor, fd, lines))
		(void)close(fd); /* leaves the epoll set by itself */
}

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		bench_die("getrlimit: %s", strerror(errno));
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		bench_die("setrlimit: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	static struct floor floor;
	struct epoll_event events[EVENTS_MAX];

	if (argc < 2 || argc > 3) {
		(void)fprintf(stderr, "usage: floor SOCKET [TOKEN_LENGTH]\n");
		return BENCH_USAGE;
	}
	raise_file_limit();
	floor.lines = constant_lines(
	    argc > 2 ? bench_number("TOKEN_LENGTH", argv[2], VALUE_MAX) : 900, &floor.line);
	floor.listener = listen_on(argv[1]);
	floor.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (floor.epoll < 0)
		bench_die("epoll_create1: %s", strerror(errno));
	watch(&floor, floor.listener);
	for (;;) {
		int n = epoll_wait(floor.epoll, events, EVENTS_MAX, -1);

		if (n < 0 && errno != EINTR)
			bench_die("epoll_wait: %s", strerror(errno));
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == floor.listener)
				accept_all(&floor);
			else
				serve(&floor, events[i].data.fd);
		}
	}
}
