/* See listener.h. */
#include "daemon/sys/listener.h"

#include "base/mem.h"
#include "base/span.h"
#include "daemon/sys/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define MAX_SOCKETS 16
#define ACCEPTS_A_WAKE 64
#define PAUSE_MS 100
#define DIRECTORY_MODE 0755

struct listener {
	struct event_base *base;
	listener_accept_fn *accept;
	void *arg;
	struct event events[MAX_SOCKETS];
	size_t count;
	struct event pause;
	char *path; /* of the socket we made; NULL: handed over */
	int lock;   /* on path.lock; -1: none */
};

static int explain(char text[LISTENER_ERROR_SIZE], const char *what, const char *path, int error)
{
	(void)snprintf(text, LISTENER_ERROR_SIZE, "%s %s: %s", what, path, strerror(error));
	return -error;
}

static void resume(struct listener *l)
{
	for (size_t i = 0; i < l->count; i++)
		(void)event_add(&l->events[i], NULL); /* it was added before */
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	resume(arg);
}

/* Level-triggered readiness that can't be served would keep the processor busy. */
static void pause_accepting(struct listener *l, int error)
{
	struct timeval tv = { .tv_usec = PAUSE_MS * 1000 };

	log_warning("accepting pauses error=\"%s\"", strerror(error));
	for (size_t i = 0; i < l->count; i++)
		(void)event_del(&l->events[i]);
	if (evtimer_add(&l->pause, &tv) < 0)
		resume(l);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)what;
	for (size_t i = 0; i < ACCEPTS_A_WAKE; i++) {
		int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (accepted >= 0) {
			l->accept(l->arg, accepted);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			   errno == ENOMEM) {
			pause_accepting(l, errno);
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			return; /* EAGAIN: all are taken */
		}
	}
}

static int add_socket(struct listener *l, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	(void)event_assign(&l->events[l->count], l->base, fd, EV_READ | EV_PERSIST, on_readable, l);
	if (event_add(&l->events[l->count], NULL) < 0)
		return -ENOMEM;
	l->count++;
	return 0;
}

/* The sockets that systemd listens on; -ENOENT if it handed over none. */
static int take_over(struct listener *l, const struct listener_config *config,
		     char text[LISTENER_ERROR_SIZE])
{
	if (config->n_sockets == 0)
		return -ENOENT;
	if (config->n_sockets > MAX_SOCKETS)
		return explain(text, "sockets", "handed over by systemd", E2BIG);
	for (size_t i = 0; i < config->n_sockets; i++) {
		int result = add_socket(l, config->sockets[i]);

		if (result < 0)
			return explain(text, "socket", "handed over by systemd", -result);
	}
	return 0;
}

static int make_directory(const char *path, char text[LISTENER_ERROR_SIZE])
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (len == 0)
		return 0;
	memcpy(directory, path, len);
	directory[len] = '\0';
	if (mkdir(directory, DIRECTORY_MODE) < 0 && errno != EEXIST)
		return explain(text, "can't make the directory", directory, errno);
	return 0;
}

/* Holding the lock says that the path is ours. */
static int lock_path(struct listener *l, const char *path, char text[LISTENER_ERROR_SIZE])
{
	char name[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(".lock")];

	(void)snprintf(name, sizeof(name), "%s.lock", path);
	l->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->lock < 0)
		return explain(text, "can't open", name, errno);
	if (flock(l->lock, LOCK_EX | LOCK_NB) < 0)
		return explain(text, "another clerk-tokend serves", path,
			       errno == EWOULDBLOCK ? EADDRINUSE : errno);
	return 0;
}

/* A socket of somebody who holds no lock, systemd say. */
static bool is_served(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool served;

	if (fd < 0)
		return true; /* can't tell: leave it alone */
	served =
	    connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN;
	(void)close(fd);
	return served;
}

static int remove_stale(const struct sockaddr_un *address, char text[LISTENER_ERROR_SIZE])
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : explain(text, "can't look at", path, errno);
	if (!S_ISSOCK(st.st_mode))
		return explain(text, "is in the way and no socket:", path, EEXIST);
	if (is_served(address))
		return explain(text, "somebody serves", path, EADDRINUSE);
	return unlink(path) < 0 ? explain(text, "can't remove", path, errno) : 0;
}

/* By name or number. */
static int find_group(const char *name, gid_t *ret)
{
	const struct group *group;
	uint64_t number;

	errno = 0;
	group = getgrnam(name);
	if (group)
		*ret = group->gr_gid;
	else if (span_parse_u64(span_str(name), UINT32_MAX - 1, &number) == 0)
		*ret = (gid_t)number;
	else
		return errno ? -errno : -ENOENT;
	return 0;
}

/* What has its group already, as by a unit's Group=, needs no chown(2), which may be forbidden. */
static int set_group(const char *path, const char *name, char text[LISTENER_ERROR_SIZE])
{
	struct stat st;
	gid_t gid = 0;
	int result;

	if (!name)
		return 0;
	result = find_group(name, &gid);
	if (result < 0)
		return explain(text, "unknown socket_group", name, -result);
	if (lstat(path, &st) == 0 && st.st_gid == gid)
		return 0;
	return chown(path, (uid_t)-1, gid) < 0
		   ? explain(text, "can't give to its group", path, errno)
		   : 0;
}

