/* The clocks that the library reads.
 *
 * A call's deadline runs on CLOCK_MONOTONIC, as poll(2) does; the life of a token runs on
 * CLOCK_BOOTTIME, `struct mono`, since a token ages through a suspend. Two types, so that the two
 * are not mixed up.
 */
#pragma once

#include "base/instant.h"

#include <limits.h>
#include <time.h>

struct deadline {
	int64_t ms; /* CLOCK_MONOTONIC; INT64_MAX: none */
};

static inline int64_t clock_read_ms(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t); /* fails only for a clock that doesn't exist */
	return (int64_t)t.tv_sec * MS_PER_S + t.tv_nsec / 1000000;
}

static inline struct mono clock_boot(void)
{
	return (struct mono){ clock_read_ms(CLOCK_BOOTTIME) };
}

/* `timeout_ms` from now; negative: never. */
static inline struct deadline deadline_in_ms(int timeout_ms)
{
	if (timeout_ms < 0)
		return (struct deadline){ INT64_MAX };
	return (struct deadline){ clock_read_ms(CLOCK_MONOTONIC) + timeout_ms };
}

/* As poll(2) wants it: 0, it has passed; -1, there is none. */
static inline int deadline_left_ms(struct deadline deadline)
{
	int64_t left;

	if (deadline.ms == INT64_MAX)
		return -1;
	left = deadline.ms - clock_read_ms(CLOCK_MONOTONIC);
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}
