/* When a token is renewed, and whether it is at all. */
#pragma once

#include "base/instant.h"
#include "daemon/core/random.h"

struct freshness {
	int64_t min_ttl_ms;	  /* what a caller expects to have left at least */
	int64_t renew_idle_ms;	  /* -1: auto */
	unsigned refresh_percent; /* of the lifetime; 0: as late as is safe */
};

/* How long before its end a token is renewed, in milliseconds: never more than three quarters
 * of its life (half, where a percentage is set), so that no token is renewed without a pause; and
 * else never less than min_ttl, below which it is of no use, and no copy of it may be. As late as
 * is safe is what leaves min_ttl after the slowest that Clerk has lately been, with jitter,
 * so that keys fetched together are not renewed together. */
int64_t freshness_lead_ms(const struct freshness *f, int64_t lifetime_ms, int64_t slowest_ms,
			  struct random *random);

/* The same for a key that is not in use, in time for an answer that takes so long: of a long life
 * it keeps half as much. */
int64_t freshness_idle_lead_ms(const struct freshness *f, int64_t lifetime_ms, int64_t took_ms,
			       struct random *random);

/* How long before a use that is foreseen its token is asked for. */
int64_t freshness_ahead_ms(int64_t slowest_ms);

/* What chance of being used, per mille, makes a renewal worth a call while so many per mille of
 * the budget are in use: little while the budget is idle, near certainty as it runs out. */
unsigned freshness_least_chance(unsigned used);
