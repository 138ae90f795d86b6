/* See conn.h. */
#include "client/conn.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD (STDERR_FILENO + 1)

/* Never 0, 1 or 2: a program that closed these may still print to them. */
static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int other;

	if (fd < 0)
		return -errno;
	if (fd >= FIRST_FD)
		return fd;
	other = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
	if (other < 0)
		other = -errno;
	(void)close(fd); /* nothing was written */
	return other;
}

static int limit(int fd, int option, int timeout_ms)
{
	struct timeval limit = {
		.tv_sec = timeout_ms / MS_PER_S,
		.tv_usec = timeout_ms % MS_PER_S * 1000L,
	};

	return setsockopt(fd, SOL_SOCKET, option, &limit, sizeof(limit)) < 0 ? -errno : 0;
}

/* A blocking connect(2) under SO_SNDTIMEO: it returns as soon as the backlog has room, where a
 * non-blocking one would have to be tried again and again. */
static int set_patience(int fd, int timeout_ms)
{
	if (timeout_ms == 0)
		return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	return timeout_ms > 0 ? limit(fd, SO_SNDTIMEO, timeout_ms) : 0;
}

static int connect_within(int fd, const char *path, int timeout_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int result = set_patience(fd, timeout_ms);

	assert(len < sizeof(address.sun_path));
	memcpy(address.sun_path, path, len + 1);
	if (result < 0)
		return result;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (timeout_ms == 0 && fcntl(fd, F_SETFL, 0) < 0)
		return -errno;
	return limit(fd, SO_RCVTIMEO, CONN_PATIENCE_MS);
}

static int open_at(struct conn *conn, const char *path, int timeout_ms)
{
	struct stat st = { 0 };
	int result;

	conn->fd = open_socket();
	if (conn->fd < 0)
		return conn->fd;
	result = connect_within(conn->fd, path, timeout_ms);
	if (result == 0 && fstat(conn->fd, &st) < 0)
		result = -errno;
	if (result < 0) {
		(void)close(conn->fd); /* nothing was written */
		return result;
	}
	conn->dev = st.st_dev;
	conn->ino = st.st_ino;
	return 0;
}

int conn_open(const char *path, int timeout_ms, uint32_t era, struct conn **ret)
{
	struct conn *conn = mem_zalloc(sizeof(*conn));
	int result;

	if (!conn)
		return -ENOMEM;
	conn->path = path;
	conn->era = era;
	link_init(&conn->link);
	result = open_at(conn, path, timeout_ms);
	if (result < 0)
		mem_free(conn);
	else
		*ret = conn;
	return result;
}

bool conn_is_ours(const struct conn *conn)
{
	struct stat st;

	return fstat(conn->fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == conn->dev &&
	       st.st_ino == conn->ino;
}

static void finish(struct conn *conn, bool inherited)
{
	if (!conn)
		return;
	if (conn_is_ours(conn)) {
		if (!inherited)
			(void)shutdown(conn->fd, SHUT_RDWR); /* may be shut down already */
		(void)close(conn->fd);			     /* nothing is held back */
	}
	link_deinit(&conn->link);
	mem_free(conn);
}

void conn_close(struct conn *conn)
{
	finish(conn, false);
}

void conn_abandon(struct conn *conn)
{
	finish(conn, true);
}

int conn_send(struct conn *conn)
{
	struct span output;

	while ((output = link_output(&conn->link)).len) {
		ssize_t len = send(conn->fd, output.ptr, output.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (len >= 0)
			link_sent(&conn->link, (size_t)len);
		else if (errno == EPIPE || errno == ECONNRESET)
			link_sent(&conn->link, output.len); /* receiving tells what it said last */
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int receive(struct conn *conn, size_t room, int flags)
{
	char *to = link_input(&conn->link, room);
	ssize_t len = to ? recv(conn->fd, to, room, flags) : -1;

	if (!to)
		return -ENOMEM;
	if (len < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (len == 0)
		return -ECONNRESET;
	link_received(&conn->link, (size_t)len);
	return (size_t)len == room ? CONN_FULL : 0;
}

int conn_receive(struct conn *conn, size_t room)
{
	return receive(conn, room, MSG_DONTWAIT);
}

int conn_await(struct conn *conn)
{
	return receive(conn, LINK_CHUNK, 0);
}
