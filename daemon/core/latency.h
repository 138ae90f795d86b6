/* How slow Clerk has lately been: the longest that its answers took in the last five to ten
 * minutes, and what they usually take. The longest is of two maxima that take turns, so that one
 * slow answer counts neither for ever nor for as few answers as happen to follow it; the usual is
 * smoothed as in RFC 6298. */
#pragma once

#include "base/instant.h"

struct latency {
	int64_t current_ms, last_ms; /* maxima of this period, and of the one before */
	struct mono since;	     /* when this period began */
	int64_t mean, deviation;     /* in eighths of a millisecond */
};

/* Clerk took so long to answer. */
void latency_note(struct latency *l, struct mono now, int64_t took_ms);

/* 0: nothing is known. */
int64_t latency_slowest_ms(const struct latency *l);
int64_t latency_usual_ms(const struct latency *l);
