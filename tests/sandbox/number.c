/*
 * number.c: bounded numbers.
 *
 * Model: a number has a range wherever it is read; out of range is the same error as not a number.
 */
#include "number.h"

#include <errno.h>

int number_parse(const char *bytes, size_t length, int64_t min, int64_t max, int64_t *ret_value)
{
	int64_t value = 0;

	if (length == 0)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] < '0' || bytes[i] > '9')
			return -EINVAL;
		int digit = bytes[i] - '0';
		if (value > (max - digit) / 10)
			return -EINVAL;
		value = value * 10 + digit;
	}
	if (value < min || value > max)
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int number_from_double(double value, int64_t min, int64_t max, int64_t *ret_value)
{
	/* The comparison is false for NaN, and keeps the conversion below defined. */
	if (!(value >= (double)min && value <= (double)max))
		return -EINVAL;
	int64_t whole = (int64_t)value;
	if ((double)whole != value)
		return -EINVAL;
	*ret_value = whole;
	return 0;
}
