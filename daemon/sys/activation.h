/* The descriptors that systemd hands over at the start (sd_listen_fds(3)): listening sockets, and
 * what of ours was in its store, in any order.
 *
 * Their names (FileDescriptorName= in systemd.socket(5)) say whose they are: "http", "metrics" and
 * "webhooks" are for these servers, "cache" is from the store, all others are for clients.
 */
#pragma once

#include "daemon/sys/address.h"

#include <stddef.h>

#define ACTIVATION_MAX 16
#define ACTIVATION_CACHE "cache" /* the name of the image in the store */

enum activation_server {
	ACTIVATION_CLIENTS,
	ACTIVATION_HTTP,
	ACTIVATION_METRICS,
	ACTIVATION_WEBHOOKS,
	ACTIVATION_SERVERS,
};

struct activation_sockets {
	int fds[ACTIVATION_MAX];
	char addresses[ACTIVATION_MAX][ADDRESS_SIZE]; /* not of those for clients */
	size_t count;
};

/* All belong to whoever takes them out of here. */
struct activation {
	struct activation_sockets sockets[ACTIVATION_SERVERS];
	int images[ACTIVATION_MAX];
	size_t n_images;
};

/* What is handed over, all of it; nothing without systemd. To be called once. Negative errno, after
 * having said why: more than anybody meant, or no sockets that could be listened at. Whether their
 * addresses are good is the configuration's to say. */
int activation_take(struct activation *ret);

/* The server's name, which is its key's in [listen], too; not of ACTIVATION_CLIENTS. */
const char *activation_name(enum activation_server server);
