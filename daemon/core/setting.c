/* See setting.h. */
#include "daemon/core/setting.h"

#include "base/instant.h"
#include "daemon/core/url.h"
#include "proto/wire.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* The largest last. */
static const struct unit durations[] = {
	{ "ms", 1 },
	{ "s", MS_PER_S },
	{ "m", 60 * MS_PER_S },
	{ "h", 3600 * MS_PER_S },
};
static const struct unit sizes[] = {
	{ "K", 1 << 10 },
	{ "M", 1 << 20 },
	{ "G", 1 << 30 },
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static bool parse_with_unit(struct span s, const struct unit *units, size_t n_units, uint64_t max,
			    uint64_t *ret)
{
	size_t digits = 0;
	uint64_t number;

	while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9')
		digits++;
	if (span_parse_u64(span_of(s.ptr, digits), max, &number) != 0)
		return false;
	if (digits == s.len) {
		*ret = 0;
		return number == 0;
	}
	for (size_t i = 0; i < n_units; i++)
		if (span_is(span_of(s.ptr + digits, s.len - digits), units[i].name))
			return !__builtin_mul_overflow(number, units[i].factor, ret) && *ret <= max;
	return false;
}

bool setting_parse_duration(struct span s, int64_t max_ms, int64_t *ret_ms)
{
	uint64_t ms;

	if (!parse_with_unit(s, durations, COUNT(durations), (uint64_t)max_ms, &ms))
		return false;
	*ret_ms = (int64_t)ms;
	return true;
}

bool setting_parse_size(struct span s, uint64_t max, size_t *ret)
{
	uint64_t size;

	if (!parse_with_unit(s, sizes, COUNT(sizes), max, &size))
		return false;
	*ret = size;
	return true;
}

bool setting_parse_percent(struct span s, uint64_t max, size_t *ret)
{
	uint64_t percent;

	if (s.len == 0 || s.ptr[s.len - 1] != '%' ||
	    span_parse_u64(span_of(s.ptr, s.len - 1), max, &percent) != 0)
		return false;
	*ret = percent;
	return true;
}

bool setting_parse_rate(struct span s, size_t *ret_count, int64_t *ret_window_ms)
{
	struct span count;
	uint64_t number;
	int64_t window_ms;

	if (!span_split(&s, '/', &count) || !s.ptr ||
	    span_parse_u64(count, SETTING_RATE_MAX, &number) != 0 || number == 0 ||
	    !setting_parse_duration(s, 3600 * MS_PER_S, &window_ms) || window_ms == 0)
		return false;
	*ret_count = number;
	*ret_window_ms = window_ms;
	return true;
}

bool setting_parse_mode(struct span s, unsigned *ret)
{
	unsigned mode = 0;

	if (s.len < 3 || s.len > 4)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '7')
			return false;
		mode = mode << 3 | (unsigned)(s.ptr[i] - '0');
	}
	*ret = mode;
	return mode <= 0777;
}

bool setting_is_path(struct span s)
{
	return s.len >= 2 && s.len <= SETTING_PATH_MAX && s.ptr[0] == '/';
}

bool setting_is_socket(struct span s)
{
	return setting_is_path(s) && s.len <= SETTING_SOCKET_MAX;
}

bool setting_is_address(struct span s)
{
	struct span path = setting_socket_of(s);

	return path.ptr ? setting_is_socket(path) : url_is_loopback_and_port(s);
}

bool setting_is_public_address(struct span s)
{
	return setting_is_address(s) || url_is_ip_and_port(s);
}

struct span setting_socket_of(struct span address)
{
	static const char scheme[] = "unix:";
	size_t len = sizeof(scheme) - 1;

	return span_starts(address, scheme) ? span_of(address.ptr + len, address.len - len)
					    : SPAN_NONE;
}

bool setting_is_version(struct span s)
{
	static const char pattern[] = "0000-00-00";

	if (s.len != sizeof(pattern) - 1)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (pattern[i] == '-' ? s.ptr[i] != '-' : s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return true;
}

bool setting_is_group(struct span s)
{
	return s.len >= 1 && s.len <= SETTING_GROUP_MAX && s.ptr[0] != '-' &&
	       wire_is_all(s, CLASS_TEMPLATE);
}

bool setting_is_quotable(struct span s)
{
	static const char live[] = "sk_live_", test[] = "sk_test_";

	return s.len <= SETTING_QUOTED_MAX && wire_is_all(s, CLASS_PRINT) &&
	       !memmem(s.ptr, s.len, live, sizeof(live) - 1) &&
	       !memmem(s.ptr, s.len, test, sizeof(test) - 1);
}

/* In the largest unit that leaves no rest. */
static int print_with_unit(uint64_t value, const struct unit *units, size_t n_units, struct buf *to)
{
	int r;

	while (n_units > 1 && value % units[n_units - 1].factor)
		n_units--;
	if (value == 0)
		return buf_append_str(to, "0");
	r = buf_append_u64(to, value / units[n_units - 1].factor);
	return r ? r : buf_append_str(to, units[n_units - 1].name);
}

int setting_print_duration(int64_t ms, struct buf *to)
{
	return print_with_unit((uint64_t)ms, durations, COUNT(durations), to);
}

int setting_print_size(uint64_t size, struct buf *to)
{
	return print_with_unit(size, sizes, COUNT(sizes), to);
}

int setting_print_mode(unsigned mode, struct buf *to)
{
	char digits[4];

	for (size_t i = 0; i < sizeof(digits); i++)
		digits[i] = (char)('0' + (mode >> 3 * (sizeof(digits) - 1 - i) & 7));
	return buf_append(to, digits, sizeof(digits));
}
