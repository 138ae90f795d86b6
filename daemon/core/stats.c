/* See stats.h. */
#include "daemon/core/stats.h"

#include "daemon/core/state.h"

#include <errno.h>

#define PROCESS_AGE_MS 1000
#define BUSIEST 10 /* keys that STATS tells */

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
	    buf_append_str(to, "\":\"") < 0 || buf_append_str(to, value ? value : "") < 0)
		return -ENOMEM;
	return buf_append_str(to, "\"");
}

bool stats_wants_process(const struct engine *e, struct mono now)
{
	return e->process.files_max == 0 || mono_diff_ms(now, e->process.at) >= PROCESS_AGE_MS;
}

void stats_note_process(struct engine *e, const struct process_facts *facts)
{
	e->process = *facts;
}

static void read_counters(const struct stats *s, uint64_t to[STATS_NUMBERS])
{
	to[STATS_GETS] = s->gets;
	to[STATS_HITS] = s->hits;
	to[STATS_WAITS] = s->waits;
	to[STATS_DROPS] = s->drops;
	to[STATS_FLUSHES] = s->flushes;
	to[STATS_WEBHOOKS] = s->webhooks;
	to[STATS_WEBHOOKS_ENDED] = s->webhooks_ended;
	to[STATS_WEBHOOKS_REFUSED] = s->webhooks_refused;
	to[STATS_FETCHES] = s->fetches;
	to[STATS_FETCHES_FOR_CALLERS] = s->fetches_for_callers;
	to[STATS_FETCHES_FOR_RENEWAL] = s->fetches_for_renewal;
	to[STATS_FETCHED_TOKENS] = s->tokens;
	to[STATS_RETRIES] = s->retries;
	to[STATS_SAME_TOKENS] = s->same_tokens;
	to[STATS_CANCELLED] = s->cancelled;
	to[STATS_CALLS] = s->calls;
	to[STATS_THROTTLED] = s->throttled;
}

static void read_levels(struct engine *e, struct mono now, uint64_t to[STATS_NUMBERS])
{
	to[STATS_EVICTIONS] = e->cache.evictions;
	to[STATS_ENTRIES] = e->cache.map.count;
	to[STATS_TOKENS] = e->cache.tokens;
	to[STATS_CACHE_BYTES] = e->cache.bytes;
	to[STATS_CACHE_MAX_BYTES] = e->cache.max_bytes;
	to[STATS_MEMORY_BYTES] = e->cache.slab.resident + e->cache.beside;
	to[STATS_CLIENTS] = e->quota.held[QUOTA_CONNECTIONS];
	to[STATS_MAX_CLIENTS] = e->config.max_clients;
	to[STATS_WATCHES] = e->quota.held[QUOTA_WATCHES];
	to[STATS_WAITING] = e->waiters;
	to[STATS_IN_FLIGHT] = e->running;
	to[STATS_QUEUED] = e->queued + e->renewals.count;
	to[STATS_BUDGET] = e->limiter.limit;
	to[STATS_BUDGET_ALLOWED] = limiter_allowed(&e->limiter, now);
	to[STATS_BUDGET_WINDOW_MS] = (uint64_t)e->limiter.window_ms;
	to[STATS_BUDGET_USED] = limiter_used(&e->limiter, now);
	to[STATS_SLOWEST_MS] = (uint64_t)e->slowest_ms;
	to[STATS_READY] = engine_is_ready(e);
	to[STATS_CLOCK_KNOWN] = e->skew.is_known;
}

static void read_facts(const struct engine *e, uint64_t to[STATS_NUMBERS])
{
	const struct process_facts *p = &e->process;

	to[STATS_RULES] = e->config.about.rules;
	to[STATS_UID] = e->config.own_uid;
	to[STATS_CPU_MS] = p->cpu_ms;
	to[STATS_STARTED_S] = p->started_s;
	to[STATS_RESIDENT_BYTES] = p->resident_bytes;
	to[STATS_LOCKED_BYTES] = p->locked_bytes;
	to[STATS_LOCKED_MAX_BYTES] = p->locked_max_bytes;
	to[STATS_FILES_OPEN] = p->files_open;
	to[STATS_FILES_MAX] = p->files_max;
}

void stats_read(struct engine *e, struct mono now, uint64_t ret[STATS_NUMBERS])
{
	read_counters(&e->stats, ret);
	read_levels(e, now, ret);
	read_facts(e, ret);
}

const char *stats_clerk(const struct engine *e)
{
	static const char *const states[] = {
		[BREAKER_CLOSED] = "up",
		[BREAKER_OPEN] = "down",
		[BREAKER_PROBING] = "probing",
	};

	return states[e->breaker.state];
}

