/* The front of a family of policies: the least waits that it has for a number of calls. */
#pragma once

#include "bench/scale/tally.h"

#define FRONT_MAX 32

struct front {
	size_t count;
	double ratio[FRONT_MAX], waits[FRONT_MAX]; /* ratio rises */
};

/* Points come by rising ratio; one that costs more and is no better is left out. */
void front_add(struct front *f, double ratio, double waits);

/* Waits at that ratio, along the line between the points on either side of it; negative: none of
 * the points costs that little. */
double front_at(const struct front *f, double ratio);
