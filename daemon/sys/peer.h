/* Who is at the other end of a Unix socket, as the kernel (unix(7)) and systemd say.
 *
 * User and groups are those that it had when it connected. Its unit is that of the process which
 * connected: found by its process id, and believed only if that process is still there afterwards,
 * so that nobody is taken for who has his number next. Where the kernel hands out a descriptor of
 * the peer (Linux 6.5), that is what is looked at; before, a process that began after the
 * connection was there is not the one that made it.
 */
#pragma once

#include "base/instant.h"
#include "daemon/core/rule.h"

#include <stdbool.h>
#include <sys/types.h>

struct peer {
	struct identity who; /* borrows from what follows */
	gid_t *gids;
	char *unit;
};

/* `groups`, `unit`: whether these are to be asked for too; a unit that can't be told makes
 * `unit_is_unclear`. `connected`: a moment at which the connection was there. 0, -ENOMEM, or what
 * the kernel says. peer_deinit() in any case. */
int peer_get(int fd, bool groups, bool unit, struct mono connected, struct peer *ret);
void peer_deinit(struct peer *peer);
