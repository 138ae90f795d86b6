/* What is needed of JSON here: the members of one object, such as STATS answers, and texts to put
 * into one. What comes may be anything; what is no such object has no members. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole number. False: there is none of that name, or it is further from 0 than any that a daemon
 * gets to: whoever reckons with a few of these need not look out. */
#define JSON_NUMBER_MAX INT64_C(100000000000000)
bool json_number(const char *json, const char *name, int64_t *ret);

/* A string without escapes, as ours are, cut if need be. False: there is none, and `to` is empty.
 */
bool json_word(const char *json, const char *name, char to[], size_t size);

/* The text as it stands in a string; control characters, and what is no UTF-8, become '?'. Cut
 * where `to` is full. */
void json_escape(char to[], size_t size, const char *text);

/* Where the value of that name begins, such as an object or an array; NULL: there is none. */
const char *json_member(const char *json, const char *name);

/* The items of the array at `array` (may be NULL), one after the other; `item` NULL: the first.
 * NULL: no more. */
const char *json_next(const char *array, const char *item);
