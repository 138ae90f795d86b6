/* See status.h. */
#include "daemon/core/status.h"

#include "daemon/core/state.h"

#include <errno.h>

#define MIB ((uint64_t)1024 * 1024)

static int put(struct buf *to, uint64_t number, const char *text)
{
	return buf_append_u64(to, number) < 0 ? -ENOMEM : buf_append_str(to, text);
}

/* `tenths` of something, as 12.3. */
static int put_tenths(struct buf *to, uint64_t tenths, const char *text)
{
	return put(to, tenths / 10, ".") < 0 ? -ENOMEM : put(to, tenths % 10, text);
}

static int put_clerk(const struct engine *e, struct buf *to)
{
	if (e->breaker.state != BREAKER_CLOSED)
		return buf_append_str(to, "Clerk down: ") < 0
			   ? -ENOMEM
			   : buf_append_str(to, e->clerk_reason ? e->clerk_reason : "unknown");
	if (!engine_is_ready(e))
		return buf_append_str(to, "Clerk failing");
	return buf_append_str(to, e->stats.fetches ? "Clerk up" : "Clerk not asked yet");
}

static int put_cache(const struct engine *e, struct buf *to)
{
	uint64_t bytes = e->cache.slab.resident + e->cache.beside;

	if (put(to, e->cache.tokens, " tokens in ") < 0 ||
	    put_tenths(to, bytes * 10 / MIB, " of ") < 0)
		return -ENOMEM;
	return put_tenths(to, e->cache.max_bytes * 10 / MIB, " MiB; ");
}

/* Rounded down: 100.0% means that memory answered all. */
static int put_hits(const struct engine *e, struct buf *to)
{
	const struct stats *s = &e->stats;

	if (s->gets == 0)
		return buf_append_str(to, "nothing asked yet; ");
	return put_tenths(to, s->hits * 1000 / s->gets, "% hits; ");
}

static int put_budget(struct engine *e, struct mono now, struct buf *to)
{
	uint64_t window_ms = (uint64_t)e->limiter.window_ms;

	if (put(to, limiter_used(&e->limiter, now), " of ") < 0 ||
	    put(to, limiter_allowed(&e->limiter, now), " calls in ") < 0)
		return -ENOMEM;
	return window_ms % MS_PER_S ? put(to, window_ms, " ms")
				    : put(to, window_ms / MS_PER_S, " s");
}

int status_write(struct engine *e, struct mono now, struct buf *to)
{
	if (put_clerk(e, to) < 0 || buf_append_str(to, "; ") < 0 || put_cache(e, to) < 0 ||
	    put_hits(e, to) < 0 || put(to, e->quota.held[QUOTA_CONNECTIONS], " clients; ") < 0 ||
	    (e->waiters && put(to, e->waiters, " waiting; ") < 0))
		return -ENOMEM;
	return put_budget(e, now, to);
}
