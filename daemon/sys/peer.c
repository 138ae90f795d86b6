/* See peer.h. */
#include "daemon/sys/peer.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

#define STAT_SIZE 1024
#define FIRST_FIELD 3  /* of proc_pid_stat(5), behind the name */
#define START_FIELD 22 /* in ticks since boot */

static void closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing was written */
}

#define cleanup_close __attribute__((cleanup(closep)))

/* All groups, the supplementary ones too, into a block of its own. */
static int get_groups(int fd, gid_t primary, struct peer *peer)
{
	socklen_t len = 0;
	size_t n;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) < 0 && errno != ERANGE)
		return -errno;
	n = len / sizeof(gid_t);
	peer->gids = mem_calloc(n + 1, sizeof(gid_t));
	if (!peer->gids)
		return -ENOMEM;
	peer->gids[0] = primary;
	if (n && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->gids + 1, &len) < 0)
		return -errno;
	peer->who.gids = peer->gids;
	peer->who.n_gids = 1 + len / sizeof(gid_t);
	return 0;
}

/* False if `stat` is no text of proc_pid_stat(5). */
static bool parse_start(struct span stat, uint64_t *ret_ticks)
{
	const char *name_end = memrchr(stat.ptr, ')', stat.len); /* the name may hold one, too */
	struct span rest, field;

	if (!name_end || name_end + 2 > stat.ptr + stat.len)
		return false;
	rest = span_of(name_end + 2, (size_t)(stat.ptr + stat.len - name_end - 2));
	for (int i = FIRST_FIELD; i <= START_FIELD; i++)
		if (!span_split(&rest, ' ', &field))
			return false;
	return span_parse_u64(field, INT64_MAX / MS_PER_S, ret_ticks) == 0;
}

/* A process that was not there before `moment` is another one with the same number. */
static bool began_before(pid_t pid, struct mono moment)
{
	char path[40], text[STAT_SIZE];
	cleanup_close int fd = -1;
	uint64_t ticks;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid); /* it fits */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	return n > 0 && parse_start(span_of(text, (size_t)n), &ticks) &&
	       (int64_t)(ticks * MS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK)) <= moment.ms;
}

static bool is_alive(int pidfd)
{
	struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 0;
}

/* -1: it has gone, or can't be told from who has its number now. */
static int open_peer(int fd, pid_t pid, struct mono connected)
{
	socklen_t len = sizeof(int);
	int pidfd = -1;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0)
		return pidfd;
	if (errno != ENOPROTOOPT || pid <= 0)
		return -1;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd >= 0 && !began_before(pid, connected)) {
		(void)close(pidfd);
		return -1;
	}
	return pidfd;
}

static void get_unit(int fd, struct mono connected, struct peer *peer)
{
	pid_t pid = peer->who.pid;
	cleanup_close int pidfd = open_peer(fd, pid, connected);
	char *unit = NULL;
	int result = pidfd < 0 || pid <= 0 ? -ESRCH : sd_pid_get_unit(pid, &unit);

	peer->unit = mem_adopt(unit);
	if (result == 0 || result == -ENODATA)
		peer->who.unit_is_unclear = !is_alive(pidfd);
	else
		peer->who.unit_is_unclear = true;
	if (!peer->who.unit_is_unclear)
		peer->who.unit = span_str(peer->unit);
}

int peer_get(int fd, bool groups, bool unit, struct mono connected, struct peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	*ret = (struct peer){ .gids = NULL };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	ret->who = (struct identity){ .uid = cred.uid, .pid = cred.pid };
	if (unit)
		get_unit(fd, connected, ret);
	return groups ? get_groups(fd, cred.gid, ret) : 0;
}

void peer_deinit(struct peer *peer)
{
	mem_free(peer->gids);
	mem_free(peer->unit);
	*peer = (struct peer){ .gids = NULL };
}
