/* See freshness.h. */
#include "daemon/core/freshness.h"

#include <stddef.h>

#define MARGIN_MS 100
#define JITTER_PARTS 100
#define LONG_LEAD_PARTS 10
#define LONG_LEAD_MAX_MS 300000

static int64_t min_i64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t max_i64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t lead_ms(const struct freshness *f, int64_t lifetime_ms, int64_t took_ms,
		       int64_t long_lead_parts, struct random *random)
{
	int64_t jitter =
	    random_below(random, min_i64(lifetime_ms / JITTER_PARTS, LONG_LEAD_MAX_MS));
	int64_t most = f->refresh_percent ? lifetime_ms / 2 : lifetime_ms / 4 * 3;
	int64_t lead;

	if (f->refresh_percent)
		lead = max_i64(f->min_ttl_ms, lifetime_ms / 100 * (100 - f->refresh_percent));
	else
		/* A long life can afford more room for Clerk's bad hours. */
		lead = max_i64(f->min_ttl_ms + freshness_ahead_ms(took_ms),
			       min_i64(lifetime_ms / long_lead_parts, LONG_LEAD_MAX_MS));
	return min_i64(lead + jitter, most);
}

int64_t freshness_lead_ms(const struct freshness *f, int64_t lifetime_ms, int64_t slowest_ms,
			  struct random *random)
{
	return lead_ms(f, lifetime_ms, slowest_ms, LONG_LEAD_PARTS, random);
}

int64_t freshness_idle_lead_ms(const struct freshness *f, int64_t lifetime_ms, int64_t took_ms,
			       struct random *random)
{
	return lead_ms(f, lifetime_ms, took_ms, 2 * LONG_LEAD_PARTS, random);
}

int64_t freshness_ahead_ms(int64_t slowest_ms)
{
	return slowest_ms + MARGIN_MS;
}

unsigned freshness_least_chance(unsigned used)
{
	static const struct {
		unsigned used, chance;
	} steps[] = {
		{ 0, 20 },    { 400, 20 },  { 500, 40 },  { 600, 80 },
		{ 700, 150 }, { 800, 500 }, { 850, 850 }, { 900, 950 },
	};
	size_t i = 1;

	while (i < sizeof(steps) / sizeof(steps[0]) && steps[i].used < used)
		i++;
	if (i == sizeof(steps) / sizeof(steps[0]))
		return steps[i - 1].chance;
	return steps[i - 1].chance + (steps[i].chance - steps[i - 1].chance) *
					 (used - steps[i - 1].used) /
					 (steps[i].used - steps[i - 1].used);
}
