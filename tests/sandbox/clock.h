/* clock.h: the two clocks that the sandbox reads. */
#ifndef SANDBOX_CLOCK_H
#define SANDBOX_CLOCK_H

#include <stdint.h>

/* Milliseconds on the monotonic clock. */
int64_t clock_mono_ms(void);

/* Milliseconds of the wall clock since 1970. */
int64_t clock_wall_ms(void);

#endif
