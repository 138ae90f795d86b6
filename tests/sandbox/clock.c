/*
 * clock.c: the two clocks. Delays, windows and the ages in the statistics use the monotonic one;
 * only what a token or a Date header says is wall time.
 */
#include "clock.h"

#include <time.h>

static int64_t read_ms(clockid_t clock)
{
	struct timespec now = { .tv_sec = 0 };

	(void)clock_gettime(clock, &now); /* cannot fail for these two clocks */
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}
