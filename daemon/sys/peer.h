/* Who is at the other end of a Unix socket, as the kernel says (SO_PEERCRED, unix(7)). */
#pragma once

#include <sys/types.h>

struct peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

/* 0 or negative errno. */
int peer_get(int fd, struct peer *ret);
