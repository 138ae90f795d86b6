/* What STATS said at one moment, and what happened between two of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLANCE_WORD_SIZE 64
#define GLANCE_BUSIEST 10

/* Counted since the daemon's start. */
struct glance_counts {
	int64_t gets, hits, waits, errors, fetches, evictions, cpu_ms;
};

struct glance_key {
	char id[17], template_name[129];
	int64_t uses_per_minute;
};

/* What an older daemon doesn't tell is 0, or empty. */
struct glance {
	int64_t at_ms; /* by a clock that doesn't jump */
	struct glance_counts counts;
	int64_t tokens, memory_bytes, cache_max_bytes, resident_bytes;
	int64_t clients, max_clients, watches, waiting, in_flight, queued;
	int64_t budget, budget_allowed, budget_used, budget_window_ms, slowest_ms;
	char version[GLANCE_WORD_SIZE], key[GLANCE_WORD_SIZE], key_state[GLANCE_WORD_SIZE];
	char clerk[GLANCE_WORD_SIZE], clerk_reason[GLANCE_WORD_SIZE];
	struct glance_key busiest[GLANCE_BUSIEST];
	size_t n_busiest;
};

struct glance glance_read(const char *json, int64_t at_ms);

/* What was counted from one to the other; all of it where another daemon has started meanwhile. */
struct glance_counts glance_between(const struct glance *from, const struct glance *to);

/* So many in a second; `to` is later than `from`. */
int64_t glance_per_second(int64_t count, const struct glance *from, const struct glance *to);
