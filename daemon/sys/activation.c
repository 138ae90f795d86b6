/* See activation.h. */
#include "daemon/sys/activation.h"

#include "base/span.h"
#include "daemon/core/setting.h"
#include "daemon/sys/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

static const char *const names[ACTIVATION_SERVERS] = {
	[ACTIVATION_HTTP] = "http",
	[ACTIVATION_METRICS] = "metrics",
	[ACTIVATION_WEBHOOKS] = "webhooks",
};

const char *activation_name(enum activation_server server)
{
	return names[server];
}

static enum activation_server server_of(struct span name)
{
	for (size_t i = ACTIVATION_CLIENTS + 1; i < ACTIVATION_SERVERS; i++)
		if (span_is(name, names[i]))
			return (enum activation_server)i;
	return ACTIVATION_CLIENTS;
}

static int refuse(const char *server, const char *why)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "a socket that systemd handed over for %s %s", server,
		       why); /* cut, if need be */
	log_event(LOG_ERR, MESSAGE_BAD_CONFIG, text);
	return -EINVAL;
}

static bool is_path(const char *address)
{
	return setting_socket_of(span_str(address)).ptr;
}

/* Who may do what differs between ports and paths, so that a server is at one kind only. */
static int take_named(struct activation_sockets *s, const char *server, int fd)
{
	char *address = s->addresses[s->count];

	if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0 || address_of(fd, address) < 0)
		return refuse(server, "is no listening stream socket at a port or a path");
	if (is_path(address) != is_path(s->addresses[0]))
		return refuse(server, "is at a path, and another one at a port");
	s->fds[s->count++] = fd;
	return 0;
}

static int take_for_clients(struct activation_sockets *s, int fd)
{
	if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0)
		return refuse("clients", "is no listening Unix stream socket");
	s->fds[s->count++] = fd;
	return 0;
}

static int take(struct activation *taken, struct span name, int fd)
{
	enum activation_server server = server_of(name);
	struct activation_sockets *sockets = &taken->sockets[server];

	if (span_is(name, ACTIVATION_CACHE)) {
		taken->images[taken->n_images++] = fd;
		return 0;
	}
	return server == ACTIVATION_CLIENTS ? take_for_clients(sockets, fd)
					    : take_named(sockets, names[server], fd);
}

int activation_take(struct activation *ret)
{
	/* Read before it is taken out of the environment. */
	struct span list = span_str(getenv("LISTEN_FDNAMES")), name;
	int count = sd_listen_fds(1), result;

	*ret = (struct activation){ .n_images = 0 };
	if (count > ACTIVATION_MAX)
		count = -E2BIG;
	if (count < 0)
		log_error("what systemd handed over can't be used error=\"%s\"", strerror(-count));
	result = count < 0 ? count : 0;
	for (int i = 0; i < count && result == 0; i++) {
		if (!span_split(&list, ':', &name))
			name = SPAN_NONE;
		result = take(ret, name, SD_LISTEN_FDS_START + i);
	}
	return result;
}
