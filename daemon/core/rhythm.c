/* See rhythm.h. */
#include "daemon/core/rhythm.h"

#include <assert.h>
#include <stddef.h>

#define BINS_PER_OCTAVE 4
#define FIRST_OCTAVE 9 /* bin 0 begins at 2^9 ms */
#define CLASS_TOTAL_MAX 32768
#define PRIOR_WEIGHT 16	 /* what is presumed counts as much as so many gaps seen */
#define PRIOR_STEADY 900 /* per mille */
#define DENSE_USES 32
#define DENSE_CHANCE 990 /* per mille */
#define STEADY_GAP 4096	 /* a steady key's gap, on the curve that all of them share */
#define STEADY_PARTS 12	 /* the spread of a steady key is less than this part of its gap */
#define FIRST_SPREAD_PARTS 8
#define STRAY 3 /* spreads, to either side */
#define STRAY_MIN_MS 250

enum class {
	CLASS_ONCE,    /* used once */
	CLASS_DENSE,   /* many uses, one visit: a job's */
	CLASS_GENERAL, /* all others */
	CLASS_STEADY,
};
static_assert(CLASS_STEADY + 1 == RHYTHM_CLASSES, "one curve each");

static bool is_steady(const struct beat *beat)
{
	return beat->gap && beat->spread < beat->gap / STEADY_PARTS;
}

static unsigned class_of(const struct beat *beat, unsigned uses)
{
	if (is_steady(beat))
		return CLASS_STEADY;
	if (beat->gap)
		return CLASS_GENERAL;
	return uses <= 1 ? CLASS_ONCE : uses < DENSE_USES ? CLASS_GENERAL : CLASS_DENSE;
}

/* Time as the curve of that class counts it. */
static int64_t on_curve(unsigned class, const struct beat *beat, int64_t ms)
{
	int64_t limit = INT64_MAX / STEADY_GAP;

	if (class != CLASS_STEADY)
		return ms;
	return (ms < limit ? ms : limit) * STEADY_GAP / (beat->gap * RHYTHM_UNIT_MS);
}

static int64_t bin_start(unsigned bin)
{
	int64_t octave = INT64_C(1) << (FIRST_OCTAVE + bin / BINS_PER_OCTAVE);

	return octave + octave / BINS_PER_OCTAVE * (bin % BINS_PER_OCTAVE);
}

static unsigned bin_of(int64_t t)
{
	unsigned octave, bin;

	if (t < INT64_C(1) << FIRST_OCTAVE)
		return 0;
	octave = 63 - (unsigned)__builtin_clzll((uint64_t)t);
	bin = (octave - FIRST_OCTAVE) * BINS_PER_OCTAVE +
	      ((unsigned)(t >> (octave - 2)) & (BINS_PER_OCTAVE - 1));
	return bin < RHYTHM_BINS ? bin : RHYTHM_BINS - 1;
}

static void count(struct rhythm *r, unsigned class, uint32_t *cell)
{
	++*cell;
	if (++r->total[class] < CLASS_TOTAL_MAX)
		return;
	r->total[class] = 0;
	for (unsigned b = 0; b < RHYTHM_BINS; b++) {
		r->ended[class][b] /= 2;
		r->lost[class][b] /= 2;
		r->total[class] += r->ended[class][b] + r->lost[class][b];
	}
}

/* It takes two gaps alike to be steady, and one that is not to be so no more. */
static void follow(struct beat *beat, int64_t gap_ms)
{
	int64_t gap = gap_ms / RHYTHM_UNIT_MS, stray;

	if (gap > UINT16_MAX) {
		*beat = (struct beat){ 0 };
		return;
	}
	if (!beat->gap) {
		beat->gap = (uint16_t)gap;
		beat->spread = (uint16_t)(gap / FIRST_SPREAD_PARTS);
		return;
	}
	stray = gap > beat->gap ? gap - beat->gap : beat->gap - gap;
	beat->spread = (uint16_t)(stray > beat->spread ? stray : (beat->spread + stray + 1) / 2);
	beat->gap = (uint16_t)(beat->gap + (gap - beat->gap) / 4);
}

