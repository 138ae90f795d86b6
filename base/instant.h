/* Points in time that can't be mixed up.
 *
 * `struct mono` counts milliseconds since boot, suspend included (CLOCK_BOOTTIME): all deadlines
 * are of this kind. `struct wall` is civil time in milliseconds since 1970: it is reported, and
 * never decided upon, but for the age of a webhook, which has no other clock. An instant is a value
 * that came in from outside; nothing in here reads a clock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MS_PER_S 1000

struct mono {
	int64_t ms;
};

struct wall {
	int64_t ms;
};

#define MONO_NEVER ((struct mono){ INT64_MAX })

static inline struct mono mono_add_ms(struct mono t, int64_t ms)
{
	int64_t sum;

	if (__builtin_add_overflow(t.ms, ms, &sum))
		sum = ms < 0 ? INT64_MIN : INT64_MAX;
	return (struct mono){ sum };
}

/* Milliseconds from `from` to `to`; negative if `to` is the earlier one. */
static inline int64_t mono_diff_ms(struct mono to, struct mono from)
{
	int64_t diff;

	if (__builtin_sub_overflow(to.ms, from.ms, &diff))
		diff = to.ms < from.ms ? INT64_MIN : INT64_MAX;
	return diff;
}

static inline bool mono_is_due(struct mono deadline, struct mono now)
{
	return deadline.ms <= now.ms;
}

static inline struct mono mono_min(struct mono a, struct mono b)
{
	return a.ms < b.ms ? a : b;
}

static inline struct mono mono_max(struct mono a, struct mono b)
{
	return a.ms > b.ms ? a : b;
}
