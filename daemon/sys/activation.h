/* The descriptors that systemd hands over at the start (sd_listen_fds(3)): listening sockets, and
 * what of ours was in its store, in any order. */
#pragma once

#include <stddef.h>

#define ACTIVATION_MAX 16
#define ACTIVATION_CACHE "cache" /* the name of the image in the store */

/* All belong to whoever takes them out of here. */
struct activation {
	int sockets[ACTIVATION_MAX];
	size_t n_sockets;
	int images[ACTIVATION_MAX];
	size_t n_images;
};

/* What is handed over, all of it; nothing without systemd. To be called once. Negative errno: more
 * than anybody meant. */
int activation_take(struct activation *ret);
