/* What the past tells of a key's next use: its own rhythm, and that of keys like it.
 *
 * A visit is a run of uses less than RHYTHM_VISIT_MS apart; of each key two numbers are kept, in
 * its entry: the gap between visits, smoothed, and how far it strays. A key whose gaps are all but
 * equal is steady, and the window of its next use can be foretold.
 *
 * For all others there are curves of survival: how many gaps came to an end after how long, and how
 * many keys were given up before theirs did (Kaplan and Meier, 1958). Keys that were used once have
 * one of their own, and so have those that were used much, but in one visit only. (More classes
 * would tell keys apart that are not different, each from less: what is renewed then depends on
 * chance.) Steady keys share one curve, in parts of their own gap. The curves forget: a class's
 * counts are halved when they are many.
 *
 * Probabilities are per mille, all arithmetic is of integers, nothing is allocated.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RHYTHM_GAP_MS 512     /* less is no gap */
#define RHYTHM_VISIT_MS 4000  /* uses closer than that are one visit */
#define RHYTHM_KEEP_MS 600000 /* how long after its last use a key is remembered at least */
#define RHYTHM_UNIT_MS 16     /* of a beat's numbers */
#define RHYTHM_BINS 72	      /* four in each octave of time: up to two days */
#define RHYTHM_CLASSES 4
#define RHYTHM_CERTAIN 1000

/* Of one key. Zeroes: nothing is known. */
struct beat {
	uint16_t gap;	 /* between visits, in units; 0: not known, or too long */
	uint16_t spread; /* how far gaps stray from it, in units */
};

struct rhythm {
	uint32_t ended[RHYTHM_CLASSES][RHYTHM_BINS]; /* gaps that ended with a use */
	uint32_t lost[RHYTHM_CLASSES][RHYTHM_BINS];  /* keys given up */
	uint32_t total[RHYTHM_CLASSES];
};

/* A use `gap_ms` (at least RHYTHM_GAP_MS) after the last. `uses`: of the key so far, saturating. */
void rhythm_used(struct rhythm *r, struct beat *beat, unsigned uses, int64_t gap_ms);

/* The key is given up `idle_ms` after its last use. */
void rhythm_lost(struct rhythm *r, const struct beat *beat, unsigned uses, int64_t idle_ms);

/* How probable it is that a key unused for `idle_ms` is used within the next `span_ms`. */
unsigned rhythm_chance(const struct rhythm *r, const struct beat *beat, unsigned uses,
		       int64_t idle_ms, int64_t span_ms);

/* True if the key is steady; its next use is then expected between *ret_from_ms and *ret_to_ms
 * after its last. */
bool rhythm_foretell(const struct beat *beat, int64_t *ret_from_ms, int64_t *ret_to_ms);
