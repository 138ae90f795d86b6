/* What is to be done about a key whose token will soon be, or is, no more.
 *
 * Nothing is decided before the last moment at which a renewal is safe (freshness.h): for a key in
 * use, and one that is watched, what leaves time for the slowest answer of late; for one that has
 * not been asked for in the last seconds, for an answer that is slower as seldom as it is likely to
 * be asked for. Then:
 *
 * - A watched key is renewed.
 * - A steady key whose next use can be foretold is fetched shortly before that. If it is after the
 *   token's end, the entry is kept without a token until then.
 * - Any other is renewed if its chance to be used before the next token ends is worth a call. What
 *   a call is worth depends on how much of the budget is in use: spare calls cost nobody anything.
 *   With renew_idle set, that its last use is younger does, while there is budget to spare; zero
 *   leaves watched keys only.
 */
#pragma once

#include "daemon/core/state.h"

enum renewal {
	RENEWAL_NOW,
	RENEWAL_LATER,
	RENEWAL_NONE,
};

/* For an entry with a token, or one that is kept without. *ret_at is when it is to be looked at
 * again: NOW, a renewal comes too late; LATER, it can be decided; NONE, what it holds ends. */
enum renewal renewal_plan(struct engine *e, struct mono now, const struct entry *entry,
			  struct mono *ret_at);

/* How surely a key is used before the token that a renewal would bring ends, per mille. */
unsigned renewal_chance(const struct engine *e, struct mono now, const struct entry *entry);

/* Until when an entry without a token is worth keeping. */
struct mono renewal_keep_until(const struct entry *entry);
