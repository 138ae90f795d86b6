/* Turns at a pace: how many fetches may go in each tenth of a window.
 *
 * Half of what is allowed may go at once. Beyond it, as many as could go in each of the five tenths
 * ahead, given what comes back in the meantime: so of what is left there is always some for the
 * next tenth, a clump dissolves in a few windows, and all of the budget is used.
 *
 * How many have gone by the end of a tenth grows with how many had by the end of each before, and
 * with what is allowed: that something goes earlier, or that more is allowed later, makes nobody's
 * turn later.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TURNS_TENTHS 10

/* What has gone. A copy of it can be told what is to go, to foresee who goes when. */
struct turns {
	uint64_t tenth;		   /* the last, counted from the beginning of time */
	size_t gone[TURNS_TENTHS]; /* in it and in those before, each at its remainder */
};

/* It is that tenth now, which is none before the last. */
void turns_move(struct turns *t, uint64_t tenth);

/* One has gone in the last tenth. */
void turns_take(struct turns *t);

/* Lets `count` more go, `usable` being allowed in a window. Returns the tenth in which the next
 * one's turn comes, the last one now. */
uint64_t turns_give(struct turns *t, size_t usable, size_t count);
