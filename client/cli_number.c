/* See cli_number.h. */
#include "client/cli_number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool parse_number(const char *text, uint32_t *ret)
{
	uint64_t value = 0;

	if (text[0] == '\0')
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)value;
	return true;
}

const char *format_number(char to[NUMBER_SIZE], int64_t value)
{
	char plain[NUMBER_SIZE];
	size_t len, n = 0;

	len = (size_t)snprintf(plain, sizeof(plain), "%" PRId64, value); /* it fits */
	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0 && plain[i - 1] != '-')
			to[n++] = ',';
		to[n++] = plain[i];
	}
	to[n] = '\0';
	return to;
}
