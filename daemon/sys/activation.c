/* See activation.h. What has another name than ours is a socket, or the listener will say. */
#include "daemon/sys/activation.h"

#include "base/span.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

int activation_take(struct activation *ret)
{
	/* Read before it is taken out of the environment. */
	struct span names = span_str(getenv("LISTEN_FDNAMES"));
	struct activation taken = { .n_sockets = 0 };
	int count = sd_listen_fds(1);

	if (count > ACTIVATION_MAX)
		return -E2BIG;
	for (int i = 0; i < count; i++) {
		struct span name = SPAN_NONE;
		int fd = SD_LISTEN_FDS_START + i;

		if (span_split(&names, ':', &name) && span_is(name, ACTIVATION_CACHE))
			taken.images[taken.n_images++] = fd;
		else
			taken.sockets[taken.n_sockets++] = fd;
	}
	*ret = taken;
	return count < 0 ? count : 0;
}
