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

void clerk_init(struct clerk *c, size_t limit)
{
	*c = (struct clerk){ .random = { 4711 } };
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

bool clerk_call(struct clerk *c, int64_t now_ms, int64_t *ret_took_ms)
{
	struct mono now = { now_ms };
	double z = sqrt(-2 * log(uniform(&c->random))) * cos(2 * M_PI * uniform(&c->random));
	double took = MEDIAN_MS * exp(SIGMA * z);

	if (uniform(&c->random) < SLOW_SHARE)
		took += uniform(&c->random) * SLOW_MS;
	c->calls++;
	if (limiter_used(&c->peak, now) < COUNTED)
		limiter_take(&c->peak, now);
	if (limiter_used(&c->peak, now) > c->busiest)
		c->busiest = limiter_used(&c->peak, now);
	if (!mono_is_due(limiter_when(&c->limiter, now, 0, 0), now)) {
		c->refused++;
		*ret_took_ms = REFUSAL_MS;
		return false;
	}
	limiter_take(&c->limiter, now);
	*ret_took_ms = (int64_t)took;
	return true;
}
