/* The one form of date that HTTP senders must use: IMF-fixdate (RFC 9110, section 5.6.7).
 *
 * Strict, bounded, without locale or time zone. The two obsolete forms of the RFC are refused.
 */
#pragma once

#include "base/span.h"

#include <stdint.h>

/* "Sun, 06 Nov 1994 08:49:37 GMT", years 1970 to 9999, as seconds since 1970. That the day's name
 * fits the date is not checked. 0 or -EINVAL. */
int httpdate_parse(struct span text, int64_t *ret_s);

/* The other way round, for the same years, without a NUL: HTTPDATE_SIZE bytes. */
#define HTTPDATE_SIZE 29
void httpdate_format(int64_t s, char ret[HTTPDATE_SIZE]);
