/* What the doctor needs of JSON: the members of one object, such as STATS answers. What comes may
 * be anything; what is no such object has no members. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole number. False: there is none of that name. */
bool json_number(const char *json, const char *name, int64_t *ret);

/* A string without escapes, as ours are, cut if need be. False: there is none, and `to` is empty.
 */
bool json_word(const char *json, const char *name, char to[], size_t size);
