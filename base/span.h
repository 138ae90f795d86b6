/* Views of bytes that somebody else owns, and bounded number parsing and formatting. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *ptr;
	size_t len;
};

#define SPAN_NONE ((struct span){ NULL, 0 })
#define SPAN_LITERAL(s) ((struct span){ "" s, sizeof(s) - 1 })

static inline struct span span_of(const char *ptr, size_t len)
{
	return (struct span){ ptr, len };
}

static inline struct span span_str(const char *s)
{
	return (struct span){ s, s ? strlen(s) : 0 };
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool span_is(struct span s, const char *literal)
{
	return span_equal(s, span_str(literal));
}

bool span_starts(struct span s, const char *prefix);

/* Removes spaces and tabs from both ends. */
struct span span_trim(struct span s);

/* Takes off what stands before the first `sep`; all of it, and leaves SPAN_NONE, if there is none.
 * False when *rest is SPAN_NONE already. */
bool span_split(struct span *rest, char sep, struct span *ret_head);

/* Decimal digits only, no sign, no blanks, at most `max`. 0, or -EINVAL (no number) or -ERANGE. */
int span_parse_u64(struct span s, uint64_t max, uint64_t *ret);

/* Exactly 16 hexadecimal digits, lower case. 0 or -EINVAL. */
int span_parse_hex64(struct span s, uint64_t *ret);

/* Writes decimal digits without a terminator; returns the end. It may write up to 24 bytes, so
 * there must be room for them. */
#define FORMAT_U64_ROOM 24
char *format_u64(char *to, uint64_t value);

/* The same for two values with a text between them, for less than twice the price. */
char *format_two(char *to, uint64_t a, struct span between, uint64_t b);

/* Writes exactly 16 lower-case hexadecimal digits; returns the end. */
char *format_hex64(char *to, uint64_t value);
