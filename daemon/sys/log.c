/* See log.h. The level and the counters of held-back messages are the process's own, as standard
 * error is. */
#include "daemon/sys/log.h"

#include "base/hash.h"
#include "daemon/sys/clock.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define BURST 10 /* of one message in a period */
#define PERIOD_MS 10000
#define MESSAGES_REMEMBERED 64

static int max_level = LOG_INFO;

/* A message is known by its format string. */
static struct repeats {
	const char *format;
	struct mono since;
	unsigned written, held_back;
} repeats[MESSAGES_REMEMBERED];

void log_set_level(int level)
{
	max_level = level;
}

/* True if it may be written; *ret_held_back: how many of it were not, before. */
static bool admit(const char *format, unsigned *ret_held_back)
{
	struct repeats *r = &repeats[(uintptr_t)format / sizeof(void *) % MESSAGES_REMEMBERED];
	struct mono now = clock_boot();

	*ret_held_back = 0;
	if (r->format != format || mono_diff_ms(now, r->since) >= PERIOD_MS) {
		if (r->format == format)
			*ret_held_back = r->held_back;
		*r = (struct repeats){ .format = format, .since = now };
	}
	if (r->written >= BURST) {
		r->held_back++;
		return false;
	}
	r->written++;
	return true;
}

void log_write(int level, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	unsigned held_back;
	va_list args;

	if (level > max_level || !admit(format, &held_back))
		return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args); /* cut off where it is too long */
	va_end(args);
	if (getenv("JOURNAL_STREAM"))
		dprintf(STDERR_FILENO, "<%d>%s", level, line);
	else
		dprintf(STDERR_FILENO, "clerk-tokend: %s", line);
	if (held_back)
		dprintf(STDERR_FILENO, " (%u like it were held back)", held_back);
	dprintf(STDERR_FILENO, "\n");
}
