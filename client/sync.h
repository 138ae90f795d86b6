/* Waiting, within a deadline: connecting, sending, receiving, trying again.
 *
 * A request that got no byte of an answer is sent again on a new connection, a few times at most:
 * all requests may be repeated. While a daemon that has answered before is absent, connecting is
 * tried again with a growing, random pause.
 */
#pragma once

#include "client/client.h"
#include "client/clock.h"

#include <errno.h>

/* Waits for `events` of poll(2). 0, -ETIMEDOUT, -errno. */
int sync_wait(const struct conn *conn, short events, struct deadline deadline);

#define SYNC_PAUSE_MIN_MS 10 /* before the second attempt to connect */

/* How long to pause: half of the time is certain, half is by chance; the next pause is twice as
 * long, up to half a second. */
int sync_draw_pause_ms(int *pause_ms);

/* Pauses. False if the deadline came first. */
bool sync_pause(int *pause_ms, struct deadline deadline);

#define SYNC_SENDS_MAX 3 /* one connection was dead, one met a daemon that was stopping */

/* What connect(2) says where no daemon runs at the moment. */
static inline bool sync_is_absent(int result)
{
	return result == -ENOENT || result == -ECONNREFUSED;
}

/* Opens a connection. 0, -ENOENT and -ECONNREFUSED (no daemon), -ETIMEDOUT, -ENOMEM, -errno. */
int sync_connect(struct clerktoken_client *client, struct deadline deadline, struct conn **ret);

/* Sends what the link holds. 0, -ETIMEDOUT, -errno. */
int sync_send(struct conn *conn, struct deadline deadline);

/* Makes the request's wait end a bit before the deadline, of which `left_ms` are left (negative:
 * there is none), so that the daemon can tell of it. */
void sync_set_wait(struct request *request, int left_ms);

/* Sends the request and waits for its answer, whose spans borrow from the connection. Pushes are
 * passed over. 0; -ECONNRESET, -EBADMSG (the connection is of no more use), -ETIMEDOUT, -errno. */
int sync_exchange(struct conn *conn, const struct request *request, struct deadline deadline,
		  struct reply *ret);

/* The same on a connection from the pool, or a new one, which the caller owns on success. With
 * `derive_wait` there is a sync_set_wait() before each attempt. */
int sync_ask(struct clerktoken_client *client, struct request *request, bool derive_wait,
	     struct deadline deadline, struct conn **ret_conn, struct reply *ret);
