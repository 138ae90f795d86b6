/* The log: a line on standard error, with syslog(3)'s level in front where the journal reads it.
 *
 * Fields, not prose; names of sessions and templates at most, never a token, never a key. A message
 * that repeats faster than it helps is held back, and the count of those held back is told.
 */
#pragma once

#include <syslog.h>

/* Levels above `level` (LOG_ERR … LOG_DEBUG) are not written. */
void log_set_level(int level);

void log_write(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
