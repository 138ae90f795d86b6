/* The log: the journal's, with fields and message ids, where standard error leads there; else lines
 * on standard error.
 *
 * A message is a sentence and fields. As a line, the fields follow the sentence; in the journal
 * they are there besides, NAME as CLERK_NAME. A message that people or programs look for has an id
 * (journalctl MESSAGE_ID=…), which the catalogue explains (systemd/clerk-tokend.catalog). Names of
 * sessions and templates at most, never a token, never a key.
 *
 * What repeats faster than it helps is held back, for each message by itself, and told as a number
 * when its period is over; but what is asked for explicitly is not, that is level debug and the
 * audit.
 *
 * A journal that takes nothing holds nobody up: what it has no room for is lost, and told as a
 * number when it has.
 */
#pragma once

#include "base/instant.h"

#include <stdint.h>
#include <syslog.h>

enum log_message {
	MESSAGE_OTHER, /* without an id */
	MESSAGE_STARTED,
	MESSAGE_STOPPING,
	MESSAGE_STOPPED,
	MESSAGE_RELOADED,
	MESSAGE_RELOAD_FAILED,
	MESSAGE_BAD_CONFIG,
	MESSAGE_BAD_KEY,
	MESSAGE_FETCHED,
	MESSAGE_FETCH_FAILED,
	MESSAGE_KEY_REFUSED,
	MESSAGE_KEY_ACCEPTED,
	MESSAGE_KEY_FELL_BACK,
	MESSAGE_KEY_GIVEN_UP,
	MESSAGE_CLOCK_DIFFERS,
	MESSAGE_CLIENT_REFUSED,
	MESSAGE_WEBHOOK_REFUSED,
	MESSAGE_NOT_LOCKED,
	MESSAGE_SUPPRESSED,
	MESSAGE_AUDIT,
	MESSAGE_COUNT,
};

#define LOG_FIELDS_MAX 12

/* `name` in lower case. The text is borrowed for the call; without one it is the number. */
struct log_field {
	const char *name, *text;
	int64_t number;
};

/* A text that is NULL or empty is left out. */
static inline struct log_field log_text(const char *name, const char *text)
{
	return (struct log_field){ .name = name, .text = text ? text : "" };
}

static inline struct log_field log_number(const char *name, int64_t number)
{
	return (struct log_field){ .name = name, .number = number };
}

#define LOG_END ((struct log_field){ NULL, NULL, 0 })

/* Levels above `level` (LOG_ERR … LOG_DEBUG) are not written; the audit is, always. */
void log_set_level(int level);

/* A sentence, then at most LOG_FIELDS_MAX fields. */
#define log_event(level, message, sentence, ...)                                                   \
	log_fields((level), (message), (sentence),                                                 \
		   (const struct log_field[]){ __VA_ARGS__ __VA_OPT__(, ) LOG_END })

/* The same; `fields` ends with LOG_END. */
void log_fields(int level, enum log_message message, const char *sentence,
		const struct log_field fields[]);

/* Without an id and fields. */
void log_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* Tells what was held back in periods that are over by `now`; when to do so next. */
void log_tick(struct mono now);
struct mono log_next_deadline(void);
