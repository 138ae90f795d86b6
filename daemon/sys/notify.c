/* See notify.h. A message that systemd doesn't get is no reason to do anything else. */
#include "daemon/sys/notify.h"

#include "daemon/core/status.h"

#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define PERIOD_MS 10000 /* where systemd doesn't want it more often */
#define US_PER_MS 1000

void notify_init(struct notify *n, struct engine *engine)
{
	uint64_t watchdog_us = 0;
	int64_t half_ms;

	*n = (struct notify){ .engine = engine, .next = MONO_NEVER };
	if (!getenv("NOTIFY_SOCKET"))
		return;
	n->period_ms = PERIOD_MS;
	if (sd_watchdog_enabled(0, &watchdog_us) > 0) {
		half_ms = (int64_t)(watchdog_us / 2 / US_PER_MS);
		if (half_ms < n->period_ms)
			n->period_ms = half_ms > 0 ? half_ms : 1;
	}
}

/* `state` and how things are. */
static void tell(struct notify *n, struct mono now, const char *state)
{
	struct buf status = BUF_INIT(STATUS_MAX);

	if (n->period_ms == 0)
		return;
	n->next = mono_add_ms(now, n->period_ms);
	if (status_write(n->engine, now, &status) == 0)
		(void)sd_notifyf(0, "%s\nSTATUS=%s%.*s", state,
				 n->reload_failed ? "The last reload failed, see the journal; "
						  : "",
				 (int)buf_len(&status), status.ptr + status.start);
	else
		(void)sd_notify(0, state); /* out of memory */
	buf_deinit(&status);
}

void notify_ready(struct notify *n, struct mono now)
{
	tell(n, now, "READY=1");
}

void notify_beat(struct notify *n, struct mono now)
{
	tell(n, now, "WATCHDOG=1");
}

void notify_reloaded(struct notify *n, struct mono now, bool worked)
{
	n->reload_failed = !worked;
	tell(n, now, "READY=1");
}

void notify_reloading(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)ts.tv_sec * 1000000 +
			     (unsigned long long)ts.tv_nsec / 1000);
}

void notify_stopping(int64_t at_most_ms)
{
	(void)sd_notifyf(0, "STOPPING=1\nSTATUS=Stopping\nEXTEND_TIMEOUT_USEC=%lld",
			 (long long)at_most_ms * US_PER_MS);
}
