#include "histogram.h"

void histogram_add(struct histogram *histogram, uint64_t value)
{
	/* |1: __builtin_clzll(0) has no value; so small a value takes no shift anyway */
	unsigned int bits = 64 - (unsigned int)__builtin_clzll(value | 1);
	unsigned int shift = bits > 8 ? bits - 8 : 0;
	uint64_t slot = shift * HISTOGRAM_STEPS + (value >> shift);

	histogram->slots[slot]++;
	histogram->total++;
	if (value > histogram->max)
		histogram->max = value;
}

/* The largest value that falls into slot. */
static uint64_t slot_top(uint64_t slot)
{
	uint64_t shift, first;

	if (slot < 2 * HISTOGRAM_STEPS)
		return slot;
	shift = slot / HISTOGRAM_STEPS - 1;
	first = slot - shift * HISTOGRAM_STEPS;
	return ((first + 1) << shift) - 1;
}

uint64_t histogram_at(const struct histogram *histogram, uint64_t per_mille)
{
	uint64_t wanted = (histogram->total * per_mille + 999) / 1000, seen = 0;

	for (uint64_t slot = 0; slot < HISTOGRAM_SLOTS && wanted; slot++) {
		seen += histogram->slots[slot];
		if (seen >= wanted)
			return slot_top(slot) < histogram->max ? slot_top(slot) : histogram->max;
	}
	return histogram->max;
}
