/* What systemd is told (sd_notify(3)). Without systemd these do nothing.
 *
 * While the daemon runs, a beat says now and then that its loop goes round, and how things are. It
 * is due like all else that the loop's one timer is for, and nobody but the loop sends it: one that
 * is stuck falls silent, and systemd starts the daemon anew (WatchdogSec=).
 */
#pragma once

#include "base/instant.h"

#include <stdbool.h>
#include <stdint.h>

struct engine;

struct notify {
	struct engine *engine; /* whose state is told */
	int64_t period_ms;     /* between two beats; 0: nobody listens */
	struct mono next;      /* when the next is due; MONO_NEVER: nobody listens */
	bool reload_failed;    /* the last one */
};

void notify_init(struct notify *n, struct engine *engine);

/* The service is up; beats begin. */
void notify_ready(struct notify *n, struct mono now);

/* To be called at `next`. */
void notify_beat(struct notify *n, struct mono now);

void notify_reloading(void);
void notify_reloaded(struct notify *n, struct mono now, bool worked);

/* It may take so long, whatever the unit says. */
void notify_stopping(int64_t at_most_ms);