static const char *const names[STATS_NUMBERS] = {
	[STATS_GETS] = "gets",
	[STATS_HITS] = "hits",
	[STATS_WAITS] = "waits",
	[STATS_DROPS] = "drops",
	[STATS_FLUSHES] = "flushes",
	[STATS_WEBHOOKS] = "webhooks",
	[STATS_WEBHOOKS_ENDED] = "webhooks_ended",
	[STATS_WEBHOOKS_REFUSED] = "webhooks_refused",
	[STATS_FETCHES] = "fetches",
	[STATS_FETCHES_FOR_CALLERS] = "fetches_for_callers",
	[STATS_FETCHES_FOR_RENEWAL] = "fetches_for_renewal",
	[STATS_FETCHED_TOKENS] = "fetched_tokens",
	[STATS_RETRIES] = "retries",
	[STATS_SAME_TOKENS] = "same_tokens",
	[STATS_CANCELLED] = "cancelled",
	[STATS_CALLS] = "calls",
	[STATS_THROTTLED] = "throttled",
	[STATS_EVICTIONS] = "evictions",
	[STATS_ENTRIES] = "entries",
	[STATS_TOKENS] = "tokens",
	[STATS_CACHE_BYTES] = "cache_bytes",
	[STATS_CACHE_MAX_BYTES] = "cache_max_bytes",
	[STATS_MEMORY_BYTES] = "memory_bytes",
	[STATS_CLIENTS] = "clients",
	[STATS_MAX_CLIENTS] = "max_clients",
	[STATS_WATCHES] = "watches",
	[STATS_WAITING] = "waiting",
	[STATS_IN_FLIGHT] = "in_flight",
	[STATS_QUEUED] = "queued",
	[STATS_BUDGET] = "budget",
	[STATS_BUDGET_ALLOWED] = "budget_allowed",
	[STATS_BUDGET_WINDOW_MS] = "budget_window_ms",
	[STATS_BUDGET_USED] = "budget_used",
	[STATS_SLOWEST_MS] = "slowest_ms",
	[STATS_READY] = "ready",
	[STATS_CLOCK_KNOWN] = "clock_known",
	[STATS_RULES] = "rules",
	[STATS_UID] = "uid",
	[STATS_CPU_MS] = "cpu_ms",
	[STATS_STARTED_S] = "started_s",
	[STATS_RESIDENT_BYTES] = "resident_bytes",
	[STATS_LOCKED_BYTES] = "locked_bytes",
	[STATS_LOCKED_MAX_BYTES] = "locked_max_bytes",
	[STATS_FILES_OPEN] = "files_open",
	[STATS_FILES_MAX] = "files_max",
};

static int write_words(const struct engine *e, struct buf *to)
{
	const struct about *about = &e->config.about;

	if (word(to, "version", about->version) < 0 || word(to, "key", about->key) < 0 ||
	    word(to, "tls", about->tls) < 0 || word(to, "clerk", stats_clerk(e)) < 0)
		return -ENOMEM;
	if (e->config.keys && (word(to, "key_id", e->config.keys->current_id) < 0 ||
			       word(to, "key_state", keyring_text(e->config.keys)) < 0))
		return -ENOMEM;
	return word(to, "clerk_reason", e->clerk_reason) < 0
		   ? -ENOMEM
		   : word(to, "clerk_detail", e->clerk_detail);
}

static int busy_key(struct buf *to, const struct busy_key *k, bool is_first)
{
	struct span template = busy_template(k);
	char id[16];

	(void)format_hex64(id, k->token_id); /* exactly 16 */
	if (!template.len)
		template = SPAN_LITERAL(WIRE_NO_TEMPLATE);
	if (buf_append_str(to, is_first ? "{\"id\":\"" : ",{\"id\":\"") < 0 ||
	    buf_append(to, id, sizeof(id)) < 0 || buf_append_str(to, "\",\"template\":\"") < 0 ||
	    buf_append(to, template.ptr, template.len) < 0 ||
	    buf_append_str(to, "\",\"uses_per_minute\":") < 0 ||
	    buf_append_u64(to, busy_uses_per_minute(k)) < 0)
		return -ENOMEM;
	return buf_append_str(to, "}");
}

/* By their tokens' ids, which may be logged: whose they are is nobody's business here. */
static int busiest(struct buf *to, const struct busy *b)
{
	int result = buf_append_str(to, ",\"busiest\":[");

	for (size_t i = 0; result == 0 && i < b->count && i < BUSIEST && busy_is_known(&b->keys[i]);
	     i++)
		result = busy_key(to, &b->keys[i], i == 0);
	return result < 0 ? result : buf_append_str(to, "]");
}

int stats_write(struct engine *e, struct mono now, struct buf *to)
{
	uint64_t numbers[STATS_NUMBERS];

	stats_read(e, now, numbers);
	busy_look(&e->busy, &e->cache, now);
	if (buf_append_str(to, "{") < 0)
		return -ENOMEM;
	for (size_t i = 0; i < STATS_NUMBERS; i++)
		if (number(to, names[i], numbers[i]) < 0)
			return -ENOMEM;
	if (signed_number(to, "clock_skew_s", e->skew.s) < 0 || write_words(e, to) < 0 ||
	    errors(to, &e->stats) < 0 || busiest(to, &e->busy) < 0)
		return -ENOMEM;
	return buf_append_str(to, "}");
}
