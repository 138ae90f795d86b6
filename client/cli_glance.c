/* See cli_glance.h. */
#include "client/cli_glance.h"

#include "client/cli_json.h"

#include <string.h>

#define MS_PER_S 1000

static int64_t number(const char *json, const char *name)
{
	int64_t value = 0;

	return json_number(json, name, &value) && value > 0 ? value : 0;
}

static int64_t sum_of_errors(const char *json)
{
	static const char *const codes[] = {
		"bad_request",	 "too_long",	 "unknown_command", "unsupported", "denied",
		"not_found",	 "unauthorized", "forbidden",	    "rejected",	   "rate_limited",
		"unavailable",	 "bad_upstream", "timeout",	    "short_lived", "overloaded",
		"shutting_down", "internal",
	};
	const char *errors = json_member(json, "errors");
	int64_t sum = 0;

	for (size_t i = 0; errors && i < sizeof(codes) / sizeof(codes[0]); i++)
		sum += number(errors, codes[i]);
	return sum;
}

static struct glance_counts read_counts(const char *json)
{
	return (struct glance_counts){
		.gets = number(json, "gets"),
		.hits = number(json, "hits"),
		.waits = number(json, "waits"),
		.errors = sum_of_errors(json),
		.fetches = number(json, "fetches"),
		.evictions = number(json, "evictions"),
		.cpu_ms = number(json, "cpu_ms"),
	};
}

static void read_busiest(struct glance *g, const char *json)
{
	const char *array = json_member(json, "busiest");
	const char *item = NULL;

	while (g->n_busiest < GLANCE_BUSIEST && (item = json_next(array, item))) {
		struct glance_key *k = &g->busiest[g->n_busiest++];

		k->uses_per_minute = number(item, "uses_per_minute");
		(void)json_word(item, "id", k->id,
				sizeof(k->id)); /* empty if missing: all of these */
		(void)json_word(item, "template", k->template_name, sizeof(k->template_name));
	}
}

static void read_words(struct glance *g, const char *json)
{
	(void)json_word(json, "version", g->version, sizeof(g->version)); /* empty if missing */
	(void)json_word(json, "key", g->key, sizeof(g->key));
	(void)json_word(json, "key_state", g->key_state, sizeof(g->key_state));
	(void)json_word(json, "clerk", g->clerk, sizeof(g->clerk));
	(void)json_word(json, "clerk_reason", g->clerk_reason, sizeof(g->clerk_reason));
}

struct glance glance_read(const char *json, int64_t at_ms)
{
	struct glance g = {
		.at_ms = at_ms,
		.counts = read_counts(json),
		.tokens = number(json, "tokens"),
		.memory_bytes = number(json, "memory_bytes"),
		.cache_max_bytes = number(json, "cache_max_bytes"),
		.resident_bytes = number(json, "resident_bytes"),
		.clients = number(json, "clients"),
		.max_clients = number(json, "max_clients"),
		.watches = number(json, "watches"),
		.waiting = number(json, "waiting"),
		.in_flight = number(json, "in_flight"),
		.queued = number(json, "queued"),
		.budget = number(json, "budget"),
		.budget_allowed = number(json, "budget_allowed"),
		.budget_used = number(json, "budget_used"),
		.budget_window_ms = number(json, "budget_window_ms"),
		.slowest_ms = number(json, "slowest_ms"),
	};

	read_words(&g, json);
	read_busiest(&g, json);
	return g;
}

struct glance_counts glance_between(const struct glance *from, const struct glance *to)
{
	const struct glance_counts *a = &from->counts, *b = &to->counts;

	if (b->gets < a->gets || b->fetches < a->fetches || b->cpu_ms < a->cpu_ms)
		return *b;
	return (struct glance_counts){
		.gets = b->gets - a->gets,
		.hits = b->hits - a->hits,
		.waits = b->waits - a->waits,
		.errors = b->errors - a->errors,
		.fetches = b->fetches - a->fetches,
		.evictions = b->evictions - a->evictions,
		.cpu_ms = b->cpu_ms - a->cpu_ms,
	};
}

int64_t glance_per_second(int64_t count, const struct glance *from, const struct glance *to)
{
	int64_t ms = to->at_ms - from->at_ms;

	return ms > 0 ? (count * MS_PER_S + ms / 2) / ms : 0;
}
