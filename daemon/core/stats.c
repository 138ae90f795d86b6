/* See stats.h. */
#include "daemon/core/stats.h"

#include "daemon/core/state.h"

#include <errno.h>

static int number(struct buf *to, const char *name, uint64_t value)
{
	if (buf_append_str(to, to->end > to->start + 1 ? ",\"" : "\"") < 0 ||
	    buf_append_str(to, name) < 0 || buf_append_str(to, "\":") < 0)
		return -ENOMEM;
	return buf_append_u64(to, value);
}

static int signed_number(struct buf *to, const char *name, int64_t value)
{
	if (buf_append_str(to, ",\"") < 0 || buf_append_str(to, name) < 0 ||
	    buf_append_str(to, value < 0 ? "\":-" : "\":") < 0)
		return -ENOMEM;
	return buf_append_u64(to, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static int errors(struct buf *to, const struct stats *s)
{
	bool first = true;

	if (buf_append_str(to, ",\"errors\":{") < 0)
		return -ENOMEM;
	for (size_t i = CODE_OK + 1; i < CODE_COUNT; i++) {
		if (buf_append_str(to, first ? "\"" : ",\"") < 0 ||
		    buf_append_str(to, code_name((enum code)i)) < 0 ||
		    buf_append_str(to, "\":") < 0 || buf_append_u64(to, s->errors[i]) < 0)
			return -ENOMEM;
		first = false;
	}
	return buf_append_str(to, "}");
}

static int word(struct buf *to, const char *name, const char *value)
{
	if (buf_append_str(to, ",\"") < 0 || buf_append_str(to, name) < 0 ||
	    buf_append_str(to, "\":\"") < 0 || buf_append_str(to, value) < 0)
		return -ENOMEM;
	return buf_append_str(to, "\"");
}

int stats_write(struct engine *e, struct mono now, struct buf *to)
{
	static const char *const clerk[] = {
		[BREAKER_CLOSED] = "up",
		[BREAKER_OPEN] = "down",
		[BREAKER_PROBING] = "probing",
	};
	const struct stats *s = &e->stats;
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "gets", s->gets },
		{ "hits", s->hits },
		{ "waits", s->waits },
		{ "drops", s->drops },
		{ "flushes", s->flushes },
		{ "fetches", s->fetches },
		{ "fetches_for_callers", s->fetches_for_callers },
		{ "fetches_for_renewal", s->fetches_for_renewal },
		{ "fetched_tokens", s->tokens },
		{ "retries", s->retries },
		{ "same_tokens", s->same_tokens },
		{ "cancelled", s->cancelled },
		{ "throttled", s->throttled },
		{ "evictions", e->cache.evictions },
		{ "entries", e->cache.map.count },
		{ "tokens", e->cache.tokens },
		{ "cache_bytes", e->cache.bytes },
		{ "cache_max_bytes", e->cache.max_bytes },
		{ "memory_bytes", e->cache.slab.resident + e->cache.beside },
		{ "clients", e->quota.held[QUOTA_CONNECTIONS] },
		{ "watches", e->quota.held[QUOTA_WATCHES] },
		{ "waiting", e->waiters },
		{ "in_flight", e->running },
		{ "queued", e->queued + e->renewals.count },
		{ "budget", e->limiter.limit },
		{ "budget_allowed", limiter_allowed(&e->limiter, now) },
		{ "budget_window_ms", (uint64_t)e->limiter.window_ms },
		{ "budget_used", limiter_used(&e->limiter, now) },
		{ "slowest_ms", (uint64_t)e->slowest_ms },
		{ "ready", engine_is_ready(e) },
	};

	if (buf_append_str(to, "{") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (number(to, numbers[i].name, numbers[i].value) < 0)
			return -ENOMEM;
	if (signed_number(to, "clock_skew_s", e->skew.s) < 0 ||
	    word(to, "clerk", clerk[e->breaker.state]) < 0 ||
	    word(to, "clerk_reason", e->clerk_reason ? e->clerk_reason : "") < 0 ||
	    (e->config.keys && (word(to, "key_id", e->config.keys->current_id) < 0 ||
				word(to, "key", keyring_text(e->config.keys)) < 0)) ||
	    errors(to, s) < 0)
		return -ENOMEM;
	return buf_append_str(to, "}");
}
