/* How long something took, counted by fixed bounds, as Prometheus' histograms are. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS 14

struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* the last one: of what took longer than all */
	uint64_t sum_ms;
};

/* The longest that is counted in each, in milliseconds, rising. */
extern const uint16_t histogram_bounds_ms[HISTOGRAM_BOUNDS];

/* A negative duration counts as none. */
void histogram_note(struct histogram *h, int64_t ms);
