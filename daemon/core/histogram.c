/* See histogram.h. */
#include "daemon/core/histogram.h"

/* Clerk takes 200 to 600 ms to make a token: that is where the bounds are close. */
const uint16_t histogram_bounds_ms[HISTOGRAM_BOUNDS] = { 10,  25,  50,	 100,  150,  200,  300,
							 400, 600, 1000, 1500, 2500, 5000, 10000 };

void histogram_note(struct histogram *h, int64_t ms)
{
	size_t i = 0;

	if (ms < 0)
		ms = 0;
	while (i < HISTOGRAM_BOUNDS && ms > histogram_bounds_ms[i])
		i++;
	h->counts[i]++;
	h->sum_ms += (uint64_t)ms;
}
