/* What every unit test includes: cmocka with the headers that it wants first, and a few helpers.
 *
 * Randomness in tests is a sequence that is the same each time.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"

#define assert_span(actual, expected) unit_assert_span(actual, expected, __FILE__, __LINE__)

static inline void unit_assert_span(struct span actual, const char *expected, const char *file,
				    int line)
{
	if (span_is(actual, expected))
		return;
	print_error("\"%.*s\" != \"%s\"\n", (int)actual.len, actual.ptr ? actual.ptr : "",
		    expected);
	_fail(file, line);
}

/* For what counts resident pages: AddressSanitizer's shadow is resident, too. */
static inline void unit_skip_where_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
	skip();
#endif
}

struct unit_random {
	uint64_t state;
};

/* SplitMix64. */
static inline uint64_t unit_random(struct unit_random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Evenly from 0 to below `n`, near enough. */
static inline size_t unit_below(struct unit_random *r, size_t n)
{
	return (size_t)(unit_random(r) % n);
}
