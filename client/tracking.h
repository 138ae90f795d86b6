/* The connection on which the daemon tells of drops (TRACK), and with it how fresh our knowledge
 * is.
 *
 * Nobody waits for that connection. It is opened and asked without waiting for the answer, and it
 * is looked at whenever the kernel's coarse clock has ticked: one of the threads that want a copy
 * takes what has come, the others go on with what was known a moment ago, or ask the daemon if that
 * moment is longer than TRACKING_BLIND_MS. Until the next tick nobody makes a system call, and the
 * time is the look's, plus one tick: a token's life is never overstated.
 *
 * When the connection is lost, or in doubt, all copies are forgotten. It is opened again with
 * growing pauses. Who holds `busy` owns all but the atomic members; nobody waits for it.
 */
#pragma once

#include "client/conn.h"
#include "client/copies.h"

#define TRACKING_BLIND_MS 20

struct tracking {
	_Atomic uint32_t era; /* in which all of this was made */
	_Atomic bool on;      /* the daemon tells us of each drop */
	_Atomic bool busy;
	_Atomic int64_t tick_ns;    /* the coarse clock's, at the last look */
	_Atomic int64_t looked_ms;  /* struct mono, just before it */
	int64_t tick_ms;	    /* between two ticks, at most */
	const char *_Atomic socket; /* the daemon that tells us, as in struct conn */
	struct conn *conn;	    /* or NULL */
	struct mono opened, retry_at;
	int64_t pause_ms; /* before it is opened again */
};

struct clerktoken_client;

void tracking_init(struct tracking *tracking, uint32_t era);
void tracking_deinit(struct tracking *tracking, uint32_t era);

/* May copies be handed out? With the time by which they are to be judged. */
bool tracking_is_current(struct clerktoken_client *client, struct mono *ret_now);

/* Opens the connection where it is missing and it is time to; sees whether the daemon has agreed.
 */
void tracking_start(struct clerktoken_client *client);

/* The path of the daemon that tells us of each drop, NULL where none does. A stamp that was read
 * before this is spoilt by each drop there. */
const char *tracking_socket(struct clerktoken_client *client);
