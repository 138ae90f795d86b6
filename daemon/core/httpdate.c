/* See httpdate.h. */
#include "daemon/core/httpdate.h"

#include <errno.h>

#define S_PER_DAY 86400

static const char pattern[] = "aaa, 00 aaa 0000 00:00:00 GMT";
static const char day_names[] = "MonTueWedThuFriSatSun";
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct fields {
	int64_t year, month, day, hour, minute, second; /* month: 1 to 12 */
};

/* 'a' and '0' in the pattern stand for any character here; the rest must be as it is. */
static bool fits_pattern(struct span text)
{
	if (text.len != sizeof(pattern) - 1)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (pattern[i] != 'a' && pattern[i] != '0' && pattern[i] != text.ptr[i])
			return false;
	return true;
}

/* Its place in the list, from 1; 0 if it's not there. */
static int64_t find_name(const char *names, const char *name)
{
	for (int64_t i = 0; names[i * 3]; i++)
		if (memcmp(names + i * 3, name, 3) == 0)
			return i + 1;
	return 0;
}

static bool read_number(struct span text, size_t at, size_t len, int64_t min, int64_t max,
			int64_t *ret)
{
	uint64_t value;

	if (span_parse_u64(span_of(text.ptr + at, len), (uint64_t)max, &value) != 0)
		return false;
	*ret = (int64_t)value;
	return *ret >= min;
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_in_month(int64_t year, int64_t month)
{
	static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

static int64_t days_since_1970(const struct fields *f)
{
	int64_t before = f->year - 1;
	int64_t days = (f->year - 1970) * 365 + (before / 4 - 1969 / 4) -
		       (before / 100 - 1969 / 100) + (before / 400 - 1969 / 400);

	for (int64_t month = 1; month < f->month; month++)
		days += days_in_month(f->year, month);
	return days + f->day - 1;
}

int httpdate_parse(struct span text, int64_t *ret_s)
{
	struct fields f;

	if (!fits_pattern(text) || !find_name(day_names, text.ptr))
		return -EINVAL;
	f.month = find_name(month_names, text.ptr + 8);
	if (!f.month || !read_number(text, 12, 4, 1970, 9999, &f.year) ||
	    !read_number(text, 5, 2, 1, days_in_month(f.year, f.month), &f.day) ||
	    !read_number(text, 17, 2, 0, 23, &f.hour) ||
	    !read_number(text, 20, 2, 0, 59, &f.minute) ||
	    !read_number(text, 23, 2, 0, 60, &f.second)) /* 60: a leap second */
		return -EINVAL;
	*ret_s = days_since_1970(&f) * S_PER_DAY + f.hour * 3600 + f.minute * 60 + f.second;
	return 0;
}

static void write_number(char *to, size_t digits, int64_t value)
{
	while (digits--) {
		to[digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

void httpdate_format(int64_t s, char ret[HTTPDATE_SIZE])
{
	int64_t days = s / S_PER_DAY, second = s % S_PER_DAY;
	struct fields f = { .year = 1970 + days / 366, .month = 1, .day = 1 };

	while (days_since_1970(&(struct fields){ f.year + 1, 1, 1, 0, 0, 0 }) <= days)
		f.year++;
	days -= days_since_1970(&f);
	for (; days >= days_in_month(f.year, f.month); f.month++)
		days -= days_in_month(f.year, f.month);
	memcpy(ret, pattern, HTTPDATE_SIZE);
	memcpy(ret, day_names + (s / S_PER_DAY + 3) % 7 * 3, 3); /* it began with a Thursday */
	write_number(ret + 5, 2, days + 1);
	memcpy(ret + 8, month_names + (f.month - 1) * 3, 3);
	write_number(ret + 12, 4, f.year);
	write_number(ret + 17, 2, second / 3600);
	write_number(ret + 20, 2, second / 60 % 60);
	write_number(ret + 23, 2, second % 60);
}
