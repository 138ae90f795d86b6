/* The budget: at most `limit` requests in any window, to the request.
 *
 * A log of the last `limit` sending times is kept, so the answer to "when may the k-th request
 * from now be sent?" is exact, for aligned and unaligned windows alike, and a caller who can't be
 * served in time can be told so at once.
 *
 * So all of it may go in one instant, which is right for who has it alone. But then there is none
 * for a window, and what goes at once comes back at once. Where it is crowded, which is when more
 * than one user has come within six windows, callers go at a pace (turns.h), so that the next turn
 * is never far. More room than was foreseen makes no turn later (the rate has grown, somebody gave
 * up), so whoever was told of one has it; less room does, and is told then: a 429, or a crowd that
 * begins.
 *
 * Others share the key, and Clerk doesn't say what they leave. A 429 (limiter_throttle) holds
 * everything back for as long as it says; then what was in use is the ceiling, and the rate begins
 * at 17/20 of it. It approaches the ceiling by half of what is missing each tenth of a window,
 * stays there for a window, so that all of one shows whether it is right, and then looks for more:
 * a hundredth of the budget, two, four. Without another 429 it is full again less than two windows
 * after the hold. All 429s of one round of requests are one objection.
 *
 * That is fair among daemons of one key: who uses more gives up more, in proportion, and all look
 * for more by the same steps, which is what makes strangers converge to equal shares (Chiu and
 * Jain, 1989). An objection below the last ceiling lowers it further, to half-way, and so leaves
 * room to whoever has just come; the whole is TCP's CUBIC (RFC 9438) in steps.
 */
#pragma once

#include "base/instant.h"
#include "daemon/core/turns.h"

#include <stdbool.h>
#include <stddef.h>

/* To those of one user who were refused: so many were told to come back until then. */
struct hints {
	struct mono until;
	size_t count;
};

/* Callers who wait. */
struct lineup {
	struct turns turns; /* what was sent, and theirs */
	size_t count;
};

struct limiter {
	struct mono *sent; /* ring of `size` times, the oldest at `first` */
	size_t size, first, count;
	size_t limit;	/* the budget: requests a window */
	size_t allowed; /* of it, after Clerk's objections; limiter_allowed() reads it */
	size_t ceiling; /* what was in use at the last one */
	size_t step;	/* by which `allowed` grows beyond the ceiling */
	int64_t window_ms;
	struct mono hold_until; /* nothing is sent before */
	struct mono regrow_at;	/* when `allowed` grows next */
	struct mono reduced_at;
	unsigned objections;   /* in a row, for holds without Retry-After */
	struct mono pace_from; /* a tenth of a window, and what went in it at a pace */
	size_t paced;
	struct turns turns; /* of all that was sent */
	struct mono crowded_until;
	uint32_t last_user; /* who came last, and when */
	struct mono last_user_at;
};

/* `limit` at least 1. 0 or -ENOMEM. */
int limiter_init(struct limiter *l, size_t limit, int64_t window_ms);
void limiter_deinit(struct limiter *l);

/* Changes the budget, keeping what was sent and what Clerk objected to. 0 or -ENOMEM (nothing is
 * changed then). */
int limiter_configure(struct limiter *l, size_t limit, int64_t window_ms);

/* When a request may be sent before which `ahead` others are sent, `reserve` being left free. It
 * can be sooner where the rate grows in the meantime, next at `regrow_at`. */
struct mono limiter_when(struct limiter *l, struct mono now, size_t ahead, size_t reserve);

/* When a caller's may be sent before which `ahead` others' are: all may be used, at a pace where it
 * is crowded. */
struct mono limiter_turn(struct limiter *l, struct mono now, size_t ahead);
bool limiter_is_crowded(const struct limiter *l, struct mono now);

/* The same for all of a queue, which costs less: the line of those ahead, empty at first; when the
 * turn of who comes next is; one more stands in it. */
struct lineup limiter_line(const struct limiter *l, struct mono now);
struct mono limiter_line_turn(struct limiter *l, struct mono now, struct lineup *line);
void limiter_line_up(struct limiter *l, struct lineup *line, size_t count);

/* A request is sent now. limiter_when() or limiter_turn() must have said so. */
void limiter_take(struct limiter *l, struct mono now);

/* That user wants one, or something is sent for it. */
void limiter_note_user(struct limiter *l, struct mono now, uint32_t user);

/* What nobody waits for goes at a pace, so that a herd of it (the host slept, everything was
 * dropped) is spread over a window: when one more of it may go, if limiter_when() says so too; one
 * more of it has gone. */
struct mono limiter_pace(struct limiter *l, struct mono now, size_t reserve);
void limiter_take_pace(struct limiter *l);

/* When one more of a user is to come back who was refused, there being room from `when` on: one
 * after the other, over a window, at the rate at which they can be served. */
struct mono limiter_hint(struct limiter *l, struct mono now, struct hints *hints, struct mono when);

/* How many were sent within the window that ends now. */
size_t limiter_used(struct limiter *l, struct mono now);

/* How many may be sent in a window, as Clerk objected. */
size_t limiter_allowed(struct limiter *l, struct mono now);

/* Clerk answered 429 to what was sent at `sent_at`. `retry_after_ms` < 0: it didn't say when. */
void limiter_throttle(struct limiter *l, struct mono now, struct mono sent_at,
		      int64_t retry_after_ms);

/* Clerk answered something that shows that it let the request through its own limiter. */
void limiter_accepted(struct limiter *l, struct mono sent_at);
