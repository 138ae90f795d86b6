/* See latency.h. */
#include "daemon/core/latency.h"

#define PERIOD_MS 300000

#define SMOOTH 8	   /* an answer counts for an eighth */
#define USUAL_DEVIATIONS 2 /* beyond the mean: hardly any takes longer */

static void smooth(struct latency *l, int64_t took_ms)
{
	int64_t off_ms = took_ms - l->mean / SMOOTH;

	if (l->mean == 0) {
		l->mean = took_ms * SMOOTH;
		l->deviation = took_ms * SMOOTH / 2;
		return;
	}
	l->mean += off_ms;
	l->deviation += (off_ms < 0 ? -off_ms : off_ms) - l->deviation / SMOOTH;
}

void latency_note(struct latency *l, struct mono now, int64_t took_ms)
{
	int64_t passed_ms = mono_diff_ms(now, l->since);

	if (passed_ms >= PERIOD_MS)
		*l = (struct latency){ .last_ms = passed_ms < 2 * PERIOD_MS ? l->current_ms : 0,
				       .since = now,
				       .mean = l->mean,
				       .deviation = l->deviation };
	if (took_ms > l->current_ms)
		l->current_ms = took_ms;
	smooth(l, took_ms);
}

int64_t latency_usual_ms(const struct latency *l)
{
	return (l->mean + USUAL_DEVIATIONS * l->deviation) / SMOOTH;
}

int64_t latency_slowest_ms(const struct latency *l)
{
	return l->current_ms > l->last_ms ? l->current_ms : l->last_ms;
}
