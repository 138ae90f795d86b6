/*
 * json.c: JSON from outside.
 *
 * Model: cJSON reads strings; here it gets bytes that may hold anything. A NUL among them is
 * refused, as cJSON would take it for the end and never see what follows.
 */
#include "json.h"

#include <string.h>

cJSON *json_parse(const char *bytes, size_t length)
{
	if (memchr(bytes, 0, length))
		return NULL;
	return cJSON_ParseWithLengthOpts(bytes, length + 1, NULL, 1);
}
