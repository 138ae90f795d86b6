/* How long to wait before the next attempt: doubling, with a maximum. */
#pragma once

#include <stdint.h>

/* Milliseconds after `attempts` failures: base, 2 base, 4 base, … up to max. The caller adds
 * jitter; full jitter is random_below(backoff_ms()). */
static inline int64_t backoff_ms(int64_t base_ms, int64_t max_ms, unsigned attempts)
{
	int64_t delay = base_ms;

	while (attempts-- > 0 && delay < max_ms)
		delay *= 2;
	return delay < max_ms ? delay : max_ms;
}
