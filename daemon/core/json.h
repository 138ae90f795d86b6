/* JSON of bounded depth, never changed: the only owner of cJSON.
 *
 * A document is refused as a whole unless it is one complete value. Strings with an escaped NUL are
 * refused too: C would see less of them than was sent. Everything that is handed out belongs to
 * the document and lives as long; json_free() wipes it.
 */
#pragma once

#include "base/span.h"

#include <stdbool.h>

#define JSON_DEPTH_MAX 64

struct json;

#define JSON_INVALID 1

/* Once in a process: gives cJSON our allocator. */
void json_global_init(void);

/* 0, -ENOMEM or JSON_INVALID. */
int json_parse(struct span text, struct json **ret);
void json_free(struct json *j);

static inline void json_freep(struct json **j)
{
	json_free(*j);
}

#define cleanup_json __attribute__((cleanup(json_freep)))

/* A member of an object, by its exact name; NULL if there is none, or `j` is no object, or NULL. */
const struct json *json_member(const struct json *j, const char *name);

/* `null`; an object without members; a member or element that has no others beside it. False if `j`
 * is NULL or something else. */
bool json_is_null(const struct json *j);
bool json_is_empty(const struct json *j);
bool json_is_alone(const struct json *j);

/* The first element of an array; NULL if there is none, or `j` is no array, or NULL. The one behind
 * it; NULL behind the last. */
const struct json *json_first(const struct json *j);
const struct json *json_next(const struct json *element);

/* False if `j` is NULL or something else. The string is followed by a NUL. */
bool json_string(const struct json *j, struct span *ret);
bool json_number(const struct json *j, double *ret);

/* Writes it as short as it can be; returns its length, or 0 if it would not fit. A few of the bytes
 * that it may use stay unused. */
size_t json_write(const struct json *j, char *to, size_t size);
