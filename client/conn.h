/* A connection: a socket and its link. Nothing in here waits, but where it is said.
 *
 * The descriptor is only used while it is still the socket that was opened: the program may have
 * closed it, and it may be a file of the program's by now. A connection that was inherited through
 * fork() is abandoned: closed on this side, but neither written on nor shut down.
 */
#pragma once

#include "base/instant.h"
#include "client/link.h"

#include <sys/types.h>

struct conn {
	int fd;
	const char *path; /* as it was given to conn_open() */
	dev_t dev;	  /* of the socket that was opened */
	ino_t ino;
	uint32_t era;  /* in which it was opened */
	bool is_spent; /* the daemon has said its last words on it */
	struct link link;
	struct mono asked; /* when the latest request was queued; where there is one at a time */
};

/* Connects to a socket whose path outlives the connection, within `timeout_ms` (negative: no
 * limit; 0: without waiting), waiting only where the daemon's backlog is full. 0, -ETIMEDOUT,
 * -ENOMEM, or what socket(2) and connect(2) say. */
int conn_open(const char *path, int timeout_ms, uint32_t era, struct conn **ret);

/* Ends the connection, for a copy of it in a child too, and frees. NULL is accepted. */
void conn_close(struct conn *conn);

/* Frees what was inherited; the parent's connection goes on. */
void conn_abandon(struct conn *conn);

/* True if the descriptor is still the socket that was opened. */
bool conn_is_ours(const struct conn *conn);

/* Sends what the link has to send. 0: all is sent, or nobody reads it any more; -EAGAIN, -errno. */
int conn_send(struct conn *conn);

/* Receives once what is there, up to `room` bytes, LINK_CHUNK_MAX at most. 0; CONN_FULL: there may
 * be more; -EAGAIN; -ECONNRESET: the other side is gone; -ENOMEM; -errno. */
#define CONN_FULL 1
int conn_receive(struct conn *conn, size_t room);

/* Waits for something to receive, no longer than CONN_PATIENCE_MS or a signal, and receives it, in
 * one system call. 0, or as conn_receive(). */
#define CONN_PATIENCE_MS 100 /* a kernel timer of 10 ms costs a twentieth of a get */
int conn_await(struct conn *conn);
