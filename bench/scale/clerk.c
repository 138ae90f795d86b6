/* See clerk.h. */
#include "bench/scale/clerk.h"

#include <math.h>
#include <stdlib.h>

#define MEDIAN_MS 230
#define SIGMA 0.35
#define SLOW_SHARE 0.002 /* one in 500 takes up to two seconds more */
#define SLOW_MS 2000
#define REFUSAL_MS 50
#define COUNTED (1 << 20)

void clerk_init(struct clerk *c, size_t limit, const struct weather *weather, struct series *series)
{
	*c = (struct clerk){ .random = { 4711 },
			     .weather = *weather,
			     .series = series,
			     .stranger_at_ms = (double)weather->stranger_from_ms };
	if (limiter_init(&c->limiter, limit, CLERK_WINDOW_MS) < 0 ||
	    limiter_init(&c->peak, COUNTED, CLERK_WINDOW_MS) < 0)
		abort();
}

void clerk_deinit(struct clerk *c)
{
	limiter_deinit(&c->limiter);
	limiter_deinit(&c->peak);
}

static double uniform(struct random *r)
{
	return ((double)(random_u64(r) >> 11) + 0.5) / 9007199254740992.0;
}

static int64_t duration(struct clerk *c)
{
	double z = sqrt(-2 * log(uniform(&c->random))) * cos(2 * M_PI * uniform(&c->random));
	double took = MEDIAN_MS * exp(SIGMA * z);

	if (uniform(&c->random) < SLOW_SHARE)
		took += uniform(&c->random) * SLOW_MS;
	return (int64_t)took;
}

/* Milliseconds until there is room in the window; 0: there is, and it is taken. */
static int64_t take(struct clerk *c, struct mono now)
{
	struct mono when = limiter_when(&c->limiter, now, 0, 0);

	if (mono_is_due(when, now))
		limiter_take(&c->limiter, now);
	return mono_diff_ms(when, now);
}

/* What somebody else has asked for until then. */
static void stranger(struct clerk *c, int64_t now_ms)
{
	const struct weather *w = &c->weather;
	double gap_ms = CLERK_WINDOW_MS * 100.0 /
			((double)c->limiter.limit * (w->stranger_percent + !w->stranger_percent));

	while (c->stranger_at_ms < (double)w->stranger_to_ms &&
	       c->stranger_at_ms <= (double)now_ms) {
		struct mono at = { (int64_t)c->stranger_at_ms };

		if (take(c, at) == 0)
			series_add(c->series, at.ms, SERIES_STRANGER);
		c->stranger_at_ms += gap_ms;
	}
}

static void count(struct clerk *c, struct mono now)
{
	c->calls++;
	series_add(c->series, now.ms, SERIES_CALLS);
	if (limiter_used(&c->peak, now) < COUNTED)
		limiter_take(&c->peak, now);
	if (limiter_used(&c->peak, now) > c->busiest)
		c->busiest = limiter_used(&c->peak, now);
}

struct clerk_answer clerk_call(struct clerk *c, int64_t now_ms)
{
	struct clerk_answer answer = { .says = CLERK_TOKEN, .took_ms = duration(c) };
	struct mono now = { now_ms };
	int64_t wait_ms;

	stranger(c, now_ms);
	count(c, now);
	if (now_ms >= c->weather.outage_from_ms && now_ms < c->weather.outage_to_ms) {
		series_add(c->series, now_ms, SERIES_FAILED);
		return (struct clerk_answer){ .says = CLERK_AWAY,
					      .took_ms = c->weather.outage_took_ms };
	}
	wait_ms = take(c, now);
	if (wait_ms <= 0)
		return answer;
	c->throttled++;
	series_add(c->series, now_ms, SERIES_THROTTLED);
	return (struct clerk_answer){ .says = CLERK_THROTTLED,
				      .took_ms = REFUSAL_MS,
				      .retry_after_ms = (wait_ms + 999) / 1000 * 1000 };
}
