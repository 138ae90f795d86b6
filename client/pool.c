/* See pool.h. */
#include "client/pool.h"

#include <stdatomic.h>

static struct conn *take_slot(_Atomic(struct conn *) *slot)
{
	if (!atomic_load_explicit(slot, memory_order_relaxed))
		return NULL;
	return atomic_exchange_explicit(slot, NULL, memory_order_acquire);
}

static void give_up(struct conn *conn, uint32_t era)
{
	if (conn && conn->era != era)
		conn_abandon(conn);
	else
		conn_close(conn);
}

struct conn *pool_take(struct pool *pool, uint32_t era)
{
	for (size_t i = 0; i < POOL_MAX; i++) {
		struct conn *conn = take_slot(&pool->slots[i]);

		if (conn && conn->era == era && conn_is_ours(conn))
			return conn;
		give_up(conn, era);
	}
	return NULL;
}

void pool_put(struct pool *pool, struct conn *conn)
{
	for (size_t i = 0; i < POOL_MAX; i++) {
		struct conn *none = NULL;

		if (atomic_compare_exchange_strong_explicit(
			&pool->slots[i], &none, conn, memory_order_release, memory_order_relaxed))
			return;
	}
	conn_close(conn);
}

void pool_drain(struct pool *pool, uint32_t era)
{
	for (size_t i = 0; i < POOL_MAX; i++)
		give_up(take_slot(&pool->slots[i]), era);
}
