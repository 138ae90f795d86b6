/* Pseudo-random numbers for jitter and sampling, never for secrets: SplitMix64 (Steele, Lea, Flood
 * 2014). The seed comes in from outside, so that a run of the core can be repeated. */
#pragma once

#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_u64(struct random *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Uniform in [0, bound); 0 where bound is not positive. */
static inline int64_t random_below(struct random *r, int64_t bound)
{
	return bound <= 0 ? 0 : (int64_t)((unsigned __int128)random_u64(r) * (uint64_t)bound >> 64);
}
