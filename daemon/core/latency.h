/* How long Clerk has lately taken to answer: of the answers of the last five to ten minutes, the
 * slowest, and how many took longer than what. Two periods take turns, so that one slow answer
 * counts neither for ever nor for as few answers as happen to follow it.
 */
#pragma once

#include "base/instant.h"

#define LATENCY_BINS 48 /* four in each octave of time: from 16 ms to a minute */

struct latency_period {
	int64_t slowest_ms;
	uint32_t count;
	uint32_t counts[LATENCY_BINS];
};

struct latency {
	struct latency_period current, last;
	struct mono since; /* when the current period began */
};

/* Clerk took so long to answer. */
void latency_note(struct latency *l, struct mono now, int64_t took_ms);

/* 0: nothing is known. */
int64_t latency_slowest_ms(const struct latency *l);

/* What at most so many per million of the answers took longer than, a fifth more at worst; never
 * more than the slowest. */
int64_t latency_exceeded_ms(const struct latency *l, int64_t per_million);

/* What nine in ten of the answers took, so. */
int64_t latency_usual_ms(const struct latency *l);
