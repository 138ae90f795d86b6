/* json.h: JSON from outside. */
#ifndef SANDBOX_JSON_H
#define SANDBOX_JSON_H

#include <stddef.h>
#include <cjson/cJSON.h>

/* Parses `length` bytes, behind which there must be a NUL. NULL unless they are one JSON value and
 * nothing else; to be freed by cJSON_Delete. */
cJSON *json_parse(const char *bytes, size_t length);

#endif
