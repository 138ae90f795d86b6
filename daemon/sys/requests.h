/* A connection's requests: from the lines that came to the answers that go.
 *
 * Untagged replies leave in the order of their requests: one that is ready too early is held by
 * its `struct pending`. A tagged one leaves at once.
 *
 * Lines that came together are looked up together, in steps (see cache_find_text()): most of the
 * time that a hit takes is spent waiting for memory, and so they wait for it at the same time.
 */
#pragma once

#include "daemon/sys/asker.h"
#include "daemon/sys/conn.h"

/* A request that can't be answered yet, or whose answer can't leave yet. */
struct pending {
	struct asker asker;
	struct list node;
	struct conn *conn;
	struct waiter *waiter; /* NULL: answered, in `held` */
	struct buf held;
	size_t tag_len; /* 0: no tag */
	char tag[WIRE_TAG_MAX];
};

/* How many more may be taken: a largest reply to each fits beside all that is promised. */
size_t requests_room(const struct conn *conn);

/* Takes up to CONN_BATCH lines off the turn's input and looks ahead: what answers them is on its
 * way to the processor's cache, in part. */
void requests_look(const struct conns *c, struct turn *turn);

/* Asks for the rest of it: to be called when all that were read have been looked at. */
void requests_prefetch(const struct conns *c, const struct ask asks[], size_t n);

/* Answers, and goes on with the input, while there is room for answers. False when it stopped for
 * another reason than the end of the input. */
bool requests_take(struct conn *conn, struct mono now, struct turn *turn);

/* Nobody waits for the answers any more. */
void requests_abandon(struct conn *conn);
