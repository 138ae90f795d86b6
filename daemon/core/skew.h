/* How far the host's clock is from Clerk's. Said aloud and no more: no decision reads it.
 *
 * Clerk's Date is of whole seconds, and as old as the answer took, so less than SKEW_WIDE_S is not
 * worth a word; and it takes less than SKEW_NARROW_S to take the word back, or one clock on the
 * verge would be reported with every answer. */
#pragma once

#include "base/instant.h"

#define SKEW_WIDE_S 5
#define SKEW_NARROW_S 3

struct skew {
	int64_t s;     /* the host is ahead by so many seconds; negative: behind */
	bool is_known; /* Clerk has said what time it is */
	bool is_wide;
};

/* Clerk said what time it is. True if it is to be reported: the clocks have come apart, or have
 * come together again (is_wide tells). */
bool skew_note(struct skew *k, struct wall now, int64_t clerk_date_s);
