/* See span.h. The formatting functions are on the path of every hit: no division, two digits a
 * step.
 */
#include "base/span.h"

#include <errno.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "format_u64() and format_hex64() are written for little-endian machines"
#endif

bool span_starts(struct span s, const char *prefix)
{
	size_t len = strlen(prefix);

	return s.len >= len && memcmp(s.ptr, prefix, len) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
	while (s.len && is_blank(s.ptr[0])) {
		s.ptr++;
		s.len--;
	}
	while (s.len && is_blank(s.ptr[s.len - 1]))
		s.len--;
	return s;
}

bool span_split(struct span *rest, char sep, struct span *ret_head)
{
	const char *at;

	if (!rest->ptr)
		return false;
	at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
	if (!at) {
		*ret_head = *rest;
		*rest = SPAN_NONE;
		return true;
	}
	*ret_head = span_of(rest->ptr, (size_t)(at - rest->ptr));
	*rest = span_of(at + 1, rest->len - ret_head->len - 1);
	return true;
}

int span_parse_u64(struct span s, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (s.len == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';

		if (digit > 9)
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, digit, &value) || value > max)
			return -ERANGE;
	}
	*ret = value;
	return 0;
}

int span_parse_hex64(struct span s, uint64_t *ret)
{
	uint64_t value = 0;

	if (s.len != 16)
		return -EINVAL;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return -EINVAL;
	}
	*ret = value;
	return 0;
}

/* Eight decimal digits at once, the first in the lowest byte: each multiplication divides all lanes
 * by 100, then by 10, without a branch. `value` below 10^8. */
static inline uint64_t eight_digits(uint32_t value)
{
	uint64_t halves = value / 10000 | (uint64_t)(value % 10000) << 32;
	uint64_t hundreds = halves * 5243 >> 19 & 0x0000007f0000007f;
	uint64_t pairs = hundreds | (halves - hundreds * 100) << 16;
	uint64_t tens = pairs * 103 >> 10 & 0x000f000f000f000f;

	return tens | (pairs - tens * 10) << 8;
}

#define EIGHT_DIGITS 100000000
#define ZEROS 0x3030303030303030

/* Writes eight digits less the zeros in front, and perhaps something behind: overwritten later. */
static inline char *put_trimmed(char *to, uint64_t digits)
{
	int zeros = __builtin_ctzll(digits | 1ULL << 56) & ~7; /* in bits; the last digit stays */

	digits = (digits + ZEROS) >> zeros;
	memcpy(to, &digits, sizeof(digits));
	return to + sizeof(digits) - zeros / 8;
}

char *format_u64(char *to, uint64_t value)
{
	uint64_t digits;

	if (value < EIGHT_DIGITS)
		return put_trimmed(to, eight_digits((uint32_t)value));
	to = format_u64(to, value / EIGHT_DIGITS);
	digits = eight_digits((uint32_t)(value % EIGHT_DIGITS)) + ZEROS;
	memcpy(to, &digits, sizeof(digits));
	return to + sizeof(digits);
}

#ifdef __SSE2__
/* As eight_digits(), for two values: four lanes of four digits each. */
static inline __m128i sixteen_digits(uint32_t a, uint32_t b)
{
	__m128i fours =
	    _mm_set_epi32((int)(b % 10000), (int)(b / 10000), (int)(a % 10000), (int)(a / 10000));
	__m128i hundreds = _mm_srli_epi16(_mm_mulhi_epu16(fours, _mm_set1_epi16(5243)), 3);
	__m128i rest = _mm_sub_epi16(fours, _mm_mullo_epi16(hundreds, _mm_set1_epi16(100)));
	__m128i pairs = _mm_or_si128(hundreds, _mm_slli_epi32(rest, 16));
	__m128i tens = _mm_mulhi_epu16(pairs, _mm_set1_epi16(6554));

	/* tens + ((pairs - tens * 10) << 8), modulo 2^16 */
	return _mm_sub_epi16(_mm_slli_epi16(pairs, 8),
			     _mm_mullo_epi16(tens, _mm_set1_epi16(10 * 256 - 1)));
}

char *format_two(char *to, uint64_t a, struct span between, uint64_t b)
{
	__m128i digits;

	if (a < EIGHT_DIGITS && b < EIGHT_DIGITS) {
		digits = sixteen_digits((uint32_t)a, (uint32_t)b);
		to = put_trimmed(to, (uint64_t)_mm_cvtsi128_si64(digits));
		to = mempcpy(to, between.ptr, between.len);
		return put_trimmed(to, (uint64_t)_mm_cvtsi128_si64(_mm_srli_si128(digits, 8)));
	}
	to = format_u64(to, a);
	to = mempcpy(to, between.ptr, between.len);
	return format_u64(to, b);
}
#else
char *format_two(char *to, uint64_t a, struct span between, uint64_t b)
{
	to = format_u64(to, a);
	to = mempcpy(to, between.ptr, between.len);
	return format_u64(to, b);
}
#endif

/* Eight hexadecimal digits at once: the nibbles are spread over the bytes, then all bytes are
 * turned into characters, those above 9 moved on to 'a'. */
static uint64_t eight_hex_digits(uint32_t value)
{
	uint64_t x = __builtin_bswap32(value);

	x = (x | x << 16) & 0x0000ffff0000ffff;
	x = (x | x << 8) & 0x00ff00ff00ff00ff;
	x = (x >> 4 | x << 8) & 0x0f0f0f0f0f0f0f0f;
	return x + 0x3030303030303030 + (((x + 0x0606060606060606) >> 4 & 0x0101010101010101) * 39);
}

char *format_hex64(char *to, uint64_t value)
{
	uint64_t digits[2] = { eight_hex_digits((uint32_t)(value >> 32)),
			       eight_hex_digits((uint32_t)value) };

	memcpy(to, digits, sizeof(digits));
	return to + sizeof(digits);
}
