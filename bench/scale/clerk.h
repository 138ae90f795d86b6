/* Clerk as the simulation has it: some 250 ms with a tail, and a limit in a sliding window. */
#pragma once

#include "daemon/core/limiter.h"
#include "daemon/core/random.h"

#include <stdbool.h>

#define CLERK_LIFETIME_MS 60000
#define CLERK_WINDOW_MS 10000

struct clerk {
	struct limiter limiter;
	struct limiter peak; /* without a limit: counts */
	struct random random;
	uint64_t calls, refused;
	size_t busiest; /* calls in any window */
};

/* `limit`: calls a window. */
void clerk_init(struct clerk *c, size_t limit);
void clerk_deinit(struct clerk *c);

/* A call at `now`: true and the time that it takes, or false: 429, after that time. */
bool clerk_call(struct clerk *c, int64_t now_ms, int64_t *ret_took_ms);
