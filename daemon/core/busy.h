/* Which keys are asked for most, for people who look: an estimate, since a hit counts nothing that
 * would tell. What it leaves is when it was, and a key that is asked for every T on average is
 * found to have been asked for T ago, on average, at a moment that has nothing to do with the
 * asking. (That holds for uses at random; where they come like a clock's ticks, they seem twice as
 * many.)
 *
 * So a look at the cache, one a second while somebody wants to know, takes how long ago each
 * candidate was used, and its mean over some looks is the estimate. New candidates are the last
 * used of the entries that the look passes; why they were chosen does not count for them, only
 * later looks do. A look passes a bounded number of entries and goes on where the last one ended,
 * so that in a large cache it takes some looks to find a key; when nobody has looked for a while
 * all begins anew. What is asked for more often than a thousand times a second is not told apart.
 */
#pragma once

#include "daemon/core/cache.h"

#define BUSY_PASS 16384 /* entries that a look passes */
#define BUSY_KEPT 16	/* candidates that stay, */
#define BUSY_NEW 16	/* and those that come with each look */

struct busy_key {
	uint64_t token_id;
	uint32_t expires_in_s;
	uint32_t gap;  /* mean time since its last use, in 1/512 ms */
	uint8_t looks; /* that this is the mean of, up to a bound; 0: it has just come */
	uint8_t session_len, template_len;
	char names[2 * WIRE_NAME_MAX]; /* session and template */
};

struct busy {
	struct busy_key keys[BUSY_KEPT + 2 * BUSY_NEW]; /* the busiest first */
	size_t count;
	size_t hand; /* among the cache's timers, where all entries that hold something are */
	struct mono looked_at;
};

/* Looks, unless that was done within the last second. */
void busy_look(struct busy *b, const struct cache *c, struct mono now);

static inline bool busy_is_known(const struct busy_key *key)
{
	return key->looks > 1;
}

/* How often the key is asked for; 0 while that is not known. */
uint64_t busy_uses_per_minute(const struct busy_key *key);

/* Empty: the plain session token. */
static inline struct span busy_template(const struct busy_key *key)
{
	return span_of(key->names + key->session_len, key->template_len);
}
