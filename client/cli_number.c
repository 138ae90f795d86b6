/* See cli_number.h. */
#include "client/cli_number.h"

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
