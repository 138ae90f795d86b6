/* Clerk as the simulation has it: some 250 ms with a tail, a limit in a sliding window, a 429 with
 * Retry-After where there is no room in it; now and then somebody else who takes part of the limit,
 * now and then away. */
#pragma once

#include "bench/scale/series.h"
#include "daemon/core/limiter.h"
#include "daemon/core/random.h"

#include <stdbool.h>

#define CLERK_LIFETIME_MS 60000
#define CLERK_WINDOW_MS 10000

/* From and to: 0 and 0 is never. */
struct weather {
	int64_t stranger_from_ms, stranger_to_ms;
	unsigned stranger_percent; /* of the limit, asked for evenly, whatever comes of it */
	int64_t outage_from_ms, outage_to_ms;
	int64_t outage_took_ms; /* until a call fails */
};

enum clerk_says {
	CLERK_TOKEN,
	CLERK_THROTTLED,
	CLERK_AWAY,
};

struct clerk_answer {
	enum clerk_says says;
	int64_t took_ms;
	int64_t retry_after_ms; /* THROTTLED */
};

struct clerk {
	struct limiter limiter;
	struct limiter peak; /* without a limit: counts */
	struct random random;
	struct weather weather;
	struct series *series; /* may be NULL */
	double stranger_at_ms; /* its next call */
	uint64_t calls, throttled;
	size_t busiest; /* calls in any window */
};

/* `limit`: calls a window. */
void clerk_init(struct clerk *c, size_t limit, const struct weather *weather,
		struct series *series);
void clerk_deinit(struct clerk *c);

/* A call at `now`, which never goes back. */
struct clerk_answer clerk_call(struct clerk *c, int64_t now_ms);
