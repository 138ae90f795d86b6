/* What happens when: counts by the second. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum what {
	SERIES_GETS,
	SERIES_WAITED,
	SERIES_REFUSED,	  /* gets */
	SERIES_CALLS,	  /* ours, whatever came of them */
	SERIES_RENEWALS,  /* of these, those that nobody waited for */
	SERIES_THROTTLED, /* 429 */
	SERIES_FAILED,	  /* Clerk was away */
	SERIES_STRANGER,  /* calls of somebody else's that were accepted */
	SERIES_COUNT,
};

struct series {
	uint32_t (*seconds)[SERIES_COUNT];
	size_t length;
};

struct series series_new(int64_t length_ms);
void series_free(struct series *s);

/* Nothing, if `s` is NULL. */
void series_add(struct series *s, int64_t at_ms, enum what what);

/* Within [from, to), in seconds. */
uint64_t series_sum(const struct series *s, enum what what, size_t from, size_t to);

/* The least and the most in any `width` seconds that lie within [from, to). */
uint64_t series_least(const struct series *s, enum what what, size_t from, size_t to, size_t width);
uint64_t series_most(const struct series *s, enum what what, size_t from, size_t to, size_t width);
