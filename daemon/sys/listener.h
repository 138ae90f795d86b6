/* The listening sockets: made here, or handed over by systemd (activation.h).
 *
 * Who owns the path is decided by a lock file beside it, so that a socket left behind by a crash is
 * replaced and one in use never is. When descriptors run out, accepting pauses for a moment and the
 * connections that are there go on.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct event_base;
struct listener;

struct listener_config {
	const char *path; /* or ADDRESS:PORT in numbers, as url.h has it */
	mode_t mode;
	const char *group;  /* NULL: whatever it comes with */
	const int *sockets; /* handed over, which listen; they become the listener's */
	size_t n_sockets;
};

typedef void listener_accept_fn(void *arg, int fd);

#define LISTENER_ERROR_SIZE 256

/* Takes over the sockets that were handed over, if any, else makes one at `path`, whose directory
 * is made too if its parent is there. `accept` gets each new connection, non-blocking. 0 or
 * negative errno, and why in `ret_text`. */
int listener_new(struct event_base *base, const struct listener_config *config,
		 listener_accept_fn *accept, void *arg, char ret_text[LISTENER_ERROR_SIZE],
		 struct listener **ret);

/* Accepts no more. The socket of our own making is removed. */
void listener_free(struct listener *l);
