/* What goes when the cache needs room.
 *
 * An entry is warm if it was asked for again since it came, else cold. Out goes, first to last:
 *
 *     what holds no token
 *     cold ones of users over their share      of these: the longest unused
 *     cold ones
 *     warm ones of users over their share      of these: the least often used
 *     warm ones
 *
 * so that keys asked for once, however many and by however many users, push out each other only. A
 * hand goes round the table, whose order is random, and of the entries that it passes the one to go
 * first goes: it passes a few, but many until it finds a cold one. Since it passes all in turn, the
 * cold ones that have come since its last visit lie before it, few as they may be.
 *
 * Frequency fades: it is halved each time that eight times as many entries have gone as there are.
 * That is made up for when the hand comes by; a hit does no more than count. An entry with a demand
 * (somebody waits for or watches it) stays.
 */
#pragma once

#include "daemon/core/cache.h"

/* The entry to go next, not `keep` (may be NULL). NULL: all that the hand passed must stay. */
struct entry *eviction_choose(struct cache *c, const struct entry *keep);
