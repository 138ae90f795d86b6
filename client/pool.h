/* A few idle connections, for the next call that needs one.
 *
 * Each slot holds an idle connection or NULL and changes by one atomic exchange: whoever takes a
 * connection out owns it. There is no lock, so none can be held by a thread that the child of a
 * fork() doesn't have.
 */
#pragma once

#include "client/conn.h"

#define POOL_MAX 8

struct pool {
	_Atomic(struct conn *) slots[POOL_MAX];
};

/* A connection of that era that is still ours, or NULL; others that are met are given up. */
struct conn *pool_take(struct pool *pool, uint32_t era);

/* Takes the connection over, to keep or to close it. */
void pool_put(struct pool *pool, struct conn *conn);

/* Gives up all of it: closes what is of that era, abandons the rest. */
void pool_drain(struct pool *pool, uint32_t era);
