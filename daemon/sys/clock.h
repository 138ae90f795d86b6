/* The only clock: one reading for each entry into the core. */
#pragma once

#include "base/instant.h"

/* CLOCK_BOOTTIME: goes on through suspend, never jumps. */
struct mono clock_boot(void);

/* CLOCK_REALTIME, for reports only. */
struct wall clock_wall(void);