/* The mode is set by umask at birth, so that the socket is never wider open than it should be, and
 * looked at afterwards: an option that is ignored silently is worse than none. */
static int bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
	mode_t before = umask(~mode & 0777);
	struct stat st;
	int result = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	(void)umask(before);
	if (result == 0 && lstat(address->sun_path, &st) < 0)
		result = -errno;
	if (result == 0 && (st.st_mode & 0777) != mode)
		result = -EPERM;
	return result;
}

static int listen_at(struct listener *l, const struct listener_config *config,
		     const struct sockaddr_un *address, char text[LISTENER_ERROR_SIZE])
{
	int fd, result;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return explain(text, "can't make a socket for", config->path, errno);
	result = bind_with_mode(fd, address, config->mode);
	if (result < 0) {
		(void)close(fd);
		return explain(text, "can't bind", config->path, -result);
	}
	l->path = mem_strdup(config->path);
	result = l->path ? set_group(config->path, config->group, text) : -ENOMEM;
	if (result == 0 && listen(fd, BACKLOG) < 0)
		result = explain(text, "can't listen at", config->path, errno);
	if (result == 0)
		result = add_socket(l, fd);
	if (result < 0)
		(void)close(fd);
	return result;
}

union inet_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* What url_is_ip_and_port() accepts. */
static int parse_address(const char *text, union inet_address *ret, socklen_t *ret_len)
{
	bool is_v6 = text[0] == '[';
	const char *host = text + is_v6;
	size_t len = strcspn(host, is_v6 ? "]" : ":");
	const char *port = host + len + is_v6 + 1;
	char number[INET6_ADDRSTRLEN];
	uint64_t value;

	if (len >= sizeof(number) || span_parse_u64(span_str(port), UINT16_MAX, &value) != 0)
		return -EINVAL;
	memcpy(number, host, len);
	number[len] = '\0';
	*ret = (union inet_address){ 0 };
	*ret_len = is_v6 ? sizeof(ret->v6) : sizeof(ret->v4);
	if (is_v6) {
		ret->v6.sin6_family = AF_INET6;
		ret->v6.sin6_port = htons((uint16_t)value);
		return inet_pton(AF_INET6, number, &ret->v6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	ret->v4.sin_family = AF_INET;
	ret->v4.sin_port = htons((uint16_t)value);
	return inet_pton(AF_INET, number, &ret->v4.sin_addr) == 1 ? 0 : -EINVAL;
}

static int listen_at_port(struct listener *l, const char *text_address,
			  char text[LISTENER_ERROR_SIZE])
{
	union inet_address address;
	socklen_t len;
	int on = 1, fd, result = parse_address(text_address, &address, &len);

	if (result < 0)
		return explain(text, "no address:", text_address, -result);
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return explain(text, "can't make a socket for", text_address, errno);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, &address.any, len) < 0 || listen(fd, BACKLOG) < 0)
		result = explain(text, "can't listen at", text_address, errno);
	if (result == 0)
		result = add_socket(l, fd);
	if (result < 0)
		(void)close(fd);
	return result;
}

static int make_own(struct listener *l, const struct listener_config *config,
		    char text[LISTENER_ERROR_SIZE])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(config->path);
	int result;

	if (len >= sizeof(address.sun_path))
		return explain(text, "too long for a socket:", config->path, ENAMETOOLONG);
	memcpy(address.sun_path, config->path, len);
	result = make_directory(config->path, text);
	if (result == 0)
		result = lock_path(l, config->path, text);
	if (result == 0)
		result = remove_stale(&address, text);
	return result < 0 ? result : listen_at(l, config, &address, text);
}

int listener_new(struct event_base *base, const struct listener_config *config,
		 listener_accept_fn *accept, void *arg, char ret_text[LISTENER_ERROR_SIZE],
		 struct listener **ret)
{
	struct listener *l = mem_zalloc(sizeof(*l));
	int result;

	(void)snprintf(ret_text, LISTENER_ERROR_SIZE, "out of memory");
	if (!l)
		return -ENOMEM;
	*l = (struct listener){ .base = base, .accept = accept, .arg = arg, .lock = -1 };
	(void)evtimer_assign(&l->pause, base, on_pause_over, l);
	result = take_over(l, config, ret_text);
	if (result == -ENOENT)
		result = config->path[0] == '/' ? make_own(l, config, ret_text)
						: listen_at_port(l, config->path, ret_text);
	if (result < 0) {
		listener_free(l);
		return result;
	}
	*ret = l;
	return 0;
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	(void)evtimer_del(&l->pause);
	for (size_t i = 0; i < l->count; i++) {
		(void)event_del(&l->events[i]);
		(void)close(event_get_fd(&l->events[i]));
	}
	if (l->path)
		(void)unlink(l->path);
	if (l->lock >= 0)
		(void)close(l->lock); /* the lock file stays: removing it would race */
	mem_free(l->path);
	mem_free(l);
}
