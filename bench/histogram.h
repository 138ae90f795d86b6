/* Log-linear histogram of 64-bit values: exact below 256, then 128 steps for each power of two, so
 * that a percentile is at most 0.8 % above the truth. Never below it.
 */
#pragma once

#include <stdint.h>

enum {
	HISTOGRAM_STEPS = 128,
	HISTOGRAM_SLOTS = (64 - 7 + 1) * HISTOGRAM_STEPS,
};

struct histogram {
	uint64_t total, max;
	uint64_t slots[HISTOGRAM_SLOTS];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that per_mille of the added ones do not exceed; 0 when nothing was added. */
uint64_t histogram_at(const struct histogram *histogram, uint64_t per_mille);
