/* One client's connection.
 *
 * States:  OPEN     reads, while few enough requests wait and a largest reply still fits
 *          DRAINING no more is read (the client said so, or sent what can't be followed): what was
 *                   asked is answered, then it is closed
 *          DEAD     closed as soon as nobody is in the middle of using it
 */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "daemon/sys/conns.h"
#include "proto/frame.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#define CONN_READ_SIZE 16384
#define CONN_BATCH 16 /* lines of a connection that are looked up together */
#define CONN_TURNS 64 /* and lines of all connections */
/* A kept part of a line, and a read. */
#define CONN_INPUT_MAX (WIRE_REQUEST_MAX + CONN_READ_SIZE)
#define CONN_OUT_MAX 2097152 /* bytes that may wait for the client, with what is to come */
#define CONN_MAX_PENDING 64  /* requests that wait, or are taken in one wake */
/* Of all connections; above, who doesn't read isn't read from, nor told of drops. */
#define CONN_ALL_OUT_MAX 67108864
#define CONN_OUT_SLACK 4096 /* for what nobody asked for: pushes of drops */

enum conn_state {
	CONN_OPEN,
	CONN_DRAINING,
	CONN_DEAD,
};

struct conn {
	struct event event;
	struct conns *owner;
	struct client client;
	struct list node;	/* owner->all */
	struct list dirty_node; /* owner->dirty: to be looked at in conns_settle() */
	struct list track_node; /* owner->trackers */
	struct list pendings;	/* struct pending.node, in the order of the requests */
	struct list news;	/* struct watch.effect_node: watches with something to tell */
	struct heap_node timeout;
	struct mono connected_at; /* or somewhat later */
	struct buf in, out;	  /* what is left over */
	char *unit;		  /* systemd's, of who connected; NULL: not known, or no audit */
	uint32_t held;		  /* bytes of buffers in `pendings` */
	uint32_t counted;	  /* of owner->buffered: what waited when it was last looked at */
	uint16_t pending_count, untagged;
	uint8_t state;	/* enum conn_state */
	uint8_t events; /* EV_READ, EV_WRITE: what `event` waits for */
	bool has_lines; /* `in` may hold whole lines, to be taken before more is read */
	bool unread;	/* more may have come than was read, and no event will tell */
	bool paused;	/* no more is read, for now or for good */
	bool has_turn;	/* one of owner->turns is its */
};

/* A line, and the hash of what it asks for; 0: it is no GET. */
struct ask {
	struct span line;
	uint64_t hash;
};

/* What one connection sent, read and not answered yet. */
struct turn {
	struct conn *conn; /* NULL: gone meanwhile */
	struct span input; /* in owner->in, beyond the lines in `asks` */
	struct ask *asks;  /* in owner->asks; the turn may use CONN_BATCH of them */
	size_t n;
	enum frame_result result; /* why there are no more lines in `asks` */
};

struct conns {
	struct event_base *base;
	struct engine *engine;
	struct conns_callbacks callbacks;
	struct list all, dirty, trackers;
	struct heap timeouts;
	size_t count, max_reply;
	bool names_groups, names_units; /* the rules of access do */
	size_t buffered;		/* bytes that wait for clients */
	size_t room; /* requests that are taken from a quiet connection in one wake */
	bool audit;
	bool stirred;	      /* more than look-ups has happened: conns_settle() is to be called */
	struct conn *current; /* whose requests are being read: its replies go to `out` */
	struct buf out;
	struct buf stats;
	struct turn turns[CONN_TURNS];
	struct ask asks[CONN_TURNS];
	size_t n_turns, n_asks, in_len;
	char in[2 * CONN_INPUT_MAX];
};

/* Takes over an accepted socket. 0, negative errno, or 1 where a limit forbids it; the socket stays
 * the caller's then. */
int conn_new(struct conns *c, int fd);
void conn_free(struct conn *conn);

/* Finds out anew what its client may do. 0, or negative errno: nothing. */
int conn_judge(struct conn *conn);

/* Has it looked at by conns_settle(). */
void conn_dirty(struct conn *conn);

/* Ends it, as soon as nobody is in the middle of using it. */
void conn_kill(struct conn *conn);

/* Answers what it sent. */
void conn_take_turn(struct conn *conn, struct mono now, struct turn *turn);

/* Writes what waits, closes it if it is over, and decides what it waits for. */
void conn_settle(struct conn *conn, struct mono now);

/* Where its replies go: straight to the buffer that is sent at the end of this wake, while nothing
 * of its own waits. */
struct buf *conn_out(struct conn *conn);

/* Bytes that wait for the client. */
size_t conn_waiting(const struct conn *conn);

/* Appends a reply; false, and the connection is dead, if there was no memory. */
bool conn_write(struct conn *conn, const struct reply *reply);

/* It got a token: a line in the log, if there is to be an audit. */
void conn_audit(const struct conn *conn, struct span session, struct span template,
		const struct reply *reply);

/* Tells it of a drop. */
void conn_push(struct conn *conn, const struct reply *push);