void rhythm_used(struct rhythm *r, struct beat *beat, unsigned uses, int64_t gap_ms)
{
	unsigned class = class_of(beat, uses);

	count(r, class, &r->ended[class][bin_of(on_curve(class, beat, gap_ms))]);
	if (gap_ms >= RHYTHM_VISIT_MS)
		follow(beat, gap_ms);
	else
		beat->spread = beat->gap; /* a long visit: its parts may come at any time */
}

void rhythm_lost(struct rhythm *r, const struct beat *beat, unsigned uses, int64_t idle_ms)
{
	unsigned class = class_of(beat, uses);

	count(r, class, &r->lost[class][bin_of(on_curve(class, beat, idle_ms))]);
}

/* Before anything was seen: as if a key were used again the sooner the sooner it was used, and a
 * steady one but for an accident, once. */
static int64_t presumed(unsigned class, const struct beat *beat, int64_t idle_ms, int64_t span_ms)
{
	int64_t gap_ms = (int64_t)beat->gap * RHYTHM_UNIT_MS;
	int64_t near;

	if (class == CLASS_STEADY && idle_ms < gap_ms + gap_ms / STRAY)
		return PRIOR_STEADY;
	if (class == CLASS_STEADY)
		return PRIOR_STEADY * gap_ms / (idle_ms + gap_ms) / STEADY_PARTS;
	near = (int64_t)((__int128)span_ms * RHYTHM_CERTAIN / ((__int128)idle_ms + span_ms + 1));
	return near * near / RHYTHM_CERTAIN;
}

/* The part of a bin, in 1/1024, that lies within [from, to). */
static int64_t overlap(unsigned bin, int64_t from, int64_t to)
{
	int64_t start = bin_start(bin), end = bin_start(bin + 1);

	if (from < start)
		from = start;
	if (to > end || bin == RHYTHM_BINS - 1)
		to = end;
	return to > from ? (to - from) * 1024 / (end - start) : 0;
}

unsigned rhythm_chance(const struct rhythm *r, const struct beat *beat, unsigned uses,
		       int64_t idle_ms, int64_t span_ms)
{
	unsigned class = class_of(beat, uses);
	int64_t from = on_curve(class, beat, idle_ms),
		to = on_curve(class, beat, idle_ms + span_ms);
	int64_t at_risk = 0, survival = INT64_C(1) << 20, seen;
	unsigned first = bin_of(from), last = bin_of(to);

	if (uses >= DENSE_USES && class != CLASS_STEADY && idle_ms < RHYTHM_GAP_MS)
		return DENSE_CHANCE;
	for (unsigned b = first; b < RHYTHM_BINS; b++)
		at_risk += r->ended[class][b] + r->lost[class][b];
	seen = at_risk;
	for (unsigned b = first; b <= last && at_risk; b++) {
		int64_t part = overlap(b, from, to);

		/* What is lost within a bin counts as if it went half-way. */
		survival -= survival * r->ended[class][b] * part /
			    ((2 * at_risk - r->lost[class][b]) * 512);
		at_risk -= r->ended[class][b] + r->lost[class][b];
	}
	return (unsigned)((seen * (((INT64_C(1) << 20) - survival) * RHYTHM_CERTAIN >> 20) +
			   PRIOR_WEIGHT * presumed(class, beat, idle_ms, span_ms)) /
			  (seen + PRIOR_WEIGHT));
}

bool rhythm_foretell(const struct beat *beat, int64_t *ret_from_ms, int64_t *ret_to_ms)
{
	int64_t gap_ms = (int64_t)beat->gap * RHYTHM_UNIT_MS;
	int64_t stray_ms = (int64_t)beat->spread * RHYTHM_UNIT_MS * STRAY + STRAY_MIN_MS;

	if (!is_steady(beat))
		return false;
	*ret_from_ms = gap_ms - stray_ms;
	*ret_to_ms = gap_ms + stray_ms;
	return true;
}
