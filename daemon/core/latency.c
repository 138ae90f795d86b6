/* See latency.h. */
#include "daemon/core/latency.h"

#define PERIOD_MS 300000
#define FIRST_OCTAVE 4 /* bin 0 begins at 2^4 ms */
#define MILLION 1000000
#define UNUSUAL 100000 /* of a million take longer than what is usual */

static int64_t bin_end(unsigned bin)
{
	return (int64_t)(bin % 4 + 5) << (FIRST_OCTAVE + bin / 4 - 2);
}

static unsigned bin_of(int64_t took_ms)
{
	unsigned bin = 0;

	while (bin < LATENCY_BINS - 1 && bin_end(bin) < took_ms)
		bin++;
	return bin;
}

void latency_note(struct latency *l, struct mono now, int64_t took_ms)
{
	int64_t passed_ms = mono_diff_ms(now, l->since);

	if (passed_ms >= PERIOD_MS) {
		l->last = passed_ms < 2 * PERIOD_MS ? l->current : (struct latency_period){ 0 };
		l->current = (struct latency_period){ 0 };
		l->since = now;
	}
	if (took_ms > l->current.slowest_ms)
		l->current.slowest_ms = took_ms;
	l->current.count++;
	l->current.counts[bin_of(took_ms)]++;
}

int64_t latency_slowest_ms(const struct latency *l)
{
	return l->current.slowest_ms > l->last.slowest_ms ? l->current.slowest_ms
							  : l->last.slowest_ms;
}

int64_t latency_exceeded_ms(const struct latency *l, int64_t per_million)
{
	int64_t slowest_ms = latency_slowest_ms(l);
	int64_t left = ((int64_t)l->current.count + l->last.count) * per_million / MILLION;
	unsigned bin = LATENCY_BINS;

	while (bin > 0 && left >= 0) {
		bin--;
		left -= (int64_t)l->current.counts[bin] + l->last.counts[bin];
	}
	return bin_end(bin) < slowest_ms ? bin_end(bin) : slowest_ms;
}

int64_t latency_usual_ms(const struct latency *l)
{
	return latency_exceeded_ms(l, UNUSUAL);
}
