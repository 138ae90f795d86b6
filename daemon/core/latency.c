/* See latency.h. */
#include "daemon/core/latency.h"

#define PERIOD_MS 300000

void latency_note(struct latency *l, struct mono now, int64_t took_ms)
{
	int64_t passed_ms = mono_diff_ms(now, l->since);

	if (passed_ms >= PERIOD_MS)
		*l = (struct latency){ .last_ms = passed_ms < 2 * PERIOD_MS ? l->current_ms : 0,
				       .since = now };
	if (took_ms > l->current_ms)
		l->current_ms = took_ms;
}

int64_t latency_slowest_ms(const struct latency *l)
{
	return l->current_ms > l->last_ms ? l->current_ms : l->last_ms;
}
