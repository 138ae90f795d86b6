/* number.h: decimal numbers, the only way by which a number enters the sandbox as text. */
#ifndef SANDBOX_NUMBER_H
#define SANDBOX_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads all of the `length` bytes as decimal digits (no sign, no spaces) with min <= value <= max,
 * min not negative. 0 or -EINVAL, with *ret_value untouched. */
int number_parse(const char *bytes, size_t length, int64_t min, int64_t max, int64_t *ret_value);

/* The same for a whole number that JSON delivered as a double; negative ones are possible here. */
int number_from_double(double value, int64_t min, int64_t max, int64_t *ret_value);

#endif
