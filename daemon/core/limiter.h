/* The budget: at most `limit` requests in any window, to the request.
 *
 * A log of the last `limit` sending times is kept, so the answer to "when may the k-th request
 * from now be sent?" is exact, for aligned and unaligned windows alike, and a caller who can't be
 * served in time can be told so at once. Clerk's own 429 (limiter_throttle) holds everything back
 * for as long as it says, then lowers the rate by half; it grows again by a tenth of the full
 * budget a window, as others share the key (additive increase, multiplicative decrease is the rule
 * under which strangers converge to equal shares: Chiu and Jain, 1989).
 */
#pragma once

#include "base/instant.h"

#include <stdbool.h>
#include <stddef.h>

struct limiter {
	struct mono *sent; /* ring of `size` times, the oldest at `first` */
	size_t size, first, count;
	size_t limit;	/* the budget: requests a window */
	size_t allowed; /* of it, after Clerk's objections */
	int64_t window_ms;
	struct mono hold_until; /* nothing is sent before */
	struct mono regrow_at;	/* when `allowed` grows next */
	bool sent_since_objection;
	unsigned objections; /* in a row, for holds without Retry-After */
};

/* `limit` at least 1. 0 or -ENOMEM. */
int limiter_init(struct limiter *l, size_t limit, int64_t window_ms);
void limiter_deinit(struct limiter *l);

/* Changes the budget, keeping what was sent. 0 or -ENOMEM (nothing is changed then). */
int limiter_configure(struct limiter *l, size_t limit, int64_t window_ms);

/* When a request may be sent before which `ahead` others are sent, `reserve` being left free. */
struct mono limiter_when(struct limiter *l, struct mono now, size_t ahead, size_t reserve);

/* A request is sent now. limiter_when() must have said so. */
void limiter_take(struct limiter *l, struct mono now);

/* How many were sent within the window that ends now. */
size_t limiter_used(struct limiter *l, struct mono now);

/* Clerk answered 429. `retry_after_ms` < 0: it didn't say when. */
void limiter_throttle(struct limiter *l, struct mono now, int64_t retry_after_ms);

/* Clerk answered something else. */
void limiter_accepted(struct limiter *l);
